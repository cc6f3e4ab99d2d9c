/* Proposals: who has to agree, what runs then, and what no agreement makes possible. */
#include "tests/unit/core/people.h"

static struct world w;
static uint64_t id;

enum { OP = ROLE_OPERATOR, APP = ROLE_APPROVER, ADM = ROLE_ADMIN };

static void steady(void)
{
    world_steady(&w, SYNC_REQUIRED);
    world_pass_ms(&w, 10000); /* this leader has listened */
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "");
}

static struct proposal *mine(void)
{
    return &w.s.proposals[state_proposal(&w.s, id) - w.s.proposals];
}

/* Without `approvals` who may ask is enough, and what is asked for runs. */
static void without_a_policy_it_runs_at_once(void **state)
{
    (void)state;
    steady();
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    assert_string_equal(state_of(&w, id), "approved");
    assert_string_equal(world_step(&w), "approved-switchover");
    assert_string_equal(state_of(&w, id), "running");
    assert_int_equal(mine()->run, world_group(&w)->run.id);
    assert_int_equal(world_group(&w)->run.to, WEST);
    assert_string_equal(world_group(&w)->run.reason, "because");
}

/* With `approvals` nothing moves before all have agreed, whatever way it is asked for. */
static void nothing_runs_before_all_have_agreed(void **state)
{
    struct entry sw = entry_of(ENTRY_SWITCHOVER), f = entry_of(ENTRY_FENCE_BEGIN);

    (void)state;
    steady();
    two_needed(&w);
    sw.switchover = (struct entry_switchover){.target = WEST, .epoch = 1};
    assert_int_equal(world_apply(&w, &sw), REFUSE_APPROVAL);
    f.fence_begin = (struct entry_fence_begin){
        .epoch = 1, .run = RUN_FAILOVER, .target = NO_INSTANCE, .requested = true};
    assert_int_equal(world_apply(&w, &f), REFUSE_APPROVAL);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    assert_string_equal(state_of(&w, id), "open");
    assert_string_equal(world_step(&w), "");
    sw.switchover.proposal = id;
    assert_int_equal(world_apply(&w, &sw), REFUSE_APPROVAL);
    assert_int_equal(approve(&w, person("ben", APP), id), ACCEPTED);
    assert_string_equal(world_step(&w), "approved-switchover");
}

/* The leader fails over by itself as before: approvals are about people. */
static void an_automatic_failover_asks_nobody(void **state)
{
    (void)state;
    steady();
    two_needed(&w);
    world_pass_ms(&w, 3000);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "silent-holder");
}

/* Everybody once, and for one role. */
static void never_the_same_person_twice(void **state)
{
    static const struct {
        const char *name;
        uint8_t roles;
        enum refusal expected;
    } table[] = {{"anna", OP | APP, REFUSE_SAME_PERSON},
                 {"anna", ADM, REFUSE_SAME_PERSON},
                 {"ben", ROLE_VIEWER, REFUSE_ROLE},
                 {"ben", 0, REFUSE_ROLE},
                 {"", APP, REFUSE_ROLE},
                 {"ben", APP, ACCEPTED},
                 {"ben", ADM, ACCEPTED},
                 {"ben", OP, ACCEPTED}},
      *row;

    (void)state;
    EACH (row, table) {
        enum refusal got;

        steady();
        two_needed(&w);
        /* She could speak for either role, and speaks for one. */
        assert_int_equal(
            propose(&w, person("anna", OP | APP), PROPOSAL_SWITCHOVER, "pg-west", &id),
            ACCEPTED);
        assert_string_equal(state_of(&w, id), "open");
        got = approve(&w, person(row->name, row->roles), id);
        if (got != row->expected)
            fail_msg("%s with %u: %s", row->name, row->roles, refusal_name(got));
        assert_string_equal(state_of(&w, id), got == ACCEPTED ? "approved" : "open");
    }
}

/* A second operator does not stand for the approver who is needed. */
static void who_brings_it_no_closer_is_told(void **state)
{
    (void)state;
    steady();
    two_needed(&w);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    assert_int_equal(approve(&w, person("cora", OP), id), REFUSE_ROLE);
    assert_non_null(strstr(w.result.text, "still needs: approver"));
    assert_int_equal(approve(&w, person("ben", APP), id), ACCEPTED);
    assert_int_equal(approve(&w, person("dirk", ADM), id), REFUSE_PROPOSAL);
}

/* Monday is 1970-01-05. */
static void the_window_is_that_of_the_entry(void **state)
{
    enum { MIN = 60000, HOUR = 60 * MIN, DAY = 24 * HOUR };
    static const struct {
        const char *name;
        uint64_t at;
        uint16_t from, to, zone;
        bool expected;
    } table[] =
        {
            {"monday at nine", 4ull * DAY + 9ull * HOUR, 540, 1080, ZONE_ZERO, true},
            {"before nine", 4ull * DAY + 9ull * HOUR - MIN, 540, 1080, ZONE_ZERO, false},
            {"at six", 4ull * DAY + 18ull * HOUR, 540, 1080, ZONE_ZERO, false},
            {"sunday", 3ull * DAY + 12ull * HOUR, 540, 1080, ZONE_ZERO, false},
            {"saturday", 9ull * DAY + 12ull * HOUR, 540, 1080, ZONE_ZERO, false},
            {"friday", 8ull * DAY + 12ull * HOUR, 540, 1080, ZONE_ZERO, true},
            {"nine two hours east of it", 4ull * DAY + 7ull * HOUR, 540, 1080,
             ZONE_ZERO + 120, true},
            {"eight there", 4ull * DAY + 6ull * HOUR, 540, 1080, ZONE_ZERO + 120, false},
            {"still friday in the west", 9ull * DAY + 1ull * HOUR, 0, 0, ZONE_ZERO - 120,
             true},
            {"saturday in the east", 8ull * DAY + 23ull * HOUR, 0, 0, ZONE_ZERO + 120,
             false},
            {"friday night", 8ull * DAY + 23ull * HOUR, 1320, 360, ZONE_ZERO, true},
            {"and what is left of it on saturday", 9ull * DAY + 3ull * HOUR, 1320, 360,
             ZONE_ZERO, true},
            {"sunday's night is no monday's", 4ull * DAY + 3ull * HOUR, 1320, 360,
             ZONE_ZERO, false},
            {"thursday, 1970-01-01", 12ull * HOUR, 540, 1080, ZONE_ZERO, true},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct policy p = {.window_count = 2};
        bool got;

        p.windows[0] = (struct approval_window){.days = 0x1f,
                                                .from_min = row->from,
                                                .to_min = row->to,
                                                .zone = row->zone,
                                                .expires_ms = 60000};
        p.windows[1] = (struct approval_window){.zone = ZONE_ZERO, .expires_ms = 60000};
        got = approval_window_at(&p, row->at) == &p.windows[0];
        if (got != row->expected)
            fail_msg("%s: %d", row->name, got);
    }
}

/* Two users of the host at its socket may be one person with sudo. */
static void all_at_the_socket_are_one(void **state)
{
    struct actor root = person("root", ROLES_ALL), uid = person("uid-1000", ROLES_ALL);

    (void)state;
    root.kind = uid.kind = ACTOR_SOCKET;
    steady();
    two_needed(&w);
    assert_int_equal(propose(&w, uid, PROPOSAL_SWITCHOVER, "pg-west", &id), ACCEPTED);
    assert_int_equal(approve(&w, root, id), REFUSE_SAME_PERSON);
    assert_int_equal(approve(&w, uid, id), REFUSE_SAME_PERSON);
    assert_string_equal(state_of(&w, id), "open");
    assert_int_equal(approve(&w, person("ben", APP), id), ACCEPTED);
    assert_string_equal(state_of(&w, id), "approved");
}

/* What was approved is what runs, or it is confirmed anew. */
static void what_has_become_worse_is_confirmed_anew(void **state)
{
    (void)state;
    steady();
    two_needed(&w);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    world_report_unfit(&w, WEST, "no space");
    assert_int_equal(approve(&w, person("ben", APP), id), ACCEPTED);
    assert_string_equal(world_step(&w), "proposal-stale");
    assert_string_equal(state_of(&w, id), "stale");
    assert_non_null(strstr(mine()->outcome, "can begin nothing"));
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), ""); /* not by itself */
    assert_int_equal(approve(&w, person("ben", APP), id), ACCEPTED);
    assert_string_equal(world_step(&w), "");
    assert_int_equal(approve(&w, person("ben", APP), id), REFUSE_SAME_PERSON);
    assert_int_equal(approve(&w, person("anna", OP), id), ACCEPTED);
    assert_string_equal(world_step(&w), "approved-switchover");
}

/* An approval names what it has seen: one of before is none of what has become of it. */
static void an_approval_of_what_it_was_counts_no_more(void **state)
{
    struct entry late = entry_of(ENTRY_APPROVE);

    (void)state;
    steady();
    two_needed(&w);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    late.actor = person("cora", APP);
    late.proposal = (struct entry_proposal){.id = id, .seen = mine()->asked};
    world_report_unfit(&w, WEST, "no space");
    assert_int_equal(approve(&w, person("ben", APP), id), ACCEPTED);
    assert_string_equal(world_step(&w), "proposal-stale");
    assert_int_equal(world_apply(&w, &late), REFUSE_CHANGED);
}

