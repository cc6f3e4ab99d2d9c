/* providers/postgres/names.h -- synchronous_standby_names, written and read.
 *
 * We write one form only: FIRST k ("a", "b") with k the number of names, so that every
 * commit waits for all of them. `*` is refused: it would let anybody stand in (I8).
 *
 * Pure:    no I/O, no clock.
 * Owner:   returned strings are malloc'ed.
 * Errors:  ERR_INVAL for a name that cannot be used, ERR_NOMEM.
 */
#ifndef RF_PROVIDERS_POSTGRES_NAMES_H
#define RF_PROVIDERS_POSTGRES_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

enum { PG_NAME_MAX = 63, PG_NAMES_MAX = 16 };

/* 1 to 63 printable ASCII characters, not `*`. */
MUST_USE int pg_name_check(const char *name, struct err *err);

/* FIRST n ("a", "b"); "" for no names at all. */
MUST_USE int pg_names_format(char *const *names, size_t n, char **ret_text,
                             struct err *err);

/* The names of a text that pg_names_format() wrote. */
struct pg_names {
    size_t n;
    char of[PG_NAMES_MAX][PG_NAME_MAX + 1];
};
/* False for any other text: then nothing is known about who is waited for. */
MUST_USE bool pg_names_parse(const char *text, struct pg_names *ret);
bool pg_names_have(const struct pg_names *names, const char *name);

#endif
