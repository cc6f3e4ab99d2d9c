#include "controller/daemon/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/text.h"
#include "controller/daemon/agents.h"
#include "controller/daemon/membership.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers_private.h"
#include "controller/daemon/relay.h"
#include "controller/net/names.h"
#include "proto/entry_codec.h"

/* ---- who is who ---------------------------------------------------------------------- */

uint8_t peers_position(const struct peers *p, uint64_t id)
{
    for (uint8_t i = 0; i < p->d->settings.count; i++)
        if (p->d->settings.controllers[i].id == id)
            return i;
    return NO_INSTANCE;
}

const char *peers_name(const struct peers *p, uint64_t id)
{
    uint8_t i = peers_position(p, id);

    return i == NO_INSTANCE ? "" : p->d->settings.controllers[i].name;
}

uint64_t peers_id(const struct peers *p, uint8_t position)
{
    const struct peer *peer = &p->peers[position];

    return peer->has_hello ? peer->hello.id : p->d->settings.controllers[position].id;
}

struct peer *peers_by_id(struct peers *p, uint64_t id)
{
    uint8_t i = peers_position(p, id);

    return i == NO_INSTANCE || i == p->d->settings.self ? NULL : &p->peers[i];
}

bool peers_is_news(char said[ERR_TEXT_SIZE], const char *why)
{
    char text[ERR_TEXT_SIZE];

    (void)snprintf(text, sizeof text, "%s", why);
    if (strcmp(said, text) == 0)
        return false;
    memcpy(said, text, sizeof text);
    return true;
}

/* ---- sending ------------------------------------------------------------------------- */

bool peers_send(struct peers *p, uint8_t to, const Rf__Frame *frame)
{
    struct peer *peer = &p->peers[to];
    struct err err = {0};

    if (peer->link == NULL || !link_is_up(peer->link))
        return false;
    p->bytes.len = 0;
    if (frame_encode(frame, &p->bytes, &err) != 0) {
        log_error("%s for controller %s: %s", frame_name(frame),
                  p->d->settings.controllers[to].name, err.text);
        return false;
    }
    return link_send(peer->link, p->bytes.data, p->bytes.len, &err) == 0;
}

void peers_send_raft(struct peers *p, uint64_t to, const uint8_t *data, size_t len)
{
    Rf__RaftMessage m = RF__RAFT_MESSAGE__INIT;
    Rf__Frame frame = RF__FRAME__INIT;
    struct peer *peer = peers_by_id(p, to);

    if (peer == NULL)
        return;
    m.data = (ProtobufCBinaryData){len, (uint8_t *)data};
    frame.body_case = RF__FRAME__BODY_RAFT;
    frame.raft = &m;
    (void)peers_send(p, peer->position, &frame);
}

void peers_forward_up(struct peers *p, const char *agent, const uint8_t *data, size_t len,
                      struct mono said)
{
    struct mono now = mono_now();
    Rf__ForwardUp up = RF__FORWARD_UP__INIT;
    Rf__Frame frame = RF__FRAME__INIT;
    struct peer *leader = peers_by_id(p, node_leader(p->d->node));

    if (leader == NULL)
        return;
    up.agent = (char *)agent;
    up.frame = (ProtobufCBinaryData){len, (uint8_t *)data};
    up.age_ms = mono_since_ms(said, now) + 1; /* rounded up */
    up.ping_seq = leader->asked.seq;
    up.ping_sent_ns = leader->asked.sent_ns;
    up.ping_age_ms = up.ping_seq != 0 ? mono_since_ms(leader->asked.came, now) : 0;
    frame.body_case = RF__FRAME__BODY_FORWARD_UP;
    frame.forward_up = &up;
    (void)peers_send(p, leader->position, &frame);
}

