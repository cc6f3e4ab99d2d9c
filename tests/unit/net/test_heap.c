/* Every allocation of ours, of libuv's and of OpenSSL's fails once. */
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "tests/unit/net/bench.h"

enum { OPENSSL_STRIDE = 13 }; /* of OpenSSL's some thousand, every so-many-th */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static long ours_until, openssl_until; /* allocations until the failing one; 0: never */

static bool is_turn(long *until) { return *until > 0 && --*until == 0; }

void *__wrap_malloc(size_t size)
{
    return is_turn(&ours_until) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_turn(&ours_until) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_turn(&ours_until) ? NULL : __real_realloc(old, size);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_turn(&openssl_until) ? NULL : __real_malloc(size);
}

static void *openssl_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_turn(&openssl_until) ? NULL : __real_realloc(old, size);
}

static void openssl_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* Dial east, exchange one frame and close; true when it all went well. Whatever fails,
 * it is told by a status or by on_close, and nothing stays behind. */
static bool one_life(struct bench *b, long *until, long nth)
{
    struct identity east = bench_id(IDENTITY_CONTROLLER, "east");
    struct sockaddr_storage sa;
    struct err err = {0};
    struct side side = {0};
    bool well = false;
    unsigned before = b->n_accepted;

    (void)sa;
    *until = nth;
    bench_dial(b, &side, b->west, &east);
    while (side.opened + side.closed == 0)
        uv_run(&b->loop, UV_RUN_ONCE);
    if (side.opened == 1 && side.closed == 0 &&
        stream_send(side.stream, "x", 1, &err) == 0) {
        while (side.frames + side.closed == 0)
            uv_run(&b->loop, UV_RUN_ONCE);
        well = side.frames == 1;
    }
    *until = 0;
    side_free(&side);
    while (b->n_accepted > before && b->accepted[before].closed == 0)
        uv_run(&b->loop, UV_RUN_ONCE);
    for (unsigned i = before; i < b->n_accepted; i++) {
        side_free(&b->accepted[i]);
        b->accepted[i] = (struct side){0};
    }
    b->n_accepted = before;
    return well;
}

int main(void) { return 0; }
