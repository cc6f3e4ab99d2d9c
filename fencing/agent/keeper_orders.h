/* fencing/agent/keeper_orders.h -- what the guard is told of a group's server.
 *
 * Pure:    no I/O, no clock.
 * Units:   struct boot, CLOCK_BOOTTIME nanoseconds in the page.
 * Threads: the keeper's.
 */
#ifndef RF_AGENT_KEEPER_ORDERS_H
#define RF_AGENT_KEEPER_ORDERS_H

#include "fencing/agent/keeper_core.h"

/* From the last order to the one that follows from the slot. Nothing but a server that is
 * known to be down, to be a standby without a lease, or to be nobody's (detached) is
 * disarmed: what is not known stays as it was. */
void keeper_order(const struct keeper_slot *s, enum guard_when when,
                  struct guard_order *order);

/* Before `lease` is written to the gate: no packet may pass that the guard does not know a
 * deadline for. A deadline is only moved on. */
void keeper_order_before(const struct keeper_slot *s, const struct gate_lease *lease,
                         enum guard_when when, struct guard_order *order);

#endif
