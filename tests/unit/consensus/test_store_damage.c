/* Damage is named, wherever it is, and is never taken for a shorter history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/consensus/store.h"
#include "tests/unit/consensus/store_rig.h"

/* Whatever is changed behind its back is named, and nothing is silently shorter. */
static void damage_is_named(void **state)
{
    static const struct {
        const char *sql, *says;
    } table[] = {
        {"UPDATE entries SET data = x'00' WHERE idx = 8", "(8)"},
        {"UPDATE entries SET term = 9 WHERE idx = 8", "(8)"},
        {"DELETE FROM entries WHERE idx = 8", "(8)"},
        {"DELETE FROM entries WHERE idx = 12", "(12)"},
        {"DELETE FROM entries WHERE idx = 4", "(4)"},
        {"DELETE FROM entries", "missing"},
        {"UPDATE entries SET hash = zeroblob(32) WHERE idx = 9", "(9)"},
        {"UPDATE entries SET data = (SELECT data FROM entries WHERE idx = 9), crc = "
         "(SELECT "
         "crc FROM entries WHERE idx = 9) WHERE idx = 8",
         "(8)"},
        {"UPDATE vote SET term = 1", "term"},
        {"DELETE FROM vote", "vote"},
        {"UPDATE tail SET last = 11", "end"},
        {"DELETE FROM tail", "end"},
        {"UPDATE snapshot SET data = x'00'", "snapshot"},
        {"DELETE FROM snapshot", "snapshot"},
        {"UPDATE audit SET text = 'nothing happened' WHERE seq = 2", "audit row 2"},
        {"UPDATE audit SET text = 'nothing happened' WHERE seq = 1", "audit row 1"},
        {"DELETE FROM audit WHERE seq = 1", "audit row 2"},
        {"DELETE FROM audit WHERE seq = 2", "audit row 2"},
        {"DELETE FROM audit", "audit row 1"},
        {"DELETE FROM meta WHERE key = 'cluster'", "whose it is"},
        {"DELETE FROM meta WHERE key = 'identity'", "whose it is"},
        {"UPDATE meta SET value = 'eask' WHERE key = 'node'", "whose it is"},
        {"UPDATE meta SET value = '78' WHERE key = 'store'", "whose it is"},
        {"INSERT INTO meta VALUES ('kim', x'00')", "whose it is"},
        {"DROP TABLE audit", "raft.db is damaged"},
    };
    char found[DUMP_SIZE];
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        rig_history(8);
        rig_change(table[i].sql);
        assert_int_equal(rig_load(false, found, &err), ERR_CORRUPT);
        if (strstr(err.text, table[i].says) == NULL || strstr(err.text, rig_dir) == NULL ||
            strstr(err.text, "ringfence controller replace") == NULL)
            fail_msg("%s: %s", table[i].sql, err.text);
        rig_clean();
    }
}

