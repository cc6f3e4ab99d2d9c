#include "tests/real/daemon/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With the mode and the ports of the two servers. */
static const char document[] =
    "{\"group\": \"orders\","
    " \"regions\": [{\"name\": \"east\", \"role\": \"active\"},"
    "               {\"name\": \"west\", \"role\": \"standby\"}],"
    " \"lease\": {\"ttl_ms\": 3000, \"renew_ms\": 300},"
    " \"sync\": \"%s\","
    " \"components\": [{\"name\": \"db\", \"provider\": \"postgres\", \"instances\": ["
    "   {\"agent\": \"pg-east\", \"region\": \"east\", \"port\": %u, \"data\": \"/e\"},"
    "   {\"agent\": \"pg-west\", \"region\": \"west\", \"port\": %u, \"data\": "
    "\"/w\"}]}],"
    " \"decide\": {\"cooldown_ms\": 0, \"local_restarts\": 0}}";

const char *stage_extra;

static bool stage_both_enrolled(void *owner)
{
    struct stage *s = owner;
    json_t *status = cluster_status(&s->c);
    bool yes = json_array_size(at(status, "agents")) == 2 &&
               json_is_true(at(status, "agents.0.connected")) &&
               json_is_true(at(status, "agents.1.connected"));

    json_decref(status);
    return yes;
}

bool stage_east_serves(void *owner)
{
    struct stage *s = owner;

    return fake_agent_is_open(&s->east);
}

bool stage_west_serves(void *owner)
{
    struct stage *s = owner;

    return fake_agent_is_open(&s->west);
}

/* Steady, and both in the sync set: a failover would find a target. */
bool stage_is_whole(void *owner)
{
    struct stage *s = owner;
    json_t *status = cluster_status(&s->c);
    const char *phase = json_string_value(at(status, "groups.0.phase"));
    bool yes = phase != NULL && strcmp(phase, "steady") == 0 &&
               json_array_size(at(status, "groups.0.sync_set")) == 2;

    json_decref(status);
    return yes;
}

static void stage_declare(struct stage *s, const char *sync)
{
    char text[2000];
    long status;
    json_t *reply;

    /* At a follower: it is passed on. */
    int leader = cluster_wait_leader(&s->c), node = (leader + 1) % NODES;

    snprintf(text, sizeof text, document, sync, s->east.port, s->west.port);
    reply = cluster_call(&s->c, node, "POST", "/api/v1/groups", text, &status);
    if (status != 200)
        fail_msg("%ld %s", status, json_dumps(reply, 0));
    json_decref(reply);
}

void stage_form(struct stage *s, const char *sync)
{
    char path[CLUSTER_PATH];

    cluster_open(&s->c);
    for (int node = 0; node < NODES && stage_extra != NULL; node++) {
        cluster_config(&s->c, node, path);
        cluster_write_config(&s->c, node, path, stage_extra);
    }
    cluster_issue_agent(&s->c, "pg-east");
    cluster_issue_agent(&s->c, "pg-west");
    cluster_start_all(&s->c);
    fake_agent_open(&s->east, &s->c, "pg-east", "east", 1);
    fake_agent_open(&s->west, &s->c, "pg-west", "west", 2);
    cluster_wait_leader(&s->c);
    cluster_until(&s->c, stage_both_enrolled, s, 10000, "both agents enrolled");
    stage_declare(s, sync);
    cluster_until(&s->c, stage_east_serves, s, 10000,
                  "the gate of the declared primary open");
}

int stage_setup(void **state)
{
    struct stage *s = calloc(1, sizeof *s);

    stage_form(s, "required");
    cluster_until(&s->c, stage_is_whole, s, 10000, "the standby in the sync set");
    *state = s;
    return 0;
}

int stage_teardown(void **state)
{
    struct stage *s = *state;

    fake_agent_close(&s->east);
    fake_agent_close(&s->west);
    cluster_close(&s->c);
    free(s);
    return 0;
}
