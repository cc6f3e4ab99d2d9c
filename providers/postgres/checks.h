/* providers/postgres/checks.h -- what `ringfence doctor` says about a server. */
#ifndef RF_PROVIDERS_POSTGRES_CHECKS_H
#define RF_PROVIDERS_POSTGRES_CHECKS_H

#include <stddef.h>

#include "providers/postgres/pg.h"

/* `checks`: "settings" (asks the server), "disk" (room and sync latency), "host" (files,
 * autostart). A finding's level is "ok", "warn" or "fail"; its text says what is, what is
 * wanted and what to do.
 *   ERR_UNSUPPORTED  a group that is not known */
MUST_USE int pg_checks(struct pg *pg, char *const *checks, size_t n,
                       Rf__ProviderReply *reply, struct err *err);

#endif
