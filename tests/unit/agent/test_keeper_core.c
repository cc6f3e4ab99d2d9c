/* What the keeper does about leases, fences and restarts, claim by claim. */
#include "tests/unit/agent/cmocka_env.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/agent/keeper_world.h"

/* The gate is managed, tried, and the epoch on disk, before the first renewal is sent (the
 * second write notes the trial down). */
static void nothing_is_asked_before_gate_and_disk(void **state)
{
    static const enum keeper_effect_kind order[] = {KEEPER_MANAGE, KEEPER_SYNC, KEEPER_TRY,
                                                    KEEPER_SYNC, KEEPER_RENEW};
    struct world w;

    (void)state;
    start(&w);
    assign(&w, primary(1));
    run(&w);
    assert_int_equal(w.count, ARRAY_LEN(order));
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        assert_int_equal(w.seen[i].kind, order[i]);
    assert_int_equal(w.seen[1].table->of[0].highest, 1);

    start(&w);
    w.disk_fails = true;
    assign(&w, primary(1));
    run(&w);
    assert_null(find(&w, KEEPER_RENEW));
    w.disk_fails = false;
    w.now = ms(1001000);
    run(&w);
    assert_non_null(find(&w, KEEPER_RENEW));
}

/* The deadline is the echoed send time plus the TTL, however late the answer is. */
static void deadline_counts_from_the_send_time(void **state)
{
    struct world w;
    struct keeper_ack ack;

    (void)state;
    start(&w);
    assign(&w, primary(3));
    serve(&w, KEEPER_SERVER_PRIMARY, 3);
    run(&w);
    ack = answer(&w, 3, true);
    w.now = ms(1000000 + 900);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_int_equal(find(&w, KEEPER_ARM)->lease.deadline.ns, ms(1000000 + TTL_MS).ns);
}

/* Answers that are not exactly about what we sent change nothing. */
static void foreign_answers_are_ignored(void **state)
{
    enum { SEQ, SENT, FUTURE, LIFE, EPOCH, KIND, GROUP, TTL, LATE, REFUSED, CASES };

    (void)state;
    for (int c = 0; c < CASES; c++) {
        struct world w;
        struct keeper_ack ack;

        start(&w);
        assign(&w, primary(3));
        serve(&w, KEEPER_SERVER_PRIMARY, 3);
        run(&w);
        ack = answer(&w, 3, true);
        ack.seq += c == SEQ;
        ack.sent.ns -= c == SENT;
        ack.items[0].epoch += c == EPOCH;
        ack.items[0].granted = c != REFUSED;
        ack.incarnation = c == LIFE ? other : me;
        ack.items[0].kind = c == KIND ? KIND_READ : KIND_WRITE;
        ack.items[0].group[0] = c == GROUP ? 'x' : 'o';
        ack.items[0].terms.ttl_ms = c == TTL ? LEASE_TTL_MAX_MS + 1 : TTL_MS;
        if (c == FUTURE)
            w.now.ns -= 1;
        if (c == LATE)
            w.now.ns += (uint64_t)TTL_MS * NS_PER_MS;
        if (keeper_ack(&w.k, &ack, w.now) != 0)
            fail_msg("case %d was taken", c);
        run(&w);
        assert_null(find(&w, KEEPER_ARM));
    }
}

/* Open needs three things at once: `opened`, a ready server, the role. */
static void opens_only_when_all_three_hold(void **state)
{
    (void)state;
    for (int bits = 0; bits < 16; bits++) {
        bool opened = bits & 1, ready = bits & 2, up = bits & 4, barred = bits & 8;
        struct world w;
        struct keeper_ack ack;
        enum gate_mode expect = barred                  ? GATE_CLOSED
                                : opened && ready && up ? GATE_OPEN
                                                        : GATE_REPLICATION;

        start(&w);
        assign(&w, primary(3));
        keeper_server(&w.k, 0,
                      &(struct keeper_server){.state = up ? KEEPER_SERVER_PRIMARY
                                                          : KEEPER_SERVER_OTHER,
                                              .ready_epoch = ready ? 3 : 2,
                                              .barred = barred});
        run(&w);
        ack = answer(&w, 3, opened);
        (void)keeper_ack(&w.k, &ack, w.now);
        run(&w);
        if (w.k.slots[0].gate.mode != expect)
            fail_msg("bits %d: mode %d", bits, (int)w.k.slots[0].gate.mode);
    }
}

