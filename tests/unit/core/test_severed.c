/* Fence level 2: who may prove what by refusing the log of the active instance, and what
 * that leaves open. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

enum { WITNESS_CTL = 2 }; /* by position: east, west, witness */

static void with_level(bool race)
{
    struct policy *p = &world_group(&w)->policy;

    p->no_async_writers = true;
    p->fence = FENCE_AGENT | FENCE_SYNC_SEVERED | FENCE_LEASE_EXPIRY;
    p->fence_turn_count = 3;
    p->fence_turns[0] = (struct fence_turn){FENCE_AGENT, false, 500};
    p->fence_turns[1] = (struct fence_turn){FENCE_SYNC_SEVERED, race, 0};
    p->fence_turns[2] = (struct fence_turn){FENCE_LEASE_EXPIRY, false, 0};
}

static void steady(void)
{
    world_steady(&w, SYNC_REQUIRED);
    with_level(false);
    world_report(&w, WEST, SERVER_STANDBY);
}

static void fenced(void)
{
    steady();
    assert_int_equal(world_fence(&w), ACCEPTED);
}

/* West's agent, in that life, has its server refuse east's log. */
static void says_severed(uint8_t number)
{
    struct incarnation by = life(WEST, number);

    observe_severed(&w.o, 0, WEST, world_group(&w)->fence_index, &by);
}

static unsigned orders(uint8_t *ret_instance)
{
    unsigned n = 0;

    (void)world_decide(&w);
    for (unsigned i = 0; i < w.actions.count; i++) {
        if (w.actions.list[i].kind != ACT_ORDER_SEVER)
            continue;
        *ret_instance = w.actions.list[i].instance;
        n++;
    }
    return n;
}

static struct entry proof_entry(void)
{
    struct entry e = entry_of(ENTRY_PROOF);

    e.proof = (struct entry_proof){.instance = EAST,
                                   .kind = PROOF_SYNC_SEVERED,
                                   .epoch = world_group(&w)->epoch,
                                   .fence_index = world_group(&w)->fence_index,
                                   .prover = life(EAST, 1),
                                   .witness = life(WEST, 1)};
    snprintf(e.proof.severed_by, NAME_SIZE, "pg-west");
    return e;
}

enum wrong {
    NOTHING,
    LEVEL,
    WORD,
    MODE,
    LOCAL,
    MEMBER,
    UNOPENED,
    OTHER_FENCE,
    OTHER_HOLDER,
    OTHER_WITNESS,
    OF_THE_STANDBY,
    BY_ITSELF,
    BY_NOBODY,
};

/* One thing is not as it should be, in the group or in what is offered. */
static struct entry proof_with(enum wrong wrong)
{
    struct group *g = world_group(&w);
    struct entry e = proof_entry();

    if (wrong == LEVEL)
        g->policy.fence = FENCE_AGENT | FENCE_LEASE_EXPIRY;
    g->policy.no_async_writers = wrong != WORD;
    g->policy.sync = wrong == MODE ? SYNC_PREFERRED : SYNC_REQUIRED;
    g->policy.ungated_local = wrong == LOCAL;
    if (wrong == MEMBER)
        g->sync_set = 1u << EAST;
    if (wrong == UNOPENED)
        g->opened_index = 0;
    e.proof.fence_index -= wrong == OTHER_FENCE;
    e.proof.prover = life(EAST, wrong == OTHER_HOLDER ? 2 : 1);
    e.proof.witness = life(WEST, wrong == OTHER_WITNESS ? 2 : 1);
    e.proof.instance = wrong == OF_THE_STANDBY ? WEST : EAST;
    if (wrong == BY_ITSELF)
        snprintf(e.proof.severed_by, NAME_SIZE, "pg-east");
    if (wrong == BY_NOBODY)
        snprintf(e.proof.severed_by, NAME_SIZE, "pg-gone");
    return e;
}

/* I2, I12: each thing that the proof rests on is asked for, whoever proposes it; and no
 * activation comes past one that is missing. */
