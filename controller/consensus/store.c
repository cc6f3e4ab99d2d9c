#include "controller/consensus/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/base/assert.h"
#include "controller/base/starting.h"
#include "controller/consensus/store_thread.h"

enum { STALL_DEFAULT_MS = 5000, STALL_TICKS = 5, SCRUB_DEFAULT_MS = 1000 };

/* ---- opening ------------------------------------------------------------------------- */

static int sync_dir(const char *dir, struct err *err)
{
    AUTO(auto_close) int fd = -1;

    starting_at("sync %s", dir);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return err_errno(err, errno, "sync %s", dir);
    return 0;
}

/* An flock(2) goes with the process, however it ends. */
static int lock_dir(struct store *s, const char *dir, struct err *err)
{
    char path[DB_PATH_SIZE + 8];

    if (strlen(dir) >= DB_PATH_SIZE)
        return err_set(err, ERR_INVAL, "data directory: path too long");
    snprintf(path, sizeof path, "%s/lock", dir);
    starting_at("open %s", path);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "make data directory %s", dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return errno == EACCES
                   ? err_set(err, ERR_REFUSED,
                             "%s cannot be opened: it was made by another user; give all "
                             "of %s to the one who runs ringfenced (chown -R)",
                             path, dir)
                   : err_errno(err, errno, "open %s", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_errno(err, errno, "lock %s", path);
    return err_set(err, ERR_BUSY,
                   "%s is in use by another process: stop that one, or give "
                   "this node its own data directory",
                   dir);
}

static int check_config(const struct store_config *c, struct err *err)
{
    if (c->cluster == NULL || c->node == NULL || c->dir == NULL || c->node_id == 0)
        return err_set(err, ERR_INVAL, "store: cluster, node, id or directory is missing");
    if (strlen(c->cluster) >= STORE_NAME_SIZE || strlen(c->node) >= STORE_NAME_SIZE)
        return err_set(err, ERR_INVAL, "store: names have at most %d characters",
                       STORE_NAME_SIZE - 1);
    return 0;
}

static int load(struct store *s, const struct store_config *c, struct driver_state *ret,
                struct err *err)
{
    if (check_config(c, err) != 0 || lock_dir(s, c->dir, err) != 0 ||
        db_open(&s->db, c, err) != 0 || db_identify(&s->db, c, err) != 0 ||
        sync_dir(c->dir, err) != 0)
        return err->code;
    starting_at("sync %s/mark", c->dir);
    if (db_mark_sync(&s->db, err) != 0 || db_load(&s->db, ret, &s->loaded, err) != 0)
        return err->code;
    /* First: the disk may have been filled while this controller was down. */
    starting_at("make %s/reserve", c->dir);
    db_reserve_open(&s->db, c->reserve_bytes);
    starting_at("write and sync %s/raft.db-wal", c->dir);
    if (db_reserve_look(&s->db, err) != 0 || db_make_room(&s->db, c->wal_pages, err) != 0)
        return err->code;
    store_note_audit(s);
    starting_at("write and sync %s/mark", c->dir);
    if (db_mark_write(&s->db, err) != 0)
        return err->code;
    return db_mark_sync(&s->db, err);
}

static void release(struct store *s)
{
    db_close(&s->db);
    db_loaded_free(&s->loaded);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    op_list_free(&s->queue);
    op_list_free(&s->done);
    uv_cond_destroy(&s->wake);
    uv_mutex_destroy(&s->mutex);
    free(s);
}

/* ---- completions --------------------------------------------------------------------- */

static void tell_fatal(struct store *s, const struct err *err)
{
    if (s->told_fatal || s->closed)
        return;
    s->told_fatal = true;
    s->callbacks.on_fatal(s->callbacks.owner, err);
}

/* One report for all that a transaction finished, and each query's reply. */
static void tell_done(struct store *s, struct op_list *done)
{
    uint64_t seq = 0;

    for (const struct store_op *op = done->head; op != NULL; op = op->next)
        if (op->seq > seq)
            seq = op->seq;
    if (seq != 0 && !s->closed)
        s->callbacks.on_done(s->callbacks.owner, seq);
    for (struct store_op *op = done->head; op != NULL && !s->closed; op = op->next) {
        if (op->kind == OP_QUERY)
            op->query.reply(op->query.owner, op->query.rows, op->query.n, 0);
        if (op->kind == OP_FILL)
            op->fill.reply(op->fill.owner, op->fill.taken);
        if (op->kind == OP_NOTE && op->note.on_stored != NULL)
            op->note.on_stored(s->callbacks.owner);
    }
}

static void on_async(uv_async_t *async)
{
    struct store *s = async->data;
    struct op_list done;
    bool failed;

    op_list_init(&done);
    uv_mutex_lock(&s->mutex);
    if (s->done.head != NULL) {
        done = s->done;
        op_list_init(&s->done);
    }
    failed = s->failed;
    uv_mutex_unlock(&s->mutex);
    if (done.head != NULL && !s->told_fatal)
        tell_done(s, &done);
    op_list_free(&done);
    if (failed)
        tell_fatal(s, &s->fatal);
}

/* Counted in ticks of a loop that runs, not by the clock: when the whole process was
 * stopped for a while the disk is not to blame. */
static void on_watch(uv_timer_t *watch)
{
    struct store *s = watch->data;
    struct err err;
    uint64_t batch;

    uv_mutex_lock(&s->mutex);
    batch = s->batch;
    uv_mutex_unlock(&s->mutex);
    if (batch == 0 || batch != s->watched_batch) {
        s->watched_batch = batch;
        s->watched_ticks = 0;
        return;
    }
    if (++s->watched_ticks < STALL_TICKS)
        return;
    (void)err_set(
        &err, ERR_TIMEOUT,
        "the disk under %s has not finished a write within %" PRIu32
        " ms: a leader that cannot store must not lead; check the disk, restart; " DB_CURE,
        s->db.dir, s->stall_ms);
    s->stalled = true;
    tell_fatal(s, &err);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct store *s = handle->data;

    if (--s->open_handles == 0 && !s->stalled)
        release(s);
}

static int open_handles(struct store *s, uv_loop_t *loop, struct err *err)
{
    int status = uv_async_init(loop, &s->done_async, on_async);

    if (status != 0) {
        release(s);
        return err_uv(err, status, "store");
    }
    uv_timer_init(loop, &s->watch);
    s->done_async.data = s->watch.data = s;
    s->open_handles = 2;
    uv_timer_start(&s->watch, on_watch, s->stall_ms / STALL_TICKS,
                   s->stall_ms / STALL_TICKS);
    status = uv_thread_create(&s->thread, store_thread_main, s);
    s->thread_runs = status == 0;
    if (status != 0) {
        store_close(s);
        return err_uv(err, status, "store thread");
    }
    return 0;
}

int store_open(struct store **ret_store, struct uv_loop_s *loop,
               const struct store_config *config, struct store_callbacks callbacks,
               struct driver_state *ret_state, struct err *err)
{
    struct store *s = calloc(1, sizeof *s);
    struct err local;

    if (err == NULL)
        err = &local;
    if (s == NULL)
        return err_set(err, ERR_NOMEM, "store");
    s->lock_fd = s->db.mark_fd = -1;
    s->callbacks = callbacks;
    s->stall_ms = config->stall_ms != 0 ? config->stall_ms : STALL_DEFAULT_MS;
    s->scrub_ms = config->scrub_ms != 0 ? config->scrub_ms : SCRUB_DEFAULT_MS;
    if (s->stall_ms < STALL_TICKS)
        s->stall_ms = STALL_TICKS;
    op_list_init(&s->queue);
    op_list_init(&s->done);
    uv_mutex_init(&s->mutex);
    uv_cond_init(&s->wake);
    if (load(s, config, ret_state, err) != 0) {
        release(s);
        return err->code;
    }
    starting_at("take up the state that was read from %s", config->dir);
    s->mark = s->db.tail.commits;
    if (open_handles(s, loop, err) != 0)
        return err->code;
    *ret_store = s;
    return 0;
}

void store_loaded_free(struct store *s) { db_loaded_free(&s->loaded); }

uint64_t store_id(const struct store *s) { return s->db.store_id; }

uint64_t store_digest(const struct store *s) { return s->db.digest; }

const struct buf *store_loaded_kin(const struct store *s) { return &s->loaded.kin; }

uint64_t store_mark(struct store *s)
{
    uint64_t mark;

    uv_mutex_lock(&s->mutex);
    mark = s->mark;
    uv_mutex_unlock(&s->mutex);
    return mark;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    s->closed = true;
    uv_mutex_lock(&s->mutex);
    s->stop = true;
    uv_cond_signal(&s->wake);
    uv_mutex_unlock(&s->mutex);
    if (!s->stalled) {
        if (s->thread_runs)
            uv_thread_join(&s->thread);
        db_close(&s->db);
        if (s->lock_fd >= 0)
            close(s->lock_fd);
        s->lock_fd = -1;
    }
    uv_close((uv_handle_t *)&s->done_async, on_handle_closed);
    uv_close((uv_handle_t *)&s->watch, on_handle_closed);
}

/* ---- queueing ------------------------------------------------------------------------ */

static int check_room(const struct store *s, const struct store_op *op, struct err *err)
{
    if (s->failed) /* whoever hears of it first is told why */
        return err_set(err, ERR_CLOSED, "%s", s->fatal.text);
    if (s->stop || s->told_fatal)
        return err_set(err, ERR_CLOSED, "the store of %s has stopped", s->db.dir);
    if (s->queue.n >= STORE_QUEUE_MAX || s->queued_bytes + op->bytes > STORE_QUEUE_BYTES)
        return err_set(err, ERR_FULL,
                       "the disk under %s does not keep up: %zu operations "
                       "with %zu bytes wait",
                       s->db.dir, s->queue.n, s->queued_bytes);
    return 0;
}

/* Takes the operation, also on failure. */
static int enqueue(struct store *s, struct store_op *op, struct err *err)
{
    int status;

    op->bytes += sizeof *op;
    uv_mutex_lock(&s->mutex);
    status = check_room(s, op, err);
    if (status != 0) {
        op_free(op);
    } else {
        s->queued_bytes += op->bytes;
        op_list_push(&s->queue, op);
    }
    uv_mutex_unlock(&s->mutex);
    uv_cond_signal(&s->wake); /* the thread need not wait for the mutex as well */
    return status;
}

static struct store_op *op_new(enum store_op_kind kind, uint64_t seq, struct err *err)
{
    struct store_op *op = calloc(1, sizeof *op);

    if (op == NULL) {
        (void)err_set(err, ERR_NOMEM, "store operation");
        return NULL;
    }
    op->kind = kind;
    op->seq = seq;
    return op;
}

int store_put_vote(struct store *s, const struct order_store_vote *o, struct err *err)
{
    struct store_op *op = op_new(OP_VOTE, o->seq, err);

    if (op == NULL)
        return ERR_NOMEM;
    op->vote = *o;
    return enqueue(s, op, err);
}

/* The array and all bytes behind it in one block. */
int store_put_entries(struct store *s, const struct order_store_entries *o, struct err *err)
{
    struct store_op *op = op_new(OP_ENTRIES, o->seq, err);
    struct consensus_entry *list;
    size_t size = o->n * sizeof *list;
    uint8_t *data;

    if (op == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < o->n; i++)
        size += o->entries[i].len;
    op->memory = malloc(size);
    if (op->memory == NULL) {
        op_free(op);
        return err_set(err, ERR_NOMEM, "%zu entries", o->n);
    }
    list = (struct consensus_entry *)(void *)op->memory;
    data = op->memory + o->n * sizeof *list;
    for (size_t i = 0; i < o->n; i++) {
        list[i] = o->entries[i];
        list[i].data = data;
        if (list[i].len != 0)
            memcpy(data, o->entries[i].data, list[i].len);
        data += list[i].len;
    }
    op->bytes = size;
    op->entries = *o;
    op->entries.entries = list;
    return enqueue(s, op, err);
}

int store_put_snapshot(struct store *s, const struct order_store_snapshot *o,
                       struct err *err)
{
    struct store_op *op = op_new(OP_SNAPSHOT, o->seq, err);

    if (op == NULL)
        return ERR_NOMEM;
    op->memory = malloc(o->len + 1);
    if (op->memory == NULL) {
        op_free(op);
        return err_set(err, ERR_NOMEM, "snapshot of %zu bytes", o->len);
    }
    memcpy(op->memory, o->data, o->len);
    op->bytes = o->len;
    op->snapshot = *o;
    op->snapshot.data = op->memory;
    return enqueue(s, op, err);
}

int store_put_note(struct store *s, enum store_note note, const uint8_t *data, size_t len,
                   store_noted *on_stored, struct err *err)
{
    struct store_op *op = op_new(OP_NOTE, 0, err);

    if (op == NULL)
        return ERR_NOMEM;
    op->memory = malloc(len + 1);
    if (op->memory == NULL) {
        op_free(op);
        return err_set(err, ERR_NOMEM, "note of %zu bytes", len);
    }
    memcpy(op->memory, data, len);
    op->bytes = len;
    op->note.note = note;
    op->note.len = len;
    op->note.on_stored = on_stored;
    return enqueue(s, op, err);
}

int store_put_audit(struct store *s, const struct audit_row *rows, size_t n,
                    struct err *err)
{
    struct store_op *op = op_new(OP_AUDIT, 0, err);

    if (op == NULL)
        return ERR_NOMEM;
    for (size_t i = 1; i < n; i++)
        ASSERT(rows[i].index == rows[0].index);
    op->audit.rows = calloc(n != 0 ? n : 1, sizeof *rows);
    if (op->audit.rows == NULL) {
        op_free(op);
        return err_set(err, ERR_NOMEM, "%zu audit rows", n);
    }
    memcpy(op->audit.rows, rows, n * sizeof *rows);
    op->audit.n = n;
    op->bytes = n * sizeof *rows;
    return enqueue(s, op, err);
}

int store_fill_audit(struct store *s, const struct store_fill *f, store_filled *reply,
                     void *owner, struct err *err)
{
    struct store_op *op = op_new(OP_FILL, 0, err);

    if (op == NULL)
        return ERR_NOMEM;
    op->fill.rows = calloc(f->n != 0 ? f->n : 1, sizeof *f->rows);
    if (op->fill.rows == NULL) {
        op_free(op);
        return err_set(err, ERR_NOMEM, "%zu audit rows", f->n);
    }
    if (f->n != 0)
        memcpy(op->fill.rows, f->rows, f->n * sizeof *f->rows);
    op->fill.f = *f;
    op->fill.f.rows = op->fill.rows;
    op->fill.reply = reply;
    op->fill.owner = owner;
    op->bytes = f->n * sizeof *f->rows;
    return enqueue(s, op, err);
}

int store_prune_audit(struct store *s, uint64_t before_ms, struct err *err)
{
    struct store_op *op = op_new(OP_PRUNE, 0, err);

    if (op == NULL)
        return ERR_NOMEM;
    op->prune_before_ms = before_ms;
    return enqueue(s, op, err);
}

int store_query_audit(struct store *s, const struct audit_query *q,
                      store_audit_reply *reply, void *owner, struct err *err)
{
    struct store_op *op;

    if (q->limit == 0 || q->limit > STORE_AUDIT_PAGE_MAX)
        return err_set(err, ERR_INVAL, "%u audit rows, 1 to %d", q->limit,
                       STORE_AUDIT_PAGE_MAX);
    if (q->group != NULL && strlen(q->group) >= AUDIT_GROUP_SIZE)
        return err_set(err, ERR_INVAL, "group name too long");
    op = op_new(OP_QUERY, 0, err);
    if (op == NULL)
        return ERR_NOMEM;
    op->query.q = *q;
    if (q->group != NULL) {
        memcpy(op->query.group, q->group, strlen(q->group) + 1);
        op->query.q.group = op->query.group;
    }
    op->query.reply = reply;
    op->query.owner = owner;
    return enqueue(s, op, err);
}

void store_stats(struct store *s, struct store_stats *ret_stats)
{
    uv_mutex_lock(&s->mutex);
    *ret_stats = s->stats;
    ret_stats->queued = s->queue.n;
    ret_stats->queued_bytes = s->queued_bytes;
    uv_mutex_unlock(&s->mutex);
}
