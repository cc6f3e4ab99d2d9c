/* fencing/agent/agent_close.h -- the gate at boot, before any server starts.
 *
 * A host that boots has no gate: the kernel forgot it. Until the agent runs, a server that
 * the init system starts by itself, as the primary that it was, would serve whoever asks.
 * This puts the gate over every port that the agent remembers, closed, and ends; the agent
 * takes it over when it comes. It needs no network, no certificate and no controller.
 *
 * Owner:   nothing is kept.
 * Threads: the main thread.
 * Errors:  of agent_state_open() and gate_open(); then nothing may start that the gate is
 *          there for. That the agent runs already is none: its gate stands.
 */
#ifndef RF_AGENT_AGENT_CLOSE_H
#define RF_AGENT_AGENT_CLOSE_H

#include "fencing/agent/agent_settings.h"

/* Says on standard output what it closed. A gate that is there is kept as it is, leases and
 * all; what it does not have yet is closed. */
MUST_USE int agent_close(const struct agent_settings *settings, struct err *err);

#endif
