/* SQLite's own allocations fail, one after the other, while a controller opens the
 * directory of unit.golden.disk. It says that there was no memory, and never that the
 * directory is damaged, empty or somebody else's; what lies there is untouched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/daemon/node.h"
#include "tests/unit/heap/heap.h"

enum { NTH_MAX = 20000, WAIT_MS = 20000, CONTROLLERS = 3 };

static sqlite3_mem_methods real;
static atomic_long until_failure;

static struct {
    uv_loop_t loop;
    struct node *node;
    char dir[64];
    bool fatal;
    struct err why;
} t;

static bool is_turn(void)
{
    return atomic_load(&until_failure) > 0 && atomic_fetch_sub(&until_failure, 1) == 1;
}

static void *failing_malloc(int size) { return is_turn() ? NULL : real.xMalloc(size); }

static void *failing_realloc(void *old, int size)
{
    return is_turn() ? NULL : real.xRealloc(old, size);
}

static void on_send(void *owner, uint64_t to, const uint8_t *data, size_t len)
{
    (void)owner;
    (void)to;
    (void)data;
    (void)len;
}

static void on_applied(void *owner, const struct entry *e, const struct apply_result *r)
{
    (void)owner;
    (void)e;
    (void)r;
}

static void on_role(void *owner, const struct driver_status *status)
{
    (void)owner;
    (void)status;
}

static void on_fatal(void *owner, const struct err *err)
{
    (void)owner;
    t.fatal = true;
    t.why = *err;
}

static int open_node(struct err *err)
{
    static const struct node_events events = {.send = on_send,
                                              .on_applied = on_applied,
                                              .on_role = on_role,
                                              .on_fatal = on_fatal};
    struct node_config c = {.cluster = "demo",
                            .name = "east",
                            .dir = t.dir,
                            .id = 1,
                            .voter_count = 1,
                            .voters = {{1, "east"}},
                            .election_ms = 900,
                            .heartbeat_ms = 100,
                            .bootstrap = true};

    t.fatal = false;
    return node_open(&t.node, &t.loop, &c, &events, err);
}

static void close_node(void)
{
    node_close(TAKE(t.node));
    uv_run(&t.loop, UV_RUN_DEFAULT);
}

static void copy(const char *name)
{
    static char bytes[1 << 20];
    char path[512];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", GOLDEN, name);
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    snprintf(path, sizeof path, "%s/%s", t.dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Whatever failed before: all of it is still there. */
static void assert_untouched(void)
{
    struct err err = {0};
    uint64_t end_ns = uv_hrtime() + WAIT_MS * 1000000ull;

    if (open_node(&err) != 0)
        fail_msg("with memory: %s", err.text);
    while (!t.fatal && !node_leads(t.node)) {
        assert_true(uv_hrtime() < end_ns);
        uv_run(&t.loop, UV_RUN_ONCE);
    }
    if (t.fatal)
        fail_msg("with memory: %s", t.why.text);
    assert_int_equal(node_state(t.node)->controller_count, CONTROLLERS);
    close_node();
}

/* True when none failed. */
static bool open_without(long nth)
{
    struct err err = {0};
    bool failed;
    int status;

    atomic_store(&until_failure, nth);
    status = open_node(&err);
    failed = atomic_exchange(&until_failure, 0) <= 0;
    /* ERR_CLOSED: a single voter's node that stopped while it applied its log */
    if (status != 0 && ((status != ERR_NOMEM && status != ERR_CLOSED) ||
                        strstr(err.text, "memory") == NULL))
        fail_msg("allocation %ld: %s: %s", nth, err_name(status), err.text);
    assert_true(status == 0 || failed);
    if (status == 0) {
        for (unsigned i = 0; i < 3; i++)
            uv_run(&t.loop, UV_RUN_NOWAIT);
        if (t.fatal && strstr(t.why.text, "memory") == NULL)
            fail_msg("allocation %ld: %s", nth, t.why.text);
    }
    close_node();
    return !failed;
}

static void opening_survives_those_of_sqlite(void **state)
{
    long nth = 1;

    (void)state;
    assert_untouched(); /* what is made once is made now */
    for (; !open_without(nth); nth++)
        assert_true(nth < NTH_MAX);
    assert_untouched();
    assert_true(nth > 50);
    print_message("%ld allocations\n", nth - 1);
}

static int begin(void **state)
{
    (void)state;
    snprintf(t.dir, sizeof t.dir, "/dev/shm/rf-heap-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    copy("raft.db");
    copy("mark");
    heap_spare_libraft();
    return uv_loop_init(&t.loop);
}

static int remove_one(const char *path, const struct stat *at, int type, struct FTW *ftw)
{
    (void)at;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_close(&t.loop), 0);
    return nftw(t.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(opening_survives_those_of_sqlite)};
    sqlite3_mem_methods failing;

    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
        return 1;
    failing = real;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests(tests, begin, end);
}
