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

/* In the order of the file, with what is said of each level; written back as it was. */
static void fence_levels_have_order_deadlines_and_races(void **state)
{
    static const char levels[] =
        "{\"group\": \"o\", \"regions\": [{\"name\": \"a\", \"role\": \"standby\"},"
        " {\"name\": \"b\", \"role\": \"active\"}], \"components\": [{\"name\": \"db\","
        " \"provider\": \"postgres\", \"instances\": ["
        " {\"agent\": \"x\", \"region\": \"a\", \"port\": 1, \"data\": \"/a\","
        "  \"power\": \"ipmi-a\"},"
        " {\"agent\": \"y\", \"region\": \"b\", \"port\": 1, \"data\": \"/b\"}]}],"
        " \"fence\": [\"agent\", \"power\", \"lease_expiry\"],"
        " \"fence_deadline\": {\"power_ms\": 9000}, \"fence_race\": [\"power\"]}";
    struct group g;
    json_t *document;

    (void)state;
    read_ok(levels, &g);
    assert_string_equal(g.instances[0].power, "ipmi-a");
    assert_string_equal(g.instances[1].power, "");
    assert_int_equal(g.policy.fence, FENCE_AGENT | FENCE_POWER | FENCE_LEASE_EXPIRY);
    assert_int_equal(g.policy.fence_turn_count, 3);
    assert_int_equal(g.policy.fence_turns[1].level, FENCE_POWER);
    assert_int_equal(g.policy.fence_turns[1].deadline_ms, 9000);
    assert_true(g.policy.fence_turns[1].race);
    assert_false(g.policy.fence_turns[2].race);
    document = document_of(&g);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(document, "fence"), 1)), "power");
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(document, "fence_deadline"), "power_ms")),
                     9000);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(document, "fence_race"), 0)),
        "power");
    json_decref(document);
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

    other = g;
    g.policy.residency_count = 0; /* as a list, it has no leaf on this side */
    diff = document_diff(&other, &g);
    assert_int_equal(json_array_size(diff), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(diff, 0), "path")),
                        "residency[0]");
    assert_true(json_is_null(json_object_get(json_array_get(diff, 0), "to")));
    json_decref(diff);
}

/* `adopt` counts while a group forms, where it may be added; it is not taken back. */
static void to_adopt_is_a_difference_while_a_group_forms(void **state)
{
    static const struct {
        enum phase phase;
        bool from, to, differs;
    } table[] = {
        {PHASE_FORMING, false, true, true},   {PHASE_FORMING, true, false, false},
        {PHASE_FORMING, true, true, false},   {PHASE_STEADY, false, true, false},
        {PHASE_DETACHED, false, true, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct group from, to;
        json_t *diff;

        read_ok(good, &from);
        to = from;
        from.phase = table[i].phase;
        from.adopt = table[i].from;
        to.adopt = table[i].to;
        diff = document_diff(&from, &to);
        assert_int_equal(json_array_size(diff), table[i].differs);
        json_decref(diff);
    }
}

static const json_t *added_at(const json_t *diff, const char *path)
{
    const json_t *one;
    size_t i;

    json_array_foreach(diff, i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "path")), path) == 0)
            return json_object_get(one, "to");
    }
    fail_msg("%s is not told", path);
    return NULL;
}

/* Of a group, or of an instance, that is new, every leaf is told by its path. */
static void what_is_new_is_told_leaf_by_leaf(void **state)
{
    struct group g, fewer;
    json_t *diff;
    const json_t *one;
    size_t i;

    (void)state;
    read_ok(good, &g);
    diff = document_diff(NULL, &g);
    json_array_foreach(diff, i, one)
    {
        assert_true(json_is_null(json_object_get(one, "from")));
        assert_false(json_is_object(json_object_get(one, "to")));
        assert_false(json_is_array(json_object_get(one, "to")));
    }
    assert_string_equal(json_string_value(added_at(diff, "regions[0].role")), "active");
    assert_string_equal(json_string_value(added_at(diff, "regions[1].tags[0]")), "eu");
    assert_string_equal(
        json_string_value(added_at(diff, "components[0].instances[1].data")), "/w");
    assert_int_equal(json_integer_value(added_at(diff, "decide.hung_after_ms")), 9000);
    assert_string_equal(json_string_value(added_at(diff, "fence[1]")), "lease_expiry");
    json_decref(diff);

    fewer = g;
    fewer.instance_count = 1;
    diff = document_diff(&fewer, &g);
    assert_int_equal(json_array_size(diff), 5);
    assert_int_equal(json_integer_value(added_at(diff, "components[0].instances[1].port")),
                     5433);
    json_decref(diff);
}

