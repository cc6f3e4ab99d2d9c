/* chaos/html.h -- text into a page, so that it stays text.
 *
 * Pure:    writes to the stream it is given.
 * Errors:  none: what is no character of HTML or XML (controls, malformed UTF-8, as of a
 *          text that was cut in the middle of a character) becomes U+FFFD.
 */
#ifndef RF_CHAOS_HTML_H
#define RF_CHAOS_HTML_H

#include <stddef.h>
#include <stdio.h>

#include "chaos/base.h"

/* Good between tags and in attributes with either kind of quotes. */
void html_text(FILE *out, const char *text);

/* The same of the first `most` characters; what is left out is told by an ellipsis. */
void html_text_cut(FILE *out, const char *text, size_t most);

/* The same of what printf() makes of it, up to 1 KiB. */
void html_say(FILE *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
