/* apply() keeps the invariants whoever proposes: I1, I2, I4, I8, I12. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

static struct world w;

/* I2: no proof, no promotion; each way in which a proof can be missing or stale. */
static void activation_needs_a_proof_of_every_other_instance(void **state)
{
    static const struct {
        const char *name;
        bool fence, prove;
        enum proof_kind kind;
        uint8_t life;
        enum refusal expected_proof, expected;
    } table[] =
        {
            {"no fence_begin", false, false, PROOF_NONE, 1, ACCEPTED, REFUSE_PHASE},
            {"fence_begin alone", true, false, PROOF_NONE, 1, ACCEPTED, REFUSE_UNPROVEN},
            {"agent's word", true, true, PROOF_AGENT, 1, ACCEPTED, ACCEPTED},
            {"counted out", true, true, PROOF_LEASE_EXPIRY, 1, ACCEPTED, ACCEPTED},
            {"agent of another life", true, true, PROOF_AGENT, 2, REFUSE_INCARNATION,
             REFUSE_UNPROVEN},
            {"expiry of another life", true, true, PROOF_LEASE_EXPIRY, 2,
             REFUSE_INCARNATION, REFUSE_UNPROVEN},
            {"installed is no fence", true, true, PROOF_INSTALLED, 1, REFUSE_PHASE,
             REFUSE_UNPROVEN},
            {"a human's word", true, true, PROOF_ATTESTED, 1, REFUSE_UNPROVEN,
             REFUSE_UNPROVEN},
            {"power, not among its levels", true, true, PROOF_POWER, 1, REFUSE_INVALID,
             REFUSE_UNPROVEN},
            {"proof before fence_begin", false, true, PROOF_AGENT, 1, REFUSE_STALE_EPOCH,
             REFUSE_PHASE},
        },
      *row;

    (void)state;
    EACH (row, table) {
        enum refusal got;

        world_steady(&w, SYNC_REQUIRED);
        if (row->fence)
            assert_int_equal(world_fence(&w), ACCEPTED);
        if (row->prove &&
            (got = world_prove(&w, EAST, row->kind, row->life)) != row->expected_proof)
            fail_msg("%s: proof: %s", row->name, refusal_name(got));
        got = world_activate(&w, WEST);
        if (got != row->expected)
            fail_msg("%s: %s", row->name, refusal_name(got));
        assert_int_equal(world_group(&w)->epoch, got == ACCEPTED ? 2 : 1);
    }
}

/* I4: after fence_begin nothing is renewed and the set stays, for every instance. */
static void after_fence_begin_nothing_is_granted(void **state)
{
    struct entry shrink = entry_of(ENTRY_SYNC_SHRINK);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.standby_reads = true;
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_READ), ACCEPTED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), REFUSE_FENCED);
    assert_int_equal(world_renew(&w, WEST, 1, LEASE_READ), REFUSE_FENCED);
    shrink.sync = (struct entry_sync){
        .epoch = 1,
        .instance = WEST,
        .generation = world_group(&w)->sync_generation,
        .holder = life(EAST, 1),
    };
    assert_int_equal(world_apply(&w, &shrink), REFUSE_FENCED);
}

/* A renewal between decision and commit makes fence_begin void. */
static void a_renewal_in_between_stops_the_fence(void **state)
{
    struct entry fence = entry_of(ENTRY_FENCE_BEGIN);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    fence.fence_begin = (struct entry_fence_begin){
        .epoch = 1,
        .run = RUN_FAILOVER,
        .target = NO_INSTANCE,
        .expected_grant = world_group(&w)->instances[EAST].proof.last_grant,
    };
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_int_equal(world_apply(&w, &fence), REFUSE_RENEWED);
    assert_int_equal(world_group(&w)->phase, PHASE_STEADY);
    assert_int_equal(world_group(&w)->fence_index, 0);
}

