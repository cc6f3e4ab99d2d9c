/* tests/sim/stage.h -- faults of several acts. */
#ifndef RF_SIM_STAGE_H
#define RF_SIM_STAGE_H

#include "tests/sim/plan.h"

/* Of another kind than these nothing happens. */
void stage_begin(const struct fault *f);

#endif
