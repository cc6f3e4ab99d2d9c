/* controller/daemon/bucket.h -- at most `burst` at once, and one each `each_ms`.
 *
 * Pure.
 * Owner: whoever embeds it; with `burst` and `each_ms` set it is full at its first use.
 */
#ifndef RF_DAEMON_BUCKET_H
#define RF_DAEMON_BUCKET_H

#include "controller/base/clock.h"

struct bucket {
    uint32_t burst, each_ms;
    uint32_t used;
    struct mono at; /* what was used is given back since */
};

/* False: it is empty. */
static inline bool bucket_take(struct bucket *b, struct mono now)
{
    uint64_t back = mono_since_ms(b->at, now) / b->each_ms;

    if (back >= b->used) {
        b->used = 0;
        b->at = now;
    } else {
        b->used -= (uint32_t)back;
        b->at = mono_plus_ms(b->at, back * b->each_ms);
    }
    if (b->used == b->burst)
        return false;
    b->used++;
    return true;
}

#endif
