/* Three nodes with real stores: whoever lost its disk is not taken for the voter it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "tests/unit/consensus/raft_lab.h"

static bool east_has_stopped(void) { return lab.app[0].fatal != 0; }

static bool all_know_each_other(void)
{
    for (unsigned i = 0; i < NODES; i++)
        if (lab.app[i].node == NULL || !raftnode_is_assembled(lab.app[i].node))
            return false;
    return true;
}

static void move_dir(const char *from, const char *to)
{
    char a[160], b[160];

    snprintf(a, sizeof a, "%s/%s", lab.dir, from);
    snprintf(b, sizeof b, "%s/%s", lab.dir, to);
    assert_int_equal(rename(a, b), 0);
}

static void turn(unsigned ms)
{
    struct mono start = mono_now();

    while (mono_since_ms(start, mono_now()) < ms)
        uv_run(&lab.loop, UV_RUN_NOWAIT);
}

/* Two of three could decide; but as long as the third has never been seen, they would not
 * know it from its empty successor. */
static void nothing_is_decided_before_all_have_met(void **state)
{
    (void)state;
    lab_open(0, true);
    lab_open(1, true);
    turn(1000);
    assert_int_equal(lab_leader(), -1);
    lab_open(2, true);
    lab_wait_for(lab_has_leader, "a leader");
    lab_close(2);
    lab_submit_many(5);
}

/* Its disk is lost, and somebody starts it with --bootstrap over an empty directory: it is
 * refused by each of the others, stops itself, and stays stopped while they are away. */
static void an_empty_successor_is_refused_and_stops(void **state)
{
    struct err err;

    (void)state;
    lab_open_all(true);
    lab_submit_many(20);
    lab_close(0);
    move_dir("east", "lost");
    lab_open(0, true);
    assert_int_equal(lab.app[0].refused_by, 2);
    lab_wait_for(east_has_stopped, "the empty successor to stop");
    assert_int_equal(lab.app[0].fatal, ERR_CORRUPT);
    assert_non_null(strstr(lab.app[0].fatal_text, "with another data directory"));
    assert_non_null(strstr(lab.app[0].fatal_text, "ringfence controller replace"));
    lab_close(0);
    lab_wait_for(lab_has_leader, "the other two lead");
    lab_submit_many(20);

    lab_close(1);
    lab_close(2);
    assert_int_equal(lab_open_as(0, true, 1, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "with another data directory"));
    lab.app[0].node = NULL;
}

/* An old copy of the whole directory, mark and all, is put back. */
static void an_old_copy_is_refused_and_stops(void **state)
{
    char command[400];

    (void)state;
    lab_open_all(true);
    lab_submit_many(20);
    lab_wait_for(lab_all_equal, "equal nodes");
    lab_close(0);
    snprintf(command, sizeof command, "cp -r %s/east %s/copy", lab.dir, lab.dir);
    assert_int_equal(system(command), 0);
    lab_open(0, false);
    lab_wait_for(lab_has_leader, "a leader");
    for (unsigned i = 0; i < 20; i++)
        lab_submit_many(1); /* a commit each */
    lab_wait_for(lab_all_equal, "equal nodes");
    raftnode_note_mark(lab.app[1].node, 1, raftnode_mark(lab.app[0].node));
    lab_close(0);
    move_dir("east", "lost");
    move_dir("copy", "east");
    lab_open(0, false);
    assert_int_equal(lab.app[0].refused_by, 1); /* only west was told of the mark */
    lab_wait_for(east_has_stopped, "the old copy to stop");
    assert_non_null(strstr(lab.app[0].fatal_text, "an old copy was put back"));
}

/* What a node has heard of the others it still knows after a restart. */
static void who_knows_whom_survives_a_restart(void **state)
{
    (void)state;
    lab_open_all(true);
    lab_submit_many(3);
    for (unsigned i = 0; i < NODES; i++)
        lab_close(i);
    lab_open(1, false);
    lab_open(2, false);
    lab_wait_for(lab_has_leader, "two of three lead at once");
    lab_open(0, false);
    lab_wait_for(all_know_each_other, "all take part");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_decided_before_all_have_met, lab_setup,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(an_empty_successor_is_refused_and_stops, lab_setup,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(an_old_copy_is_refused_and_stops, lab_setup,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(who_knows_whom_survives_a_restart, lab_setup,
                                        lab_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
