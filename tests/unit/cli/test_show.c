/* controller/cli/show.h: what a person reads, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/auto.h"
#include "controller/cli/show.h"

static char *shown(void (*show)(const json_t *, FILE *), const char *text)
{
    json_error_t where;
    json_t *document = json_loads(text, 0, &where);
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);

    if (document == NULL)
        fail_msg("%d:%d %s", where.line, where.column, where.text);
    show(document, f);
    fclose(f);
    json_decref(document);
    return out;
}

/* The example of docs/architecture.md section 4, with a hold and a problem. */
static const char status[] =
    "{\"cluster\": \"demo\", \"controller\": \"witness\", \"leader\": \"witness\", "
    "\"term\": "
    "3, \"applied\": 812, \"stale\": false, \"time\": \"2026-11-21T03:42:07.123Z\","
    "\"controllers\": [{\"name\": \"east\", \"region\": \"east\", \"id\": 1, \"role\": "
    "\"follower\", \"up\": true, \"caught_up\": false, \"version\": \"0.1.0\"},"
    "{\"name\": \"witness\", \"region\": \"witness\", \"id\": 3, \"role\": \"leader\", "
    "\"up\": true, \"caught_up\": true, \"version\": \"0.1.0\"},"
    "{\"name\": \"west\", \"region\": \"west\", \"id\": 2, \"role\": \"follower\", "
    "\"up\": false, \"caught_up\": false, \"version\": \"0.1.0\"}],"
    "\"agents\": [{\"name\": \"pg-west\", \"region\": \"west\", \"address\": "
    "\"10.0.2.2\", \"connected\": false, \"via\": \"\", \"heard_ms\": 12000, \"lives\": 1, "
    "\"version\": \"0.1.0\"},"
    "{\"name\": \"pg-east\", \"region\": \"east\", \"address\": \"10.0.1.2\", "
    "\"connected\": true, \"via\": \"east\", \"heard_ms\": 12, \"lives\": 1, \"version\": "
    "\"0.1.0\", \"guard\": \"down\"}],"
    "\"groups\": [{\"name\": \"orders\", \"phase\": \"steady\", \"suspect\": true, "
    "\"epoch\": "
    "4, \"active\": \"pg-east\", \"active_region\": \"east\", \"sync\": \"required\", "
    "\"sync_set\": [\"pg-east\", \"pg-west\"], \"paused\": true, \"hold\": \"paused by an "
    "operator\", \"unprotected\": \"nobody could take over: pg-west: disk\", "
    "\"severing\": {\"ready\": false, \"problem\": \"no agent of another member "
    "answers\"}, "
    "\"failovers\": 1, \"switchovers\": 0, \"ttl_ms\": 1000,"
    "\"run\": {\"id\": 77, \"kind\": \"failover\", \"result\": \"done\", \"from\": "
    "\"pg-west\", \"to\": \"pg-east\", \"epoch_before\": 3, \"epoch_after\": 4, \"rule\": "
    "\"silent-holder\", \"reason\": \"\", \"proof\": \"lease-expiry\", "
    "\"forecast_lost_bytes\": 0, \"lost_bytes\": null},"
    "\"instances\": [{\"name\": \"pg-east\", \"region\": \"east\", \"role\": \"primary\", "
    "\"server\": \"primary\", \"member\": true, \"proven\": false, \"gate\": \"open\", "
    "\"lease_margin_ms\": 870, \"lsn\": \"0/3000060\", \"lag_bytes\": 0, \"lag_ms\": 0, "
    "\"timeline\": 2, \"streaming\": false, \"step\": {\"kind\": \"lead\", \"state\": "
    "\"done\", \"text\": \"\"}, \"probes\": {\"west\": true, \"witness\": false}, "
    "\"problem\": \"\"},"
    "{\"name\": \"pg-west\", \"region\": \"west\", \"role\": \"standby\", \"server\": "
    "\"standby\", \"member\": true, \"proven\": true, \"gate\": \"closed\", "
    "\"lease_margin_ms\": null, \"lsn\": \"0/3000000\", \"lag_bytes\": 1536, \"lag_ms\": "
    "12, "
    "\"timeline\": 2, \"streaming\": false, \"step\": {\"kind\": \"follow\", \"state\": "
    "\"failed\", \"text\": \"no room\"}, \"probes\": {\"east\": false, "
    "\"witness\": false}, \"problem\": \"disk is "
    "full\"}]}]}";

