/* What the leader does next: the decision matrix of docs/design.md section 6, row by row.
 */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

enum { WAIT_MS = 1021 }; /* ttl 1000 ms counted with rho 1 %, rounded up */

static void west_reports_on(uint64_t ms)
{
    world_pass_ms(&w, ms);
    world_report(&w, WEST, SERVER_STANDBY);
}

/* One region silent: nothing until its lease has been counted out, then fence, proof,
 * activation, promotion under a lease, opening; each one a committed entry. */
static void a_silent_region_is_replaced_behind_its_lease(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_pass_ms(&w, 2000); /* our own barrier is long past */
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    west_reports_on(WAIT_MS - 1);
    assert_string_equal(world_step(&w), "");
    west_reports_on(1);
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-expiry");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_int_equal(world_group(&w)->active, WEST);
    assert_int_equal(world_group(&w)->epoch, 2);
    assert_true(world_group(&w)->run.loss_forecast_known);
    assert_int_equal(world_group(&w)->run.loss_forecast_bytes, 0);
    /* I6: no promotion before the lease of the new epoch is held. */
    assert_string_equal(world_step(&w), "");
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
    assert_string_equal(world_step(&w), "lead-under-lease");
    assert_string_equal(world_step(&w), "");
    assert_int_equal(w.actions.list[0].kind, ACT_ORDER_STEP);
    world_outcome(&w, WEST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    assert_string_equal(world_step(&w), "open-verified");
    assert_int_equal(world_group(&w)->sync_set, 1u << WEST);
    assert_int_equal(world_group(&w)->failovers, 1);
    assert_string_equal(proof_kind_name(world_group(&w)->run.proof), "lease-expiry");
}

/* What holds an automatic failover, one condition at a time; each has its line in why. */
static void each_condition_holds_a_failover(void **state)
{
    enum { NOTHING, PAUSED, MANUAL, COOLDOWN, CORRUPT, NO_TARGET, UNFIT, NOT_MEMBER, LAGS };
    static const struct {
        const char *name, *condition;
        int what;
        enum sync_mode mode;
        const char *rule;
    } table[] =
        {
            {"nothing holds", NULL, NOTHING, SYNC_REQUIRED, "silent-holder"},
            {"paused", "not-paused", PAUSED, SYNC_REQUIRED, ""},
            {"manual", "automatic", MANUAL, SYNC_REQUIRED, ""},
            {"cooldown", "cooldown-over", COOLDOWN, SYNC_REQUIRED, ""},
            {"checksum failures", "no-corruption", CORRUPT, SYNC_REQUIRED, ""},
            {"standby silent too", "target-ready", NO_TARGET, SYNC_REQUIRED, ""},
            {"standby unfit", "target-ready", UNFIT, SYNC_REQUIRED, ""},
            {"standby unfit, off", "target-ready", UNFIT, SYNC_OFF, ""},
            {"not in the set", "target-ready", NOT_MEMBER, SYNC_REQUIRED, ""},
            {"not in the set, strict", "target-ready", NOT_MEMBER, SYNC_STRICT, ""},
            {"outside, preferred", NULL, NOT_MEMBER, SYNC_PREFERRED, "silent-holder"},
            {"lags, off", "target-ready", LAGS, SYNC_OFF, ""},
            {"off", NULL, NOTHING, SYNC_OFF, "silent-holder"},
        },
      *row;

    (void)state;
    EACH (row, table) {
        static struct explanation why;
        const char *rule;

        world_steady(&w, row->mode);
        world_group(&w)->paused = row->what == PAUSED;
        world_group(&w)->policy.automatic = row->what != MANUAL;
        if (row->what == NOT_MEMBER)
            world_group(&w)->sync_set = 1u << EAST;
        if (row->what == LAGS)
            world_seen(&w)->primary_lsn = 1000 + world_group(&w)->policy.max_lag_bytes + 1;
        world_group(&w)->instances[EAST].checksum_failures = row->what == CORRUPT;
        west_reports_on(WAIT_MS + 1000);
        if (row->what == COOLDOWN) {
            world_group(&w)->policy.cooldown_ms = 5000;
            world_seen(&w)->last_failover = w.now;
        }
        if (row->what == NO_TARGET)
            world_pass_ms(&w, 5000);
        if (row->what == UNFIT)
            world_report_unfit(&w, WEST, "state_dir not writable");
        explain(&w.s, &w.o, 0, w.now, &why);
        rule = world_decide(&w);
        if (strcmp(rule, row->rule) != 0)
            fail_msg("%s: '%s'", row->name, rule);
        assert_int_equal(why.would_fail_over, row->rule[0] != '\0');
        for (unsigned i = 0; i < why.count; i++)
            if (why.list[i].blocks !=
                (row->condition != NULL && strcmp(why.list[i].name, row->condition) == 0))
                fail_msg("%s: condition %s blocks: %d", row->name, why.list[i].name,
                         why.list[i].blocks);
    }
}

/* A new leader listens for a whole wait from its own barrier, though the lease is counted
 * out: the holder had nobody to renew with. */
static void a_new_leader_listens_first(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    observe_leading(&w.o, false, w.now);
    world_pass_ms(&w, 5000);
    observe_leading(&w.o, true, w.now);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_true(lease_counted_out(&w.s, &w.o, 0, EAST, w.now));
    assert_string_equal(world_step(&w), "");
    /* The old holder is back in time: nothing happened. */
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    west_reports_on(WAIT_MS - 1);
    assert_string_equal(world_step(&w), "");
    west_reports_on(1);
    assert_string_equal(world_step(&w), "silent-holder");
}

/* I4, after a restart: grants of the snapshot count from the moment it was restored. */
static void a_restored_grant_counts_from_now(void **state)
{
    static struct observations fresh;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_pass_ms(&w, 60000);
    observations_init(&fresh, 2);
    observe_restored(&fresh, &w.s, w.now);
    assert_false(lease_counted_out(&w.s, &fresh, 0, EAST, w.now));
    world_pass_ms(&w, WAIT_MS - 1);
    assert_false(lease_counted_out(&w.s, &fresh, 0, EAST, w.now));
    world_pass_ms(&w, 1);
    assert_true(lease_counted_out(&w.s, &fresh, 0, EAST, w.now));
}

static void a_hung_server_fails_over(void **state)
{
    struct seen_instance seen;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, WEST, SERVER_STANDBY);
    seen = world_seen(&w)->instances[EAST].seen;
    seen.at = seen.said = w.now;
    seen.hung = true;
    observe_report(&w.o, &w.s, 0, EAST, &seen);
    assert_string_equal(world_step(&w), "hung-fails-over");
}

/* What an agent said before it froze, or the network held back, is no news of now: not of a
 * hang or crash, and not of a standby that could lead. */
static void a_word_that_was_long_on_its_way_moves_nothing(void **state)
{
    enum { HUNG, CRASHED, CANDIDATE, CASES };

    (void)state;
    for (unsigned n = 0; n < 2 * CASES; n++) {
        const unsigned what = n / 2;
        const bool late = n % 2 != 0;
        struct seen_instance east, west;

        world_steady(&w, SYNC_REQUIRED);
        world_group(&w)->policy.local_restarts = 0;
        world_report(&w, WEST, SERVER_STANDBY);
        east = world_seen(&w)->instances[EAST].seen;
        west = world_seen(&w)->instances[WEST].seen;
        world_pass_ms(&w, 5000);
        east.at = east.latest = west.at = west.latest = w.now;
        if (!late || what == CANDIDATE)
            east.said = east.taken = w.now;
        if (!late || what != CANDIDATE)
            west.said = west.taken = w.now;
        east.hung = what != CRASHED;
        east.crashed = what == CRASHED;
        observe_report(&w.o, &w.s, 0, WEST, &west);
        observe_report(&w.o, &w.s, 0, EAST, &east);
        assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        assert_string_equal(world_step(&w), late              ? ""
                                            : what == CRASHED ? "crash-fails-over"
                                                              : "hung-fails-over");
    }
}

/* An operator's word starts a failover through pause, cooldown and `automatic: false`, and
 * still not past the sync set. */
static void an_operator_overrides_holds_but_not_the_set(void **state)
{
    (void)state;
    for (int member = 0; member <= 1; member++) {
        world_steady(&w, SYNC_REQUIRED);
        world_group(&w)->paused = true;
        world_group(&w)->policy.automatic = false;
        world_report(&w, WEST, SERVER_STANDBY);
        if (!member)
            world_group(&w)->sync_set = 1u << EAST;
        world_seen(&w)->failover_wanted = true;
        world_seen(&w)->failover_target = NO_INSTANCE;
        assert_string_equal(world_step(&w), member ? "operator-failover" : "join-standby");
    }
}

/* Fenced, and the target does not come up: after promote_deadline the old region counts as
 * a candidate again. */
static void the_old_region_is_activated_again_when_nobody_else_can(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    world_pass_ms(&w, 5000); /* west's reports have gone stale */
    world_report(&w, EAST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "");
    world_pass_ms(&w, world_group(&w)->policy.promote_deadline_ms);
    world_report(&w, EAST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_int_equal(world_group(&w)->active, EAST);
    assert_int_equal(world_group(&w)->epoch, 2);
}

/* A promotion that does not come to an end is fenced when somebody else is ready. */
static void a_stuck_promotion_moves_on(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    world_pass_ms(&w, world_group(&w)->policy.promote_deadline_ms);
    world_report(&w, EAST, SERVER_DOWN);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "promotion-stuck");
}

/* The standby is away: no failover, and the set shrinks at the holder's request. */
static void a_silent_member_is_let_go(void **state)
{
    struct seen_instance seen;

    (void)state;
    for (int mode = SYNC_PREFERRED; mode <= SYNC_STRICT; mode++) {
        world_steady(&w, (enum sync_mode)mode);
        world_pass_ms(&w, 100);
        seen = world_seen(&w)->instances[EAST].seen;
        seen.at = seen.said = w.now;
        seen.shrink = 1u << WEST;
        observe_report(&w.o, &w.s, 0, EAST, &seen);
        assert_string_equal(world_step(&w),
                            mode == SYNC_STRICT ? "" : "shrink-silent-member");
    }
}

/* Somebody promoted the standby: it is made to follow again, nothing else happens. */
static void a_rogue_standby_is_made_to_follow(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "follow-active");
    assert_int_equal(world_group(&w)->instances[WEST].step.kind, STEP_FOLLOW);
}

/* A report taken before the restart ended still says "crashed": it counts for nothing. */
static void a_report_from_before_the_step_is_not_believed(void **state)
{
    struct seen_instance stale;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_crash(&w);
    stale = world_seen(&w)->instances[EAST].seen;
    assert_string_equal(world_step(&w), "crash-restarts-here");
    world_pass_ms(&w, 50);
    world_report(&w, WEST, SERVER_STANDBY);
    world_outcome(&w, EAST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    stale.at = stale.said = w.now;
    observe_report(&w.o, &w.s, 0, EAST, &stale);
    assert_string_equal(world_step(&w), "");
    world_report(&w, EAST, SERVER_DOWN); /* it is down again indeed */
    assert_string_equal(world_step(&w), "crash-fails-over");
}

/* A failed step is tried again, later each time. Each try is a pair of rows in the log for
 * ever (I5), so the pauses grow: to minutes where only redundancy waits for it. */
static void a_failed_step_waits_before_it_is_tried_again(void **state)
{
    uint64_t pause = 500;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    for (unsigned n = 0; n < 13; n++) {
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_DOWN);
        assert_string_equal(world_step(&w), "follow-active");
        world_outcome(&w, WEST, false);
        assert_string_equal(world_step(&w), "record-outcome");
        world_pass_ms(&w, pause - 1);
        world_renew(&w, EAST, 1, LEASE_WRITE);
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_DOWN);
        assert_string_equal(world_step(&w), "");
        world_pass_ms(&w, 1);
        pause = pause < 30000 ? pause * 2 : 60000;
    }
}

static void west_fails_to_follow(unsigned times)
{
    for (unsigned n = 0; n < times; n++) {
        world_renew(&w, EAST, 1, LEASE_WRITE);
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_DOWN);
        assert_string_equal(world_step(&w), "follow-active");
        world_outcome(&w, WEST, false);
        assert_string_equal(world_step(&w), "record-outcome");
        if (n + 1 < times)
            world_pass_ms(&w, 60000);
    }
    world_pass_ms(&w, 10);
    world_report(&w, WEST, SERVER_DOWN);
    assert_string_equal(world_step(&w), "");
}

/* Whoever corrects the group's file, or the agent's and starts it again, does not wait for
 * the pause that the mistake has earned; what fails then waits as before. */
static void what_was_corrected_is_tried_at_once(void **state)
{
    (void)state;
    for (int by_file = 0; by_file < 2; by_file++) {
        struct entry e = entry_of(ENTRY_DECLARE);

        world_steady(&w, SYNC_OFF);
        west_fails_to_follow(9);
        if (by_file) {
            e.declare.spec = *world_group(&w);
            snprintf(e.declare.spec.instances[WEST].start, PATH_SIZE, "systemd:right");
            assert_int_equal(world_apply(&w, &e), ACCEPTED);
        } else {
            observe_agent_anew(&w.o, &w.s, "pg-east"); /* not this one */
            assert_string_equal(world_step(&w), "");
            observe_agent_anew(&w.o, &w.s, "pg-west");
        }
        west_fails_to_follow(1);
    }
}

/* Nobody writes meanwhile, so a server is started again after half a minute at most. */
static void a_lead_that_fails_does_not_wait_for_minutes(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->sync_set = 1u << EAST;
    world_group(&w)->policy.local_restarts = 0;
    for (unsigned n = 0; n < 12; n++) {
        world_crash(&w);
        assert_string_equal(world_step(&w), "crash-without-target");
        world_outcome(&w, EAST, false);
        assert_string_equal(world_step(&w), "record-outcome");
        world_pass_ms(&w, 30000);
    }
}

/* Nor does the follow of a member that `strict` goes on waiting for; of another one it may.
 */
static void a_follow_that_writes_wait_for_is_tried_as_often(void **state)
{
    (void)state;
    for (unsigned strict = 0; strict < 2; strict++) {
        world_steady(&w, strict ? SYNC_STRICT : SYNC_REQUIRED);
        west_fails_to_follow(12);
        world_pass_ms(&w, 30000);
        assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_DOWN);
        assert_string_equal(world_step(&w), strict ? "follow-active" : "");
    }
}

/* Leadership goes where fewer groups are active, to a voter that has caught up, after a
 * minimum stay. */
static void leadership_leaves_the_active_region(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    w.o.self_id = 1; /* the controller in east, where the group is active */
    w.o.controllers[1].caught_up = true;
    world_pass_ms(&w, 4999);
    world_renew(&w, EAST, 1, LEASE_WRITE);
    world_decide(&w);
    assert_int_equal(w.actions.count, 0);
    world_pass_ms(&w, 1);
    world_decide(&w);
    assert_int_equal(w.actions.count, 1);
    assert_int_equal(w.actions.list[0].kind, ACT_TRANSFER);
    assert_int_equal(w.actions.list[0].controller_id, 2);
    w.o.controllers[2].caught_up = true; /* the witness too: it need not hand on again */
    world_decide(&w);
    assert_int_equal(w.actions.list[0].controller_id, 3);
    w.o.self_id = 3; /* the witness stays leader */
    world_decide(&w);
    assert_int_equal(w.actions.count, 0);
}

/* Only the leader acts, whatever it sees. */
static void a_follower_decides_nothing(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    observe_leading(&w.o, false, w.now);
    west_reports_on(60000);
    world_decide(&w);
    assert_int_equal(w.actions.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_region_is_replaced_behind_its_lease),
        cmocka_unit_test(each_condition_holds_a_failover),
        cmocka_unit_test(a_new_leader_listens_first),
        cmocka_unit_test(a_restored_grant_counts_from_now),
        cmocka_unit_test(a_hung_server_fails_over),
        cmocka_unit_test(a_word_that_was_long_on_its_way_moves_nothing),
        cmocka_unit_test(an_operator_overrides_holds_but_not_the_set),
        cmocka_unit_test(the_old_region_is_activated_again_when_nobody_else_can),
        cmocka_unit_test(a_stuck_promotion_moves_on),
        cmocka_unit_test(a_silent_member_is_let_go),
        cmocka_unit_test(a_rogue_standby_is_made_to_follow),
        cmocka_unit_test(a_report_from_before_the_step_is_not_believed),
        cmocka_unit_test(a_failed_step_waits_before_it_is_tried_again),
        cmocka_unit_test(what_was_corrected_is_tried_at_once),
        cmocka_unit_test(a_lead_that_fails_does_not_wait_for_minutes),
        cmocka_unit_test(a_follow_that_writes_wait_for_is_tried_as_often),
        cmocka_unit_test(leadership_leaves_the_active_region),
        cmocka_unit_test(a_follower_decides_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