/* The log's word, in an assignment, opens the gate under the lease that is held: nobody
 * waits for the next renewal. */
static void opened_opens_at_once(void **state)
{
    struct keeper_assignment a = primary(3);
    struct keeper_ack ack;
    struct world w;

    (void)state;
    start(&w);
    assign(&w, a);
    serve(&w, KEEPER_SERVER_PRIMARY, 3);
    run(&w);
    ack = answer(&w, 3, false);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_REPLICATION);

    a.index++;
    a.opened = true;
    w.now = ms(1000010);
    assign(&w, a);
    run(&w);
    assert_null(find(&w, KEEPER_RENEW));
    assert_int_equal(find(&w, KEEPER_ARM)->lease.mode, GATE_OPEN);
    assert_int_equal(find(&w, KEEPER_ARM)->lease.deadline.ns, ms(1000000 + TTL_MS).ns);
}

/* The postmaster's exit closes at once; the same epoch may open again, when ready. */
static void exit_closes_and_the_epoch_may_reopen(void **state)
{
    struct world w;

    (void)state;
    start_open(&w);
    serve(&w, KEEPER_SERVER_DOWN, 0);
    run(&w);
    assert_non_null(find(&w, KEEPER_CLOSE));
    serve(&w, KEEPER_SERVER_OTHER, 0);
    run(&w);
    assert_int_equal(find(&w, KEEPER_ARM)->lease.mode, GATE_REPLICATION);
    assert_int_equal(find(&w, KEEPER_ARM)->how, GATE_REOPEN);
    serve(&w, KEEPER_SERVER_PRIMARY, 3);
    run(&w);
    assert_int_equal(find(&w, KEEPER_ARM)->lease.mode, GATE_OPEN);
}

/* A fence: mark on disk, then closed and frozen, then the proof; nothing re-opens it. */
static void fence_is_marked_then_frozen_then_proven(void **state)
{
    static const enum keeper_effect_kind order[] = {KEEPER_SYNC, KEEPER_FENCE,
                                                    KEEPER_PROOF};
    struct keeper_fence_order o = {
        .to = me, .group = "orders", .epoch = 3, .fence_index = 77};
    struct world w;
    struct keeper_ack late;

    (void)state;
    start_open(&w);
    keeper_tick(&w.k);
    run(&w);
    late = answer(&w, 3, true);
    assert_int_equal(keeper_fence_order(&w.k, &o, NULL), 0);
    run(&w);
    assert_int_equal(w.count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(w.seen[i].kind, order[i]);
    assert_int_equal(w.seen[0].table->of[0].fenced, 3);
    assert_int_equal(w.seen[2].fence_index, 77);

    assert_int_equal(keeper_ack(&w.k, &late, w.now), 0);
    keeper_tick(&w.k);
    run(&w);
    assert_int_equal(w.count, 0);
    /* The order is repeated: so is the proof. */
    assert_int_equal(keeper_fence_order(&w.k, &o, NULL), 0);
    run(&w);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.seen[0].kind, KEEPER_PROOF);
}

/* No proof and no freeze while the disk refuses the mark. */
static void no_proof_without_the_mark_on_disk(void **state)
{
    struct keeper_fence_order o = {
        .to = me, .group = "orders", .epoch = 3, .fence_index = 77};
    struct world w;

    (void)state;
    start_open(&w);
    w.disk_fails = true;
    assert_int_equal(keeper_fence_order(&w.k, &o, NULL), 0);
    run(&w);
    assert_null(find(&w, KEEPER_FENCE));
    assert_null(find(&w, KEEPER_PROOF));
}

static void fence_orders_that_are_refused(void **state)
{
    static const struct {
        const char *name, *group;
        struct incarnation to;
        uint64_t epoch, index;
        int code;
    } table[] =
        {
            {"another life", "orders", {{2}}, 3, 77, ERR_PEER},
            {"older epoch", "orders", {{1}}, 2, 77, ERR_STALE},
            {"epoch not heard of", "orders", {{1}}, 4, 77, ERR_NOTFOUND},
            {"group not heard of", "users", {{1}}, 3, 77, ERR_NOTFOUND},
            {"no fence_begin", "orders", {{1}}, 3, 0, ERR_INVAL},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct keeper_fence_order o = {
            .to = row->to, .epoch = row->epoch, .fence_index = row->index};
        struct world w;

        snprintf(o.group, sizeof o.group, "%s", row->group);
        start_open(&w);
        if (keeper_fence_order(&w.k, &o, NULL) != row->code)
            fail_msg("%s", row->name);
        run(&w);
        assert_null(find(&w, KEEPER_FENCE));
    }
}

