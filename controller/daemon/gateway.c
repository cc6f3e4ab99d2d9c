#include "controller/daemon/gateway.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/daemon/bucket.h"

enum {
    DESCRIPTORS_EACH = 3,
    DESCRIPTORS_KEPT = 512,
    STACK_SIZE = 1 << 20,
    NICE = 5,
    AT_ONCE = 16, /* guests of a turn */
    QUIET_MS = 1000,
    TURNED_AWAY_BURST = 10,
};

struct arrival {
    int fd;               /* -1: it was turned away */
    enum tls_refusal why; /* likewise */
    struct door_guest guest;
};

struct gateway {
    /* the thread's */
    uv_loop_t inside;
    uv_async_t stop;
    struct door *door;
    struct mono told; /* when a refusal was logged last */
    unsigned untold;
    struct bucket turned_away; /* that the loop hears of */
    int out;
    /* the loop's */
    pthread_t thread;
    uv_poll_t poll;
    int in;
    void (*on_guest)(void *owner, int fd, const struct door_guest *guest);
    void (*on_turned_away)(void *owner, const struct door_guest *guest,
                           enum tls_refusal why);
    void *owner;
    uint16_t port;
};

/* ---- the thread -----------------------------------------------------------------------
 */

static void hand_over(void *owner, int fd, const struct door_guest *guest)
{
    const struct gateway *g = owner;
    const struct arrival a = {fd, TLS_REFUSAL_MAX, *guest};

    if (send(g->out, &a, sizeof a, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)sizeof a)
        close(fd);
}

/* Garbage may come as often as it likes; one line a second says enough. */
static void on_reject(void *owner, const struct err *why)
{
    struct gateway *g = owner;
    struct mono now = mono_now();

    g->untold++;
    if (mono_is_set(g->told) && mono_since_ms(g->told, now) < QUIET_MS)
        return;
    log_warn("API: connection refused: %s%s", why->text,
             g->untold > 1 ? " (and others before)" : "");
    g->told = now;
    g->untold = 0;
}

/* Whoever knocks with a revoked certificate must not keep the loop busy. */
static void on_turned_away(void *owner, const struct door_guest *guest,
                           enum tls_refusal why)
{
    struct gateway *g = owner;
    const struct arrival a = {-1, why, *guest};

    if (bucket_take(&g->turned_away, mono_now()))
        (void)send(g->out, &a, sizeof a, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static const struct door_events events = {hand_over, on_reject, on_turned_away};

static void on_stop(uv_async_t *stop)
{
    struct gateway *g = stop->data;

    door_close(g->door);
    uv_close((uv_handle_t *)stop, NULL);
}

static void *run(void *arg)
{
    struct gateway *g = arg;

    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread alone */
    (void)uv_run(&g->inside, UV_RUN_DEFAULT);
    return NULL;
}

/* Ordinary, whatever the loop's priority is, and deaf to signals, which are the loop's. */
static int start_thread(struct gateway *g)
{
    const struct sched_param ordinary = {.sched_priority = 0};
    pthread_attr_t attr;
    sigset_t all, before;
    int status;

    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
    (void)pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
    (void)pthread_attr_setschedparam(&attr, &ordinary);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    status = pthread_create(&g->thread, &attr, run, g);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return status;
}

/* ---- the loop -------------------------------------------------------------------------
 */

static void on_arrivals(uv_poll_t *poll, int status, int what)
{
    struct gateway *g = poll->data;
    struct arrival a;

    (void)status;
    (void)what;
    for (int i = 0; i < AT_ONCE; i++) {
        if (recv(g->in, &a, sizeof a, MSG_DONTWAIT) != (ssize_t)sizeof a)
            return;
        if (a.fd >= 0)
            g->on_guest(g->owner, a.fd, &a.guest);
        else
            g->on_turned_away(g->owner, &a.guest, a.why);
    }
}

uint32_t gateway_room(uint32_t connections)
{
    const rlim_t wanted = (rlim_t)connections * DESCRIPTORS_EACH + DESCRIPTORS_KEPT;
    struct rlimit limit;
    uint32_t room;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return connections;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted)
        return connections;
    room = limit.rlim_cur > DESCRIPTORS_KEPT + 32 * DESCRIPTORS_EACH
               ? (uint32_t)((limit.rlim_cur - DESCRIPTORS_KEPT) / DESCRIPTORS_EACH)
               : 32;
    log_warn(
        "API: %u connections at a time, and not api.connections: this process may have "
        "%llu descriptors only (LimitNOFILE of its unit)",
        room, (unsigned long long)limit.rlim_cur);
    return room;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct gateway *g = handle->data;

    close(g->in);
    free(g);
}

/* What was handed over and never taken. */
static void drop_arrivals(const struct gateway *g)
{
    struct arrival a;

    while (recv(g->in, &a, sizeof a, MSG_DONTWAIT) == (ssize_t)sizeof a)
        if (a.fd >= 0)
            close(a.fd);
}

static void close_inside(struct gateway *g)
{
    (void)uv_run(&g->inside, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&g->inside) == 0);
    if (g->out >= 0)
        close(g->out);
}

