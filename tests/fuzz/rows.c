#include "tests/fuzz/rows.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/auto.h"
#include "controller/consensus/kin.h"
#include "controller/consensus/store_db.h"
#include "proto/envelope.h"
#include "tests/fuzz/drivers.h"
#include "tests/fuzz/fuzz.h"

static struct store_config config_of_rows(const char *dir, const struct buf *list)
{
    return (struct store_config){.dir = dir,
                                 .cluster = "fuzz",
                                 .node = "a",
                                 .node_id = 1,
                                 .incarnation = 1,
                                 .allow_bootstrap = list->len != 0,
                                 .digest = 4711,
                                 .new_id = 1,
                                 .bootstrap_entry = list->data,
                                 .bootstrap_len = list->len};
}

/* ---- the whole one ------------------------------------------------------------------- */

/* Entries 2 to 4, a snapshot of 3 that leaves 3 and 4, the table of stores, two rows of the
 * audit trail. */
static int fill(struct db *db, const struct buf *list, struct err *err)
{
    struct envelope e = {.leader_id = 1, .wall_ms = 1, .body = (const uint8_t *)"x"};
    struct snapshot_envelope s = {.index = 3, .term = 1, .taken_by = 1, .members_index = 1};
    struct audit_row rows[2] = {{.index = 2, .term = 1, .kind = "declare", .group = "g"},
                                {.index = 4, .term = 1, .kind = "activate", .group = "g"}};
    AUTO(buf_free) struct buf command = {0}, snapshot = {0}, table = {0};
    struct consensus_entry entries[3];
    struct order_store_entries more = {0, 2, entries, 3};
    struct order_store_snapshot taken = {.index = 3, .term = 1, .keep_from = 3};
    const uint64_t ids[] = {1, 2, 3};
    struct kin k;

    e.len = 1;
    s.members = list->data;
    s.members_len = list->len;
    s.body = (const uint8_t *)"state";
    s.len = 5;
    kin_init(&k, &(struct kin_self){1, 1, 4711}, ids, 3);
    if (envelope_seal(&e, &command, err) != 0 || snapshot_seal(&s, &snapshot, err) != 0 ||
        kin_encode(&k, &table, err) != 0)
        return err->code;
    for (unsigned i = 0; i < 3; i++)
        entries[i] = (struct consensus_entry){1, ENTRY_COMMAND, command.data, command.len};
    taken.data = snapshot.data;
    taken.len = snapshot.len;
    if (db_begin(db, err) != 0 || db_put_entries(db, &more, err) != 0 ||
        db_put_snapshot(db, &taken, err) != 0 || db_put_vote(db, 1, 2, err) != 0 ||
        db_put_note(db, NOTE_KIN, table.data, table.len, err) != 0 ||
        db_put_audit(db, rows, 1, err) != 0 || db_put_audit(db, rows + 1, 1, err) != 0)
        return err->code;
    return db_commit(db, err);
}

static struct {
    uint8_t *image;
    size_t len;
    int mark;
} whole;

static void make_whole(void)
{
    AUTO(buf_free) struct buf list = {0};
    struct driver_config d = drivers_config(1);
    struct store_config c;
    char path[160];
    struct err err = {0};
    struct db db;
    FILE *f;

    CLAIM(driver_bootstrap_entry(&d, &list, &err) == 0, "%s", err.text);
    c = config_of_rows(fuzz_scratch(), &list);
    CLAIM(db_open(&db, &c, &err) == 0 && db_identify(&db, &c, &err) == 0 &&
              fill(&db, &list, &err) == 0,
          "%s", err.text);
    snprintf(path, sizeof path, "%s/mark", fuzz_scratch());
    whole.mark = open(path, O_RDWR | O_CLOEXEC);
    db_close(&db);
    snprintf(path, sizeof path, "%s/raft.db", fuzz_scratch());
    f = fopen(path, "rb");
    CLAIM(f != NULL, "no %s", path);
    whole.image = malloc(1 << 20);
    CLAIM(whole.image != NULL, "no memory");
    whole.len = fread(whole.image, 1, 1 << 20, f);
    fclose(f);
    /* A database in memory has no write-ahead log. */
    whole.image[18] = whole.image[19] = 1;
}

static void open_copy(struct db *db)
{
    unsigned char *copy = sqlite3_malloc64(whole.len);
    struct err err = {0};

    *db = (struct db){.dir = "data", .mark_fd = whole.mark};
    CLAIM(copy != NULL, "no memory");
    memcpy(copy, whole.image, whole.len);
    CLAIM(sqlite3_open(":memory:", &db->handle) == SQLITE_OK, "no database");
    CLAIM(sqlite3_deserialize(
              db->handle, "main", copy, (sqlite3_int64)whole.len, (sqlite3_int64)whole.len,
              SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE) == SQLITE_OK,
          "no copy: %s", sqlite3_errmsg(db->handle));
    CLAIM(db_prepare_all(db, &err) == 0, "%s", err.text);
}

