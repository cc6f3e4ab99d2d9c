/* A cluster's life: a group is formed, leases are renewed, leaders and regions are lost. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "tests/real/daemon/stage.h"

/* The leader has seen both positions: it could forecast a loss. */
static bool lag_is_known(void *owner)
{
    struct stage *s = owner;
    json_t *status = cluster_status(&s->c);
    bool yes = json_is_integer(at(status, "groups.0.instances.1.lag_bytes")) &&
               s->west.server == SERVER_STANDBY;

    json_decref(status);
    return yes;
}

static int setup_off(void **state)
{
    struct stage *s = calloc(1, sizeof *s);

    stage_form(s, "off");
    s->west.lsn = 1;
    cluster_until(&s->c, lag_is_known, s, 10000, "a standby that streams");
    *state = s;
    return 0;
}

static void assert_text(const json_t *document_, const char *path, const char *expected)
{
    const char *got = json_string_value(at(document_, path));

    if (got == NULL || strcmp(got, expected) != 0)
        fail_msg("%s is %s, expected %s", path, got != NULL ? got : "(nothing)", expected);
}

/* Renewals are granted one after the other, each within a few milliseconds. */
static void leases_are_renewed(void **state)
{
    struct stage *s = *state;
    unsigned before = s->east.grants;

    s->east.slowest_answer_us = 0;
    cluster_turn_ms(&s->c, 3000);
    assert_true(s->east.grants >= before + 10);
    assert_int_equal(s->east.gaps, 0);
    assert_true(s->east.slowest_answer_us < 1000000);
    assert_int_equal(s->west.grants, 0);
}

/* I7: the loss of the leader closes no gate. */
static void a_lost_leader_closes_no_gate(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    unsigned before;

    cluster_kill(&s->c, leader);
    before = s->east.grants;
    cluster_wait_leader(&s->c);
    cluster_turn_ms(&s->c, 1500);
    assert_true(s->east.grants > before + 5);
    assert_int_equal(s->east.gaps, 0);
    assert_true(fake_agent_is_open(&s->east));
    assert_int_equal(s->east.fence_orders, 0);

    cluster_start(&s->c, leader, false);
    cluster_wait_leader(&s->c);
}

/* I2, I4: silence alone moves nothing until the lease has been counted out; then the fence,
 * the proof by expiry, the activation, the promotion, in this order. */
static void a_silent_region_is_replaced_after_its_lease(void **state)
{
    struct stage *s = *state;
    struct boot last;
    json_t *status;

    s->east.silent = true;
    last = s->east.deadline;
    cluster_until(&s->c, stage_west_serves, s, 10000, "the other region serving");
    assert_true(boot_now().ns > last.ns);
    assert_false(fake_agent_is_open(&s->east));
    status = cluster_status(&s->c);
    assert_text(status, "groups.0.active", "pg-west");
    assert_text(status, "groups.0.run.kind", "failover");
    assert_text(status, "groups.0.run.proof", "lease-expiry");
    assert_text(status, "groups.0.run.rule", "silent-holder");
    assert_int_equal(json_integer_value(at(status, "groups.0.epoch")), 2);
    assert_int_equal(json_integer_value(at(status, "groups.0.failovers")), 1);
    json_decref(status);

    /* It comes back, is told its new role, and follows. */
    s->east.silent = false;
    s->east.server = SERVER_DOWN;
    cluster_until(&s->c, stage_is_whole, s, 15000, "the old primary rejoined");
    assert_false(fake_agent_is_open(&s->east));
    assert_true(s->east.steps[RF__STEP_KIND__STEP_FOLLOW] > 0);
}

/* Where no set says who holds what (`off`), a failover needs the primary's last position.
 * It was told to the old leader alone; whoever leads next knows it as well, though the
 * primary fell silent before it led. */
static void a_new_leader_knows_the_last_position(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    json_t *status;

    cluster_turn_ms(&s->c, 1500); /* what a controller sees, the others are told */
    s->east.silent = true;
    cluster_kill(&s->c, leader);
    cluster_until(&s->c, stage_west_serves, s, 20000, "the other region serving");
    assert_false(fake_agent_is_open(&s->east));
    status = cluster_status(&s->c);
    assert_text(status, "groups.0.active", "pg-west");
    assert_true(json_is_integer(at(status, "groups.0.run.forecast_lost_bytes")));
    json_decref(status);
}

