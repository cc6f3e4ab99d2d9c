/* The group document: what is good is read and written back, what is wrong is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/http/document.h"
#include "controller/http/route.h"

static const char good[] =
    "{\"group\": \"orders\","
    " \"regions\": [{\"name\": \"east\", \"role\": \"active\", \"tags\": [\"eu\"]},"
    " {\"name\": \"west\", \"role\": \"standby\", \"tags\": [\"eu\"]}],"
    " \"residency\": [\"eu\"],"
    " \"lease\": {\"ttl_ms\": 1000, \"renew_ms\": 150, \"rho_ppm\": 10000},"
    " \"sync\": \"strict\","
    " \"components\": [{\"name\": \"db\", \"provider\": \"postgres\","
    " \"ungated_local\": false, \"standby_reads\": true, \"instances\": ["
    " {\"agent\": \"pg-east\", \"region\": \"east\", \"port\": 5432, \"data\": \"/e\","
    " \"start\": \"systemd:postgresql@15-main\"},"
    " {\"agent\": \"pg-west\", \"region\": \"west\", \"port\": 5433, \"data\": \"/w\"}]}],"
    " \"fence\": [\"agent\", \"lease_expiry\"],"
    " \"adopt\": true,"
    " \"decide\": {\"automatic\": false, \"local_restarts\": 0, \"failover_after_ms\": 5,"
    " \"hung_after_ms\": 9000, \"shrink_after_ms\": 7, \"promote_deadline_ms\": 20000,"
    " \"stop_deadline_ms\": 3000, \"cooldown_ms\": 0, \"max_lag_bytes\": 1,"
    " \"max_lag_ms\": 2, \"probe_ms\": 500}}";

static void read_ok(const char *text, struct group *g)
{
    struct err err = {0};

    if (document_read(text, strlen(text), g, &err) != 0)
        fail_msg("%s", err.text);
}

static void every_key_is_read(void **state)
{
    struct group g;

    (void)state;
    read_ok(good, &g);
    assert_string_equal(g.name, "orders");
    assert_string_equal(g.component, "db");
    assert_string_equal(g.provider, "postgres");
    assert_int_equal(g.region_count, 2);
    assert_string_equal(g.regions[1].name, "west");
    assert_string_equal(g.regions[1].tags[0], "eu");
    assert_int_equal(g.instance_count, 2);
    assert_int_equal(g.active, 0);
    assert_string_equal(g.instances[0].start, "systemd:postgresql@15-main");
    assert_string_equal(g.instances[1].start, "pg_ctl");
    assert_int_equal(g.instances[1].port, 5433);
    assert_int_equal(g.instances[1].region, 1);
    assert_string_equal(g.policy.residency[0], "eu");
    assert_int_equal(g.policy.lease.ttl_ms, 1000);
    assert_int_equal(g.policy.renew_ms, 150);
    assert_int_equal(g.policy.sync, SYNC_STRICT);
    assert_true(g.policy.standby_reads);
    assert_false(g.policy.ungated_local);
    assert_true(g.adopt);
    assert_false(g.policy.automatic);
    assert_int_equal(g.policy.local_restarts, 0);
    assert_int_equal(g.policy.failover_after_ms, 5);
    assert_int_equal(g.policy.hung_after_ms, 9000);
    assert_int_equal(g.policy.shrink_after_ms, 7);
    assert_int_equal(g.policy.promote_deadline_ms, 20000);
    assert_int_equal(g.policy.stop_deadline_ms, 3000);
    assert_int_equal(g.policy.cooldown_ms, 0);
    assert_int_equal(g.policy.max_lag_bytes, 1);
    assert_int_equal(g.policy.max_lag_ms, 2);
    assert_int_equal(g.policy.probe_ms, 500);
    assert_int_equal(g.policy.fence, FENCE_AGENT | FENCE_LEASE_EXPIRY);
}

static void what_is_left_out_has_its_default(void **state)
{
    static const char few[] =
        "{\"group\": \"o\", \"regions\": [{\"name\": \"a\", \"role\": \"standby\"},"
        " {\"name\": \"b\", \"role\": \"active\"}], \"components\": [{\"name\": \"db\","
        " \"provider\": \"postgres\", \"instances\": ["
        " {\"agent\": \"x\", \"region\": \"a\", \"port\": 1, \"data\": \"/a\"},"
        " {\"agent\": \"y\", \"region\": \"b\", \"port\": 1, \"data\": \"/b\"}]}]}";
    struct policy defaults;
    struct group g;

    (void)state;
    read_ok(few, &g);
    policy_defaults(&defaults);
    assert_int_equal(g.active, 1);
    assert_int_equal(g.policy.lease.ttl_ms, defaults.lease.ttl_ms);
    assert_int_equal(g.policy.cooldown_ms, defaults.cooldown_ms);
    assert_int_equal(g.policy.shrink_after_ms, 2 * defaults.lease.ttl_ms);
    assert_int_equal(g.policy.fence, defaults.fence);
    assert_true(g.policy.automatic);
    assert_false(g.adopt);
}

/* What is written back is read to the same group. */
static void a_document_survives_the_round_trip(void **state)
{
    struct group g, again;
    json_t *document, *diff;
    struct err err = {0};

    (void)state;
    read_ok(good, &g);
    document = document_of(&g);
    assert_non_null(document);
    if (document_parse(document, &again, &err) != 0)
        fail_msg("%s", err.text);
    assert_memory_equal(&g, &again, sizeof g);
    diff = document_diff(&g, &again);
    assert_int_equal(json_array_size(diff), 0);
    json_decref(diff);
    json_decref(document);
}

