/* controller/ship/place_private.h -- what place.c, directory.c, s3.c and s3_answer.c share.
 */
#ifndef RF_SHIP_PLACE_PRIVATE_H
#define RF_SHIP_PLACE_PRIVATE_H

#include "controller/base/buf.h"
#include "controller/ship/place.h"

MUST_USE int directory_list(const struct ship_place *p, struct ship_ranges *ret,
                            struct err *err);
MUST_USE int directory_put(const struct ship_place *p, const char *name,
                           const uint8_t *data, size_t len, struct err *err);

MUST_USE int s3_list(const struct ship_place *p, const atomic_bool *cancel,
                     struct ship_ranges *ret, struct err *err);
MUST_USE int s3_put(const struct ship_place *p, const char *name, const uint8_t *data,
                    size_t len, const atomic_bool *cancel, struct err *err);

/* ---- s3_answer.c: what a bucket says ---- */

/* The text of the first <tag>, "" where there is none; cut to `size`. */
void s3_text(const struct buf *body, const char *tag, char *text, size_t size);
/* The segments that a page of ListObjectsV2 names; *ret_last is the last key of it, "" on
 * the last page. ERR_BADMSG: it is no such page. */
MUST_USE int s3_read_page(const struct ship_place *p, const struct buf *body,
                          struct ship_ranges *ret, char ret_last[SHIP_URL_SIZE],
                          struct err *err);
/* An error's text for an answer that is none of 2xx. */
int s3_refused(const struct ship_place *p, const char *what, long status,
               const struct buf *body, struct err *err);

#endif
