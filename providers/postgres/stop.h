/* providers/postgres/stop.h -- the server stops, and nothing of it is left. */
#ifndef RF_PROVIDERS_POSTGRES_STOP_H
#define RF_PROVIDERS_POSTGRES_STOP_H

#include "providers/postgres/process.h"

/* Fast shutdown, so that the walsenders drain; when most of the time has passed SIGQUIT,
 * and at last SIGKILL to every process of the instance, which works on frozen ones too.
 * `*ret_clean` is false when it needed more than the first. Nothing to do when it is down.
 *   ERR_UNKNOWN  processes of it are left */
MUST_USE int pg_stop(struct pg *pg, struct mono deadline, bool *ret_clean, struct err *err);

/* STEP_STOP. The position is the end of the shutdown checkpoint's record (of the log, when
 * it was not clean): a standby that has flushed it has everything. */
MUST_USE int pg_step_stop(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                          Rf__StepResult *out, struct err *err);

#endif
