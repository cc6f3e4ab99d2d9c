/* controller/base/text.h -- text of a fixed size, for people: what does not fit is cut
 * where a word ends, and says so.
 *
 * Pure.
 */
#ifndef RF_BASE_TEXT_H
#define RF_BASE_TEXT_H

#include <stddef.h>

#include "controller/base/auto.h"

/* As snprintf(), but that a text too long ends in " ...". `size` is 8 at least. */
void text_set(char *to, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The end of a text that vsnprintf() has cut to fill its `size`. */
void text_mark_cut(char *to, size_t size);

#endif
