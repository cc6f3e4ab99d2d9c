#include "tests/unit/daemon/node_of_one.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/auto.h"

enum { SETTLE_TURNS = 3 };

static void on_send(void *owner, uint64_t to, const uint8_t *data, size_t len)
{
    (void)owner;
    (void)to;
    (void)data;
    (void)len;
}

static void on_applied(void *owner, const struct entry *e, const struct apply_result *r)
{
    struct node_of_one *o = owner;

    (void)e;
    (void)r;
    o->applied++;
}

static void on_role(void *owner, const struct driver_status *status)
{
    (void)owner;
    (void)status;
}

static void on_fatal(void *owner, const struct err *err)
{
    struct node_of_one *o = owner;

    if (!o->may_stop)
        fail_msg("the node stops: %s", err->text);
    o->fatal = true;
    o->why = *err;
}

static void on_done(void *owner, int status, uint64_t index, const struct apply_result *r)
{
    struct node_of_one *o = owner;

    (void)index;
    o->done = true;
    o->status = status;
    if (r != NULL)
        o->result = *r;
}

void one_begin(struct node_of_one *o, const char *dir)
{
    memset(o, 0, sizeof *o);
    o->dir = dir;
    assert_int_equal(uv_loop_init(&o->loop), 0);
}

void one_end(struct node_of_one *o)
{
    one_close(o);
    assert_int_equal(uv_loop_close(&o->loop), 0);
}

int one_open(struct node_of_one *o, struct err *err)
{
    const struct node_events events = {.send = on_send,
                                       .on_applied = on_applied,
                                       .on_role = on_role,
                                       .on_fatal = on_fatal,
                                       .owner = o};
    const struct node_config c = {.cluster = "demo",
                                  .name = "east",
                                  .dir = o->dir,
                                  .id = 1,
                                  .voter_count = 1,
                                  .voters = {{1, "east"}},
                                  .election_ms = 30,
                                  .heartbeat_ms = 10,
                                  .bootstrap = true};

    o->fatal = o->done = false;
    o->applied = 0;
    return node_open(&o->node, &o->loop, &c, &events, err);
}

void one_lead(struct node_of_one *o)
{
    struct err err = {0};

    if (one_open(o, &err) != 0)
        fail_msg("%s", err.text);
    one_until(o, one_is_leading);
    if (o->fatal)
        fail_msg("the node stops: %s", o->why.text);
}

void one_close(struct node_of_one *o)
{
    node_close(TAKE(o->node));
    uv_run(&o->loop, UV_RUN_DEFAULT);
}

bool one_is_leading(const struct node_of_one *o) { return node_leads(o->node); }

bool one_is_done(const struct node_of_one *o) { return o->done; }

void one_until(struct node_of_one *o, one_claim *claim)
{
    uint64_t end_ns = uv_hrtime() + ONE_WAIT_MS * 1000000ull;

    while (!o->fatal && !claim(o)) {
        assert_true(uv_hrtime() < end_ns);
        uv_run(&o->loop, UV_RUN_ONCE);
    }
}

void one_settle(struct node_of_one *o)
{
    for (unsigned i = 0; i < SETTLE_TURNS; i++)
        uv_run(&o->loop, UV_RUN_NOWAIT);
}

int one_propose(struct node_of_one *o, const struct entry *e, struct err *err)
{
    int status;

    o->done = false;
    status = node_propose(o->node, e, on_done, o, NULL, err);
    if (status == 0)
        one_until(o, one_is_done);
    return status;
}

void one_apply(struct node_of_one *o, const struct entry *e)
{
    struct err err = {0};

    if (one_propose(o, e, &err) != 0)
        fail_msg("%s: %s", entry_kind_name(e->kind), err.text);
    assert_int_equal(o->status, 0);
    assert_int_equal(o->result.refusal, ACCEPTED);
}