static void a_difference_is_named_by_its_path(void **state)
{
    struct group g, other;
    json_t *diff;

    (void)state;
    read_ok(good, &g);
    other = g;
    other.policy.lease.ttl_ms = 2000;
    other.instances[1].port = 6000;
    diff = document_diff(&g, &other);
    assert_int_equal(json_array_size(diff), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(diff, 0), "path")),
                        "lease.ttl_ms");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(diff, 0), "from")),
                     1000);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(diff, 0), "to")),
                     2000);
    assert_string_equal(json_string_value(json_object_get(json_array_get(diff, 1), "path")),
                        "components[0].instances[1].port");
    json_decref(diff);

    diff = document_diff(NULL, &g); /* a new group: all of it */
    assert_true(json_array_size(diff) > 5);
    assert_true(json_is_null(json_object_get(json_array_get(diff, 0), "from")));
    json_decref(diff);
}

/* One part of the good document is replaced; the error names the path. */
static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *from, *to, *says;
    } table[] = {
        {"{\"group\": \"orders\",", "", "line 1"},
        {"\"group\": \"orders\"", "\"group\": \"Orders\"", "group: \"Orders\""},
        {"\"group\": \"orders\"", "\"group\": 7", "group: is something else"},
        {"\"group\": \"orders\"", "\"gruop\": \"orders\"", "gruop: unknown key"},
        {"\"group\": \"orders\",", "\"group\": \"a\", \"group\": \"b\",", "duplicate"},
        {"\"role\": \"active\"", "\"role\": \"standby\"", "regions: none is active"},
        {"\"role\": \"standby\"", "\"role\": \"active\"",
         "regions[1].role: east is active"},
        {"\"role\": \"standby\"", "\"role\": \"third\"", "regions[1].role: \"active\" or"},
        {"\"name\": \"west\"", "\"name\": \"east\"", "regions[1].name: region east"},
        {"\"residency\": [\"eu\"]", "\"residency\": \"eu\"",
         "residency: is something else"},
        {"\"ttl_ms\": 1000", "\"ttl_ms\": 1", "lease.ttl_ms: 1 is not in 300 to 60000"},
        {"\"ttl_ms\": 1000", "\"ttl_ms\": \"1s\"", "lease.ttl_ms: a whole number"},
        {"\"ttl_ms\": 1000", "\"ttl_ms\": -5", "lease.ttl_ms: -5"},
        {"\"ttl_ms\": 1000", "\"ttl\": 1000", "lease.ttl: unknown key; known are: ttl_ms"},
        {"\"sync\": \"strict\"", "\"sync\": \"never\"", "sync: \"never\": one of \"off\""},
        {"\"provider\": \"postgres\"", "\"provider\": \"redis\"",
         "components[0].provider: \"redis\" is not in this version"},
        {"\"ungated_local\": false", "\"ungated_local\": \"no\"",
         "components[0].ungated_local: true or false"},
        {"\"agent\": \"pg-west\"", "\"agent\": \"pg-east\"",
         "components[0].instances[1].agent: agent pg-east has an instance"},
        {"\"region\": \"west\"", "\"region\": \"north\"",
         "components[0].instances[1].region: region north is not in `regions`"},
        {"\"region\": \"west\"", "\"region\": \"east\"",
         "components[0].instances[1].region: region east has an instance already"},
        {"\"port\": 5433", "\"port\": 70000", "components[0].instances[1].port: 70000"},
        {"\"port\": 5433,", "", "components[0].instances[1].port: is missing"},
        {"\"data\": \"/w\"", "\"data\": \"w\"", "components[0].instances[1].data"},
        {"\"data\": \"/w\"", "\"data\": \"/w\\u0007\"", "control character"},
        {"systemd:postgresql@15-main", "rc.d", "components[0].instances[0].start"},
        {"\"fence\": [\"agent\", \"lease_expiry\"]", "\"fence\": [\"agent\", \"power\"]",
         "fence[1]: \"power\" is not in this version"},
        {"\"fence\": [\"agent\", \"lease_expiry\"]", "\"fence\": []", "fence: has 0"},
        {"\"fence\": [\"agent\", \"lease_expiry\"]", "\"fence\": [\"hope\"]",
         "fence[0]: \"hope\": \"agent\""},
        {"\"cooldown_ms\": 0", "\"cooldown_ms\": 1.5",
         "decide.cooldown_ms: a whole number"},
        {"\"adopt\": true", "\"adopt\": 1", "adopt: true or false"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *found = strstr(good, table[i].from);
        char text[3000];
        struct group g;
        struct err err = {0};

        assert_non_null(found);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(found - good), good, table[i].to,
                 found + strlen(table[i].from));
        if (document_read(text, strlen(text), &g, &err) == 0)
            fail_msg("\"%s\" was accepted", table[i].to);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("\"%s\": \"%s\" lacks \"%s\"", table[i].to, err.text, table[i].says);
    }
}