void peers_forward_down(struct peers *p, uint8_t to, const char *agent, const uint8_t *data,
                        size_t len)
{
    Rf__ForwardDown down = RF__FORWARD_DOWN__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    down.agent = (char *)agent;
    down.frame = (ProtobufCBinaryData){len, (uint8_t *)data};
    frame.body_case = RF__FRAME__BODY_FORWARD_DOWN;
    frame.forward_down = &down;
    (void)peers_send(p, to, &frame);
}

void peers_hello_all(struct peers *p)
{
    for (uint8_t i = 0; i < p->d->settings.count; i++)
        if (p->peers[i].link != NULL)
            peers_say_hello(p, i);
}

/* ---- round trips --------------------------------------------------------------------- */

static void ping(struct peers *p, struct peer *peer)
{
    Rf__Ping m = RF__PING__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    m.seq = ++peer->ping_seq;
    m.sent_ns = mono_now().ns;
    m.mark = node_mark(p->d->node);
    peer->pings[m.seq % PINGS_KEPT] = (struct pinged){.seq = m.seq, .sent_ns = m.sent_ns};
    frame.body_case = RF__FRAME__BODY_PING;
    frame.ping = &m;
    (void)peers_send(p, peer->position, &frame);
}

static void pong(struct peers *p, uint8_t to, const Rf__Ping *asked)
{
    Rf__Pong m = RF__PONG__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    p->peers[to].asked = (struct pinged){asked->seq, mono_now(), asked->sent_ns};
    m.seq = asked->seq;
    m.sent_ns = asked->sent_ns;
    frame.body_case = RF__FRAME__BODY_PONG;
    frame.pong = &m;
    (void)peers_send(p, to, &frame);
}

static void take_ping(struct peers *p, uint8_t from, const Rf__Ping *m)
{
    node_note_mark(p->d->node, peers_id(p, from), m->mark);
    pong(p, from, m);
}

static void take_pong(struct peer *peer, const Rf__Pong *m)
{
    struct mono now = mono_now();
    uint64_t us = (now.ns - m->sent_ns) / 1000;

    peer->answered = now;
    /* Only the newest: an older one measures our own link's outage. */
    if (m->seq != peer->ping_seq || m->sent_ns > now.ns || us > UINT32_MAX)
        return;
    peer->rtt_us[peer->rtt_next] = us == 0 ? 1 : (uint32_t)us;
    peer->rtt_next = (peer->rtt_next + 1) % RTT_WINDOW;
}

bool peers_find_ping(const struct peer *peer, uint64_t seq, uint64_t sent_ns,
                     struct mono *ret)
{
    const struct pinged *ours = &peer->pings[seq % PINGS_KEPT];

    if (seq == 0 || ours->seq != seq || ours->sent_ns != sent_ns)
        return false;
    ret->ns = ours->sent_ns;
    return true;
}

static uint32_t rtt_max(const struct peer *peer)
{
    uint32_t max = 0;

    for (unsigned i = 0; i < RTT_WINDOW; i++)
        if (peer->rtt_us[i] > max)
            max = peer->rtt_us[i];
    return max;
}

/* The shortest of the last half minute is what the path takes; what a busy moment of either
 * host adds to it says nothing about the next election. */
static uint32_t rtt_of_path(const struct peer *peer)
{
    uint32_t min = 0;

    for (unsigned i = 0; i < RTT_WINDOW; i++)
        if (peer->rtt_us[i] != 0 && (min == 0 || peer->rtt_us[i] < min))
            min = peer->rtt_us[i];
    return min;
}

uint32_t peers_rtt_ms(const struct peers *p)
{
    uint32_t max = 0;

    for (uint8_t i = 0; i < p->d->settings.count; i++)
        if (rtt_of_path(&p->peers[i]) > max)
            max = rtt_of_path(&p->peers[i]);
    return (max + 999) / 1000;
}

/* ---- receiving ----------------------------------------------------------------------- */

