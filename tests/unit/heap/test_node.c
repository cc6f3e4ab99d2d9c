/* A controller of one, on a real store: every allocation of ours fails once, in its opening
 * and in all that a proposal takes from encoding to apply(). What apply() may need is
 * reserved before an entry is submitted (layout.md): each time the proposal is refused with
 * ERR_NOMEM and nothing has changed, or the node stops with a sentence before it changes
 * anything, or the proposal is applied as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/base/tree.h"
#include "tests/unit/daemon/node_of_one.h"
#include "tests/unit/heap/heap.h"

enum { NTH_MAX = 3000 };

static struct {
    struct node_of_one one;
    char dir[TREE_PATH];
} t;

static void begin(void)
{
    tree_make(t.dir, "/tmp");
    one_begin(&t.one, t.dir);
    t.one.may_stop = true;
}

static void end(void)
{
    heap_fail_nth(0);
    one_end(&t.one);
    assert_int_equal(tree_remove(t.dir), 0);
}

static void opening_survives_any_failed_allocation(void **state)
{
    long nth = 1;
    bool opened = false;

    (void)state;
    for (; nth < NTH_MAX && !opened; nth++) {
        struct err err = {0};
        int status;

        begin();
        heap_fail_nth(nth);
        status = one_open(&t.one, &err);
        opened = status == 0 && !heap_failed();
        heap_fail_nth(0);
        if (status != 0 && status != ERR_NOMEM)
            fail_msg("allocation %ld: %s: %s", nth, err_name(status), err.text);
        end();
    }
    assert_true(opened);
    assert_true(nth > 10);
    print_message("%ld allocations\n", nth - 2);
}

static struct entry proposal(void)
{
    struct entry e;

    memset(&e, 0, sizeof e);
    e.kind = ENTRY_CONTROLLER;
    snprintf(e.rule, RULE_SIZE, "announce");
    snprintf(e.controller.name, NAME_SIZE, "east");
    snprintf(e.controller.region, NAME_SIZE, "east");
    snprintf(e.controller.version, NAME_SIZE, "0.1.0");
    e.controller.id = 1;
    e.controller.election_ms = 30;
    e.controller.heartbeat_ms = 10;
    e.controller.format_min = e.controller.format_max = 1;
    return e;
}

static unsigned controllers(void) { return node_state(t.one.node)->controller_count; }

/* True when no allocation failed: all have been tried. */
static bool propose_with(long nth)
{
    struct entry e = proposal();
    struct err err = {0};
    bool failed;
    int status;

    begin();
    one_lead(&t.one);
    heap_fail_nth(nth);
    status = one_propose(&t.one, &e, &err);
    heap_hold();
    failed = heap_failed();
    one_settle(&t.one);
    if (status != 0) {
        assert_int_equal(status, ERR_NOMEM);
        assert_int_equal(controllers(), 0);
    } else if (t.one.fatal) { /* before it was applied, or after it was */
        assert_true(failed);
        assert_true(t.one.why.text[0] != '\0');
        assert_true(!t.one.done || t.one.status == ERR_UNKNOWN ||
                    t.one.status == ERR_CLOSED || controllers() == 1);
    } else {
        assert_int_equal(t.one.status, 0);
        assert_int_equal(controllers(), 1);
    }
    if (status != 0 && !t.one.fatal) { /* and goes on when there is memory again */
        one_apply(&t.one, &e);
        assert_int_equal(controllers(), 1);
    }
    end();
    return !failed;
}

static void a_proposal_is_applied_whole_or_not_at_all(void **state)
{
    long nth = 1;

    (void)state;
    while (nth < NTH_MAX && !propose_with(nth))
        nth++;
    assert_true(nth > 5);
    assert_true(nth < NTH_MAX);
    print_message("%ld allocations\n", nth - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_survives_any_failed_allocation),
        cmocka_unit_test(a_proposal_is_applied_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
