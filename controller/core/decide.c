#include "controller/core/decide.h"

#include <stddef.h>

#include "controller/core/decide_internal.h"

static struct action *next_action(struct actions *out)
{
    return out->count < ACTION_MAX ? &out->list[out->count] : NULL;
}

static bool connected(const struct look *l, uint8_t instance)
{
    const struct agent *agent = state_agent(l->s, l->g->instances[instance].agent);

    return agent != NULL && l->o->agents[agent - l->s->agents].connected;
}

static void order(const struct look *l, struct actions *out, enum action_kind kind,
                  uint8_t instance)
{
    struct action *a = next_action(out);

    if (a == NULL || !connected(l, instance))
        return;
    a->kind = kind;
    a->rule = kind == ACT_ORDER_STEP    ? "order-step"
              : kind == ACT_ORDER_SEVER ? "order-sever"
                                        : "order-fence";
    a->group = l->group;
    a->instance = instance;
    a->step = kind == ACT_ORDER_STEP ? l->g->instances[instance].step.id : 0;
    out->count++;
}

/* I5: what the log has begun is asked for until its outcome is logged, by whichever leader.
 * Once fence_begin is committed no step of that epoch is asked for any more. */
static void order_steps(const struct look *l, struct actions *out)
{
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        const struct step *step = &l->g->instances[k].step;

        if (step->state == STEP_STARTED && step->epoch == l->g->epoch &&
            l->og->instances[k].outcome.step != step->id)
            order(l, out, ACT_ORDER_STEP, k);
    }
}

static void order_fences(const struct look *l, struct actions *out)
{
    if (!(l->g->policy.fence & FENCE_AGENT))
        return;
    for (uint8_t k = 0; k < l->g->instance_count; k++)
        if ((!instance_is_proven(l->s, &l->g->instances[k]) ||
             proof_leaves_lease(&l->g->instances[k].proof)) &&
            l->g->instances[k].proof.last_grant != 0)
            order(l, out, ACT_ORDER_FENCE, k);
    /* An active instance that never renewed has nothing to prove but is asked as well. */
    if (l->g->instances[l->g->active].proof.last_grant == 0)
        order(l, out, ACT_ORDER_FENCE, l->g->active);
}

/* Whom the fence is for, as far as that is settled; NO_INSTANCE: nobody is ready. */
static uint8_t fenced_for(const struct look *l)
{
    uint8_t target = l->g->run.to;

    if (target != NO_INSTANCE && candidate_ok(l, target))
        return target;
    target = candidate_best(l, false);
    return target != NO_INSTANCE ? target : candidate_best(l, true);
}

/* Its former life holds a lease, and nothing but its host's power ends that. */
static bool stands_in_its_own_way(const struct look *l, uint8_t instance)
{
    return former_life_stands(l, instance) && proof_needs_agent(l);
}

/* A host is switched off only for somebody: where nobody could take over, its own return is
 * the way out, and a server that is off returns later. Not the one that is to take over,
 * unless it stands in its own way; nor one that is proven meanwhile. */
static bool power_may_go(const struct look *l, uint8_t instance)
{
    uint8_t target = fenced_for(l);

    return l->g->phase == PHASE_FENCING && group_may_power_off(l->g, instance) &&
           target != NO_INSTANCE && !instance_is_proven(l->s, &l->g->instances[instance]) &&
           !proof_is_barred(l->g, instance, PROOF_POWER, false) &&
           (instance != target || stands_in_its_own_way(l, instance));
}

bool power_off_is_wanted(const struct state *s, const struct observations *o, uint8_t group,
                         uint8_t instance, struct mono now)
{
    struct look l = look_at(s, o, group, now);

    return power_may_go(&l, instance);
}

/* Seen to be off behind this fence, and no other life has come up since. */
static bool is_off(const struct look *l, uint8_t instance)
{
    const struct seen_fencer *f = &l->og->instances[instance].fencer;
    struct incarnation life;

    return f->off_fence_index == l->g->fence_index &&
           power_subject(l->s, l->g, instance, &life) &&
           incarnation_equal(&life, &f->off_life);
}

/* Not before the levels in front have had their time. */
static void order_power(const struct look *l, struct actions *out)
{
    uint64_t since = mono_since_ms(l->og->phase_since, l->now);

    if (!(l->g->policy.fence & FENCE_POWER))
        return;
    for (uint8_t k = 0; k < l->g->instance_count; k++) {
        struct action *a = next_action(out);

        if (a == NULL || !power_may_go(l, k) || is_off(l, k) ||
            since < fence_turn_ms(l->g, k, FENCE_POWER))
            continue;
        a->kind = ACT_ORDER_POWER;
        a->rule = "order-power";
        a->group = l->group;
        a->instance = k;
        out->count++;
    }
}

static void order_sever(const struct look *l, struct actions *out)
{
    uint8_t by = severs_now(l, fenced_for(l));

    if (by != NO_INSTANCE)
        order(l, out, ACT_ORDER_SEVER, by);
}

/* ---- leadership -----------------------------------------------------------------------
 */

static const char *region_of(const struct state *s, uint64_t id)
{
    const struct controller *c = state_controller(s, id);

    return c != NULL ? c->region : "";
}

