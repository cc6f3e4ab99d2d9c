/* controller/cli/secret.h -- a code or a token that a person types, or pipes: never an
 * argument, never the environment, which others can read.
 *
 * Threads: one.
 */
#ifndef RF_CLI_SECRET_H
#define RF_CLI_SECRET_H

#include <stddef.h>
#include <stdio.h>

#include "controller/base/err.h"

/* One line: of the terminal, without echo, where standard input is one; else of standard
 * input, whose rest is left for others (`-f -`).
 *   ERR_INVAL  none, or one of `size` bytes and more */
MUST_USE int secret_ask(const char *prompt, char *ret, size_t size, struct err *err);

#endif
