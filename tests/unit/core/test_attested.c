/* Fence level 5: two people's word, which is no proof before a lease is counted out, and of
 * which anything that the log knows better makes nothing (I2, I4, I12); and the loss that
 * two people take (I8). */
#include "controller/core/decide_internal.h"
#include "tests/unit/core/people.h"

static struct world w;
static uint64_t id;

enum { OP = ROLE_OPERATOR, APP = ROLE_APPROVER, ADM = ROLE_ADMIN };

/* Where nothing proves but an agent's word, east's agent is gone, west could take over. */
static void stranded(void)
{
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.ungated_local = true;
    world_pass_ms(&w, 3000);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "");
}

static enum refusal two_say(enum proposal_kind kind, const char *whom)
{
    enum refusal r = propose(&w, person("anna", OP), kind, whom, &id);

    return r != ACCEPTED ? r : approve(&w, person("ben", APP), id);
}

/* The way out of what had none: the fence begins, and two people's word ends it. */
static void two_people_end_what_nobody_else_could(void **state)
{
    (void)state;
    stranded();
    assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-east"), ACCEPTED);
    assert_string_equal(state_of(&w, id), "approved");
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-attestation");
    assert_int_equal(world_group(&w)->run.proof, PROOF_ATTESTED);
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_string_equal(state_of(&w, id), "done");
}

/* Also behind a fence that is in force already, also where the file names other levels. */
static void behind_a_fence_that_waits(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.fence = FENCE_AGENT;
    assert_int_equal(world_fence(&w), ACCEPTED);
    world_pass_ms(&w, 3000);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "");
    assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-east"), ACCEPTED);
    assert_string_equal(world_step(&w), "proof-by-attestation");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
}

/* I4: people do not shorten the wait; nor does `ungated_local`, where expiry proves
 * nothing. */
static void the_lease_is_waited_for_all_the_same(void **state)
{
    for (int ungated = 0; ungated < 2; ungated++) {
        uint64_t wait;

        (void)state;
        world_steady(&w, SYNC_REQUIRED);
        world_group(&w)->policy.fence = FENCE_AGENT;
        world_group(&w)->policy.ungated_local = ungated;
        assert_int_equal(world_fence(&w), ACCEPTED);
        assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-east"), ACCEPTED);
        wait = lease_wait_ns(world_group(&w)->terms);
        world_report(&w, WEST, SERVER_STANDBY);
        w.now.ns = world_seen(&w)->instances[EAST].granted.ns + wait - 1;
        world_report(&w, WEST, SERVER_STANDBY);
        world_seen(&w)->instances[EAST].seen = (struct seen_instance){0};
        assert_string_equal(world_step(&w), "");
        w.now.ns++;
        assert_string_equal(world_step(&w), "proof-by-attestation");
    }
}

/* I2: of one person, of nobody, of another instance, fence, life: no proof. */
static void what_is_no_attestation_is_no_proof(void **state)
{
    enum { NOBODY, ONE, SAME, OPERATORS, OTHER, REBORN, FINE };

    (void)state;
    for (int what = NOBODY; what <= FINE; what++) {
        enum refusal got;

        stranded();
        if (what == ONE || what == SAME || what == OPERATORS)
            assert_int_equal(propose(&w, person("anna", ROLES_ALL), PROPOSAL_ATTEST_DEAD,
                                     "pg-east", &id),
                             ACCEPTED);
        if (what == SAME)
            assert_int_equal(approve(&w, person("anna", ADM), id), REFUSE_SAME_PERSON);
        if (what == OPERATORS) /* the second is an approver or an admin */
            assert_int_equal(approve(&w, person("cora", OP), id), REFUSE_ROLE);
        if (what == OTHER) {
            world_group(&w)->instances[WEST].proof.proven = 0;
            assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-west"), ACCEPTED);
        }
        if (what >= REBORN)
            assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-east"), ACCEPTED);
        if (what == REBORN) /* it came back since, as somebody else */
            assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
        if (what == OTHER)
            assert_int_equal(world_enrol(&w, WEST, 2), ACCEPTED);
        assert_int_equal(world_fence(&w), ACCEPTED);
        got = world_prove(&w, EAST, PROOF_ATTESTED, 1);
        if (got != (what == FINE ? ACCEPTED : REFUSE_UNPROVEN))
            fail_msg("%d: %s", what, refusal_name(got));
    }
}

