/* Three real controllers whose disks fill up, by the audit trail itself and by somebody
 * else: leases are renewed all the while out of the reserve, all say so and what to do, and
 * when there is room again everything is as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/real/daemon/load.h"

enum {
    LEASES = 100,     /* granted while every disk is full */
    LEASES_MORE = 20, /* and at each look later on */
    ROUND = 400,      /* requests at a time, each with an entry and a row */
    ROUNDS_MAX = 60,
    SOON_MS = 20000
};

static struct load load;
static struct cluster cluster;
static bool mounted[NODES];

static void node_dir(int node, char path[2 * CLUSTER_PATH])
{
    snprintf(path, 2 * CLUSTER_PATH, "%s/%s", cluster.dir, node_names[node]);
}

static int setup(void **state)
{
    cluster_open(&cluster);
    for (int i = 0; i < NODES; i++) {
        char config[CLUSTER_PATH], dir[2 * CLUSTER_PATH];

        cluster_config(&cluster, i, config);
        cluster_write_config(&cluster, i, config, "disk_reserve: 16MiB\n");
        node_dir(i, dir);
        assert_int_equal(mkdir(dir, 0700), 0);
        assert_int_equal(mount("none", dir, "tmpfs", 0, "size=64m,mode=0700"), 0);
        mounted[i] = true;
    }
    *state = &cluster;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    load_drop(&load);
    for (int i = 0; i < NODES; i++) {
        char dir[2 * CLUSTER_PATH];

        cluster_kill(&cluster, i);
        node_dir(i, dir);
        if (mounted[i])
            (void)umount2(dir, MNT_DETACH);
        mounted[i] = false;
    }
    cluster_close(&cluster);
    return 0;
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

struct all {
    struct cluster *c;
    double wanted;
};

static bool all_have(void *owner)
{
    const struct all *a = owner;

    for (int i = 0; i < NODES; i++)
        if (metric(a->c, i, "ringfence_disk_reserve_used") != a->wanted)
            return false;
    return true;
}

/* The trail grows by itself: pauses, and what ends them. */
static void grow(struct cluster *c)
{
    int leader = cluster_wait_leader(c);

    cluster_shell(c,
                  "curl -s -Z --parallel-max 8 -m 60 --unix-socket %s.sock -X POST "
                  "-d '{}' -o /dev/null -H 'Content-Type: application/json' "
                  "'http://x/api/v1/groups/orders/{pause,resume}?n=[1-%d]' >/dev/null 2>&1",
                  node_names[leader], ROUND / 2);
}

static void leave_free(struct cluster *c, unsigned bytes)
{
    for (int i = 0; i < NODES; i++)
        cluster_shell(c, "fallocate -l $(($(stat -f -c '%%a * %%S' %s) - %u)) %s/ballast",
                      node_names[i], bytes, node_names[i]);
}

static void fill_up(struct cluster *c)
{
    for (int i = 0; i < NODES; i++)
        cluster_shell(c, "(dd if=/dev/zero of=%s/more bs=4096 status=none; true) 2>dd.log",
                      node_names[i]);
}

/* Once all have taken their reserve: nothing is left for anybody. */
static void fill_the_rest(struct cluster *c)
{
    fill_up(c);
    for (int i = 0; i < NODES; i++)
        cluster_shell(c, "test $(stat -f -c %%a %s) = 0", node_names[i]);
}

struct granting {
    struct cluster *c;
    double until;
};

static bool has_granted(void *owner)
{
    const struct granting *g = owner;

    return metric(g->c, cluster_wait_leader(g->c), "ringfence_leases_granted_total") >=
           g->until;
}

/* The same leader grants, and the gate is open at each look. */
static void leases_go_on(struct cluster *c, unsigned n)
{
    struct granting g = {
        c, n + metric(c, cluster_wait_leader(c), "ringfence_leases_granted_total")};

    cluster_until(c, has_granted, &g, 60000, "leases granted on full disks");
    assert_true(load_east_serves(&load));
}

static void all_tell_of_it(struct cluster *c)
{
    for (int i = 0; i < NODES; i++) {
        long status;
        json_t *s = cluster_call(c, i, "GET", "/api/v1/doctor", NULL, &status), *one;
        const char *level = "", *text = "";
        char path[2 * CLUSTER_PATH + 16];
        struct stat st;
        size_t k;

        json_array_foreach(json_object_get(s, "findings"), k, one)
        {
            if (strcmp(json_string_value(at(one, "check")), "disk-reserve") != 0)
                continue;
            level = json_string_value(at(one, "level"));
            text = json_string_value(at(one, "text"));
        }
        assert_string_equal(level, "fail");
        assert_non_null(strstr(text, "make room until 24MiB are free there"));
        json_decref(s);
        s = cluster_call(c, i, "GET", "/api/v1/status?stale=ok", NULL, &status);
        assert_string_equal(json_string_value(at(s, "warnings.0.check")), "disk-reserve");
        json_decref(s);
        cluster_log_says(c, i, "ALARM: the disk is full");
        snprintf(path, sizeof path, "%s/%s/reserve", c->dir, node_names[i]);
        assert_int_not_equal(stat(path, &st), 0);
    }
}

/* A refused request is answered as ever; there is no room for telling of it. */
static void refusals_are_left_out(struct cluster *c)
{
    int leader = cluster_wait_leader(c);
    long status;

    json_decref(cluster_call(c, leader, "POST", "/api/v1/groups/orders/acknowledge",
                             "{\"reason\": \"nothing was wrong\"}", &status));
    assert_int_equal(status, 409);
    assert_true(metric(c, leader, "ringfence_audit_left_out_total") >= 1);
}

static void leases_go_on_while_all_disks_are_full(void **state)
{
    struct cluster *c = *state;
    struct all used = {c, 1}, mended = {c, 0};
    unsigned rounds = 0;

    load_begin(&load, c);
    cluster_until(c, load_all_up, &load, LOAD_BACK_MS, "all are there");
    cluster_until(c, all_have, &mended, SOON_MS, "a reserve everywhere");
    cluster_shell(c, "for n in east west witness; do test $(stat -c %%s $n/reserve) = "
                     "16777216; done");

    leave_free(c, 5 << 20);
    for (; !all_have(&used); rounds++) {
        if (rounds == ROUNDS_MAX)
            fail_msg("the trail has not filled the disks");
        grow(c);
    }
    assert_true(rounds > 0);
    cluster_turn_ms(c, 1500); /* the log says so within a second */
    all_tell_of_it(c);
    fill_the_rest(c);
    leases_go_on(c, LEASES);
    for (unsigned i = 0; i < 3; i++)
        grow(c);
    refusals_are_left_out(c);
    leases_go_on(c, LEASES_MORE);
    for (int i = 0; i < NODES; i++)
        assert_true(c->pids[i] != 0 && metric(c, i, "ringfence_disk_reserve_used") == 1);

    cluster_shell(c, "rm east/ballast east/more west/ballast west/more witness/ballast "
                     "witness/more");
    cluster_until(c, all_have, &mended, SOON_MS, "a reserve everywhere, again");
    cluster_turn_ms(c, 1500);
    cluster_log_says(c, WITNESS, "there is room again");
    leases_go_on(c, LEASES_MORE);
    load_end(&load);
}

/* A restart on a full disk finds what its former life had taken, and goes on with it. */
static void a_restart_keeps_what_was_taken(void **state)
{
    struct cluster *c = *state;
    struct all used = {c, 1}, mended = {c, 0};

    load_begin(&load, c);
    cluster_until(c, load_all_up, &load, LOAD_BACK_MS, "all are there");
    fill_up(c);
    cluster_until(c, all_have, &used, SOON_MS, "the reserve in use everywhere");
    fill_the_rest(c);
    for (int i = 0; i < NODES; i++) {
        if (i == WEST)
            cluster_kill(c, i);
        else
            assert_int_equal(cluster_stop(c, i), 0);
        load_comes_back(&load, i);
    }
    for (unsigned i = 0; i < 3; i++)
        grow(c);
    leases_go_on(c, LEASES_MORE);
    assert_true(all_have(&used));
    cluster_shell(c, "rm east/more west/more witness/more");
    cluster_until(c, all_have, &mended, SOON_MS, "a reserve everywhere, again");
    load_end(&load);
}

#define EACH_ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        EACH_ALONE(leases_go_on_while_all_disks_are_full),
        EACH_ALONE(a_restart_keeps_what_was_taken),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
