/* Who votes, as people are told: only what is decided. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "controller/daemon/daemon.h"
#include "controller/daemon/membership.h"
#include "tests/unit/base/tree.h"
#include "tests/unit/daemon/node_of_one.h"

enum { EAST = 1, WEST = 2 };

static struct node_of_one one;
static struct daemon daemon_of_one;
static char dir[TREE_PATH];

static int begin(void **state)
{
    (void)state;
    tree_make(dir, "/tmp");
    one_begin(&one, dir);
    one_lead(&one);
    daemon_of_one = (struct daemon){.node = one.node, .settings = {.self = 0, .count = 2}};
    daemon_of_one.settings.controllers[0] =
        (struct settings_controller){.id = EAST, .name = "east"};
    daemon_of_one.settings.controllers[1] =
        (struct settings_controller){.id = WEST, .name = "west"};
    return 0;
}

static int end(void **state)
{
    (void)state;
    one_end(&one);
    return tree_remove(dir);
}

static bool is_decided(const struct node_of_one *o)
{
    bool decided;

    (void)node_members(o->node, &decided);
    return decided;
}

static struct members *change(void)
{
    static struct members m;
    bool decided;

    m = *node_members(one.node, &decided);
    return &m;
}

/* The leader that proposed it ended 16 ms later, and nobody else had it: the two that were
 * left were one vote of two, while status had said that the newcomer votes. */
static void a_newcomer_votes_for_people_when_it_is_decided(void **state)
{
    const struct member west = {
        .id = WEST, .name = "west", .store = 7, .address = "127.0.0.1:7002"};
    struct members *m;
    struct err err = {0};
    bool decided;

    (void)state;
    one_until(&one, is_decided);
    m = change();
    membership_tick(&daemon_of_one);
    assert_true(membership_votes(&daemon_of_one, EAST));

    assert_int_equal(members_add(m, &west, &err), 0);
    assert_int_equal(node_change(one.node, m, &err), 0);
    one_until(&one, is_decided);
    membership_tick(&daemon_of_one);
    assert_false(membership_votes(&daemon_of_one, WEST));

    m = change();
    m->list[1].votes = true;
    assert_int_equal(node_change(one.node, m, &err), 0); /* west never answers */
    for (unsigned i = 0; i < 10; i++) {
        one_settle(&one);
        membership_follow(&daemon_of_one);
        membership_tick(&daemon_of_one);
    }
    assert_true(members_find(node_members(one.node, &decided), WEST)->votes);
    assert_false(decided);
    assert_false(membership_votes(&daemon_of_one, WEST));
    assert_true(membership_votes(&daemon_of_one, EAST));

    /* Begun anew without a majority: nothing has been seen to be decided, and an operator
     * who looks is not told that nobody votes. */
    daemon_of_one.decided.n = 0;
    assert_true(membership_votes(&daemon_of_one, EAST));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_newcomer_votes_for_people_when_it_is_decided,
                                        begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