static void take_raft(struct peers *p, uint8_t from, const Rf__RaftMessage *m)
{
    const struct settings_controller *c = &p->d->settings.controllers[from];
    struct err err = {0};
    int status =
        node_receive(p->d->node, peers_id(p, from), m->data.data, m->data.len, &err);

    if (status != 0 && status != ERR_CLOSED)
        log_warn("a Raft message of controller %s was dropped: %s", c->name, err.text);
}

/* What an agent said is as old as the controller in between says, and that is as old as our
 * ping that it had by then (relay.h). */
static void take_passed_on(struct peers *p, uint8_t from, const Rf__ForwardUp *up)
{
    struct mono asked, said = {0};

    if (peers_find_ping(&p->peers[from], up->ping_seq, up->ping_sent_ns, &asked))
        said = relay_taken(asked, up->ping_age_ms, up->age_ms);
    agents_forwarded(p->d->agents, from, up->agent, up->frame.data, up->frame.len, said);
}

void peers_handle(struct peers *p, uint8_t from, const Rf__Frame *f)
{
    struct peer *peer = &p->peers[from];
    struct agents *agents = p->d->agents;
    struct mono now = mono_now();
    uint64_t id = peers_id(p, from);
    const struct state *s = node_state(p->d->node);

    peer->heard = now;
    for (unsigned i = 0; i < s->controller_count; i++)
        if (s->controllers[i].id == id)
            node_seen(p->d->node)->controllers[i].heard = now;

    if (f->body_case == RF__FRAME__BODY_RAFT)
        take_raft(p, from, f->raft);
    else if (f->body_case == RF__FRAME__BODY_FORWARD_UP)
        take_passed_on(p, from, f->forward_up);
    else if (f->body_case == RF__FRAME__BODY_FORWARD_DOWN)
        agents_deliver(agents, f->forward_down->agent, f->forward_down->frame.data,
                       f->forward_down->frame.len);
    else if (f->body_case == RF__FRAME__BODY_PING)
        take_ping(p, from, f->ping);
    else if (f->body_case == RF__FRAME__BODY_PONG)
        take_pong(peer, f->pong);
    else if (f->body_case == RF__FRAME__BODY_PEER_VIEW)
        peer_view_take(p, from, f->peer_view);
    else if (f->body_case == RF__FRAME__BODY_API_REQUEST)
        peer_api_request(p, from, f->api_request);
    else if (f->body_case == RF__FRAME__BODY_API_REPLY)
        peer_api_reply(p, f->api_reply);
}

/* ---- announcements (I10) ---------------------------------------------------------------
 */

bool peers_announcement(const struct peers *p, uint8_t position, struct controller *ret)
{
    const struct settings *own = &p->d->settings;
    const struct settings_controller *c = &own->controllers[position];
    const struct controller *r;
    struct controller said = {.id = c->id,
                              .format_min = entry_formats().min,
                              .format_max = entry_formats().max,
                              .election_ms = own->election_ms,
                              .heartbeat_ms = own->heartbeat_ms};

    (void)snprintf(said.name, sizeof said.name, "%s", c->name);
    (void)snprintf(said.region, sizeof said.region, "%s", c->region);
    (void)snprintf(said.version, sizeof said.version, "%s", RF_VERSION);
    if (position != own->self) {
        if (!p->peers[position].has_hello)
            return false;
        said = p->peers[position].hello;
    }
    if (said.id != membership_id(p->d, position))
        return false; /* replaced */
    r = state_controller(node_state(p->d->node), said.id);
    if (r != NULL && strcmp(r->name, said.name) == 0 &&
        strcmp(r->region, said.region) == 0 && strcmp(r->version, said.version) == 0 &&
        r->format_min == said.format_min && r->format_max == said.format_max &&
        r->election_ms == said.election_ms && r->heartbeat_ms == said.heartbeat_ms)
        return false;
    *ret = said;
    return true;
}

static void announce(struct peers *p);

