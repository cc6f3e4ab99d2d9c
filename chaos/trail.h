/* chaos/trail.h -- the audit trail as it grows: which rule spoke when.
 *
 * Follows `/v1/log?follow=1` of all three controllers; whoever is first to tell an entry
 * has told it.
 *
 * Units:   an entry is known by its index in the log.
 * Owner:   the main thread.
 * Threads: one follower per controller, behind one lock.
 */
#ifndef RF_CHAOS_TRAIL_H
#define RF_CHAOS_TRAIL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "chaos/cluster.h"

enum { TRAIL_RULE = 40 };

struct trail_entry {
    int64_t index;
    char rule[TRAIL_RULE];
};

struct trail {
    const struct cluster *cluster;
    pthread_t followers[SITE_REGIONS];
    struct trail_follower {
        struct trail *trail;
        enum site site;
    } seats[SITE_REGIONS];
    atomic_bool stop;
    pthread_mutex_t lock;
    struct trail_entry *of; /* accepted ones, by their index */
    size_t count, cap;
};

void trail_start(struct trail *t, const struct cluster *c);
void trail_stop(struct trail *t);

/* Index of the newest entry; 0: there is none yet. */
int64_t trail_newest(struct trail *t);
/* Index of the first entry by `rule` behind `after`; 0: there is none yet. */
int64_t trail_next(struct trail *t, const char *rule, int64_t after);

#endif
