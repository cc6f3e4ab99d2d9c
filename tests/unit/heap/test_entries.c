/* The reservation that precedes a proposal (layout.md), for each kind of entry, on a
 * controller of one with a real store. The world of the core's tests says what is proposed:
 * its apply() is a proposal here. The first entry of each kind is proposed again and again,
 * its nth allocation failing each time, until none fails:
 *
 *     refused with ERR_NOMEM   the state is as it was, to the bit
 *     the node stops           with a sentence; opened again, it is as before or after the
 *                              entry, to the bit
 *     told of                  the state is as after the entry, to the bit
 */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

#include "proto/snapshot_codec.h"
#include "tests/unit/base/tree.h"
#include "tests/unit/daemon/node_of_one.h"
#include "tests/unit/heap/heap.h"

enum { NTH_MAX = 3000 };

static struct {
    struct world w;
    struct node_of_one one;
    char dir[TREE_PATH], kept[TREE_PATH + 8]; /* the node's; a copy from before the entry */
    bool tried[ENTRY_KIND_COUNT];
    struct entry entry;
    struct state before, after, wanted;
    unsigned refused, stopped, applied;
} t;

void __real_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret);
void __wrap_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret);

/* ---- an entry -------------------------------------------------------------------------
 */

/* What people's clock said is not compared. */
static void forget_wall_clock(struct state *s)
{
    for (unsigned i = 0; i < s->group_count; i++) {
        struct run *run = &s->groups[i].run;

        run->fence_wall_ms = run->proof_wall_ms = run->activate_wall_ms = 0;
        run->open_wall_ms = 0;
    }
    for (unsigned i = 0; i < s->proposal_count; i++) {
        struct proposal *p = &s->proposals[i];

        p->wall_ms = p->expires_ms = 0;
        for (unsigned k = 0; k < p->signer_count; k++)
            p->signers[k].wall_ms = 0;
    }
}

static void take_state(struct state *ret)
{
    *ret = *node_state(t.one.node);
    forget_wall_clock(ret);
}

/* To the bit of what a snapshot says. */
static bool is(const struct state *now, const struct state *other)
{
    AUTO(buf_free) struct buf x = {0};
    AUTO(buf_free) struct buf y = {0};
    struct err err = {0};

    if (snapshot_encode(now, &x, &err) != 0 || snapshot_encode(other, &y, &err) != 0)
        fail_msg("%s", err.text);
    return x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

/* Opened again with memory: the entry is there as a whole, or not at all. */
static void assert_whole_or_nothing(void)
{
    static struct state now;

    one_close(&t.one);
    one_lead(&t.one);
    take_state(&now);
    assert_true(is(&now, &t.before) || is(&now, &t.wanted));
}

/* True when no allocation failed; then the entry is applied. */
static bool propose_with(long nth)
{
    struct err err = {0};
    bool failed;
    int status;

    heap_fail_nth(nth);
    status = one_propose(&t.one, &t.entry, &err);
    heap_hold();
    failed = heap_failed();
    one_settle(&t.one);
    take_state(&t.after);
    if (status != 0 && (status != ERR_NOMEM || !failed))
        fail_msg("%s, allocation %ld: %s", entry_kind_name(t.entry.kind), nth, err.text);
    if (status != 0) /* also where the node has to stop over it */
        assert_true(is(&t.after, &t.before));
    if (t.one.fatal) {
        assert_true(failed);
        assert_non_null(strstr(t.one.why.text, "memory"));
        assert_whole_or_nothing();
        t.stopped++;
    } else if (status != 0) {
        t.refused++;
    } else {
        assert_int_equal(t.one.status, 0);
        assert_true(is(&t.after, &t.wanted));
        t.applied++;
    }
    return !failed;
}

/* From the copy of before, until none fails. */
static void try_each(void)
{
    long nth = 1;

    one_close(&t.one);
    tree_copy(t.dir, t.kept);
    one_lead(&t.one);
    take_state(&t.before);
    while (true) {
        struct apply_result ignored;
        unsigned refused = t.refused;

        t.wanted = t.before;
        __real_apply(&t.wanted, node_applied(t.one.node) + 1, &t.entry, &ignored);
        forget_wall_clock(&t.wanted);
        if (propose_with(nth++))
            break;
        assert_true(nth < NTH_MAX);
        if (t.refused != refused)
            continue; /* nothing has happened: the same node goes on */
        one_close(&t.one);
        tree_copy(t.kept, t.dir);
        one_lead(&t.one);
        take_state(&t.before);
    }
    assert_true(nth > 5);
    print_message("%s: %ld allocations\n", entry_kind_name(t.entry.kind), nth - 2);
}

/* What the node would refuse is refused, and never an entry. */
static void propose(enum refusal verdict)
{
    struct err err = {0};

    if (verdict == ACCEPTED)
        one_apply(&t.one, &t.entry);
    else
        assert_int_equal(one_propose(&t.one, &t.entry, &err), ERR_REFUSED);
}

void __wrap_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret)
{
    struct apply_result verdict;

    if (s != &t.w.s) {
        __real_apply(s, index, e, ret);
        return;
    }
    t.entry = *e;
    node_dry(t.one.node, &t.entry, &verdict);
    if (verdict.refusal == ACCEPTED && !t.tried[e->kind])
        try_each();
    else
        propose(verdict.refusal);
    t.tried[e->kind] = t.tried[e->kind] || verdict.refusal == ACCEPTED;
    *s = *node_state(t.one.node);
    *ret = verdict.refusal == ACCEPTED ? t.one.result : verdict;
}

