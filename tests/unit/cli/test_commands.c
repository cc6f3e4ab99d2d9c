/* The commands against a server that answers what a row says: what is asked, and with which
 * status the program ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/cli/cli.h"
#include "tests/unit/cli/fake.h"
#include "tests/unit/cli/program.h"

struct request_row {
    const char *words[WORDS_MAX];
    const char *line, *body;
};

static const struct request_row requests[] = {
    {{"status"}, "GET /api/v1/status", ""},
    {{"why", "orders"}, "GET /api/v1/groups/orders/why", ""},
    {{"log"}, "GET /api/v1/log?limit=1000", ""},
    {{"log", "--json"}, "GET /api/v1/log?limit=50", ""},
    {{"log", "orders", "-n", "7"}, "GET /api/v1/log?limit=1000&group=orders", ""},
    {{"log", "orders", "--all", "-n", "7"}, "GET /api/v1/log?limit=7&group=orders", ""},
    {{"log", "--follow", "orders", "--all"},
     "GET /api/v1/log?limit=50&group=orders&follow=1",
     ""},
    {{"log", "--follow", "orders"},
     "GET /api/v1/log?limit=1000&group=orders&after=0&follow=1",
     ""},
    {{"export", "orders", "--json"}, "GET /api/v1/groups/orders", ""},
    {{"switchover", "orders", "--to", "west", "--reason", "a \"drill\""},
     "POST /api/v1/groups/orders/switchover",
     "{\"to\":\"west\",\"reason\":\"a \\\"drill\\\"\"}"},
    {{"switchover", "--to=west", "orders"},
     "POST /api/v1/groups/orders/switchover",
     "{\"to\":\"west\",\"reason\":\"\"}"},
    {{"failover", "orders"},
     "POST /api/v1/groups/orders/failover",
     "{\"to\":null,\"reason\":null}"},
    {{"failover", "orders", "--to", "west"},
     "POST /api/v1/groups/orders/failover",
     "{\"to\":\"west\",\"reason\":null}"},
    {{"failover", "orders", "--even-if-healthy"},
     "POST /api/v1/groups/orders/failover",
     "{\"to\":null,\"reason\":null,\"even_if_healthy\":true}"},
    {{"abort", "77"}, "POST /api/v1/runs/77/abort", ""},
    {{"pause", "orders"}, "POST /api/v1/groups/orders/pause", ""},
    {{"resume", "orders"}, "POST /api/v1/groups/orders/resume", ""},
    {{"retry", "orders"}, "POST /api/v1/groups/orders/retry", ""},
    {{"detach", "orders"}, "POST /api/v1/groups/orders/detach", ""},
    {{"attach", "orders"}, "POST /api/v1/groups/orders/attach", "{}"},
    {{"attach", "orders", "--active", "west"},
     "POST /api/v1/groups/orders/attach",
     "{\"active\":\"west\"}"},
    {{"remove", "orders"}, "DELETE /api/v1/groups/orders", ""},
    {{"controller", "replace", "east", "--id", "4"},
     "POST /api/v1/controllers/east/replace",
     "{\"id\":4}"},
    {{"proposals"}, "GET /api/v1/proposals", ""},
    {{"approve", "812"}, "POST /api/v1/proposals/812/approve", "{\"seen\":812}"},
    {{"approve", "812", "--seen", "901"},
     "POST /api/v1/proposals/812/approve",
     "{\"seen\":901}"},
    {{"doctor"}, "GET /api/v1/doctor", ""},
    {{"version"}, "GET /api/v1/version", ""},
    {{"rules"}, "GET /api/v1/rules", ""},
};

/* Each command asks what docs/architecture.md section 4 says. */
static void test_requests(void **unused)
{
    (void)unused;
    server.status = 200;
    server.end = FAKE_ANSWER;
    server.body = "{}\n";
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        const struct request_row *r = &requests[i];
        AUTO(outcome_free) struct outcome o = run(r->words);
        char expected[300];

        snprintf(expected, sizeof expected, "%s HTTP/1.1", r->line);
        assert_string_equal(server.line, expected);
        assert_string_equal(server.request, r->body);
        if (o.exit != CLI_OK)
            fail_msg("%s: %d %s", r->line, o.exit, o.errors);
        assert_string_equal(o.errors, "");
    }
}

