#include "fencing/agent/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/buf.h"
#include "controller/base/log.h"
#include "fencing/agent/durable.h"
#include "proto/frame.h"
#include "providers/provider.h"

enum { HEAD_SIZE = 4, RESPAWN_MS = 200, WORKER_FD = 3 };

/* One life of the process. Its handles may outlive the helper's interest in it. */
struct child {
    struct helper *h; /* NULL: nobody listens any more */
    uv_process_t process;
    uv_pipe_t pipe;
    uv_timer_t deadline;
    unsigned open;
    bool closing, exited, timed_out;
    struct buf in;
    struct err why;
};

struct helper {
    uv_loop_t *loop;
    uv_timer_t respawn;
    struct child *child; /* NULL: being replaced */
    helper_reply *on_reply;
    void *owner;
    bool busy, closed;
    uint64_t id;
};

static void spawn_soon(struct helper *h);

/* ---- the end of a child ---------------------------------------------------------------
 */

static void on_handle_closed(uv_handle_t *handle)
{
    struct child *c = handle->data;

    if (--c->open > 0)
        return;
    buf_free(&c->in);
    free(c);
}

static void close_child(struct child *c)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->open == 3)
        uv_close((uv_handle_t *)&c->process, on_handle_closed);
    uv_close((uv_handle_t *)&c->pipe, on_handle_closed);
    uv_close((uv_handle_t *)&c->deadline, on_handle_closed);
}

/* The process is reaped: nothing of the request is under way any more, and that is when it
 * may be said. */
static void report_death(struct child *c)
{
    struct helper *h = c->h;
    bool was_busy;

    close_child(c);
    if (h == NULL)
        return;
    c->h = NULL;
    h->child = NULL;
    was_busy = h->busy;
    h->busy = false;
    spawn_soon(h);
    if (was_busy)
        h->on_reply(h->owner, NULL, &c->why);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal)
{
    struct child *c = process->data;

    c->exited = true;
    if (c->why.code == 0)
        (void)err_set(&c->why, ERR_CLOSED,
                      "the provider process ended (status %d, signal %d)", (int)status,
                      signal);
    report_death(c);
}

/* SIGKILL cannot be refused; the rest follows from on_process_exit(). */
static void end_child(struct child *c, int code, const char *text)
{
    if (c->exited)
        return;
    if (c->why.code == 0)
        (void)err_set(&c->why, code, "%s", text);
    (void)uv_read_stop((uv_stream_t *)&c->pipe);
    (void)uv_process_kill(&c->process, SIGKILL);
}

static void on_deadline(uv_timer_t *timer)
{
    end_child(timer->data, ERR_TIMEOUT, "the provider process was killed at its deadline");
}

/* ---- replies --------------------------------------------------------------------------
 */

static void deliver(struct child *c, const uint8_t *data, size_t len)
{
    AUTO(provider_reply_free) Rf__ProviderReply *reply = NULL;
    struct helper *h = c->h;
    struct err err = {0};

    if (provider_reply_decode(data, len, &reply, &err) != 0 || !h->busy ||
        reply->id != h->id) {
        end_child(c, ERR_BADMSG,
                  err.code != 0 ? err.text : "an answer that nobody asked for");
        return;
    }
    h->busy = false;
    (void)uv_timer_stop(&c->deadline);
    h->on_reply(h->owner, reply, NULL);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct child *c = handle->data;

    (void)suggested;
    *out = uv_buf_init(NULL, 0); /* ENOBUFS: on_read() ends it */
    if (buf_reserve(&c->in, 16384, NULL) == 0)
        *out = uv_buf_init((char *)c->in.data + c->in.len, 16384);
}

