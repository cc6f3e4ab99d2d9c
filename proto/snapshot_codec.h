/* proto/snapshot_codec.h -- struct state <-> the body of a snapshot envelope.
 *
 * Every field of the state goes through. As strict as proto/entry_codec.h, and canonical:
 * equal states give equal bytes, so states of two controllers can be compared by them.
 * What both a snapshot and a checksum need (index, term, chain) is the envelope's.
 *
 * Pure:    no I/O, no clock.
 * Owner:   plain values; array elements behind their count are zero after decoding.
 * Threads: any; no shared state.
 */
#ifndef RF_PROTO_SNAPSHOT_CODEC_H
#define RF_PROTO_SNAPSHOT_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/base/err.h"
#include "controller/core/state.h"

/* The format is a function of the state: the oldest one that has room for it. What only a
 * newer one has was put there by an entry that all on record had announced to read
 * (formats.h), so nobody is sent a snapshot that it does not know (I10). */
enum { SNAPSHOT_FORMAT_MIN = 1, SNAPSHOT_FORMAT_MAX = 3, SNAPSHOT_BYTES_MAX = 4 << 20 };

uint32_t snapshot_format_of(const struct state *s);

/* Append to `out`; nothing is appended on failure.
 *   ERR_INVAL  not a state that could be decoded; the text names the field
 *   ERR_NOMEM  ERR_FULL */
MUST_USE int snapshot_encode(const struct state *s, struct buf *out, struct err *err);

/* `ret_state` (about 1 MiB) is untouched on failure.
 *   ERR_BADMSG  ERR_UNSUPPORTED (another format)  ERR_NOMEM */
MUST_USE int snapshot_decode(const uint8_t *data, size_t len, struct state *ret_state,
                             struct err *err);

#endif
