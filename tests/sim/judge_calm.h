/* tests/sim/judge_calm.h -- I7 where nothing is wrong, or one controller is away: no gate
 * that has opened closes. */
#ifndef RF_SIM_JUDGE_CALM_H
#define RF_SIM_JUDGE_CALM_H

#include "tests/sim/world.h"

void judge_calm_begin(void);
/* At every look: the group was opened on that host last; NOBODY: not yet. */
void judge_calm(uint8_t group, uint8_t active);

#endif
