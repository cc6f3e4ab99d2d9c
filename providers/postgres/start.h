/* providers/postgres/start.h -- PostgreSQL starts only here (I9). */
#ifndef RF_PROVIDERS_POSTGRES_START_H
#define RF_PROVIDERS_POSTGRES_START_H

#include "providers/postgres/process.h"

/* Starts the server and waits until it gives a session. It runs as the owner of the data
 * directory, in a session and, where possible, a cgroup of its own, and outlives the
 * worker: restart_after_crash=off, the declared address and port, and the private socket
 * directory (0700) as the only one.
 *   ERR_CONFLICT  a rewind or clone was not finished: never started over that (I6)
 *   ERR_REFUSED   it ended by itself; the text has its last words
 *   ERR_TIMEOUT   still starting at the deadline; it is left running */
MUST_USE int pg_start(struct pg *pg, struct mono deadline, struct err *err);

#endif
