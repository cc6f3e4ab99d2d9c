/* controller/http/reader.h -- values out of strict JSON; each error names its path. Pure.
 *
 * Limits:  of the caller's: a text shorter than its room and printable, a number within its
 *          bounds. How deep and how long the JSON may be is jansson's (2048 levels) and
 *          HTTPD_BODY_MAX (controller/httpd/httpd.h).
 * Errors:  ERR_INVAL. ret_ arguments are untouched then, and where a key is not given.
 */
#ifndef RF_HTTP_READER_H
#define RF_HTTP_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

enum { READER_PATH_SIZE = 96 };

void reader_path_key(char out[READER_PATH_SIZE], const char *path, const char *key);
void reader_path_index(char out[READER_PATH_SIZE], const char *path, size_t index);

/* An object with no other keys than these (NULL ends the list). */
MUST_USE int reader_object(const json_t *v, const char *path, const char *const *keys,
                           struct err *err);
MUST_USE int reader_list(const json_t *v, const char *path, size_t min, size_t max,
                         size_t *ret_count, struct err *err);
/* A name of ours: controller/http/route.h. `ret` has NAME_SIZE. */
MUST_USE int reader_name(const json_t *v, const char *path, char *ret, struct err *err);
/* 1 to size - 1 bytes without control characters. */
MUST_USE int reader_text(const json_t *v, const char *path, char *ret, size_t size,
                         struct err *err);

struct reader_range {
    uint64_t min, max;
};
/* These three look the key up in `object`. */
MUST_USE int reader_number(const json_t *object, const char *path, const char *key,
                           uint64_t *ret, struct reader_range range, struct err *err);
MUST_USE int reader_bool(const json_t *object, const char *path, const char *key, bool *ret,
                         struct err *err);
struct reader_field {
    const char *key;
    uint32_t *ret;
    struct reader_range range;
};
MUST_USE int reader_fields(const json_t *object, const char *path,
                           const struct reader_field *fields, size_t n, struct err *err);

#endif
