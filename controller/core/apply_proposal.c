/* Proposals and their approvals. Nobody is let through a door by them that would be closed
 * otherwise: what is approved is begun by an entry of its own, which apply() judges as any
 * other one (I1, I2, I8, residency). What is checked here is who has agreed, and to what.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/mutant.h"
#include "controller/base/text.h"
#include "controller/core/apply_internal.h"

/* ---- the table -------------------------------------------------------------------------
 */

static struct proposal *find(struct applying *a, uint64_t id)
{
    for (unsigned i = 0; i < a->s->proposal_count; i++)
        if (a->s->proposals[i].id == id &&
            strcmp(a->s->proposals[i].group, a->g->name) == 0)
            return &a->s->proposals[i];
    return NULL;
}

static bool is_of(const struct applying *a, const struct proposal *p)
{
    return strcmp(p->group, a->g->name) == 0 && !proposal_is_over(p);
}

/* What is over gives way, the oldest first. */
static bool make_room(struct state *s)
{
    unsigned at = 0;

    if (s->proposal_count < PROPOSAL_MAX)
        return true;
    while (at < s->proposal_count && !proposal_is_over(&s->proposals[at]))
        at++;
    if (at == s->proposal_count)
        return false;
    memmove(&s->proposals[at], &s->proposals[at + 1],
            (s->proposal_count - at - 1) * sizeof s->proposals[0]);
    memset(&s->proposals[--s->proposal_count], 0, sizeof s->proposals[0]);
    return true;
}

static unsigned open_of_group(const struct applying *a)
{
    unsigned n = 0;

    for (unsigned i = 0; i < a->s->proposal_count; i++)
        n += is_of(a, &a->s->proposals[i]);
    return n;
}

static void end(struct applying *a, struct proposal *p, enum proposal_state state,
                const char *outcome)
{
    p->state = state;
    text_set(p->outcome, sizeof p->outcome, "%s", outcome);
    a->g->index = a->index;
}

/* ---- who asks --------------------------------------------------------------------------
 */

/* By name and role as they were when the request was admitted. The shell has asked before:
 * this is the second time (a leader that was told nonsense proposes nonsense). */
static bool person_may(struct applying *a, uint8_t needed)
{
    const struct actor *who = &a->e->actor;
    char roles[ROLES_TEXT_SIZE], have[ROLES_TEXT_SIZE];

    if (who->kind == ACTOR_NONE || who->kind == ACTOR_ANONYMOUS || who->name[0] == '\0') {
        refuse(a, REFUSE_ROLE, "nobody is named whose request it is");
        return false;
    }
    if (role_allows(who->roles, needed))
        return true;
    roles_text(needed, roles);
    roles_text(who->roles, have);
    refuse(a, REFUSE_ROLE, "it takes the role %s; %s has: %s", roles, who->name, have);
    return false;
}

/* As whom somebody counts. Whoever comes by a Unix socket shows nothing but that he may
 * open it, and `root` and `uid 1000` may be one person: all of them are one (I2, level 5:
 * so of two who attest one at least is a user that was authenticated). */
static const char *counts_as(const struct actor *who)
{
    static const char socket[NAME_SIZE] = "root";

    return MUTANT(same_person_twice, who->kind == ACTOR_SOCKET, false) ? socket : who->name;
}

static void sign(struct applying *a, struct proposal *p)
{
    const struct actor *who = &a->e->actor;
    const char *name = counts_as(who);
    struct signer *s = &p->signers[p->signer_count];

    if (!MUTANT(same_person_twice, proposal_wants(p, name, who->roles),
                p->signer_count < NEED_MAX))
        return;
    memset(s, 0, sizeof *s);
    memcpy(s->name, name, NAME_SIZE);
    s->roles = who->roles;
    s->factor = (uint8_t)who->factor;
    s->wall_ms = a->e->wall_ms;
    p->signer_count++;
    if (proposal_lacks(p) == 0) {
        p->state = PROPOSED_APPROVED;
        p->outcome[0] = '\0';
    }
}

/* ---- proposing -------------------------------------------------------------------------
 */

