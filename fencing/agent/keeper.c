#include "fencing/agent/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/punctual.h"
#include "controller/base/text.h"
#include "fencing/agent/keeper_private.h"

/* ---- the loop -------------------------------------------------------------------------
 */

static void check_clock(struct keeper *k)
{
    struct err err = {0};
    int32_t rate = 0;
    bool same = gate_clock_check(k->gate, &err) == 0;
    bool was_fine = k->health.clock_problem[0] == 0;

    if (same && gate_clock_rate_ppm(&rate, &err) != 0)
        same = false; /* a rate that cannot be read may be anything (I4) */
    keeper_clock(&k->core, same, rate);
    k->health.clock_same = same;
    k->health.clock_rate_ppm = rate;
    text_set(k->health.clock_problem, sizeof k->health.clock_problem, "%s",
             same ? "" : err.text);
    if (!same && was_fine)
        log_error("no lease is taken: %s", err.text);
}

/* With each renewal, before it is asked for: a gate that is missing, or somebody else's,
 * holds nobody back, and a lease behind it would be none (I3). */
static void check_gate(struct keeper *k)
{
    struct err err = {0};
    bool lost = gate_check(k->gate, &err) != 0;

    if (lost)
        keeper_gate_lost(&k->core, err.text);
    if (lost && strcmp(k->gate_trouble, err.text) != 0)
        log_error("the gate was not as we had left it, every lease is given up: %s",
                  err.text);
    else if (!lost && k->gate_trouble[0] != 0)
        log_info("the gate is as we left it again");
    text_set(k->gate_trouble, sizeof k->gate_trouble, "%s", lost ? err.text : "");
}

static void measure_lag(struct keeper *k)
{
    struct boot now = boot_now();
    uint64_t lag = k->tick_expected.ns != 0 && now.ns > k->tick_expected.ns
                       ? (now.ns - k->tick_expected.ns) / 1000
                       : 0;

    k->tick_expected.ns = now.ns + (uint64_t)k->tick_ms * NS_PER_MS;
    k->health.loop_lag_us = lag;
    if (lag > k->health.loop_lag_max_us)
        k->health.loop_lag_max_us = lag;
    k->health.late_turns += lag > (uint64_t)KEEPER_LATE_MS * 1000;
}

/* What the steps have put on the board since the last time. True: something. */
static bool take_mail(struct keeper *k, uint8_t slot)
{
    AUTO(buf_free) struct buf result = {0};
    struct kept_report *kept = &k->reports[slot];
    struct keeper_server server;
    bool news = board_take_server(k->parts.board, slot, &server);
    struct buf report = {0};

    if (news)
        keeper_server(&k->core, slot, &server);
    if (board_take(k->parts.board, BOARD_REPORT, slot, &report)) {
        buf_free(&kept->packed);
        kept->packed = report;
        kept->taken = boot_now();
        news = true;
    }
    if (board_take(k->parts.board, BOARD_RESULT, slot, &result)) {
        keeper_say_result(k, &result);
        news = true;
    }
    return news;
}

/* Where news have just told everything, the tick has nothing to add: a controller then
 * hears of us after one and a half periods at the latest, and takes four for silence. */
static bool has_just_told_all(const struct keeper *k)
{
    return boot_now().ns - k->told_all.ns < (uint64_t)k->tick_ms * NS_PER_MS / 2;
}

static void on_tick(uv_timer_t *tick)
{
    struct keeper *k = tick->data;
    struct err warning = {0};
    bool news = false;

    measure_lag(k);
    check_clock(k);
    check_gate(k);
    if (gate_warning(k->gate, &warning) != 0)
        log_warn("courtesy resets: %s", warning.text);
    for (uint8_t i = 0; i < k->core.want.count; i++)
        news = take_mail(k, i) || news; /* for which nobody was woken */
    keeper_guard_tick(k);
    keeper_tick(&k->core);
    keeper_pump(k);
    if (news || !has_just_told_all(k))
        keeper_say_report(k, KEEPER_ALL);
    keeper_links_tick(k);
}

static void close_all(struct keeper *k)
{
    keeper_links_close(k);
    keeper_guard_close(k);
    board_set_bell(k->parts.board, BOARD_KEEPER, NULL);
    syncer_close(TAKE(k->syncer));
    bell_close(TAKE(k->bell));
    uv_close((uv_handle_t *)&k->tick, NULL);
    uv_close((uv_handle_t *)&k->news_timer, NULL);
}

