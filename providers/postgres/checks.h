/* providers/postgres/checks.h -- what `ringfence doctor` says about a server. */
#ifndef RF_PROVIDERS_POSTGRES_CHECKS_H
#define RF_PROVIDERS_POSTGRES_CHECKS_H

#include <stddef.h>

#include "providers/postgres/pg.h"

/* `checks`: "settings" (asks the server), "disk" (room and sync latency), "host" (files,
 * autostart), "start" (one finding: could the server be started as `start` says? "fail":
 * no; "warn": nobody can tell), "hba ADDRESS" (asks the server: does pg_hba.conf let the
 * role that replicates in from there? The own address is asked for, too: whoever copies
 * this server's directory leads with its file one day), "pass ADDRESS PORT" (would libpq
 * find a password for there?). A finding's level is "ok", "warn" or "fail"; its text says
 * what is, what is wanted and what to do. ERR_UNSUPPORTED  a group that is not known */
MUST_USE int pg_checks(struct pg *pg, char *const *checks, size_t n,
                       Rf__ProviderReply *reply, struct err *err);

#define PG_CHECK_HBA "hba "
#define PG_CHECK_PASS "pass "

/* Parts of it. A session is expected to be there for pg_check_role(). */
void pg_find(Rf__ProviderReply *reply, const char *check, const char *level,
             const char *fmt, ...) PRINTF_LIKE(4, 5);
void pg_check_role(struct pg *pg, struct mono deadline, Rf__ProviderReply *reply);
void pg_check_hba(struct pg *pg, const char *address, struct mono deadline,
                  Rf__ProviderReply *reply);
void pg_check_pass(const struct pg *pg, const char *address_port, Rf__ProviderReply *reply);

enum pg_unit {
    PG_UNIT_GOOD, /* or none is needed */
    PG_UNIT_BAD,  /* the server could not be started: `err` */
    PG_UNIT_UNKNOWN,
};

/* The unit's name in "systemd:UNIT", else NULL. */
const char *pg_unit_of(const char *start);
enum pg_unit pg_unit_look(const struct pg *pg, struct mono deadline, struct err *err);

#endif