/* Where `target` is needed, or named all the same. */
static void check_move(struct applying *a, uint8_t target)
{
    const struct entry_propose *p = &a->e->propose;
    const struct group *g = a->g;
    bool steady = g->phase == PHASE_STEADY;
    bool under_way = g->phase == PHASE_FENCING || g->phase == PHASE_PROMOTING;

    if (!steady && (p->kind != PROPOSAL_FAILOVER || !under_way))
        refuse(a, REFUSE_PHASE, "group %s is %s: a %s starts from steady", g->name,
               phase_name(g->phase), proposal_kind_name(p->kind));
    else if (steady && target == g->active)
        refuse(a, REFUSE_ALREADY_ACTIVE, "group %s is active in %s already", g->name,
               group_region_name(g, target));
    else if (target != NO_INSTANCE && !group_may_reside(g, target))
        refuse(a, REFUSE_RESIDENCY, "region %s carries none of the residency tags",
               group_region_name(g, target));
    else if (p->kind == PROPOSAL_SWITCHOVER && !group_may_lead(a->s, g, target))
        refuse(a, REFUSE_NOT_MEMBER, "%s is not in the sync set yet",
               g->instances[target].agent);
}

static void check_attestation(struct applying *a, uint8_t target)
{
    const struct entry_propose *p = &a->e->propose;
    const struct group *g = a->g;
    const struct instance *i = &g->instances[target];
    bool binding = g->policy.sync == SYNC_REQUIRED || g->policy.sync == SYNC_STRICT;

    if (g->phase == PHASE_FORMING || g->phase == PHASE_DETACHED)
        refuse(a, REFUSE_PHASE,
               "group %s is %s: nothing that is attested counts there (an instance that is "
               "gone is taken out of the file)",
               g->name, phase_name(g->phase));
    else if (p->kind == PROPOSAL_ATTEST_DEAD && instance_is_proven(a->s, i))
        refuse(a, REFUSE_PHASE, "%s is proven already, by %s", i->agent,
               proof_kind_name(i->proof.kind));
    else if (p->kind == PROPOSAL_ATTEST_LOSS && target == g->active)
        refuse(a, REFUSE_ALREADY_ACTIVE, "%s is the active instance: it misses nothing",
               i->agent);
    else if (p->kind == PROPOSAL_ATTEST_LOSS && binding && (g->sync_set & 1u << target))
        refuse(a, REFUSE_ALREADY_MEMBER,
               "%s is in the sync set: it misses nothing that was acknowledged", i->agent);
    else if (p->kind == PROPOSAL_ATTEST_LOSS && !group_may_reside(g, target))
        refuse(a, REFUSE_RESIDENCY, "region %s carries none of the residency tags",
               group_region_name(g, target));
}

/* One admin, with a second factor, instead of all who would have to agree; never instead of
 * a proof, so not for what people attest. */
static void check_break_glass(struct applying *a)
{
    if (proposal_is_attestation(a->e->propose.kind))
        refuse(a, REFUSE_INVALID,
               "an attestation takes two people: break-glass skips approvals, not proofs");
    else if (!person_may(a, ROLE_ADMIN))
        return;
    else if (a->e->actor.factor == FACTOR_NONE)
        refuse(a, REFUSE_FACTOR, "break-glass takes a second factor");
}

static void check_propose(struct applying *a, uint8_t target)
{
    const struct entry_propose *p = &a->e->propose;

    if (!person_may(a, ROLE_OPERATOR))
        return;
    if (p->kind == PROPOSAL_NONE)
        refuse(a, REFUSE_INVALID, "it does not say what is proposed");
    else if (p->reason[0] == '\0')
        refuse(a, REFUSE_INVALID, "reason: is missing: whoever approves reads it");
    else if (p->epoch != a->g->epoch)
        refuse(a, REFUSE_STALE_EPOCH, "the group moved to epoch %" PRIu64 " meanwhile",
               a->g->epoch);
    else if (target == NO_INSTANCE &&
             (p->target[0] != '\0' || p->kind != PROPOSAL_FAILOVER))
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "group %s has no instance '%s'", a->g->name,
               p->target);
    else if (proposal_is_attestation(p->kind))
        check_attestation(a, target);
    else
        check_move(a, target);
    if (a->result->refusal == ACCEPTED && p->break_glass)
        check_break_glass(a);
    if (a->result->refusal != ACCEPTED)
        return;
    if (open_of_group(a) >= PROPOSAL_OPEN_MAX)
        refuse(a, REFUSE_FULL,
               "%d proposals of group %s are open already: `ringfence proposals` lists "
               "them; approve, reject or abort one",
               PROPOSAL_OPEN_MAX, a->g->name);
}

