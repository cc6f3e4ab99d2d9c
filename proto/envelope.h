/* proto/envelope.h -- what every command in the log, and every snapshot, is wrapped in.
 *
 * Format version, the proposing leader, wall time (for people only), SHA-256 of the
 * previous command's whole envelope (the audit chain, I9), the body, a checksum (I10).
 * The encoding is canonical: bytes that would not come out again exactly as they came in
 * are refused, so that equal hashes mean equal entries.
 *
 * Pure:    no I/O, no clock.
 * Owner:   opening copies nothing: bodies point into the caller's bytes.
 * Threads: any; no shared state.
 * Errors:  ERR_CORRUPT (malformed, checksum, not canonical), ERR_UNSUPPORTED (a format
 *          version that this build does not know), ERR_NOMEM, ERR_FULL.
 */
#ifndef RF_PROTO_ENVELOPE_H
#define RF_PROTO_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/base/err.h"

enum { ENVELOPE_VERSION = 1, ENVELOPE_HASH_SIZE = 32 };

struct envelope {
    uint32_t version;
    uint64_t leader_id;
    uint64_t wall_ms;
    uint8_t prev_hash[ENVELOPE_HASH_SIZE];
    const uint8_t *body;
    size_t len;
};

struct snapshot_envelope {
    uint32_t version;
    uint64_t index, term; /* of the last entry inside */
    uint64_t taken_by;    /* node id */
    uint64_t wall_ms;
    uint8_t chain[ENVELOPE_HASH_SIZE]; /* hash of the last command's envelope */
    uint64_t members_index;            /* the entry that `members` is the data of */
    const uint8_t *members;
    size_t members_len;
    const uint8_t *body;
    size_t len;
};

/* Append the sealed bytes to `out`; `version` is set, not read. */
MUST_USE int envelope_seal(const struct envelope *e, struct buf *out, struct err *err);
MUST_USE int envelope_open(const uint8_t *data, size_t len, struct envelope *ret,
                           struct err *err);

MUST_USE int snapshot_seal(const struct snapshot_envelope *s, struct buf *out,
                           struct err *err);
MUST_USE int snapshot_open(const uint8_t *data, size_t len, struct snapshot_envelope *ret,
                           struct err *err);

/* SHA-256, as the chain uses it. */
void envelope_hash(const void *data, size_t len, uint8_t ret[ENVELOPE_HASH_SIZE]);

#endif
