/* What a controller must not forget, with three real processes and their real directories.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/real/daemon/cluster.h"

enum { TEXT = 8000, EXIT_FAIL_STOP_ = 1 };

static int setup(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);

    cluster_open(c);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    cluster_close(*state);
    free(*state);
    return 0;
}

/* "mv east lost" in the cluster's directory. */
static void shell(struct cluster *c, const char *command)
{
    char line[400];

    snprintf(line, sizeof line, "cd %s && %s", c->dir, command);
    assert_int_equal(system(line), 0);
}

struct ending {
    struct cluster *c;
    int node, status;
};

static bool has_ended(void *owner)
{
    struct ending *e = owner;

    return waitpid(e->c->pids[e->node], &e->status, WNOHANG) > 0;
}

static int wait_end(struct cluster *c, int node, const char *what)
{
    struct ending e = {c, node, 0};

    cluster_until(c, has_ended, &e, 15000, what);
    c->pids[node] = 0;
    assert_true(WIFEXITED(e.status));
    return WEXITSTATUS(e.status);
}

static void assert_log_says(struct cluster *c, int node, const char *words)
{
    char text[TEXT];

    cluster_log(c, node, text, sizeof text);
    if (strstr(text, words) == NULL)
        fail_msg("the log of %s does not say \"%s\": %s", node_names[node], words, text);
}

/* Somebody puts a lost disk's controller back with --bootstrap: it could vote twice. */
static void an_empty_disk_does_not_come_back(void **state)
{
    struct cluster *c = *state;
    char config[CLUSTER_PATH], text[TEXT];
    const char *arguments[] = {"--config", config, NULL};

    cluster_start_all(c);
    (void)cluster_wait_leader(c);
    cluster_kill(c, EAST);
    shell(c, "mv east lost");
    cluster_start(c, EAST, true);
    assert_int_equal(wait_end(c, EAST, "the empty one to stop"), EXIT_FAIL_STOP_);
    assert_log_says(c, EAST, "with another data directory");
    assert_log_says(c, EAST, "ringfence controller replace");
    assert_true(cluster_wait_leader(c) != EAST);

    /* And not while the others are away either. */
    cluster_kill(c, WEST);
    cluster_kill(c, WITNESS);
    cluster_config(c, EAST, config);
    assert_int_equal(cluster_run(c, arguments, text, sizeof text), 78);
    assert_non_null(strstr(text, "with another data directory"));
}

#define EACH_ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ALONE(an_empty_disk_does_not_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