static void a_proof_by_severing_is_of_set_lives_and_fence(void **state)
{
    static const struct {
        const char *name;
        enum wrong wrong;
        enum refusal expected;
    } table[] =
        {
            {"all is right", NOTHING, ACCEPTED},
            {"the group does not have the level", LEVEL, REFUSE_NOT_MEMBER},
            {"its owner does not say that no writer is asynchronous", WORD,
             REFUSE_NOT_MEMBER},
            {"the mode acknowledges without it", MODE, REFUSE_NOT_MEMBER},
            {"some clients have no gate", LOCAL, REFUSE_NOT_MEMBER},
            {"the set was shrunk before the fence", MEMBER, REFUSE_NOT_MEMBER},
            {"the primary is not opened", UNOPENED, REFUSE_NOT_MEMBER},
            {"a word that answers another fence", OTHER_FENCE, REFUSE_STALE_EPOCH},
            {"another life of the holder", OTHER_HOLDER, REFUSE_INCARNATION},
            {"another life of the standby's agent", OTHER_WITNESS, REFUSE_INCARNATION},
            {"of the standby", OF_THE_STANDBY, REFUSE_NOT_ACTIVE},
            {"by the primary itself", BY_ITSELF, REFUSE_NOT_MEMBER},
            {"by an agent that the group does not have", BY_NOBODY, REFUSE_NOT_MEMBER},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct entry e;
        enum refusal got;

        fenced();
        e = proof_with(row->wrong);
        got = world_apply(&w, &e);
        if (got != row->expected)
            fail_msg("%s: %s (%s)", row->name, refusal_name(got), w.result.text);
        if (row->wrong != MEMBER) /* then west could not be activated anyway */
            assert_int_equal(world_activate(&w, WEST),
                             got == ACCEPTED ? ACCEPTED : REFUSE_UNPROVEN);
    }
}

/* I3: a copy of the word that an earlier fence was answered with proves nothing in the next
 * one: the standby follows again since. */
static void a_word_of_an_earlier_fence_is_not_offered(void **state)
{
    struct incarnation by = life(WEST, 1);

    (void)state;
    fenced();
    observe_severed(&w.o, 0, WEST, world_group(&w)->fence_index - 1, &by);
    assert_string_equal(world_decide(&w), "");
    assert_int_equal(w.actions.held_count, 0);
    says_severed(1);
    assert_string_equal(world_decide(&w), "proof-by-severing");
    assert_int_equal(world_enrol(&w, WEST, 2), ACCEPTED);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_decide(&w), ""); /* its apply would refuse: another life */
}

/* An agent that answers is given its time; a silent one is not waited for, and nobody is
 * severed for nobody. */
static void a_member_is_severed_in_turn_and_for_somebody(void **state)
{
    uint8_t instance = NO_INSTANCE;

    (void)state;
    fenced();
    world_report(&w, EAST, SERVER_PRIMARY);
    assert_int_equal(orders(&instance), 0);
    world_pass_ms(&w, 500);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_int_equal(orders(&instance), 1);
    assert_int_equal(instance, WEST);

    steady();
    world_pass_ms(&w, 1500);
    world_report(&w, WEST, SERVER_STANDBY); /* east is silent */
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(orders(&instance), 1);
    world_report_unfit(&w, WEST, "its disk is full");
    assert_int_equal(orders(&instance), 0);

    world_steady(&w, SYNC_REQUIRED);
    with_level(true);
    assert_int_equal(world_fence(&w), ACCEPTED);
    world_report(&w, EAST, SERVER_PRIMARY);
    world_report(&w, WEST, SERVER_STANDBY);
    assert_int_equal(orders(&instance), 1); /* raced */
}

/* I12, I4: behind such a proof the lease may run on. Nothing is granted to another life of
 * the holder, the terms do not shrink, and it cannot be taken out of the group, until the
 * lease was counted out, which is logged (I11). */
static void the_lease_outlives_the_proof(void **state)
{
    struct group *g;
    struct entry e;

    (void)state;
    fenced();
    g = world_group(&w);
    g->policy.lease.ttl_ms = g->terms.ttl_ms / 2; /* of the next epoch */
    says_severed(1);
    assert_string_equal(world_step(&w), "proof-by-severing");
    assert_int_equal(g->run.proof, PROOF_SYNC_SEVERED);
    assert_string_equal(g->instances[EAST].severed_by, "pg-west");
    assert_true(instance_is_proven(&w.s, &g->instances[EAST]));
    assert_true(instance_holder_stands(&g->instances[EAST]));
    assert_string_equal(world_step(&w), "activate-behind-proofs");
    assert_int_equal(g->active, WEST);
    assert_true(g->terms.ttl_ms > g->policy.lease.ttl_ms);

    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_INSTALLED, 2), REFUSE_INCARNATION);
    world_pass_ms(&w, lease_wait_ns(g->terms) / NS_PER_MS + 1);
    e = entry_of(ENTRY_PROOF);
    e.proof = (struct entry_proof){.instance = EAST,
                                   .kind = PROOF_LEASE_EXPIRY,
                                   .epoch = g->epoch,
                                   .fence_index = g->instances[EAST].proof.proven - 1,
                                   .prover = life(EAST, 1)};
    assert_int_equal(world_apply(&w, &e), REFUSE_STALE_EPOCH);
    assert_string_equal(world_step(&w), "severed-lease-over");
    assert_false(instance_holder_stands(&g->instances[EAST]));
    assert_string_equal(g->instances[EAST].severed_by, "");
    assert_true(instance_is_proven(&w.s, &g->instances[EAST]));
    assert_int_equal(g->run.proof, PROOF_SYNC_SEVERED);
}

