/* fencing/gate/clockcheck.h -- is the clock we count by the one the kernel's gate reads?
 *
 * Owner:   clockcheck_close() what clockcheck_open() handed over.
 * Threads: one at a time per probe.
 * Errors:  ERR_UNSUPPORTED the clocks differ.
 */
#ifndef RF_FENCING_CLOCKCHECK_H
#define RF_FENCING_CLOCKCHECK_H

#include <stdbool.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct clockcheck;

/* With `kernel` the helper's clock is read by a program in the kernel; without, only what
 * can be seen from user space is compared (nftables driver).
 *   ERR_UNSUPPORTED  the kernel refuses such programs */
MUST_USE int clockcheck_open(struct clockcheck **ret_check, bool kernel, struct err *err);
void clockcheck_close(struct clockcheck *check);

/* Some microseconds. */
MUST_USE int clockcheck_run(struct clockcheck *check, struct err *err);

#endif
