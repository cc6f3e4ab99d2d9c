/* controller/config/tell.h -- says what was found wrong, with its place in the file:
 * "FILE:LINE: KEY: text", for `--check` and for the start of a daemon alike.
 *
 * Owner:   the config and the program's name stay the caller's.
 * Threads: one at a time.
 */
#ifndef RF_CONFIG_TELL_H
#define RF_CONFIG_TELL_H

#include "controller/base/findings.h"
#include "controller/config/config.h"

struct config_teller {
    const struct config *config;
    const char *terminal; /* `--check`: the program's name, to stderr; NULL: to the log */
};

/* A findings_say; `teller` is a struct config_teller. */
void config_tell(void *teller, bool is_error, const char *key, const char *text);

#endif