/* Another region is active by then: nothing of what was read is so any more. */
static void of_another_epoch_it_does_not_run(void **state)
{
    struct entry f = entry_of(ENTRY_FENCE_BEGIN);

    (void)state;
    steady();
    two_needed(&w);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_FAILOVER, "pg-west", &id),
                     ACCEPTED);
    world_group(&w)->epoch++;
    assert_int_equal(approve(&w, person("ben", APP), id), ACCEPTED);
    f.fence_begin = (struct entry_fence_begin){
        .epoch = 2, .run = RUN_FAILOVER, .target = WEST, .requested = true, .proposal = id};
    assert_int_equal(world_apply(&w, &f), REFUSE_STALE_EPOCH);
    assert_string_equal(world_step(&w), "proposal-stale");
    assert_non_null(strstr(mine()->outcome, "epoch 2"));
}

/* The loss that was read is the loss that is taken, give or take a tenth of max_lag. */
static void more_loss_is_another_question(void **state)
{
    for (int more = 0; more < 2; more++) {
        uint64_t tenth;

        (void)state;
        world_steady(&w, SYNC_OFF);
        world_pass_ms(&w, 10000);
        assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        world_report(&w, EAST, SERVER_PRIMARY);
        world_report(&w, WEST, SERVER_STANDBY);
        two_needed(&w);
        assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_FAILOVER, "", &id),
                         ACCEPTED);
        assert_true(mine()->forecast.loss_known);
        tenth = world_group(&w)->policy.max_lag_bytes / 10;
        world_seen(&w)->primary_lsn += tenth + (uint64_t)more;
        assert_int_equal(approve(&w, person("ben", APP), id), ACCEPTED);
        assert_string_equal(world_step(&w), more ? "proposal-stale" : "approved-failover");
    }
}

/* A new leader has heard nobody: that is no news about the target. */
static void a_new_leader_listens_first(void **state)
{
    (void)state;
    steady();
    two_needed(&w);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    assert_int_equal(approve(&w, person("ben", APP), id), ACCEPTED);
    observe_leading(&w.o, false, w.now);
    observe_leading(&w.o, true, w.now);
    assert_string_equal(world_step(&w), "");
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "approved-switchover");
}

/* By the clock of who leads, counted from when it applied the proposal. */
static void what_nobody_approves_expires(void **state)
{
    struct entry late = entry_of(ENTRY_APPROVE);

    (void)state;
    steady();
    two_needed(&w);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    late.actor = person("ben", APP);
    late.proposal = (struct entry_proposal){.id = id, .seen = id};
    late.wall_ms = mine()->expires_ms + 1;
    assert_int_equal(world_apply(&w, &late), REFUSE_EXPIRED);
    world_pass_ms(&w, APPROVAL_EXPIRES_MS - 1);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_string_equal(world_step(&w), "");
    world_pass_ms(&w, 1);
    assert_string_equal(world_step(&w), "proposal-expired");
    assert_string_equal(state_of(&w, id), "expired");
    assert_int_equal(approve(&w, person("ben", APP), id), REFUSE_PROPOSAL);
}

static void people_change_their_minds(void **state)
{
    (void)state;
    steady();
    two_needed(&w);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    assert_int_equal(say(&w, ENTRY_WITHDRAW, person("cora", OP), id), REFUSE_ROLE);
    assert_int_equal(say(&w, ENTRY_WITHDRAW, person("anna", OP), id), ACCEPTED);
    assert_string_equal(state_of(&w, id), "aborted");
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    assert_int_equal(say(&w, ENTRY_REJECT, person("eve", ROLE_VIEWER), id), REFUSE_ROLE);
    assert_int_equal(say(&w, ENTRY_REJECT, person("ben", APP), id), ACCEPTED);
    assert_string_equal(state_of(&w, id), "rejected");
    assert_non_null(strstr(mine()->outcome, "by ben: because"));
    assert_int_equal(approve(&w, person("ben", APP), id), REFUSE_PROPOSAL);
}

