#include "tests/real/daemon/fake_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "fencing/rules/lease.h"
#include "proto/entry_codec.h"

enum { SYSTEM_ID = 4711 };

static char *text(const char *t) { return (char *)t; }

/* ---- sending ------------------------------------------------------------------------- */

static void date(const struct fake_agent *a, int node, Rf__AgentReport *r)
{
    const struct fake_link *l = &a->links[node];

    r->answered_seq = l->answered_seq;
    r->answered_age_ms =
        l->answered_seq != 0 ? (boot_now().ns - l->answered.ns) / NS_PER_MS : 0;
}

void fake_agent_send(struct fake_agent *a, int node, const Rf__Frame *frame)
{
    struct buf bytes = {0};
    struct err err = {0};

    if (frame->body_case == RF__FRAME__BODY_AGENT_REPORT)
        date(a, node, frame->agent_report);
    if (frame_encode(frame, &bytes, &err) != 0)
        fail_msg("%s", err.text);
    if (a->links[node].link != NULL && link_is_up(a->links[node].link))
        (void)!link_send(a->links[node].link, bytes.data, bytes.len, &err);
    buf_free(&bytes);
}

static bool is_up(const struct fake_agent *a, int node)
{
    return a->links[node].link != NULL && link_is_up(a->links[node].link);
}

/* To the controller that leads; to any where that is not known or not reached. */
static void send_up(struct fake_agent *a, const Rf__Frame *frame)
{
    for (int i = 0; i < NODES; i++)
        if (strcmp(node_names[i], a->leader) == 0 && is_up(a, i)) {
            fake_agent_send(a, i, frame);
            return;
        }
    for (int i = 0; i < NODES; i++)
        if (is_up(a, i)) {
            fake_agent_send(a, i, frame);
            return;
        }
}

static void say_hello(struct fake_agent *a, int node)
{
    Rf__AgentHello h = RF__AGENT_HELLO__INIT;
    Rf__Incarnation incarnation;
    Rf__Frame frame = RF__FRAME__INIT;

    h.cluster = text("lab");
    h.name = a->name;
    h.region = a->region;
    h.address = text(a->address != NULL ? a->address : "127.0.0.1");
    h.version = text("0.1.0");
    h.format_min = ENTRY_FORMAT_MIN;
    h.format_max = ENTRY_FORMAT_MAX;
    frame_incarnation_put(&a->incarnation, &incarnation);
    h.incarnation = &incarnation;
    h.gate_driver = text("fake");
    frame.body_case = RF__FRAME__BODY_AGENT_HELLO;
    frame.agent_hello = &h;
    fake_agent_send(a, node, &frame);
}

static void renew(struct fake_agent *a)
{
    Rf__Renew r = RF__RENEW__INIT;
    Rf__RenewItem item = RF__RENEW_ITEM__INIT, *items[] = {&item};
    Rf__Incarnation incarnation;
    Rf__Frame frame = RF__FRAME__INIT;

    if (a->role != RF__ROLE__ROLE_PRIMARY || a->fence_index != 0 ||
        a->fenced_epoch >= a->epoch)
        return;
    item.group = a->group;
    item.instance = a->name;
    item.epoch = a->epoch;
    item.kind = RF__LEASE_KIND__LEASE_WRITE;
    r.seq = ++a->seq;
    r.sent_boot_ns = boot_now().ns;
    a->last_sent.ns = r.sent_boot_ns;
    frame_incarnation_put(&a->incarnation, &incarnation);
    r.incarnation = &incarnation;
    r.n_items = 1;
    r.items = items;
    frame.body_case = RF__FRAME__BODY_RENEW;
    frame.renew = &r;
    if (mono_is_set(a->unanswered_since)) {
        for (int i = 0; i < NODES; i++)
            fake_agent_send(a, i, &frame);
        return;
    }
    a->unanswered_since = mono_now();
    send_up(a, &frame);
}

static void ping(struct fake_agent *a, int node)
{
    Rf__Ping p = RF__PING__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    p.seq = ++a->links[node].ping_seq;
    p.sent_ns = boot_now().ns;
    frame.body_case = RF__FRAME__BODY_PING;
    frame.ping = &p;
    fake_agent_send(a, node, &frame);
}

