#include "tests/sim/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/net/link.h"
#include "controller/net/listener.h"
#include "proto/frame.h"
#include "tests/sim/conn.h"
#include "tests/sim/older.h"
#include "tests/sim/plan.h"

struct network net;

/* ---- what lies between -----------------------------------------------------------------
 */

void net_begin(void)
{
    static const unsigned levels[] = {0, 0, 4, 20};
    unsigned level = levels[sim_between(0, 3)];

    memset(&net, 0, sizeof net);
    for (unsigned a = 0; a < NODES_MAX; a++)
        for (unsigned b = 0; b < a; b++)
            net.latency_us[a][b] = net.latency_us[b][a] =
                (uint32_t)(sim_chance(700) ? sim_between(100, 3000)
                                           : sim_between(3000, 12000));
    for (unsigned i = 0; i < NODES_MAX * NODES_MAX && sim.opt.one_away; i++) {
        uint32_t *us = &net.latency_us[i / NODES_MAX][i % NODES_MAX];

        if (*us > plan_latency_us())
            *us = plan_latency_us();
    }
    net.lose = net.twice = net.overtake = level;
    net.late = sim_chance(500) ? 20 : 2;
}

bool net_linked(uint8_t from, uint8_t to) { return net.cut[from][to] == 0; }

static uint64_t delay_ns(uint8_t from, uint8_t to)
{
    uint64_t us = net.latency_us[from][to];

    us += (sim_random() >> 40) % (us / 2 + 200);
    if (sim.noisy && sim_chance(net.late))
        us += sim_between(20, 1200) * 1000;
    if (net.slow_until[from][to] > sim.now)
        us += sim_between(50, 700) * 1000;
    return us * 1000;
}

/* ---- connections -----------------------------------------------------------------------
 */

struct frame {
    struct frame *next;
    struct conn *conn;
    uint8_t to; /* side */
    size_t len;
    uint8_t data[];
};

static struct conn *conns;

static void drop_held(struct side *s)
{
    while (s->held != NULL) {
        struct frame *f = s->held;

        s->held = f->next;
        free(f);
    }
}

void conn_let_go(struct conn *c)
{
    struct conn **at = &conns;

    if (--c->refs > 0)
        return;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    for (int side = 0; side < 2; side++)
        drop_held(&c->side[side]);
    free(c);
}

struct conn *conn_new(struct task *from, struct task *to)
{
    struct conn *c = calloc(1, sizeof *c);

    ASSERT(c != NULL);
    c->refs = 1;
    c->next = conns;
    conns = c;
    c->side[0].task = from;
    c->side[1].task = to;
    c->side[0].life = from->proc->life;
    c->side[1].life = to->proc->life;
    return c;
}

uint8_t conn_node(const struct conn *c, unsigned side)
{
    return c->side[side].task->proc->node;
}

bool conn_is_alive(const struct conn *c, unsigned side)
{
    const struct side *s = &c->side[side];

    return !s->closed && s->life == s->task->proc->life && !s->task->proc->mute;
}

static void drop_frame(void *arg)
{
    struct frame *f = arg;
    struct conn *c = f->conn;

    free(f);
    conn_let_go(c);
}

static void tell(const struct frame *f)
{
    AUTO(frame_free) Rf__Frame *m = NULL;

    if (sim.opt.trace < 4 || frame_decode(f->data, f->len, &m, NULL) != 0)
        return;
    sim_note("    %s -> %s: %s", node_name(conn_node(f->conn, 1u - f->to)),
             node_name(conn_node(f->conn, f->to)), frame_name(m));
}

static void deliver(void *arg, uint64_t number)
{
    struct frame *f = arg;
    struct side *s = &f->conn->side[f->to];

    (void)number;
    if (conn_is_alive(f->conn, f->to) && s->owner != NULL) {
        tell(f);
        sim_mix(sim.now ^ f->len << 40 ^ (uint64_t)s->task->proc->node << 56);
        if (s->on_frame != NULL)
            s->on_frame(s->owner, f->data, f->len);
    }
    drop_frame(f);
}