static const struct {
    const char *from, *to, *says;
} wrong[] = {
    {"{\"group\": \"orders\",", "", "line 1"},
    {"\"group\": \"orders\"", "\"group\": \"Orders\"", "group: \"Orders\""},
    {"\"group\": \"orders\"", "\"group\": 7", "group: is something else"},
    {"\"group\": \"orders\"", "\"gruop\": \"orders\"", "gruop: unknown key"},
    {"\"group\": \"orders\",", "\"group\": \"a\", \"group\": \"b\",", "duplicate"},
    {"\"role\": \"active\"", "\"role\": \"standby\"",
     "regions: none is active; exactly one needs `role: active`"},
    {"\"role\": \"standby\"", "\"role\": \"active\"", "regions[1].role: east is active"},
    {"\"role\": \"standby\"", "\"role\": \"third\"", "regions[1].role: \"active\" or"},
    {"\"role\": \"active\",", "",
     "regions[0].role: is missing; every region has a role, or none"},
    {"\"role\": \"standby\",", "", "regions[1].role: is missing"},
    {"\"name\": \"west\"", "\"name\": \"east\"", "regions[1].name: region east"},
    {"\"residency\": [\"eu\"]", "\"residency\": \"eu\"", "residency: is something else"},
    {"\"ttl_ms\": 1000", "\"ttl_ms\": 1",
     "lease.ttl_ms: 1 ms is not in 300 ms to 60000 ms"},
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
    {"\"fence\": [\"agent\", \"lease_expiry\"]", "\"fence\": [\"agent\", \"attested\"]",
     "fence[1]: \"attested\" is not written here"},
    {"\"fence\": [\"agent\", \"lease_expiry\"]", "\"fence\": [\"agent\", \"agent\"]",
     "fence[1]: \"agent\" is there already"},
    {"\"adopt\": true", "\"fence_deadline\": {\"power_ms\": 5}",
     "fence_deadline.power: `fence` does not have the level"},
    {"\"adopt\": true", "\"fence_deadline\": {\"agent_ms\": 0}",
     "fence_deadline.agent_ms: 0"},
    {"\"adopt\": true", "\"fence_deadline\": {\"lease_expiry_ms\": 5}",
     "fence_deadline.lease_expiry_ms"},
    {"\"adopt\": true", "\"fence_race\": [\"power\"]",
     "fence_race[0]: `fence` does not have the level \"power\""},
    {"\"adopt\": true", "\"fence_race\": [\"agent\"]",
     "fence_race[0]: \"agent\" is the first"},
    {"\"data\": \"/w\"", "\"data\": \"/w\", \"power\": \"No\"",
     "components[0].instances[1].power"},
    {"\"fence\": [\"agent\", \"lease_expiry\"]", "\"fence\": []", "fence: has 0"},
    {"\"fence\": [\"agent\", \"lease_expiry\"]", "\"fence\": [\"hope\"]",
     "fence[0]: \"hope\": \"agent\""},
    {"\"cooldown_ms\": 0", "\"cooldown_ms\": 1.5", "decide.cooldown_ms: a whole number"},
    {"\"adopt\": true", "\"adopt\": 1", "adopt: true or false"},
};