/* Asked again: nothing has changed, and that is no failure. */
static void test_pause_again(void **unused)
{
    AUTO(outcome_free) struct outcome paused = {0}, resumed = {0}, now = {0};

    (void)unused;
    server.status = 200;
    server.end = FAKE_ANSWER;
    server.body = "{\"index\": 30, \"changed\": false}\n";
    paused = run(WORDS("pause", "orders"));
    resumed = run(WORDS("resume", "orders"));
    assert_int_equal(paused.exit, CLI_OK);
    assert_int_equal(resumed.exit, CLI_OK);
    assert_string_equal(paused.out, "automatic decisions of group orders are paused "
                                    "already: unchanged\n");
    assert_string_equal(resumed.out,
                        "automatic decisions of group orders are on already: unchanged\n");
    server.body = "{\"index\": 31, \"changed\": true}\n";
    now = run(WORDS("pause", "orders"));
    assert_string_equal(now.out, "automatic decisions paused, entry 31\n");
}

static const char orders_file[] = EXAMPLES "/group-orders.yaml";

static void test_apply_and_diff(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0}, p = {0}, q = {0};

    (void)unused;
    server.end = FAKE_ANSWER;
    server.status = 200;
    server.body = "{\"group\": \"orders\", \"index\": 812, \"changed\": true}";
    o = run(WORDS("apply", "-f", EXAMPLES "/group-orders.yaml"));
    assert_int_equal(o.exit, CLI_OK);
    assert_string_equal(o.out, "group orders: applied\n");
    assert_string_equal(server.line, "POST /api/v1/groups HTTP/1.1");
    assert_memory_equal(server.request, "{\"group\":\"orders\",\"regions\":[{", 30);
    outcome_free(&o);
    server.body = "{\"group\": \"orders\", \"index\": 812, \"changed\": true, "
                  "\"ttl_ms\": 1000, \"lease_ttl_ms\": 2000}";
    o = run(WORDS("apply", "-f", EXAMPLES "/group-orders.yaml"));
    assert_string_equal(o.out, "group orders: applied\n"
                               "leases are granted for 2s until the next epoch (a failover "
                               "or switchover), then for 1s\n");
    server.body =
        "{\"group\": \"orders\", \"diff\": [{\"path\": \"sync\", \"from\": \"off\", "
        "\"to\": "
        "\"required\"}, {\"path\": \"lease.ttl_ms\", \"from\": null, \"to\": 3000}, "
        "{\"path\": \"lease.rho_ppm\", \"from\": 10000, \"to\": 500}, {\"path\": "
        "\"decide.max_lag_bytes\", \"from\": 16777216, \"to\": null}, {\"path\": "
        "\"decide.automatic\", \"from\": true, \"to\": false}, {\"path\": "
        "\"components[0].instances[1].port\", \"from\": null, \"to\": 5432}]}";
    p = run(WORDS("diff", "-f", EXAMPLES "/group-orders.yaml"));
    assert_int_equal(p.exit, CLI_NO);
    assert_string_equal(p.out, "~ sync: off -> required\n"
                               "+ lease.ttl: 3s\n"
                               "~ lease.rho: 1% -> 500ppm\n"
                               "- decide.max_lag: 16MiB\n"
                               "~ decide.automatic: true -> false\n"
                               "+ components[0].instances[1].port: 5432\n");
    assert_string_equal(server.line, "POST /api/v1/groups?dry=1 HTTP/1.1");
    server.body =
        "{\"group\": \"orders\", \"diff\": [{\"path\": \"sync\", \"from\": \"off\", "
        "\"to\": "
        "\"strict\"}], \"active_region\": \"west\", \"roles_ignored\": true, \"refused\": "
        "{\"code\": \"wrong-phase\", \"detail\": \"is fencing\"}}";
    outcome_free(&p);
    p = run(WORDS("diff", "--keep-active", "-f", orders_file));
    assert_int_equal(p.exit, CLI_NO);
    assert_string_equal(p.out,
                        "~ sync: off -> strict\n"
                        "--keep-active: the file's roles do not count, west stays active\n"
                        "! apply would be refused: wrong-phase: is fencing\n");
    assert_string_equal(server.line, "POST /api/v1/groups?dry=1&keep_active=1 HTTP/1.1");
    server.body = "{\"group\": \"orders\", \"index\": 812, \"changed\": true, "
                  "\"active_region\": \"west\", \"roles_ignored\": true}";
    outcome_free(&o);
    o = run(WORDS("apply", "--keep-active", "-f", orders_file));
    assert_string_equal(
        o.out, "group orders: applied\n"
               "--keep-active: the file's roles do not count, west stays active\n");
    assert_string_equal(server.line, "POST /api/v1/groups?keep_active=1 HTTP/1.1");
    server.body = "{\"group\": \"orders\", \"diff\": []}";
    q = run(WORDS("diff", "-f", EXAMPLES "/group-orders.yaml"));
    assert_int_equal(q.exit, CLI_OK);
    assert_string_equal(q.out, "");
}

