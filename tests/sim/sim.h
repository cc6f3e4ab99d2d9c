/* tests/sim/sim.h -- one seed from its beginning to its verdict. */
#ifndef RF_SIM_SIM_H
#define RF_SIM_SIM_H

#include <stdio.h>

#include "tests/sim/world.h"

/* mutant.c: NULL for none; of no effect but in `sim_mutants`. */
extern const char *mutant_name;

struct sim_result {
    bool failed, stuck;
    char why[512];
    uint64_t digest, events, ns;
    unsigned faults; /* in the schedule */
};

/* The world stays as it was (for histories) until sim_clear(). */
void sim_play(const struct sim_options *opt, struct sim_result *ret);
void sim_clear(void);
/* What it would play, as a schedule (schedule.h). */
void sim_print(const struct sim_options *opt, FILE *out);

#endif
