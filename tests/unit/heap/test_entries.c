/* The reservation that precedes a proposal (layout.md), for each kind of entry, on a
 * controller of one with a real store. The world of the core's tests says what is proposed:
 * its apply() is a proposal here. The first entry of each kind is proposed again and again,
 * its nth allocation failing each time, until none fails:
 *
 *     refused with ERR_NOMEM   the state is as it was, to the bit
 *     the node stops           with a sentence; opened again, it is as before or after the
 *                              entry, to the bit
 *     told of                  the state is as after the entry, to the bit
 */
#include "tests/unit/core/world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/daemon/node.h"
#include "proto/snapshot_codec.h"
#include "tests/unit/heap/heap.h"

enum { NTH_MAX = 3000, WAIT_MS = 20000 };

static struct {
    struct world w;
    uv_loop_t loop;
    struct node *node;
    char dir[64], kept[80]; /* the node's, and a copy from before the entry */
    bool fatal, done;
    int status;
    struct err why;
    struct apply_result result;
    bool tried[ENTRY_KIND_COUNT];
    struct entry entry;
    struct state before, after, wanted;
    unsigned refused, stopped, applied;
} t;

void __real_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret);
void __wrap_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret);

/* ---- a node ---------------------------------------------------------------------------
 */

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
    t.done = true;
    t.status = status;
    if (r != NULL)
        t.result = *r;
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

    t.fatal = t.done = false;
    if (node_open(&t.node, &t.loop, &c, &events, &err) != 0)
        fail_msg("%s", err.text);
    until(is_leading);
    assert_false(t.fatal);
}

static void close_node(void)
{
    node_close(TAKE(t.node));
    uv_run(&t.loop, UV_RUN_DEFAULT);
}

/* ---- its directory --------------------------------------------------------------------
 */

