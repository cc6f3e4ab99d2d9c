/* What the leader makes of proposals: it begins what is approved, has confirmed anew what
 * has become worse, ends what nobody approved, and turns two people's word into a proof. */
#include "controller/core/guards.h"

#include <string.h>

#include "controller/base/mutant.h"
#include "controller/base/text.h"

/* A new leader has heard nobody yet: what it does not see is no news. */
enum { LISTEN_MS = 2000 };

static bool is_ours(const struct look *l, const struct proposal *p)
{
    return strcmp(p->group, l->g->name) == 0 && !proposal_is_over(p);
}

static void about(struct entry *e, enum entry_kind kind, const struct proposal *p)
{
    e->kind = kind;
    e->proposal.id = p->id;
}

/* Counted from when this process applied it: its date is another host's. */
bool guard_proposal_expired(const struct look *l, struct entry *e)
{
    for (unsigned i = 0; i < l->s->proposal_count; i++) {
        const struct proposal *p = &l->s->proposals[i];
        const struct observed_proposal *seen = &l->o->proposals[i];
        uint64_t whole = p->expires_ms - p->wall_ms;

        if (!is_ours(l, p) || p->state == PROPOSED_RUNNING || seen->asked != p->asked ||
            mono_since_ms(seen->since, l->now) < whole)
            continue;
        about(e, ENTRY_EXPIRE, p);
        return true;
    }
    return false;
}

bool failover_is_asked(const struct look *l, const struct proposal **ret_proposal)
{
    const struct proposal *p = proposal_approved(l->s, l->g, PROPOSAL_FAILOVER);

    if (ret_proposal != NULL)
        *ret_proposal = p;
    /* Nobody's word alone counts where more are needed. */
    return (l->og->failover_wanted && l->g->policy.window_count == 0) ||
           (p != NULL && p->epoch == l->g->epoch);
}

static const struct proposal *approved_move(const struct look *l)
{
    const struct proposal *p = proposal_approved(l->s, l->g, PROPOSAL_SWITCHOVER);

    return p != NULL ? p : proposal_approved(l->s, l->g, PROPOSAL_FAILOVER);
}

bool guard_proposal_worse(const struct look *l, struct entry *e)
{
    const struct proposal *p = approved_move(l);
    bool listened = mono_since_ms(l->o->leading_since, l->now) >= LISTEN_MS;

    if (p == NULL || !(listened || p->epoch != l->g->epoch) ||
        !MUTANT(stale_runs, proposal_worse(l, p, e->proposal.reason), false))
        return false;
    about(e, ENTRY_STALE, p);
    e->proposal.epoch = l->g->epoch;
    forecast_of(l->s, l->o, l->group, p->kind,
                p->target[0] != '\0' ? group_instance(l->g, p->target) : NO_INSTANCE,
                l->now, &e->proposal.forecast);
    return true;
}

bool guard_approved_failover(const struct look *l, struct entry *e)
{
    const struct proposal *p = proposal_approved(l->s, l->g, PROPOSAL_FAILOVER);
    uint8_t target = NO_INSTANCE;
    char why[TEXT_SIZE];

    if (p == NULL || MUTANT(stale_runs, proposal_worse(l, p, why), false))
        return false;
    if (p->target[0] != '\0')
        target = group_instance(l->g, p->target);
    propose_fence(l, e, p->reason);
    propose_target(l, e, target);
    e->fence_begin.requested = true;
    e->fence_begin.proposal = p->id;
    return true;
}

bool guard_approved_switchover(const struct look *l, struct entry *e)
{
    const struct proposal *p = proposal_approved(l->s, l->g, PROPOSAL_SWITCHOVER);
    char why[TEXT_SIZE];

    if (p == NULL || MUTANT(stale_runs, proposal_worse(l, p, why), false))
        return false;
    e->kind = ENTRY_SWITCHOVER;
    e->switchover = (struct entry_switchover){
        .target = group_instance(l->g, p->target),
        .epoch = MUTANT(stale_runs, p->epoch, l->g->epoch),
        .proposal = p->id,
    };
    memcpy(e->switchover.target_name, p->target, NAME_SIZE);
    memcpy(e->switchover.reason, p->reason, TEXT_SIZE);
    return true;
}

/* I4: whatever people say, a lease that was granted is waited for: by this process's own
 * count from its apply() of the last grant, by the widest terms of the epoch. Behind
 * fence_begin none can follow. Where `ungated_local` says that its expiry proves nothing,
 * it is waited for all the same: what comes through the gate until then nobody but the
 * clock can rule out. An instance without a holder on record was never granted one by this
 * cluster, or was let go since, which voids what was attested. */
bool guard_attested(const struct look *l, struct entry *e)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct instance *i = &l->g->instances[k];
        const struct proposal *said = attested_dead(l->s, l->g, k);
        bool granted = incarnation_is_set(&i->proof.holder);

        if (said == NULL || instance_is_proven(l->s, i) || !attested_may_prove(l, k) ||
            MUTANT(attested_before_over,
                   granted && !lease_counted_out(l->s, l->o, l->group, k, l->now), false))
            continue;
        e->kind = ENTRY_PROOF;
        e->proof = (struct entry_proof){
            .instance = k,
            .kind = PROOF_ATTESTED,
            .epoch = l->g->epoch,
            .fence_index = l->g->fence_index,
            .prover = said->life,
        };
        return true;
    }
    return false;
}
