/* controller/consensus/audit_chain.h -- rows of the audit trail, chained by SHA-256 (I9).
 *
 * hash = SHA-256 over the hash of the row before and every field of the row, so that a row
 * which was changed, left out, moved or put in is seen by all that come after it. Who keeps
 * the rows is store_audit.c's business.
 *
 * Pure:  yes. Nothing fails.
 */
#ifndef RF_CONSENSUS_AUDIT_CHAIN_H
#define RF_CONSENSUS_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/consensus/store.h"

/* *ret_row is `from` as the row behind number `seq`, whose hash is `prev`; before the first
 * one they are 0. A text of `from` that fills its array without an end is cut. */
void audit_chain_row(const struct audit_row *from, uint64_t seq,
                     const uint8_t prev[CHAIN_SIZE], struct audit_row *ret_row);

/* The row is the one behind `seq`, unchanged. */
bool audit_chain_continues(const struct audit_row *r, uint64_t seq,
                           const uint8_t prev[CHAIN_SIZE]);

/* A text into an array of that size: cut, and always ended. */
void audit_copy_text(char *to, const char *from, size_t size);

#endif
