#include "tests/sim/approvals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "tests/sim/judge.h"
#include "tests/sim/plan.h"

enum { NEEDED = 2, BOOKS = 512, NAMES = 8 };

static const struct {
    const char *name;
    uint8_t roles;
} people[] = {{"anna", ROLE_OPERATOR},
              {"ben", ROLE_APPROVER},
              {"cora", ROLE_OPERATOR | ROLE_APPROVER},
              {"dirk", ROLE_ADMIN}};

/* What the log says of one proposal, as far as approvals go. */
static struct book {
    uint64_t id, epoch;
    uint8_t group;
    enum proposal_kind kind;
    char target[NAME_SIZE];
    bool break_glass;
    unsigned names;
    char name[NAMES][NAME_SIZE];
} books[BOOKS];
static unsigned book_count;

void approvals_begin(void) { book_count = 0; }

static uint64_t dice_of(uint64_t what)
{
    uint64_t x = (sim.opt.seed + 11) * UINT64_C(0x9e3779b97f4a7c15) + what;

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

bool approvals_are_needed(uint8_t group)
{
    return plan.people && dice_of(0xa90 + group) % 4 == 0;
}

bool approvals_like_to(uint8_t group)
{
    return plan.people &&
           (approvals_are_needed(group) || dice_of(sim.now + group) % 4 == 0);
}

void approvals_policy(uint8_t group, struct policy *p)
{
    uint64_t dice = dice_of(0xa91 + group);

    if (!approvals_are_needed(group))
        return;
    p->window_count = 1;
    p->windows[0] = (struct approval_window){
        .zone = ZONE_ZERO,
        .need_count = NEEDED,
        .expires_ms = (uint32_t)(2000 + dice % 8000),
    };
    p->windows[0].need[0].role = ROLE_OPERATOR;
    p->windows[0].need[1].role = ROLE_APPROVER;
}

/* ---- what they say ----------------------------------------------------------------------
 */

void approvals_sign(struct entry *e)
{
    e->actor = (struct actor){.kind = ACTOR_SOCKET, .roles = ROLES_ALL};
    snprintf(e->actor.name, NAME_SIZE, "root");
}

static void by(struct entry *e, uint64_t who)
{
    unsigned i = (unsigned)(who % ARRAY_LEN(people));

    e->actor = (struct actor){.kind = ACTOR_TOKEN, .roles = people[i].roles};
    snprintf(e->actor.name, NAME_SIZE, "%s", people[i].name);
    /* Dirk has his telephone with him. */
    if (people[i].roles == ROLE_ADMIN)
        e->actor.factor = FACTOR_TOTP;
}

static void begin(uint8_t group, enum entry_kind kind, struct entry *e)
{
    memset(e, 0, sizeof *e);
    e->kind = kind;
    snprintf(e->group, NAME_SIZE, "%s", group_name(group));
    snprintf(e->rule, RULE_SIZE, "operator");
}

void approvals_propose(uint8_t group, const struct state *s, enum proposal_kind kind,
                       uint8_t target, struct entry *e)
{
    const struct group *g = state_group_const(s, group_name(group));
    uint64_t dice = dice_of(sim.now ^ UINT64_C(0x77) << 40);

    begin(group, ENTRY_PROPOSE, e);
    by(e, dice % 4 == 1 ? 2 : 0);
    e->propose.kind = kind;
    e->propose.epoch = g != NULL ? g->epoch : 0;
    if (g != NULL && target < g->instance_count)
        memcpy(e->propose.target, g->instances[target].agent, NAME_SIZE);
    snprintf(e->propose.reason, TEXT_SIZE, "asked for");
    /* Of what would be lost they know nothing here; unknown becomes no worse. */
    if (dice % 16 == 5 && !proposal_is_attestation(kind)) {
        by(e, 3);
        e->propose.break_glass = true;
    }
}

bool approvals_speak(uint8_t group, const struct state *s, struct entry *e)
{
    uint64_t dice = dice_of(sim.now + 0x5b);
    unsigned skip = (unsigned)(dice >> 32) % 4;

    for (unsigned i = 0; i < s->proposal_count; i++) {
        const struct proposal *p = &s->proposals[i];

        if (strcmp(p->group, group_name(group)) != 0 || proposal_is_over(p) ||
            p->state == PROPOSED_RUNNING || p->state == PROPOSED_APPROVED || skip-- > 0)
            continue;
        /* While faults go on they take their time, and have doubts. */
        if (sim.noisy && dice % 3 == 0)
            return false;
        begin(group,
              sim.noisy && dice % 23 == 1   ? ENTRY_REJECT
              : sim.noisy && dice % 23 == 2 ? ENTRY_WITHDRAW
                                            : ENTRY_APPROVE,
              e);
        by(e, p->kind == PROPOSAL_ATTEST_DEAD && dice % 8 != 0 ? 1 + (dice >> 8) % 3
                                                               : dice >> 8);
        e->proposal.id = p->id;
        e->proposal.seen = dice % 13 == 0 ? p->id : p->asked;
        if (e->kind != ENTRY_APPROVE)
            snprintf(e->proposal.reason, TEXT_SIZE, "second thoughts");
        return true;
    }
    return false;
}

static bool is_asked(const struct state *s, const struct group *g, uint8_t k)
{
    for (unsigned i = 0; i < s->proposal_count; i++) {
        const struct proposal *p = &s->proposals[i];

        if (p->kind == PROPOSAL_ATTEST_DEAD && !proposal_is_over(p) &&
            p->epoch == g->epoch && p->grant == g->instances[k].proof.last_grant &&
            strcmp(p->group, g->name) == 0 && strcmp(p->target, g->instances[k].agent) == 0)
            return true;
    }
    return false;
}

bool approvals_attest(uint8_t group, const struct state *s, uint8_t silent, struct entry *e)
{
    const struct group *g = state_group_const(s, group_name(group));
    uint64_t dice = dice_of(sim.now + 0xdead + group);

    /* Behind a fence everybody looks at the one who keeps it waiting. */
    if (g == NULL || !plan.people || (g->phase != PHASE_FENCING && dice % 5 != 0))
        return false;
    for (uint8_t k = 0; k < g->instance_count; k++) {
        if ((silent & 1u << k) == 0 || instance_is_proven(s, &g->instances[k]) ||
            attested_dead(s, g, k) != NULL || is_asked(s, g, k))
            continue;
        approvals_propose(group, s, PROPOSAL_ATTEST_DEAD, k, e);
        return true;
    }
    return false;
}

/* ---- the judge --------------------------------------------------------------------------
 */

static struct book *book_of(uint64_t id)
{
    for (unsigned i = 0; i < book_count; i++)
        if (books[i].id == id)
            return &books[i];
    return NULL;
}

static void note_name(struct book *b, const char *name)
{
    for (unsigned i = 0; i < b->names; i++)
        if (strcmp(b->name[i], name) == 0)
            return;
    if (b->names < NAMES)
        snprintf(b->name[b->names++], NAME_SIZE, "%s", name);
}

static void note_proposal(uint8_t group, uint64_t index, const struct entry *e)
{
    struct book *b;

    if (book_count == BOOKS) /* the oldest ones are over for long */
        memmove(books, books + 1, --book_count * sizeof books[0]);
    b = &books[book_count++];
    *b = (struct book){.id = index,
                       .epoch = e->propose.epoch,
                       .group = group,
                       .kind = e->propose.kind,
                       .break_glass = e->propose.break_glass};
    memcpy(b->target, e->propose.target, NAME_SIZE);
    note_name(b, e->actor.name);
}

/* A move of a person's begins: as it was proposed, in the epoch that those saw who agreed,
 * and by as many as the group's file wants. */
static void judge_move(uint8_t group, const struct entry *e, const struct group *before)
{
    bool switches = e->kind == ENTRY_SWITCHOVER;
    uint64_t id = switches ? e->switchover.proposal : e->fence_begin.proposal;
    uint64_t epoch = switches ? e->switchover.epoch : e->fence_begin.epoch;
    const char *target = switches ? e->switchover.target_name : e->fence_begin.target_name;
    bool asked = switches || (e->fence_begin.requested && before->phase == PHASE_STEADY);
    unsigned needed = before->policy.window_count != 0 ? NEEDED : 1;
    const struct book *b = book_of(id);

    if (!asked)
        return;
    if (id == 0 && before->policy.window_count != 0)
        sim_fail("approvals: a move of group %s begins that nobody proposed",
                 group_name(group));
    if (id == 0 || b == NULL)
        return;
    if (b->group != group || strcmp(b->target, target) != 0 ||
        b->kind != (switches ? PROPOSAL_SWITCHOVER : PROPOSAL_FAILOVER))
        sim_fail("approvals: proposal %" PRIu64 " of group %s runs as something else", id,
                 group_name(group));
    else if (b->epoch != epoch)
        sim_fail("approvals: proposal %" PRIu64 " was approved in epoch %" PRIu64
                 " and runs in %" PRIu64,
                 id, b->epoch, epoch);
    else if (!b->break_glass && b->names < needed)
        sim_fail("approvals: proposal %" PRIu64 " of group %s runs by the word of %u", id,
                 group_name(group), b->names);
}

/* I2: by two people's word about this instance, in this epoch. */
static void judge_attested(uint8_t group, const struct entry *e, const struct group *before)
{
    const char *agent = before->instances[e->proof.instance].agent;

    for (unsigned i = 0; i < book_count; i++) {
        const struct book *b = &books[i];

        if (b->group == group && b->kind == PROPOSAL_ATTEST_DEAD && b->names >= NEEDED &&
            b->epoch == e->proof.epoch && strcmp(b->target, agent) == 0)
            return;
    }
    sim_fail("I2: %s is proven over by attestation for epoch %" PRIu64
             ", and no two people have said so",
             agent, e->proof.epoch);
}

void approvals_entry(uint8_t group, uint64_t index, const struct entry *e,
                     const struct group *before)
{
    struct book *b =
        book_of(e->kind == ENTRY_APPROVE || e->kind == ENTRY_STALE ? e->proposal.id : 0);

    if (e->kind == ENTRY_PROPOSE)
        note_proposal(group, index, e);
    if (e->kind == ENTRY_APPROVE && b != NULL)
        note_name(b, e->actor.name);
    if (e->kind == ENTRY_STALE && b != NULL) {
        b->names = 0;
        b->epoch = e->proposal.epoch;
    }
    if (before == NULL)
        return;
    if (e->kind == ENTRY_SWITCHOVER || e->kind == ENTRY_FENCE_BEGIN)
        judge_move(group, e, before);
    if (e->kind == ENTRY_PROOF && e->proof.kind == PROOF_ATTESTED)
        judge_attested(group, e, before);
}
