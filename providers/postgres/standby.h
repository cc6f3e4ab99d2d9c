/* providers/postgres/standby.h -- the settings of a standby, and whether it streams. */
#ifndef RF_PROVIDERS_POSTGRES_STANDBY_H
#define RF_PROVIDERS_POSTGRES_STANDBY_H

#include "providers/postgres/pg.h"

/* For a server that is down: standby.signal, primary_conninfo, and the names that nobody
 * satisfies, so that a promotion by hand acknowledges nothing. */
MUST_USE int pg_standby_write(struct pg *pg, const Rf__StepRequest *rq, struct err *err);
/* The same for a running one, where anything differs; seen applied. */
MUST_USE int pg_standby_reload(struct pg *pg, const Rf__StepRequest *rq,
                               struct mono deadline, struct err *err);
/*   ERR_TIMEOUT   the text says what the server says about it
 *   ERR_CONFLICT  it is no standby any more
 *   ERR_CLOSED    it has ended */
MUST_USE int pg_standby_wait_streaming(struct pg *pg, struct mono deadline,
                                       struct err *err);

#endif
