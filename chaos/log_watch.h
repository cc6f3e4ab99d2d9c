/* chaos/log_watch.h -- the log as the controllers tell it (`/api/v1/log?follow=1`).
 *
 * All three are followed from the first entry on, and an entry is kept when the first of
 * them tells it: by then it is committed, and for how long is not known. So the time of an
 * entry here is a bound from above, on our clock, whatever clocks the controllers have (the
 * stamp in an entry is its leader's wall clock, and for people). What is certain is the
 * order, and that all tell the same: each has a chain of hashes over it.
 *
 * Owner:   the main thread.
 * Threads: one per controller, behind one lock; what is read directly, after the stop.
 * Errors:  controllers are killed here: who does not answer is asked again. Beyond
 *          LOG_ENTRIES_MAX entries are not kept, and nothing is judged by the log.
 */
#ifndef RF_CHAOS_LOG_WATCH_H
#define RF_CHAOS_LOG_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "chaos/cluster.h"
#include "chaos/history.h"
#include "chaos/timeline.h"

enum { LOG_ENTRIES_MAX = 8192 };

struct log_entry {
    int64_t seq, index, term;
    int64_t seen_ns; /* it was committed before */
    char time[32], leader[16], kind[24], rule[40], result[24], hash[72];
    char text[TIMELINE_TEXT];
};

struct log_watch {
    const struct cluster *cluster;
    int64_t start_ns;
    pthread_t threads[SITE_REGIONS];
    struct log_seat {
        struct log_watch *watch;
        enum site site;
        int64_t after; /* the last entry that this controller told */
    } seats[SITE_REGIONS];
    atomic_bool stop;
    pthread_mutex_t lock;
    struct log_entry *entries; /* by seq, from 1 on */
    size_t count, cap;
    size_t dropped;
    int64_t disputed; /* the first seq that two controllers tell differently; 0: none */
};

void log_watch_start(struct log_watch *w, const struct cluster *c);
/* Waits up to two seconds for the entry that opened `epoch`, then ends. */
void log_watch_stop(struct log_watch *w, int64_t epoch);
void log_watch_free(struct log_watch *w);

/* Seq of the newest entry; 0: there is none. */
int64_t log_watch_newest(struct log_watch *w);
/* Seq of the first accepted entry by `rule` behind `after`; 0: there is none yet. Rules are
 * named as `ringfence rules` names them: `operator-switchover` is what the log calls a
 * switchover by an operator. */
int64_t log_watch_next(struct log_watch *w, const char *rule, int64_t after);

/* What came after the start, as instants of LANE_LOG. */
void log_watch_show(const struct log_watch *w, struct timeline *t);

/* What the history may be told: EVENT_FENCED and EVENT_OPENED in the order of the log, each
 * when it was seen. `epoch`: the last one of a group that is steady, as its leader says, or
 * -1. Where that is the last one opened here, nobody can have been opened after it, and the
 * hosts are told too; else only the order of the epochs is certain. */
void log_watch_tell(const struct log_watch *w, int64_t epoch, struct history *into);

/* In words, malloc'ed: how many entries came since the start, and what log_watch_tell() has
 * made of them. */
char *log_watch_say(const struct log_watch *w, int64_t epoch);

/* An entry of `fence-begin` or `opened`: its epoch and whose it is (HISTORY_NO_HOST: not
 * said). False: it is none, or was refused. */
bool log_entry_epoch(const struct log_entry *e, uint64_t *ret_epoch, uint8_t *ret_host);

#endif