static void on_news(uv_timer_t *timer)
{
    struct keeper *k = timer->data;

    if (k->news != 0)
        keeper_say_report(k, k->news);
}

static void say_news(struct keeper *k, uint64_t slots)
{
    uint64_t since_ms = (boot_now().ns - k->reported.ns) / NS_PER_MS;

    k->news |= slots;
    if (since_ms >= KEEPER_NEWS_MS)
        on_news(&k->news_timer);
    else if (k->news != 0 && !uv_is_active((uv_handle_t *)&k->news_timer))
        (void)uv_timer_start(&k->news_timer, on_news, KEEPER_NEWS_MS - since_ms, 0);
}

static void on_bell(void *owner)
{
    struct keeper *k = owner;
    uint64_t news = 0;

    if (__atomic_load_n(&k->stopping, __ATOMIC_ACQUIRE)) {
        close_all(k);
        return;
    }
    for (uint8_t i = 0; i < k->core.want.count; i++)
        news |= (uint64_t)take_mail(k, i) << i;
    if (news != 0 || k->more)
        keeper_pump_bell(k);
    say_news(k, news);
}

/* ---- from the state file and the gate to a core ----------------------------------------
 */

/* The gate belongs to a life whose state is lost, or names a port that no group has: what
 * it allows was granted to nobody that we can speak for, so it is closed (I12). */
static int close_port(struct keeper *k, const struct keeper_found *found, struct err *err)
{
    keeper_gate_stray(&k->core, found);
    if (found->gate.mode == GATE_CLOSED)
        return 0;
    log_warn("port %u was open for a life of this agent that is over: closed", found->port);
    return gate_close(k->gate, found->port, found->gate.epoch, err);
}

static int read_port(struct keeper *k, uint16_t port, struct keeper_found *ret,
                     struct err *err)
{
    uint16_t also[GATE_ALSO_MAX];
    size_t n = gate_also(k->gate, port, also, GATE_ALSO_MAX);

    _Static_assert((int)GATE_ALSO_MAX <= (int)AGENT_ALSO_MAX,
                   "the record holds what the gate holds");
    *ret =
        (struct keeper_found){.port = port, .guests = gate_guest_count(k->gate, port) > 0};
    for (size_t i = 0; i < n && i < GATE_ALSO_MAX; i++)
        (void)also_ports_add(&ret->also, also[i]);
    return gate_read(k->gate, port, &ret->gate, err);
}

static int read_gate(struct keeper *k, bool kept, struct err *err)
{
    uint16_t ports[GATE_PORTS_MAX];
    size_t n = gate_ports(k->gate, ports, GATE_PORTS_MAX);

    for (size_t i = 0; i < n && i < GATE_PORTS_MAX; i++) {
        struct keeper_found found;
        int status = read_port(k, ports[i], &found, err);

        if (status == 0 && (!kept || !keeper_gate_found(&k->core, &found)))
            status = close_port(k, &found, err);
        if (status != 0)
            return err_wrap(err, "gate of port %u", ports[i]);
    }
    return 0;
}

static int open_gate(struct keeper *k, struct err *err)
{
    const struct agent_settings *s = k->parts.settings;
    struct gate_config config = {.driver = s->driver,
                                 .cgroup = s->cgroup,
                                 .run_dir = s->run_dir[0] != 0 ? s->run_dir : NULL,
                                 .agent = s->name,
                                 .courtesy = s->courtesy};
    int status = gate_open(&k->gate, &config, err);

    if (status != 0)
        return err_wrap(err, "gate");
    k->health.capabilities = gate_capabilities(k->gate);
    gate_describe(k->gate, k->health.gate, sizeof k->health.gate);
    return 0;
}

static int begin_life(struct keeper *k, struct err *err)
{
    uint8_t boot[AGENT_ID_SIZE], gate[GATE_ID_SIZE];
    bool kept = false;
    int status = agent_boot_id(boot, err);

    if (status != 0)
        return status;
    gate_id(k->gate, gate);
    status =
        agent_state_begin(&k->contents, boot, gate, gate_was_adopted(k->gate), &kept, err);
    if (status != 0)
        return status;
    keeper_core_init(&k->core, &k->contents.incarnation, &k->contents.epochs);
    /* A successor is the same life: what it says must count as newer than all that its
     * predecessor said, or leaders would take it for an echo. */
    k->report_seq = boot_now().ns / 1000;
    keeper_count_from(&k->core, k->report_seq);
    status = read_gate(k, kept, err);
    if (status != 0)
        return status;
    log_info("%s; %s", k->health.gate,
             kept ? "adopted, the incarnation goes on" : "a new incarnation begins");
    /* The incarnation is on disk before anybody hears of it. What a start has found there
     * may be less: a write that was renamed, and then failed or was killed before it was
     * synced, can be read until the power fails. */
    if (!kept)
        return agent_state_write(k->parts.state, &k->contents, err);
    keeper_doubt_disk(&k->core);
    return 0;
}