/* I2: an expiry that did not hold in this fence ends nothing the second time either. */
static void a_lease_that_was_not_over_is_not_counted_out_again(void **state)
{
    struct instance *east;
    struct entry e;

    (void)state;
    fenced();
    e = proof_entry();
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    east = &world_group(&w)->instances[EAST];
    east->false_kind = PROOF_LEASE_EXPIRY;
    east->false_epoch = world_group(&w)->epoch;
    east->false_index = world_group(&w)->fence_index + 1;
    e.proof = (struct entry_proof){.instance = EAST,
                                   .kind = PROOF_LEASE_EXPIRY,
                                   .epoch = world_group(&w)->epoch,
                                   .fence_index = east->proof.proven,
                                   .prover = life(EAST, 1)};
    assert_int_not_equal(world_apply(&w, &e), ACCEPTED);
    assert_true(instance_holder_stands(east));
    world_pass_ms(&w, lease_wait_ns(world_group(&w)->terms) / NS_PER_MS + 1);
    assert_string_not_equal(world_decide(&w), "severed-lease-over");
    east->false_kind = PROOF_NONE;
    assert_string_equal(world_decide(&w), "severed-lease-over");
}

/* I2: the level rests on it that every commit waits for the members. Where the holder has
 * said that it does without one, its lease has to run out. */
static void severing_proves_nothing_where_members_are_passed_by(void **state)
{
    uint8_t instance = NO_INSTANCE;

    (void)state;
    for (int passed_by = 0; passed_by <= 1; passed_by++) {
        steady();
        world_report(&w, EAST, SERVER_PRIMARY);
        world_seen(&w)->instances[EAST].seen.shrink = passed_by ? 1u << WEST : 0;
        world_pass_ms(&w, 1500); /* east is silent */
        world_report(&w, WEST, SERVER_STANDBY);
        assert_int_equal(world_fence(&w), ACCEPTED);
        assert_int_equal(orders(&instance), !passed_by);
        says_severed(1);
        if (passed_by)
            assert_string_not_equal(world_decide(&w), "proof-by-severing");
        else
            assert_string_equal(world_decide(&w), "proof-by-severing");
    }
}

/* A better proof takes its place within the fence, and it takes no better one's. */
static void a_severed_holder_may_prove_itself(void **state)
{
    struct entry e;

    (void)state;
    fenced();
    e = proof_entry();
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_false(instance_holder_stands(&world_group(&w)->instances[EAST]));
    assert_int_equal(world_apply(&w, &e), REFUSE_STALE_EPOCH);
}

/* A configuration tool sets primary_conninfo back, and the standby streams: the proof does
 * not hold, which is an alarm, and counts no more. An open gate is none: its lease runs. */
static void a_standby_that_streams_again_is_an_alarm(void **state)
{
    (void)state;
    fenced();
    says_severed(1);
    assert_string_equal(world_step(&w), "proof-by-severing");
    w.o.groups[0].instances[WEST].seen.server = SERVER_DOWN; /* nobody could take over */
    world_pass_ms(&w, 10);
    world_report(&w, EAST, SERVER_PRIMARY);
    snprintf(w.o.groups[0].instances[EAST].seen.gate_mode, 16, "open");
    w.o.groups[0].instances[WEST].seen.streaming = false;
    assert_string_not_equal(world_decide(&w), "proof-contradicted");
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_step(&w), "proof-contradicted");
    assert_false(instance_is_proven(&w.s, &world_group(&w)->instances[EAST]));
    says_severed(1);
    assert_string_not_equal(world_decide(&w), "proof-by-severing");
}

/* ---- evidence --------------------------------------------------------------------------
 */

