/* controller/http/refusals.h -- refused requests that are worth a line in the audit trail:
 * of one address, user and reason at most one each REFUSALS_EACH_MS, and how many there
 * were in between. So nobody fills the log, and a flood is seen for what it is. How many of
 * all together is the daemon's bound (controller/daemon/refused.h).
 *
 * Pure:    the clock comes in.
 * Limits:  REFUSALS_MAX of them are remembered; where there is no room, the one that was
 *          noted longest ago is forgotten.
 * Owner:   the caller; free().
 */
#ifndef RF_HTTP_REFUSALS_H
#define RF_HTTP_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/time.h"

enum { REFUSALS_MAX = 64, REFUSALS_EACH_MS = 1000 };

struct refusals;

/* NULL: no memory. */
struct refusals *refusals_new(void);
struct refused_request {
    const char *from; /* an address, with its port or without, or what stands for it */
    const char *name; /* the user, "": not known */
    const char *code; /* "wrong-role" */
};

/* True: note it, and that `*ret_more` were not. */
bool refusals_take(struct refusals *r, const struct refused_request *what, struct mono now,
                   uint32_t *ret_more);

#endif