/* One part of the good document is replaced; the error names the path. */
static void what_is_wrong_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *found = strstr(good, wrong[i].from);
        char text[3000];
        struct group g;
        struct err err = {0};

        assert_non_null(found);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(found - good), good, wrong[i].to,
                 found + strlen(wrong[i].from));
        if (document_read(text, strlen(text), &g, &err) == 0)
            fail_msg("\"%s\" was accepted", wrong[i].to);
        if (strstr(err.text, wrong[i].says) == NULL)
            fail_msg("\"%s\": \"%s\" lacks \"%s\"", wrong[i].to, err.text, wrong[i].says);
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
    assert_int_equal(strncmp(err.text, "lease.ttl: 1000 ms breaks", 24), 0);
    around.rtt_ms = 1;
    s.controllers[0].election_ms = 900;
    assert_int_equal(document_check(&g, &around, &err), ERR_INVAL);

    s.controllers[0].election_ms = 300;
    snprintf(g.regions[1].tags[0], NAME_SIZE, "us");
    assert_int_equal(document_check(&g, &around, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "residency: region west carries none of these tags"));
    g.regions[1].tag_count = 0; /* regions: [east, west] */
    assert_int_equal(document_check(&g, &around, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "residency: region west has no tags"));
    assert_non_null(strstr(err.text, "west: {tags: ["));
}

/* Who is active is the log's to know: a document without roles leaves it alone, and so
 * does one whose roles are not to count. */
