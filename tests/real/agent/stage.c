#include "tests/real/agent/stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/net/pki.h"
#include "fencing/agent/wire_text.h"
#include "tests/real/gate/lab.h"

static const char cluster[] = "demo", agent_name[] = "pg-east", group[] = "orders";

/* ---- frames ---------------------------------------------------------------------------
 */

void stage_send_bytes(struct stage *s, const void *data, size_t len)
{
    assert_non_null(s->stream);
    assert_int_equal(stream_send(s->stream, data, len, NULL), 0);
}

void stage_send(struct stage *s, const Rf__Frame *frame)
{
    AUTO(buf_free) struct buf bytes = {0};
    struct err err = {0};

    if (frame_encode(frame, &bytes, &err) != 0)
        fail_msg("%s", err.text);
    stage_send_bytes(s, bytes.data, bytes.len);
}

static void welcome(struct stage *s)
{
    Rf__ControllerWelcome w = RF__CONTROLLER_WELCOME__INIT;
    Rf__Frame f = RF__FRAME__INIT;

    w.cluster = wire_text(cluster);
    w.name = w.leader = wire_text("east");
    w.version = wire_text("test");
    w.term = 1;
    f.body_case = RF__FRAME__BODY_WELCOME;
    f.welcome = &w;
    stage_send(s, &f);
}

static void answer_renewal(struct stage *s, const Rf__Renew *renew)
{
    Rf__RenewAck ack = RF__RENEW_ACK__INIT;
    Rf__RenewVerdict verdict = RF__RENEW_VERDICT__INIT, *list[] = {&verdict};
    Rf__Frame f = RF__FRAME__INIT;

    verdict.group = renew->items[0]->group;
    verdict.instance = renew->items[0]->instance;
    verdict.epoch = renew->items[0]->epoch;
    verdict.kind = renew->items[0]->kind;
    verdict.granted = s->grant;
    verdict.open = s->open;
    verdict.ttl_ms = STAGE_TTL_MS;
    verdict.rho_ppm = 10000;
    verdict.refusal = wire_text(s->grant ? "" : "not-active");
    ack.seq = renew->seq;
    ack.sent_boot_ns = renew->sent_boot_ns;
    ack.incarnation = renew->incarnation;
    ack.n_items = 1;
    ack.items = list;
    f.body_case = RF__FRAME__BODY_RENEW_ACK;
    f.renew_ack = &ack;
    stage_send(s, &f);
}

static void keep(Rf__Frame **place, Rf__Frame *f, unsigned *count)
{
    if (*place != NULL)
        frame_free(place);
    *place = f;
    (*count)++;
}

static void take(struct stage *s, Rf__Frame *f)
{
    if (f->body_case == RF__FRAME__BODY_AGENT_HELLO) {
        keep(&s->hello, f, &s->hellos);
        assert_int_equal(frame_incarnation_get(f->agent_hello->incarnation, &s->life, NULL),
                         0);
        if (s->welcome)
            welcome(s);
    } else if (f->body_case == RF__FRAME__BODY_RENEW) {
        keep(&s->renew, f, &s->renews);
        answer_renewal(s, f->renew);
    } else if (f->body_case == RF__FRAME__BODY_AGENT_REPORT) {
        keep(&s->report, f, &s->reports);
    } else if (f->body_case == RF__FRAME__BODY_FENCE_PROOF) {
        keep(&s->proof, f, &s->proofs);
    } else if (f->body_case == RF__FRAME__BODY_STEP_REPORT) {
        keep(&s->result, f, &s->results);
    } else {
        frame_free(&f);
    }
}

static void on_frame(void *owner, const uint8_t *data, size_t len)
{
    Rf__Frame *f = NULL;
    struct err err = {0};

    if (frame_decode(data, len, &f, &err) != 0)
        fail_msg("the agent sent what is no frame: %s", err.text);
    assert_true(frame_allowed(f, FRAME_AGENT_TO_CONTROLLER));
    take(owner, f);
}