/* ---- changes ------------------------------------------------------------------------- */

static const struct {
    const char *table, *column, *row;
} columns[] = {
    {"meta", "value", "key"},    {"meta", "key", "key"},      {"vote", "term", "id"},
    {"vote", "vote", "id"},      {"vote", "crc", "id"},       {"entries", "idx", "idx"},
    {"entries", "term", "idx"},  {"entries", "kind", "idx"},  {"entries", "data", "idx"},
    {"entries", "crc", "idx"},   {"entries", "hash", "idx"},  {"tail", "commits", "id"},
    {"tail", "first", "id"},     {"tail", "last", "id"},      {"tail", "base", "id"},
    {"tail", "hash", "id"},      {"tail", "audit_seq", "id"}, {"tail", "audit_hash", "id"},
    {"snapshot", "idx", "id"},   {"snapshot", "term", "id"},  {"snapshot", "data", "id"},
    {"snapshot", "crc", "id"},   {"audit", "seq", "seq"},     {"audit", "idx", "seq"},
    {"audit", "wall_ms", "seq"}, {"audit", "kind", "seq"},    {"audit", "grp", "seq"},
    {"audit", "text", "seq"},    {"audit", "prev", "seq"},    {"audit", "hash", "seq"},
};

static void run(const struct db *db, const char *sql, struct bytes *b, const char *key)
{
    sqlite3_stmt *s = NULL;
    const uint8_t *part;
    size_t len;

    if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) != SQLITE_OK)
        return;
    switch (bytes_pick(b, 4)) {
    case 0:
        sqlite3_bind_int64(s, 1, (sqlite3_int64)bytes_near(b, bytes_next(b)));
        break;
    case 1:
        len = bytes_part(b, &part);
        sqlite3_bind_blob(s, 1, part, (int)len, SQLITE_STATIC);
        break;
    case 2:
        len = bytes_part(b, &part);
        sqlite3_bind_text(s, 1, (const char *)part, (int)len, SQLITE_STATIC);
        break;
    default:
        sqlite3_bind_double(s, 1, bytes_next(b) / 7.0);
    }
    if (key != NULL)
        sqlite3_bind_text(s, 2, key, -1, SQLITE_STATIC);
    else
        sqlite3_bind_int64(s, 2, 1 + bytes_pick(b, 4));
    (void)sqlite3_step(s); /* a constraint may refuse it */
    sqlite3_finalize(s);
}

static void change(const struct db *db, struct bytes *b)
{
    static const char *const keys[] = {"format", "cluster", "node",     "node_id",  "kin",
                                       "store",  "digest",  "identity", "condemned"};
    uint8_t which = bytes_pick(b, sizeof columns / sizeof *columns);
    bool meta = strcmp(columns[which].table, "meta") == 0;
    char sql[160];

    if (bytes_pick(b, 8) == 7)
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE ?1 = ?1 AND %s = ?2",
                 columns[which].table, columns[which].row);
    else
        snprintf(sql, sizeof sql, "UPDATE %s SET %s = ?1 WHERE %s = ?2",
                 columns[which].table, columns[which].column, columns[which].row);
    run(db, sql, b, meta ? keys[bytes_pick(b, sizeof keys / sizeof *keys)] : NULL);
}

/* Checksums and hashes as if the rows had been written like this. */
static void fit_entries(struct db *db, struct db_tail *t)
{
    sqlite3_stmt *read = NULL, *write = NULL;
    struct err err = {0};

    if (db_prepare(db, "SELECT idx, term, kind, data FROM entries ORDER BY idx", &read,
                   &err) != 0 ||
        db_prepare(db, "UPDATE entries SET crc = ?1, hash = ?2 WHERE idx = ?3", &write,
                   &err) != 0)
        CLAIM(false, "%s", err.text);
    memcpy(t->hash, t->base, CHAIN_SIZE);
    while (sqlite3_step(read) == SQLITE_ROW) {
        uint64_t index = (uint64_t)sqlite3_column_int64(read, 0);
        struct consensus_entry e = {.term = (uint64_t)sqlite3_column_int64(read, 1)};

        e.kind = (enum consensus_entry_kind)sqlite3_column_int(read, 2);
        e.data = sqlite3_column_blob(read, 3);
        e.len = (size_t)sqlite3_column_bytes(read, 3);
        db_entry_hash(t->hash, index, &e, t->hash);
        sqlite3_bind_int64(write, 1, db_entry_crc(index, &e));
        sqlite3_bind_blob(write, 2, t->hash, CHAIN_SIZE, SQLITE_STATIC);
        sqlite3_bind_int64(write, 3, (sqlite3_int64)index);
        (void)sqlite3_step(write);
        sqlite3_reset(write);
    }
    sqlite3_finalize(read);
    sqlite3_finalize(write);
}

