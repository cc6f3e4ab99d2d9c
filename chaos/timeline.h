/* chaos/timeline.h -- what happened when, on lanes: what the page of a run (page.h) shows.
 *
 * A mark is an instant or a span with a text. It is appended and, a span that is still
 * open, ended; nothing else about it changes. Texts that are longer are cut.
 *
 * Units:   instants are those of base.h; an open span ends at INT64_MAX.
 * Owner:   the caller, from timeline_open() to timeline_close(); texts are copied.
 * Threads: any, behind one lock, but for open and close. Who reads the marks directly does
 *          it when all that write have ended.
 * Errors:  none. Beyond TIMELINE_MARKS_MAX marks are dropped and counted. A timeline of
 * NULL takes everything and keeps nothing.
 */
#ifndef RF_CHAOS_TIMELINE_H
#define RF_CHAOS_TIMELINE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "chaos/base.h"

/* In the order of the picture. Of a pair the second is west's: LANE_GATE + site. */
enum lane {
    LANE_FAULT,  /* spans: what is broken, until it is mended */
    LANE_PLAY,   /* instants: steps of the scenario, as they begin */
    LANE_LEADER, /* states: the site whose controller leads */
    LANE_EPOCH,  /* states: the epoch, and who is active in it */
    LANE_PHASE,  /* states: the group's phase */
    LANE_RUN,    /* states: the run that goes on, and how far it is */
    LANE_STEP,   /* states: the step that an agent carries out */
    LANE_STEP_WEST,
    LANE_GATE, /* states: what a gate lets pass, as its agent says */
    LANE_GATE_WEST,
    LANE_ALARM, /* states: the group's alarm */
    LANE_LOG,   /* instants: entries of the controllers' log */
    LANE_TOLD,  /* instants: what the laboratory said */
    LANES
};

enum { TIMELINE_MARKS_MAX = 2048, TIMELINE_TEXT = 200 };

struct mark {
    int64_t from_ns, to_ns; /* equal: an instant */
    enum lane lane;
    char text[TIMELINE_TEXT];
};

struct timeline {
    pthread_mutex_t lock;
    struct mark *marks; /* by the time at which they were noted */
    size_t count, cap;
    size_t dropped;
    size_t state[LANES]; /* the span of the present state, + 1; 0: none */
};

void timeline_open(struct timeline *t);
void timeline_close(struct timeline *t);

const char *lane_name(enum lane lane);

void timeline_note(struct timeline *t, enum lane lane, int64_t at_ns, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* From `at_ns` on the lane's state is this; "": it has none. Said again it changes nothing.
 */
void timeline_state(struct timeline *t, enum lane lane, int64_t at_ns, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Spans that may overlap. Ends are given what timeline_begin() returned, once. */
enum { TIMELINE_NONE = 0 };
size_t timeline_begin(struct timeline *t, enum lane lane, int64_t at_ns, const char *fmt,
                      ...) PRINTF_LIKE(4, 5);
void timeline_end(struct timeline *t, size_t span, int64_t at_ns);

/* Everything that is still open ends here. */
void timeline_end_all(struct timeline *t, int64_t at_ns);

#endif
