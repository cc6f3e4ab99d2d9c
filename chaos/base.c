/* chaos/base.c */
#include "chaos/base.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void die(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    int length;

    va_start(args, fmt);
    length = vasprintf(&text, fmt, args);
    va_end(args);
    fprintf(stderr, "ringfence-lab: %s\n", length < 0 ? fmt : text);
    fflush(NULL);
    /* Other threads hold connections and may be in the middle of anything: no exit
     * handlers. What must be removed is the janitor's to remove. */
    _exit(2);
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec ts;

    if (clock_gettime(clock, &ts) != 0)
        die("clock %d: %s", (int)clock, strerror(errno));
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t now_ns(void) { return read_clock(CLOCK_BOOTTIME); }

int64_t wall_ns(void) { return read_clock(CLOCK_REALTIME); }

double ms_between(int64_t from_ns, int64_t to_ns)
{
    return (double)(to_ns - from_ns) / NS_PER_MS;
}

void wait_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * NS_PER_MS};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* Steele, Lea, Flood 2014. */
uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t draw_below(uint64_t *state, uint32_t n) { return (uint32_t)(draw(state) % n); }

char *text_new(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    int length;

    va_start(args, fmt);
    length = vasprintf(&text, fmt, args);
    va_end(args);
    if (length < 0)
        die("out of memory");
    return text;
}

void *must_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        die("out of memory");
    return memory;
}

void *must_grow(void *array, size_t *cap, size_t need, size_t size)
{
    size_t wanted = *cap > 0 ? *cap : 64;
    void *grown;

    if (need <= *cap)
        return array;
    while (wanted < need)
        wanted *= 2;
    grown = reallocarray(array, wanted, size);
    if (grown == NULL)
        die("out of memory");
    *cap = wanted;
    return grown;
}

void file_write(const char *path, mode_t mode, const char *text)
{
    size_t left = strlen(text);
    AUTO(auto_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    if (fd < 0)
        die("%s: %s", path, strerror(errno));
    while (left > 0) {
        ssize_t n = write(fd, text, left);

        if (n <= 0)
            die("write %s: %s", path, strerror(errno));
        text += n;
        left -= (size_t)n;
    }
    if (fchmod(fd, mode) != 0)
        die("mode of %s: %s", path, strerror(errno));
}

char *read_all(int fd)
{
    enum { STEP = 4096 };
    size_t cap = 0, size = 0;
    char *text = NULL;

    for (;;) {
        ssize_t n;

        text = must_grow(text, &cap, size + STEP, 1);
        n = read(fd, text + size, cap - size - 1);
        if (n <= 0)
            break;
        size += (size_t)n;
    }
    text[size] = 0;
    return text;
}

char *file_read(const char *path)
{
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? NULL : read_all(fd);
}

void make_dir(const char *path, mode_t mode, uid_t owner, gid_t group)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST)
        die("make %s: %s", path, strerror(errno));
    if (chown(path, owner, group) != 0 || chmod(path, mode) != 0)
        die("owner and mode of %s: %s", path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    /* A file that vanished meanwhile is as good as removed. */
    return remove(path) != 0 && errno != ENOENT ? -1 : 0;
}

void remove_tree(const char *path)
{
    enum { OPEN_AT_ONCE = 16 };

    (void)nftw(path, remove_one, OPEN_AT_ONCE, FTW_DEPTH | FTW_PHYS);
}

void auto_free(void *pointer_to_pointer)
{
    void **pointer = pointer_to_pointer;

    free(*pointer);
    *pointer = NULL;
}

void auto_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