static void read_hash(sqlite3_stmt *s, int column, uint8_t ret[CHAIN_SIZE])
{
    if (sqlite3_column_bytes(s, column) == CHAIN_SIZE)
        memcpy(ret, sqlite3_column_blob(s, column), CHAIN_SIZE);
}

static void fit(struct db *db)
{
    sqlite3_stmt *s = NULL;
    struct db_tail t = {0};
    struct err err = {0};

    if (db_prepare(db, "SELECT commits, first, last, base, audit_seq, audit_hash FROM tail",
                   &s, &err) != 0)
        CLAIM(false, "%s", err.text);
    if (sqlite3_step(s) == SQLITE_ROW) {
        t.commits = (uint64_t)sqlite3_column_int64(s, 0);
        t.first = (uint64_t)sqlite3_column_int64(s, 1);
        t.last = (uint64_t)sqlite3_column_int64(s, 2);
        t.audit_seq = (uint64_t)sqlite3_column_int64(s, 4);
        read_hash(s, 3, t.base);
        read_hash(s, 5, t.audit_hash);
    }
    sqlite3_finalize(s);
    fit_entries(db, &t);
    if (db_prepare(db, "UPDATE tail SET hash = ?1, crc = ?2", &s, &err) != 0)
        CLAIM(false, "%s", err.text);
    sqlite3_bind_blob(s, 1, t.hash, CHAIN_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, db_tail_crc(&t));
    (void)sqlite3_step(s);
    sqlite3_finalize(s);
}

static void fit_vote(struct db *db)
{
    sqlite3_stmt *s = NULL;
    uint64_t term = 0, vote = 0;
    struct err err = {0};

    if (db_prepare(db, "SELECT term, vote FROM vote", &s, &err) != 0)
        CLAIM(false, "%s", err.text);
    if (sqlite3_step(s) == SQLITE_ROW) {
        term = (uint64_t)sqlite3_column_int64(s, 0);
        vote = (uint64_t)sqlite3_column_int64(s, 1);
    }
    sqlite3_finalize(s);
    if (db_prepare(db, "UPDATE vote SET crc = ?1", &s, &err) != 0)
        CLAIM(false, "%s", err.text);
    sqlite3_bind_int64(s, 1, db_vote_crc(term, vote));
    (void)sqlite3_step(s);
    sqlite3_finalize(s);
}

/* ---- a start ------------------------------------------------------------------------- */

static void start(const struct driver_state *state, const struct db_loaded *loaded)
{
    struct driver_config c = drivers_config(1);
    struct orders o = {0};
    struct driver *d = NULL;
    struct err err = {0};
    struct kin k;

    if (loaded->kin.len != 0 &&
        kin_decode(loaded->kin.data, loaded->kin.len, &k, &err) != 0)
        CLAIM(err.text[0] != '\0', "refused without a word");
    CLAIM(driver_new(&d, &c, &err) == 0, "%s", err.text);
    if (driver_start(d, 1000, state, &o, &err) != 0)
        CLAIM(err.text[0] != '\0', "refused without a word");
    else if (driver_tick(d, 5000, &o, &err) != 0)
        CLAIM(err.text[0] != '\0', "stopped without a word");
    orders_free(&o);
    driver_free(d);
}

void rows_try(const uint8_t *data, size_t size)
{
    static const struct buf no_list;
    struct bytes b = {data, data + size};
    struct store_config c = config_of_rows("data", &no_list);
    struct driver_state state;
    struct db_loaded loaded = {0};
    struct err err = {0};
    uint8_t how;
    struct db db;

    if (whole.image == NULL)
        make_whole();
    open_copy(&db);
    how = bytes_next(&b);
    for (unsigned i = 0; i < 8 && bytes_left(&b); i++)
        change(&db, &b);
    if (how & 1)
        fit(&db);
    if (how & 2)
        fit_vote(&db);
    if (((how & 4) == 0 && db_identify(&db, &c, &err) != 0) ||
        db_load(&db, &state, &loaded, &err) != 0)
        CLAIM(err.text[0] != '\0', "refused without a word");
    else
        start(&state, &loaded);
    db_loaded_free(&loaded);
    db.mark_fd = -1; /* of them all */
    db_close(&db);
}
