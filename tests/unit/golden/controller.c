#include "tests/unit/golden/controller.h"

#include "proto/snapshot_codec.h"
#include "tests/unit/core/world.h"
#include "tests/unit/daemon/node_of_one.h"

enum { SNAPSHOT_EVERY = 10, TRAILING = 3, ROWS_MAX = 200 };

static struct {
    struct world w;
    struct node_of_one one;
    bool told;
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

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    (void)owner;
    (void)rows;
    assert_int_equal(status, 0);
    t.rows = (unsigned)n;
    t.told = true;
}

static bool is_told(const struct node_of_one *one)
{
    (void)one;
    return t.told;
}

static bool is_looked_through(const struct node_of_one *one)
{
    struct store_stats stats;

    node_stats(one->node, &stats);
    return stats.scrub_passes > 0;
}

/* The world of the core's tests proposes what it applies. */
void __wrap_apply(struct state *s, uint64_t index, const struct entry *e,
                  struct apply_result *ret)
{
    if (s != &t.w.s) {
        __real_apply(s, index, e, ret);
        return;
    }
    one_apply(&t.one, e);
    *s = *node_state(t.one.node);
    *ret = t.one.result;
}

void controller_write(const char *dir)
{
    one_begin(&t.one, dir);
    one_lead(&t.one);
    world_steady(&t.w, SYNC_REQUIRED);
    one_end(&t.one);
}

void controller_read(const char *dir, struct buf *ret_state, unsigned *ret_rows)
{
    const struct audit_query q = {.limit = ROWS_MAX};
    struct err err = {0};

    one_begin(&t.one, dir);
    one_lead(&t.one);
    if (snapshot_encode(node_state(t.one.node), ret_state, &err) != 0 ||
        node_query_audit(t.one.node, &q, on_rows, NULL, &err) != 0)
        fail_msg("%s", err.text);
    one_until(&t.one, is_told);
    one_until(&t.one, is_looked_through);
    *ret_rows = t.rows;
    one_end(&t.one);
}

int controller_try(const char *dir, struct err *err)
{
    int status;

    one_begin(&t.one, dir);
    status = one_open(&t.one, err);
    one_end(&t.one);
    return status;
}
