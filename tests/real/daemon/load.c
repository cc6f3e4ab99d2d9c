#include "tests/real/daemon/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "controller/consensus/store.h"

enum { TEXT = 20000 };

void cluster_shell(struct cluster *c, const char *format, ...)
{
    char command[900], line[1100];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    snprintf(line, sizeof line, "cd %s && %s", c->dir, command);
    if (system(line) != 0)
        fail_msg("%s", line);
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

int cluster_wait_end(struct cluster *c, int node, unsigned ms, const char *what)
{
    struct ending e = {c, node, 0};

    cluster_until(c, has_ended, &e, ms, what);
    c->pids[node] = 0;
    assert_true(WIFEXITED(e.status));
    return WEXITSTATUS(e.status);
}

void cluster_log_says(struct cluster *c, int node, const char *words)
{
    static char text[TEXT];

    cluster_log(c, node, text, sizeof text);
    if (strstr(text, words) == NULL)
        fail_msg("the log of %s does not say \"%s\": %s", node_names[node], words, text);
}

void cluster_add_user(struct cluster *c)
{
    static unsigned users;
    long status = 0;

    for (unsigned i = 0; status != 200; i++) {
        char body[80];

        if (i == 100)
            fail_msg("user %u is not added: %ld", users, status);
        snprintf(body, sizeof body, "{\"name\": \"user-%u\", \"roles\": [\"viewer\"]}",
                 ++users);
        json_decref(cluster_call(c, cluster_wait_leader(c), "POST", "/api/v1/users", body,
                                 &status));
        if (status != 200)
            cluster_turn_ms(c, 50);
    }
}

static bool both_enrolled(void *owner)
{
    struct load *s = owner;
    json_t *status = cluster_status(s->c);
    bool yes = json_array_size(at(status, "agents")) == 2 &&
               json_is_true(at(status, "agents.0.connected")) &&
               json_is_true(at(status, "agents.1.connected"));

    json_decref(status);
    return yes;
}

bool load_east_serves(void *owner)
{
    struct load *s = owner;

    return fake_agent_is_open(&s->east);
}

/* Leases of two agents, renewed as fast as a group may ask for: some twenty entries a
 * second. */
void load_begin(struct load *s, struct cluster *c)
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

    memset(s, 0, sizeof *s);
    s->c = c;
    cluster_issue_agent(s->c, "pg-east");
    cluster_issue_agent(s->c, "pg-west");
    cluster_start_all(s->c);
    fake_agent_open(&s->east, s->c, "pg-east", "east", 1);
    fake_agent_open(&s->west, s->c, "pg-west", "west", 2);
    s->open = true;
    (void)cluster_wait_leader(s->c);
    cluster_until(s->c, both_enrolled, s, 10000, "both agents enrolled");
    snprintf(text, sizeof text, document, s->east.port, s->west.port);
    reply = cluster_call(s->c, cluster_wait_leader(s->c), "POST", "/api/v1/groups", text,
                         &status);
    if (status != 200)
        fail_msg("%ld %s", status, json_dumps(reply, 0));
    json_decref(reply);
    cluster_until(s->c, load_east_serves, s, 10000,
                  "the gate of the declared primary open");
}

bool load_all_up(void *owner)
{
    struct load *s = owner;
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

void load_start_anew(struct load *s, int node)
{
    cluster_shell(s->c, ": > %s.log", node_names[node]);
    cluster_start(s->c, node, false);
}

void load_comes_back(struct load *s, int node)
{
    load_start_anew(s, node);
    (void)cluster_wait_leader(s->c);
    cluster_until(s->c, load_all_up, s, LOAD_BACK_MS, "all are back");
    cluster_until(s->c, load_east_serves, s, LOAD_BACK_MS, "east serves");
}

void load_two_go_on(struct load *s, int without)
{
    assert_true(cluster_wait_leader(s->c) != without);
    cluster_until(s->c, load_east_serves, s, LOAD_BACK_MS, "east serves by the other two");
}

void load_keep_whole(struct load *s, struct cluster *c)
{
    load_begin(s, c);
    cluster_until(c, load_all_up, s, LOAD_BACK_MS, "all are there");
    assert_int_equal(cluster_stop(c, WITNESS), 0);
    cluster_start(c, WITNESS, false);
    cluster_until(c, load_all_up, s, LOAD_BACK_MS, "the witness is back");
    cluster_turn_ms(c, 2500);
    cluster_kill(c, WITNESS);
    /* The reserve is room, and copying it takes longer than all of the rest. */
    cluster_shell(c, "cp -a witness whole && rm whole/reserve");
}

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
    cluster_shell(
        c,
        "for n in east west witness; do sqlite3 $n/raft.db \"SELECT idx, term, kind, grp, "
        "rule, text FROM audit WHERE kind <> 'gap' ORDER BY idx\" > $n.trail; done");
    cluster_shell(c, "cat *.trail | sort -u | cut -d'|' -f1 | uniq -d > differ && "
                     "! grep -q . differ");
}

void load_drop(struct load *s)
{
    if (!s->open)
        return;
    s->open = false;
    fake_agent_close(&s->east);
    fake_agent_close(&s->west);
}

void load_end(struct load *s)
{
    load_drop(s);
    for (int i = 0; i < NODES; i++)
        assert_int_equal(cluster_stop(s->c, i), 0);
    compare_trails(s->c);
}
