#include "controller/net/door.h"

#include <stdlib.h>

#include "controller/base/assert.h"
#include "controller/net/door_private.h"

enum { DOOR_BACKLOG = 128 };

/* ---- who is there ---------------------------------------------------------------------
 */

/* Who goes first. 0: stays. */
static int expendable(const struct guest *g)
{
    if (g->phase == GUEST_GONE)
        return 0;
    if (g->phase == GUEST_INSIDE)
        return g->who.proof == DOOR_USER ? 0 : 1;
    return 2;
}

/* `of` NULL: of any address. NULL: everybody is at work. */
static struct guest *whom_to_end(const struct door *d, const struct door_source *of)
{
    struct guest *best = NULL;

    for (struct guest *g = d->oldest; g != NULL; g = g->next) {
        int e = of == NULL || g->source == of ? expendable(g) : 0;

        if (e == 0)
            continue;
        if (best == NULL || e > expendable(best) ||
            (e == expendable(best) && g->source->open > best->source->open))
            best = g;
    }
    return best;
}

static int make_room(struct door *d, const struct door_source *of, uint32_t limit,
                     struct err *err)
{
    struct guest *g = whom_to_end(d, of);
    struct err why;

    if (g == NULL)
        return err_set(err, ERR_FULL, "%u connections are open%s, and all at work", limit,
                       of != NULL ? " from its address" : "");
    err_set(&why, ERR_FULL, "%u connections are open%s: this one gave way", limit,
            of != NULL ? " from its address" : "");
    guest_end(g, &why);
    return 0;
}

int door_admit(struct door *d, uint64_t key, struct door_source **ret_source,
               struct err *err)
{
    const uint64_t now = uv_now(d->loop);
    struct door_source *s = source_of(d, key, now);

    if (!source_take(d, s, now))
        return err_set(err, ERR_FULL, "its address connects more than %u times a second",
                       d->limits.arrivals_per_s);
    if (s->open >= d->limits.per_address &&
        make_room(d, s, d->limits.per_address, err) != 0)
        return err->code;
    if (d->count >= d->limits.connections &&
        make_room(d, NULL, d->limits.connections, err) != 0)
        return err->code;
    *ret_source = s;
    return 0;
}

void door_enter(struct door *d, struct guest *g)
{
    g->prev = d->newest;
    if (d->newest != NULL)
        d->newest->next = g;
    else
        d->oldest = g;
    d->newest = g;
    g->source->open++;
    d->count++;
    d->refs++;
}

void door_left(struct door *d, struct guest *g)
{
    if (g->prev != NULL)
        g->prev->next = g->next;
    else
        d->oldest = g->next;
    if (g->next != NULL)
        g->next->prev = g->prev;
    else
        d->newest = g->prev;
    g->next = g->prev = NULL;
    ASSERT(g->source->open > 0);
    g->source->open--;
    d->count--;
}

void door_unref(struct door *d)
{
    if (--d->refs > 0)
        return;
    sources_free(d);
    tls_free(d->tls);
    free(d);
}

static void on_connection(uv_stream_t *tcp, int status);

static void on_tick(uv_timer_t *tick)
{
    struct door *d = tick->data;
    const uint64_t now = uv_now(d->loop);
    struct guest *next;

    for (struct guest *g = d->oldest; g != NULL; g = next) {
        next = g->next;
        guest_tick(g, now);
    }
    sources_sweep(d, now);
    if (d->one_waits)
        on_connection((uv_stream_t *)&d->tcp, 0);
}

static void on_connection(uv_stream_t *tcp, int status)
{
    struct door *d = tcp->data;
    struct err err;

    d->one_waits = false;
    if (status != 0)
        err_uv(&err, status, "accept");
    else if (guest_accept(d, &err) == 0)
        return;
    else
        d->one_waits = err.code == ERR_NOMEM;
    d->events->on_reject(d->owner, &err);
}

/* ---- open and close -------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle) { door_unref(handle->data); }

void door_close(struct door *d)
{
    struct guest *next;

    if (d == NULL)
        return;
    d->closing = true;
    for (struct guest *g = d->oldest; g != NULL; g = next) {
        next = g->next;
        guest_end(g, NULL);
    }
    uv_close((uv_handle_t *)&d->tick, on_closed);
    uv_close((uv_handle_t *)&d->tcp, on_closed);
}

static int explain_bind(int status, const struct address *at, struct err *err)
{
    char text[ADDRESS_TEXT_SIZE];

    address_format(at, text);
    if (status == UV_EADDRINUSE)
        return err_set(err, ERR_BUSY,
                       "listen on %s for the API: the port is in use (`ss -ltnp 'sport = "
                       ":%u'` shows by whom)",
                       text, at->port);
    if (status == UV_EADDRNOTAVAIL)
        return err_set(err, ERR_NOTFOUND,
                       "listen on %s for the API: not an address of this host (`ip addr` "
                       "shows them)",
                       text);
    return err_uv(err, status, "listen on %s for the API", text);
}

static int start(struct door *d, const struct address *at,
                 const struct sockaddr_storage *sa, struct err *err)
{
    int status = uv_tcp_bind(&d->tcp, (const struct sockaddr *)sa, 0);

    if (status == 0)
        status = uv_listen((uv_stream_t *)&d->tcp, DOOR_BACKLOG, on_connection);
    if (status == 0)
        status = uv_timer_start(&d->tick, on_tick, DOOR_TICK_MS, DOOR_TICK_MS);
    return status == 0 ? 0 : explain_bind(status, at, err);
}

int door_open(struct door **ret_door, uv_loop_t *loop, struct tls *tls,
              const struct door_spec *spec, struct err *err)
{
    struct sockaddr_storage sa;
    struct door *d;
    int status;

    if (address_numeric(&sa, spec->at, err) != 0)
        return err_set(err, ERR_INVAL, "listen on '%s': not a numeric address",
                       spec->at->host);
    d = calloc(1, sizeof *d);
    if (d == NULL)
        return err_set(err, ERR_NOMEM, "door");
    status = uv_tcp_init(loop, &d->tcp);
    if (status != 0) {
        free(d);
        return err_uv(err, status, "open a socket");
    }
    uv_timer_init(loop, &d->tick);
    d->tcp.data = d->tick.data = d;
    d->refs = 2;
    d->loop = loop;
    d->tls = tls_ref(tls);
    d->limits = *spec->limits;
    d->events = spec->events;
    d->owner = spec->owner;
    d->crowd.at_ms = uv_now(loop);
    status = start(d, spec->at, &sa, err);
    if (status != 0) {
        door_close(d);
        return status;
    }
    *ret_door = d;
    return 0;
}

uint16_t door_port(const struct door *d)
{
    struct sockaddr_storage sa = {0};
    int len = sizeof sa;

    if (uv_tcp_getsockname(&d->tcp, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    /* sin_port and sin6_port are at the same place. */
    return ntohs(((const struct sockaddr_in *)&sa)->sin_port);
}

unsigned door_count(const struct door *d) { return d->count; }
