/* fencing/guard/look.h -- does that gate stand in the kernel? Asked of the kernel itself.
 *
 * For the guard, which asks when a deadline has passed, and for the agent, which asks at
 * each renewal: a gate that is missing, replaced or emptied is no reason to hold a lease.
 * System calls alone, no library: some microseconds (nftables: some ten).
 *
 * Threads: any.
 */
#ifndef RF_FENCING_GUARD_LOOK_H
#define RF_FENCING_GUARD_LOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "fencing/guard/guard_page.h"

/* Whether the programs are attached (the table is there, with its rules). False, with the
 * reason in `why`: it is not, or the kernel does not say. */
bool guard_look(const struct guard_gate *gate, char *why, size_t size);
/* Whether the port is ruled by it; by which lease is the agent's to check, which knows when
 * it puts another one there. Of a gate that guard_look() has found. */
bool guard_look_port(const struct guard_gate *gate, uint16_t port, char *why, size_t size);

/* Fill in handle and rules of the table that `gate->place` names, as they are now; 0 and 0
 * where it is not there. */
void guard_nft_witness(struct guard_gate *gate);

#endif
