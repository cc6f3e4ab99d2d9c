/* controller/daemon/lag.h -- how late this process's own turns come.
 *
 * A loop that stood still saw nothing: what it then takes for the silence of others is its
 * own (docs/house-style.md, "Time"). The prober drops such samples; /metrics and `doctor`
 * show the rest.
 *
 * Owner:   lag_open() to lag_close().
 * Threads: the loop's thread.
 */
#ifndef RF_DAEMON_LAG_H
#define RF_DAEMON_LAG_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/base/histogram.h"
#include "controller/base/time.h"

struct uv_loop_s;
struct lag;

enum { LOOP_LATE_MS = 50 };

struct lag_stats {
    uint64_t last_us, max_us; /* max: of the last ten seconds */
    uint64_t late;            /* turns that came later than LOOP_LATE_MS */
    struct histogram turns;
};

MUST_USE int lag_open(struct lag **ret_lag, struct uv_loop_s *loop, struct err *err);
void lag_close(struct lag *l); /* NULL is fine */
void lag_stats(const struct lag *l, struct lag_stats *ret_stats);

/* True for something that was due at `due` and happens only at `now`. */
static inline bool lag_is_late(struct mono due, struct mono now)
{
    return mono_since_ms(due, now) > LOOP_LATE_MS;
}

#endif
