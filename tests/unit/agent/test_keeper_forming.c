/* Whose port is gated while a group forms, and whose is left alone: nobody is cut off by a
 * file that names the wrong region, and nothing is proven that is not closed (I2). */
#include "tests/unit/agent/cmocka_env.h"

#include <string.h>

#include "tests/unit/agent/keeper_world.h"

enum { FORMED = 40 }; /* index of the first assignment of a group that forms */

static struct keeper_assignment forming(bool adopt)
{
    struct keeper_assignment a = primary(0);

    a.role = ROLE_NONE;
    a.index = FORMED;
    a.proof_wanted = true;
    a.adopt = adopt;
    a.ttl_ms = TTL_MS;
    return a;
}

static void look(struct world *w, enum keeper_server_state state, uint64_t index)
{
    keeper_server(&w->k, 0, &(struct keeper_server){.state = state, .looked = index});
}

static bool is_proven(const struct world *w)
{
    const struct keeper_effect *e = find(w, KEEPER_PROOF);

    return e != NULL && e->installed;
}

static bool is_gated(const struct world *w) { return w->k.slots[0].managed; }

/* Not declared, or declared without `adopt`: what may have clients keeps them. */
static void a_gate_is_not_closed_over_a_primary(void **state)
{
    static const struct {
        const char *name;
        enum keeper_server_state server;
        uint64_t looked;
        bool gated;
    } table[] =
        {
            {"not looked at yet", KEEPER_SERVER_UNKNOWN, 0, false},
            {"looked at in vain", KEEPER_SERVER_UNKNOWN, FORMED, false},
            {"a primary", KEEPER_SERVER_PRIMARY, FORMED, false},
            {"starting, or stopping", KEEPER_SERVER_OTHER, FORMED, false},
            {"a standby", KEEPER_SERVER_STANDBY, FORMED, true},
            {"down", KEEPER_SERVER_DOWN, FORMED, true},
            {"a standby when it was let go", KEEPER_SERVER_STANDBY, FORMED - 1, false},
            {"down when it was let go", KEEPER_SERVER_DOWN, FORMED - 1, false},
            {"down, seen later", KEEPER_SERVER_DOWN, FORMED + 1, true},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct world w;

        start(&w);
        assign(&w, forming(false));
        look(&w, row->server, row->looked);
        run(&w);
        /* A first look takes a moment, which is no problem yet. */
        if (is_gated(&w) != row->gated || is_proven(&w) != row->gated)
            fail_msg("%s", row->name);
        /* The trial is of a closed port, and nothing else is done to one that is held. */
        assert_int_equal(find(&w, KEEPER_TRY) != NULL, row->gated);
        assert_int_equal(keeper_hold(&w.k, 0) == NULL, row->gated || row->looked < FORMED);
    }
}

/* It is said why, to whoever asks for the state of the agent. */
static void a_held_port_says_why(void **state)
{
    struct keeper_view v;
    struct world w;

    (void)state;
    start(&w);
    assign(&w, forming(false));
    look(&w, KEEPER_SERVER_PRIMARY, FORMED);
    run(&w);
    keeper_view(&w.k, 0, w.now, &v);
    assert_non_null(strstr(v.problem, "runs as a primary"));
    assert_non_null(strstr(v.problem, "adopt: true"));
    assert_true(strlen(v.problem) < sizeof v.problem - 1); /* nothing is cut off */
    look(&w, KEEPER_SERVER_UNKNOWN, FORMED);
    keeper_view(&w.k, 0, w.now, &v);
    assert_non_null(strstr(v.problem, "cannot be told"));
    look(&w, KEEPER_SERVER_UNKNOWN, 0); /* an observer that never answers */
    assert_null(keeper_hold(&w.k, 0));
    for (int i = 0; i < KEEPER_LOOK_TICKS; i++)
        keeper_tick(&w.k);
    assert_non_null(strstr(keeper_hold(&w.k, 0), "cannot be told"));
    look(&w, KEEPER_SERVER_DOWN, FORMED);
    run(&w);
    keeper_view(&w.k, 0, w.now, &v);
    assert_string_equal(v.problem, "");
}

/* The exits: it is stopped, it is declared, its group is let go (I11). */
static void a_hold_has_exits(void **state)
{
    struct keeper_assignment a = forming(false);
    struct world w;

    (void)state;
    start(&w);
    assign(&w, a);
    look(&w, KEEPER_SERVER_PRIMARY, FORMED);
    run(&w);
    look(&w, KEEPER_SERVER_DOWN, FORMED);
    run(&w);
    assert_true(is_gated(&w));
    assert_true(is_proven(&w));

    start(&w);
    assign(&w, a);
    look(&w, KEEPER_SERVER_PRIMARY, FORMED);
    run(&w);
    a.adopt = true; /* the file is corrected */
    a.index++;
    assign(&w, a);
    run(&w);
    assert_false(is_gated(&w));
    assert_non_null(find(&w, KEEPER_TRY));
    a.role = ROLE_PRIMARY;
    a.epoch = 1;
    a.index++;
    assign(&w, a);
    run(&w);
    assert_non_null(find(&w, KEEPER_ADOPT));
    assert_null(find(&w, KEEPER_MANAGE));

    start(&w);
    a = forming(false);
    assign(&w, a);
    look(&w, KEEPER_SERVER_PRIMARY, FORMED);
    run(&w);
    a.role = ROLE_DETACHED;
    a.index++;
    assign(&w, a);
    run(&w);
    assert_false(is_gated(&w));
    assert_null(keeper_hold(&w.k, 0));
}