static bool same_text(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static unsigned active_groups(const struct state *s, const char *region)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->group_count; i++) {
        const struct group *g = &s->groups[i];

        if (g->phase != PHASE_DETACHED &&
            same_text(group_region_name(g, g->active), region))
            n++;
    }
    return n;
}

/* A region that holds no instance can never become the active one. */
static bool only_witnesses(const struct state *s, const char *region)
{
    for (unsigned i = 0; i < s->group_count; i++)
        for (uint8_t k = 0; k < s->groups[i].instance_count; k++)
            if (same_text(group_region_name(&s->groups[i], k), region))
                return false;
    return true;
}

static bool all_quiet(const struct state *s)
{
    for (unsigned i = 0; i < s->group_count; i++)
        if (s->groups[i].phase != PHASE_STEADY && s->groups[i].phase != PHASE_DETACHED &&
            s->groups[i].phase != PHASE_FORMING)
            return false;
    return true;
}

/* Leadership belongs where strictly fewer groups are active: losing the active region then
 * costs no election. Among equals a witness is preferred: it need not hand on again at the
 * next failover. */
static void consider_transfer(const struct state *s, const struct observations *o,
                              struct mono now, struct actions *out)
{
    unsigned here = active_groups(s, region_of(s, o->self_id)), least = here;
    struct action *a = next_action(out);
    uint64_t best = 0;

    if (a == NULL || o->transfer_pending || !all_quiet(s) ||
        mono_since_ms(o->leading_since, now) < LEADER_STAY_MS)
        return;
    for (unsigned i = 0; i < s->controller_count; i++) {
        const struct controller *c = &s->controllers[i];
        unsigned n = active_groups(s, c->region);

        bool fewer = n < least, equal = n == least && best != 0;

        if (c->id == o->self_id || !o->controllers[i].caught_up || n >= here ||
            !(fewer || (equal && only_witnesses(s, c->region))))
            continue;
        least = n;
        best = c->id;
    }
    if (best == 0)
        return;
    a->kind = ACT_TRANSFER;
    a->rule = "lead-from-quiet-region";
    a->controller_id = best;
    a->group = a->instance = NO_INSTANCE;
    out->count++;
}

/* ---- all of it ------------------------------------------------------------------------
 */

static void sooner(struct actions *out, struct mono at)
{
    if (at.ns < out->again.ns)
        out->again = at;
}

static void decide_group(const struct look *l, struct actions *out)
{
    struct action *a;
    uint64_t left = holder_wait_left_ns(l);

    if (l->g->phase == PHASE_DETACHED)
        return;
    if (l->g->phase == PHASE_FENCING) {
        order_fences(l, out);
        order_sever(l, out);
        order_power(l, out);
    } else {
        order_steps(l, out);
    }
    a = next_action(out);
    if (a != NULL && !l->og->busy && rules_speak(l, out, a))
        out->count++;
    if (left != 0 && left != UINT64_MAX)
        sooner(out, (struct mono){l->now.ns + left});
}

void decide(const struct state *s, const struct observations *o, struct mono now,
            struct actions *out)
{
    out->count = out->held_count = 0;
    out->again = mono_plus_ms(now, ASK_AGAIN_MS);
    if (!o->leading)
        return;
    for (uint8_t i = 0; i < s->group_count; i++) {
        struct look l = look_at(s, o, i, now);

        decide_group(&l, out);
    }
    consider_transfer(s, o, now, out);
}

bool group_is_suspect(const struct state *s, const struct observations *o, uint8_t group,
                      struct mono now)
{
    struct look l = look_at(s, o, group, now);
    const struct observed_instance *oi = active_seen(&l);
    unsigned asked = 0, failed = 0;
    uint64_t since;

    if (!o->leading || l.g->phase != PHASE_STEADY)
        return false;
    for (unsigned i = 0; i < CONTROLLER_MAX; i++) {
        const struct seen_probe *p = &oi->probes[i];

        if (!mono_is_set(p->at) || mono_since_ms(p->at, now) > 3ull * l.g->policy.probe_ms)
            continue;
        /* Sent while the gate let nobody in yet, as it had to: no news of who leads now. */
        if (p->at.ns < mono_plus_ms(l.og->phase_since, l.g->policy.probe_ms).ns)
            continue;
        asked++;
        failed += !p->answered;
    }
    since = mono_since_ms(oi->granted, now);
    if (mono_since_ms(o->leading_since, now) < since)
        since = mono_since_ms(o->leading_since, now);
    return since > 2ull * l.g->policy.renew_ms + 50 || (asked > 1 && failed == asked);
}

bool group_is_healthy(const struct state *s, const struct observations *o, uint8_t group,
                      struct mono now)
{
    struct look l = look_at(s, o, group, now);
    const struct seen_instance *seen = &active_seen(&l)->seen;

    return l.g->phase == PHASE_STEADY && agent_present(&l, l.g->active) &&
           !group_is_suspect(s, o, group, now) && seen->epoch == l.g->epoch &&
           seen->server == SERVER_PRIMARY && !seen->crashed && !seen->hung &&
           !seen->unfit && no_corruption(&l) && !active_shut(&l) && !active_unled(&l) &&
           !writes_wait(&l);
}
