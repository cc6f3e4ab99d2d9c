#include "tests/unit/golden/controller.h"

#include <string.h>
#include <uv.h>

#include "controller/daemon/node.h"
#include "proto/snapshot_codec.h"
#include "tests/unit/core/world.h"

enum { WAIT_MS = 20000, SNAPSHOT_EVERY = 10, TRAILING = 3, ROWS_MAX = 200 };

static struct {
    struct world w;
    uv_loop_t loop;
    struct node *node;
    bool done, told;
    struct apply_result result;
    unsigned rows;
} t;

void __real_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret);
void __wrap_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret);
int __real_raftnode_open(struct raftnode **ret_node, struct uv_loop_s *loop,
                         const struct raftnode_config *config,
                         const struct raftnode_callbacks *callbacks, struct err *err);
int __wrap_raftnode_open(struct raftnode **ret_node, struct uv_loop_s *loop,
                         const struct raftnode_config *config,
                         const struct raftnode_callbacks *callbacks, struct err *err);

/* Snapshots come sooner, and the disk is looked through at once. */
int __wrap_raftnode_open(struct raftnode **ret_node, struct uv_loop_s *loop,
                         const struct raftnode_config *config,
                         const struct raftnode_callbacks *callbacks, struct err *err)
{
    struct raftnode_config c = *config;

    c.snapshot_every = SNAPSHOT_EVERY;
    c.driver.trailing = TRAILING;
    return __real_raftnode_open(ret_node, loop, &c, callbacks, err);
}

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
    fail_msg("%s", err->text);
}

static void on_done(void *owner, int status, uint64_t index, const struct apply_result *r)
{
    (void)owner;
    (void)index;
    assert_int_equal(status, 0);
    t.result = *r;
    t.done = true;
}

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    (void)owner;
    (void)rows;
    assert_int_equal(status, 0);
    t.rows = (unsigned)n;
    t.told = true;
}

static bool is_leading(void) { return node_leads(t.node); }
static bool is_done(void) { return t.done; }
static bool is_told(void) { return t.told; }

static bool is_looked_through(void)
{
    struct store_stats stats;

    node_stats(t.node, &stats);
    return stats.scrub_passes > 0;
}

static void until(bool (*what)(void))
{
    uint64_t end_ns = uv_hrtime() + WAIT_MS * 1000000ull;

    while (!what()) {
        assert_true(uv_hrtime() < end_ns);
        uv_run(&t.loop, UV_RUN_ONCE);
    }
}

static int open_node(const char *dir, struct err *err)
{
    static const struct node_events events = {.send = on_send,
                                              .on_applied = on_applied,
                                              .on_role = on_role,
                                              .on_fatal = on_fatal};
    struct node_config c = {.cluster = "demo",
                            .name = "east",
                            .dir = dir,
                            .id = 1,
                            .voter_count = 1,
                            .voters = {{1, "east"}},
                            .election_ms = 900,
                            .heartbeat_ms = 100,
                            .bootstrap = true};

    assert_int_equal(uv_loop_init(&t.loop), 0);
    return node_open(&t.node, &t.loop, &c, &events, err);
}

static void close_node(void)
{
    node_close(TAKE(t.node));
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t.loop), 0);
}

/* The world of the core's tests proposes what it applies; it leaves out what only others
 * read. */
void __wrap_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret)
{
    static struct entry whole;
    struct err err = {0};

    if (s != &t.w.s) {
        __real_apply(s, index, e, ret);
        return;
    }
    whole = *e;
    if (e->kind == ENTRY_CONTROLLER)
        whole.controller.format_min = whole.controller.format_max = 1;
    for (unsigned i = 0; e->kind == ENTRY_DECLARE && i < 2; i++)
        (void)snprintf(whole.declare.spec.instances[i].component, NAME_SIZE, "db");
    t.done = false;
    if (node_propose(t.node, &whole, on_done, NULL, NULL, &err) != 0)
        fail_msg("%s: %s", entry_kind_name(e->kind), err.text);
    until(is_done);
    *s = *node_state(t.node);
    *ret = t.result;
}

void controller_write(const char *dir)
{
    struct err err = {0};

    if (open_node(dir, &err) != 0)
        fail_msg("%s", err.text);
    until(is_leading);
    world_steady(&t.w, SYNC_REQUIRED);
    close_node();
}

void controller_read(const char *dir, struct buf *ret_state, unsigned *ret_rows)
{
    const struct audit_query q = {.limit = ROWS_MAX};
    struct err err = {0};

    if (open_node(dir, &err) != 0)
        fail_msg("%s", err.text);
    until(is_leading);
    if (snapshot_encode(node_state(t.node), ret_state, &err) != 0 ||
        node_query_audit(t.node, &q, on_rows, NULL, &err) != 0)
        fail_msg("%s", err.text);
    until(is_told);
    until(is_looked_through);
    *ret_rows = t.rows;
    close_node();
}

int controller_try(const char *dir, struct err *err)
{
    int status = open_node(dir, err);

    if (status == 0)
        node_close(TAKE(t.node));
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t.loop), 0);
    return status;
}
