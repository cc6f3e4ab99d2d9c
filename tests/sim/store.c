/* A controller's disk: controller/consensus/store.h over memory. Operations finish late and
 * in order; a crash loses what was not synced, a transaction is whole or not there. Audit
 * rows go with the next operation (trail.h). */
#include "controller/consensus/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/replace.h"
#include "tests/sim/store.h"
#include "tests/sim/trail.h"

enum { STALL_MS = 5000 };

struct entry_on_disk {
    uint64_t term;
    enum consensus_entry_kind kind;
    uint8_t *data;
    size_t len;
};

/* What survives a crash. */
struct disk {
    bool made;
    uint64_t term, vote, first, last; /* of log[], by index - base */
    struct entry_on_disk *log;
    size_t cap;
    uint64_t snapshot_index, snapshot_term;
    struct buf snapshot;
    struct trail trail;
    uint64_t store, digest, commits; /* controller/consensus/kin.h */
    struct buf kin;
};

struct op {
    struct op *next;
    uint64_t due, seq, first, term, vote, index;
    enum order_kind kind;
    bool discard;
    bool of_the_living; /* asked for before its process was killed, if it was */
    struct entry_on_disk *entries;
    size_t n;
    struct buf snapshot;
    struct trail trail; /* rows that were put before it */
    bool is_note;
    struct buf note;
    store_noted *noted;
};

struct store {
    uint8_t node;
    struct task *task;
    struct store_callbacks callbacks;
    struct op *ops, **tail;
    struct moment *event;
    struct consensus_entry *loaded;
    struct store_stats stats;
    bool failed;
};

static struct disk disks[CTLS];

/* ---- what is written -------------------------------------------------------------------
 */

static struct entry_on_disk *slot(struct disk *d, uint64_t index)
{
    if (index >= d->cap) {
        size_t cap = 2 * d->cap + 1024;

        d->log = reallocarray(d->log, cap, sizeof *d->log);
        ASSERT(d->log != NULL);
        memset(d->log + d->cap, 0, (cap - d->cap) * sizeof *d->log);
        d->cap = cap;
    }
    return &d->log[index];
}

static void cut_behind(struct disk *d, uint64_t first)
{
    while (d->last >= first && d->last >= d->first) {
        free(d->log[d->last].data);
        d->log[d->last--] = (struct entry_on_disk){0};
    }
}

static void copy_entry(struct entry_on_disk *to, const struct consensus_entry *e)
{
    *to = (struct entry_on_disk){e->term, e->kind, malloc(e->len + 1), e->len};
    ASSERT(to->data != NULL);
    memcpy(to->data, e->data, e->len);
}

static void write_entries(struct disk *d, struct op *o)
{
    if (o->first > d->last + 1)
        sim_fail("a gap on disk: %" PRIu64 " behind %" PRIu64, o->first, d->last);
    cut_behind(d, o->first);
    d->last = o->first - 1;
    for (size_t i = 0; i < o->n; i++) {
        *slot(d, ++d->last) = o->entries[i];
        o->entries[i].data = NULL;
    }
}

static void write_snapshot(struct disk *d, struct op *o)
{
    buf_free(&d->snapshot);
    d->snapshot = o->snapshot;
    o->snapshot = (struct buf){0};
    d->snapshot_index = o->index;
    d->snapshot_term = o->term;
    if (o->discard) {
        cut_behind(d, d->first);
        d->first = o->first;
        d->last = o->first - 1;
    }
    for (; d->first < o->first && d->first <= d->last; d->first++) {
        free(d->log[d->first].data);
        d->log[d->first] = (struct entry_on_disk){0};
    }
}

static void write_op(struct store *s, struct op *o)
{
    struct disk *d = &disks[s->node];

    d->commits++;
    d->trail = o->trail;
    if (o->is_note) {
        buf_free(&d->kin);
        d->kin = o->note;
        o->note = (struct buf){0};
        return;
    }
    if (o->kind == ORDER_STORE_VOTE) {
        d->term = o->term;
        d->vote = o->vote;
    }
    if (o->kind == ORDER_STORE_ENTRIES)
        write_entries(d, o);
    if (o->kind == ORDER_STORE_SNAPSHOT)
        write_snapshot(d, o);
}

static void op_free(struct op *o)
{
    for (size_t i = 0; i < o->n; i++)
        free(o->entries[i].data);
    free(o->entries);
    buf_free(&o->snapshot);
    buf_free(&o->note);
    free(o);
}

/* ---- the queue -------------------------------------------------------------------------
 */

static void on_disk(void *arg, uint64_t number);

static void wait_for(struct store *s)
{
    if (s->event == NULL && s->ops != NULL)
        s->event = sim_at(s->ops->due, s->task, on_disk, s);
}

static void fail(struct store *s, const char *why)
{
    struct err err = {0};

    s->failed = true;
    judge_disk_failed(s->node);
    (void)err_set(&err, ERR_IO, "raft.db: %s", why);
    s->callbacks.on_fatal(s->callbacks.owner, &err);
}

/* A full disk still has room for little, and of what it has none for nothing is left: the
 * transaction is rolled back. A failing one may have written what it says it has not. */
