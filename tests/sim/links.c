/* Streams, links and listeners as controller/net has them, over the modelled network. TLS
 * is not modelled: who a peer is, is known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/net/link.h"
#include "controller/net/listener.h"
#include "controller/net/names.h"
#include "tests/sim/conn.h"
#include "tests/sim/net.h"

enum { BACKOFF_MIN_MS = 20, BACKOFF_MAX_MS = 1000, CONNECT_MS = 1000 };

struct stream {
    struct conn *conn;
    const struct stream_events *events;
    void *owner;
    char remote[IDENTITY_NAME_SIZE];
};

struct listener {
    const struct listener_events *events;
    void *owner;
};

struct link {
    struct task *task;
    uint8_t to;
    struct identity peer;
    const struct link_events *events;
    void *owner;
    struct conn *conn; /* NULL: none */
    bool up;
    struct moment *timer; /* next try, or the end of this one's patience */
    uint32_t backoff_ms, backoff_max_ms;
    uint64_t up_since;
    struct err last;
};

static struct listener *listeners[NODES_MAX];

/* ---- streams ---------------------------------------------------------------------------
 */

void stream_adopt(struct stream *s, const struct stream_events *events, void *owner)
{
    s->events = events;
    s->owner = owner;
}

int stream_send(struct stream *s, const void *data, size_t len, struct err *err)
{
    return conn_send(s->conn, 1, data, len, err);
}

const char *stream_remote(const struct stream *s) { return s->remote; }

void stream_close(struct stream *s)
{
    if (s == NULL)
        return;
    conn_close(s->conn, 1, false);
    conn_let_go(s->conn);
    free(s);
}

static void on_stream_frame(void *owner, const uint8_t *data, size_t len)
{
    struct stream *s = owner;

    s->events->on_frame(s->owner, data, len);
}

/* Its owner may still ask it who the other side was. */
static void on_stream_close(void *owner, const struct err *why)
{
    struct stream *s = owner;

    s->conn->side[1].owner = NULL;
    s->events->on_close(s->owner, why);
    conn_let_go(s->conn);
    free(s);
}

/* ---- listening -------------------------------------------------------------------------
 */

int listener_open(struct listener **ret_listener, struct uv_loop_s *loop, struct tls *tls,
                  const struct listener_spec *spec, struct err *err)
{
    struct listener *l = calloc(1, sizeof *l);

    (void)loop;
    (void)tls;
    if (l == NULL)
        return err_set(err, ERR_NOMEM, "listener");
    *l = (struct listener){spec->events, spec->owner};
    listeners[sim_self()->node] = l;
    *ret_listener = l;
    return 0;
}

void listener_close(struct listener *l)
{
    if (l == NULL)
        return;
    if (listeners[sim_self()->node] == l)
        listeners[sim_self()->node] = NULL;
    free(l);
}

static void identity_of(uint8_t node, struct identity *ret)
{
    *ret = (struct identity){.role = node < CTLS ? IDENTITY_CONTROLLER : IDENTITY_AGENT};
    (void)snprintf(ret->cluster, sizeof ret->cluster, "demo");
    (void)snprintf(ret->name, sizeof ret->name, "%s", node_name(node));
}

static void on_link_up(void *arg, uint64_t number);

static void drop_conn(void *arg) { conn_let_go(arg); }

/* The handshake is done at the listener's side. */
static void on_arrival(void *arg, uint64_t number)
{
    struct conn *c = arg;
    struct listener *l = listeners[conn_node(c, 1)];
    struct identity peer;
    struct stream *s;
    struct err why = {0};
    struct moment *e;

    (void)number;
    identity_of(conn_node(c, 0), &peer);
    if (l == NULL || !conn_is_alive(c, 0) ||
        l->events->on_peer(l->owner, &peer, &why) != 0) {
        conn_close(c, 1, false);
        conn_let_go(c);
        return;
    }
    s = calloc(1, sizeof *s);
    ASSERT(s != NULL);
    s->conn = c; /* the event's reference */
    (void)snprintf(s->remote, sizeof s->remote, "%s", peer.name);
    c->side[1].owner = s;
    c->side[1].on_frame = on_stream_frame;
    c->side[1].on_close = on_stream_close;
    c->refs++;
    e = sim_at(sim.now + net.latency_us[conn_node(c, 1)][conn_node(c, 0)] * 1000ull,
               c->side[0].task, on_link_up, c);
    e->life = c->side[0].life;
    e->drop = drop_conn;
    l->events->on_accept(l->owner, s, &peer);
    if (s->events == NULL)
        stream_close(s);
}

/* ---- links -----------------------------------------------------------------------------
 */

static void try_later(struct link *l);
static void on_try(void *arg, uint64_t number);

static void lose(struct link *l)
{
    struct conn *c = l->conn;

    if (c == NULL)
        return;
    l->conn = NULL;
    c->side[0].owner = NULL;
    conn_close(c, 0, false);
    conn_let_go(c);
}

static void on_link_frame(void *owner, const uint8_t *data, size_t len)
{
    struct link *l = owner;

    if (l->up && l->events->on_frame != NULL)
        l->events->on_frame(l->owner, data, len);
}

