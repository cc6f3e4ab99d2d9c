/* Requests over a real Unix socket, against a pretended backend. */
#include "tests/unit/http/served.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/httpd/httpd.h"

/* The standby in r1 answers, streams and could lead. */
static void be_active(void)
{
    struct seen_instance *seen = &b.seen.groups[0].instances[0].seen;

    b.state.agent_count = 2;
    snprintf(b.state.agents[0].name, NAME_SIZE, "pg-1");
    snprintf(b.state.agents[1].name, NAME_SIZE, "pg-0");
    b.seen.agents[1].connected = true;
    seen->at = seen->said = mono_now();
    seen->server = SERVER_PRIMARY;
}

static void be_ready(void)
{
    struct seen_instance *seen = &b.seen.groups[0].instances[1].seen;

    be_active();
    b.seen.agents[0].connected = true;
    seen->at = seen->said = mono_now();
    seen->server = SERVER_STANDBY;
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
        {"POST", "/api/v1/groups/orders/pause", NULL, ENTRY_PAUSE,
         "{\"index\":42,\"changed\":true}"},
        {"POST", "/api/v1/groups/orders/resume", "{}", ENTRY_RESUME,
         "{\"index\":42,\"changed\":true}"},
        {"POST", "/api/v1/groups/orders/acknowledge", "{\"reason\": \"looked into it\"}",
         ENTRY_ACKNOWLEDGE, "{\"index\":42}"},
        {"POST", "/api/v1/groups/orders/detach", NULL, ENTRY_DETACH, "{\"index\":42}"},
        {"POST", "/api/v1/groups/orders/attach", "{\"active\": \"r1\"}", ENTRY_ATTACH,
         "{\"index\":42,\"phase\":\"steady\"}"},
        {"POST", "/api/v1/groups/orders/attach", NULL, ENTRY_ATTACH,
         "{\"index\":42,\"phase\":\"steady\"}"},
        {"POST", "/api/v1/groups/orders/attach", "{\"active\": null}", ENTRY_ATTACH,
         "{\"index\":42,\"phase\":\"steady\"}"},
        {"POST", "/api/v1/groups/orders/switchover",
         "{\"to\": \"r1\", \"reason\": \"drill\"}", ENTRY_SWITCHOVER, "{\"run\":42}"},
        {"POST", "/api/v1/runs/20/abort", NULL, ENTRY_RUN_ABORT, "{\"index\":42}"},
        {"DELETE", "/api/v1/groups/orders", NULL, ENTRY_REMOVE, "{\"index\":42}"},
    };

    (void)state;
    be_ready();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        b.state.groups[0].paused = table[i].kind == ENTRY_RESUME;
        assert_int_equal(ask(table[i].method, table[i].path, table[i].body), 200);
        assert_string_equal(call.text, table[i].answer);
        assert_int_equal(b.proposed.kind, table[i].kind);
        assert_string_equal(b.proposed.group, "orders");
        assert_string_equal(b.proposed.rule, "operator");
        if (table[i].kind == ENTRY_ATTACH) {
            bool other = table[i].body != NULL && strstr(table[i].body, "r1") != NULL;

            assert_int_equal(b.proposed.attach.active, other);
            assert_string_equal(b.proposed.attach.active_name, other ? "pg-1" : "pg-0");
        }
        if (table[i].kind == ENTRY_RUN_ABORT)
            assert_int_equal(b.proposed.run_abort.run, 20);
        if (table[i].kind != ENTRY_SWITCHOVER)
            continue;
        assert_int_equal(b.proposed.switchover.target, 1);
        assert_string_equal(b.proposed.switchover.target_name, "pg-1");
        assert_int_equal(b.proposed.switchover.epoch, 3);
        assert_string_equal(b.proposed.switchover.reason, "drill");
    }
    assert_int_equal(b.proposals, 10);
}

/* As `apply` of a file that changes nothing; but the log confirms it, and not this leader's
 * own idea of the state: it may be deposed and not know it. */
static void asked_again_it_is_as_it_was(void **state)
{
    static const char as_it_was[] = "{\"index\":42,\"changed\":false}";

    (void)state;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/resume", NULL), 200);
    assert_string_equal(call.text, as_it_was);
    b.state.groups[0].paused = true;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
    assert_string_equal(call.text, as_it_was);
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", "{\"x\": 1}"), 400);
    assert_int_equal(b.proposals, 2);
    b.done_status = ERR_NOTLEADER;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 503);
    assert_non_null(strstr(call.text, "outcome-unknown"));
    b.done_status = 0;
    b.propose_code = ERR_NOTLEADER;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 503);
}

