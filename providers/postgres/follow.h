/* providers/postgres/follow.h -- STEP_FOLLOW and STEP_CLONE: a standby of the upstream. */
#ifndef RF_PROVIDERS_POSTGRES_FOLLOW_H
#define RF_PROVIDERS_POSTGRES_FOLLOW_H

#include "providers/postgres/pg.h"

/* Looks how the two logs are related, and does the least that makes a standby: nothing,
 * new settings, a start, a rewind, a clone. The agent has made sure that no lease is held
 * (I6). Divergent WAL is kept first (I9); `out` tells how much and where.
 *   ERR_PEER     another cluster's directory or upstream
 *   ERR_FULL     hold: no room for the divergent WAL
 *   ERR_UNKNOWN  it runs as a standby and does not stream yet
 *   ERR_CONFLICT, ERR_CLOSED  it was promoted, or has ended, while it was waited for */
MUST_USE int pg_step_follow(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                            Rf__StepResult *out, struct err *err);

#endif
