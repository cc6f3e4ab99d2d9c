/* controller/daemon/runner.h -- asks decide() and does what it says.
 *
 * Asked at the end of each turn of the loop in which something was seen or applied, and at
 * the time that decide() itself names. Proposals of a group go out one at a time
 * (observations.groups[].busy); what is refused by the dry run is asked again later, and
 * logged once for each new text.
 *
 * Owner:   runner_open() to runner_close().
 * Threads: the loop's thread.
 */
#ifndef RF_DAEMON_RUNNER_H
#define RF_DAEMON_RUNNER_H

#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct daemon;
struct runner;

enum { RUNNER_SOONEST_MS = 10, RUNNER_LATEST_MS = 500, RUNNER_TRANSFER_MS = 1000 };

MUST_USE int runner_open(struct runner **ret_runner, struct daemon *d, struct err *err);
void runner_close(struct runner *r); /* NULL is fine */

struct entry;
/* It is in the log: a hold that is told there is not to be told again. NULL is fine. */
void runner_applied(struct runner *r, const struct entry *e);

/* Something was seen: ask decide() before the loop waits again. NULL is fine: not open yet,
 * or not any more. */
void runner_wake(struct runner *r);

#endif
