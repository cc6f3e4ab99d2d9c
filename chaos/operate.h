/* chaos/operate.h -- what operators do to a running pair, as parts of scenarios.
 *
 * Through the CLI, as they would. What does not happen in time, or should not have
 * happened, is blamed on p->result.
 *
 * Owner:   the main thread.
 */
#ifndef RF_CHAOS_OPERATE_H
#define RF_CHAOS_OPERATE_H

#include "chaos/play.h"

/* The servers' postmasters: a restart of one would be an outage, and no adoption. */
struct pids {
    pid_t of[2]; /* EAST, WEST */
};
struct pids operate_pids(const struct play *p);
void operate_check_pids(struct play *p, struct pids before);

/* Detached and removed, the pair is taken over by a first `apply` with `adopt: true`. */
void operate_adopt(struct play *p);

/* The same, and the file says west, while east runs as the primary: nothing happens to it,
 * which is said, until the file is corrected. Its agent dies meanwhile, and comes back. */
void operate_adopt_wrong(struct play *p);

/* Detached; an agent dies and comes back, which nobody notices; attached. */
void operate_detach_attach(struct play *p);

/* Detached, and attached with west named active while east runs as the primary: held, until
 * it is detached once more and attached as it should be. */
void operate_attach_wrong(struct play *p);

/* `standby_reads`: reading from west works only with it, and only while west's agent has a
 * quorum. It is left switched on. */
void operate_standby_reads(struct play *p);

/* West is active: the group's file, in which east is, is refused, applied with
 * --keep-active it changes nothing, and so does what `ringfence export` prints. */
void operate_apply_after_failover(struct play *p);

#endif
