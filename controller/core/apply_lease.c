/* Who may hold a lease, and what proves that it no longer does: I2, I3, I4, I12. */
#include "controller/core/apply_internal.h"

#include <inttypes.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/mutant.h"

void apply_controller(struct applying *a)
{
    const struct controller *c = &a->e->controller;
    struct state *s = a->s;

    for (unsigned i = 0; i < s->controller_count; i++) {
        if (s->controllers[i].id == c->id) {
            s->controllers[i] = *c;
            return;
        }
        if (strcmp(s->controllers[i].name, c->name) == 0) {
            refuse(a, REFUSE_NAME_TAKEN,
                   "controller %s is known with id %" PRIu64 ", not %" PRIu64
                   ": compare the files of all controllers",
                   c->name, s->controllers[i].id, c->id);
            return;
        }
    }
    if (s->controller_count == CONTROLLER_MAX) {
        refuse(a, REFUSE_FULL, "%d controllers are known already", CONTROLLER_MAX);
        return;
    }
    s->controllers[s->controller_count++] = *c;
    if (c->id > s->controller_id_max)
        s->controller_id_max = c->id;
}

/* The record stays where it is (observations go by position) until the new one announces
 * itself; the name, so that the old id is refused from now on. Who votes is the business of
 * the consensus below, which follows this record one step at a time. */
void apply_controller_replace(struct applying *a)
{
    const struct entry_controller_replace *r = &a->e->controller_replace;
    struct state *s = a->s;
    struct controller *c = NULL;

    for (unsigned i = 0; i < s->controller_count; i++)
        if (strcmp(s->controllers[i].name, r->name) == 0)
            c = &s->controllers[i];
    if (c == NULL || c->id != r->former) {
        refuse(a, REFUSE_INVALID,
               "there is no controller %s with id %" PRIu64
               "; `ringfence status` lists them",
               r->name, r->former);
        return;
    }
    if (r->id <= s->controller_id_max) {
        refuse(a, REFUSE_ID_USED,
               "id %" PRIu64 " may have been used before, and an id is never used again: "
               "give the new controller one above %" PRIu64,
               r->id, s->controller_id_max);
        return;
    }
    c->id = s->controller_id_max = r->id;
    c->version[0] = '\0'; /* it has not said yet */
}

static struct tombstone *find_tombstone(struct state *s, const char *name)
{
    for (unsigned i = 0; i < s->tombstone_count; i++)
        if (strcmp(s->tombstones[i].name, name) == 0)
            return &s->tombstones[i];
    return NULL;
}

/* An agent has a say about the groups that name it. Of one that is long out of a group the
 * log knows more than it does. */
static bool is_heard(const struct group *g, const struct agent *agent)
{
    return group_instance(g, agent->name) != NO_INSTANCE;
}

/* I10: nothing has been noted when one of them is refused. I1: what is believed leaves room
 * above; a group that went on from there tells its agents higher ones, which are its own.
 */
static void check_epochs(struct applying *a)
{
    const struct entry_enrol *en = &a->e->enrol;
    unsigned room = TOMBSTONE_TOLD_MAX > a->s->tombstone_count
                        ? TOMBSTONE_TOLD_MAX - a->s->tombstone_count
                        : 0;

    for (unsigned i = 0; i < en->epoch_count; i++) {
        const struct tombstone *told = &en->epochs[i];
        const struct group *g = state_group(a->s, told->name);
        const struct tombstone *t = find_tombstone(a->s, told->name);
        uint64_t known = g != NULL ? g->epoch : t != NULL ? t->epoch : 0;

        if (told->epoch > EPOCH_TOLD_MAX && told->epoch > known &&
            (g == NULL || is_heard(g, &en->agent))) {
            refuse(a, REFUSE_INVALID,
                   "agent %s tells of epoch %" PRIu64 " of group %s, which no group can "
                   "have reached: its state file is damaged",
                   en->agent.name, told->epoch, told->name);
            return;
        }
        if (g == NULL && t == NULL && room-- == 0) {
            refuse(a, REFUSE_FULL,
                   "agent %s tells of group %s, which is not known, and of such groups %d "
                   "are remembered already: declare it, or use a fresh state directory",
                   en->agent.name, told->name, TOMBSTONE_TOLD_MAX);
            return;
        }
    }
}

