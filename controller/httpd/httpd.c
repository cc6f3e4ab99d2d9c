#include "controller/httpd/httpd.h"

#include <stdlib.h>
#include <unistd.h>

#include "controller/base/assert.h"
#include "controller/httpd/httpd_private.h"

/* The longest we sleep although libmicrohttpd asks for more; a plain upper bound. */
enum { TIMER_MAX_MS = 60000, CONNECTION_MEMORY = 32 << 10 };

static void on_timer(uv_timer_t *timer);

static void rearm(struct httpd *h)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (h->daemon == NULL)
        return; /* a handler has closed us */
    if (MHD_get_timeout(h->daemon, &ms) != MHD_YES || ms > TIMER_MAX_MS)
        ms = TIMER_MAX_MS;
    ASSERT(uv_timer_start(&h->timer, on_timer, ms, 0) == 0);
}

/* httpd_close() inside a handler must not pull libmicrohttpd away under itself: it is
 * only marked, and finished here. */
static void run(struct httpd *h)
{
    h->running = true;
    MHD_run(h->daemon);
    h->running = false;
    if (h->closing)
        httpd_finish(h);
    else
        rearm(h);
}

static void on_timer(uv_timer_t *timer) { run(timer->data); }

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status; /* MHD_run() finds out itself */
    (void)events;
    run(poll->data);
}

void httpd_kick(struct httpd *h)
{
    if (h->daemon != NULL && !h->running && !h->closing)
        ASSERT(uv_timer_start(&h->timer, on_timer, 0, 0) == 0);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct httpd *h = handle->data;

    if (--h->handles == 0)
        free(h);
}

void httpd_finish(struct httpd *h)
{
    struct MHD_Daemon *daemon = h->daemon;

    /* libmicrohttpd aborts the process when it is stopped with a suspended connection. */
    for (struct http_request *req = h->requests; req != NULL; req = req->next)
        request_resume(req);
    uv_poll_stop(&h->poll); /* before its descriptor is closed */
    h->daemon = NULL;
    MHD_stop_daemon(daemon); /* ends every connection: request_completed() */
    ASSERT(h->requests == NULL);
    httpd_unlink(h);
    uv_close((uv_handle_t *)&h->poll, on_handle_closed);
    uv_close((uv_handle_t *)&h->timer, on_handle_closed);
}

void httpd_close(struct httpd *h)
{
    if (h == NULL)
        return;
    ASSERT(!h->closing);
    h->closing = true;
    if (!h->running)
        httpd_finish(h);
}

/* Nothing is printed by a library. */
static void keep_quiet(void *cls, const char *fmt, va_list args)
{
    (void)cls;
    (void)fmt;
    (void)args;
}

static int start_daemon(struct httpd *h, int fd, struct err *err)
{
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        request_access, h, MHD_OPTION_EXTERNAL_LOGGER, keep_quiet, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, request_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, clients_notify, h, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTPD_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTPD_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    if (h->daemon == NULL) {
        close(fd);
        return err_set(err, ERR_NOMEM, "start the HTTP server");
    }
    return 0; /* the socket is libmicrohttpd's now */
}

static int start_loop(struct httpd *h, uv_loop_t *loop, struct err *err)
{
    int fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int status = uv_poll_init(loop, &h->poll, fd);

    if (status != 0)
        return err_uv(err, status, "watch the HTTP server");
    h->handles = 2;
    uv_timer_init(loop, &h->timer);
    h->poll.data = h->timer.data = h;
    status = uv_poll_start(&h->poll, UV_READABLE, on_readable);
    if (status != 0)
        return err_uv(err, status, "watch the HTTP server");
    rearm(h);
    return 0;
}

int httpd_open(struct httpd **ret_httpd, uv_loop_t *loop, const struct httpd_listen *at,
               http_handler *handler, void *owner, struct err *err)
{
    struct httpd *h = calloc(1, sizeof *h);
    int fd, status;

    if (h == NULL)
        return err_set(err, ERR_NOMEM, "HTTP server");
    h->loop = loop;
    h->handler = handler;
    h->owner = owner;
    status = httpd_socket(h, at, &fd, err);
    if (status == 0)
        status = start_daemon(h, fd, err);
    if (status == 0)
        status = start_loop(h, loop, err);
    if (status == 0) {
        *ret_httpd = h;
        return 0;
    }
    if (h->handles > 0) {
        httpd_close(h);
        return status;
    }
    if (h->daemon != NULL)
        MHD_stop_daemon(h->daemon);
    httpd_unlink(h);
    free(h);
    return status;
}

uint16_t httpd_port(const struct httpd *h) { return h->port; }
