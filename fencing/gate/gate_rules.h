/* fencing/gate/gate_rules.h -- what may be written into a gate, and how a word is made.
 *
 * Pure:    no I/O and no clock.
 * Units:   struct boot; ports in host order.
 * Errors:  those of gate_arm() in gate.h.
 */
#ifndef RF_FENCING_GATE_RULES_H
#define RF_FENCING_GATE_RULES_H

#include "fencing/gate/gate.h"

/* Mode and deadline in one 64-bit value (gate_abi.h): the deadline is rounded down by up to
 * 3 ns, so it shortens (I3). Closed, or a deadline below 4 ns, is 0. */
uint64_t gate_word(enum gate_mode mode, struct boot deadline);
enum gate_mode gate_word_mode(uint64_t word);
struct boot gate_word_deadline(uint64_t word);

/* May `lease` be written at `now` over `state`? 0 or the error of gate_arm(). */
MUST_USE int gate_rules_arm(const struct gate_state *state, const struct gate_lease *lease,
                            enum gate_arm_how how, struct boot now, struct err *err);
/* The same for what gate_manage_live() puts in place. */
MUST_USE int gate_rules_lease(const struct gate_lease *lease, struct boot now,
                              struct err *err);

/* [A-Za-z0-9._-], not empty, not too long, beginning with a letter. */
bool gate_rules_agent_name(const char *name);

#endif
