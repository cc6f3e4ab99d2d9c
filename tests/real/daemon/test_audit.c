/* The audit trail of three real controllers, exported and checked with the real program.
 * The keys are made by another tool. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "controller/base/auto.h"
#include "controller/base/clock.h"
#include "tests/real/daemon/load.h"

enum { TEXT = 16000 };

static int setup(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);
    char config[CLUSTER_PATH], extra[CLUSTER_PATH + 64];

    cluster_open(c);
    for (int i = 0; i < NODES; i++) {
        cluster_shell(c,
                      "openssl genpkey -algorithm ed25519 -out %s.audit.key && "
                      "chmod 600 %s.audit.key",
                      node_names[i], node_names[i]);
        cluster_config(c, i, config);
        snprintf(extra, sizeof extra, "audit: {key: %s/%s.audit.key}\n", c->dir,
                 node_names[i]);
        cluster_write_config(c, i, config, extra);
    }
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct cluster *c = *state;

    for (int i = 0; i < NODES; i++)
        if (c->pids[i] != 0)
            kill(c->pids[i], SIGCONT);
    cluster_close(c);
    free(c);
    return 0;
}

/* The program; its exit status, and what it said, errors too. */
static int ringfence(struct cluster *c, char text[TEXT], const char *format, ...)
    PRINTF_LIKE(3, 4);

static int ringfence(struct cluster *c, char text[TEXT], const char *format, ...)
{
    char command[900], line[1400];
    va_list args;
    FILE *from;
    size_t n;
    int status;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    snprintf(line, sizeof line, "cd %s && exec 2>&1; COLUMNS=0 " RINGFENCE " %s", c->dir,
             command);
    from = popen(line, "r");
    assert_non_null(from);
    n = fread(text, 1, TEXT - 1, from);
    text[n] = '\0';
    status = pclose(from);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' is not in:\n%s", part, text);
}

static void expect(int status, int wanted, const char *text)
{
    if (status != wanted)
        fail_msg("%d, expected %d:\n%s", status, wanted, text);
}

static double metric(struct cluster *c, int node, const char *name)
{
    long status;
    char *text = cluster_get_tcp(c, c->metrics[node], "/metrics", &status), line[80];
    const char *found;
    double value = -1;

    snprintf(line, sizeof line, "\n%s ", name);
    found = text != NULL ? strstr(text, line) : NULL;
    if (found != NULL)
        value = strtod(found + strlen(line), NULL);
    free(text);
    return value;
}

struct quiet {
    struct cluster *c;
    double rows; /* of every trail, since then */
    struct mono since;
};

static bool is_quiet(void *owner)
{
    enum { QUIET_MS = 300 };
    struct quiet *q = owner;

    for (int i = 0; i < NODES; i++) {
        double rows =
            q->c->pids[i] != 0 ? metric(q->c, i, "ringfence_audit_rows_total") : q->rows;

        if (rows != q->rows) {
            q->rows = rows;
            q->since = mono_now();
        }
    }
    return mono_since_ms(q->since, mono_now()) >= QUIET_MS;
}

/* All have the same rows, and no more are on their way. */
static void settle(struct cluster *c)
{
    struct quiet q = {.c = c, .since = mono_now()};

    cluster_until(c, is_quiet, &q, 20000, "all trails are as long");
}

/* Something for the trail. */
static void decide_something(struct cluster *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        cluster_add_user(c);
    settle(c);
}

static void keys_and_bundle(struct cluster *c, int node, const char *file)
{
    char text[TEXT];

    expect(ringfence(c, text, "audit keys --socket %s.sock > keys.pub", node_names[node]),
           0, text);
    expect(ringfence(c, text, "audit export --socket %s.sock %s", node_names[node], file),
           0, text);
    says(text, "the last one signed by 3 controllers");
}

struct target {
    struct cluster *c;
    int node;
    json_int_t index;
};

static bool has_applied(void *owner)
{
    const struct target *t = owner;
    long status;
    json_t *s = cluster_call(t->c, t->node, "GET", "/api/v1/status", NULL, &status);
    bool yes = json_integer_value(at(s, "applied")) >= t->index;

    json_decref(s);
    return yes;
}

