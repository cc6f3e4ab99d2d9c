/* chaos/verdict_operations.h -- from the workload's operations to p->result.
 *
 * Owner:   the play; its workload has stopped.
 */
#ifndef RF_CHAOS_VERDICT_OPERATIONS_H
#define RF_CHAOS_VERDICT_OPERATIONS_H

#include "chaos/play.h"

/* Reads every key once more, keeps the operations beside the logs, and asks
 * whether one order explains them and no answer was too old. What was not decided is no
 * success. */
void verdict_operations(struct play *p);

#endif
