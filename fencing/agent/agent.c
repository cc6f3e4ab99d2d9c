#include "fencing/agent/agent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/notify.h"
#include "controller/net/tls.h"
#include "controller/net/tls_watch.h"
#include "fencing/agent/endpoints.h"
#include "fencing/agent/keeper.h"

enum { PULSE_MS = 500, KEEPER_DEAD_MS = 10000 };

struct agent {
    const struct agent_settings *settings;
    bool can_serve;
    uv_loop_t loop;
    uv_signal_t term, interrupt, hangup;
    uv_timer_t pulse;
    struct tls *tls;
    struct tls_watch *watch;
    struct agent_state state;
    struct agent_contents contents;
    struct board *board;
    struct steps *steps;
    struct keeper *keeper;
    struct endpoints *endpoints;
    bool ending;
    struct err end; /* why; code 0: it was asked for */
};

static void end_all(struct agent *a)
{
    if (a->ending)
        return;
    a->ending = true;
    notify_systemd("STOPPING=1");
    uv_close((uv_handle_t *)&a->term, NULL);
    uv_close((uv_handle_t *)&a->interrupt, NULL);
    uv_close((uv_handle_t *)&a->hangup, NULL);
    uv_close((uv_handle_t *)&a->pulse, NULL);
    tls_watch_close(TAKE(a->watch));
    endpoints_close(TAKE(a->endpoints));
    steps_close(TAKE(a->steps));
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct agent *a = handle->data;

    log_info("%s: ending; gate and server are left as they are",
             number == SIGTERM ? "SIGTERM" : "SIGINT");
    end_all(a);
}

static void on_hangup(uv_signal_t *handle, int number)
{
    struct agent *a = handle->data;

    (void)number;
    if (a->watch != NULL)
        tls_watch_now(a->watch);
}

/* systemd's watchdog hears of the keeper, too: an agent whose keeper stands still holds no
 * lease any more and had better be started anew. */
static void on_pulse(uv_timer_t *timer)
{
    struct agent *a = timer->data;
    struct board_health h;

    board_health(a->board, &h);
    if (h.fatal[0] != 0) {
        (void)err_set(&a->end, ERR_REFUSED, "%s", h.fatal);
        end_all(a);
        return;
    }
    if ((boot_now().ns - h.at.ns) / NS_PER_MS < KEEPER_DEAD_MS)
        notify_systemd("WATCHDOG=1");
}

static int read_identity(struct agent *a, struct err *err)
{
    const struct agent_settings *s = a->settings;
    struct tls_files files = {.ca = s->ca, .cert = s->cert, .key = s->key, .crl = s->crl};
    struct agent_contents self = {0};
    struct identity id;
    int status = identity_make(&id, IDENTITY_AGENT, s->cluster, s->name, err);

    if (status == 0)
        status = tls_new(&a->tls, &files, &id, err);
    if (status != 0)
        return status;
    snprintf(self.cluster, sizeof self.cluster, "%s", s->cluster);
    snprintf(self.agent, sizeof self.agent, "%s", s->name);
    return agent_state_open(&a->state, s->state_dir, &a->contents, &self, err);
}

/* What was said of `postgres.*` stops only an agent that has nothing in its care: a server
 * that runs under its lease would else be stopped by a wrong mode of a file. */
static int check_use(const struct agent *a, struct err *err)
{
    if (a->can_serve)
        return 0;
    if (a->contents.epochs.count == 0)
        return err_set(err, ERR_INVAL,
                       "no server is in this agent's care yet, so it does not start over "
                       "what is wrong with %s (above): correct that first",
                       a->settings->path);
    log_error(
        "this agent has servers in its care and goes on, but is not safe, or steps of "
        "theirs will fail: correct what is wrong with %s (above) and restart the "
        "agent",
        a->settings->path);
    return 0;
}

/* The order matters: what runs on is put on the board before the keeper renews anything,
 * and nobody is answered before the gate stands. */
static int start(struct agent *a, struct err *err)
{
    struct steps_parts steps = {.loop = &a->loop,
                                .settings = a->settings,
                                .dir = &a->state.dir,
                                .epochs = &a->contents.epochs};
    struct keeper_parts keeper = {
        .settings = a->settings, .state = &a->state, .contents = &a->contents};
    struct endpoints_parts endpoints = {.loop = &a->loop, .settings = a->settings};
    int status = read_identity(a, err);

    if (status == 0)
        status = check_use(a, err);
    if (status == 0)
        status = board_new(&a->board, err);
    steps.board = keeper.board = endpoints.board = a->board;
    keeper.tls = a->tls;
    if (status == 0)
        status = steps_open(&a->steps, &steps, err);
    endpoints.steps = a->steps;
    endpoints.tls = a->tls;
    if (status == 0)
        status = endpoints_open(&a->endpoints, &endpoints, err);
    /* Here, and not in the keeper's loop: what is read is read for both. */
    if (status == 0)
        status = tls_watch_open(&a->watch, &a->loop, a->tls, 0, err);
    if (status == 0)
        status = keeper_start(&a->keeper, &keeper, err);
    return status;
}

static void init_loop(struct agent *a)
{
    int status = uv_loop_init(&a->loop);

    ASSERT(status == 0); /* nothing is held yet */
    status = uv_signal_init(&a->loop, &a->term) | uv_signal_init(&a->loop, &a->interrupt) |
             uv_signal_init(&a->loop, &a->hangup) | uv_timer_init(&a->loop, &a->pulse);
    ASSERT(status == 0);
    a->term.data = a->interrupt.data = a->hangup.data = a->pulse.data = a;
    status = uv_signal_start(&a->term, on_signal, SIGTERM) |
             uv_signal_start(&a->interrupt, on_signal, SIGINT) |
             uv_signal_start(&a->hangup, on_hangup, SIGHUP) |
             uv_timer_start(&a->pulse, on_pulse, PULSE_MS, PULSE_MS);
    ASSERT(status == 0);
}

static void clean_up(struct agent *a)
{
    int status;

    end_all(a);
    (void)uv_run(&a->loop, UV_RUN_DEFAULT);
    keeper_stop(a->keeper);
    board_free(a->board);
    tls_free(a->tls);
    agent_state_close(&a->state);
    status = uv_loop_close(&a->loop);
    ASSERT(status == 0);
}

int agent_run(const struct agent_settings *settings, bool can_serve, struct err *err)
{
    struct agent a = {.settings = settings,
                      .can_serve = can_serve,
                      .state = {.dir = {.fd = -1}, .lock = -1}};
    int status;

    signal(SIGPIPE, SIG_IGN);
    init_loop(&a);
    status = start(&a, err);
    if (status == 0) {
        log_info("agent %s of cluster %s works (version %s)", settings->name,
                 settings->cluster, RF_VERSION);
        notify_systemd("READY=1");
        (void)uv_run(&a.loop, UV_RUN_DEFAULT);
        status = a.end.code;
        if (status != 0)
            *err = a.end;
    }
    clean_up(&a);
    return status;
}
