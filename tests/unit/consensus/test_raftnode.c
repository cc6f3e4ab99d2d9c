/* Three nodes: what is committed, who leads, what stops a node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "tests/unit/consensus/raft_lab.h"

/* ---- claims -------------------------------------------------------------------------- */

/* What is submitted is applied once, in order, on every node, and told so. */
static void commits_on_all_nodes(void **state)
{
    (void)state;
    lab_open_all(true);
    lab_submit_many(200);
    lab_wait_for(lab_all_equal, "equal nodes");
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(lab.app[i].commands, 200);
}

/* The followers' disks may be faster: what they have is committed before the leader's own
 * store has told. */
static int leader;
static struct store_stats before, after;

static bool leader_has_stored(void)
{
    raftnode_stats(lab.app[leader].node, &after);
    return after.operations - before.operations >= 30;
}

/* Submissions of one turn share the disk's syncs. A busy machine may run the store's thread
 * after each of them: then they are tried again; a store that never shares does not pass.
 */
static void a_turn_shares_syncs(void **state)
{
    enum { TRIES = 20 };
    unsigned tried = 0;

    (void)state;
    lab_open_all(true);
    do {
        assert_in_range(++tried, 1, TRIES);
        leader = lab_leader();
        raftnode_stats(lab.app[leader].node, &before);
        lab_submit_many(30);
        lab_wait_for(leader_has_stored, "the leader's own store");
    } while (after.commits - before.commits >= 25);
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
    assert_int_equal(raftnode_query_audit(lab.app[i].node, &q, on_trail, NULL, NULL), 0);
    lab_wait_for(trail_was_read, "audit rows");
}

/* On a busy machine one falls so far behind that it gets a snapshot, whose entries leave no
 * row. Whoever led at the end has all of them. */
static unsigned who_has_all_rows(void)
{
    unsigned i = 0;

    while (i < NODES && lab.app[i].restores > 0)
        i++;
    assert_in_range(i, 0, NODES - 1);
    return i;
}

static void restart_forgets_nothing(void **state)
{
    uint64_t hash, rows;
    unsigned who;
    char dir[128];

    (void)state;
    lab.snapshot_every = 50;
    lab_open_all(true);
    for (unsigned i = 0; i < 6; i++)
        lab_submit_many(30);
    lab_wait_for(lab_all_equal, "equal nodes");
    who = who_has_all_rows();
    hash = lab.app[who].hash;
    for (unsigned i = 0; i < NODES; i++)
        lab_close(i);
    uv_run(&lab.loop, UV_RUN_NOWAIT);
    lab_open_all(false);
    lab_wait_for(lab_all_equal, "equal nodes");
    assert_int_equal(lab.app[who].hash, hash);
    assert_int_equal(lab.app[who].restores, 1);
    read_trail(who);
    assert_int_equal(trail_rows, 180);
    lab_close(who);
    lab_dir(who, dir, sizeof dir);
    assert_int_equal(store_verify_audit(dir, &rows, NULL), 0);
    assert_int_equal(rows, 180);
}

/* A node that missed more than the leader kept gets a snapshot, and says so in its trail.
 */
static int missing;

static bool missing_caught_up(void)
{
    return lab.app[missing].restores > 0 && lab_all_equal();
}

static void late_node_gets_a_snapshot(void **state)
{
    (void)state;
    lab.snapshot_every = 40;
    lab_open_all(true);
    missing = (lab_leader() + 1) % NODES;
    lab_close((unsigned)missing);
    for (unsigned i = 0; i < 6; i++)
        lab_submit_many(30);
    lab_open((unsigned)missing, false);
    lab_wait_for(missing_caught_up, "the late node catches up by a snapshot");
    assert_true(lab.app[missing].commands < 180);
}

/* Leadership goes where it is asked to go, and only to who has everything. */
static int target;
static bool target_leads(void) { return lab_leader() == target; }

static bool target_has_all(void)
{
    struct driver_status st;

    raftnode_status(lab.app[lab_leader()].node, &st);
    for (unsigned i = 0; i < st.n_peers; i++)
        if (st.peers[i].id == (uint64_t)target + 1)
            return st.peers[i].caught_up;
    return false;
}

static void leadership_is_handed_over(void **state)
{
    struct err err = {0};

    (void)state;
    lab_open_all(true);
    lab_submit_many(5);
    assert_int_equal(raftnode_transfer(lab.app[lab_leader()].node, 9, &err), ERR_NOTFOUND);
    target = (lab_leader() + 1) % NODES;
    lab_wait_for(target_has_all, "the target has everything");
    assert_int_equal(
        raftnode_transfer(lab.app[lab_leader()].node, (uint64_t)target + 1, &err), 0);
    lab_wait_for(target_leads, "the target leads");
    lab_submit_many(5);
}

