/* Fence level 2: a member of the sync set refuses the log of the old primary.
 *
 * What it proves (I2). The primary's commits wait for every member that the log has in the
 * sync set: its names are FIRST n of all n (providers/postgres/names.h), and they are never
 * fewer than the log's set, since a member joins the names before it joins the set, and
 * leaves the set before it leaves the names (I8). From fence_begin on the set stays as it
 * is (I4). So once one member, whichever, takes no more of the primary's log, nothing that
 * it had not flushed by then is ever acknowledged there. What it had flushed may still be,
 * late: every other member has flushed that, too, or will never let it be acknowledged, so
 * whoever is promoted holds it (I9), and it began before anybody was promoted. A write that
 * waits is never cancelled by us, only left waiting.
 *
 * What it does not prove: that the primary's lease is over. Its gate stays open until then,
 * clients that come by it see old data, and a new life of its agent gets nothing (I12). So
 * the lease is counted out behind it, `severed-lease-over`.
 *
 * What undoes it: only a step of a later epoch (LEAD or FOLLOW), which an activation has
 * logged; so a copy of a word from before is of another fence_begin, and counts no more. */
#include <stdio.h>
#include <string.h>

#include "controller/base/mutant.h"
#include "controller/core/apply_internal.h"
#include "controller/core/guards.h"

/* ---- what the log makes of it ----------------------------------------------------------
 */

const char *policy_lacks_for_severing(const struct policy *p)
{
    if (p->sync != SYNC_REQUIRED && p->sync != SYNC_STRICT)
        return "`sync: required` or `strict`: else a write is acknowledged without the "
               "member that refuses it";
    if (!p->no_async_writers)
        return "`no_async_writers: true`, your word that no session lowers "
               "synchronous_commit, and that no client takes a commit whose wait was "
               "cancelled for one that succeeded";
    if (p->ungated_local)
        return "a gate for all clients: `ungated_local: true` says that there is none for "
               "some";
    if (!(p->fence & FENCE_LEASE_EXPIRY))
        return "`lease_expiry` beside it: that is what ends the reads on the old side";
    return NULL;
}

member_set group_severers(const struct group *g)
{
    bool opened = g->opened_index > g->activated_index;

    /* Before `opened` the set is that of the candidates, and the primary waits for nobody.
     */
    if (!(g->policy.fence & FENCE_SYNC_SEVERED) ||
        policy_lacks_for_severing(&g->policy) != NULL || !opened || !g->sync_known)
        return 0;
    return group_other_members(g);
}

/* I2, I3, I12: the word of the life that is enrolled there, of a member that the set on
 * record cannot do without, about the life that holds the lease. */
void check_severed(struct applying *a, const struct instance *i)
{
    const struct entry_proof *p = &a->e->proof;
    const struct group *g = a->g;
    uint8_t by = group_instance(g, p->severed_by);
    const struct agent *agent =
        by != NO_INSTANCE ? state_agent(a->s, g->instances[by].agent) : NULL;
    member_set severers = group_severers(g);

    if (p->instance != g->active)
        refuse(a, REFUSE_NOT_ACTIVE, "%s is not active: nobody streams its log", i->agent);
    else if (agent == NULL || by == g->active || (severers & 1u << by) == 0)
        refuse(a, REFUSE_NOT_MEMBER,
               "%s cannot prove %s by refusing its log: the set on record acknowledges "
               "without it, or the group does not have the level",
               p->severed_by, i->agent);
    else if (!incarnation_equal(&p->witness, &agent->incarnation))
        refuse(a, REFUSE_INCARNATION,
               "%s: another life of the agent was enrolled since its server was severed",
               p->severed_by);
    else if (i->holder_epoch != g->epoch || !incarnation_is_set(&i->proof.holder) ||
             !incarnation_equal(&p->prover, &i->proof.holder))
        refuse(a, REFUSE_INCARNATION, "%s: the proof is not about the lease's holder",
               i->agent);
    else if (instance_is_proven(a->s, i))
        refuse(a, REFUSE_STALE_EPOCH, "%s is proven by %s already", i->agent,
               proof_kind_name(i->proof.kind));
}

/* ---- what the leader does --------------------------------------------------------------
 */

static bool may_sever(const struct look *l, uint8_t k)
{
    return (group_severers(l->g) & 1u << k) != 0 && agent_present(l, k);
}