/* A crash is reported by a living agent: the fence is its own word, which takes no wait. */
static void a_crash_is_fenced_by_the_agent(void **state)
{
    struct stage *s = *state;
    struct mono start = mono_now();
    json_t *status;

    s->east.server = SERVER_DOWN;
    cluster_until(&s->c, stage_west_serves, s, 10000, "the other region serving");
    assert_true(mono_since_ms(start, mono_now()) < 2700);
    assert_true(s->east.fence_orders > 0);
    status = cluster_status(&s->c);
    assert_text(status, "groups.0.run.proof", "agent");
    json_decref(status);
}

/* A planned move: checkpoint, stop under the lease, fence by the agent, promotion. */
static void a_switchover_moves_the_group(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    long status;
    json_t *reply;

    s->west.lsn = UINT32_MAX; /* it has flushed whatever the old primary wrote */
    reply = cluster_call(&s->c, (leader + 1) % NODES, "POST",
                         "/api/v1/groups/orders/switchover", "{\"to\": \"west\"}", &status);
    assert_int_equal(status, 200);
    assert_true(json_integer_value(at(reply, "run")) > 0);
    json_decref(reply);
    cluster_until(&s->c, stage_west_serves, s, 10000, "the other region serving");
    assert_true(s->east.steps[RF__STEP_KIND__STEP_STOP] > 0);
    assert_false(fake_agent_is_open(&s->east));
}

/* `failover` of a healthy region is refused unless that is said; it is answered once the
 * fence is committed; with nobody to take over it is refused with the reason. */
static void an_operator_may_fail_over(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    long status;
    json_t *reply;

    reply = cluster_call(&s->c, leader, "POST", "/api/v1/groups/orders/failover", "{}",
                         &status);
    assert_int_equal(status, 409); /* a switchover is what is meant, as a rule */
    assert_string_equal(json_string_value(at(reply, "code")), "healthy");
    json_decref(reply);
    reply = cluster_call(&s->c, leader, "POST", "/api/v1/groups/orders/failover",
                         "{\"even_if_healthy\": true}", &status);
    if (status != 200)
        fail_msg("%ld %s", status, json_dumps(reply, 0));
    assert_true(json_integer_value(at(reply, "run")) > 0);
    json_decref(reply);
    cluster_until(&s->c, stage_west_serves, s, 10000, "the other region serving");

    s->east.silent = true; /* the only other one */
    cluster_turn_ms(&s->c, 1500);
    reply = cluster_call(&s->c, leader, "POST", "/api/v1/groups/orders/failover",
                         "{\"even_if_healthy\": true}", &status);
    assert_int_equal(status, 409);
    assert_non_null(strstr(json_string_value(at(reply, "detail")), "pg-east"));
    json_decref(reply);
}

/* All three end and come back: nothing is forgotten, the group goes on by itself. */
static void a_restart_of_all_keeps_the_state(void **state)
{
    struct stage *s = *state;
    json_t *status;

    for (int i = 0; i < NODES; i++)
        cluster_kill(&s->c, i);
    for (int i = 0; i < NODES; i++)
        cluster_start(&s->c, i, false);
    cluster_wait_leader(&s->c);
    cluster_until(&s->c, stage_east_serves, s, 10000, "the same primary serving");
    status = cluster_status(&s->c);
    assert_text(status, "groups.0.active", "pg-east");
    assert_int_equal(json_integer_value(at(status, "groups.0.epoch")), 1);
    json_decref(status);
    assert_int_equal(cluster_stop(&s->c, WITNESS), 0);
}

static bool probes_say(struct stage *s, const char *path, bool expected)
{
    static const char *const others[] = {"east", "west", "witness"};
    json_t *status = cluster_status(&s->c);
    const json_t *probes = at(status, path);
    bool yes = true;

    for (int i = 0; i < NODES; i++)
        yes = yes && json_is_boolean(json_object_get(probes, others[i])) &&
              json_is_true(json_object_get(probes, others[i])) == expected;
    json_decref(status);
    return yes;
}

static bool all_see_it(void *owner)
{
    return probes_say(owner, "groups.0.instances.0.probes", true);
}

static bool none_sees_it(void *owner)
{
    return probes_say(owner, "groups.0.instances.0.probes", false);
}

/* From all controllers; a server that accepts and says nothing is none. Shown, and no more.
 */
static void probes_are_shown_and_decide_nothing(void **state)
{
    struct stage *s = *state;
    unsigned before;

    cluster_until(&s->c, all_see_it, s, 10000, "all controllers see the server");
    s->east.deaf = true;
    cluster_until(&s->c, none_sees_it, s, 10000, "no controller sees the server");
    before = s->east.grants;
    cluster_turn_ms(&s->c, 1000);
    assert_true(s->east.grants > before);
    assert_true(fake_agent_is_open(&s->east));
}

