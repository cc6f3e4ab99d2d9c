#include "controller/http/api.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "controller/base/problem.h"
#include "controller/base/wipe.h"
#include "controller/http/api_private.h"
#include "controller/http/authorize.h"
#include "controller/http/document.h"
#include "controller/http/metrics.h"
#include "controller/http/openapi.h"
#include "controller/http/status.h"

/* ---- answers ------------------------------------------------------------------------- */

void answer_json(const struct asker *who, unsigned status, json_t *body)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;

    json_decref(body);
    if (text == NULL) {
        answer_error(who, 503, "no-memory", "out of memory");
        return;
    }
    who->reply(who->owner, status, text, strlen(text));
    wipe_free(text);
}

void answer_error(const struct asker *who, unsigned status, const char *code,
                  const char *fmt, ...)
{
    char text[PROBLEM_DETAIL_SIZE], body[PROBLEM_SIZE];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (who->trail != NULL && status >= 400 && status < 500 && status != 429)
        request_note(who, code, text);
    who->reply(who->owner, status, body, problem_write(body, status, code, text));
}

void answer_recorded(const struct asker *who, unsigned status, const char *code,
                     const char *text)
{
    struct asker heard = *who;

    heard.trail = NULL;
    answer_error(&heard, status, code, "%s", text);
}

void api_facts(const struct api *a, struct api_facts *ret)
{
    *ret = (struct api_facts){0};
    a->backend->facts(a->backend->owner, ret);
    ret->guests = a->guests;
    if (a->network != NULL)
        ret->guests.open = httpd_count(a->network);
}

/* ---- at the leader, or of this node alone ----------------------------------------------
 */

static void serve_why(struct api *a, const struct route *r, const struct asker *who,
                      bool stale)
{
    struct api_facts f;
    const struct group *g;

    api_facts(a, &f);
    g = state_group_const(f.state, r->group);
    if (g == NULL) {
        answer_error(who, 404, "unknown-group", NO_SUCH_GROUP, r->group);
        return;
    }
    answer_json(who, 200,
                why_document(&f, (uint8_t)(g - f.state->groups), mono_now(), stale));
}

static void serve_group(struct api *a, const struct route *r, const struct asker *who)
{
    struct api_facts f;
    const struct group *g;

    api_facts(a, &f);
    g = state_group_const(f.state, r->group);
    if (g == NULL)
        answer_error(who, 404, refusal_name(REFUSE_UNKNOWN_GROUP), NO_SUCH_GROUP, r->group);
    else
        answer_json(who, 200, document_of(g));
}

static void serve_openapi(const struct asker *who)
{
    size_t len;
    const char *text = openapi_document(&len);

    who->reply(who->owner, 200, text, len);
}

/* What is told of the cluster as this controller knows it. */
static void show_controller(struct api *a, const struct route *r, const struct asker *who)
{
    struct api_facts f;

    api_facts(a, &f);
    if (r->kind == ROUTE_STATUS)
        answer_json(who, 200, status_document(&f, mono_now(), wall_now_ms(), false));
    else if (r->kind == ROUTE_DOCTOR)
        answer_json(who, 200, doctor_document(&f, a->host, mono_now()));
    else if (r->kind == ROUTE_VERSION)
        answer_json(who, 200, version_document(&f));
    else if (r->kind == ROUTE_USERS)
        answer_json(who, 200, users_document(&f, wall_now_ms()));
    else if (r->kind == ROUTE_RULES)
        answer_json(who, 200, rules_document());
    else
        serve_openapi(who);
}

static void show_trail(struct api *a, const struct route *r, const struct asker *who)
{
    if (r->kind == ROUTE_AUDIT_POINT)
        audit_serve_point(a, r->run, who);
    else if (r->kind == ROUTE_AUDIT_ROWS)
        audit_serve_rows(a, r->run, who);
    else
        answer_error(who, 404, "bad-request", "the log is read where it is asked for");
}

