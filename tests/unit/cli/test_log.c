/* `ringfence log`: every row, and what people ask a log for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/cli/fake.h"
#include "tests/unit/cli/program.h"

static void test_log_lines(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0};

    (void)unused;
    server.end = FAKE_ANSWER;
    server.status = 200;
    server.body =
        "{\"seq\": 5, \"time\": \"T\", \"leader\": \"witness\", \"group\": \"orders\", "
        "\"kind\": \"activate\", \"rule\": \"r\", \"text\": \"t\", \"result\": "
        "\"accepted\"}\n"
        "{\"seq\": 6, \"time\": \"T\", \"leader\": \"witness\", \"group\": \"orders\", "
        "\"kind\": \"activate\", \"rule\": \"r\", \"text\": \"t\", \"result\": "
        "\"unproven\"}\n";
    o = run(WORDS("log", "--all"));
    assert_int_equal(o.exit, CLI_OK);
    assert_string_equal(
        o.out, "T      5  witness     orders      activate      r                       t\n"
               "T      6  witness     orders      activate      r                       t  "
               "[refused: unproven]\n");
}

struct trail_row {
    const char *kind, *rule, *text, *result;
    const char *told; /* NULL: left out of the short view */
};

static const struct trail_row trail[] = {
    {"controller", "agent", "controller east", "accepted", NULL},
    {"enrol", "agent", "agent pg-east", "accepted", NULL},
    {"declare", "operator", "new", "accepted", "declare      new [operator]"},
    {"proof", "gate-installed", "pg-west proven by gate-installed", "accepted", NULL},
    {"step-start", "lead-under-lease", "pg-east begins lead", "accepted", NULL},
    {"step-end", "record-outcome", "pg-east: lead done at 0/3000060", "accepted", NULL},
    {"step-end", "record-outcome", "pg-west: follow failed: no room", "accepted",
     "step-end     pg-west: follow failed: no room [record-outcome]"},
    {"refused", "hold", "steady: paused", "held", "held         steady: paused [hold]"},
    {"switchover", "operator", "to pg-west", "not-in-sync-set",
     "switchover   REFUSED (not-in-sync-set): to pg-west [operator]"},
    {"fence-begin", "silent-holder", "failover of epoch 1", "accepted",
     "fence-begin  failover of epoch 1 [silent-holder]"},
    {"proof", "proof-by-expiry", "pg-east proven by lease-expiry", "accepted",
     "proof        pg-east proven by lease-expiry [proof-by-expiry]"},
    {"step-end", "record-outcome", "pg-west: follow failed: no room", "accepted",
     "step-end     pg-west: follow failed again, as before [record-outcome]"},
    {"step-end", "record-outcome", "pg-west: follow failed: pid 17 at 0/3A ends",
     "accepted",
     "step-end     pg-west: follow failed: pid 17 at 0/3A ends [record-outcome]"},
    {"step-end", "record-outcome", "pg-west: follow failed: pid 4 at 0/41 ends", "accepted",
     "step-end     pg-west: follow failed again, as before [record-outcome]"},
    {"step-end", "record-outcome",
     "pg-east: follow done: 104 bytes of its log that the new primary does not have are "
     "kept "
     "in /t",
     "accepted",
     "step-end     pg-east: follow done: 104 bytes of its log that the new primary does "
     "not "
     "have are kept in /t [record-outcome]"},
    {"step-end", "record-outcome", "pg-west: follow failed: no room at all", "accepted",
     "step-end     pg-west: follow failed: no room at all [record-outcome]"},
    {"step-start", "crash-restarts-here", "pg-east is down: begins lead (restart)",
     "accepted",
     "step-start   pg-east is down: begins lead (restart) [crash-restarts-here]"},
    {"step-end", "record-outcome", "pg-east runs again: lead (restart) done", "accepted",
     "step-end     pg-east runs again: lead (restart) done [record-outcome]"},
    {"step-end", "record-outcome", "pg-west: follow done: 12 bytes kept", "accepted",
     "step-end     pg-west: follow done: 12 bytes kept [record-outcome]"},
    {"a-new-kind", "x", "y", "accepted", "a-new-kind   y [x]"},
    {"renew", "agent", "1 renewals", "accepted", NULL},
};

static void make_body(char *body, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_LEN(trail); i++)
        used += (size_t)snprintf(
            body + used, size - used,
            "{\"seq\": %zu, \"time\": \"2026-11-21T03:42:07.123Z\", \"group\": "
            "\"orders\", \"kind\": \"%s\", \"rule\": \"%s\", \"text\": \"%s\", "
            "\"result\": \"%s\"}\n",
            i + 1, trail[i].kind, trail[i].rule, trail[i].text, trail[i].result);
}

/* What is told, from row `first` on. */
static void make_told(char *text, size_t size, size_t first, const char *group)
{
    size_t used = 0;

    for (size_t i = first; i < ARRAY_LEN(trail); i++)
        if (trail[i].told != NULL)
            used += (size_t)snprintf(text + used, size - used,
                                     "11-21 03:42:07.123Z  %s%s\n", group, trail[i].told);
}

/* What people ask a log for, with the rules; the rest is in --all. */
static void test_log_in_short(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0}, all = {0}, last = {0};
    static char body[8192], told[4096];
    unsigned lines = 0;

    (void)unused;
    make_body(body, sizeof body);
    server.end = FAKE_ANSWER;
    server.status = 200;
    server.body = body;
    o = run(WORDS("log", "orders"));
    assert_int_equal(o.exit, CLI_OK);
    make_told(told, sizeof told, 0, "");
    assert_string_equal(o.out, told);
    all = run(WORDS("log", "--json", "-n", "21"));
    for (const char *line = all.out; (line = strchr(line, '\n')) != NULL; line++)
        lines++;
    assert_int_equal(lines, ARRAY_LEN(trail));
    assert_non_null(strstr(all.out, "\"kind\":\"renew\""));
    last = run(WORDS("log", "-n", "2"));
    make_told(told, sizeof told, 18, "orders  ");
    assert_string_equal(last.out, told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_lines),
        cmocka_unit_test(test_log_in_short),
    };

    return cmocka_run_group_tests(tests, server_start, server_stop);
}
