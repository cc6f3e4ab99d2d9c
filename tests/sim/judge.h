/* tests/sim/judge.h -- what must hold at every step, and what must come back.
 *
 * What clients saw is written as a history (chaos/history.h) and judged by the judge that
 * the laboratory uses: two writers, losses, recovery. Beside it stands what only this world
 * can see: gates and servers as they are (I1, I2, I3), losses at the moment of an opening
 * against what was forecast (I8, I9), equal states and audit rows on all nodes.
 */
#ifndef RF_SIM_JUDGE_H
#define RF_SIM_JUDGE_H

#include <stdio.h>

#include "chaos/history.h"
#include "controller/consensus/store.h"
#include "controller/core/apply.h"
#include "fencing/gate/gate.h"
#include "tests/sim/world.h"

void judge_begin(void);
void judge_end(void);
void judge_step(void);           /* after each event */
void judge_group(uint8_t group); /* something of it has opened, or may serve */
void judge_sent(uint8_t host, uint8_t group, int id);
/* Sent on a connection that was made in that epoch. */
void judge_ack(uint8_t host, uint8_t group, int id, uint64_t sent_in);
void judge_audit(const struct audit_row *rows, size_t n); /* of one entry */
/* I3, I6: the host's gate is about to be armed, or frozen, for the epoch. */
void judge_on_disk(uint8_t host, uint8_t group, uint64_t epoch, bool fenced);
/* I3, I4, I12: the gate is armed for a lease that the log granted to this very life, and
 * ends before anybody can have counted it out. */
void judge_armed(uint8_t host, uint8_t group, const struct gate_lease *lease);
/* I6: a step begins: the life that carries it out is the one on record. */
void judge_acts(uint8_t host, uint8_t group);
/* I6: a step begins that makes the server a standby: stopped, and rewound. */
void judge_follows(uint8_t host, uint8_t group);
/* judge_once.c. I5: its outcome has been told to its agent; it begins, step 0 is the
 * agent's own. */
void judge_once_begin(void); /* by judge_begin() */
void judge_order_told(uint8_t host, uint8_t group, uint64_t step);
void judge_order_begins(uint8_t host, uint8_t group, uint64_t step);
/* I6: a lead step begins to make a primary. */
void judge_leads(uint8_t host, uint8_t group, uint64_t epoch);
/* I9: what a restarted server recovered is visible from its opening on. */
void judge_opens(uint8_t host, uint8_t group);
void judge_ended(uint8_t node);       /* a program has ended by itself */
void judge_disk_failed(uint8_t node); /* and may */
void judge_fault(uint8_t group, bool healed);
/* An accepted entry, at its first application: for the judge of histories. */
void judge_logged(uint8_t group, enum event_kind kind, uint8_t instance, uint64_t epoch);

/* All is well again: the run may end. */
bool judge_is_settled(void);
void judge_last(void); /* at the end: the histories, or why it is stuck */

/* The group as the log has it, by whoever has applied most; NULL: not declared. */
const struct group *judge_view(uint8_t group, uint8_t *ret_node);
/* No node that has died, or stands still, had applied more. */
bool judge_sees_all(uint8_t node);
const char *group_name(uint8_t group);

struct judge_counts {
    uint64_t acks, opens, fences, lost, applied, seconds;
};
extern struct judge_counts judged;

#endif
