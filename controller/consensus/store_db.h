/* controller/consensus/store_db.h -- the store's file: schema, transactions, checks. Only
 * the store's own files include this.
 *
 * Beside SQLite's file lies `mark`: the number of the last commit, written after each
 * commit; synced after a vote, at the start, and when there is nothing else to do. SQLite
 * takes a damaged frame in its write-ahead log for the end of the log, and would open an
 * older state without a word; a mark that is ahead of the database tells. (It can lag
 * behind after a power cut; that is no damage.)
 *
 * Threads: one at a time.
 * Errors:  ERR_FULL, ERR_CORRUPT, ERR_BUSY, ERR_IO, ERR_NOMEM, with a text for people.
 */
#ifndef RF_CONSENSUS_STORE_DB_H
#define RF_CONSENSUS_STORE_DB_H

#include <sqlite3.h>

#include "controller/consensus/store.h"

enum {
    DB_PATH_SIZE = 512,
    DB_MARK_SLOT = 64,
    DB_CHECKPOINT_PAGES = 1000 /* in the write-ahead log, from which on a checkpoint pays */
};

enum db_stmt {
    DB_BEGIN,
    DB_COMMIT,
    DB_PUT_VOTE,
    DB_PUT_ENTRY,
    DB_CUT_BEHIND,
    DB_CUT_BEFORE,
    DB_CUT_ALL,
    DB_HASH_AT,
    DB_PUT_TAIL,
    DB_PUT_SNAPSHOT,
    DB_PUT_AUDIT,
    DB_AUDIT_BY_GROUP,
    DB_COUNT_BY_GROUP,
    DB_PUT_META,
    DB_STMT_MAX
};

/* Where no other way is left. */
#define DB_CURE                                                                            \
    "if it cannot be mended, replace this controller: `ringfence controller replace` "     \
    "gives it a new id"

/* One row: which entries there are, the row hash before the first and of the last, and the
 * newest row of the audit trail. */
struct db_tail {
    uint64_t commits, first, last;
    uint8_t base[CHAIN_SIZE], hash[CHAIN_SIZE];
    uint64_t audit_seq;
    uint8_t audit_hash[CHAIN_SIZE];
};

/* How far the slow check of what lies on the disk has come. */
struct db_scrub {
    uint64_t next; /* entry; 0: begins anew */
    uint8_t hash[CHAIN_SIZE];
    uint64_t audit_seq; /* checked up to here; 0: begins anew */
    uint8_t audit_hash[CHAIN_SIZE];
    uint64_t passes; /* over all of it */
};

/* The last row that was removed (store_prune.c); seq 0: none was. */
struct db_audit_base {
    uint64_t seq;
    uint8_t hash[CHAIN_SIZE];
};

/* A hole in the trail (store_gap.c): rows up to an index are missing, later ones wait. */
struct db_gap {
    uint64_t upto, term; /* upto 0: there is none */
    uint64_t waiting;    /* rows */
    uint64_t last;       /* index of the newest that waits */
};

/* Room for when the disk is full (store_reserve.c). */
struct db_reserve {
    uint64_t size;   /* bytes; 0: none is wanted */
    uint64_t free;   /* on the disk, beside it, when it was looked at last */
    uint64_t pinned; /* length of the database's file that is kept; 0: as it needs */
    bool held;       /* false: it is in use, or there was never room for it */
};

struct db {
    char dir[DB_PATH_SIZE];
    sqlite3 *handle;
    sqlite3_stmt *stmt[DB_STMT_MAX];
    int mark_fd;
    uint64_t store_id, digest;
    int wal_pages;
    struct db_tail tail;
    uint64_t audit_index; /* of the newest row */
    struct db_audit_base base;
    struct db_gap gap;
    struct db_scrub scrub;
    struct db_reserve reserve;
};

/* What db_load() read; freed with db_loaded_free(). */
struct db_loaded {
    struct consensus_entry *entries;
    size_t n_entries, cap;
    struct buf snapshot;
    struct buf kin;
};

/* ---- store_db.c ---- */

MUST_USE int db_open(struct db *db, const struct store_config *config, struct err *err);
void db_close(struct db *db);
/* What failed, on what, what to do; the code from SQLite's. */
int db_error(struct db *db, struct err *err, const char *what);
MUST_USE int db_exec(struct db *db, const char *sql, struct err *err);
MUST_USE int db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret,
                        struct err *err);
/* Those of enum db_stmt; part of db_open(). */
MUST_USE int db_prepare_all(struct db *db, struct err *err);
/* Run a statement that gives no rows, and make it ready for the next time. */
MUST_USE int db_run(struct db *db, sqlite3_stmt *stmt, const char *what, struct err *err);

MUST_USE int db_begin(struct db *db, struct err *err);
/* Synced when it returns 0. */
MUST_USE int db_commit(struct db *db, struct err *err);
/* Move the write-ahead log into the file; worth it from some pages on. */
MUST_USE int db_checkpoint(struct db *db, struct err *err);

MUST_USE int db_put_vote(struct db *db, uint64_t term, uint64_t vote, struct err *err);
MUST_USE int db_put_entries(struct db *db, const struct order_store_entries *o,
                            struct err *err);