/* I12: a cluster that was restored from an older state hears from its agents how far
 * epochs had gone, and goes on above; groups it does not know yet leave a tombstone. */
static void note_epoch(struct state *s, const struct agent *agent,
                       const struct tombstone *told)
{
    struct group *g = state_group(s, told->name);
    struct tombstone *t = find_tombstone(s, told->name);

    if (g != NULL) {
        if (!is_heard(g, agent))
            return;
        if (told->epoch > g->epoch_floor)
            g->epoch_floor = told->epoch;
        /* Nobody is authorised in these phases, and the agent heeds no lower epoch. */
        if ((g->phase == PHASE_FORMING || g->phase == PHASE_DETACHED) &&
            g->epoch < g->epoch_floor)
            g->epoch = g->epoch_floor;
        return;
    }
    if (t == NULL) {
        ASSERT(s->tombstone_count < TOMBSTONE_MAX); /* check_epochs() */
        s->tombstones[s->tombstone_count++] = *told;
    } else if (told->epoch > t->epoch) {
        t->epoch = told->epoch;
    }
}

/* A new life takes the agent's name over. Its lease, if it has one, stays with the old life
 * until that is proven over (I12): renew_verdict() sees to it. */
static void begin_life(struct agent *known, const struct agent *now, uint64_t index)
{
    uint32_t lives = known->lives;
    struct incarnation before = known->incarnation;

    *known = *now;
    known->former = before;
    known->lives = lives + 1;
    known->enrolled_index = index;
}

static struct agent *find_agent(struct state *s, const char *name)
{
    for (unsigned i = 0; i < s->agent_count; i++)
        if (strcmp(s->agents[i].name, name) == 0)
            return &s->agents[i];
    return NULL;
}

/* Whose port or data directory on `address` is that of `i`, in a group other than `g`. */
static const struct instance *same_on_host(const struct state *s, const struct group *g,
                                           const struct instance *i, const char *address)
{
    for (unsigned k = 0; k < s->group_count; k++) {
        const struct group *other = &s->groups[k];

        for (unsigned n = 0; n < other->instance_count && other != g; n++) {
            const struct instance *there = &other->instances[n];
            const struct agent *host = state_agent(s, there->agent);

            if (host != NULL && strcmp(there->agent, i->agent) != 0 &&
                strcmp(host->address, address) == 0 &&
                (instances_share_port(there, i) != 0 || strcmp(there->data, i->data) == 0))
                return there;
        }
    }
    return NULL;
}

/* I1: at its new address an instance of the agent would be another group's. */
static void check_address(struct applying *a, const struct agent *agent)
{
    for (unsigned k = 0; k < a->s->group_count; k++) {
        const struct group *g = &a->s->groups[k];
        uint8_t n = group_instance(g, agent->name);
        const struct instance *taken =
            n == NO_INSTANCE ? NULL
                             : same_on_host(a->s, g, &g->instances[n], agent->address);

        if (taken == NULL)
            continue;
        refuse(a, REFUSE_OTHER_GROUP,
               "%s, %.40s, is the address of agent %s, with the same port or data "
               "directory: correct `address` in agent.yaml; to swap two, give one a third",
               agent->name, agent->address, taken->agent);
        return;
    }
}

