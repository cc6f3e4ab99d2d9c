/* chaos/view.h -- what Ringfence says about itself, as it happens.
 *
 * Follows `/api/v1/status?follow=1` of all three controllers and keeps the document of the
 * leader with the highest term and log: a frozen or cut-off former leader has an older one,
 * and what a follower passes on may come late. Tells the phases live: suspected, fenced and
 * by which proof, promoted, and so on.
 *
 * Owner:   the main thread; view_get() copies.
 * Threads: one follower per controller, behind one lock.
 */
#ifndef RF_CHAOS_VIEW_H
#define RF_CHAOS_VIEW_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chaos/base.h"
#include "chaos/cluster.h"
#include "chaos/timeline.h"

enum { VIEW_TEXT = 160 };

struct view_instance {
    char server[24], gate[24];
    char step[24]; /* that it carries out; "": none */
    char problem[VIEW_TEXT];
    bool member, streaming;
    int64_t lives;    /* of its agent, as incarnations are counted */
    int64_t heard_ns; /* when its agent was last heard; 0: never */
};

struct view_run {
    int64_t id; /* 0: none */
    char kind[16], result[16], proof[24], rule[40];
    int64_t fence_ms, proof_ms, open_ms; /* wall clock; 0: not yet */
    int64_t forecast_bytes, lost_bytes;  /* -1: not known */
};

struct view_doc {
    int64_t at_ns; /* when it came; 0: none yet */
    int64_t term, applied, epoch, failovers, switchovers;
    enum site leader, active; /* SITE_COUNT: none */
    char phase[24], hold[VIEW_TEXT], alarm[VIEW_TEXT];
    bool suspect;
    unsigned controllers_up, agents_connected; /* counts */
    struct view_instance of[2];                /* EAST, WEST */
    struct view_run run;
};

struct view {
    const struct cluster *cluster;
    FILE *live;
    pthread_t followers[SITE_REGIONS];
    struct view_follower {
        struct view *view;
        enum site site;
    } seats[SITE_REGIONS];
    atomic_bool stop;
    pthread_mutex_t lock;
    struct view_doc doc;
    struct timeline *timeline; /* where all of it goes too; NULL: nowhere */
    int64_t origin_ns;         /* live times are told from here; 0: not told */
    int64_t suspected_ns; /* first seen suspect, or fencing, since the origin; 0: not yet */
};

void view_start(struct view *v, const struct cluster *c, FILE *live);
void view_stop(struct view *v);

struct view_doc view_get(struct view *v);
/* From now on times are told as from here: the moment of the fault. */
void view_origin(struct view *v, int64_t at_ns);
int64_t view_suspected_ns(struct view *v);

/* From now on what is told, and what the documents say, is noted on `t` too; NULL: no more.
 */
void view_record(struct view *v, struct timeline *t);

/* One line for people: seconds since the origin, and the text. */
void view_tell(struct view *v, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same of a step of the scenario, which begins; it has a lane of its own. */
void view_step(struct view *v, const char *line);

/* Nothing is going on, everybody is there and the standby stands by: a member of the sync
 * set, or (sync off) streaming. */
bool view_is_steady(const struct view_doc *d, enum sync_mode sync);

#endif
