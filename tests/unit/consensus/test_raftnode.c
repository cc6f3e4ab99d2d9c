/* Three nodes in one process, over a loop, with real stores in a temporary directory and a
 * network of queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/consensus/raftnode.h"
#include "tests/unit/consensus/tree.h"

enum { NODES = 3, WAIT_MS = 20000 };

struct packet {
    struct packet *next;
    unsigned from, to;
    size_t len;
    uint8_t data[];
};

struct app {
    struct raftnode *node;
    unsigned position;
    bool cut; /* neither sends nor receives */
    uint64_t applied, commands, hash, restores;
    bool authoritative, refuse;
    enum raft_role role;
    int fatal;
    char fatal_text[512];
};

static struct {
    uv_loop_t loop;
    uv_idle_t pump;
    char dir[64];
    struct app app[NODES];
    struct packet *head, **tail;
    uint32_t snapshot_every;
} t;

/* ---- the application ----------------------------------------------------------------- */

static void on_send(void *owner, uint64_t to, const uint8_t *data, size_t len)
{
    struct app *a = owner;
    struct packet *p = malloc(sizeof *p + len);

    assert_non_null(p);
    *p = (struct packet){NULL, a->position, (unsigned)to - 1, len};
    memcpy(p->data, data, len);
    *t.tail = p;
    t.tail = &p->next;
}

static int on_apply(void *owner, const struct order_apply *e, struct err *err)
{
    struct app *a = owner;
    struct audit_row row = {.index = e->index,
                            .term = e->term,
                            .kind = "command",
                            .group = "orders",
                            .rule = "none"};

    if (a->refuse)
        return err_set(err, ERR_CORRUPT, "this application refuses");
    assert_int_equal(e->index, a->applied + 1);
    a->applied = e->index;
    if (e->kind != ENTRY_COMMAND)
        return 0;
    a->commands++;
    for (size_t i = 0; i < e->len; i++)
        a->hash = (a->hash ^ e->body[i]) * UINT64_C(1099511628211);
    assert_in_range(e->leader_id, 1, NODES);
    assert_true(e->wall_ms > 0);
    snprintf(row.text, sizeof row.text, "%.*s", (int)e->len, (const char *)e->body);
    return raftnode_audit(a->node, &row, 1, err);
}

static int on_save(void *owner, struct buf *out, struct err *err)
{
    struct app *a = owner;

    return buf_append(out, &a->hash, sizeof a->hash, err);
}

static int on_restore(void *owner, const struct order_restore *s, struct err *err)
{
    struct app *a = owner;

    (void)err;
    assert_int_equal(s->len, sizeof a->hash);
    memcpy(&a->hash, s->body, sizeof a->hash);
    a->applied = s->index;
    a->restores++;
    return 0;
}

static void on_role(void *owner, const struct driver_status *st)
{
    struct app *a = owner;

    a->role = st->role;
    a->authoritative = st->authoritative;
}

static void on_fatal(void *owner, const struct err *err)
{
    struct app *a = owner;

    assert_int_equal(a->fatal, 0);
    a->fatal = err->code;
    snprintf(a->fatal_text, sizeof a->fatal_text, "%s", err->text);
}

/* ---- the laboratory ------------------------------------------------------------------ */

static int open_node_as(unsigned i, bool bootstrap, uint64_t incarnation, struct err *err)
{
    static const struct voter voters[NODES] = {{1, "east"}, {2, "west"}, {3, "witness"}};
    struct app *a = &t.app[i];
    char dir[128];
    struct raftnode_config c = {.driver = {.id = i + 1,
                                           .cluster = "test",
                                           .incarnation = incarnation,
                                           .voters = voters,
                                           .n_voters = NODES,
                                           .election_ms = 150,
                                           .heartbeat_ms = 30,
                                           .trailing = 20},
                                .node = voters[i].name,
                                .dir = dir,
                                .allow_bootstrap = bootstrap,
                                .snapshot_every = t.snapshot_every};
    struct raftnode_callbacks callbacks = {.send = on_send,
                                           .apply = on_apply,
                                           .save = on_save,
                                           .restore = on_restore,
                                           .on_role = on_role,
                                           .on_fatal = on_fatal,
                                           .owner = a};

    snprintf(dir, sizeof dir, "%s/%s", t.dir, voters[i].name);
    *a = (struct app){.position = i, .hash = 17};
    return raftnode_open(&a->node, &t.loop, &c, &callbacks, err);
}