/* I1: of all instances, kinds and lives only one may hold a write lease. */
static void only_the_active_instance_gets_a_write_lease(void **state)
{
    (void)state;
    for (uint8_t instance = EAST; instance <= WEST; instance++)
        for (uint8_t number = 1; number <= 2; number++)
            for (int kind = LEASE_NONE; kind <= LEASE_READ; kind++)
                for (int reads = 0; reads <= 1; reads++) {
                    enum refusal got;
                    bool write = kind == LEASE_WRITE && instance == EAST && number == 1;
                    bool read =
                        kind == LEASE_READ && instance == WEST && number == 1 && reads;

                    world_steady(&w, SYNC_REQUIRED);
                    world_group(&w)->policy.standby_reads = reads;
                    got = world_renew(&w, instance, number, (enum lease_kind)kind);
                    assert_int_equal(got == ACCEPTED, write || read);
                }
}

/* I12: another life of the holder gets nothing until the first one's lease is proven over,
 * and its own clean gate proves nothing about it. */
static void a_new_life_waits_for_the_old_ones_lease(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_int_equal(world_renew(&w, EAST, 2, LEASE_WRITE), REFUSE_INCARNATION);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), REFUSE_INCARNATION);
    assert_int_equal(world_prove(&w, EAST, PROOF_INSTALLED, 2), REFUSE_PHASE);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 2), REFUSE_INCARNATION);
    assert_int_equal(world_prove(&w, EAST, PROOF_LEASE_EXPIRY, 1), ACCEPTED);
    /* Now the same region may go on under its new life, at a new epoch. */
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
    assert_int_equal(world_renew(&w, EAST, 2, LEASE_WRITE), ACCEPTED);
}

/* The same region without a proof of itself: the old life's lease still blocks the new. */
static void the_targets_own_old_lease_blocks_its_new_life(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_int_equal(world_renew(&w, EAST, 2, LEASE_WRITE), REFUSE_INCARNATION);
}

/* I12: two agents of one name are found out when the first one comes back. */
static void a_replaced_life_never_comes_back(void **state)
{
    (void)state;
    world_init(&w);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_int_equal(world_enrol(&w, EAST, 1), REFUSE_INCARNATION);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_int_equal(w.s.agents[0].lives, 2);
}

/* A proof by an agent is void when another life is enrolled before the activation. */
static void an_agents_word_dies_with_its_life(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_enrol(&w, EAST, 2), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), REFUSE_UNPROVEN);
    assert_int_equal(world_prove(&w, EAST, PROOF_LEASE_EXPIRY, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
}

/* I8: who may be promoted, by mode and membership. */
static void only_a_member_is_promoted_where_the_mode_binds(void **state)
{
    (void)state;
    for (int mode = SYNC_OFF; mode <= SYNC_STRICT; mode++)
        for (int member = 0; member <= 1; member++) {
            bool binds = mode == SYNC_REQUIRED || mode == SYNC_STRICT;
            enum refusal expected = binds && !member ? REFUSE_NOT_MEMBER : ACCEPTED;

            world_steady(&w, (enum sync_mode)mode);
            if (!member) /* set by hand: `strict` has no entry that would do it */
                world_group(&w)->sync_set = 1u << EAST;
            assert_int_equal(world_fence(&w), ACCEPTED);
            assert_int_equal(world_prove(&w, EAST, PROOF_LEASE_EXPIRY, 1), ACCEPTED);
            assert_int_equal(world_activate(&w, WEST), expected);
            /* The way back is open to a candidate in every mode. */
            if (expected != ACCEPTED)
                assert_int_equal(world_activate(&w, EAST), ACCEPTED);
        }
}

/* I8: the set keeps its candidates from activation to `opened`; the fenced primary may be
 * the next target. */
static void candidates_stay_until_opened(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    assert_int_equal(world_group(&w)->sync_set, 3);
    /* West never comes up: fence it, and activate east again. */
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
    assert_int_equal(world_group(&w)->epoch, 3);
}

static void ungated_local_clients_make_the_set_at_activation(void **state)
{
    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.ungated_local = true;
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_LEASE_EXPIRY, 1), REFUSE_INVALID);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    assert_int_equal(world_group(&w)->sync_set, 1u << WEST);
}

