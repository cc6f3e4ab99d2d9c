#include "controller/consensus/raftnode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/consensus/raftnode_private.h"
#include "controller/base/mutant.h"

enum { SNAPSHOT_EVERY_DEFAULT = 4096, HELD_MAX = 4096 };

static uint64_t now_ms(void) { return mono_now().ns / NS_PER_MS; }

/* ---- stopping ------------------------------------------------------------------------ */

/* Told from the loop, never from within a call: the caller may be in the middle of
 * anything. */
static void stop(struct raftnode *n, const struct err *err)
{
    if (n->stopped)
        return;
    n->stopped = true;
    n->fatal = *err;
    if (!uv_is_closing((uv_handle_t *)&n->timer))
        uv_timer_start(&n->timer, raftnode_on_timer, 0, 0);
}

/* ---- sending ------------------------------------------------------------------------- */

static void drop_held(struct raftnode *n)
{
    struct held *h = n->held;

    n->held = h->next;
    if (n->held == NULL)
        n->held_tail = &n->held;
    n->n_held--;
    free(h);
}

static void release_held(struct raftnode *n)
{
    while (n->held != NULL && n->held->vote_seq <= n->done_seq) {
        n->callbacks.send(n->callbacks.owner, n->held->to, n->held->data, n->held->len);
        drop_held(n);
    }
}

/* A vote that is not on disk can be given twice, after a crash. So nothing overtakes it;
 * and what comes later waits behind, so that the order stays what the engine meant. */
static int send_after_votes(struct raftnode *n, const struct order_send *o, struct err *err)
{
    struct held *h;

    if (MUTANT(vote_unsynced, n->vote_seq <= n->done_seq, true)) {
        n->callbacks.send(n->callbacks.owner, o->to, o->data, o->len);
        return 0;
    }
    if (n->n_held == HELD_MAX)
        drop_held(n); /* Raft copes with loss */
    h = malloc(sizeof *h + o->len);
    if (h == NULL)
        return err_set(err, ERR_NOMEM, "message of %zu bytes", o->len);
    *h = (struct held){.vote_seq = n->vote_seq, .to = o->to, .len = o->len};
    memcpy(h->data, o->data, o->len);
    *n->held_tail = h;
    n->held_tail = &h->next;
    n->n_held++;
    return 0;
}

/* ---- outcomes of submissions --------------------------------------------------------- */

static void decide_first(struct raftnode *n, int status)
{
    struct pending *p = n->pending;

    n->pending = p->next;
    if (n->pending == NULL)
        n->pending_tail = &n->pending;
    n->n_pending--;
    p->next = NULL;
    p->status = status;
    *n->outcomes_tail = p;
    n->outcomes_tail = &p->next;
}

static void decide_all(struct raftnode *n, int status)
{
    while (n->pending != NULL)
        decide_first(n, status);
}

void raftnode_fail(struct raftnode *n, const struct err *err)
{
    stop(n, err);
    decide_all(n, ERR_UNKNOWN);
}

/* Another term at its index means that it is lost, but for the submitter that is no more
 * than unknown: commands are idempotent. */
static void decide_applied(struct raftnode *n, uint64_t index, uint64_t term)
{
    while (n->pending != NULL && n->pending->index <= index)
        decide_first(
            n, n->pending->index == index && n->pending->term == term ? 0 : ERR_UNKNOWN);
}

static void tell_outcomes(struct raftnode *n)
{
    while (n->outcomes != NULL) {
        struct pending *p = n->outcomes;

        n->outcomes = p->next;
        if (n->outcomes == NULL)
            n->outcomes_tail = &n->outcomes;
        if (p->on_done != NULL)
            p->on_done(p->owner, p->status, p->index);
        free(p);
    }
}

/* ---- orders -------------------------------------------------------------------------- */

static int apply(struct raftnode *n, const struct order_apply *o, struct err *err)
{
    int status = n->callbacks.apply(n->callbacks.owner, o, err);

    if (status != 0)
        return err_wrap(err, "apply entry %" PRIu64, o->index);
    driver_applied(n->driver, o->index);
    decide_applied(n, o->index, o->term);
    return 0;
}

static int restore(struct raftnode *n, const struct order_restore *o, struct err *err)
{
    int status = n->callbacks.restore(n->callbacks.owner, o, err);

    if (status != 0)
        return err_wrap(err, "restore the snapshot of entry %" PRIu64, o->index);
    driver_applied(n->driver, o->index);
    n->snapshot_index = o->index;
    decide_applied(n, o->index, 0);
    return 0;
}