static bool disk_refuses(struct store *s)
{
    enum disk_state state = machines[s->node].disk;

    if (state == DISK_FULL && s->ops != NULL) {
        if (sim_chance(s->ops->n > 0 || s->ops->snapshot.len > 0 ? 300 : 800))
            return false;
        fail(s, "database or disk is full");
        return true;
    }
    if (state != DISK_FAILING && state != DISK_FULL)
        return false;
    if (s->ops != NULL && sim_chance(500))
        write_op(s, s->ops);
    fail(s, "disk I/O error");
    return true;
}

static void on_disk(void *arg, uint64_t number)
{
    struct store *s = arg;
    store_noted *noted = NULL;
    uint64_t seq = 0;

    (void)number;
    s->event = NULL;
    if (s->failed || disk_refuses(s))
        return;
    while (s->ops != NULL && s->ops->due <= sim.now) {
        struct op *o = s->ops;

        s->ops = o->next;
        if (s->ops == NULL)
            s->tail = &s->ops;
        write_op(s, o);
        if (o->is_note)
            noted = o->noted != NULL ? o->noted : noted;
        else
            seq = o->seq;
        op_free(o);
        if (sim_chance(500))
            break; /* the others share the next report */
    }
    wait_for(s);
    if (seq != 0)
        s->callbacks.on_done(s->callbacks.owner, seq);
    if (noted != NULL && !s->failed)
        noted(s->callbacks.owner);
}

static void on_stalled(void *arg, uint64_t number)
{
    struct store *s = arg;

    s->event = NULL;
    (void)number;
    if (!s->failed)
        fail(s, "the disk has not finished a write for 5000 ms");
}

static struct op *op_new(struct store *s, enum order_kind kind, uint64_t seq)
{
    struct op *o = calloc(1, sizeof *o);
    uint64_t last = s->ops != NULL ? CONTAINER_OF(s->tail, struct op, next)->due : sim.now;

    ASSERT(o != NULL);
    sim_call();
    o->kind = kind;
    o->seq = seq;
    o->of_the_living = sim_is_heard();
    o->trail = *trail_of(s->node);
    o->due = sim.now + disk_takes_ns(machines[s->node].disk);
    if (o->due < last)
        o->due = last;
    *s->tail = o;
    s->tail = &o->next;
    if (o->due - sim.now > (uint64_t)STALL_MS * NS_PER_MS) {
        sim_cancel(s->event);
        s->event = sim_at(sim.now + (uint64_t)STALL_MS * NS_PER_MS, s->task, on_stalled, s);
    }
    return o;
}

int store_put_vote(struct store *s, const struct order_store_vote *v, struct err *err)
{
    struct op *o = op_new(s, ORDER_STORE_VOTE, v->seq);

    (void)err;
    o->term = v->term;
    o->vote = v->vote;
    wait_for(s);
    return 0;
}

int store_put_entries(struct store *s, const struct order_store_entries *e, struct err *err)
{
    struct op *o = op_new(s, ORDER_STORE_ENTRIES, e->seq);

    (void)err;
    o->first = e->first_index;
    o->n = e->n;
    o->entries = calloc(e->n + 1, sizeof *o->entries);
    ASSERT(o->entries != NULL);
    for (size_t i = 0; i < e->n; i++)
        copy_entry(&o->entries[i], &e->entries[i]);
    wait_for(s);
    return 0;
}

int store_put_snapshot(struct store *s, const struct order_store_snapshot *p,
                       struct err *err)
{
    struct op *o;

    if (p->discard_log)
        trail_skip(s->node, p->index);
    o = op_new(s, ORDER_STORE_SNAPSHOT, p->seq);

    o->first = p->keep_from;
    o->discard = p->discard_log;
    o->index = p->index;
    o->term = p->term;
    if (buf_append(&o->snapshot, p->data, p->len, err) != 0)
        return err->code;
    wait_for(s);
    return 0;
}

/* Only the one that replace.c starts so has an empty disk under its old id, and nobody has
 * an old copy: whoever else is condemned is so by mistake. */
int store_put_note(struct store *s, enum store_note note, const uint8_t *data, size_t len,
                   store_noted *on_stored, struct err *err)
{
    struct op *o;

    if (note == NOTE_CONDEMNED) {
        if (!replace_condemned(s->node))
            sim_fail("condemned: %.*s", (int)len, (const char *)data);
        return 0; /* whoever emptied the disk once does so again */
    }
    o = op_new(s, ORDER_STORE_ENTRIES, 0);
    o->is_note = true;
    o->noted = on_stored;
    if (buf_append(&o->note, data, len, err) != 0)
        return err->code;
    wait_for(s);
    return 0;
}

uint64_t store_id(const struct store *s) { return disks[s->node].store; }

uint64_t store_digest(const struct store *s) { return disks[s->node].digest; }

uint64_t store_mark(struct store *s) { return disks[s->node].commits; }

const struct buf *store_loaded_kin(const struct store *s) { return &disks[s->node].kin; }

int store_put_audit(struct store *s, const struct audit_row *rows, size_t n,
                    struct err *err)
{
    (void)err;
    trail_put(s->node, rows, n);
    return 0;
}