static void on_close(void *owner, const struct err *why)
{
    struct stage *s = owner;

    (void)why;
    s->stream = NULL;
    s->closes++;
}

static const struct stream_events events = {.on_frame = on_frame, .on_close = on_close};

static void on_accept(void *owner, struct stream *stream, const struct identity *peer)
{
    struct stage *s = owner;

    assert_string_equal(peer->name, agent_name);
    if (s->stream != NULL)
        stream_close(s->stream);
    s->stream = stream;
    stream_adopt(stream, &events, s);
}

static const struct listener_events listening = {.on_accept = on_accept};

/* ---- the loop -------------------------------------------------------------------------
 */

static void on_limit(uv_timer_t *timer) { ((struct stage *)timer->data)->timed_out = true; }

static void on_glance(uv_timer_t *timer) { (void)timer; }

void stage_until(struct stage *s, stage_condition *until, const char *what)
{
    uv_timer_t glance; /* for conditions that no event of the loop announces */

    s->timed_out = false;
    uv_timer_start(&s->limit, on_limit, STAGE_WAIT_MS, 0);
    uv_timer_init(&s->loop, &glance);
    uv_timer_start(&glance, on_glance, 20, 20);
    while (!until(s) && !s->timed_out)
        uv_run(&s->loop, UV_RUN_ONCE);
    uv_timer_stop(&s->limit);
    uv_close((uv_handle_t *)&glance, NULL);
    uv_run(&s->loop, UV_RUN_NOWAIT);
    if (s->timed_out)
        fail_msg("waited %d ms in vain for: %s (log: %s)", STAGE_WAIT_MS, what, s->log);
}

/* ---- agents ---------------------------------------------------------------------------
 */

static uint16_t free_port(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    close(fd);
    return ntohs(sa.sin_port);
}

static void write_config(const struct stage *s, const char *path, const char *state_dir)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fprintf(f,
            "cluster: %s\nname: %s\nregion: east\naddress: 127.0.0.1\n"
            "state_dir: %s\nsocket: %s/agent.sock\nhttp: 127.0.0.1:%u\n"
            "tls: {ca: %s/ca.crt, cert: %s/agent-%s.crt, key: %s/agent-%s.key}\n"
            "controllers:\n  - {name: east, address: \"127.0.0.1:%u\"}\n"
            "gate: {cgroup: \"%s\", run_dir: %s, courtesy: false, driver: %s}\n%s",
            cluster, agent_name, state_dir, s->dir, s->http, s->dir, s->dir, agent_name,
            s->dir, agent_name, listener_port(s->listener), lab_cgroup(NULL), s->dir,
            s->driver != NULL ? s->driver : "auto",
            s->more != NULL ? s->more : "guard: off\n");
    fclose(f);
}

/* `option`: one more, or NULL. */
static pid_t run_agent(const struct stage *s, const char *option)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

        dup2(fd, STDERR_FILENO);
        execl(AGENT_BINARY, "ringfence-agent", "--config", s->config, option, (char *)NULL);
        _exit(127);
    }
    return pid;
}

pid_t stage_agent(struct stage *s, const char *state_dir)
{
    char own[96];

    snprintf(own, sizeof own, "%s/state", s->dir);
    write_config(s, s->config, state_dir != NULL ? state_dir : own);
    return run_agent(s, NULL);
}

void stage_slow_systemctl(const struct stage *s)
{
    char command[512];

    snprintf(command, sizeof command,
             "printf '#!/bin/sh\\ntouch %s/asked\\nexec sleep 5\\n' > %s/systemctl && "
             "chmod 755 %s/systemctl && "
             "mount --bind %s/systemctl \"$(command -v systemctl)\"",
             s->dir, s->dir, s->dir, s->dir);
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(system(command), 0);
}

bool stage_asked_systemctl(const struct stage *s)
{
    char path[96];

    snprintf(path, sizeof path, "%s/asked", s->dir);
    return access(path, F_OK) == 0;
}

void stage_own_systemctl(void)
{
    assert_int_equal(system("umount \"$(command -v systemctl)\""), 0);
}

static pid_t awaited;
static int awaited_status;

