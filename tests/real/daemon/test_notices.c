/* Whom a group's file informs is told, by three real controllers and a real web server:
 * through a server that is down, and a leader that dies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/real/daemon/stage.h"
#include "tests/unit/base/tree.h"
#include "tests/unit/outbound/servers.h"

static char dir[TREE_PATH], wanted[64];
static struct server hook;
static unsigned times;

static int setup(void **state)
{
    static char extra[200];

    tree_make(dir, "/tmp");
    hook = server_start("web", dir, 0);
    server_write(dir, "hook.status", "204");
    snprintf(extra, sizeof extra,
             "notify:\n  - {name: hook, url: \"http://127.0.0.1:%u/hook\", plain: true, "
             "roles: [approver]}\n",
             hook.port);
    stage_extra = extra;
    return stage_setup(state);
}

static int teardown(void **state)
{
    server_stop(&hook);
    (void)tree_remove(dir);
    return stage_teardown(state);
}

/* The file as it is, with somebody who has to agree, and who is told. */
static void ask_for_approvals(struct stage *s)
{
    static const char windows[] =
        "[{\"need\": [\"operator\", \"approver\"], \"inform\": [\"approver\"]}]";
    long status;
    json_t *group = cluster_call(&s->c, 0, "GET", "/api/v1/groups/orders", NULL, &status),
           *answer;
    char *text;

    assert_int_equal(status, 200);
    (void)json_object_set_new(group, "approvals", json_loads(windows, 0, NULL));
    text = json_dumps(group, JSON_COMPACT);
    answer = cluster_call(&s->c, 1, "POST", "/api/v1/groups", text, &status);
    if (status != 200)
        fail_msg("%ld %s", status, json_dumps(answer, 0));
    json_decref(answer);
    json_decref(group);
    free(text);
}

/* At a controller that lives; `wanted` is what a notice of it says. */
static void propose(struct stage *s, int node, const char *why)
{
    char body[100];
    long status;
    json_t *answer;

    snprintf(body, sizeof body, "{\"to\":\"west\",\"reason\":\"%s\"}", why);
    answer = cluster_call(&s->c, node, "POST", "/api/v1/groups/orders/switchover", body,
                          &status);
    if (status != 200)
        fail_msg("%ld %s", status, json_dumps(answer, 0));
    snprintf(wanted, sizeof wanted, "lab/%lld\\\"",
             (long long)json_integer_value(json_object_get(answer, "index")));
    json_decref(answer);
}

static bool is_told(void *owner)
{
    const char *posts = server_wrote(dir, "posts");
    unsigned n = 0;

    (void)owner;
    for (const char *at = posts; (at = strstr(at, wanted)) != NULL; at++)
        n++;
    return n >= times;
}

static void people_are_told(void **state)
{
    struct stage *s = *state;
    int leader;

    ask_for_approvals(s);
    times = 1;
    propose(s, 0, "for the record");
    cluster_until(&s->c, is_told, s, 30000, "the hook told");
    assert_non_null(strstr(server_wrote(dir, "posts"), "\\\"event\\\":\\\"inform\\\""));
    assert_non_null(strstr(server_wrote(dir, "posts"), "for the record"));
    assert_non_null(strstr(server_wrote(dir, "posts"), "\\\"roles\\\":[\\\"approver\\\"]"));

    /* It is down, and comes back. */
    server_stop(&hook);
    propose(s, 1, "while it is down");
    cluster_turn_ms(&s->c, 3000);
    assert_false(is_told(NULL));
    hook = server_start("web", dir, hook.port);
    cluster_until(&s->c, is_told, s, 60000, "the hook told when it was back");

    /* A new leader cannot know what the last one has sent: once more, under the same id. */
    leader = cluster_wait_leader(&s->c);
    times = 2;
    cluster_kill(&s->c, leader);
    cluster_until(&s->c, is_told, s, 30000, "the hook told by the new leader");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(people_are_told, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
