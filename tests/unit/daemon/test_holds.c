/* controller/daemon/holds.h: a hold is told once, when it has lasted, and anew when it is
 * another one. */
#include "tests/unit/core/world.h"

#include <string.h>

#include "controller/daemon/holds.h"

static struct world w;
static struct holds h;
static struct entry_refused what;
static const char *const text = what.text;

static bool is_due(void) { return holds_tell(&h, &w.s, &w.o, 0, w.now, &what); }

/* And it goes into the log. */
static bool tell(void)
{
    if (!is_due())
        return false;
    holds_told(&h, &w.s, world_group(&w)->name, what.hold, w.now);
    return true;
}

/* For so long, with west's agent alive or not; how often it was told. */
static unsigned pass(uint64_t ms, bool west)
{
    unsigned told = 0;

    for (uint64_t i = 0; i < ms / HOLDS_EACH_MS; i++) {
        world_pass_ms(&w, HOLDS_EACH_MS);
        if (west)
            world_report(&w, WEST, SERVER_STANDBY);
        told += tell();
    }
    return told;
}

/* East is silent, and nobody may or can take over. */
static void lose_east(void)
{
    memset(&h, 0, sizeof h);
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_false(tell());
    world_group(&w)->paused = true;
    assert_int_equal(pass(1000, true), 0); /* the lease is being counted out */
}

static void a_hold_is_told_once(void **state)
{
    (void)state;
    lose_east();
    assert_int_equal(pass(2000 + HOLDS_TOLD_MS, true), 1);
    assert_non_null(strstr(text, "refused (held): steady: a failover is due, and held by: "
                                 "not-paused. To do: `ringfence resume orders`"));
    assert_int_equal(pass(600000, true), 0);
}

static void another_hold_is_told_anew(void **state)
{
    (void)state;
    lose_east();
    assert_int_equal(pass(10000, true), 1);
    assert_int_equal(pass(10000, false), 1); /* west is gone, too */
    assert_non_null(strstr(text, "not-paused, target-ready"));
    assert_non_null(strstr(text, "start ringfence-agent on pg-west (10.0.2.2)"));
}

/* One that comes and goes is not told each time; after long peace it is a new one. */
static void a_hold_that_flickers_is_told_once(void **state)
{
    (void)state;
    lose_east();
    assert_int_equal(pass(10000, true), 1);
    for (unsigned i = 0; i < 5; i++) {
        world_group(&w)->phase = PHASE_DETACHED;
        assert_int_equal(pass(120000, true), 0);
        world_group(&w)->phase = PHASE_STEADY;
        assert_int_equal(pass(5000, true), 0);
    }
    world_group(&w)->phase = PHASE_DETACHED;
    assert_int_equal(pass(HOLDS_OVER_MS + 1000, true), 0);
    world_group(&w)->phase = PHASE_STEADY;
    assert_int_equal(pass(5000, true), 1);
}

/* A standby that is heard for 5 s and not for 5 s: two holds, two rows, in half an hour. */
static void holds_that_take_turns_are_told_once_each(void **state)
{
    unsigned told = 0;

    (void)state;
    lose_east();
    for (unsigned i = 0; i < 180; i++) {
        told += pass(5000, true);
        told += pass(5000, false);
    }
    assert_int_equal(told, 2);
}

/* What could not be put into the log, for whatever reason, is tried again. */
static void what_is_not_in_the_log_stays_due(void **state)
{
    (void)state;
    lose_east();
    while (!is_due()) {
        world_pass_ms(&w, HOLDS_EACH_MS);
        world_report(&w, WEST, SERVER_STANDBY);
    }
    for (unsigned i = 0; i < 20; i++) {
        world_pass_ms(&w, HOLDS_EACH_MS);
        world_report(&w, WEST, SERVER_STANDBY);
        assert_true(is_due());
    }
    assert_true(tell());
    assert_int_equal(pass(60000, true), 0);
}

/* The log is the memory of all: who begins to lead repeats nothing that it says, unless it
 * is an hour old. */
static void a_new_leader_does_not_repeat_the_log(void **state)
{
    (void)state;
    lose_east();
    assert_int_equal(pass(10000, true), 1);
    for (unsigned i = 0; i < 5; i++) {
        w.now = mono_plus_ms(w.now, HOLDS_KNOWN_MS / 10); /* another one leads */
        holds_begin(&h, w.now);
        assert_int_equal(pass(10000, true), 0);
    }
    w.now = mono_plus_ms(w.now, HOLDS_KNOWN_MS + 1000);
    holds_begin(&h, w.now);
    assert_int_equal(pass(10000, true), 1);
}

/* Many groups at once: a few, then one each second. None takes what refusals need. */
static void many_at_once_are_told_one_after_another(void **state)
{
    struct mono now = {1000000};

    (void)state;
    memset(&h, 0, sizeof h);
    for (unsigned i = 0; i < HOLDS_BURST; i++)
        assert_true(holds_may(&h, now));
    assert_false(holds_may(&h, now));
    for (unsigned i = 0; i < 60; i++) {
        now = mono_plus_ms(now, HOLDS_BURST_MS - 1);
        assert_false(holds_may(&h, now));
        now = mono_plus_ms(now, 1);
        assert_true(holds_may(&h, now));
        assert_false(holds_may(&h, now));
    }
}

/* What would go on by itself is no hold, nor is a pause while nothing is wrong. */
static void nothing_is_held_where_nothing_is_due(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->paused = true;
    for (unsigned i = 0; i < 100; i++) {
        world_pass_ms(&w, 100);
        assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_STANDBY);
        assert_false(tell());
    }
    world_group(&w)->paused = false;
    assert_int_equal(pass(10000, true), 0); /* a failover would begin */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hold_is_told_once),
        cmocka_unit_test(another_hold_is_told_anew),
        cmocka_unit_test(a_hold_that_flickers_is_told_once),
        cmocka_unit_test(holds_that_take_turns_are_told_once_each),
        cmocka_unit_test(what_is_not_in_the_log_stays_due),
        cmocka_unit_test(a_new_leader_does_not_repeat_the_log),
        cmocka_unit_test(many_at_once_are_told_one_after_another),
        cmocka_unit_test(nothing_is_held_where_nothing_is_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
