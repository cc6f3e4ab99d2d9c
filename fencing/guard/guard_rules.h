/* fencing/guard/guard_rules.h -- when the guard has to stop a server, and the page's locks.
 *
 * Pure:    no I/O, no clock, no allocation.
 * Units:   CLOCK_BOOTTIME nanoseconds; seconds for the watchdog.
 * Threads: one writer per sequence; readers in any process.
 */
#ifndef RF_FENCING_GUARD_RULES_H
#define RF_FENCING_GUARD_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "fencing/guard/guard_page.h"

/* Write `size` bytes (a multiple of 8) under the sequence. It is odd meanwhile; left odd by
 * a writer that died, it is taken up by the next one. */
void guard_put(uint64_t *seq, void *to, const void *from, size_t size);
/* False: a writer is at it, or was when it died: what was read before stands. That is the
 * safe side: its deadline is the earlier one. */
bool guard_get(const uint64_t *seq, void *to, const void *from, size_t size);

/* Is it a page of this version and size? */
bool guard_page_fits(const struct guard_page *page, uint64_t file_size);

enum guard_found { GUARD_NOT_LOOKED, GUARD_IN_PLACE, GUARD_GONE };

enum guard_verdict {
    GUARD_REST, /* nothing to do for this server */
    GUARD_LOOK, /* ask whether the gate is in place, and again with the answer */
    GUARD_STOP, /* the server has to be gone at once */
};

/* `lead_ns`: so much before a deadline everything is done. The gate was found so. */
enum guard_verdict guard_judge(const struct guard_order *order, uint64_t now_ns,
                               uint64_t lead_ns, enum guard_found found);
/* When the verdict may change by itself; UINT64_MAX: never. */
uint64_t guard_due_ns(const struct guard_order *order, uint64_t lead_ns);

/* Was the cgroup made by the agent's provider for one server alone ("ringfence-" at first,
 * the data directory's hash of 16 hex digits last)? Only such a one is killed as a whole:
 * another (ringfence-agent.service, a lab) may hold the agent and all else. */
bool guard_is_servers_cgroup(const char *path);

/* The watchdog's timeout for leases of which the shortest is `ttl_ms`: whole seconds, at
 * most half of it, so that a renewal that is late costs no reset. 0: there is none. */
unsigned guard_dog_timeout_s(uint64_t ttl_ms);

#endif
