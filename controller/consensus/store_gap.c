/* A hole in the audit trail: entries that came in a snapshot from the leader were not
 * applied here one by one, and their rows are with the others.
 *
 * The trail is a chain, so nothing can be put behind the hole before it is filled. What is
 * applied meanwhile waits, unchained, in a table beside. The missing rows are fetched by
 * the daemon (controller/daemon/backfill.h), our own last one with them, so that it is
 * known that the chains meet; each must continue our own chain. When all are there, those
 * that wait are chained behind them: the trail is the same on all nodes again, and each
 * one's chain head fits the others'.
 *
 * Where nobody has what is missing, a row of kind "gap" says so, and the trail goes on from
 * it: an exit, at the price that this node's hashes are its own from then on. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "controller/base/bytes.h"
#include "controller/consensus/store_db.h"

enum { NOTE_SIZE = 32 };

static const char table[] =
    "CREATE TABLE IF NOT EXISTS audit_pending (id INTEGER PRIMARY KEY, idx INTEGER NOT "
    "NULL,"
    " term INTEGER NOT NULL, wall_ms INTEGER NOT NULL, leader INTEGER NOT NULL,"
    " kind TEXT NOT NULL, grp TEXT NOT NULL, rule TEXT NOT NULL, text TEXT NOT NULL,"
    " crc INTEGER NOT NULL)";

static uint64_t row_crc(const struct audit_row *r)
{
    uint8_t b[32];
    uLong crc;

    put64(b, r->index);
    put64(b + 8, r->term);
    put64(b + 16, r->wall_ms);
    put64(b + 24, r->leader_id);
    crc = crc32_z(0, b, sizeof b);
    crc = crc32_z(crc, (const Bytef *)r->kind, strlen(r->kind) + 1);
    crc = crc32_z(crc, (const Bytef *)r->group, strlen(r->group) + 1);
    crc = crc32_z(crc, (const Bytef *)r->rule, strlen(r->rule) + 1);
    return crc32_z(crc, (const Bytef *)r->text, strlen(r->text) + 1);
}

/* Among what is known of the node. A version that does not know of gaps takes that for
 * damage, and does not start: it would leave out what waits (I10). The row goes with the
 * gap. */
static int put_note(struct db *db, struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_PUT_META];
    uint8_t b[NOTE_SIZE];

    put64(b, db->gap.upto);
    put64(b + 8, db->gap.term);
    put64(b + 16, db->gap.waiting);
    put64(b + 24, crc32_z(0, b, 24));
    sqlite3_bind_text(s, 1, "audit_gap", -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 2, b, sizeof b, SQLITE_STATIC);
    return db_run(db, s, "note a gap in the audit trail", err);
}

uint64_t db_audit_newest(const struct db *db)
{
    if (db->gap.upto == 0)
        return db->audit_index;
    return db->gap.last > db->gap.upto ? db->gap.last : db->gap.upto;
}

/* ---- opening and waiting --------------------------------------------------------------
 */

int db_open_gap(struct db *db, uint64_t index, uint64_t term, struct err *err)
{
    if (index <= db_audit_newest(db))
        return 0;
    if (db_exec(db, table, err) != 0 || db_exec(db, "DELETE FROM audit_pending", err) != 0)
        return err->code;
    db->gap = (struct db_gap){.upto = index, .term = term};
    return put_note(db, err);
}

static int wait_one(struct db *db, sqlite3_stmt *s, const struct audit_row *from,
                    struct err *err)
{
    static const uint8_t nothing[AUDIT_HASH_SIZE];
    struct audit_row r; /* its texts cut to their size, as in the chain */

    audit_chain_row(from, 0, nothing, &r);
    sqlite3_bind_int64(s, 1, (sqlite3_int64)r.index);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)r.term);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)r.wall_ms);
    sqlite3_bind_int64(s, 4, (sqlite3_int64)r.leader_id);
    sqlite3_bind_text(s, 5, r.kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 6, r.group, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 7, r.rule, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 8, r.text, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 9, (sqlite3_int64)row_crc(&r));
    return db_run(db, s, "let an audit row wait", err);
}

