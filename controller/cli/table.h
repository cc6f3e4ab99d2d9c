/* controller/cli/table.h -- aligned columns for people.
 *
 * Owner:   table_free(); cells are copied, and cut at a word before TABLE_CELL bytes.
 * Threads: one.
 */
#ifndef RF_CLI_TABLE_H
#define RF_CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "controller/base/auto.h"

enum { TABLE_COLUMNS = 12, TABLE_ROWS = 128, TABLE_CELL = 800 };

struct table;

/* `titles` ends with NULL. NULL: no memory. */
struct table *table_new(const char *const *titles);
void table_free(struct table **t); /* for AUTO */

/* Cells of the next row, one for each title; rows beyond TABLE_ROWS are counted, and the
 * count is printed. NULL and "" print as "-". */
void table_add(struct table *t, const char *const *cells);

/* Every line begins with `indent`; a last column is not padded. Nothing for no rows. On a
 * screen, sentences are broken at words within their column (wrap.h). */
void table_print(const struct table *t, const char *indent, FILE *out);

#endif