/* What the level rests on is that every commit waits for the members. Where the holder
 * itself has said that it does not (names that were blanked, an impostor, a member that it
 * does without), severing would prove nothing: the lease has to run out (I2). */
static bool members_are_passed_by(const struct look *l)
{
    const struct seen_instance *seen = &active_seen(l)->seen;

    return seen->epoch == l->g->epoch && (seen->shrink & group_other_members(l->g)) != 0;
}

/* What every controller reads off the log comes first: only the leader hears the agents. */
const char *severing_is_closed_by(const struct look *l)
{
    if (l->g->opened_index <= l->g->activated_index)
        return "the active side is not open yet";
    if (group_severers(l->g) == 0)
        return "nobody is waited for: the sync set has one member";
    if (active_of(l)->holder_epoch != l->g->epoch)
        return "the active side has no lease of this epoch";
    if (proof_is_barred(l->g, l->g->active, PROOF_SYNC_SEVERED, false))
        return "a proof of this kind did not hold in this fence";
    if (members_are_passed_by(l))
        return "the active side says that its commits do not wait for a member";
    for (uint8_t k = 0; k < l->g->instance_count; k++)
        if (may_sever(l, k))
            return NULL;
    return l->o->leading ? "no agent of another member answers" : NOT_KNOWN_HERE;
}

bool severing_is_open(const struct look *l) { return severing_is_closed_by(l) == NULL; }

enum severing group_severing(const struct state *s, const struct observations *o,
                             uint8_t group, struct mono now, const char **ret_why)
{
    struct look l = look_at(s, o, group, now);
    const char *why;

    *ret_why = "";
    if ((l.g->policy.fence & FENCE_SYNC_SEVERED) == 0 || l.g->phase == PHASE_DETACHED ||
        l.g->phase == PHASE_FORMING)
        return SEVERING_ABSENT;
    why = severing_is_closed_by(&l);
    *ret_why = why != NULL ? why : "";
    if (why == NULL)
        return SEVERING_OPEN;
    return strcmp(why, NOT_KNOWN_HERE) == 0 ? SEVERING_UNKNOWN : SEVERING_CLOSED;
}

/* An agent that answers closes its own gate sooner, and its standby goes on streaming; one
 * that is silent need not be waited for. */
static bool its_turn(const struct look *l)
{
    uint64_t since = mono_since_ms(l->og->phase_since, l->now);

    return holder_gone(l) || !agent_present(l, l->g->active) ||
           since >= fence_turn_ms(l->g, l->g->active, FENCE_SYNC_SEVERED);
}

/* The target itself if it is one of them: whoever else is made to refuse has to be made to
 * follow again. Nobody is for nobody: then the primary's own return is the way out. */
uint8_t severs_now(const struct look *l, uint8_t target)
{
    if (target == NO_INSTANCE || target == l->g->active || !severing_is_open(l) ||
        instance_is_proven(l->s, active_of(l)) || !its_turn(l))
        return NO_INSTANCE;
    if (may_sever(l, target))
        return target;
    for (uint8_t k = 0; k < l->g->instance_count; k++)
        if (may_sever(l, k))
            return k;
    return NO_INSTANCE;
}

bool guard_severed(const struct look *l, struct entry *e)
{
    const struct instance *active = active_of(l);

    if (instance_is_proven(l->s, active) || !severing_is_open(l))
        return false;
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct seen_severed *v = &l->og->instances[k].severed;

        if (v->fence_index == 0 || !may_sever(l, k) ||
            MUTANT(any_fence_proves, v->fence_index != l->g->fence_index, false))
            continue;
        e->kind = ENTRY_PROOF;
        e->proof = (struct entry_proof){.instance = l->g->active,
                                        .kind = PROOF_SYNC_SEVERED,
                                        .epoch = l->g->epoch,
                                        .fence_index = v->fence_index,
                                        .prover = active->proof.holder,
                                        .witness = v->by};
        memcpy(e->proof.severed_by, l->g->instances[k].agent, NAME_SIZE);
        return true;
    }
    return false;
}

/* I12: until then no other life of that agent is granted anything, so it is the exit of
 * that state, too (I11). */
