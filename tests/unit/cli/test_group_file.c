/* controller/cli/group_file.h: the YAML of a group as the document of the API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/cli/group_file.h"
#include "controller/cli/group_yaml.h"
#include "controller/config/config.h"

static char path[64];
static struct config *file; /* of the last good load() */

static int load(const char *text, json_t **ret, struct err *err)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    config_free(&file);
    return group_file_load(path, ret, &file, err);
}

static void expect_json(json_t *document, const char *expected)
{
    char *text = json_dumps(document, JSON_COMPACT);

    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
    json_decref(document);
}

/* docs/design.md section 7, word for word. */
static const char design[] =
    "group: orders\n"
    "regions: {east: {role: active, tags: [eu]}, west: {role: standby, tags: [eu]}}\n"
    "residency: [eu]                      # both regions carry this tag\n"
    "lease: {ttl: 3s, renew: 300ms}\n"
    "sync: required\n"
    "components:\n"
    "  - name: db\n"
    "    provider: postgres\n"
    "    instances:\n"
    "      - {agent: pg-east, region: east, port: 5432, data: "
    "\"/var/lib/postgresql/15/main\","
    " start: \"systemd:postgresql@15-main\"}\n"
    "      - {agent: pg-west, region: west, port: 5432, data: "
    "\"/var/lib/postgresql/15/main\","
    " start: \"systemd:postgresql@15-main\"}\n"
    "fence: [agent, lease_expiry]\n"
    "decide: {automatic: true, local_restarts: 1, cooldown: 10min}\n";

static void test_design(void **unused)
{
    json_t *document = NULL;
    struct err err = {0};

    (void)unused;
    if (load(design, &document, &err) != 0)
        fail_msg("%s", err.text);
    expect_json(
        document,
        "{\"group\":\"orders\",\"regions\":[{\"name\":\"east\",\"role\":\"active\","
        "\"tags\":[\"eu\"]"
        "},{\"name\":\"west\",\"role\":\"standby\",\"tags\":[\"eu\"]}],\"sync\":"
        "\"required\","
        "\"residency\":[\"eu\"],\"fence\":[\"agent\",\"lease_expiry\"],\"decide\":{"
        "\"automatic\":true,\"local_restarts\":1,\"cooldown_ms\":600000},\"components\":[{"
        "\"name\":\"db\",\"provider\":\"postgres\",\"instances\":[{\"agent\":\"pg-east\","
        "\"region\":\"east\",\"port\":5432,\"data\":\"/var/lib/postgresql/15/"
        "main\",\"start\":"
        "\"systemd:postgresql@15-main\"},{\"agent\":\"pg-west\",\"region\":\"west\","
        "\"port\":"
        "5432,\"data\":\"/var/lib/postgresql/15/"
        "main\",\"start\":\"systemd:postgresql@15-main"
        "\"}]}],\"lease\":{\"ttl_ms\":3000,\"renew_ms\":300}}");
}

/* The example holds every key there is. */
static void test_example(void **unused)
{
    json_t *document = NULL, *decide, *component;
    struct err err = {0};

    (void)unused;
    config_free(&file);
    if (group_file_load(EXAMPLES "/group-orders.yaml", &document, &file, &err) != 0)
        fail_msg("%s", err.text);
    decide = json_object_get(document, "decide");
    component = json_array_get(json_object_get(document, "components"), 0);
    assert_int_equal(json_object_size(document), 9);
    assert_int_equal(json_object_size(decide), 11);
    assert_int_equal(json_object_size(component), 6);
    assert_int_equal(json_integer_value(json_object_get(decide, "max_lag_bytes")),
                     16777216);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(document, "lease"), "rho_ppm")),
        10000);
    assert_true(json_is_false(json_object_get(component, "standby_reads")));
    assert_true(json_is_false(json_object_get(document, "adopt")));
    assert_string_equal(
        json_string_value(json_array_get(
            json_object_get(json_array_get(json_object_get(document, "regions"), 1),
                            "tags"),
            0)),
        "eu");
    json_decref(document);
}

