/* Whose directory it is, and whether what it holds is whole. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "controller/base/starting.h"
#include "controller/consensus/store_db.h"

#define ADVICE                                                                             \
    "keep the directory for analysis, check the disk, and replace this controller: "       \
    "`ringfence controller replace` gives it a new id"

/* ---- identity ------------------------------------------------------------------------ */

static int put_meta(struct db *db, const char *key, const void *value, size_t len,
                    struct err *err)
{
    sqlite3_stmt *s = NULL;
    int status;

    if (db_prepare(db, "INSERT INTO meta VALUES (?1, ?2)", &s, err) != 0)
        return err->code;
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 2, value, (int)len, SQLITE_STATIC);
    status = db_run(db, s, "store the node's identity", err);
    sqlite3_finalize(s);
    return status;
}

static int put_meta_number(struct db *db, const char *key, uint64_t value, struct err *err)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, value);

    return put_meta(db, key, text, (size_t)len, err);
}

/* 1: not there. */
static int get_meta(struct db *db, const char *key, char *ret, size_t size, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int code, status = 0;
    const void *value = NULL;
    size_t len = 0;

    if (db_prepare(db, "SELECT value FROM meta WHERE key = ?1", &s, err) != 0)
        return err->code;
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW) {              /* a column of no row would replace the error */
        value = sqlite3_column_blob(s, 0); /* NULL where there is nothing in it */
        len = (size_t)sqlite3_column_bytes(s, 0);
    }
    if (code == SQLITE_ROW && len < size) {
        if (len != 0)
            memcpy(ret, value, len);
        ret[len] = '\0';
    } else if (code == SQLITE_DONE) {
        status = 1;
    } else {
        status = db_error(db, err, "read the node's identity");
    }
    sqlite3_finalize(s);
    return status;
}

/* Over every row but the notes, which have their own: a note whose key was damaged is one
 * of them, then. */
static int identity_crc(struct db *db, uint32_t *ret, struct err *err)
{
    sqlite3_stmt *s = NULL;
    uLong crc = 0;
    int code, status = 0;

    if (db_prepare(db,
                   "SELECT key, value FROM meta WHERE key NOT IN ('identity', 'kin', "
                   "'condemned', 'audit_gap', 'audit_base') ORDER BY key",
                   &s, err) != 0)
        return err->code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW)
        for (int i = 0; i < 2; i++) {
            const uint8_t *bytes = sqlite3_column_blob(s, i);
            size_t len = (size_t)sqlite3_column_bytes(s, i);

            crc = crc32_z(crc, (const uint8_t *)&len, sizeof len);
            crc = len != 0 ? crc32_z(crc, bytes, len) : crc;
        }
    if (code != SQLITE_DONE)
        status = db_error(db, err, "read the node's identity");
    sqlite3_finalize(s);
    *ret = (uint32_t)crc;
    return status;
}

static int bootstrap(struct db *db, const struct store_config *c, struct err *err)
{
    struct consensus_entry voters = {1, ENTRY_VOTERS, c->bootstrap_entry, c->bootstrap_len};
    struct order_store_entries first = {0, 1, &voters, 1};
    uint32_t crc = 0;

    /* The mark first: whenever a crash comes, it is there and not ahead. */
    db->tail = (struct db_tail){.commits = 1, .first = 1};
    if (db_mark_write(db, err) != 0 || db_begin(db, err) != 0 ||
        put_meta_number(db, "format", STORE_FORMAT_VERSION, err) != 0 ||
        put_meta(db, "cluster", c->cluster, strlen(c->cluster), err) != 0 ||
        put_meta(db, "node", c->node, strlen(c->node), err) != 0 ||
        put_meta_number(db, "node_id", c->node_id, err) != 0 ||
        put_meta_number(db, "incarnation", c->incarnation, err) != 0 ||
        put_meta_number(db, "store", c->new_id, err) != 0 ||
        put_meta_number(db, "digest", c->allow_bootstrap ? c->digest : 0, err) != 0 ||
        db_put_vote(db, 1, 0, err) != 0 ||
        (c->allow_bootstrap && db_put_entries(db, &first, err) != 0))
        return err_wrap(err, "bootstrap");
    db->store_id = c->new_id;
    db->digest = c->allow_bootstrap ? c->digest : 0;
    if (identity_crc(db, &crc, err) != 0 || put_meta_number(db, "identity", crc, err) != 0)
        return err_wrap(err, "bootstrap");
    return db_commit(db, err);
}

