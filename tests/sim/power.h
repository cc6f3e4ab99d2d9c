/* tests/sim/power.h -- fencers and what they switch: fencing/methods/power.h over modelled
 * BMCs.
 *
 * Each host has one, `bmc-HOST`, on a network of its own. It obeys after a moment, also one
 * who is gone by then; while faults go on it may be away, or switch nothing and say so.
 * Somebody switches the host on again some seconds later.
 */
#ifndef RF_SIM_POWER_H
#define RF_SIM_POWER_H

#include "controller/daemon/settings.h"
#include "tests/sim/plan.h"
#include "tests/sim/world.h"

void power_begin(void);
/* By the seed alone, so that other worlds stay as they are. A schedule says it itself. */
void power_choose(void);
enum power_plan power_plan_of(uint8_t group);
void power_settings(struct settings *s);
void power_policy(uint8_t group, struct policy *p);
void power_name(uint8_t host, char name[NAME_SIZE]);

/* Until when the host is off; 0: it is on. */
uint64_t power_off_until(uint8_t host);
void power_away(uint8_t host, uint64_t until);
bool power_has_lied(uint8_t host);

#endif