static void open_node(unsigned i, bool bootstrap)
{
    struct err err = {0};

    if (open_node_as(i, bootstrap, 1, &err) != 0)
        fail_msg("open node %u: %s", i + 1, err.text);
}

static void close_node(unsigned i)
{
    raftnode_close(t.app[i].node);
    t.app[i].node = NULL;
}

static void deliver(struct packet *p)
{
    struct app *to = &t.app[p->to];
    struct err err = {0};
    int status;

    if (to->node == NULL || to->cut || t.app[p->from].cut)
        return;
    status = raftnode_receive(to->node, p->from + 1, p->data, p->len, &err);
    if (status != 0 && status != ERR_CLOSED)
        fail_msg("node %u receives: %s", p->to + 1, err.text);
}

static void on_pump(uv_idle_t *idle)
{
    (void)idle;
    while (t.head != NULL) {
        struct packet *p = t.head;

        t.head = p->next;
        if (t.head == NULL)
            t.tail = &t.head;
        deliver(p);
        free(p);
    }
}

typedef bool claim(void);

static void wait_for(claim *holds, const char *what)
{
    struct mono start = mono_now();

    while (!holds()) {
        uv_run(&t.loop, UV_RUN_NOWAIT);
        if (mono_since_ms(start, mono_now()) > WAIT_MS)
            fail_msg("not within %d ms: %s", WAIT_MS, what);
    }
}

static int leader(void)
{
    for (int i = 0; i < NODES; i++)
        if (t.app[i].node != NULL && !t.app[i].cut && t.app[i].authoritative)
            return i;
    return -1;
}

static bool there_is_a_leader(void) { return leader() >= 0; }

static bool all_equal(void)
{
    struct app *first = NULL;

    for (int i = 0; i < NODES; i++) {
        if (t.app[i].node == NULL)
            continue;
        if (first == NULL)
            first = &t.app[i];
        if (t.app[i].applied != first->applied || t.app[i].hash != first->hash)
            return false;
    }
    return true;
}

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    t.tail = &t.head;
    t.snapshot_every = 1000000;
    snprintf(t.dir, sizeof t.dir, "/tmp/rf-cons-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    uv_loop_init(&t.loop);
    uv_idle_init(&t.loop, &t.pump);
    uv_idle_start(&t.pump, on_pump);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NODES; i++)
        close_node(i);
    uv_close((uv_handle_t *)&t.pump, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t.loop), 0);
    while (t.head != NULL) {
        struct packet *p = t.head;

        t.head = p->next;
        free(p);
    }
    tree_remove(t.dir);
    return 0;
}

static void open_all(bool bootstrap)
{
    for (unsigned i = 0; i < NODES; i++)
        open_node(i, bootstrap);
    wait_for(there_is_a_leader, "a leader with its own entry applied");
}

/* ---- submitting ---------------------------------------------------------------------- */

struct outcome {
    unsigned done, ok;
    int last_status;
    uint64_t last_index;
};

static struct outcome outcome;

static void on_done(void *owner, int status, uint64_t index)
{
    struct outcome *o = owner;

    o->done++;
    o->ok += status == 0;
    o->last_status = status;
    o->last_index = index;
}

static void submit(int to, const char *text)
{
    struct err err = {0};

    if (raftnode_submit(t.app[to].node, (const uint8_t *)text, strlen(text), on_done,
                        &outcome, &err) != 0)
        fail_msg("submit: %s", err.text);
}

static unsigned wanted;

static bool all_done(void) { return outcome.done == wanted; }

