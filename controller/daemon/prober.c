#include "controller/daemon/prober.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/lag.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"
#include "controller/daemon/runner.h"
#include "controller/net/address.h"

enum { TICK_MS = 100, TICK_IDLE_MS = 5 * TICK_MS };

/* PostgreSQL's SSLRequest: length 8, code 80877103. */
static const uint8_t ssl_request[8] = {0, 0, 0, 8, 4, 210, 22, 47};

/* One try. It belongs to the loop once it is closing. */
struct probe {
    struct prober *p;
    struct probe *next;
    char group[NAME_SIZE], instance[NAME_SIZE];
    struct mono started;
    uint32_t timeout_ms;
    bool closing, hurried;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    char answer[8];
};

struct slot {
    char instance[NAME_SIZE];
    struct mono started; /* last try */
    bool under_way;
};

struct prober {
    struct daemon *d;
    uv_timer_t tick;
    struct mono due;
    struct probe *probes; /* under way */
    unsigned owed;        /* probes and own handle that are not closed yet */
    bool closing;
    struct slot slots[GROUP_MAX][INSTANCE_MAX];
    struct prober_stats stats;
};

static void release(struct prober *p)
{
    if (--p->owed == 0)
        free(p);
}

/* ---- one probe ----------------------------------------------------------------------- */

static void on_probe_closed(uv_handle_t *handle)
{
    struct probe *pr = handle->data;
    struct prober *p = pr->p;

    free(pr);
    release(p);
}

static struct slot *slot_of(struct prober *p, const char *group, const char *instance,
                            uint8_t ret_at[2])
{
    const struct state *s = node_state(p->d->node);
    const struct group *g = state_group_const(s, group);
    uint8_t i = g != NULL ? group_instance(g, instance) : NO_INSTANCE;

    if (i == NO_INSTANCE)
        return NULL;
    ret_at[0] = (uint8_t)(g - s->groups);
    ret_at[1] = i;
    return &p->slots[ret_at[0]][i];
}

static void end_probe(struct probe *pr)
{
    struct probe **at = &pr->p->probes;
    struct slot *slot;
    uint8_t where[2];

    if (pr->closing)
        return;
    pr->closing = true;
    while (*at != pr)
        at = &(*at)->next;
    *at = pr->next;
    slot = pr->p->closing ? NULL : slot_of(pr->p, pr->group, pr->instance, where);
    if (slot != NULL)
        slot->under_way = false;
    uv_close((uv_handle_t *)&pr->tcp, on_probe_closed);
}

enum outcome { ANSWERED, REFUSED, SILENT };

static void record(struct probe *pr, enum outcome outcome)
{
    bool answered = outcome == ANSWERED, refused = outcome == REFUSED;
    struct prober *p = pr->p;
    const struct state *s = node_state(p->d->node);
    struct seen_probe *seen = NULL;
    uint8_t where[2];
    bool news;

    if (answered)
        p->stats.answered++;
    else
        p->stats.failed++;
    if (slot_of(p, pr->group, pr->instance, where) == NULL)
        return;
    for (unsigned i = 0; i < s->controller_count; i++)
        if (s->controllers[i].id == p->d->settings.controllers[p->d->settings.self].id)
            seen = &node_seen(p->d->node)->groups[where[0]].instances[where[1]].probes[i];
    if (seen == NULL)
        return; /* not on record yet */
    news = !mono_is_set(seen->at) || seen->answered != answered || pr->hurried;
    *seen = (struct seen_probe){.at = mono_now(), .answered = answered, .refused = refused};
    if (!news)
        return;
    peers_send_view(p->d->peers);
    runner_wake(p->d->runner);
}

static void finish(struct probe *pr, enum outcome outcome)
{
    if (pr->closing)
        return;
    if (!pr->p->closing)
        record(pr, outcome);
    end_probe(pr);
}

/* What a kernel over there has sent; that nothing comes back at all is something else. */
static enum outcome failed_by(int status)
{
    return status == UV_ECONNREFUSED || status == UV_ECONNRESET || status == UV_EOF
               ? REFUSED
               : SILENT;
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct probe *pr = handle->data;

