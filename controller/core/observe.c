#include "controller/core/observe.h"
#include "controller/base/mutant.h"

#include <string.h>

#include "controller/base/text.h"

const char *server_state_name(enum server_state s)
{
    switch (s) {
    case SERVER_UNKNOWN:
        return "unknown";
    case SERVER_ABSENT:
        return "absent";
    case SERVER_DOWN:
        return "down";
    case SERVER_STARTING:
        return "starting";
    case SERVER_PRIMARY:
        return "primary";
    case SERVER_STANDBY:
        return "standby";
    case SERVER_STOPPING:
        return "stopping";
    case SERVER_REWINDING:
        return "rewinding";
    }
    return "unknown";
}

void observations_init(struct observations *o, uint64_t self_id)
{
    memset(o, 0, sizeof *o);
    o->self_id = self_id;
}

/* Positions in the tables of the state move when groups or instances come and go; what was
 * observed moves with the name. */
static void follow_instances(const struct group *g, const struct observed_group *old,
                             struct observed_group *now)
{
    for (unsigned i = 0; i < g->instance_count; i++) {
        struct observed_instance fresh = {0};

        for (unsigned k = 0; k < INSTANCE_MAX; k++)
            if (strcmp(old->instances[k].agent, g->instances[i].agent) == 0)
                fresh = old->instances[k];
        memcpy(fresh.agent, g->instances[i].agent, sizeof fresh.agent);
        fresh.seen.shrink = 0; /* named positions that may have moved */
        now->instances[i] = fresh;
    }
    for (unsigned i = g->instance_count; i < INSTANCE_MAX; i++)
        memset(&now->instances[i], 0, sizeof now->instances[i]);
}

/* An operator means an instance, not a place in a list. */
static void follow_wish(const struct group *g, const struct observed_group *old,
                        struct observed_group *now)
{
    if (!now->failover_wanted || old->failover_target >= INSTANCE_MAX)
        return;
    now->failover_target = group_instance(g, old->instances[old->failover_target].agent);
    now->failover_wanted = now->failover_target != NO_INSTANCE;
}

static void follow_groups(struct observations *o, const struct state *s)
{
    struct observed_group old[GROUP_MAX], none = {0};

    memcpy(old, o->groups, sizeof old);
    memset(o->groups, 0, sizeof o->groups);
    for (unsigned i = 0; i < s->group_count; i++) {
        const struct group *g = &s->groups[i];
        const struct observed_group *from = &none; /* a new group */

        for (unsigned k = 0; k < GROUP_MAX; k++)
            if (strcmp(old[k].name, g->name) == 0)
                from = &old[k];
        o->groups[i] = *from;
        memcpy(o->groups[i].name, g->name, sizeof g->name);
        follow_wish(g, from, &o->groups[i]);
        follow_instances(g, from, &o->groups[i]);
    }
}

/* Where the log of another instance, or of an epoch before, was. */
static void forget_position(struct observed_group *og)
{
    og->primary_lsn = 0;
    og->wal_rate = 0;
    og->primary_lsn_at = (struct mono){0};
}

/* Of whom the leader holds the word that it severs: refused, it is asked for anew. */
static void forget_severed(struct observations *o, const struct state *s,
                           const struct entry *e)
{
    const struct group *g = state_group_const(s, e->group);
    uint8_t k = g != NULL ? group_instance(g, e->proof.severed_by) : NO_INSTANCE;

    if (k != NO_INSTANCE)
        o->groups[g - s->groups].instances[k].severed = (struct seen_severed){0};
}

static void follow_phase(struct observed_group *og, const struct group *g, struct mono now)
{
    if (og->phase == g->phase && og->epoch == g->epoch && mono_is_set(og->phase_since))
        return;
    if (og->epoch != g->epoch || g->phase == PHASE_FORMING)
        forget_position(og);
    og->phase = g->phase;
    og->epoch = g->epoch;
    og->phase_since = now;
    og->failover_wanted = false;
    og->crashed_since = og->hung_since = (struct mono){0};
}

static void note_grants(struct observations *o, const struct state *s, struct mono now)
{
    for (unsigned i = 0; i < s->group_count; i++)
        for (unsigned k = 0; k < s->groups[i].instance_count; k++)
            if (s->groups[i].instances[k].proof.last_grant == s->applied)
                o->groups[i].instances[k].granted = now;
}