void gateway_close(struct gateway *g)
{
    if (g == NULL)
        return;
    (void)uv_async_send(&g->stop);
    (void)pthread_join(g->thread, NULL);
    close_inside(g);
    drop_arrivals(g);
    uv_close((uv_handle_t *)&g->poll, on_poll_closed);
}

static int open_door(struct gateway *g, const struct gateway_spec *spec, struct err *err)
{
    const struct settings_api *api = spec->api;
    const struct door_limits limits = {api->connections, api->per_address,
                                       api->arrivals_per_s, api->handshake_ms,
                                       api->idle_ms};
    const struct door_spec door = {&api->listen, &limits, &events, g};
    int status = uv_async_init(&g->inside, &g->stop, on_stop);

    if (status != 0)
        return err_uv(err, status, "API");
    g->stop.data = g;
    if (door_open(&g->door, &g->inside, spec->tls, &door, err) != 0) {
        uv_close((uv_handle_t *)&g->stop, NULL);
        return err->code;
    }
    g->port = door_port(g->door);
    return 0;
}

/* The thread last: what fails before it is undone here. */
static int begin(struct gateway *g, const struct gateway_spec *spec, struct err *err)
{
    int ends[2], status;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return err_errno(err, errno, "API");
    g->in = ends[0];
    g->out = ends[1];
    if (open_door(g, spec, err) != 0)
        return err->code;
    status = start_thread(g);
    if (status == 0)
        return 0;
    on_stop(&g->stop);
    return err_errno(err, status, "a thread for the API");
}

int gateway_open(struct gateway **ret_gateway, uv_loop_t *loop,
                 const struct gateway_spec *spec, struct err *err)
{
    struct gateway *g = calloc(1, sizeof *g);
    int status;

    if (g == NULL)
        return err_set(err, ERR_NOMEM, "API");
    g->in = g->out = -1;
    g->on_guest = spec->on_guest;
    g->on_turned_away = spec->on_turned_away;
    g->turned_away = (struct bucket){.burst = TURNED_AWAY_BURST, .each_ms = QUIET_MS};
    g->owner = spec->owner;
    status = uv_loop_init(&g->inside);
    if (status != 0) {
        free(g);
        return err_uv(err, status, "API");
    }
    if (begin(g, spec, err) != 0) {
        close_inside(g);
        if (g->in >= 0)
            close(g->in);
        free(g);
        return err->code;
    }
    g->poll.data = g;
    /* Fail only for a descriptor that is none. */
    ASSERT(uv_poll_init(loop, &g->poll, g->in) == 0);
    ASSERT(uv_poll_start(&g->poll, UV_READABLE, on_arrivals) == 0);
    *ret_gateway = g;
    return 0;
}

uint16_t gateway_port(const struct gateway *g) { return g->port; }
