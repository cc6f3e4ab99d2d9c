/* fencing/agent/agent.h -- the whole agent in one loop and one thread beside it.
 *
 * Owner:   agent_run() makes and ends everything.
 * Threads: the main thread, blocked until the agent ends.
 * Errors:  what hindered the start, or what ended it: the text is for the last line of the
 *          log. SIGTERM and SIGINT end it in good order, with 0: the gate and PostgreSQL
 *          are left as they are (a successor within the TTL is not noticed).
 */
#ifndef RF_AGENT_AGENT_H
#define RF_AGENT_AGENT_H

#include "fencing/agent/agent_settings.h"

/* `can_serve` false: what `postgres.*` names is not all there (agent_check.h). */
MUST_USE int agent_run(const struct agent_settings *settings, bool can_serve,
                       struct err *err);

#endif
