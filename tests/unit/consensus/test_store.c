/* The store keeps what it acknowledged, whatever happens at whatever step, and notices when
 * somebody else did not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <inttypes.h>
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
#include "tests/unit/consensus/faulty_vfs.h"
#include "tests/unit/consensus/tree.h"

enum { OPS = 10, WAIT_MS = 20000, DUMP_SIZE = 2048 };

static char dir[64];

static struct {
    uv_loop_t loop;
    struct store *store;
    uint64_t done;
    int fatal;
    char text[512];
} t;

static void on_done(void *owner, uint64_t seq)
{
    (void)owner;
    t.done = t.fatal == 0 ? seq : UINT64_MAX; /* after a fatal error nothing is reported */
}

static void on_fatal(void *owner, const struct err *err)
{
    (void)owner;
    t.fatal = t.fatal == 0 ? err->code : 1; /* once */
    snprintf(t.text, sizeof t.text, "%s", err->text);
}

static struct store_config config_of(bool bootstrap, const char *vfs)
{
    static const uint8_t voters[] = "voters";

    return (struct store_config){.dir = dir,
                                 .cluster = "test",
                                 .node = "east",
                                 .node_id = 1,
                                 .incarnation = 1,
                                 .allow_bootstrap = bootstrap,
                                 .bootstrap_entry = voters,
                                 .bootstrap_len = sizeof voters,
                                 .vfs = vfs};
}

static int open_with(const struct store_config *c, struct driver_state *state,
                     struct err *err)
{
    struct store_callbacks callbacks = {on_done, on_fatal, NULL};
    int status;

    memset(&t, 0, sizeof t);
    uv_loop_init(&t.loop);
    status = store_open(&t.store, &t.loop, c, callbacks, state, err);
    if (status != 0) {
        uv_run(&t.loop, UV_RUN_DEFAULT);
        uv_loop_close(&t.loop);
    }
    return status;
}

static void close_store(void)
{
    store_close(t.store);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t.loop), 0);
}

/* What a restart would see, in words. */
static void dump(const struct driver_state *s, char *out)
{
    size_t n = (size_t)snprintf(
        out, DUMP_SIZE,
        "term %" PRIu64 " vote %" PRIu64 " snapshot %" PRIu64 "^%" PRIu64 " %.*s |",
        s->term, s->vote, s->snapshot_index, s->snapshot_term, (int)s->snapshot_len,
        s->snapshot != NULL ? (const char *)s->snapshot : "");

    for (size_t i = 0; i < s->n_entries; i++)
        n += (size_t)snprintf(out + n, DUMP_SIZE - n, " %" PRIu64 "^%" PRIu64 ":%d:%.*s",
                              s->first_index + i, s->entries[i].term,
                              (int)s->entries[i].kind, (int)s->entries[i].len,
                              (const char *)s->entries[i].data);
}

static int load_dump(bool bootstrap, char *out, struct err *err)
{
    struct store_config c = config_of(bootstrap, NULL);
    struct driver_state state;
    int status = open_with(&c, &state, err);

    if (status != 0)
        return status;
    dump(&state, out);
    store_loaded_free(t.store);
    close_store();
    return 0;
}

/* ---- a history ----------------------------------------------------------------------- */

static int put_entries(uint64_t seq, uint64_t first, uint64_t term, const char *text)
{
    struct consensus_entry e[3];
    struct order_store_entries o = {seq, first, e, 3};
    char data[3][64];

    for (unsigned i = 0; i < 3; i++) {
        snprintf(data[i], sizeof data[i], "%s%u", text, i);
        e[i] = (struct consensus_entry){term, ENTRY_COMMAND, (const uint8_t *)data[i],
                                        strlen(data[i])};
    }
    return store_put_entries(t.store, &o, NULL);
}

static int put_vote(uint64_t seq, uint64_t term, uint64_t vote)
{
    struct order_store_vote o = {seq, term, vote};

    return store_put_vote(t.store, &o, NULL);
}

static int put_snapshot(uint64_t seq, uint64_t index, bool discard, uint64_t keep)
{
    static const char text[] = "state";
    struct order_store_snapshot o = {
        seq, index, 2, (const uint8_t *)text, sizeof text - 1, discard, keep};

    return store_put_snapshot(t.store, &o, NULL);
}