bool guard_severed_lease_over(const struct look *l, struct entry *e)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct instance *i = &l->g->instances[k];

        /* I2: an expiry that did not hold in this fence is none the second time either. */
        if (!proof_leaves_lease(&i->proof) ||
            proof_is_barred(l->g, k, PROOF_LEASE_EXPIRY, false) ||
            !lease_counted_out(l->s, l->o, l->group, k, l->now))
            continue;
        e->kind = ENTRY_PROOF;
        e->proof = (struct entry_proof){.instance = k,
                                        .kind = PROOF_LEASE_EXPIRY,
                                        .epoch = l->g->epoch,
                                        .fence_index = i->proof.proven,
                                        .prover = i->proof.holder};
        return true;
    }
    return false;
}

/* ---- a holder that is gone -------------------------------------------------------------
 */

/* Probes and renewals are under way for a while: so much later may the older one come. */
enum { UNDER_WAY_MS = 100, REGIONS_NEEDED = 2, PROBES_MAX = 3 };

typedef bool witness(const struct look *l, uint8_t controller);

/* From where that controller stands: the link ended, and the server refuses since then. */
static bool sees_it_gone(const struct look *l, uint8_t controller)
{
    const struct agent *agent = state_agent(l->s, active_of(l)->agent);
    const struct observed_instance *oi = active_seen(l);
    const struct seen_probe *p = &oi->probes[controller];
    const struct observed_agent *oa;
    struct mono end;

    if (agent == NULL)
        return false;
    oa = &l->o->agents[agent - l->s->agents];
    end = oa->hung_up[controller];
    return !oa->linked[controller] && mono_is_set(end) &&
           mono_since_ms(end, l->now) >= l->g->policy.failover_after_ms &&
           mono_plus_ms(end, UNDER_WAY_MS).ns >= oi->granted.ns && p->refused &&
           mono_plus_ms(p->at, UNDER_WAY_MS).ns >= end.ns;
}

/* Its last probe was sent after the last renewal, and came to nothing. */
static bool hears_nothing(const struct look *l, uint8_t controller)
{
    const struct observed_instance *oi = active_seen(l);
    const struct seen_probe *p = &oi->probes[controller];

    return mono_is_set(p->at) && !p->answered &&
           p->at.ns > mono_plus_ms(oi->granted, l->g->policy.probe_ms).ns &&
           mono_since_ms(p->at, l->now) <= (uint64_t)PROBES_MAX * l->g->policy.probe_ms;
}

/* A controller in the holder's own region says as much of that region's links. */
static bool two_regions(const struct look *l, witness *sees)
{
    const char *own = group_region_name(l->g, l->g->active), *first = NULL;
    unsigned regions = 0;

    for (uint8_t i = 0; i < l->s->controller_count && regions < REGIONS_NEEDED; i++) {
        const char *region = l->s->controllers[i].region;

        if (strcmp(region, own) == 0 || (first != NULL && strcmp(region, first) == 0) ||
            !sees(l, i))
            continue;
        first = region;
        regions++;
    }
    return regions >= REGIONS_NEEDED;
}

/* A leader that has come to lead since has heard nobody, which is no silence. */
static bool half_its_lease_is_over(const struct look *l)
{
    uint64_t least = lease_wait_ns(l->g->terms) / 2;
    uint64_t more = (uint64_t)l->g->policy.failover_after_ms * NS_PER_MS;

    least = more > least ? more : least;
    return mono_is_set(active_seen(l)->granted) &&
           mono_since_ns(active_seen(l)->granted, l->now) >= least &&
           mono_since_ns(l->o->leading_since, l->now) >= least;
}

bool holder_gone(const struct look *l)
{
    return two_regions(l, sees_it_gone) ||
           (half_its_lease_is_over(l) && two_regions(l, hears_nothing));
}

/* A fence that begins early costs a failover that a moment's patience might have spared;
 * so it begins only where it is worth something, since a member can end it at once. */
bool guard_holder_gone(const struct look *l, struct entry *e)
{
    char reason[TEXT_SIZE];

    if (!severing_is_open(l) || !holder_gone(l) || !decisions_allowed(l) ||
        !cooldown_over(l) || !no_corruption(l) || !target_ready(l))
        return false;
    snprintf(reason, sizeof reason,
             two_regions(l, sees_it_gone)
                 ? "the agent of %s has hung up on two regions, and its server refuses them"
                 : "%s has not renewed for half of its lease, and two regions hear nothing "
                   "of its server",
             active_of(l)->agent);
    propose_fence(l, e, reason);
    e->fence_begin.expected_grant = active_of(l)->proof.last_grant;
    return true;
}