static const char status_text[] =
    "cluster demo  leader witness (term 3)  asked witness  applied 812  "
    "2026-11-21T03:42:07.123Z\n"
    "\n"
    "CONTROLLER  REGION   ROLE      LINK  LOG      VERSION\n"
    "east        east     follower  up    BEHIND   0.1.0\n"
    "witness     witness  leader    up    current  0.1.0\n"
    "west        west     follower  DOWN  BEHIND   0.1.0\n"
    "!! controller west is DOWN: start ringfenced there, or mend the way to it (`ringfence "
    "doctor` says who reaches whom)\n"
    "\n"
    "AGENT    REGION  ADDRESS   LINK  VIA   HEARD  LIVES  VERSION\n"
    "pg-west  west    10.0.2.2  DOWN  -     12s    1      0.1.0\n"
    "pg-east  east    10.0.1.2  up    east  12ms   1      0.1.0\n"
    "!! agent pg-west (10.0.2.2) is DOWN: start ringfence-agent there, or mend its way to "
    "the controllers\n"
    "!! the guard of agent pg-east is DOWN: the gate alone enforces its leases; "
    "`ringfence doctor` on its host says why\n"
    "\n"
    "GROUP orders   steady, SUSPECTED, PAUSED   epoch 4   active east (pg-east)\n"
    "  sync required, set {pg-east,pg-west}   ttl 1s   failovers 1, switchovers 0\n"
    "  !! HELD: paused by an operator\n"
    "  !! NO FAILOVER POSSIBLE: nobody could take over: pg-west: disk\n"
    "  !! sync_severed would not work now: no agent of another member answers\n"
    "  last run 77: failover, pg-west -> pg-east, epoch 3 -> 4, rule silent-holder, proof "
    "lease-expiry, lost - (forecast 0)\n"
    "  !! pg-west: disk is full\n"
    "  !! pg-west: step follow failed: no room\n"
    "  INSTANCE  ROLE     GATE         SET  LAG        LSN        STEP           PROBED\n"
    "  pg-east   primary  open, 870ms  yes  -          0/3000060  -              all but "
    "witness\n"
    "  pg-west   standby  closed       yes  NO STREAM  0/3000000  follow FAILED  none, "
    "rightly\n";

static void test_status(void **unused)
{
    AUTO(auto_free) char *out = shown(show_status, status);

    (void)unused;
    assert_string_equal(out, status_text);
}

/* What ends soon is said, what has ended aloud; of what is well there is nothing. */
static void test_certificates(void **unused)
{
    AUTO(auto_free)
    char *out =
        shown(show_status,
              "{\"controller\": \"east\", \"certificates\": [{\"check\": \"certificate\", "
              "\"level\": \"fail\", \"text\": \"has ENDED\"}, {\"check\": "
              "\"certificate-ca\", \"level\": \"warn\", \"text\": \"ends soon\"}]}");
    AUTO(auto_free)
    char *well = shown(show_status, "{\"controller\": \"east\", \"certificates\": []}");

    (void)unused;
    assert_non_null(strstr(out, "!! CERTIFICATES of east: has ENDED\n"));
    assert_non_null(strstr(out, "!! certificates of east: ends soon\n"));
    assert_null(strstr(well, "!!"));
}

