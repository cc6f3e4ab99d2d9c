/* The audit trail: append-only rows, chained (controller/audit/chain.h). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/audit/chain.h"
#include "controller/consensus/store_db.h"

static const char columns[] = "SELECT seq, idx, term, wall_ms, leader, kind, grp, rule,"
                              " text, prev, hash FROM audit ";

/* ---- writing ------------------------------------------------------------------------- */

int db_chain_audit(struct db *db, const struct audit_row *from, struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_PUT_AUDIT];
    struct audit_row r;

    audit_chain_row(from, db->tail.audit_seq, db->tail.audit_hash, &r);
    sqlite3_bind_int64(s, 1, (sqlite3_int64)r.seq);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)r.index);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)r.term);
    sqlite3_bind_int64(s, 4, (sqlite3_int64)r.wall_ms);
    sqlite3_bind_int64(s, 5, (sqlite3_int64)r.leader_id);
    sqlite3_bind_text(s, 6, r.kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 7, r.group, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 8, r.rule, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 9, r.text, -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 10, r.prev_hash, CHAIN_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob(s, 11, r.hash, CHAIN_SIZE, SQLITE_STATIC);
    if (db_run(db, s, "store an audit row", err) != 0)
        return err->code;
    db->tail.audit_seq = r.seq;
    db->audit_index = r.index;
    memcpy(db->tail.audit_hash, r.hash, CHAIN_SIZE);
    return 0;
}

/* A restarted node applies entries again from its snapshot on. Rows of one entry are one
 * transaction, so an index is recorded wholly or not at all. */
int db_put_audit(struct db *db, const struct audit_row *rows, size_t n, struct err *err)
{
    if (db->gap.upto != 0)
        return db_wait_audit(db, rows, n, err);
    if (n == 0 || rows[0].index <= db->audit_index)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (db_chain_audit(db, &rows[i], err) != 0)
            return err->code;
    return 0;
}

/* ---- reading ------------------------------------------------------------------------- */

static void get_text(sqlite3_stmt *s, int column, char *to, size_t size)
{
    const unsigned char *text = sqlite3_column_text(s, column);

    audit_copy_text(to, text != NULL ? (const char *)text : "", size);
}

static void get_hash(sqlite3_stmt *s, int column, uint8_t to[CHAIN_SIZE])
{
    if (sqlite3_column_bytes(s, column) == CHAIN_SIZE)
        memcpy(to, sqlite3_column_blob(s, column), CHAIN_SIZE);
}

static void get_row(sqlite3_stmt *s, struct audit_row *r)
{
    *r = (struct audit_row){.seq = (uint64_t)sqlite3_column_int64(s, 0),
                            .index = (uint64_t)sqlite3_column_int64(s, 1),
                            .term = (uint64_t)sqlite3_column_int64(s, 2),
                            .wall_ms = (uint64_t)sqlite3_column_int64(s, 3),
                            .leader_id = (uint64_t)sqlite3_column_int64(s, 4)};
    get_text(s, 5, r->kind, sizeof r->kind);
    get_text(s, 6, r->group, sizeof r->group);
    get_text(s, 7, r->rule, sizeof r->rule);
    get_text(s, 8, r->text, sizeof r->text);
    get_hash(s, 9, r->prev_hash);
    get_hash(s, 10, r->hash);
}

static int audit_damaged(const char *dir, uint64_t seq, struct err *err)
{
    return err_set(err, ERR_CORRUPT,
                   "%s/raft.db: audit row %" PRIu64 " does not continue "
                   "the hash chain: it was damaged or altered; keep the directory, compare "
                   "it with the other controllers' trails, and replace this controller: "
                   "`ringfence controller replace` gives it a new id",
                   dir, seq);
}

static int index_damaged(const char *dir, const char *how, struct err *err)
{
    return err_set(
        err, ERR_CORRUPT,
        "%s/raft.db: the index of the audit trail by group %s, so a log of one "
        "group could miss rows: keep the directory for analysis, check the disk, "
        "and replace this controller: `ringfence controller replace` gives it a "
        "new id",
        dir, how);
}

/* The index has no checksum, and a log of one group is what it finds (I9). So each row is
 * looked for by it, and when all were found, it must have as many as the trail. That is
 * enough: where each of them is found by halving they lie in order, and with nothing else
 * between them none of a group is passed by. */
static int check_indexed(struct db *db, const struct audit_row *r, struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_AUDIT_BY_GROUP];
    char how[64];
    int code, status = 0;

    sqlite3_bind_text(s, 1, r->group, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)r->seq);
    code = sqlite3_step(s);
    /* SQLite compares an index row from its front, and takes the row it leads to from its
     * end: where its length is damaged these are two. */
    if (code == SQLITE_DONE ||
        (code == SQLITE_ROW && (uint64_t)sqlite3_column_int64(s, 0) != r->seq)) {
        snprintf(how, sizeof how, "lacks audit row %" PRIu64, r->seq);
        status = index_damaged(db->dir, how, err);
    } else if (code != SQLITE_ROW) {
        status = db_error(db, err, "look for an audit row by its group");
    }
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return status;
}

static int check_index_size(struct db *db, uint64_t newest, struct err *err)
{
    sqlite3_stmt *s = db->stmt[DB_COUNT_BY_GROUP];
    uint64_t found = 0, rows = newest - db->base.seq;
    char how[64];
    int status = 0;

    if (sqlite3_step(s) == SQLITE_ROW)
        found = (uint64_t)sqlite3_column_int64(s, 0);
    else
        status = db_error(db, err, "count the index of the audit trail by group");
    sqlite3_reset(s);
    if (status != 0 || found == rows)
        return status;
    snprintf(how, sizeof how, "has %" PRIu64 " rows, the trail has %" PRIu64, found, rows);
    return index_damaged(db->dir, how, err);
}