/* Whether it fits the cluster. */
static void what_does_not_fit_is_named(void **state)
{
    static struct state s;
    struct document_surroundings around = {&s, 1};
    struct group g;
    struct err err = {0};

    (void)state;
    read_ok(good, &g);
    state_init(&s, "lab");
    assert_int_equal(document_check(&g, &around, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "pg-east is not known"));

    s.agent_count = 2;
    snprintf(s.agents[0].name, NAME_SIZE, "pg-east");
    snprintf(s.agents[0].region, NAME_SIZE, "east");
    snprintf(s.agents[1].name, NAME_SIZE, "pg-west");
    snprintf(s.agents[1].region, NAME_SIZE, "north");
    assert_int_equal(document_check(&g, &around, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "says that it is in region north"));

    snprintf(s.agents[1].region, NAME_SIZE, "west");
    s.controller_count = 1;
    s.controllers[0].election_ms = 300;
    assert_int_equal(document_check(&g, &around, &err), 0);

    around.rtt_ms = 100; /* 2 x 150 + 2 x 300 + 6 x 100 > 1000 */
    assert_int_equal(document_check(&g, &around, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "TTL rule"));
    assert_int_equal(strncmp(err.text, "lease.ttl: with", 15), 0);
    around.rtt_ms = 1;
    s.controllers[0].election_ms = 900;
    assert_int_equal(document_check(&g, &around, &err), ERR_INVAL);

    s.controllers[0].election_ms = 300;
    snprintf(g.regions[1].tags[0], NAME_SIZE, "us");
    assert_int_equal(document_check(&g, &around, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "residency: region west"));
}

static void routes_are_found_and_formatted(void **state)
{
    static const struct {
        const char *method, *path;
        unsigned status;
        enum route_kind kind;
        const char *group;
    } table[] = {
        {"GET", "/v1/status", 0, ROUTE_STATUS, ""},
        {"GET", "/v1/groups/orders/why", 0, ROUTE_WHY, "orders"},
        {"GET", "/v1/log", 0, ROUTE_LOG, ""},
        {"POST", "/v1/groups", 0, ROUTE_DECLARE, ""},
        {"DELETE", "/v1/groups/orders", 0, ROUTE_REMOVE, "orders"},
        {"POST", "/v1/groups/orders/switchover", 0, ROUTE_SWITCHOVER, "orders"},
        {"POST", "/v1/groups/orders/failover", 0, ROUTE_FAILOVER, "orders"},
        {"POST", "/v1/runs/77/abort", 0, ROUTE_ABORT, ""},
        {"POST", "/v1/groups/orders/pause", 0, ROUTE_PAUSE, "orders"},
        {"POST", "/v1/groups/orders/resume", 0, ROUTE_RESUME, "orders"},
        {"POST", "/v1/groups/orders/detach", 0, ROUTE_DETACH, "orders"},
        {"POST", "/v1/groups/orders/attach", 0, ROUTE_ATTACH, "orders"},
        {"GET", "/v1/doctor", 0, ROUTE_DOCTOR, ""},
        {"POST", "/v1/controllers/east/replace", 0, ROUTE_REPLACE, "east"},
        {"GET", "/v1/version", 0, ROUTE_VERSION, ""},
        {"POST", "/v1/status", 405, 0, ""},
        {"GET", "/v1/groups/orders/pause", 405, 0, ""},
        {"GET", "/v1/nothing", 404, 0, ""},
        {"GET", "/", 404, 0, ""},
        {"POST", "/v1/groups/a/b/pause", 404, 0, ""},
        {"POST", "/v1/groups/OR/pause", 400, 0, ""},
        {"POST", "/v1/groups//pause", 400, 0, ""},
        {"POST", "/v1/groups/abcdefghijklmnopqrstuvwxyz/pause", 400, 0, ""},
        {"POST", "/v1/runs/x/abort", 400, 0, ""},
        {"POST", "/v1/runs/0/abort", 400, 0, ""},
        {"POST", "/v1/runs/7x/abort", 400, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct route r = {0};
        char path[ROUTE_PATH_SIZE];
        struct err err;
        unsigned status = route_match(table[i].method, table[i].path, &r, &err);

        if (status != table[i].status)
            fail_msg("%s %s: %u", table[i].method, table[i].path, status);
        if (status != 0)
            continue;
        assert_int_equal(r.kind, table[i].kind);
        assert_string_equal(r.group, table[i].group);
        route_format(&r, path);
        assert_string_equal(path, table[i].path);
        assert_string_equal(route_method(r.kind), table[i].method);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(a_document_survives_the_round_trip),
        cmocka_unit_test(a_difference_is_named_by_its_path),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(routes_are_found_and_formatted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
