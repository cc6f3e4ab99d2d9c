/* controller/daemon/messages.h -- what the log says, in the words of the wire.
 *
 * Only committed facts are told to agents: every message is a function of the replicated
 * state alone.
 *
 * Pure:    no I/O, no clock, no allocation.
 * Owner:   a built frame points into the state and into `struct messages`; encode it before
 *          either changes.
 */
#ifndef RF_DAEMON_MESSAGES_H
#define RF_DAEMON_MESSAGES_H

#include "controller/core/state.h"
#include "proto/frame.h"

enum {
    STEP_DEADLINE_MS = 60000, /* CHECKPOINT, JOIN, SYNC */
    STEP_SEVER_DEADLINE_MS = 3000,
    STEP_COPY_DEADLINE_MS = 86400000, /* FOLLOW, CLONE: may copy the whole database */
};

struct messages {
    Rf__Frame frame;
    struct incarnation holder;
    Rf__Incarnation incarnation;
    Rf__Assignments assignments;
    Rf__Assignment items[GROUP_MAX], *item_list[GROUP_MAX];
    Rf__ServerSpec servers[GROUP_MAX];
    Rf__PeerInstance peers[GROUP_MAX][INSTANCE_MAX], *peer_list[GROUP_MAX][INSTANCE_MAX];
    char names[GROUP_MAX][INSTANCE_MAX][STANDBY_NAME_SIZE];
    char blocking[GROUP_MAX][STANDBY_NAME_SIZE];
    Rf__AlsoPort also[GROUP_MAX][ALSO_MAX], *also_list[GROUP_MAX][ALSO_MAX];
    char *exceptions[GROUP_MAX][EXCEPTION_MAX];
    Rf__StepOrder step_order;
    Rf__StepRequest step_request;
    Rf__Upstream upstream;
    char *members[INSTANCE_MAX];
    Rf__FenceOrder fence_order;
};

/* All instances of an enrolled agent. NULL: not enrolled. */
const Rf__Frame *message_assignments(struct messages *m, const struct state *s,
                                     const char *agent, uint64_t term);

/* The step on record of an instance. NULL: none has been started, or its agent or upstream
 * is not enrolled. */
const Rf__Frame *message_step_order(struct messages *m, const struct state *s,
                                    uint8_t group, uint8_t instance);

/* That the instance is to refuse the log of the active one. NULL: no fence_begin is
 * committed, or one of their agents is not enrolled. */
const Rf__Frame *message_sever_order(struct messages *m, const struct state *s,
                                     uint8_t group, uint8_t instance);

/* NULL: no fence_begin is committed (I3), or the agent is not enrolled. */
const Rf__Frame *message_fence_order(struct messages *m, const struct state *s,
                                     uint8_t group, uint8_t instance);

#endif
