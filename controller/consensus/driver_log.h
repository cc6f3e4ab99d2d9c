/* controller/consensus/driver_log.h -- the part of the log that a driver keeps in memory:
 * from `trailing` entries before the snapshot to the end.
 *
 * libraft's engine tracks only terms; replication and application need the bytes. Beside
 * each entry stands the head of the hash chain after it, so that a leader can seal the next
 * command also right after a truncation.
 *
 * Owner:   entries' bytes are copied in and freed when they are cut off; their addresses
 *          stay the same until then.
 */
#ifndef RF_CONSENSUS_DRIVER_LOG_H
#define RF_CONSENSUS_DRIVER_LOG_H

#include "controller/consensus/driver.h"

struct dlog {
    uint64_t first; /* index of entries[0], also where it is empty */
    size_t n, cap;
    struct consensus_entry *entries;
    uint8_t (*chains)[CHAIN_SIZE];
    uint8_t base[CHAIN_SIZE]; /* chain before `first` */
};

/* Empty, the next entry being `first`; `chain` NULL: nothing before it. */
void dlog_reset(struct dlog *l, uint64_t first, const uint8_t *chain);
uint64_t dlog_last(const struct dlog *l); /* first - 1 where it is empty */

/* NULL: not in memory. */
const struct consensus_entry *dlog_get(const struct dlog *l, uint64_t index);
/* The chain after `index`, which is in memory or just before it. */
const uint8_t *dlog_chain(const struct dlog *l, uint64_t index);
/* What is known to be the chain after `index` (from a snapshot that ends there). */
void dlog_set_chain(struct dlog *l, uint64_t index, const uint8_t *chain);

MUST_USE int dlog_append(struct dlog *l, const struct consensus_entry *e, struct err *err);
/* Drop `index` and everything behind it. */
void dlog_truncate(struct dlog *l, uint64_t index);
/* Drop everything before `index`. */
void dlog_compact(struct dlog *l, uint64_t index);
void dlog_free(struct dlog *l);

#endif
