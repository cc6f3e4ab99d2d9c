/* One guest: TLS on its side, a socketpair on the server's.
 *
 * Each direction has at most one write under way; while it is, the side that the bytes come
 * from is not read. So nothing grows, whoever is slow. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "controller/base/text.h"
#include "controller/net/door_private.h"

enum { USER_TIMEOUT_MS = 15000, KEEPALIVE_S = 15 };

/* ---- the end --------------------------------------------------------------------------
 */

static void on_handle_closed(uv_handle_t *handle)
{
    struct guest *g = handle->data;
    struct door *d = g->door;

    if (--g->handles > 0)
        return;
    SSL_free(g->ssl);
    buf_free(&g->pipe.out);
    buf_free(&g->out);
    buf_free(&g->in);
    free(g);
    door_unref(d);
}

void guest_end(struct guest *g, const struct err *why)
{
    struct door *d = g->door;
    const bool came_in = g->phase == GUEST_INSIDE || g->phase == GUEST_LEAVING;
    struct err told;

    if (g->phase == GUEST_GONE)
        return;
    g->phase = GUEST_GONE;
    door_left(d, g);
    uv_close((uv_handle_t *)&g->tcp, on_handle_closed);
    if (g->has_inner)
        uv_close((uv_handle_t *)&g->inner, on_handle_closed);
    if (why == NULL || came_in || d->closing)
        return;
    told = *why;
    err_wrap(&told, "%s", g->who.from);
    d->events->on_reject(d->owner, &told);
}

static void enter(struct guest *g, enum guest_phase phase)
{
    g->phase = phase;
    g->since_ms = g->progress_ms = uv_now(g->door->loop);
}

static void end_uv(struct guest *g, int status, const char *what)
{
    struct err why;

    err_uv(&why, status, "%s", what);
    guest_end(g, &why);
}

/* ---- to the guest ---------------------------------------------------------------------
 */

static void flush(struct guest *g);
static void read_inner(struct guest *g);
static void say_goodbye(struct guest *g);

static void on_out_done(uv_write_t *req, int status)
{
    struct guest *g = req->data;

    g->out_busy = false;
    buf_free(&g->out);
    if (g->phase == GUEST_GONE)
        return;
    g->progress_ms = uv_now(g->door->loop);
    if (status < 0) {
        end_uv(g, status, "send");
        return;
    }
    flush(g); /* what TLS has made in the meantime */
    if (g->phase == GUEST_INSIDE && !g->out_busy)
        read_inner(g);
    else if (g->phase == GUEST_LEAVING)
        say_goodbye(g);
}

/* Gives the kernel what TLS has made; keeps the rest. */
static void flush(struct guest *g)
{
    struct buf *made = &g->pipe.out;
    uv_buf_t all;
    int n;

    if (made->len == 0 || g->out_busy || g->phase == GUEST_GONE)
        return;
    all = uv_buf_init((char *)made->data, (unsigned)made->len);
    n = uv_try_write((uv_stream_t *)&g->tcp, &all, 1);
    if (n < 0 && n != UV_EAGAIN) {
        end_uv(g, n, "send");
        return;
    }
    if (n > 0)
        buf_consume(made, (size_t)n);
    if (made->len == 0) {
        buf_free(made);
        return;
    }
    g->out = *made;
    *made = (struct buf){.limit = made->limit};
    all = uv_buf_init((char *)g->out.data, (unsigned)g->out.len);
    g->out_req.data = g;
    g->progress_ms = uv_now(g->door->loop);
    n = uv_write(&g->out_req, (uv_stream_t *)&g->tcp, &all, 1, on_out_done);
    if (n != 0)
        end_uv(g, n, "send");
    else
        g->out_busy = true;
}

static void on_end_sent(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status; /* its end of file, or the tick, follows */
}

/* Closing with its bytes unread would make the kernel send a reset, which can overtake the
 * answer: so it is left the time to read. */
static void say_goodbye(struct guest *g)
{
    if (g->out_busy || g->pipe.out.len > 0 || g->out_end.data != NULL)
        return;
    g->out_end.data = g;
    if (uv_shutdown(&g->out_end, (uv_stream_t *)&g->tcp, on_end_sent) != 0)
        guest_end(g, NULL);
}

