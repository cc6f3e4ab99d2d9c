/* What one controller sees, told to the others: shown, and never a veto (design section 3).
 * A primary's last position is more than shown: it bounds what a failover may lose.
 */
#include <string.h>

#include "controller/base/clock.h"
#include "controller/daemon/agents.h"
#include "controller/daemon/lag.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers_private.h"
#include "controller/daemon/relay.h"
#include "controller/daemon/runner.h"

enum { PROBES_MAX = GROUP_MAX * INSTANCE_MAX, LINKS_STALE_MS = 3000 };

/* Position in state.controllers, NO_INSTANCE: not on record yet. */
static uint8_t position_in_state(const struct peers *p, uint8_t position)
{
    const struct state *s = node_state(p->d->node);

    for (uint8_t i = 0; i < s->controller_count; i++)
        if (s->controllers[i].id == p->d->settings.controllers[position].id)
            return i;
    return NO_INSTANCE;
}

uint8_t peers_self(const struct peers *p)
{
    return position_in_state(p, p->d->settings.self);
}

struct view {
    Rf__PeerView message;
    const char *agents[AGENT_MAX];
    Rf__ProbeResult probes[PROBES_MAX], *list[PROBES_MAX];
    Rf__PositionSeen positions[GROUP_MAX], *position_list[GROUP_MAX];
    Rf__LinkView links[CONTROLLER_MAX], *link_list[CONTROLLER_MAX];
    struct mono now; /* read first: what is dated later only counts as older */
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
    r->refused = seen->refused;
    r->age_ms = mono_since_ms(seen->at, mono_now());
    v->list[v->message.n_probes++] = r;
}

/* Heard from the primary's agent, or from another controller: all is passed on, so that it
 * outlives each of those who heard it themselves. */
static void add_position(struct view *v, const struct group *g,
                         const struct observed_group *og)
{
    Rf__PositionSeen *r = &v->positions[v->message.n_positions];

    if (!mono_is_set(og->primary_lsn_at) || og->epoch != g->epoch)
        return;
    rf__position_seen__init(r);
    r->group = (char *)g->name;
    r->epoch = g->epoch;
    r->timeline = og->primary_timeline;
    r->lsn = og->primary_lsn;
    r->wal_bytes_per_s = og->wal_rate;
    r->age_ms = mono_since_ms(og->primary_lsn_at, mono_now()) + 1;
    v->position_list[v->message.n_positions++] = r;
}

static void add_link(struct view *v, uint64_t id, const struct peer_link *link)
{
    Rf__LinkView *r = &v->links[v->message.n_links];

    rf__link_view__init(r);
    r->id = id;
    r->out_up = link->out_up;
    r->in_up = link->in_up;
    r->rtt_us = link->rtt_us;
    v->link_list[v->message.n_links++] = r;
}

static void build_view(struct peers *p, struct view *v)
{
    const struct state *s = node_state(p->d->node);
    const struct observations *o = node_seen(p->d->node);
    uint8_t self = peers_self(p);
    struct peer_link links[CONTROLLER_MAX];
    struct lag_stats lag;

    v->now = mono_now();
    rf__peer_view__init(&v->message);
    v->message.n_agents = agents_connected(p->d->agents, v->agents);
    v->message.agents = (char **)v->agents;
    v->message.probes = v->list;
    v->message.positions = v->position_list;
    v->message.links = v->link_list;
    for (unsigned k = 0; self != NO_INSTANCE && k < s->group_count; k++)
        for (uint8_t i = 0; i < s->groups[k].instance_count; i++)
            add_probe(v, &s->groups[k], i, &o->groups[k].instances[i].probes[self]);
    for (unsigned k = 0; k < s->group_count; k++)
        add_position(v, &s->groups[k], &o->groups[k]);
    peers_links(p, p->d->settings.self, links);
    for (uint8_t i = 0; i < p->d->settings.count; i++)
        if (i != p->d->settings.self)
            add_link(v, p->d->settings.controllers[i].id, &links[i]);
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
    for (uint8_t i = 0; i < p->d->settings.count; i++) {
        const struct pinged *asked = &p->peers[i].asked;

        v.message.ping_seq = asked->seq;
        v.message.ping_sent_ns = asked->sent_ns;
        v.message.ping_age_ms = asked->seq != 0 ? mono_since_ms(asked->came, v.now) : 0;
        if (p->peers[i].link != NULL)
            (void)peers_send(p, i, &frame);
    }
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
    seen->refused = r->refused;
}

