#include "tests/unit/heap/heap.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <raft.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);

static atomic_long left; /* allocations until the failing one; 0: none fails */
static atomic_bool failed;

void heap_fail_nth(long nth)
{
    atomic_store(&failed, false);
    atomic_store(&left, nth);
}

void heap_hold(void) { atomic_store(&left, 0); }

bool heap_failed(void) { return atomic_load(&failed); }

/* What the engine had been given when it found no memory may be its own already: it is let
 * go with the process, which ends (driver_start.c, start_engine()). */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:start_engine\n"; }

static bool is_turn(void)
{
    long now = atomic_load(&left);

    while (now > 0)
        if (atomic_compare_exchange_weak(&left, &now, now - 1)) {
            if (now == 1)
                atomic_store(&failed, true);
            return now == 1;
        }
    return false;
}

void *__wrap_malloc(size_t size) { return is_turn() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t n, size_t size)
{
    return is_turn() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_turn() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
    return is_turn() ? NULL : __real_reallocarray(old, n, size);
}

char *__wrap_strdup(const char *text) { return is_turn() ? NULL : __real_strdup(text); }

static void *spare_malloc(void *data, size_t size)
{
    (void)data;
    return __real_malloc(size);
}

static void *spare_calloc(void *data, size_t n, size_t size)
{
    (void)data;
    return __real_calloc(n, size);
}

static void *spare_realloc(void *data, void *old, size_t size)
{
    (void)data;
    return __real_realloc(old, size);
}

static void spare_free(void *data, void *p)
{
    (void)data;
    free(p);
}

static void *spare_aligned(void *data, size_t alignment, size_t size)
{
    (void)data;
    return aligned_alloc(alignment, size);
}

static void spare_aligned_free(void *data, size_t alignment, void *p)
{
    (void)data;
    (void)alignment;
    free(p);
}

void heap_spare_libraft(void)
{
    static struct raft_heap heap = {.malloc = spare_malloc,
                                    .free = spare_free,
                                    .calloc = spare_calloc,
                                    .realloc = spare_realloc,
                                    .aligned_alloc = spare_aligned,
                                    .aligned_free = spare_aligned_free};

    raft_heap_set(&heap);
}