static void submit_many(unsigned n)
{
    outcome = (struct outcome){0};
    wanted = n;
    for (unsigned i = 0; i < n; i++) {
        char text[32];

        snprintf(text, sizeof text, "command %u", i);
        submit(leader(), text);
    }
    wait_for(all_done, "outcomes of all submissions");
    assert_int_equal(outcome.ok, n);
}

/* ---- claims -------------------------------------------------------------------------- */

/* What is submitted is applied once, in order, on every node, and told so. */
static void commits_on_all_nodes(void **state)
{
    (void)state;
    open_all(true);
    submit_many(200);
    wait_for(all_equal, "equal nodes");
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(t.app[i].commands, 200);
}

/* Submissions of one turn share the disk's syncs. */
static void a_turn_shares_syncs(void **state)
{
    struct store_stats before, after;

    (void)state;
    open_all(true);
    raftnode_stats(t.app[leader()].node, &before);
    submit_many(30);
    raftnode_stats(t.app[leader()].node, &after);
    assert_true(after.operations - before.operations >= 30);
    assert_true(after.commits - before.commits < 25);
}

/* Everything acknowledged is there after all nodes restart, and the trail has no doubles.
 */
static uint64_t trail_rows;
static bool trail_read;

static void on_trail(void *owner, const struct audit_row *rows, size_t n, int status)
{
    (void)owner;
    assert_int_equal(status, 0);
    trail_rows = n;
    trail_read = true;
    for (size_t i = 1; i < n; i++) {
        assert_int_equal(rows[i].seq, rows[i - 1].seq + 1);
        assert_memory_equal(rows[i].prev_hash, rows[i - 1].hash, CHAIN_SIZE);
    }
}

static bool trail_was_read(void) { return trail_read; }

static void read_trail(unsigned i)
{
    struct audit_query q = {.group = "orders", .limit = STORE_AUDIT_PAGE_MAX};

    trail_read = false;
    assert_int_equal(raftnode_query_audit(t.app[i].node, &q, on_trail, NULL, NULL), 0);
    wait_for(trail_was_read, "audit rows");
}

static void restart_forgets_nothing(void **state)
{
    uint64_t hash, rows;
    char dir[128];

    (void)state;
    t.snapshot_every = 50;
    open_all(true);
    for (unsigned i = 0; i < 6; i++)
        submit_many(30);
    wait_for(all_equal, "equal nodes");
    hash = t.app[0].hash;
    for (unsigned i = 0; i < NODES; i++)
        close_node(i);
    uv_run(&t.loop, UV_RUN_NOWAIT);
    open_all(false);
    wait_for(all_equal, "equal nodes");
    assert_int_equal(t.app[0].hash, hash);
    assert_int_equal(t.app[0].restores, 1);
    read_trail(0);
    assert_int_equal(trail_rows, 180);
    close_node(0);
    snprintf(dir, sizeof dir, "%s/east", t.dir);
    assert_int_equal(store_verify_audit(dir, &rows, NULL), 0);
    assert_int_equal(rows, 180);
}

/* A node that missed more than the leader kept gets a snapshot, and says so in its trail.
 */
static int missing;

static bool missing_caught_up(void) { return t.app[missing].restores > 0 && all_equal(); }

static void late_node_gets_a_snapshot(void **state)
{
    (void)state;
    t.snapshot_every = 40;
    open_all(true);
    missing = (leader() + 1) % NODES;
    close_node((unsigned)missing);
    for (unsigned i = 0; i < 6; i++)
        submit_many(30);
    open_node((unsigned)missing, false);
    wait_for(missing_caught_up, "the late node catches up by a snapshot");
    assert_true(t.app[missing].commands < 180);
}

/* Leadership goes where it is asked to go, and only to who has everything. */
static int target;
static bool target_leads(void) { return leader() == target; }

static bool target_has_all(void)
{
    struct driver_status st;

    raftnode_status(t.app[leader()].node, &st);
    for (unsigned i = 0; i < st.n_peers; i++)
        if (st.peers[i].id == (uint64_t)target + 1)
            return st.peers[i].caught_up;
    return false;
}