void apply_enrol(struct applying *a)
{
    const struct entry_enrol *en = &a->e->enrol;
    struct agent *known = find_agent(a->s, en->agent.name);

    if (!incarnation_is_set(&en->agent.incarnation)) {
        refuse(a, REFUSE_INVALID, "agent %s has no incarnation", en->agent.name);
        return;
    }
    if (known == NULL && a->s->agent_count == AGENT_MAX) {
        refuse(a, REFUSE_FULL, "%d agents are enrolled already", AGENT_MAX);
        return;
    }
    if (known != NULL && incarnation_equal(&known->former, &en->agent.incarnation)) {
        refuse(a, REFUSE_INCARNATION,
               "agent %s comes back in a life that another one has replaced: two agents "
               "use this name; stop one and give it its own name and state directory",
               en->agent.name);
        return;
    }
    /* Lives have no order of their own. A hello that waited (with a former leader, or in a
     * stale proposal) until another life had come would put a dead life on record, and the
     * living one could not come back: it takes over only from the life that it knew. */
    if (known != NULL && !incarnation_equal(&known->incarnation, &en->agent.incarnation) &&
        !incarnation_equal(&known->incarnation, &en->agent.former)) {
        refuse(a, REFUSE_INCARNATION,
               "another life of agent %s was enrolled since this one said hello",
               en->agent.name);
        return;
    }
    check_address(a, &en->agent);
    if (a->result->refusal == ACCEPTED)
        check_epochs(a);
    if (a->result->refusal != ACCEPTED)
        return;
    for (unsigned i = 0; i < en->epoch_count; i++)
        note_epoch(a->s, &en->agent, &en->epochs[i]);
    if (known == NULL) {
        known = &a->s->agents[a->s->agent_count++];
        memset(known, 0, sizeof *known);
        begin_life(known, &en->agent, a->index);
        return;
    }
    if (incarnation_equal(&known->incarnation, &en->agent.incarnation)) {
        uint32_t lives = known->lives;
        uint64_t enrolled = known->enrolled_index;
        struct incarnation former = known->former;

        *known = en->agent; /* a new version or address of the same life */
        known->lives = lives;
        known->enrolled_index = enrolled;
        known->former = former;
        return;
    }
    begin_life(known, &en->agent, a->index);
}

/* Whose word the last proof was does not matter to instance_holder_stands(): while a holder
 * stands, no other life's is accepted, so a later life's proof says that the former one was
 * proven over before. (Else a host that was fenced, rebooted and proven anew could never be
 * granted a lease again.) */
bool power_subject(const struct state *s, const struct group *g, uint8_t instance,
                   struct incarnation *ret_life)
{
    const struct instance *i = &g->instances[instance];
    const struct agent *agent = state_agent(s, i->agent);

    if (agent == NULL)
        return false;
    *ret_life = instance_holder_stands(i) ? i->proof.holder : agent->incarnation;
    return true;
}

/* I3, I4, I12 for one renewal. */
static enum refusal renew_verdict(const struct state *s, const struct group *g,
                                  const struct renew_item *item)
{
    const struct instance *i;
    const struct agent *agent;

    if (item->kind != LEASE_WRITE && item->kind != LEASE_READ)
        return REFUSE_INVALID;
    if (g == NULL)
        return REFUSE_UNKNOWN_GROUP;
    if (item->instance >= g->instance_count)
        return REFUSE_UNKNOWN_INSTANCE;
    i = &g->instances[item->instance];
    agent = state_agent(s, i->agent);
    if (agent == NULL)
        return REFUSE_NOT_ENROLLED;
    if (MUTANT(any_life_renews, !incarnation_equal(&agent->incarnation, &item->incarnation),
               false))
        return REFUSE_INCARNATION;
    if (item->epoch != g->epoch || g->epoch == 0)
        return REFUSE_STALE_EPOCH;
    /* I4: after fence_begin(e) nothing of epoch <= e is renewed, for any instance. The
     * order in the log is the whole argument: every renewal precedes the fence. */
    if (MUTANT(renews_behind_fence, g->fence_index != 0, false))
        return REFUSE_FENCED;
    if (MUTANT(renews_behind_fence, !group_may_renew(g), false))
        return REFUSE_PHASE;
    if (item->kind == LEASE_WRITE && item->instance != g->active)
        return REFUSE_NOT_ACTIVE;
    if (item->kind == LEASE_READ &&
        (item->instance == g->active || !g->policy.standby_reads || g->opened_index == 0))
        return REFUSE_NOT_ACTIVE;
    /* I12: the machine came back as somebody else while its former life's lease may run. */
    if (MUTANT(any_life_renews,
               instance_holder_stands(i) &&
                   !incarnation_equal(&i->proof.holder, &item->incarnation),
               false))
        return REFUSE_INCARNATION;
    return ACCEPTED;
}