static void note_role(struct raftnode *n, const struct order_role *o)
{
    n->role_changed = true;
    if (o->role != ROLE_LEADER || (n->pending != NULL && n->pending->term != o->term))
        decide_all(n, ERR_UNKNOWN);
}

static int carry_out(struct raftnode *n, const struct order *o, struct err *err)
{
    switch (o->kind) {
    case ORDER_STORE_VOTE:
        n->vote_seq = o->store_vote.seq;
        return store_put_vote(n->store, &o->store_vote, err);
    case ORDER_STORE_ENTRIES:
        if (store_put_entries(n->store, &o->store_entries, err) != 0)
            return err->code;
        return raftnode_put_marks(n, err);
    case ORDER_STORE_SNAPSHOT:
        return store_put_snapshot(n->store, &o->store_snapshot, err);
    case ORDER_SEND:
        return send_after_votes(n, &o->send, err);
    case ORDER_RESTORE:
        return restore(n, &o->restore, err);
    case ORDER_APPLY:
        return apply(n, &o->apply, err);
    case ORDER_ROLE:
        note_role(n, &o->role);
        return 0;
    }
    return 0;
}

/* What stands behind entries to be stored and goes to the others. It need not wait for them
 * (driver.h), and a commit waits longest for the others' disks: so it leaves first, before
 * our own disk's thread is woken. */
static size_t sends_behind(const struct orders *o, size_t at)
{
    size_t count = 0;

    while (o->list[at].kind == ORDER_STORE_ENTRIES && at + 1 + count < o->n &&
           o->list[at + 1 + count].kind == ORDER_SEND)
        count++;
    return count;
}

static int carry_out_all(struct raftnode *n, struct err *err)
{
    int status = MUTANT(applied_swapped, 0, mutant_swap_applies(&n->orders));

    ASSERT(!n->busy);
    n->busy = true;
    for (size_t i = 0; i < n->orders.n && status == 0; i++) {
        size_t first = sends_behind(&n->orders, i);

        for (size_t k = 1; k <= first && status == 0; k++)
            status = carry_out(n, &n->orders.list[i + k], err);
        if (status == 0)
            status = carry_out(n, &n->orders.list[i], err);
        i += first;
    }
    n->busy = false;
    return status;
}

void raftnode_arm(struct raftnode *n)
{
    uint64_t now = now_ms(), at = driver_timeout_ms(n->driver);

    if (n->stopped || n->closed || !n->active)
        return;
    uv_timer_start(&n->timer, raftnode_on_timer, at > now ? at - now : 0, 0);
}

static int take_snapshot(struct raftnode *n, uint64_t applied, struct err *err)
{
    struct buf state = {.limit = CONSENSUS_SNAPSHOT_MAX};
    struct driver_proposal p = {.wall_ms = wall_now_ms()};
    int status;

    n->busy = true;
    status = n->callbacks.save(n->callbacks.owner, &state, err);
    n->busy = false;
    p.body = state.data;
    p.len = state.len;
    if (status == 0)
        status = driver_snapshot_taken(n->driver, now_ms(), &p, &n->orders, err);
    buf_free(&state);
    if (status == ERR_BUSY)
        return 0; /* asked again at the next application */
    if (status != 0)
        return err_wrap(err, "snapshot of entry %" PRIu64, applied);
    n->snapshot_index = applied;
    return carry_out_all(n, err);
}

static void tell_role(struct raftnode *n)
{
    struct driver_status st;
    bool authoritative = driver_is_authoritative(n->driver);

    if (!n->role_changed && authoritative == n->authoritative)
        return;
    n->role_changed = false;
    n->authoritative = authoritative;
    driver_status(n->driver, &st);
    n->callbacks.on_role(n->callbacks.owner, &st);
}

int raftnode_settle(struct raftnode *n, int status, struct err *err)
{
    struct driver_status st;

    if (status == 0)
        status = carry_out_all(n, err);
    else if (!driver_error_is_fatal(status))
        return status;
    if (status == 0)
        status = raftnode_follow_members(n, err);
    if (status == 0) {
        driver_status(n->driver, &st);
        if (st.applied_index >= n->snapshot_index + n->snapshot_every)
            status = take_snapshot(n, st.applied_index, err);
    }
    if (status != 0) {
        raftnode_fail(n, err);
        return ERR_CLOSED;
    }
    raftnode_arm(n);
    if (!n->closed && !n->members_told && n->callbacks.on_members != NULL)
        n->callbacks.on_members(n->callbacks.owner);
    n->members_told = true;
    if (!n->closed)
        tell_role(n);
    if (!n->closed)
        tell_outcomes(n);
    return 0;
}

/* ---- events -------------------------------------------------------------------------- */