void api_perform(struct api *a, const struct route *r, const struct api_request *raw,
                 const struct asker *who)
{
    switch (r->kind) {
    case ROUTE_GROUP:
        serve_group(a, r, who);
        return;
    case ROUTE_WHY:
        serve_why(a, r, who, false);
        return;
    case ROUTE_STATUS:
    case ROUTE_DOCTOR:
    case ROUTE_VERSION:
    case ROUTE_RULES:
    case ROUTE_USERS:
    case ROUTE_OPENAPI:
        show_controller(a, r, who);
        return;
    case ROUTE_LOG:
    case ROUTE_EVENTS:
    case ROUTE_AUDIT_POINT:
    case ROUTE_AUDIT_EXPORT:
    case ROUTE_AUDIT_KEYS:
    case ROUTE_AUDIT_ROWS:
        show_trail(a, r, who);
        return;
    case ROUTE_DECLARE:
    case ROUTE_REMOVE:
    case ROUTE_SWITCHOVER:
    case ROUTE_FAILOVER:
    case ROUTE_ABORT:
    case ROUTE_PAUSE:
    case ROUTE_RESUME:
    case ROUTE_ACKNOWLEDGE:
    case ROUTE_RETRY:
    case ROUTE_DETACH:
    case ROUTE_ATTACH:
    case ROUTE_REPLACE:
        request_handle(a, r, raw, who);
        return;
    case ROUTE_ATTEST:
    case ROUTE_PROPOSALS:
    case ROUTE_PROPOSE:
    case ROUTE_APPROVE:
    case ROUTE_REJECT:
    case ROUTE_WITHDRAW:
        request_people(a, r, raw, who);
        return;
    case ROUTE_WHOAMI:
        answer_json(who, 200, whoami_document(who));
        return;
    case ROUTE_USER_SET:
    case ROUTE_USER_REMOVE:
    case ROUTE_USER_TOKEN:
    case ROUTE_USER_REVOKE:
    case ROUTE_USER_TOTP:
    case ROUTE_USER_UNLOCK:
        request_user(a, r, raw, who);
        return;
    case ROUTE_COUNT:
        return;
    }
}

static const char NO_LEADER[] =
    "%s: nothing was done; a majority of the controllers must reach each other (`ringfence "
    "status` says what is down)";

static void on_confirmed(void *owner, int status)
{
    AUTO(kept_drop) struct kept *k = owner;
    struct api_facts f;

    if (status == 0) {
        kept_perform(k);
    } else if (status == ERR_TIMEOUT) {
        api_facts(k->a, &f);
        answer_error(&k->who, 503, "not-confirmed",
                     "controller %s believes that it leads, and no majority of the "
                     "controllers has confirmed it within %d s: what it knows may be old, "
                     "and is told with ?stale=ok",
                     f.name, READS_DEADLINE_MS / 1000);
    } else {
        answer_error(&k->who, 503, "no-leader", NO_LEADER,
                     status == ERR_CLOSED ? "this controller is stopping"
                                          : "leadership is changing");
    }
}

/* It is told when it is known that nobody else leads, who may know more. */
static void tell(struct api *a, const struct route *r, const struct api_request *raw,
                 const struct asker *who)
{
    struct kept *k = kept_new(a, r, raw, who);
    struct err err = {0};

    if (k == NULL) {
        answer_error(who, 503, "no-memory", "out of memory");
    } else if (reads_wait(a->reads, on_confirmed, k, &err) != 0) {
        kept_free(k);
        answer_error(who, 503, "not-possible-now", "%s: ask again", err.text);
    }
}

static void serve(struct api *a, const struct route *r, const struct api_request *raw,
                  const struct asker *who)
{
    struct asker known = *who;
    bool needs_code;

    if (!api_permits(a, r, raw, &known, &needs_code))
        return;
    if (route_is_told(r))
        tell(a, r, raw, &known);
    else if (!key_admits(a, r, raw, &known, &needs_code))
        return;
    else if (needs_code)
        request_factor(a, r, raw, &known);
    else
        api_perform(a, r, raw, &known);
}

