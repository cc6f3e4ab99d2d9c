/* Which planted bug is switched on, in the build that has them. */
#include "controller/base/mutant.h"

#include <string.h>

#include "controller/consensus/driver.h"
#include "tests/sim/sim.h"

const char *mutant_name;

/* Not declared in `sim`, where nobody asks, declared once more in `sim_mutants`. */
/* NOLINTBEGIN(readability-redundant-declaration) */
bool mutant_is_on(const char *name);
struct mono mutant_loop_time(void);
int mutant_swap_applies(struct orders *orders);
/* NOLINTEND(readability-redundant-declaration) */

bool mutant_is_on(const char *name)
{
    return mutant_name != NULL && strcmp(mutant_name, name) == 0;
}

struct mono mutant_loop_time(void) { return (struct mono){sim_self()->loop_ns}; }

int mutant_swap_applies(struct orders *orders)
{
    for (size_t i = 0; i + 1 < orders->n; i++) {
        struct order *a = &orders->list[i], *b = a + 1;
        struct order_apply kept = a->apply;

        if (a->kind != ORDER_APPLY || b->kind != ORDER_APPLY ||
            a->apply.kind != ENTRY_COMMAND || b->apply.kind != ENTRY_COMMAND)
            continue;
        /* Each place in the log keeps its number. */
        a->apply.leader_id = b->apply.leader_id;
        a->apply.wall_ms = b->apply.wall_ms;
        a->apply.body = b->apply.body;
        a->apply.len = b->apply.len;
        b->apply.leader_id = kept.leader_id;
        b->apply.wall_ms = kept.wall_ms;
        b->apply.body = kept.body;
        b->apply.len = kept.len;
        i++;
    }
    return 0;
}
