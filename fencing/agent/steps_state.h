/* fencing/agent/steps_state.h -- state_dir/steps.state: which servers and steps are ours.
 *
 * After a restart it tells a server that this agent started from one that it did not (I9),
 * and what the last life was in the middle of (I6). After a reboot no process of it is
 * left, and only the step ids still count.
 *
 * Limits:  a file of DURABLE_MAX bytes with AGENT_GROUPS_MAX groups, of this version or an
 *          earlier one; a line that is not understood is ERR_CORRUPT, a later version
 *          ERR_UNSUPPORTED.
 * Owner:   plain values.
 * Threads: the main thread; writing blocks until the disk has it.
 * Errors:  as fencing/agent/durable.h.
 */
#ifndef RF_AGENT_STEPS_STATE_H
#define RF_AGENT_STEPS_STATE_H

#include "fencing/agent/agent_state.h"
#include "fencing/agent/steps_rules.h"

struct step_records {
    uint8_t count;
    struct step_record of[AGENT_GROUPS_MAX];
};

/* No file: no records. */
MUST_USE int steps_state_read(const struct durable_dir *dir, struct step_records *ret,
                              struct err *err);
MUST_USE int steps_state_write(const struct durable_dir *dir, const struct step_records *r,
                               struct err *err);
/* The record of a group, made if there is none; NULL when AGENT_GROUPS_MAX are there. */
struct step_record *steps_state_of(struct step_records *r, const char *group);

/* Kill and await the workers that a former life has left running. ERR_TIMEOUT: one does
 * not go. */
MUST_USE int steps_state_end_leftovers(const struct step_records *r, struct err *err);

#endif
