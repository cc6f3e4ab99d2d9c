/* chaos/tally.h -- what many runs showed together.
 *
 * Pure:    prints to the stream it is given.
 * Owner:   plain values: it lives in memory that processes share.
 */
#ifndef RF_CHAOS_TALLY_H
#define RF_CHAOS_TALLY_H

#include "chaos/result.h"
#include "chaos/scenario.h"

/* What is beyond them is counted, and not named. */
enum { TALLY_KINDS = 48, TALLY_FAILURES = 32 };

struct tally {
    unsigned runs, not_ok;
    uint64_t acked, lost, operations;
    int64_t failovers, switchovers;
    double longest_outage_ms;
    unsigned kinds, faults;
    struct tally_kind {
        char name[32]; /* "kill agent", "cut" */
        unsigned count;
    } kind[TALLY_KINDS];
    struct tally_failure {
        uint32_t seed;
        char reason[REASON_SIZE];
    } failure[TALLY_FAILURES];
};

/* `seed`: from which the scenario was drawn. */
void tally_add(struct tally *t, const struct scenario *s, const struct result *r,
               uint32_t seed);

void tally_print(const struct tally *t, FILE *out);
/* One object on one line; `seed`: of the first run. */
void tally_json(const struct tally *t, uint32_t seed, FILE *out);

#endif
