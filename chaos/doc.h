/* chaos/doc.h -- members of a JSON document that may lack them.
 *
 * Pure.
 */
#ifndef RF_CHAOS_DOC_H
#define RF_CHAOS_DOC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

const char *doc_text(const json_t *object, const char *key); /* "" */
int64_t doc_number(const json_t *object, const char *key, int64_t otherwise);
bool doc_true(const json_t *object, const char *key);
/* The element of an array whose `key` is `value`; NULL: none. Borrowed. */
json_t *doc_find(const json_t *array, const char *key, const char *value);

#endif