static void take_agents(struct peers *p, uint8_t at, const Rf__PeerView *view)
{
    const struct state *s = node_state(p->d->node);
    struct mono now = mono_now();

    for (unsigned i = 0; i < s->agent_count; i++) {
        bool up = false;

        for (size_t k = 0; k < view->n_agents && !up; k++)
            up = strcmp(view->agents[k], s->agents[i].name) == 0;
        (void)observe_link(node_seen(p->d->node), s, s->agents[i].name, at, up, now);
    }
}

static void take_positions(struct peers *p, uint8_t from, const Rf__PeerView *view)
{
    const struct state *s = node_state(p->d->node);
    struct mono asked;

    if (!peers_find_ping(&p->peers[from], view->ping_seq, view->ping_sent_ns, &asked))
        return;
    for (size_t i = 0; i < view->n_positions; i++) {
        const Rf__PositionSeen *r = view->positions[i];
        const struct group *g = state_group_const(s, r->group);
        struct seen_position seen = {
            .epoch = r->epoch,
            .timeline = r->timeline,
            .lsn = r->lsn,
            .wal_bytes_per_s = r->wal_bytes_per_s,
            .taken = relay_taken(asked, view->ping_age_ms, r->age_ms),
        };

        if (g != NULL)
            observe_position(node_seen(p->d->node), s, (uint8_t)(g - s->groups), &seen);
    }
}

static void take_links(struct peers *p, uint8_t from, const Rf__PeerView *view)
{
    struct peer *peer = &p->peers[from];

    memset(peer->links, 0, sizeof peer->links);
    peer->links_at = mono_now();
    for (size_t i = 0; i < view->n_links; i++) {
        const Rf__LinkView *r = view->links[i];
        uint8_t to = peers_position(p, r->id);

        if (to != NO_INSTANCE)
            peer->links[to] = (struct peer_link){
                .known = true, .out_up = r->out_up, .in_up = r->in_up, .rtt_us = r->rtt_us};
    }
}

void peers_links(const struct peers *p, uint8_t position,
                 struct peer_link ret[CONTROLLER_MAX])
{
    const struct peer *peer = &p->peers[position];
    struct peer_facts facts;

    memset(ret, 0, CONTROLLER_MAX * sizeof *ret);
    if (position != p->d->settings.self) {
        if (mono_is_set(peer->links_at) &&
            mono_since_ms(peer->links_at, mono_now()) < LINKS_STALE_MS)
            memcpy(ret, peer->links, sizeof peer->links);
        return;
    }
    for (uint8_t i = 0; i < p->d->settings.count; i++) {
        if (i == position)
            continue;
        peers_facts(p, i, &facts);
        ret[i] = (struct peer_link){.known = true,
                                    .out_up = facts.out_up,
                                    .in_up = facts.in_up,
                                    .rtt_us = facts.rtt_us};
    }
}

void peer_view_take(struct peers *p, uint8_t from, const Rf__PeerView *view)
{
    uint8_t at = position_in_state(p, from);

    p->peers[from].loop_lag_us = view->loop_lag_us;
    p->peers[from].applied = view->applied;
    agents_seen_by(p->d->agents, from, view->agents, view->n_agents);
    take_links(p, from, view);
    take_positions(p, from, view);
    if (at != NO_INSTANCE)
        take_agents(p, at, view);
    for (size_t i = 0; at != NO_INSTANCE && i < view->n_probes; i++)
        take_probe(p, at, view->probes[i]);
    runner_wake(p->d->runner);
}