static void leave_wal_behind(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct store_config c = rig_config(true, NULL);
        struct driver_state state;

        if (rig_open(&c, &state, NULL) != 0)
            _exit(1);
        for (unsigned k = 1; k <= OPS; k++) {
            if (rig_put(k) != 0)
                _exit(2);
            rig_wait(k);
        }
        _exit(0); /* not closed: everything is in the write-ahead log */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* SQLite takes a damaged frame of its write-ahead log for the log's end and opens an older
 * state. The mark beside it tells. */
static void damaged_write_ahead_log_is_noticed(void **state)
{
    const off_t at = 20L * 4096; /* in a frame of the last commits; zeros come behind */
    char path[80], found[DUMP_SIZE];
    struct stat st;
    struct err err;
    uint8_t byte;
    int fd;

    (void)state;
    leave_wal_behind();
    snprintf(path, sizeof path, "%s/raft.db-wal", rig_dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > at);
    fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    assert_int_equal(rig_load(false, found, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "write-ahead log"));
}

/* Each file of the directory lost, emptied or cut: it is never taken for a new directory,
 * nor for an older state, with or without leave to begin anew. */
static void lost_files_are_no_new_directory(void **state)
{
    static const struct {
        const char *command, *says;
    } table[] = {
        {"rm raft.db", "is missing or empty"},
        {"rm raft.db raft.db-wal", "is missing or empty"},
        {": > raft.db; rm -f raft.db-wal", "is missing or empty"},
        {"truncate -s -4096 raft.db; rm -f raft.db-wal", "raft.db"},
        {"rm -f raft.db-wal", "is missing or empty"},
        {": > raft.db-wal", "is missing or empty"},
        {"rm mark", "mark is missing or damaged"},
        {": > mark", "mark is missing or damaged"},
        {"printf x | dd of=mark bs=1 count=1 conv=notrunc status=none; "
         "printf x | dd of=mark bs=1 seek=64 count=1 conv=notrunc status=none",
         "mark is missing or damaged"},
    };
    char found[DUMP_SIZE], line[400];
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        for (int bootstrap = 0; bootstrap <= 1; bootstrap++) {
            leave_wal_behind();
            snprintf(line, sizeof line, "cd %s && (%s)", rig_dir, table[i].command);
            assert_int_equal(system(line), 0);
            if (rig_load(bootstrap, found, &err) != ERR_CORRUPT ||
                strstr(err.text, table[i].says) == NULL)
                fail_msg("%s: %s", table[i].command, err.text);
            assert_non_null(strstr(err.text, "ringfence controller replace"));
            rig_clean();
        }
    leave_wal_behind();
    snprintf(line, sizeof line, "rm %s/lock", rig_dir);
    assert_int_equal(system(line), 0);
    assert_int_equal(rig_load(false, found, &err), 0); /* it holds nothing */
}

static void flip(const char *file, long at)
{
    char path[80];
    uint8_t byte;
    int fd;

    snprintf(path, sizeof path, "%s/%s", rig_dir, file);
    fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static bool two_passes(void)
{
    struct store_stats st;

    store_stats(rig.store, &st);
    return st.scrub_passes >= 2;
}

static bool has_stopped(void) { return rig.fatal != 0; }

static void turn_until(bool (*holds)(void), unsigned ms)
{
    struct mono start = mono_now();

    while (!holds() && mono_since_ms(start, mono_now()) < ms)
        uv_run(&rig.loop, UV_RUN_NOWAIT);
}

/* While it runs a byte changes under it: it stops by itself, long before anybody asks for
 * that row. What is whole it goes over again and again. */
static void damage_is_found_while_it_runs(void **state)
{
    struct store_config c = rig_config(true, NULL);
    struct driver_state s;
    struct stat st;
    char path[80];
    unsigned found = 0, tried = 0;
    struct err err;

    (void)state;
    c.scrub_ms = 2;
    for (unsigned page = 0; page < 12; page++) {
        rig_history(8);
        c.allow_bootstrap = false;
        assert_int_equal(rig_open(&c, &s, &err), 0);
        store_loaded_free(rig.store);
        turn_until(two_passes, 5000);
        assert_true(two_passes());
        assert_int_equal(rig.fatal, 0);
        snprintf(path, sizeof path, "%s/raft.db", rig_dir);
        assert_int_equal(stat(path, &st), 0);
        if (page * 4096L + 4090 < st.st_size) {
            tried++;
            flip("raft.db", page * 4096L + 4090); /* cells lie at the end of a page */
        }
        turn_until(has_stopped, 200);
        if (rig.fatal != 0) {
            found++;
            assert_int_equal(rig.fatal, ERR_CORRUPT);
            assert_non_null(strstr(rig.text, rig_dir));
        }
        rig_close();
        rig_clean();
    }
    if (found < 5 || tried < found)
        fail_msg("%u of %u were found", found, tried);
}

/* ---- the index of the audit trail by group ------------------------------------------- */

enum { TRAIL_ENTRIES = 300, TRAIL_ROWS = 2 * TRAIL_ENTRIES, INDEX_PAGES_MAX = 40 };

static sqlite3 *open_closed(void)
{
    char path[80];
    sqlite3 *db;

    snprintf(path, sizeof path, "%s/raft.db", rig_dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static unsigned index_pages(unsigned ret[INDEX_PAGES_MAX])
{
    sqlite3 *db = open_closed();
    sqlite3_stmt *s;
    unsigned n = 0;

    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT pageno FROM dbstat WHERE name = "
                                        "'audit_by_group' ORDER BY path",
                                        -1, &s, NULL),
                     SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW && n < INDEX_PAGES_MAX)
        ret[n++] = (unsigned)sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n; /* the root is the first */
}

/* The index's pages as a table of their own, so that the rows that it is of stay as they
 * are. */
static void change_index(const char *sql)
{
    unsigned pages[INDEX_PAGES_MAX];
    sqlite3 *db;

    assert_true(index_pages(pages) > 0);
    db = open_closed();
    sqlite3_test_control(SQLITE_TESTCTRL_IMPOSTER, db, "main", 1, (int)pages[0]);
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TABLE by_group (grp, seq, row, PRIMARY KEY (grp, "
                                  "seq, row)) WITHOUT ROWID",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_test_control(SQLITE_TESTCTRL_IMPOSTER, db, "main", 0, 0);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_total_changes(db) > 0);
    sqlite3_close(db);
}

/* A log of one group is read by the index: a row that it lacks would be missed there,
 * though the trail itself is whole. */
static void an_index_that_lacks_rows_is_named(void **state)
{
    static const struct {
        const char *sql, *says;
    } table[] = {
        {"DELETE FROM by_group WHERE seq = 1", "audit row 1"},
        {"DELETE FROM by_group WHERE seq = 2", "audit row 2"},
        {"DELETE FROM by_group", "audit row 1"},
        {"UPDATE by_group SET grp = 'carts' WHERE seq = 1", "audit row 1"},
        {"UPDATE by_group SET grp = CAST(grp AS BLOB) WHERE seq = 1", "audit row 1"},
        {"UPDATE by_group SET seq = 3 WHERE seq = 2", "audit row 2"},
        {"UPDATE by_group SET row = 3 WHERE seq = 2", "audit row 2"},
        {"INSERT INTO by_group VALUES ('orders', 99, 99)", "3 rows, the trail has 2"},
        {"INSERT INTO by_group VALUES ('orders', 1, 2)", "3 rows, the trail has 2"},
        {"INSERT INTO by_group VALUES (NULL, 1, 1)", "3 rows, the trail has 2"},
    };
    char found[DUMP_SIZE];
    uint64_t rows;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        rig_history(8);
        change_index(table[i].sql);
        assert_int_equal(rig_load(false, found, &err), ERR_CORRUPT);
        if (strstr(err.text, table[i].says) == NULL || strstr(err.text, rig_dir) == NULL ||
            strstr(err.text, "index of the audit trail by group") == NULL ||
            strstr(err.text, "ringfence controller replace") == NULL)
            fail_msg("%s: %s", table[i].sql, err.text);
        assert_int_equal(store_verify_audit(rig_dir, &rows, &err), ERR_CORRUPT);
        rig_clean();
    }
    rig_history(8);
    rig_change("DROP INDEX audit_by_group");
    assert_int_equal(rig_load(false, found, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "audit_by_group"));
    assert_non_null(strstr(err.text, "ringfence controller replace"));
}

static void write_trail(void)
{
    struct store_config c = rig_config(true, NULL);
    struct driver_state s;
    struct err err;

    if (rig_open(&c, &s, &err) != 0)
        fail_msg("%s", err.text);
    store_loaded_free(rig.store);
    for (unsigned i = 0; i < TRAIL_ENTRIES; i++)
        assert_int_equal(rig_audit(2 + i), 0);
    assert_int_equal(rig_vote(1, 2, 1), 0); /* brings them to the disk */
    rig_wait(1);
    rig_close();
}

static void change_bit(unsigned page, unsigned at, unsigned bit)
{
    char path[80];
    uint8_t byte;
    int fd;

    snprintf(path, sizeof path, "%s/raft.db", rig_dir);
    fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, (off_t)(page - 1) * 4096 + at), 1);
    byte ^= (uint8_t)(1u << bit);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(page - 1) * 4096 + at), 1);
    close(fd);
}