static void answer(struct fake_agent *a, int node, const Rf__Ping *ping)
{
    Rf__Pong p = RF__PONG__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    p.seq = ping->seq;
    p.sent_ns = ping->sent_ns;
    frame.body_case = RF__FRAME__BODY_PONG;
    frame.pong = &p;
    fake_agent_send(a, node, &frame);
}

/* As it would have gone to the leader. */
static void hold_back(struct fake_agent *a, Rf__AgentReport *r)
{
    Rf__Frame frame = RF__FRAME__INIT;
    struct err err = {0};

    if (a->held.len != 0)
        return;
    for (int i = 0; i < NODES; i++)
        if (strcmp(node_names[i], a->leader) == 0)
            date(a, i, r);
    frame.body_case = RF__FRAME__BODY_AGENT_REPORT;
    frame.agent_report = r;
    assert_int_equal(frame_encode(&frame, &a->held, &err), 0);
}

void fake_agent_let_go(struct fake_agent *a, int node)
{
    struct err err = {0};

    assert_true(a->held.len != 0);
    assert_int_equal(link_send(a->links[node].link, a->held.data, a->held.len, &err), 0);
    buf_free(&a->held);
}

static void report(struct fake_agent *a)
{
    Rf__AgentReport r = RF__AGENT_REPORT__INIT;
    Rf__InstanceReport i = RF__INSTANCE_REPORT__INIT, *list[] = {&i};
    Rf__Observation seen = RF__OBSERVATION__INIT;
    Rf__Incarnation incarnation;
    Rf__Frame frame = RF__FRAME__INIT;
    bool standby = a->server == SERVER_STANDBY;

    i.group = a->group;
    i.instance = a->name;
    i.epoch = a->epoch;
    i.gate_mode = text(fake_agent_is_open(a) ? "open" : "closed");
    i.lease_margin_ms =
        ((int64_t)a->deadline.ns - (int64_t)boot_now().ns) / (int64_t)NS_PER_MS;
    i.ready = true;
    i.gate_proven = true;
    i.hung = a->hung;
    i.crashed = a->role == RF__ROLE__ROLE_PRIMARY && a->opened && a->server == SERVER_DOWN;
    seen.server = (Rf__ServerState)a->server;
    seen.system_id = SYSTEM_ID;
    seen.timeline = 1;
    seen.flush_lsn = a->server == SERVER_PRIMARY ? ++a->lsn : a->lsn;
    seen.sync_generation = a->applied_generation;
    seen.streaming = standby && a->follows;
    seen.upstream = a->upstream;
    seen.upstream_port = a->upstream_port;
    seen.application_name = a->own_name;
    seen.private_socket = true;
    i.seen = &seen;
    r.seq = ++a->seq;
    frame_incarnation_put(&a->incarnation, &incarnation);
    r.incarnation = &incarnation;
    r.n_instances = a->assigned ? 1 : 0;
    r.instances = list;
    frame.body_case = RF__FRAME__BODY_AGENT_REPORT;
    frame.agent_report = &r;
    if (a->held_back) {
        hold_back(a, &r);
        return;
    }
    for (int k = 0; k < NODES; k++)
        if (a->links[k].welcomed)
            ping(a, k);
    send_up(a, &frame);
}

static void prove(struct fake_agent *a, bool installed)
{
    Rf__FenceProof p = RF__FENCE_PROOF__INIT;
    Rf__Incarnation incarnation;
    Rf__Frame frame = RF__FRAME__INIT;

    frame_incarnation_put(&a->incarnation, &incarnation);
    p.incarnation = &incarnation;
    p.group = a->group;
    p.instance = a->name;
    p.epoch = a->epoch;
    p.installed = installed;
    p.fence_index = installed ? a->index : a->fence_index;
    frame.body_case = RF__FRAME__BODY_FENCE_PROOF;
    frame.fence_proof = &p;
    send_up(a, &frame);
}

/* ---- receiving ----------------------------------------------------------------------- */

static bool is_mine(const struct fake_agent *a, const Rf__Incarnation *wire)
{
    struct incarnation who;

    return frame_incarnation_get(wire, &who, NULL) == 0 &&
           incarnation_equal(&who, &a->incarnation);
}

