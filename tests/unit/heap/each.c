#include "tests/unit/heap/each.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/heap/heap.h"

enum { NTH_MAX = 50000 };

static void with_memory(const struct heap_case *c, void (*settle)(void))
{
    struct err err = {0};

    heap_fail_nth(0);
    if (c->attempt(&err) != 0)
        fail_msg("%s, with memory: %s", c->name, err.text);
    settle();
}

/* True when it needed no nth allocation. */
static bool without(const struct heap_case *c, long nth, void (*settle)(void))
{
    struct err err = {0};
    bool failed;
    int status;

    heap_fail_nth(nth);
    status = c->attempt(&err);
    heap_hold();
    failed = heap_failed();
    settle();
    if (!failed && status != 0)
        fail_msg("%s: %s", c->name, err.text);
    if (status != 0 && (status != ERR_NOMEM || strstr(err.text, "memory") == NULL))
        fail_msg("%s, allocation %ld: %s: %s", c->name, nth, err_name(status), err.text);
    if (failed && status == 0 && !c->tolerates)
        fail_msg("%s, allocation %ld failed, and nobody was told", c->name, nth);
    return !failed;
}

void heap_each(const struct heap_case *cases, size_t n, void (*settle)(void))
{
    for (size_t i = 0; i < n; i++) {
        long nth = 1;

        with_memory(&cases[i], settle); /* what is made once is made now */
        while (!without(&cases[i], nth, settle)) {
            with_memory(&cases[i], settle);
            assert_true(++nth < NTH_MAX);
        }
        assert_true(nth > 1); /* it allocates at all */
        print_message("%s: %ld allocations\n", cases[i].name, nth - 1);
    }
}
