/* What is asked for again, and what is agreed to that was read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/cli/program.h"

#define ERROR(code, text) "{\"code\": \"" code "\", \"detail\": \"" text "\"}"

/* Where keys are remembered, what may have been done is asked for again, under the key that
 * it had: the second answer is the first one's, or it is done now. A look needs no key. */
static void test_asked_again_with_its_key(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0}, p = {0}, q = {0}, once = {0};
    char key[80];
    unsigned before;

    (void)unused;
    server.end = FAKE_ANSWER;
    server.status = 200;
    server.body = "{\"run\": 812}";
    server.keys = true;
    server.loses = 2;
    before = server.asked;
    o = run(WORDS("--timeout", "5s", "failover", "g"));
    assert_int_equal(o.exit, CLI_OK);
    assert_int_equal(server.asked, before + 3);
    assert_int_equal(strlen(server.key), 32);
    assert_string_equal(server.key, server.key_before);
    memcpy(key, server.key, sizeof key);
    p = run(WORDS("pause", "g"));
    assert_int_equal(p.exit, CLI_OK);
    assert_int_equal(strlen(server.key), 32);
    assert_string_not_equal(server.key, key);
    server.body = "{\"groups\": []}";
    q = run(WORDS("status"));
    assert_int_equal(q.exit, CLI_OK);
    assert_string_equal(server.key, "");
    server.status = 409;
    server.body = ERROR("secret-shown-once", "revoke it");
    before = server.asked;
    once = run(WORDS("user", "token", "anna"));
    assert_int_equal(once.exit, CLI_NO);
    assert_int_equal(server.asked, before + 1);
    assert_non_null(strstr(once.errors, "secret-shown-once: revoke it"));
    server.keys = false;
}

#define PROPOSAL(seen, bytes)                                                              \
    "{\"id\": 812, \"group\": \"orders\", \"kind\": \"failover\", \"state\": \"stale\", "  \
    "\"reason\": \"it burns\", \"by\": \"anna\", \"seen\": " #seen ", \"expires\": "       \
    "\"2026-11-30T20:00:00.000Z\", \"missing\": [\"approver\"], \"approvals\": [], "       \
    "\"forecast\": {\"loss_known\": true, \"loss_bytes\": " #bytes                         \
    ", \"takes_ms\": 1000, \"fails\": \"\"}}"

/* What is agreed to is the forecast that was read. Where it is another one by now, that is
 * shown, and what it takes to agree to it. */
static void test_approve_what_was_read(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0}, again = {0}, list = {0};

    (void)unused;
    server.end = FAKE_ANSWER;
    server.status = 409;
    server.body = ERROR("changed-since", "has changed since you looked");
    server.listed = "{\"proposals\": [" PROPOSAL(901, 4096) "]}";
    o = run(WORDS("approve", "812"));
    assert_int_equal(o.exit, CLI_NO);
    assert_non_null(strstr(o.errors, "changed-since: has changed since you looked"));
    assert_non_null(strstr(o.out, "up to 4.0KiB of log are lost"));
    assert_non_null(strstr(o.out, "to agree:  ringfence approve 812 --seen 901\n"));
    list = run(WORDS("proposals"));
    assert_string_equal(list.out, o.out);
    server.status = 200;
    server.body = "{\"index\": 902, \"proposal\": " PROPOSAL(901, 4096) "}";
    again = run(WORDS("approve", "812", "--seen", "901"));
    assert_int_equal(again.exit, CLI_OK);
    assert_string_equal(server.request, "{\"seen\":901}");
    server.listed = "{\"proposals\": [" PROPOSAL(812, 0) "]}";
    outcome_free(&list);
    list = run(WORDS("proposals"));
    assert_non_null(strstr(list.out, "to agree:  ringfence approve 812\n"));
    server.listed = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_again_with_its_key),
        cmocka_unit_test(test_approve_what_was_read),
    };

    return cmocka_run_group_tests(tests, server_start, server_stop);
}