/* ---- all kinds ------------------------------------------------------------------------
 */

static void take(const struct entry *e)
{
    if (world_apply(&t.w, e) != ACCEPTED)
        fail_msg("%s: %s", entry_kind_name(e->kind), t.w.result.text);
}

static void take_kind(enum entry_kind kind)
{
    struct entry e = entry_of(kind);

    take(&e);
}

static void shrink(void)
{
    struct entry e = entry_of(ENTRY_SYNC_SHRINK);

    e.sync = (struct entry_sync){.epoch = world_group(&t.w)->epoch,
                                 .instance = WEST,
                                 .generation = world_group(&t.w)->sync_generation,
                                 .holder = life(EAST, 1)};
    take(&e);
}

static void note(void)
{
    struct entry corruption = entry_of(ENTRY_CORRUPTION);
    struct entry refused = entry_of(ENTRY_REFUSED);

    corruption.corruption.failures = 3;
    snprintf(corruption.corruption.agent, NAME_SIZE, "pg-west");
    take(&corruption);
    snprintf(refused.refused.text, TEXT_SIZE, "nobody may");
    take(&refused);
}

/* A proof that did not hold, and who has seen that. */
static void contradict(void)
{
    struct entry e = entry_of(ENTRY_FALSE_PROOF), seen = entry_of(ENTRY_ACKNOWLEDGE);

    assert_int_equal(world_prove(&t.w, EAST, PROOF_AGENT, 1), ACCEPTED);
    snprintf(e.false_proof.agent, NAME_SIZE, "pg-east");
    e.false_proof.proof = world_group(&t.w)->instances[EAST].proof.proven;
    e.false_proof.kind = PROOF_AGENT;
    take(&e);
    snprintf(seen.acknowledge.reason, TEXT_SIZE, "a gate was flushed");
    take(&seen);
}

static void run(void)
{
    struct entry sw = entry_of(ENTRY_SWITCHOVER), back = entry_of(ENTRY_RUN_ABORT);

    sw.switchover =
        (struct entry_switchover){.target = WEST, .epoch = world_group(&t.w)->epoch};
    take(&sw);
    back.run_abort.run = world_group(&t.w)->run.id;
    take(&back);
}

static void replace(void)
{
    struct entry e = entry_of(ENTRY_CONTROLLER_REPLACE);
    struct entry_controller_replace *r = &e.controller_replace;

    e.group[0] = '\0';
    snprintf(r->name, NAME_SIZE, "west");
    r->id = 7;
    r->former = 2;
    take(&e);
}

static struct entry of_anna(enum entry_kind kind)
{
    struct entry e = entry_of(kind);

    e.group[0] = '\0';
    snprintf(e.user.name, NAME_SIZE, "anna"); /* each body about users begins with it */
    return e;
}

