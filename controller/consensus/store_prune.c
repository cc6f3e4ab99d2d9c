/* The audit trail's retention: its oldest rows go once they are older than is asked for.
 *
 * What goes is a beginning, never a middle: the trail then starts behind a base, the number
 * and hash of the last row that went, so that the chain is checked as before, and a lost
 * first row is damage as before. The newest row stays whatever its age. */
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "controller/base/bytes.h"
#include "controller/consensus/store_db.h"

enum { BASE_SIZE = 8 + AUDIT_HASH_SIZE + 8, CRC_AT = BASE_SIZE - 8 };

static int put_base(struct db *db, struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_PUT_META];
    uint8_t b[BASE_SIZE];

    put64(b, db->base.seq);
    memcpy(b + 8, db->base.hash, AUDIT_HASH_SIZE);
    put64(b + CRC_AT, crc32_z(0, b, CRC_AT));
    sqlite3_bind_text(s, 1, "audit_base", -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 2, b, sizeof b, SQLITE_STATIC);
    return db_run(db, s, "store where the audit trail begins", err);
}

int db_begin_trail(struct db *db, const struct audit_row *first, struct err *err)
{
    db->base.seq = db->tail.audit_seq = first->seq - 1;
    memcpy(db->base.hash, first->prev_hash, AUDIT_HASH_SIZE);
    memcpy(db->tail.audit_hash, first->prev_hash, AUDIT_HASH_SIZE);
    db->scrub.audit_seq = 0;
    return put_base(db, err);
}

int db_load_audit_base(struct db *db, struct err *err)
{
    sqlite3_stmt *s = NULL;
    uint8_t b[BASE_SIZE] = {0};
    bool whole = true;
    int code;

    db->base = (struct db_audit_base){0};
    if (db_prepare(db, "SELECT value FROM meta WHERE key = 'audit_base'", &s, err) != 0)
        return err->code;
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        whole = sqlite3_column_bytes(s, 0) == BASE_SIZE;
        if (whole)
            memcpy(b, sqlite3_column_blob(s, 0), BASE_SIZE);
        whole = whole && get64(b + CRC_AT) == crc32_z(0, b, CRC_AT);
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        (void)db_error(db, err, "read where the audit trail begins");
    sqlite3_finalize(s);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return err->code;
    if (!whole)
        return err_set(
            err, ERR_CORRUPT,
            "%s/raft.db: where its audit trail begins does not fit its checksum: "
            "keep the directory, check the disk, and replace this controller: "
            "`ringfence controller replace` gives it a new id",
            db->dir);
    db->base.seq = get64(b);
    memcpy(db->base.hash, b + 8, AUDIT_HASH_SIZE);
    return 0;
}

/* The last of the oldest rows, DB_PRUNE_ROWS at most, that are all old enough. */
static int find_last(struct db *db, uint64_t before_ms, struct db_audit_base *ret,
                     struct err *err)
{
    sqlite3_stmt *s = NULL;
    int code = SQLITE_DONE;

    if (db_prepare(db,
                   "SELECT seq, wall_ms, hash FROM audit WHERE seq > ?1 AND seq < ?2"
                   " ORDER BY seq LIMIT ?3",
                   &s, err) != 0)
        return err->code;
    sqlite3_bind_int64(s, 1, (sqlite3_int64)db->base.seq);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)db->tail.audit_seq);
    sqlite3_bind_int64(s, 3, DB_PRUNE_ROWS);
    while ((code = sqlite3_step(s)) == SQLITE_ROW &&
           (uint64_t)sqlite3_column_int64(s, 1) < before_ms &&
           sqlite3_column_bytes(s, 2) == AUDIT_HASH_SIZE) {
        ret->seq = (uint64_t)sqlite3_column_int64(s, 0);
        memcpy(ret->hash, sqlite3_column_blob(s, 2), AUDIT_HASH_SIZE);
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        (void)db_error(db, err, "look for old audit rows");
    sqlite3_finalize(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : err->code;
}

int db_prune_audit(struct db *db, uint64_t before_ms, struct err *err)
{
    struct db_audit_base last = db->base;
    sqlite3_stmt *s = NULL;
    int status;

    if (db->gap.upto != 0 || find_last(db, before_ms, &last, err) != 0)
        return db->gap.upto != 0 ? 0 : err->code;
    if (last.seq == db->base.seq)
        return 0;
    if (db_prepare(db, "DELETE FROM audit WHERE seq <= ?1", &s, err) != 0)
        return err->code;
    sqlite3_bind_int64(s, 1, (sqlite3_int64)last.seq);
    status = db_run(db, s, "remove old audit rows", err);
    sqlite3_finalize(s);
    if (status != 0)
        return status;
    db->base = last;
    db->scrub.audit_seq = 0; /* from the new beginning on */
    return put_base(db, err);
}
