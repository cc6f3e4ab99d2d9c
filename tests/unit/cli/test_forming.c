/* What is told to whoever made a group form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
        {"forming", "only-primary", "forming, and held: pg-east runs\n", 2},
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
                 "\"%s\", \"verdict\": \"forming, and held: pg-east runs\", "
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
            assert_string_equal(server.line, "GET /v1/groups/orders/why HTTP/1.1");
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
                  "\"verdict\": \"forming, and held: pg-east runs\", \"conditions\": "
                  "[{\"name\": \"only-primary\", \"blocks\": true}]}";
    server.refuses = before + 2;
    o = run(WORDS("apply", "-f", file));
    server.refuses = 0;
    assert_int_equal(o.exit, CLI_OK);
    assert_string_equal(o.out, "group orders: applied\nforming, and held: pg-east runs\n");
    assert_string_equal(o.errors, "");
    assert_int_equal(server.asked, before + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_held_group_is_told),
        cmocka_unit_test(test_a_group_not_heard_of_yet_is_no_error),
    };

    return cmocka_run_group_tests(tests, server_start, server_stop);
}
