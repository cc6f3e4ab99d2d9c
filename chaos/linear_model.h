/* chaos/linear_model.h -- the operations of one key as items that lead from state to state.
 *
 * Exact, and smaller than the history: a state that nobody has seen is like any other such
 * state, so all of them are one (`MODEL_UNSEEN`); and an unknown operation whose effect
 * nobody has seen is left out, since what never happened explains as much.
 *
 * Pure:    no clock, no output.
 * Owner:   the caller; model_free() ends it.
 * Errors:  none: what is no history of one register or one list is the caller's to sort
 * out.
 */
#ifndef RF_CHAOS_LINEAR_MODEL_H
#define RF_CHAOS_LINEAR_MODEL_H

#include "chaos/operations.h"

/* One operation as it is looked at. */
struct piece {
    uint32_t op;  /* place in operations.of */
    bool pending; /* it had not completed yet: as if its outcome were unknown */
};

/* The part of a history that is asked about: some operations of one key, as if nobody had
 * ever written the values in `without`. Whatever is linearizable stays so under that: with
 * all that wrote or read a value gone, the rest can keep its order. */
struct part {
    const struct operations *all;
    const struct piece *pieces;
    uint32_t count;
    const uint64_t *without; /* sorted */
    uint32_t without_count;
};

enum item_kind { ITEM_READ, ITEM_WRITE, ITEM_SWAP, ITEM_APPEND };

struct item {
    int64_t call, ret; /* ret: INT64_MAX for one that may happen at any later time */
    uint64_t value;    /* append */
    uint32_t need;     /* read, swap: the state that it found */
    uint32_t make;     /* write, swap: the state that it left */
    uint32_t op;
    uint8_t kind;
};

enum { MODEL_EMPTY = 0, MODEL_UNSEEN = UINT32_MAX };

struct model_node {
    uint64_t value;
    uint32_t first, next; /* of its children; 0: none */
};

struct model {
    struct item *items;      /* the certain ones first, each sort by call */
    uint32_t count, certain; /* certain: have an end */
    /* List: every prefix of a list that was seen is a node; node 0 is the empty list. */
    struct model_node *nodes;
    size_t node_count, node_cap;
};

void model_make(struct model *m, const struct part *p);
void model_free(struct model *m);

/* False: the item could not have been answered so in this state. */
bool model_step(const struct model *m, uint32_t state, const struct item *i,
                uint32_t *ret_state);

#endif