int db_wait_audit(struct db *db, const struct audit_row *rows, size_t n, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int status;

    if (n == 0 || rows[0].index <= db_audit_newest(db))
        return 0;
    status = db_prepare(db,
                        "INSERT INTO audit_pending (idx, term, wall_ms, leader, kind, grp,"
                        " rule, text, crc) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
                        &s, err);
    for (size_t i = 0; i < n && status == 0; i++)
        status = wait_one(db, s, &rows[i], err);
    sqlite3_finalize(s);
    if (status != 0)
        return status;
    db->gap.last = rows[0].index;
    db->gap.waiting += n;
    return put_note(db, err);
}

/* ---- reading what waits ---------------------------------------------------------------
 */

static void get_text(sqlite3_stmt *s, int column, char *to, size_t size)
{
    const unsigned char *text = sqlite3_column_text(s, column);

    audit_copy_text(to, text != NULL ? (const char *)text : "", size);
}

static int damaged(const struct db *db, struct err *err)
{
    return err_set(err, ERR_CORRUPT,
                   "%s/raft.db: audit rows that wait for those before them are damaged or "
                   "missing: keep the directory, check the disk, and replace this "
                   "controller: `ringfence controller replace` gives it a new id",
                   db->dir);
}

/* Each of them in their order; `take` NULL: they are only checked. */
static int each_waiting(struct db *db,
                        int (*take)(struct db *db, const struct audit_row *r,
                                    struct err *err),
                        struct err *err)
{
    sqlite3_stmt *s = NULL;
    uint64_t count = 0;
    int code = SQLITE_DONE, status;

    status = db_prepare(db,
                        "SELECT idx, term, wall_ms, leader, kind, grp, rule, text, crc"
                        " FROM audit_pending ORDER BY id",
                        &s, err);
    while (status == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct audit_row r = {.index = (uint64_t)sqlite3_column_int64(s, 0),
                              .term = (uint64_t)sqlite3_column_int64(s, 1),
                              .wall_ms = (uint64_t)sqlite3_column_int64(s, 2),
                              .leader_id = (uint64_t)sqlite3_column_int64(s, 3)};

        get_text(s, 4, r.kind, sizeof r.kind);
        get_text(s, 5, r.group, sizeof r.group);
        get_text(s, 6, r.rule, sizeof r.rule);
        get_text(s, 7, r.text, sizeof r.text);
        if (row_crc(&r) != (uint64_t)sqlite3_column_int64(s, 8) || r.index <= db->gap.upto)
            status = damaged(db, err);
        else if (take != NULL)
            status = take(db, &r, err);
        db->gap.last = r.index;
        count++;
    }
    if (status == 0 && code != SQLITE_DONE)
        status = db_error(db, err, "read audit rows that wait");
    sqlite3_finalize(s);
    return status != 0 || count == db->gap.waiting ? status : damaged(db, err);
}

int db_load_gap(struct db *db, struct err *err)
{
    sqlite3_stmt *s = NULL;
    uint8_t b[NOTE_SIZE] = {0};
    bool whole = true;
    int code;

    db->gap = (struct db_gap){0};
    if (db_prepare(db, "SELECT value FROM meta WHERE key = 'audit_gap'", &s, err) != 0)
        return err->code;
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        whole = sqlite3_column_bytes(s, 0) == NOTE_SIZE;
        if (whole)
            memcpy(b, sqlite3_column_blob(s, 0), NOTE_SIZE);
        whole = whole && get64(b + 24) == crc32_z(0, b, 24);
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        (void)db_error(db, err, "read what is missing of the audit trail");
    sqlite3_finalize(s);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return err->code;
    if (!whole)
        return damaged(db, err);
    db->gap =
        (struct db_gap){.upto = get64(b), .term = get64(b + 8), .waiting = get64(b + 16)};
    return db->gap.upto == 0 ? 0 : each_waiting(db, NULL, err);
}

/* ---- filling --------------------------------------------------------------------------
 */