static int put_audit(uint64_t index)
{
    struct audit_row rows[2] = {{.index = index, .kind = "run", .group = "orders"},
                                {.index = index, .kind = "proof", .group = "carts"}};

    snprintf(rows[0].text, sizeof rows[0].text, "entry %" PRIu64, index);
    return store_put_audit(t.store, rows, 2, NULL);
}

/* Operation k of 1..OPS, of every sort; each one's seq is k. */
static int put(unsigned k)
{
    switch (k) {
    case 1:
        return put_vote(k, 2, 1);
    case 2:
        return put_entries(k, 2, 2, "a");
    case 3: /* audit rows alone wait for company; the vote brings it */
        return put_audit(4) != 0 ? -1 : put_vote(k, 2, 3);
    case 4:
        return put_entries(k, 4, 3, "b"); /* cuts entry 4 off */
    case 5:
        return put_entries(k, 7, 3, "c");
    case 6:
        return put_snapshot(k, 6, false, 4);
    case 7:
        return put_entries(k, 10, 3, "d");
    case 8:
        return put_vote(k, 9, 2);
    case 9:
        return put_snapshot(k, 40, true, 41);
    default:
        return put_entries(k, 41, 9, "e");
    }
}

static void wait_done(uint64_t seq)
{
    struct mono start = mono_now();

    while (t.done < seq && t.fatal == 0) {
        uv_run(&t.loop, UV_RUN_NOWAIT);
        if (mono_since_ms(start, mono_now()) > WAIT_MS)
            fail_msg("operation %" PRIu64 " not done within %d ms", seq, WAIT_MS);
    }
}

static char expected[OPS + 1][DUMP_SIZE];

static void remove_dir(void) { tree_remove(dir); }

static int setup(void **state)
{
    (void)state;
    /* The faulty VFS plays the disk that forgets, so memory will do, and is quicker. */
    snprintf(dir, sizeof dir, "%s/rf-cons-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    remove_dir();
    return 0;
}

/* The history without faults, reopened after each operation. */
static void run_history(unsigned ops)
{
    struct store_config c = config_of(true, NULL);
    struct driver_state state;
    struct err err;

    if (open_with(&c, &state, &err) != 0)
        fail_msg("%s", err.text);
    store_loaded_free(t.store);
    for (unsigned k = 1; k <= ops; k++) {
        assert_int_equal(put(k), 0);
        wait_done(k);
    }
    close_store();
}

static void expect_all(void)
{
    static bool known;
    struct err err;

    if (known)
        return;
    known = true;

    for (unsigned k = 0; k <= OPS; k++) {
        run_history(k);
        if (load_dump(false, expected[k], &err) != 0)
            fail_msg("%s", err.text);
        remove_dir();
    }
}

/* ---- claims -------------------------------------------------------------------------- */

/* A restart finds exactly what was stored: cut, compacted and replaced as ordered. */
static void loads_what_was_stored(void **state)
{
    (void)state;
    expect_all();
    assert_non_null(strstr(expected[0], "term 1 vote 0 snapshot 0^0  | 1^1:3:voters"));
    assert_non_null(strstr(expected[3], "term 2 vote 3"));
    assert_non_null(strstr(expected[4], "2^2:1:a0 3^2:1:a1 4^3:1:b0 5^3:1:b1 6^3:1:b2"));
    assert_null(strstr(expected[4], "a2"));
    assert_non_null(strstr(expected[6], "snapshot 6^2 state | 4^3:1:b0"));
    assert_non_null(strstr(expected[9], "snapshot 40^2 state |"));
    assert_null(strstr(expected[9], ":1:"));
    assert_non_null(strstr(expected[10], "| 41^9:1:e0 42^9:1:e1 43^9:1:e2"));
}

/* Runs the history with a fault; tells through `out` what was acknowledged. */
static void run_child(enum faulty_mode mode, unsigned step, int out)
{
    struct store_config c = config_of(true, FAULTY_NAME);
    struct driver_state state;
    uint8_t acknowledged;

    faulty_set(mode, step);
    if (open_with(&c, &state, NULL) != 0)
        _exit(0);
    store_loaded_free(t.store);
    for (unsigned k = 1; k <= OPS; k++) {
        if (put(k) != 0)
            break;
        wait_done(k);
        if (t.fatal != 0 || t.done == UINT64_MAX)
            break;
        acknowledged = (uint8_t)k;
        if (write(out, &acknowledged, 1) != 1)
            _exit(9);
    }
    if (t.done == UINT64_MAX || t.fatal == 1)
        _exit(8);
    if (mode == FAULTY_FULL && t.fatal != 0 && strstr(t.text, "disk full") == NULL)
        _exit(7);
    _exit(t.fatal == 0 ? 42 : 0); /* 42: the whole history, no fault any more */
}

/* True when the fault lay behind the end of the history. */
static bool survives(enum faulty_mode mode, unsigned step)
{
    int fds[2], status;
    uint8_t acknowledged = 0, next;
    char found[DUMP_SIZE];
    struct err err;
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (child == 0)
        run_child(mode, step, fds[1]);
    close(fds[1]);
    while (read(fds[0], &next, 1) == 1)
        acknowledged = next;
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 42)
        fail_msg("mode %d step %u: child says %d", mode, step, WEXITSTATUS(status));
    if (load_dump(true, found, &err) != 0)
        fail_msg("mode %d step %u: %s", mode, step, err.text);
    if (strcmp(found, expected[acknowledged]) != 0 &&
        (acknowledged == OPS || strcmp(found, expected[acknowledged + 1]) != 0))
        fail_msg("mode %d step %u: acknowledged %u, found %s", mode, step, acknowledged,
                 found);
    remove_dir();
    return WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

static void survives_at_every_step(enum faulty_mode mode)
{
    enum { STEPS_MAX = 2000, STEPS_MIN = 40 };
    unsigned step = 1;

    expect_all();
    while (!survives(mode, step) && step < STEPS_MAX)
        step++;
    assert_in_range(step, STEPS_MIN, STEPS_MAX - 1);
}

/* SIGKILL before each write and sync. */
static void killed_at_every_step(void **state)
{
    (void)state;
    survives_at_every_step(FAULTY_KILL);
}

/* The power fails before each, and nothing that was not synced is left. */
static void power_cut_at_every_step(void **state)
{
    (void)state;
    survives_at_every_step(FAULTY_POWER);
}

/* From each step on the disk gives errors: the store stops, once, and lost nothing. */
static void disk_error_at_every_step(void **state)
{
    (void)state;
    survives_at_every_step(FAULTY_IO);
}

/* From each step on the disk is full. */
static void disk_full_at_every_step(void **state)
{
    (void)state;
    survives_at_every_step(FAULTY_FULL);
}

static void change(const char *sql)
{
    char path[80];
    sqlite3 *db;

    snprintf(path, sizeof path, "%s/raft.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

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
        {"DELETE FROM meta WHERE key = 'cluster'", "cluster"},
    };
    char found[DUMP_SIZE];
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        run_history(8);
        change(table[i].sql);
        assert_int_equal(load_dump(false, found, &err), ERR_CORRUPT);
        if (strstr(err.text, table[i].says) == NULL || strstr(err.text, dir) == NULL)
            fail_msg("%s: %s", table[i].sql, err.text);
        remove_dir();
    }
}

