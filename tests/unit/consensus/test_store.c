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
#include "tests/unit/consensus/store_rig.h"

static char expected[OPS + 1][DUMP_SIZE];

static void expect_all(void)
{
    static bool known;
    struct err err;

    if (known)
        return;
    known = true;

    for (unsigned k = 0; k <= OPS; k++) {
        rig_history(k);
        if (rig_load(false, expected[k], &err) != 0)
            fail_msg("%s", err.text);
        rig_clean();
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
    struct store_config c = rig_config(true, FAULTY_NAME);
    struct driver_state state;
    uint8_t acknowledged;

    faulty_set(mode, step);
    if (rig_open(&c, &state, NULL) != 0)
        _exit(0);
    store_loaded_free(rig.store);
    for (unsigned k = 1; k <= OPS; k++) {
        if (rig_put(k) != 0)
            break;
        rig_wait(k);
        if (rig.fatal != 0 || rig.done == UINT64_MAX)
            break;
        acknowledged = (uint8_t)k;
        if (write(out, &acknowledged, 1) != 1)
            _exit(9);
    }
    if (rig.done == UINT64_MAX || rig.fatal == 1)
        _exit(8);
    if (mode == FAULTY_FULL && rig.fatal != 0 && strstr(rig.text, "disk full") == NULL)
        _exit(7);
    _exit(rig.fatal == 0 ? 42 : 0); /* 42: the whole history, no fault any more */
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
    if (rig_load(true, found, &err) != 0)
        fail_msg("mode %d step %u: %s", mode, step, err.text);
    if (strcmp(found, expected[acknowledged]) != 0 &&
        (acknowledged == OPS || strcmp(found, expected[acknowledged + 1]) != 0))
        fail_msg("mode %d step %u: acknowledged %u, found %s", mode, step, acknowledged,
                 found);
    rig_clean();
    return WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

/* ThreadSanitizer looks for races, finds none at one step that are not at another, and
 * makes a life eight times as long: tests/run lets it take every fifth. */
static unsigned stride(void)
{
    const char *given = getenv("RF_STRIDE");

    return given != NULL ? (unsigned)strtoul(given, NULL, 10) : 1;
}

static void survives_at_every_step(enum faulty_mode mode)
{
    enum { STEPS_MAX = 2000, STEPS_MIN = 40 };
    unsigned step = 1;

    expect_all();
    while (!survives(mode, step) && step < STEPS_MAX)
        step += stride();
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

/* One life in which the disk fails at a step, for good; the next one, which reads what the
 * first left behind and tells the others; then the power fails. */
static void run_lives(unsigned step, int out)
{
    struct store_config c = rig_config(true, FAULTY_NAME);
    struct driver_state state;
    char told[DUMP_SIZE] = "";
    bool failed;

    faulty_set(FAULTY_IO, step);
    failed = rig_open(&c, &state, NULL) != 0;
    if (!failed) {
        store_loaded_free(rig.store);
        for (unsigned k = 1; k <= OPS && rig.fatal == 0; k++) {
            if (rig_put(k) != 0)
                break;
            rig_wait(k);
        }
        failed = rig.fatal != 0;
        rig_close();
    }
    faulty_set(FAULTY_NONE, 0);
    c.allow_bootstrap = false;
    if (rig_open(&c, &state, NULL) == 0)
        rig_dump(&state, told);
    if (write(out, told, sizeof told) != (ssize_t)sizeof told)
        _exit(9);
    faulty_power_cut();
    _exit(failed ? 0 : 42);
}

/* True when the fault lay behind the end of the history. */
static bool keeps_what_it_told(unsigned step)
{
    char told[DUMP_SIZE], found[DUMP_SIZE] = "";
    int fds[2], status;
    struct err err;
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (child == 0)
        run_lives(step, fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], told, sizeof told), sizeof told);
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (told[0] != '\0' && rig_load(false, found, &err) != 0)
        fail_msg("step %u: %s", step, err.text);
    if (strcmp(found, told) != 0)
        fail_msg("step %u: told %s, has %s", step, told, found);
    rig_clean();
    return WEXITSTATUS(status) == 42;
}

/* Linux says once that a sync has failed, and calls the pages clean: the next life reads
 * them, and no later sync brings them to the disk. Whatever a node finds at its start it
 * answers for; so it has to be on the disk by then. */
static void failed_sync_is_made_good_at_the_next_start(void **state)
{
    enum { STEPS_MAX = 2000, STEPS_MIN = 40 };
    unsigned step = 1;

    (void)state;
    while (!keeps_what_it_told(step) && step < STEPS_MAX)
        step += stride();
    assert_in_range(step, STEPS_MIN, STEPS_MAX - 1);
}

static off_t wal_size(void)
{
    char path[80];
    struct stat st;

    snprintf(path, sizeof path, "%s/raft.db-wal", rig_dir);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* A commit that makes a file longer waits for the file system, too. From the first commit
 * on, and after the log was begun anew, they overwrite what is there. */
static void commits_do_not_grow_the_write_ahead_log(void **state)
{
    struct store_config c = rig_config(true, NULL);
    struct driver_state s;
    off_t size;

    (void)state;
    c.wal_pages = 0;
    assert_int_equal(rig_open(&c, &s, NULL), 0);
    store_loaded_free(rig.store);
    size = wal_size();
    for (uint64_t seq = 1; seq <= 1200; seq++) {
        assert_int_equal(rig_vote(seq, seq + 1, 1), 0);
        rig_wait(seq);
        assert_int_equal(wal_size(), size);
    }
    rig_close();
}

/* Somebody else's directory: what, where, what to do. */
static void foreign_directories_are_refused(void **state)
{
    struct store_config node = rig_config(false, NULL), cluster = node, life = node,
                        id = node;
    struct driver_state s;
    struct err err;
    char found[DUMP_SIZE];

    (void)state;
    assert_int_equal(rig_load(false, found, &err), ERR_NOTFOUND);
    rig_history(1);
    node.node = "west";
    assert_int_equal(rig_open(&node, &s, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "belongs to node east"));
    assert_non_null(strstr(err.text, rig_dir));
    cluster.cluster = "other";
    assert_int_equal(rig_open(&cluster, &s, &err), ERR_CONFLICT);
    id.node_id = 2;
    assert_int_equal(rig_open(&id, &s, &err), ERR_CONFLICT);
    life.incarnation = 2;
    assert_int_equal(rig_open(&life, &s, &err), ERR_CONFLICT);
    rig_change("UPDATE meta SET value = '99' WHERE key = 'format'");
    assert_int_equal(rig_load(false, found, &err), ERR_UNSUPPORTED);
}

/* Two processes on one directory would both vote. */
static void second_process_is_refused(void **state)
{
    struct store_config c = rig_config(true, NULL);
    struct driver_state s;
    struct err err;
    int status;
    pid_t child;

    (void)state;
    assert_int_equal(rig_open(&c, &s, &err), 0);
    store_loaded_free(rig.store);
    child = fork();
    if (child == 0)
        _exit(rig_open(&c, &s, &err) == ERR_BUSY && strstr(err.text, rig_dir) != NULL ? 0
                                                                                      : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    rig_close();
}

/* A disk that does not come back stops the node; here the child says how. */
static void stalled_disk_is_fatal(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        struct store_config c = rig_config(true, FAULTY_NAME);
        struct driver_state s;

        c.stall_ms = 200;
        if (rig_open(&c, &s, NULL) != 0)
            _exit(1);
        faulty_set(FAULTY_STALL, 1);
        if (rig_vote(1, 2, 1) != 0)
            _exit(2);
        rig_wait(1);
        store_close(rig.store); /* does not wait for the disk */
        _exit(rig.fatal == ERR_TIMEOUT && rig.done == 0 ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- the audit trail ----------------------------------------------------------------- */

static struct audit_row read_rows[8];
static size_t n_read;
static bool was_read;

/* New, and one that an older version has made; its write-ahead log as well. */
static void the_files_are_private(void **state)
{
    static const char *const names[] = {"raft.db", "raft.db-wal"};
    struct store_config c = rig_config(true, NULL);
    struct driver_state s;

    (void)state;
    for (int round = 0; round < 2; round++) {
        char path[128];

        assert_int_equal(rig_open(&c, &s, NULL), 0);
        store_loaded_free(rig.store);
        assert_int_equal(rig_audit(2), 0);
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            struct stat st;

            snprintf(path, sizeof path, "%s/%s", rig_dir, names[i]);
            assert_int_equal(stat(path, &st), 0);
            assert_int_equal(st.st_mode & 07777, 0600);
        }
        rig_close();
        snprintf(path, sizeof path, "%s/raft.db", rig_dir);
        assert_int_equal(chmod(path, 0644), 0);
        c = rig_config(false, NULL);
    }
}

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
    assert_int_equal(store_query_audit(rig.store, &q, on_rows, NULL, NULL), 0);
    while (!was_read && mono_since_ms(start, mono_now()) < WAIT_MS)
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    assert_true(was_read);
}

/* Each entry once, whatever is applied again; by group, from a place, the newest. */
static void audit_rows_are_kept_once(void **state)
{
    struct store_config c = rig_config(true, NULL);
    struct driver_state s;
    uint64_t rows = 0;

    (void)state;
    assert_int_equal(rig_open(&c, &s, NULL), 0);
    store_loaded_free(rig.store);
    assert_int_equal(rig_audit(2), 0);
    assert_int_equal(rig_audit(3), 0);
    assert_int_equal(rig_audit(2), 0); /* as after a restart */
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
    rig_close();
    assert_int_equal(store_verify_audit(rig_dir, &rows, NULL), 0);
    assert_int_equal(rows, 4);
    rig_change("UPDATE audit SET rule = 'another' WHERE seq = 2");
    assert_int_equal(store_verify_audit(rig_dir, &rows, NULL), ERR_CORRUPT);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(loads_what_was_stored),
        CLAIM(killed_at_every_step),
        CLAIM(power_cut_at_every_step),
        CLAIM(disk_error_at_every_step),
        CLAIM(disk_full_at_every_step),
        CLAIM(failed_sync_is_made_good_at_the_next_start),
        CLAIM(commits_do_not_grow_the_write_ahead_log),
        CLAIM(foreign_directories_are_refused),
        CLAIM(second_process_is_refused),
        CLAIM(stalled_disk_is_fatal),
        CLAIM(audit_rows_are_kept_once),
        CLAIM(the_files_are_private),
    };

    faulty_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
