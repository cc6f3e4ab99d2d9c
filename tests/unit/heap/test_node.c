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
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/daemon/node.h"
#include "tests/unit/heap/heap.h"

enum { NTH_MAX = 3000, WAIT_MS = 20000 };

static struct {
    uv_loop_t loop;
    struct node *node;
    char dir[64];
    bool fatal, done;
    int status;
    struct err why;
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
}

static void on_role(void *owner, const struct driver_status *status)
{
    (void)owner;
    (void)status;
}

static void on_fatal(void *owner, const struct err *err)
{
    (void)owner;
    t.fatal = true;
    t.why = *err;
}

static void on_done(void *owner, int status, uint64_t index, const struct apply_result *r)
{
    (void)owner;
    (void)index;
    (void)r;
    t.done = true;
    t.status = status;
}

static int open_node(struct err *err)
{
    static const struct node_events events = {.send = on_send,
                                              .on_applied = on_applied,
                                              .on_role = on_role,
                                              .on_fatal = on_fatal};
    struct node_config c = {.cluster = "heap",
                            .name = "east",
                            .dir = t.dir,
                            .id = 1,
                            .voter_count = 1,
                            .voters = {{1, "east"}},
                            .election_ms = 30,
                            .heartbeat_ms = 10,
                            .bootstrap = true};

    t.fatal = t.done = false;
    return node_open(&t.node, &t.loop, &c, &events, err);
}

static int remove_one(const char *path, const struct stat *at, int type, struct FTW *ftw)
{
    (void)at;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void begin(void)
{
    snprintf(t.dir, sizeof t.dir, "/tmp/rf-heap-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    assert_int_equal(uv_loop_init(&t.loop), 0);
}

/* The loop is left without a handle, or this does not end. */
static void end(void)
{
    heap_fail_nth(0);
    node_close(t.node);
    t.node = NULL;
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t.loop), 0);
    nftw(t.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static bool is_leading(void) { return node_leads(t.node); }
static bool is_done(void) { return t.done; }

static void until(bool (*what)(void))
{
    uint64_t end_ns = uv_hrtime() + WAIT_MS * 1000000ull;

    while (!t.fatal && !what()) {
        assert_true(uv_hrtime() < end_ns);
        uv_run(&t.loop, UV_RUN_ONCE);
    }
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
        status = open_node(&err);
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

/* True when no allocation failed: all have been tried. */
static bool propose_with(long nth)
{
    struct entry e = proposal();
    struct err err = {0};
    bool failed;
    int status;

    begin();
    assert_int_equal(open_node(&err), 0);
    until(is_leading);
    heap_fail_nth(nth);
    status = node_propose(t.node, &e, on_done, NULL, NULL, &err);
    if (status == 0)
        until(is_done);
    failed = heap_failed();
    heap_fail_nth(0);
    for (unsigned i = 0; i < 3; i++) /* a node that stops says so in its next turn */
        uv_run(&t.loop, UV_RUN_NOWAIT);
    if (status != 0) {
        assert_int_equal(status, ERR_NOMEM);
        assert_int_equal(node_state(t.node)->controller_count, 0);
    } else if (t.fatal) { /* before it was applied, or after it was */
        assert_true(t.why.text[0] != '\0');
        assert_true(!t.done || t.status == ERR_UNKNOWN || t.status == ERR_CLOSED ||
                    node_state(t.node)->controller_count == 1);
    } else {
        assert_int_equal(t.status, 0);
        assert_int_equal(node_state(t.node)->controller_count, 1);
    }
    if (status != 0 && !t.fatal) { /* and goes on when there is memory again */
        assert_int_equal(node_propose(t.node, &e, on_done, NULL, NULL, &err), 0);
        until(is_done);
        assert_int_equal(node_state(t.node)->controller_count, 1);
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
