#include "controller/consensus/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "controller/base/bytes.h"
#include "controller/base/starting.h"
#include "proto/envelope.h"

static const char schema[] =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE vote (id INTEGER PRIMARY KEY CHECK (id = 1), term INTEGER NOT NULL,"
    " vote INTEGER NOT NULL, crc INTEGER NOT NULL);"
    "CREATE TABLE entries (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL, hash BLOB NOT NULL);"
    "CREATE TABLE tail (id INTEGER PRIMARY KEY CHECK (id = 1), commits INTEGER NOT NULL,"
    " first INTEGER NOT NULL, last INTEGER NOT NULL, base BLOB NOT NULL,"
    " hash BLOB NOT NULL, audit_seq INTEGER NOT NULL, audit_hash BLOB NOT NULL,"
    " crc INTEGER NOT NULL);"
    "CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1), idx INTEGER NOT NULL,"
    " term INTEGER NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL);"
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY, idx INTEGER NOT NULL,"
    " term INTEGER NOT NULL, wall_ms INTEGER NOT NULL, leader INTEGER NOT NULL,"
    " kind TEXT NOT NULL, grp TEXT NOT NULL, rule TEXT NOT NULL, text TEXT NOT NULL,"
    " prev BLOB NOT NULL, hash BLOB NOT NULL);"
    "CREATE INDEX audit_by_group ON audit (grp, seq);";

static const char *const statements[DB_STMT_MAX] = {
    [DB_BEGIN] = "BEGIN IMMEDIATE",
    [DB_COMMIT] = "COMMIT",
    [DB_PUT_VOTE] = "INSERT OR REPLACE INTO vote VALUES (1, ?1, ?2, ?3)",
    [DB_PUT_ENTRY] = "INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [DB_CUT_BEHIND] = "DELETE FROM entries WHERE idx >= ?1",
    [DB_CUT_BEFORE] = "DELETE FROM entries WHERE idx < ?1",
    [DB_CUT_ALL] = "DELETE FROM entries",
    [DB_HASH_AT] = "SELECT hash FROM entries WHERE idx = ?1",
    [DB_PUT_TAIL] =
        "INSERT OR REPLACE INTO tail VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [DB_PUT_SNAPSHOT] = "INSERT OR REPLACE INTO snapshot VALUES (1, ?1, ?2, ?3, ?4)",
    [DB_PUT_META] = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)",
    [DB_PUT_AUDIT] = "INSERT INTO audit VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
    [DB_AUDIT_BY_GROUP] =
        "SELECT seq FROM audit INDEXED BY audit_by_group WHERE grp = ?1 AND seq = ?2",
    [DB_COUNT_BY_GROUP] = "SELECT count(*) FROM audit INDEXED BY audit_by_group",
};

/* ---- errors -------------------------------------------------------------------------- */

int db_error(struct db *db, struct err *err, const char *what)
{
    int code = db->handle != NULL ? sqlite3_extended_errcode(db->handle) : SQLITE_NOMEM;
    const char *text = db->handle != NULL ? sqlite3_errmsg(db->handle) : "out of memory";

    switch (code & 0xff) {
    case SQLITE_FULL:
        return err_set(err, ERR_FULL,
                       "%s: disk full on %s: free space there and restart; "
                       "nothing that was acknowledged is lost",
                       what, db->dir);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* our words are always the same: it lacks a table or a column */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return err_set(err, ERR_CORRUPT,
                       "%s: %s/raft.db is damaged (%s): keep the "
                       "directory, check the disk, and replace this controller: `ringfence "
                       "controller replace` gives it a new id",
                       what, db->dir, text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_BUSY, "%s: another process has %s/raft.db open: stop it",
                       what, db->dir);
    case SQLITE_NOMEM:
        return err_set(err, ERR_NOMEM, "%s: %s", what, db->dir);
    default:
        return err_set(err, ERR_IO,
                       "%s on %s/raft.db: %s (%d, errno %d): check the disk and the "
                       "permissions, then restart; " DB_CURE,
                       what, db->dir, text, code,
                       db->handle != NULL ? sqlite3_system_errno(db->handle) : 0);
    }
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_error(db, err, sql);
    return 0;
}

int db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
    if (sqlite3_prepare_v2(db->handle, sql, -1, ret, NULL) != SQLITE_OK)
        return db_error(db, err, "prepare");
    return 0;
}

int db_run(struct db *db, sqlite3_stmt *stmt, const char *what, struct err *err)
{
    int code = sqlite3_step(stmt), status = 0;

    if (code != SQLITE_DONE && code != SQLITE_ROW)
        status = db_error(db, err, what);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return status;
}

/* ---- checksums ----------------------------------------------------------------------- */

