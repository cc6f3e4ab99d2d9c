/* What a controller must not forget, with three real processes and their real directories.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/real/daemon/load.h"

enum { TEXT = 8000, EXIT_FAIL_STOP_ = 1 };

static int setup(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);

    cluster_open(c);
    *state = c;
    return 0;
}

static struct load load;

static int teardown(void **state)
{
    load_drop(&load);
    cluster_close(*state);
    free(*state);
    return 0;
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
    cluster_shell(c, "mv east lost");
    cluster_start(c, EAST, true);
    assert_int_equal(cluster_wait_end(c, EAST, 15000, "the empty one to stop"),
                     EXIT_FAIL_STOP_);
    cluster_log_says(c, EAST, "with another data directory");
    cluster_log_says(c, EAST, "ringfence controller replace");
    assert_true(cluster_wait_leader(c) != EAST);

    /* And not while the others are away either. */
    cluster_kill(c, WEST);
    cluster_kill(c, WITNESS);
    cluster_config(c, EAST, config);
    assert_int_equal(cluster_run(c, arguments, text, sizeof text), 78);
    assert_non_null(strstr(text, "with another data directory"));
}

/* ---- a lost disk is replaced -----------------------------------------------------------
 */

struct wanted {
    struct cluster *c;
    unsigned id;
};

/* As the leader shows it: east votes under that id. */
static bool east_votes(void *owner)
{
    const struct wanted *w = owner;
    json_t *status = cluster_status(w->c);
    const char *role = json_string_value(at(status, "controllers.0.role"));
    bool yes = json_integer_value(at(status, "controllers.0.id")) == (json_int_t)w->id &&
               role != NULL && strcmp(role, "joining") != 0 &&
               json_is_true(at(status, "controllers.0.caught_up"));

    json_decref(status);
    return yes;
}

static void replace_east(struct cluster *c, int at_node, unsigned id, long expected)
{
    char body[40];
    long status;
    json_t *reply;

    snprintf(body, sizeof body, "{\"id\": %u}", id);
    reply =
        cluster_call(c, at_node, "POST", "/api/v1/controllers/east/replace", body, &status);
    if (status != expected)
        fail_msg("%ld %s", status, json_dumps(reply, 0));
    json_decref(reply);
}

/* Something is committed by whoever runs. */
static void assert_decides(struct cluster *c, const char *what)
{
    int leader = cluster_wait_leader(c);
    long status;
    json_t *reply =
        cluster_call(c, leader, "POST", "/api/v1/groups/none/pause", "{}", &status);

    /* There is no such group; who says so has applied its barrier in this term. */
    if (status != 404)
        fail_msg("%s: %ld %s", what, status, json_dumps(reply, 0));
    json_decref(reply);
}

static bool east_is_silent(void *owner)
{
    const struct wanted *w = owner;
    json_t *status = cluster_status(w->c);
    bool yes = json_is_false(at(status, "controllers.0.up"));

    json_decref(status);
    return yes;
}

