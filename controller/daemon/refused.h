/* controller/daemon/refused.h -- how many refused requests the audit trail has room for: a
 * bounded summary (I10), whoever knocks how often.
 *
 * Asked by a controller that does not lead before it tells the leader, and by the leader
 * again before it writes: so neither the links nor the log are filled, by one mad
 * controller neither. Of one address, user and reason controller/http/refusals.h has
 * counted before.
 *
 * Pure.
 * Owner: whoever embeds it; REFUSED_BOUNDS is full.
 */
#ifndef RF_DAEMON_REFUSED_H
#define RF_DAEMON_REFUSED_H

#include "controller/core/actor.h"
#include "controller/daemon/bucket.h"

enum {
    REFUSED_BURST = 5,
    REFUSED_EACH_MS = 1000,
    /* Whom nobody knows must not take the place of those who are known, and neither must
     * root's own mistakes at the socket, as a script makes them. */
    REFUSED_UNKNOWN_BURST = 10,
    REFUSED_UNKNOWN_EACH_MS = 60000,
};

struct refused_bounds {
    struct bucket known, unknown, root;
};
#define REFUSED_BOUNDS                                                                     \
    {                                                                                      \
        .known = {.burst = REFUSED_BURST, .each_ms = REFUSED_EACH_MS},                     \
        .unknown = {.burst = REFUSED_UNKNOWN_BURST, .each_ms = REFUSED_UNKNOWN_EACH_MS},   \
        .root = {                                                                          \
            .burst = REFUSED_BURST,                                                        \
            .each_ms = REFUSED_EACH_MS                                                     \
        }                                                                                  \
    }

/* False: there is no room for another one now. */
static inline bool refused_take(struct refused_bounds *b, const struct actor *who,
                                struct mono now)
{
    struct bucket *of = who->kind == ACTOR_ANONYMOUS ? &b->unknown
                        : who->kind == ACTOR_SOCKET  ? &b->root
                                                     : &b->known;

    return bucket_take(of, now);
}

#endif
