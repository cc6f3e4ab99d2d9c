#include "fencing/agent/endpoints.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "controller/base/clock.h"
#include "controller/base/problem.h"
#include "controller/httpd/httpd.h"
#include "fencing/agent/doctor.h"
#include "fencing/agent/steps_rules.h"

enum {
    KEEPER_SILENT_MS = 5000, /* its longest turn is KEEPER_TICK_MAX_MS */
};

struct endpoints {
    struct endpoints_parts parts;
    struct httpd *net, *socket;
    struct doctors *doctors;
};

static void reply(struct http_request *req, unsigned status, const char *text)
{
    http_reply(req, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void problem(struct http_request *req, unsigned status, const char *code,
                    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Of a path of the API; load balancers are answered in words. */
static void problem(struct http_request *req, unsigned status, const char *code,
                    const char *fmt, ...)
{
    char detail[PROBLEM_DETAIL_SIZE], body[PROBLEM_SIZE];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    http_reply(req, status, PROBLEM_TYPE, body, problem_write(body, status, code, detail));
}

/* ---- load balancers -------------------------------------------------------------------
 */

/* The one that ?group= names, or the only one. */
static bool pick_group(const struct endpoints *e, struct http_request *req,
                       struct steps_view *ret, uint8_t *ret_slot)
{
    const char *name = http_query(req, "group");
    unsigned found = 0;

    for (unsigned slot = 0; slot < AGENT_GROUPS_MAX; slot++) {
        struct steps_view s;

        if (!steps_view(e->parts.steps, (uint8_t)slot, &s) || !s.assigned ||
            (name != NULL && strcmp(s.group, name) != 0))
            continue;
        *ret = s;
        *ret_slot = (uint8_t)slot;
        found++;
    }
    if (found == 0)
        reply(req, 503, name != NULL ? "no such group here\n" : "no group here yet\n");
    else if (found > 1)
        reply(req, 400, "several groups are here: ask with ?group=NAME\n");
    return found == 1;
}

static void get_primary(struct endpoints *e, struct http_request *req)
{
    struct boot now = boot_now();
    struct keeper_view v;
    struct steps_view s;
    uint8_t slot;

    if (!pick_group(e, req, &s, &slot))
        return;
    board_view(e->parts.board, slot, &v);
    if (v.lease_kind == KIND_WRITE && v.lease_deadline.ns > now.ns && v.mode == GATE_OPEN &&
        v.deadline.ns > now.ns)
        reply(req, 200, "primary\n");
    else
        reply(req, 503, "not primary: no write lease, or the gate is not open\n");
}

static void get_replica(struct endpoints *e, struct http_request *req)
{
    struct steps_view s;
    uint8_t slot;

    if (!pick_group(e, req, &s, &slot))
        return;
    if (s.assignment != NULL && s.seen != NULL &&
        replica_keeps_up(s.assignment, s.seen, s.seen_age_ms))
        reply(req, 200, "replica\n");
    else
        reply(req, 503, "not a replica that streams within its lag\n");
}

static void get_health(struct endpoints *e, struct http_request *req)
{
    struct board_health h;
    char line[KEEPER_PROBLEM_SIZE + 64];

    board_health(e->parts.board, &h);
    if ((boot_now().ns - h.at.ns) / NS_PER_MS > KEEPER_SILENT_MS) {
        reply(req, 503, "the lease keeper stands still\n");
    } else if (h.state_problem[0] != 0 || h.fatal[0] != 0) {
        snprintf(line, sizeof line, "%s\n",
                 h.state_problem[0] != 0 ? h.state_problem : h.fatal);
        reply(req, 503, line);
    } else {
        reply(req, 200, "ok\n");
    }
}

static void get_metrics(struct endpoints *e, struct http_request *req)
{
    AUTO(buf_free) struct buf out = {0};
    struct err err = {0};

    if (metrics_write(&out, &e->parts, &err) != 0)
        reply(req, 503, "no memory\n");
    else
        http_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
}

static void get_version(struct endpoints *e, struct http_request *req)
{
    char text[200];
    int n = snprintf(text, sizeof text,
                     "{\"version\":\"%s\",\"program\":\"ringfence-agent\",\"name\":\"%s\"}",
                     RF_VERSION, e->parts.settings->name);

    http_reply(req, 200, "application/json", text, (size_t)n);
}

static void get_doctor(struct endpoints *e, struct http_request *req)
{
    doctor_ask(e->doctors, req);
}

/* ---- routing --------------------------------------------------------------------------
 */

static const struct route {
    const char *path;
    void (*get)(struct endpoints *e, struct http_request *req);
    bool local; /* on the Unix socket only: it makes work, or tells about the host */
} routes[] = {
    {"/primary", get_primary, false},       {"/read-write", get_primary, false},
    {"/replica", get_replica, false},       {"/health", get_health, false},
    {"/metrics", get_metrics, false},       {"/api/v1/doctor", get_doctor, true},
    {"/api/v1/version", get_version, true},
};

/* Somebody has named our socket where a controller's is meant, or a port of ours: what can
 * be asked here, and where the rest is. */
static void answer_unknown(const struct endpoints *e, struct http_request *req, bool local)
{
    if (local && strncmp(http_path(req), "/api/v1/", 8) == 0)
        problem(
            req, 404, "wrong-socket",
            "this is the socket of ringfence-agent %s, which answers `ringfence doctor` "
            "and `ringfence version` (and GET /primary, /read-write, /replica, /health, "
            "/metrics); everything else is asked of a controller, whose socket is by "
            "default /run/ringfence/ringfenced.sock",
            e->parts.settings->name);
    else
        reply(req, 404,
              "this is ringfence-agent; GET /primary, /read-write, /replica, /health and "
              "/metrics are answered here\n");
}

static void serve(struct endpoints *e, struct http_request *req, bool local)
{
    const char *method = http_method(req);

    for (unsigned i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(http_path(req), routes[i].path) != 0 || (routes[i].local && !local))
            continue;
        if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
            strcmp(method, "OPTIONS") != 0) {
            if (routes[i].local)
                problem(req, 405, "method-not-allowed", "GET is possible here");
            else
                reply(req, 405, "GET is possible here\n");
            return;
        }
        routes[i].get(e, req);
        return;
    }
    answer_unknown(e, req, local);
}

static void on_net(void *owner, struct http_request *req) { serve(owner, req, false); }

static void on_socket(void *owner, struct http_request *req) { serve(owner, req, true); }

/* ---- life -----------------------------------------------------------------------------
 */

/* The default place is the controller's; a host without one does not have it. */
static int make_place(const char *socket, struct err *err)
{
    char dir[AGENT_PATH_SIZE];
    char *slash;

    snprintf(dir, sizeof dir, "%s", socket);
    slash = strrchr(dir, '/');
    if (slash == NULL || slash == dir)
        return 0;
    *slash = 0;
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return err_errno(err, errno, "make %s", dir);
    return 0;
}

static int listen_all(struct endpoints *e, struct err *err)
{
    const struct agent_settings *s = e->parts.settings;
    struct httpd_listen at = {.socket_path = s->socket};
    int status = make_place(s->socket, err);

    if (status == 0)
        status = httpd_open(&e->socket, e->parts.loop, &at, on_socket, e, err);
    if (status != 0)
        return err_wrap(err, "socket");
    if (!s->has_http)
        return 0;
    at = (struct httpd_listen){.address = s->http.host, .port = s->http.port};
    status = httpd_open(&e->net, e->parts.loop, &at, on_net, e, err);
    return status != 0 ? err_wrap(err, "http") : 0;
}

int endpoints_open(struct endpoints **ret_endpoints, const struct endpoints_parts *parts,
                   struct err *err)
{
    struct endpoints *e = calloc(1, sizeof *e);
    int status;

    if (e == NULL)
        return err_set(err, ERR_NOMEM, "endpoints");
    e->parts = *parts;
    status = doctors_new(&e->doctors, parts, err);
    if (status == 0)
        status = listen_all(e, err);
    if (status != 0) {
        endpoints_close(e);
        return status;
    }
    *ret_endpoints = e;
    return 0;
}

void endpoints_close(struct endpoints *e)
{
    if (e == NULL)
        return;
    doctors_close(e->doctors);
    httpd_close(e->net);
    httpd_close(e->socket);
    free(e);
}

uint16_t endpoints_port(const struct endpoints *e)
{
    return e->net != NULL ? httpd_port(e->net) : 0;
}