static void leadership_is_handed_over(void **state)
{
    struct err err = {0};

    (void)state;
    open_all(true);
    submit_many(5);
    assert_int_equal(raftnode_transfer(t.app[leader()].node, 9, &err), ERR_NOTFOUND);
    target = (leader() + 1) % NODES;
    wait_for(target_has_all, "the target has everything");
    assert_int_equal(raftnode_transfer(t.app[leader()].node, (uint64_t)target + 1, &err),
                     0);
    wait_for(target_leads, "the target leads");
    submit_many(5);
}

/* A leader that was cut off learns that it does not know. */
static int old_leader;
static bool another_leads(void) { return leader() >= 0 && leader() != old_leader; }

static void cut_leader_tells_unknown(void **state)
{
    struct err err = {0};

    (void)state;
    open_all(true);
    submit_many(5);
    outcome = (struct outcome){0};
    wanted = 1;
    old_leader = leader();
    t.app[old_leader].cut = true;
    submit(old_leader, "into the void");
    wait_for(all_done, "an outcome");
    assert_int_equal(outcome.last_status, ERR_UNKNOWN);
    assert_int_equal(
        raftnode_submit(t.app[old_leader].node, (const uint8_t *)"x", 1, NULL, NULL, &err),
        ERR_NOTLEADER);
    wait_for(another_leads, "another leader");
    submit_many(5);
    t.app[old_leader].cut = false;
    wait_for(all_equal, "equal nodes");
}

/* What the application cannot apply stops the node, once, with its story. */
static int refuser;

static bool refuser_stopped(void) { return t.app[refuser].fatal != 0; }

static void refusing_application_stops_the_node(void **state)
{
    struct err err = {0};

    (void)state;
    open_all(true);
    refuser = leader();
    t.app[refuser].refuse = true;
    outcome = (struct outcome){0};
    wanted = 1;
    submit(refuser, "poison");
    wait_for(refuser_stopped, "the node stops");
    wait_for(all_done, "an outcome");
    assert_int_equal(outcome.last_status, ERR_UNKNOWN);
    assert_int_equal(t.app[refuser].fatal, ERR_CORRUPT);
    assert_non_null(strstr(t.app[refuser].fatal_text, "refuses"));
    assert_int_equal(
        raftnode_submit(t.app[refuser].node, (const uint8_t *)"x", 1, NULL, NULL, &err),
        ERR_CLOSED);
}

/* A message under another's name, from another cluster, or garbage changes nothing. */
static void foreign_messages_are_refused(void **state)
{
    uint8_t garbage[64];
    struct consensus_msg m = {.type = CMSG_TIMEOUT_NOW, .from = 2, .to = 1, .term = 1};
    struct buf bytes = {0};
    struct err err = {0};

    (void)state;
    open_node(0, true);
    memset(garbage, 0xa5, sizeof garbage);
    assert_int_equal(raftnode_receive(t.app[0].node, 2, garbage, sizeof garbage, &err),
                     ERR_BADMSG);
    assert_int_equal(consensus_msg_encode(&m, &bytes, &err), 0);
    assert_int_equal(raftnode_receive(t.app[0].node, 3, bytes.data, bytes.len, &err),
                     ERR_PEER);
    assert_int_equal(raftnode_receive(t.app[0].node, 2, bytes.data, bytes.len, &err),
                     ERR_CONFLICT);
    buf_free(&bytes);
}

/* An empty directory, another cluster life, a second process: each says what and where. */
static void wrong_directories_are_refused(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(open_node_as(0, false, 1, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "bootstrap"));
    open_node(0, true);
    close_node(0);
    assert_int_equal(open_node_as(0, false, 2, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "incarnation"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commits_on_all_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_shares_syncs, setup, teardown),
        cmocka_unit_test_setup_teardown(restart_forgets_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(late_node_gets_a_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(leadership_is_handed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(cut_leader_tells_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(refusing_application_stops_the_node, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(foreign_messages_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_directories_are_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
