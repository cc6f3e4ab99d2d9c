/* The guard's rules: sequence lock, deadlines, versions, the watchdog's time. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fencing/guard/guard_rules.h"

#define LEN(a) (sizeof(a) / sizeof *(a))

enum { LEAD = 100, WRITES = 200000 };

/* Closed gates have the deadline 0, a standby's never ends; whether the gate is asked for,
 * and what follows from the answer, is this table. */
static void a_server_is_stopped_when_nothing_else_closes(void **state)
{
    static const struct {
        const char *name;
        uint64_t armed, when, open_until, lease_until, now;
        enum guard_verdict not_looked, in_place, gone;
    } table[] = {
        {"not armed", 0, GUARD_WHEN_EXPIRED, 500, 500, 9000, GUARD_REST, GUARD_REST,
         GUARD_REST},
        {"time is left", 1, GUARD_WHEN_MISSING, 1000, 1000, 899, GUARD_REST, GUARD_REST,
         GUARD_REST},
        {"to the nanosecond", 1, GUARD_WHEN_MISSING, 1000, 1000, 900, GUARD_LOOK,
         GUARD_REST, GUARD_STOP},
        {"closed by the agent", 1, GUARD_WHEN_MISSING, 0, 5000, 10, GUARD_LOOK, GUARD_REST,
         GUARD_STOP},
        {"replication for ever", 1, GUARD_WHEN_MISSING, UINT64_MAX, 0, 1u << 30, GUARD_REST,
         GUARD_REST, GUARD_REST},
        {"expired, gate or not", 1, GUARD_WHEN_EXPIRED, 1000, 1000, 900, GUARD_STOP,
         GUARD_STOP, GUARD_STOP},
        {"expired, closed early", 1, GUARD_WHEN_EXPIRED, 0, 1000, 800, GUARD_LOOK,
         GUARD_REST, GUARD_STOP},
        {"expired, never had a lease", 1, GUARD_WHEN_EXPIRED, 0, 0, 9000, GUARD_LOOK,
         GUARD_REST, GUARD_STOP},
        {"a deadline shorter than the lead", 1, GUARD_WHEN_EXPIRED, 50, 50, 1, GUARD_STOP,
         GUARD_STOP, GUARD_STOP},
    };

    (void)state;
    for (size_t i = 0; i < LEN(table); i++) {
        const struct guard_order o = {.armed = table[i].armed,
                                      .when = table[i].when,
                                      .open_until_ns = table[i].open_until,
                                      .lease_until_ns = table[i].lease_until};
        const uint64_t now = table[i].now;

        print_message("%s\n", table[i].name);
        assert_int_equal(guard_judge(&o, now, LEAD, GUARD_NOT_LOOKED), table[i].not_looked);
        assert_int_equal(guard_judge(&o, now, LEAD, GUARD_IN_PLACE), table[i].in_place);
        assert_int_equal(guard_judge(&o, now, LEAD, GUARD_GONE), table[i].gone);
    }
}

/* Before the time that guard_due_ns() names nothing is to be done, and from it on there is:
 * tried for every combination of small numbers. */
static void it_wakes_up_exactly_when_something_is_due(void **state)
{
    (void)state;
    for (uint64_t when = 0; when <= GUARD_WHEN_EXPIRED; when++)
        for (uint64_t open = 0; open < 12; open++)
            for (uint64_t lease = 0; lease < 12; lease++)
                for (uint64_t now = 0; now < 14; now++) {
                    const struct guard_order o = {.armed = 1,
                                                  .when = when,
                                                  .open_until_ns = open,
                                                  .lease_until_ns = lease};
                    bool due = now >= guard_due_ns(&o, 3);

                    assert_int_equal(
                        guard_judge(&o, now, 3, GUARD_NOT_LOOKED) != GUARD_REST, due);
                }
    assert_true(guard_due_ns(&(struct guard_order){.armed = 0}, 3) == UINT64_MAX);
}

/* A writer that died while it wrote leaves the order as it was read before; the next writer
 * goes on from there. */