static int check_identity(struct db *db, struct err *err)
{
    char text[24] = "";
    uint32_t crc = 0;
    int status = get_meta(db, "identity", text, sizeof text, err);

    if (status < 0 || identity_crc(db, &crc, err) != 0)
        return err->code;
    if (status > 0 || strtoull(text, NULL, 10) != crc)
        return err_set(err, ERR_CORRUPT,
                       "%s/raft.db: what it says of whose it is does not fit its "
                       "checksum: " ADVICE,
                       db->dir);
    return 0;
}

static int check_meta(struct db *db, const char *key, const char *expected, struct err *err)
{
    char found[2 * STORE_NAME_SIZE] = "";
    int status = get_meta(db, key, found, sizeof found, err);

    if (status < 0)
        return status;
    if (status > 0)
        return err_set(err, ERR_CORRUPT, "%s/raft.db does not say its %s: " ADVICE, db->dir,
                       key);
    if (strcmp(found, expected) != 0)
        return err_set(err, ERR_CONFLICT,
                       "%s belongs to %s %s, this node has %s %s: give each node its own "
                       "data directory, or correct the configuration",
                       db->dir, key, found, key, expected);
    return 0;
}

static int check_number(struct db *db, const char *key, uint64_t expected, struct err *err)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, expected);
    return check_meta(db, key, text, err);
}

static int read_store_id(struct db *db, struct err *err)
{
    char text[24] = "", digest[24] = "";
    int status = get_meta(db, "store", text, sizeof text, err);

    if (status == 0)
        status = get_meta(db, "digest", digest, sizeof digest, err);
    if (status < 0)
        return status;
    db->store_id = strtoull(text, NULL, 10);
    db->digest = strtoull(digest, NULL, 10);
    if (status > 0 || db->store_id == 0)
        return err_set(err, ERR_CORRUPT,
                       "%s/raft.db does not say which store it is: " ADVICE, db->dir);
    return 0;
}

static int nothing_there(const struct db *db, struct err *err)
{
    return err_set(
        err, ERR_NOTFOUND,
        "%s holds no controller's state. If this cluster is being made now, "
        "start every controller once with `ringfenced --bootstrap`. If it had state "
        "before, never start it under its old id: it would forget its votes; "
        "give it a new one (`ringfence controller replace`) and start it "
        "with --join",
        db->dir);
}

int db_identify(struct db *db, const struct store_config *c, struct err *err)
{
    char format[24] = "";
    uint64_t commits = 0;
    int status;

    starting_at("read %s/raft.db (with raft.db-wal) and %s/mark", db->dir, db->dir);
    status = get_meta(db, "format", format, sizeof format, err);

    if (status < 0)
        return status;
    if (status > 0 && db_mark_read(db, &commits, NULL) == 0 && commits > 1)
        return err_set(
            err, ERR_CORRUPT,
            "%s/raft.db, or raft.db-wal, is missing or empty, but %s/mark counts %" PRIu64
            " commits: " ADVICE,
            db->dir, db->dir, commits);
    if (status > 0 && !c->allow_bootstrap && !c->allow_join)
        return nothing_there(db, err);
    if (status > 0)
        return bootstrap(db, c, err);
    if (strtoull(format, NULL, 10) > STORE_FORMAT_VERSION)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s/raft.db has format %s, this version knows %d: install the "
                       "version that wrote it, or a newer one (if none has run here, it is "
                       "damaged: " ADVICE ")",
                       db->dir, format, STORE_FORMAT_VERSION);
    if (check_identity(db, err) != 0 ||
        check_number(db, "format", STORE_FORMAT_VERSION, err) != 0 ||
        check_meta(db, "cluster", c->cluster, err) != 0 ||
        check_meta(db, "node", c->node, err) != 0 ||
        check_number(db, "node_id", c->node_id, err) != 0 || read_store_id(db, err) != 0)
        return err->code;
    return check_number(db, "incarnation", c->incarnation, err);
}

