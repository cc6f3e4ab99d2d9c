/* The audit trail of real controllers, shipped while their leaders are killed, while the
 * place has no room, and into a strict bucket (tests/unit/ship/fake_s3.py) that is down,
 * slow or angry: what is there at the end is checked with the real program. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/real/daemon/load.h"

enum { TEXT = 16000, SHIPPED_MS = 60000 };

static struct cluster cluster;
static int fake;
static uint16_t fake_port;

static void configure(const char *ship)
{
    struct cluster *c = &cluster;

    for (int i = 0; i < NODES; i++) {
        char config[CLUSTER_PATH], extra[1200];

        cluster_shell(c,
                      "openssl genpkey -algorithm ed25519 -out %s.audit.key && "
                      "chmod 600 %s.audit.key",
                      node_names[i], node_names[i]);
        cluster_config(c, i, config);
        snprintf(extra, sizeof extra,
                 "audit:\n  key: %s/%s.audit.key\n  ship:\n    every: 1s\n    %s\n", c->dir,
                 node_names[i], ship);
        cluster_write_config(c, i, config, extra);
    }
}

static int setup(void **state)
{
    char ship[CLUSTER_PATH + 64];

    fake = 0;
    cluster_open(&cluster);
    cluster_shell(&cluster, "mkdir shipped && mkdir s3");
    snprintf(ship, sizeof ship, "directory: %s/shipped", cluster.dir);
    configure(ship);
    *state = &cluster;
    return 0;
}

static int teardown(void **state)
{
    char path[CLUSTER_PATH + 16];

    (void)state;
    if (fake > 0) {
        kill(fake, SIGKILL);
        waitpid(fake, NULL, 0);
    }
    for (int i = 0; i < NODES; i++)
        cluster_kill(&cluster, i);
    snprintf(path, sizeof path, "%s/shipped", cluster.dir);
    (void)umount2(path, MNT_DETACH);
    cluster_close(&cluster);
    return 0;
}

/* ---- looking --------------------------------------------------------------------------
 */

static int ringfence(char text[TEXT], const char *format, ...) PRINTF_LIKE(2, 3);