struct answer_row {
    const char *words[WORDS_MAX];
    enum fake_end end;
    unsigned status;
    const char *body;
    enum cli_exit exit;
    const char *errors; /* part of what is said */
};

#define ERROR(code, text) "{\"code\": \"" code "\", \"detail\": \"" text "\"}"

#define IN_GROUP_FILE EXAMPLES "/group-orders.yaml:"

static const struct answer_row answers[] = {
    {{"apply", "-f", EXAMPLES "/group-orders.yaml"},
     FAKE_ANSWER,
     400,
     ERROR("bad-request", "sync: \\\"x\\\": one of"),
     CLI_USAGE,
     "ringfence: " IN_GROUP_FILE "34: sync: \"x\": one of\n"},
    {{"diff", "-f", EXAMPLES "/group-orders.yaml"},
     FAKE_ANSWER,
     409,
     ERROR("invalid", "lease.ttl: breaks"),
     CLI_NO,
     "ringfence: " IN_GROUP_FILE "23: lease.ttl: breaks\n"},
    {{"apply", "-f", EXAMPLES "/group-orders.yaml"},
     FAKE_ANSWER,
     409,
     ERROR("wrong-phase", "is detached"),
     CLI_NO,
     "wrong-phase: is detached\n"},
    {{"pause", "g"},
     FAKE_ANSWER,
     409,
     ERROR("wrong-phase", "is detached"),
     CLI_NO,
     "wrong-phase: is detached\n"},
    {{"why", "g"}, FAKE_ANSWER, 404, ERROR("unknown-group", "no g"), CLI_NO, "no g\n"},
    {{"why", "g"}, FAKE_ANSWER, 503, "{}", CLI_UNREACHABLE, "answered with status 503"},
    {{"why", "g"}, FAKE_ANSWER, 200, "oops", CLI_UNREACHABLE, "the answer is not JSON"},
    {{"pause", "g"},
     FAKE_ANSWER,
     400,
     ERROR("bad-request", "lease.ttl"),
     CLI_USAGE,
     "lease.ttl"},
    {{"pause", "g"}, FAKE_ANSWER, 413, ERROR("too-large", "x"), CLI_USAGE, "too-large"},
    {{"pause", "g"}, FAKE_ANSWER, 503, ERROR("no-leader", "wait"), CLI_UNREACHABLE, "wait"},
    {{"status"}, FAKE_ANSWER, 503, ERROR("no-leader", "wait"), CLI_UNREACHABLE, "wait"},
    {{"pause", "g"},
     FAKE_ANSWER,
     503,
     ERROR("outcome-unknown", "look"),
     CLI_UNKNOWN,
     "look"},
    {{"pause", "g"}, FAKE_ANSWER, 503, ERROR("no-answer", "look"), CLI_UNKNOWN, "look"},
    {{"pause", "g"}, FAKE_ANSWER, 500, "oops", CLI_UNKNOWN, "answered with status 500"},
    {{"pause", "g"}, FAKE_ANSWER, 200, "oops", CLI_UNKNOWN, "the answer is not JSON"},
    {{"status"}, FAKE_ANSWER, 200, "oops", CLI_UNREACHABLE, "the answer is not JSON"},
    {{"status"},
     FAKE_ANSWER,
     404,
     ERROR("wrong-socket", "this is the socket of ringfence-agent"),
     CLI_USAGE,
     "ringfence: wrong-socket: this is the socket of ringfence-agent\n"},
    {{"status", "--watch"},
     FAKE_ANSWER,
     404,
     ERROR("wrong-socket", "this is the socket of ringfence-agent"),
     CLI_USAGE,
     "ringfence: wrong-socket: this is the socket of ringfence-agent\n"},
    {{"log"}, FAKE_ANSWER, 404, ERROR("wrong-socket", "an agent's"), CLI_USAGE, "agent's"},
    {{"status"}, FAKE_HANG, 0, "", CLI_UNREACHABLE, "Timeout"},
    {{"status"}, FAKE_CLOSE, 0, "", CLI_UNREACHABLE, "api.sock: "},
    {{"pause", "g"}, FAKE_HANG, 0, "", CLI_UNKNOWN, "it may have happened"},
    {{"pause", "g"}, FAKE_CLOSE, 0, "", CLI_UNKNOWN, "it may have happened"},
    {{"remove", "g"}, FAKE_CLOSE, 0, "", CLI_UNKNOWN, "it may have happened"},
    {{"failover", "g"}, FAKE_CUT, 200, "{\"run\": 7}", CLI_UNKNOWN, "it may have happened"},
    {{"log"}, FAKE_ANSWER, 404, ERROR("unknown-group", "no g"), CLI_NO, "no g"},
    {{"doctor"},
     FAKE_ANSWER,
     200,
     "{\"host\": \"h\", \"findings\": [{\"check\": \"gate\", \"level\": \"fail\", "
     "\"text\": "
     "\"x\"}]}",
     CLI_FAILURES,
     ""},
    {{"doctor", "--json"},
     FAKE_ANSWER,
     200,
     "{\"host\": \"h\", \"findings\": [{\"check\": \"gate\", \"level\": \"fail\", "
     "\"text\": "
     "\"x\"}]}",
     CLI_FAILURES,
     ""},
    {{"doctor"},
     FAKE_ANSWER,
     200,
     "{\"host\": \"h\", \"findings\": [{\"check\": \"gate\", \"level\": \"warn\", "
     "\"text\": "
     "\"x\"}]}",
     CLI_OK,
     ""},
};