/* A restart over a synced mark closes and freezes before anything is heard. */
static void restart_over_a_mark_freezes_first(void **state)
{
    struct epoch_table disk = {
        .count = 1,
        .of[0] = {
            .group = "orders", .highest = 3, .fenced = 3, .port = 5432, .tried = true}};
    struct gate_state open = {
        .epoch = 3, .mode = GATE_OPEN, .deadline = ms(1000500), .opened = true};
    struct world w = {.now = ms(1000000)};

    (void)state;
    keeper_core_init(&w.k, &me, &disk);
    assert_true(
        keeper_gate_found(&w.k, &(struct keeper_found){.port = 5432, .gate = open}));
    run(&w);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.seen[0].kind, KEEPER_FENCE);
    assert_int_equal(w.seen[0].epoch, 3);
}

/* I6: what a start has read may be on the disk no more after a loss of power, so nothing is
 * asked for or armed before it was written once more. A hello names it all the same. */
static void what_was_found_counts_once_it_is_synced(void **state)
{
    struct epoch_table disk = {
        .count = 1,
        .of[0] = {.group = "orders", .highest = 3, .port = 5432, .tried = true}};
    struct world w = {.now = ms(1000000), .disk_fails = true};

    (void)state;
    keeper_core_init(&w.k, &me, &disk);
    keeper_doubt_disk(&w.k);
    keeper_clock(&w.k, true, 0);
    assert_int_equal(keeper_remembers(&w.k)->of[0].highest, 3);
    serve(&w, KEEPER_SERVER_PRIMARY, 3);
    assign(&w, primary(3));
    run(&w);
    assert_non_null(find(&w, KEEPER_SYNC));
    assert_null(find(&w, KEEPER_RENEW));
    assert_null(find(&w, KEEPER_ARM));
    w.disk_fails = false;
    w.now = ms(1001000);
    run(&w);
    assert_non_null(find(&w, KEEPER_RENEW));
    assert_int_equal(keeper_remembers(&w.k)->of[0].highest, 3);
}

/* A restart within the TTL touches nothing, and goes on renewing the same lease. */
static void adoption_leaves_the_gate_alone(void **state)
{
    struct epoch_table disk = {
        .count = 1,
        .of[0] = {.group = "orders", .highest = 3, .port = 5432, .tried = true}};
    struct gate_state open = {
        .epoch = 3, .mode = GATE_OPEN, .deadline = ms(1000500), .opened = true};
    struct world w = {.now = ms(1000000)};
    struct keeper_ack ack;

    (void)state;
    keeper_core_init(&w.k, &me, &disk);
    keeper_clock(&w.k, true, 0);
    assert_true(
        keeper_gate_found(&w.k, &(struct keeper_found){.port = 5432, .gate = open}));
    serve(&w, KEEPER_SERVER_PRIMARY, 3);
    run(&w);
    assert_int_equal(w.count, 0);
    assign(&w, primary(3));
    run(&w);
    for (unsigned i = 0; i < w.count; i++)
        if (w.seen[i].kind != KEEPER_RENEW && w.seen[i].kind != KEEPER_MANAGE)
            fail_msg("effect %s", keeper_effect_name(w.seen[i].kind));
    assert_int_equal(w.k.slots[0].lease.kind, KIND_WRITE);
    ack = answer(&w, 3, true);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_int_equal(find(&w, KEEPER_ARM)->lease.mode, GATE_OPEN);
    assert_int_equal(find(&w, KEEPER_ARM)->how, GATE_RENEW);
}

/* The same, and the keeper hears of its epoch before it is told of the server: the open
 * gate is neither narrowed nor extended until then. */