/* I8: a member leaves at the request of the life that holds the lease, never in strict. */
static void a_member_leaves_only_by_the_holders_request(void **state)
{
    static const struct {
        const char *name;
        enum sync_mode mode;
        uint8_t instance, life;
        int generation; /* added to the current one */
        enum refusal expected;
    } table[] =
        {
            {"asked by the holder", SYNC_REQUIRED, WEST, 1, 0, ACCEPTED},
            {"preferred too", SYNC_PREFERRED, WEST, 1, 0, ACCEPTED},
            {"strict never", SYNC_STRICT, WEST, 1, 0, REFUSE_SYNC_MODE},
            {"off has no set", SYNC_OFF, WEST, 1, 0, REFUSE_SYNC_MODE},
            {"another life", SYNC_REQUIRED, WEST, 2, 0, REFUSE_INCARNATION},
            {"the active itself", SYNC_REQUIRED, EAST, 1, 0, REFUSE_UNKNOWN_INSTANCE},
            {"decided on an older set", SYNC_REQUIRED, WEST, 1, -1, REFUSE_GENERATION},
            {"no such instance", SYNC_REQUIRED, 4, 1, 0, REFUSE_UNKNOWN_INSTANCE},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct entry e = entry_of(ENTRY_SYNC_SHRINK);
        enum refusal got;

        world_steady(&w, row->mode);
        e.sync.epoch = 1;
        e.sync.instance = row->instance;
        e.sync.generation = world_group(&w)->sync_generation + (uint64_t)row->generation;
        e.sync.holder = life(EAST, row->life);
        got = world_apply(&w, &e);
        if (got != row->expected)
            fail_msg("%s: %s", row->name, refusal_name(got));
    }
}

/* A join counts only for the step and the generation that found it flushed. */
static void a_stale_join_is_refused(void **state)
{
    struct entry shrink = entry_of(ENTRY_SYNC_SHRINK), join = entry_of(ENTRY_SYNC_JOIN);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    shrink.sync = (struct entry_sync){.epoch = 1,
                                      .instance = WEST,
                                      .generation = world_group(&w)->sync_generation,
                                      .holder = life(EAST, 1)};
    join.sync = (struct entry_sync){
        .epoch = 1, .instance = WEST, .step = world_group(&w)->instances[EAST].step.id};
    assert_int_equal(world_apply(&w, &shrink), ACCEPTED);
    join.sync.generation = world_group(&w)->sync_generation;
    /* The step that once let west in was of an older generation. */
    assert_int_equal(world_apply(&w, &join), REFUSE_STEP);
    join.sync.generation--;
    assert_int_equal(world_apply(&w, &join), REFUSE_GENERATION);
}

/* I1: epochs outlive the group that used them. */
static void a_removed_group_leaves_its_epoch_behind(void **state)
{
    struct entry remove = entry_of(ENTRY_REMOVE), detach = entry_of(ENTRY_DETACH);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    assert_int_equal(world_apply(&w, &remove), REFUSE_PHASE);
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    assert_int_equal(world_apply(&w, &remove), ACCEPTED);
    assert_int_equal(w.s.group_count, 0);
    world_declare(&w, SYNC_REQUIRED);
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
    assert_int_equal(world_group(&w)->epoch, 2);
}

/* I2: detaching voids every proof; taking back begins unproven. */
static void attach_starts_unproven(void **state)
{
    struct entry detach = entry_of(ENTRY_DETACH), attach = entry_of(ENTRY_ATTACH);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    attach.attach.active = EAST;
    assert_int_equal(world_apply(&w, &attach), REFUSE_PHASE);
    assert_int_equal(world_apply(&w, &detach), ACCEPTED);
    assert_int_equal(world_renew(&w, EAST, 1, LEASE_WRITE), REFUSE_PHASE);
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), REFUSE_INVALID);
    assert_int_equal(world_apply(&w, &attach), ACCEPTED);
    assert_int_equal(world_activate(&w, EAST), REFUSE_UNPROVEN);
    assert_int_equal(world_prove(&w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), REFUSE_NOT_DECLARED);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
}