static void depart(struct frame *f, uint64_t extra, bool in_order)
{
    struct conn *c = f->conn;
    struct side *from = &c->side[1 - f->to];
    uint64_t at = sim.now + extra + delay_ns(conn_node(c, 1u - f->to), conn_node(c, f->to));
    struct moment *e;

    if (in_order && at <= from->last_at)
        at = from->last_at + 1;
    if (in_order)
        from->last_at = at;
    e = sim_at(at, c->side[f->to].task, deliver, f);
    e->life = c->side[f->to].life;
    e->drop = drop_frame;
}

static struct frame *frame_new(struct conn *c, unsigned from, const void *data, size_t len)
{
    struct frame *f = malloc(sizeof *f + len);

    ASSERT(f != NULL);
    f->conn = c;
    f->to = (uint8_t)(1 - from);
    f->next = NULL;
    f->len = len;
    memcpy(f->data, data, len);
    c->refs++;
    return f;
}

static bool happens(const struct side *from, unsigned permille)
{
    return sim.noisy && permille != 0 && from->sent > 1 && sim_chance(permille);
}

static struct frame *frame_of(struct conn *c, unsigned side, const void *data, size_t len)
{
    struct older_bytes bytes;
    struct frame *f;

    if (!older_codec(conn_node(c, side), data, len, &bytes) &&
        !newer_codec(conn_node(c, side), data, len, &bytes))
        return frame_new(c, side, data, len);
    f = frame_new(c, side, bytes.data, bytes.len);
    free(bytes.data);
    return f;
}

static void repeat(struct conn *c, unsigned side, const void *data, size_t len)
{
    uint8_t from = conn_node(c, side), to = conn_node(c, 1 - side);

    if (sim.noisy && sim.now < net.repeat_until[from][to])
        depart(frame_new(c, side, data, len), net.repeat_later[from][to], false);
}

int conn_send(struct conn *c, unsigned side, const void *data, size_t len, struct err *err)
{
    struct side *s = &c->side[side];
    struct frame *f;

    sim_call();
    if (!sim_is_heard())
        return 0;
    if (s->closed)
        return err_set(err, ERR_CLOSED, "not connected");
    s->sent++;
    if (happens(s, net.lose))
        return 0;
    f = frame_of(c, side, data, len);
    if (!net_linked(conn_node(c, side), conn_node(c, 1 - side))) {
        struct frame **at = &s->held;

        while (*at != NULL)
            at = &(*at)->next;
        *at = f;
        c->refs--; /* held frames are the connection's own */
        return 0;
    }
    repeat(c, side, data, len);
    if (happens(s, net.twice))
        depart(frame_new(c, side, data, len), sim_between(0, 2000) * NS_PER_MS, false);
    depart(f, 0, !happens(s, net.overtake));
    return 0;
}

/* ---- the end of one --------------------------------------------------------------------
 */

struct farewell {
    struct conn *conn;
    uint8_t side;
    int code;
};

static void drop_farewell(void *arg)
{
    struct farewell *f = arg;

    conn_let_go(f->conn);
    free(f);
}

static void on_farewell(void *arg, uint64_t number)
{
    struct farewell *f = arg;
    struct side *s = &f->conn->side[f->side];

    (void)number;
    if (conn_is_alive(f->conn, f->side)) {
        struct err why = {0};

        s->closed = true;
        (void)err_set(&why, f->code, "%s: %s", node_name(conn_node(f->conn, 1u - f->side)),
                      f->code == ERR_TIMEOUT ? "no answer" : "it has closed");
        if (s->owner != NULL && s->on_close != NULL)
            s->on_close(s->owner, &why);
    }
    drop_farewell(f);
}

static void say_farewell(struct conn *c, unsigned side, int code, uint64_t at)
{
    struct farewell *f = malloc(sizeof *f);
    struct moment *e;

    ASSERT(f != NULL);
    *f = (struct farewell){c, (uint8_t)side, code};
    c->refs++;
    e = sim_at(at, c->side[side].task, on_farewell, f);
    e->life = c->side[side].life;
    e->drop = drop_farewell;
}

