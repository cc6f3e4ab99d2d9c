/* tests/fuzz/drivers.h -- what the targets over Raft drivers share: who the three voters
 * are, and a disk that is quick and forgets nothing.
 *
 * Pure:  as every target.
 * Owner: the caller owns driver and orders; nothing is kept.
 */
#ifndef RF_TEST_FUZZ_DRIVERS_H
#define RF_TEST_FUZZ_DRIVERS_H

#include "controller/consensus/driver.h"

enum { DRIVERS = 3 };

/* Of node `id`, 1 to DRIVERS. */
struct driver_config drivers_config(unsigned id);
/* All that the orders want stored is, and what they want applied or restored is too. The
 * seq of the last writing, for driver_persisted(); `stored` if there was none. */
uint64_t drivers_store(struct driver *d, const struct orders *o, uint64_t stored);

#endif
