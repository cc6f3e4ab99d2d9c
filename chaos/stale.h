/* chaos/stale.h -- how old are the answers that readers got?
 *
 * An answer is stale from the moment on at which something that it lacks had been
 * acknowledged. What is counted is certain: the true age may be higher, never lower. A
 * server that takes writes may be behind by nothing in a synchronous mode; a standby, where
 * `standby_reads` allows it to answer at all, by what its group declares.
 *
 * Pure:    no clock, no output.
 * Units:   nanoseconds of the operations' clock.
 * Owner:   plain values.
 */
#ifndef RF_CHAOS_STALE_H
#define RF_CHAOS_STALE_H

#include "chaos/operations.h"

struct stale_policy {
    bool standby_reads;
    int64_t primary_ns, standby_ns; /* by so much an answer may be behind */
};

enum { STALE_REASON_SIZE = 160 };

struct stale_report {
    bool ok;
    uint64_t reads, standby_reads;              /* that were answered */
    int64_t worst_primary_ns, worst_standby_ns; /* how far behind the worst of them was */
    size_t bad;                                 /* the first that was too old; if not ok */
    char reason[STALE_REASON_SIZE];
};

void stale_check(const struct operations *o, const struct stale_policy *policy,
                 struct stale_report *ret);

#endif
