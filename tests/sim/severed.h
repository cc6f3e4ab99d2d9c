/* tests/sim/severed.h -- groups with fence level 2, and what their controllers see of a
 * holder that is gone.
 *
 * controller/daemon/prober.h over the modelled servers: only such groups are probed, so
 * that other worlds stay as they are. A host answers, or refuses where no server runs, as
 * long as packets pass and its gate lets them.
 */
#ifndef RF_SIM_SEVERED_H
#define RF_SIM_SEVERED_H

#include "tests/sim/plan.h"

/* By the seed alone. A schedule says it itself. */
void severed_choose(void);
void severed_choose_faults(void);
void severed_policy(uint8_t group, struct policy *p);

/* FAULT_HAND_START, FAULT_HOLDER_ALONE: the latter until then. */
void severed_strike(const struct fault *f, uint64_t until);

#endif
