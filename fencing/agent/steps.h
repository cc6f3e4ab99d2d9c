/* fencing/agent/steps.h -- the main thread's half: servers, steps, provider processes.
 *
 * For each group it watches the postmaster by a pidfd, has the server observed in a child
 * process, carries out one step at a time, stops what it did not start, and tells the
 * keeper what the gate may do. It never touches the gate itself.
 *
 * Owner:   steps_open() to steps_close(); then the loop runs dry. The rest must outlive it.
 * Threads: the main thread.
 * Errors:  ERR_CORRUPT and others from the state file at the start; later troubles are
 *          logged once and reported as the instance's `problem`.
 */
#ifndef RF_AGENT_STEPS_H
#define RF_AGENT_STEPS_H

#include "fencing/agent/board.h"
#include "fencing/agent/steps_state.h"

struct steps;
struct uv_loop_s;

struct steps_parts {
    struct uv_loop_s *loop;
    const struct agent_settings *settings;
    struct board *board;
    const struct durable_dir *dir;
    const struct epoch_table *epochs; /* groups in the keeper's order, as it will start */
};

/* Ends what a former life left running, and puts on the board which servers went on; so
 * call it before the keeper starts. */
MUST_USE int steps_open(struct steps **ret_steps, const struct steps_parts *parts,
                        struct err *err);
void steps_close(struct steps *st); /* NULL is fine; servers go on */

/* What endpoints and doctor show of a group. */
struct steps_view {
    char group[AGENT_NAME_SIZE];
    uint32_t role; /* Rf__Role */
    uint64_t epoch;
    bool assigned, alive, ready, crashed, hung;
    uint64_t step; /* being carried out */
    uint64_t steps_done, steps_failed, steps_unknown, observations, observer_deaths;
    const Rf__Observation *seen; /* NULL: none yet; until the next turn of the loop */
    uint64_t seen_age_ms;
    const Rf__Assignment *assignment; /* NULL: none yet; likewise */
    char problem[KEEPER_PROBLEM_SIZE];
};

/* False: no group in this slot. */
bool steps_view(struct steps *st, uint8_t slot, struct steps_view *ret);

/* Ask the group's provider for its checks (doctor). The callback comes once; `reply` NULL:
 * it has none. False: nobody can be asked now. */
typedef void steps_checks(void *owner, const Rf__ProviderReply *reply,
                          const struct err *why);
bool steps_ask_checks(struct steps *st, uint8_t slot, steps_checks *on_checks, void *owner);
/* The owner is going: forget its callback. */
void steps_forget_checks(struct steps *st, const void *owner);

#endif