/* The other half of a correction: what was declared is not any more. Down, it is gated now;
 * a primary too (both run as one), it is held. */
static void a_correction_takes_back_what_it_gave(void **state)
{
    (void)state;
    for (int primary_too = 0; primary_too < 2; primary_too++) {
        struct keeper_assignment a = forming(true);
        struct world w;

        start(&w);
        assign(&w, a);
        look(&w, primary_too ? KEEPER_SERVER_PRIMARY : KEEPER_SERVER_DOWN, FORMED);
        run(&w);
        assert_false(is_gated(&w));
        a.adopt = false;
        a.index++;
        assign(&w, a);
        run(&w);
        assert_int_equal(is_gated(&w), !primary_too);
        assert_int_equal(is_proven(&w), !primary_too);
    }
}

/* Gated and proven while it was down: what starts, or is promoted, behind it changes
 * nothing about the gate, nor does a correction, nor a restart of the agent. */
static void a_closed_gate_stays_closed(void **state)
{
    struct keeper_assignment a = forming(false);
    struct gate_state closed = {0};
    struct epoch_table disk;
    struct world w;

    (void)state;
    start(&w);
    assign(&w, a);
    look(&w, KEEPER_SERVER_STANDBY, FORMED);
    run(&w);
    assert_true(is_proven(&w));
    look(&w, KEEPER_SERVER_PRIMARY, FORMED);
    run(&w);
    assert_true(is_gated(&w));
    assert_int_equal(w.k.slots[0].gate.mode, GATE_CLOSED);
    assert_null(find(&w, KEEPER_UNMANAGE));
    a.adopt = true;
    a.index++;
    assign(&w, a);
    run(&w);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_CLOSED);
    assert_true(is_gated(&w));

    disk = w.k.disk;
    keeper_core_init(&w.k, &me, &disk);
    keeper_clock(&w.k, true, 0);
    assert_true(
        keeper_gate_found(&w.k, &(struct keeper_found){.port = 5432, .gate = closed}));
    a.adopt = false;
    a.index++;
    assign(&w, a);
    run(&w);
    look(&w, KEEPER_SERVER_PRIMARY, a.index);
    run(&w);
    assert_true(is_gated(&w));
    assert_null(find(&w, KEEPER_UNMANAGE));
    assert_null(find(&w, KEEPER_ARM));
}

/* A restart of the agent of a held server: nothing is on record, so it is held again, and
 * what the last life knew of the server is no look. */
static void a_restart_goes_on_holding(void **state)
{
    struct epoch_table disk;
    struct world w;

    (void)state;
    start(&w);
    assign(&w, forming(false));
    look(&w, KEEPER_SERVER_PRIMARY, FORMED);
    run(&w);
    disk = w.k.disk;
    keeper_core_init(&w.k, &me, &disk);
    keeper_clock(&w.k, true, 0);
    keeper_server(&w.k, 0, &(struct keeper_server){.state = KEEPER_SERVER_DOWN});
    assign(&w, forming(false));
    run(&w);
    assert_false(is_gated(&w));
    look(&w, KEEPER_SERVER_PRIMARY, FORMED);
    run(&w);
    assert_false(is_gated(&w));
}

/* The last life died between the gate and its record: the port is closed, and goes on being
 * one that we have closed: proven, adopted behind its gate, and opened by a detach. */
static void a_gate_without_a_record_is_taken_up(void **state)
{
    struct gate_state found = {.mode = GATE_CLOSED};
    struct keeper_assignment a = forming(false);
    struct world w;

    (void)state;
    start(&w);
    keeper_gate_stray(&w.k, &(struct keeper_found){.port = 5432, .gate = found});
    assign(&w, a);
    look(&w, KEEPER_SERVER_PRIMARY, FORMED);
    run(&w);
    assert_true(is_gated(&w));
    assert_true(is_proven(&w));
    a.role = ROLE_DETACHED;
    a.index++;
    assign(&w, a);
    run(&w);
    assert_non_null(find(&w, KEEPER_UNMANAGE));
    a = forming(false); /* and attached again: that was once */
    a.index = FORMED + 2;
    assign(&w, a);
    look(&w, KEEPER_SERVER_PRIMARY, FORMED + 2);
    run(&w);
    assert_false(is_gated(&w));
}

/* Out of the forming phase the old rule stands: a standby's port is closed at once,
 * whatever runs there. Somebody else is authorised now (I1). */
static void outside_of_forming_nothing_waits(void **state)
{
    struct keeper_assignment a = primary(1);
    struct world w;

    (void)state;
    start(&w);
    a.role = ROLE_STANDBY;
    assign(&w, a);
    run(&w);
    assert_true(is_gated(&w));
    look(&w, KEEPER_SERVER_PRIMARY, a.index);
    run(&w);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gate_is_not_closed_over_a_primary),
        cmocka_unit_test(a_held_port_says_why),
        cmocka_unit_test(a_hold_has_exits),
        cmocka_unit_test(a_correction_takes_back_what_it_gave),
        cmocka_unit_test(a_closed_gate_stays_closed),
        cmocka_unit_test(a_restart_goes_on_holding),
        cmocka_unit_test(a_gate_without_a_record_is_taken_up),
        cmocka_unit_test(outside_of_forming_nothing_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