static struct {
    uint64_t last; /* its seq */
    size_t n;
    bool answered, in_order;
} answer;

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    (void)owner;
    answer.answered = true;
    answer.in_order = status == 0;
    answer.n = n;
    for (size_t i = 0; i < n && answer.in_order; i++) {
        answer.in_order =
            rows[i].seq == answer.last + 2 && strcmp(rows[i].group, "orders") == 0;
        answer.last = rows[i].seq;
    }
}

static bool has_answered(void) { return answer.answered || rig.fatal != 0; }

/* Each second row, 1 to TRAIL_ROWS - 1, is one of orders. */
static bool page_is_whole(uint64_t after, unsigned limit)
{
    struct audit_query q = {.group = "orders", .after_seq = after, .limit = limit};
    size_t left = (TRAIL_ROWS - after) / 2;

    answer.answered = false;
    answer.last = after + after % 2 - 1;
    assert_int_equal(store_query_audit(rig.store, &q, on_rows, NULL, NULL), 0);
    turn_until(has_answered, WAIT_MS);
    return answer.answered && answer.in_order && answer.n == (left < limit ? left : limit);
}

/* True: refused by name. False: it opened, and what it says of a group is whole. */
static bool is_refused_or_whole(unsigned page, unsigned at)
{
    struct store_config c = rig_config(false, NULL);
    struct driver_state s;
    bool whole = true;
    struct err err;

    if (rig_open(&c, &s, &err) != 0) {
        if (err.code != ERR_CORRUPT || strstr(err.text, rig_dir) == NULL ||
            strstr(err.text, "ringfence controller replace") == NULL)
            fail_msg("page %u at %u: %s", page, at, err.text);
        return true;
    }
    store_loaded_free(rig.store);
    for (uint64_t after = 0; after < TRAIL_ROWS && whole; after += 60)
        whole = page_is_whole(after, after == 0 ? STORE_AUDIT_PAGE_MAX : 30);
    rig_close();
    if (!whole)
        fail_msg("page %u at %u: rows of a group are missed", page, at);
    return false;
}

