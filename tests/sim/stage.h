/* tests/sim/stage.h -- faults of several acts. */
#ifndef RF_SIM_STAGE_H
#define RF_SIM_STAGE_H

#include "tests/sim/plan.h"

/* Of another kind than these nothing happens. */
void stage_begin(const struct fault *f);

/* Whom a play is about: nodes. */
struct cast {
    uint8_t group, agent, leader,
        other; /* agent: of the active instance; other: no leader */
};

/* False: nobody leads, or the group is not there yet. */
bool stage_cast(const struct fault *f, struct cast *ret);
/* After so long, unless the world heals by then. */
void stage_then(uint64_t ms, sim_fn *fn, struct cast c);
uint64_t stage_pack(struct cast c);
struct cast stage_unpack(uint64_t number);
/* The agent hears no controller, nor do they hear it, for three TTL. */
void stage_isolate(void *arg, uint64_t number);
void stage_ask_failover(void *arg, uint64_t number);

#endif