static void leave_wal_behind(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct store_config c = config_of(true, NULL);
        struct driver_state state;

        if (open_with(&c, &state, NULL) != 0)
            _exit(1);
        for (unsigned k = 1; k <= OPS; k++) {
            if (put(k) != 0)
                _exit(2);
            wait_done(k);
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
    char path[80], found[DUMP_SIZE];
    struct stat st;
    struct err err;
    uint8_t byte;
    int fd;

    (void)state;
    leave_wal_behind();
    snprintf(path, sizeof path, "%s/raft.db-wal", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 20L * 4096);
    fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, st.st_size * 3 / 4), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size * 3 / 4), 1);
    close(fd);
    assert_int_equal(load_dump(false, found, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "write-ahead log"));
}

/* Somebody else's directory: what, where, what to do. */
static void foreign_directories_are_refused(void **state)
{
    struct store_config node = config_of(false, NULL), cluster = node, life = node,
                        id = node;
    struct driver_state s;
    struct err err;
    char found[DUMP_SIZE];

    (void)state;
    assert_int_equal(load_dump(false, found, &err), ERR_NOTFOUND);
    run_history(1);
    node.node = "west";
    assert_int_equal(open_with(&node, &s, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "belongs to node east"));
    assert_non_null(strstr(err.text, dir));
    cluster.cluster = "other";
    assert_int_equal(open_with(&cluster, &s, &err), ERR_CONFLICT);
    id.node_id = 2;
    assert_int_equal(open_with(&id, &s, &err), ERR_CONFLICT);
    life.incarnation = 2;
    assert_int_equal(open_with(&life, &s, &err), ERR_CONFLICT);
    change("UPDATE meta SET value = '99' WHERE key = 'format'");
    assert_int_equal(load_dump(false, found, &err), ERR_UNSUPPORTED);
}

