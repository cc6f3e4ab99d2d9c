#include "fencing/agent/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/problem.h"
#include "controller/httpd/httpd.h"
#include "controller/net/tls.h"
#include "controller/net/tls_report.h"
#include "fencing/agent/agent_check.h"

enum {
    PEERS_MAX = 16,
    HOST_SIZE = 256,
    DISK_WRITES = 5,
    DISK_SLOW_US = 20000,   /* a sync stands before each new epoch and each proof */
    RATE_WANTED_PPM = 1000, /* chrony: maxslewrate 1000 */
};

struct doctors {
    struct endpoints_parts parts;
    struct doctor *active[DOCTOR_MAX];
};

struct peer_try {
    struct doctor *d;
    uv_tcp_t tcp;
    uv_connect_t connect;
    char name[AGENT_NAME_SIZE], at[96];
    struct mono since;
    bool out; /* its answer is waited for */
};

struct doctor {
    struct doctors *all;
    struct http_request *req; /* NULL: answered */
    json_t *findings;
    uv_timer_t limit;
    unsigned pending; /* callbacks that still come: handles, the disk, the provider */
    uv_work_t disk;
    bool disk_out;
    char disk_path[AGENT_PATH_SIZE + 24]; /* for its thread, which may outlive `all` */
    uint32_t disk_us;
    int disk_errno;
    unsigned checks_out;
    struct peer_try peers[PEERS_MAX];
    unsigned peer_count, peers_out;
};

PRINTF_LIKE(4, 5)
static void add(struct doctor *d, const char *check, const char *level, const char *fmt,
                ...)
{
    char line[TLS_VERDICT_SIZE];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    /* Without memory a finding is missing; the answer is still one. */
    (void)json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s}", "check", check,
                                                       "level", level, "text", line));
}

/* ---- the end --------------------------------------------------------------------------
 */

static void release(struct doctor *d)
{
    ASSERT(d->pending > 0);
    if (--d->pending > 0)
        return;
    json_decref(d->findings);
    free(d);
}

static void on_limit_closed(uv_handle_t *handle) { release(handle->data); }

static void answer(struct doctor *d)
{
    char *text, host[HOST_SIZE] = "?";
    json_t *all;

    if (d->req == NULL)
        return;
    (void)gethostname(host, sizeof host - 1);
    all = json_pack("{s:s, s:s, s:s, s:O}", "program", "ringfence-agent", "name",
                    d->all->parts.settings->name, "host", host, "findings", d->findings);
    text = json_dumps(all, JSON_COMPACT);
    if (text != NULL)
        http_reply(d->req, 200, "application/json", text, strlen(text));
    else
        http_reply(d->req, 503, "text/plain", "no memory\n", 10);
    free(text);
    json_decref(all);
    d->req = NULL;
    for (unsigned i = 0; i < DOCTOR_MAX; i++)
        if (d->all->active[i] == d)
            d->all->active[i] = NULL;
    steps_forget_checks(d->all->parts.steps, d);
    while (d->checks_out > 0) {
        d->checks_out--;
        release(d);
    }
    uv_close((uv_handle_t *)&d->limit, on_limit_closed);
}

static void answer_if_complete(struct doctor *d)
{
    if (d->req != NULL && !d->disk_out && d->checks_out == 0 && d->peers_out == 0)
        answer(d);
}

/* ---- peers ----------------------------------------------------------------------------
 */

static void on_peer_closed(uv_handle_t *handle)
{
    struct peer_try *p = CONTAINER_OF((uv_tcp_t *)(void *)handle, struct peer_try, tcp);

    release(p->d);
}

/* The one place that closes a try: libuv aborts the program over a second uv_close(). */
static void end_peer(struct peer_try *p)
{
    ASSERT(p->out);
    p->out = false;
    p->d->peers_out--;
    uv_close((uv_handle_t *)&p->tcp, on_peer_closed);
}

static void say_unreached(struct doctor *d, const struct peer_try *p, int status)
{
    add(d, "peer-port", "warn",
        "%s does not answer at %s (%s): fine while its server is down or its gate is "
        "closed; else look at routes and firewalls",
        p->name, p->at, uv_strerror(status));
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct peer_try *p = CONTAINER_OF(connect, struct peer_try, connect);
    struct doctor *d = p->d;

    if (!p->out)
        return; /* given up at the limit: closing the handle ends the request, too */
    if (d->req != NULL && status == 0)
        add(d, "peer-port", "ok", "%s answers at %s after %" PRIu64 " us", p->name, p->at,
            mono_since_ns(p->since, mono_now()) / 1000);
    else if (d->req != NULL)
        say_unreached(d, p, status);
    end_peer(p);
    answer_if_complete(d);
}

