/* SQLite's own allocations fail, one after the other, while a controller opens the
 * directory of unit.golden.disk. It says that there was no memory, and never that the
 * directory is damaged, empty or somebody else's; what lies there is untouched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/base/tree.h"
#include "tests/unit/daemon/node_of_one.h"
#include "tests/unit/heap/heap.h"

enum { NTH_MAX = 20000, CONTROLLERS = 3 };

static sqlite3_mem_methods real;
static atomic_long until_failure;

static struct {
    struct node_of_one one;
    char dir[TREE_PATH];
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

/* Whatever failed before: all of it is still there. */
static void assert_untouched(void)
{
    one_lead(&t.one);
    assert_int_equal(node_state(t.one.node)->controller_count, CONTROLLERS);
    one_close(&t.one);
}

/* True when none failed. */
static bool open_without(long nth)
{
    struct err err = {0};
    bool failed;
    int status;

    atomic_store(&until_failure, nth);
    status = one_open(&t.one, &err);
    failed = atomic_exchange(&until_failure, 0) <= 0;
    /* ERR_CLOSED: a single voter's node that stopped while it applied its log */
    if (status != 0 && ((status != ERR_NOMEM && status != ERR_CLOSED) ||
                        strstr(err.text, "memory") == NULL))
        fail_msg("allocation %ld: %s: %s", nth, err_name(status), err.text);
    assert_true(status == 0 || failed);
    if (status == 0) {
        one_settle(&t.one);
        if (t.one.fatal && strstr(t.one.why.text, "memory") == NULL)
            fail_msg("allocation %ld: %s", nth, t.one.why.text);
    }
    one_close(&t.one);
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
    tree_make(t.dir, "/dev/shm");
    tree_copy(GOLDEN, t.dir);
    heap_spare_libraft();
    one_begin(&t.one, t.dir);
    t.one.may_stop = true;
    return 0;
}

static int end(void **state)
{
    (void)state;
    one_end(&t.one);
    return tree_remove(t.dir);
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
