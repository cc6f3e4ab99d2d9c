/* Which planted bug is switched on, in the build that has them. */
#include "controller/base/mutant.h"

#include <string.h>

#include "tests/sim/sim.h"

const char *mutant_name;

/* Not in `sim`, where nobody asks. */
bool mutant_is_on(const char *name);
struct mono mutant_loop_time(void);

bool mutant_is_on(const char *name)
{
    return mutant_name != NULL && strcmp(mutant_name, name) == 0;
}

struct mono mutant_loop_time(void) { return (struct mono){sim_self()->loop_ns}; }
