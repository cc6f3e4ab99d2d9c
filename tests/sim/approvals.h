/* tests/sim/approvals.h -- people who propose, agree, are late, and attest; and the judge
 * of what comes of that, by books of its own.
 *
 * By dice of their own, so that the other worlds stay as they are. In every fourth group
 * two people have to agree to a move. Anna is an operator, Ben an approver, Cora both, Dirk
 * an admin; all of them say yes to whatever is open, also twice, also too late.
 *
 * They attest a death as people do who see a region that does not answer: often rightly,
 * sometimes while the server behind the cut serves on. The lease makes that harmless: no
 * proof comes of it before the lease is over (I4), which the judge of gates looks at (I2).
 */
#ifndef RF_SIM_APPROVALS_H
#define RF_SIM_APPROVALS_H

#include "controller/core/entry.h"
#include "tests/sim/world.h"

void approvals_begin(void);
bool approvals_are_needed(uint8_t group);
void approvals_policy(uint8_t group, struct policy *p);
/* Who asks for all else: at a controller's socket. */
void approvals_sign(struct entry *e);

/* Makes a proposal of an operator's wish. `target`: an instance, or NO_INSTANCE. */
void approvals_propose(uint8_t group, const struct state *s, enum proposal_kind kind,
                       uint8_t target, struct entry *e);
/* Some wishes are proposed where nobody has to agree, too. */
bool approvals_like_to(uint8_t group);
/* The next thing that somebody says about what is open in the group. False: nothing. */
bool approvals_speak(uint8_t group, const struct state *s, struct entry *e);
/* Somebody takes an instance for dead. False: nobody does. `silent`: bits of instances that
 * do not answer the leader. */
bool approvals_attest(uint8_t group, const struct state *s, uint8_t silent,
                      struct entry *e);

/* An entry has been applied, and accepted, for the first time; `before`: its group as it
 * was (NULL: there was none). */
void approvals_entry(uint8_t group, uint64_t index, const struct entry *e,
                     const struct group *before);

#endif
