/* chaos/linear_search.h -- the search for an order, in one model (see linear.h).
 *
 * Pure:    no clock, no output.
 * Units:   steps are configurations that were looked at.
 */
#ifndef RF_CHAOS_LINEAR_SEARCH_H
#define RF_CHAOS_LINEAR_SEARCH_H

#include "chaos/linear_model.h"

enum search_answer { SEARCH_ORDERED, SEARCH_IMPOSSIBLE, SEARCH_TOO_LONG, SEARCH_TOO_LARGE };

struct search_outcome {
    enum search_answer answer;
    uint64_t steps;
    /* Impossible: what had happened by the end of this item has no order already, with all
     * that goes on after it taken as pending. */
    uint32_t blocked;
};

/* At most `steps`, and `bytes` of remembered configurations. */
struct search_outcome search_order(const struct model *m, uint64_t steps, size_t bytes);

#endif