/* By their ids: the table moves on when there is no room. */
static void follow_proposals(struct observations *o, const struct state *s, struct mono now)
{
    struct observed_proposal old[PROPOSAL_MAX];

    memcpy(old, o->proposals, sizeof old);
    for (unsigned i = 0; i < s->proposal_count; i++) {
        struct observed_proposal fresh = {s->proposals[i].asked, now};

        for (unsigned k = 0; k < PROPOSAL_MAX; k++)
            if (old[k].asked == fresh.asked)
                fresh = old[k];
        o->proposals[i] = fresh;
    }
}

static void note_proof(struct observations *o, const struct state *s, const struct entry *e,
                       struct mono now)
{
    const struct group *g = state_group_const(s, e->group);

    if (g != NULL)
        o->groups[g - s->groups].instances[e->proof.instance].proven = now;
}

static void note_step_end(struct observations *o, const struct state *s,
                          const struct entry *e, struct mono now)
{
    const struct group *g = state_group_const(s, e->group);
    struct observed_instance *oi;

    if (g == NULL)
        return;
    oi = &o->groups[g - s->groups].instances[e->step_end.instance];
    oi->step_ended = now;
    if (oi->outcome.step == e->step_end.step)
        oi->outcome.step = 0;
}

static void note_step_start(struct observations *o, const struct state *s,
                            const struct entry *e, struct mono now)
{
    const struct group *g = state_group_const(s, e->group);

    struct observed_instance *oi;

    if (g == NULL)
        return;
    oi = &o->groups[g - s->groups].instances[e->step_start.instance];
    oi->step_began = now;
    oi->corrected = false;
}

/* What failed may be what was corrected. While a group forms its file may have named
 * another instance active. */
static void note_declared(struct observations *o, const struct state *s,
                          const struct entry *e)
{
    const struct group *g = state_group_const(s, e->group);
    struct observed_group *og;

    if (g == NULL)
        return;
    og = &o->groups[g - s->groups];
    observe_retry(o, s, (uint8_t)(g - s->groups));
    if (g->phase != PHASE_FORMING)
        return;
    forget_position(og);
    og->crashed_since = og->hung_since = (struct mono){0};
}

/* A proof that the log now has, or that was about a life that is over, is not offered
 * again. */
static void forget_proofs(struct observations *o, const struct state *s)
{
    for (unsigned i = 0; i < s->group_count; i++)
        for (unsigned k = 0; k < s->groups[i].instance_count; k++)
            if (s->groups[i].instances[k].proof.proven == s->applied)
                o->groups[i].instances[k].proof.given = false;
}

/* Refused, it would be offered for ever: the agent gives a new one, the host is looked at
 * again. */
static void forget_proof(struct observed_instance *oi, enum proof_kind kind)
{
    if (kind == PROOF_POWER)
        oi->fencer.off_fence_index = 0;
    else if (kind != PROOF_SYNC_SEVERED)
        oi->proof.given = false;
}

/* What the fencers said may be what was not so: they are asked again. */
static void forget_power(struct observations *o, const struct state *s,
                         const struct entry *e)
{
    const struct group *g = state_group_const(s, e->group);

    for (uint8_t k = 0; g != NULL && k < g->instance_count; k++)
        o->groups[g - s->groups].instances[k].fencer.off_fence_index = 0;
}

void observe_applied(struct observations *o, const struct state *s, const struct entry *e,
                     const struct apply_result *r, struct mono now)
{
    if (e->kind == ENTRY_RENEW) {
        note_grants(o, s, now);
        return;
    }
    if (r->refusal != ACCEPTED) {
        if (e->kind == ENTRY_PROOF) {
            const struct group *g = state_group_const(s, e->group);

            if (g != NULL && e->proof.instance < g->instance_count)
                forget_proof(&o->groups[g - s->groups].instances[e->proof.instance],
                             e->proof.kind);
            forget_severed(o, s, e);
        }
        return;
    }
    if (e->kind == ENTRY_DECLARE || e->kind == ENTRY_REMOVE)
        follow_groups(o, s);
    for (unsigned i = 0; i < s->group_count; i++)
        follow_phase(&o->groups[i], &s->groups[i], now);
    if (e->kind == ENTRY_PROPOSE || e->kind == ENTRY_STALE || e->kind == ENTRY_OPENED)
        follow_proposals(o, s, now);
    if (e->kind == ENTRY_DECLARE)
        note_declared(o, s, e);
    if (e->kind == ENTRY_STEP_START)
        note_step_start(o, s, e, now);
    if (e->kind == ENTRY_STEP_END)
        note_step_end(o, s, e, now);
    if (e->kind == ENTRY_ACKNOWLEDGE)
        forget_power(o, s, e);
    if (e->kind == ENTRY_PROOF) {
        forget_proofs(o, s);
        note_proof(o, s, e, now);
    }
    for (unsigned i = 0; i < s->group_count; i++)
        if (s->groups[i].last_failover_index == s->applied)
            o->groups[i].last_failover = now;
}