/* Whoever is asked: the same entries, signed by all three. */
static void each_exports_what_all_have(void **state)
{
    struct cluster *c = *state;
    char text[TEXT];

    cluster_start_all(c);
    decide_something(c, 3);
    for (int i = 0; i < NODES; i++) {
        keys_and_bundle(c, i, "bundle");
        expect(ringfence(c, text, "audit verify bundle --keys keys.pub"), 0, text);
        says(text, "intact: cluster lab, exported by ");
        says(text, "3 of 3 controllers signed the last entry");
        cluster_shell(c, "grep '^{\"seq\"' bundle > entries.%d", i);
    }
    cluster_shell(c, "cmp entries.0 entries.1 && cmp entries.0 entries.2");

    expect(ringfence(c, text, "audit export --socket east.sock --from 2999-01-01 none"), 1,
           text);
    says(text, "no entry of the audit trail in that range");
    expect(ringfence(c, text, "audit export --socket east.sock --from soon none"), 2, text);
    cluster_shell(c, "! test -e none && ! test -e none.part");
}

/* With an editor, as anybody could who has the file. */
static void sed_is_found(void **state)
{
    static const struct {
        const char *command, *says;
    } table[] = {
        {"sed '3s/\"term\":/\"term\":9/'", "bundle:3: entry 2 was changed"},
        {"sed 3d", "bundle:3: entry 2 is missing"},
        {"sed -n '3{h;d};4{p;x;p;d};p'", "comes behind entry"},
        {"sed 3p", "bundle:4: entry 2 comes behind entry 2: twice"},
        {"head -n -1", "cut off: the signature at its end is missing"},
        {"head -c -1", "the last line has no end"},
        {"sed '/\"head\"/{/\"west\"/d}'", "nothing is said of controller west"},
        {"sed '1s/\"exporter\":\"[a-z]*\"/\"exporter\":\"nobody\"/'", "NOT INTACT"},
    };
    struct cluster *c = *state;
    char text[TEXT];

    cluster_start_all(c);
    decide_something(c, 3);
    keys_and_bundle(c, WEST, "honest");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        cluster_shell(c, "%s honest > bundle && ! cmp -s honest bundle", table[i].command);
        expect(ringfence(c, text, "audit verify bundle --keys keys.pub"), 1, text);
        says(text, table[i].says);
    }
    /* A key that the auditor does not have, and no keys at all. */
    cluster_shell(c, "grep -v west keys.pub > two.pub");
    expect(ringfence(c, text, "audit verify honest --keys two.pub"), 1, text);
    says(text, "has none of controller west");
    expect(ringfence(c, text, "audit verify honest --keys honest"), 2, text);
    expect(ringfence(c, text, "audit verify honest"), 2, text);
}

/* Who is down is named, who hangs is waited for and named; the bundle is intact. */
static void the_absent_are_named(void **state)
{
    struct cluster *c = *state;
    char text[TEXT];

    cluster_start_all(c);
    decide_something(c, 2);
    keys_and_bundle(c, EAST, "all");
    cluster_kill(c, WITNESS);
    cluster_turn_ms(c, 3000);
    (void)cluster_wait_leader(c);
    expect(ringfence(c, text, "audit export --socket east.sock two"), 0, text);
    says(text, "the last one signed by 2 controllers; the others could not be asked");
    expect(ringfence(c, text, "audit verify two --keys keys.pub"), 0, text);
    says(text, "note: controller witness could not be asked");
    says(text, "2 of 3 controllers signed the last entry");

    cluster_start(c, WITNESS, false);
    (void)cluster_wait_leader(c);
    cluster_turn_ms(c, 2000);
    kill(c->pids[WITNESS], SIGSTOP);
    expect(ringfence(c, text, "audit export --socket east.sock two"), 0, text);
    expect(ringfence(c, text, "audit verify two --keys keys.pub"), 0, text);
    says(text, "note: controller witness could not be asked: it did not answer in time");
}

