/* chaos/recording.h -- all that a scenario's page is made of, as it happens.
 *
 * Beside the clients: the timeline, the leases and gates of both data hosts (those of east
 * belong to the play, which judges by them), and the controllers' log.
 *
 * Owner:   the play. Start and stop once; recording_free() after that.
 * Threads: the main thread; it has threads of its own.
 */
#ifndef RF_CHAOS_RECORDING_H
#define RF_CHAOS_RECORDING_H

#include <stdbool.h>

#include "chaos/history.h"
#include "chaos/lease_watch.h"
#include "chaos/log_watch.h"
#include "chaos/timeline.h"
#include "chaos/view.h"

struct play;

struct recording {
    struct timeline timeline;
    struct lease_watch west;
    struct log_watch log;
    size_t fault; /* its span */
    int64_t start_ns;
    int64_t steady_epoch; /* at the end, as log_watch_tell() wants it */
};

void recording_start(struct play *p);
/* The clients are started next: what was before is told in the table, and not drawn. */
void recording_from_here(struct play *p);
/* It does not come to that: ends it, with a page of what there is. */
void recording_give_up(struct play *p);
/* After the clients: what they were answered is in the log by then. */
void recording_stop(struct play *p);

/* To the history what the log says for certain. Blames where controllers tell different
 * logs. */
void recording_judge(struct play *p, struct history *h);

/* NAME.html, beside the logs. `h` is sorted, the result complete. */
void recording_write(const struct play *p, const struct history *h);
void recording_free(struct play *p);

#endif
