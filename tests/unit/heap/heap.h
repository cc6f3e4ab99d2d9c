/* tests/unit/heap/heap.h -- the nth allocation of our own code fails.
 *
 * The linker sends malloc(), calloc(), realloc(), reallocarray() and strdup() of everything
 * that is linked statically here (our code, and libraft) through this file; shared
 * libraries keep theirs.
 */
#ifndef RF_TEST_HEAP_H
#define RF_TEST_HEAP_H

#include <stdbool.h>

/* From now on allocations are counted, and the nth fails; 0: none does. On every thread. */
void heap_fail_nth(long nth);
/* None fails any more, and heap_failed() still says of the last one. */
void heap_hold(void);
/* libraft's allocations do not fail any more: 0.22.1 frees the list of voters twice when
 * one fails while it starts (configurationAdd(), configuration.c), which would end the test
 * as it would end the process. */
void heap_spare_libraft(void);
/* The failing one has been asked for. */
bool heap_failed(void);

#endif