/* The key is an export's alone: the controller serves without one, and says what to do. */
static void a_weak_key_is_not_used(void **state)
{
    struct cluster *c = *state;
    char text[TEXT], config[CLUSTER_PATH];
    const char *check[] = {"--config", config, "--check", NULL};

    cluster_shell(c, "chmod 640 east.audit.key");
    cluster_config(c, EAST, config);
    assert_int_not_equal(cluster_run(c, check, text, sizeof text), 0);
    says(text, "chmod 600");
    cluster_start_all(c);
    decide_something(c, 2);
    cluster_log_says(c, EAST, "exports of the audit trail cannot be signed");
    expect(ringfence(c, text, "audit export --socket east.sock none"), 1, text);
    says(text, "no-audit-key");
    expect(ringfence(c, text, "audit keys --socket west.sock > keys.pub"), 1, text);
    expect(ringfence(c, text, "audit export --socket west.sock two"), 0, text);
    expect(ringfence(c, text, "audit verify two --keys keys.pub"), 0, text);
    says(text, "note: controller east could not be asked: status 409: it has no audit key");
}

/* ---- behind ----------------------------------------------------------------------------
 */

static struct load load;

static int teardown_load(void **state)
{
    load_drop(&load);
    return teardown(state);
}

/* A snapshot comes each 4096 entries. Several ask at a time: what is looked at is what
 * comes of the entries, not how they got there. */
enum { BEHIND_BY = 4400, BEHIND_MS = 240000 };

static bool is_whole(void *owner)
{
    const struct target *t = owner;

    return metric(t->c, t->node, "ringfence_audit_incomplete") == 0 &&
           metric(t->c, t->node, "ringfence_audit_rows_total") > (double)t->index;
}

/* So far behind that it gets a snapshot: the rows that it lacks come from the others, and
 * its trail is theirs again, to the last hash. */
static void the_one_behind_gets_the_rows(void **state)
{
    struct cluster *c = *state;
    struct target t = {c, EAST, 0};
    char text[TEXT];
    int leader;

    load_begin(&load, c);
    leader = cluster_wait_leader(c);
    t.node = leader == EAST ? WEST : EAST; /* whom we ask; not the one that is killed */
    if (leader == WITNESS) {
        cluster_kill(c, WEST);
        t.node = EAST;
    } else {
        cluster_kill(c, WITNESS);
    }
    (void)cluster_wait_leader(c);
    t.index = BEHIND_BY;
    cluster_shell(c,
                  "(for i in 1 2 3 4 5 6; do curl -s -Z --parallel-max 8 -m 120 "
                  "--unix-socket %s.sock -X POST "
                  "-d '{}' -o /dev/null -H 'Content-Type: application/json' "
                  "'http://x/api/v1/groups/orders/{pause,resume}?n=[1-1000]'; done) "
                  ">/dev/null 2>&1 &",
                  node_names[t.node]);
    cluster_until(c, has_applied, &t, BEHIND_MS, "thousands of entries");
    for (int i = 0; i < NODES; i++)
        if (c->pids[i] == 0) {
            cluster_start(c, i, false);
            t.node = i;
        }
    (void)cluster_wait_leader(c);
    cluster_until(c, has_applied, &t, 60000, "it has caught up");
    t.index = 1000;
    cluster_until(c, is_whole, &t, 60000, "the trail is whole");
    cluster_log_says(c, t.node,
                     "which came in a snapshot: they are fetched from the others");
    cluster_log_says(c, t.node, "the audit trail is whole again");

    settle(c);
    /* More than a page of an export. That all have signed the hash of the last entry says
     * as much of those before. */
    keys_and_bundle(c, t.node, "bundle --from 3000");
    expect(ringfence(c, text, "audit verify bundle --keys keys.pub"), 0, text);
    says(text, "3 of 3 controllers signed the last entry");
    load_end(&load);
}

#define EACH_ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        EACH_ALONE(each_exports_what_all_have),
        EACH_ALONE(sed_is_found),
        EACH_ALONE(the_absent_are_named),
        EACH_ALONE(a_weak_key_is_not_used),
        cmocka_unit_test_setup_teardown(the_one_behind_gets_the_rows, setup, teardown_load),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