static void hang_up(uint8_t ctl, bool refused)
{
    (void)observe_link(&w.o, &w.s, "pg-east", ctl, true, w.now);
    (void)observe_link(&w.o, &w.s, "pg-east", ctl, false, w.now);
    w.o.groups[0].instances[EAST].probes[ctl] =
        (struct seen_probe){.at = w.now, .refused = refused};
}

/* Two regions, none of them the holder's own; both the link and the server; the level; and
 * nothing from the holder since. */
static void a_holder_that_is_gone_is_fenced_at_once(void **state)
{
    enum what { ALL, ONE_REGION, ITS_OWN, NO_REFUSAL, NO_LEVEL, RENEWED, LATER };
    static const struct {
        const char *name;
        enum what how;
        const char *expected;
    } table[] =
        {
            {"two regions", ALL, "holder-gone"},
            {"one region", ONE_REGION, ""},
            {"its own region's word is no second one", ITS_OWN, ""},
            {"only its agent has gone", NO_REFUSAL, ""},
            {"the group does not have the level", NO_LEVEL, ""},
            {"it has renewed since", RENEWED, ""},
            {"failover_after is not over", LATER, ""},
        },
      *row;

    (void)state;
    EACH (row, table) {
        const char *got;

        steady();
        if (row->how == NO_LEVEL)
            world_group(&w)->policy.fence = FENCE_AGENT | FENCE_LEASE_EXPIRY;
        world_group(&w)->policy.failover_after_ms = row->how == LATER ? 50 : 0;
        hang_up(WITNESS_CTL, row->how != NO_REFUSAL);
        if (row->how != ONE_REGION)
            hang_up(row->how == ITS_OWN ? EAST : WEST, row->how != NO_REFUSAL);
        world_pass_ms(&w, 5);
        if (row->how == RENEWED) {
            world_pass_ms(&w, 150);
            assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
        }
        world_report(&w, WEST, SERVER_STANDBY);
        got = world_decide(&w);
        if (strcmp(got, row->expected) != 0)
            fail_msg("%s: '%s'", row->name, got);
    }
}

/* Packets are dropped, so nothing hangs up: half of the lease without a renewal, and two
 * regions that hear nothing of the server since. */
static void a_holder_that_is_not_heard_is_fenced_by_half_its_lease(void **state)
{
    struct seen_probe *probes;
    uint64_t half;

    (void)state;
    steady();
    half = lease_wait_ns(world_group(&w)->terms) / NS_PER_MS / 2;
    world_group(&w)->policy.probe_ms = 100;
    probes = w.o.groups[0].instances[EAST].probes;
    world_pass_ms(&w, half - 1);
    probes[WEST] = probes[WITNESS_CTL] = (struct seen_probe){.at = w.now};
    world_report(&w, WEST, SERVER_STANDBY);
    assert_string_equal(world_decide(&w), "");
    world_pass_ms(&w, 2);
    assert_string_equal(world_decide(&w), "holder-gone");
    probes[WEST].answered = true; /* the server is well, its agent is not */
    assert_string_equal(world_decide(&w), "");
}

/* What it needs is named where it is missing, before anything depends on it. */
static void a_declaration_says_what_the_level_needs(void **state)
{
    static const struct {
        const char *says;
        enum sync_mode sync;
        bool word, local, expiry;
    } table[] =
        {
            {NULL, SYNC_REQUIRED, true, false, true},
            {NULL, SYNC_STRICT, true, false, true},
            {"`sync: required`", SYNC_PREFERRED, true, false, true},
            {"`sync: required`", SYNC_OFF, true, false, true},
            {"`no_async_writers: true`", SYNC_REQUIRED, false, false, true},
            {"`ungated_local: true`", SYNC_REQUIRED, true, true, true},
            {"`lease_expiry`", SYNC_REQUIRED, true, false, false},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct entry e = entry_of(ENTRY_DECLARE);
        struct policy *p = &e.declare.spec.policy;
        enum refusal got;

        world_steady(&w, SYNC_REQUIRED);
        with_level(false);
        e.declare.spec = *world_group(&w);
        p->sync = row->sync;
        p->no_async_writers = row->word;
        p->ungated_local = row->local;
        if (!row->expiry) {
            p->fence = FENCE_AGENT | FENCE_SYNC_SEVERED;
            p->fence_turn_count = 2;
        }
        got = world_apply(&w, &e);
        if (got != (row->says == NULL ? ACCEPTED : REFUSE_INVALID) ||
            (row->says != NULL && strstr(w.result.text, row->says) == NULL))
            fail_msg("%s: %s (%s)", row->says != NULL ? row->says : "all",
                     refusal_name(got), w.result.text);
    }
}

