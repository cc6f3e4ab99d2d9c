/* fencing/agent/agent_check.h -- does agent.yaml fit this host?
 *
 * A wrong bin_dir or passfile would else be found by the first step that needs it: in the
 * middle of a failover.
 *
 * Threads: any; stats some twenty files.
 */
#ifndef RF_AGENT_CHECK_H
#define RF_AGENT_CHECK_H

#include "controller/base/findings.h"
#include "fencing/agent/agent_settings.h"

/* What the agent itself stands on: addresses, sockets, its directory, the gate's cgroup.
 * Only looks, and leaves a running agent of this configuration alone, unless one more is
 * `starting`. */
void agent_check_host(const struct agent_settings *s, bool starting, struct findings *f);

/* What it needs for a server: `postgres.*`. An agent that has one in its care goes on
 * without (a lease that ends over a mode bit of a passfile would be an outage made by us);
 * one that has none yet does not start. */
void agent_check_server(const struct agent_settings *s, bool starting, struct findings *f);

/* An agent that is not root can do nothing, and what its files lack for another user would
 * be wrong advice: they are root's. ERR_REFUSED. */
MUST_USE int agent_check_user(unsigned uid, const char *user, struct err *err);

/* May somebody else than root write the file, the certificates, or a directory they lie in?
 * Whoever can tells this agent, which is root, what to run. The same goes for it as for
 * agent_check_server(): no agent is stopped under a server that it holds a lease for. */
void agent_check_trust(const struct agent_settings *s, struct findings *f);

/* Are the units there that are to start the servers of the groups on record (`start` of
 * their files)? For `--check` alone: it runs systemctl, for up to a second each, and a
 * lease that a successor is to take over runs on meanwhile. An agent that runs looks in a
 * process beside it and shows what it finds as the instance's problem (steps.h). */
void agent_check_units(const struct agent_settings *s, struct findings *f);

#endif
