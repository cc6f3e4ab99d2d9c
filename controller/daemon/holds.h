/* controller/daemon/holds.h -- what a group was held by goes into the log: at breakfast
 * somebody asks why nothing was done at night.
 *
 * A hold is what blocks a group, by the names of the conditions. One that lasts
 * HOLDS_TOLD_MS is told once, and told anew when the group has been free of it for
 * HOLDS_OVER_MS. Where many groups are held at once, HOLDS_BURST are told at once and one
 * each HOLDS_BURST_MS; the others later, as long as they hold.
 *
 * What any leader has told all controllers note when they apply it, so that the next one
 * does not repeat it. That one has not looked at the groups itself: what was told in the
 * last HOLDS_KNOWN_MS it takes for a hold that goes on, and tells what is older again.
 *
 * Pure:    all but holds_look(), but for what it remembers.
 * Owner:   the runner; zeroed it remembers nothing.
 * Threads: the loop's.
 */
#ifndef RF_DAEMON_HOLDS_H
#define RF_DAEMON_HOLDS_H

#include "controller/core/decide.h"
#include "controller/core/entry.h"
#include "controller/daemon/bucket.h"

enum {
    HOLDS_EACH_MS = 500,
    HOLDS_TOLD_MS = 2000,
    HOLDS_OVER_MS = 600000,
    HOLDS_KNOWN_MS = 3600000,
    HOLDS_BURST = 5,
    HOLDS_BURST_MS = 1000,
    HOLDS_AGAIN_MS = 5000, /* what was proposed and is not in the log by then */
    HOLDS_MAX = 8, /* remembered of a group; the one that was seen longest ago goes */
};

struct hold_told {
    uint64_t key;     /* 0: none */
    struct mono seen; /* in the log, or by this leader since */
};

struct hold {
    char group[NAME_SIZE];
    uint64_t key;      /* of now; 0: not held */
    struct mono since; /* held by `key` */
    struct mono asked; /* not set: no row of it was proposed since */
    struct hold_told told[HOLDS_MAX];
};

struct holds {
    bool leading;
    struct mono looked;
    struct bucket bucket;
    struct hold of[GROUP_MAX]; /* by position in the state; another name is a new one */
    struct explanation why;
};

/* True: `what` is to be noted of this group, now and at each later call, until
 * holds_told(). */
bool holds_tell(struct holds *h, const struct state *s, const struct observations *o,
                uint8_t group, struct mono now, struct entry_refused *what);
/* It was applied. */
void holds_told(struct holds *h, const struct state *s, const char *group, uint64_t key,
                struct mono now);
/* This controller begins to lead, and looks from now on. */
void holds_begin(struct holds *h, struct mono now);
/* One may be noted now. */
bool holds_may(struct holds *h, struct mono now);

struct node;
/* The leader looks at all groups, each HOLDS_EACH_MS at most. */
void holds_look(struct holds *h, struct node *n, struct mono now);

#endif