static void leave(struct guest *g)
{
    enter(g, GUEST_LEAVING);
    (void)uv_read_stop((uv_stream_t *)&g->inner);
    ERR_clear_error();
    (void)SSL_shutdown(g->ssl);
    ERR_clear_error();
    flush(g);
    if (g->phase == GUEST_LEAVING)
        say_goodbye(g);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct guest *g = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init((char *)g->door->chunk, sizeof g->door->chunk);
}

static void on_inner(uv_stream_t *inner, ssize_t n, const uv_buf_t *data)
{
    struct guest *g = inner->data;
    int sent;

    if (g->phase != GUEST_INSIDE || n == 0)
        return;
    if (n < 0) {
        leave(g);
        return;
    }
    ERR_clear_error();
    sent = SSL_write(g->ssl, data->base, (int)n);
    explicit_bzero(data->base, (size_t)n); /* an answer may have a secret in it */
    if (sent != (int)n) {
        ERR_clear_error();
        guest_end(g, NULL);
        return;
    }
    flush(g);
    if (g->out_busy)
        (void)uv_read_stop(inner);
}

static void read_inner(struct guest *g)
{
    (void)uv_read_start((uv_stream_t *)&g->inner, on_alloc, on_inner);
}

/* ---- to the server --------------------------------------------------------------------
 */

static void read_outer(struct guest *g);

static void on_in_done(uv_write_t *req, int status)
{
    struct guest *g = req->data;

    g->in_busy = false;
    buf_free(&g->in);
    if (g->phase != GUEST_INSIDE)
        return;
    if (status < 0)
        leave(g); /* the server has closed: what it said is still to be sent */
    else
        read_outer(g);
}

static int ask_in(struct guest *g, struct err *err)
{
    const int size = DOOR_INNER_BUFFER;
    int ends[2], status;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return err_errno(err, errno, "a socketpair");
    for (int i = 0; i < 2; i++)
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    status = uv_pipe_init(g->door->loop, &g->inner, 0);
    if (status == 0) {
        g->inner.data = g;
        g->has_inner = true;
        g->handles++;
        status = uv_pipe_open(&g->inner, ends[0]);
    }
    if (status != 0) {
        close(ends[0]);
        close(ends[1]);
        return err_uv(err, status, "a socketpair");
    }
    enter(g, GUEST_INSIDE);
    read_inner(g);
    g->door->events->on_guest(g->door->owner, ends[1], &g->who);
    return 0;
}

static void hand_on(struct guest *g, const uint8_t *data, size_t len)
{
    uv_buf_t all = uv_buf_init((char *)data, (unsigned)len);
    struct err why;
    int n;

    if (g->phase == GUEST_SILENT && ask_in(g, &why) != 0) {
        guest_end(g, &why);
        return;
    }
    if (g->phase != GUEST_INSIDE)
        return;
    n = g->in_busy || g->in.len > 0 ? 0 : uv_try_write((uv_stream_t *)&g->inner, &all, 1);
    if (n == UV_EAGAIN)
        n = 0;
    if (n < 0)
        return; /* the server has closed: on_inner() sees it too, behind its last words */
    if ((size_t)n < len && buf_append(&g->in, data + n, len - (size_t)n, &why) != 0)
        guest_end(g, &why);
}

/* All that one read of the socket had in it is in `in` now. */
static void push_in(struct guest *g)
{
    uv_buf_t all;
    int status;

    if (g->phase != GUEST_INSIDE || g->in.len == 0 || g->in_busy)
        return;
    (void)uv_read_stop((uv_stream_t *)&g->tcp);
    all = uv_buf_init((char *)g->in.data, (unsigned)g->in.len);
    g->in_req.data = g;
    status = uv_write(&g->in_req, (uv_stream_t *)&g->inner, &all, 1, on_in_done);
    if (status != 0)
        leave(g);
    else
        g->in_busy = true;
}

