/* tests/unit/history/play_pretend.h -- histories of a service that keeps its word.
 *
 * Every operation gets its one instant first, between its invocation and its completion,
 * and then the answer of that instant. One with an unknown outcome may get it later, or
 * never.
 */
#ifndef RF_PLAY_PRETEND_H
#define RF_PLAY_PRETEND_H

#include "chaos/operations.h"

struct pretend {
    unsigned seed, clients, each; /* each: operations of a client */
    unsigned keys;                /* odd ones are lists */
    unsigned pause_us, length_us; /* at most */
    unsigned unknown_percent;
};

void play_pretend(const struct pretend *plan, struct operations *into);

#endif