/* ---- loading ------------------------------------------------------------------------- */

static int damaged(struct db *db, const char *what, uint64_t index, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s/raft.db: %s (%" PRIu64 "): " ADVICE, db->dir, what,
                   index);
}

/* The one row of vote, tail or snapshot. 1: none. */
static int one_row(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
    int code;

    if (db_prepare(db, sql, ret, err) != 0)
        return err->code;
    code = sqlite3_step(*ret);
    if (code == SQLITE_ROW)
        return 0;
    if (code != SQLITE_DONE)
        (void)db_error(db, err, "load");
    sqlite3_finalize(*ret);
    *ret = NULL;
    return code == SQLITE_DONE ? 1 : err->code;
}

static uint64_t column64(sqlite3_stmt *s, int column)
{
    return (uint64_t)sqlite3_column_int64(s, column);
}

static int load_vote(struct db *db, struct driver_state *ret, struct err *err)
{
    sqlite3_stmt *s = NULL;
    uint64_t crc;
    int status = one_row(db, "SELECT term, vote, crc FROM vote", &s, err);

    if (status > 0)
        return damaged(db, "term and vote are missing", 0, err);
    if (status < 0)
        return status;
    ret->term = column64(s, 0);
    ret->vote = column64(s, 1);
    crc = column64(s, 2);
    sqlite3_finalize(s);
    if (crc != db_vote_crc(ret->term, ret->vote))
        return damaged(db, "checksum of term and vote does not fit, term", ret->term, err);
    return 0;
}

static bool column_hash(sqlite3_stmt *s, int column, uint8_t ret[CHAIN_SIZE])
{
    if (sqlite3_column_bytes(s, column) != CHAIN_SIZE)
        return false;
    memcpy(ret, sqlite3_column_blob(s, column), CHAIN_SIZE);
    return true;
}

static int load_tail(struct db *db, struct err *err)
{
    sqlite3_stmt *s = NULL;
    struct db_tail *t = &db->tail;
    uint64_t crc, mark = 0;
    bool whole;
    int status = one_row(
        db, "SELECT commits, first, last, base, hash, audit_seq, audit_hash, crc FROM tail",
        &s, err);

    if (status > 0)
        return damaged(db, "the end of the log is not recorded", 0, err);
    if (status < 0)
        return status;
    t->commits = column64(s, 0);
    t->first = column64(s, 1);
    t->last = column64(s, 2);
    t->audit_seq = column64(s, 5);
    whole = column_hash(s, 3, t->base) && column_hash(s, 4, t->hash) &&
            column_hash(s, 6, t->audit_hash);
    crc = column64(s, 7);
    sqlite3_finalize(s);
    if (!whole || crc != db_tail_crc(t))
        return damaged(db, "checksum of the log's end does not fit, last entry", t->last,
                       err);
    if (db_mark_read(db, &mark, err) != 0)
        return err->code;
    if (mark > t->commits)
        return err_set(err, ERR_CORRUPT,
                       "%s/raft.db ends with commit %" PRIu64 " and entry %" PRIu64 ", but "
                       "%" PRIu64
                       " commits were made: its write-ahead log is damaged or an "
                       "old copy was put back; acknowledged entries are missing: " ADVICE,
                       db->dir, t->commits, t->last, mark);
    return 0;
}

static int load_snapshot(struct db *db, struct driver_state *ret, struct db_loaded *loaded,
                         struct err *err)
{
    sqlite3_stmt *s = NULL;
    uint64_t crc;
    int status = one_row(db, "SELECT idx, term, data, crc FROM snapshot", &s, err);

