/* tests/unit/agent/keeper_world.h -- a keeper with a gate and a disk that do as a test
 * says.
 *
 * An effect succeeds unless the test says otherwise. The group is "orders" on port 5432.
 */
#ifndef RF_TEST_AGENT_KEEPER_WORLD_H
#define RF_TEST_AGENT_KEEPER_WORLD_H

#include "fencing/agent/keeper_core.h"

enum { TTL_MS = 1000, LOG_MAX = 128 };

extern const struct incarnation me, other;

struct world {
    struct keeper_core k;
    struct boot now;
    struct keeper_effect seen[LOG_MAX];
    unsigned count;
    bool disk_fails;
    int gate_code; /* what the gate answers to ARM and ADOPT */
};

struct boot ms(uint64_t n);
/* A world in which nothing is known yet. */
void start(struct world *w);
/* A primary of epoch 3 whose gate is open. */
void start_open(struct world *w);
/* Carry out all effects; `seen` holds them. */
void run(struct world *w);
/* The first effect of this kind in `seen`; NULL: none. */
const struct keeper_effect *find(const struct world *w, enum keeper_effect_kind kind);

struct keeper_assignment primary(uint64_t epoch);
void assign(struct world *w, struct keeper_assignment a);
/* The answer to the last renewal. */
struct keeper_ack answer(const struct world *w, uint64_t epoch, bool open);
void serve(struct world *w, enum keeper_server_state state, uint64_t ready_epoch);

#endif
