/* chaos/restart.h -- an upgrade: each program restarts within the TTL, and no client
 * notices.
 *
 * Owner:   the main thread.
 */
#ifndef RF_CHAOS_RESTART_H
#define RF_CHAOS_RESTART_H

#include "chaos/play.h"

/* One after the other: each agent by SIGTERM and by SIGKILL, the leader by SIGTERM. The
 * same incarnation goes on under the same lease and epoch (I12), no server restarts and the
 * writer keeps its session; what is otherwise is blamed on p->result. How long writes may
 * wait is verdict.c's to say. */
void restart_everybody(struct play *p);

#endif
