/* tests/sim/judge_loss.h -- what may be lost, and that it is told (I8, I9).
 *
 * Where a mode lets acknowledged writes be lost, the policy bounds them: at each opening
 * what is missing is held against the forecast of the activation, and that against
 * `max_lag`; when the former primary is back, its run says how much it was.
 */
#ifndef RF_SIM_JUDGE_LOSS_H
#define RF_SIM_JUDGE_LOSS_H

#include "controller/core/entry.h"
#include "tests/sim/world.h"

/* Acknowledged writes that the server which is opened does not have. */
struct missing {
    uint64_t count;
    int first; /* id */
};

void loss_begin(void);
void loss_activated(uint8_t group, const struct entry *e, const struct group *g);
void loss_opened(uint8_t group, const struct group *g, const struct missing *m);
void loss_step_ended(uint8_t group, const struct entry *e, const struct group *g);
void loss_forget(uint8_t group); /* nobody has promised anything any more */
void loss_last(uint8_t group, const struct group *g);
/* The server has been looked at: so far behind is what a standby has replayed. */
void judge_lag_seen(uint8_t host, uint8_t group, uint64_t replay_lag_ms);

#endif