/* The window of the time that the entry carries: no clock is read here. */
static void take_needs(struct applying *a, struct proposal *p)
{
    const struct approval_window *w = approval_window_at(&a->g->policy, a->e->wall_ms);

    p->wall_ms = a->e->wall_ms;
    p->expires_ms = p->wall_ms + (w != NULL ? w->expires_ms : APPROVAL_EXPIRES_MS);
    p->inform = w != NULL ? w->inform : 0;
    p->need_count = 1;
    p->need[0].role = ROLE_OPERATOR;
    if (proposal_is_attestation(p->kind)) {
        p->need_count = 2;
        p->need[1].role = ROLE_APPROVER;
    } else if (p->break_glass) {
        p->need[0].role = ROLE_ADMIN;
        p->inform = ROLES_ALL;
    } else if (w != NULL) {
        p->need_count = w->need_count;
        memcpy(p->need, w->need, sizeof p->need);
    }
}

/* What the log knows when it is said; what it learns since makes it void (proposal.h). */
static void note_subject(struct applying *a, struct proposal *p, uint8_t target)
{
    const struct group *g = a->g;
    uint8_t subject = p->kind == PROPOSAL_ATTEST_DEAD ? target : g->active;

    if (!proposal_is_attestation(p->kind))
        return;
    p->grant = g->instances[subject].proof.last_grant;
    if (!power_subject(a->s, g, subject, &p->life))
        memset(&p->life, 0, sizeof p->life);
}

void apply_propose(struct applying *a)
{
    const struct entry_propose *e = &a->e->propose;
    uint8_t target = e->target[0] != '\0' ? group_instance(a->g, e->target) : NO_INSTANCE;
    struct proposal *p;

    check_propose(a, target);
    if (a->result->refusal != ACCEPTED)
        return;
    if (!make_room(a->s)) {
        refuse(a, REFUSE_FULL, "%d proposals are open in all groups", PROPOSAL_MAX);
        return;
    }
    p = &a->s->proposals[a->s->proposal_count++];
    memset(p, 0, sizeof *p);
    p->id = p->asked = a->index;
    memcpy(p->group, a->g->name, NAME_SIZE);
    p->kind = e->kind;
    p->state = PROPOSED_OPEN;
    memcpy(p->target, e->target, NAME_SIZE);
    memcpy(p->reason, e->reason, TEXT_SIZE);
    memcpy(p->by, a->e->actor.name, NAME_SIZE);
    p->break_glass = e->break_glass;
    p->epoch = e->epoch;
    p->forecast = e->forecast;
    take_needs(a, p);
    note_subject(a, p, target);
    if (p->break_glass)
        a->g->break_glass++;
    sign(a, p);
    a->g->index = a->index;
}

/* ---- agreeing --------------------------------------------------------------------------
 */

static struct proposal *waiting(struct applying *a)
{
    struct proposal *p = find(a, a->e->proposal.id);

    if (p == NULL) {
        refuse(a, REFUSE_PROPOSAL,
               "group %s has no proposal %" PRIu64 "; `ringfence proposals` lists them",
               a->g->name, a->e->proposal.id);
        return NULL;
    }
    if (proposal_is_over(p) || p->state == PROPOSED_RUNNING) {
        refuse(a, REFUSE_PROPOSAL, "proposal %" PRIu64 " is %s%s%s", p->id,
               proposal_state_name(p->state), p->outcome[0] != '\0' ? ": " : "",
               p->outcome);
        return NULL;
    }
    return p;
}

/* An attestation to which the log has something to say since. */
static bool is_void(const struct applying *a, const struct proposal *p)
{
    uint8_t target = group_instance(a->g, p->target);
    uint8_t subject = p->kind == PROPOSAL_ATTEST_DEAD ? target : a->g->active;

    return proposal_is_attestation(p->kind) &&
           (target == NO_INSTANCE || p->epoch != a->g->epoch ||
            a->g->instances[subject].proof.last_grant != p->grant);
}

static void check_approve(struct applying *a, const struct proposal *p)
{
    const struct actor *who = &a->e->actor;
    bool attests = proposal_is_attestation(p->kind);
    char roles[ROLES_TEXT_SIZE];

    if (!person_may(a, attests ? ROLE_APPROVER : ROLE_OPERATOR | ROLE_APPROVER))
        return;
    roles_text(proposal_lacks(p), roles);
    if (p->state == PROPOSED_APPROVED)
        refuse(a, REFUSE_PROPOSAL, "proposal %" PRIu64 " is approved already", p->id);
    else if (a->e->wall_ms > p->expires_ms)
        refuse(a, REFUSE_EXPIRED, "proposal %" PRIu64 " has expired: make it anew", p->id);
    else if (a->e->proposal.seen != p->asked)
        refuse(a, REFUSE_CHANGED,
               "proposal %" PRIu64 " has changed since you looked: `ringfence proposals`",
               p->id);
    else if (is_void(a, p))
        refuse(a, REFUSE_CHANGED,
               "proposal %" PRIu64 " is void: since it was made %s was granted a lease, or "
               "the group has moved on; look again, and attest it anew",
               p->id, p->target);
    else if (MUTANT(same_person_twice, proposal_has_signed(p, counts_as(who)), false))
        refuse(a, REFUSE_SAME_PERSON,
               "%s has agreed to proposal %" PRIu64 " already: another person has to",
               who->name, p->id);
    else if (p->break_glass && who->factor == FACTOR_NONE)
        refuse(a, REFUSE_FACTOR, "break-glass takes a second factor");
    else if (MUTANT(same_person_twice, !proposal_wants(p, counts_as(who), who->roles),
                    false))
        refuse(a, REFUSE_ROLE, "proposal %" PRIu64 " still needs: %s; not %s's roles",
               p->id, roles, who->name);
}

