/* fencing/rules/proof.h -- what counts as a fence proof, and for whom (I2, I12).
 *
 * Pure:    no I/O, no clock, no allocation.
 */
#ifndef RF_RULES_PROOF_H
#define RF_RULES_PROOF_H

#include <stdbool.h>
#include <stdint.h>

enum { INCARNATION_BYTES = 48 };

/* One life of an agent's state: boot id, gate id, random number, 16 bytes each. All zero:
 * none. */
struct incarnation {
    uint8_t bytes[INCARNATION_BYTES];
};

bool incarnation_is_set(const struct incarnation *i);
bool incarnation_equal(const struct incarnation *a, const struct incarnation *b);

/* Numbers travel in the log: add at the end, never renumber. */
#define PROOF_KIND_MAP(X)                                                                  \
    X(PROOF_NONE, 0, "none")                                                               \
    X(PROOF_INSTALLED, 1, "gate-installed")  /* installed, closed, tried; no grant yet */  \
    X(PROOF_AGENT, 2, "agent")               /* closed and frozen, read back */            \
    X(PROOF_LEASE_EXPIRY, 3, "lease-expiry") /* counted out (I4) */                        \
    X(PROOF_POWER, 4, "power")                                                             \
    X(PROOF_ATTESTED, 5, "attested")                                                       \
    X(PROOF_SYNC_SEVERED, 6, "sync-severed")

enum proof_kind {
#define X(name, number, text) name = (number),
    PROOF_KIND_MAP(X)
#undef X
};

/* Stable name for logs, "?" for a number that is none of ours. */
const char *proof_kind_name(enum proof_kind kind);
/* Proof kinds that this version can check and accept. */
bool proof_kind_accepted(enum proof_kind kind);

/* What the log knows about one instance's right to serve. */
struct proof_record {
    uint64_t last_grant; /* log index of the last lease granted, write or read; 0: never */
    struct incarnation holder; /* the incarnation of that grant */
    uint64_t proven;           /* log index of the last proof; 0: never, or void since */
    enum proof_kind kind;
    struct incarnation prover; /* the incarnation that the proof is about */
};

/* I2: true if the log proves that the instance can no longer acknowledge a write: the proof
 * is later than the last grant, and about the incarnation that may act there today.
 *
 * A proof by lease expiry is about the holder on record. If another incarnation of the
 * agent was enrolled since (`enrolled` differs), the machine has been restarted: a gate of
 * that new life has not been seen yet, so the instance counts as proven only if it never
 * was granted anything under the new life, which apply() guarantees by refusing grants to
 * an incarnation whose predecessor is unproven (I12). So an expiry proof stands, an agent's
 * word stands only for the life that gave it.
 *
 * A host that was seen to be off, after fence_begin, has ended the life that was enrolled
 * then. Of a holder that is as good as its expiry: what it was granted cannot be used any
 * more, by whoever comes up there next. Of a life that held nothing it says only that this
 * life is over: the next one may find its server running, ungated, and has to prove its
 * gate itself. The same goes for a life that people have said to be over. */
bool proof_holds(const struct proof_record *r, const struct incarnation *enrolled);

/* The holder is known to acknowledge nothing any more, and its lease may still run: it lets
 * in clients whose writes hang, and whose reads grow old. So a proof that a standby refuses
 * its log is one for an activation (I2), and none for a new life of it (I12), nor for a
 * shorter TTL (I4), until the lease is counted out. */
bool proof_leaves_lease(const struct proof_record *r);

#endif