/* It would stop and fence the primary, and wait behind the fence for nobody. How far it
 * lags is no matter: a planned move waits for that before the fence. */
static void a_switchover_needs_a_target_that_is_ready(void **state)
{
    static const char path[] = "/api/v1/groups/orders/switchover",
                      body[] = "{\"to\": \"r1\"}";
    struct group *g = &b.state.groups[0];

    (void)state;
    be_active();
    assert_int_equal(ask("POST", path, body), 409);
    assert_true(says("\"code\":\"target-not-ready\""));
    assert_true(says("pg-1 could not take over: its agent does not answer. To do: start "
                     "ringfence-agent on pg-1"));
    assert_non_null(strstr(b.note, "refused (target-not-ready): switchover: pg-1 could"));
    assert_string_equal(b.noted.name, "root");
    assert_string_equal(b.noted.from, "east");
    assert_int_equal(b.noted.kind, ACTOR_SOCKET);
    be_ready();
    g->instances[0].system_id = 7;
    g->instances[1].system_id = 8;
    assert_int_equal(ask("POST", path, body), 409);
    assert_true(says("its server has another system identifier. To do: another cluster"));
    assert_int_equal(b.proposals, 0);
    g->instances[1].system_id = 7;
    be_ready();
    b.seen.groups[0].instances[1].seen.replay_lag_ms = 10u * g->policy.max_lag_ms;
    assert_int_equal(ask("POST", path, body), 200);
    assert_int_equal(b.proposals, 1);
    b.dry = REFUSE_PHASE; /* what the state machine refuses keeps its own words */
    b.seen.agents[0].connected = false;
    assert_int_equal(ask("POST", path, body), 409);
    assert_true(says("\"code\":\"wrong-phase\""));
}

/* What cannot be stopped in good order is waited for in vain, and a failover is refused all
 * the while: so it is told at once what moves the group instead. */
static void a_switchover_needs_a_source_that_runs(void **state)
{
    enum { GONE, CRASHED, DOWN, HUNG };
    static const char path[] = "/api/v1/groups/orders/switchover",
                      body[] = "{\"to\": \"r1\"}";
    static const char *const says_why[] = {
        "the server of pg-0 cannot be stopped in good order: its agent does not answer. To "
        "do: `ringfence failover orders`, which needs nothing of it; or start "
        "ringfence-agent on pg-0",
        "good order: it does not run. To do: ", "good order: it does not run. To do: ",
        "good order: it hangs. To do: `ringfence failover orders`, which needs nothing of "
        "it; or wait until it runs again"};
    struct seen_instance *east = &b.seen.groups[0].instances[0].seen;

    (void)state;
    for (int what = GONE; what <= HUNG; what++) {
        be_ready();
        b.seen.agents[1].connected = what != GONE;
        east->crashed = what == CRASHED;
        east->server = what == DOWN ? SERVER_DOWN : SERVER_PRIMARY;
        east->hung = what == HUNG;
        assert_int_equal(ask("POST", path, body), 409);
        assert_true(says("\"code\":\"source-not-ready\""));
        assert_true(says(says_why[what]));
    }
    assert_int_equal(b.proposals, 0);
    b.state.groups[0].phase = PHASE_SWITCHING;
    b.state.groups[0].run.id = 574;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", NULL), 409);
    assert_true(says("`ringfence abort 574` takes the switchover back, then ask again"));
}

