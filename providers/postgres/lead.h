/* providers/postgres/lead.h -- STEP_LEAD: a verified primary, or a clear no. */
#ifndef RF_PROVIDERS_POSTGRES_LEAD_H
#define RF_PROVIDERS_POSTGRES_LEAD_H

#include "providers/postgres/pg.h"

/* The agent holds the lease of rq->epoch (I6). `out->position` is where recovery ended, or
 * somewhat later. What each of them leaves behind on failure is said in the text.
 *   ERR_UNKNOWN  a promotion or a start that may still happen */
MUST_USE int pg_step_lead(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                          Rf__StepResult *out, struct err *err);

#endif