void apply_approve(struct applying *a)
{
    struct proposal *p = waiting(a);

    if (p != NULL)
        check_approve(a, p);
    if (a->result->refusal != ACCEPTED)
        return;
    sign(a, p);
    a->g->index = a->index;
}

void apply_reject(struct applying *a)
{
    struct proposal *p = waiting(a);

    if (p == NULL || !person_may(a, ROLE_OPERATOR | ROLE_APPROVER))
        return;
    if (a->e->proposal.reason[0] == '\0') {
        refuse(a, REFUSE_INVALID, "reason: is missing: whoever proposed it reads it");
        return;
    }
    end(a, p, PROPOSED_REJECTED, "");
    text_set(p->outcome, sizeof p->outcome, "by %s: %s", a->e->actor.name,
             a->e->proposal.reason);
}

void apply_withdraw(struct applying *a)
{
    struct proposal *p = waiting(a);

    if (p == NULL || !person_may(a, ROLE_OPERATOR))
        return;
    if (strcmp(p->by, a->e->actor.name) != 0 && !role_allows(a->e->actor.roles, ROLE_ADMIN))
        refuse(a, REFUSE_ROLE,
               "proposal %" PRIu64 " is %s's: who made it withdraws it, or an admin; "
               "others reject it",
               p->id, p->by);
    if (a->result->refusal != ACCEPTED)
        return;
    end(a, p, PROPOSED_ABORTED, "");
    text_set(p->outcome, sizeof p->outcome, "withdrawn by %s", a->e->actor.name);
}

/* By the clock of who leads: nothing is begun by it, so it is believed. */
void apply_expire(struct applying *a)
{
    struct proposal *p = waiting(a);

    if (p != NULL)
        end(a, p, PROPOSED_EXPIRED,
            p->state == PROPOSED_APPROVED ? "approved, and it could not be begun in time"
                                          : "not approved in time");
}

/* What was approved is what runs: now it would be something else. */
void apply_stale(struct applying *a)
{
    struct proposal *p = waiting(a);

    if (p == NULL)
        return;
    if (p->state != PROPOSED_APPROVED || proposal_is_attestation(p->kind)) {
        refuse(a, REFUSE_PROPOSAL, "proposal %" PRIu64 " is %s", p->id,
               proposal_state_name(p->state));
        return;
    }
    if (a->e->proposal.epoch != a->g->epoch) {
        refuse(a, REFUSE_STALE_EPOCH, "the group moved to epoch %" PRIu64 " meanwhile",
               a->g->epoch);
        return;
    }
    end(a, p, PROPOSED_STALE, a->e->proposal.reason);
    p->asked = a->index;
    p->epoch = a->g->epoch;
    p->forecast = a->e->proposal.forecast;
    p->signer_count = 0;
    memset(p->signers, 0, sizeof p->signers);
}

/* ---- what comes of it ------------------------------------------------------------------
 */

void check_approved(struct applying *a, uint64_t id, enum proposal_kind kind,
                    uint8_t target)
{
    const struct proposal *p = find(a, id);
    const char *name = target != NO_INSTANCE ? a->g->instances[target].agent : "";

    if (id == 0 && a->g->policy.window_count != 0) {
        refuse(a, REFUSE_APPROVAL,
               "group %s has `approvals`: a %s is proposed, and begun when it is approved",
               a->g->name, proposal_kind_name(kind));
        return;
    }
    if (id == 0)
        return;
    if (p == NULL || p->state != PROPOSED_APPROVED || p->kind != kind ||
        strcmp(p->target, name) != 0)
        refuse(a, REFUSE_APPROVAL, "proposal %" PRIu64 " is not an approved %s%s%s", id,
               proposal_kind_name(kind), name[0] != '\0' ? " to " : "", name);
    else if (MUTANT(stale_runs, p->epoch != a->g->epoch, false))
        refuse(a, REFUSE_STALE_EPOCH, "proposal %" PRIu64 " was approved in epoch %" PRIu64,
               id, p->epoch);
}