void observe_restored(struct observations *o, const struct state *s, struct mono now)
{
    follow_groups(o, s);
    follow_proposals(o, s, now); /* what it has not seen yet gets its whole time again */
    for (unsigned i = 0; i < s->group_count; i++) {
        const struct group *g = &s->groups[i];

        follow_phase(&o->groups[i], g, now);
        /* I4: the restored grants may have been made a moment ago; all count from now. A
         * cooldown too begins anew: longer is the safe side. */
        for (unsigned k = 0; k < g->instance_count; k++) {
            o->groups[i].instances[k].granted =
                g->instances[k].proof.last_grant != 0 ? now : (struct mono){0};
            /* Nor is what was seen before it believed about a step that ended meanwhile. */
            o->groups[i].instances[k].step_began = now;
            o->groups[i].instances[k].step_ended = now;
            o->groups[i].instances[k].proven = now;
        }
        if (g->last_failover_index != 0)
            o->groups[i].last_failover = now;
    }
}

void observe_leading(struct observations *o, bool leading, struct mono now)
{
    if (leading == o->leading)
        return;
    o->leading = leading;
    o->leading_since = leading ? now : (struct mono){0};
    o->transfer_pending = false;
    for (unsigned i = 0; i < GROUP_MAX; i++) {
        struct observed_group *og = &o->groups[i];

        og->busy = false;
        og->failover_wanted = false;
        og->crashed_since = og->hung_since = (struct mono){0};
        for (unsigned k = 0; k < INSTANCE_MAX; k++) {
            og->instances[k].seen = (struct seen_instance){0};
            og->instances[k].outcome = (struct seen_outcome){0};
            og->instances[k].proof = (struct seen_proof){0};
            og->instances[k].severed = (struct seen_severed){0};
            og->instances[k].stray_since = (struct mono){0};
        }
    }
}

void observe_agent_anew(struct observations *o, const struct state *s, const char *agent)
{
    for (unsigned i = 0; i < s->group_count; i++) {
        uint8_t k = group_instance(&s->groups[i], agent);

        if (k != NO_INSTANCE)
            o->groups[i].instances[k].corrected = true;
    }
}

void observe_retry(struct observations *o, const struct state *s, uint8_t group)
{
    for (unsigned k = 0; k < s->groups[group].instance_count; k++)
        o->groups[group].instances[k].corrected = true;
}

static void note_since(struct mono *since, bool holds, struct mono at)
{
    if (!holds)
        *since = (struct mono){0};
    else if (!mono_is_set(*since))
        *since = at;
}

void observe_report(struct observations *o, const struct state *s, uint8_t group,
                    uint8_t instance, const struct seen_instance *seen)
{
    const struct group *g = &s->groups[group];
    struct observed_group *og = &o->groups[group];
    struct observed_instance *oi = &og->instances[instance];

    oi->seen = *seen;
    note_since(&oi->stray_since,
               instance != g->active && !(seen->server == SERVER_STANDBY &&
                                          seen->follows_active && seen->streaming),
               seen->at);
    if (instance != g->active || seen->epoch != g->epoch)
        return;
    note_since(&og->crashed_since, seen->crashed || seen->server == SERVER_DOWN, seen->at);
    note_since(&og->hung_since, seen->hung, seen->at);
    note_since(&og->waits_since, seen->waits_sync, seen->at);
    if (seen->server == SERVER_PRIMARY)
        observe_position(o, s, group,
                         &(struct seen_position){.epoch = seen->epoch,
                                                 .timeline = seen->timeline,
                                                 .lsn = seen->flush_lsn,
                                                 .wal_bytes_per_s = seen->wal_bytes_per_s,
                                                 .taken = seen->taken});
}

