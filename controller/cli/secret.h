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

/* The first line of a file that nobody else can read.
 *   ERR_NOTFOUND  ERR_IO
 *   ERR_REFUSED   others can read it; the text says what to do
 *   ERR_INVAL     empty, or `size` bytes and more */
MUST_USE int secret_from_file(const char *path, char *ret, size_t size, struct err *err);

#endif
