/* tests/sim/judge_lease.h -- leases, fences, proofs and sets by the log (I1, I2, I4, I8,
 * I12): judge_log.c brings each accepted entry once, in order, when it is first applied. */
#ifndef RF_SIM_JUDGE_LEASE_H
#define RF_SIM_JUDGE_LEASE_H

#include "controller/core/entry.h"

void judge_lease_begin(void);
/* One renewal of a batch has been granted. */
void judge_granted(uint8_t group, const struct renew_item *item);
void judge_terms(uint8_t group, const struct group *g); /* after each entry */
/* Any entry but renewals; `g` is the group after it, NULL: it is gone. */
void judge_lease_entry(uint8_t group, uint64_t index, const struct entry *e,
                       const struct group *g);
/* I8: a client is told that its write is safe. */
void judge_members_have(uint8_t host, uint8_t group, int id, uint64_t epoch);
/* The host was proven over by severing, for this epoch or a later one: its gate may be
 * open, and nothing new is acknowledged there. */
bool judge_is_severed(uint8_t host, uint8_t group, uint64_t epoch);
/* The running agent has closed its gate and frozen it. */
void judge_froze(uint8_t host, uint8_t group, uint64_t epoch);

#endif
