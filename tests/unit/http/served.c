#include "tests/unit/http/served.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/problem.h"

struct backend b;
struct call call;
const char *served_headers[2];

/* ---- the backend -----------------------------------------------------------------------
 */

static void on_facts(void *owner, struct api_facts *f)
{
    (void)owner;
    b.looks++;
    f->cluster = "lab";
    f->name = "east";
    f->data_dir = "/d";
    f->state = &b.state;
    f->seen = &b.seen;
    f->key = &b.key;
    f->leads = b.leads;
    f->leader_id = b.leader_id;
    f->controller_count = b.has_west ? 2 : 1;
    snprintf(f->controllers[1].name, NAME_SIZE, "west");
    f->controllers[1].id = 2;
    f->controllers[0].self = b.chain != NULL;
    f->controllers[0].id = 1;
    f->controllers[0].up = b.east_answers;
    snprintf(f->controllers[0].name, NAME_SIZE, "east");
}

static void on_idle(uv_idle_t *idle)
{
    struct apply_result r = {.refusal = b.applied, .text = "applied later"};

    uv_idle_stop(idle);
    b.later.done(b.later.ctx, b.done_status, 42, b.done_status == 0 ? &r : NULL);
}

static int on_propose(void *owner, const struct entry *e, api_proposed *done, void *ctx,
                      struct apply_result *ret_refused, struct err *err)
{
    (void)owner;
    b.proposals++;
    b.before = b.proposed;
    b.proposed = *e;
    if (b.propose_code != 0)
        return err_set(err, b.propose_code, "cannot");
    if (b.dry != ACCEPTED) {
        *ret_refused = (struct apply_result){.refusal = b.dry, .text = "because"};
        return err_set(err, ERR_REFUSED, "refused");
    }
    b.later.done = done;
    b.later.ctx = ctx;
    uv_idle_start(&b.idle, on_idle);
    return 0;
}

static void on_dry(void *owner, const struct entry *e, struct apply_result *ret)
{
    (void)owner;
    b.tried = *e;
    *ret = (struct apply_result){.refusal = b.dry, .text = "because"};
}

static void on_note(void *owner, const struct actor *who, const char *group,
                    const char *text)
{
    (void)owner;
    (void)group;
    b.noted = *who;
    snprintf(b.note, sizeof b.note, "%s", text);
    b.notes++;
}

static void on_want(void *owner, uint8_t group, const struct failover_wish *wish)
{
    (void)owner;
    b.failover_wanted = wish != NULL;
    if (wish != NULL && b.take_failover) {
        b.state.groups[group].run.id = 55;
        b.state.groups[group].run.kind = RUN_FAILOVER;
        api_changed(b.served);
    }
}

static void on_retry(void *owner, uint8_t group)
{
    (void)owner;
    b.retries++;
    observe_retry(&b.seen, &b.state, group);
}

static int on_forward(void *owner, const struct api_request *r, api_reply *done, void *ctx,
                      struct err *err)
{
    static const char reply[] = "{\"from\":\"leader\"}";

    (void)owner;
    if (b.leader_id == 0)
        return err_set(err, ERR_NOTLEADER, "no leader is known");
    if (r->unknown && b.no_place)
        return err_set(err, ERR_FULL, "8 wait already");
    b.forwarded_unknown = r->unknown;
    b.forwards++;
    snprintf(b.forwarded, sizeof b.forwarded, "%s %s", r->method, r->path);
    b.caller = *r->caller;
    done(ctx, 200, reply, sizeof reply - 1);
    return 0;
}

static int on_log(void *owner, const struct audit_query *q, store_audit_reply *reply,
                  void *ctx, struct err *err)
{
    static struct audit_row rows[STORE_AUDIT_PAGE_MAX];
    uint64_t last = b.log_rows != 0 ? b.log_rows : 2;
    uint64_t first = q->after_seq + 1;
    size_t n = 0;

    (void)owner;
    (void)err;
    if (q->newest)
        first = last > q->limit ? last - q->limit + 1 : 1;
    for (uint64_t seq = first; seq <= last && n < q->limit; seq++, n++) {
        rows[n] = b.chain != NULL
                      ? b.chain[seq - 1]
                      : (struct audit_row){.seq = seq, .index = 3, .kind = "pause"};
        if (b.log_rows != 0 && b.chain == NULL)
            memset(rows[n].text, 'x', sizeof rows[n].text - 1);
    }
    reply(ctx, rows, n, q->after_seq > 0 ? b.log_status : 0);
    return 0;
}

static const struct audit_key *on_audit_key(void *owner)
{
    (void)owner;
    return b.audit_key;
}

/* West answers what the test has put there, at once. */
static int on_ask(void *owner, unsigned position, const char *path, api_reply *done,
                  void *ctx, struct err *err)
{
    (void)owner;
    assert_int_equal(position, 1);
    snprintf(b.forwarded, sizeof b.forwarded, "%s", path);
    if (b.west_says == NULL)
        return err_set(err, ERR_CLOSED, "controller west cannot be reached");
    done(ctx, b.west_status, b.west_says, strlen(b.west_says));
    return 0;
}