static void people(void)
{
    struct entry set = of_anna(ENTRY_USER_SET), token = of_anna(ENTRY_USER_TOKEN),
                 totp = of_anna(ENTRY_USER_TOTP), used = of_anna(ENTRY_FACTOR_USED),
                 failed = of_anna(ENTRY_FACTOR_FAILED), unlock = of_anna(ENTRY_USER_UNLOCK),
                 revoke = of_anna(ENTRY_USER_REVOKE), gone = of_anna(ENTRY_USER_REMOVE);

    set.user_set.roles = ROLE_ADMIN;
    memset(token.user_token.hash, 7, TOKEN_HASH_SIZE);
    memset(totp.user_totp.seed, 8, SEED_SEALED_SIZE);
    used.factor_used.factor = FACTOR_TOTP;
    used.factor_used.step = 60000000;
    take(&set);
    take(&token);
    take(&totp);
    take(&used);
    take(&failed);
    take(&unlock);
    take(&revoke);
    take(&gone);
}

static struct entry by_anna(enum entry_kind kind)
{
    struct entry e = entry_of(kind);
    uint8_t n = t.w.s.proposal_count;

    e.actor = (struct actor){.kind = ACTOR_TOKEN, .roles = ROLES_ALL};
    snprintf(e.actor.name, NAME_SIZE, "anna");
    if (kind == ENTRY_PROPOSE) {
        e.propose.kind = PROPOSAL_FAILOVER;
        e.propose.epoch = world_group(&t.w)->epoch;
        snprintf(e.propose.reason, TEXT_SIZE, "because");
        return e;
    }
    e.proposal.id = t.w.s.proposals[n - 1].id;
    e.proposal.seen = t.w.s.proposals[n - 1].asked;
    e.proposal.epoch = world_group(&t.w)->epoch;
    snprintf(e.proposal.reason, TEXT_SIZE, "because");
    return e;
}

/* Approved at once, stale, approved again, withdrawn; two more meet another end. */
static void proposals(void)
{
    static const enum entry_kind kinds[] = {ENTRY_PROPOSE,  ENTRY_STALE,   ENTRY_APPROVE,
                                            ENTRY_WITHDRAW, ENTRY_PROPOSE, ENTRY_REJECT,
                                            ENTRY_PROPOSE,  ENTRY_EXPIRE};

    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        struct entry e = by_anna(kinds[i]);

        take(&e);
    }
}

static void each_kind_is_applied_whole_or_not_at_all(void **state)
{
    struct entry attach = entry_of(ENTRY_ATTACH);

    (void)state;
    world_steady(&t.w, SYNC_REQUIRED);
    note();
    run();
    shrink();
    take_kind(ENTRY_PAUSE);
    take_kind(ENTRY_RESUME);
    take_kind(ENTRY_DETACH);
    attach.attach.active = EAST;
    take(&attach);
    take_kind(ENTRY_DETACH);
    take_kind(ENTRY_REMOVE);
    replace();
    one_close(&t.one);
    assert_int_equal(tree_remove(t.dir), 0);
    /* Another one: what is fenced is detached only once it is active again. */
    one_lead(&t.one);
    world_steady(&t.w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&t.w), ACCEPTED);
    contradict();
    people();
    proposals();
    for (int kind = 1; kind < ENTRY_KIND_COUNT; kind++)
        if (!t.tried[kind])
            fail_msg("%s has not been tried", entry_kind_name((enum entry_kind)kind));
    print_message("%u refused, %u stopped, %u applied\n", t.refused, t.stopped, t.applied);
    assert_true(t.refused > 0);
    assert_true(t.stopped > 0);
}

static int begin(void **state)
{
    (void)state;
    tree_make(t.dir, "/dev/shm");
    snprintf(t.kept, sizeof t.kept, "%s.kept", t.dir);
    heap_spare_libraft();
    one_begin(&t.one, t.dir);
    t.one.may_stop = true;
    one_lead(&t.one);
    return 0;
}

static int end(void **state)
{
    (void)state;
    heap_fail_nth(0);
    one_end(&t.one);
    return tree_remove(t.kept) != 0 || tree_remove(t.dir) != 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_applied_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
