/* What is read is not old, and what is asked for twice is done once, while leaders are
 * stopped, cut off and lost. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/http/reads.h"
#include "tests/real/daemon/stage.h"

static void signal_all_but(const struct cluster *c, int node, int what)
{
    for (int i = 0; i < NODES; i++)
        if (i != node && c->pids[i] != 0)
            assert_int_equal(kill(c->pids[i], what), 0);
}

static json_t *get(struct stage *s, int node, const char *path, long *ret_status)
{
    return cluster_call(&s->c, node, "GET", path, NULL, ret_status);
}

static const char *code_of(const json_t *reply)
{
    const char *code = json_string_value(at(reply, "code"));

    return code != NULL ? code : "";
}

/* The two others are stopped: it has been the leader, and nobody can say whether it still
 * is. What may be old is told to those who want that, at once. */
static void a_leader_alone_tells_nothing_that_may_be_old(void **state)
{
    static const char *const paths[] = {
        "/api/v1/status",    "/api/v1/groups/orders", "/api/v1/groups/orders/why",
        "/api/v1/proposals", "/api/v1/users",         "/api/v1/whoami"};
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);

    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        struct mono begun;
        json_t *reply;
        long status;

        signal_all_but(&s->c, leader, SIGSTOP);
        begun = mono_now();
        reply = get(s, leader, paths[i], &status);
        if (status != 503 || (strcmp(code_of(reply), "no-leader") != 0 &&
                              strcmp(code_of(reply), "not-confirmed") != 0))
            fail_msg("%s: %ld %s", paths[i], status, code_of(reply));
        assert_true(mono_since_ms(begun, mono_now()) < READS_DEADLINE_MS + 3000);
        json_decref(reply);
        reply = get(s, leader, "/api/v1/status?stale=ok", &status);
        assert_int_equal(status, 200);
        assert_true(json_is_true(at(reply, "stale")));
        assert_true(json_is_integer(at(reply, "age_ms")));
        assert_true(json_integer_value(at(reply, "applied")) > 0);
        json_decref(reply);
        signal_all_but(&s->c, leader, SIGCONT);
        leader = cluster_wait_leader(&s->c);
    }
}

static uv_timer_t timer; /* as long as the loop, whatever fails */
static int stopped_pid;

static void on_time(uv_timer_t *t)
{
    (void)kill(stopped_pid, SIGCONT);
    uv_timer_stop(t);
}

static void let_go(struct stage *s)
{
    uv_close((uv_handle_t *)&timer, NULL);
    cluster_turn_ms(&s->c, 1);
}

static int stopped;

static bool another_leads(void *owner)
{
    struct stage *s = owner;
    int leader = cluster_leader_seen_by(&s->c, (stopped + 1) % NODES);

    return leader >= 0 && leader != stopped;
}

/* A leader that was stopped for longer than an election goes on as if nothing were, and is
 * asked before it has heard anything: it tells what its successor has committed, or
 * nothing. */
static void a_stopped_leader_tells_nothing_old(void **state)
{
    enum { ROUNDS = 4 };
    struct stage *s = *state;

    uv_timer_init(&s->c.loop, &timer);
    for (int round = 0; round < ROUNDS; round++) {
        bool pause = round % 2 == 0;
        int leader = cluster_wait_leader(&s->c), pid = s->c.pids[leader], other;
        json_t *reply;
        long status;

        assert_int_equal(kill(pid, SIGSTOP), 0);
        stopped = leader;
        cluster_until(&s->c, another_leads, s, 15000, "another leader");
        other = (leader + 1) % NODES;
        reply = cluster_call(&s->c, other, "POST",
                             pause ? "/api/v1/groups/orders/pause"
                                   : "/api/v1/groups/orders/resume",
                             NULL, &status);
        assert_int_equal(status, 200);
        json_decref(reply);
        stopped_pid = pid;
        uv_timer_start(&timer, on_time, 300, 0);
        reply = get(s, leader, "/api/v1/status", &status);
        if (status == 200)
            assert_true(json_is_true(at(reply, "groups.0.paused")) == pause);
        else
            assert_int_equal(status, 503);
        json_decref(reply);
    }
    let_go(s);
}

/* The answer was lost with the leader: the client asks another one, with the same key, and
 * gets the first answer, though somebody has taken it back since. */
static void a_key_is_known_to_the_next_leader(void **state)
{
    static const char key[] = "Idempotency-Key: \"of-the-first-leader\"";
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    json_int_t index;
    json_t *reply;
    long status;

    reply = cluster_call_with(&s->c, (leader + 1) % NODES, key, "POST",
                              "/api/v1/groups/orders/pause", NULL, &status);
    assert_int_equal(status, 200);
    index = json_integer_value(at(reply, "index"));
    assert_true(index > 0);
    json_decref(reply);
    reply =
        cluster_call(&s->c, leader, "POST", "/api/v1/groups/orders/resume", NULL, &status);
    assert_int_equal(status, 200);
    json_decref(reply);
    cluster_kill(&s->c, leader);
    cluster_wait_leader(&s->c);
    for (int i = 0; i < NODES; i++) {
        if (i == leader)
            continue;
        reply = cluster_call_with(&s->c, i, key, "POST", "/api/v1/groups/orders/pause",
                                  NULL, &status);
        assert_int_equal(status, 200);
        assert_int_equal(json_integer_value(at(reply, "index")), index);
        assert_true(json_is_true(at(reply, "changed")));
        json_decref(reply);
        reply = cluster_call_with(&s->c, i, key, "POST", "/api/v1/groups/orders/detach",
                                  NULL, &status);
        assert_int_equal(status, 422);
        assert_string_equal(code_of(reply), "key-reused");
        json_decref(reply);
    }
    reply = cluster_status(&s->c);
    assert_false(json_is_true(at(reply, "groups.0.paused")));
    json_decref(reply);
    cluster_start(&s->c, leader, false);
    cluster_wait_leader(&s->c);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_leader_alone_tells_nothing_that_may_be_old),
        ON_STAGE(a_stopped_leader_tells_nothing_old),
        ON_STAGE(a_key_is_known_to_the_next_leader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
