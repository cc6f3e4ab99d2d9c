/* controller/consensus/store_thread.h -- the store's queue and the thread that empties it.
 * Only store.c and store_thread.c include this. */
#ifndef RF_CONSENSUS_STORE_THREAD_H
#define RF_CONSENSUS_STORE_THREAD_H

#include <uv.h>

#include "controller/base/time.h"

#include "controller/consensus/store_db.h"

enum store_op_kind {
    OP_VOTE,
    OP_ENTRIES,
    OP_SNAPSHOT,
    OP_AUDIT,
    OP_NOTE,
    OP_QUERY,
    OP_FILL,
    OP_PRUNE
};

/* One queued operation with its own copy of everything; afterwards its completion. */
struct store_op {
    struct store_op *next;
    enum store_op_kind kind;
    uint64_t seq;
    size_t bytes;
    union {
        struct order_store_vote vote;
        struct order_store_entries entries;
        struct order_store_snapshot snapshot;
        struct {
            struct audit_row *rows;
            size_t n;
        } audit;
        struct {
            enum store_note note;
            size_t len; /* of `memory` */
            store_noted *on_stored;
        } note;
        struct {
            struct audit_query q;
            char group[AUDIT_GROUP_SIZE];
            store_audit_reply *reply;
            void *owner;
            struct audit_row *rows;
            size_t n;
        } query;
        struct {
            struct store_fill f;
            struct audit_row *rows;
            store_filled *reply;
            void *owner;
            bool taken;
        } fill;
        uint64_t prune_before_ms;
    };
    uint8_t *memory; /* what entries, snapshot and note point into */
};

struct op_list {
    struct store_op *head, **tail;
    size_t n;
};

struct store {
    struct db db;
    struct db_loaded loaded;
    int lock_fd;
    struct store_callbacks callbacks;
    uint32_t stall_ms, scrub_ms;
    struct mono scrubbed; /* the thread's: when the last slice was checked */
    bool mark_written;    /* since it was synced last */

    uv_async_t done_async;
    uv_timer_t watch; /* looks for a stalled disk */
    unsigned open_handles;
    bool closed; /* loop thread: no callbacks any more */
    bool told_fatal;
    bool stalled; /* the thread may never come back */
    uint64_t watched_batch;
    unsigned watched_ticks;

    uv_thread_t thread;
    bool thread_runs;
    uv_mutex_t mutex; /* guards what follows */
    uv_cond_t wake;
    struct op_list queue, done;
    size_t queued_bytes;
    bool stop, failed;
    struct err fatal;
    uint64_t batch; /* number of the transaction under way; 0: idle */
    uint64_t batches;
    uint64_t mark; /* commits that are synced */
    struct store_stats stats;
};

void op_list_init(struct op_list *l);
void op_list_push(struct op_list *l, struct store_op *op);
void op_free(struct store_op *op);
void op_list_free(struct op_list *l);

/* Of the trail, into s->stats; with the mutex, or before there is a thread. */
void store_note_audit(struct store *s);

/* The thread's main function; `data` is the store. */
void store_thread_main(void *data);

#endif
