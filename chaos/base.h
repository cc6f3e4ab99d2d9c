/* chaos/base.h -- the small floor that the laboratory stands on.
 *
 * The laboratory includes none of our headers: it meets Ringfence as a user or a disaster
 * would. What it cannot go on without (memory, a namespace, a program to start) ends it by
 * die(): the janitor (main.c) removes whatever was made. What a scenario is about is never
 * a reason to die; it is recorded and judged.
 *
 * Units:   instants are CLOCK_BOOTTIME nanoseconds, one clock for every network namespace
 *          of the machine, and the one that the gate uses.
 * Threads: any.
 */
#ifndef RF_CHAOS_BASE_H
#define RF_CHAOS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AUTO(fn) __attribute__((cleanup(fn)))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

enum { NS_PER_MS = 1000000 };

/* Says why on stderr and ends the laboratory; the janitor cleans up. */
_Noreturn void die(const char *fmt, ...) PRINTF_LIKE(1, 2);

int64_t now_ns(void);
int64_t wall_ns(void); /* CLOCK_REALTIME, as packets and people have it */
double ms_between(int64_t from_ns, int64_t to_ns);

/* Between two looks at something that sends no event. */
void wait_ms(unsigned ms);

/* Chance that is the same for the same seed (splitmix64): any seed will do, also one next
 * to another's. draw_below(): 0 to n - 1; n is far below 2^32, so that the remainder
 * favours nobody visibly. */
uint64_t draw(uint64_t *state);
uint32_t draw_below(uint64_t *state, uint32_t n);

/* malloc'ed; never NULL. */
char *text_new(const char *fmt, ...) PRINTF_LIKE(1, 2);
void *must_alloc(size_t count, size_t size);
/* At least `need` elements of `size`; `*cap` follows. */
void *must_grow(void *array, size_t *cap, size_t need, size_t size);

/* Whole files. file_write() replaces the content and sets the mode; file_read() returns
 * NULL where there is none. */
void file_write(const char *path, mode_t mode, const char *text);
char *file_read(const char *path);
char *read_all(int fd); /* to the end, or the first error; malloc'ed */
void make_dir(const char *path, mode_t mode, uid_t owner, gid_t group);
/* A directory and everything in it; nothing to do when it is not there. Symbolic links are
 * removed, never followed. */
void remove_tree(const char *path);

/* For AUTO(). */
void auto_free(void *pointer_to_pointer);
void auto_close(const int *fd);

#endif
