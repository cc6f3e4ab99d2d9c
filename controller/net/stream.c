#include "controller/net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "controller/base/assert.h"
#include "controller/net/stream_private.h"

enum { CONNECT_MS = 1000, HANDSHAKE_MS = 3000, USER_TIMEOUT_MS = 3000 };

static struct stream_options with_defaults(const struct stream_options *given)
{
    struct stream_options o = given != NULL ? *given : (struct stream_options){0};

    if (o.connect_ms == 0)
        o.connect_ms = CONNECT_MS;
    if (o.handshake_ms == 0)
        o.handshake_ms = HANDSHAKE_MS;
    if (o.user_timeout_ms == 0)
        o.user_timeout_ms = USER_TIMEOUT_MS;
    return o;
}

/* -- the end -- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;

    if (--s->handles > 0)
        return;
    if (s->host != NULL)
        s->host->gone(s->host_owner, s);
    if (!s->released && s->events != NULL && s->events->on_close != NULL)
        s->events->on_close(s->owner, &s->why);
    if (s->counted)
        tls_note_closed(s->tls, &s->peer);
    SSL_free(s->ssl);
    tls_free(s->tls);
    buf_free(&s->pipe.out);
    buf_free(&s->in);
    buf_free(&s->inflight);
    free(s);
}

/* The owner is told by the last close callback: never from inside its own call. */
static void close_handles(struct stream *s)
{
    s->phase = STREAM_CLOSED;
    uv_close((uv_handle_t *)&s->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&s->deadline, on_handle_closed);
}

static void keep_why(struct stream *s, const struct err *why)
{
    if (s->why.code != 0)
        return;
    s->why = *why;
    err_wrap(&s->why, "%s", s->remote);
}

void stream_fail(struct stream *s, const struct err *why)
{
    if (s->phase == STREAM_CLOSED)
        return;
    keep_why(s, why);
    close_handles(s);
}

void stream_close(struct stream *s)
{
    if (s == NULL)
        return;
    s->released = true;
    if (s->phase == STREAM_CLOSED)
        return;
    if (s->phase == STREAM_OPEN) {
        SSL_shutdown(s->ssl); /* a peer in good health hears that it was on purpose */
        ERR_clear_error();
        stream_flush(s);
    }
    if (s->phase != STREAM_CLOSED)
        close_handles(s);
}

static void on_ended(uv_shutdown_t *ending, int status)
{
    (void)ending;
    (void)status; /* the peer's end of file or the deadline follows */
}

static void on_deadline(uv_timer_t *timer);

void stream_drain(struct stream *s, const struct err *why)
{
    keep_why(s, why);
    s->phase = STREAM_DRAINING;
    stream_flush(s);
    if (s->phase == STREAM_CLOSED)
        return;
    if (uv_shutdown(&s->ending, (uv_stream_t *)&s->tcp, on_ended) != 0 ||
        uv_timer_start(&s->deadline, on_deadline, STREAM_DRAIN_MS, 0) != 0)
        close_handles(s);
}

static void on_deadline(uv_timer_t *timer)
{
    struct stream *s = timer->data;
    struct err why;

    if (s->phase == STREAM_CONNECTING)
        err_set(&why, ERR_TIMEOUT, "connect: no answer within %u ms",
                s->options.connect_ms);
    else
        err_set(&why, ERR_TIMEOUT, "the handshake was not finished within %u ms",
                s->options.handshake_ms);
    stream_fail(s, &why);
}

/* A turn of the loop each few seconds and a number compared: what was let in by files that
 * have been replaced is judged by the new ones. */
static void on_recheck(uv_timer_t *timer)
{
    struct stream *s = timer->data;
    enum tls_refusal reason;
    struct err why;

    if (tls_session_recheck(s->tls, s->ssl, &s->generation, &reason, &why) == 0)
        return;
    tls_note_refused(s->tls, reason);
    stream_fail(s, &why);
}

void stream_watch_peer(struct stream *s)
{
    s->counted = true;
    tls_note_opened(s->tls, &s->peer, s->ssl);
    /* Fails only for a handle that is closing. */
    (void)uv_timer_start(&s->deadline, on_recheck, STREAM_RECHECK_MS, STREAM_RECHECK_MS);
}

/* -- bytes out -- */

