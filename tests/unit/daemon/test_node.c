/* A controller of one, over a real store. */
#include "tests/unit/core/world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/daemon/node.h"

enum { WAIT_MS = 20000 };

static struct {
    uv_loop_t loop;
    struct node *node;
    char dir[64];
    bool fatal, done;
    unsigned applied;
} t;

static void on_send(void *owner, uint64_t to, const uint8_t *data, size_t len)
{
    (void)owner;
    (void)to;
    (void)data;
    (void)len;
}

static void on_applied(void *owner, const struct entry *e, const struct apply_result *r)
{
    (void)owner;
    (void)e;
    (void)r;
    t.applied++;
}

static void on_role(void *owner, const struct driver_status *status)
{
    (void)owner;
    (void)status;
}

static void on_fatal(void *owner, const struct err *err)
{
    (void)owner;
    print_error("%s\n", err->text);
    t.fatal = true;
}

static void on_done(void *owner, int status, uint64_t index, const struct apply_result *r)
{
    (void)owner;
    (void)index;
    assert_int_equal(status, 0);
    assert_int_equal(r->refusal, ACCEPTED);
    t.done = true;
}

static bool is_leading(void) { return node_leads(t.node); }
static bool is_done(void) { return t.done; }

static void until(bool (*what)(void))
{
    uint64_t end_ns = uv_hrtime() + WAIT_MS * 1000000ull;

    while (!what()) {
        assert_false(t.fatal);
        assert_true(uv_hrtime() < end_ns);
        uv_run(&t.loop, UV_RUN_ONCE);
    }
}

static void open_node(void)
{
    static const struct node_events events = {.send = on_send,
                                              .on_applied = on_applied,
                                              .on_role = on_role,
                                              .on_fatal = on_fatal};
    struct node_config c = {.cluster = "demo",
                            .name = "east",
                            .dir = t.dir,
                            .id = 1,
                            .voter_count = 1,
                            .voters = {{1, "east"}},
                            .election_ms = 30,
                            .heartbeat_ms = 10,
                            .bootstrap = true};
    struct err err = {0};

    if (node_open(&t.node, &t.loop, &c, &events, &err) != 0)
        fail_msg("%s", err.text);
    until(is_leading);
}

static void close_node(void)
{
    node_close(TAKE(t.node));
    uv_run(&t.loop, UV_RUN_DEFAULT);
}

static int begin(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    snprintf(t.dir, sizeof t.dir, "/tmp/rf-node-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    assert_int_equal(uv_loop_init(&t.loop), 0);
    open_node();
    return 0;
}

static int remove_one(const char *path, const struct stat *at, int type, struct FTW *ftw)
{
    (void)at;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int end(void **state)
{
    (void)state;
    close_node();
    assert_int_equal(uv_loop_close(&t.loop), 0);
    return nftw(t.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void applies(const struct entry *e)
{
    struct err err = {0};

    t.done = false;
    if (node_propose(t.node, e, on_done, NULL, NULL, &err) != 0)
        fail_msg("%s: %s", entry_kind_name(e->kind), err.text);
    until(is_done);
}

static void is_refused(const struct entry *e, const char *text)
{
    struct err err = {0};

    assert_int_equal(node_propose(t.node, e, on_done, NULL, NULL, &err), ERR_UNSUPPORTED);
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
    const struct agent *before = state_agent(node_state(t.node), name);

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

    (void)state;
    applies(&e);
    close_node();
    t.applied = 0;
    open_node();
    assert_true(t.applied > 0);
    assert_int_equal(node_state(t.node)->controller_count, 1);
    assert_string_equal(node_state(t.node)->controllers[0].name, "east");
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
                       "1: upgrade pg-east");
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
