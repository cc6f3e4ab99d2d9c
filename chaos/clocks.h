/* chaos/clocks.h -- wrong clocks of controllers, by libfaketime.
 *
 * Never of an agent: under libfaketime its CLOCK_BOOTTIME is not the one by which the
 * kernel's gate closes. A laboratory has one of two kinds, because libfaketime cannot do
 * both in one process: a wall clock that jumps, beside a monotonic one that is right; or
 * all clocks and timers of a process at another rate from its start on. (It could change
 * the rate of a running process, but the monotonic clock goes back then, which no kernel
 * does.)
 *
 * Owner:   the caller; a site's setting is a file in its directory.
 * Threads: the main one.
 * Errors:  die().
 */
#ifndef RF_CHAOS_CLOCKS_H
#define RF_CHAOS_CLOCKS_H

#include "chaos/ground.h"

enum clocks { CLOCKS_RIGHT, CLOCKS_STEPS, CLOCKS_RATES };

/* Why this machine cannot have wrong ones, or NULL. */
const char *clocks_missing(void);

/* The right time, for a controller that is about to be started for the first time. */
void clocks_begin(const struct ground *g, enum site s);
/* So many seconds ahead of the right time, or behind it: at once. */
void clocks_step(const struct ground *g, enum site s, int seconds);
/* In percent of the right rate, for the process that is started next. */
void clocks_rate(const struct ground *g, enum site s, unsigned percent);

/* What the controller's environment has besides, and a NULL: program.env. */
enum { CLOCK_ENV_MAX = 6 };
struct clock_env {
    char text[CLOCK_ENV_MAX][128];
    const char *list[CLOCK_ENV_MAX + 1];
};
void clocks_env(struct clock_env *ret, const struct ground *g, enum clocks kind,
                enum site s);

#endif
