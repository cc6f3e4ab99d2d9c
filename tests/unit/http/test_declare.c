/* POST and GET of a group's document: what becomes an entry, and who is active in it. */
#include "tests/unit/http/served.h"

#include <stdio.h>
#include <string.h>

#define COMPONENTS                                                                         \
    " \"components\": [{\"name\": \"db\", \"provider\": \"postgres\", \"instances\": ["    \
    " {\"agent\": \"pg-0\", \"region\": \"r0\", \"port\": 1, \"data\": \"/a\"},"           \
    " {\"agent\": \"pg-1\", \"region\": \"r1\", \"port\": 1, \"data\": \"/b\"}]}]}"

static const char document[] =
    "{\"group\": \"orders\", \"regions\": [{\"name\": \"r0\", \"role\": \"active\"},"
    " {\"name\": \"r1\", \"role\": \"standby\"}]," COMPONENTS;

static void know_agents(void)
{
    b.state.agent_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(b.state.agents[i].name, NAME_SIZE, "pg-%u", i);
        snprintf(b.state.agents[i].region, NAME_SIZE, "r%u", i);
    }
}

static void a_group_that_is_there_is_not_declared_again(void **state)
{
    struct group *g = &b.state.groups[0];

    (void)state;
    assert_int_equal(ask("POST", "/api/v1/groups", document), 409); /* no such agents */
    assert_true(says("pg-0 is not known"));
    assert_int_equal(b.notes, 1);
    assert_int_equal(ask("POST", "/api/v1/groups?dry=1", document), 409);
    assert_true(says("pg-0 is not known"));
    assert_int_equal(b.notes, 1); /* a question leaves no trace */
    know_agents();
    assert_int_equal(ask("POST", "/api/v1/groups?dry=1", document), 200);
    assert_true(says("\"path\":\"components[0].name\""));
    assert_int_equal(b.proposals, 0);
    assert_int_equal(ask("POST", "/api/v1/groups", document), 200);
    assert_true(says("\"changed\":true"));
    *g = b.proposed.declare.spec;
    g->index = 42;
    g->phase = PHASE_FORMING; /* whoever asked looks again */
    g->epoch = 3;             /* its leases are still those of before the change */
    g->terms.ttl_ms = 6000;
    assert_int_equal(ask("POST", "/api/v1/groups", document), 200);
    assert_string_equal(call.text, "{\"group\":\"orders\",\"index\":42,\"changed\":false,"
                                   "\"roles_ignored\":false,\"active_region\":\"r0\","
                                   "\"ttl_ms\":3000,\"lease_ttl_ms\":6000,"
                                   "\"phase\":\"forming\"}");
    assert_int_equal(b.proposals, 1);
}

/* A group that has moved to r1 since this was written. */
static void declare_and_move(void)
{
    assert_int_equal(ask("POST", "/api/v1/groups", document), 200);
    b.state.groups[0] = b.proposed.declare.spec;
    b.state.groups[0].index = 42;
    b.state.groups[0].epoch = 4;
    b.state.groups[0].active = 1;
    b.proposals = 0;
}

static const char without_roles[] =
    "{\"group\": \"orders\", \"regions\": [{\"name\": \"r0\"}, {\"name\": \"r1\"}],"
    " \"sync\": \"strict\"," COMPONENTS;

/* The entry says to keep whoever is active when it is applied: what moves the group between
 * the request and the entry is not undone. */
static void roles_may_be_left_out_of_a_group_that_is_there(void **state)
{
    (void)state;
    know_agents();
    b.state.group_count = 0;
    assert_int_equal(ask("POST", "/api/v1/groups", without_roles), 400);
    assert_true(says("regions: none has a role, and group orders is new"));
    assert_int_equal(ask("POST", "/api/v1/groups?keep_active=1", without_roles), 400);
    assert_int_equal(b.proposals, 0);
    b.state.group_count = 1;
    declare_and_move();
    assert_int_equal(ask("POST", "/api/v1/groups", without_roles), 200);
    assert_true(says("\"changed\":true,\"roles_ignored\":false,\"active_region\":\"r1\""));
    assert_int_equal(b.proposed.declare.spec.active, 1);
    assert_true(b.proposed.declare.keep_active);
    assert_int_equal(b.proposed.declare.spec.policy.sync, SYNC_STRICT);
}

static void roles_may_be_told_not_to_count(void **state)
{
    (void)state;
    know_agents();
    declare_and_move();
    assert_int_equal(ask("POST", "/api/v1/groups?keep_active=1", document), 200);
    assert_true(says("\"changed\":false,\"roles_ignored\":true,\"active_region\":\"r1\""));
    assert_int_equal(b.proposals, 0);
    assert_int_equal(ask("POST", "/api/v1/groups?dry=1&keep_active=1", document), 200);
    assert_true(says("\"diff\":[],\"active_region\":\"r1\",\"roles_ignored\":true"));
    assert_int_equal(ask("POST", "/api/v1/groups?dry=1", document), 200);
    assert_true(says("\"path\":\"regions[0].role\""));
    assert_true(says("\"refused\":null")); /* by this backend */
    assert_int_equal(b.tried.declare.spec.active, 0);
    b.dry = REFUSE_ACTIVE_DIFFERS;
    assert_int_equal(ask("POST", "/api/v1/groups?dry=1", document), 200);
    assert_true(
        says("\"refused\":{\"code\":\"active-region-differs\",\"detail\":\"because\"}"));
    b.dry = ACCEPTED;
    assert_int_equal(b.proposals, 0);

    b.state.group_count = 0; /* of a new group they count */
    assert_int_equal(ask("POST", "/api/v1/groups?keep_active=1", document), 200);
    assert_true(says("\"roles_ignored\":false"));
    assert_int_equal(b.proposed.declare.spec.active, 0);
    assert_false(b.proposed.declare.keep_active);
}

/* Before a failover and after it. */
static void what_is_exported_changes_nothing(void **state)
{
    static char exported[sizeof call.text];

    (void)state;
    know_agents();
    assert_int_equal(ask("GET", "/api/v1/groups/nobody", NULL), 404);
    declare_and_move();
    for (uint8_t active = 0; active < 2; active++) {
        b.state.groups[0].active = active;
        assert_int_equal(ask("GET", "/api/v1/groups/orders", NULL), 200);
        memcpy(exported, call.text, sizeof exported);
        assert_int_equal(ask("POST", "/api/v1/groups", exported), 200);
        assert_true(says("\"changed\":false"));
        assert_int_equal(b.proposals, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(a_group_that_is_there_is_not_declared_again),
        SERVED(roles_may_be_left_out_of_a_group_that_is_there),
        SERVED(roles_may_be_told_not_to_count),
        SERVED(what_is_exported_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