/* A grant since says that it lives. */
static void a_grant_makes_it_void(void **state)
{
    (void)state;
    stranded();
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_ATTEST_DEAD, "pg-east", &id),
                     ACCEPTED);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_int_equal(approve(&w, person("ben", APP), id), REFUSE_CHANGED);
    assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-east"), ACCEPTED);
    assert_non_null(attested_dead(&w.s, world_group(&w), EAST));
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_null(attested_dead(&w.s, world_group(&w), EAST));
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_ATTESTED, 1), REFUSE_UNPROVEN);
}

/* It answers in the life that was said to be over: it says itself that its gate is closed.
 */
static void who_answers_is_not_dead(void **state)
{
    (void)state;
    stranded();
    assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-east"), ACCEPTED);
    assert_string_equal(world_step(&w), "silent-holder");
    world_report(&w, EAST, SERVER_PRIMARY);
    assert_string_equal(world_step(&w), "");
}

/* I12: a new life of the agent cannot speak for the former one, which holds the lease; two
 * people can, and then the new one may be granted. */
static void a_former_life_is_attested(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.fence = FENCE_AGENT;
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    world_pass_ms(&w, 3000);
    world_report(&w, EAST, SERVER_DOWN);
    world_seen(&w)->instances[EAST].seen.epoch = 0; /* its new life knows of none */
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "");
    assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-east"), ACCEPTED);
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-attestation");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_false(instance_holder_stands(&world_group(&w)->instances[EAST]));
}

/* It was wrong once in this fence: another word like it is no better. */
static void a_false_one_bars_the_next(void **state)
{
    struct entry f = entry_of(ENTRY_FALSE_PROOF);

    (void)state;
    stranded();
    assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-east"), ACCEPTED);
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-attestation");
    f.false_proof.proof = world_group(&w)->instances[EAST].proof.proven;
    f.false_proof.kind = PROOF_ATTESTED;
    (void)snprintf(f.false_proof.agent, NAME_SIZE, "pg-east");
    assert_int_equal(world_apply(&w, &f), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_ATTESTED, 1), REFUSE_UNPROVEN);
    assert_string_equal(world_step(&w), "");
}

/* Nothing to attest: proven, forming, detached, or with one person's second factor. */
static void where_there_is_nothing_to_attest(void **state)
{
    struct entry e = entry_of(ENTRY_PROPOSE);

    (void)state;
    stranded();
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_ATTEST_DEAD, "pg-west", &id),
                     REFUSE_PHASE);
    assert_int_equal(propose(&w, person("anna", APP), PROPOSAL_ATTEST_DEAD, "pg-east", &id),
                     REFUSE_ROLE);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_ATTEST_DEAD, "pg-x", &id),
                     REFUSE_UNKNOWN_INSTANCE);
    e.actor = person("dirk", ADM);
    e.actor.factor = FACTOR_TOTP;
    e.propose = (struct entry_propose){
        .kind = PROPOSAL_ATTEST_DEAD, .epoch = 1, .break_glass = true};
    (void)snprintf(e.propose.target, NAME_SIZE, "pg-east");
    (void)snprintf(e.propose.reason, TEXT_SIZE, "because");
    assert_int_equal(world_apply(&w, &e), REFUSE_INVALID);
    e = entry_of(ENTRY_DETACH);
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_ATTEST_DEAD, "pg-east", &id),
                     REFUSE_PHASE);
}