static void take_assignment(struct fake_agent *a, const Rf__Assignment *v)
{
    if (a->assigned && (v->index < a->index || v->epoch < a->epoch))
        return;
    assert_string_equal(v->server->instance, a->name);
    snprintf(a->group, sizeof a->group, "%s", v->group);
    a->assigned = true;
    a->index = v->index;
    if (v->epoch != a->epoch)
        a->may_open = false;
    a->epoch = v->epoch;
    a->role = v->role;
    a->opened = v->opened;
    a->fence_index = v->fence_index;
    a->generation = v->sync_generation;
    a->proof_wanted = v->proof_wanted;
    a->renew_ms = v->renew_ms;
    snprintf(a->own_name, sizeof a->own_name, "%s", v->own_standby_name);
    if (a->proof_wanted)
        prove(a, true);
}

static void take_ack(struct fake_agent *a, const Rf__RenewAck *ack)
{
    for (size_t i = 0; i < ack->n_items; i++) {
        const Rf__RenewVerdict *v = ack->items[i];
        struct lease_terms terms = {v->ttl_ms, v->rho_ppm};
        struct boot sent = {ack->sent_boot_ns}, until;

        assert_string_equal(v->instance, a->name);
        if (!v->granted) {
            a->refusals++;
            snprintf(a->last_refusal, sizeof a->last_refusal, "%s", v->refusal);
            continue;
        }
        if (v->epoch != a->epoch || a->fenced_epoch >= v->epoch)
            continue;
        until = lease_holder_deadline(sent, terms);
        if (a->lease_epoch == v->epoch && a->grants > 0 && a->deadline.ns < boot_now().ns)
            a->gaps++;
        if (a->lease_epoch != v->epoch || until.ns > a->deadline.ns)
            a->deadline = until;
        a->lease_epoch = v->epoch;
        a->may_open = v->open;
        a->grants++;
    }
    if (ack->sent_boot_ns == a->last_sent.ns) {
        uint64_t us = (boot_now().ns - ack->sent_boot_ns) / 1000;

        a->unanswered_since = (struct mono){0};
        a->answered_us_sum += us;
        if (us > a->slowest_answer_us)
            a->slowest_answer_us = us;
    }
}

static bool holds_lease(const struct fake_agent *a, uint64_t epoch)
{
    return a->lease_epoch == epoch && a->deadline.ns > boot_now().ns;
}

/* What a provider would do, at once. False: a command that an agent must refuse (I6). */
static bool carry_out(struct fake_agent *a, const Rf__StepRequest *r)
{
    if (r->epoch != a->epoch || a->fenced_epoch >= r->epoch)
        return false;
    if (r->kind == RF__STEP_KIND__STEP_LEAD) {
        if (!holds_lease(a, r->epoch))
            return false;
        a->server = SERVER_PRIMARY;
    } else if (r->kind == RF__STEP_KIND__STEP_FOLLOW) {
        if (holds_lease(a, r->epoch))
            return false;
        a->server = SERVER_STANDBY;
        a->follows = true;
        snprintf(a->upstream, sizeof a->upstream, "%s", r->upstream->address);
        a->upstream_port = r->upstream->port;
    } else if (r->kind == RF__STEP_KIND__STEP_STOP) {
        a->server = SERVER_DOWN;
    }
    a->applied_generation = r->kind == RF__STEP_KIND__STEP_JOIN ? r->step : r->generation;
    return true;
}

static void take_step(struct fake_agent *a, const Rf__StepOrder *o)
{
    Rf__StepReport r = RF__STEP_REPORT__INIT;
    Rf__StepResult result = RF__STEP_RESULT__INIT;
    Rf__Observation seen = RF__OBSERVATION__INIT;
    Rf__Incarnation incarnation;
    Rf__Frame frame = RF__FRAME__INIT;

    if (!carry_out(a, o->request))
        return;
    a->steps[o->request->kind]++;
    seen.server = (Rf__ServerState)a->server;
    seen.system_id = SYSTEM_ID;
    result.step = o->request->step;
    result.outcome = RF__STEP_OUTCOME__OUTCOME_DONE;
    result.position = a->lsn;
    result.seen = &seen;
    frame_incarnation_put(&a->incarnation, &incarnation);
    r.incarnation = &incarnation;
    r.group = a->group;
    r.instance = a->name;
    r.epoch = a->epoch;
    r.result = &result;
    frame.body_case = RF__FRAME__BODY_STEP_REPORT;
    frame.step_report = &r;
    send_up(a, &frame);
    report(a);
}