    (void)size;
    *buf = uv_buf_init(pr->answer, sizeof pr->answer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct probe *pr = stream->data;

    (void)buf;
    if (n > 0)
        finish(pr, pr->answer[0] == 'S' || pr->answer[0] == 'N' ? ANSWERED : SILENT);
    else if (n < 0)
        finish(pr, failed_by((int)n));
}

static void on_written(uv_write_t *req, int status)
{
    if (status != 0)
        finish(req->data, failed_by(status));
}

static void on_connected(uv_connect_t *req, int status)
{
    struct probe *pr = req->data;
    uv_buf_t buf = uv_buf_init((char *)ssl_request, sizeof ssl_request);

    if (status != 0 || pr->closing) {
        finish(pr, failed_by(status));
        return;
    }
    pr->write.data = pr;
    if (uv_read_start((uv_stream_t *)&pr->tcp, on_alloc, on_read) != 0 ||
        uv_write(&pr->write, (uv_stream_t *)&pr->tcp, &buf, 1, on_written) != 0)
        finish(pr, SILENT);
}

static void connect_to(struct probe *pr, const struct sockaddr *sa)
{
    pr->connect.data = pr;
    if (uv_tcp_connect(&pr->connect, &pr->tcp, sa, on_connected) != 0)
        finish(pr, SILENT);
}

static void start(struct prober *p, const struct group *g, uint8_t i, struct slot *slot,
                  bool hurried)
{
    const struct agent *a = state_agent(node_state(p->d->node), g->instances[i].agent);
    struct address at = {.port = g->instances[i].port};
    struct sockaddr_storage sa;
    struct probe *pr = a != NULL ? calloc(1, sizeof *pr) : NULL;

    slot->started = mono_now();
    if (pr == NULL)
        return;
    pr->p = p;
    pr->started = slot->started;
    pr->hurried = hurried;
    pr->timeout_ms =
        g->policy.probe_ms < PROBER_TIMEOUT_MS ? g->policy.probe_ms : PROBER_TIMEOUT_MS;
    (void)snprintf(pr->group, sizeof pr->group, "%s", g->name);
    (void)snprintf(pr->instance, sizeof pr->instance, "%s", g->instances[i].agent);
    (void)snprintf(at.host, sizeof at.host, "%s", a->address);
    (void)uv_tcp_init(p->d->loop, &pr->tcp); /* opens no socket yet: cannot fail */
    pr->tcp.data = pr;
    pr->next = p->probes;
    p->probes = pr;
    p->owed++;
    slot->under_way = true;
    if (address_numeric(&sa, &at, NULL) == 0)
        connect_to(pr, (const struct sockaddr *)&sa);
    else
        finish(pr, SILENT); /* of an agent's hello only numbers are taken */
}

void prober_hurry(struct prober *p, const char *agent)
{
    const struct state *s = node_state(p->d->node);

    for (unsigned k = 0; k < s->group_count; k++) {
        uint8_t i = group_instance(&s->groups[k], agent);
        struct probe *next;

        if (i == NO_INSTANCE)
            continue;
        for (struct probe *pr = p->probes; pr != NULL; pr = next) {
            next = pr->next;
            if (strcmp(pr->group, s->groups[k].name) == 0 &&
                strcmp(pr->instance, agent) == 0)
                end_probe(pr); /* what it would find was so before */
        }
        start(p, &s->groups[k], i, &p->slots[k][i], true);
    }
}

/* ---- all of them --------------------------------------------------------------------- */

static void end_overdue(struct prober *p, struct mono now, bool late)
{
    struct probe *next;

    for (struct probe *pr = p->probes; pr != NULL; pr = next) {
        next = pr->next;
        if (late) {
            p->stats.dropped++;
            end_probe(pr);
        } else if (mono_since_ms(pr->started, now) >= pr->timeout_ms) {
            finish(pr, SILENT);
        }
    }
}

static void start_due(struct prober *p, struct mono now)
{
    const struct state *s = node_state(p->d->node);

    for (unsigned k = 0; k < s->group_count; k++) {
        const struct group *g = &s->groups[k];

        for (uint8_t i = 0; i < g->instance_count; i++) {
            struct slot *slot = &p->slots[k][i];

            if (strcmp(slot->instance, g->instances[i].agent) != 0) {
                *slot = (struct slot){0};
                (void)snprintf(slot->instance, sizeof slot->instance, "%s",
                               g->instances[i].agent);
            }
            if (!slot->under_way &&
                mono_since_ms(slot->started, now) + TICK_MS / 2 >= g->policy.probe_ms)
                start(p, g, i, slot, false);
        }
    }
}

/* With nothing under way there is nothing to look at before the next probe is due, but for
 * a group that is new. */
static uint32_t next_tick_ms(const struct prober *p, struct mono now)
{
    const struct state *s = node_state(p->d->node);
    uint32_t next = p->probes != NULL ? TICK_MS : TICK_IDLE_MS;

    for (unsigned k = 0; k < s->group_count; k++)
        for (uint8_t i = 0; i < s->groups[k].instance_count; i++) {
            uint64_t since = mono_since_ms(p->slots[k][i].started, now);
            uint32_t each = s->groups[k].policy.probe_ms;

            if (since + next > each)
                next = since + TICK_MS < each ? (uint32_t)(each - since) : TICK_MS;
        }
    return next;
}

static void on_tick(uv_timer_t *tick)
{
    struct prober *p = tick->data;
    struct mono now = mono_now();
    uint32_t next;

    end_overdue(p, now, lag_is_late(p->due, now));
    start_due(p, now);
    next = next_tick_ms(p, now);
    p->due = mono_plus_ms(mono_now(), next);
    uv_update_time(tick->loop);
    (void)uv_timer_start(tick, on_tick, next, 0);
}

static void on_tick_closed(uv_handle_t *handle) { release(handle->data); }

int prober_open(struct prober **ret_prober, struct daemon *d, struct err *err)
{
    struct prober *p = calloc(1, sizeof *p);
    int status;

    if (p == NULL)
        return err_set(err, ERR_NOMEM, "probes");
    p->d = d;
    (void)uv_timer_init(d->loop, &p->tick); /* cannot fail */
    p->tick.data = p;
    p->owed = 1;
    p->due = mono_plus_ms(mono_now(), TICK_MS);
    status = uv_timer_start(&p->tick, on_tick, TICK_MS, 0);
    if (status != 0) {
        prober_close(p);
        return err_uv(err, status, "start the timer of probes");
    }
    *ret_prober = p;
    return 0;
}

void prober_close(struct prober *p)
{
    if (p == NULL)
        return;
    p->closing = true;
    while (p->probes != NULL)
        end_probe(p->probes);
    uv_close((uv_handle_t *)&p->tick, on_tick_closed);
}

void prober_stats(const struct prober *p, struct prober_stats *ret_stats)
{
    *ret_stats = p->stats;
}
