/* fencing/agent/syncer.h -- a thread that brings the state file to disk for the keeper.
 *
 * A disk may stand still for seconds; the keeper goes on renewing meanwhile.
 *
 * Owner:   syncer_open() to syncer_close(), by the keeper; closing waits for a write that
 * is under way. Threads: the keeper's; the answer comes in its loop. Errors:  those of
 * agent_state_write(), by the answer.
 */
#ifndef RF_AGENT_SYNCER_H
#define RF_AGENT_SYNCER_H

#include "fencing/agent/agent_state.h"

struct syncer;
struct uv_loop_s;

/* `why` NULL: the disk has it. */
typedef void syncer_done(void *owner, const struct err *why, uint32_t took_us);

struct syncer_parts {
    struct uv_loop_s *loop;
    const struct agent_state *state; /* must outlive it */
    syncer_done *on_done;
    void *owner;
};

MUST_USE int syncer_open(struct syncer **ret_syncer, const struct syncer_parts *parts,
                         struct err *err);
/* One at a time: not before the last one was answered. Copied. */
void syncer_write(struct syncer *s, const struct agent_contents *contents);
void syncer_close(struct syncer *s); /* NULL is fine; no answer comes after it */

#endif
