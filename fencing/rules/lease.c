#include "fencing/rules/lease.h"
#include "controller/base/mutant.h"

#include <inttypes.h>

enum { PPM = 1000000 };

struct boot lease_holder_deadline(struct boot sent, struct lease_terms terms)
{
    /* Exact in nanoseconds, so there is nothing to round; the holder's slow clock is the
     * controller's business (lease_wait_ns). */
    return (struct boot){sent.ns + (uint64_t)terms.ttl_ms * NS_PER_MS};
}

uint64_t lease_wait_ns(struct lease_terms terms)
{
    uint64_t num = (uint64_t)PPM + terms.rho_ppm;
    uint64_t den = (uint64_t)PPM - terms.rho_ppm;
    uint64_t ttl_ns = (uint64_t)terms.ttl_ms * NS_PER_MS;

    /* 60 s in ns times 1.05e6 is below 2^63, so this cannot wrap within the bounds. */
    return MUTANT(bare_ttl, (ttl_ns * num + den - 1) / den, ttl_ns);
}

bool lease_is_over(struct mono applied, struct lease_terms terms, struct mono now)
{
    return mono_is_set(applied) &&
           mono_since_ns(applied, now) >=
               MUTANT(half_wait, lease_wait_ns(terms), lease_wait_ns(terms) / 2);
}

struct lease_terms lease_terms_widest(struct lease_terms a, struct lease_terms b)
{
    return (struct lease_terms){
        .ttl_ms = a.ttl_ms > b.ttl_ms ? a.ttl_ms : b.ttl_ms,
        .rho_ppm = a.rho_ppm > b.rho_ppm ? a.rho_ppm : b.rho_ppm,
    };
}

static uint64_t least_ttl_ms(uint64_t renew_ms, struct lease_surroundings around)
{
    return 2 * renew_ms + 2ull * around.election_ms + 6ull * around.rtt_ms;
}

/* Below what the rule asks for. `renew_ms` is not less than a tenth of the TTL. */
static int say_ttl_rule(struct lease_terms terms, uint32_t renew_ms,
                        struct lease_surroundings around, struct err *err)
{
    return err_set(err, ERR_INVAL,
                   "lease.ttl of %" PRIu32
                   " ms breaks the TTL rule, ttl >= 2 x renew + 2 x election timeout + 6 x "
                   "round trip: 2 x %" PRIu32 " + 2 x %" PRIu32 " + 6 x %" PRIu32
                   " = %" PRIu64 " ms at least, or the loss of a leader would close the "
                   "gate; raise the ttl, or shorten raft.election",
                   terms.ttl_ms, renew_ms, around.election_ms, around.rtt_ms,
                   least_ttl_ms(renew_ms, around));
}

int lease_check_ttl_rule(struct lease_terms terms, uint32_t renew_ms,
                         struct lease_surroundings around, struct err *err)
{
    uint32_t renew_min_ms = (terms.ttl_ms + 9) / 10, renew_max_ms = terms.ttl_ms / 5;

    if (terms.ttl_ms < LEASE_TTL_MIN_MS || terms.ttl_ms > LEASE_TTL_MAX_MS)
        return err_set(err, ERR_INVAL, "lease.ttl of %" PRIu32 " ms: must be %d to %d ms",
                       terms.ttl_ms, LEASE_TTL_MIN_MS, LEASE_TTL_MAX_MS);
    if (terms.rho_ppm < LEASE_RHO_MIN_PPM || terms.rho_ppm > LEASE_RHO_MAX_PPM)
        return err_set(err, ERR_INVAL, "lease.rho of %" PRIu32 " ppm: must be %d to %d ppm",
                       terms.rho_ppm, LEASE_RHO_MIN_PPM, LEASE_RHO_MAX_PPM);
    /* No renew would do: it is the TTL that is wrong, whatever else is. */
    if (terms.ttl_ms < least_ttl_ms(renew_min_ms, around))
        return say_ttl_rule(terms, renew_ms > renew_min_ms ? renew_ms : renew_min_ms,
                            around, err);
    if (renew_ms < renew_min_ms || renew_ms > renew_max_ms)
        return err_set(err, ERR_INVAL,
                       "lease.renew of %" PRIu32 " ms: must be between ttl/10 and ttl/5 "
                       "(%" PRIu32 " to %" PRIu32 " ms for a ttl of %" PRIu32 " ms)",
                       renew_ms, renew_min_ms, renew_max_ms, terms.ttl_ms);
    if (terms.ttl_ms < least_ttl_ms(renew_ms, around))
        return say_ttl_rule(terms, renew_ms, around, err);
    return 0;
}

bool lease_clock_rate_ok(int64_t rate_ppm, uint32_t rho_ppm)
{
    int64_t limit = (int64_t)rho_ppm / 2;

    return rate_ppm <= limit && rate_ppm >= -limit;
}
