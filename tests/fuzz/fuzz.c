#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void fuzz_claim_broken(const char *claim, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "claim broken: %s: ", claim);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

bool fuzz_is_traced(void)
{
    static int traced = -1;

    if (traced < 0)
        traced = getenv("FUZZ_TRACE") != NULL;
    return traced;
}

static char scratch[64];

/* Its files only: nobody makes directories in it. */
static void remove_scratch(void)
{
    DIR *dir = opendir(scratch);
    struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), e->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    (void)rmdir(scratch);
}

const char *fuzz_scratch(void)
{
    if (scratch[0] != '\0')
        return scratch;
    snprintf(scratch, sizeof scratch, "%s/ringfence-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CLAIM(mkdtemp(scratch) != NULL, "no scratch directory");
    atexit(remove_scratch);
    return scratch;
}

bool bytes_left(const struct bytes *b) { return b->at < b->end; }

uint8_t bytes_next(struct bytes *b) { return b->at < b->end ? *b->at++ : 0; }

uint8_t bytes_pick(struct bytes *b, uint8_t below)
{
    return (uint8_t)(bytes_next(b) % below);
}

uint64_t bytes_near(struct bytes *b, uint64_t right)
{
    uint8_t how = bytes_next(b);
    uint64_t any = 0;

    if (how < 0xd0)
        return right;
    if (how < 0xe0)
        return right + 1;
    if (how < 0xf0)
        return right - 1;
    if (how < 0xf8)
        return how & 7u;
    for (unsigned i = 0; i < 8; i++)
        any = any << 8 | bytes_next(b);
    return any;
}

size_t bytes_part(struct bytes *b, const uint8_t **ret_part)
{
    size_t low = bytes_next(b), len = low | (size_t)bytes_next(b) << 8;
    size_t left = (size_t)(b->end - b->at);

    len = len < left ? len : left;
    *ret_part = b->at;
    b->at += len;
    return len;
}