/* Scripts depend on the exit status; a person on the text. */
static void test_exits(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        const struct answer_row *r = &answers[i];
        AUTO(outcome_free) struct outcome o = {0};

        server.end = r->end;
        server.status = r->status;
        server.body = r->body;
        o = run(r->words);
        if (o.exit != r->exit || strstr(o.errors, r->errors) == NULL)
            fail_msg("row %zu: %d '%s'", i, o.exit, o.errors);
    }
}

/* Nothing was done, so it is asked again while a leader may still be found; and only then:
 * what may have been done is never asked twice (I5). */
static void test_patience(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0}, p = {0}, q = {0};
    unsigned before;

    (void)unused;
    server.end = FAKE_ANSWER;
    server.status = 503;
    server.body = ERROR("no-leader", "wait");
    before = server.asked;
    o = run(WORDS("pause", "g"));
    assert_int_equal(o.exit, CLI_UNREACHABLE);
    assert_true(server.asked > before + 1);
    server.body = ERROR("outcome-unknown", "look");
    before = server.asked;
    p = run(WORDS("pause", "g"));
    assert_int_equal(p.exit, CLI_UNKNOWN);
    assert_int_equal(server.asked, before + 1);
    server.end = FAKE_CLOSE;
    before = server.asked;
    q = run(WORDS("failover", "g"));
    assert_int_equal(q.exit, CLI_UNKNOWN);
    assert_int_equal(server.asked, before + 1);
}

