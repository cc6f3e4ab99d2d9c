#include "tests/real/daemon/cluster.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "controller/net/pki.h"

const char *const node_names[NODES] = {"east", "west", "witness"};

/* ---- processes ----------------------------------------------------------------------- */

/* The kernel chooses; and as long as *ret_held is open it gives the port to nobody else on
 * this machine, neither to a listener nor to a connection, but one who listens on it by
 * name with SO_REUSEADDR, as the daemon does. */
static uint16_t free_port(int *ret_held)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    *ret_held = fd;
    return ntohs(sa.sin_port);
}

void cluster_config(const struct cluster *c, int node, char path[CLUSTER_PATH])
{
    snprintf(path, CLUSTER_PATH, "%.120s/%s.yaml", c->dir, node_names[node]);
}

void cluster_write_config(struct cluster *c, int node, const char *path, const char *extra)
{
    FILE *f = fopen(path, "w");
    const char *n = node_names[node];

    assert_non_null(f);
    fprintf(f, "cluster: lab\nname: %s\ndata_dir: %s/%s\nlisten: 127.0.0.1:%u\n", n, c->dir,
            n, c->ports[node]);
    fprintf(f, "socket: %s/%s.sock\nmetrics: 127.0.0.1:%u\n", c->dir, n, c->metrics[node]);
    fprintf(f, "tls: {ca: %s/pki/ca.crt, cert: %s/pki/controller-%s.crt, ", c->dir, c->dir,
            n);
    fprintf(f, "key: %s/pki/controller-%s.key, crl: %s/pki/crl.pem}\n", c->dir, n, c->dir);
    /* Many that come from one address are nothing unusual here. */
    fprintf(f,
            "api: {listen: 127.0.0.1:%u, connections: 6000, connections_per_address: 60, "
            "connections_per_second: 2000, requests_per_second: 500, handshake: 30s, "
            "request: 3s}\n",
            c->apis[node]);
    fprintf(f, "raft: {election: 300ms, heartbeat: 50ms}\ncontrollers:\n");
    for (int i = 0; i < NODES; i++)
        fprintf(f, "  - {id: %u, name: %s, region: %s, address: \"127.0.0.1:%u\"}\n",
                i == node && c->ids[i] != 0 ? c->ids[i] : (unsigned)i + 1, node_names[i],
                node_names[i], c->ports[i]);
    if (extra != NULL)
        fputs(extra, f);
    fclose(f);
}

void cluster_open(struct cluster *c)
{
    struct err err;
    char path[CLUSTER_PATH];

    memset(c, 0, sizeof *c);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&c->loop), 0);
    snprintf(c->dir, sizeof c->dir, "/tmp/rf-daemon-XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    snprintf(path, sizeof path, "%.120s/pki", c->dir);
    assert_int_equal(pki_init(path, "lab", 90, &err), 0);
    for (int i = 0; i < NODES; i++) {
        assert_int_equal(pki_issue(path, IDENTITY_CONTROLLER, node_names[i], 90, &err), 0);
        c->ports[i] = free_port(&c->held[3 * i]);
        c->metrics[i] = free_port(&c->held[3 * i + 1]);
        c->apis[i] = free_port(&c->held[3 * i + 2]);
    }
    for (int i = 0; i < NODES; i++) {
        cluster_config(c, i, path);
        cluster_write_config(c, i, path, NULL);
    }
}

void cluster_issue_agent(struct cluster *c, const char *name)
{
    struct err err;
    char path[CLUSTER_PATH];

    snprintf(path, sizeof path, "%.120s/pki", c->dir);
    assert_int_equal(pki_issue(path, IDENTITY_AGENT, name, 90, &err), 0);
}

static int spawn(const char *const *arguments, const char *log)
{
    const char *argv[16] = {RINGFENCED};
    int pid;

    for (int i = 0; arguments[i] != NULL; i++)
        argv[i + 1] = arguments[i];
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody behind */
        dup2(fd, 1);
        dup2(fd, 2);
        execv(RINGFENCED, (char *const *)argv);
        _exit(127);
    }
    return pid;
}

static void start(struct cluster *c, int node, const char *mode)
{
    char config[CLUSTER_PATH], log[CLUSTER_PATH];
    const char *arguments[] = {"--config", config, mode, NULL};

    cluster_config(c, node, config);
    snprintf(log, sizeof log, "%.120s/%s.log", c->dir, node_names[node]);
    c->pids[node] = spawn(arguments, log);
}

void cluster_start(struct cluster *c, int node, bool bootstrap)
{
    start(c, node, bootstrap ? "--bootstrap" : NULL);
}