static void trim(struct buf *b)
{
    b->len = 0;
    if (b->cap > STREAM_KEEP_CAP)
        buf_free(b);
}

static void fail_write(struct stream *s, int status)
{
    struct err why;

    err_uv(&why, status, "send");
    stream_fail(s, &why);
}

static void on_written(uv_write_t *writing, int status)
{
    struct stream *s = writing->data;

    s->write_pending = false;
    s->inflight_at = 0;
    trim(&s->inflight);
    if (status < 0)
        fail_write(s, status);
    else
        stream_flush(s);
}

/* The kernel's buffer is full. What it did not take changes places with the empty buffer:
 * it must not move while libuv holds it, and later frames must not wait for a copy. */
static void write_rest(struct stream *s, size_t taken)
{
    struct buf rest = s->pipe.out;
    uv_buf_t all;
    int status;

    s->pipe.out = s->inflight;
    s->inflight = rest;
    s->inflight_at = taken;
    all = uv_buf_init((char *)rest.data + taken, (unsigned)(rest.len - taken));
    s->writing.data = s;
    status = uv_write(&s->writing, (uv_stream_t *)&s->tcp, &all, 1, on_written);
    if (status != 0)
        fail_write(s, status);
    else
        s->write_pending = true;
}

void stream_flush(struct stream *s)
{
    struct buf *out = &s->pipe.out;
    uv_buf_t all;
    int taken;

    if (out->len == 0 || s->write_pending || s->phase == STREAM_CLOSED)
        return;
    all = uv_buf_init((char *)out->data, (unsigned)out->len);
    taken = uv_try_write((uv_stream_t *)&s->tcp, &all, 1);
    if (taken < 0 && taken != UV_EAGAIN) {
        fail_write(s, taken);
        return;
    }
    if (taken < 0)
        taken = 0;
    if ((size_t)taken < out->len)
        write_rest(s, (size_t)taken);
    else
        trim(out);
}

size_t stream_queued(const struct stream *s)
{
    return s->pipe.out.len + s->inflight.len - s->inflight_at;
}

static int encrypt(struct stream *s, const uint8_t *data, size_t len, struct err *err)
{
    int n, status;

    ERR_clear_error();
    n = SSL_write(s->ssl, data, (int)len);
    if (n == (int)len)
        return 0;
    status = tls_session_check(s->ssl, n, &(enum tls_refusal){0}, err);
    /* It never wants to read first: there is no renegotiation in TLS 1.3. */
    return status != 0 ? status : err_set(err, ERR_IO, "TLS did not take a frame");
}

int stream_put(struct stream *s, const void *data, size_t len, struct err *err)
{
    size_t first = len < STREAM_CHUNK - STREAM_HEADER ? len : STREAM_CHUNK - STREAM_HEADER;
    uint8_t record[STREAM_CHUNK];
    int status;

    /* Header and the beginning in one record: a small frame is one record, one packet. */
    for (int i = 0; i < STREAM_HEADER; i++)
        record[i] = (uint8_t)(len >> (8 * (STREAM_HEADER - 1 - i)));
    memcpy(record + STREAM_HEADER, data, first);
    status = encrypt(s, record, STREAM_HEADER + first, err);
    explicit_bzero(record, STREAM_HEADER + first); /* requests and answers pass by here */
    if (status == 0 && len > first)
        status = encrypt(s, (const uint8_t *)data + first, len - first, err);
    return status;
}

int stream_send(struct stream *s, const void *data, size_t len, struct err *err)
{
    struct err why;

    if (len == 0 || len > STREAM_FRAME_MAX)
        return err_set(err, ERR_INVAL, "a frame of %zu bytes (1 to %d are possible)", len,
                       STREAM_FRAME_MAX);
    if (s->phase != STREAM_OPEN)
        return err_set(err, ERR_CLOSED, "stream to %s", s->remote);
    if (stream_queued(s) > 0 && stream_queued(s) + len > STREAM_SEND_QUEUE_MAX)
        return err_set(err, ERR_FULL, "stream to %s: %zu bytes wait already", s->remote,
                       stream_queued(s));
    if (stream_put(s, data, len, &why) != 0) {
        if (err != NULL)
            *err = why;
        stream_fail(s, &why); /* half a frame may be out */
        return why.code;
    }
    stream_flush(s);
    return 0;
}

/* -- bytes in -- */