static int remove_one(const char *path, const struct stat *at, int type, struct FTW *ftw)
{
    (void)at;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void copy_dir(const char *from, const char *to)
{
    char command[200];

    (void)nftw(to, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    snprintf(command, sizeof command, "cp -r %s %s", from, to);
    assert_int_equal(system(command), 0);
}

/* ---- an entry -------------------------------------------------------------------------
 */

/* What people's clock said is not compared. */
static void forget_wall_clock(struct state *s)
{
    for (unsigned i = 0; i < s->group_count; i++) {
        struct run *run = &s->groups[i].run;

        run->fence_wall_ms = run->proof_wall_ms = run->activate_wall_ms = 0;
        run->open_wall_ms = 0;
    }
}

static void take_state(struct state *ret)
{
    *ret = *node_state(t.node);
    forget_wall_clock(ret);
}

/* To the bit of what a snapshot says. */
static bool is(const struct state *now, const struct state *other)
{
    AUTO(buf_free) struct buf x = {0};
    AUTO(buf_free) struct buf y = {0};
    struct err err = {0};

    if (snapshot_encode(now, &x, &err) != 0 || snapshot_encode(other, &y, &err) != 0)
        fail_msg("%s", err.text);
    return x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

/* Opened again with memory: the entry is there as a whole, or not at all. */
static void assert_whole_or_nothing(void)
{
    static struct state now;

    close_node();
    open_node();
    take_state(&now);
    assert_true(is(&now, &t.before) || is(&now, &t.wanted));
}

/* True when no allocation failed; then the entry is applied. */
static bool propose_with(long nth)
{
    struct err err = {0};
    bool failed;
    int status;

    t.done = t.fatal = false;
    heap_fail_nth(nth);
    status = node_propose(t.node, &t.entry, on_done, NULL, NULL, &err);
    if (status == 0)
        until(is_done);
    heap_hold();
    failed = heap_failed();
    for (unsigned i = 0; i < 3; i++) /* a node that stops says so in its next turn */
        uv_run(&t.loop, UV_RUN_NOWAIT);
    take_state(&t.after);
    if (status != 0 && (status != ERR_NOMEM || !failed))
        fail_msg("%s, allocation %ld: %s", entry_kind_name(t.entry.kind), nth, err.text);
    if (status != 0) /* also where the node has to stop over it */
        assert_true(is(&t.after, &t.before));
    if (t.fatal) {
        assert_true(failed);
        assert_non_null(strstr(t.why.text, "memory"));
        assert_whole_or_nothing();
        t.stopped++;
    } else if (status != 0) {
        t.refused++;
    } else {
        assert_int_equal(t.status, 0);
        assert_true(is(&t.after, &t.wanted));
        t.applied++;
    }
    return !failed;
}

/* From the copy of before, until none fails. */
static void try_each(void)
{
    long nth = 1;

    close_node();
    copy_dir(t.dir, t.kept);
    open_node();
    take_state(&t.before);
    while (true) {
        struct apply_result ignored;
        unsigned refused = t.refused;

        t.wanted = t.before;
        __real_apply(&t.wanted, node_applied(t.node) + 1, &t.entry, &ignored);
        forget_wall_clock(&t.wanted);
        if (propose_with(nth++))
            break;
        assert_true(nth < NTH_MAX);
        if (t.refused != refused)
            continue; /* nothing has happened: the same node goes on */
        close_node();
        copy_dir(t.kept, t.dir);
        open_node();
        take_state(&t.before);
    }
    assert_true(nth > 5);
    print_message("%s: %ld allocations\n", entry_kind_name(t.entry.kind), nth - 2);
}

static void propose(void)
{
    struct err err = {0};

    t.done = false;
    if (node_propose(t.node, &t.entry, on_done, NULL, &t.result, &err) != 0)
        return; /* refused: t.result says why */
    until(is_done);
    assert_int_equal(t.status, 0);
}

/* The core's tests leave out what only others read. */
static void complete(const struct entry *e)
{
    t.entry = *e;
    if (e->kind == ENTRY_CONTROLLER)
        t.entry.controller.format_min = t.entry.controller.format_max = 1;
    for (unsigned i = 0; e->kind == ENTRY_DECLARE && i < 2; i++)
        snprintf(t.entry.declare.spec.instances[i].component, NAME_SIZE, "db");
}

void __wrap_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret)
{
    struct apply_result verdict;

    if (s != &t.w.s) {
        __real_apply(s, index, e, ret);
        return;
    }
    complete(e);
    node_dry(t.node, &t.entry, &verdict);
    if (verdict.refusal == ACCEPTED && !t.tried[e->kind])
        try_each();
    else
        propose();
    t.tried[e->kind] = t.tried[e->kind] || verdict.refusal == ACCEPTED;
    *s = *node_state(t.node);
    *ret = verdict.refusal == ACCEPTED ? t.result : verdict;
}

/* ---- all kinds ------------------------------------------------------------------------
 */

static void take(const struct entry *e)
{
    if (world_apply(&t.w, e) != ACCEPTED)
        fail_msg("%s: %s", entry_kind_name(e->kind), t.w.result.text);
}

static void take_kind(enum entry_kind kind)
{
    struct entry e = entry_of(kind);

    take(&e);
}

static void shrink(void)
{
    struct entry e = entry_of(ENTRY_SYNC_SHRINK);

    e.sync = (struct entry_sync){.epoch = world_group(&t.w)->epoch,
                                 .instance = WEST,
                                 .generation = world_group(&t.w)->sync_generation,
                                 .holder = life(EAST, 1)};
    take(&e);
}

static void note(void)
{
    struct entry corruption = entry_of(ENTRY_CORRUPTION);
    struct entry refused = entry_of(ENTRY_REFUSED);

    corruption.corruption.failures = 3;
    snprintf(corruption.corruption.agent, NAME_SIZE, "pg-west");
    take(&corruption);
    snprintf(refused.refused.text, TEXT_SIZE, "nobody may");
    take(&refused);
}

static void run(void)
{
    struct entry sw = entry_of(ENTRY_SWITCHOVER), back = entry_of(ENTRY_RUN_ABORT);

    sw.switchover =
        (struct entry_switchover){.target = WEST, .epoch = world_group(&t.w)->epoch};
    take(&sw);
    back.run_abort.run = world_group(&t.w)->run.id;
    take(&back);
}

static void replace(void)
{
    struct entry e = entry_of(ENTRY_CONTROLLER_REPLACE);
    struct entry_controller_replace *r = &e.controller_replace;

    e.group[0] = '\0';
    snprintf(r->name, NAME_SIZE, "west");
    r->id = 7;
    r->former = 2;
    take(&e);
}

static void each_kind_is_applied_whole_or_not_at_all(void **state)
{
    struct entry attach = entry_of(ENTRY_ATTACH);

    (void)state;
    world_steady(&t.w, SYNC_REQUIRED);
    note();
    run();
    shrink();
    take_kind(ENTRY_PAUSE);
    take_kind(ENTRY_RESUME);
    take_kind(ENTRY_DETACH);
    attach.attach.active = EAST;
    take(&attach);
    take_kind(ENTRY_DETACH);
    take_kind(ENTRY_REMOVE);
    replace();
    close_node();
    (void)nftw(t.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    open_node(); /* another one: what is fenced is detached only once it is active again */
    world_steady(&t.w, SYNC_REQUIRED);
    assert_int_equal(world_fence(&t.w), ACCEPTED);
    for (int kind = 1; kind < ENTRY_KIND_COUNT; kind++)
        if (!t.tried[kind])
            fail_msg("%s has not been tried", entry_kind_name((enum entry_kind)kind));
    print_message("%u refused, %u stopped, %u applied\n", t.refused, t.stopped, t.applied);
    assert_true(t.refused > 0);
    assert_true(t.stopped > 0);
}

static int begin(void **state)
{
    (void)state;
    snprintf(t.dir, sizeof t.dir, "/dev/shm/rf-heap-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    snprintf(t.kept, sizeof t.kept, "%s.kept", t.dir);
    heap_spare_libraft();
    assert_int_equal(uv_loop_init(&t.loop), 0);
    open_node();
    return 0;
}

static int end(void **state)
{
    (void)state;
    heap_fail_nth(0);
    close_node();
    assert_int_equal(uv_loop_close(&t.loop), 0);
    (void)nftw(t.kept, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return nftw(t.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_applied_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