/* I7: an agent that does not reach the leader renews, reports, and is fenced through any
 * other controller. */
static void a_path_through_a_follower_is_enough(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    unsigned before = s->east.grants;

    fake_agent_cut(&s->east, leader);
    fake_agent_cut(&s->east, (leader + 1) % NODES);
    cluster_turn_ms(&s->c, 2000);
    assert_true(s->east.grants > before + 5);
    assert_int_equal(s->east.gaps, 0);
    assert_int_equal(s->east.fence_orders, 0);

    s->east.server = SERVER_DOWN;
    cluster_until(&s->c, stage_west_serves, s, 10000, "the other region serving");
    assert_true(s->east.fence_orders > 0);
}

/* Every controller knows of every direction between any two. */
static bool all_links_are_up(void *owner)
{
    struct stage *s = owner;
    unsigned up = 0;

    for (int node = 0; node < NODES; node++) {
        long status;
        size_t i;
        json_t *v = cluster_call(&s->c, node, "GET", "/api/v1/doctor", NULL, &status),
               *link;

        json_array_foreach(json_object_get(v, "links"), i, link)
        {
            const char *state = json_string_value(json_object_get(link, "state"));

            up += state != NULL && strcmp(state, "up") == 0;
        }
        json_decref(v);
    }
    return up == NODES * NODES * (NODES - 1);
}

/* The link between two others is gone: the third one tells. */
static bool west_is_told_to_be_cut_off(void *owner)
{
    struct stage *s = owner;
    long status;
    json_t *v = cluster_call(&s->c, EAST, "GET", "/api/v1/doctor", NULL, &status);
    const char *state = json_string_value(at(v, "links.5.state")); /* witness to west */
    bool yes = state != NULL && strcmp(state, "down") == 0;

    json_decref(v);
    return yes;
}

static void the_doctor_knows_of_every_link(void **state)
{
    struct stage *s = *state;

    cluster_until(&s->c, all_links_are_up, s, 10000, "all links up, as all say");
    cluster_kill(&s->c, WEST);
    cluster_until(&s->c, west_is_told_to_be_cut_off, s, 10000, "a link that is down");
}

static const char *doctor_says(const json_t *v, const char *check, const char *what)
{
    const json_t *one;
    size_t i;

    json_array_foreach(at(v, "findings"), i, one)
    {
        const char *name = json_string_value(json_object_get(one, "check"));

        if (name != NULL && strcmp(name, check) == 0)
            return json_string_value(json_object_get(one, what));
    }
    return "";
}

static bool east_is_told_to_be_silent(void *owner)
{
    struct stage *s = owner;
    long status;
    json_t *v = cluster_call(&s->c, WEST, "GET", "/api/v1/doctor", NULL, &status);
    bool yes = strcmp(doctor_says(v, "link-east", "level"), "fail") == 0 &&
               strstr(doctor_says(v, "link-east", "text"), "without an answer") != NULL;

    json_decref(v);
    return yes;
}

/* A stopped process keeps its connections: they are up, and the link is not. */
static void the_doctor_knows_a_silent_peer(void **state)
{
    struct stage *s = *state;

    cluster_until(&s->c, all_links_are_up, s, 10000, "all links up, as all say");
    assert_int_equal(kill(s->c.pids[EAST], SIGSTOP), 0);
    cluster_until(&s->c, east_is_told_to_be_silent, s, 10000, "a link without answers");
    assert_int_equal(kill(s->c.pids[EAST], SIGCONT), 0);
    cluster_until(&s->c, all_links_are_up, s, 10000, "all links up again");
}

/* What operators and auditors read is there: metrics, the log, the doctor. */
static void what_is_read_is_there(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);
    long status;
    json_t *v;
    char *text = cluster_get_tcp(&s->c, s->c.metrics[leader], "/metrics", &status);

    assert_int_equal(status, 200);
    assert_non_null(strstr(text, "ringfence_raft_leader 1\n"));
    assert_non_null(
        strstr(text, "ringfence_group_phase{group=\"orders\",phase=\"steady\"} 1"));
    free(text);
    for (int i = 0; i < NODES; i++) {
        v = cluster_call(&s->c, i, "GET", "/api/v1/log?group=orders&limit=1&after=0", NULL,
                         &status);
        assert_text(v, "kind", "declare");
        assert_text(v, "result", "accepted");
        assert_int_equal(strlen(json_string_value(at(v, "hash"))), 64);
        json_decref(v);
        v = cluster_call(&s->c, i, "GET", "/api/v1/doctor", NULL, &status);
        assert_true(json_array_size(at(v, "findings")) >= 6);
        json_decref(v);
        v = cluster_call(&s->c, i, "GET", "/api/v1/groups/orders/why", NULL, &status);
        assert_true(json_array_size(at(v, "conditions")) > 5);
        json_decref(v);
    }
}

