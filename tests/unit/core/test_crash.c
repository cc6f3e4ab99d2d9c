/* The active side's server is gone, or runs and is not opened, and its agent says so. */
#include "tests/unit/core/world.h"

#include <string.h>

static struct world w;

static void a_crash_is_restarted_here_first(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_crash(&w);
    assert_string_equal(world_step(&w), "crash-restarts-here");
    assert_true(world_group(&w)->instances[EAST].step.restart);
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_report(&w, EAST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "");
    world_crash(&w);
    assert_string_equal(world_step(&w), "crash-fails-over");
    /* Its agent lives: the quick proof, no waiting for the lease. */
    assert_string_equal(world_step(&w), "");
    assert_int_equal(w.actions.list[0].kind, ACT_ORDER_FENCE);
    world_seen(&w)->instances[EAST].proof = (struct seen_proof){
        .given = true,
        .epoch = 1,
        .fence_index = world_group(&w)->fence_index,
        .prover = life(EAST, 1),
    };
    assert_string_equal(world_step(&w), "proof-by-agent");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
}

static void east_runs_unled(bool unled)
{
    world_report(&w, WEST, SERVER_STANDBY);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_seen(&w)->instances[EAST].seen.unled = unled;
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
}

/* The end of a restart failed when the server was up: nobody would open its gate (I11). */
static void a_server_that_no_step_verified_is_led_again(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    east_runs_unled(true);
    assert_string_equal(world_step(&w), "crash-restarts-here");
    assert_true(world_group(&w)->instances[EAST].step.restart);
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    east_runs_unled(false);
    assert_string_equal(world_step(&w), "");

    east_runs_unled(true); /* and as after a crash, not for ever */
    assert_string_equal(world_step(&w), "crash-fails-over");

    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.local_restarts = 0;
    world_group(&w)->policy.automatic = false;
    east_runs_unled(true);
    assert_string_equal(world_step(&w), "crash-without-target");
}

/* Nobody is let in by its gate: that is not well, and says so. */
static void a_server_that_is_not_opened_is_not_healthy(void **state)
{
    static struct explanation why;

    (void)state;
    for (unsigned paused = 0; paused < 2; paused++) {
        world_steady(&w, SYNC_REQUIRED);
        east_runs_unled(false);
        assert_true(group_is_healthy(&w.s, &w.o, 0, w.now));
        world_group(&w)->paused = paused;
        east_runs_unled(true);
        assert_false(group_is_healthy(&w.s, &w.o, 0, w.now));
        explain(&w.s, &w.o, 0, w.now, &why);
        assert_true(why.cause);
        assert_non_null(strstr(why.verdict, "not opened"));
    }
}

/* A restart that cannot be begun is not waited for. */
static void a_crash_under_an_unfit_agent_fails_over(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_crash(&w);
    world_seen(&w)->instances[EAST].seen.unfit = true;
    assert_string_equal(world_step(&w), "crash-fails-over");
}

static void a_crash_without_a_target_is_restarted_again(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.local_restarts = 0;
    world_group(&w)->sync_set = 1u << EAST;
    world_crash(&w);
    assert_string_equal(world_step(&w), "crash-without-target");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_is_restarted_here_first),
        cmocka_unit_test(a_server_that_no_step_verified_is_led_again),
        cmocka_unit_test(a_server_that_is_not_opened_is_not_healthy),
        cmocka_unit_test(a_crash_under_an_unfit_agent_fails_over),
        cmocka_unit_test(a_crash_without_a_target_is_restarted_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
