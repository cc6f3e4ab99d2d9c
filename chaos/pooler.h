/* chaos/pooler.h -- a pgbouncer on each database host, as people run it: as the server's
 * user, over the server's own Unix socket, for everybody who comes to its port.
 *
 * To the server its clients are local, so no gate of the server's port stands before them;
 * the group names the pooler's port beside it (`also_ports`).
 *
 * Owner:   process_signal(), and the end of the region or of the laboratory.
 * Threads: the main one.
 * Errors:  die().
 */
#ifndef RF_CHAOS_POOLER_H
#define RF_CHAOS_POOLER_H

#include "chaos/ground.h"
#include "chaos/process.h"

enum { POOLER_PORT = 6432 };

/* Why this machine cannot have one, or NULL. */
const char *pooler_missing(void);
/* Nothing to do for one that runs. */
void pooler_start(const struct ground *g, enum site s, struct process *p);

/* How a client on the pooler's own host connects, by its loopback: what a connection string
 * says last of a port counts. */
extern const char pooler_client_settings[];

#endif