static uint32_t frame_len(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int check_frame_len(const struct stream *s, uint32_t len, struct err *err)
{
    uint32_t max = s->phase == STREAM_OPEN ? STREAM_FRAME_MAX : STREAM_CHUNK;

    if (len == 0)
        return err_set(err, ERR_BADMSG, "an empty frame");
    if (len > max)
        return err_set(err, ERR_FULL, "a frame of %u bytes, %u are allowed", len, max);
    return 0;
}

static void deliver(struct stream *s, const uint8_t *data, size_t len)
{
    if (s->phase == STREAM_WELCOME)
        stream_take_hello(s, data, len);
    else if (s->events != NULL && s->events->on_frame != NULL)
        s->events->on_frame(s->owner, data, len);
}

static bool wants_frames(const struct stream *s)
{
    return s->phase == STREAM_WELCOME || s->phase == STREAM_OPEN;
}

/* `in` stays where it is while the owner looks at a frame: only this function and
 * read_plaintext(), which is not entered from a callback, change it. */
static void take_frames(struct stream *s)
{
    size_t at = 0;
    struct err why;

    while (wants_frames(s) && s->in.len - at >= STREAM_HEADER) {
        uint32_t len = frame_len(s->in.data + at);

        if (check_frame_len(s, len, &why) != 0) {
            stream_fail(s, &why);
            return;
        }
        if (s->in.len - at - STREAM_HEADER < len)
            break;
        deliver(s, s->in.data + at + STREAM_HEADER, len);
        at += STREAM_HEADER + len;
    }
    buf_consume(&s->in, at);
    if (s->in.len == 0)
        trim(&s->in);
}

/* Garbage in the middle of a stream that is open was refused by nobody. */
static void note_refused(struct stream *s, enum tls_refusal why)
{
    if (why != TLS_REFUSAL_MAX && s->phase != STREAM_OPEN)
        tls_note_refused(s->tls, why);
}

/* One record. False when there is none, or the stream has ended. */
static bool read_plaintext(struct stream *s)
{
    enum tls_refusal reason = TLS_REFUSAL_MAX;
    struct err why = {0};
    int n, status;

    if (buf_reserve(&s->in, STREAM_CHUNK, &why) != 0) {
        stream_fail(s, &why);
        return false;
    }
    ERR_clear_error();
    n = SSL_read(s->ssl, s->in.data + s->in.len, STREAM_CHUNK);
    if (n > 0) {
        s->in.len += (size_t)n;
        return true;
    }
    status = tls_session_check(s->ssl, n, &reason, &why);
    note_refused(s, reason);
    stream_flush(s); /* an alert or a key update */
    if (status != 0 && s->phase == STREAM_WELCOME && status != ERR_CLOSED)
        stream_drain(s, &why);
    else if (status != 0)
        stream_fail(s, &why);
    return false;
}

static void handshake(struct stream *s)
{
    enum tls_refusal reason = TLS_REFUSAL_MAX;
    struct err why;
    int n;

    ERR_clear_error();
    n = SSL_do_handshake(s->ssl);
    if (n == 1) {
        stream_greet(s);
        return;
    }
    if (tls_session_check(s->ssl, n, &reason, &why) != 0) {
        note_refused(s, reason);
        stream_drain(s, &why);
    } else {
        stream_flush(s);
    }
}

static void feed(struct stream *s, const uint8_t *data, size_t len)
{
    s->pipe.in = data;
    s->pipe.in_len = len;
    if (s->phase == STREAM_HANDSHAKE)
        handshake(s);
    while (wants_frames(s) && read_plaintext(s))
        take_frames(s);
    s->pipe.in = NULL; /* what the peer sent after its end is not read */
    s->pipe.in_len = 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct stream *s = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init((char *)s->chunk, sizeof s->chunk);
}

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *data)
{
    struct stream *s = tcp->data;
    struct err why;

    if (n > 0 && s->phase != STREAM_DRAINING)
        feed(s, (const uint8_t *)data->base, (size_t)n);
    if (n >= 0)
        return;
    if (n == UV_EOF)
        err_set(&why, ERR_CLOSED, "the peer is gone");
    else
        err_uv(&why, (int)n, "receive");
    stream_fail(s, &why);
}

/* -- the beginning -- */