#define REST                                                                               \
    "components: [{name: db, provider: postgres, instances: [{agent: a, region: b, "       \
    "port: 1, data: /d}]}]\n"

/* Regions in a list, and what is left out is left out. */
static void test_short(void **unused)
{
    json_t *document = NULL;
    struct err err = {0};

    (void)unused;
    if (load("group: g\nregions:\n- {name: b, role: active, tags: [x, y]}\n"
             "- {role: standby, name: c}\nadopt: true\n" REST,
             &document, &err) != 0)
        fail_msg("%s", err.text);
    expect_json(
        document,
        "{\"group\":\"g\",\"regions\":[{\"name\":\"b\",\"role\":\"active\",\"tags\":["
        "\"x\",\"y\"]},{\"name\":\"c\",\"role\":\"standby\",\"tags\":[]}],\"adopt\":"
        "true,\"components\":[{\"name\":\"db\",\"provider\":\"postgres\",\"instances\":"
        "[{\"agent\":\"a\",\"region\":\"b\",\"port\":1,\"data\":\"/d\"}]}]}");
}

/* Who is active may be left to the log: all ways to say nothing of roles. */
static void test_without_roles(void **unused)
{
    static const char *const regions[] = {
        "[b, c]",
        "[b, {name: c}]",
        "[{name: b, tags: []}, {name: c}]",
        "{b: {}, c: {tags: []}}",
        "{b: {tags: []}, c: {}}",
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(regions); i++) {
        json_t *document = NULL;
        struct err err = {0};
        char text[400];

        snprintf(text, sizeof text, "group: g\nregions: %s\n" REST, regions[i]);
        if (load(text, &document, &err) != 0)
            fail_msg("%s: %s", regions[i], err.text);
        expect_json(document,
                    "{\"group\":\"g\",\"regions\":[{\"name\":\"b\",\"tags\":[]},{"
                    "\"name\":\"c\",\"tags\":[]}],\"components\":[{\"name\":\"db\","
                    "\"provider\":\"postgres\",\"instances\":[{\"agent\":\"a\",\"region\":"
                    "\"b\",\"port\":1,\"data\":\"/d\"}]}]}");
    }
}

static char *as_yaml(const json_t *document)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    group_yaml_print(document, f);
    fclose(f);
    return text;
}

/* As the API has it, with names and paths that YAML would take for something else. */
static const char exported[] =
    "{\"group\":\"orders\",\"regions\":[{\"name\":\"east\",\"role\":\"standby\",\"tags\":["
    "\"eu\",\"123\"]},{\"name\":\"no\",\"role\":\"active\",\"tags\":[]}],\"residency\":["
    "\"eu\"],"
    "\"lease\":{\"ttl_ms\":1500,\"renew_ms\":300,\"rho_ppm\":9999},\"sync\":\"off\","
    "\"components\":[{\"name\":\"1\",\"provider\":\"postgres\",\"ungated_local\":false,"
    "\"standby_reads\":true,\"instances\":[{\"agent\":\"pg-east\",\"region\":\"east\","
    "\"port\":"
    "5432,\"data\":\"/a: b "
    "#c\",\"start\":\"pg_ctl\"},{\"agent\":\"true\",\"region\":\"no\","
    "\"port\":1,\"data\":\"/\\\"q\\\"\\\\/ü\",\"start\":\"systemd:postgresql@15-main\"}]}],"
    "\"fence\":[\"agent\",\"lease_expiry\"],\"decide\":{\"automatic\":false,"
    "\"local_restarts\":0,\"failover_after_ms\":0,\"hung_after_ms\":10000,"
    "\"shrink_after_ms\":3001,\"promote_deadline_ms\":30000,\"stop_deadline_ms\":100,"
    "\"cooldown_ms\":600000,\"max_lag_bytes\":16777217,\"max_lag_ms\":0,\"probe_ms\":1000}"
    "}";

static json_t *export_document(void)
{
    json_t *document = json_loads(exported, 0, NULL);

    assert_non_null(document);
    return document;
}