/* ---- whom to ask -----------------------------------------------------------------------
 */

void api_without_leader(struct api *a, const struct route *r, const struct api_request *raw,
                        const struct asker *who, const char *why)
{
    if (route_changes(r) || api_may(a, r, raw, who))
        answer_error(who, 503, "no-leader", NO_LEADER, why);
}

/* What this controller knows by itself, at once, for whoever says that it may be old. */
static void tell_stale(struct api *a, const struct route *r, const struct api_request *raw,
                       const struct asker *who)
{
    struct api_facts f;

    if (!api_may(a, r, raw, who))
        return;
    api_facts(a, &f);
    if (r->kind == ROUTE_WHY)
        serve_why(a, r, who, true);
    else if (r->kind == ROUTE_GROUP)
        serve_group(a, r, who);
    else
        answer_json(who, 200, status_document(&f, mono_now(), wall_now_ms(), true));
}

void api_dispatch(struct api *a, const struct route *r, const struct api_request *raw,
                  const struct asker *who, bool forwarded)
{
    struct api_facts f;

    api_facts(a, &f);
    if (r->stale_ok && route_is_read(r->kind) && !forwarded)
        tell_stale(a, r, raw, who);
    else if (route_is_local(r->kind) || f.leads)
        serve(a, r, raw, who);
    else if (forwarded) /* one hop at most: two that each believe the other leads */
        api_without_leader(a, r, raw, who, "leadership is changing");
    else
        api_pass_on(a, r, raw, who);
}

/* Of a request that route_match() has no route for. */
static const char *code_of(unsigned status)
{
    return status == 404   ? "not-found"
           : status == 405 ? "method-not-allowed"
                           : "bad-request";
}

void api_serve(struct api *a, const struct api_request *r, api_reply *reply, void *owner)
{
    struct asker who = {.reply = reply, .owner = owner};
    size_t before_query = strcspn(r->path, "?");
    char path[ROUTE_PATH_SIZE];
    struct route route;
    struct err err = {0};
    unsigned status;

    (void)snprintf(path, sizeof path, "%.*s", (int)before_query, r->path);
    status = route_match(r->method, path, &route, &err);
    if (status != 0) {
        answer_error(&who, status, code_of(status), "%s", err.text);
        return;
    }
    if (!route_read_query(r->path + before_query, &route)) {
        answer_error(&who, 400, "bad-request",
                     "%.80s: this controller does not know the query: upgrade it", r->path);
        return;
    }
    api_dispatch(a, &route, r, &who, true);
}

/* ---- HTTP ------------------------------------------------------------------------------
 */

/* Also what the leader has answered: every status of 400 and more has a problem's body. */
static void reply_http(void *owner, unsigned status, const void *body, size_t len)
{
    http_reply(owner, status, status < 400 ? "application/json" : PROBLEM_TYPE, body, len);
}

void http_asker(struct http_request *req, struct asker *ret)
{
    *ret = (struct asker){.reply = reply_http, .owner = req};
}

static bool is_set(const struct http_request *req, const char *name)
{
    const char *value = http_query(req, name);

    return value != NULL && strcmp(value, "0") != 0;
}

/* False: answered. */
static bool read_stale(const struct http_request *req, struct route *r,
                       const struct asker *who)
{
    const char *value = http_query(req, "stale");

    r->stale_ok = value != NULL && strcmp(value, "ok") == 0;
    if (value == NULL || r->stale_ok)
        return true;
    answer_error(who, 400, "bad-request",
                 "stale: only `ok` may be said, by who takes an answer that may be old");
    return false;
}

/* A page in the browser of somebody who has a certificate can send in his name what a form
 * can. A form cannot say that it sends JSON. */
