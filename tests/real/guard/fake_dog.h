/* tests/real/guard/fake_dog.h -- the kernel's watchdog driver, played by ptrace.
 *
 * The shipped guard runs under ptrace; what it does to the path of its watchdog never
 * reaches a driver, but this one, which keeps to what Linux' watchdog_dev.c does and fails
 * the test at whatever that would refuse or that is no part of the protocol. For kernels
 * without a watchdog, as in containers and build machines.
 *
 * Owner:   the global `dog`, from dog_start() to dog_end().
 * Threads: the one that started it: it is the tracer. The guard moves only within
 *          dog_run() and dog_until().
 */
#ifndef RF_TESTS_REAL_GUARD_FAKE_DOG_H
#define RF_TESTS_REAL_GUARD_FAKE_DOG_H

#include <stdbool.h>
#include <stdint.h>

struct fake_dog {
    char path[128];
    unsigned least_s; /* what it can be set to, at least */
    bool no_kill;     /* SIGKILL reaches nobody: a process that does not end */

    bool open, armed, magic;
    unsigned timeout_s;
    uint64_t word_ns;  /* the last one: open, set or keepalive */
    uint64_t reset_ns; /* the host was reset; 0: it was not */
    unsigned opens, words, disarms;
    char events[4096]; /* "open set(1) get keepalive ...", repetitions once */
};

extern struct fake_dog dog;

/* Starts the guard of the rig, traced. */
void dog_start(void);
/* Kills the guard, and starts another one: the driver goes on as it was. */
void dog_kill_guard(void);
void dog_run(unsigned ms);
bool dog_until(bool (*claim)(const void *arg), const void *arg, unsigned ms);
void dog_end(void);

#endif
