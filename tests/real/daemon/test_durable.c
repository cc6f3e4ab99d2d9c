/* What a controller must not forget, with three real processes and their real directories.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/consensus/store.h"
#include "tests/real/daemon/fake_agent.h"

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
    reply = cluster_call(c, at_node, "POST", "/v1/controllers/east/replace", body, &status);
    if (status != expected)
        fail_msg("%ld %s", status, json_dumps(reply, 0));
    json_decref(reply);
}

/* Something is committed by whoever runs. */
static void assert_decides(struct cluster *c, const char *what)
{
    int leader = cluster_wait_leader(c);
    long status;
    json_t *reply = cluster_call(c, leader, "POST", "/v1/groups/none/pause", "{}", &status);

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
    shell(c, "mv east lost");
    (void)cluster_wait_leader(c);
    cluster_until(c, east_is_silent, &w, 5000, "east is seen to be gone");

    cluster_join(c, EAST, 4);
    cluster_turn_ms(c, 1500);
    assert_log_says(c, EAST, "waits until it is taken in");
    assert_log_says(c, EAST, "run `ringfence controller replace east --id 4`");
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
    shell(c, "mv east lost");
    cluster_until(c, east_is_silent, &w, 5000, "east is seen to be gone");
    cluster_join(c, EAST, 4);
    replace_east(c, WITNESS, 4, 200);
    cluster_until(c, east_votes, &w, 20000, "east votes under its new id");

    cluster_kill(c, EAST);
    shell(c, "mv east new && mv lost east && sed -i s/id:.4/id:\\ 1/ east.yaml");
    cluster_start(c, EAST, false);
    cluster_turn_ms(c, 2000);
    assert_log_says(c, EAST, "it was replaced; never start it again");
    assert_true(cluster_leader_seen_by(c, WEST) > EAST);
    cluster_kill(c, EAST);
    assert_decides(c, "the other two");
}

/* ---- killed at any moment
 * ---------------------------------------------------------------- */

struct stage {
    struct cluster *c;
    struct fake_agent east, west;
};

static bool both_enrolled(void *owner)
{
    struct stage *s = owner;
    json_t *status = cluster_status(s->c);
    bool yes = json_array_size(at(status, "agents")) == 2 &&
               json_is_true(at(status, "agents.0.connected")) &&
               json_is_true(at(status, "agents.1.connected"));

    json_decref(status);
    return yes;
}

static bool east_serves(void *owner)
{
    struct stage *s = owner;

    return fake_agent_is_open(&s->east);
}

/* Leases of two agents, renewed as fast as a group may ask for: some twenty entries a
 * second. */
static void put_under_load(struct stage *s)
{
    static const char document[] =
        "{\"group\": \"orders\", \"regions\": [{\"name\": \"east\", \"role\": \"active\"},"
        " {\"name\": \"west\", \"role\": \"standby\"}],"
        " \"lease\": {\"ttl_ms\": 1000, \"renew_ms\": 100}, \"sync\": \"off\","
        " \"components\": [{\"name\": \"db\", \"provider\": \"postgres\", \"instances\": ["
        "  {\"agent\": \"pg-east\", \"region\": \"east\", \"port\": %u, \"data\": \"/e\"},"
        "  {\"agent\": \"pg-west\", \"region\": \"west\", \"port\": %u, \"data\": "
        "\"/w\"}]}],"
        " \"decide\": {\"automatic\": false}}";
    char text[2000];
    long status;
    json_t *reply;

    cluster_issue_agent(s->c, "pg-east");
    cluster_issue_agent(s->c, "pg-west");
    cluster_start_all(s->c);
    fake_agent_open(&s->east, s->c, "pg-east", "east", 1);
    fake_agent_open(&s->west, s->c, "pg-west", "west", 2);
    (void)cluster_wait_leader(s->c);
    cluster_until(s->c, both_enrolled, s, 10000, "both agents enrolled");
    snprintf(text, sizeof text, document, s->east.port, s->west.port);
    reply =
        cluster_call(s->c, cluster_wait_leader(s->c), "POST", "/v1/groups", text, &status);
    if (status != 200)
        fail_msg("%ld %s", status, json_dumps(reply, 0));
    json_decref(reply);
    cluster_until(s->c, east_serves, s, 10000, "the gate of the declared primary open");
}

static bool all_caught_up(void *owner)
{
    struct stage *s = owner;
    json_t *status = cluster_status(s->c);
    bool yes = status != NULL;
    char path[40];

    for (int i = 0; i < NODES && yes; i++) {
        snprintf(path, sizeof path, "controllers.%d.up", i);
        yes = json_is_true(at(status, path));
    }
    json_decref(status);
    return yes;
}

/* Each trail is whole, and wherever two of them have a row about the same entry, it is the
 * same row. */
static void compare_trails(struct cluster *c)
{
    for (int i = 0; i < NODES; i++) {
        char dir[2 * CLUSTER_PATH];
        uint64_t rows = 0;
        struct err err;

        snprintf(dir, sizeof dir, "%s/%s", c->dir, node_names[i]);
        if (store_verify_audit(dir, &rows, &err) != 0)
            fail_msg("%s", err.text);
        assert_true(rows > 5);
    }
    shell(
        c,
        "for n in east west witness; do sqlite3 $n/raft.db \"SELECT idx, term, kind, grp, "
        "rule, text FROM audit WHERE kind <> 'gap' ORDER BY idx\" > $n.trail; done");
    shell(c,
          "cat *.trail | sort -u | cut -d'|' -f1 | uniq -d > differ && ! grep -q . differ");
}

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
    static struct stage s;
    uint64_t dice = 20261128;

    s.c = *state;
    put_under_load(&s);
    for (unsigned done = 0; done < restarts();) {
        unsigned victims;

        dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        victims = 1 + (unsigned)(dice >> 33) % 8; /* bits; 7 and 8: all */
        cluster_turn_ms(s.c, 20 + (unsigned)(dice >> 40) % 400);
        for (int i = 0; i < NODES; i++)
            if (victims >= 7 || (victims & 1u << i) != 0)
                cluster_kill(s.c, i);
        cluster_turn_ms(s.c, (unsigned)(dice >> 50) % 200);
        for (int i = 0; i < NODES; i++)
            if (s.c->pids[i] == 0) {
                cluster_start(s.c, i, false);
                done++;
            }
        (void)cluster_wait_leader(s.c);
        cluster_until(s.c, all_caught_up, &s, 10000, "all are back");
    }
    cluster_until(s.c, east_serves, &s, 10000, "the gate open again");
    fake_agent_close(&s.east);
    fake_agent_close(&s.west);
    for (int i = 0; i < NODES; i++)
        assert_int_equal(cluster_stop(s.c, i), 0);
    compare_trails(s.c);
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