uint32_t db_vote_crc(uint64_t term, uint64_t vote)
{
    uint8_t b[16];

    put64(b, term);
    put64(b + 8, vote);
    return (uint32_t)crc32_z(0, b, sizeof b);
}

uint32_t db_entry_crc(uint64_t index, const struct consensus_entry *e)
{
    uint8_t b[17];

    put64(b, index);
    put64(b + 8, e->term);
    b[16] = (uint8_t)e->kind;
    return (uint32_t)crc32_z(crc32_z(0, b, sizeof b), e->data, e->len);
}

uint32_t db_tail_crc(const struct db_tail *t)
{
    uint8_t b[32];
    uLong crc;

    put64(b, t->commits);
    put64(b + 8, t->first);
    put64(b + 16, t->last);
    put64(b + 24, t->audit_seq);
    crc = crc32_z(crc32_z(0, b, sizeof b), t->base, CHAIN_SIZE);
    crc = crc32_z(crc, t->audit_hash, CHAIN_SIZE);
    return (uint32_t)crc32_z(crc, t->hash, CHAIN_SIZE);
}

void db_entry_hash(const uint8_t before[CHAIN_SIZE], uint64_t index,
                   const struct consensus_entry *e, uint8_t ret[CHAIN_SIZE])
{
    uint8_t b[CHAIN_SIZE + 17 + CHAIN_SIZE];

    memcpy(b, before, CHAIN_SIZE);
    put64(b + CHAIN_SIZE, index);
    put64(b + CHAIN_SIZE + 8, e->term);
    b[CHAIN_SIZE + 16] = (uint8_t)e->kind;
    envelope_hash(e->data, e->len, b + CHAIN_SIZE + 17);
    envelope_hash(b, sizeof b, ret);
}

/* ---- the mark ------------------------------------------------------------------------ */

static int mark_error(const struct db *db, int number, const char *what, struct err *err)
{
    (void)err_errno(err, number, "%s %s/mark", what, db->dir);
    return err_set(err, ERR_IO,
                   "%s: check the disk and the permissions, then restart; " DB_CURE,
                   err->text);
}

/* Two slots in turn, so that a torn write leaves the other one whole. */
int db_mark_write(struct db *db, struct err *err)
{
    uint8_t slot[DB_MARK_SLOT] = {0};
    off_t at = (off_t)(db->tail.commits % 2) * DB_MARK_SLOT;

    put64(slot, db->tail.commits);
    put64(slot + 8, crc32_z(0, slot, 8));
    if (pwrite(db->mark_fd, slot, sizeof slot, at) != (ssize_t)sizeof slot)
        return mark_error(db, errno != 0 ? errno : EIO, "write", err);
    return 0;
}

int db_mark_sync(struct db *db, struct err *err)
{
    if (fdatasync(db->mark_fd) != 0)
        return mark_error(db, errno, "sync", err);
    return 0;
}

int db_mark_read(struct db *db, uint64_t *ret_commits, struct err *err)
{
    uint8_t slots[2 * DB_MARK_SLOT] = {0};
    uint64_t best = 0;

    if (pread(db->mark_fd, slots, sizeof slots, 0) < 0)
        return mark_error(db, errno, "read", err);
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *s = slots + (size_t)i * DB_MARK_SLOT;
        uint64_t commits = get64(s);

        if (get64(s + 8) == crc32_z(0, s, 8) && commits > best)
            best = commits;
    }
    if (best == 0)
        return err_set(err, ERR_CORRUPT,
                       "%s/mark is missing or damaged: the directory was "
                       "copied in part or its disk is failing; replace this controller: "
                       "`ringfence controller replace` gives it a new id",
                       db->dir);
    *ret_commits = best;
    return 0;
}

static int mark_open(struct db *db, struct err *err)
{
    char path[DB_PATH_SIZE + 8];

    snprintf(path, sizeof path, "%s/mark", db->dir);
    starting_at("open %s", path);
    db->mark_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (db->mark_fd < 0)
        return err_errno(err, errno, "open %s", path);
    return 0;
}

/* ---- opening ------------------------------------------------------------------------- */

static int on_wal(void *data, sqlite3 *handle, const char *name, int pages)
{
    struct db *db = data;

    (void)handle;
    (void)name;
    db->wal_pages = pages;
    return SQLITE_OK;
}

static int make_schema(struct db *db, struct err *err)
{
    sqlite3_stmt *count = NULL;
    int n = -1;

    if (db_prepare(db, "SELECT count(*) FROM sqlite_schema", &count, err) != 0)
        return err_wrap(err, "open");
    if (sqlite3_step(count) == SQLITE_ROW)
        n = sqlite3_column_int(count, 0);
    else
        (void)db_error(db, err, "open");
    sqlite3_finalize(count);
    if (n < 0)
        return err->code;
    if (n > 0)
        return 0;
    if (db_exec(db, "BEGIN IMMEDIATE", err) != 0 || db_exec(db, schema, err) != 0)
        return err_wrap(err, "make tables");
    return db_exec(db, "COMMIT", err);
}