void cluster_join(struct cluster *c, int node, unsigned id)
{
    char config[CLUSTER_PATH];

    c->ids[node] = id;
    cluster_config(c, node, config);
    cluster_write_config(c, node, config, NULL);
    start(c, node, "--join");
}

void cluster_start_all(struct cluster *c)
{
    for (int i = 0; i < NODES; i++)
        cluster_start(c, i, true);
}

void cluster_kill(struct cluster *c, int node)
{
    if (c->pids[node] == 0)
        return;
    kill(c->pids[node], SIGKILL);
    waitpid(c->pids[node], NULL, 0);
    c->pids[node] = 0;
}

struct waited {
    int pid, status;
};

static bool has_ended(void *owner)
{
    struct waited *w = owner;

    return waitpid(w->pid, &w->status, WNOHANG) == w->pid;
}

int cluster_stop(struct cluster *c, int node)
{
    struct waited w = {.pid = c->pids[node]};

    kill(w.pid, SIGTERM);
    cluster_until(c, has_ended, &w, 10000, "the end of a stopped node");
    c->pids[node] = 0;
    return WIFEXITED(w.status) ? WEXITSTATUS(w.status) : 128 + WTERMSIG(w.status);
}

static void read_tail(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "r");
    size_t n = 0;

    text[0] = '\0';
    if (f == NULL)
        return;
    if (fseek(f, -(long)(size - 1), SEEK_END) != 0)
        rewind(f);
    n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    fclose(f);
}

int cluster_run(struct cluster *c, const char *const *arguments, char *text, size_t size)
{
    char log[CLUSTER_PATH];
    struct waited w = {0};

    snprintf(log, sizeof log, "%.120s/run.log", c->dir);
    unlink(log);
    w.pid = spawn(arguments, log);
    cluster_until(c, has_ended, &w, 10000, "the end of a process that cannot run");
    read_tail(log, text, size);
    return WIFEXITED(w.status) ? WEXITSTATUS(w.status) : 128 + WTERMSIG(w.status);
}

void cluster_log(const struct cluster *c, int node, char *text, size_t size)
{
    char log[CLUSTER_PATH];

    snprintf(log, sizeof log, "%.120s/%s.log", c->dir, node_names[node]);
    read_tail(log, text, size);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void cluster_close(struct cluster *c)
{
    if (getenv("RF_TEST_LOGS") != NULL)
        for (int i = 0; i < NODES; i++) {
            static char text[20000];

            cluster_log(c, i, text, sizeof text);
            fprintf(stderr, "---- %s\n%s", node_names[i], text);
        }
    for (int i = 0; i < NODES; i++)
        cluster_kill(c, i);
    for (int i = 0; i < 3 * NODES; i++)
        close(c->held[i]);
    while (uv_run(&c->loop, UV_RUN_NOWAIT) != 0)
        ;
    assert_int_equal(uv_loop_close(&c->loop), 0);
    nftw(c->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- waiting ------------------------------------------------------------------------- */

static void on_alarm(uv_timer_t *timer)
{
    (void)timer; /* the loop has turned: that is all */
}

static void on_alarm_closed(uv_handle_t *handle) { *(bool *)handle->data = true; }

void cluster_until(struct cluster *c, bool (*done)(void *owner), void *owner, unsigned ms,
                   const char *what)
{
    struct mono start = mono_now();
    uv_timer_t alarm;
    bool reached, closed = false;

    uv_timer_init(&c->loop, &alarm);
    uv_timer_start(&alarm, on_alarm, 0, 2);
    while (!(reached = done(owner)) && mono_since_ms(start, mono_now()) < ms)
        uv_run(&c->loop, UV_RUN_ONCE);
    alarm.data = &closed;
    uv_close((uv_handle_t *)&alarm, on_alarm_closed);
    while (!closed)
        uv_run(&c->loop, UV_RUN_NOWAIT);
    if (!reached) {
        for (int i = 0; i < NODES; i++) {
            static char text[6000];

            cluster_log(c, i, text, sizeof text);
            fprintf(stderr, "---- %s\n%s", node_names[i], text);
        }
        fail_msg("not within %u ms: %s", ms, what);
    }
}

static bool has_passed(void *owner)
{
    const struct mono *until = owner;

    return mono_now().ns >= until->ns;
}

void cluster_turn_ms(struct cluster *c, unsigned ms)
{
    struct mono until = mono_plus_ms(mono_now(), ms);

    cluster_until(c, has_passed, &until, ms + 10000, "time to pass");
}

/* ---- HTTP ---------------------------------------------------------------------------- */

struct call {
    uv_work_t work;
    char socket[CLUSTER_PATH], url[256];
    const char *method, *body, *header;
    char *text;
    size_t len;
    long status;
    bool done;
};

static size_t on_data(char *data, size_t size, size_t n, void *owner)
{
    struct call *call = owner;

    call->text = realloc(call->text, call->len + size * n + 1);
    memcpy(call->text + call->len, data, size * n);
    call->len += size * n;
    call->text[call->len] = '\0';
    return size * n;
}

static void do_call(uv_work_t *work)
{
    struct call *call = work->data;
    CURL *h = curl_easy_init();
    struct curl_slist *headers = NULL;

    if (call->header != NULL)
        headers = curl_slist_append(NULL, call->header);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    if (call->socket[0] != '\0')
        curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, call->socket);
    curl_easy_setopt(h, CURLOPT_URL, call->url);
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method);
    if (call->body != NULL)
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, call->body);
    else if (strcmp(call->method, "POST") == 0)
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, 12000L);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, call);
    if (curl_easy_perform(h) == CURLE_OK)
        curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &call->status);
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
}