/* I1: a server has one group, whatever name it goes by. */
static void a_server_belongs_to_one_group(void **state)
{
    struct entry e;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    e = entry_of(ENTRY_DECLARE);
    e.declare.spec = *world_group(&w);
    snprintf(e.declare.spec.name, NAME_SIZE, "billing");
    snprintf(e.group, NAME_SIZE, "billing");
    assert_int_equal(world_apply(&w, &e), REFUSE_OTHER_GROUP);
    e.declare.spec.instances[EAST].port = 5433;
    e.declare.spec.instances[WEST].port = 5433;
    assert_int_equal(world_apply(&w, &e), REFUSE_OTHER_GROUP); /* the same directory */
    snprintf(e.declare.spec.instances[EAST].data, PATH_SIZE, "/srv/b");
    snprintf(e.declare.spec.instances[WEST].data, PATH_SIZE, "/srv/b");
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
}

/* A second declaration may not move the group, nor a server under it. */
static void declaring_again_moves_nothing(void **state)
{
    static const struct {
        const char *name;
        uint8_t active;
        uint16_t port;
        uint32_t ttl;
        enum refusal expected;
    } table[] =
        {
            {"the same", EAST, 5432, 1000, ACCEPTED},
            {"another active region", WEST, 5432, 1000, REFUSE_ACTIVE_DIFFERS},
            {"another port", EAST, 5433, 1000, REFUSE_FIXED},
            {"a TTL that breaks the rule", EAST, 5432, 700, REFUSE_INVALID},
        },
      *row;

    (void)state;
    EACH (row, table) {
        struct entry e;
        enum refusal got;

        world_steady(&w, SYNC_REQUIRED);
        e = entry_of(ENTRY_DECLARE);
        e.declare.spec = *world_group(&w);
        e.declare.spec.active = row->active;
        e.declare.spec.instances[EAST].port = row->port;
        e.declare.spec.policy.lease.ttl_ms = row->ttl;
        got = world_apply(&w, &e);
        if (got != row->expected)
            fail_msg("%s: %s: %s", row->name, refusal_name(got), w.result.text);
        if (got == REFUSE_FIXED) /* with two instances none can be taken out */
            assert_non_null(strstr(w.result.text, "`ringfence remove orders`"));
    }
}

/* I4: within an epoch terms only widen; a shorter TTL waits for the next. */
static void terms_shrink_only_with_a_new_epoch(void **state)
{
    struct entry e;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    e = entry_of(ENTRY_DECLARE);
    e.declare.spec = *world_group(&w);
    e.declare.spec.policy.lease.ttl_ms = 3000;
    e.declare.spec.policy.renew_ms = 300;
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_group(&w)->terms.ttl_ms, 3000);
    e.declare.spec.policy.lease.ttl_ms = 1000;
    e.declare.spec.policy.renew_ms = 150;
    assert_int_equal(world_apply(&w, &e), ACCEPTED);
    assert_int_equal(world_group(&w)->terms.ttl_ms, 3000);
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), ACCEPTED);
    assert_int_equal(world_group(&w)->terms.ttl_ms, 1000);
}

/* I11: before fence_begin a switchover goes back, after it only forward. */
static void a_switchover_goes_back_only_before_its_fence(void **state)
{
    struct entry sw = entry_of(ENTRY_SWITCHOVER), abort_run = entry_of(ENTRY_RUN_ABORT);

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    sw.switchover = (struct entry_switchover){.target = WEST, .epoch = 1};
    assert_int_equal(world_apply(&w, &sw), ACCEPTED);
    abort_run.run_abort.run = world_group(&w)->run.id;
    assert_int_equal(world_apply(&w, &abort_run), ACCEPTED);
    assert_int_equal(world_apply(&w, &abort_run), REFUSE_RUN);
    assert_int_equal(world_apply(&w, &sw), ACCEPTED);
    assert_int_equal(world_fence(&w), ACCEPTED);
    abort_run.run_abort.run = world_group(&w)->run.id;
    assert_int_equal(world_apply(&w, &abort_run), REFUSE_PHASE);
}

