/* tests/unit/agent/random_world.h -- what test_keeper_random.c sets against the keeper: the
 * log, the mail under way, the grants that were made, a disk and a kernel.
 */
#ifndef RF_TEST_AGENT_RANDOM_WORLD_H
#define RF_TEST_AGENT_RANDOM_WORLD_H

#include "fencing/agent/keeper_core.h"

enum { MAIL_MAX = 32, GRANTS_MAX = 1024 };

/* What the log says about the one group, and about this instance in it. */
struct log {
    uint64_t index, epoch, fence_index, last_grant, proven;
    bool active, opened, standby_reads, detached;
    bool forming, adopt; /* adopt: and this is the declared active instance */
};

struct mail {
    enum { MAIL_NONE, MAIL_ACK, MAIL_ASSIGN, MAIL_FENCE, MAIL_PROOF } kind;
    struct keeper_ack ack;
    struct keeper_assignment a;
    struct keeper_fence_order order;
    struct incarnation to;
    uint64_t epoch;
    bool installed;
};

struct grant {
    uint64_t index, epoch;
    struct boot deadline;
    bool open;
    enum keeper_kind kind;
};

struct world {
    uint64_t rng, seed;
    struct boot now;
    struct keeper_core k;
    struct incarnation me;
    struct epoch_table disk;
    struct epoch_table writing; /* the sync in flight */
    bool syncing;
    struct log log;
    struct mail mail[MAIL_MAX];
    struct grant grants[GRANTS_MAX];
    unsigned grant_count, adoptions, formings;
    struct keeper_server server;
    /* the kernel's */
    bool managed;
    struct gate_state gate;
    uint64_t frozen, adopted;
};

#endif
