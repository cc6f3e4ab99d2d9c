/* providers/postgres/upstream.h -- the server that a standby follows, seen over its port
 * as the replication user. */
#ifndef RF_PROVIDERS_POSTGRES_UPSTREAM_H
#define RF_PROVIDERS_POSTGRES_UPSTREAM_H

#include "providers/postgres/pg.h"
#include "providers/postgres/text.h"

struct pg_upstream {
    uint64_t system_id;
    uint32_t timeline;
    struct pg_history history;
    uint64_t flushed;
};

/* A connection string (malloc). `name` is the application_name; `extra` is put behind
 * ("replication=true", "dbname=postgres"). */
MUST_USE int pg_upstream_conninfo(const struct pg *pg, const Rf__Upstream *up,
                                  const char *name, const char *extra, char **ret_conninfo,
                                  struct err *err);

/* Asks by the replication protocol, which needs nothing but REPLICATION.
 *   ERR_PEER     another system identifier than `up` names
 *   ERR_REFUSED  a password is needed, or pg_hba.conf has no line; the text says which
 *   ERR_TIMEOUT, ERR_NOTFOUND  it cannot be reached */
MUST_USE int pg_upstream_look(struct pg *pg, const Rf__Upstream *up, struct mono deadline,
                              struct pg_upstream *ret, struct err *err);

/* Does it still keep the segment in which a standby that has everything up to `lsn` goes
 * on? True where it may not be asked (pg_monitor may). Errors as of pg_upstream_look(). */
MUST_USE int pg_upstream_has(struct pg *pg, const Rf__Upstream *up, uint64_t lsn,
                             struct mono deadline, bool *ret_has, struct err *err);

/* Waits until the upstream's control file shows its timeline, and asks for a CHECKPOINT
 * where the replication user may: pg_rewind reads the timeline from there. */
MUST_USE int pg_upstream_settle(struct pg *pg, const Rf__Upstream *up, uint32_t timeline,
                                struct mono deadline, struct err *err);

/* Makes the upstream write one record, after a rewind: its end is then flushed beyond where
 * the rewound server must get to be consistent. An idle upstream would take 15 s to write
 * by itself. Where it fails, that is what happens. */
void pg_upstream_nudge(struct pg *pg, const Rf__Upstream *up, struct mono deadline);

#endif