int store_query_audit(struct store *s, const struct audit_query *q,
                      store_audit_reply *reply, void *owner, struct err *err)
{
    (void)s;
    (void)q;
    (void)reply;
    (void)owner;
    return err_set(err, ERR_CLOSED, "nobody asks in here");
}

/* Nobody fills a gap in here: trail_skip() takes what the others have. */
int store_fill_audit(struct store *s, const struct store_fill *f, store_filled *reply,
                     void *owner, struct err *err)
{
    (void)s;
    (void)f;
    (void)reply;
    (void)owner;
    return err_set(err, ERR_CLOSED, "nobody asks in here");
}

int store_prune_audit(struct store *s, uint64_t before_ms, struct err *err)
{
    (void)s;
    (void)before_ms;
    return err_set(err, ERR_CLOSED, "nobody asks in here");
}

bool store_has_term(uint64_t index, uint64_t term)
{
    for (unsigned n = 0; n < CTLS; n++) {
        const struct disk *d = &disks[n];

        if ((d->snapshot_index == index && d->snapshot_term == term) ||
            (index >= d->first && index <= d->last && d->log[index].term == term))
            return true;
    }
    return false;
}

void store_stats(struct store *s, struct store_stats *ret_stats) { *ret_stats = s->stats; }

/* ---- life ------------------------------------------------------------------------------
 */

static void load(struct store *s, struct driver_state *ret)
{
    const struct disk *d = &disks[s->node];

    *ret = (struct driver_state){.term = d->term,
                                 .vote = d->vote,
                                 .snapshot_index = d->snapshot_index,
                                 .snapshot_term = d->snapshot_term,
                                 .snapshot = d->snapshot.data,
                                 .snapshot_len = d->snapshot.len,
                                 .first_index = d->first,
                                 .n_entries = d->last + 1 - d->first};
    s->loaded = calloc(ret->n_entries + 1, sizeof *s->loaded);
    ASSERT(s->loaded != NULL);
    for (size_t i = 0; i < ret->n_entries; i++) {
        const struct entry_on_disk *e = &d->log[d->first + i];

        s->loaded[i] = (struct consensus_entry){e->term, e->kind, e->data, e->len};
    }
    ret->entries = s->loaded;
}

static void make(struct disk *d, const struct store_config *config)
{
    d->made = true;
    d->store = config->new_id;
    d->commits = d->term = d->first = 1;
    if (!config->allow_bootstrap)
        return; /* the others bring the log */
    d->digest = config->digest;
    d->last = 1;
    copy_entry(slot(d, 1),
               &(struct consensus_entry){1, ENTRY_VOTERS, config->bootstrap_entry,
                                         config->bootstrap_len});
}

/* Each start writes the mark and the log's end anew, and syncs them (store_wal.c). */
static int start_writes(uint8_t node, struct err *err)
{
    enum disk_state state = machines[node].disk;

    if (!disks[node].made ||
        (state != DISK_FAILING && (state != DISK_FULL || sim_chance(500))))
        return 0;
    judge_disk_failed(node);
    return err_set(err, state == DISK_FULL ? ERR_FULL : ERR_IO, "raft.db: %s",
                   state == DISK_FULL ? "database or disk is full" : "disk I/O error");
}

int store_open(struct store **ret_store, struct uv_loop_s *loop,
               const struct store_config *config, struct store_callbacks callbacks,
               struct driver_state *ret_state, struct err *err)
{
    struct task *task = loop->data;
    struct disk *d = &disks[task->proc->node];
    struct store *s;
    int status = start_writes(task->proc->node, err);

    if (status != 0)
        return status;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_set(err, ERR_NOMEM, "store");
    s->node = task->proc->node;
    s->task = task;
    s->callbacks = callbacks;
    s->tail = &s->ops;
    if (!d->made) {
        ASSERT(config->allow_bootstrap || config->allow_join);
        make(d, config);
    }
    load(s, ret_state);
    trail_load(s->node, &d->trail);
    *ret_store = s;
    return 0;
}

void store_loaded_free(struct store *s)
{
    if (s != NULL)
        free(s->loaded);
    if (s != NULL)
        s->loaded = NULL;
}

/* Killed: some of what is queued reaches the disk, in order. */
void store_close(struct store *s)
{
    bool keep = s != NULL && !s->failed;

    if (s == NULL)
        return;
    while (s->ops != NULL) {
        struct op *o = s->ops;

        s->ops = o->next;
        keep = keep && o->of_the_living && sim_chance(500);
        if (keep)
            write_op(s, o);
        op_free(o);
    }
    sim_cancel(s->event);
    free(s->loaded);
    free(s);
}

void store_begin(void) { memset(disks, 0, sizeof disks); }

void store_lose(uint8_t node)
{
    cut_behind(&disks[node], disks[node].first);
    buf_free(&disks[node].snapshot);
    buf_free(&disks[node].kin);
    free(disks[node].log);
    disks[node] = (struct disk){0};
}

void store_end(void)
{
    for (uint8_t i = 0; i < CTLS; i++)
        store_lose(i);
}