static int configure(struct db *db, struct err *err)
{
    static const char *const pragmas[] = {
        "PRAGMA locking_mode = EXCLUSIVE", /* first: then WAL needs no shared memory */
        "PRAGMA journal_mode = WAL",       "PRAGMA synchronous = FULL",
        "PRAGMA wal_autocheckpoint = 0",   "PRAGMA cell_size_check = ON",
        "PRAGMA trusted_schema = OFF",
    };

    for (size_t i = 0; i < ARRAY_LEN(pragmas); i++)
        if (db_exec(db, pragmas[i], err) != 0)
            return err->code;
    sqlite3_wal_hook(db->handle, on_wal, db);
    return 0;
}

/* SQLite makes its files 0644, and those beside it with the mode that the first one has.
 * Whatever fails here SQLite says better. Only a file that is new is opened: closing one
 * that is in use would drop the locks that SQLite has on it. */
static void make_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    else
        (void)chmod(path, 0600);
}

int db_prepare_all(struct db *db, struct err *err)
{
    for (unsigned i = 0; i < DB_STMT_MAX; i++)
        if (db_prepare(db, statements[i], &db->stmt[i], err) != 0)
            return err->code;
    return 0;
}

int db_open(struct db *db, const struct store_config *config, struct err *err)
{
    char path[DB_PATH_SIZE + 8];
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_EXRESCODE;

    *db = (struct db){.mark_fd = -1};
    if (strlen(config->dir) >= sizeof db->dir)
        return err_set(err, ERR_INVAL, "data directory: path too long");
    memcpy(db->dir, config->dir, strlen(config->dir) + 1);
    snprintf(path, sizeof path, "%s/raft.db", db->dir);
    starting_at("open and read %s (with raft.db-wal)", path);
    make_private(path);
    if (sqlite3_open_v2(path, &db->handle, flags, config->vfs) != SQLITE_OK)
        return db_error(db, err, "open");
    if (configure(db, err) != 0 || make_schema(db, err) != 0 || mark_open(db, err) != 0)
        return err->code;
    return db_prepare_all(db, err);
}

void db_close(struct db *db)
{
    for (unsigned i = 0; i < DB_STMT_MAX; i++)
        sqlite3_finalize(db->stmt[i]);
    sqlite3_close(db->handle);
    if (db->mark_fd >= 0)
        close(db->mark_fd);
    *db = (struct db){.mark_fd = -1};
}

/* ---- transactions -------------------------------------------------------------------- */

int db_begin(struct db *db, struct err *err)
{
    return db_run(db, db->stmt[DB_BEGIN], "begin", err);
}

static int put_tail(struct db *db, struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_PUT_TAIL];
    const struct db_tail *t = &db->tail;

    sqlite3_bind_int64(s, 1, (sqlite3_int64)t->commits);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)t->first);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)t->last);
    sqlite3_bind_blob(s, 4, t->base, CHAIN_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob(s, 5, t->hash, CHAIN_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(s, 6, (sqlite3_int64)t->audit_seq);
    sqlite3_bind_blob(s, 7, t->audit_hash, CHAIN_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(s, 8, db_tail_crc(t));
    return db_run(db, s, "store the end of the log", err);
}

int db_commit(struct db *db, struct err *err)
{
    db->tail.commits++;
    if (put_tail(db, err) != 0 || db_run(db, db->stmt[DB_COMMIT], "commit", err) != 0)
        return err->code;
    return db_mark_write(db, err);
}

int db_checkpoint(struct db *db, struct err *err)
{
    int code =
        sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

    if (code != SQLITE_OK)
        return db_error(db, err, "checkpoint");
    db->wal_pages = 0;
    return 0;
}

/* ---- writing ------------------------------------------------------------------------- */

int db_put_vote(struct db *db, uint64_t term, uint64_t vote, struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_PUT_VOTE];

    sqlite3_bind_int64(s, 1, (sqlite3_int64)term);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)vote);
    sqlite3_bind_int64(s, 3, db_vote_crc(term, vote));
    return db_run(db, s, "store term and vote", err);
}

/* The value carries its checksum behind it. */
int db_put_note(struct db *db, enum store_note note, const uint8_t *data, size_t len,
                struct err *err)
{
    static const char *const keys[] = {[NOTE_KIN] = "kin", [NOTE_CONDEMNED] = "condemned"};
    AUTO(buf_free) struct buf value = {0};
    sqlite3_stmt *s = db->stmt[DB_PUT_META];
    uint8_t crc[8];

