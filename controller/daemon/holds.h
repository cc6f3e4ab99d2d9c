/* controller/daemon/holds.h -- what a group was held by goes into the log: at breakfast
 * somebody asks why nothing was done at night.
 *
 * A hold that lasts HOLDS_TOLD_MS is told once, and again when other conditions hold the
 * group; one that has been over for HOLDS_OVER_MS is a new one.
 *
 * Pure:    holds_tell() is, but for what it remembers.
 * Owner:   the runner; zeroed it remembers nothing.
 * Threads: the loop's.
 */
#ifndef RF_DAEMON_HOLDS_H
#define RF_DAEMON_HOLDS_H

#include "controller/core/decide.h"

enum { HOLDS_EACH_MS = 500, HOLDS_TOLD_MS = 2000, HOLDS_OVER_MS = 60000 };

struct hold {
    char group[NAME_SIZE];
    uint64_t key, told;       /* 0: none */
    struct mono since, until; /* held by `key` since; when it was seen held last */
};

struct holds {
    struct mono looked;
    struct hold of[GROUP_MAX]; /* by position in the state; another name is a new one */
    struct explanation why;
};

/* True: `text` is to be noted of this group, in the form of node_note_refused(). */
bool holds_tell(struct holds *h, const struct state *s, const struct observations *o,
                uint8_t group, struct mono now, char text[TEXT_SIZE]);

struct node;
/* The leader looks at all groups, each HOLDS_EACH_MS at most. */
void holds_look(struct holds *h, struct node *n, struct mono now);

#endif