/* Two processes on one directory would both vote. */
static void second_process_is_refused(void **state)
{
    struct store_config c = config_of(true, NULL);
    struct driver_state s;
    struct err err;
    int status;
    pid_t child;

    (void)state;
    assert_int_equal(open_with(&c, &s, &err), 0);
    store_loaded_free(t.store);
    child = fork();
    if (child == 0)
        _exit(open_with(&c, &s, &err) == ERR_BUSY && strstr(err.text, dir) != NULL ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close_store();
}

/* A disk that does not come back stops the node; here the child says how. */
static void stalled_disk_is_fatal(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        struct store_config c = config_of(true, FAULTY_NAME);
        struct driver_state s;

        c.stall_ms = 200;
        if (open_with(&c, &s, NULL) != 0)
            _exit(1);
        faulty_set(FAULTY_STALL, 1);
        if (put_vote(1, 2, 1) != 0)
            _exit(2);
        wait_done(1);
        store_close(t.store); /* does not wait for the disk */
        _exit(t.fatal == ERR_TIMEOUT && t.done == 0 ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- the audit trail ----------------------------------------------------------------- */

static struct audit_row read_rows[8];
static size_t n_read;
static bool was_read;

static void on_rows(void *owner, const struct audit_row *rows, size_t n, int status)
{
    (void)owner;
    assert_int_equal(status, 0);
    assert_true(n <= ARRAY_LEN(read_rows));
    memcpy(read_rows, rows, n * sizeof *rows);
    n_read = n;
    was_read = true;
}

static void query(struct audit_query q)
{
    struct mono start = mono_now();

    was_read = false;
    assert_int_equal(store_query_audit(t.store, &q, on_rows, NULL, NULL), 0);
    while (!was_read && mono_since_ms(start, mono_now()) < WAIT_MS)
        uv_run(&t.loop, UV_RUN_NOWAIT);
    assert_true(was_read);
}

/* Each entry once, whatever is applied again; by group, from a place, the newest. */
static void audit_rows_are_kept_once(void **state)
{
    struct store_config c = config_of(true, NULL);
    struct driver_state s;
    uint64_t rows = 0;

    (void)state;
    assert_int_equal(open_with(&c, &s, NULL), 0);
    store_loaded_free(t.store);
    assert_int_equal(put_audit(2), 0);
    assert_int_equal(put_audit(3), 0);
    assert_int_equal(put_audit(2), 0); /* as after a restart */
    query((struct audit_query){.limit = 8});
    assert_int_equal(n_read, 4);
    assert_memory_equal(read_rows[3].prev_hash, read_rows[2].hash, CHAIN_SIZE);
    query((struct audit_query){.limit = 8, .group = "orders"});
    assert_int_equal(n_read, 2);
    assert_string_equal(read_rows[1].text, "entry 3");
    query((struct audit_query){.limit = 8, .group = "orders", .after_seq = 1});
    assert_int_equal(n_read, 1);
    query((struct audit_query){.limit = 2, .newest = true});
    assert_int_equal(n_read, 2);
    assert_int_equal(read_rows[0].seq, 3);
    assert_int_equal(put_snapshot(1, 40, true, 41), 0);
    query((struct audit_query){.limit = 1, .newest = true});
    assert_string_equal(read_rows[0].kind, "gap");
    assert_int_equal(read_rows[0].index, 40);
    close_store();
    assert_int_equal(store_verify_audit(dir, &rows, NULL), 0);
    assert_int_equal(rows, 5);
    change("UPDATE audit SET rule = 'another' WHERE seq = 2");
    assert_int_equal(store_verify_audit(dir, &rows, NULL), ERR_CORRUPT);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(loads_what_was_stored),
        CLAIM(killed_at_every_step),
        CLAIM(power_cut_at_every_step),
        CLAIM(disk_error_at_every_step),
        CLAIM(disk_full_at_every_step),
        CLAIM(damage_is_named),
        CLAIM(damaged_write_ahead_log_is_noticed),
        CLAIM(foreign_directories_are_refused),
        CLAIM(second_process_is_refused),
        CLAIM(stalled_disk_is_fatal),
        CLAIM(audit_rows_are_kept_once),
    };

    faulty_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