static void adoption_waits_to_be_told_of_the_server(void **state)
{
    struct epoch_table disk = {
        .count = 1,
        .of[0] = {.group = "orders", .highest = 3, .port = 5432, .tried = true}};
    struct gate_state open = {
        .epoch = 3, .mode = GATE_OPEN, .deadline = ms(1000500), .opened = true};
    struct world w = {.now = ms(1000000)};
    struct keeper_assignment a = primary(3);
    struct keeper_ack ack;

    (void)state;
    a.opened = true;
    keeper_core_init(&w.k, &me, &disk);
    keeper_clock(&w.k, true, 0);
    assert_true(
        keeper_gate_found(&w.k, &(struct keeper_found){.port = 5432, .gate = open}));
    assign(&w, a);
    run(&w);
    assert_null(find(&w, KEEPER_ARM));
    ack = answer(&w, 3, true);
    assert_int_equal(keeper_ack(&w.k, &ack, w.now), 1);
    run(&w);
    assert_null(find(&w, KEEPER_ARM));
    assert_null(find(&w, KEEPER_CLOSE));
    serve(&w, KEEPER_SERVER_PRIMARY, 3);
    run(&w);
    assert_int_equal(find(&w, KEEPER_ARM)->lease.mode, GATE_OPEN);
    assert_int_equal(find(&w, KEEPER_ARM)->how, GATE_RENEW);
}

/* A port that the disk remembers is closed from the start, before anybody is heard. */
static void a_remembered_port_is_closed_at_boot(void **state)
{
    struct epoch_table disk = {.count = 1,
                               .of[0] = {.group = "orders", .highest = 3, .port = 5432}};
    struct world w = {.now = ms(1000000)};

    (void)state;
    keeper_core_init(&w.k, &me, &disk);
    run(&w);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.seen[0].kind, KEEPER_MANAGE);
}

/* I4: a clock that is steered too fast, or is not the gate's, takes no lease. */
static void no_lease_with_an_unfit_clock(void **state)
{
    static const struct {
        bool same;
        int64_t rate;
        bool asks;
    } table[] = {{true, 0, true},     {true, 5000, true},   {true, 5001, false},
                 {true, -5000, true}, {true, -5001, false}, {false, 0, false}},
      *row;

    (void)state;
    EACH (row, table) {
        struct world w;

        start(&w);
        keeper_clock(&w.k, row->same, row->rate);
        assign(&w, primary(1));
        run(&w);
        assert_int_equal(find(&w, KEEPER_RENEW) != NULL, row->asks);
    }
}

/* Lower index, lower epoch, another life, another group's port: refused, nothing changes.
 */
static void stale_assignments_are_dropped(void **state)
{
    struct keeper_assignment a = primary(3);
    struct world w;
    uint8_t slot = 9;

    (void)state;
    start_open(&w);
    a.epoch = 2;
    assert_int_equal(keeper_assign(&w.k, &me, &a, &slot, NULL), ERR_STALE);
    a = primary(3);
    a.index = 29;
    assert_int_equal(keeper_assign(&w.k, &me, &a, &slot, NULL), ERR_STALE);
    a = primary(4);
    assert_int_equal(keeper_assign(&w.k, &other, &a, &slot, NULL), ERR_PEER);
    a.group[0] = 'x';
    assert_int_equal(keeper_assign(&w.k, &me, &a, &slot, NULL), ERR_CONFLICT);
    a = primary(4);
    a.port = 5433;
    assert_int_equal(keeper_assign(&w.k, &me, &a, &slot, NULL), ERR_CONFLICT);
    assert_int_equal(slot, 9);
    run(&w);
    assert_int_equal(w.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked_before_gate_and_disk),
        cmocka_unit_test(deadline_counts_from_the_send_time),
        cmocka_unit_test(foreign_answers_are_ignored),
        cmocka_unit_test(opens_only_when_all_three_hold),
        cmocka_unit_test(opened_opens_at_once),
        cmocka_unit_test(exit_closes_and_the_epoch_may_reopen),
        cmocka_unit_test(fence_is_marked_then_frozen_then_proven),
        cmocka_unit_test(no_proof_without_the_mark_on_disk),
        cmocka_unit_test(fence_orders_that_are_refused),
        cmocka_unit_test(restart_over_a_mark_freezes_first),
        cmocka_unit_test(adoption_leaves_the_gate_alone),
        cmocka_unit_test(what_was_found_counts_once_it_is_synced),
        cmocka_unit_test(adoption_waits_to_be_told_of_the_server),
        cmocka_unit_test(a_remembered_port_is_closed_at_boot),
        cmocka_unit_test(no_lease_with_an_unfit_clock),
        cmocka_unit_test(stale_assignments_are_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
