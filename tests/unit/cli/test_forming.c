/* What is told to whoever made a group form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/cli/cli.h"
#include "tests/unit/cli/fake.h"
#include "tests/unit/cli/program.h"

/* What a group that forms waits for is told to whoever made it form; a group that forms no
 * more, or a script, is not kept waiting. The fake gives one answer to all that it is
 * asked.
 */
static void test_a_held_group_is_told(void **unused)
{
    static const char file[] = EXAMPLES "/group-orders.yaml";
    static const struct {
        const char *phase, *condition, *tail;
        unsigned asked;
    } table[] = {
        {"forming", "only-primary", "not activated yet: pg-east runs\n", 2},
        {"forming", "another", "", 2},
        {"promoting", "only-primary", "", 1},
    };

    (void)unused;
    server.end = FAKE_ANSWER;
    server.status = 200;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(outcome_free) struct outcome o = {0}, p = {0}, q = {0};
        unsigned before = server.asked;
        static char body[300]; /* the fake keeps it */
        char expected[200];

        snprintf(body, sizeof body,
                 "{\"group\": \"orders\", \"index\": 812, \"changed\": true, \"phase\": "
                 "\"%s\", \"verdict\": \"not activated yet: pg-east runs\", "
                 "\"conditions\": [{\"name\": \"leader\", \"blocks\": true}, {\"name\": "
                 "\"%s\", \"blocks\": true}]}",
                 table[i].phase, table[i].condition);
        server.body = body;
        o = run(WORDS("apply", "-f", file));
        snprintf(expected, sizeof expected, "group orders: applied\n%s", table[i].tail);
        assert_int_equal(o.exit, CLI_OK);
        assert_string_equal(o.out, expected);
        assert_int_equal(server.asked, before + table[i].asked);
        if (table[i].asked == 2)
            assert_string_equal(server.line, "GET /api/v1/groups/orders/why HTTP/1.1");
        p = run(WORDS("attach", "orders", "--active", "west"));
        snprintf(expected, sizeof expected, "attached, entry 812\n%s", table[i].tail);
        assert_string_equal(p.out, expected);
        before = server.asked;
        q = run(WORDS("apply", "-f", file, "--json"));
        assert_int_equal(q.exit, CLI_OK);
        assert_int_equal(server.asked, before + 1);
    }
}

/* Applied is applied: a new leader that has not read of the group yet is asked again. */
static void test_a_group_not_heard_of_yet_is_no_error(void **unused)
{
    static const char file[] = EXAMPLES "/group-orders.yaml";
    AUTO(outcome_free) struct outcome o = {0};
    unsigned before = server.asked;

    (void)unused;
    server.end = FAKE_ANSWER;
    server.status = 200;
    server.body = "{\"group\": \"orders\", \"changed\": true, \"phase\": \"forming\", "
                  "\"verdict\": \"not activated yet: pg-east runs\", \"conditions\": "
                  "[{\"name\": \"only-primary\", \"blocks\": true}]}";
    server.refuses = before + 2;
    o = run(WORDS("apply", "-f", file));
    server.refuses = 0;
    assert_int_equal(o.exit, CLI_OK);
    assert_string_equal(o.out, "group orders: applied\nnot activated yet: pg-east runs\n");
    assert_string_equal(o.errors, "");
    assert_int_equal(server.asked, before + 3);
}

/* What a group gives up that can be fenced by its own agent alone is said when it is
 * applied: once the region is lost it is too late. */
static void test_a_fence_by_the_agent_alone_is_noted(void **unused)
{
    static const char group[] =
        "group: orders\nregions: {east: {role: active}, west: {role: standby}}\n%s"
        "components:\n  - name: db\n    provider: postgres\n%s    instances:\n"
        "      - {agent: pg-east, region: east, port: 5432, data: /d, start: pg_ctl}\n"
        "      - {agent: pg-west, region: west, port: 5432, data: /d, start: pg_ctl}\n";
    static const struct {
        const char *fence, *local, *note;
    } table[] = {
        {"", "", NULL},
        {"fence: [agent, lease_expiry]\n", "", NULL},
        {"fence: [agent]\n", "",
         "note: with `fence: [agent]` only the agent of the active "},
        {"", "    ungated_local: true\n",
         "note: with `ungated_local: true` only the agent"},
    };

    (void)unused;
    server.end = FAKE_ANSWER;
    server.status = 200;
    server.body = "{\"group\": \"orders\", \"changed\": true, \"phase\": \"steady\"}";
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(outcome_free) struct outcome o = {0};
        char path[] = "/tmp/rf-group-XXXXXX";
        int fd = mkstemp(path);
        FILE *f = fdopen(fd, "w");

        assert_non_null(f);
        fprintf(f, group, table[i].fence, table[i].local);
        (void)fclose(f);
        o = run(WORDS("apply", "-f", path));
        (void)unlink(path);
        if (o.exit != CLI_OK ||
            (strstr(o.out, "note: ") != NULL) != (table[i].note != NULL) ||
            (table[i].note != NULL && strstr(o.out, table[i].note) == NULL))
            fail_msg("row %zu: %d, %s%s", i, (int)o.exit, o.out, o.errors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_held_group_is_told),
        cmocka_unit_test(test_a_fence_by_the_agent_alone_is_noted),
        cmocka_unit_test(test_a_group_not_heard_of_yet_is_no_error),
    };

    return cmocka_run_group_tests(tests, server_start, server_stop);
}