/* ---- TLS ------------------------------------------------------------------------------
 */

/* Whom does the certificate name? OpenSSL has verified that it is one of ours. */
static void look_at(struct guest *g)
{
    const char *ours = tls_self(g->door->tls)->cluster;
    X509 *cert = SSL_get0_peer_certificate(g->ssl);
    struct door_guest *who = &g->who;
    struct identity id;
    struct err err = {0};

    who->proof = DOOR_NOBODY;
    if (cert == NULL)
        return;
    g->has_cert = true;
    who->proof = DOOR_REFUSED;
    if (SSL_get_verify_result(g->ssl) != X509_V_OK)
        text_set(who->why, sizeof who->why, "the certificate was not verified");
    else if (identity_of_cert(&id, cert, &err) != 0)
        text_set(who->why, sizeof who->why, "%s", err.text);
    else if (strcmp(id.cluster, ours) != 0)
        text_set(who->why, sizeof who->why,
                 "the certificate is of %s %s of cluster %s, and this is cluster %s",
                 identity_role_name(id.role), id.name, id.cluster, ours);
    else if (id.role != IDENTITY_USER)
        text_set(who->why, sizeof who->why,
                 "the certificate is of %s %s, and people ask with one of their own: "
                 "`ringfence pki issue user NAME`",
                 identity_role_name(id.role), id.name);
    else
        who->proof = DOOR_USER;
    if (who->proof == DOOR_USER)
        memcpy(who->user, id.name, sizeof who->user);
}

static void fail_tls(struct guest *g, int result)
{
    enum tls_refusal reason = TLS_REFUSAL_MAX;
    struct err why;
    int status = tls_session_check(g->ssl, result, &reason, &why);

    flush(g); /* an alert, or a key update */
    if (status == 0 || g->phase == GUEST_GONE)
        return;
    if (g->phase != GUEST_HANDSHAKE) {
        guest_end(g, &why);
        return;
    }
    if (reason != TLS_REFUSAL_MAX)
        tls_note_refused(g->door->tls, reason);
    err_wrap(&why, "%s", g->who.from);
    g->door->events->on_reject(g->door->owner, &why);
    enter(g, GUEST_LEAVING); /* it reads the alert */
    say_goodbye(g);
}

static void handshake(struct guest *g)
{
    int n;

    ERR_clear_error();
    n = SSL_do_handshake(g->ssl);
    if (n != 1) {
        fail_tls(g, n);
        return;
    }
    look_at(g);
    if (g->who.proof == DOOR_REFUSED)
        tls_note_refused(g->door->tls, TLS_REFUSED_NODE);
    enter(g, GUEST_SILENT);
    flush(g);
}

/* The same for all guests, and a request may have a secret in it. */
static void take_plain(struct guest *g, size_t len)
{
    hand_on(g, g->door->plain, len);
    explicit_bzero(g->door->plain, len);
}

static void feed(struct guest *g, const uint8_t *data, size_t len)
{
    struct door *d = g->door;
    int n = 1;

    g->pipe.in = data;
    g->pipe.in_len = len;
    if (g->phase == GUEST_HANDSHAKE)
        handshake(g);
    while (n > 0 && (g->phase == GUEST_SILENT || g->phase == GUEST_INSIDE)) {
        ERR_clear_error();
        n = SSL_read(g->ssl, d->plain, sizeof d->plain);
        if (n > 0)
            take_plain(g, (size_t)n);
        else
            fail_tls(g, n);
    }
    g->pipe.in = NULL;
    g->pipe.in_len = 0;
    push_in(g);
}

static void on_outer(uv_stream_t *tcp, ssize_t n, const uv_buf_t *data)
{
    struct guest *g = tcp->data;
    struct err why;

    if (g->phase == GUEST_GONE || n == 0)
        return;
    if (n > 0) {
        if (g->phase != GUEST_LEAVING) /* else it is thrown away */
            feed(g, (const uint8_t *)data->base, (size_t)n);
        return;
    }
    if (n == UV_EOF)
        err_set(&why, ERR_CLOSED, "gone");
    else
        err_uv(&why, (int)n, "receive");
    guest_end(g, &why);
}

