/* What the guard is told of a server: each state of a slot, and what was told before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fencing/agent/keeper_orders.h"

enum { PID = 4711, OLD = 700, NEW = 900 };

/* A primary that holds a lease of epoch 3. */
static struct keeper_slot slot(void)
{
    struct keeper_slot s = {
        .used = true,
        .assigned = true,
        .managed = true,
        .a = {.group = "orders",
              .epoch = 3,
              .role = ROLE_PRIMARY,
              .port = 5432,
              .ttl_ms = 3000},
        .server = {.state = KEEPER_SERVER_PRIMARY,
                   .looked = 9,
                   .process = {.postmaster = {PID, 1}}},
        .gate = {.epoch = 3, .mode = GATE_OPEN, .deadline = {NEW}},
        .since = 5,
    };

    return s;
}

static struct guard_order told(void)
{
    return (struct guard_order){.group = "orders",
                                .armed = 1,
                                .open_until_ns = OLD,
                                .lease_until_ns = OLD,
                                .process = {.postmaster = {PID, 1}}};
}

/* A renewal moves both deadlines on; closing takes the gate's away and leaves the lease's,
 * which stands until it is over. */
static void a_primary_is_armed_with_its_deadlines(void **state)
{
    struct keeper_slot s = slot();
    struct guard_order o = told();

    (void)state;
    keeper_order(&s, GUARD_WHEN_MISSING, &o);
    assert_int_equal(o.armed, 1);
    assert_int_equal(o.open_until_ns, NEW);
    assert_int_equal(o.lease_until_ns, NEW);
    assert_int_equal(o.ttl_ms, 3000);
    assert_int_equal(o.port, 5432);
    s.gate.mode = GATE_CLOSED;
    s.gate.deadline.ns = 0;
    keeper_order(&s, GUARD_WHEN_MISSING, &o);
    assert_int_equal(o.armed, 1);
    assert_int_equal(o.open_until_ns, 0);
    assert_int_equal(o.lease_until_ns, NEW);
}

/* Only these three may be forgotten: what is down to the last process, what is a standby
 * without a lease (as seen in this role), and what the log has let go. */
static void nothing_else_is_disarmed(void **state)
{
    (void)state;
    for (int server = 0; server <= KEEPER_SERVER_OTHER; server++)
        for (int role = ROLE_PRIMARY; role <= ROLE_DETACHED; role++)
            for (int bits = 0; bits < 8; bits++) {
                struct keeper_slot s = slot();
                struct guard_order o = told();
                bool stopped = (bits & 1) != 0, fresh = (bits & 2) != 0;
                bool holds = (bits & 4) != 0;
                bool free = role == ROLE_DETACHED ||
                            (server == KEEPER_SERVER_DOWN && stopped) ||
                            (server == KEEPER_SERVER_STANDBY && fresh && !holds);

                s.server.state = (enum keeper_server_state)server;
                s.a.role = (enum keeper_role)role;
                s.server.stopped = stopped;
                s.server.looked = fresh ? 9 : 4;
                s.gate.mode = holds ? GATE_OPEN : GATE_CLOSED;
                s.gate.deadline.ns = holds ? NEW : 0;
                keeper_order(&s, GUARD_WHEN_MISSING, &o);
                assert_int_equal(o.armed, !free || (server == KEEPER_SERVER_UNKNOWN &&
                                                    role != ROLE_DETACHED));
                assert_int_equal(o.process.postmaster.pid, PID);
            }
}

/* A server that is started again owes nothing for the lease of the one before, or it would
 * be stopped at once where the end of a lease is enough (`guard: expired`). */
static void a_new_postmaster_has_no_lease_to_lose(void **state)
{
    struct keeper_slot s = slot();
    struct guard_order o = told();

    (void)state;
    s.server.state = KEEPER_SERVER_OTHER;
    s.server.process.postmaster.pid = PID + 1;
    s.gate.mode = GATE_CLOSED;
    s.gate.deadline.ns = 0;
    keeper_order(&s, GUARD_WHEN_EXPIRED, &o);
    assert_int_equal(o.armed, 1);
    assert_int_equal(o.process.postmaster.pid, PID + 1);
    assert_int_equal(o.open_until_ns, 0);
    assert_int_equal(o.lease_until_ns, 0);
}

/* A restarted agent that has not heard of the group, or not looked at the server, leaves
 * the last life's order as it is. */
static void what_is_not_known_stays(void **state)
{
    struct keeper_slot s = slot();
    struct guard_order o = told(), before = o;

    (void)state;
    s.server.state = KEEPER_SERVER_UNKNOWN;
    keeper_order(&s, GUARD_WHEN_MISSING, &o);
    assert_memory_equal(&o, &before, sizeof o);
    s = slot();
    s.managed = false;
    keeper_order(&s, GUARD_WHEN_MISSING, &o);
    assert_memory_equal(&o, &before, sizeof o);
    s = slot();
    s.assigned = false;
    keeper_order(&s, GUARD_WHEN_MISSING, &o);
    assert_memory_equal(&o, &before, sizeof o);
}

/* I3: before a gate opens the guard knows until when; it never moves a deadline back, and a
 * standby's gate, that is open for ever to its peers, is none. */
static void the_guard_knows_before_the_gate_opens(void **state)
{
    struct keeper_slot s = slot();
    struct guard_order o = told();
    struct gate_lease lease = {3, GATE_OPEN, {NEW}};

    (void)state;
    s.gate = (struct gate_state){.epoch = 3};
    keeper_order_before(&s, &lease, GUARD_WHEN_MISSING, &o);
    assert_int_equal(o.armed, 1);
    assert_int_equal(o.open_until_ns, NEW);
    lease.deadline.ns = OLD;
    keeper_order_before(&s, &lease, GUARD_WHEN_MISSING, &o);
    assert_int_equal(o.open_until_ns, NEW);
    o = (struct guard_order){0};
    lease = (struct gate_lease){3, GATE_REPLICATION, GATE_FOREVER};
    keeper_order_before(&s, &lease, GUARD_WHEN_MISSING, &o);
    assert_int_equal(o.armed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_primary_is_armed_with_its_deadlines),
        cmocka_unit_test(nothing_else_is_disarmed),
        cmocka_unit_test(a_new_postmaster_has_no_lease_to_lose),
        cmocka_unit_test(what_is_not_known_stays),
        cmocka_unit_test(the_guard_knows_before_the_gate_opens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