/* `why` says whether it would work now. */
static void why_says_whether_it_would_work(void **state)
{
    static struct explanation why;

    (void)state;
    steady();
    for (unsigned round = 0; round < 2; round++) {
        unsigned i = 0;

        explain(&w.s, &w.o, 0, w.now, &why);
        while (i < why.count && strcmp(why.list[i].name, "severing-open") != 0)
            i++;
        assert_true(i < why.count);
        assert_int_equal(why.list[i].holds, round == 0);
        if (round == 1)
            assert_non_null(strstr(why.list[i].value, "nobody is waited for"));
        world_group(&w)->sync_set = 1u << EAST;
    }
}

/* The same for doctor, status and metrics: by the log everywhere, by agents at the leader.
 */
static void whether_it_would_work_is_told(void **state)
{
    static const struct {
        const char *name, *why;
        enum severing is;
    } rows[] = {
        {"all well", "", SEVERING_OPEN},
        {"level not listed", "", SEVERING_ABSENT},
        {"detached", "", SEVERING_ABSENT},
        {"agent silent", "no agent", SEVERING_CLOSED},
        {"agent silent, not the leader", "does not lead", SEVERING_UNKNOWN},
        {"alone in the set", "nobody is waited for", SEVERING_CLOSED},
        {"alone in the set, not the leader", "nobody is waited for", SEVERING_CLOSED},
        {"passed by", "do not wait", SEVERING_CLOSED},
        {"not open", "not open yet", SEVERING_CLOSED},
        {"no lease", "no lease", SEVERING_CLOSED},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct group *g;
        const char *why = NULL;
        enum severing is;

        steady();
        world_report(&w, EAST, SERVER_PRIMARY);
        g = world_group(&w);
        if (strcmp(rows[i].name, "level not listed") == 0)
            g->policy.fence = FENCE_AGENT | FENCE_LEASE_EXPIRY;
        if (strcmp(rows[i].name, "detached") == 0)
            g->phase = PHASE_DETACHED;
        if (strncmp(rows[i].name, "agent silent", 12) == 0)
            w.o.agents[WEST].connected = false;
        if (strncmp(rows[i].name, "alone", 5) == 0)
            g->sync_set = 1u << EAST;
        if (strstr(rows[i].name, "not the leader") != NULL) {
            w.o.leading = false;
            w.o.agents[WEST].connected = false;
        }
        if (strcmp(rows[i].name, "passed by") == 0) {
            w.o.groups[0].instances[EAST].seen.epoch = g->epoch;
            w.o.groups[0].instances[EAST].seen.shrink = 1u << WEST;
        }
        if (strcmp(rows[i].name, "not open") == 0)
            g->opened_index = g->activated_index;
        if (strcmp(rows[i].name, "no lease") == 0)
            g->instances[EAST].holder_epoch = g->epoch - 1;
        is = group_severing(&w.s, &w.o, 0, w.now, &why);
        if (is != rows[i].is || why == NULL || strstr(why, rows[i].why) == NULL ||
            (is == SEVERING_OPEN && why[0] != '\0'))
            fail_msg("%s: %d, %s", rows[i].name, (int)is, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proof_by_severing_is_of_set_lives_and_fence),
        cmocka_unit_test(a_word_of_an_earlier_fence_is_not_offered),
        cmocka_unit_test(a_member_is_severed_in_turn_and_for_somebody),
        cmocka_unit_test(the_lease_outlives_the_proof),
        cmocka_unit_test(a_lease_that_was_not_over_is_not_counted_out_again),
        cmocka_unit_test(severing_proves_nothing_where_members_are_passed_by),
        cmocka_unit_test(a_severed_holder_may_prove_itself),
        cmocka_unit_test(a_standby_that_streams_again_is_an_alarm),
        cmocka_unit_test(a_holder_that_is_gone_is_fenced_at_once),
        cmocka_unit_test(a_holder_that_is_not_heard_is_fenced_by_half_its_lease),
        cmocka_unit_test(a_declaration_says_what_the_level_needs),
        cmocka_unit_test(why_says_whether_it_would_work),
        cmocka_unit_test(whether_it_would_work_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
