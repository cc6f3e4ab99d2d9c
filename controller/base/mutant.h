/* controller/base/mutant.h -- planted bugs, for the test of the tests.
 *
 * MUTANT(name, right, wrong) is `right`. In a build of the simulator that is made for it
 * (RF_MUTANTS, tests/sim/CMakeLists.txt) it is `wrong` while the mutant of that name is
 * switched on: one small idea that a good engineer might have, and that must be found.
 * Nothing of it is in the product: tests/sim/no_mutants looks.
 */
#ifndef RF_BASE_MUTANT_H
#define RF_BASE_MUTANT_H

#ifdef RF_MUTANTS

#include <stdbool.h>

#include "controller/base/time.h"

struct orders;

bool mutant_is_on(const char *name);
/* The time that a loop has cached, as uv_now() would give it. */
struct mono mutant_loop_time(void);
/* What two entries say that are applied one behind the other is exchanged; gives 0. */
int mutant_swap_applies(struct orders *orders);

#define MUTANT(name, right, wrong) (mutant_is_on(#name) ? (wrong) : (right))

#else

#define MUTANT(name, right, wrong) (right)

#endif

#endif
