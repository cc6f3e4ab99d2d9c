/* A controller of one, over a real store. */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/base/tree.h"
#include "tests/unit/daemon/node_of_one.h"

static struct {
    struct node_of_one one;
    char dir[TREE_PATH];
} t;

static int begin(void **state)
{
    (void)state;
    tree_make(t.dir, "/tmp");
    one_begin(&t.one, t.dir);
    one_lead(&t.one);
    return 0;
}

static int end(void **state)
{
    (void)state;
    one_end(&t.one);
    return tree_remove(t.dir);
}

static void applies(const struct entry *e) { one_apply(&t.one, e); }

static void is_refused(const struct entry *e, const char *text)
{
    struct err err = {0};

    assert_int_equal(one_propose(&t.one, e, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.text, text);
}

static struct entry controller(const char *name, uint64_t id, uint32_t min, uint32_t max)
{
    struct entry e = entry_of(ENTRY_CONTROLLER);

    e.group[0] = '\0';
    snprintf(e.controller.name, NAME_SIZE, "%s", name);
    snprintf(e.controller.region, NAME_SIZE, "%s", name);
    snprintf(e.controller.version, NAME_SIZE, "0.1.0");
    e.controller.id = id;
    e.controller.election_ms = 30;
    e.controller.heartbeat_ms = 10;
    e.controller.format_min = min;
    e.controller.format_max = max;
    return e;
}

static struct entry agent(const char *name, uint8_t number, uint32_t min, uint32_t max)
{
    struct entry e = entry_of(ENTRY_ENROL);
    struct agent *a = &e.enrol.agent;
    const struct agent *before = state_agent(node_state(t.one.node), name);

    e.group[0] = '\0';
    snprintf(a->name, NAME_SIZE, "%s", name);
    snprintf(a->region, NAME_SIZE, "%s", name + strlen("pg-"));
    snprintf(a->address, sizeof a->address, "10.0.0.2");
    snprintf(a->version, NAME_SIZE, "0.1.0");
    a->format_min = min;
    a->format_max = max;
    a->incarnation = life(0, number);
    if (before != NULL)
        a->former = before->incarnation;
    return e;
}

static struct entry group(const char *name, const char *one, const char *other,
                          uint16_t port)
{
    const char *const agents[] = {one, other};
    struct entry e = entry_of(ENTRY_DECLARE);
    struct group *g = &e.declare.spec;

    snprintf(e.group, NAME_SIZE, "%s", name);
    snprintf(g->name, NAME_SIZE, "%s", name);
    snprintf(g->component, NAME_SIZE, "db");
    snprintf(g->provider, NAME_SIZE, "postgres");
    policy_defaults(&g->policy);
    g->region_count = g->instance_count = 2;
    for (uint8_t i = 0; i < 2; i++) {
        struct instance *in = &g->instances[i];

        snprintf(g->regions[i].name, NAME_SIZE, "%s", agents[i] + strlen("pg-"));
        snprintf(in->agent, NAME_SIZE, "%s", agents[i]);
        snprintf(in->component, NAME_SIZE, "db");
        snprintf(in->data, PATH_SIZE, "/srv/%s", name);
        snprintf(in->start, PATH_SIZE, "pg_ctl");
        in->region = i;
        in->port = port;
    }
    return e;
}

/* A single voter applies its log, and writes the trail of it, before node_open() returns.
 */
static void a_controller_of_one_comes_back(void **state)
{
    const struct entry e = controller("east", 1, 1, 1);
    struct err err = {0};

    (void)state;
    applies(&e);
    one_close(&t.one);
    assert_int_equal(one_open(&t.one, &err), 0);
    assert_true(t.one.applied > 0);
    assert_int_equal(node_state(t.one.node)->controller_count, 1);
    assert_string_equal(node_state(t.one.node)->controllers[0].name, "east");
}

/* I10: nothing is proposed that a controller on record cannot read, but its own word that
 * it can. */
static void nothing_is_proposed_that_a_controller_cannot_read(void **state)
{
    const struct entry ours = controller("east", 1, 1, 1);
    const struct entry enrols = agent("pg-east", 1, 1, 1);
    static const struct {
        uint32_t min, max;
        const char *text; /* NULL: it reads ours */
    } table[] = {
        {2, 3,
         "propose enrol: controller west knows formats 2 to 3, the others 1 to 1: upgrade "
         "the others"},
        {1, 2, NULL},
        {0, 0,
         "propose enrol: controller west knows formats 0 to 0, the others 1 to 1: upgrade "
         "west"},
        {0, 1, NULL},
    };

    (void)state;
    applies(&ours);
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        const struct entry theirs = controller("west", 2, table[i].min, table[i].max);

        applies(&theirs); /* whatever was announced before */
        if (table[i].text != NULL)
            is_refused(&enrols, table[i].text);
    }
    applies(&enrols);
}

/* I10: nor what an agent of that group cannot read; other groups go on. */
static void nothing_is_proposed_about_an_agent_that_cannot_read_it(void **state)
{
    const struct entry old = agent("pg-east", 1, 0, 0), west = agent("pg-west", 2, 1, 1);
    const struct entry north = agent("pg-north", 4, 1, 1);
    const struct entry orders = group("orders", "pg-east", "pg-west", 5432);
    const struct entry users = group("users", "pg-west", "pg-north", 5433);
    struct entry pause = entry_of(ENTRY_PAUSE), again;

    (void)state;
    applies(&old);
    applies(&west);
    applies(&north);
    applies(&orders); /* nobody's yet when it is proposed */
    applies(&users);
    is_refused(&pause, "propose pause: agent pg-east knows formats 0 to 0, the others 1 to "
                       "3: upgrade pg-east");
    snprintf(pause.group, NAME_SIZE, "users");
    applies(&pause);
    again = agent("pg-east", 3, 1, 1);
    applies(&again); /* upgraded: another life */
    snprintf(pause.group, NAME_SIZE, "orders");
    applies(&pause);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_controller_of_one_comes_back, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_proposed_that_a_controller_cannot_read,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            nothing_is_proposed_about_an_agent_that_cannot_read_it, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