static void take_fence(struct fake_agent *a, const Rf__FenceOrder *o)
{
    a->fence_orders++;
    if (o->epoch < a->epoch)
        return;
    a->epoch = o->epoch;
    a->fence_index = o->fence_index;
    a->fenced_epoch = o->epoch;
    a->deadline.ns = 0;
    a->may_open = false;
    prove(a, false);
}

static void take_frame(struct fake_link *l, const Rf__Frame *f)
{
    struct fake_agent *a = l->a;

    if (f->body_case == RF__FRAME__BODY_WELCOME) {
        l->welcomed = true;
        assert_string_equal(f->welcome->cluster, "lab");
        if (f->welcome->leader[0] != '\0')
            snprintf(a->leader, sizeof a->leader, "%s", f->welcome->leader);
    } else if (f->body_case == RF__FRAME__BODY_REFUSAL) {
        a->refused++;
        snprintf(a->refusal_text, sizeof a->refusal_text, "%s", f->refusal->reason);
    } else if (f->body_case == RF__FRAME__BODY_PING) {
        answer(a, (int)(l - a->links), f->ping);
    } else if (f->body_case == RF__FRAME__BODY_PONG) {
        l->answered_seq = f->pong->seq;
        l->answered = boot_now();
    } else if (f->body_case == RF__FRAME__BODY_ASSIGNMENTS) {
        if (is_mine(a, f->assignments->incarnation))
            for (size_t i = 0; i < f->assignments->n_instances; i++)
                take_assignment(a, f->assignments->instances[i]);
    } else if (f->body_case == RF__FRAME__BODY_RENEW_ACK) {
        if (is_mine(a, f->renew_ack->incarnation))
            take_ack(a, f->renew_ack);
    } else if (f->body_case == RF__FRAME__BODY_STEP_ORDER) {
        if (is_mine(a, f->step_order->incarnation))
            take_step(a, f->step_order);
    } else if (f->body_case == RF__FRAME__BODY_FENCE_ORDER) {
        if (is_mine(a, f->fence_order->incarnation))
            take_fence(a, f->fence_order);
    } else {
        fail_msg("%s is no frame for an agent to get", frame_name(f));
    }
}

static void on_frame(void *owner, const uint8_t *data, size_t len)
{
    struct fake_link *l = owner;
    Rf__Frame *f = NULL;
    struct err err = {0};

    if (l->a->silent)
        return;
    if (frame_decode(data, len, &f, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(frame_allowed(f, FRAME_CONTROLLER_TO_AGENT));
    take_frame(l, f);
    frame_free(&f);
}

static void on_up(void *owner)
{
    struct fake_link *l = owner;

    if (!l->a->silent && !l->a->mute && !l->a->no_hello)
        say_hello(l->a, (int)(l - l->a->links));
}

static void on_down(void *owner, const struct err *why)
{
    struct fake_link *l = owner;

    (void)why;
    l->welcomed = false;
    l->answered_seq = 0;
}

static const struct link_events events = {
    .on_up = on_up, .on_down = on_down, .on_frame = on_frame};

/* ---- the server's port --------------------------------------------------------------- */

struct client {
    uv_tcp_t tcp;
    uv_write_t write;
    bool deaf;
    char bytes[16];
};

static void on_client_closed(uv_handle_t *handle) { free(handle->data); }

static void on_client_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct client *k = handle->data;

    (void)size;
    *buf = uv_buf_init(k->bytes, sizeof k->bytes);
}

static void on_client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *k = stream->data;
    uv_buf_t no = uv_buf_init(text("N"), 1);

    (void)buf;
    if (n < 0) {
        uv_close((uv_handle_t *)stream, on_client_closed);
    } else if (n > 0 && !k->deaf) {
        assert_int_equal(n, 8);
        assert_memory_equal(k->bytes, "\0\0\0\10\4\322\26\57", 8); /* SSLRequest */
        assert_int_equal(uv_write(&k->write, stream, &no, 1, NULL), 0);
    }
}

