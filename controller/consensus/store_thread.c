#include "controller/consensus/store_thread.h"

#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"

enum {
    /* Whatever waits: reading the log would become slow. With nothing to do, sooner. */
    CHECKPOINT_BUSY_PAGES = 8 * DB_CHECKPOINT_PAGES
};

void op_list_init(struct op_list *l) { *l = (struct op_list){.tail = &l->head}; }

void op_list_push(struct op_list *l, struct store_op *op)
{
    op->next = NULL;
    *l->tail = op;
    l->tail = &op->next;
    l->n++;
}

static void op_list_move(struct op_list *to, struct op_list *from)
{
    if (from->head == NULL)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    to->n += from->n;
    op_list_init(from);
}

void op_free(struct store_op *op)
{
    if (op->kind == OP_AUDIT)
        free(op->audit.rows);
    if (op->kind == OP_QUERY)
        free(op->query.rows);
    if (op->kind == OP_FILL)
        free(op->fill.rows);
    free(op->memory);
    free(op);
}

void op_list_free(struct op_list *l)
{
    while (l->head != NULL) {
        struct store_op *op = l->head;

        l->head = op->next;
        op_free(op);
    }
    op_list_init(l);
}

static int run_op(struct db *db, struct store_op *op, struct err *err)
{
    switch (op->kind) {
    case OP_VOTE:
        return db_put_vote(db, op->vote.term, op->vote.vote, err);
    case OP_ENTRIES:
        return db_put_entries(db, &op->entries, err);
    case OP_SNAPSHOT:
        return db_put_snapshot(db, &op->snapshot, err);
    case OP_AUDIT:
        return db_put_audit(db, op->audit.rows, op->audit.n, err);
    case OP_NOTE:
        return db_put_note(db, op->note.note, op->memory, op->note.len, err);
    case OP_QUERY:
        return db_query_audit(db, &op->query.q, &op->query.rows, &op->query.n, err);
    case OP_FILL:
        return db_fill_audit(db, &op->fill.f, &op->fill.taken, err);
    case OP_PRUNE:
        return db_prune_audit(db, op->prune_before_ms, err);
    }
    return 0;
}

/* Everything that waits is one transaction and one sync: while the disk works, the next
 * batch gathers by itself. A failed transaction is never tried again: after a failed sync
 * nobody knows what the disk has. */
static int run_batch(struct db *db, struct op_list *batch, struct err *err)
{
    bool writes = false, votes = false;

    for (const struct store_op *op = batch->head; op != NULL; op = op->next) {
        writes = writes || op->kind != OP_QUERY;
        votes = votes || op->kind == OP_VOTE;
    }
    if (writes && (db_reserve_look(db, err) != 0 || db_begin(db, err) != 0))
        return err->code;
    for (struct store_op *op = batch->head; op != NULL; op = op->next)
        if (run_op(db, op, err) != 0)
            return err->code;
    if (writes && db_commit(db, err) != 0)
        return err->code;
    return votes ? db_mark_sync(db, err) : 0;
}

/* Audit rows, and notes that nobody waits for, are no one's business: alone they wait for
 * company, so that the disk is free when a vote or an entry comes. */
static bool nobody_waits(const struct op_list *l)
{
    for (const struct store_op *op = l->head; op != NULL; op = op->next)
        if (op->kind != OP_AUDIT && op->kind != OP_PRUNE &&
            (op->kind != OP_NOTE || op->note.on_stored != NULL))
            return false;
    return true;
}

static bool scrub_is_due(const struct store *s)
{
    return mono_since_ms(s->scrubbed, mono_now()) >= s->scrub_ms;
}

static void wait_for_work(struct store *s)
{
    uint64_t until = 0;

    while (!s->stop) {
        uint64_t now = mono_now().ns;

        if (s->queue.head == NULL) {
            if (scrub_is_due(s))
                return;
            (void)uv_cond_timedwait(&s->wake, &s->mutex, (uint64_t)s->scrub_ms * NS_PER_MS);
            continue;
        }
        if (!nobody_waits(&s->queue))
            return;
        if (until == 0)
            until = now + (uint64_t)STORE_AUDIT_DELAY_MS * NS_PER_MS;
        if (now >= until)
            return;
        (void)uv_cond_timedwait(&s->wake, &s->mutex, until - now);
    }
}

