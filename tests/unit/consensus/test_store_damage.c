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

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(damage_is_named),
        CLAIM(lost_files_are_no_new_directory),
        CLAIM(damage_is_found_while_it_runs),
        CLAIM(damaged_write_ahead_log_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