static void on_client(uv_stream_t *server, int status)
{
    struct fake_agent *a = server->data;
    struct client *k = calloc(1, sizeof *k);

    assert_int_equal(status, 0);
    uv_tcp_init(server->loop, &k->tcp);
    k->tcp.data = k;
    k->deaf = a->deaf;
    assert_int_equal(uv_accept(server, (uv_stream_t *)&k->tcp), 0);
    uv_read_start((uv_stream_t *)&k->tcp, on_client_alloc, on_client_read);
}

static void listen_for_probes(struct fake_agent *a)
{
    struct sockaddr_in sa;
    int len = sizeof sa;

    uv_ip4_addr("127.0.0.1", 0, &sa);
    uv_tcp_init(&a->c->loop, &a->listener);
    a->listener.data = a;
    assert_int_equal(uv_tcp_bind(&a->listener, (struct sockaddr *)&sa, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&a->listener, 16, on_client), 0);
    assert_int_equal(uv_tcp_getsockname(&a->listener, (struct sockaddr *)&sa, &len), 0);
    a->port = ntohs(sa.sin_port);
}

/* ---- life ---------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *tick)
{
    struct fake_agent *a = tick->data;

    if (a->silent || a->mute)
        return;
    renew(a);
    report(a);
    if (a->proof_wanted)
        prove(a, true);
}

void fake_agent_open(struct fake_agent *a, struct cluster *c, const char *name,
                     const char *region, unsigned life)
{
    char ca[CLUSTER_PATH], cert[CLUSTER_PATH], key[CLUSTER_PATH];
    struct tls_files files = {ca, cert, key, NULL};
    struct identity self, peer;
    struct err err = {0};

    memset(a, 0, sizeof *a);
    a->lsn = 1; /* an empty log has an end, too */
    a->c = c;
    a->server = SERVER_DOWN;
    snprintf(a->name, sizeof a->name, "%s", name);
    snprintf(a->region, sizeof a->region, "%s", region);
    memset(a->incarnation.bytes, (int)life, sizeof a->incarnation.bytes);
    snprintf(ca, sizeof ca, "%.100s/pki/ca.crt", c->dir);
    snprintf(cert, sizeof cert, "%.100s/pki/agent-%s.crt", c->dir, name);
    snprintf(key, sizeof key, "%.100s/pki/agent-%s.key", c->dir, name);
    assert_int_equal(identity_make(&self, IDENTITY_AGENT, "lab", name, &err), 0);
    if (tls_new(&a->tls, &files, &self, &err) != 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < NODES; i++) {
        struct address to = {.host = "127.0.0.1", .port = c->ports[i]};
        struct link_spec spec = {.peer = &peer,
                                 .at = &to,
                                 .events = &events,
                                 .owner = &a->links[i],
                                 .backoff_max_ms = 100};

        a->links[i].a = a;
        assert_int_equal(
            identity_make(&peer, IDENTITY_CONTROLLER, "lab", node_names[i], &err), 0);
        assert_int_equal(link_open(&a->links[i].link, &c->loop, a->tls, &spec, &err), 0);
    }
    a->lsn =
        1; /* a stopped server's log ends somewhere, too: the declared one is compared */
    listen_for_probes(a);
    uv_timer_init(&c->loop, &a->tick);
    a->tick.data = a;
    uv_timer_start(&a->tick, on_tick, 20, 100);
}

static void on_closed(uv_handle_t *handle)
{
    struct fake_agent *a = handle->data;

    a->closed = true;
}

static bool is_closed(void *owner)
{
    const struct fake_agent *a = owner;

    return a->closed;
}

void fake_agent_cut(struct fake_agent *a, int node)
{
    link_close(a->links[node].link);
    a->links[node].link = NULL;
}

void fake_agent_close(struct fake_agent *a)
{
    buf_free(&a->held);
    for (int i = 0; i < NODES; i++)
        link_close(a->links[i].link);
    uv_close((uv_handle_t *)&a->listener, NULL);
    uv_close((uv_handle_t *)&a->tick, on_closed);
    cluster_until(a->c, is_closed, a, 1000, "the end of a fake agent");
    tls_free(a->tls);
}

bool fake_agent_is_open(const struct fake_agent *a)
{
    return a->may_open && a->fenced_epoch < a->lease_epoch &&
           a->deadline.ns > boot_now().ns;
}