/* The table is bounded, and what is over gives way first. */
static void the_table_is_bounded(void **state)
{
    uint64_t first;

    (void)state;
    steady();
    two_needed(&w);
    for (unsigned i = 0; i < PROPOSAL_OPEN_MAX; i++)
        assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_FAILOVER, "", &id),
                         ACCEPTED);
    first = id - PROPOSAL_OPEN_MAX + 1;
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_FAILOVER, "", &id),
                     REFUSE_FULL);
    for (unsigned i = 0; i < 2 * PROPOSAL_MAX; i++) {
        id = w.s.proposals[w.s.proposal_count - 1].id;
        assert_int_equal(say(&w, ENTRY_WITHDRAW, person("anna", OP), id), ACCEPTED);
        assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_FAILOVER, "", &id),
                         ACCEPTED);
    }
    assert_int_equal(w.s.proposal_count, PROPOSAL_MAX);
    assert_string_equal(state_of(&w, first), "open");
}

/* What comes of it is on record with it. */
static void its_end_is_that_of_its_run(void **state)
{
    struct entry back = entry_of(ENTRY_RUN_ABORT);

    (void)state;
    steady();
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    assert_string_equal(world_step(&w), "approved-switchover");
    back.run_abort.run = world_group(&w)->run.id;
    (void)snprintf(back.run_abort.reason, TEXT_SIZE, "second thoughts");
    assert_int_equal(world_apply(&w, &back), ACCEPTED);
    assert_string_equal(state_of(&w, id), "aborted");
    assert_string_equal(mine()->outcome, "second thoughts");

    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_FAILOVER, "pg-west", &id),
                     ACCEPTED);
    assert_string_equal(world_step(&w), "approved-failover");
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "lead-under-lease");
    world_outcome(&w, WEST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_report(&w, WEST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "open-verified");
    assert_string_equal(state_of(&w, id), "done");
}

/* A move that began as a switchover goes on as a failover: it is one proposal. */
static void a_run_that_goes_on_is_the_same_proposal(void **state)
{
    (void)state;
    steady();
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    assert_string_equal(world_step(&w), "approved-switchover");
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_string_equal(state_of(&w, id), "running");
    assert_int_equal(mine()->run, world_group(&w)->run.id);
}

/* Approved while a promotion went nowhere: it is not begun against the one that came to its
 * end after all. */
static void what_was_asked_of_a_promotion_ends_with_it(void **state)
{
    (void)state;
    steady();
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_FAILOVER, "", &id), ACCEPTED);
    assert_string_equal(state_of(&w, id), "approved");
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_WRITE), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "lead-under-lease");
    world_outcome(&w, WEST, true);
    assert_string_equal(world_step(&w), "record-outcome");
    world_report(&w, WEST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "open-verified");
    assert_string_equal(state_of(&w, id), "stale");
}

/* One admin with a second factor skips approvals, and nothing else. */
static void break_glass_skips_approvals_alone(void **state)
{
    struct entry e = entry_of(ENTRY_PROPOSE);

    (void)state;
    steady();
    two_needed(&w);
    e.propose =
        (struct entry_propose){.kind = PROPOSAL_FAILOVER, .epoch = 1, .break_glass = true};
    (void)snprintf(e.propose.reason, TEXT_SIZE, "the house is on fire");
    e.actor = person("anna", OP | APP);
    assert_int_equal(world_apply(&w, &e), REFUSE_ROLE);
    e.actor = person("dirk", ADM);
    assert_int_equal(world_apply(&w, &e), REFUSE_FACTOR);
    e.actor.factor = FACTOR_TOTP;
    e.propose.reason[0] = '\0';
    assert_int_equal(world_apply(&w, &e), REFUSE_INVALID);
    (void)snprintf(e.propose.reason, TEXT_SIZE, "the house is on fire");
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_group(&w)->break_glass, 1);
    assert_int_equal(w.s.proposals[0].inform, ROLES_ALL);
    assert_string_equal(world_step(&w), "approved-failover");
    /* I2: all that it has done is to begin the fence. */
    assert_int_equal(world_activate(&w, WEST), REFUSE_UNPROVEN);
}

/* Whoever asks: promotion without proof, two active regions, a region outside of residency.
 * (An edit of the audit trail has no entry that could ask for it.) */
