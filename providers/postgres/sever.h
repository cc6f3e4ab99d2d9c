/* providers/postgres/sever.h -- STEP_SEVER: a standby that takes no more of its upstream's
 * log, durably (design section 4, level 2).
 *
 * Its word is a fence proof, so it is given only when nothing is left that could still ask
 * the upstream for a record: primary_conninfo is empty on disk and in the startup process,
 * and no walreceiver is there. It stays so over restarts of the server and of the host,
 * until a FOLLOW names an upstream anew; a promotion needs none.
 *
 * Threads: one; blocks until the deadline at most.
 * Errors:  ERR_UNKNOWN: it may be severed by now; the order is repeated, and the step looks
 *          what is done. ERR_CONFLICT, ERR_NOTFOUND: no standby that could be.
 */
#ifndef RF_PROVIDERS_POSTGRES_SEVER_H
#define RF_PROVIDERS_POSTGRES_SEVER_H

#include "providers/postgres/pg.h"

MUST_USE int pg_step_sever(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                           Rf__StepResult *out, struct err *err);

#endif