static void on_announced(void *owner, int status, uint64_t index,
                         const struct apply_result *r)
{
    struct peers *p = owner;

    (void)index;
    (void)r;
    if (p->d->closing)
        return;
    p->announcing = false;
    if (status == 0)
        announce(p); /* the next one */
}

/* The leader puts on record what the voters say of themselves, one at a time. */
static void announce(struct peers *p)
{
    struct entry e = {.kind = ENTRY_CONTROLLER, .rule = "controller"};
    struct err err = {0};

    if (p->announcing || !node_leads(p->d->node))
        return;
    for (uint8_t i = 0; i < p->d->settings.count; i++) {
        if (!peers_announcement(p, i, &e.controller))
            continue;
        if (node_propose(p->d->node, &e, on_announced, p, NULL, &err) == 0) {
            p->announcing = true;
            return;
        }
        log_warn("controller %s cannot be put on record: %s", e.controller.name, err.text);
    }
}

/* ---- facts --------------------------------------------------------------------------- */

void peers_facts(const struct peers *p, uint8_t position, struct peer_facts *ret)
{
    const struct peer *peer = &p->peers[position];
    unsigned last = (peer->rtt_next + RTT_WINDOW - 1) % RTT_WINDOW;
    uint64_t silent_ms;
    bool is_silent;

    *ret = (struct peer_facts){0};
    if (peer->link == NULL) {
        ret->out_up = ret->in_up = true;
        return;
    }
    memcpy(ret->refused, peer->we_refused, sizeof ret->refused);
    silent_ms = mono_since_ms(peer->answered, mono_now());
    /* A stopped process keeps its connections. Its answers come on the stream that it has
     * dialled: without that one, their absence says nothing about our own link. */
    is_silent = peer->in != NULL && silent_ms > PEERS_SILENT_MS;
    ret->out_up = link_is_up(peer->link) && !is_silent;
    ret->in_up =
        peer->in != NULL && mono_since_ms(peer->heard, mono_now()) <= PEERS_SILENT_MS;
    if (!link_is_up(peer->link))
        text_set(ret->out_error, sizeof ret->out_error, "%s",
                 link_last_error(peer->link)->text);
    else if (is_silent)
        (void)snprintf(ret->out_error, sizeof ret->out_error,
                       "connected, and without an answer for %" PRIu64
                       " ms (stopped, or its network swallows everything)",
                       silent_ms);
    ret->heard = peer->heard;
    ret->rtt_us = peer->rtt_us[last];
    ret->rtt_max_us = rtt_max(peer);
    ret->loop_lag_us = peer->loop_lag_us;
    ret->applied = peer->applied;
}

/* ---- life ---------------------------------------------------------------------------- */

static void on_link_up(void *owner)
{
    struct peer *peer = owner;
    struct peers *p = peer->p;

    peer->answered = mono_now();
    peers_say_hello(p, peer->position);
    ping(p, peer);
    if (node_leader(p->d->node) == p->d->settings.controllers[peer->position].id)
        agents_leader_changed(p->d->agents);
}

/* Each one sends on the link that it dialled; here only a refusal comes back. */
static void on_link_frame(void *owner, const uint8_t *data, size_t len)
{
    struct peer *peer = owner;
    const char *name = peer->p->d->settings.controllers[peer->position].name;
    AUTO(frame_free) Rf__Frame *f = NULL;

    if (frame_decode(data, len, &f, NULL) == 0 && f->body_case == RF__FRAME__BODY_REFUSAL)
        log_at(peers_is_news(peer->refused_us, f->refusal->reason) ? LOG_LEVEL_ERROR
                                                                   : LOG_LEVEL_DEBUG,
               "controller %s refuses this one: %s", name, f->refusal->reason);
    else
        log_warn("controller %s sent something on a link where nothing is due", name);
}

static const struct link_events link_events = {.on_up = on_link_up,
                                               .on_frame = on_link_frame};