/* Who has mended the cause does not wait for the rest of the pause. */
static void what_failed_is_tried_again_now(void **state)
{
    struct step *step = &b.state.groups[0].instances[1].step;
    uint64_t ms;

    (void)state;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/retry", NULL), 200);
    assert_string_equal(call.text, "{\"changed\":false,\"steps\":[]}");
    *step = (struct step){.state = STEP_FAILED, .kind = STEP_FOLLOW, .failures = 8};
    b.seen.groups[0].instances[1].step_ended = mono_now();
    assert_true(step_retry_in(&b.state, &b.seen, 0, 1, mono_now(), &ms));
    assert_true(ms > 50000);
    assert_int_equal(ask("POST", "/api/v1/groups/orders/retry", "{\"x\": 1}"), 400);
    assert_int_equal(b.retries, 0);
    assert_int_equal(ask("POST", "/api/v1/groups/orders/retry", NULL), 200);
    assert_string_equal(call.text, "{\"changed\":true,\"steps\":[\"follow of pg-1\"]}");
    assert_int_equal(b.retries, 1);
    assert_true(step_retry_in(&b.state, &b.seen, 0, 1, mono_now(), &ms));
    assert_int_equal(ms, 0);
    assert_int_equal(b.proposals, 0);
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
    assert_int_equal(ask("DELETE", "/api/v1/groups/orders", NULL), 409);
    assert_true(says("has not let port"));
    assert_int_equal(b.proposals, 0);
    snprintf(seen->gate_mode, sizeof seen->gate_mode, "unmanaged");
    assert_int_equal(ask("DELETE", "/api/v1/groups/orders", NULL), 200);
    snprintf(seen->gate_mode, sizeof seen->gate_mode, "closed");
    b.seen.agents[0].connected = false;
    assert_int_equal(ask("DELETE", "/api/v1/groups/orders", NULL), 200);
    assert_int_equal(b.proposals, 2);
}

/* One that still answers is stopped first; one that nobody has heard of has no successor.
 */
static void a_silent_controller_is_replaced(void **state)
{
    static const char path[] = "/api/v1/controllers/east/replace";

    (void)state;
    assert_int_equal(ask("POST", "/api/v1/controllers/mars/replace", "{\"id\": 4}"), 404);
    assert_true(says("unknown-controller"));
    assert_int_equal(ask("POST", path, "{\"id\": 4}"), 409);
    assert_true(says("has not announced itself yet"));
    b.state.controller_count = 1;
    b.state.controllers[0].id = 1;
    snprintf(b.state.controllers[0].name, NAME_SIZE, "east");
    b.east_answers = true;
    assert_int_equal(ask("POST", path, "{\"id\": 4}"), 409);
    assert_true(says("still-there"));
    assert_int_equal(ask("POST", path, "{\"id\": 1}"), 200); /* asked again: it is so */
    assert_true(says("\"changed\":false"));
    assert_int_equal(ask("POST", path, "{\"id\": 0}"), 400);
    assert_int_equal(ask("POST", path, "{\"id\": \"4\"}"), 400);
    assert_int_equal(ask("POST", path, "{}"), 400);
    assert_true(says("one that none has had"));
    assert_int_equal(b.proposals, 0);

    b.east_answers = false;
    assert_int_equal(ask("POST", path, "{\"id\": 4}"), 200);
    assert_string_equal(call.text, "{\"index\":42}");
    assert_int_equal(b.proposed.kind, ENTRY_CONTROLLER_REPLACE);
    assert_int_equal(b.proposed.controller_replace.id, 4);
    assert_int_equal(b.proposed.controller_replace.former, 1);
    assert_string_equal(b.proposed.controller_replace.name, "east");
    assert_int_equal(b.proposals, 1);
}

static void what_is_wrong_is_answered(void **state)
{
    static const struct {
        const char *method, *path, *body;
        long status;
        const char *says;
    } table[] = {
        {"GET", "/v2", NULL, 404, "not-found"},
        {"GET", "/api/v1/primary", NULL, 404, "there is no /api/v1/primary\""},
        {"GET", "/primary", NULL, 404, "is answered by an agent"},
        {"GET", "/api/v1/groups/orders/pause", NULL, 405, "method-not-allowed"},
        {"POST", "/api/v1/groups/nobody/pause", NULL, 404, "unknown-group"},
        {"POST", "/api/v1/groups/orders/pause", "{\"x\": 1}", 400, "x: unknown key"},
        {"POST", "/api/v1/groups/orders/pause", "{", 400, "line 1"},
        {"POST", "/api/v1/groups/orders/switchover", "{}", 400, "to: is missing"},
        {"POST", "/api/v1/groups/orders/switchover", "{\"to\": \"r9\"}", 404,
         "unknown-region"},
        {"POST", "/api/v1/groups/orders/attach", "{\"active\": 1}", 400, "active: "},
        {"POST", "/api/v1/groups/orders/attach", "{\"active\": \"r9\"}", 404,
         "unknown-region"},
        {"POST", "/api/v1/runs/21/abort", NULL, 404, "wrong-run"},
        {"POST", "/api/v1/groups", "[]", 400, "an object is expected"},
        {"GET", "/api/v1/groups/nobody/why", NULL, 404, "unknown-group"},
        {"GET", "/api/v1/log?limit=x", NULL, 400, "limit"},
        {"GET", "/api/v1/log?limit=5000", NULL, 400, "limit"},
        {"GET", "/api/v1/log?group=A", NULL, 400, "group"},
        {"GET", "/api/v1/log?group=nope", NULL, 404, "unknown-group"},
        {"GET", "/api/v1/log?group=nope&follow=1", NULL, 404, "there is no group nope"},
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
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 409);
    assert_true(says("\"code\":\"wrong-phase\""));
    assert_int_equal(b.notes, 1);
    assert_string_equal(b.note, "refused (wrong-phase): pause: because");
    b.dry = ACCEPTED;
    b.applied = REFUSE_STALE_EPOCH;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 409);
    assert_true(says("\"code\":\"stale-epoch\""));
    b.done_status = ERR_UNKNOWN;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 503);
    assert_true(says("outcome-unknown"));
    b.propose_code = ERR_NOTLEADER;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 503);
    assert_true(says("nothing was done"));
    b.propose_code = ERR_UNSUPPORTED;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 409);
    assert_true(says("format-not-announced"));
}

