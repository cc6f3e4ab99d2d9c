/* fencing/agent/privileges.h -- what a process of the agent may still do as root.
 *
 * Capabilities (capabilities(7)) that a process does without are of no use to whoever takes
 * it over. Three kinds of process come of this binary and ringfence-guard:
 *
 *   agent    keeps what the gate and its own threads take. Its bounding set stays as the
 *            unit has it: a worker is a new program, and begins with that.
 *   worker   keeps what starting, stopping and looking at a server of another user takes.
 *            It takes the rest out of its bounding set as well, so it is gone for the
 *            server, too, and for whatever that starts.
 *   guard    see fencing/guard/privileges.h.
 *
 * Threads: before there is a second one: the kernel keeps capabilities per thread.
 * Errors:  ERR_REFUSED names what the kernel refused. Nothing was dropped then, or not all;
 *          the process should end.
 */
#ifndef RF_AGENT_PRIVILEGES_H
#define RF_AGENT_PRIVILEGES_H

#include "controller/base/err.h"

/* A user other than root has none, and needs none to be taken. */
MUST_USE int privileges_of_agent(struct err *err);
MUST_USE int privileges_of_worker(struct err *err);

#endif