static void on_tick(uv_timer_t *tick)
{
    struct peers *p = tick->data;

    for (uint8_t i = 0; i < p->d->settings.count; i++)
        if (p->peers[i].link != NULL)
            ping(p, &p->peers[i]);
    peers_send_view(p);
    peer_api_tick(p, mono_now());
    if (!node_is_assembled(p->d->node))
        peers_hello_all(p); /* until all know each other: one may have been lost */
    announce(p);
    membership_tick(p->d);
}

static int dial(struct peers *p, uint8_t position, struct err *err)
{
    const struct settings_controller *c = &p->d->settings.controllers[position];
    struct identity peer;
    struct link_spec spec = {.peer = &peer,
                             .at = &c->at,
                             .events = &link_events,
                             .owner = &p->peers[position],
                             .names = p->names,
                             .backoff_max_ms = 500};

    if (identity_make(&peer, IDENTITY_CONTROLLER, p->d->settings.cluster, c->name, err) !=
        0)
        return err->code;
    return link_open(&p->peers[position].link, p->d->loop, p->d->tls, &spec, err);
}

void peers_reach(struct peers *p, uint8_t position, const char *address)
{
    struct settings_controller *c = &p->d->settings.controllers[position];
    struct peer *peer = &p->peers[position];
    char now[ADDRESS_TEXT_SIZE];
    struct address at;
    struct err err = {0};

    address_format(&c->at, now);
    if (peer->link == NULL || strcmp(now, address) == 0 ||
        address_parse(&at, address, &err) != 0)
        return;
    log_info("controller %s is reached at %s from now on, not at %s", c->name, address,
             now);
    c->at = at;
    link_close(peer->link);
    peer->link = NULL;
    if (dial(p, position, &err) != 0)
        log_error("controller %s at %s: %s", c->name, address, err.text);
}

bool peers_newcomer(const struct peers *p, uint8_t position, struct member *ret)
{
    const struct peer *peer = &p->peers[position];

    if (peer->in == NULL || peer->hello.id != membership_id(p->d, position))
        return false;
    *ret = (struct member){.id = peer->hello.id, .store = peer->store};
    (void)snprintf(ret->name, sizeof ret->name, "%s", peer->hello.name);
    (void)snprintf(ret->address, sizeof ret->address, "%s", peer->address);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct peers *p = handle->data;

    buf_free(&p->bytes);
    free(p);
}

int peers_open(struct peers **ret_peers, struct daemon *d, struct err *err)
{
    struct peers *p = calloc(1, sizeof *p);
    char file[PATH_SIZE + 8];
    int status;

    if (p == NULL)
        return err_set(err, ERR_NOMEM, "links to the other controllers");
    p->d = d;
    p->bytes.secret = true; /* requests and answers of people pass by here */
    (void)snprintf(file, sizeof file, "%s/names", d->settings.data_dir);
    (void)uv_timer_init(d->loop, &p->tick); /* cannot fail */
    p->tick.data = p;
    status = uv_timer_start(&p->tick, on_tick, 100, PEERS_PING_MS);
    if (status != 0)
        (void)err_uv(err, status, "start the timer of links");
    else
        status = names_open(&p->names, d->loop, file, err);
    for (uint8_t i = 0; status == 0 && i < d->settings.count; i++) {
        p->peers[i].p = p;
        p->peers[i].position = i;
        if (i != d->settings.self)
            status = dial(p, i, err);
    }
    if (status != 0) {
        peers_close(p);
        return err->code;
    }
    *ret_peers = p;
    return 0;
}

void peers_close(struct peers *p)
{
    if (p == NULL)
        return;
    peer_api_close(p);
    for (unsigned i = 0; i < CONTROLLER_MAX; i++)
        link_close(p->peers[i].link);
    names_close(p->names);
    peer_streams_close(p);
    uv_close((uv_handle_t *)&p->tick, on_closed);
}
