/* controller/base/buf.h -- a growing byte buffer with a hard limit; one that is `secret`
 * leaves nothing of what was in it behind, when it grows, is consumed, or freed.
 *
 * Owner:   buf_free() what was put in; a zeroed struct is an empty buffer.
 * Threads: none of its own.
 * Errors:  ERR_NOMEM, and ERR_FULL when `limit` (0: BUF_LIMIT_DEFAULT) would be passed.
 */
#ifndef RF_BASE_BUF_H
#define RF_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

enum { BUF_LIMIT_DEFAULT = 16 << 20 };

struct buf {
    uint8_t *data;
    size_t len, cap, limit;
    bool secret;
};

/* Room for `more` bytes behind the `len` used ones. */
MUST_USE int buf_reserve(struct buf *b, size_t more, struct err *err);
MUST_USE int buf_append(struct buf *b, const void *data, size_t len, struct err *err);
/* Drop `len` bytes at the front. */
void buf_consume(struct buf *b, size_t len);
void buf_free(struct buf *b); /* also for AUTO() */

#endif