static int ringfence(char text[TEXT], const char *format, ...)
{
    char command[900], line[1400];
    va_list args;
    FILE *from;
    size_t n;
    int status;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    snprintf(line, sizeof line, "cd %s && exec 2>&1; COLUMNS=0 " RINGFENCE " %s",
             cluster.dir, command);
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

static double metric(int node, const char *name)
{
    long status;
    char *text = cluster_get_tcp(&cluster, cluster.metrics[node], "/metrics", &status);
    char line[80];
    const char *found;
    double value = -1;

    snprintf(line, sizeof line, "\n%s ", name);
    found = text != NULL ? strstr(text, line) : NULL;
    if (found != NULL)
        value = strtod(found + strlen(line), NULL);
    free(text);
    return value;
}

static void decide_something(struct cluster *c)
{
    cluster_add_user(c);
    cluster_add_user(c);
}

static bool all_is_shipped(void *owner)
{
    struct cluster *c = owner;
    int leader = cluster_leader_seen_by(c, c->pids[EAST] != 0 ? EAST : WEST);

    return leader >= 0 && metric(leader, "ringfence_audit_ship_failing") == 0 &&
           metric(leader, "ringfence_audit_ship_rows") == 0 &&
           metric(leader, "ringfence_audit_shipped_rows_total") >= 5;
}

/* Nothing missing, from the first entry to the last one that the leader has. */
static void what_is_there_is_whole(struct cluster *c, const char *folder)
{
    char text[TEXT], keys[CLUSTER_PATH + 16];
    const char *end;
    double rows;

    cluster_until(c, all_is_shipped, c, SHIPPED_MS, "all is shipped");
    rows = metric(cluster_wait_leader(c), "ringfence_audit_shipped_rows_total");
    snprintf(keys, sizeof keys, "%s/keys.pub", c->dir);
    if (access(keys, F_OK) != 0 && ringfence(text, "audit keys --socket %s.sock > keys.pub",
                                             node_names[cluster_wait_leader(c)]) != 0)
        fail_msg("%s", text);
    if (ringfence(text, "audit verify %s --keys keys.pub", folder) != 0)
        fail_msg("%s", text);
    says(text, "intact: cluster lab; ");
    end = strstr(text, "entries 1 to ");
    if (end == NULL || strtod(end + strlen("entries 1 to "), NULL) < rows)
        fail_msg("not 1 to %.0f: %s", rows, text);
    says(text, "none missing between them");
}

/* ---- a directory ----------------------------------------------------------------------
 */

/* Each leader is killed while it may be shipping; the next one finds how far it came. */
static void killed_leaders_leave_no_hole(void **state)
{
    struct cluster *c = *state;
    char text[TEXT];

    cluster_start_all(c);
    for (unsigned i = 0; i < 5; i++) {
        int leader;

        decide_something(c);
        cluster_turn_ms(c, 900 + 350 * i);
        leader = cluster_wait_leader(c);
        cluster_kill(c, leader);
        decide_something(c);
        cluster_turn_ms(c, 1200);
        cluster_start(c, leader, false);
    }
    for (unsigned i = 0; i < 3; i++) { /* a segment each, at least */
        decide_something(c);
        cluster_turn_ms(c, 100);
        cluster_until(c, all_is_shipped, c, SHIPPED_MS, "all is shipped");
    }
    what_is_there_is_whole(c, "shipped");

    /* One is taken away, one is changed, one is called otherwise. */
    cluster_shell(c, "cp -a shipped cut && rm cut/$(ls cut | sed -n 3p)");
    assert_int_equal(ringfence(text, "audit verify cut --keys keys.pub"), 1);
    says(text, "are missing: no segment in this directory has them");
    cluster_shell(c, "cp -a shipped changed && cd changed && sed -i "
                     "'2s/\"term\":/\"term\":9/' $(ls | sed -n 2p)");
    assert_int_equal(ringfence(text, "audit verify changed --keys keys.pub"), 1);
    says(text, ".jsonl:2: entry");
    cluster_shell(c, "cp -a shipped renamed && cd renamed && mv $(ls | tail -n 1) "
                     "lab-000000000900-000000000999.jsonl");
    assert_int_equal(ringfence(text, "audit verify renamed --keys keys.pub --json"), 1);
    says(text, "is named for entries 900 to 999");
    cluster_shell(c, "mkdir none");
    assert_int_equal(ringfence(text, "audit verify none --keys keys.pub"), 2);

    /* And the next leader puts back what somebody has taken away. */
    cluster_shell(c, "rm shipped/$(ls shipped | sed -n 3p)");
    cluster_kill(c, cluster_wait_leader(c));
    what_is_there_is_whole(c, "shipped");
}

static bool is_failing(void *owner)
{
    struct cluster *c = owner;
    int leader = cluster_leader_seen_by(c, EAST);

    return leader >= 0 && metric(leader, "ringfence_audit_ship_failing") == 1;
}

/* The place has no room: it is told everywhere, and goes on when there is some. */
static void a_place_without_room_is_told(void **state)
{
    struct cluster *c = *state;
    char dir[CLUSTER_PATH + 16], text[TEXT];
    int leader;

    snprintf(dir, sizeof dir, "%s/shipped", c->dir);
    assert_int_equal(mount("none", dir, "tmpfs", 0, "size=256k"), 0);
    cluster_start_all(c);
    decide_something(c);
    cluster_until(c, all_is_shipped, c, SHIPPED_MS, "the first ones");
    cluster_shell(c, "(dd if=/dev/zero of=shipped/ballast bs=512 status=none; true) "
                     "2>dd.log");
    decide_something(c);
    cluster_until(c, is_failing, c, SHIPPED_MS, "it fails");
    leader = cluster_wait_leader(c);
    (void)ringfence(text, "doctor --socket %s.sock", node_names[leader]);
    says(text, "FAIL");
    says(text, "the disk is full: make room there");
    assert_int_equal(ringfence(text, "status --socket %s.sock", node_names[leader]), 0);
    says(text, "!! audit-ship of ");
    assert_true(metric(leader, "ringfence_audit_ship_rows") > 0);
    assert_true(metric(leader, "ringfence_audit_ship_failures_total") > 0);
    cluster_log_says(c, leader, "is not shipped to directory");
    cluster_shell(c, "! ls shipped/.*.part 2>/dev/null && rm shipped/ballast");
    what_is_there_is_whole(c, "shipped");
    cluster_log_says(c, cluster_wait_leader(c), "again");
    assert_int_equal(ringfence(text, "status --socket %s.sock", node_names[leader]), 0);
    assert_null(strstr(text, "audit-ship"));
}

/* ---- a bucket -------------------------------------------------------------------------
 */

static void start_fake(struct cluster *c)
{
    char dir[CLUSTER_PATH + 8], text[16] = "";
    int out[2];

    snprintf(dir, sizeof dir, "%s/s3", c->dir);
    assert_int_equal(pipe(out), 0);
    fake = fork();
    assert_true(fake >= 0);
    if (fake == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        execlp(PYTHON, PYTHON, FAKE_S3, dir, "eu-test-1", "audit", "AKTEST", "s3cr3t", "4",
               (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    assert_true(read(out[0], text, sizeof text - 1) > 0);
    close(out[0]);
    fake_port = (uint16_t)atoi(text);
}

static bool no_fault_is_left(void *owner)
{
    const struct cluster *c = owner;
    char path[CLUSTER_PATH + 16];
    struct stat st;

    snprintf(path, sizeof path, "%s/s3/faults", c->dir);
    return stat(path, &st) == 0 && st.st_size == 0;
}

static void a_bucket_gets_all_of_it(void **state)
{
    struct cluster *c = *state;
    char ship[4 * CLUSTER_PATH];

    start_fake(c);
    cluster_shell(c, "umask 077 && echo AKTEST > access && echo s3cr3t > secret");
    snprintf(ship, sizeof ship,
             "s3: {url: \"http://127.0.0.1:%u\", bucket: audit, prefix: a/b, region: "
             "eu-test-1, access_key_file: %s/access, secret_key_file: %s/secret, retain: "
             "13mo, mode: compliance}",
             fake_port, c->dir, c->dir);
    configure(ship);
    cluster_start_all(c);
    decide_something(c);
    cluster_until(c, all_is_shipped, c, SHIPPED_MS, "the first ones");
    /* In turn: refused, broken, asked too much, and twice an answer that is lost. */
    cluster_shell(c, "printf '403\\n500\\n503\\nlost\\nclose\\nlost\\n' > s3/faults");
    for (unsigned i = 0; i < 4; i++) {
        decide_something(c);
        cluster_turn_ms(c, 2500);
        if (i == 1) {
            int leader = cluster_wait_leader(c);

            cluster_kill(c, leader);
            (void)cluster_wait_leader(c);
            cluster_start(c, leader, false);
        }
    }
    for (unsigned i = 0; i < 12 && !no_fault_is_left(c); i++) { /* there is a next PUT */
        cluster_add_user(c);
        cluster_turn_ms(c, 2500);
    }
    assert_true(no_fault_is_left(c));
    decide_something(c);
    cluster_until(c, all_is_shipped, c, SHIPPED_MS, "all is shipped");
    cluster_shell(c, "mkdir fetched && cd s3/objects && for f in *; do cp $f "
                     "../../fetched/${f##*%%}; done");
    what_is_there_is_whole(c, "fetched");
}

/* ---- settings -------------------------------------------------------------------------
 */

static void what_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *ship, *says;
    } rows[] = {
        {"directory: shipped", "audit.ship.directory"},
        {"directory: /none/at/all", "a directory that this user may write"},
        {"s3: {url: \"http://s3.example.org\", bucket: a, region: b, access_key_file: /k, "
         "secret_key_file: /s}",
         "audit.ship.s3.url"},
        {"s3: {url: \"https://s3.example.org\", bucket: a, region: b, access_key_file: "
         "/none, secret_key_file: /none}",
         "audit.ship.s3.secret_key_file"},
        {"s3: {url: \"https://s3.example.org\", bucket: a, region: b, access_key_file: /k, "
         "secret_key_file: /s, mode: compliance}",
         "`retain` for how long"},
        {"s3: {url: \"https://s3.example.org\", bucket: a, region: b, secret: geheim, "
         "access_key_file: /k, secret_key_file: /s}",
         "unknown key"},
        {"{}", "either directory or s3 is expected"},
    };
    struct cluster *c = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char config[CLUSTER_PATH], text[TEXT];
        const char *check[] = {"--config", config, "--check", NULL};

        configure(rows[i].ship);
        if (rows[i].ship[0] == '{') {
            cluster_config(c, EAST, config);
            cluster_shell(c, "sed -i '/ship:/,$d' east.yaml && echo '  ship: {}' >> "
                             "east.yaml");
        }
        cluster_config(c, EAST, config);
        assert_int_equal(cluster_run(c, check, text, sizeof text), 78);
        says(text, rows[i].says);
        assert_null(strstr(text, "geheim"));
    }
}

#define EACH_ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        EACH_ALONE(killed_leaders_leave_no_hole),
        EACH_ALONE(a_place_without_room_is_told),
        EACH_ALONE(a_bucket_gets_all_of_it),
        EACH_ALONE(what_cannot_be_is_refused),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
