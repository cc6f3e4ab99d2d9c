/* controller/cli/wrap.h -- long sentences on a person's screen: whole, broken at words.
 *
 * Pure:    but for wrap_columns(), which asks the terminal.
 */
#ifndef RF_CLI_WRAP_H
#define RF_CLI_WRAP_H

#include <stddef.h>
#include <stdio.h>

/* How wide it is: what COLUMNS says, else the terminal; 0: a pipe or a file, where a line
 * stays a line, for grep. */
size_t wrap_columns(FILE *out);

/* Columns that the text takes on the screen (of UTF-8). */
size_t wrap_width(const char *text);

/* The bytes of `text` that are its next line of `columns` at most (0: all of it), at least
 * one character where there is one; *ret_next is where the one after it begins. */
size_t wrap_line(const char *text, size_t columns, const char **ret_next);

/* `first`, then the text, its later lines indented by `hang`; with an end of line. */
void wrap_print(FILE *out, const char *first, size_t hang, const char *text);

#endif
