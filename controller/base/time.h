/* controller/base/time.h -- instants as types, so that clocks cannot be mixed. Pure. */
#ifndef RF_BASE_TIME_H
#define RF_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

struct mono {
    uint64_t ns; /* CLOCK_MONOTONIC_RAW of this host; 0: never */
};

struct boot {
    uint64_t ns; /* CLOCK_BOOTTIME of this host; 0: never */
};

enum { NS_PER_MS = 1000000 };

static inline bool mono_is_set(struct mono t) { return t.ns != 0; }

/* Time from `then` to `now`, 0 where `then` is later (readings of two threads may cross).
 */
static inline uint64_t mono_since_ns(struct mono then, struct mono now)
{
    return now.ns > then.ns ? now.ns - then.ns : 0;
}

static inline uint64_t mono_since_ms(struct mono then, struct mono now)
{
    return mono_since_ns(then, now) / NS_PER_MS;
}

static inline struct mono mono_plus_ms(struct mono t, uint64_t ms)
{
    return (struct mono){t.ns + ms * NS_PER_MS};
}

#endif