/* An attestation does not lie about for ever. */
static void it_expires(void **state)
{
    (void)state;
    stranded();
    assert_int_equal(two_say(PROPOSAL_ATTEST_DEAD, "pg-east"), ACCEPTED);
    world_group(&w)->paused = true;
    world_pass_ms(&w, APPROVAL_EXPIRES_MS);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "proposal-expired");
    assert_null(attested_dead(&w.s, world_group(&w), EAST));
}

/* ---- the loss --------------------------------------------------------------------------
 */

/* East is lost, and west is not in its set. */
static void set_is_lost(void)
{
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->sync_set = 1u << EAST;
    world_pass_ms(&w, 3000);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "");
}

/* I8: two people name who is to lead without the rest; only this one, only now. */
static void two_people_take_the_loss(void **state)
{
    (void)state;
    set_is_lost();
    world_seen(&w)->primary_lsn += 5000;
    assert_int_equal(two_say(PROPOSAL_ATTEST_LOSS, "pg-west"), ACCEPTED);
    assert_string_equal(world_step(&w), "silent-holder");
    assert_string_equal(world_step(&w), "proof-by-expiry");
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_string_equal(state_of(&w, id), "done");
    /* I9: it is forecast like any other one's. */
    assert_true(world_group(&w)->run.loss_forecast_known);
    assert_int_equal(world_group(&w)->run.loss_forecast_bytes, 5000);
}

static void one_person_takes_no_loss(void **state)
{
    (void)state;
    set_is_lost();
    assert_int_equal(propose(&w, person("dirk", ADM), PROPOSAL_ATTEST_LOSS, "pg-west", &id),
                     ACCEPTED);
    assert_string_equal(world_step(&w), "");
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_LEASE_EXPIRY, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), REFUSE_NOT_MEMBER);
}

/* What the old primary wrote since, nobody has taken upon himself. */
static void a_grant_makes_the_loss_void(void **state)
{
    (void)state;
    set_is_lost();
    assert_int_equal(two_say(PROPOSAL_ATTEST_LOSS, "pg-west"), ACCEPTED);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_LEASE_EXPIRY, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), REFUSE_NOT_MEMBER);
}

/* It is no proof. */
static void a_loss_proves_nothing(void **state)
{
    (void)state;
    set_is_lost();
    assert_int_equal(two_say(PROPOSAL_ATTEST_LOSS, "pg-west"), ACCEPTED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_ATTESTED, 1), REFUSE_UNPROVEN);
    assert_int_equal(world_activate(&w, WEST), REFUSE_UNPROVEN);
}

static void a_member_needs_no_attestation(void **state)
{
    (void)state;
    set_is_lost();
    world_group(&w)->sync_set = 1u << EAST | 1u << WEST;
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_ATTEST_LOSS, "pg-west", &id),
                     REFUSE_ALREADY_MEMBER);
    assert_int_equal(propose(&w, person("anna", OP), PROPOSAL_ATTEST_LOSS, "pg-east", &id),
                     REFUSE_ALREADY_ACTIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_people_end_what_nobody_else_could),
        cmocka_unit_test(behind_a_fence_that_waits),
        cmocka_unit_test(the_lease_is_waited_for_all_the_same),
        cmocka_unit_test(what_is_no_attestation_is_no_proof),
        cmocka_unit_test(a_grant_makes_it_void),
        cmocka_unit_test(who_answers_is_not_dead),
        cmocka_unit_test(a_former_life_is_attested),
        cmocka_unit_test(a_false_one_bars_the_next),
        cmocka_unit_test(where_there_is_nothing_to_attest),
        cmocka_unit_test(it_expires),
        cmocka_unit_test(two_people_take_the_loss),
        cmocka_unit_test(one_person_takes_no_loss),
        cmocka_unit_test(a_grant_makes_the_loss_void),
        cmocka_unit_test(a_loss_proves_nothing),
        cmocka_unit_test(a_member_needs_no_attestation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
