#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "controller/base/assert.h"
#include "controller/httpd/httpd_private.h"

enum { BLOCK = 16 << 10 };

static void let_go(struct http_stream *s)
{
    if (--s->refs > 0)
        return;
    buf_free(&s->pending);
    free(s);
}

static void on_handle_closed(uv_handle_t *handle) { let_go(handle->data); }

static void stop_watching(struct http_stream *s)
{
    if (!s->watching)
        return;
    s->watching = false;
    uv_close((uv_handle_t *)&s->watch, on_handle_closed);
}

/* The caller's share ends here; what it calls in its on_gone must not find us in use. */
static void tell(struct http_stream *s)
{
    if (s->released)
        return;
    s->released = true;
    s->on_gone(s->owner);
    let_go(s);
}

void body_stream_disconnected(struct http_stream *s)
{
    s->req = NULL;
    s->broken = true;
    stop_watching(s); /* now: libmicrohttpd closes the descriptor next */
    tell(s);
}

/* -- libmicrohttpd asks -- */

static ssize_t on_more(void *cls, uint64_t at, char *data, size_t max)
{
    struct http_stream *s = cls;
    size_t n;

    (void)at;
    if (s->pending.len == 0 && !s->broken && !s->released && s->on_drained != NULL)
        s->on_drained(s->owner);
    if (s->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = s->pending.len < max ? s->pending.len : max;
    if (n > 0) {
        memcpy(data, s->pending.data, n);
        buf_consume(&s->pending, n);
        return (ssize_t)n;
    }
    if (s->released)
        return MHD_CONTENT_READER_END_OF_STREAM;
    s->req->suspended = true;
    MHD_suspend_connection(s->req->connection);
    return 0;
}

static void on_response_freed(void *cls) { let_go(cls); }

/* -- the client's end -- */

static int descriptor_of(const struct http_stream *s)
{
    return MHD_get_connection_info(s->req->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
        ->connect_fd;
}

/* libmicrohttpd finds out at its next write, and ends the connection. */
static void break_off(struct http_stream *s)
{
    s->broken = true;
    buf_free(&s->pending);
    if (s->req == NULL)
        return;
    (void)shutdown(descriptor_of(s), SHUT_RDWR);
    request_resume(s->req);
    httpd_kick(s->req->httpd);
}

static void on_watched(uv_poll_t *watch, int status, int events)
{
    struct http_stream *s = watch->data;

    (void)status;
    (void)events; /* the only one we asked for: the other side has hung up */
    uv_poll_stop(watch);
    break_off(s);
}

static void start_watching(struct http_stream *s, uv_loop_t *loop)
{
    if (uv_poll_init(loop, &s->watch, descriptor_of(s)) != 0)
        return; /* then the end is seen at the next write */
    s->watch.data = s;
    s->watching = true;
    s->refs++;
    (void)uv_poll_start(&s->watch, UV_DISCONNECT, on_watched);
}

static void on_later(uv_timer_t *later)
{
    struct http_stream *s = later->data;

    uv_close((uv_handle_t *)later, on_handle_closed);
    tell(s);
}

/* The client had gone before: its owner is told, but not from inside its own call. */
static void tell_later(struct http_stream *s, uv_loop_t *loop)
{
    s->broken = true;
    s->refs++;
    uv_timer_init(loop, &s->later);
    s->later.data = s;
    ASSERT(uv_timer_start(&s->later, on_later, 0, 0) == 0);
}

/* -- our caller -- */

static struct MHD_Response *stream_response(struct http_stream *s, const char *type)
{
    struct MHD_Response *r = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK, on_more, s, on_response_freed);

    if (r == NULL)
        return NULL;
    s->refs++;
    if (MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) != MHD_YES) {
        MHD_destroy_response(r);
        return NULL;
    }
    return r;
}

struct http_stream *http_stream_begin(struct http_request *req, unsigned status,
                                      const char *content_type, http_stream_gone *on_gone,
                                      void *owner)
{
    struct http_stream *s = calloc(1, sizeof *s);
    struct MHD_Response *r = NULL;

    if (s != NULL) {
        s->refs = 1;
        s->pending.limit = HTTPD_STREAM_BUF_MAX;
        s->on_gone = on_gone;
        s->owner = owner;
        r = stream_response(s, content_type);
    }
    if (r == NULL) {
        if (s != NULL)
            let_go(s);
        request_settle(req, 0, NULL);
        return NULL;
    }
    if (req->connection != NULL) {
        s->req = req;
        req->stream = s;
        start_watching(s, req->loop);
    } else {
        tell_later(s, req->loop);
    }
    request_settle(req, status, r);
    return s;
}

int http_stream_write(struct http_stream *s, const void *data, size_t len, struct err *err)
{
    int status;

    ASSERT(!s->released);
    if (s->broken)
        return err_set(err, ERR_CLOSED, "the client has gone");
    status = buf_append(&s->pending, data, len, err);
    if (status != 0) {
        break_off(s);
        err_wrap(err, "the client does not read");
        return status;
    }
    if (s->req != NULL)
        request_resume(s->req);
    return 0;
}

void http_stream_on_drained(struct http_stream *s, http_stream_drained *on_drained)
{
    s->on_drained = on_drained;
}

size_t http_stream_waiting(const struct http_stream *s) { return s->pending.len; }

void http_stream_break(struct http_stream *s)
{
    ASSERT(!s->released);
    if (!s->broken)
        break_off(s);
}

void http_stream_end(struct http_stream *s)
{
    ASSERT(!s->released);
    s->released = true;
    if (s->req != NULL)
        request_resume(s->req);
    let_go(s);
}