void observe_fencer(struct observations *o, const struct state *s, const char *fencer,
                    const char *text)
{
    for (unsigned i = 0; i < s->group_count; i++)
        for (uint8_t k = 0; k < s->groups[i].instance_count; k++) {
            struct seen_fencer *f = &o->groups[i].instances[k].fencer;

            if (strcmp(s->groups[i].instances[k].power, fencer) != 0)
                continue;
            memcpy(f->name, s->groups[i].instances[k].power, NAME_SIZE);
            f->known = true;
            f->ready = text == NULL;
            text_set(f->text, sizeof f->text, "%s", text != NULL ? text : "");
        }
}

void observe_power_off(struct observations *o, uint8_t group, uint8_t instance,
                       uint64_t fence_index, const struct incarnation *life)
{
    struct seen_fencer *f = &o->groups[group].instances[instance].fencer;

    f->off_fence_index = fence_index;
    f->off_life = *life;
}

void observe_severed(struct observations *o, uint8_t group, uint8_t instance,
                     uint64_t fence_index, const struct incarnation *by)
{
    o->groups[group].instances[instance].severed =
        (struct seen_severed){.fence_index = fence_index, .by = *by};
}

void observe_guard(struct observations *o, const struct state *s, const char *agent,
                   enum seen_guard guard)
{
    const struct agent *a = state_agent(s, agent);

    if (a != NULL)
        o->agents[a - s->agents].guard = guard;
}

bool observe_link(struct observations *o, const struct state *s, const char *agent,
                  uint8_t controller, bool up, struct mono now)
{
    const struct agent *a = state_agent(s, agent);
    struct observed_agent *oa = a != NULL ? &o->agents[a - s->agents] : NULL;
    bool ended = oa != NULL && oa->linked[controller] && !up;

    if (oa == NULL)
        return false;
    oa->linked[controller] = up;
    if (ended)
        oa->hung_up[controller] = now;
    return ended;
}

/* I9: each report (position, rate, instant) bounds by itself what the primary can have
 * written: position + rate x time. The log only grows within an epoch, so of two the one
 * that is further on is the newer one, and its bound the closer one. */
void observe_position(struct observations *o, const struct state *s, uint8_t group,
                      const struct seen_position *p)
{
    struct observed_group *og = &o->groups[group];
    bool known = mono_is_set(og->primary_lsn_at);

    if (p->epoch != s->groups[group].epoch || p->lsn == 0 || !mono_is_set(p->taken))
        return;
    if (known && (p->lsn < og->primary_lsn ||
                  (p->lsn == og->primary_lsn && p->taken.ns <= og->primary_lsn_at.ns)))
        return;
    og->primary_lsn = p->lsn;
    og->primary_timeline = p->timeline;
    og->primary_lsn_at = p->taken;
    og->wal_rate = p->wal_bytes_per_s;
}

bool lease_counted_out(const struct state *s, const struct observations *o, uint8_t group,
                       uint8_t instance, struct mono now)
{
    const struct group *g = &s->groups[group];

    if (g->instances[instance].proof.last_grant == 0)
        return false;
    return lease_is_over(MUTANT(counted_from_office,
                                o->groups[group].instances[instance].granted,
                                o->leading_since),
                         g->terms, now);
}

bool loss_forecast(const struct state *s, const struct observations *o, uint8_t group,
                   uint8_t instance, struct mono now, uint64_t *ret_bytes)
{
    const struct group *g = &s->groups[group];
    const struct observed_group *og = &o->groups[group];
    const struct seen_instance *seen = &og->instances[instance].seen;
    struct mono granted = og->instances[g->active].granted, until = now;
    uint64_t reach;

    if (!mono_is_set(og->primary_lsn_at) || !mono_is_set(seen->at) ||
        seen->flush_lsn == 0 || og->wal_rate == WAL_RATE_UNKNOWN)
        return false;
    if (instance != g->active && seen->timeline != og->primary_timeline)
        return false;
    /* The holder may have written until its deadline, not longer. */
    if (mono_is_set(granted) && granted.ns + lease_wait_ns(g->terms) < until.ns)
        until.ns = granted.ns + lease_wait_ns(g->terms);
    reach = og->primary_lsn +
            (uint64_t)((double)og->wal_rate * LOSS_RATE_HEADROOM *
                       (double)mono_since_ns(og->primary_lsn_at, until) / 1e9);
    *ret_bytes =
        MUTANT(forecast_zero, reach > seen->flush_lsn, false) ? reach - seen->flush_lsn : 0;
    return true;
}