void apply_renew(struct applying *a)
{
    const struct entry_renew *renew = &a->e->renew;

    ASSERT(renew->count <= RENEW_MAX);
    for (unsigned k = 0; k < renew->count; k++) {
        const struct renew_item *item = &renew->items[k];
        struct group *g = state_group(a->s, item->group);
        enum refusal verdict = renew_verdict(a->s, g, item);

        a->result->verdicts[k] = (uint8_t)verdict;
        if (verdict != ACCEPTED)
            continue;
        g->instances[item->instance].proof.last_grant = a->index;
        g->instances[item->instance].proof.holder = item->incarnation;
        g->instances[item->instance].holder_epoch = item->epoch;
    }
}

/* "Gate installed, closed, tried": where an instance enters. It says nothing about a lease
 * that another life still holds, and nothing about the active instance, whose gate may
 * re-open in its epoch. */
static void check_installed(struct applying *a, const struct instance *i,
                            const struct agent *agent)
{
    const struct entry_proof *p = &a->e->proof;
    bool forming = a->g->phase == PHASE_FORMING;
    bool serving = !forming && p->instance == a->g->active;

    if (!incarnation_equal(&p->prover, &agent->incarnation))
        refuse(a, REFUSE_INCARNATION, "%s: the proof is of another life of the agent",
               i->agent);
    else if (serving)
        refuse(a, REFUSE_PHASE, "%s is active: only a fence proves it", i->agent);
    else if (instance_holder_stands(i) && !incarnation_equal(&i->proof.holder, &p->prover))
        refuse(a, REFUSE_INCARNATION,
               "%s: the lease of the agent's former life is not proven over", i->agent);
    else if (i->holder_epoch == a->g->epoch && i->proof.last_grant > i->proof.proven &&
             a->g->phase != PHASE_FORMING)
        refuse(a, REFUSE_PHASE, "%s holds a lease of this epoch: only a fence proves it",
               i->agent);
    /* A detach takes the gate away and an attach wants it tried again, in the same life and
     * the same epoch. Proofs are repeated until the log has one, so a copy may come, or be
     * kept by a leader, from before that: it must have been given on what the log has said
     * since the last grant (of which a detach is one), and since the group began to form.
     */
    else if (p->fence_index < i->proof.last_grant ||
             (forming && p->fence_index < a->g->run.id))
        refuse(a, REFUSE_STALE_EPOCH, "%s: the proof is from before the gate was let go",
               i->agent);
}

/* I3: an agent's word, given on a command that names the committed fence_begin; I12: it
 * counts only from the life on record as holder, and only while that life is enrolled. */
static void check_agent_proof(struct applying *a, const struct instance *i,
                              const struct agent *agent)
{
    const struct entry_proof *p = &a->e->proof;

    if (!(a->g->policy.fence & FENCE_AGENT))
        refuse(a, REFUSE_INVALID, "the group's fence levels do not include 'agent'");
    else if (MUTANT(any_signer,
                    !incarnation_equal(&p->prover, &agent->incarnation) ||
                        (incarnation_is_set(&i->proof.holder) &&
                         instance_holder_stands(i) &&
                         !incarnation_equal(&p->prover, &i->proof.holder)),
                    false))
        refuse(a, REFUSE_INCARNATION,
               "%s: the proof is not of the life that holds the lease", i->agent);
    else if (!p->stopped && proof_needs_stop(a->g, p->instance))
        refuse(a, REFUSE_UNPROVEN,
               "ungated_local is accepted, so a closed gate proves nothing until the "
               "server of %s is stopped",
               i->agent);
}