static void set_option(int fd, int level, int name, unsigned value)
{
    /* Best effort: without them a dead peer is noticed later, not never. */
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

static void tune_socket(struct stream *s)
{
    const unsigned dead_s = (s->options.user_timeout_ms + 999) / 1000;
    uv_os_fd_t fd;

    uv_tcp_nodelay(&s->tcp, 1);
    if (uv_fileno((const uv_handle_t *)&s->tcp, &fd) != 0)
        return;
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, dead_s);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, s->options.user_timeout_ms);
}

static void start_tls(struct stream *s)
{
    struct err why;
    int status;

    tune_socket(s);
    s->phase = STREAM_HANDSHAKE;
    if (tls_session_new(&s->ssl, s->tls, &s->pipe, s->dialed ? TLS_DIALS : TLS_ACCEPTS,
                        &s->generation, &why) != 0) {
        stream_fail(s, &why);
        return;
    }
    status = uv_timer_start(&s->deadline, on_deadline, s->options.handshake_ms, 0);
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
    if (status != 0) {
        err_uv(&why, status, "start reading");
        stream_fail(s, &why);
        return;
    }
    if (s->dialed)
        handshake(s);
}

/* NULL: out of memory. */
static struct stream *stream_new(uv_loop_t *loop, struct tls *tls,
                                 const struct stream_options *options)
{
    struct stream *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    if (uv_tcp_init(loop, &s->tcp) != 0) {
        free(s);
        return NULL;
    }
    uv_update_time(loop); /* deadlines count from now, not from a turn that took long */
    uv_timer_init(loop, &s->deadline);
    s->tcp.data = s->deadline.data = s;
    s->handles = 2;
    s->options = with_defaults(options);
    s->tls = tls_ref(tls);
    s->in.secret = true;
    s->in.limit = STREAM_FRAME_MAX + 2 * (size_t)STREAM_CHUNK;
    /* Records are a little longer than what is in them; one frame may follow a full one. */
    s->pipe.out.limit = s->inflight.limit = 2 * (size_t)STREAM_SEND_QUEUE_MAX;
    return s;
}

static void on_connected(uv_connect_t *connecting, int status)
{
    struct stream *s = connecting->data;
    struct err why;

    if (status == 0 && s->phase == STREAM_CONNECTING) {
        start_tls(s);
    } else if (status != 0) {
        err_uv(&why, status, "connect");
        stream_fail(s, &why);
    }
}

int stream_dial(struct stream **ret_stream, uv_loop_t *loop, struct tls *tls,
                const struct stream_dial_to *to, struct err *err)
{
    struct stream *s = stream_new(loop, tls, to->options);
    struct err why;
    int status;

    if (s == NULL)
        return err_set(err, ERR_NOMEM, "stream");
    s->dialed = true;
    s->expected = *to->expected;
    address_of_sockaddr(to->sa, s->remote);
    s->connecting.data = s;
    status = uv_timer_start(&s->deadline, on_deadline, s->options.connect_ms, 0);
    if (status == 0)
        status = uv_tcp_connect(&s->connecting, &s->tcp, (const struct sockaddr *)to->sa,
                                on_connected);
    if (status != 0) {
        err_uv(&why, status, "connect");
        stream_fail(s, &why); /* told like any other failure to connect */
    }
    *ret_stream = s;
    return 0;
}

int stream_accept(struct stream **ret_stream, uv_stream_t *server, struct tls *tls,
                  const struct stream_options *options, struct err *err)
{
    struct stream *s = stream_new(server->loop, tls, options);
    struct sockaddr_storage sa = {0};
    int len = sizeof sa, status;

    if (s == NULL)
        return err_set(err, ERR_NOMEM, "stream");
    status = uv_accept(server, (uv_stream_t *)&s->tcp);
    if (status != 0) {
        status = err_uv(err, status, "accept");
        stream_close(s);
        return status;
    }
    uv_tcp_getpeername(&s->tcp, (struct sockaddr *)&sa, &len);
    address_of_sockaddr(&sa, s->remote);
    start_tls(s);
    *ret_stream = s;
    return 0;
}

void stream_adopt(struct stream *s, const struct stream_events *events, void *owner)
{
    s->events = events;
    s->owner = owner;
}

const struct identity *stream_peer(const struct stream *s)
{
    return s->peer.name[0] != '\0' ? &s->peer : NULL;
}

const char *stream_remote(const struct stream *s) { return s->remote; }
