/* decide() of a controlled switchover: up to its fence, and back. */
#include "tests/unit/core/world.h"

#include <string.h>

static struct world w;
static struct explanation why;

/* A planned move: checkpoint, stop under the lease, the target has flushed the shutdown
 * checkpoint, only then fence. */
static void a_switchover_fences_after_the_flush(void **state)
{
    (void)state;
    world_stopping(&w);
    world_outcome(&w, EAST, true); /* stopped at position 900 */
    assert_string_equal(world_step(&w), "record-outcome");
    world_report(&w, WEST, SERVER_STANDBY);
    world_seen(&w)->instances[WEST].seen.flush_lsn = 899;
    assert_string_equal(world_step(&w), "");
    world_seen(&w)->instances[WEST].seen.flush_lsn = 900;
    assert_string_equal(world_step(&w), "switchover-fence");
    /* No word of a shutdown checkpoint: one that crashed meanwhile has written none. */
    assert_string_equal(w.actions.list[w.actions.count - 1].entry.fence_begin.reason,
                        "stopped, and the target has flushed its log to the end");
    assert_int_equal(world_group(&w)->run.kind, RUN_SWITCHOVER);
}

/* The names of a join that has just ended were on their way when the move was asked for
 * (found by wan-wide: its step stood behind the move in the log, was taken for one of the
 * move's, and nothing was begun until it went back, 2 x stop_deadline later). */
static void a_step_of_before_is_none_of_the_switchover(void **state)
{
    struct entry sync = entry_of(ENTRY_STEP_START), sw = entry_of(ENTRY_SWITCHOVER);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    sw.switchover = (struct entry_switchover){.target = WEST, .epoch = 1};
    assert_int_equal(world_apply(&w, &sw), ACCEPTED);
    sync.step_start = (struct entry_step_start){
        .instance = EAST, .kind = STEP_SYNC, .epoch = 1, .subject = NO_INSTANCE};
    assert_int_equal(world_apply(&w, &sync), ACCEPTED);
    assert_string_equal(world_step(&w), ""); /* one step at a time */
    explain(&w.s, &w.o, 0, w.now, &why);
    assert_null(strstr(why.verdict, "step sync"));
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    assert_string_equal(world_step(&w), "switchover-checkpoint");
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "switchover-stop");
}

/* I11: a target whose agent can begin nothing is found out before the fence: the switchover
 * goes back, at its begin and after the stop, and says why. */
static void a_switchover_to_an_unfit_target_goes_back(void **state)
{
    struct entry sw = entry_of(ENTRY_SWITCHOVER);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report_unfit(&w, WEST, "state_dir not writable: no room");
    explain(&w.s, &w.o, 0, w.now, &why);
    for (unsigned i = 0; i < why.count; i++)
        if (strcmp(why.list[i].name, "candidate-pg-west") == 0)
            assert_non_null(strstr(why.list[i].value, "state_dir not writable: no room"));
    sw.switchover = (struct entry_switchover){.target = WEST, .epoch = 1};
    assert_int_equal(world_apply(&w, &sw), ACCEPTED);
    assert_string_equal(world_step(&w), "switchover-goes-back");
    assert_non_null(strstr(world_group(&w)->run.reason, "no room"));
    assert_int_equal(world_group(&w)->phase, PHASE_STEADY);

    world_stopping(&w); /* up to the stop, which is under way */
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_report_unfit(&w, WEST, "state_dir not writable: no room");
    world_seen(&w)->instances[WEST].seen.flush_lsn = UINT64_MAX;
    assert_string_equal(world_step(&w), "switchover-goes-back");
}

/* The target dies: behind the stop nobody serves, before it writes wait for a member. It is
 * not waited for until 2 x stop_deadline; and not given up for a restart of its agent,
 * which fits a lease. */
static void a_switchover_whose_target_dies_goes_back(void **state)
{
    enum { TTLS = 2, LOOK_MS = 100 };

    (void)state;
    for (int stopped = 0; stopped <= 1; stopped++) {
        unsigned ms = 0;
        uint32_t limit;

        world_stopping(&w);
        limit = TTLS * world_group(&w)->policy.lease.ttl_ms;
        world_outcome(&w, EAST, true);
        assert_string_equal(world_step(&w), "record-outcome");
        if (!stopped) /* what has been done is the checkpoint */
            world_group(&w)->instances[EAST].step.kind = STEP_CHECKPOINT;
        world_report(&w, WEST, SERVER_STANDBY);
        world_seen(&w)->instances[WEST].seen.flush_lsn = 1;
        world_seen(&w)->instances[WEST].seen.streaming = false;
        for (const char *row = ""; row[0] == '\0' && ms < 15000; ms += LOOK_MS) {
            world_pass_ms(&w, LOOK_MS);
            assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
            world_report(&w, EAST, stopped ? SERVER_DOWN : SERVER_PRIMARY);
            row = world_step(&w);
        }
        assert_string_equal(world_group(&w)->run.reason, "the target, pg-west, is silent");
        assert_in_range(ms, limit, limit + 2 * LOOK_MS);
    }
}

/* I8: writes wait for a member that does not flush, and only `steady` lets it go. Before
 * the stop that the move is to end with, nothing is in the way of that. */
static void a_switchover_whose_target_keeps_writes_waiting_goes_back(void **state)
{
    struct entry sw = entry_of(ENTRY_SWITCHOVER);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    sw.switchover = (struct entry_switchover){.target = WEST, .epoch = 1};
    assert_int_equal(world_apply(&w, &sw), ACCEPTED);
    assert_string_equal(world_step(&w), "switchover-checkpoint");
    world_seen(&w)->instances[EAST].seen.shrink = 1u << WEST;
    assert_string_equal(world_step(&w), ""); /* the checkpoint is under way */
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_seen(&w)->instances[WEST].seen.streaming = false;
    world_seen(&w)->instances[EAST].seen.shrink = 0;
    assert_string_equal(world_step(&w), ""); /* it may be back at any moment */
    world_seen(&w)->instances[EAST].seen.shrink = 1u << WEST;
    assert_string_equal(world_step(&w), "switchover-goes-back");
    assert_non_null(strstr(world_group(&w)->run.reason, "writes wait for pg-west"));
    assert_string_equal(world_step(&w), "shrink-silent-member");
    assert_int_equal(world_group(&w)->phase, PHASE_STEADY);
}

/* I11: before its fence a switchover goes back, and the server is started again under the
 * same lease, without using up a local restart. */
static void a_switchover_that_fails_goes_back(void **state)
{
    (void)state;
    world_stopping(&w);
    world_outcome(&w, EAST, false);
    assert_string_equal(world_step(&w), "record-outcome");
    assert_string_equal(world_step(&w), "switchover-goes-back");
    assert_int_equal(world_group(&w)->run.result, RUN_ABORTED);
    world_crash(&w); /* stopped half-way */
    assert_string_equal(world_step(&w), "switchover-went-back");
    assert_int_equal(world_group(&w)->restarts_used, 0);
    assert_int_equal(world_group(&w)->epoch, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_switchover_fences_after_the_flush),
        cmocka_unit_test(a_step_of_before_is_none_of_the_switchover),
        cmocka_unit_test(a_switchover_to_an_unfit_target_goes_back),
        cmocka_unit_test(a_switchover_whose_target_dies_goes_back),
        cmocka_unit_test(a_switchover_whose_target_keeps_writes_waiting_goes_back),
        cmocka_unit_test(a_switchover_that_fails_goes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