static void without_roles_the_active_one_stays(void **state)
{
    struct group g, now;
    json_t *document, *region, *diff;
    struct err err = {0};
    size_t i;

    (void)state;
    read_ok(good, &now);
    now.active = 1; /* it has moved */
    document = document_of(&now);
    json_array_foreach(json_object_get(document, "regions"), i, region)
    {
        json_object_del(region, "role");
    }
    if (document_parse(document, &g, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(g.active, NO_INSTANCE);
    assert_int_equal(document_keep_active(&g, &now, &err), 0);
    assert_int_equal(g.active, 1);
    diff = document_diff(&now, &g);
    assert_int_equal(json_array_size(diff), 0);
    json_decref(diff);
    json_decref(document);

    read_ok(good, &g); /* east: active */
    assert_int_equal(document_keep_active(&g, &now, &err), 0);
    assert_int_equal(g.active, 1);
    (void)snprintf(g.instances[1].agent, NAME_SIZE, "pg-new");
    assert_int_equal(document_keep_active(&g, &now, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "pg-west, which is active, is not among them"));
}

/* Between controllers a query that is not understood is an error: "dry" passed over would
 * be an act. */
static void a_query_is_passed_on_whole(void **state)
{
    static const struct {
        struct route r;
        const char *path;
    } table[] = {
        {{.kind = ROUTE_DECLARE}, "/api/v1/groups"},
        {{.kind = ROUTE_DECLARE, .dry = true}, "/api/v1/groups?dry=1"},
        {{.kind = ROUTE_DECLARE, .keep_active = true}, "/api/v1/groups?keep_active=1"},
        {{.kind = ROUTE_DECLARE, .dry = true, .keep_active = true},
         "/api/v1/groups?dry=1&keep_active=1"},
        {{.kind = ROUTE_STATUS, .stale_ok = true}, "/api/v1/status?stale=ok"},
        {{.kind = ROUTE_WHY, .group = "orders", .stale_ok = true},
         "/api/v1/groups/orders/why?stale=ok"},
    };
    struct route r = {0};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct route again = {.kind = table[i].r.kind};
        char path[ROUTE_PATH_SIZE];

        route_format(&table[i].r, path);
        assert_string_equal(path, table[i].path);
        assert_true(route_read_query(path + strcspn(path, "?"), &again));
        assert_int_equal(again.dry, table[i].r.dry);
        assert_int_equal(again.keep_active, table[i].r.keep_active);
        assert_int_equal(again.stale_ok, table[i].r.stale_ok);
    }
    assert_false(route_read_query("?dry=1&wet=1", &r));
    assert_false(route_read_query("?dry=10", &r));
    assert_false(route_read_query("?dry", &r));
}

static const struct {
    const char *method, *path;
    unsigned status;
    enum route_kind kind;
    const char *group;
} routed[] = {
    {"GET", "/api/v1/status", 0, ROUTE_STATUS, ""},
    {"GET", "/api/v1/groups/orders", 0, ROUTE_GROUP, "orders"},
    {"GET", "/api/v1/groups/orders/why", 0, ROUTE_WHY, "orders"},
    {"GET", "/api/v1/log", 0, ROUTE_LOG, ""},
    {"POST", "/api/v1/groups", 0, ROUTE_DECLARE, ""},
    {"DELETE", "/api/v1/groups/orders", 0, ROUTE_REMOVE, "orders"},
    {"POST", "/api/v1/groups/orders/switchover", 0, ROUTE_SWITCHOVER, "orders"},
    {"POST", "/api/v1/groups/orders/failover", 0, ROUTE_FAILOVER, "orders"},
    {"POST", "/api/v1/runs/77/abort", 0, ROUTE_ABORT, ""},
    {"POST", "/api/v1/groups/orders/pause", 0, ROUTE_PAUSE, "orders"},
    {"POST", "/api/v1/groups/orders/resume", 0, ROUTE_RESUME, "orders"},
    {"POST", "/api/v1/groups/orders/retry", 0, ROUTE_RETRY, "orders"},
    {"POST", "/api/v1/groups/orders/detach", 0, ROUTE_DETACH, "orders"},
    {"POST", "/api/v1/groups/orders/attach", 0, ROUTE_ATTACH, "orders"},
    {"GET", "/api/v1/doctor", 0, ROUTE_DOCTOR, ""},
    {"POST", "/api/v1/controllers/east/replace", 0, ROUTE_REPLACE, "east"},
    {"GET", "/api/v1/version", 0, ROUTE_VERSION, ""},
    {"GET", "/api/v1/rules", 0, ROUTE_RULES, ""},
    {"GET", "/api/v1/openapi.json", 0, ROUTE_OPENAPI, ""},
    {"GET", "/api/v1/events", 0, ROUTE_EVENTS, ""},
    {"POST", "/api/v1/dr/switch", 0, ROUTE_PROPOSE, ""},
    {"POST", "/api/v1/proposals/77/approve", 0, ROUTE_APPROVE, ""},
    {"DELETE", "/api/v1/users/anna", 0, ROUTE_USER_REMOVE, "anna"},
    {"GET", "/api/v1/audit/points/77", 0, ROUTE_AUDIT_POINT, ""},
    {"GET", "/api/v1/audit/export", 0, ROUTE_AUDIT_EXPORT, ""},
    {"GET", "/api/v1/audit/keys", 0, ROUTE_AUDIT_KEYS, ""},
    {"GET", "/api/v1/audit/rows/1", 0, ROUTE_AUDIT_ROWS, ""},
    {"POST", "/api/v1/status", 405, 0, ""},
    {"GET", "/api/v1/groups/orders/pause", 405, 0, ""},
    {"GET", "/api/v1/nothing", 404, 0, ""},
    {"GET", "/", 404, 0, ""},
    {"POST", "/api/v1/groups/a/b/pause", 404, 0, ""},
    {"POST", "/api/v1/groups/OR/pause", 400, 0, ""},
    {"POST", "/api/v1/groups//pause", 400, 0, ""},
    {"POST", "/api/v1/groups/abcdefghijklmnopqrstuvwxyz/pause", 400, 0, ""},
    {"POST", "/api/v1/runs/x/abort", 400, 0, ""},
    {"POST", "/api/v1/runs/0/abort", 400, 0, ""},
    {"POST", "/api/v1/runs/7x/abort", 400, 0, ""},
};

static void routes_are_found_and_formatted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof routed / sizeof *routed; i++) {
        struct route r = {0};
        char path[ROUTE_PATH_SIZE];
        struct err err;
        unsigned status = route_match(routed[i].method, routed[i].path, &r, &err);

        if (status != routed[i].status)
            fail_msg("%s %s: %u", routed[i].method, routed[i].path, status);
        if (status != 0)
            continue;
        assert_int_equal(r.kind, routed[i].kind);
        assert_string_equal(r.group, routed[i].group);
        route_format(&r, path);
        assert_string_equal(path, routed[i].path);
        assert_string_equal(route_method(r.kind), routed[i].method);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(fence_levels_have_order_deadlines_and_races),
        cmocka_unit_test(a_document_survives_the_round_trip),
        cmocka_unit_test(a_difference_is_named_by_its_path),
        cmocka_unit_test(to_adopt_is_a_difference_while_a_group_forms),
        cmocka_unit_test(what_is_new_is_told_leaf_by_leaf),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(without_roles_the_active_one_stays),
        cmocka_unit_test(a_query_is_passed_on_whole),
        cmocka_unit_test(routes_are_found_and_formatted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
