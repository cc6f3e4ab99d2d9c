/* tests/sim/trail.h -- the audit trail of each controller, and what must hold of it (I9).
 *
 * The rows are chained by the shipped function (controller/audit/chain.h); what
 * it gives behind an index must be the same on every controller. Each entry but a renewal
 * leaves a row, on each controller that applies it. Rows reach the disk with whatever is
 * written behind them: a crash loses the last ones, and the entries are applied again.
 */
#ifndef RF_SIM_TRAIL_H
#define RF_SIM_TRAIL_H

#include "controller/consensus/store.h"
#include "controller/core/entry.h"

/* The last row that is recorded. */
struct trail {
    uint64_t index, seq;
    uint8_t hash[CHAIN_SIZE];
};

void trail_begin(void);
void trail_end(void);
/* The node starts, with what its disk has. */
void trail_load(uint8_t node, const struct trail *on_disk);
const struct trail *trail_of(uint8_t node);
/* The node has applied the entry: what the one before it owes is there by now. */
void trail_applied(uint8_t node, uint64_t index, const struct entry *e);
/* All rows of one entry. */
void trail_put(uint8_t node, const struct audit_row *rows, size_t n);
/* A snapshot of the leader's replaces entries that were not applied here: the rows are the
 * others' (the product writes one of kind "gap"). */
void trail_skip(uint8_t node, uint64_t index);
void trail_last(void); /* at the end of the world */

#endif
