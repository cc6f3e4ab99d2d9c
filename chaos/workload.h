/* chaos/workload.h -- clients whose operations are judged one by one (linear.h, stale.h).
 *
 * Some clients write to whoever takes writes, as client.h does: hosts raced, the
 * recommended settings, a statement without an answer never repeated. On registers they
 * write, read, and swap in a transaction that reads back what it wrote; to lists they
 * append and read all of it. A reader stays with each data host and asks whoever answers
 * there. A list that has grown long is left and a new one begun, so the bytes of an append
 * stay few.
 *
 * Owner:   the main thread; the operations are its own after workload_stop().
 * Threads: one of its own for all sessions, in the client's network.
 */
#ifndef RF_CHAOS_WORKLOAD_H
#define RF_CHAOS_WORKLOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "chaos/ground.h"
#include "chaos/operations.h"

enum { WORKLOAD_SEATS_MAX = 16, WORKLOAD_SLOTS_MAX = 16 };

struct workload_plan {
    unsigned writers;  /* and one reader for each of `hosts` */
    unsigned hosts;    /* bit set of data sites */
    unsigned pause_ms; /* of each session, between an answer and its next question */
    unsigned registers, lists; /* keys in use at one time, WORKLOAD_SLOTS_MAX each */
    uint32_t first_key;        /* nobody has used it, nor those that follow */
    unsigned seed;
};

struct workload {
    const struct ground *ground;
    struct workload_plan plan;
    struct operations operations;
    uint32_t next_key;
    uint32_t list_keys[WORKLOAD_SLOTS_MAX], list_lengths[WORKLOAD_SLOTS_MAX];
    uint64_t next_value;
    uint64_t misread; /* a transaction did not read what it had written */
    unsigned random;
    pthread_t thread;
    atomic_bool stop;
    atomic_uint_fast64_t answered;
};

void workload_start(struct workload *w, const struct ground *g, struct workload_plan plan);
void workload_stop(struct workload *w);

/* Adds a last read of every key, by `host`. False: it could not be asked. */
bool workload_read_all(struct workload *w, enum site host);

/* The tables, as SQL. */
extern const char workload_schema[];

#endif