static bool says_json(const struct http_request *req)
{
    static const char json[] = "application/json";
    const char *type = http_header(req, "Content-Type");

    return type == NULL || (strncasecmp(type, json, sizeof json - 1) == 0 &&
                            strchr("; \t", type[sizeof json - 1]) != NULL);
}

/* As of which entry, and how old it may be: the document of a group has no room for it. */
static bool add_age(struct api *a, struct http_request *req)
{
    char text[24];
    struct api_facts f;

    api_facts(a, &f);
    (void)snprintf(text, sizeof text, "%" PRIu64, f.applied);
    if (!http_add_header(req, "Ringfence-Applied", text))
        return false;
    (void)snprintf(text, sizeof text, "%" PRIu64, f.age_ms);
    return f.age_ms == UINT64_MAX || http_add_header(req, "Ringfence-Age-Ms", text);
}

void api_take(struct api *a, struct http_request *req, const struct caller *c)
{
    struct asker who;
    struct api_request raw = {
        .method = http_method(req), .path = http_path(req), .caller = c};
    struct route route;
    struct err err = {0};
    unsigned status = route_match(raw.method, raw.path, &route, &err);

    http_asker(req, &who);
    if (status != 0) {
        api_stray(a, &raw, &who);
        answer_error(&who, status, code_of(status), "%s", err.text);
        return;
    }
    route.dry = route.kind == ROUTE_DECLARE && is_set(req, "dry");
    route.keep_active = route.kind == ROUTE_DECLARE && is_set(req, "keep_active");
    if (route_is_read(route.kind) && !read_stale(req, &route, &who))
        return;
    if (route.stale_ok && !add_age(a, req)) {
        answer_error(&who, 503, "no-memory", "out of memory");
        return;
    }
    raw.body = http_body(req, &raw.len);
    if (raw.len > 0 && !says_json(req)) {
        api_stray(a, &raw, &who);
        who.what = route_name(route.kind);
        answer_error(&who, 415, "wrong-content-type",
                     "the body of %s is JSON: say `Content-Type: application/json`",
                     route_name(route.kind));
        return;
    }
    if (route.kind == ROUTE_LOG || route.kind == ROUTE_EVENTS ||
        (route.kind == ROUTE_STATUS && is_set(req, "follow"))) {
        follow_route(a, req, &route, &raw, &who);
    } else if (route.kind == ROUTE_AUDIT_EXPORT) {
        if (api_may(a, &route, &raw, &who))
            audit_export(a, req);
    } else if (route.kind == ROUTE_AUDIT_KEYS) {
        if (api_may(a, &route, &raw, &who))
            audit_keys(a, req);
    } else
        api_dispatch(a, &route, &raw, &who, false);
}

/* The mode of the socket's file has let it in. */
static void on_request(void *owner, struct http_request *req)
{
    struct api *a = owner;
    struct asker who = {.reply = reply_http, .owner = req};
    struct caller c = {.kind = CALLER_SOCKET};
    struct api_facts f;
    uint32_t uid;

    api_facts(a, &f);
    (void)snprintf(c.from, sizeof c.from, "%s", f.name);
    if (!http_uid(req, &uid))
        (void)snprintf(c.name, sizeof c.name, "somebody");
    else if (uid == 0)
        (void)snprintf(c.name, sizeof c.name, "root");
    else
        (void)snprintf(c.name, sizeof c.name, "uid-%" PRIu32, uid);
    if (network_read_headers(req, &c, &who))
        api_take(a, req, &c);
    caller_wipe(&c);
}

static void on_metrics(void *owner, struct http_request *req)
{
    struct api *a = owner;
    AUTO(buf_free) struct buf out = {0};
    struct api_facts f;
    struct err err = {0};

    if (strcmp(http_path(req), "/metrics") != 0 || strcmp(http_method(req), "GET") != 0) {
        http_reply(req, 404, "text/plain", "GET /metrics\n", 13);
        return;
    }
    api_facts(a, &f);
    if (metrics_text(&f, mono_now(), &out, &err) != 0)
        http_reply(req, 503, "text/plain", err.text, strlen(err.text));
    else
        http_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.len);
}

