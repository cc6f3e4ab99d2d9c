#include "tests/sim/kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include "controller/base/assert.h"
#include "controller/base/buf.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/punctual.h"
#include "fencing/agent/agent_state.h"
#include "tests/sim/judge_log.h"
#include "tests/sim/pg.h"

struct machine machines[NODES_MAX];

static struct machine *own(void) { return &machines[sim_self()->node]; }

void kernel_begin(void)
{
    memset(machines, 0, sizeof machines);
    for (uint8_t n = 0; n < NODES_MAX; n++) {
        machines[n].boots = 1;
        machines[n].next_pid = 1000 * (n + 1);
    }
}

void kernel_forget_files(uint8_t node)
{
    for (unsigned i = 0; i < FILES; i++) {
        free(machines[node].files[i]);
        free(machines[node].synced[i]);
        machines[node].files[i] = machines[node].synced[i] = NULL;
    }
}

static char *copy_text(const char *text, size_t len)
{
    char *copy = malloc(len + 1);

    ASSERT(copy != NULL);
    memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

void kernel_lose_power(uint8_t node)
{
    for (unsigned i = 0; i < FILES; i++) {
        const char *kept = machines[node].synced[i];

        free(machines[node].files[i]);
        machines[node].files[i] = kept != NULL ? copy_text(kept, strlen(kept)) : NULL;
    }
}

void kernel_end(void)
{
    for (uint8_t n = 0; n < NODES_MAX; n++)
        kernel_forget_files(n);
}

/* ---- clocks ---------------------------------------------------------------------------
 */

/* Read first, stopped afterwards: what is in hand may be old. */
struct mono mono_now(void)
{
    uint64_t ns = sim_self() != NULL ? clock_of(&sim_self()->clock) : sim.now;

    sim_call();
    return (struct mono){ns};
}

struct boot boot_now(void) { return (struct boot){mono_now().ns}; }

uint64_t wall_now_ms(void)
{
    uint64_t ms = UINT64_C(1795000000000) + sim.now / NS_PER_MS;

    return sim_self() != NULL ? ms + (uint64_t)own()->wall_offset_ms : ms;
}

void wall_format(uint64_t wall_ms, char text[WALL_TEXT_SIZE])
{
    snprintf(text, WALL_TEXT_SIZE, "%" PRIu64, wall_ms);
}

/* ---- lines for people ------------------------------------------------------------------
 */

void log_begin(const char *program, const char *name)
{
    (void)program;
    (void)name;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    va_list args;

    if (level == LOG_LEVEL_ERROR) {
        char text[300];

        va_start(args, fmt);
        (void)vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        judge_log_error(text);
    }
    if (sim.opt.trace < 2 || level > LOG_LEVEL_INFO + (sim.opt.trace > 2))
        return;
    printf("%10.4f   %-8s %-5s ", (double)sim.now / 1e9,
           sim_self() != NULL ? node_name(sim_self()->node) : "-", words[level]);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

void punctual_begin(const char *who, bool threads_too)
{
    (void)who;
    (void)threads_too;
}

void assert_failed(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " ms: %s:%d: %s: %s does not hold\n",
            sim.opt.seed, sim.now / NS_PER_MS, file, line, function, condition);
    fflush(NULL);
    abort();
}

/* ---- small files -----------------------------------------------------------------------
 */

static unsigned file_named(const char *name)
{
    static const char *const names[FILES] = {"agent.state", "steps.state", "probe"};

    for (unsigned i = 0; i < FILES; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    ASSERT(false);
    return 0;
}

uint64_t disk_takes_ns(enum disk_state d)
{
    if (d == DISK_SLOW)
        return sim_between(20, 900) * NS_PER_MS;
    if (d == DISK_STALLED)
        return sim_between(1500, 9000) * NS_PER_MS;
    return sim_between(80, 4000) * 1000;
}

int __wrap_durable_read(const struct durable_dir *dir, const char *name, struct buf *ret,
                        struct err *err);
int __wrap_durable_write(const struct durable_dir *dir, const char *name,
                         const struct buf *text, struct err *err);

int __wrap_durable_read(const struct durable_dir *dir, const char *name, struct buf *ret,
                        struct err *err)
{
    const char *text = own()->files[file_named(name)];

    (void)dir;
    if (text == NULL)
        return err_set(err, ERR_NOTFOUND, "no %s", name);
    return buf_append(ret, text, strlen(text) + 1, err);
}

int __wrap_durable_write(const struct durable_dir *dir, const char *name,
                         const struct buf *text, struct err *err)
{
    enum disk_state d = own()->disk;
    bool was_heard = sim_is_heard(), synced = true;
    unsigned i = file_named(name);

    (void)dir;
    sim_call();
    if (!own()->waited && (d != DISK_GOOD || sim_chance(30)))
        sim_block(disk_takes_ns(d));
    if (!sim_is_heard() && !(was_heard && sim_chance(500)))
        return 0;
    if (own()->disk == DISK_FULL)
        return err_set(err, ERR_FULL, "%s: no space left on device", name);
    if (own()->disk == DISK_FAILING) {
        (void)err_set(err, ERR_IO, "%s: input/output error", name);
        if (sim_chance(500))
            return ERR_IO; /* before it was renamed; else its directory was not synced */
        synced = false;
    }
    free(own()->files[i]);
    own()->files[i] = copy_text((const char *)text->data, text->len);
    if (!sim_is_heard() && sim_chance(500))
        return 0; /* killed before it was synced */
    if (!synced)
        return ERR_IO;
    free(own()->synced[i]);
    own()->synced[i] = copy_text((const char *)text->data, text->len);
    return 0;
}

/* ---- system calls of agent_state.c, steps_state.c and steps_watch.c ---------------------
 */

int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_flock(int fd, int operation);
int __wrap_ftruncate(int fd, off_t length);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);
int __wrap_agent_boot_id(uint8_t ret_id[AGENT_ID_SIZE], struct err *err);
long __wrap_syscall(long number, ...);
int __wrap_unlinkat(int dir, const char *path, int flags);

int __wrap_open(const char *path, int flags, ...)
{
    (void)path;
    (void)flags;
    return FAKE_FD;
}

int __wrap_openat(int dir, const char *path, int flags, ...)
{
    (void)dir;
    (void)path;
    (void)flags;
    return FAKE_FD;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    (void)path;
    (void)mode;
    return 0;
}

int __wrap_flock(int fd, int operation)
{
    (void)fd;
    (void)operation;
    return 0;
}

int __wrap_ftruncate(int fd, off_t length)
{
    (void)fd;
    (void)length;
    return -1; /* the pid in the lock file is for people */
}

int __wrap_unlinkat(int dir, const char *path, int flags)
{
    (void)dir;
    (void)path;
    (void)flags;
    return 0;
}

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags)
{
    uint8_t *p = out;

    (void)flags;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(sim_random() >> 32);
    return (ssize_t)len;
}