/* I4: counted out by the proposer from its own apply() of the last renewal; renewals are
 * refused since fence_begin, so none can have come later. */
static void check_expiry(struct applying *a, const struct instance *i)
{
    const struct entry_proof *p = &a->e->proof;

    if (!(a->g->policy.fence & FENCE_LEASE_EXPIRY))
        refuse(a, REFUSE_INVALID, "the group's fence levels do not include 'lease_expiry'");
    else if (a->g->policy.ungated_local)
        refuse(a, REFUSE_INVALID,
               "ungated_local is accepted, so the expiry of a lease proves nothing");
    else if (i->proof.last_grant == 0 || !incarnation_is_set(&i->proof.holder))
        refuse(a, REFUSE_UNPROVEN, "%s was never granted a lease that could expire",
               i->agent);
    else if (!incarnation_equal(&p->prover, &i->proof.holder))
        refuse(a, REFUSE_INCARNATION, "%s: the proof is not about the lease's holder",
               i->agent);
}

/* The host was off after fence_begin: off is said by its fencer, of the whole host, and no
 * process outlives it. What it is about is the life that holds the lease, or holding none
 * the one that is enrolled (proof_holds()). */
static void check_power(struct applying *a, const struct instance *i)
{
    const struct entry_proof *p = &a->e->proof;
    struct incarnation life;

    if (!group_may_power_off(a->g, p->instance))
        refuse(a, REFUSE_INVALID,
               "the group's fence levels do not include 'power', or %s has no fencer",
               i->agent);
    else if (!power_subject(a->s, a->g, p->instance, &life) ||
             !incarnation_equal(&p->prover, &life))
        refuse(a, REFUSE_INCARNATION,
               "%s: another life of the agent was enrolled since its host was off",
               i->agent);
}

/* Level 5, the weakest: two people's word that the instance acknowledges nothing any more.
 * I2: it is as true as they are careful; so it is accepted for one instance, for the fence
 * in force alone, of two names on record, about the life that would have to be proven, and
 * only as long as the log knows nothing against it: no grant to it since they said so, no
 * other life of its agent (attested_dead()). A proof that turned out false bars it like any
 * other one.
 * I4: a lease that was granted is over when it was counted out and no sooner. People cannot
 * see that, so the proposer counts, as for level 3, from its own apply() of the last grant
 * (guard_attested()); renewals are refused since fence_begin. What their word adds is what
 * no clock says: that nobody gets past the gate (`ungated_local`), that a holder whose
 * proofs do not count any more is gone, that there is no agent to ask.
 * I12: about the holder of the lease if one stands, else about the life that is enrolled;
 * for any other life it says nothing (proof_holds()). */
static void check_attested(struct applying *a, const struct instance *i)
{
    const struct entry_proof *p = &a->e->proof;
    const struct proposal *said = attested_dead(a->s, a->g, p->instance);

    if (said == NULL)
        refuse(a, REFUSE_UNPROVEN,
               "no two people have said that %s is dead, in epoch %" PRIu64
               ", since it was granted a lease last: `ringfence attest %s --dead %s`",
               i->agent, a->g->epoch, a->g->name, i->agent);
    else if (!incarnation_equal(&p->prover, &said->life))
        refuse(a, REFUSE_INCARNATION, "%s: what was attested is about another life",
               i->agent);
}

