/* tests/unit/heap/each.h -- a table of attempts, in each of which every allocation of ours
 * fails once.
 *
 * An attempt opens one thing and, if that works, closes it again. In the failing ones it
 * returns ERR_NOMEM with a sentence and leaves nothing behind: the address sanitizer looks
 * for what leaked, uv_loop_close() at the end of each program for handles. After each of
 * them the same attempt is made once more with memory, and works.
 *
 * The tables name what they open; tests/tidy/check.py compares them, constructors.txt, and
 * the public headers.
 */
#ifndef RF_TEST_HEAP_EACH_H
#define RF_TEST_HEAP_EACH_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/base/err.h"

struct heap_case {
    const char *name; /* the constructor */
    int (*attempt)(struct err *err);
    /* What it opens has a thread of its own, or goes on without a part that can be missing:
     * it may also have worked although an allocation failed. */
    bool tolerates;
};

/* `settle` is called behind each attempt, with memory: the loop finishes what was closed.
 */
void heap_each(const struct heap_case *cases, size_t n, void (*settle)(void));

#endif