static size_t frame_len(const struct buf *in)
{
    return in->len < HEAD_SIZE ? 0
                               : (size_t)in->data[0] << 24 | (size_t)in->data[1] << 16 |
                                     (size_t)in->data[2] << 8 | in->data[3];
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct child *c = stream->data;
    size_t len;

    (void)buf;
    if (n < 0) {
        end_child(c, ERR_CLOSED, "the provider process closed its end");
        return;
    }
    c->in.len += (size_t)n;
    len = frame_len(&c->in);
    if (len > PROVIDER_MAX) {
        end_child(c, ERR_BADMSG, "an answer that is too long");
        return;
    }
    if (len != 0 && c->in.len >= HEAD_SIZE + len && c->h != NULL) {
        AUTO(buf_free) struct buf frame = c->in;

        c->in = (struct buf){.limit = PROVIDER_MAX + 65536};
        if (frame.len > HEAD_SIZE + len) /* one at a time: there is nothing behind it */
            end_child(c, ERR_BADMSG, "more than the answer");
        else
            deliver(c, frame.data + HEAD_SIZE, len);
    }
}

/* ---- a new child ----------------------------------------------------------------------
 */

static int spawn_process(struct child *c, uv_loop_t *loop, int fd)
{
    char number[8], *args[] = {"ringfence-agent", "--provider-worker", number, NULL};
    uv_stdio_container_t stdio[WORKER_FD + 1] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = fd},
    };
    uv_process_options_t options = {.exit_cb = on_process_exit,
                                    .file = "/proc/self/exe",
                                    .args = args,
                                    .stdio_count = WORKER_FD + 1,
                                    .stdio = stdio,
                                    /* a Ctrl-C at the agent's terminal is not theirs */
                                    .flags = UV_PROCESS_DETACHED};

    snprintf(number, sizeof number, "%d", WORKER_FD);
    return uv_spawn(loop, &c->process, &options);
}

static int init_child(struct child *c, struct helper *h, int pair[2])
{
    int status = uv_pipe_init(h->loop, &c->pipe, 0);

    ASSERT(status == 0);
    status = uv_timer_init(h->loop, &c->deadline);
    ASSERT(status == 0);
    c->open = 2;
    c->process.data = c->pipe.data = c->deadline.data = c;
    c->in.limit = PROVIDER_MAX + 65536;
    c->h = h;
    status = uv_pipe_open(&c->pipe, pair[0]);
    if (status != 0)
        return status;
    pair[0] = -1; /* the pipe's now */
    status = spawn_process(c, h->loop, pair[1]);
    c->open = 3; /* uv_spawn() makes the handle even when it fails */
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
    return status;
}

static int spawn(struct helper *h, struct err *err)
{
    struct child *c = calloc(1, sizeof *c);
    int pair[2] = {-1, -1};
    int status;

    if (c == NULL ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        free(c);
        return err_errno(err, c == NULL ? ENOMEM : errno, "provider process");
    }
    /* Ours is polled, theirs may block: it is linear code. */
    status = fcntl(pair[1], F_SETFL, 0) == 0 ? init_child(c, h, pair) : -errno;
    auto_close(&pair[0]);
    auto_close(&pair[1]);
    if (status != 0) {
        c->h = NULL;
        if (c->open == 0)
            free(c);
        else
            close_child(c);
        return err_uv(err, status, "start a provider process");
    }
    h->child = c;
    return 0;
}

static void on_respawn(uv_timer_t *timer)
{
    struct helper *h = timer->data;
    struct err err = {0};

    if (h->closed || h->child != NULL || spawn(h, &err) == 0)
        return;
    log_error("%s", err.text);
    spawn_soon(h);
}

static void spawn_soon(struct helper *h)
{
    if (!h->closed)
        (void)uv_timer_start(&h->respawn, on_respawn, RESPAWN_MS, 0);
}

/* ---- life -----------------------------------------------------------------------------
 */

int helper_open(struct helper **ret_helper, struct uv_loop_s *loop, helper_reply *on_reply,
                void *owner, struct err *err)
{
    struct helper *h = calloc(1, sizeof *h);
    int status;

    if (h == NULL)
        return err_set(err, ERR_NOMEM, "provider process");
    h->loop = loop;
    h->on_reply = on_reply;
    h->owner = owner;
    status = uv_timer_init(loop, &h->respawn);
    ASSERT(status == 0);
    h->respawn.data = h;
    status = spawn(h, err);
    if (status != 0) {
        helper_close(h);
        return status;
    }
    *ret_helper = h;
    return 0;
}