int served_setup(void **state)
{
    static const struct api_network network = {40, 20, 2000, 4000};
    struct api_listen at = {.network = &network};
    struct group *g = &b.state.groups[0];
    struct err err;

    (void)state;
    memset(&b, 0, sizeof b);
    served_headers[0] = served_headers[1] = NULL;
    at.socket = b.socket;
    snprintf(b.socket, sizeof b.socket, "/tmp/rf-daemon-api-%d.sock", (int)getpid());
    uv_loop_init(&b.loop);
    uv_idle_init(&b.loop, &b.idle);
    state_init(&b.state, "lab");
    observations_init(&b.seen, 1);
    b.seen.leading = true;
    b.leads = true;
    b.leader_id = 1;
    b.state.group_count = 1;
    snprintf(g->name, NAME_SIZE, "orders");
    policy_defaults(&g->policy);
    g->phase = PHASE_STEADY;
    g->epoch = 3;
    g->index = 30;
    g->run.id = 20;
    g->region_count = g->instance_count = 2;
    for (uint8_t i = 0; i < 2; i++) {
        snprintf(g->regions[i].name, NAME_SIZE, "r%u", i);
        snprintf(g->instances[i].agent, NAME_SIZE, "pg-%u", i);
        g->instances[i].region = i;
    }
    b.api = (struct api_backend){.facts = on_facts,
                                 .propose = on_propose,
                                 .dry = on_dry,
                                 .note_refused = on_note,
                                 .want_failover = on_want,
                                 .want_retry = on_retry,
                                 .forward = on_forward,
                                 .ask = on_ask,
                                 .audit_key = on_audit_key,
                                 .query_log = on_log};
    if (api_open(&b.served, &b.loop, &at, &b.api, &err) != 0)
        fail_msg("%s", err.text);
    return 0;
}

int served_teardown(void **state)
{
    (void)state;
    api_close(b.served);
    uv_close((uv_handle_t *)&b.idle, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b.loop), 0);
    assert_int_not_equal(access(b.socket, F_OK), 0);
    return 0;
}

/* ---- the client ------------------------------------------------------------------------
 */

static size_t on_data(char *data, size_t size, size_t n, void *owner)
{
    (void)owner;
    assert_true(call.len + size * n < sizeof call.text);
    memcpy(call.text + call.len, data, size * n);
    call.len += size * n;
    return size * n;
}

static void perform(uv_work_t *work)
{
    CURL *h = curl_easy_init();
    struct curl_slist *headers = NULL;
    char url[200], *type = NULL;

    (void)work;
    snprintf(url, sizeof url, "http://x%s", call.path);
    curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, b.socket);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call.method);
    if (call.header != NULL)
        headers = curl_slist_append(NULL, call.header);
    if (call.body != NULL)
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, call.body);
    for (unsigned i = 0; i < 2 && served_headers[i] != NULL; i++)
        headers = curl_slist_append(headers, served_headers[i]);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, call.limit_ms);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    call.whole = curl_easy_perform(h) == CURLE_OK;
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &call.status);
    curl_easy_getinfo(h, CURLINFO_CONTENT_TYPE, &type);
    snprintf(call.type, sizeof call.type, "%s", type != NULL ? type : "");
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
}

static void on_performed(uv_work_t *work, int status)
{
    (void)work;
    (void)status;
    call.done = true;
}

static const char *member(const json_t *v, const char *name)
{
    const char *text = json_string_value(json_object_get(v, name));

    return text != NULL ? text : "";
}

/* RFC 9457, whatever was wrong. */
static void check_problem(void)
{
    json_t *v = json_loads(call.text, JSON_REJECT_DUPLICATES, NULL);
    char type[128];

    snprintf(type, sizeof type, PROBLEM_URN "%s", member(v, "code"));
    if (strcmp(call.type, PROBLEM_TYPE) != 0 || strcmp(member(v, "type"), type) != 0 ||
        member(v, "code")[0] == '\0' || member(v, "title")[0] == '\0' ||
        member(v, "detail")[0] == '\0' || json_object_size(v) != 5 ||
        json_integer_value(json_object_get(v, "status")) != call.status)
        fail_msg("no problem (%s, %ld): %s", call.type, call.status, call.text);
    json_decref(v);
}

static long perform_call(long limit_ms)
{
    call.limit_ms = limit_ms;
    assert_int_equal(uv_queue_work(&b.loop, &call.work, perform, on_performed), 0);
    while (!call.done)
        uv_run(&b.loop, UV_RUN_ONCE);
    if (call.whole && call.status >= 400)
        check_problem();
    else if (call.whole)
        assert_string_not_equal(call.type, PROBLEM_TYPE);
    return call.status;
}

long ask_for(const char *method, const char *path, const char *body, long limit_ms)
{
    memset(&call, 0, sizeof call);
    call.method = method;
    call.path = path;
    call.body = body;
    return perform_call(limit_ms);
}

long ask_with(const char *header, const char *method, const char *path, long limit_ms)
{
    memset(&call, 0, sizeof call);
    call.header = header;
    call.method = method;
    call.path = path;
    return perform_call(limit_ms);
}

long ask(const char *method, const char *path, const char *body)
{
    return ask_for(method, path, body, 10000);
}

bool says(const char *part)
{
    if (strstr(call.text, part) == NULL)
        print_message("\"%s\" is not in: %s\n", part, call.text);
    return strstr(call.text, part) != NULL;
}
