/* controller/base/findings.h -- everything that is wrong, not only the first of it.
 *
 * Who looks at something calls findings_error() or findings_warn() for each thing; who
 * asked for the look says where it stands and to whom.
 *
 * Owner:   the caller; keys and texts are valid during the call only.
 * Threads: one at a time.
 */
#ifndef RF_BASE_FINDINGS_H
#define RF_BASE_FINDINGS_H

#include <stdbool.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

/* `key`: of a configuration file, "postgres.bin_dir". */
typedef void findings_say(void *owner, bool is_error, const char *key, const char *text);

struct findings {
    findings_say *say;
    void *owner;
    unsigned errors, warnings;
};

/* What is, what was expected, what to do. */
void findings_error(struct findings *f, const char *key, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same for what may come right by itself. */
void findings_warn(struct findings *f, const char *key, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif
