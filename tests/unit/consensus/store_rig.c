#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "controller/base/clock.h"
#include "tests/unit/consensus/store_rig.h"

char rig_dir[TREE_PATH];

struct rig rig;

static void on_done(void *owner, uint64_t seq)
{
    (void)owner;
    rig.done =
        rig.fatal == 0 ? seq : UINT64_MAX; /* after a fatal error nothing is reported */
}

static void on_fatal(void *owner, const struct err *err)
{
    (void)owner;
    rig.fatal = rig.fatal == 0 ? err->code : 1; /* once */
    snprintf(rig.text, sizeof rig.text, "%s", err->text);
}

struct store_config rig_config(bool bootstrap, const char *vfs)
{
    static const uint8_t voters[] = "voters";

    return (struct store_config){.dir = rig_dir,
                                 .cluster = "test",
                                 .node = "east",
                                 .node_id = 1,
                                 .incarnation = 1,
                                 .allow_bootstrap = bootstrap,
                                 .new_id = 77,
                                 .bootstrap_entry = voters,
                                 .bootstrap_len = sizeof voters,
                                 .wal_pages = 16, /* made at a step, too */
                                 .vfs = vfs};
}

int rig_open(const struct store_config *c, struct driver_state *state, struct err *err)
{
    struct store_callbacks callbacks = {on_done, on_fatal, NULL};
    int status;

    memset(&rig, 0, sizeof rig);
    uv_loop_init(&rig.loop);
    status = store_open(&rig.store, &rig.loop, c, callbacks, state, err);
    if (status != 0) {
        uv_run(&rig.loop, UV_RUN_DEFAULT);
        uv_loop_close(&rig.loop);
    }
    return status;
}

void rig_close(void)
{
    store_close(rig.store);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig.loop), 0);
}

/* What a restart would see, in words. */
void rig_dump(const struct driver_state *s, char *out)
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

int rig_load(bool bootstrap, char *out, struct err *err)
{
    struct store_config c = rig_config(bootstrap, NULL);
    struct driver_state state;
    int status = rig_open(&c, &state, err);

    if (status != 0)
        return status;
    rig_dump(&state, out);
    store_loaded_free(rig.store);
    rig_close();
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
    return store_put_entries(rig.store, &o, NULL);
}

int rig_vote(uint64_t seq, uint64_t term, uint64_t vote)
{
    struct order_store_vote o = {seq, term, vote};

    return store_put_vote(rig.store, &o, NULL);
}

int rig_snapshot(uint64_t seq, uint64_t index, bool discard, uint64_t keep)
{
    static const char text[] = "state";
    struct order_store_snapshot o = {
        seq, index, 2, (const uint8_t *)text, sizeof text - 1, discard, keep};

    return store_put_snapshot(rig.store, &o, NULL);
}

int rig_audit(uint64_t index)
{
    struct audit_row rows[2] = {{.index = index, .kind = "run", .group = "orders"},
                                {.index = index, .kind = "proof", .group = "carts"}};

    snprintf(rows[0].text, sizeof rows[0].text, "entry %" PRIu64, index);
    return store_put_audit(rig.store, rows, 2, NULL);
}

/* Operation k of 1..OPS, of every sort; each one's seq is k. */
int rig_put(unsigned k)
{
    switch (k) {
    case 1:
        return rig_vote(k, 2, 1);
    case 2:
        return put_entries(k, 2, 2, "a");
    case 3: /* audit rows alone wait for company; the vote brings it */
        return rig_audit(4) != 0 ? -1 : rig_vote(k, 2, 3);
    case 4:
        return put_entries(k, 4, 3, "b"); /* cuts entry 4 off */
    case 5:
        return put_entries(k, 7, 3, "c");
    case 6:
        return rig_snapshot(k, 6, false, 4);
    case 7:
        return put_entries(k, 10, 3, "d");
    case 8:
        return rig_vote(k, 9, 2);
    case 9:
        return rig_snapshot(k, 40, true, 41);
    default:
        return put_entries(k, 41, 9, "e");
    }
}

void rig_wait(uint64_t seq)
{
    struct mono start = mono_now();

    while (rig.done < seq && rig.fatal == 0) {
        uv_run(&rig.loop, UV_RUN_NOWAIT);
        if (mono_since_ms(start, mono_now()) > WAIT_MS)
            fail_msg("operation %" PRIu64 " not done within %d ms", seq, WAIT_MS);
    }
}

void rig_clean(void) { tree_remove(rig_dir); }

int rig_setup(void **state)
{
    (void)state;
    /* The faulty VFS plays the disk that forgets, so memory will do, and is quicker. */
    tree_make(rig_dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return 0;
}

int rig_teardown(void **state)
{
    (void)state;
    rig_clean();
    return 0;
}

/* The history without faults, reopened after each operation. */
void rig_history(unsigned ops)
{
    struct store_config c = rig_config(true, NULL);
    struct driver_state state;
    struct err err;

    if (rig_open(&c, &state, &err) != 0)
        fail_msg("%s", err.text);
    store_loaded_free(rig.store);
    for (unsigned k = 1; k <= ops; k++) {
        assert_int_equal(rig_put(k), 0);
        rig_wait(k);
    }
    rig_close();
}

void rig_change(const char *sql)
{
    char path[80];
    sqlite3 *db;

    snprintf(path, sizeof path, "%s/raft.db", rig_dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}
