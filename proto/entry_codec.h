/* proto/entry_codec.h -- struct entry <-> the body of a log envelope.
 *
 * The decoder gives apply() only what it may see, whoever wrote the bytes: names are
 * terminated and [a-z0-9][a-z0-9-]*, counts within their arrays, indexes below their counts
 * (or INSTANCE_MAX where no count is at hand), ports 1-65535, no two instances of one
 * agent, enum values that this version knows, a body that belongs to the kind. Anything
 * else is ERR_BADMSG (I10). The encoding is canonical: bytes that would not come out again
 * exactly as they came in are refused as well.
 *
 * Encoding refuses what decoding would refuse, so a proposal that was encoded can be read
 * by every voter. Only free texts (reasons, paths) are not refused: bytes that are not
 * UTF-8 become '?', control characters a blank.
 *
 * Not in the bytes: `wall_ms`, which is the envelope's. Decoding leaves it 0.
 *
 * Pure:    no I/O, no clock.
 * Owner:   plain values; everything that is not said is zero.
 * Threads: any; no shared state.
 */
#ifndef RF_PROTO_ENTRY_CODEC_H
#define RF_PROTO_ENTRY_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/base/err.h"
#include "controller/core/entry.h"
#include "controller/core/formats.h"

enum {
    ENTRY_FORMAT_MIN = 1,
    ENTRY_FORMAT_MAX = 3,
    ENTRY_FORMAT_ACTORS = 2, /* from here on an entry says whose request it is */
    ENTRY_FORMAT_KEYS = 3,   /* and under which key it came */
    ENTRY_BYTES_MAX = 64 << 10
};

/* The range that this binary announces (struct controller, struct agent: format_min,
 * format_max), and reads. */
struct format_range entry_formats(void);

/* Append to `out`, in a format of that range (format_choose()); nothing is appended on
 * failure.
 *   ERR_INVAL  apply() may not see this entry; the text names the field
 *   ERR_NOMEM  ERR_FULL */
MUST_USE int entry_encode_as(const struct entry *e, uint32_t format, struct buf *out,
                             struct err *err);
/* In the newest one. */
MUST_USE int entry_encode(const struct entry *e, struct buf *out, struct err *err);

/*   ERR_BADMSG  ERR_UNSUPPORTED (another format)  ERR_NOMEM */
MUST_USE int entry_decode(const uint8_t *data, size_t len, struct entry *ret_entry,
                          struct err *err);

#endif
