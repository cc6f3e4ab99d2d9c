/* The group document's `also_ports` and `exceptions`. */
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

static int read_with(const char *also, const char *exceptions, struct group *g,
                     struct err *err)
{
    char text[2000];

    (void)snprintf(
        text, sizeof text,
        "{\"group\": \"o\", \"regions\": [{\"name\": \"a\", \"role\": \"standby\"},"
        " {\"name\": \"b\", \"role\": \"active\"}], \"components\": [{\"name\": \"db\","
        " \"provider\": \"postgres\", \"exceptions\": %s, \"instances\": ["
        " {\"agent\": \"x\", \"region\": \"a\", \"port\": 5432, \"also_ports\": %s,"
        " \"data\": \"/a\"},"
        " {\"agent\": \"y\", \"region\": \"b\", \"port\": 1, \"data\": \"/b\"}]}]}",
        exceptions, also);
    return document_read(text, strlen(text), g, err);
}

static void read_ok(const char *also, const char *exceptions, struct group *g)
{
    struct err err = {0};

    if (read_with(also, exceptions, g, &err) != 0)
        fail_msg("%s", err.text);
}

/* Two files that say the same are the same group: ports in one order, an address in one
 * spelling. */
static void lists_have_one_form(void **state)
{
    struct group g, other;

    (void)state;
    read_ok("[6543, 6432]", "[\"2001:DB8:0::7\", \"::ffff:10.0.0.7\"]", &g);
    assert_int_equal(g.instances[0].also_count, 2);
    assert_int_equal(g.instances[0].also[0].port, 6432);
    assert_int_equal(g.instances[0].also[1].port, 6543);
    assert_int_equal(g.instances[1].also_count, 0);
    assert_int_equal(g.exception_count, 2);
    assert_string_equal(g.exceptions[0].address, "2001:db8::7");
    assert_string_equal(g.exceptions[1].address, "10.0.0.7");
    read_ok("[6432, 6543]", "[\"2001:db8::7\", \"10.0.0.7\"]", &other);
    assert_memory_equal(&g, &other, sizeof g);
    read_ok("[]", "[]", &g);
    assert_int_equal(g.instances[0].also_count, 0);
    assert_int_equal(g.exception_count, 0);
}

static const char *path_at(const json_t *diff, size_t i)
{
    return json_string_value(json_object_get(json_array_get(diff, i), "path"));
}

/* What is written back is read to the same group; what was taken out is told as well. */
static void they_are_written_back_and_told_apart(void **state)
{
    struct group with, without, again;
    struct err err = {0};
    json_t *document, *diff;
    char *text;

    (void)state;
    read_ok("[6432]", "[\"10.0.0.7\"]", &with);
    read_ok("[]", "[]", &without);
    document = document_of(&with);
    text = json_dumps(document, JSON_COMPACT);
    assert_int_equal(document_read(text, strlen(text), &again, &err), 0);
    assert_memory_equal(&again, &with, sizeof with);
    free(text);
    json_decref(document);

    diff = document_diff(&without, &with);
    assert_int_equal(json_array_size(diff), 2);
    assert_string_equal(path_at(diff, 0), "components[0].instances[0].also_ports[0]");
    assert_string_equal(path_at(diff, 1), "components[0].exceptions[0]");
    json_decref(diff);
    diff = document_diff(&with, &without);
    assert_int_equal(json_array_size(diff), 2);
    assert_string_equal(path_at(diff, 0), "components[0].instances[0].also_ports[0]");
    assert_true(json_is_null(json_object_get(json_array_get(diff, 0), "to")));
    json_decref(diff);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *also, *exceptions, *says;
    } table[] = {
        {"7", "[]", "components[0].instances[0].also_ports: is something else"},
        {"[0]", "[]", "also_ports[0]: a port from 1 to 65535"},
        {"[70000]", "[]", "also_ports[0]: a port from 1 to 65535"},
        {"[\"6432\"]", "[]", "also_ports[0]: a port from 1 to 65535"},
        {"[6432, 5432]", "[]", "also_ports[1]: 5432 is the server's own `port`"},
        {"[6432, 6432]", "[]", "also_ports[1]: port 6432 is listed already"},
        {"[1, 2, 3, 4]", "[]", "also_ports: has 4 entries, 0 to 3"},
        {"[]", "\"10.0.0.7\"", "components[0].exceptions: is something else"},
        {"[]", "[7]", "exceptions[0]: not a text: the address of one host"},
        {"[]", "[\"10.0.0.0/24\"]", "exceptions[0]: \"10.0.0.0/24\": the address of one"},
        {"[]", "[\"prometheus\"]", "neither a name nor a prefix"},
        {"[]", "[\"0.0.0.0\"]", "exceptions[0]"},
        {"[]", "[\"::\"]", "exceptions[0]"},
        {"[]", "[\"ff02::1\"]", "exceptions[0]"},
        {"[]", "[\"224.0.0.1\"]", "exceptions[0]"},
        {"[]", "[\"10.0.0.7\", \"::ffff:10.0.0.7\"]", "10.0.0.7 is listed already"},
        {"[]",
         "[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\",\"10.0.0.4\",\"10.0.0.5\","
         "\"10.0.0.6\",\"10.0.0.7\",\"10.0.0.8\",\"10.0.0.9\"]",
         "exceptions: has 9 entries, 0 to 8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = {0};
        struct group g;

        assert_int_equal(read_with(table[i].also, table[i].exceptions, &g, &err),
                         ERR_INVAL);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_have_one_form),
        cmocka_unit_test(they_are_written_back_and_told_apart),
        cmocka_unit_test(what_is_wrong_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