static const struct {
    const char *words[WORDS_MAX];
    const char *errors;
} usages[] = {
    {{"controller", "replace", "east"}, "expected --id N"},
    {{"controller", "replace", "east", "--id", "0"}, "a number above 0"},
    {{"controller", "replace", "east", "--id", "4x"}, "a number above 0"},
    {{"controller", "replace", "--id", "4"}, "NAME"},
    {{"controller", "replace", "E/", "--id", "4"}, "controller"},
    {{"frobnicate"}, "there is no command 'frobnicate'"},
    {{"pki"}, "there is no command 'pki' of this form; see `ringfence pki --help`"},
    {{"frob", "--help"}, "there is no command 'frob'; see `ringfence --help`"},
    {{"pki", "init"}, "expected --dir DIR and --cluster NAME"},
    {{"pki", "issue", "--dir", "d", "robot", "x"}, "expected controller, agent or user"},
    {{"pki", "renew", "controller", "x"}, "expected --dir DIR"},
    {{"pki", "renew", "--dir", "d", "robot", "x"},
     "expected controller, agent, user, ca or crl"},
    {{"pki", "renew", "--dir", "d", "controller"}, "expected its name"},
    {{"pki", "renew", "--dir", "d", "ca", "x"}, "nothing is expected behind it"},
    {{"pki", "renew", "--dir", "d", "crl", "--use"}, "are of `pki renew ca`"},
    {{"pki", "renew", "--dir", "d", "ca", "--keep-key"},
     "of a controller, an agent or a user"},
    {{"pki", "renew", "--dir", "d", "ca", "--use", "--finish"}, "are two steps"},
    {{"pki", "renew", "--dir", "d", "crl", "--days", "0"}, "--days: expected 1 to"},
    {{"pki", "revoke", "x"}, "expected --dir DIR"},
    {{"pki", "show"}, "expected --dir DIR, or a FILE"},
    {{"pki", "show", "--dir", "d", "x"}, "expected --dir DIR, or a FILE"},
    {{"status", "orders"}, "expected `ringfence status`"},
    {{"status", "--jsn"}, "unknown option '--jsn'; see `ringfence status --help`"},
    {{"why"}, "expected `ringfence why GROUP`"},
    {{"why", "../x"}, "'../x' is no name of a group"},
    {{"why", "Orders"}, "'Orders' is no name of a group"},
    {{"switchover", "orders"}, "expected --to REGION"},
    {{"switchover", "orders", "--to", "we st"}, "'we st' is no name of a region"},
    {{"abort", "last"}, "expected the number of a run"},
    {{"approve", "it"}, "expected the number of a proposal"},
    {{"approve", "7", "--seen", "it"}, "--seen: expected a number"},
    {{"log", "-n", "0"}, "expected -n 1 to"},
    {{"log", "-n", "x"}, "expected -n 1 to"},
    {{"apply"}, "expected -f FILE"},
    {{"apply", "-f", "/nowhere.yaml"}, "/nowhere.yaml: No such file"},
    {{"status", "--timeout", "5"}, "--timeout: expected a duration"},
    {{"status", "--timeout", "0s"}, "--timeout: more than 0"},
};

/* What is wrong is told before anything is asked. */
static void test_usage(void **unused)
{
    unsigned before = server.asked;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(usages); i++) {
        AUTO(outcome_free) struct outcome o = run(usages[i].words);

        if (o.exit != CLI_USAGE || strstr(o.errors, usages[i].errors) == NULL)
            fail_msg("row %zu: %d '%s'", i, o.exit, o.errors);
        assert_string_equal(o.out, "");
    }
    assert_int_equal(server.asked, before);
}

static void test_nobody_there(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0}, p = {0}, v = {0};

    (void)unused;
    o = run(WORDS("status", "--socket", "/tmp/rf-nobody.sock"));
    assert_int_equal(o.exit, CLI_UNREACHABLE);
    assert_non_null(strstr(o.errors,
                           "connect to /tmp/rf-nobody.sock (nobody who runs here has "
                           "it: start ringfenced, or give --socket): No such "
                           "file"));
    p = run(WORDS("pause", "g", "--socket", "/tmp/rf-nobody.sock"));
    assert_int_equal(p.exit, CLI_UNREACHABLE); /* nothing was sent: not "unknown" */
    v = run(WORDS("version", "--socket", "/tmp/rf-nobody.sock"));
    assert_int_equal(v.exit, CLI_OK);
    assert_string_equal(v.out, "ringfence " RF_VERSION "\n");
}