/* Counted out since it was severed: whatever phase the group has reached meanwhile, the
 * epoch of that lease was fenced before, so none of its renewals can follow (I4), and it is
 * counted by terms that only widen until then (apply_activate()). */
static bool ends_severed_lease(const struct group *g, const struct entry_proof *p)
{
    const struct instance *i = &g->instances[p->instance];

    return !proof_is_barred(g, p->instance, PROOF_LEASE_EXPIRY, false) &&
           p->kind == PROOF_LEASE_EXPIRY && proof_leaves_lease(&i->proof) &&
           p->fence_index == i->proof.proven &&
           incarnation_equal(&p->prover, &i->proof.holder);
}

static void check_kind(struct applying *a, const struct instance *i,
                       const struct agent *agent)
{
    const struct entry_proof *p = &a->e->proof;

    if (p->kind == PROOF_INSTALLED)
        check_installed(a, i, agent);
    else if (p->kind == PROOF_AGENT)
        check_agent_proof(a, i, agent);
    else if (p->kind == PROOF_POWER)
        check_power(a, i);
    else if (p->kind == PROOF_SYNC_SEVERED)
        check_severed(a, i);
    else if (p->kind == PROOF_ATTESTED)
        check_attested(a, i);
    else
        check_expiry(a, i);
}

static void note_proof(struct applying *a, struct instance *i)
{
    const struct entry_proof *p = &a->e->proof;

    i->proof.proven = a->index;
    i->proof.kind = p->kind;
    i->proof.prover = p->prover;
    memcpy(i->severed_by, p->severed_by, NAME_SIZE);
    a->g->index = a->index;
}

void apply_proof(struct applying *a)
{
    const struct entry_proof *p = &a->e->proof;
    const struct agent *agent;
    struct instance *i;

    if (p->instance >= a->g->instance_count) {
        refuse(a, REFUSE_UNKNOWN_INSTANCE, "instance %u of %s", p->instance, a->g->name);
        return;
    }
    i = &a->g->instances[p->instance];
    agent = state_agent(a->s, i->agent);
    if (agent == NULL) {
        refuse(a, REFUSE_NOT_ENROLLED, "agent %s is not enrolled", i->agent);
        return;
    }
    if (!proof_kind_accepted(p->kind) || a->g->phase == PHASE_DETACHED) {
        refuse(a, REFUSE_INVALID, "a proof by %s is not accepted in phase %s",
               proof_kind_name(p->kind), phase_name(a->g->phase));
        return;
    }
    if (ends_severed_lease(a->g, p)) {
        note_proof(a, i);
        return;
    }
    /* I2, I3: a proof of fencing answers one committed fence_begin, this one. */
    if (p->kind != PROOF_INSTALLED &&
        MUTANT(any_fence_proves,
               a->g->fence_index == 0 || p->fence_index != a->g->fence_index ||
                   p->epoch != a->g->epoch,
               a->g->fence_index == 0)) {
        refuse(a, REFUSE_STALE_EPOCH,
               "no fence_begin of epoch %" PRIu64 " at index %" PRIu64 " is in force",
               p->epoch, p->fence_index);
        return;
    }
    if (proof_is_barred(a->g, p->instance, p->kind, p->stopped)) {
        refuse(a, REFUSE_UNPROVEN,
               "%s: the proof by %s at index %" PRIu64
               " did not hold, so one by %s is none "
               "either: another level has to prove it, or an operator to acknowledge that",
               i->agent, proof_kind_name(i->false_kind), i->false_index,
               proof_kind_name(p->kind));
        return;
    }
    check_kind(a, i, agent);
    if (a->result->refusal != ACCEPTED)
        return;
    if (p->kind == PROOF_ATTESTED)
        attestation_used(a, p->instance);
    note_proof(a, i);
    if (p->instance == a->g->active && a->g->fence_index != 0) {
        a->g->run.proof = p->kind;
        a->g->run.proof_wall_ms = a->e->wall_ms;
    }
}
