#include "controller/net/listener.h"

#include <stdlib.h>

#include <uv.h>

#include "controller/net/stream_private.h"

enum { LISTENER_BACKLOG = 128 };

struct listener {
    uv_tcp_t tcp, spare; /* `spare` takes a connection only to end it */
    unsigned handles;    /* whose close callback has not run */
    bool spare_busy, one_waits;
    struct tls *tls;
    struct stream_options options;
    const struct listener_events *events;
    void *owner;
    struct stream *first; /* every stream we made and that is not freed, oldest first */
};

static bool is_pending(const struct stream *s)
{
    return s->phase != STREAM_OPEN && s->phase != STREAM_CLOSED;
}

static void append(struct listener *l, struct stream *s)
{
    struct stream **at = &l->first;

    while (*at != NULL)
        at = &(*at)->next;
    s->next = NULL;
    *at = s;
}

static void drop_oldest_pending(struct listener *l)
{
    struct stream *oldest = NULL;
    unsigned pending = 0;
    struct err why;

    for (struct stream *s = l->first; s != NULL; s = s->next)
        if (is_pending(s)) {
            oldest = oldest != NULL ? oldest : s;
            pending++;
        }
    if (pending < LISTENER_PENDING_MAX)
        return;
    err_set(&why, ERR_FULL, "%u handshakes are under way: gave up the oldest", pending);
    stream_fail(oldest, &why);
}

static void drop_oldest_of_peer(struct listener *l, const struct stream *newest)
{
    struct stream *oldest = NULL;
    unsigned same = 0;
    struct err why;

    for (struct stream *s = l->first; s != NULL; s = s->next)
        if (s->phase == STREAM_OPEN && identity_equals(&s->peer, &newest->peer)) {
            oldest = oldest != NULL ? oldest : s;
            same++;
        }
    if (same <= LISTENER_PER_PEER_MAX)
        return;
    err_set(&why, ERR_CONFLICT, "%s %s has %u connections: this one is the oldest",
            identity_role_name(newest->peer.role), newest->peer.name, same);
    stream_fail(oldest, &why);
}

/* -- what the streams tell us -- */

static int vet_peer(void *owner, const struct identity *peer, struct err *why)
{
    struct listener *l = owner;
    unsigned open = 0;

    for (const struct stream *s = l->first; s != NULL; s = s->next)
        open += s->phase == STREAM_OPEN;
    if (open >= LISTENER_OPEN_MAX)
        return err_set(why, ERR_FULL, "%u connections are open here, no more are possible",
                       open);
    return l->events->on_peer != NULL ? l->events->on_peer(l->owner, peer, why) : 0;
}

static void on_opened(void *owner, struct stream *s)
{
    struct listener *l = owner;

    drop_oldest_of_peer(l, s);
    l->events->on_accept(l->owner, s, &s->peer);
    if (s->events == NULL)
        stream_close(s);
}

static void on_gone(void *owner, struct stream *s)
{
    struct listener *l = owner;
    struct stream **at = &l->first;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    if (s->events == NULL && !s->released && l->events->on_reject != NULL)
        l->events->on_reject(l->owner, &s->why);
}

static const struct stream_host host = {vet_peer, on_opened, on_gone};

static void on_connection(uv_stream_t *tcp, int status);

static void let_go(struct listener *l)
{
    if (--l->handles > 0)
        return;
    tls_free(l->tls);
    free(l);
}

static void on_spare_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    l->spare_busy = false;
    if (l->one_waits && !uv_is_closing((uv_handle_t *)&l->tcp)) {
        l->one_waits = false;
        on_connection((uv_stream_t *)&l->tcp, 0);
    }
    let_go(l);
}

/* There was no memory for a stream. libuv accepts nothing more while a connection is not
 * taken, so this one is taken and ended. */
static void end_one(struct listener *l)
{
    if (l->spare_busy) {
        l->one_waits = true;
        return;
    }
    if (uv_tcp_init(l->tcp.loop, &l->spare) != 0)
        return;
    l->spare.data = l;
    l->spare_busy = true;
    l->handles++;
    (void)uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)&l->spare);
    uv_close((uv_handle_t *)&l->spare, on_spare_closed);
}

static void on_connection(uv_stream_t *tcp, int status)
{
    struct listener *l = tcp->data;
    struct stream *s;
    struct err err;

    if (status != 0) {
        err_uv(&err, status, "accept");
    } else {
        drop_oldest_pending(l);
        if (stream_accept(&s, tcp, l->tls, &l->options, &err) == 0) {
            s->host = &host;
            s->host_owner = l;
            append(l, s);
            return;
        }
        end_one(l);
    }
    if (l->events->on_reject != NULL)
        l->events->on_reject(l->owner, &err);
}

/* -- open and close -- */

static void on_listener_closed(uv_handle_t *handle) { let_go(handle->data); }

void listener_close(struct listener *l)
{
    if (l == NULL)
        return;
    for (struct stream *s = l->first; s != NULL; s = s->next) {
        s->host = NULL;
        if (s->events == NULL)
            stream_close(s);
    }
    l->first = NULL;
    uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
}

static int explain_bind(int status, const struct address *at, struct err *err)
{
    char text[ADDRESS_TEXT_SIZE];

    address_format(at, text);
    if (status == UV_EADDRINUSE)
        return err_set(err, ERR_BUSY,
                       "listen on %s: the port is in use (`ss -ltnp 'sport = :%u'` shows "
                       "by whom)",
                       text, at->port);
    if (status == UV_EADDRNOTAVAIL)
        return err_set(err, ERR_NOTFOUND,
                       "listen on %s: not an address of this host (`ip addr` shows them)",
                       text);
    return err_uv(err, status, "listen on %s", text);
}

static int bind_and_listen(struct listener *l, const struct address *at,
                           const struct sockaddr_storage *sa, struct err *err)
{
    int status = uv_tcp_bind(&l->tcp, (const struct sockaddr *)sa, 0);

    if (status == 0)
        status = uv_listen((uv_stream_t *)&l->tcp, LISTENER_BACKLOG, on_connection);
    return status == 0 ? 0 : explain_bind(status, at, err);
}

int listener_open(struct listener **ret_listener, uv_loop_t *loop, struct tls *tls,
                  const struct listener_spec *spec, struct err *err)
{
    struct sockaddr_storage sa;
    struct listener *l;
    int status;

    if (address_numeric(&sa, spec->at, err) != 0)
        return err_set(err, ERR_INVAL, "listen on '%s': not a numeric address",
                       spec->at->host);
    l = calloc(1, sizeof *l);
    if (l == NULL)
        return err_set(err, ERR_NOMEM, "listener");
    status = uv_tcp_init(loop, &l->tcp);
    if (status != 0) {
        free(l);
        return err_uv(err, status, "open a socket");
    }
    l->tcp.data = l;
    l->handles = 1;
    l->tls = tls_ref(tls);
    l->options = spec->options != NULL ? *spec->options : (struct stream_options){0};
    l->events = spec->events;
    l->owner = spec->owner;
    status = bind_and_listen(l, spec->at, &sa, err);
    if (status != 0) {
        listener_close(l);
        return status;
    }
    *ret_listener = l;
    return 0;
}

uint16_t listener_port(const struct listener *l)
{
    struct sockaddr_storage sa = {0};
    int len = sizeof sa;

    if (uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    /* sin_port and sin6_port are at the same place. */
    return ntohs(((const struct sockaddr_in *)&sa)->sin_port);
}