/* A controller without a leader shows what it last knew, and the status says that. */
static void test_stale_status(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0}, why = {0}, none = {0};

    (void)unused;
    server.end = FAKE_ANSWER;
    server.status = 200;
    server.no_leader = true;
    server.body = "{\"cluster\": \"demo\", \"controller\": \"east\", \"stale\": true, "
                  "\"groups\": []}";
    o = run(WORDS("status"));
    assert_int_equal(o.exit, CLI_UNREACHABLE);
    assert_string_equal(server.line, "GET /api/v1/status?stale=ok HTTP/1.1");
    assert_non_null(strstr(o.out, "!! STALE: controller east knows no leader"));
    server.body = "{\"group\": \"g\", \"stale\": true, \"verdict\": \"no leader\", "
                  "\"conditions\": []}";
    why = run(WORDS("why", "g"));
    assert_int_equal(why.exit, CLI_UNREACHABLE);
    assert_non_null(strstr(why.out, "no leader"));
    none = run(WORDS("--timeout", "300ms", "pause", "g"));
    assert_int_equal(none.exit, CLI_UNREACHABLE);
    assert_non_null(strstr(none.errors, "no-leader: nobody leads"));
    server.no_leader = false;
}

/* Every command has help, and the man page names every command and option. */
static void test_help(void **unused)
{
    char *man = NULL, *argv[] = {"ringfence", "--man", NULL};
    size_t size;
    FILE *out = open_memstream(&man, &size);

    (void)unused;
    assert_int_equal(cli_main(2, argv, out, stderr), CLI_OK);
    fclose(out);
    for (unsigned i = 0; cli_command_at(i) != NULL; i++) {
        const struct help_command *h = &cli_command_at(i)->help;
        AUTO(outcome_free) struct outcome o = {0};
        char name[64], title[80];
        char *space;

        snprintf(name, sizeof name, "%s", h->name);
        space = strchr(name, ' ');
        if (space != NULL)
            *space = '\0';
        o = space != NULL ? run(WORDS(name, space + 1, "--help"))
                          : run(WORDS(name, "--help"));
        assert_int_equal(o.exit, CLI_OK);
        assert_non_null(strstr(o.out, h->name));
        assert_non_null(strstr(o.out, "exit status:"));
        snprintf(title, sizeof title, ".SS %s\n", h->name);
        assert_non_null(strstr(man, title));
        for (const struct help_option *opt = h->options; opt->name != NULL; opt++)
            assert_non_null(strstr(o.out, opt->name));
    }
    free(man);
}

/* argv as a shell gives it, without --socket. */
static struct outcome run_bare(const char *first, const char *second)
{
    char *argv[] = {"ringfence", (char *)(uintptr_t)first, (char *)(uintptr_t)second, NULL};
    struct outcome o = {0};
    size_t size;
    FILE *out = open_memstream(&o.out, &size), *errors = open_memstream(&o.errors, &size);

    o.exit = cli_main(second != NULL ? 3 : 2, argv, out, errors);
    fclose(out);
    fclose(errors);
    return o;
}

/* Two words of which only one was said. */
static void test_family(void **unused)
{
    AUTO(outcome_free) struct outcome o = run_bare("pki", "--help");
    AUTO(outcome_free) struct outcome p = run_bare("pki", "-h");

    (void)unused;
    assert_int_equal(o.exit, CLI_OK);
    assert_non_null(strstr(o.out, "ringfence pki init: make a small CA"));
    assert_non_null(
        strstr(o.out, "ringfence pki issue controller|agent|user NAME: make a key"));
    assert_string_equal(o.out, p.out);
    assert_string_equal(o.errors, "");
}

/* Nobody needs to answer for it; once the words it was run with were gone by then. */
static void test_version(void **unused)
{
    AUTO(outcome_free) struct outcome o = run_bare("--version", NULL);
    AUTO(outcome_free) struct outcome with = run(WORDS("--version"));

    (void)unused;
    assert_int_equal(o.exit, CLI_OK);
    assert_string_equal(o.errors, "");
    assert_int_equal(strncmp(o.out, "ringfence " RF_VERSION "\n",
                             sizeof "ringfence " RF_VERSION "\n" - 1),
                     0);
    assert_int_equal(with.exit, CLI_OK);
    assert_int_equal(strncmp(with.out, o.out, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),       cmocka_unit_test(test_pause_again),
        cmocka_unit_test(test_apply_and_diff), cmocka_unit_test(test_exits),
        cmocka_unit_test(test_usage),          cmocka_unit_test(test_patience),
        cmocka_unit_test(test_nobody_there),   cmocka_unit_test(test_stale_status),
        cmocka_unit_test(test_help),           cmocka_unit_test(test_family),
        cmocka_unit_test(test_version),
    };

    return cmocka_run_group_tests(tests, server_start, server_stop);
}