/* It continues `before`, whose place it takes, and the index has it. */
static int verify_row(struct db *db, const struct audit_row *r, uint64_t *before,
                      uint8_t hash[CHAIN_SIZE], struct err *err)
{
    if (!audit_chain_continues(r, *before, hash))
        return audit_damaged(db->dir, r->seq, err);
    if (check_indexed(db, r, err) != 0)
        return err->code;
    *before = r->seq;
    memcpy(hash, r->hash, CHAIN_SIZE);
    return 0;
}

/* Every row from the first on; *ret_last is the newest one, the base if there is none. */
static int verify_rows(struct db *db, sqlite3_stmt *s, struct audit_row *ret_last,
                       struct err *err)
{
    uint8_t hash[CHAIN_SIZE];
    uint64_t seq = db->base.seq;
    int code;

    memcpy(hash, db->base.hash, sizeof hash);
    *ret_last = (struct audit_row){.seq = seq};
    memcpy(ret_last->hash, hash, sizeof hash);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        get_row(s, ret_last);
        if (verify_row(db, ret_last, &seq, hash, err) != 0)
            return err->code;
    }
    return code == SQLITE_DONE ? 0 : db_error(db, err, "read the audit trail");
}

static int verify_all(struct db *db, struct audit_row *ret_last, struct err *err)
{
    char sql[sizeof columns + 32];
    sqlite3_stmt *s = NULL;
    int status;

    snprintf(sql, sizeof sql, "%s ORDER BY seq", columns);
    if (db_load_audit_base(db, err) != 0 || db_prepare(db, sql, &s, err) != 0)
        return err->code;
    status = verify_rows(db, s, ret_last, err);
    sqlite3_finalize(s);
    return status != 0 ? status : check_index_size(db, ret_last->seq, err);
}

/* A chain alone does not tell that its last rows are gone: the log's end names them. */
static int check_newest(const struct db *db, uint64_t seq, const uint8_t hash[CHAIN_SIZE],
                        struct err *err)
{
    if (seq == db->tail.audit_seq && memcmp(hash, db->tail.audit_hash, CHAIN_SIZE) == 0)
        return 0;
    return audit_damaged(db->dir, seq + 1, err);
}

int db_check_audit_end(struct db *db, uint64_t seq, const uint8_t hash[CHAIN_SIZE],
                       struct err *err)
{
    if (check_newest(db, seq, hash, err) != 0)
        return err->code;
    return check_index_size(db, seq, err);
}

int db_load_audit(struct db *db, struct err *err)
{
    struct audit_row last = {0};

    if (verify_all(db, &last, err) != 0 || check_newest(db, last.seq, last.hash, err) != 0)
        return err->code;
    db->audit_index = last.index;
    return db_load_gap(db, err);
}

static int prepare_query(struct db *db, const struct audit_query *q, sqlite3_stmt **ret,
                         struct err *err)
{
    char sql[sizeof columns + 128];

    snprintf(sql, sizeof sql, "%s WHERE seq > ?1 %s ORDER BY seq %s LIMIT ?3", columns,
             q->group != NULL ? "AND grp = ?2" : "", q->newest ? "DESC" : "ASC");
    if (db_prepare(db, sql, ret, err) != 0)
        return err->code;
    sqlite3_bind_int64(*ret, 1, (sqlite3_int64)q->after_seq);
    if (q->group != NULL)
        sqlite3_bind_text(*ret, 2, q->group, -1, SQLITE_STATIC);
    sqlite3_bind_int64(*ret, 3, q->limit);
    return 0;
}

static void reverse(struct audit_row *rows, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct audit_row swap = rows[i];

        rows[i] = rows[n - 1 - i];
        rows[n - 1 - i] = swap;
    }
}

int db_query_audit(struct db *db, const struct audit_query *q, struct audit_row **ret_rows,
                   size_t *ret_n, struct err *err)
{
    struct audit_row *rows = calloc(q->limit, sizeof *rows);
    sqlite3_stmt *s = NULL;
    size_t n = 0;
    int code = SQLITE_DONE;

    if (rows == NULL)
        return err_set(err, ERR_NOMEM, "%u audit rows", q->limit);
    if (prepare_query(db, q, &s, err) != 0) {
        free(rows);
        return err->code;
    }
    while (n < q->limit && (code = sqlite3_step(s)) == SQLITE_ROW)
        get_row(s, &rows[n++]);
    if (n < q->limit && code != SQLITE_DONE)
        (void)db_error(db, err, "read the audit trail");
    sqlite3_finalize(s);
    if (n < q->limit && code != SQLITE_DONE) {
        free(rows);
        return err->code;
    }
    if (q->newest)
        reverse(rows, n);
    *ret_rows = rows;
    *ret_n = n;
    return 0;
}

int db_check_audit(struct db *db, const struct audit_row *rows, size_t n, uint64_t *seq,
                   uint8_t hash[CHAIN_SIZE], struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (verify_row(db, &rows[i], seq, hash, err) != 0)
            return err->code;
    return 0;
}

int store_verify_audit(const char *dir, uint64_t *ret_rows, struct err *err)
{
    struct store_config config = {.dir = dir};
    char path[DB_PATH_SIZE + 8];
    struct audit_row last = {0};
    struct db db;
    struct err local;
    int status;

    if (err == NULL)
        err = &local;
    snprintf(path, sizeof path, "%s/raft.db", dir);
    if (access(path, F_OK) != 0)
        return err_errno(err, errno, "%s", path);
    status = db_open(&db, &config, err);
    if (status == 0)
        status = verify_all(&db, &last, err);
    if (status == 0)
        *ret_rows = last.seq;
    db_close(&db);
    return status;
}