/* Bits of the index's pages alone, wherever they are: a damage is refused, or does not
 * matter. */
static void no_bit_of_the_index_hides_a_row(void **state)
{
    const char *more = getenv("RF_TRIALS"); /* for a long search */
    const unsigned trials = more != NULL ? (unsigned)strtoul(more, NULL, 10) : 240;
    unsigned pages[INDEX_PAGES_MAX], n, refused = 0, tried = 0;
    uint64_t dice = trials;

    (void)state;
    write_trail();
    n = index_pages(pages);
    assert_true(n > 3); /* a root, and pages under it */
    for (; tried < trials; tried++) {
        unsigned page = pages[tried % n], at;

        dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        at = (dice >> 60) % 4 == 0 ? (unsigned)(dice >> 33) % 64 /* its head */
                                   : (unsigned)(dice >> 33) % 4096;
        change_bit(page, at, (unsigned)(dice >> 50) % 8);
        if (is_refused_or_whole(page, at))
            refused++;
        change_bit(page, at, (unsigned)(dice >> 50) % 8);
    }
    print_message("%u of %u were refused\n", refused, tried);
    assert_in_range(refused, tried / 3, tried - 1);
    assert_false(is_refused_or_whole(0, 0)); /* as it was */
}

/* And while it runs, though nobody asks for that group. */
static void a_damaged_index_is_found_while_it_runs(void **state)
{
    struct store_config c = rig_config(false, NULL);
    unsigned pages[INDEX_PAGES_MAX], n;
    struct driver_state s;
    struct err err;

    (void)state;
    c.scrub_ms = 1;
    write_trail();
    n = index_pages(pages);
    for (unsigned i = 1; i < n; i++) {
        assert_int_equal(rig_open(&c, &s, &err), 0);
        store_loaded_free(rig.store);
        turn_until(two_passes, 5000);
        assert_int_equal(rig.fatal, 0);
        change_bit(pages[i], 4090, 2); /* cells lie at the end of a page */
        turn_until(has_stopped, 10000);
        assert_int_equal(rig.fatal, ERR_CORRUPT);
        assert_non_null(strstr(rig.text, rig_dir));
        assert_non_null(strstr(rig.text, "ringfence controller replace"));
        rig_close();
        change_bit(pages[i], 4090, 2);
    }
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(damage_is_named),
        CLAIM(lost_files_are_no_new_directory),
        CLAIM(damage_is_found_while_it_runs),
        CLAIM(damaged_write_ahead_log_is_noticed),
        CLAIM(an_index_that_lacks_rows_is_named),
        CLAIM(no_bit_of_the_index_hides_a_row),
        CLAIM(a_damaged_index_is_found_while_it_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
