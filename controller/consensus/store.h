/* controller/consensus/store.h -- what a controller must not forget, in SQLite.
 *
 * One directory per node: `raft.db` (WAL, synchronous=FULL) with the node's identity, its
 * term and vote, log entries, the snapshot and the audit trail; `lock` keeps a second
 * process out. All writing happens on the store's own thread: operations are queued, and
 * what is queued when the disk becomes free is one transaction with one sync. Completions
 * come back on the loop in order.
 *
 * It fails stop. Any error, and a disk that has not finished within stall_ms, calls
 * on_fatal once with a text for people; nothing is reported complete afterwards. Loading
 * checks every row's CRC and the chain of row hashes from the oldest entry to the recorded
 * end, and every row of the audit trail, and that the index by group has each of them
 * (100,000 take one to two seconds): damage, a missing row or a lost end is ERR_CORRUPT
 * with the index and what to do, never a silently shorter log. What is loaded is on the
 * disk then, though a former life's sync of it had failed (store_wal.c). While it runs the
 * same is checked again, a few rows each second and all of them in turn: damage stops the
 * node before the row is needed.
 *
 * With a reserve it goes on for a while on a disk that is full (store_reserve.c); who fills
 * it should be told then (store_stats.reserve_used).
 *
 * A voter with an empty directory must never rejoin under its old id: it has forgotten
 * whom it voted for and what it acknowledged, so a committed entry could be lost. No node
 * can see this alone, hence `allow_bootstrap`: an empty directory is an error unless the
 * caller says that this cluster (all voters) is being made now. Set it for the very first
 * start and never again; a lost disk means a new node with a new id.
 *
 * Owner:   store_close(); queued data is copied.
 * Threads: every function on the loop's thread, every callback too.
 * Errors:  store_open() as listed; queueing returns ERR_FULL beyond STORE_QUEUE_MAX
 *          operations or STORE_QUEUE_BYTES (stop the node: the disk does not keep up) and
 *          ERR_CLOSED after a fatal error.
 */
#ifndef RF_CONSENSUS_STORE_H
#define RF_CONSENSUS_STORE_H

#include "controller/audit/chain.h"
#include "controller/consensus/driver.h"

struct uv_loop_s; /* libuv's uv_loop_t */

enum {
    STORE_FORMAT_VERSION = 1,
    STORE_QUEUE_MAX = 8192,
    STORE_QUEUE_BYTES = 96 << 20,
    STORE_AUDIT_PAGE_MAX = 1000, /* rows of one query */
    STORE_AUDIT_DELAY_MS = 10,   /* audit rows alone wait so long for company */
    STORE_NAME_SIZE = 64
};

struct store_config {
    const char *dir; /* made if missing (0700) */
    const char *cluster, *node;
    uint64_t node_id;
    uint64_t incarnation; /* of the cluster; written at bootstrap, compared afterwards */
    bool allow_bootstrap;
    bool allow_join; /* of an empty directory: nothing in the log, the others bring it */
    uint64_t digest; /* of the cluster, kept at bootstrap; 0 where it joins */
    uint64_t new_id; /* random; of a store that is made now (kin.h) */
    const uint8_t
        *bootstrap_entry; /* driver_bootstrap_entry(); used with a new directory */
    size_t bootstrap_len;
    uint32_t stall_ms;  /* 0: 5000 */
    uint32_t wal_pages; /* room made at the start; 0: what is needed to a checkpoint */
    uint32_t scrub_ms;  /* between slices of the check of what lies on the disk; 0: 1000 */
    uint64_t reserve_bytes; /* kept free for when the disk is full; 0: none, else 16 MiB or
                               more */
    const char *vfs;        /* SQLite VFS; NULL: the default. Tests inject faults with it */
};

struct store_callbacks {
    /* Everything queued with a seq up to this one is synced. */
    void (*on_done)(void *owner, uint64_t seq);
    /* Once. The node must exit; err->text says what, where and what to do. */
    void (*on_fatal)(void *owner, const struct err *err);
    void *owner;
};

struct store;

/* Lock and open the directory, check it and load it; blocks. *ret_state points into the
 * store until store_loaded_free().
 *   ERR_BUSY      another process has the directory
 *   ERR_NOTFOUND  nothing there and allow_bootstrap is not set
 *   ERR_CONFLICT  the directory belongs to another node, cluster or incarnation
 *   ERR_UNSUPPORTED  made by a newer version
 *   ERR_CORRUPT   damaged, or condemned; names the row and what to do
 *   ERR_IO, ERR_FULL, ERR_NOMEM */
MUST_USE int store_open(struct store **ret_store, struct uv_loop_s *loop,
                        const struct store_config *config, struct store_callbacks callbacks,
                        struct driver_state *ret_state, struct err *err);

/* Which store this is, for its whole life (kin.h), and how many commits of it are synced.
 */