static void a_lost_disk_is_replaced(void **state)
{
    struct cluster *c = *state;
    struct wanted w = {c, 4};
    int leader;

    cluster_start_all(c);
    (void)cluster_wait_leader(c);
    replace_east(c, WEST, 4, 409); /* it still answers */
    cluster_kill(c, EAST);
    cluster_shell(c, "mv east lost");
    (void)cluster_wait_leader(c);
    cluster_until(c, east_is_silent, &w, 5000, "east is seen to be gone");

    cluster_join(c, EAST, 4);
    cluster_turn_ms(c, 1500);
    cluster_log_says(c, EAST, "waits until it is taken in");
    cluster_log_says(c, EAST, "run `ringfence controller replace east --id 4`");
    replace_east(c, WEST, 3, 409); /* was used */
    replace_east(c, WEST, 4, 200);
    cluster_until(c, east_votes, &w, 20000, "east votes under its new id");

    /* The majority of the new three decides: with east, without one of the old ones, each
     * in turn, whose files still name the old id; and when all come back from their disks.
     */
    for (int lost = WEST; lost <= WITNESS; lost++) {
        cluster_kill(c, lost);
        assert_decides(c, "two of the new three");
        cluster_start(c, lost, false);
        cluster_until(c, east_votes, &w, 10000, "all are back");
    }
    for (int i = 0; i < NODES; i++)
        cluster_kill(c, i);
    cluster_start(c, EAST, false);
    cluster_start(c, WITNESS, false);
    assert_decides(c, "two of the new three from their disks");
    cluster_start(c, WEST, false);
    cluster_until(c, east_votes, &w, 10000, "all are back");

    /* Leadership goes round: whoever leads is asked to end. */
    for (int round = 0; round < 3; round++) {
        leader = cluster_wait_leader(c);
        assert_int_equal(cluster_stop(c, leader), 0);
        assert_true(cluster_wait_leader(c) != leader);
        cluster_start(c, leader, false);
        cluster_until(c, east_votes, &w, 10000, "it is back");
    }
}

/* The one that was replaced comes back from its old disk: nobody listens. */
static void a_replaced_one_is_refused(void **state)
{
    struct cluster *c = *state;
    struct wanted w = {c, 4};

    cluster_start_all(c);
    (void)cluster_wait_leader(c);
    cluster_kill(c, EAST);
    cluster_shell(c, "mv east lost");
    cluster_until(c, east_is_silent, &w, 5000, "east is seen to be gone");
    cluster_join(c, EAST, 4);
    replace_east(c, WITNESS, 4, 200);
    cluster_until(c, east_votes, &w, 20000, "east votes under its new id");

    cluster_kill(c, EAST);
    cluster_shell(c, "mv east new && mv lost east && sed -i s/id:.4/id:\\ 1/ east.yaml");
    cluster_start(c, EAST, false);
    cluster_turn_ms(c, 2000);
    cluster_log_says(c, EAST, "it was replaced; never start it again");
    assert_true(cluster_leader_seen_by(c, WEST) > EAST);
    cluster_kill(c, EAST);
    assert_decides(c, "the other two");
}

/* ---- killed at any moment ------------------------------------------------------------ */

static unsigned restarts(void)
{
    const char *n = getenv("RF_RESTARTS"); /* 200 for the long form */

    return n != NULL ? (unsigned)strtoul(n, NULL, 10) : 30;
}

/* SIGKILL at any moment, under load, of one after the other, now and then of two at once,
 * or of all. Each comes back from its own disk by itself; nothing that was decided is
 * decided anew. */
static void kills_lose_nothing(void **state)
{
    uint64_t dice = 20261128 + restarts(); /* another number, other moments */

    load_begin(&load, *state);
    for (unsigned done = 0; done < restarts();) {
        unsigned victims;

        dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        victims = 1 + (unsigned)(dice >> 33) % 8; /* bits; 7 and 8: all */
        cluster_turn_ms(load.c, 20 + (unsigned)(dice >> 40) % 400);
        for (int i = 0; i < NODES; i++)
            if (victims >= 7 || (victims & 1u << i) != 0)
                cluster_kill(load.c, i);
        cluster_turn_ms(load.c, (unsigned)(dice >> 50) % 200);
        for (int i = 0; i < NODES; i++)
            if (load.c->pids[i] == 0) {
                cluster_start(load.c, i, false);
                done++;
            }
        (void)cluster_wait_leader(load.c);
        cluster_until(load.c, load_all_up, &load, 10000, "all are back");
    }
    cluster_until(load.c, load_east_serves, &load, 10000, "the gate open again");
    load_end(&load);
}

#define EACH_ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ALONE(an_empty_disk_does_not_come_back),
        EACH_ALONE(a_lost_disk_is_replaced),
        EACH_ALONE(a_replaced_one_is_refused),
        EACH_ALONE(kills_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