void raftnode_on_timer(uv_timer_t *timer)
{
    struct raftnode *n = timer->data;
    struct err err;

    if (n->closed)
        return;
    if (!n->stopped && n->kin_asked) {
        n->kin_asked = false;
        if (n->callbacks.on_kin != NULL)
            n->callbacks.on_kin(n->callbacks.owner);
        if (!n->closed)
            raftnode_arm(n);
        return;
    }
    if (!n->stopped) {
        (void)raftnode_settle(n, driver_tick(n->driver, now_ms(), &n->orders, &err), &err);
        return;
    }
    if (n->told_fatal)
        return;
    n->told_fatal = true;
    tell_outcomes(n);
    if (!n->closed)
        n->callbacks.on_fatal(n->callbacks.owner, &n->fatal);
}

static void on_stored(void *owner, uint64_t seq)
{
    struct raftnode *n = owner;
    struct err err;

    if (n->stopped || n->closed)
        return;
    n->done_seq = seq;
    release_held(n);
    (void)raftnode_settle(n, driver_persisted(n->driver, now_ms(), seq, &n->orders, &err),
                          &err);
}

static void on_store_fatal(void *owner, const struct err *err)
{
    raftnode_fail(owner, err);
}

/* ---- life ---------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle) { free(handle->data); }

void raftnode_close(struct raftnode *n)
{
    if (n == NULL || n->closed)
        return;
    decide_all(n, ERR_CLOSED);
    n->stopped = true;
    tell_outcomes(n);
    n->closed = true;
    while (n->held != NULL)
        drop_held(n);
    store_close(n->store);
    driver_free(n->driver);
    orders_free(&n->orders);
    n->store = NULL;
    n->driver = NULL;
    uv_close((uv_handle_t *)&n->timer, on_timer_closed);
}

static int check_name(const struct raftnode_config *c, struct err *err)
{
    for (unsigned i = 0; i < c->driver.n_voters; i++)
        if (c->driver.voters[i].id == c->driver.id)
            return strcmp(c->driver.voters[i].name, c->node) == 0
                       ? 0
                       : err_set(err, ERR_INVAL, "node %s has the id of voter %s", c->node,
                                 c->driver.voters[i].name);
    return err_set(err, ERR_INVAL, "node %s is not among the voters", c->node);
}

static int open_store(struct raftnode *n, const struct raftnode_config *c,
                      struct driver_state *ret, struct err *err)
{
    struct store_callbacks callbacks = {on_stored, on_store_fatal, n};
    struct buf entry = {0};
    struct store_config sc = {.dir = c->dir,
                              .cluster = c->driver.cluster,
                              .node = c->node,
                              .node_id = c->driver.id,
                              .incarnation = c->driver.incarnation,
                              .allow_bootstrap = c->allow_bootstrap,
                              .allow_join = c->allow_join,
                              .stall_ms = c->stall_ms,
                              .vfs = c->vfs};
    int status;

    while (sc.new_id == 0)
        if (getrandom(&sc.new_id, sizeof sc.new_id, 0) != (ssize_t)sizeof sc.new_id)
            return err_errno(err, errno, "getrandom");
    status = driver_digest(&c->driver, &sc.digest, err);
    if (status == 0)
        status = driver_bootstrap_entry(&c->driver, &entry, err);

    sc.bootstrap_entry = entry.data;
    sc.bootstrap_len = entry.len;
    if (status == 0)
        status = store_open(&n->store, n->loop, &sc, callbacks, ret, err);
    buf_free(&entry);
    return status;
}

static int open_driver(struct raftnode *n, const struct raftnode_config *c, struct err *err)
{
    struct driver_config dc = c->driver;

    dc.store = store_id(n->store);
    if (store_digest(n->store) == 0)
        dc.n_voters = 0; /* the others know whom it joins */

    if (dc.seed == 0 && getrandom(&dc.seed, sizeof dc.seed, 0) != (ssize_t)sizeof dc.seed)
        return err_errno(err, errno, "getrandom");
    return driver_new(&n->driver, &dc, err);
}

static int start(struct raftnode *n, const struct raftnode_config *c, struct err *err)
{
    struct driver_state state = {0};
    int status;

    if (check_name(c, err) != 0 || open_store(n, c, &state, err) != 0 ||
        open_driver(n, c, err) != 0 || raftnode_open_kin(n, c, err) != 0)
        return err->code;
    status = driver_start(n->driver, now_ms(), &state, &n->orders, err);
    store_loaded_free(n->store);
    if (status != 0)
        return err_wrap(err, "start from %s", c->dir);
    n->snapshot_index = state.snapshot_index;
    if (raftnode_settle(n, 0, err) != 0)
        return err->code;
    return 0;
}

