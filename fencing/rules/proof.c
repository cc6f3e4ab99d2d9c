#include "fencing/rules/proof.h"
#include "controller/base/mutant.h"

#include <string.h>

bool incarnation_is_set(const struct incarnation *i)
{
    static const struct incarnation none;

    return memcmp(i, &none, sizeof none) != 0;
}

bool incarnation_equal(const struct incarnation *a, const struct incarnation *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

const char *proof_kind_name(enum proof_kind kind)
{
    switch (kind) {
#define X(name, number, text)                                                              \
    case name:                                                                             \
        return text;
        PROOF_KIND_MAP(X)
#undef X
    }
    return "?";
}

bool proof_kind_accepted(enum proof_kind kind)
{
    return kind == PROOF_INSTALLED || kind == PROOF_AGENT || kind == PROOF_LEASE_EXPIRY ||
           kind == PROOF_POWER || kind == PROOF_SYNC_SEVERED || kind == PROOF_ATTESTED;
}

bool proof_leaves_lease(const struct proof_record *r)
{
    return r->kind == PROOF_SYNC_SEVERED && r->proven > r->last_grant;
}

bool proof_holds(const struct proof_record *r, const struct incarnation *enrolled)
{
    if (r->proven == 0 || MUTANT(old_proof_counts, r->proven <= r->last_grant, false))
        return false;
    switch (r->kind) {
    case PROOF_INSTALLED:
    case PROOF_AGENT:
        return MUTANT(any_signer, incarnation_equal(&r->prover, enrolled), true);
    case PROOF_LEASE_EXPIRY:
    case PROOF_SYNC_SEVERED:
        return incarnation_equal(&r->prover, &r->holder);
    case PROOF_POWER:
    case PROOF_ATTESTED:
        return incarnation_equal(&r->prover, &r->holder) ||
               incarnation_equal(&r->prover, enrolled);
    case PROOF_NONE:
        return false;
    }
    return false;
}
