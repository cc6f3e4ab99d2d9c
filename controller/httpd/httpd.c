#include "controller/httpd/httpd.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/base/assert.h"
#include "controller/httpd/httpd_private.h"

/* The longest we sleep although libmicrohttpd asks for more; a plain upper bound. */
enum { TIMER_MAX_MS = 60000, SWEEP_MS = 500 };

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
    clients_forget(h);
    ASSERT(h->requests == NULL);
    httpd_unlink(h);
    uv_close((uv_handle_t *)&h->poll, on_handle_closed);
    uv_close((uv_handle_t *)&h->timer, on_handle_closed);
    uv_close((uv_handle_t *)&h->sweep, on_handle_closed);
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

/* Of one that adopts, the sweep is to be first. */
static unsigned idle_s(const struct httpd *h)
{
    const unsigned next_s = h->limits.next_ms / 1000 + 10;

    return next_s > HTTPD_IDLE_S ? next_s : HTTPD_IDLE_S;
}

static int start_daemon(struct httpd *h, int fd, struct err *err)
{
    const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                           (h->adopts ? (unsigned)MHD_USE_NO_LISTEN_SOCKET : 0);
    const struct MHD_OptionItem listen[] = {
        {h->adopts ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_END, 0, NULL}};

    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, request_access, h, MHD_OPTION_EXTERNAL_LOGGER, keep_quiet,
        NULL, MHD_OPTION_ARRAY, listen, MHD_OPTION_NOTIFY_COMPLETED, request_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, clients_notify, h, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)h->limits.connections, MHD_OPTION_CONNECTION_TIMEOUT, idle_s(h),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTPD_HEADER_MAX, MHD_OPTION_END);
    if (h->daemon == NULL) {
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_NOMEM, "start the HTTP server");
    }
    return 0; /* the socket is libmicrohttpd's now */
}

static void on_sweep(uv_timer_t *sweep) { clients_sweep(sweep->data); }

static int start_loop(struct httpd *h, uv_loop_t *loop, struct err *err)
{
    int fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int status = uv_poll_init(loop, &h->poll, fd);

    if (status != 0)
        return err_uv(err, status, "watch the HTTP server");
    h->handles = 3;
    uv_timer_init(loop, &h->timer);
    uv_timer_init(loop, &h->sweep);
    h->poll.data = h->timer.data = h->sweep.data = h;
    status = uv_poll_start(&h->poll, UV_READABLE, on_readable);
    if (status == 0 && h->adopts)
        status = uv_timer_start(&h->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    if (status != 0)
        return err_uv(err, status, "watch the HTTP server");
    rearm(h);
    return 0;
}

int httpd_open(struct httpd **ret_httpd, uv_loop_t *loop, const struct httpd_listen *at,
               http_handler *handler, void *owner, struct err *err)
{
    struct httpd *h = calloc(1, sizeof *h);
    int fd = -1, status = 0;

    if (h == NULL)
        return err_set(err, ERR_NOMEM, "HTTP server");
    h->loop = loop;
    h->handler = handler;
    h->owner = owner;
    h->adopts = at->adopts != NULL;
    h->limits = h->adopts ? *at->adopts
                          : (struct httpd_adopts){.connections = HTTPD_CONNECTIONS_MAX};
    if (!h->adopts)
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

int httpd_adopt(struct httpd *h, int fd, void *guest, struct err *err)
{
    const struct sockaddr_un nowhere = {.sun_family = AF_UNIX};
    struct http_adopted *a = calloc(1, sizeof *a);

    ASSERT(h->adopts);
    if (a == NULL || h->daemon == NULL || h->closing) {
        close(fd);
        free(a);
        free(guest);
        return err_set(err, ERR_NOMEM, "take a connection over");
    }
    *a = (struct http_adopted){h->adopted, fd, guest};
    h->adopted = a;
    if (MHD_add_connection(h->daemon, fd, (const struct sockaddr *)&nowhere,
                           sizeof nowhere) == MHD_YES) {
        httpd_kick(h);
        return 0;
    }
    if (h->adopted == a) { /* else it was told of, and told off */
        h->adopted = a->next;
        free(a);
        free(guest);
    }
    return err_set(err, ERR_FULL, "no room for a connection");
}

unsigned httpd_count(const struct httpd *h) { return h->clients; }

uint16_t httpd_port(const struct httpd *h) { return h->port; }
