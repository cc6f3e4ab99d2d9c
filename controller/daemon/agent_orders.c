#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/daemon/agents_private.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"

void agents_send_routes(struct agents *a, const char *agent, uint8_t routes,
                        const Rf__Frame *frame)
{
    struct err err = {0};

    a->bytes.len = 0;
    if (frame_encode(frame, &a->bytes, &err) != 0) {
        log_error("%s for agent %s: %s", frame_name(frame), agent, err.text);
        return;
    }
    for (uint8_t i = 0; i < a->d->settings.count; i++) {
        if ((routes & 1u << i) == 0)
            continue;
        if (i == agents_self_route(a))
            (void)sessions_send(a, agent, NULL, a->bytes.data, a->bytes.len);
        else
            peers_forward_down(a->d->peers, i, agent, a->bytes.data, a->bytes.len);
    }
}

/* I7: a stream of our own if there is one, else the controller through which the agent was
 * heard last. NO_INSTANCE: none. */
static uint8_t best_route(struct agents *a, const struct known *k)
{
    struct mono now = mono_now();
    uint8_t best = NO_INSTANCE;

    for (uint8_t i = 0; i < a->d->settings.count; i++) {
        if (i == agents_self_route(a) || !mono_is_set(k->route_at[i]) ||
            mono_since_ms(k->route_at[i], now) > AGENTS_ROUTE_MS)
            continue;
        if (best == NO_INSTANCE || k->route_at[i].ns > k->route_at[best].ns)
            best = i;
    }
    return best;
}

/* The agent's frames come by `route`, and none of late by the stream of our own. */
static bool is_heard_elsewhere(struct agents *a, const struct known *k, uint8_t route)
{
    enum { LATE_MS = 300 };
    struct mono own = k->route_at[agents_self_route(a)];

    return route != NO_INSTANCE && mono_since_ms(own, k->route_at[route]) > LATE_MS;
}

void agents_send(struct agents *a, const char *name, const Rf__Frame *frame)
{
    const struct known *k = agents_know(a, name);
    struct err err = {0};
    uint8_t route;

    if (k == NULL)
        return;
    a->bytes.len = 0;
    if (frame_encode(frame, &a->bytes, &err) != 0) {
        log_error("%s for agent %s: %s", frame_name(frame), name, err.text);
        return;
    }
    /* A stream whose other end cannot be reached any more looks alive until its timeout. If
     * the agent is heard through somebody else meanwhile, both ways are taken: whatever is
     * sent from here may arrive twice. */
    route = best_route(a, k);
    if (sessions_send(a, name, &k->enrolled, a->bytes.data, a->bytes.len) &&
        !is_heard_elsewhere(a, k, route))
        return;
    if (route != NO_INSTANCE)
        peers_forward_down(a->d->peers, route, name, a->bytes.data, a->bytes.len);
}

void agents_flush(struct agents *a)
{
    const struct state *s = node_state(a->d->node);
    struct driver_status status;

    if (!node_leads(a->d->node))
        return;
    node_status(a->d->node, &status);
    for (unsigned i = 0; i < a->known_count; i++) {
        struct known *k = &a->known[i];
        const Rf__Frame *frame;

        if (!k->dirty)
            continue;
        k->dirty = false;
        k->pushed = mono_now();
        frame = message_assignments(&a->messages, s, k->name, status.term);
        if (frame != NULL)
            agents_send(a, k->name, frame);
    }
}

/* True if it is due; it is then taken to be sent. */
static bool is_due(struct pace *p, uint64_t order)
{
    struct mono now = mono_now();

    if (p->order == order && mono_since_ms(p->sent, now) < AGENTS_ORDER_EACH_MS)
        return false;
    *p = (struct pace){order, now};
    return true;
}

void agents_order_step(struct agents *a, uint8_t group, uint8_t instance)
{
    const struct state *s = node_state(a->d->node);
    const struct instance *i = &s->groups[group].instances[instance];
    const Rf__Frame *frame;

    if (!is_due(&a->paces[group][instance], i->step.id))
        return;
    frame = message_step_order(&a->messages, s, group, instance);
    if (frame != NULL)
        agents_send(a, i->agent, frame);
}

void agents_order_fence(struct agents *a, uint8_t group, uint8_t instance)
{
    const struct state *s = node_state(a->d->node);
    const struct group *g = &s->groups[group];
    const Rf__Frame *frame;

    if (!is_due(&a->fences[group][instance], g->fence_index))
        return;
    frame = message_fence_order(&a->messages, s, group, instance);
    if (frame != NULL)
        agents_send(a, g->instances[instance].agent, frame);
}

void agents_order_sever(struct agents *a, uint8_t group, uint8_t instance)
{
    const struct state *s = node_state(a->d->node);
    const struct group *g = &s->groups[group];
    const Rf__Frame *frame;

    if (!is_due(&a->paces[group][instance], g->fence_index))
        return;
    frame = message_sever_order(&a->messages, s, group, instance);
    if (frame != NULL)
        agents_send(a, g->instances[instance].agent, frame);
}
