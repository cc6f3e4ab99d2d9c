/* chaos/linear.h -- is there one order of all operations that explains every answer?
 *
 * A history is linearizable when each operation can be given one instant between its
 * invocation and its completion, so that, done in the order of these instants, each one
 * gets the answer that its client got. Keys are independent, so each is decided by itself
 * (locality; Horn & Kroening's P-compositionality). Per key this is the search of Wing and
 * Gong with Lowe's memory of configurations: (what was done, the state that it left) is
 * never searched twice; and a read that fits is done at once, since it is in nobody's way.
 *
 *   J. M. Wing, C. Gong: Testing and Verifying Concurrent Objects, JPDC 17 (1993)
 *   G. Lowe: Testing for Linearizability, Concurrency and Computation 29 (2017)
 *   A. Horn, D. Kroening: Faster Linearizability Checking via P-Compositionality, FORTE
 * 2015
 *
 * An operation whose outcome is unknown may take effect at any time after its invocation,
 * or never. What a standby answered is not looked at here: stale.h judges it.
 *
 * Bounded: beyond `steps` or `bytes` the answer is LINEAR_NOT_DECIDED with the reason,
 * never ok. A violation is told as the fewest operations that were found to be one by
 * themselves.
 *
 * Pure:    no clock; prints to the stream it is given. Allocates up to `bytes`, and some
 *          hundred bytes for each operation beside.
 * Units:   those of the operations, nanoseconds; a step is one look at a configuration.
 * Owner:   plain values; the report's numbers are places in operations.of.
 * Threads: one at a time.
 */
#ifndef RF_CHAOS_LINEAR_H
#define RF_CHAOS_LINEAR_H

#include "chaos/operations.h"

struct linear_limits {
    uint64_t steps; /* in all keys together */
    size_t bytes;   /* of configurations that are remembered, in one key */
};
extern const struct linear_limits linear_limits_default;

enum linear_answer { LINEAR_OK, LINEAR_VIOLATION, LINEAR_NOT_DECIDED };

enum { LINEAR_SHOWN_MAX = 16, LINEAR_REASON_SIZE = 160 };

struct linear_report {
    enum linear_answer answer;
    uint64_t operations; /* that had to be ordered: ok, or unknown and not a read */
    uint64_t unknown;    /* of these */
    uint32_t keys;
    uint64_t steps;
    uint32_t key; /* the one that is wrong, or was not decided */
    char reason[LINEAR_REASON_SIZE];
    /* Of a violation: the window, and what cannot be ordered, by invocation. */
    int64_t from_ns, to_ns;
    uint32_t shown_count, shown_of; /* shown_of: how many there are */
    uint32_t shown[LINEAR_SHOWN_MAX];
    /* Lists are told by these of their values: the others have no part in it. */
    uint32_t value_count;
    uint64_t values[LINEAR_SHOWN_MAX];
};

void linear_check(const struct operations *o, struct linear_limits limits,
                  struct linear_report *ret);

const char *linear_answer_text(enum linear_answer answer);

/* For people: the sentence, and a line for each operation that is shown. Times are told in
 * milliseconds from `origin_ns`, hosts by `host_name`. */
void linear_print(const struct operations *o, const struct linear_report *r,
                  int64_t origin_ns, const char *(*host_name)(uint8_t host), FILE *out);

#endif