static void residency_keeps_a_group_at_home(void **state)
{
    struct group *g;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    g = world_group(&w);
    g->policy.residency_count = 1;
    snprintf(g->policy.residency[0], NAME_SIZE, "eu");
    g->regions[EAST].tag_count = 1;
    snprintf(g->regions[EAST].tags[0], NAME_SIZE, "eu");
    assert_int_equal(world_fence(&w), ACCEPTED);
    assert_int_equal(world_prove(&w, EAST, PROOF_AGENT, 1), ACCEPTED);
    assert_int_equal(world_activate(&w, WEST), REFUSE_RESIDENCY);
    assert_int_equal(world_activate(&w, EAST), ACCEPTED);
}

/* The dry run says what the real one would, and changes nothing. */
static void a_dry_run_changes_nothing(void **state)
{
    static struct state scratch, before;
    struct entry e = entry_of(ENTRY_DETACH);
    struct apply_result r;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    before = w.s;
    apply_dry(&w.s, &e, &scratch, &r);
    assert_int_equal(r.refusal, ACCEPTED);
    assert_memory_equal(&before, &w.s, sizeof before);
}

/* ---- random entries -------------------------------------------------------------------
 */

static uint64_t seed = 4711;

static uint32_t dice(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static void throw_proposal(struct entry *e, uint32_t r)
{
    const struct group *g = world_group(&w);
    uint8_t active = g->active;

    if (e->kind == ENTRY_FENCE_BEGIN)
        e->fence_begin =
            (struct entry_fence_begin){.epoch = g->epoch - (r >> 3) % 2,
                                       .run = r & 1 ? RUN_FAILOVER : RUN_SWITCHOVER,
                                       .target = NO_INSTANCE};
    else if (e->kind == ENTRY_ACTIVATE)
        e->activate = (struct entry_activate){.epoch = group_next_epoch(g),
                                              .instance = (uint8_t)(r % 3)};
    else if (e->kind == ENTRY_OPENED)
        e->opened = (struct entry_opened){.epoch = g->epoch, .instance = r & 1};
    else if (e->kind == ENTRY_SYNC_SHRINK || e->kind == ENTRY_SYNC_JOIN)
        e->sync = (struct entry_sync){.epoch = g->epoch,
                                      .instance = (uint8_t)(r % 3),
                                      .generation = g->sync_generation,
                                      .step = g->instances[active].step.id,
                                      .holder = g->instances[active].proof.holder};
}

static void throw_request(struct entry *e, uint32_t r)
{
    const struct group *g = world_group(&w);

    if (e->kind == ENTRY_STEP_START)
        e->step_start = (struct entry_step_start){.instance = r & 1,
                                                  .kind = (enum step_kind)(r >> 1 & 7),
                                                  .epoch = g->epoch,
                                                  .subject = r >> 4 & 1,
                                                  .restart = r >> 5 & 1};
    else if (e->kind == ENTRY_STEP_END)
        e->step_end = (struct entry_step_end){
            .instance = r & 1, .step = g->instances[r & 1].step.id, .done = r >> 1 & 1};
    else if (e->kind == ENTRY_SWITCHOVER)
        e->switchover =
            (struct entry_switchover){.target = (uint8_t)(r % 3), .epoch = g->epoch};
    else if (e->kind == ENTRY_RUN_ABORT)
        e->run_abort.run = g->run.id;
    else if (e->kind == ENTRY_ATTACH)
        e->attach.active = (uint8_t)(r % 3);
}

/* Kinds that the world has calls of its own for; true if that is all. */
static bool throw_call(enum entry_kind kind, uint32_t r)
{
    uint8_t lives = (uint8_t)w.s.agents[r & 1].lives;

    if (kind == ENTRY_ENROL && r % 8 == 0)
        world_enrol(&w, r & 1, (uint8_t)(lives + 1));
    else if (kind == ENTRY_RENEW)
        world_renew(&w, r & 1, lives, (enum lease_kind)(r >> 1 & 3));
    else if (kind == ENTRY_PROOF)
        world_prove(&w, r & 1, (enum proof_kind)(1 + (r >> 1) % 3),
                    (uint8_t)(lives - (r >> 4 & 1)));
    return kind == ENTRY_ENROL || kind == ENTRY_RENEW || kind == ENTRY_PROOF ||
           kind == ENTRY_NONE || kind == ENTRY_REFUSED || kind == ENTRY_CONTROLLER ||
           kind == ENTRY_CONTROLLER_REPLACE || kind == ENTRY_CORRUPTION ||
           kind == ENTRY_DECLARE || kind == ENTRY_REMOVE ||
           (kind == ENTRY_DETACH && r % 16 != 0);
}

/* cmocka goes byte by byte, which takes a state of half a megabyte nine tenths of the test.
 */
static bool same_bytes(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size) == 0;
}

