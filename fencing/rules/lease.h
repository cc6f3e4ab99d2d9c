/* fencing/rules/lease.h -- how long a lease lasts, seen from both of its ends.
 *
 * The holder counts from before it asked; a controller counts from after it applied the
 * grant. Whatever the messages took, the holder gives up first. Source: C. Gray and
 * D. Cheriton, "Leases", SOSP 1989, section 3; the rate bound rho replaces their epsilon.
 *
 * Pure:    no I/O, no clock, no allocation.
 * Units:   ttl in milliseconds, rho in parts per million, instants as types.
 * Errors:  ERR_INVAL with a text that names the bound.
 */
#ifndef RF_RULES_LEASE_H
#define RF_RULES_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/err.h"
#include "controller/base/time.h"

enum {
    LEASE_TTL_MIN_MS = 300,
    LEASE_TTL_MAX_MS = 60000,
    LEASE_RHO_MIN_PPM = 100,
    LEASE_RHO_MAX_PPM = 50000,
};

/* What a grant promises. */
struct lease_terms {
    uint32_t ttl_ms;
    uint32_t rho_ppm; /* how wrong the rate of either clock may be */
};

/* What the TTL rule (docs/design.md section 4) weighs a TTL against. */
struct lease_surroundings {
    uint32_t election_ms; /* longest election timeout that a voter announced */
    uint32_t rtt_ms;      /* longest round trip measured, rounded up */
};

/* I3, the holder's side: the instant from which no packet may pass. Counted from the
 * holder's own reading before it sent, as the answer echoed it. */
struct boot lease_holder_deadline(struct boot sent, struct lease_terms terms);

/* I4, a controller's side: how long after its own apply() of the last renewal the holder
 * must be taken to hold: ttl * (1 + rho) / (1 - rho), rounded up to the nanosecond. */
uint64_t lease_wait_ns(struct lease_terms terms);

/* True once the holder must have stopped. `applied` is a fresh reading made after apply();
 * false for `applied` never set: not knowing is not a proof. */
bool lease_is_over(struct mono applied, struct lease_terms terms, struct mono now);

/* The larger of the two in both terms: what must be counted when grants of both kinds were
 * made in one epoch (I4). */
struct lease_terms lease_terms_widest(struct lease_terms a, struct lease_terms b);

/* ttl >= 2 * renew + 2 * election + 6 * rtt, renew between ttl/10 and ttl/5, and the
 * bounds above. The text begins with the key that is wrong ("lease.ttl of 900 ms ..."), and
 * states the rule with its numbers. */
MUST_USE int lease_check_ttl_rule(struct lease_terms terms, uint32_t renew_ms,
                                  struct lease_surroundings around, struct err *err);

/* I4: a holder takes no lease while its clock is steered faster than half of rho. */
bool lease_clock_rate_ok(int64_t rate_ppm, uint32_t rho_ppm);

#endif
