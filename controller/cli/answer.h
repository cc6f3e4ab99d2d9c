/* controller/cli/answer.h -- what the other end says, made fit for a terminal.
 *
 * An answer has words in it that strangers chose: PostgreSQL's messages quote what a
 * client sent, and who listens on the socket need not be a controller. Printed as they
 * are, control characters would move the cursor, rewrite lines above, or speak to the
 * terminal. So each becomes `?`, and a line break a blank: one value never looks like two
 * lines of ours. With --json nothing is changed: jansson escapes them, and scripts want
 * what was said.
 *
 * Limits:  jansson's 2048 levels; what is deeper is no JSON. How long it may be is for who
 *          reads it: HTTP_ANSWER_MAX and HTTP_LINE_MAX (controller/cli/http.h).
 * Pure:    allocates.
 * Owner:   json_decref() what comes back.
 */
#ifndef RF_CLI_ANSWER_H
#define RF_CLI_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* NULL: no JSON, or out of memory. `as_is`: unchanged. */
json_t *answer_read(const void *data, size_t len, bool as_is);

#endif