    if (status != 0)
        return status > 0 ? 0 : status;
    ret->snapshot_index = column64(s, 0);
    ret->snapshot_term = column64(s, 1);
    crc = column64(s, 3);
    status = buf_append(&loaded->snapshot, sqlite3_column_blob(s, 2),
                        (size_t)sqlite3_column_bytes(s, 2), err);
    sqlite3_finalize(s);
    if (status != 0)
        return status;
    ret->snapshot = loaded->snapshot.data;
    ret->snapshot_len = loaded->snapshot.len;
    if (crc != crc32_z(0, loaded->snapshot.data, loaded->snapshot.len))
        return damaged(db, "checksum of the snapshot does not fit", ret->snapshot_index,
                       err);
    return 0;
}

static int keep(struct db_loaded *l, const struct consensus_entry *e, struct err *err)
{
    uint8_t *data = malloc(e->len + 1);

    if (l->n_entries == l->cap && data != NULL) {
        size_t cap = l->cap != 0 ? 2 * l->cap : 1024;
        void *entries = reallocarray(l->entries, cap, sizeof *l->entries);

        if (entries == NULL) {
            free(data);
            data = NULL;
        } else {
            l->entries = entries;
            l->cap = cap;
        }
    }
    if (data == NULL)
        return err_set(err, ERR_NOMEM, "load the log");
    if (e->len != 0)
        memcpy(data, e->data, e->len);
    l->entries[l->n_entries++] = (struct consensus_entry){e->term, e->kind, data, e->len};
    return 0;
}

int db_check_entry(struct db *db, sqlite3_stmt *s, uint64_t index, uint8_t hash[CHAIN_SIZE],
                   struct consensus_entry *ret, struct err *err)
{
    uint8_t stored[CHAIN_SIZE], computed[CHAIN_SIZE];
    struct consensus_entry e = {.term = column64(s, 1),
                                .kind =
                                    (enum consensus_entry_kind)sqlite3_column_int(s, 2)};

    e.data = sqlite3_column_blob(s, 3);
    e.len = (size_t)sqlite3_column_bytes(s, 3);
    if (column64(s, 0) != index)
        return damaged(db, "entry is missing", index, err);
    if (column64(s, 4) != db_entry_crc(index, &e))
        return damaged(db, "checksum of entry does not fit", index, err);
    db_entry_hash(hash, index, &e, computed);
    if (!column_hash(s, 5, stored) || memcmp(stored, computed, CHAIN_SIZE) != 0)
        return damaged(db, "entry does not continue the chain of row hashes", index, err);
    memcpy(hash, computed, CHAIN_SIZE);
    *ret = e;
    return 0;
}

static int load_entry(struct db *db, sqlite3_stmt *s, uint64_t index,
                      uint8_t hash[CHAIN_SIZE], struct db_loaded *loaded, struct err *err)
{
    struct consensus_entry e = {0};

    if (db_check_entry(db, s, index, hash, &e, err) != 0)
        return err->code;
    return keep(loaded, &e, err);
}

static int load_entries(struct db *db, struct db_loaded *loaded, struct err *err)
{
    sqlite3_stmt *s = NULL;
    uint8_t hash[CHAIN_SIZE];
    uint64_t index = db->tail.first;
    int code, status = 0;

    memcpy(hash, db->tail.base, CHAIN_SIZE);
    if (db_prepare(db, "SELECT idx, term, kind, data, crc, hash FROM entries ORDER BY idx",
                   &s, err) != 0)
        return err->code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW && status == 0)
        status = load_entry(db, s, index++, hash, loaded, err);
    if (status == 0 && code != SQLITE_DONE)
        status = db_error(db, err, "load the log");
    sqlite3_finalize(s);
    if (status != 0)
        return status;
    if (index != db->tail.last + 1)
        return damaged(db, "entry is missing", index, err);
    if (memcmp(hash, db->tail.hash, CHAIN_SIZE) != 0)
        return damaged(db, "the log's end is not the recorded one", db->tail.last, err);
    return 0;
}

