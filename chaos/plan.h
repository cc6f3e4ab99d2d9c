/* chaos/plan.h -- what is played, one after the other: what the command line names, or
 * scenarios drawn from seeds until the minutes are over.
 *
 * Owner:   the plan keeps what it has drawn until plan_free().
 * Threads: the main thread; a laboratory's process has a copy from fork().
 */
#ifndef RF_CHAOS_PLAN_H
#define RF_CHAOS_PLAN_H

#include "chaos/options.h"

struct plan {
    const struct options *options;
    int64_t end_ns; /* of --random: nothing is begun later */
    struct scenario **drawn;
    size_t cap;
};

/* The minutes begin. */
void plan_make(struct plan *p, const struct options *o);
void plan_free(struct plan *p);

/* Whether there is an i-th one, as far as is known at this moment. */
bool plan_goes_on(const struct plan *p, unsigned i);
const struct scenario *plan_scenario(struct plan *p, unsigned i);

/* --random: of the i-th one. The same seed, given as --seed, draws it first. */
uint32_t plan_seed(const struct plan *p, unsigned i);

#endif
