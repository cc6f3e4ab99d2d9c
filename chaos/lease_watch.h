/* chaos/lease_watch.h -- the deadlines of a data host's leases, as its agent says, and what
 * its gate lets pass.
 *
 * Read from /metrics of that agent, from the client's network, all through a scenario. A
 * renewal that was answered after the last reading before a kill would escape it, so
 * lease_watch_settle() waits for a moment when none can be due. Where a failover is held,
 * the same holder gets new leases later on: what it answers under one of those is in time,
 * what it answered in between is late. So each one is kept, with its beginning.
 *
 * Owner:   the main thread.
 * Threads: one of its own; the functions below by the main thread.
 */
#ifndef RF_CHAOS_LEASE_WATCH_H
#define RF_CHAOS_LEASE_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "chaos/ground.h"
#include "chaos/history.h"
#include "chaos/timeline.h"

struct lease_watch {
    const struct ground *ground;
    enum site host;
    int64_t ttl_ns;
    struct timeline *timeline;
    struct lease_log log; /* the thread's until it has ended */
    pthread_t thread;
    atomic_bool stop;
    atomic_int_fast64_t deadline_ns; /* highest seen; 0: none */
    atomic_int_fast64_t changed_ns;  /* when a higher one was first seen */
    atomic_int_fast64_t read_ns;     /* when the last reading was asked for */
};

/* The gate is noted as a state of LANE_GATE + host of `t`, which may be NULL. */
void lease_watch_start(struct lease_watch *w, const struct ground *g, enum site host,
                       unsigned ttl_ms, struct timeline *t);
void lease_watch_stop(struct lease_watch *w);
void lease_watch_free(struct lease_watch *w);

/* Waits until a deadline was read within the last few milliseconds, and the renewal it came
 * from is so young that the next one is not sent yet. False: the agent does not tell. */
bool lease_watch_settle(const struct lease_watch *w, unsigned renew_ms);

#endif
