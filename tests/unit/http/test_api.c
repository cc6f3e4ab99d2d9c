/* Requests over a real Unix socket, against a pretended backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/http/api.h"

static struct backend {
    struct api_backend api;
    uv_loop_t loop;
    struct api *served;
    char socket[80];
    struct state state;
    struct observations seen;
    bool leads;
    uint64_t leader_id;
    /* What is done with a proposal. */
    enum refusal dry, applied;
    int propose_code, done_status;
    struct entry proposed;
    unsigned proposals, notes, forwards;
    char forwarded[96], note[600];
    struct { /* a proposal whose fate is told at the next turn */
        api_proposed *done;
        void *ctx;
    } later;
    uv_idle_t idle;
    bool failover_wanted, take_failover;
} b;

/* ---- the backend -----------------------------------------------------------------------
 */

static void on_facts(void *owner, struct api_facts *f)
{
    (void)owner;
    f->cluster = "lab";
    f->name = "east";
    f->data_dir = "/d";
    f->state = &b.state;
    f->seen = &b.seen;
    f->leads = b.leads;
    f->leader_id = b.leader_id;
    f->controller_count = 1;
    f->controllers[0].id = 1;
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

static void on_note(void *owner, const char *group, const char *text)
{
    (void)owner;
    (void)group;
    snprintf(b.note, sizeof b.note, "%s", text);
    b.notes++;
}

static void on_want(void *owner, uint8_t group, bool wanted, uint8_t target)
{
    (void)owner;
    (void)target;
    b.failover_wanted = wanted;
    if (wanted && b.take_failover) {
        b.state.groups[group].run.id = 55;
        b.state.groups[group].run.kind = RUN_FAILOVER;
        api_changed(b.served);
    }
}

static int on_forward(void *owner, const char *method, const char *path,
                      const uint8_t *body, size_t len, api_reply *done, void *ctx,
                      struct err *err)
{
    static const char reply[] = "{\"from\":\"leader\"}";

    (void)owner;
    (void)body;
    (void)len;
    if (b.leader_id == 0)
        return err_set(err, ERR_NOTLEADER, "no leader is known");
    b.forwards++;
    snprintf(b.forwarded, sizeof b.forwarded, "%s %s", method, path);
    done(ctx, 200, reply, sizeof reply - 1);
    return 0;
}

static int on_log(void *owner, const struct audit_query *q, store_audit_reply *reply,
                  void *ctx, struct err *err)
{
    struct audit_row row = {.seq = q->after_seq + 1, .index = 3, .kind = "pause"};

    (void)owner;
    (void)err;
    reply(ctx, &row, q->after_seq < 2 ? 1 : 0, 0);
    return 0;
}

static int setup(void **state)
{
    struct api_listen at = {.socket = b.socket};
    struct group *g = &b.state.groups[0];
    struct err err;

    (void)state;
    memset(&b, 0, sizeof b);
    at.socket = b.socket;
    snprintf(b.socket, sizeof b.socket, "/tmp/rf-daemon-api-%d.sock", (int)getpid());
    uv_loop_init(&b.loop);
    uv_idle_init(&b.loop, &b.idle);
    state_init(&b.state, "lab");
    observations_init(&b.seen, 1);
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
                                 .note_refused = on_note,
                                 .want_failover = on_want,
                                 .forward = on_forward,
                                 .query_log = on_log};
    if (api_open(&b.served, &b.loop, &at, &b.api, &err) != 0)
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
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

static struct call {
    uv_work_t work;
    const char *method, *path, *body;
    char text[20000];
    size_t len;
    long status;
    long limit_ms;
    bool done;
} call;

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
    char url[200];

    (void)work;
    snprintf(url, sizeof url, "http://x%s", call.path);
    curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, b.socket);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call.method);
    if (call.body != NULL)
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, call.body);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, call.limit_ms);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &call.status);
    curl_easy_cleanup(h);
}

static void on_performed(uv_work_t *work, int status)
{
    (void)work;
    (void)status;
    call.done = true;
}

static long ask_for(const char *method, const char *path, const char *body, long limit_ms)
{
    memset(&call, 0, sizeof call);
    call.method = method;
    call.path = path;
    call.body = body;
    call.limit_ms = limit_ms;
    assert_int_equal(uv_queue_work(&b.loop, &call.work, perform, on_performed), 0);
    while (!call.done)
        uv_run(&b.loop, UV_RUN_ONCE);
    return call.status;
}

static long ask(const char *method, const char *path, const char *body)
{
    return ask_for(method, path, body, 10000);
}

