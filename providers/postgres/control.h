/* providers/postgres/control.h -- the control file of a server that is down or silent.
 *
 * Limits:  of PG_VERSION 64 bytes are read, of what the programs print
 *          PG_TOOL_OUTPUT_MAX; they are killed at the deadline.
 * Threads: any; blocks: for workers only.
 * Errors:  also those of pg_run_ok(): the program is not there, fails or is late.
 */
#ifndef RF_PROVIDERS_POSTGRES_CONTROL_H
#define RF_PROVIDERS_POSTGRES_CONTROL_H

#include "providers/postgres/pg.h"
#include "providers/postgres/text.h"

/* Through pg_controldata under LC_ALL=C: its text is stable, the file's layout is not. */
MUST_USE int pg_control_read(const struct pg *pg, struct mono deadline,
                             struct pg_control *ret, struct err *err);

/* Ask the programs while nobody waits: the first look at a server that is down is in the
 * way of whoever is to hear of the crash. */
void pg_version_learn(struct pg *pg, struct mono deadline);

/* A data directory belongs to one major version, and bin_dir has programs of one. Asks the
 * programs once, the directory each time.
 *   ERR_CONFLICT  they differ */
MUST_USE int pg_version_fits(struct pg *pg, struct mono deadline, struct err *err);

#endif