static void a_follower_asks_the_leader(void **state)
{
    (void)state;
    b.leads = false;
    b.leader_id = 2;
    assert_int_equal(ask("GET", "/api/v1/status", NULL), 200);
    assert_string_equal(call.text, "{\"from\":\"leader\"}");
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 200);
    assert_string_equal(b.forwarded, "POST /api/v1/groups/orders/pause");
    assert_int_equal(ask("POST", "/api/v1/groups?dry=1", "{}"), 200);
    assert_string_equal(b.forwarded, "POST /api/v1/groups?dry=1");
    assert_int_equal(b.forwards, 3);
    assert_int_equal(ask("GET", "/api/v1/version", NULL), 200); /* of this very node */
    assert_int_equal(ask("GET", "/api/v1/doctor", NULL), 200);
    assert_true(says("\"program\":\"ringfenced\",\"name\":\"east\",\"host\":\""));
    assert_int_equal(b.forwards, 3);
    assert_int_equal(ask("GET", "/api/v1/rules", NULL), 200); /* of this very program */
    assert_true(
        says("{\"rule\":\"silent-holder\",\"from\":\"steady\",\"to\":\"fencing\","));
    assert_true(says("\"rule\":\"record-outcome\",\"from\":\"any\",\"to\":\"any\""));
    assert_true(says("\"rule\":\"operator-declare\",\"from\":\"none\""));
    assert_int_equal(b.forwards, 3);

    b.leader_id = 0;
    assert_int_equal(ask("GET", "/api/v1/status", NULL), 503);
    assert_true(says("\"code\":\"no-leader\""));
    assert_int_equal(ask("GET", "/api/v1/groups/orders", NULL), 503);
    assert_int_equal(ask("GET", "/api/v1/groups/orders?stale=ok", NULL), 200);
    assert_int_equal(ask("GET", "/api/v1/status?stale=yes", NULL), 400);
    assert_int_equal(ask("GET", "/api/v1/status?stale=ok", NULL), 200);
    assert_true(says("\"stale\":true"));
    assert_int_equal(ask("POST", "/api/v1/groups/orders/pause", NULL), 503);
    assert_true(says("no-leader"));
    assert_int_equal(b.proposals, 0);
}

