/* fencing/methods/words.h -- what a program said last, fit for an error's text.
 *
 * Pure.
 */
#ifndef RF_METHODS_WORDS_H
#define RF_METHODS_WORDS_H

#include <stddef.h>

/* The last two lines of `text` that say anything (Python's last line names the error, the
 * one before it where), without control characters, cut to `size`. Takes `text` apart. */
void words_last(char *text, char *ret, size_t size);

#endif
