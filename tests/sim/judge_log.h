/* tests/sim/judge_log.h -- every node applies the same, and comes to the same state. */
#ifndef RF_SIM_JUDGE_LOG_H
#define RF_SIM_JUDGE_LOG_H

#include "controller/core/entry.h"

void judge_log_begin(void);
void judge_log_end(void);
void judge_log_error(const char *text); /* log_error() of some program */
const char *judge_log_last_error(void);

/* judge.c: an accepted entry of the group, the first time that a node applies it. */
void judge_entry(uint8_t group, const struct entry *e, const struct group *g);

#endif