static void try_peer(struct doctor *d, const Rf__PeerInstance *peer)
{
    struct address at = {.port = (uint16_t)peer->port};
    struct sockaddr_storage sa;
    struct peer_try *p;
    struct err err = {0};
    int status;

    if (d->peer_count == PEERS_MAX || peer->address[0] == 0)
        return;
    snprintf(at.host, sizeof at.host, "%s", peer->address);
    if (address_numeric(&sa, &at, &err) != 0)
        return;
    p = &d->peers[d->peer_count];
    p->d = d;
    snprintf(p->name, sizeof p->name, "%s", peer->instance);
    snprintf(p->at, sizeof p->at, "%.60s:%u", peer->address, peer->port);
    p->since = mono_now();
    if (uv_tcp_init(d->all->parts.loop, &p->tcp) != 0)
        return;
    d->peer_count++; /* its place is taken until the handle is closed, tried or not */
    d->pending++;
    d->peers_out++;
    p->out = true;
    status =
        uv_tcp_connect(&p->connect, &p->tcp, (const struct sockaddr *)&sa, on_connected);
    if (status == 0)
        return;
    say_unreached(d, p, status);
    end_peer(p);
}

/* ---- the disk -------------------------------------------------------------------------
 */

static void measure_disk(uv_work_t *work)
{
    struct doctor *d = work->data;
    int fd = open(d->disk_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        d->disk_errno = errno;
        return;
    }
    for (int i = 0; i < DISK_WRITES && d->disk_errno == 0; i++) {
        struct mono before = mono_now();
        uint64_t us;

        if (pwrite(fd, "ringfence", 9, (off_t)4096 * i) != 9 || fsync(fd) != 0)
            d->disk_errno = errno != 0 ? errno : ENOSPC;
        us = mono_since_ns(before, mono_now()) / 1000;
        if (us > d->disk_us)
            d->disk_us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    }
    close(fd);
    unlink(d->disk_path);
}

static void on_disk(uv_work_t *work, int status)
{
    struct doctor *d = work->data;

    (void)status;
    d->disk_out = false;
    if (d->req != NULL && d->disk_errno != 0)
        add(d, "state-disk", "fail",
            "state_dir cannot be synced: %s: no epoch can be taken up",
            strerror(d->disk_errno));
    else if (d->req != NULL)
        add(d, "state-disk", d->disk_us > DISK_SLOW_US ? "warn" : "ok",
            "the slowest of %d syncs of state_dir took %" PRIu32
            " us (wanted: under %d); a "
            "sync stands before each new epoch and each fence proof",
            DISK_WRITES, d->disk_us, DISK_SLOW_US);
    answer_if_complete(d);
    release(d);
}

static void ask_disk(struct doctor *d)
{
    d->disk.data = d;
    snprintf(d->disk_path, sizeof d->disk_path, "%s/doctor.tmp",
             d->all->parts.settings->state_dir);
    if (uv_queue_work(d->all->parts.loop, &d->disk, measure_disk, on_disk) != 0)
        return;
    d->disk_out = true;
    d->pending++;
}

/* ---- what is known --------------------------------------------------------------------
 */

static void look_at_clock(struct doctor *d, const struct board_health *h)
{
    int64_t rate = h->clock_rate_ppm < 0 ? -h->clock_rate_ppm : h->clock_rate_ppm;

    if (!h->clock_same)
        add(d, "gate-clock", "fail", "no lease is taken: %s", h->clock_problem);
    else
        add(d, "gate-clock", "ok", "the gate reads the same boot clock as this process");
    add(d, "clock-rate", rate > RATE_WANTED_PPM ? "warn" : "ok",
        "the clock is steered by %" PRId64
        " ppm (no lease beyond half of rho; set chrony's "
        "`maxslewrate %d` so that it never comes near)",
        h->clock_rate_ppm, RATE_WANTED_PPM);
}

static void look_at_gate(struct doctor *d, const struct board_health *h)
{
    const struct gate_capabilities *c = &h->capabilities;

    add(d, "gate", c->driver == GATE_BPF ? "ok" : "warn", "%s", h->gate);
    if (!c->frozen_proof || !c->survives_flush || !c->absolute_deadline)
        add(d, "gate-driver", "warn",
            "this driver is the fallback: %s%s%ssee \"The gate's drivers\" in "
            "docs/architecture.md",
            c->absolute_deadline ? "" : "its deadline is relative; ",
            c->frozen_proof ? "" : "the kernel does not freeze a proof; ",
            c->survives_flush ? "" : "`nft flush ruleset` removes it; ");
    if (!c->destroys_sockets)
        add(d, "gate-sockets", "warn",
            "old connections cannot be destroyed (CONFIG_INET_DIAG_DESTROY): a new epoch "
            "opens only when none is left");
    add(d, "courtesy-resets", c->courtesy ? "ok" : "warn",
        c->courtesy ? "clients of a closed port are told at once"
                    : "clients of a closed port wait for their own time-outs");
}