/* Who asks why nothing happens gets the reason, and how long writes go on. */
static void why_is_answered_without_a_leader(void **state)
{
    struct group *g = &b.state.groups[0];

    (void)state;
    b.leads = false;
    b.leader_id = 0;
    g->instances[0].proof.last_grant = 29;
    g->instances[0].holder_epoch = 3;
    g->terms = g->policy.lease;
    b.seen.groups[0].instances[0].granted = mono_now();
    assert_int_equal(ask("GET", "/api/v1/groups/orders/why", NULL), 503);
    assert_int_equal(ask("GET", "/api/v1/groups/orders/why?stale=ok", NULL), 200);
    assert_true(says("\"stale\":true"));
    assert_true(says("\"verdict\":\"no leader: controller east knows none, nothing can be "
                     "decided, and unless the others have one, no writes are possible once "
                     "the lease of pg-0 is over (in "));
    assert_true(says("\"name\":\"leader\""));
    assert_int_equal(ask("GET", "/api/v1/status?stale=ok", NULL), 200);
    assert_true(says("\"hold\":\"no leader: controller east knows none"));
    /* Once the lease is over its gate is closed, and stays so, whoever fell silent (I3). */
    b.seen.groups[0].instances[0].seen.at = mono_now();
    snprintf(b.seen.groups[0].instances[0].seen.gate_mode, 16, "closed");
    assert_int_equal(ask("GET", "/api/v1/status?stale=ok", NULL), 200);
    assert_true(says("\"gate\":\"unknown\""));    /* it may have opened it again since */
    b.seen.groups[0].instances[0].granted.ns = 1; /* as the machine was started */
    assert_int_equal(ask("GET", "/api/v1/status?stale=ok", NULL), 200);
    assert_true(says("\"gate\":\"closed\""));
    b.leader_id = 1;
    b.leads = true;
    assert_int_equal(ask("GET", "/api/v1/groups/orders/why", NULL), 200);
    assert_true(says("\"stale\":false"));
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
    const struct caller c = {.kind = CALLER_SOCKET};
    struct api_request r = {.method = "GET", .path = "/api/v1/status", .caller = &c};
    long status = 0;

    (void)state;
    for (api_serve(b.served, &r, keep, &status); status == 0;)
        uv_run(&b.loop, UV_RUN_ONCE);
    assert_int_equal(status, 200);
    b.leads = false;
    b.leader_id = 2;
    api_serve(b.served, &r, keep, &status);
    assert_int_equal(status, 503);
    assert_int_equal(b.forwards, 0);
    r.path = "/api/v1/status?x=1"; /* from a newer version, perhaps */
    api_serve(b.served, &r, keep, &status);
    assert_int_equal(status, 400);
    r.path = "/api/v1/nothing?x=%00";
    api_serve(b.served, &r, keep, &status);
    assert_int_equal(status, 404);
}

static void a_failover_is_answered_when_it_has_begun(void **state)
{
    (void)state;
    b.take_failover = true;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", NULL), 200);
    assert_string_equal(call.text, "{\"run\":55}");
    b.take_failover = false;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", "{\"to\": null}"), 409);
    assert_true(says("target-ready"));
    assert_non_null(strstr(b.note, "refused (not-possible-now): failover: target-ready"));
    assert_false(b.failover_wanted); /* and is not kept for later */
    b.take_failover = true;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", "{\"to\": \"r0\"}"),
                     409);
    assert_true(says("group orders is active in r0 already"));
    assert_false(b.failover_wanted);
    b.state.groups[0].phase = PHASE_FENCING;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", NULL), 409);
    assert_true(says("wrong-phase"));
}

/* I5: what is proposed may still be committed, so "no" would be no true answer. */
static void a_failover_in_flight_is_not_denied(void **state)
{
    (void)state;
    b.take_failover = false;
    b.seen.groups[0].busy = true;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", NULL), 503);
    assert_true(says("\"code\":\"outcome-unknown\""));
    assert_true(says("may or may not begin"));
    assert_false(b.failover_wanted); /* no second one is begun */
    assert_int_equal(b.notes, 0);    /* nothing was refused */
    b.seen.groups[0].busy = false;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", NULL), 409);
    assert_true(says("not-possible-now"));
}

static void be_healthy(void)
{
    struct observed_instance *oi = &b.seen.groups[0].instances[0];
    struct mono now = mono_now();

    be_ready();
    b.seen.leading = true;
    b.seen.leading_since = now;
    oi->granted = oi->seen.at = oi->seen.said = now;
    oi->seen.epoch = 3;
    oi->seen.server = SERVER_PRIMARY;
}

/* "failover" is quickly typed where "switchover" is meant, and cannot be taken back. */
static void a_healthy_region_is_not_fenced_by_mistake(void **state)
{
    (void)state;
    b.take_failover = true;
    be_healthy();
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", NULL), 409);
    assert_true(says("\"code\":\"healthy\""));
    assert_true(says("`ringfence switchover orders --to r1`"));
    assert_true(says("`ringfence failover orders --even-if-healthy`"));
    assert_non_null(
        strstr(b.note, "refused (healthy): failover: nothing is wrong with r0"));
    assert_false(b.failover_wanted);
    be_healthy();
    b.seen.agents[0].connected = false; /* a switchover would be refused as well */
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", "{\"to\": \"r1\"}"),
                     409);
    assert_true(
        says("where group orders is active, and pg-1 could not take over: its agent "
             "does not answer. To do: start ringfence-agent on pg-1"));
    assert_null(strstr(call.text, "`ringfence switchover"));
    be_healthy();
    assert_int_equal(
        ask("POST", "/api/v1/groups/orders/failover", "{\"even_if_healthy\": 1}"), 400);
    assert_int_equal(
        ask("POST", "/api/v1/groups/orders/failover", "{\"even_if_healthy\": true}"), 200);
    b.state.groups[0].run.id = 20;
    be_healthy();
    b.seen.groups[0].instances[0].seen.hung = true;
    assert_int_equal(ask("POST", "/api/v1/groups/orders/failover", NULL), 200);
}