/* Silence is what a closed standby owes; else who does not answer is told. */
static void test_probes(void **unused)
{
    static const struct {
        const char *role, *gate, *probes, *text;
    } rows[] = {
        {"standby", "replication", "{\"a\": false, \"b\": false}", "none, rightly\n"},
        {"standby", "closed", "{\"a\": false}", "none, rightly\n"},
        {"standby", "replication", "{\"a\": false, \"b\": true, \"c\": false}",
         " b\n"}, /* b is on the primary's host */
        {"standby", "replication", "{\"a\": true}", " all\n"},
        {"standby", "closed", "{\"a\": true, \"b\": false}", "all but b\n"},
        {"standby", "replication", "{}", " -\n"},
        {"standby", "open", "{\"a\": false}", "NONE\n"},
        {"standby", "unmanaged", "{\"a\": false}", "NONE\n"},
        {"standby", "unknown", "{\"a\": false}", "NONE\n"},
        {"primary", "replication", "{\"a\": false}", "NONE\n"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char document[400];
        AUTO(auto_free) char *out = NULL;

        snprintf(document, sizeof document,
                 "{\"groups\": [{\"instances\": [{\"role\": \"%s\", \"gate\": \"%s\", "
                 "\"probes\": %s}]}]}",
                 rows[i].role, rows[i].gate, rows[i].probes);
        out = shown(show_status, document);
        if (strstr(out, rows[i].text) == NULL)
            fail_msg("row %zu: %s", i, out);
    }
}

/* A document that lacks everything is still shown. */
static void test_empty_status(void **unused)
{
    AUTO(auto_free) char *out = shown(show_status, "{}");
    AUTO(auto_free)
    char *odd = shown(show_status,
                      "{\"groups\": [{\"instances\": [{\"probes\": 5}], \"run\": []}], "
                      "\"agents\": 7}");

    (void)unused;
    assert_non_null(strstr(out, "cluster -  leader - (term -)"));
    assert_non_null(strstr(out, "no group is declared yet"));
    assert_non_null(strstr(odd, "GROUP -   -   epoch -   active - (-)"));
}

#define LONG                                                                               \
    "the disk under /var/lib/ringfence cannot be written: no space left on device (free "  \
    "some, or move state_dir); nothing can be begun on this host until then"

static const char troubled[] =
    "{\"groups\": [{\"hold\": \"" LONG "\", \"instances\": [{\"name\": \"pg-east\", "
    "\"problem\": \"" LONG
    "\", \"step\": {\"kind\": \"follow\", \"state\": \"failed\", \"text\": "
    "\"" LONG "\"}}]}]}";

/* A person gets the whole sentence, broken at words; a pipe gets it on one line. */
static void test_long_sentences(void **unused)
{
    AUTO(auto_free) char *piped = shown(show_status, troubled);
    AUTO(auto_free) char *wide = NULL;

    (void)unused;
    assert_non_null(strstr(piped, "  !! HELD: " LONG "\n"));
    assert_non_null(strstr(piped, "  !! pg-east: " LONG "\n"));
    assert_non_null(strstr(piped, "  !! pg-east: step follow failed: " LONG "\n"));
    assert_int_equal(setenv("COLUMNS", "60", 1), 0);
    wide = shown(show_status, troubled);
    assert_int_equal(unsetenv("COLUMNS"), 0);
    assert_non_null(strstr(wide,
                           "  !! pg-east: the disk under /var/lib/ringfence cannot be\n"
                           "     written: no space left on device (free some, or move\n"
                           "     state_dir); nothing can be begun on this host until\n"
                           "     then\n"));
    assert_non_null(
        strstr(wide, "  !! pg-east: step follow failed: the disk under\n"
                     "     /var/lib/ringfence cannot be written: no space left on\n"));
}

/* In a table they are broken within their column. */
static void test_long_cells(void **unused)
{
    static const char why[] =
        "{\"group\": \"g\", \"conditions\": [{\"name\": \"leader\", \"holds\": true, "
        "\"value\": \"yes\", \"limit\": \"a majority agrees\"}, {\"name\": "
        "\"target-ready\", "
        "\"blocks\": true, \"value\": \"nobody\", \"limit\": \"" LONG "\"}]}";
    AUTO(auto_free) char *piped = shown(show_why, why);
    AUTO(auto_free) char *wide = NULL;

    (void)unused;
    assert_non_null(strstr(piped, "  BLOCKS   target-ready  nobody  " LONG "\n"));
    assert_int_equal(setenv("COLUMNS", "72", 1), 0);
    wide = shown(show_why, why);
    assert_int_equal(unsetenv("COLUMNS"), 0);
    assert_non_null(strstr(
        wide, "  permits  leader        yes     a majority agrees\n"
              "  BLOCKS   target-ready  nobody  the disk under /var/lib/ringfence\n"
              "                                 cannot be written: no space left on\n"
              "                                 device (free some, or move state_dir);\n"
              "                                 nothing can be begun on this host until\n"
              "                                 then\n"));
}

/* What is shown of a group with these members only. */
static char *shown_group(const char *members)
{
    char document[800];

    snprintf(document, sizeof document, "{\"groups\": [{%s}]}", members);
    return shown(show_status, document);
}

/* What went wrong on the way to where it is now is not wrong any more. */
static void test_step_over(void **unused)
{
#define FAILED(role, server, streaming)                                                    \
    "\"instances\": [{\"name\": \"w\", \"role\": \"" role "\", \"server\": \"" server      \
    "\", \"streaming\": " streaming                                                        \
    ", \"step\": {\"kind\": \"follow\", \"state\": \"failed\", \"text\": \"no room\"}}]"
    AUTO(auto_free) char *over = shown_group(FAILED("standby", "standby", "true"));
    AUTO(auto_free) char *still = shown_group(FAILED("standby", "standby", "false"));
    AUTO(auto_free) char *down = shown_group(FAILED("standby", "down", "true"));

    (void)unused;
    assert_null(strstr(over, "failed"));
    assert_non_null(strstr(still, "!! w: step follow failed: no room"));
    assert_non_null(strstr(still, "follow FAILED "));
    assert_non_null(strstr(down, "!! w: step follow failed: no room"));
}

/* When it is tried again is said with it. */
static void test_step_again(void **unused)
{
#define AGAIN(more)                                                                        \
    "\"name\": \"orders\", "                                                               \
    "\"instances\": [{\"name\": \"w\", \"step\": {\"kind\": \"lead\", \"state\": "         \
    "\"failed\", \"text\": \"no room\"" more "}}]"
    AUTO(auto_free) char *never = shown_group(AGAIN(", \"retry_ms\": null"));
    AUTO(auto_free)
    char *later = shown_group(AGAIN(", \"failures\": 5, \"retry_ms\": 12400"));
    AUTO(auto_free) char *now = shown_group(AGAIN(", \"failures\": 1, \"retry_ms\": 0"));

    (void)unused;
    assert_non_null(strstr(never, "!! w: step lead failed: no room\n"));
    assert_non_null(strstr(later, "!! w: step lead failed (5 times; again in 12s, now by "
                                  "`ringfence retry orders`): no room\n"));
    assert_non_null(strstr(now, "!! w: step lead failed (again now): no room\n"));
}

/* A pair in good health fits into 80 columns, and one in trouble into 100. */
static void test_width(void **unused)
{
#define ONE(name, role, gate, margin, lag)                                                 \
    "{\"name\": \"" name "\", \"role\": \"" role "\", \"server\": \"" role                 \
    "\", \"gate\": \"" gate "\", \"lease_margin_ms\": " margin ", \"member\": true, "      \
    "\"lsn\": \"1F/3000060\", \"lag_bytes\": " lag ", \"lag_ms\": 120, \"streaming\": "    \
    "true, \"step\": {\"kind\": \"follow\", \"state\": \"done\"}, \"probes\": "            \
    "{\"east\": false, \"witness\": false}}"
#define PAIR                                                                               \
    "\"instances\": [" ONE("pg-east", "primary", "open", "2870", "0") "," ONE(             \
        "pg-west", "standby", "replication", "null", "123456789") "]"
    AUTO(auto_free) char *good = shown_group("\"phase\": \"steady\", " PAIR);
    AUTO(auto_free) char *bad = shown_group("\"phase\": \"fencing\", " PAIR);
    size_t widest[2] = {0};

    (void)unused;
    for (unsigned i = 0; i < 2; i++)
        for (char *line = i == 0 ? good : bad; line != NULL;) {
            char *end = strchr(line, '\n');
            size_t len = end != NULL ? (size_t)(end - line) : strlen(line);

            widest[i] = len > widest[i] ? len : widest[i];
            line = end != NULL ? end + 1 : NULL;
        }
    if (widest[0] > 80 || widest[1] > 100)
        fail_msg("%zu and %zu columns:\n%s", widest[0], widest[1], bad);
}

/* Writes that wait are not "held"; a second disaster is met by nobody for a while, which is
 * said though nothing is wrong, unless a hold says it. */
static void test_waits_and_cooldown(void **unused)
{
#define NAMED "\"name\": \"orders\", \"active_region\": \"west\", \"phase\": \"steady\""
    AUTO(auto_free)
    char *waits = shown_group(NAMED ", \"hold\": \"writes wait for pg-east (gone)\"");
    AUTO(auto_free)
    char *silent = shown_group(NAMED ", \"hold\": \"the active side does not answer; a "
                                     "failover would find pg-west ready\"");
    AUTO(auto_free) char *cools = shown_group(NAMED ", \"cooldown_ms\": 586000");
    AUTO(auto_free) char *over = shown_group(NAMED ", \"cooldown_ms\": 0");
    AUTO(auto_free)
    char *held = shown_group(NAMED ", \"cooldown_ms\": 586000, \"hold\": \"a failover is "
                                   "due, and held by: cooldown-over\"");

    (void)unused;
    assert_non_null(strstr(waits, "\n  !! writes wait for pg-east (gone)\n"));
    assert_non_null(strstr(silent, "\n  !! the active side does not answer; "));
    assert_non_null(strstr(cools, "\n  >> cooling down for 586s: until then nothing is "
                                  "failed over by itself again; if west fails, `ringfence "
                                  "failover orders`\n"));
    assert_null(strstr(over, "cooling"));
    assert_null(strstr(held, "cooling"));
    assert_non_null(strstr(held, "  !! HELD: a failover is due, "));
}

/* A controller without a leader has not heard the agents: that is no news of them. One that
 * is refused is not helped by being started; one that was never taken in knows no group. */
static void test_what_is_not_known(void **unused)
{
    AUTO(auto_free)
    char *out = shown(show_status,
                      "{\"stale\": true, \"controller\": \"east\", \"agents\": [{\"name\": "
                      "\"pg-west\", \"connected\": null, \"heard_ms\": null}], "
                      "\"controllers\": [{\"name\": \"west\", \"up\": false, "
                      "\"refused\": \"it has lost its disk\"}]}");

    (void)unused;
    assert_null(strstr(out, "DOWN: start ringfence"));
    assert_non_null(strstr(out, "pg-west  -       -        not known  -    -  "));
    assert_non_null(
        strstr(out, "!! controller west is NOT LET IN: it has lost its disk\n"));
    assert_null(strstr(out, "ringfence apply"));
    assert_non_null(strstr(out, "no group is known to this controller"));
}

/* "Lost" is said of acknowledged writes only. */
static void test_loss(void **unused)
{
    static const struct {
        const char *kind, *sync, *forecast, *lost, *text;
    } rows[] = {
        {"switchover", "off", "215449", "0", ", lost 0\n"},
        {"switchover", "off", "215449", "null", ", lost -\n"},
        {"switchover", "off", "215449", "120", ", lost 120B (forecast 210.4KiB)\n"},
        {"failover", "required", "0", "120", ", lost 0, left behind 120B (kept)\n"},
        {"failover", "strict", "0", "120", ", lost 0, left behind 120B (kept)\n"},
        {"failover", "required", "0", "0", ", lost 0 (forecast 0)\n"},
        {"failover", "required", "0", "null", ", lost - (forecast 0)\n"},
        {"failover", "required", "null", "120", ", lost 120B (forecast -)\n"},
        {"failover", "required", "200", "120", ", lost 120B (forecast 200B)\n"},
        {"failover", "preferred", "0", "120", ", lost 120B (forecast 0)\n"},
        {"failover", "off", "0", "120", ", lost 120B (forecast 0)\n"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(auto_free) char *out = NULL;
        char members[300];

        snprintf(members, sizeof members,
                 "\"sync\": \"%s\", \"run\": {\"kind\": \"%s\", "
                 "\"forecast_lost_bytes\": %s, \"lost_bytes\": %s}",
                 rows[i].sync, rows[i].kind, rows[i].forecast, rows[i].lost);
        out = shown_group(members);
        if (strstr(out, rows[i].text) == NULL)
            fail_msg("row %zu: %s", i, out);
    }
}

/* A shorter TTL waits for the next epoch (I4). */
static void test_ttl(void **unused)
{
    AUTO(auto_free)
    char *same = shown_group("\"ttl_ms\": 1000, \"lease_ttl_ms\": 1000");
    AUTO(auto_free)
    char *lower = shown_group("\"ttl_ms\": 1000, \"lease_ttl_ms\": 2000");

    (void)unused;
    assert_non_null(strstr(same, "ttl 1s   failovers"));
    assert_non_null(strstr(lower, "ttl 1s from the next epoch, 2s now   failovers"));
}

static void test_why(void **unused)
{
    AUTO(auto_free)
    char *out =
        shown(show_why,
              "{\"group\": \"orders\", \"would_fail_over\": false, \"verdict\": \"held by "
              "cooldown\", \"conditions\": [{\"name\": \"lease counted out\", \"holds\": "
              "true, \"blocks\": false, \"value\": \"1020ms\", \"limit\": \"1020ms\"}, "
              "{\"name\": \"cooldown\", \"holds\": false, \"blocks\": true, \"value\": "
              "\"3min\", \"limit\": \"10min\"}, "
              "{\"name\": \"server-down\", \"role\": \"cause\", \"holds\": false}, "
              "{\"name\": \"server-hung\", \"role\": \"cause\", \"holds\": true}, "
              "{\"name\": \"candidate-a\", \"role\": \"candidate\", \"holds\": true}, "
              "{\"name\": \"candidate-b\", \"role\": \"candidate\", \"holds\": "
              "false}, "
              "{\"name\": \"proof-a\", \"role\": \"proof\", \"holds\": false}, "
              "{\"name\": \"proof-b\", \"role\": \"proof\", \"holds\": true}, "
              "{\"name\": \"proof-c\", \"role\": \"proof\", \"blocks\": true}]}");

    (void)unused;
    assert_string_equal(
        out,
        "group orders: held by cooldown\n"
        "  STATE      CONDITION          VALUE   LIMIT\n"
        "  permits    lease counted out  1020ms  1020ms\n"
        "  BLOCKS     cooldown           3min    10min\n"
        "  no cause   server-down        -       -\n"
        "  CAUSE      server-hung        -       -\n"
        "  ready      candidate-a        -       -\n"
        "  NOT READY  candidate-b        -       -\n"
        "  not asked  proof-a            -       -\n"
        "  proven     proof-b            -       -\n"
        "  BLOCKS     proof-c            -       -\n"
        "permits: a failover needs it, and has it; BLOCKS: keeps one from beginning;\n"
        "no cause: no reason for one; CAUSE: a reason; not asked: does not count now\n");
}

static unsigned doctor_failures;

static void rules_as_the_log_names_them(void **unused)
{
    char *out = shown(show_rules, "{\"rules\": [{\"rule\": \"silent-holder\", \"from\": "
                                  "\"steady\", \"to\": \"fencing\", \"when\": \"a, b\"},"
                                  "{\"rule\": \"record-outcome\", \"from\": \"any\", "
                                  "\"to\": \"any\", \"when\": \"c\"}]}");

    (void)unused;
    assert_string_equal(out, "RULE            PHASE   GOES TO  WHEN\n"
                             "silent-holder   steady  fencing  a, b\n"
                             "record-outcome  any     stays    c\n");
    free(out);
}

static void show_doctor_too(const json_t *document, FILE *out)
{
    doctor_failures = show_doctor(document, out);
}

static void test_doctor(void **unused)
{
    AUTO(auto_free)
    char *out = shown(
        show_doctor_too,
        "{\"program\": \"ringfenced\", \"name\": \"east\", \"host\": \"vm\", \"findings\": "
        "[{\"check\": \"quorum\", \"level\": \"ok\", "
        "\"text\": \"3 of 3\"}, {\"check\": \"link-b-c\", \"level\": \"fail\", \"text\": "
        "\"b does not reach c\"}], \"links\": ["
        "{\"from\": \"a\", \"to\": \"b\", \"state\": \"up\", \"rtt_ms\": 1.25},"
        "{\"from\": \"a\", \"to\": \"c\", \"state\": \"up\", \"rtt_ms\": null},"
        "{\"from\": \"b\", \"to\": \"a\", \"state\": \"up\", \"rtt_ms\": 12.0},"
        "{\"from\": \"b\", \"to\": \"c\", \"state\": \"down\", \"rtt_ms\": null},"
        "{\"from\": \"c\", \"to\": \"a\", \"state\": \"up\", \"rtt_ms\": 0.5},"
        "{\"from\": \"c\", \"to\": \"b\", \"state\": \"unknown\", \"rtt_ms\": null}]}");
    AUTO(auto_free)
    char *agent =
        shown(show_doctor_too, "{\"program\": \"ringfence-agent\", \"name\": \"pg-east\", "
                               "\"host\": \"vm\", \"findings\": []}");
    AUTO(auto_free)
    char *older = shown(show_doctor_too, "{\"host\": \"pg\", \"findings\": []}");

    (void)unused;
    assert_string_equal(out, "controller east (host vm)\n"
                             "  LEVEL  CHECK     FINDING\n"
                             "  ok     quorum    3 of 3\n"
                             "  FAIL   link-b-c  b does not reach c\n"
                             "\n"
                             "  FROM \\ TO  a          b         c\n"
                             "  a          -          up 1.2ms  up\n"
                             "  b          up 12.0ms  -         DOWN\n"
                             "  c          up 0.5ms   ?         -\n");
    assert_null(strstr(agent, "FROM"));
    assert_string_equal(strtok(agent, "\n"), "agent pg-east (host vm)");
    assert_string_equal(strtok(older, "\n"), "host pg");
    assert_int_equal(doctor_failures, 0);
}

static void test_numbers(void **unused)
{
    static const struct {
        json_int_t value;
        const char *duration, *bytes;
    } rows[] = {
        {0, "0ms", "0"},
        {1, "1ms", "1B"},
        {9999, "9999ms", "9.8KiB"},
        {10000, "10s", "9.8KiB"},
        {16777216, "279min", "16.0MiB"},
        {600000, "10min", "585.9KiB"},
    };
    char room[SHOW_TEXT_SIZE];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *v = json_integer(rows[i].value);

        assert_string_equal(show_duration(v, room), rows[i].duration);
        assert_string_equal(show_bytes(v, room), rows[i].bytes);
        json_decref(v);
    }
    json_t *negative = json_integer(-30);

    assert_string_equal(show_duration(negative, room), "expired 30ms ago");
    assert_string_equal(show_duration(NULL, room), "-");
    assert_string_equal(show_bytes(NULL, room), "-");
    json_decref(negative);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_as_the_log_names_them),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_probes),
        cmocka_unit_test(test_long_sentences),
        cmocka_unit_test(test_long_cells),
        cmocka_unit_test(test_empty_status),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_doctor),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_waits_and_cooldown),
        cmocka_unit_test(test_what_is_not_known),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_step_over),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_step_again),
        cmocka_unit_test(test_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