static void what_a_dead_writer_left_is_not_read(void **state)
{
    struct guard_slot slot = {.order_seq = 0};
    struct guard_order first = {.armed = 1, .open_until_ns = 10}, got = {0};
    struct guard_order next = {.armed = 1, .open_until_ns = 20};

    (void)state;
    guard_put(&slot.order_seq, &slot.order, &first, sizeof first);
    assert_true(guard_get(&slot.order_seq, &got, &slot.order, sizeof got));
    assert_int_equal(got.open_until_ns, 10);
    slot.order_seq |= 1;
    slot.order.open_until_ns = 99;
    assert_false(guard_get(&slot.order_seq, &got, &slot.order, sizeof got));
    assert_int_equal(got.open_until_ns, 10);
    guard_put(&slot.order_seq, &slot.order, &next, sizeof next);
    assert_true(guard_get(&slot.order_seq, &got, &slot.order, sizeof got));
    assert_int_equal(got.open_until_ns, 20);
}

static struct guard_slot shared;

static void *write_on(void *unused)
{
    struct guard_order o = {.armed = 1};

    (void)unused;
    for (uint64_t n = 1; n <= WRITES; n++) {
        o.open_until_ns = o.lease_until_ns = o.ttl_ms = n;
        memset(o.process.cgroup, (int)(n % 127), sizeof o.process.cgroup);
        guard_put(&shared.order_seq, &shared.order, &o, sizeof o);
    }
    return NULL;
}

/* Whatever is read while somebody writes is one order, never parts of two. */
static void an_order_is_read_whole(void **state)
{
    struct guard_order o = {0};
    pthread_t writer;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, write_on, NULL), 0);
    while (o.open_until_ns < WRITES) {
        if (!guard_get(&shared.order_seq, &o, &shared.order, sizeof o))
            continue;
        assert_true(o.lease_until_ns == o.open_until_ns && o.ttl_ms == o.open_until_ns);
        for (size_t i = 0; i < sizeof o.process.cgroup; i++)
            assert_int_equal(o.process.cgroup[i], o.open_until_ns % 127);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
}

/* I10: a page of another version, size or kind is none. */
static void other_pages_are_refused(void **state)
{
    static struct guard_page page;

    (void)state;
    page.magic = GUARD_MAGIC;
    page.version = GUARD_VERSION;
    page.size = sizeof page;
    assert_true(guard_page_fits(&page, sizeof page));
    assert_false(guard_page_fits(&page, sizeof page - 8));
    page.version++;
    assert_false(guard_page_fits(&page, sizeof page));
    page.version--;
    page.size++;
    assert_false(guard_page_fits(&page, sizeof page));
    page.size--;
    page.magic++;
    assert_false(guard_page_fits(&page, sizeof page));
}

/* Whole seconds, and never more than half a lease. */
static void the_watchdogs_time_fits_the_lease(void **state)
{
    (void)state;
    assert_int_equal(guard_dog_timeout_s(500), 0);
    assert_int_equal(guard_dog_timeout_s(1999), 0);
    assert_int_equal(guard_dog_timeout_s(2000), 1);
    assert_int_equal(guard_dog_timeout_s(3000), 1);
    assert_int_equal(guard_dog_timeout_s(6000), 3);
    assert_int_equal(guard_dog_timeout_s(UINT64_MAX), UINT16_MAX);
}

/* What is killed as a whole was made for one server; in any other there may be the agent,
 * or the whole host. */
static void only_a_servers_own_cgroup_is_killed_as_one(void **state)
{
    static const struct {
        const char *path;
        bool is;
    } table[] = {
        {"/sys/fs/cgroup/x/ringfence-orders-db-pg-east-0123456789abcdef", true},
        {"/system.slice/ringfence-agent.service", false},
        {"/sys/fs/cgroup/ringfence-lab-one/east", false},
        {"/sys/fs/cgroup/ringfence-lab-0123456789abcdef/east", false},
        {"/sys/fs/cgroup/ringfence-0123456789abcdef", false},
        {"/x/ringfence-orders-db-pg-east-0123456789abcde", false},
        {"/x/ringfence-orders-db-pg-east-0123456789abcdef0", false},
        {"/x/orders-0123456789abcdef", false},
        {"/", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < LEN(table); i++) {
        print_message("%s\n", table[i].path);
        assert_int_equal(guard_is_servers_cgroup(table[i].path), table[i].is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_stopped_when_nothing_else_closes),
        cmocka_unit_test(it_wakes_up_exactly_when_something_is_due),
        cmocka_unit_test(what_a_dead_writer_left_is_not_read),
        cmocka_unit_test(an_order_is_read_whole),
        cmocka_unit_test(other_pages_are_refused),
        cmocka_unit_test(only_a_servers_own_cgroup_is_killed_as_one),
        cmocka_unit_test(the_watchdogs_time_fits_the_lease),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