/* ---- turns -----------------------------------------------------------------------------
 */

static void on_tick(uv_timer_t *tick)
{
    struct api *a = tick->data;
    struct mono now = mono_now();

    requests_look(a, now);
    followers_look(a, now, false);
    if (a->waits == NULL && a->followers == NULL)
        (void)uv_timer_stop(tick);
}

void api_need_tick(struct api *a)
{
    if (!uv_is_active((uv_handle_t *)&a->tick))
        (void)uv_timer_start(&a->tick, on_tick, API_TICK_MS, API_TICK_MS);
}

void api_changed(struct api *a)
{
    struct mono now = mono_now();
    struct api_facts f;
    uint64_t fingerprint;

    if (a == NULL || (a->waits == NULL && a->followers == NULL))
        return;
    api_facts(a, &f);
    fingerprint = status_fingerprint(&f, now);
    requests_look(a, now);
    if (fingerprint != a->fingerprint)
        followers_look(a, now, true);
    a->fingerprint = fingerprint;
}

/* ---- life ------------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle) { free(handle->data); }

static int open_metrics(struct api *a, struct uv_loop_s *loop, const struct api_listen *at,
                        struct err *err)
{
    struct httpd_listen metrics = {.address = at->metrics_address,
                                   .port = at->metrics_port};

    if (at->metrics_address == NULL)
        return 0;
    if (httpd_open(&a->metrics, loop, &metrics, on_metrics, a, err) != 0)
        return err_wrap(err, "metrics");
    return 0;
}

/* A token, a seed or a recovery code is a value of jansson's on its way to who asked. */
static void wipe_values(void)
{
    json_malloc_t allocate;

    json_get_alloc_funcs(&allocate, NULL);
    json_set_alloc_funcs(allocate, wipe_free);
}

int api_open(struct api **ret_api, struct uv_loop_s *loop, const struct api_listen *at,
             const struct api_backend *backend, struct err *err)
{
    struct api *a = calloc(1, sizeof *a);
    struct httpd_listen socket = {.socket_path = at->socket};

    if (a == NULL)
        return err_set(err, ERR_NOMEM, "API");
    wipe_values();
    a->backend = backend;
    a->refusals = refusals_new();
    if (a->refusals == NULL) {
        free(a);
        return err_set(err, ERR_NOMEM, "API");
    }
    if (gethostname(a->host, sizeof a->host - 1) != 0)
        (void)snprintf(a->host, sizeof a->host, "?");
    (void)uv_timer_init(loop, &a->tick); /* cannot fail */
    a->tick.data = a;
    if (reads_open(&a->reads, loop, backend, err) != 0 ||
        httpd_open(&a->socket, loop, &socket, on_request, a, err) != 0 ||
        open_metrics(a, loop, at, err) != 0 ||
        (at->network != NULL && network_open(a, loop, at->network, err) != 0)) {
        api_close(a);
        return err->code;
    }
    *ret_api = a;
    return 0;
}

void api_close(struct api *a)
{
    if (a == NULL)
        return;
    a->closing = true;
    requests_close(a);
    reads_close(a->reads); /* a follower may be one that waits */
    a->reads = NULL;
    followers_close(a);
    segment_close(a);
    exports_close(a);
    points_close(a);
    audit_rows_close(a);
    keys_close(a);
    httpd_close(a->socket);
    httpd_close(a->metrics);
    httpd_close(a->network);
    free(a->rates);
    free(a->refusals);
    a->refusals = NULL;
    uv_close((uv_handle_t *)&a->tick, on_closed);
}

uint16_t api_metrics_port(const struct api *a)
{
    return a->metrics != NULL ? httpd_port(a->metrics) : 0;
}