/* What is printed is read to the very same document. */
static void test_export_round_trip(void **unused)
{
    json_t *document = export_document(), *again = NULL;
    AUTO(auto_free) char *text = as_yaml(document);
    struct err err = {0};

    (void)unused;
    if (load(text, &again, &err) != 0)
        fail_msg("%s\n%s", err.text, text);
    if (!json_equal(document, again))
        fail_msg("%s\n%s", text, json_dumps(again, 0));
    json_decref(document);
    json_decref(again);
}

static void test_export_as_people_write_it(void **unused)
{
    json_t *document = export_document();
    AUTO(auto_free) char *text = NULL;

    (void)unused;
    json_object_set_new(document, "adopt", json_true());
    json_object_set_new(document, "residency", json_array());
    text = as_yaml(document);
    assert_non_null(strstr(text, "\ngroup: orders\n"
                                 "regions:\n"
                                 "  east: {role: standby, tags: [eu, \"123\"]}\n"
                                 "  \"no\": {role: active}\n"
                                 "residency: []\n"
                                 "lease:\n"
                                 "  ttl: 1500ms\n"
                                 "  renew: 300ms\n"
                                 "  rho: 9999ppm\n"
                                 "sync: off\n"
                                 "components:\n"
                                 "  - name: \"1\"\n"
                                 "    provider: postgres\n"
                                 "    ungated_local: false\n"));
    assert_non_null(strstr(text, "    instances:\n"
                                 "      - agent: pg-east\n"
                                 "        region: east\n"
                                 "        port: 5432\n"));
    assert_non_null(strstr(text, "  max_lag_time: 0ms\n"));
    assert_null(strstr(text, "adopt: "));
    json_decref(document);
}

/* I10: what this version does not know is refused when it is read, never dropped. */
static void test_export_of_what_is_not_known(void **unused)
{
    json_t *document = export_document(), *again = NULL;
    AUTO(auto_free) char *text = NULL;
    struct err err = {0};

    (void)unused;
    json_object_set_new(json_object_get(document, "decide"), "new_ms", json_integer(5));
    text = as_yaml(document);
    assert_non_null(strstr(text, "  new_ms: 5\n"));
    assert_int_equal(load(text, &again, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "decide.new_ms: unknown key"));
    json_decref(document);
}

#define BEGIN "group: g\nregions: {b: active, c: standby}\n"