int __wrap_agent_boot_id(uint8_t ret_id[AGENT_ID_SIZE], struct err *err)
{
    uint64_t boots = own()->boots;

    (void)err;
    memset(ret_id, 0, AGENT_ID_SIZE);
    ret_id[0] = (uint8_t)(sim_self()->node + 1);
    memcpy(ret_id + 4, &boots, sizeof boots);
    return 0;
}

/* pidfd_open(), of a postmaster; what else is called is about leftovers, of which there are
 * none: a worker dies with its agent. */
long __wrap_syscall(long number, ...)
{
    va_list args;
    int pid;

    ASSERT(number == SYS_pidfd_open);
    va_start(args, number);
    pid = va_arg(args, int);
    va_end(args);
    if (!pg_pid_lives(sim_self()->node, pid)) {
        errno = ESRCH;
        return -1;
    }
    return FAKE_FD + pid;
}

/* chaos/history.c asks for memory by these. */
void *must_alloc(size_t count, size_t size);
void *must_grow(void *array, size_t *cap, size_t need, size_t size);

void *must_alloc(size_t count, size_t size)
{
    void *p = calloc(count, size);

    ASSERT(p != NULL);
    return p;
}

void *must_grow(void *array, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return array;
    *cap = need + need / 2 + 64;
    array = reallocarray(array, *cap, size);
    ASSERT(array != NULL);
    return array;
}