static void on_link_close(void *owner, const struct err *why)
{
    struct link *l = owner;
    bool was_up = l->up;

    l->up = false;
    l->last = *why;
    sim_cancel(l->timer);
    l->timer = NULL;
    lose(l);
    if (was_up && sim.now - l->up_since > l->backoff_max_ms * (uint64_t)NS_PER_MS)
        l->backoff_ms = BACKOFF_MIN_MS;
    try_later(l);
    if (was_up && l->events->on_down != NULL)
        l->events->on_down(l->owner, why);
}

static void on_link_up(void *arg, uint64_t number)
{
    struct conn *c = arg;
    struct link *l = c->side[0].owner;

    (void)number;
    if (l != NULL && !c->side[0].closed && l->conn == c && !l->up &&
        net_linked(conn_node(c, 1), conn_node(c, 0))) {
        sim_cancel(l->timer);
        l->timer = NULL;
        l->up = true;
        l->up_since = sim.now;
        l->last = (struct err){0};
        if (l->events->on_up != NULL)
            l->events->on_up(l->owner);
    }
    conn_let_go(c);
}

static void on_impatient(void *arg, uint64_t number)
{
    struct link *l = arg;

    (void)number;
    l->timer = NULL;
    (void)err_set(&l->last, ERR_TIMEOUT, "connect %s: timed out", node_name(l->to));
    lose(l);
    try_later(l);
}

static void try_later(struct link *l)
{
    uint64_t ms = l->backoff_ms - sim_between(0, l->backoff_ms / 4);

    l->backoff_ms =
        l->backoff_ms * 2 < l->backoff_max_ms ? l->backoff_ms * 2 : l->backoff_max_ms;
    l->timer = sim_at(sim.now + ms * NS_PER_MS, l->task, on_try, l);
}

static void on_try(void *arg, uint64_t number)
{
    struct link *l = arg;
    uint8_t self = l->task->proc->node;
    struct proc *there = &sim.procs[l->to];
    bool linked = net_linked(self, l->to) && net_linked(l->to, self);
    struct moment *e;

    (void)number;
    l->timer = NULL;
    if (linked && (!there->up || there->mute)) {
        (void)err_set(&l->last, ERR_IO, "connect %s: refused", node_name(l->to));
        try_later(l);
        return;
    }
    l->timer =
        sim_at(sim.now + (linked ? CONN_TIMEOUT_MS : CONNECT_MS) * (uint64_t)NS_PER_MS,
               l->task, on_impatient, l);
    if (!linked)
        return;
    l->conn = conn_new(l->task, &there->tasks[TASK_MAIN]);
    l->conn->side[0].owner = l;
    l->conn->side[0].on_frame = on_link_frame;
    l->conn->side[0].on_close = on_link_close;
    l->conn->refs++;
    e = sim_at(sim.now + 2000ull * net.latency_us[self][l->to] +
                   sim_between(0, 2000) * 1000,
               &there->tasks[TASK_MAIN], on_arrival, l->conn);
    e->drop = drop_conn;
}

/* Hosts are numbers here. */
int names_open(struct names **ret_names, struct uv_loop_s *loop, const char *file,
               struct err *err)
{
    (void)loop;
    (void)file;
    (void)err;
    *ret_names = NULL;
    return 0;
}

void names_close(struct names *n) { (void)n; }

int link_open(struct link **ret_link, struct uv_loop_s *loop, struct tls *tls,
              const struct link_spec *spec, struct err *err)
{
    struct link *l = calloc(1, sizeof *l);

    (void)tls;
    if (l == NULL)
        return err_set(err, ERR_NOMEM, "link");
    l->task = loop->data;
    l->to = node_of_controller(spec->peer->name);
    l->peer = *spec->peer;
    l->events = spec->events;
    l->owner = spec->owner;
    l->backoff_ms = spec->backoff_min_ms != 0 ? spec->backoff_min_ms : BACKOFF_MIN_MS;
    l->backoff_max_ms = spec->backoff_max_ms != 0 ? spec->backoff_max_ms : BACKOFF_MAX_MS;
    l->timer = sim_at(sim.now, l->task, on_try, l);
    *ret_link = l;
    return 0;
}

int link_send(struct link *l, const void *data, size_t len, struct err *err)
{
    if (!l->up)
        return err_set(err, ERR_CLOSED, "the link to %s is down", node_name(l->to));
    return conn_send(l->conn, 0, data, len, err);
}

bool link_is_up(const struct link *l) { return l->up; }

const struct err *link_last_error(const struct link *l) { return &l->last; }

void link_close(struct link *l)
{
    if (l == NULL)
        return;
    sim_cancel(l->timer);
    lose(l);
    free(l);
}

/* ---- certificates ----------------------------------------------------------------------
 */

int tls_new(struct tls **ret_tls, const struct tls_files *files,
            const struct identity *self, struct err *err)
{
    (void)files;
    (void)self;
    (void)err;
    *ret_tls = NULL;
    return 0;
}

void tls_free(struct tls *tls) { (void)tls; }