    put64(crc, crc32_z(0, data, len));
    if (buf_append(&value, data, len, err) != 0 ||
        buf_append(&value, crc, sizeof crc, err) != 0)
        return err->code;
    sqlite3_bind_text(s, 1, keys[note], -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 2, value.data, (int)value.len, SQLITE_STATIC);
    return db_run(db, s, "store a note", err);
}

static int run_index(struct db *db, enum db_stmt stmt, uint64_t index, struct err *err)
{
    sqlite3_bind_int64(db->stmt[stmt], 1, (sqlite3_int64)index);
    return db_run(db, db->stmt[stmt], "cut the log", err);
}

/* The row hash of `index`, which is in the log or just before it. */
static int hash_at(struct db *db, uint64_t index, uint8_t ret[CHAIN_SIZE], struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_HASH_AT];
    int status = 0;

    if (index + 1 == db->tail.first) {
        memcpy(ret, db->tail.base, CHAIN_SIZE);
        return 0;
    }
    sqlite3_bind_int64(s, 1, (sqlite3_int64)index);
    if (sqlite3_step(s) == SQLITE_ROW && sqlite3_column_bytes(s, 0) == CHAIN_SIZE)
        memcpy(ret, sqlite3_column_blob(s, 0), CHAIN_SIZE);
    else
        status =
            err_set(err, ERR_CORRUPT, "%s/raft.db has no entry %" PRIu64, db->dir, index);
    sqlite3_reset(s);
    return status;
}

static int put_entry(struct db *db, uint64_t index, const struct consensus_entry *e,
                     struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_PUT_ENTRY];
    uint8_t hash[CHAIN_SIZE];

    db_entry_hash(db->tail.hash, index, e, hash);
    memcpy(db->tail.hash, hash, CHAIN_SIZE);
    db->tail.last = index;
    sqlite3_bind_int64(s, 1, (sqlite3_int64)index);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)e->term);
    sqlite3_bind_int(s, 3, (int)e->kind);
    sqlite3_bind_blob(s, 4, e->len != 0 ? (const void *)e->data : "", (int)e->len,
                      SQLITE_STATIC);
    sqlite3_bind_int64(s, 5, db_entry_crc(index, e));
    sqlite3_bind_blob(s, 6, hash, CHAIN_SIZE, SQLITE_STATIC);
    return db_run(db, s, "store an entry", err);
}

int db_put_entries(struct db *db, const struct order_store_entries *o, struct err *err)
{
    if (o->first_index < db->tail.first || o->first_index > db->tail.last + 1)
        return err_set(err, ERR_CORRUPT,
                       "entries from %" PRIu64 " do not fit a log of "
                       "%" PRIu64 " to %" PRIu64,
                       o->first_index, db->tail.first, db->tail.last);
    if (o->first_index <= db->tail.last) {
        if (hash_at(db, o->first_index - 1, db->tail.hash, err) != 0 ||
            run_index(db, DB_CUT_BEHIND, o->first_index, err) != 0)
            return err->code;
        db->tail.last = o->first_index - 1;
        db->scrub.next = 0; /* what was checked may be gone */
    }
    for (size_t i = 0; i < o->n; i++)
        if (put_entry(db, o->first_index + i, &o->entries[i], err) != 0)
            return err->code;
    return 0;
}

static int cut_for_snapshot(struct db *db, const struct order_store_snapshot *o,
                            struct err *err)
{
    db->scrub.next = 0; /* its first row may be gone */
    if (o->discard_log) {
        envelope_hash(o->data, o->len, db->tail.base);
        memcpy(db->tail.hash, db->tail.base, CHAIN_SIZE);
        db->tail.first = o->keep_from;
        db->tail.last = o->keep_from - 1;
        if (db_run(db, db->stmt[DB_CUT_ALL], "cut the log", err) != 0)
            return err->code;
        return db_open_gap(db, o->index, o->term, err);
    }
    if (o->keep_from <= db->tail.first)
        return 0;
    if (hash_at(db, o->keep_from - 1, db->tail.base, err) != 0)
        return err->code;
    db->tail.first = o->keep_from;
    return run_index(db, DB_CUT_BEFORE, o->keep_from, err);
}

int db_put_snapshot(struct db *db, const struct order_store_snapshot *o, struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_PUT_SNAPSHOT];

    sqlite3_bind_int64(s, 1, (sqlite3_int64)o->index);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)o->term);
    sqlite3_bind_blob(s, 3, o->data, (int)o->len, SQLITE_STATIC);
    sqlite3_bind_int64(s, 4, (sqlite3_int64)crc32_z(0, o->data, o->len));
    if (db_run(db, s, "store the snapshot", err) != 0)
        return err->code;
    return cut_for_snapshot(db, o, err);
}