static void read_outer(struct guest *g)
{
    int status = uv_read_start((uv_stream_t *)&g->tcp, on_alloc, on_outer);

    if (status != 0)
        end_uv(g, status, "start reading");
}

/* ---- time -----------------------------------------------------------------------------
 */

static void too_slow(struct guest *g, const char *what, uint32_t ms)
{
    struct err why;

    err_set(&why, ERR_TIMEOUT, "%s within %u ms", what, ms);
    guest_end(g, &why);
}

static void recheck(struct guest *g)
{
    enum tls_refusal reason;
    struct err why;

    if (!g->has_cert ||
        tls_session_recheck(g->door->tls, g->ssl, &g->generation, &reason, &why) == 0)
        return;
    tls_note_refused(g->door->tls, reason);
    guest_end(g, &why);
}

void guest_tick(struct guest *g, uint64_t now_ms)
{
    const struct door_limits *l = &g->door->limits;
    const uint64_t age = now_ms - g->since_ms, still = now_ms - g->progress_ms;

    if (g->phase == GUEST_HANDSHAKE && age > l->handshake_ms)
        too_slow(g, "the handshake was not finished", l->handshake_ms);
    else if (g->phase == GUEST_SILENT && age > l->idle_ms)
        too_slow(g, "nothing was asked", l->idle_ms);
    else if (g->phase == GUEST_LEAVING && !g->out_busy && age > DOOR_GOODBYE_MS)
        guest_end(g, NULL);
    else if (g->out_busy && still > l->idle_ms)
        too_slow(g, "nothing was read", l->idle_ms);
    else
        recheck(g);
}

/* ---- the beginning --------------------------------------------------------------------
 */

static void set_option(int fd, int level, int name, unsigned value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

static void tune(struct guest *g)
{
    uv_os_fd_t fd;

    (void)uv_tcp_nodelay(&g->tcp, 1);
    (void)uv_tcp_keepalive(&g->tcp, 1, KEEPALIVE_S);
    if (uv_fileno((const uv_handle_t *)&g->tcp, &fd) == 0)
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

static int begin(struct guest *g, struct err *err)
{
    tune(g);
    if (tls_session_new(&g->ssl, g->door->tls, &g->pipe, TLS_ACCEPTS_GUESTS, &g->generation,
                        err) != 0)
        return err->code;
    read_outer(g);
    return 0;
}

static void on_unheard(uv_handle_t *handle)
{
    struct guest *g = handle->data;
    struct door *d = g->door;

    free(g);
    door_unref(d);
}

int guest_accept(struct door *d, struct err *err)
{
    struct guest *g = calloc(1, sizeof *g);
    struct sockaddr_storage sa = {0};
    int len = sizeof sa, status;

    if (g == NULL)
        return err_set(err, ERR_NOMEM, "connection");
    g->door = d;
    status = uv_tcp_init(d->loop, &g->tcp);
    if (status != 0) {
        free(g);
        return err_uv(err, status, "accept");
    }
    g->tcp.data = g;
    g->handles = 1;
    g->pipe.out.limit = 16 * (size_t)DOOR_CHUNK;
    g->in.secret = true;
    status = uv_accept((uv_stream_t *)&d->tcp, (uv_stream_t *)&g->tcp);
    if (status == 0)
        status = uv_tcp_getpeername(&g->tcp, (struct sockaddr *)&sa, &len);
    if (status != 0)
        err_uv(err, status, "accept");
    else
        address_of_sockaddr(&sa, g->who.from);
    g->who.source = source_key(&sa);
    if (status != 0 || door_admit(d, g->who.source, &g->source, err) != 0) {
        err_wrap(err, "%s", g->who.from[0] != '\0' ? g->who.from : "somebody");
        d->refs++;
        uv_close((uv_handle_t *)&g->tcp, on_unheard);
        return err->code;
    }
    enter(g, GUEST_HANDSHAKE);
    door_enter(d, g);
    if (begin(g, err) == 0)
        return 0;
    guest_end(g, NULL);
    return err->code;
}