/* Out of a file and into one again. */
static void test_ports_and_exceptions(void **unused)
{
    static const char text[] =
        BEGIN "components:\n"
              "- name: db\n"
              "  provider: postgres\n"
              "  exceptions: [10.0.9.7, \"2001:db8::7\"]\n"
              "  instances:\n"
              "  - {agent: a, region: b, port: 1, also_ports: [6432, 6543], data: /d}\n";
    json_t *document = NULL, *again = NULL;
    AUTO(auto_free) char *yaml = NULL;
    struct err err = {0};

    (void)unused;
    if (load(text, &document, &err) != 0)
        fail_msg("%s", err.text);
    yaml = as_yaml(document);
    assert_non_null(strstr(yaml, "also_ports: [6432, 6543]\n"));
    if (load(yaml, &again, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(json_equal(document, again));
    json_decref(again);
    expect_json(
        json_incref(json_array_get(json_object_get(document, "components"), 0)),
        "{\"name\":\"db\",\"provider\":\"postgres\",\"exceptions\":[\"10.0.9.7\","
        "\"2001:db8::7\"],\"instances\":[{\"agent\":\"a\",\"region\":\"b\",\"port\":1,"
        "\"also_ports\":[6432,6543],\"data\":\"/d\"}]}");
    json_decref(document);
}

static const struct {
    const char *text, *error; /* behind "PATH:" */
} rows[] = {
    {"regions: {b: active}\n" REST, "1: the key 'group' is missing"},
    {"group: g\n" REST, "1: the key 'regions' is missing"},
    {"group: g\nregions: {b: active}\n", "1: the key 'components' is missing"},
    {BEGIN "ttl: 3s\n" REST,
     "3: ttl: unknown key; expected one of group, regions, residency, "
     "lease, sync, components, fence, fence_deadline, fence_race, no_async_writers, "
     "adopt, decide, approvals"},
    {BEGIN "lease: {ttl: 3}\n" REST,
     "3: lease.ttl: expected a duration such as 300ms, 3s or "
     "10min, found '3'"},
    {BEGIN "lease: {ttl: [3s]}\n" REST,
     "3: lease.ttl: expected a single value, found a list"},
    {BEGIN "lease: {rho: 1}\n" REST,
     "3: lease.rho: expected a share such as 1%, 0.5% or 200ppm, found '1'"},
    {BEGIN "lease: {ttl_ms: 3}\n" REST,
     "3: lease.ttl_ms: unknown key; expected one of ttl, renew, rho"},
    {BEGIN "decide:\n  max_lag: 10s\n" REST,
     "4: decide.max_lag: expected a size such as 64KiB, 16MiB or 1GiB, found '10s'"},
    {BEGIN "decide: {automatic: sometimes}\n" REST,
     "3: decide.automatic: expected true or false, found 'sometimes'"},
    {BEGIN "decide: {local_restarts: -1}\n" REST,
     "3: decide.local_restarts: expected a whole number of at most 4294967295, found '-1'"},
    {BEGIN "residency: eu\n" REST, "3: residency: expected a list, found 'eu'"},
    {"group: g\nregions: {b: primary}\n" REST,
     "2: regions.b: expected active or standby, found 'primary'"},
    {"group: g\nregions:\n  b: {role: active, tag: [x]}\n" REST,
     "3: regions.b.tag: unknown key; expected one of role, tags"},
    {"group: g\nregions: {b: active, c: }\n" REST,
     "2: regions.c: expected active or standby, found ''"},
    {"group: g\nregions: {b: active, c: {role: [x]}}\n" REST,
     "2: regions.c.role: expected active or standby"},
    {"group: g\nregions:\n  b: {role: active, tags: x}\n" REST,
     "3: regions.b.tags: expected a list of tags"},
    {"group: g\nregions:\n  b: {role: active, tags: [[x]]}\n" REST,
     "3: regions.b.tags[0]: expected a tag"},
    {"group: g\nregions: east\n" REST,
     "2: regions: expected regions and their roles, such as {east: active, west: standby}; "
     "or, of a group that is declared already, their names: [east, west]"},
    {"group: g\nregions: []\n" REST,
     "2: regions: expected regions and their roles, such as {east: active, west: standby}; "
     "or, of a group that is declared already, their names: [east, west]"},
    {"group: g\nregions: [[b]]\n" REST,
     "2: regions[0]: expected a name, or a mapping with name, role and tags"},
    {"group: g\nregions: [{role: active}]\n" REST,
     "2: regions[0].name: expected the region's name"},
    {"group: g\nregions: [{name: b, role: active, colour: red}]\n" REST,
     "2: regions[0].colour: unknown key; expected one of name, role, tags"},
    {BEGIN "components:\n- name: db\n  provider: postgres\n  instances:\n  - {agent: a, "
           "region: b, prot: 1}\n",
     "7: components[0].instances[0].prot: unknown key; expected one of agent, region, "
     "port, also_ports, data, start, power"},
    {BEGIN "components:\n- name: db\n  provider: postgres\n  instances:\n  - {agent: a, "
           "region: b, port: 70000, data: /d}\n",
     "7: components[0].instances[0].port: expected a whole number of at most 65535, found "
     "'70000'"},
    {BEGIN "components:\n- name: db\n  provider: postgres\n  instances:\n  - {agent: a}\n",
     "7: components[0].instances[0]: the key 'region' is missing"},
    {BEGIN "components:\n- name: db\n  provider: postgres\n  instances:\n  - {agent: a, "
           "region: b, port: 1, also_ports: [70000], data: /d}\n",
     "7: components[0].instances[0].also_ports[0]: expected a whole number of at most "
     "65535, found '70000'"},
    {BEGIN "components:\n- name: db\n  provider: postgres\n  instances:\n  - {agent: a, "
           "region: b, port: 1, also_ports: 6432, data: /d}\n",
     "7: components[0].instances[0].also_ports: expected a list, found '6432'"},
    {BEGIN "components: []\n", "3: components: expected a list of 1 to 16, found 0"},
    {BEGIN "fence: []\n" REST, "3: fence: expected a list of 1 to 16, found 0"},
};

static void test_errors(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *document = NULL;
        struct err err = {0};
        char expected[ERR_TEXT_SIZE];
        int status = load(rows[i].text, &document, &err);

        snprintf(expected, sizeof expected, "%s:%s", path, rows[i].error);
        if (status != ERR_INVAL || strcmp(err.text, expected) != 0)
            fail_msg("row %zu:\n is '%s'\nnot '%s'", i, err.text, expected);
        assert_null(document);
    }
}

static const char spread[] = "group: g\n"
                             "regions:\n"
                             "  b: active\n"
                             "  c: {role: standby, tags: [eu]}\n"
                             "sync: sometimes\n"
                             "lease:\n"
                             "  ttl: 3s\n"
                             "decide:\n"
                             "  max_lag_time: 1s\n"
                             "components:\n"
                             "- name: db\n"
                             "  provider: redis\n"
                             "  instances:\n"
                             "  - {agent: x, region: b, port: 1, data: /d}\n"
                             "  - agent: y\n"
                             "    region: c\n"
                             "    port: 1\n"
                             "    data: /d\n";

static const struct {
    const char *said, *told; /* behind "PATH:"; NULL: no key of the file is named */
} places[] = {
    {"group: x", "1: group: x"},
    {"regions: none is active", "2: regions: none is active"},
    {"regions[0].role: x", "3: regions.b: x"},
    {"regions[1].role: x", "4: regions.c.role: x"},
    {"regions[1].name: x", "4: regions.c: x"},
    {"regions[1].tags[0]: x", "4: regions.c.tags[0]: x"},
    {"regions[7].role: x", "2: regions[7].role: x"},
    {"sync: \"sometimes\": one of", "5: sync: \"sometimes\": one of"},
    {"lease.ttl_ms: x", "7: lease.ttl: x"},
    {"lease.ttl: x", "7: lease.ttl: x"},
    {"lease.renew: x", "6: lease.renew: x"},
    {"decide.max_lag_ms: x", "9: decide.max_lag_time: x"},
    {"components[0].provider: x", "12: components[0].provider: x"},
    {"components[0].instances[1].region: x", "16: components[0].instances[1].region: x"},
    {"components[0].instances[1].start: x", "15: components[0].instances[1].start: x"},
    {"residency: x", "1: residency: x"},
    {"the group's sync set: x", NULL},
    {"nobody: x", NULL},
    {"syncs: x", NULL},
    {"sync", NULL},
    {"", NULL},
};

/* What the server refuses is found in the file again. */
static void test_locate(void **unused)
{
    json_t *document = NULL;
    struct err err = {0};

    (void)unused;
    if (load(spread, &document, &err) != 0)
        fail_msg("%s", err.text);
    json_decref(document);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct err told = {0};
        char expected[ERR_TEXT_SIZE] = "";

        if (places[i].told != NULL)
            snprintf(expected, sizeof expected, "%s:%s", path, places[i].told);
        assert_int_equal(group_file_locate(file, places[i].said, &told),
                         places[i].told != NULL);
        if (strcmp(told.text, expected) != 0)
            fail_msg("'%s':\n is '%s'\nnot '%s'", places[i].said, told.text, expected);
    }
}

static int make_file(void **unused)
{
    int fd;

    (void)unused;
    snprintf(path, sizeof path, "/tmp/rf-group-XXXXXX");
    fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **unused)
{
    (void)unused;
    config_free(&file);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_design),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_short),
        cmocka_unit_test(test_without_roles),
        cmocka_unit_test(test_export_round_trip),
        cmocka_unit_test(test_export_as_people_write_it),
        cmocka_unit_test(test_export_of_what_is_not_known),
        cmocka_unit_test(test_ports_and_exceptions),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_locate),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