static int close_gap(struct db *db, struct err *err)
{
    if (each_waiting(db, db_chain_audit, err) != 0 ||
        db_exec(db, "DELETE FROM audit_pending", err) != 0)
        return err->code;
    db->gap = (struct db_gap){0};
    return db_exec(db, "DELETE FROM meta WHERE key = 'audit_gap'", err);
}

static int give_up(struct db *db, struct err *err)
{
    struct audit_row r = {.index = db->gap.upto, .term = db->gap.term, .kind = "gap"};

    snprintf(r.text, sizeof r.text,
             "entries up to %" PRIu64 " came in a snapshot from the leader and were not "
             "applied here one by one; what happened after entry %" PRIu64
             " is in no other controller's trail that continues this one",
             db->gap.upto, db->audit_index);
    if (db_chain_audit(db, &r, err) != 0)
        return err->code;
    return close_gap(db, err);
}

/* Who has no trail at all takes it from where the others' begins: their oldest rows may be
 * past their retention. Where there is one, it has to go on. */
static bool begins_later(const struct db *db, const struct store_fill *f)
{
    return db->tail.audit_seq == 0 && f->n > 0 && f->rows[0].seq > 1 &&
           f->rows[0].index <= db->gap.upto;
}

/* Does it begin with our own last row, unchanged? Only then the two chains are known to
 * meet: an answer that is empty, or begins behind it, may be another chain's (I9). */
static bool meets_ours(const struct db *db, const struct store_fill *f)
{
    const struct db_tail *t = &db->tail;

    return f->n > 0 &&
           audit_chain_continues(&f->rows[0], t->audit_seq - 1, f->rows[0].prev_hash) &&
           memcmp(f->rows[0].hash, t->audit_hash, AUDIT_HASH_SIZE) == 0;
}

/* Where of `f` what is missing begins; false: it does not meet our chain. */
static bool find_beginning(const struct db *db, const struct store_fill *f, size_t *ret_at)
{
    *ret_at = db->tail.audit_seq != 0 ? 1 : 0;
    return db->tail.audit_seq != 0 ? meets_ours(db, f) : f->n > 0;
}

/* How many of them are ours or lie within the gap, if all of those continue our chain, and
 * the one behind them does, too: then the other node has none there that it did not tell.
 */
static bool fits(const struct db *db, const struct store_fill *f, size_t *ret_from,
                 size_t *ret_to)
{
    uint8_t hash[AUDIT_HASH_SIZE];
    uint64_t seq = db->tail.audit_seq, index = db->audit_index;
    size_t i;

    if (!find_beginning(db, f, ret_from))
        return false;
    memcpy(hash, db->tail.audit_hash, sizeof hash);
    if (begins_later(db, f)) {
        seq = f->rows[0].seq - 1;
        memcpy(hash, f->rows[0].prev_hash, sizeof hash);
    }
    for (i = *ret_from; i < f->n && f->rows[i].index <= db->gap.upto; i++) {
        if (!audit_chain_continues(&f->rows[i], seq, hash) || f->rows[i].index < index)
            return false;
        seq = f->rows[i].seq;
        index = f->rows[i].index;
        memcpy(hash, f->rows[i].hash, sizeof hash);
    }
    *ret_to = i;
    return i == f->n || audit_chain_continues(&f->rows[i], seq, hash);
}

/* What another node says is no reason to stop: *ret_taken says whether it was of use. */
int db_fill_audit(struct db *db, const struct store_fill *f, bool *ret_taken,
                  struct err *err)
{
    size_t from = 0, to = 0;

    *ret_taken = db->gap.upto != 0 && (f->nobody_has_it || fits(db, f, &from, &to));
    if (!*ret_taken)
        return 0;
    if (f->nobody_has_it)
        return give_up(db, err);
    if (begins_later(db, f) && db_begin_trail(db, &f->rows[0], err) != 0)
        return err->code;
    for (size_t i = from; i < to; i++)
        if (db_chain_audit(db, &f->rows[i], err) != 0)
            return err->code;
    return f->is_all || to < f->n ? close_gap(db, err) : 0;
}