void proposal_begins(struct applying *a, uint64_t id)
{
    struct proposal *p = id != 0 ? find(a, id) : NULL;

    if (p == NULL)
        return;
    p->state = PROPOSED_RUNNING;
    p->run = a->index;
}

void proposals_go_on(struct applying *a, uint64_t run)
{
    for (unsigned i = 0; run != 0 && i < a->s->proposal_count; i++)
        if (is_of(a, &a->s->proposals[i]) && a->s->proposals[i].run == run)
            a->s->proposals[i].run = a->index;
}

/* A failover that was asked for while a promotion went nowhere is another question once it
 * has come to its end. */
static void ask_anew(struct applying *a, struct proposal *p)
{
    if (p->kind != PROPOSAL_FAILOVER || p->epoch != a->g->epoch ||
        (p->state != PROPOSED_OPEN && p->state != PROPOSED_APPROVED))
        return;
    end(a, p, PROPOSED_STALE, "the group was opened since");
    p->asked = a->index;
    p->signer_count = 0;
    memset(p->signers, 0, sizeof p->signers);
}

void proposals_of_run_end(struct applying *a, const char *why)
{
    const struct run *run = &a->g->run;

    for (unsigned i = 0; i < a->s->proposal_count; i++) {
        struct proposal *p = &a->s->proposals[i];
        uint8_t target = group_instance(a->g, p->target);

        if (is_of(a, p) && run->result != RUN_ABORTED)
            ask_anew(a, p);
        if (!is_of(a, p) || p->run != run->id || p->state != PROPOSED_RUNNING)
            continue;
        if (run->result == RUN_ABORTED)
            end(a, p, PROPOSED_ABORTED, why);
        else if (run->result == RUN_DONE && (target == NO_INSTANCE || target == run->to))
            end(a, p, PROPOSED_DONE, why);
        else
            end(a, p, PROPOSED_FAILED, "the group was opened somewhere else");
    }
}

void proposals_activated(struct applying *a, uint8_t instance, uint64_t epoch_before)
{
    for (unsigned i = 0; i < a->s->proposal_count; i++) {
        struct proposal *p = &a->s->proposals[i];

        if (!is_of(a, p))
            continue;
        if (p->kind == PROPOSAL_FAILOVER && p->state == PROPOSED_APPROVED &&
            p->epoch == epoch_before) {
            p->state = PROPOSED_RUNNING; /* it was a word about a fence that is over now */
            p->run = a->g->run.id;
        } else if (p->kind == PROPOSAL_ATTEST_LOSS && p->state == PROPOSED_APPROVED &&
                   group_instance(a->g, p->target) == instance &&
                   p->epoch == epoch_before) {
            p->run = a->g->run.id;
            end(a, p, PROPOSED_DONE, "its target was activated");
        } else if (p->kind == PROPOSAL_ATTEST_DEAD && p->run == a->g->run.id &&
                   p->run != 0) {
            end(a, p, PROPOSED_DONE, "its target was taken for dead");
        } else if (proposal_is_attestation(p->kind)) {
            end(a, p, PROPOSED_EXPIRED, "the group has moved on to the next epoch");
        }
    }
}

void attestation_used(struct applying *a, uint8_t instance)
{
    const struct proposal *said = attested_dead(a->s, a->g, instance);
    struct proposal *p = said != NULL ? find(a, said->id) : NULL;

    if (p != NULL)
        p->run = a->g->run.id;
}

void proposals_drop(struct applying *a, const char *why)
{
    for (unsigned i = 0; i < a->s->proposal_count; i++)
        if (is_of(a, &a->s->proposals[i]))
            end(a, &a->s->proposals[i], PROPOSED_FAILED, why);
}

bool person_is_admin(struct applying *a)
{
    return a->g->policy.window_count == 0 || person_may(a, ROLE_ADMIN);
}

static bool same_windows(const struct policy *a, const struct policy *b)
{
    return a->window_count == b->window_count &&
           memcmp(a->windows, b->windows, a->window_count * sizeof a->windows[0]) == 0;
}

void check_windows(struct applying *a, const struct group *spec)
{
    const char *problem = approval_windows_problem(&spec->policy);

    if (a->result->refusal != ACCEPTED)
        return;
    if (problem != NULL)
        refuse(a, REFUSE_INVALID, "approvals: %s", problem);
    else if (a->g != NULL && !same_windows(&a->g->policy, &spec->policy))
        (void)person_is_admin(a);
}