int raftnode_open(struct raftnode **ret_node, struct uv_loop_s *loop,
                  const struct raftnode_config *config,
                  const struct raftnode_callbacks *callbacks, struct err *err)
{
    struct raftnode *n = calloc(1, sizeof *n);
    struct err local;

    if (err == NULL)
        err = &local;
    if (n == NULL)
        return err_set(err, ERR_NOMEM, "raft node");
    n->callbacks = *callbacks;
    n->loop = loop;
    n->snapshot_every =
        config->snapshot_every != 0 ? config->snapshot_every : SNAPSHOT_EVERY_DEFAULT;
    n->held_tail = &n->held;
    n->pending_tail = &n->pending;
    n->outcomes_tail = &n->outcomes;
    uv_timer_init(loop, &n->timer);
    n->timer.data = n;
    *ret_node = n; /* what a single voter applies at once may be written to the trail */
    if (start(n, config, err) != 0) {
        *ret_node = NULL;
        raftnode_close(n);
        return err->code;
    }
    return 0;
}

/* ---- inputs -------------------------------------------------------------------------- */

int raftnode_check_running(const struct raftnode *n, struct err *err)
{
    ASSERT(!n->busy);
    if (n->stopped || n->closed)
        return err_set(err, ERR_CLOSED, "this node has stopped");
    return 0;
}

int raftnode_receive(struct raftnode *n, uint64_t from, const uint8_t *data, size_t len,
                     struct err *err)
{
    AUTO(consensus_msg_free) struct consensus_msg msg = {0};
    struct err local;

    if (err == NULL)
        err = &local;
    if (raftnode_check_running(n, err) != 0 ||
        consensus_msg_decode(data, len, &msg, err) != 0)
        return err->code;
    if (msg.from != from)
        return err_set(err, ERR_PEER,
                       "a raft message of node %" PRIu64 " from node %" PRIu64, msg.from,
                       from);
    if (!n->active)
        return 0; /* not before its table of voters' stores is on disk */
    return raftnode_settle(n, driver_receive(n->driver, now_ms(), &msg, &n->orders, err),
                           err);
}

int raftnode_transfer(struct raftnode *n, uint64_t target, struct err *err)
{
    struct err local;

    if (err == NULL)
        err = &local;
    if (raftnode_check_running(n, err) != 0)
        return err->code;
    return raftnode_settle(n, driver_transfer(n->driver, now_ms(), target, &n->orders, err),
                           err);
}

int raftnode_change(struct raftnode *n, const struct members *to, struct err *err)
{
    struct err local;
    uint64_t at[2];

    if (err == NULL)
        err = &local;
    if (raftnode_check_running(n, err) != 0)
        return err->code;
    return raftnode_settle(n, driver_change(n->driver, now_ms(), to, &n->orders, at, err),
                           err);
}

int raftnode_audit(struct raftnode *n, const struct audit_row *rows, size_t count,
                   struct err *err)
{
    return store_put_audit(n->store, rows, count, err);
}

int raftnode_query_audit(struct raftnode *n, const struct audit_query *q,
                         store_audit_reply *reply, void *owner, struct err *err)
{
    if (n->stopped || n->closed)
        return err_set(err, ERR_CLOSED, "this node has stopped");
    return store_query_audit(n->store, q, reply, owner, err);
}

int raftnode_fill_audit(struct raftnode *n, const struct store_fill *f, store_filled *reply,
                        void *owner, struct err *err)
{
    if (n->stopped || n->closed)
        return err_set(err, ERR_CLOSED, "this node has stopped");
    return store_fill_audit(n->store, f, reply, owner, err);
}

int raftnode_prune_audit(struct raftnode *n, uint64_t before_ms, struct err *err)
{
    if (n->stopped || n->closed)
        return err_set(err, ERR_CLOSED, "this node has stopped");
    return store_prune_audit(n->store, before_ms, err);
}

/* ---- what it knows ------------------------------------------------------------------- */

void raftnode_status(const struct raftnode *n, struct driver_status *ret_status)
{
    driver_status(n->driver, ret_status);
}

void raftnode_stats(const struct raftnode *n, struct store_stats *ret_stats)
{
    store_stats(n->store, ret_stats);
}

uint64_t raftnode_age_ms(const struct raftnode *n)
{
    struct driver_status st;
    uint64_t now = now_ms();

    driver_status(n->driver, &st);
    if (st.current_ms == 0)
        return UINT64_MAX;
    return now > st.current_ms ? now - st.current_ms : 0;
}

bool raftnode_is_authoritative(const struct raftnode *n)
{
    return !n->stopped && driver_is_authoritative(n->driver);
}
