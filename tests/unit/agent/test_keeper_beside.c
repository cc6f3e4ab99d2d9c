/* Ports beside a server's own, and guests: when they enter the gate, and when they leave.
 */
#include <string.h>

#include "tests/unit/agent/cmocka_env.h"
#include "tests/unit/agent/keeper_world.h"

static struct world w;

static struct also_ports ports(uint16_t one, uint16_t two)
{
    struct also_ports list = {0};

    if (one != 0)
        (void)also_ports_add(&list, one);
    if (two != 0)
        (void)also_ports_add(&list, two);
    return list;
}

static struct keeper_assignment listing(struct keeper_assignment a, uint16_t one,
                                        uint16_t two)
{
    a.also = ports(one, two);
    return a;
}

static struct keeper_assignment standby(uint64_t epoch)
{
    struct keeper_assignment a = primary(epoch);

    a.role = ROLE_STANDBY;
    a.exception_count = 1;
    a.exceptions[0].ip[15] = 7;
    return a;
}

static uint64_t next_index(void) { return w.k.slots[0].a.index + 1; }

static void change(struct keeper_assignment a)
{
    a.index = next_index();
    assign(&w, a);
}

/* What keeper_act.c would do: the gate refuses, or something is bound to `left_over`. */
static void run_beside(int code, uint16_t left_over)
{
    struct keeper_effect e;

    while (keeper_next(&w.k, w.now, &e) || keeper_next_trial(&w.k, w.now, &e)) {
        struct err err = {0};

        assert_true(w.count < LOG_MAX);
        w.seen[w.count++] = e;
        if (e.kind == KEEPER_SYNC) {
            keeper_synced(&w.k, true, w.now);
            continue;
        }
        if (e.kind == KEEPER_BESIDE && code != 0)
            (void)err_set(&err, code, "as the test wants it");
        else if (e.kind == KEEPER_BESIDE && left_over != 0)
            (void)also_ports_add(&e.also, left_over);
        keeper_done(&w.k, &e, &err, w.now);
    }
}

/* I3: the gate has all of them before the trial, the record and the first lease. */
static void no_lease_before_all_are_gated(void **state)
{
    (void)state;
    start(&w);
    assign(&w, listing(primary(3), 6432, 6433));
    serve(&w, KEEPER_SERVER_PRIMARY, 3);
    run_beside(ERR_IO, 0);
    assert_null(find(&w, KEEPER_RENEW));
    assert_null(find(&w, KEEPER_TRY));
    assert_non_null(strstr(w.k.slots[0].problem, "beside: "));
    w.now.ns += 200 * NS_PER_MS;
    run(&w);
    assert_int_equal(w.seen[0].kind, KEEPER_BESIDE);
    assert_true(also_ports_equal(&w.seen[0].also, &w.k.slots[0].a.also));
    assert_true(find(&w, KEEPER_BESIDE) < find(&w, KEEPER_TRY));
    assert_non_null(find(&w, KEEPER_RENEW));
    assert_true(also_ports_equal(&w.k.disk.of[0].also, &w.k.slots[0].a.also));
}

/* A spec that comes to name one more, over a gate that serves: the lease goes on, it is
 * written once more (nftables has the new one closed until then), and none is asked for
 * without it. */
static void one_more_enters_a_living_gate(void **state)
{
    (void)state;
    start_open(&w);
    change(listing(primary(3), 6432, 0));
    w.count = 0;
    run_beside(ERR_FULL, 0);
    assert_int_equal(w.k.slots[0].gate.mode, GATE_OPEN); /* to its deadline */
    assert_false(keeper_wants_lease(&w.k, 0));
    w.now.ns += 200 * NS_PER_MS;
    run(&w);
    assert_int_equal(w.seen[0].kind, KEEPER_BESIDE);
    assert_int_equal(w.seen[1].kind, KEEPER_ARM);
    assert_int_equal(w.seen[1].how, GATE_RENEW);
    assert_int_equal(w.seen[1].lease.deadline.ns, w.k.slots[0].lease.deadline.ns);
    assert_non_null(find(&w, KEEPER_SYNC)); /* for a host that boots */
    assert_true(keeper_wants_lease(&w.k, 0));
    keeper_tick(&w.k);
    run(&w);
    assert_null(find(&w, KEEPER_BESIDE));
    assert_non_null(find(&w, KEEPER_RENEW));
}