static void four_things_stay_impossible(void **state)
{
    struct actor all = person("root", ROLES_ALL);
    struct entry act = entry_of(ENTRY_ACTIVATE);

    (void)state;
    steady();
    all.factor = FACTOR_TOTP;
    /* Two active regions: no second activation without a fence, none of the same epoch. */
    act.actor = all;
    act.activate = (struct entry_activate){.epoch = 2, .instance = WEST};
    assert_int_equal(world_apply(&w, &act), REFUSE_PHASE);
    assert_int_equal(propose(&w, all, PROPOSAL_FAILOVER, "pg-west", &id), ACCEPTED);
    assert_string_equal(world_step(&w), "approved-failover");
    act.activate.epoch = 1;
    assert_int_equal(world_apply(&w, &act), REFUSE_STALE_EPOCH);
    /* Promotion without proof. */
    act.activate.epoch = 2;
    assert_int_equal(world_apply(&w, &act), REFUSE_UNPROVEN);
    /* Outside of residency: not proposed, and not activated. */
    steady();
    world_group(&w)->policy.residency_count = 1;
    (void)snprintf(world_group(&w)->policy.residency[0], NAME_SIZE, "eu");
    assert_int_equal(propose(&w, all, PROPOSAL_SWITCHOVER, "pg-west", &id),
                     REFUSE_RESIDENCY);
    assert_int_equal(propose(&w, all, PROPOSAL_FAILOVER, "pg-west", &id), REFUSE_RESIDENCY);
    assert_int_equal(propose(&w, all, PROPOSAL_ATTEST_LOSS, "pg-west", &id),
                     REFUSE_ALREADY_MEMBER);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), REFUSE_RESIDENCY);
}

/* Fewer than a move takes do not get round it by letting the group go, or by another file.
 */
static void the_way_round_takes_an_admin(void **state)
{
    struct entry e = entry_of(ENTRY_DETACH);

    (void)state;
    steady();
    two_needed(&w);
    e.actor = person("anna", OP | APP);
    assert_int_equal(world_apply(&w, &e), REFUSE_ROLE);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_SWITCHOVER, "pg-west", &id),
                     ACCEPTED);
    e.actor = person("dirk", ADM);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_string_equal(state_of(&w, id), "failed");
    e = entry_of(ENTRY_ATTACH);
    e.attach.active = WEST;
    e.actor = person("anna", OP | APP);
    assert_int_equal(world_apply(&w, &e), REFUSE_ROLE);
}

static void a_file_without_approvals_takes_an_admin(void **state)
{
    struct entry e = entry_of(ENTRY_DECLARE);

    (void)state;
    steady();
    two_needed(&w);
    e.declare.spec = *world_group(&w);
    e.actor = person("anna", OP);
    assert_int_equal(world_apply(&w, &e), ACCEPTED); /* the same file */
    e.declare.spec.policy.window_count = 0;
    memset(e.declare.spec.policy.windows, 0, sizeof e.declare.spec.policy.windows);
    assert_int_equal(world_apply(&w, &e), REFUSE_ROLE);
    e.actor = person("dirk", ADM);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

static void windows_make_sense(void **state)
{
    struct policy p;

    (void)state;
    steady();
    two_needed(&w);
    p = world_group(&w)->policy;
    assert_null(approval_windows_problem(&p));
    p.windows[0].days = 1;
    assert_non_null(strstr(approval_windows_problem(&p), "the last one must have"));
    p.windows[0].days = 0;
    p.windows[0].need[1].role = ROLE_VIEWER;
    assert_non_null(strstr(approval_windows_problem(&p), "takes operator"));
    p.windows[0].need_count = 0;
    assert_non_null(strstr(approval_windows_problem(&p), "one to four"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_policy_it_runs_at_once),
        cmocka_unit_test(nothing_runs_before_all_have_agreed),
        cmocka_unit_test(an_automatic_failover_asks_nobody),
        cmocka_unit_test(never_the_same_person_twice),
        cmocka_unit_test(all_at_the_socket_are_one),
        cmocka_unit_test(who_brings_it_no_closer_is_told),
        cmocka_unit_test(the_window_is_that_of_the_entry),
        cmocka_unit_test(what_has_become_worse_is_confirmed_anew),
        cmocka_unit_test(an_approval_of_what_it_was_counts_no_more),
        cmocka_unit_test(of_another_epoch_it_does_not_run),
        cmocka_unit_test(more_loss_is_another_question),
        cmocka_unit_test(a_new_leader_listens_first),
        cmocka_unit_test(what_nobody_approves_expires),
        cmocka_unit_test(people_change_their_minds),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(its_end_is_that_of_its_run),
        cmocka_unit_test(a_run_that_goes_on_is_the_same_proposal),
        cmocka_unit_test(what_was_asked_of_a_promotion_ends_with_it),
        cmocka_unit_test(break_glass_skips_approvals_alone),
        cmocka_unit_test(four_things_stay_impossible),
        cmocka_unit_test(the_way_round_takes_an_admin),
        cmocka_unit_test(a_file_without_approvals_takes_an_admin),
        cmocka_unit_test(windows_make_sense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