static bool has_ended(const struct stage *s)
{
    (void)s;
    return waitpid(awaited, &awaited_status, WNOHANG) == awaited;
}

int stage_wait(struct stage *s, pid_t agent)
{
    awaited = agent;
    stage_until(s, has_ended, "the agent's end");
    return WIFEXITED(awaited_status) ? WEXITSTATUS(awaited_status)
                                     : 128 + WTERMSIG(awaited_status);
}

int stage_check(struct stage *s) { return stage_wait(s, run_agent(s, "--check")); }

int stage_close_gate(struct stage *s) { return stage_wait(s, run_agent(s, "--close")); }

void stage_kill(struct stage *s, pid_t agent, int signal)
{
    kill(agent, signal);
    (void)stage_wait(s, agent);
}

unsigned stage_log_count(const struct stage *s, const char *wanted)
{
    static char log[1 << 18];
    FILE *f = fopen(s->log, "r");
    size_t n = f != NULL ? fread(log, 1, sizeof log - 1, f) : 0;

    if (f != NULL)
        fclose(f);
    log[n] = 0;
    n = 0;
    for (const char *at = log; (at = strstr(at, wanted)) != NULL; at++)
        n++;
    return (unsigned)n;
}

bool stage_log_has(const struct stage *s, const char *wanted)
{
    return stage_log_count(s, wanted) > 0;
}

/* ---- what is said ---------------------------------------------------------------------
 */

void stage_assignment(const struct stage *s, struct stage_assignment *out, Rf__Role role,
                      uint64_t epoch)
{
    rf__assignment__init(&out->a);
    rf__server_spec__init(&out->server);
    if (s->data != NULL)
        snprintf(out->data, sizeof out->data, "%s", s->data);
    else
        snprintf(out->data, sizeof out->data, "%s/data", s->dir);
    out->server.provider = wire_text("postgres");
    out->server.group = wire_text(group);
    out->server.component = wire_text("db");
    out->server.instance = wire_text(agent_name);
    out->server.port = s->gated;
    out->server.data = out->data;
    out->server.start = wire_text("pg_ctl");
    out->server.address = wire_text("127.0.0.1");
    out->a.group = wire_text(group);
    out->a.index = 10 * epoch + 1;
    out->a.epoch = epoch;
    out->a.role = role;
    out->a.server = &out->server;
    out->a.sync_mode = wire_text("required");
    out->a.ttl_ms = STAGE_TTL_MS;
    out->a.renew_ms = STAGE_RENEW_MS;
    out->a.rho_ppm = 10000;
    out->a.shrink_after_ms = 2000;
    out->a.hung_after_ms = 10000;
    out->a.probe_ms = 1000;
    out->a.max_lag_bytes = 16 << 20;
    out->a.max_lag_ms = 10000;
    out->a.active = wire_text(agent_name);
}

void stage_assign(struct stage *s, const struct stage_assignment *a,
                  const struct incarnation *to)
{
    struct incarnation life = to != NULL ? *to : s->life;
    Rf__Incarnation wire;
    Rf__Assignments m = RF__ASSIGNMENTS__INIT;
    Rf__Assignment copy = a->a, *list[] = {&copy};
    Rf__Frame f = RF__FRAME__INIT;

    frame_incarnation_put(&life, &wire);
    m.incarnation = &wire;
    m.term = 1;
    m.n_instances = 1;
    m.instances = list;
    f.body_case = RF__FRAME__BODY_ASSIGNMENTS;
    f.assignments = &m;
    stage_send(s, &f);
}

void stage_order_fence(struct stage *s, uint64_t epoch, uint64_t index)
{
    Rf__FenceOrder m = RF__FENCE_ORDER__INIT;
    Rf__Incarnation wire;
    Rf__Frame f = RF__FRAME__INIT;

    frame_incarnation_put(&s->life, &wire);
    m.incarnation = &wire;
    m.group = wire_text(group);
    m.instance = wire_text(agent_name);
    m.epoch = epoch;
    m.fence_index = index;
    f.body_case = RF__FRAME__BODY_FENCE_ORDER;
    f.fence_order = &m;
    stage_send(s, &f);
}