static unsigned log_count(const struct cluster *c, int node, const char *words)
{
    static char text[1 << 18];
    unsigned n = 0;

    cluster_log(c, node, text, sizeof text);
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        n++;
    return n;
}

/* One name, two lives: the second is told so while the first is heard, and takes nothing.
 */
static void two_agents_of_one_name_are_refused(void **state)
{
    struct stage *s = *state;
    struct fake_agent twin;
    unsigned before = s->east.grants;

    fake_agent_open(&twin, &s->c, "pg-east", "east", 9);
    cluster_turn_ms(&s->c, 1000);
    assert_true(twin.refused > 0);
    assert_non_null(strstr(twin.refusal_text, "two agents of one name"));
    assert_int_equal(twin.grants, 0);
    assert_false(twin.assigned);
    assert_true(s->east.grants > before);
    assert_int_equal(s->east.gaps, 0);
    /* Each controller has said it once, however often the twin came back. */
    cluster_turn_ms(&s->c, 1500);
    assert_true(twin.refused > NODES);
    for (int node = 0; node < NODES; node++)
        assert_in_range(log_count(&s->c, node, "refused: two agents of one name"), 0, 1);
    fake_agent_close(&twin);
}

static bool is_assigned(void *owner)
{
    const struct fake_agent *a = owner;

    return a->assigned;
}

/* A restart in another life, at once, is no second agent: nobody is refused, nothing is
 * logged as an error, and the new life is taken when the old one has been silent. */
static void a_fast_restart_is_no_twin(void **state)
{
    struct stage *s = *state;

    fake_agent_close(&s->west);
    fake_agent_open(&s->west, &s->c, "pg-west", "west", 9);
    cluster_until(&s->c, is_assigned, &s->west, 10000, "the new life's assignment");
    assert_int_equal(s->west.refused, 0);
    for (int node = 0; node < NODES; node++)
        assert_int_equal(log_count(&s->c, node, "refused: two agents"), 0);
}

/* I7: one controller alone decides nothing and says that what it shows is stale. */
static void a_minority_decides_nothing(void **state)
{
    struct stage *s = *state;
    json_t *reply;
    long status;

    cluster_kill(&s->c, EAST);
    cluster_kill(&s->c, WEST);
    s->east.silent = true;
    cluster_turn_ms(&s->c, 3000);
    reply = cluster_call(&s->c, WITNESS, "GET", "/api/v1/status", NULL, &status);
    assert_int_equal(status, 503);
    assert_text(reply, "code", "no-leader");
    json_decref(reply);
    reply = cluster_call(&s->c, WITNESS, "GET", "/api/v1/status?stale=ok", NULL, &status);
    assert_int_equal(status, 200);
    assert_true(json_is_true(at(reply, "stale")));
    assert_text(reply, "groups.0.active", "pg-east");
    json_decref(reply);
    reply =
        cluster_call(&s->c, WITNESS, "POST", "/api/v1/groups/orders/pause", NULL, &status);
    assert_int_equal(status, 503);
    json_decref(reply);
    assert_false(fake_agent_is_open(&s->west));
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(leases_are_renewed),
        ON_STAGE(a_lost_leader_closes_no_gate),
        ON_STAGE(a_silent_region_is_replaced_after_its_lease),
        cmocka_unit_test_setup_teardown(a_new_leader_knows_the_last_position, setup_off,
                                        stage_teardown),
        ON_STAGE(a_crash_is_fenced_by_the_agent),
        ON_STAGE(a_switchover_moves_the_group),
        ON_STAGE(an_operator_may_fail_over),
        ON_STAGE(a_restart_of_all_keeps_the_state),
        ON_STAGE(probes_are_shown_and_decide_nothing),
        ON_STAGE(a_path_through_a_follower_is_enough),
        ON_STAGE(what_is_read_is_there),
        ON_STAGE(the_doctor_knows_of_every_link),
        ON_STAGE(the_doctor_knows_a_silent_peer),
        ON_STAGE(two_agents_of_one_name_are_refused),
        ON_STAGE(a_fast_restart_is_no_twin),
        ON_STAGE(a_minority_decides_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
