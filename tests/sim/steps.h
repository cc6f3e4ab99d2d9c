/* tests/sim/steps.h -- what provider processes see and do, as providers/postgres does it.
 */
#ifndef RF_SIM_STEPS_H
#define RF_SIM_STEPS_H

#include "proto/provider.pb-c.h"
#include "tests/sim/pg.h"

/* An observation, and what it points to. */
struct look {
    Rf__Observation seen;
    Rf__ReplicaSeen replicas[HOSTS_MAX], *list[HOSTS_MAX];
    char upstream[24];
};

void look_at_server(struct look *look, uint8_t host, uint8_t group, bool canary);
uint64_t look_takes_ns(uint8_t host, uint8_t group);

/* One step under way. */
struct work {
    uint8_t host, group;
    unsigned stage;
    uint64_t began, position, divergent;
    int outcome; /* Rf__StepOutcome; 0: not yet */
    bool severed;
    const char *text;
};

/* What comes next, and after how long the rest. */
uint64_t work_go_on(struct work *w, const Rf__StepRequest *rq);

/* provider.c: some provider processes of the host die. */
void provider_crash(uint8_t host);

#endif
