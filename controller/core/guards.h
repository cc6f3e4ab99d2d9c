/* controller/core/guards.h -- the guards of rules.c. Each one is true when its row speaks,
 * and then has filled in what the row proposes.
 *
 * Pure: no I/O, no clock, no allocation.
 */
#ifndef RF_CORE_GUARDS_H
#define RF_CORE_GUARDS_H

#include "controller/core/decide_internal.h"

typedef bool row_guard(const struct look *l, struct entry *e);

row_guard guard_outcome_reported;
row_guard guard_gate_installed;
row_guard guard_corruption_seen;
row_guard guard_proof_contradicted;
row_guard guard_declared_can_lead;
row_guard guard_led;
row_guard guard_lease_held;
row_guard guard_promotion_silent;
row_guard guard_promotion_stuck;
row_guard guard_asked_by_operator;
row_guard guard_silent;
row_guard guard_went_back;
row_guard guard_crashed_restarts;
row_guard guard_crashed_moves;
row_guard guard_restart_stuck;
row_guard guard_crashed_stays;
row_guard guard_hung;
row_guard guard_member_silent;
row_guard guard_joined;
row_guard guard_names_behind;
row_guard guard_standby_can_join;
row_guard guard_standby_strays;
row_guard guard_not_checkpointed;
row_guard guard_checkpointed;
row_guard guard_stopped_and_flushed;
row_guard guard_switch_overdue;
row_guard guard_agent_proved;
row_guard guard_lease_expired;
row_guard guard_powered_off;
row_guard guard_holder_gone;
row_guard guard_severed;
row_guard guard_severed_lease_over;
row_guard guard_attested;
row_guard guard_proposal_expired;
row_guard guard_proposal_worse;
row_guard guard_approved_failover;
row_guard guard_approved_switchover;
row_guard guard_proven_and_candidate;

/* What proposals are made of; all return true. */
bool propose_step(const struct look *l, struct entry *e, uint8_t instance,
                  enum step_kind kind);
bool propose_fence(const struct look *l, struct entry *e, const char *reason);
/* By its name: positions may move before the entry is applied (entry.h). */
void propose_target(const struct look *l, struct entry *e, uint8_t target);

#endif
