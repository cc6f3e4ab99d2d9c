/* controller/daemon/holds.h: a hold is told once, when it has lasted, and anew when it is
 * another one. */
#include "tests/unit/core/world.h"

#include <string.h>

#include "controller/daemon/holds.h"

static struct world w;
static struct holds h;
static char text[TEXT_SIZE];

static bool tell(void) { return holds_tell(&h, &w.s, &w.o, 0, w.now, text); }

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

/* One that comes and goes is not told each time; after a minute of peace it is a new one.
 */
static void a_hold_that_flickers_is_told_once(void **state)
{
    (void)state;
    lose_east();
    assert_int_equal(pass(10000, true), 1);
    for (unsigned i = 0; i < 5; i++) {
        world_group(&w)->phase = PHASE_DETACHED;
        assert_int_equal(pass(5000, true), 0);
        world_group(&w)->phase = PHASE_STEADY;
        assert_int_equal(pass(5000, true), 0);
    }
    world_group(&w)->phase = PHASE_DETACHED;
    assert_int_equal(pass(HOLDS_OVER_MS + 1000, true), 0);
    world_group(&w)->phase = PHASE_STEADY;
    assert_int_equal(pass(5000, true), 1);
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
        cmocka_unit_test(nothing_is_held_where_nothing_is_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