const Rf__InstanceReport *stage_report(const struct stage *s)
{
    if (s->report == NULL || s->report->agent_report->n_instances == 0)
        return NULL;
    return s->report->agent_report->instances[0];
}

static unsigned ask(const struct sockaddr *sa, socklen_t len, const char *path,
                    char *answer, size_t size)
{
    struct timeval patience = {.tv_sec = 5};
    char request[200];
    int fd = socket(sa->sa_family, SOCK_STREAM, 0), n;
    unsigned status = 0;
    size_t used = 0;
    ssize_t got = 1;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    n = snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    if (connect(fd, sa, len) != 0 || write(fd, request, (size_t)n) != n)
        got = 0;
    while (got > 0 && used < size - 1) {
        got = read(fd, answer + used, size - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    answer[used] = '\0';
    if (strncmp(answer, "HTTP/1.1 ", 9) == 0)
        status = (unsigned)strtoul(answer + 9, NULL, 10);
    close(fd);
    return status;
}

unsigned stage_get(const struct stage *s, const char *path)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(s->http),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char answer[256];

    return ask((struct sockaddr *)&sa, sizeof sa, path, answer, sizeof answer);
}

unsigned stage_ask_socket(const struct stage *s, const char *path, char *answer,
                          size_t size)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    snprintf(sa.sun_path, sizeof sa.sun_path, "%s/agent.sock", s->dir);
    return ask((struct sockaddr *)&sa, sizeof sa, path, answer, size);
}

/* ---- life -----------------------------------------------------------------------------
 */

static void make_pki(struct stage *s)
{
    char ca[96], cert[96], key[96];
    struct tls_files files = {ca, cert, key, NULL};
    struct identity self;
    struct err err = {0};

    if (pki_init(s->dir, cluster, 90, &err) != 0 ||
        pki_issue(s->dir, IDENTITY_CONTROLLER, "east", 90, &err) != 0 ||
        pki_issue(s->dir, IDENTITY_AGENT, agent_name, 90, &err) != 0)
        fail_msg("%s", err.text);
    snprintf(ca, sizeof ca, "%s/ca.crt", s->dir);
    snprintf(cert, sizeof cert, "%s/controller-east.crt", s->dir);
    snprintf(key, sizeof key, "%s/controller-east.key", s->dir);
    assert_int_equal(identity_make(&self, IDENTITY_CONTROLLER, cluster, "east", NULL), 0);
    if (tls_new(&s->tls, &files, &self, &err) != 0)
        fail_msg("%s", err.text);
}

void stage_open(struct stage *s)
{
    struct address at = {.host = "127.0.0.1"};
    struct listener_spec spec = {.at = &at, .events = &listening, .owner = s};
    struct err err = {0};

    *s = (struct stage){.welcome = true, .grant = true};
    snprintf(s->dir, sizeof s->dir, "/tmp/rf-agent-real-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->config, sizeof s->config, "%s/agent.yaml", s->dir);
    snprintf(s->log, sizeof s->log, "%s/agent.log", s->dir);
    make_pki(s);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    uv_timer_init(&s->loop, &s->limit);
    s->limit.data = s;
    if (listener_open(&s->listener, &s->loop, s->tls, &spec, &err) != 0)
        fail_msg("%s", err.text);
    s->http = free_port();
    s->gated = free_port();
}

void stage_close(struct stage *s)
{
    const char *argv[] = {"rm", "-rf", s->dir, NULL};
    Rf__Frame **frames[] = {&s->hello, &s->renew, &s->report, &s->proof, &s->result};

    if (s->stream != NULL)
        stream_close(s->stream);
    listener_close(s->listener);
    uv_close((uv_handle_t *)&s->limit, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    tls_free(s->tls);
    for (unsigned i = 0; i < ARRAY_LEN(frames); i++)
        if (*frames[i] != NULL)
            frame_free(frames[i]);
    (void)lab_run(argv);
}