/* What has left the list stays as long as something is bound to it, costs no lease, and is
 * looked at again and again. */
static void one_that_is_in_use_is_not_let_go(void **state)
{
    struct keeper_view v;

    (void)state;
    start_open(&w);
    change(listing(primary(3), 6432, 0));
    run(&w);
    change(primary(3));
    w.count = 0;
    run_beside(0, 6432);
    keeper_view(&w.k, 0, w.now, &v);
    assert_non_null(strstr(v.problem, "port 6432 is not listed any more"));
    assert_true(also_ports_has(&w.k.disk.of[0].also, 6432));
    assert_true(keeper_wants_lease(&w.k, 0));
    w.now.ns += 500 * NS_PER_MS;
    run(&w);
    assert_null(find(&w, KEEPER_BESIDE));
    w.now.ns += 501 * NS_PER_MS;
    run(&w);
    assert_non_null(find(&w, KEEPER_BESIDE));
    assert_int_equal(w.k.disk.of[0].also.count, 0);
    keeper_view(&w.k, 0, w.now, &v);
    assert_string_equal(v.problem, "");
}

/* I2: a fence is carried out at once, and proven when no door is missing. */
static void no_proof_before_all_are_gated(void **state)
{
    struct keeper_fence_order o = {
        .to = me, .group = "orders", .epoch = 3, .fence_index = 31};
    struct err err;

    (void)state;
    start_open(&w);
    change(listing(primary(3), 6432, 0));
    assert_int_equal(keeper_fence_order(&w.k, &o, &err), 0);
    w.count = 0;
    run_beside(ERR_IO, 0);
    assert_non_null(find(&w, KEEPER_FENCE));
    assert_null(find(&w, KEEPER_PROOF));
    w.now.ns += 200 * NS_PER_MS;
    run(&w);
    assert_true(find(&w, KEEPER_BESIDE) != NULL && find(&w, KEEPER_PROOF) != NULL);
    assert_true(find(&w, KEEPER_BESIDE) < find(&w, KEEPER_PROOF));
}

/* A host that boots, and one whose gate is found with less than the record names. */
static void what_is_on_record_is_closed_before_anybody_is_heard(void **state)
{
    const struct keeper_found found = {.port = 5432, .also = ports(6433, 0)};
    const struct epoch_table disk = {.count = 1,
                                     .of = {{"orders", 3, 0, 5432, ports(6432, 0), false}}};

    (void)state;
    start(&w);
    keeper_core_init(&w.k, &me, &disk);
    run(&w);
    assert_int_equal(w.seen[0].kind, KEEPER_MANAGE);
    assert_int_equal(w.seen[1].kind, KEEPER_BESIDE);
    assert_true(also_ports_has(&w.seen[1].also, 6432));

    keeper_core_init(&w.k, &me, &disk);
    assert_true(keeper_gate_found(&w.k, &found));
    run(&w);
    assert_true(also_ports_has(&find(&w, KEEPER_BESIDE)->also, 6432));
    assert_true(also_ports_has(&find(&w, KEEPER_BESIDE)->also, 6433));
}

static void a_detach_lets_all_go(void **state)
{
    struct keeper_assignment a = listing(primary(3), 6432, 0);

    (void)state;
    start_open(&w);
    change(a);
    run(&w);
    a.role = ROLE_DETACHED;
    change(a);
    run(&w);
    assert_non_null(find(&w, KEEPER_UNMANAGE));
    assert_null(find(&w, KEEPER_BESIDE));
    assert_int_equal(w.k.disk.of[0].also.count, 0);
}

/* One gate cannot give a port two leases, whatever a controller says. */
static void another_groups_port_is_refused(void **state)
{
    struct keeper_assignment a = primary(1);
    struct err err;
    uint8_t slot;

    (void)state;
    start_open(&w);
    change(listing(primary(3), 6432, 0));
    run(&w);
    memcpy(a.group, "users", sizeof "users");
    a.port = 5433;
    a.also = ports(6432, 0);
    assert_int_equal(keeper_assign(&w.k, &me, &a, &slot, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "port 6432 belongs to group orders"));
    a.also = ports(5432, 0);
    assert_int_equal(keeper_assign(&w.k, &me, &a, &slot, &err), ERR_CONFLICT);
    a.also = ports(0, 0);
    a.port = 6432;
    assert_int_equal(keeper_assign(&w.k, &me, &a, &slot, &err), ERR_CONFLICT);
}