/* A note's value without its checksum; empty if there is none. */
static int load_note(struct db *db, const char *key, struct buf *ret, struct err *err)
{
    sqlite3_stmt *s = NULL;
    const uint8_t *value = NULL;
    uint64_t crc = 0;
    size_t len = 0;
    int status;

    if (db_prepare(db, "SELECT value FROM meta WHERE key = ?1", &s, err) != 0)
        return err->code;
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    status = sqlite3_step(s);
    if (status == SQLITE_ROW) { /* a column of no row would replace the error */
        value = sqlite3_column_blob(s, 0);
        len = (size_t)sqlite3_column_bytes(s, 0);
    }
    if (status == SQLITE_DONE)
        status = 0;
    else if (status != SQLITE_ROW)
        status = db_error(db, err, "load a note");
    else if (len < sizeof crc)
        status = damaged(db, key, len, err);
    else
        status = buf_append(ret, value, len - sizeof crc, err);
    for (unsigned i = 0; status == 0 && len >= sizeof crc && i < sizeof crc; i++)
        crc |= (uint64_t)value[len - sizeof crc + i] << (8 * i);
    sqlite3_finalize(s);
    if (status == 0 && crc != crc32_z(0, ret->data, ret->len))
        return damaged(db, "checksum of the table of voters' stores does not fit", len,
                       err);
    return status;
}

static int check_condemned(struct db *db, struct err *err)
{
    AUTO(buf_free) struct buf text = {0};

    if (load_note(db, "condemned", &text, err) != 0)
        return err->code;
    if (text.len == 0)
        return 0;
    return err_set(err, ERR_CORRUPT, "%s: %.*s", db->dir, (int)text.len,
                   (const char *)text.data);
}

int db_check_head(struct db *db, struct err *err)
{
    struct db_loaded loaded = {0};
    struct driver_state state = {0};
    struct db_tail now = db->tail;
    int status;

    status = check_identity(db, err);
    if (status == 0)
        status = load_vote(db, &state, err);
    if (status == 0)
        status = load_snapshot(db, &state, &loaded, err);
    if (status == 0)
        status = load_note(db, "kin", &loaded.kin, err);
    if (status == 0)
        status = load_tail(db, err);
    if (status == 0 && memcmp(&now, &db->tail, sizeof now) != 0)
        status = damaged(db, "the log's end is not the recorded one", db->tail.last, err);
    db_loaded_free(&loaded);
    return status;
}

int db_load(struct db *db, struct driver_state *ret, struct db_loaded *loaded,
            struct err *err)
{
    starting_at("read and check the log in %s/raft.db (with raft.db-wal)", db->dir);
    *ret = (struct driver_state){0};
    if (check_condemned(db, err) != 0 || load_note(db, "kin", &loaded->kin, err) != 0 ||
        load_vote(db, ret, err) != 0 || load_tail(db, err) != 0 ||
        load_snapshot(db, ret, loaded, err) != 0 || load_entries(db, loaded, err) != 0)
        return err->code;
    if (db->tail.first > ret->snapshot_index + 1 || db->tail.last < ret->snapshot_index)
        return damaged(db, "log and snapshot do not meet, snapshot", ret->snapshot_index,
                       err);
    ret->first_index = db->tail.first;
    ret->entries = loaded->entries;
    ret->n_entries = loaded->n_entries;
    starting_at("check the audit trail in %s/raft.db (with raft.db-wal)", db->dir);
    return db_load_audit(db, err);
}

void db_loaded_free(struct db_loaded *loaded)
{
    for (size_t i = 0; i < loaded->n_entries; i++) {
        void *data;

        memcpy(&data, &loaded->entries[i].data, sizeof data);
        free(data);
    }
    free(loaded->entries);
    buf_free(&loaded->snapshot);
    buf_free(&loaded->kin);
    *loaded = (struct db_loaded){0};
}