static void look_at_watchdog(struct doctor *d, const struct guard_health *g)
{
    switch (g->dog) {
    case GUARD_DOG_NONE:
        break;
    case GUARD_DOG_READY:
        add(d, "watchdog", "ok", "%s is armed together with the first lease", g->watchdog);
        break;
    case GUARD_DOG_ARMED:
        add(d, "watchdog", "ok",
            "%s is armed: the host is reset %" PRIu64 " s after the "
            "guard's last word",
            g->watchdog, g->dog_timeout_s);
        break;
    case GUARD_DOG_FAILED:
        add(d, "watchdog", "fail",
            "%s cannot be used: %s: is its driver loaded (modprobe "
            "softdog), and does nobody else hold it?",
            g->watchdog, strerror((int)g->dog_errno));
        break;
    case GUARD_DOG_TOO_SLOW:
        add(d, "watchdog", "fail",
            "%s is not used: the shortest lease here is shorter than "
            "twice what it can be set to",
            g->watchdog);
        break;
    }
}

static void look_at_guard(struct doctor *d, const struct guard_health *g)
{
    bool weak = (g->abilities & (GUARD_CAN_LOCK | GUARD_CAN_REALTIME)) !=
                (GUARD_CAN_LOCK | GUARD_CAN_REALTIME);

    if (!g->wanted) {
        add(d, "guard", "warn",
            "there is none (guard: off): a gate that somebody removes "
            "while the agent is dead or frozen leaves the server open");
        return;
    }
    if (!g->there)
        add(d, "guard", "fail", "it does not run%s%s; the gate alone enforces the leases",
            g->problem[0] != 0 ? ": " : "", g->problem);
    else if (g->problem[0] != 0 || weak)
        add(d, "guard", "warn", "it runs (pid %d)%s%s%s", g->pid,
            weak ? ", without locked memory or real-time priority" : "",
            g->problem[0] != 0 ? ", but: " : "", g->problem);
    else
        add(d, "guard", "ok",
            "it runs (pid %d), with locked memory and real-time priority; "
            "%" PRIu64 " servers stopped so far",
            g->pid, g->stops);
    look_at_watchdog(d, g);
}

static void look_at_keeper(struct doctor *d, const struct board_health *h)
{
    if (h->state_problem[0] != 0)
        add(d, "state-file", "fail", "%s", h->state_problem);
    add(d, "keeper-loop", h->late_turns > 0 ? "warn" : "ok",
        "the keeper's turns came at most %" PRIu64 " us late, %" PRIu64
        " of them by more than 50 ms",
        h->loop_lag_max_us, h->late_turns);
    for (uint8_t i = 0; i < h->controller_count; i++) {
        const struct board_controller *c = &h->controllers[i];

        if (c->welcomed)
            add(d, "controller", "ok", "%s%s answers, round trip %" PRIu32 " us", c->name,
                c->leader ? " (leads)" : "", c->rtt_us);
        else
            add(d, "controller", "fail", "%s is not reached: %s", c->name,
                c->problem[0] != 0 ? c->problem : "not connected yet");
    }
    if (!h->enrolled)
        add(d, "enrolled", "warn",
            "no group has been assigned to this agent yet: `ringfence apply -f` one that "
            "names it");
}

static void look_at_certificates(struct doctor *d)
{
    struct tls_told told[TLS_TELL_MAX];
    struct tls_report r;
    unsigned n;

    tls_report(d->all->parts.tls, &r);
    n = tls_report_tell(&r, (int64_t)(wall_now_ms() / 1000), told);
    for (unsigned i = 0; i < n; i++)
        add(d, told[i].check, tls_level_name(told[i].level), "%s", told[i].text);
}

static void on_misfit(void *owner, bool is_error, const char *key, const char *text)
{
    add(owner, "configuration", is_error ? "fail" : "warn", "%s: %s", key, text);
}

/* As it is now: what was wrong at the start may have been mended, and the reverse. */
static void look_at_configuration(struct doctor *d)
{
    struct findings f = {.say = on_misfit, .owner = d};

    agent_check_trust(d->all->parts.settings, &f);
    agent_check_server(d->all->parts.settings, true, &f);
    if (f.errors == 0)
        add(d, "configuration", "ok",
            "PostgreSQL's programs, user, passfile and places are as %s says, and only "
            "root "
            "can write that",
            d->all->parts.settings->path);
}

/* ---- groups ---------------------------------------------------------------------------
 */