void store_note_audit(struct store *s)
{
    s->stats.audit_seq = s->db.tail.audit_seq;
    s->stats.audit_pruned = s->db.base.seq;
    s->stats.audit_gap = s->db.gap.upto;
    s->stats.audit_waiting = s->db.gap.waiting;
    s->stats.reserve_bytes = s->db.reserve.size;
    s->stats.reserve_wants = db_reserve_wants(&s->db);
    s->stats.disk_free = s->db.reserve.free;
    s->stats.reserve_used = s->db.reserve.size != 0 && !s->db.reserve.held;
}

static void note_batch(struct store *s, const struct op_list *batch, uint64_t us)
{
    store_note_audit(s);
    s->stats.commits++;
    s->stats.operations += batch->n;
    s->stats.last_commit_us = us;
    if (us > s->stats.max_commit_us)
        s->stats.max_commit_us = us;
}

/* With the mutex held on entry and return. */
static void one_batch(struct store *s)
{
    struct op_list batch;
    struct err err = {0};
    struct mono start = mono_now();
    int status;

    op_list_init(&batch);
    op_list_move(&batch, &s->queue);
    s->batch = ++s->batches;
    uv_mutex_unlock(&s->mutex);
    status = run_batch(&s->db, &batch, &err);
    uv_mutex_lock(&s->mutex);
    s->batch = 0;
    for (const struct store_op *op = batch.head; op != NULL; op = op->next)
        s->queued_bytes -= op->bytes;
    if (status != 0) {
        s->failed = true;
        s->fatal = err;
        op_list_free(&batch);
    } else {
        s->mark = s->db.tail.commits;
        s->mark_written = true;
        note_batch(s, &batch, mono_since_ns(start, mono_now()) / 1000);
        op_list_move(&s->done, &batch);
    }
    uv_async_send(&s->done_async);
}

static void maybe_checkpoint(struct store *s)
{
    struct err err = {0};
    bool full = s->stats.reserve_used; /* then the log must not outgrow its room */
    int status;

    if (s->db.wal_pages < DB_CHECKPOINT_PAGES ||
        (s->queue.head != NULL && !full && s->db.wal_pages < CHECKPOINT_BUSY_PAGES))
        return;
    s->batch = ++s->batches;
    uv_mutex_unlock(&s->mutex);
    status = db_reserve_look(&s->db, &err);
    if (status == 0)
        status = db_checkpoint(&s->db, &err);
    uv_mutex_lock(&s->mutex);
    s->batch = 0;
    if (status == 0)
        return;
    s->failed = true;
    s->fatal = err;
    uv_async_send(&s->done_async);
}

/* With nothing to do: the mark reaches the disk, so that it is never more than a moment
 * behind; and a few rows are looked at. */
static void scrub(struct store *s)
{
    struct err err = {0};
    int status = 0;

    s->batch = ++s->batches;
    uv_mutex_unlock(&s->mutex);
    if (s->mark_written)
        status = db_mark_sync(&s->db, &err);
    s->mark_written = false;
    db_reserve_mend(&s->db);
    if (status == 0)
        status = db_reserve_look(&s->db, &err);
    if (status == 0)
        status = db_scrub(&s->db, &err);
    s->scrubbed = mono_now();
    uv_mutex_lock(&s->mutex);
    s->batch = 0;
    s->stats.scrub_passes = s->db.scrub.passes;
    store_note_audit(s);
    if (status == 0)
        return;
    s->failed = true;
    s->fatal = err;
    uv_async_send(&s->done_async);
}

void store_thread_main(void *data)
{
    struct store *s = data;

    uv_mutex_lock(&s->mutex);
    while (!s->failed) {
        wait_for_work(s);
        if (s->queue.head == NULL && s->stop)
            break; /* asked to stop, and done */
        if (s->queue.head != NULL)
            one_batch(s);
        if (!s->failed)
            maybe_checkpoint(s);
        if (!s->failed && s->queue.head == NULL && !s->stop && scrub_is_due(s))
            scrub(s);
    }
    uv_mutex_unlock(&s->mutex);
}