static void on_called(uv_work_t *work, int status)
{
    struct call *call = work->data;

    (void)status;
    call->done = true;
}

static bool is_done(void *owner)
{
    const struct call *call = owner;

    return call->done;
}

static void perform(struct cluster *c, struct call *call)
{
    call->work.data = call;
    assert_int_equal(uv_queue_work(&c->loop, &call->work, do_call, on_called), 0);
    cluster_until(c, is_done, call, 15000, "an answer over HTTP");
}

json_t *cluster_call(struct cluster *c, int node, const char *method, const char *path,
                     const char *body, long *ret_status)
{
    return cluster_call_with(c, node, NULL, method, path, body, ret_status);
}

json_t *cluster_call_with(struct cluster *c, int node, const char *header,
                          const char *method, const char *path, const char *body,
                          long *ret_status)
{
    struct call call = {.method = method, .body = body, .header = header};
    json_t *document;

    snprintf(call.socket, sizeof call.socket, "%.120s/%s.sock", c->dir, node_names[node]);
    snprintf(call.url, sizeof call.url, "http://ringfenced%s", path);
    perform(c, &call);
    document = call.text != NULL ? json_loads(call.text, JSON_DECODE_ANY, NULL) : NULL;
    free(call.text);
    *ret_status = call.status;
    return document;
}

char *cluster_get_tcp(struct cluster *c, uint16_t port, const char *path, long *ret_status)
{
    struct call call = {.method = "GET"};

    snprintf(call.url, sizeof call.url, "http://127.0.0.1:%u%s", port, path);
    perform(c, &call);
    *ret_status = call.status;
    return call.text;
}

/* ---- what it says -------------------------------------------------------------------- */

const json_t *at(const json_t *document, const char *path)
{
    char part[64];

    while (document != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");

        snprintf(part, sizeof part, "%.*s", (int)len, path);
        path += len + (path[len] == '.');
        document = json_is_array(document)
                       ? json_array_get(document, (size_t)strtoul(part, NULL, 10))
                       : json_object_get(document, part);
    }
    return document;
}

int cluster_leader_seen_by(struct cluster *c, int node)
{
    long status;
    json_t *s = cluster_call(c, node, "GET", "/api/v1/status", NULL, &status);
    const char *name = json_string_value(at(s, "leader"));
    int found = -1;

    for (int i = 0; i < NODES && status == 200 && name != NULL; i++)
        if (strcmp(node_names[i], name) == 0 && c->pids[i] != 0)
            found = i;
    json_decref(s);
    return found;
}

int cluster_wait_leader(struct cluster *c)
{
    struct mono start = mono_now();

    for (;;) {
        int leader = -1;
        bool agree = true;

        for (int i = 0; i < NODES; i++) {
            int seen = c->pids[i] != 0 ? cluster_leader_seen_by(c, i) : leader;

            if (c->pids[i] == 0)
                continue;
            agree = agree && seen >= 0 && (leader < 0 || seen == leader);
            leader = seen;
        }
        if (agree && leader >= 0)
            return leader;
        if (mono_since_ms(start, mono_now()) > 15000)
            cluster_until(c, has_passed, &(struct mono){UINT64_MAX}, 1, "a leader");
    }
}

json_t *cluster_status(struct cluster *c)
{
    for (int i = 0; i < NODES; i++) {
        long status;
        json_t *s;

        if (c->pids[i] == 0)
            continue;
        s = cluster_call(c, i, "GET", "/api/v1/status", NULL, &status);
        if (status == 200)
            return s;
        json_decref(s);
    }
    return NULL;
}