/* A leader that was cut off learns that it does not know. */
static int old_leader;
static bool another_leads(void) { return lab_leader() >= 0 && lab_leader() != old_leader; }

static void cut_leader_tells_unknown(void **state)
{
    struct err err = {0};

    (void)state;
    lab_open_all(true);
    lab_submit_many(5);
    outcome = (struct outcome){0};
    wanted = 1;
    old_leader = lab_leader();
    lab.app[old_leader].cut = true;
    lab_submit(old_leader, "into the void");
    lab_wait_for(lab_all_done, "an outcome");
    assert_int_equal(outcome.last_status, ERR_UNKNOWN);
    assert_int_equal(raftnode_submit(lab.app[old_leader].node, (const uint8_t *)"x", 1,
                                     NULL, NULL, &err),
                     ERR_NOTLEADER);
    lab_wait_for(another_leads, "another leader");
    lab_submit_many(5);
    lab.app[old_leader].cut = false;
    lab_wait_for(lab_all_equal, "equal nodes");
}

static void on_confirmed(void *owner, int status, uint64_t index)
{
    (void)owner;
    outcome.done++;
    outcome.ok += status == 0;
    outcome.last_status = status;
    outcome.last_index = index;
}

/* A leader that leads is confirmed, with all that is committed applied; one that was cut
 * off is not, however sure it is. */
static void a_barrier_confirms_who_still_leads(void **state)
{
    struct err err = {0};

    (void)state;
    lab_open_all(true);
    lab_submit_many(5);
    outcome = (struct outcome){0};
    wanted = 1;
    old_leader = lab_leader();
    assert_int_equal(raftnode_barrier(lab.app[old_leader].node, on_confirmed, NULL, &err),
                     0);
    lab_wait_for(lab_all_done, "a confirmation");
    assert_int_equal(outcome.last_status, 0);
    assert_true(lab.app[old_leader].applied >= outcome.last_index);
    assert_true(raftnode_age_ms(lab.app[old_leader].node) < 60000);
    lab.app[old_leader].cut = true;
    outcome = (struct outcome){0};
    assert_int_equal(raftnode_barrier(lab.app[old_leader].node, on_confirmed, NULL, &err),
                     0);
    lab_wait_for(lab_all_done, "an outcome");
    assert_int_equal(outcome.last_status, ERR_UNKNOWN);
    assert_int_equal(raftnode_barrier(lab.app[old_leader].node, NULL, NULL, &err),
                     ERR_NOTLEADER);
    lab.app[old_leader].cut = false;
    lab_wait_for(lab_all_equal, "equal nodes");
}

/* What the application cannot apply stops the node, once, with its story. */
static int refuser;

static bool refuser_stopped(void) { return lab.app[refuser].fatal != 0; }

static void refusing_application_stops_the_node(void **state)
{
    struct err err = {0};

    (void)state;
    lab_open_all(true);
    refuser = lab_leader();
    lab.app[refuser].refuse = true;
    outcome = (struct outcome){0};
    wanted = 1;
    lab_submit(refuser, "poison");
    lab_wait_for(refuser_stopped, "the node stops");
    lab_wait_for(lab_all_done, "an outcome");
    assert_int_equal(outcome.last_status, ERR_UNKNOWN);
    assert_int_equal(lab.app[refuser].fatal, ERR_CORRUPT);
    assert_non_null(strstr(lab.app[refuser].fatal_text, "refuses"));
    assert_int_equal(
        raftnode_submit(lab.app[refuser].node, (const uint8_t *)"x", 1, NULL, NULL, &err),
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
    lab_open_all(true);
    memset(garbage, 0xa5, sizeof garbage);
    assert_int_equal(raftnode_receive(lab.app[0].node, 2, garbage, sizeof garbage, &err),
                     ERR_BADMSG);
    assert_int_equal(consensus_msg_encode(&m, &bytes, &err), 0);
    assert_int_equal(raftnode_receive(lab.app[0].node, 3, bytes.data, bytes.len, &err),
                     ERR_PEER);
    assert_int_equal(raftnode_receive(lab.app[0].node, 2, bytes.data, bytes.len, &err),
                     ERR_CONFLICT);
    buf_free(&bytes);
}

/* An empty directory, another cluster life, a second process: each says what and where. */
static void wrong_directories_are_refused(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(lab_open_as(0, false, 1, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "bootstrap"));
    lab_open(0, true);
    lab_close(0);
    assert_int_equal(lab_open_as(0, false, 2, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "incarnation"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commits_on_all_nodes, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(a_turn_shares_syncs, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(restart_forgets_nothing, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(late_node_gets_a_snapshot, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(leadership_is_handed_over, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(cut_leader_tells_unknown, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(a_barrier_confirms_who_still_leads, lab_setup,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(refusing_application_stops_the_node, lab_setup,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(foreign_messages_are_refused, lab_setup,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(wrong_directories_are_refused, lab_setup,
                                        lab_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
