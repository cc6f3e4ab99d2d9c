/* tests/sim/apart.h -- when a majority heals, and somebody stays away.
 *
 * In every third world one controller, or one region of a pair (its host, with or without
 * its controller) whose other instance is a member of the sync set, hears nobody when all
 * else heals. Without it the group must be writable again within the bound: clients are
 * acknowledged by somebody who is there. Then it comes back, and all must be settled.
 * How long that took is kept for all worlds.
 */
#ifndef RF_SIM_APART_H
#define RF_SIM_APART_H

#include <stdio.h>

#include "tests/sim/plan.h"

void apart_begin(void);
void apart_plan(uint64_t dice); /* adds the fault */
bool apart_is(enum fault_kind kind);
void apart_start(struct fault *f); /* at heal_at */
/* A client was acknowledged, after the first second. */
void apart_ack(uint8_t host, uint8_t group);
void apart_step(bool settled); /* now and then, after heal_at */
bool apart_goes_on(void);
bool apart_lacks_acks(uint8_t group);
/* What is wanted of the group has not come yet. */
bool apart_lacks(uint8_t group, bool settled);
const char *apart_who(void); /* "", or who is away, for a message */

/* Times from healing to the third acknowledgement, over all worlds that were played. */
void apart_times(FILE *out);

#endif