static int prepare(struct keeper *k, struct err *err)
{
    struct syncer_parts syncer = {
        .loop = &k->loop, .state = k->parts.state, .on_done = keeper_on_synced, .owner = k};
    int status = bell_open(&k->bell, &k->loop, on_bell, k, err);

    if (status == 0)
        status = syncer_open(&k->syncer, &syncer, err);
    if (status == 0)
        status = open_gate(k, err);
    if (status == 0)
        status = begin_life(k, err);
    if (status != 0)
        return status;
    keeper_guard_open(k);
    k->tick_ms = KEEPER_TICK_DEFAULT_MS;
    check_clock(k);
    for (uint8_t i = 0; i < k->core.want.count; i++)
        (void)take_mail(k, i); /* what the steps know of servers that went on running */
    do /* what is to be closed is closed before anybody is heard, however long it takes */
        keeper_pump(k);
    while (k->more && !keeper_has_trial(&k->core, boot_now()));
    status = keeper_links_open(k, err);
    if (status != 0)
        return status;
    board_set_bell(k->parts.board, BOARD_KEEPER, k->bell);
    status = uv_timer_start(&k->tick, on_tick, k->tick_ms, k->tick_ms);
    return status == 0 ? 0 : err_uv(err, status, "timer of the lease keeper");
}

static void drain(struct keeper *k)
{
    close_all(k);
    __atomic_store_n(&k->stopping, true, __ATOMIC_RELEASE);
    (void)uv_run(&k->loop, UV_RUN_DEFAULT);
}

static void keeper_main(void *arg)
{
    struct keeper *k = arg;

    punctual_begin("the lease keeper", false); /* not libuv's pool, nor children */
    k->start_status = prepare(k, &k->start_err);
    uv_sem_post(&k->started);
    if (k->start_status != 0)
        drain(k);
    else
        (void)uv_run(&k->loop, UV_RUN_DEFAULT);
    gate_free(k->gate);
}

/* ---- life -----------------------------------------------------------------------------
 */

static void free_keeper(struct keeper *k)
{
    int status = uv_loop_close(&k->loop);

    ASSERT(status == 0);
    uv_sem_destroy(&k->started);
    for (int i = 0; i < AGENT_GROUPS_MAX; i++) {
        buf_free(&k->assigned[i]);
        buf_free(&k->reports[i].packed);
    }
    free(k);
}

static int init_loop(struct keeper *k, struct err *err)
{
    int status = uv_loop_init(&k->loop);

    if (status != 0)
        return err_uv(err, status, "keeper's loop");
    status = uv_timer_init(&k->loop, &k->tick);
    ASSERT(status == 0);
    status = uv_timer_init(&k->loop, &k->news_timer);
    ASSERT(status == 0);
    k->tick.data = k->news_timer.data = k;
    return 0;
}

int keeper_start(struct keeper **ret_keeper, const struct keeper_parts *parts,
                 struct err *err)
{
    struct keeper *k = calloc(1, sizeof *k);
    int status;

    if (k == NULL)
        return err_set(err, ERR_NOMEM, "keeper");
    k->parts = *parts;
    k->contents = *parts->contents;
    status = init_loop(k, err);
    if (status != 0) {
        free(k);
        return status;
    }
    status = uv_sem_init(&k->started, 0);
    ASSERT(status == 0);
    status = uv_thread_create(&k->thread, keeper_main, k);
    ASSERT(status == 0); /* no thread at the start: nothing is held that could be lost */
    uv_sem_wait(&k->started);
    if (k->start_status != 0) {
        *err = k->start_err;
        status = k->start_status;
        uv_thread_join(&k->thread);
        free_keeper(k);
        return status;
    }
    *ret_keeper = k;
    return 0;
}

void keeper_stop(struct keeper *k)
{
    if (k == NULL)
        return;
    __atomic_store_n(&k->stopping, true, __ATOMIC_RELEASE);
    board_ring(k->parts.board, BOARD_KEEPER);
    uv_thread_join(&k->thread);
    free_keeper(k);
}
