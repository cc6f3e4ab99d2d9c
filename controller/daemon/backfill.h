/* controller/daemon/backfill.h -- the care of the audit trail: what a snapshot left out of
 * it comes from the others, what is older than `audit.retention` goes, a few hundred rows a
 * minute, and a disk that gets full is told of.
 *
 * Who was behind for so long that it got a snapshot has not applied the entries in it, and
 * lacks their rows (controller/consensus/store_gap.c). Another controller is asked for our
 * own last one and those behind it, page by page; what does not meet and continue our chain
 * is not taken, and the next one is asked. Where each of the others has said that it has
 * nothing that continues it, the gap is given up and noted in the trail.
 *
 * Owner:   backfill_open() to backfill_close().
 * Threads: the loop's thread.
 */
#ifndef RF_DAEMON_BACKFILL_H
#define RF_DAEMON_BACKFILL_H

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct backfill;
struct daemon;

MUST_USE int backfill_open(struct backfill **ret_backfill, struct daemon *d,
                           struct err *err);
/* The links and the store are closed already. NULL is fine. */
void backfill_close(struct backfill *b);

#endif
