/* Damage is found before it is needed: a few rows at a time, as they lie on the disk now.
 *
 * A node that stops at the first damaged row is one that the others can do without; one
 * that finds it at its next start, or when a follower asks for that entry, may be needed
 * then. */
#include <stdlib.h>
#include <string.h>

#include "controller/consensus/store_db.h"

/* A whole pass takes as many slices as there are rows; each begins where the last one
 * ended, with the row hash that it had come to. */
static int scrub_entries(struct db *db, struct err *err)
{
    struct db_scrub *p = &db->scrub;
    sqlite3_stmt *s = NULL;
    struct consensus_entry e = {0};
    int code = SQLITE_DONE, status = 0;

    if (db_prepare(db,
                   "SELECT idx, term, kind, data, crc, hash FROM entries WHERE idx >= ?1 "
                   "ORDER BY idx LIMIT ?2",
                   &s, err) != 0)
        return err->code;
    sqlite3_bind_int64(s, 1, (sqlite3_int64)p->next);
    sqlite3_bind_int64(s, 2, DB_SCRUB_ROWS);
    while (status == 0 && (code = sqlite3_step(s)) == SQLITE_ROW)
        status = db_check_entry(db, s, p->next++, p->hash, &e, err);
    if (status == 0 && code != SQLITE_DONE)
        status = db_error(db, err, "check the log");
    sqlite3_finalize(s);
    return status;
}

static int scrub_audit(struct db *db, struct err *err)
{
    struct audit_query q = {.limit = DB_SCRUB_ROWS};
    struct audit_row *rows = NULL;
    size_t n = 0;
    int status;

    if (db->scrub.audit_seq == 0) {
        db->scrub.audit_seq = db->base.seq;
        memcpy(db->scrub.audit_hash, db->base.hash, CHAIN_SIZE);
    }
    q.after_seq = db->scrub.audit_seq;
    if (db_query_audit(db, &q, &rows, &n, err) != 0)
        return err->code;
    status = db_check_audit(db, rows, n, &db->scrub.audit_seq, db->scrub.audit_hash, err);
    free(rows);
    if (n == 0) { /* all of them: once more from the first one on */
        status = db_check_audit_end(db, db->scrub.audit_seq, db->scrub.audit_hash, err);
        db->scrub.audit_seq = 0;
    }
    return status;
}

int db_scrub(struct db *db, struct err *err)
{
    struct db_scrub *p = &db->scrub;

    (void)sqlite3_db_release_memory(db->handle); /* what lies on the disk, not our copy */
    if (p->next == 0) {
        p->next = db->tail.first;
        memcpy(p->hash, db->tail.base, CHAIN_SIZE);
        if (db_check_head(db, err) != 0)
            return err->code;
    }
    if (scrub_entries(db, err) != 0 || scrub_audit(db, err) != 0)
        return err->code;
    if (p->next <= db->tail.last)
        return 0;
    if (p->next != db->tail.last + 1 || memcmp(p->hash, db->tail.hash, CHAIN_SIZE) != 0)
        return err_set(err, ERR_CORRUPT,
                       "%s/raft.db: the log does not end where it should: keep the "
                       "directory for analysis, check the disk, and replace this "
                       "controller: `ringfence controller replace` gives it a new id",
                       db->dir);
    p->next = 0;
    p->passes++;
    return 0;
}
