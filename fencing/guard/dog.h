/* fencing/guard/dog.h -- /dev/watchdog: the host is reset unless the guard says otherwise.
 *
 * The guard holds it, not the lease keeper: it outlives the agent, waits for nobody, and is
 * the one that knows whether a server that had to stop is gone. It is the line behind the
 * guard: should the guard itself be dead, frozen, or unable to end a process, nobody speaks
 * any more and the hardware acts.
 *
 * Opened when the first server is armed. Spoken to only while each armed server is *safe*:
 * its deadline is further away than the timeout, or its gate was found in place, or its
 * processes were found gone. Disarmed (the magic 'V', then close) only after all are known
 * to be down; a driver with `nowayout` cannot be disarmed, and the host is then reset when
 * the guard ends, which it therefore does not by itself.
 *
 * The kernel counts the timeout in seconds from the last word, so what is not renewed stops
 * `timeout` earlier than without it (dog_lead_ns()): the reset comes by the deadline.
 *
 * Threads: the guard's only one.
 */
#ifndef RF_FENCING_GUARD_DOG_H
#define RF_FENCING_GUARD_DOG_H

#include <stdbool.h>

#include "fencing/guard/guard_page.h"

struct dog {
    int fd;             /* -1: not open */
    unsigned timeout_s; /* as the driver has it; 0: not set */
    uint64_t spoke_ns, pets;
    enum guard_dog state;
    int error;
    uint64_t retry_ns;
};

struct dog_view {
    const char *device; /* "": none is wanted */
    bool any_armed;     /* servers with an order */
    bool all_safe;      /* each of them */
    bool all_down;      /* of all that were armed since it was opened */
    uint64_t ttl_ms;    /* the shortest lease of those that are armed */
    uint64_t now_ns;
};

/* How much earlier than a deadline everything has to be done because of it. */
uint64_t dog_lead_ns(const struct dog *dog);
/* Open, set, speak, or be silent, or disarm, as the view says. */
void dog_turn(struct dog *dog, const struct dog_view *view);

#endif
