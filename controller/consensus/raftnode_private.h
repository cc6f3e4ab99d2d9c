/* controller/consensus/raftnode_private.h -- what raftnode.c and raftnode_kin.c share. */
#ifndef RF_CONSENSUS_RAFTNODE_PRIVATE_H
#define RF_CONSENSUS_RAFTNODE_PRIVATE_H

#include <uv.h>

#include "controller/consensus/raftnode.h"

/* A message that waits until a vote is on disk. */
struct held {
    struct held *next;
    uint64_t vote_seq, to;
    size_t len;
    uint8_t data[];
};

struct pending {
    struct pending *next;
    uint64_t index, term;
    raftnode_done *on_done;
    void *owner;
    int status; /* once it is in the list of outcomes */
};

struct raftnode {
    struct raftnode_callbacks callbacks;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct driver *driver;
    struct store *store;
    struct orders orders;
    uint32_t snapshot_every;
    uint64_t snapshot_index; /* applied when the last one was asked for */

    struct kin kin;
    bool active;            /* its table is assembled and on disk */
    bool kin_asked;         /* on_kin() is due */
    struct members members; /* as last seen */
    bool members_told;
    bool marks_new; /* what was heard of the others' marks is not on disk */
    uint64_t marks_ms;

    bool busy; /* carrying orders out: no input may come in between */
    bool stopped, closed, told_fatal;
    struct err fatal;

    uint64_t vote_seq, done_seq; /* last vote ordered; everything stored up to */
    struct held *held, **held_tail;
    size_t n_held;

    struct pending *pending, **pending_tail; /* by index */
    size_t n_pending;
    struct pending *outcomes, **outcomes_tail; /* to be told when the orders are done */
    bool role_changed, authoritative;
};

/* ---- raftnode.c ---- */

/* Stops, once; told from the loop. Every waiting submission's outcome is unknown. */
void raftnode_fail(struct raftnode *n, const struct err *err);
/* Every input to the driver ends here. Callbacks that may call back in come last, when the
 * orders have been carried out. Returns `status` if the input was merely refused. */
int raftnode_settle(struct raftnode *n, int status, struct err *err);
/* ERR_CLOSED: stopped. */
MUST_USE int raftnode_check_running(const struct raftnode *n, struct err *err);
void raftnode_arm(struct raftnode *n);
void raftnode_on_timer(uv_timer_t *timer);

/* ---- raftnode_kin.c ---- */

MUST_USE int raftnode_open_kin(struct raftnode *n, const struct raftnode_config *c,
                               struct err *err);
/* After every input: the table follows the list of members in the log. */
MUST_USE int raftnode_follow_members(struct raftnode *n, struct err *err);
MUST_USE int raftnode_put_marks(struct raftnode *n, struct err *err);

#endif