/* 200,000 entries, sensible and not: no state breaks an invariant (asserted in
 * world_apply), and a refusal leaves all but `applied` as it was. */
static void no_sequence_of_entries_breaks_an_invariant(void **state)
{
    static struct state before;

    (void)state;
    world_steady(&w, SYNC_REQUIRED);
    world_group(&w)->policy.standby_reads = true;
    for (unsigned n = 0; n < 200000; n++) {
        uint32_t r = dice();
        struct entry e = entry_of((enum entry_kind)(r % ENTRY_KIND_COUNT));

        r >>= 5;
        if (throw_call(e.kind, r))
            continue;
        throw_proposal(&e, r);
        throw_request(&e, r);
        before = w.s;
        if (world_apply(&w, &e) != ACCEPTED) {
            before.applied = w.s.applied;
            if (!same_bytes(&before, &w.s, sizeof before))
                assert_memory_equal(&before, &w.s, sizeof before);
        }
    }
    assert_true(world_group(&w)->epoch > 100); /* it really went round */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activation_needs_a_proof_of_every_other_instance),
        cmocka_unit_test(after_fence_begin_nothing_is_granted),
        cmocka_unit_test(a_renewal_in_between_stops_the_fence),
        cmocka_unit_test(only_the_active_instance_gets_a_write_lease),
        cmocka_unit_test(a_new_life_waits_for_the_old_ones_lease),
        cmocka_unit_test(the_targets_own_old_lease_blocks_its_new_life),
        cmocka_unit_test(a_replaced_life_never_comes_back),
        cmocka_unit_test(an_agents_word_dies_with_its_life),
        cmocka_unit_test(only_a_member_is_promoted_where_the_mode_binds),
        cmocka_unit_test(candidates_stay_until_opened),
        cmocka_unit_test(ungated_local_clients_make_the_set_at_activation),
        cmocka_unit_test(a_member_leaves_only_by_the_holders_request),
        cmocka_unit_test(a_stale_join_is_refused),
        cmocka_unit_test(a_removed_group_leaves_its_epoch_behind),
        cmocka_unit_test(attach_starts_unproven),
        cmocka_unit_test(a_server_belongs_to_one_group),
        cmocka_unit_test(declaring_again_moves_nothing),
        cmocka_unit_test(terms_shrink_only_with_a_new_epoch),
        cmocka_unit_test(a_switchover_goes_back_only_before_its_fence),
        cmocka_unit_test(residency_keeps_a_group_at_home),
        cmocka_unit_test(a_dry_run_changes_nothing),
        cmocka_unit_test(no_sequence_of_entries_breaks_an_invariant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