static bool says(const char *part)
{
    if (strstr(call.text, part) == NULL)
        print_message("\"%s\" is not in: %s\n", part, call.text);
    return strstr(call.text, part) != NULL;
}

/* ---- claims ----------------------------------------------------------------------------
 */

static void words_become_entries(void **state)
{
    static const struct {
        const char *method, *path, *body;
        enum entry_kind kind;
        const char *answer;
    } table[] = {
        {"POST", "/v1/groups/orders/pause", NULL, ENTRY_PAUSE, "{\"index\":42}"},
        {"POST", "/v1/groups/orders/resume", "{}", ENTRY_RESUME, "{\"index\":42}"},
        {"POST", "/v1/groups/orders/detach", NULL, ENTRY_DETACH, "{\"index\":42}"},
        {"POST", "/v1/groups/orders/attach", "{\"active\": \"r1\"}", ENTRY_ATTACH,
         "{\"index\":42,\"phase\":\"steady\"}"},
        {"POST", "/v1/groups/orders/attach", NULL, ENTRY_ATTACH,
         "{\"index\":42,\"phase\":\"steady\"}"},
        {"POST", "/v1/groups/orders/attach", "{\"active\": null}", ENTRY_ATTACH,
         "{\"index\":42,\"phase\":\"steady\"}"},
        {"POST", "/v1/groups/orders/switchover", "{\"to\": \"r1\", \"reason\": \"drill\"}",
         ENTRY_SWITCHOVER, "{\"run\":42}"},
        {"POST", "/v1/runs/20/abort", NULL, ENTRY_RUN_ABORT, "{\"index\":42}"},
        {"DELETE", "/v1/groups/orders", NULL, ENTRY_REMOVE, "{\"index\":42}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(ask(table[i].method, table[i].path, table[i].body), 200);
        assert_string_equal(call.text, table[i].answer);
        assert_int_equal(b.proposed.kind, table[i].kind);
        assert_string_equal(b.proposed.group, "orders");
        assert_string_equal(b.proposed.rule, "operator");
        if (table[i].kind == ENTRY_ATTACH)
            assert_int_equal(b.proposed.attach.active,
                             table[i].body != NULL && strstr(table[i].body, "r1") != NULL);
        if (table[i].kind == ENTRY_RUN_ABORT)
            assert_int_equal(b.proposed.run_abort.run, 20);
        if (table[i].kind != ENTRY_SWITCHOVER)
            continue;
        assert_int_equal(b.proposed.switchover.target, 1);
        assert_int_equal(b.proposed.switchover.epoch, 3);
        assert_string_equal(b.proposed.switchover.reason, "drill");
    }
    assert_int_equal(b.proposals, 9);
}

/* A gate that outlives its group would stay closed: a connected agent lets go first. */
static void a_group_goes_after_its_gates(void **state)
{
    struct group *g = &b.state.groups[0];
    struct seen_instance *seen = &b.seen.groups[0].instances[0].seen;

    (void)state;
    g->phase = PHASE_DETACHED;
    b.state.agent_count = 1;
    snprintf(b.state.agents[0].name, NAME_SIZE, "%s", g->instances[0].agent);
    b.seen.agents[0].connected = true;
    snprintf(seen->gate_mode, sizeof seen->gate_mode, "closed");
    assert_int_equal(ask("DELETE", "/v1/groups/orders", NULL), 409);
    assert_true(says("has not let port"));
    assert_int_equal(b.proposals, 0);
    snprintf(seen->gate_mode, sizeof seen->gate_mode, "unmanaged");
    assert_int_equal(ask("DELETE", "/v1/groups/orders", NULL), 200);
    snprintf(seen->gate_mode, sizeof seen->gate_mode, "closed");
    b.seen.agents[0].connected = false;
    assert_int_equal(ask("DELETE", "/v1/groups/orders", NULL), 200);
    assert_int_equal(b.proposals, 2);
}

static void what_is_wrong_is_answered(void **state)
{
    static const struct {
        const char *method, *path, *body;
        long status;
        const char *says;
    } table[] = {
        {"GET", "/v2", NULL, 404, "not-found"},
        {"GET", "/v1/groups/orders/pause", NULL, 405, "bad-request"},
        {"POST", "/v1/groups/nobody/pause", NULL, 404, "unknown-group"},
        {"POST", "/v1/groups/orders/pause", "{\"x\": 1}", 400, "x: unknown key"},
        {"POST", "/v1/groups/orders/pause", "{", 400, "line 1"},
        {"POST", "/v1/groups/orders/switchover", "{}", 400, "to: is missing"},
        {"POST", "/v1/groups/orders/switchover", "{\"to\": \"r9\"}", 404, "unknown-region"},
        {"POST", "/v1/groups/orders/attach", "{\"active\": 1}", 400, "active: "},
        {"POST", "/v1/groups/orders/attach", "{\"active\": \"r9\"}", 404, "unknown-region"},
        {"POST", "/v1/runs/21/abort", NULL, 404, "wrong-run"},
        {"POST", "/v1/groups", "[]", 400, "an object is expected"},
        {"GET", "/v1/groups/nobody/why", NULL, 404, "unknown-group"},
        {"GET", "/v1/log?limit=x", NULL, 400, "limit"},
        {"GET", "/v1/log?limit=5000", NULL, 400, "limit"},
        {"GET", "/v1/log?group=A", NULL, 400, "group"},
        {"GET", "/v1/log?group=nope", NULL, 404, "unknown-group"},
        {"GET", "/v1/log?group=nope&follow=1", NULL, 404, "there is no group nope"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (ask(table[i].method, table[i].path, table[i].body) != table[i].status)
            fail_msg("%s %s: %ld %s", table[i].method, table[i].path, call.status,
                     call.text);
        assert_true(says(table[i].says));
    }
    assert_int_equal(b.proposals, 0);
}

/* Refused before it is an entry, refused as one, unknown, and not possible: told apart. */
static void fates_are_told_apart(void **state)
{
    (void)state;
    b.dry = REFUSE_PHASE;
    assert_int_equal(ask("POST", "/v1/groups/orders/pause", NULL), 409);
    assert_true(says("\"code\":\"wrong-phase\""));
    assert_int_equal(b.notes, 1);
    assert_string_equal(b.note, "refused (wrong-phase): pause: because");
    b.dry = ACCEPTED;
    b.applied = REFUSE_STALE_EPOCH;
    assert_int_equal(ask("POST", "/v1/groups/orders/pause", NULL), 409);
    assert_true(says("\"code\":\"stale-epoch\""));
    b.done_status = ERR_UNKNOWN;
    assert_int_equal(ask("POST", "/v1/groups/orders/pause", NULL), 503);
    assert_true(says("outcome-unknown"));
    b.propose_code = ERR_NOTLEADER;
    assert_int_equal(ask("POST", "/v1/groups/orders/pause", NULL), 503);
    assert_true(says("nothing was done"));
    b.propose_code = ERR_UNSUPPORTED;
    assert_int_equal(ask("POST", "/v1/groups/orders/pause", NULL), 409);
    assert_true(says("format-not-announced"));
}

static void a_follower_asks_the_leader(void **state)
{
    (void)state;
    b.leads = false;
    b.leader_id = 2;
    assert_int_equal(ask("GET", "/v1/status", NULL), 200);
    assert_string_equal(call.text, "{\"from\":\"leader\"}");
    assert_int_equal(ask("POST", "/v1/groups/orders/pause", NULL), 200);
    assert_string_equal(b.forwarded, "POST /v1/groups/orders/pause");
    assert_int_equal(ask("POST", "/v1/groups?dry=1", "{}"), 200);
    assert_string_equal(b.forwarded, "POST /v1/groups?dry=1");
    assert_int_equal(b.forwards, 3);
    assert_int_equal(ask("GET", "/v1/version", NULL), 200); /* of this very node */
    assert_int_equal(b.forwards, 3);

    b.leader_id = 0;
    assert_int_equal(ask("GET", "/v1/status", NULL), 503);
    assert_true(says("\"stale\":true"));
    assert_int_equal(ask("POST", "/v1/groups/orders/pause", NULL), 503);
    assert_true(says("no-leader"));
    assert_int_equal(b.proposals, 0);
}

static void keep(void *owner, unsigned status, const void *body, size_t len)
{
    long *kept = owner;

    *kept = (long)status;
    memcpy(call.text, body, len);
    call.text[len] = '\0';
}

/* One hop: what was passed on is not passed on again. */
static void one_hop_is_enough(void **state)
{
    struct api_request r = {.method = "GET", .path = "/v1/status"};
    long status = 0;

    (void)state;
    api_serve(b.served, &r, keep, &status);
    assert_int_equal(status, 200);
    b.leads = false;
    b.leader_id = 2;
    api_serve(b.served, &r, keep, &status);
    assert_int_equal(status, 503);
    assert_int_equal(b.forwards, 0);
    r.path = "/v1/nothing?x=%00";
    api_serve(b.served, &r, keep, &status);
    assert_int_equal(status, 404);
}

static void a_failover_is_answered_when_it_has_begun(void **state)
{
    (void)state;
    b.take_failover = true;
    assert_int_equal(ask("POST", "/v1/groups/orders/failover", NULL), 200);
    assert_string_equal(call.text, "{\"run\":55}");
    b.take_failover = false;
    assert_int_equal(ask("POST", "/v1/groups/orders/failover", "{\"to\": null}"), 409);
    assert_true(says("target-ready"));
    assert_non_null(strstr(b.note, "refused (not-possible-now): failover: target-ready"));
    assert_false(b.failover_wanted); /* and is not kept for later */
    b.take_failover = true;
    assert_int_equal(ask("POST", "/v1/groups/orders/failover", "{\"to\": \"r0\"}"), 409);
    assert_true(says("group orders is active in r0 already"));
    assert_false(b.failover_wanted);
    b.state.groups[0].phase = PHASE_FENCING;
    assert_int_equal(ask("POST", "/v1/groups/orders/failover", NULL), 409);
    assert_true(says("wrong-phase"));
}

static void a_group_that_is_there_is_not_declared_again(void **state)
{
    static const char document[] =
        "{\"group\": \"orders\", \"regions\": [{\"name\": \"r0\", \"role\": \"active\"},"
        " {\"name\": \"r1\", \"role\": \"standby\"}],"
        " \"components\": [{\"name\": \"db\", \"provider\": \"postgres\", \"instances\": ["
        " {\"agent\": \"pg-0\", \"region\": \"r0\", \"port\": 1, \"data\": \"/a\"},"
        " {\"agent\": \"pg-1\", \"region\": \"r1\", \"port\": 1, \"data\": \"/b\"}]}]}";
    struct group *g = &b.state.groups[0];

    (void)state;
    assert_int_equal(ask("POST", "/v1/groups", document), 409); /* no such agents */
    assert_true(says("pg-0 is not known"));
    assert_int_equal(b.notes, 1);
    b.state.agent_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(b.state.agents[i].name, NAME_SIZE, "pg-%u", i);
        snprintf(b.state.agents[i].region, NAME_SIZE, "r%u", i);
    }
    assert_int_equal(ask("POST", "/v1/groups?dry=1", document), 200);
    assert_true(says("\"path\":\"components[0].name\""));
    assert_int_equal(b.proposals, 0);
    assert_int_equal(ask("POST", "/v1/groups", document), 200);
    assert_true(says("\"changed\":true"));
    *g = b.proposed.declare.spec;
    g->index = 42;
    g->phase = PHASE_FORMING; /* whoever asked looks again */
    g->epoch = 3;             /* its leases are still those of before the change */
    g->terms.ttl_ms = 6000;
    assert_int_equal(ask("POST", "/v1/groups", document), 200);
    assert_string_equal(call.text, "{\"group\":\"orders\",\"index\":42,\"changed\":false,"
                                   "\"ttl_ms\":3000,\"lease_ttl_ms\":6000,"
                                   "\"phase\":\"forming\"}");
    assert_int_equal(b.proposals, 1);
}

/* Lines come as they are due, until the client goes. */
static void followers_get_lines(void **state)
{
    (void)state;
    assert_int_equal(ask_for("GET", "/v1/status?follow=1", NULL, 1500), 200);
    assert_true(call.len > 0);
    assert_non_null(strchr(call.text, '\n'));
    assert_true(strchr(call.text, '\n') < call.text + call.len - 1); /* a second one */
    assert_int_equal(ask_for("GET", "/v1/log?follow=1&after=0", NULL, 500), 200);
    assert_true(says("\"seq\":1,"));
    assert_true(says("\"seq\":2,"));
    b.state.tombstone_count = 1;
    snprintf(b.state.tombstones[0].name, NAME_SIZE, "gone"); /* its log is there still */
    assert_int_equal(ask("GET", "/v1/log?group=gone&after=0&limit=1", NULL), 200);
    assert_int_equal(ask("GET", "/v1/log?after=0&limit=1", NULL), 200);
    assert_true(says("\"seq\":1,"));
    assert_null(strstr(call.text, "\"seq\":2,"));
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(words_become_entries),
        SERVED(a_group_goes_after_its_gates),
        SERVED(what_is_wrong_is_answered),
        SERVED(fates_are_told_apart),
        SERVED(a_follower_asks_the_leader),
        SERVED(one_hop_is_enough),
        SERVED(a_failover_is_answered_when_it_has_begun),
        SERVED(a_group_that_is_there_is_not_declared_again),
        SERVED(followers_get_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
