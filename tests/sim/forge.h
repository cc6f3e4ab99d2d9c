/* tests/sim/forge.h -- programs that have gone wrong and say what they must not.
 *
 * Two kinds of fault: the standby's agent says things about the active one, or past ones
 * about itself, under its own certificate ("forged-frames"); a leader commits entries of
 * chance that its own decide() would never propose and its own dry run would refuse
 * ("forged-entries"). Everything that is forged is wrong in at least one point when it is
 * made, and stays so whatever is committed before it, so nothing of it may be heeded. What
 * nobody can tell from the truth (an agent that lies about its own gate, a leader that
 * counts a lease out too early) is not forged: that is not covered (docs/safety.md).
 */
#ifndef RF_SIM_FORGE_H
#define RF_SIM_FORGE_H

#include "tests/sim/plan.h"

/* Of another kind than these nothing happens. */
void forge_begin(const struct fault *f);

#endif
