/* tests/sim/judge_steps.h -- intention, act, outcome (I5), and no stale hand (I6): what
 * providers do against what the log has begun and ended. */
#ifndef RF_SIM_JUDGE_STEPS_H
#define RF_SIM_JUDGE_STEPS_H

#include "controller/core/entry.h"
#include "proto/provider.pb-c.h"

void judge_steps_begin(void);
/* Each accepted entry of a group, once, in order. */
void judge_steps_entry(uint8_t group, uint64_t index, const struct entry *e,
                       const struct group *g);
/* A worker is asked for it, by its agent. */
void judge_step_begins(uint8_t host, uint8_t group, const Rf__StepRequest *rq);
/* The worker has come to an end of it, or (OUTCOME_NONE) has died. */
void judge_step_ends(uint8_t host, uint8_t group, const Rf__StepRequest *rq, int outcome);

#endif