/* Lines come as they are due, until the client goes. */
static void followers_get_lines(void **state)
{
    (void)state;
    assert_int_equal(ask_for("GET", "/api/v1/status?follow=1", NULL, 1500), 200);
    assert_true(call.len > 0);
    assert_non_null(strchr(call.text, '\n'));
    assert_true(strchr(call.text, '\n') < call.text + call.len - 1); /* a second one */
    assert_int_equal(ask_for("GET", "/api/v1/log?follow=1&after=0", NULL, 500), 200);
    assert_true(says("\"seq\":1,"));
    assert_true(says("\"seq\":2,"));
    b.state.tombstone_count = 1;
    snprintf(b.state.tombstones[0].name, NAME_SIZE, "gone"); /* its log is there still */
    assert_int_equal(ask("GET", "/api/v1/log?group=gone&after=0&limit=1", NULL), 200);
    assert_int_equal(ask("GET", "/api/v1/log?after=0&limit=1", NULL), 200);
    assert_true(says("\"seq\":1,"));
    assert_null(strstr(call.text, "\"seq\":2,"));
}

static void expect_rows(uint64_t n)
{
    const char *at = call.text;
    char next[40];

    for (uint64_t seq = 1; seq <= n; seq++) {
        snprintf(next, sizeof next, "\"seq\":%" PRIu64 ",", seq);
        at = strstr(at, next);
        if (at == NULL)
            fail_msg("row %" PRIu64 " of %" PRIu64 " is missing", seq, n);
    }
    snprintf(next, sizeof next, "\"seq\":%" PRIu64 ",", n + 1);
    assert_null(strstr(at, next));
}

/* A log that is longer than what the httpd lets wait for a client: who reads gets all of it
 * (steps-alone found it: a stream that had asked for all was ended before its first byte).
 */
static void a_long_log_is_told_whole(void **state)
{
    (void)state;
    b.log_rows = 2500;
    assert_int_equal(ask("GET", "/api/v1/log?after=0&limit=1000", NULL), 200);
    assert_true(call.len > HTTPD_STREAM_BUF_MAX);
    expect_rows(1000);
    assert_true(call.whole);
    assert_int_equal(ask_for("GET", "/api/v1/log?after=0&follow=1", NULL, 3000), 200);
    expect_rows(2500);
}

/* I9: a trail that lacks rows does not look whole. */
static void a_log_that_fails_does_not_look_whole(void **state)
{
    (void)state;
    b.log_rows = 2500;
    b.log_status = ERR_IO;
    (void)ask("GET", "/api/v1/log?after=5&limit=1000", NULL);
    assert_false(call.whole);
    assert_int_equal(ask_for("GET", "/api/v1/log?after=0&follow=1", NULL, 5000), 200);
    assert_false(call.whole);
    assert_null(strstr(call.text, "\"seq\":1001,"));
    assert_int_equal(ask("GET", "/api/v1/log?after=0&limit=1", NULL),
                     200); /* others go on */
    assert_true(call.whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(words_become_entries),
        SERVED(a_switchover_needs_a_target_that_is_ready),
        SERVED(a_switchover_needs_a_source_that_runs),
        SERVED(asked_again_it_is_as_it_was),
        SERVED(a_healthy_region_is_not_fenced_by_mistake),
        SERVED(what_failed_is_tried_again_now),
        SERVED(a_group_goes_after_its_gates),
        SERVED(a_silent_controller_is_replaced),
        SERVED(what_is_wrong_is_answered),
        SERVED(fates_are_told_apart),
        SERVED(a_follower_asks_the_leader),
        SERVED(why_is_answered_without_a_leader),
        SERVED(one_hop_is_enough),
        SERVED(a_failover_is_answered_when_it_has_begun),
        SERVED(a_failover_in_flight_is_not_denied),
        SERVED(followers_get_lines),
        SERVED(a_long_log_is_told_whole),
        SERVED(a_log_that_fails_does_not_look_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