/* Not before the server was seen in recovery, and not longer. */
static void guests_come_to_a_server_in_recovery(void **state)
{
    static const struct {
        enum keeper_server_state state;
        bool barred, admitted;
    } table[] = {
        {KEEPER_SERVER_UNKNOWN, false, false}, {KEEPER_SERVER_DOWN, false, false},
        {KEEPER_SERVER_OTHER, false, false},   {KEEPER_SERVER_PRIMARY, false, false},
        {KEEPER_SERVER_STANDBY, true, false},  {KEEPER_SERVER_STANDBY, false, true},
    };

    (void)state;
    start(&w);
    assign(&w, standby(3));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct keeper_server s = {.state = table[i].state,
                                  .barred = table[i].barred,
                                  .looked = w.k.slots[0].a.index};

        keeper_server(&w.k, 0, &s);
        run(&w);
        assert_int_equal(w.k.slots[0].guests, table[i].admitted);
    }
    for (size_t i = 0; i < ARRAY_LEN(table); i++) { /* and out, where they were in */
        serve(&w, KEEPER_SERVER_STANDBY, 0);
        run(&w);
        assert_true(w.k.slots[0].guests);
        keeper_server(&w.k, 0,
                      &(struct keeper_server){.state = table[i].state,
                                              .barred = table[i].barred,
                                              .looked = w.k.slots[0].a.index});
        run(&w);
        assert_int_equal(w.k.slots[0].guests, table[i].admitted);
    }
    serve(&w, KEEPER_SERVER_STANDBY, 0);
    run(&w);
    change(standby(4)); /* the look is from before this epoch */
    run(&w);
    assert_false(w.k.slots[0].guests);
}

/* I6, I8: no lease, so no promotion, while somebody may pass who was let in to read. */
static void guests_are_shown_out_before_a_lease_is_asked_for(void **state)
{
    struct keeper_effect e;

    (void)state;
    start(&w);
    assign(&w, standby(3));
    serve(&w, KEEPER_SERVER_STANDBY, 0);
    run(&w);
    assert_true(w.k.slots[0].guests);
    assign(&w, primary(4));
    serve(&w, KEEPER_SERVER_STANDBY, 0);
    assert_true(keeper_next(&w.k, w.now, &e));
    assert_int_equal(e.kind, KEEPER_GUESTS);
    assert_false(e.admit);
    keeper_done(&w.k, &e, &(struct err){.code = ERR_IO, .text = "no"}, w.now);
    w.count = 0;
    run(&w);
    assert_null(find(&w, KEEPER_RENEW)); /* it could not be done: they may pass */
    w.now.ns += 200 * NS_PER_MS;
    run(&w);
    assert_int_equal(w.seen[0].kind, KEEPER_GUESTS);
    assert_non_null(find(&w, KEEPER_RENEW));
    assert_false(w.k.slots[0].guests);
}

/* A gate that a former life left may let some pass whom nobody has admitted in this one. */
static void guests_that_are_found_are_shown_out(void **state)
{
    const struct keeper_found found = {
        .port = 5432,
        .guests = true,
        .gate = {3, GATE_REPLICATION, GATE_FOREVER, false, 0}};
    const struct epoch_table disk = {.count = 1, .of = {{"orders", 3, 0, 5432, {0}, true}}};

    (void)state;
    start(&w);
    keeper_core_init(&w.k, &me, &disk);
    keeper_clock(&w.k, true, 0);
    assert_true(keeper_gate_found(&w.k, &found));
    run(&w);
    assert_int_equal(w.seen[0].kind, KEEPER_GUESTS);
    assert_false(w.seen[0].admit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_lease_before_all_are_gated),
        cmocka_unit_test(one_more_enters_a_living_gate),
        cmocka_unit_test(one_that_is_in_use_is_not_let_go),
        cmocka_unit_test(no_proof_before_all_are_gated),
        cmocka_unit_test(what_is_on_record_is_closed_before_anybody_is_heard),
        cmocka_unit_test(a_detach_lets_all_go),
        cmocka_unit_test(another_groups_port_is_refused),
        cmocka_unit_test(guests_come_to_a_server_in_recovery),
        cmocka_unit_test(guests_are_shown_out_before_a_lease_is_asked_for),
        cmocka_unit_test(guests_that_are_found_are_shown_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
