/* chaos/linear_explain.h -- the fewest operations that are wrong by themselves.
 *
 * First the history is cut where nothing could pass; then values (with all that wrote or
 * read them) and reads are left out, in halves and then one by one, as long as what is left
 * has no order either. So what is told is a violation by itself, whatever was left out.
 *
 * Bounded: after so many tries the smallest one that was found is told.
 *
 * Pure:    no clock, no output.
 */
#ifndef RF_CHAOS_LINEAR_EXPLAIN_H
#define RF_CHAOS_LINEAR_EXPLAIN_H

#include "chaos/linear.h"
#include "chaos/linear_model.h"

/* `p` has no order, and what had happened when the operation `blocked` completed has none.
 * Fills in reason, window and what is shown. */
void linear_explain(const struct part *p, uint32_t blocked, size_t bytes,
                    struct linear_report *ret);

/* In one sentence, what is wrong with these. */
void linear_diagnose(const struct part *p, char *text, size_t size);

#endif
