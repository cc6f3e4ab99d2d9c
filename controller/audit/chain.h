/* controller/audit/chain.h -- rows of the audit trail, chained by SHA-256 (I9).
 *
 * hash = SHA-256 over the hash of the row before and every field of the row, so that a row
 * which was changed, left out, moved or put in is seen by all that come after it. Who keeps
 * the rows is controller/consensus/store_audit.c's business.
 *
 * Pure:  yes. Nothing fails.
 */
#ifndef RF_AUDIT_CHAIN_H
#define RF_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AUDIT_HASH_SIZE = 32,
    AUDIT_KIND_SIZE = 32,
    AUDIT_GROUP_SIZE = 64,
    AUDIT_RULE_SIZE = 64,
    AUDIT_TEXT_SIZE = 1440,
    /* In `text`, before whose request it was (controller/daemon/audit.c). */
    AUDIT_ACTOR_MARK = 0x1f
};

/* One line of the audit trail. The applier fills in the first part; the store numbers and
 * chains it: hash = SHA-256 over the previous row's hash and every field. */
struct audit_row {
    uint64_t index, term; /* the log entry that it is about */
    uint64_t wall_ms;     /* of that entry, for people */
    uint64_t leader_id;   /* who proposed it */
    char kind[AUDIT_KIND_SIZE];
    char group[AUDIT_GROUP_SIZE]; /* "" where no group is concerned */
    char rule[AUDIT_RULE_SIZE];
    char text[AUDIT_TEXT_SIZE];

    uint64_t seq; /* set by the store: 1, 2, 3 ... on this node */
    uint8_t prev_hash[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
};

/* *ret_row is `from` as the row behind number `seq`, whose hash is `prev`; before the first
 * one they are 0. A text of `from` that fills its array without an end is cut. */
void audit_chain_row(const struct audit_row *from, uint64_t seq,
                     const uint8_t prev[AUDIT_HASH_SIZE], struct audit_row *ret_row);

/* The row is the one behind `seq`, unchanged. */
bool audit_chain_continues(const struct audit_row *r, uint64_t seq,
                           const uint8_t prev[AUDIT_HASH_SIZE]);

/* A text into an array of that size: cut, and always ended. */
void audit_copy_text(char *to, const char *from, size_t size);

#endif