static void on_checks(void *owner, const Rf__ProviderReply *reply, const struct err *why)
{
    struct doctor *d = owner;

    d->checks_out--;
    if (reply == NULL)
        add(d, "provider", "fail", "the provider did not answer: %s", why->text);
    for (size_t i = 0; reply != NULL && i < reply->n_findings; i++)
        add(d, reply->findings[i]->check, reply->findings[i]->level, "%s",
            reply->findings[i]->text);
    answer_if_complete(d);
    release(d);
}

static void look_at_group(struct doctor *d, uint8_t slot)
{
    const struct endpoints_parts *p = &d->all->parts;
    struct steps_view s;
    struct keeper_view v;

    if (!steps_view(p->steps, (uint8_t)slot, &s) || !s.assigned)
        return;
    board_view(p->board, (uint8_t)slot, &v);
    if (v.problem[0] != 0)
        add(d, "gate-port", "fail", "group %s: %s", s.group, v.problem);
    else if (v.managed)
        add(d, "gate-port", v.tried ? "ok" : "warn", "group %s: the port is gated%s",
            s.group,
            v.tried ? ", and real connections have shown that it works"
                    : ", not tried yet");
    else
        add(d, "gate-port", "warn", "group %s: the port is not gated%s", s.group,
            s.role == RF__ROLE__ROLE_DETACHED ? " (detached)" : " yet");
    if (s.problem[0] != 0)
        add(d, "server", "fail", "group %s: %s", s.group, s.problem);
    else if (s.seen != NULL && s.seen->error[0] != 0)
        add(d, "server", "warn", "group %s: %s", s.group, s.seen->error);
    for (size_t i = 0; i < s.assignment->n_peers; i++)
        try_peer(d, s.assignment->peers[i]);
    if (steps_ask_checks(p->steps, slot, on_checks, d)) {
        d->pending++;
        d->checks_out++;
    }
}

static void on_limit(uv_timer_t *limit)
{
    struct doctor *d = limit->data;

    if (d->disk_out)
        add(d, "state-disk", "fail", "syncing state_dir takes longer than %d ms",
            DOCTOR_MS);
    if (d->checks_out > 0)
        add(d, "provider", "fail", "the provider has not answered for %d ms", DOCTOR_MS);
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (d->peers[i].out)
            add(d, "peer-port", "warn",
                "%s is silent at %s: fine while its gate is closed; else look at routes "
                "and "
                "firewalls",
                d->peers[i].name, d->peers[i].at);
    answer(d);
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (d->peers[i].out)
            end_peer(&d->peers[i]);
}

/* ---- life -----------------------------------------------------------------------------
 */

int doctors_new(struct doctors **ret, const struct endpoints_parts *parts, struct err *err)
{
    struct doctors *d = calloc(1, sizeof *d);

    if (d == NULL)
        return err_set(err, ERR_NOMEM, "doctor");
    d->parts = *parts;
    *ret = d;
    return 0;
}

static void busy(struct http_request *req)
{
    char text[PROBLEM_SIZE];

    http_reply(req, 503, PROBLEM_TYPE, text,
               problem_write(text, 503, "busy", "ask again later"));
}

static struct doctor *new_doctor(struct doctors *all)
{
    struct doctor *d = calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    d->findings = json_array();
    if (d->findings == NULL) {
        free(d);
        return NULL;
    }
    d->all = all;
    d->pending = 1; /* the timer */
    return d;
}

void doctor_ask(struct doctors *all, struct http_request *req)
{
    struct board_health h;
    struct doctor *d;
    unsigned place = 0;

    while (place < DOCTOR_MAX && all->active[place] != NULL)
        place++;
    d = place < DOCTOR_MAX ? new_doctor(all) : NULL;
    if (d == NULL) {
        busy(req);
        return;
    }
    all->active[place] = d;
    d->req = req;
    (void)uv_timer_init(all->parts.loop, &d->limit);
    d->limit.data = d;
    (void)uv_timer_start(&d->limit, on_limit, DOCTOR_MS, 0);
    board_health(all->parts.board, &h);
    look_at_gate(d, &h);
    look_at_guard(d, &h.guard);
    look_at_clock(d, &h);
    look_at_keeper(d, &h);
    look_at_certificates(d);
    look_at_configuration(d);
    ask_disk(d);
    for (unsigned slot = 0; slot < AGENT_GROUPS_MAX; slot++)
        look_at_group(d, (uint8_t)slot);
    answer_if_complete(d);
}

void doctors_close(struct doctors *all)
{
    if (all == NULL)
        return;
    for (unsigned i = 0; i < DOCTOR_MAX; i++)
        if (all->active[i] != NULL)
            on_limit(&all->active[i]->limit);
    free(all);
}
