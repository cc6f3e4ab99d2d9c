/* chaos/verdict.h -- from what was seen to p->result: figures, and whether it is ok.
 *
 * Owner:   the play; its clients have stopped.
 */
#ifndef RF_CHAOS_VERDICT_H
#define RF_CHAOS_VERDICT_H

#include "chaos/play.h"

void verdict_reach(struct play *p);

#endif
