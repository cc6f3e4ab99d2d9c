/* tests/unit/methods/bench.h -- a device whose agent is tests/unit/methods/agent, a loop,
 * and what came of a run.
 *
 * Owner: bench_open() to bench_close(), which fails the test where a handle or a process is
 * left.
 */
#ifndef RF_TEST_METHODS_BENCH_H
#define RF_TEST_METHODS_BENCH_H

#include <stdbool.h>
#include <uv.h>

#include "fencing/methods/power.h"
#include "tests/unit/base/tree.h"

struct bench {
    uv_loop_t loop;
    char dir[TREE_PATH];
    struct power_device device;
    unsigned answers;
    enum power_state state;
    struct err why; /* code 0: none */
};

void bench_open(struct bench *b, const char *mode);
void bench_close(struct bench *b);

void bench_option(struct bench *b, const char *key, const char *value);
/* A secret in a file of mode 0600. */
void bench_secret(struct bench *b, const char *key, const char *value);

/* A whole run, to its callback. */
void bench_off(struct bench *b);
void bench_status(struct bench *b);
/* The callback of both. */
void bench_done(void *owner, enum power_state state, const struct err *why);

/* What the agent wrote there; "" if nothing. */
const char *bench_read(const struct bench *b, const char *name);
/* Until a file of that name is there with something in it, or the test fails. */
void bench_await(struct bench *b, const char *name);
/* All whom the agent has noted in "pids" are gone, or the test fails. At least `count`. */
void bench_expect_dead(const struct bench *b, unsigned count);

#endif