/* This side is done with it; the other one hears of it behind all that was sent. */
void conn_close(struct conn *c, unsigned side, bool silent)
{
    struct side *s = &c->side[side];
    uint64_t at = sim.now + delay_ns(conn_node(c, side), conn_node(c, 1 - side));

    if (s->closed)
        return;
    s->closed = true;
    s->owner = NULL;
    if (at <= s->last_at)
        at = s->last_at + 1;
    if (silent || !net_linked(conn_node(c, side), conn_node(c, 1 - side)))
        say_farewell(c, 1 - side, ERR_TIMEOUT,
                     sim.now +
                         sim_between(CONN_TIMEOUT_MS, CONN_TIMEOUT_MS + 500) * NS_PER_MS);
    else
        say_farewell(c, 1 - side, ERR_CLOSED, at);
}

/* ---- cuts ------------------------------------------------------------------------------
 */

static bool joins(const struct conn *c, uint8_t a, uint8_t b)
{
    return (conn_node(c, 0) == a && conn_node(c, 1) == b) ||
           (conn_node(c, 0) == b && conn_node(c, 1) == a);
}

static void on_dead_air(void *arg, uint64_t number)
{
    uint8_t a = (uint8_t)(number & 255), b = (uint8_t)(number >> 8 & 255);

    (void)arg;
    if (net_linked(a, b) ||
        sim.now - net.cut_since[a][b] < (uint64_t)CONN_TIMEOUT_MS * NS_PER_MS)
        return;
    for (struct conn *c = conns; c != NULL; c = c->next) {
        if (!joins(c, a, b) || c->dying)
            continue;
        c->dying = true;
        for (unsigned side = 0; side < 2; side++)
            say_farewell(c, side, ERR_TIMEOUT, sim.now + sim_between(0, 400) * NS_PER_MS);
    }
}

void net_cut(uint8_t from, uint8_t to)
{
    struct moment *e;

    if (net.cut[from][to]++ != 0)
        return;
    net.cut_since[from][to] = sim.now;
    e = sim_at(sim.now + (uint64_t)CONN_TIMEOUT_MS * NS_PER_MS, NULL, on_dead_air, NULL);
    e->number = (uint64_t)to << 8 | from;
}

static void release(struct conn *c, unsigned side, uint64_t extra)
{
    struct side *s = &c->side[side];

    while (s->held != NULL) {
        struct frame *f = s->held;

        s->held = f->next;
        f->next = NULL;
        c->refs++;
        depart(f, extra, true);
    }
}

void net_mend(uint8_t from, uint8_t to)
{
    uint64_t away = sim.now - net.cut_since[from][to];
    struct conn *next;

    if (--net.cut[from][to] != 0)
        return;
    for (struct conn *c = conns; c != NULL; c = next) {
        next = c->next;
        for (unsigned side = 0; side < 2; side++)
            if (conn_node(c, side) == from && conn_node(c, 1 - side) == to)
                release(c, side, sim_between(0, away < 1000000000u ? away : 1000000000u));
    }
}

void net_forget(uint8_t node, bool power)
{
    for (struct conn *c = conns; c != NULL; c = c->next)
        for (unsigned side = 0; side < 2; side++) {
            if (conn_node(c, side) != node)
                continue;
            if (power) /* what the host's kernel had not sent yet */
                drop_held(&c->side[side]);
            conn_close(c, side, power);
        }
}

void net_repeat(uint8_t from, uint8_t to, uint64_t ns, uint64_t later_ns)
{
    net.repeat_until[from][to] = sim.now + ns;
    net.repeat_later[from][to] = later_ns;
}

void net_echo(uint8_t from, uint64_t ns)
{
    size_t n = sim.heap_count;

    for (size_t i = 0; i < n; i++) {
        const struct moment *e = sim.heap[i].e; /* on their way: none comes now */
        const struct frame *f = e->arg;

        if (e->fn != deliver || e->dead || conn_node(f->conn, 1u - f->to) != from)
            continue;
        depart(frame_new(f->conn, 1u - f->to, f->data, f->len), ns, false);
    }
}

bool net_forge(uint8_t from, uint8_t to, const void *data, size_t len)
{
    for (struct conn *c = conns; c != NULL; c = c->next) {
        if (conn_node(c, 0) != from || conn_node(c, 1) != to || !conn_is_alive(c, 1) ||
            c->side[1].owner == NULL)
            continue;
        depart(frame_new(c, 0, data, len), 0, false);
        return true;
    }
    return false;
}

void net_end(void) { ASSERT(conns == NULL); }