MUST_USE int db_put_snapshot(struct db *db, const struct order_store_snapshot *o,
                             struct err *err);

MUST_USE int db_put_note(struct db *db, enum store_note note, const uint8_t *data,
                         size_t len, struct err *err);

uint32_t db_vote_crc(uint64_t term, uint64_t vote);
uint32_t db_entry_crc(uint64_t index, const struct consensus_entry *e);
uint32_t db_tail_crc(const struct db_tail *t);
void db_entry_hash(const uint8_t before[CHAIN_SIZE], uint64_t index,
                   const struct consensus_entry *e, uint8_t ret[CHAIN_SIZE]);
/* The mark on disk, too: with every vote, so that no copy that forgot one is started. */
MUST_USE int db_mark_sync(struct db *db, struct err *err);
MUST_USE int db_mark_write(struct db *db, struct err *err);
MUST_USE int db_mark_read(struct db *db, uint64_t *ret_commits, struct err *err);

/* ---- store_wal.c ---- */

/* Once, when the directory is loaded, before anything that was loaded counts: what the
 * write-ahead log has is on the disk afterwards, even if a former life's sync of it failed;
 * and commits overwrite it instead of making it longer. */
MUST_USE int db_make_room(struct db *db, uint32_t pages, struct err *err);

/* ---- store_reserve.c ---- */

/* Take it up, or make it, where there is room. */
void db_reserve_open(struct db *db, uint64_t size);
/* Before a transaction or a checkpoint: on a disk that is nearly full it is taken for the
 * database. An error is the database's own (db_make_room()). */
MUST_USE int db_reserve_look(struct db *db, struct err *err);
/* With nothing to do: made anew, where there is room again. */
void db_reserve_mend(struct db *db);
/* How much has to be free for that. */
uint64_t db_reserve_wants(const struct db *db);

/* ---- store_load.c ---- */

MUST_USE int db_identify(struct db *db, const struct store_config *config, struct err *err);
MUST_USE int db_load(struct db *db, struct driver_state *ret, struct db_loaded *loaded,
                     struct err *err);
void db_loaded_free(struct db_loaded *loaded);
/* Entry `index` is the row that `s` stands on (idx, term, kind, data, crc, hash), whole,
 * and continues `hash`, which moves on. */
MUST_USE int db_check_entry(struct db *db, sqlite3_stmt *s, uint64_t index,
                            uint8_t hash[CHAIN_SIZE], struct consensus_entry *ret,
                            struct err *err);
/* Identity, vote, end of the log, snapshot and notes, read anew and compared with their
 * checksums. */
MUST_USE int db_check_head(struct db *db, struct err *err);

/* ---- store_scrub.c ---- */

enum { DB_SCRUB_ROWS = 32 };
/* The next few rows, as they lie on the disk now. ERR_CORRUPT as db_load(). */
MUST_USE int db_scrub(struct db *db, struct err *err);

/* ---- store_audit.c ---- */

MUST_USE int db_put_audit(struct db *db, const struct audit_row *rows, size_t n,
                          struct err *err);
/* The next of the chain: numbers and hashes are given to it here. */
MUST_USE int db_chain_audit(struct db *db, const struct audit_row *from, struct err *err);
/* All of it, up to the row that db->tail names. */
MUST_USE int db_load_audit(struct db *db, struct err *err);
/* `n` rows that follow the one of `*seq` and `hash`; both move on. */
MUST_USE int db_check_audit(struct db *db, const struct audit_row *rows, size_t n,
                            uint64_t *seq, uint8_t hash[CHAIN_SIZE], struct err *err);
/* Every row up to the one of `seq` and `hash` was checked: is it the newest? */
MUST_USE int db_check_audit_end(struct db *db, uint64_t seq, const uint8_t hash[CHAIN_SIZE],
                                struct err *err);
/* *ret_rows from malloc(). */
MUST_USE int db_query_audit(struct db *db, const struct audit_query *q,
                            struct audit_row **ret_rows, size_t *ret_n, struct err *err);

/* ---- store_gap.c ---- */

/* Rows up to `index` are missing from here on, unless they are there. */
MUST_USE int db_open_gap(struct db *db, uint64_t index, uint64_t term, struct err *err);
MUST_USE int db_load_gap(struct db *db, struct err *err);
MUST_USE int db_wait_audit(struct db *db, const struct audit_row *rows, size_t n,
                           struct err *err);
MUST_USE int db_fill_audit(struct db *db, const struct store_fill *f, bool *ret_taken,
                           struct err *err);
/* Of this index and below nothing more is to be recorded. */
uint64_t db_audit_newest(const struct db *db);

/* ---- store_prune.c ---- */

enum { DB_PRUNE_ROWS = 256 };
/* Part of db_load_audit(). */
MUST_USE int db_load_audit_base(struct db *db, struct err *err);
/* An empty trail begins with this row of another node's. */
MUST_USE int db_begin_trail(struct db *db, const struct audit_row *first, struct err *err);
/* The oldest rows whose wall time is before that, some of them; not while there is a gap.
 */
MUST_USE int db_prune_audit(struct db *db, uint64_t before_ms, struct err *err);

#endif
