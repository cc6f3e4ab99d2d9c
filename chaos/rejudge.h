/* chaos/rejudge.h -- a history of operations that was kept, judged again.
 *
 * Needs no laboratory: for a file out of --logs, one that was cut down by hand, or one of
 * another tool.
 */
#ifndef RF_CHAOS_REJUDGE_H
#define RF_CHAOS_REJUDGE_H

#include <stdio.h>

/* Says to `out` what becomes of it. 0: one order explains it; 1: none does, or it was not
 * decided; 2: the file is no history. */
int rejudge(const char *path, FILE *out);

#endif
