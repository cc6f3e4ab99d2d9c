/* What one controller sees, told to the others: shown, and never a veto (design section 3).
 */
#include <string.h>

#include "controller/base/clock.h"
#include "controller/daemon/agents.h"
#include "controller/daemon/lag.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers_private.h"
#include "controller/daemon/runner.h"

enum { PROBES_MAX = GROUP_MAX * INSTANCE_MAX };

/* Position in state.controllers, NO_INSTANCE: not on record yet. */
static uint8_t position_in_state(const struct peers *p, uint8_t position)
{
    const struct state *s = node_state(p->d->node);

    for (uint8_t i = 0; i < s->controller_count; i++)
        if (s->controllers[i].id == p->d->settings.controllers[position].id)
            return i;
    return NO_INSTANCE;
}

struct view {
    Rf__PeerView message;
    const char *agents[AGENT_MAX];
    Rf__ProbeResult probes[PROBES_MAX], *list[PROBES_MAX];
};

static void add_probe(struct view *v, const struct group *g, uint8_t i,
                      const struct seen_probe *seen)
{
    Rf__ProbeResult *r = &v->probes[v->message.n_probes];

    if (!mono_is_set(seen->at))
        return;
    rf__probe_result__init(r);
    r->group = (char *)g->name;
    r->instance = (char *)g->instances[i].agent;
    r->answered = seen->answered;
    r->age_ms = mono_since_ms(seen->at, mono_now());
    v->list[v->message.n_probes++] = r;
}

static void build_view(struct peers *p, struct view *v)
{
    const struct state *s = node_state(p->d->node);
    const struct observations *o = node_seen(p->d->node);
    uint8_t self = position_in_state(p, p->d->settings.self);
    struct lag_stats lag;

    rf__peer_view__init(&v->message);
    v->message.n_agents = agents_connected(p->d->agents, v->agents);
    v->message.agents = (char **)v->agents;
    v->message.probes = v->list;
    for (unsigned k = 0; self != NO_INSTANCE && k < s->group_count; k++)
        for (uint8_t i = 0; i < s->groups[k].instance_count; i++)
            add_probe(v, &s->groups[k], i, &o->groups[k].instances[i].probes[self]);
    lag_stats(p->d->lag, &lag);
    v->message.loop_lag_us = lag.max_us;
    v->message.applied = node_applied(p->d->node);
}

void peers_send_view(struct peers *p)
{
    struct view v;
    Rf__Frame frame = RF__FRAME__INIT;

    build_view(p, &v);
    frame.body_case = RF__FRAME__BODY_PEER_VIEW;
    frame.peer_view = &v.message;
    for (uint8_t i = 0; i < p->d->settings.count; i++)
        if (p->peers[i].link != NULL)
            (void)peers_send(p, i, &frame);
}

static void take_probe(struct peers *p, uint8_t from, const Rf__ProbeResult *r)
{
    const struct group *g = state_group_const(node_state(p->d->node), r->group);
    uint8_t i = g != NULL ? group_instance(g, r->instance) : NO_INSTANCE;
    struct mono now = mono_now();
    uint64_t age_ns = r->age_ms * NS_PER_MS;
    struct seen_probe *seen;

    if (i == NO_INSTANCE)
        return;
    seen = &node_seen(p->d->node)
                ->groups[g - node_state(p->d->node)->groups]
                .instances[i]
                .probes[from];
    seen->at.ns = r->age_ms < now.ns / NS_PER_MS && now.ns > age_ns ? now.ns - age_ns : 1;
    seen->answered = r->answered;
}

void peer_view_take(struct peers *p, uint8_t from, const Rf__PeerView *view)
{
    uint8_t at = position_in_state(p, from);

    p->peers[from].loop_lag_us = view->loop_lag_us;
    p->peers[from].applied = view->applied;
    agents_seen_by(p->d->agents, from, view->agents, view->n_agents);
    for (size_t i = 0; at != NO_INSTANCE && i < view->n_probes; i++)
        take_probe(p, at, view->probes[i]);
    runner_wake(p->d->runner);
}
