/* providers/postgres/observe.h -- one look at the server. */
#ifndef RF_PROVIDERS_POSTGRES_OBSERVE_H
#define RF_PROVIDERS_POSTGRES_OBSERVE_H

#include "providers/postgres/process.h"

/* Fills `out` within about `budget_ms`, whatever the server does. */
void pg_observe(struct pg *pg, bool canary, uint32_t budget_ms, Rf__Observation *out);

/* What a stop has read when no process of the server was left: the look that ends the step
 * need not read it again, while a switchover waits. */
void pg_down_keep(struct pg *pg, const struct pg_control *c, uint64_t end,
                  uint32_t timeline);

/* Tries a write that must wait for synchronous replication as a client's would, or looks
 * at the one that is still out. `ret_text` gets why it was refused. The main session must
 * be open. */
Rf__CanaryState pg_canary_look(struct pg *pg, struct mono deadline, struct err *ret_text);

/* A statement whose commit waits for synchronous replication; it changes no table. */
#define PG_CANARY_SQL "SELECT pg_logical_emit_message(true, 'ringfence', 'canary')"
/* Settings of a session that commits as clients do by default. */
#define PG_CANARY_OPTIONS                                                                  \
    "-c statement_timeout=0 -c lock_timeout=0 -c synchronous_commit=on "                   \
    "-c default_transaction_read_only=off -c idle_session_timeout=0"

/* The backend `pid` waits for a synchronous standby. */
MUST_USE int pg_waits_sync(struct pg *pg, pid_t pid, struct mono deadline, bool *ret_waits,
                           struct err *err);

#endif
