/* What the status document says of what is not known, is over, or goes on unseen. */
#include "tests/unit/http/shown.h"

#include <stdio.h>
#include <string.h>

#include "controller/http/status.h"

static json_t *first_of(const json_t *document, const char *list)
{
    return json_array_get(json_object_get(document, list), 0);
}

/* Agents talk to the leader: a controller that knows none does not know that they are down;
 * and no leader is named beside "knows no leader". */
static void without_a_leader_agents_are_not_down(void **state)
{
    const json_t *agents;
    json_t *document;

    (void)state;
    f.leads = false;
    f.leader_id = 0;
    document = status_document(&f, now, 1795000000123, true);
    agents = json_object_get(document, "agents");
    assert_true(json_is_null(json_object_get(json_array_get(agents, 0), "connected")));
    assert_true(json_is_null(json_object_get(json_array_get(agents, 0), "heard_ms")));
    assert_true(json_is_true(json_object_get(json_array_get(agents, 1), "connected")));
    assert_string_equal(json_string_value(json_object_get(document, "leader")), "");
    json_decref(document);
}

/* Whoever waits to be taken in knows of nobody whether he votes. */
static void one_that_joins_knows_nobody(void **state)
{
    json_t *document;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        f.controllers[i].votes = false;
    f.controllers[0].self = true;
    f.controllers[2].self = false;
    f.leader_id = 0;
    snprintf(f.controllers[0].refused, sizeof f.controllers[0].refused, "lost its disk");
    document = status_document(&f, now, 1795000000123, true);
    assert_string_equal(
        json_string_value(json_object_get(first_of(document, "controllers"), "role")),
        "joining");
    assert_string_equal(
        json_string_value(json_object_get(first_of(document, "controllers"), "refused")),
        "lost its disk");
    assert_string_equal(
        json_string_value(json_object_get(
            json_array_get(json_object_get(document, "controllers"), 1), "role")),
        "unknown");
    json_decref(document);
}

/* After a failover, for as long as no other would follow; while it lasts. */
static void a_cooldown_is_told(void **state)
{
    json_t *document;

    (void)state;
    s.groups[0].policy.cooldown_ms = 600000;
    o.groups[0].last_failover = ago_ms(9000);
    document = status_document(&f, now, 1795000000123, false);
    assert_int_equal(
        json_integer_value(json_object_get(first_of(document, "groups"), "cooldown_ms")),
        591000);
    json_decref(document);
}

/* What a primary wrote before it crashed is known when it is down, and missing elsewhere.
 */
static void the_lag_counts_to_the_end_of_a_dead_log(void **state)
{
    struct seen_instance *east = &o.groups[0].instances[0].seen;
    uint64_t bytes;

    (void)state;
    *east = (struct seen_instance){
        .at = ago_ms(10), .epoch = 4, .timeline = 2, .flush_lsn = 0x103000060};
    o.groups[0].primary_timeline = 2;
    assert_true(status_lag_bytes(&s.groups[0], &o.groups[0], 0, &bytes));
    assert_int_equal(bytes, 0);
    o.groups[0].instances[1].seen.server = SERVER_DOWN;
    o.groups[0].instances[1].seen.flush_lsn += 104;
    assert_true(status_lag_bytes(&s.groups[0], &o.groups[0], 0, &bytes));
    assert_int_equal(bytes, 104);
    o.groups[0].instances[1].seen.timeline = 3; /* positions of another one */
    assert_true(status_lag_bytes(&s.groups[0], &o.groups[0], 0, &bytes));
    assert_int_equal(bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_leader_agents_are_not_down, setup),
        cmocka_unit_test_setup(one_that_joins_knows_nobody, setup),
        cmocka_unit_test_setup(a_cooldown_is_told, setup),
        cmocka_unit_test_setup(the_lag_counts_to_the_end_of_a_dead_log, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