uint64_t store_id(const struct store *s);
uint64_t store_digest(const struct store *s); /* 0: not kept, it joined */
uint64_t store_mark(struct store *s);

/* What is kept beside the log, each replaced as a whole. */
enum store_note {
    NOTE_KIN,      /* the table of the voters' stores: kin.h */
    NOTE_CONDEMNED /* why this node must never vote again; store_open() refuses from then on
                    */
};

/* What store_open() found; empty if nothing. Valid until store_loaded_free(). */
const struct buf *store_loaded_kin(const struct store *s);

/* The driver has copied what it needs. */
void store_loaded_free(struct store *s);

/* Finish what is queued (unless a fatal error came first), stop the thread, release the
 * directory. Blocks for what the disk still needs, but after a stall it does not wait: the
 * thread, the lock and the memory stay until the process exits. No callback comes
 * afterwards; the loop frees the rest. NULL is fine. */
void store_close(struct store *s);

/* `seq` must grow; the driver's orders carry it. */
MUST_USE int store_put_vote(struct store *s, const struct order_store_vote *o,
                            struct err *err);
MUST_USE int store_put_entries(struct store *s, const struct order_store_entries *o,
                               struct err *err);
MUST_USE int store_put_snapshot(struct store *s, const struct order_store_snapshot *o,
                                struct err *err);

/* on_stored (may be NULL) is called when it is synced; without it nobody waits: it is
 * written with what comes next. */
typedef void store_noted(void *owner);
MUST_USE int store_put_note(struct store *s, enum store_note note, const uint8_t *data,
                            size_t len, store_noted *on_stored, struct err *err);

/* The audit rows of one log entry, all of the same index: one atomic act. Rows of an index
 * that is recorded already are skipped (a restarted node applies old entries again), so
 * call it in the order of application. Where a snapshot from the leader replaced entries
 * that were never applied here, rows wait until store_fill_audit() has brought the missing
 * ones (store_stats.audit_gap says so). */
MUST_USE int store_put_audit(struct store *s, const struct audit_row *rows, size_t n,
                             struct err *err);

struct audit_query {
    const char *group; /* NULL: all */
    uint64_t after_seq;
    unsigned limit; /* 1..STORE_AUDIT_PAGE_MAX */
    bool newest;    /* the last `limit` rows instead of the first; still oldest first */
};

/* `rows` are valid during the call only. `status` 0 or the code of `err`. */
typedef void store_audit_reply(void *owner, const struct audit_row *rows, size_t n,
                               int status);

/* Runs behind what is queued. After store_close() there is no reply. */
MUST_USE int store_query_audit(struct store *s, const struct audit_query *q,
                               store_audit_reply *reply, void *owner, struct err *err);

/* Rows of another node's trail from our own last one on (store_stats.audit_seq; where we
 * have none, from its first). The first one must be ours, and each must continue our chain,
 * or none is taken: an empty answer is evidence of nothing. Those behind the gap only
 * confirm it. */
struct store_fill {
    const struct audit_row *rows;
    size_t n;
    bool is_all;        /* it has no more, and had applied the entry of the gap */
    bool nobody_has_it; /* no rows: the gap stays, a row says so, the trail goes on */
};
/* `taken` false: they do not meet or continue our chain, or there is no gap. */
typedef void store_filled(void *owner, bool taken);
/* After store_close() there is no reply. */
MUST_USE int store_fill_audit(struct store *s, const struct store_fill *f,
                              store_filled *reply, void *owner, struct err *err);

/* Rows from before that wall time may go, the oldest first; some of them, so ask now and
 * then. Nobody waits for it. */
MUST_USE int store_prune_audit(struct store *s, uint64_t before_ms, struct err *err);

struct store_stats {
    uint64_t audit_seq;    /* of the newest row in the chain */
    uint64_t audit_pruned; /* of the newest row that was removed */
    uint64_t audit_gap;    /* rows up to this entry are missing; 0: none */
    uint64_t audit_waiting;
    uint64_t reserve_bytes; /* that are to be kept free; 0: none */
    uint64_t reserve_wants; /* free bytes that it takes to make it anew */
    uint64_t disk_free;     /* bytes beside it, as seen last; 0 with no reserve */
    bool reserve_used;      /* it is not there: the disk is full, or too small */
    uint64_t commits;       /* transactions so far */
    uint64_t operations;    /* in them */
    uint64_t last_commit_us, max_commit_us;
    uint64_t scrub_passes; /* over everything that lies on the disk */
    size_t queued, queued_bytes;
};

void store_stats(struct store *s, struct store_stats *ret_stats);

/* SHA-256 chain check of the audit trail in a closed directory, for `doctor` and tests:
 * ERR_CORRUPT names the first row that does not fit. */
MUST_USE int store_verify_audit(const char *dir, uint64_t *ret_rows, struct err *err);

#endif
