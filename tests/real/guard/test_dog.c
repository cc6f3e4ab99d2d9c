/* The watchdog, by the system calls that the shipped guard makes: armed with the first
 * lease, spoken to only while all is safe, silent past a deadline, disarmed by the magic
 * 'V' only when the server is known to be down. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/real/guard/fake_dog.h"
#include "tests/real/guard/rig.h"

enum { TTL_MS = 3000, SHORT_MS = 1500, NS_PER_MS = 1000000, WAIT_MS = 8000 };

static int begin(void **state) { return rig_begin(state); }

static int end(void **state)
{
    dog_end();
    return rig_end(state);
}

#define WITH_DOG(test) cmocka_unit_test_setup_teardown(test, begin, end)

static bool is_armed(const void *unused)
{
    (void)unused;
    return dog.words > 0;
}

static bool is_disarmed(const void *unused)
{
    (void)unused;
    return dog.disarms > 0;
}

static bool was_reset(const void *unused)
{
    (void)unused;
    return dog.reset_ns != 0;
}

static struct rig_server *armed_server(struct guard_order *o)
{
    struct rig_server *s = rig_server(2, false);

    dog_start();
    *o = rig_order(s, TTL_MS);
    rig_put(0, o);
    assert_true(dog_until(is_armed, NULL, WAIT_MS));
    return s;
}

static void renew(struct guard_order *o, int ms)
{
    o->open_until_ns = o->lease_until_ns = rig_now_ns() + (uint64_t)ms * NS_PER_MS;
    rig_put(0, o);
}

/* Nothing is opened before there is a lease. From then on the host is never reset while the
 * lease is renewed; when the server has ended and nothing is armed it is disarmed, by this
 * sequence and no other. */
static void it_is_spoken_to_while_the_lease_is_renewed(void **state)
{
    struct guard_order o;
    struct rig_server *s;

    (void)state;
    s = armed_server(&o);
    for (int n = 0; n < 10; n++) {
        renew(&o, TTL_MS);
        dog_run(300);
    }
    assert_int_equal(dog.reset_ns, 0);
    assert_true(dog.words >= 6); /* each quarter of a second or so, for three */
    assert_int_equal(rig.page->dog, GUARD_DOG_ARMED);
    assert_int_equal(rig.page->dog_timeout_s, 1);
    (void)kill(-s->postmaster, SIGKILL);
    o.armed = 0;
    rig_put(0, &o);
    assert_true(dog_until(is_disarmed, NULL, WAIT_MS));
    assert_false(dog.armed);
    assert_int_equal(dog.opens, 1);
    assert_string_equal(dog.events, "open set(1) get keepalive V close");
}

/* Renewals end and the server does not die: no word from one timeout before the deadline
 * on, so the host is reset by the deadline, and not saved again. */
static void there_is_no_word_past_a_deadline(void **state)
{
    struct guard_order o;
    struct rig_server *s;
    unsigned words;

    (void)state;
    s = armed_server(&o);
    dog.no_kill = true;
    renew(&o, TTL_MS);
    assert_true(dog_until(was_reset, NULL, WAIT_MS));
    assert_true(rig_is_whole(s));
    assert_true(dog.reset_ns <= o.open_until_ns);
    words = dog.words;
    dog_run(500);
    assert_int_equal(dog.words, words);
    assert_int_equal(dog.disarms, 0);
}

/* Renewals end and the server dies: it is known to be down, and the host is spared. */
static void a_server_that_is_gone_costs_no_reset(void **state)
{
    struct guard_order o;
    struct rig_server *s;

    (void)state;
    s = armed_server(&o);
    renew(&o, TTL_MS);
    assert_true(dog_until(rig_is_gone, s, WAIT_MS));
    assert_true(rig_now_ns() <= o.open_until_ns);
    dog_run(2500);
    assert_int_equal(dog.reset_ns, 0);
    assert_int_equal(dog.disarms, 0); /* it is armed still, for whoever starts it again */
    o.armed = 0;
    rig_put(0, &o);
    assert_true(dog_until(is_disarmed, NULL, WAIT_MS));
}

/* Nothing is armed any more, but the server lives (it became a standby): no 'V' yet. */
static void it_is_not_disarmed_over_a_living_server(void **state)
{
    struct guard_order o;
    struct rig_server *s;

    (void)state;
    s = armed_server(&o);
    o.armed = 0;
    rig_put(0, &o);
    dog_run(2500);
    assert_int_equal(dog.disarms, 0);
    assert_int_equal(dog.reset_ns, 0);
    (void)kill(-s->postmaster, SIGKILL);
    assert_true(dog_until(is_disarmed, NULL, WAIT_MS));
}

static bool is_reopened(const void *unused)
{
    (void)unused;
    return dog.opens == 2;
}

/* The guard is killed while nothing is armed, but the server lives: its successor takes the
 * armed watchdog over in time, and no host is reset. */
static void a_new_guard_takes_the_armed_watchdog_over(void **state)
{
    struct guard_order o;
    struct rig_server *s;

    (void)state;
    s = armed_server(&o);
    o.armed = 0;
    rig_put(0, &o);
    dog_run(300);
    dog_kill_guard();
    assert_true(dog_until(is_reopened, NULL, WAIT_MS));
    dog_run(2500);
    assert_int_equal(dog.reset_ns, 0);
    assert_int_equal(dog.disarms, 0);
    (void)kill(-s->postmaster, SIGKILL);
    assert_true(dog_until(is_disarmed, NULL, WAIT_MS));
}

/* A lease that is too short for whole seconds, or for what the driver can do, has no
 * watchdog: said, and nobody is reset by one that does not fit. */
static void a_watchdog_that_does_not_fit_is_not_used(void **state)
{
    struct rig_server *s = rig_server(2, false);
    struct guard_order o = rig_order(s, WAIT_MS);

    (void)state;
    dog_start();
    o.ttl_ms = SHORT_MS;
    rig_put(0, &o);
    dog_run(500);
    assert_int_equal(dog.opens, 0);
    assert_int_equal(rig.page->dog, GUARD_DOG_TOO_SLOW);
    dog.least_s = 5;
    o.ttl_ms = TTL_MS;
    rig_put(0, &o);
    assert_true(dog_until(is_disarmed, NULL, WAIT_MS));
    dog_run(200);
    assert_int_equal(rig.page->dog, GUARD_DOG_FAILED);
    assert_string_equal(dog.events, "open set(1) V close");
    assert_false(dog.armed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DOG(it_is_spoken_to_while_the_lease_is_renewed),
        WITH_DOG(there_is_no_word_past_a_deadline),
        WITH_DOG(a_server_that_is_gone_costs_no_reset),
        WITH_DOG(it_is_not_disarmed_over_a_living_server),
        WITH_DOG(a_new_guard_takes_the_armed_watchdog_over),
        WITH_DOG(a_watchdog_that_does_not_fit_is_not_used),
    };

    if (geteuid() != 0) {
        print_message("skipped: needs root\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
