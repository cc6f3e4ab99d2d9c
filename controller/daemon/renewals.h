/* controller/daemon/renewals.h -- leases: asked for by agents, granted by the log.
 *
 * Renewals of all agents are collected and committed as one entry. A batch leaves at the
 * end of the loop's turn while no other is on its way to the disk, else when that one is
 * done, but after RENEWALS_DELAY_MS in any case.
 *
 * Committed is not granted: each item is answered by apply()'s verdict on it (I4), with the
 * holder's own send time echoed (I3), and with the terms that apply() has put on record for
 * the epoch, so that what the holder may count on is never more than what every controller
 * counts out. A batch whose fate is unknown is not answered: the holder asks again.
 *
 * Owner:   renewals_open() to renewals_close().
 * Threads: the loop's thread.
 */
#ifndef RF_DAEMON_RENEWALS_H
#define RF_DAEMON_RENEWALS_H

#include "controller/core/entry.h"
#include "proto/frame.h"

struct daemon;
struct renewals;

enum {
    RENEWALS_DELAY_MS = 2,
    RENEWALS_IN_FLIGHT_MAX = 8, /* batches; beyond it renewals are dropped: asked again */
};

struct renewals_stats {
    uint64_t granted, refused; /* items */
    uint64_t entries, dropped;
};

MUST_USE int renewals_open(struct renewals **ret_renewals, struct daemon *d,
                           struct err *err);
/* After node_close(), which has told the batches in flight. */
void renewals_close(struct renewals *r);

/* The leader got a renewal of `agent` through controller `route` (position in settings). */
void renewals_add(struct renewals *r, const char *agent, uint8_t route,
                  const Rf__Renew *asked);

void renewals_stats(const struct renewals *r, struct renewals_stats *ret_stats);

#endif