static void on_helper_closed(uv_handle_t *handle) { free(handle->data); }

void helper_close(struct helper *h)
{
    if (h == NULL)
        return;
    h->closed = true;
    if (h->child != NULL) {
        struct child *c = h->child;

        h->child = NULL;
        c->h = NULL;
        end_child(c, ERR_CLOSED, "the agent ends");
    }
    uv_close((uv_handle_t *)&h->respawn, on_helper_closed);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* a broken pipe is seen by on_read() */
    free(write->data);
    free(write);
}

static int send_request(struct child *c, const struct buf *packed, struct err *err)
{
    uint8_t *bytes = malloc(HEAD_SIZE + packed->len);
    uv_write_t *write = malloc(sizeof *write);
    uv_buf_t out = uv_buf_init((char *)bytes, (unsigned)(HEAD_SIZE + packed->len));
    int status;

    if (bytes == NULL || write == NULL) {
        free(bytes);
        free(write);
        return err_set(err, ERR_NOMEM, "request to a provider");
    }
    for (int i = 0; i < HEAD_SIZE; i++)
        bytes[i] = (uint8_t)(packed->len >> (24 - 8 * i));
    memcpy(bytes + HEAD_SIZE, packed->data, packed->len);
    write->data = bytes;
    status = uv_write(write, (uv_stream_t *)&c->pipe, &out, 1, on_written);
    if (status != 0) {
        free(bytes);
        free(write);
        return err_uv(err, status, "request to a provider");
    }
    return 0;
}

int helper_ask(struct helper *h, Rf__ProviderRequest *request, uint32_t deadline_ms,
               struct err *err)
{
    AUTO(buf_free) struct buf packed = {0};
    int status;

    if (h->child == NULL || h->child->why.code != 0)
        return err_set(err, ERR_CLOSED, "the provider process is being replaced");
    if (h->busy)
        return err_set(err, ERR_BUSY, "the provider process is busy");
    request->id = ++h->id;
    status = provider_request_encode(request, &packed, err);
    if (status == 0)
        status = send_request(h->child, &packed, err);
    if (status != 0)
        return status;
    h->busy = true;
    (void)uv_timer_start(&h->child->deadline, on_deadline, deadline_ms, 0);
    return 0;
}

bool helper_is_busy(const struct helper *h) { return h->busy; }

int32_t helper_pid(const struct helper *h)
{
    return h->child != NULL ? h->child->process.pid : 0;
}

void helper_kill(struct helper *h)
{
    if (h->child != NULL)
        end_child(h->child, ERR_CLOSED, "the provider process was told to end");
}

/* Fields 3 (state) and 22 (start in ticks since boot) of /proc/PID/stat; field 2, the name,
 * may hold anything, so they are counted from its end. */
static uint64_t parse_start_ms(char *after)
{
    enum { FIELDS_BETWEEN = 18 };
    const char *state = durable_word(&after);
    uint64_t ticks;

    if (state == NULL || state[0] == 'Z' || state[0] == 'X')
        return 0;
    for (int i = 0; i < FIELDS_BETWEEN; i++)
        (void)durable_word(&after);
    if (!durable_number(&after, UINT64_MAX / 1000, &ticks))
        return 0;
    return ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t process_start_ms(int32_t pid)
{
    char path[32], text[1024];
    AUTO(auto_close) int fd = -1;
    char *after;
    ssize_t n;

    if (pid <= 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n <= 0)
        return 0;
    text[n] = 0;
    after = strrchr(text, ')');
    return after != NULL && after[1] == ' ' ? parse_start_ms(after + 2) : 0;
}

bool helper_let_go(const Rf__ServerSpec *server)
{
    const struct provider_ops *ops = provider_find(server->provider);
    struct provider *p = NULL;
    bool gone;

    if (ops == NULL || ops->open(&p, server, NULL) != 0)
        return true; /* nothing was ever made for it */
    gone = ops->let_go(p);
    ops->close(p);
    return gone;
}
