/* tests/shadow/apply_shadow.h -- a second opinion on what apply() accepted, for the fuzzer
 * and the simulator.
 *
 * It keeps its own books, by names and log indexes, from the entries that were accepted
 * alone, and knows nothing of phases or of the code in controller/core. What it claims:
 *  - I1: activations of a group name carry strictly growing epochs, for ever;
 *  - I2: an activation finds, for every other instance that the group has named since the
 *    last one, a proof later in the log than its last grant, and (but for a group's first)
 *    a fence_begin of the present epoch;
 *  - I4: after fence_begin(e) no lease of epoch <= e is granted, and no set changes;
 *  - I8: in `strict` and `required` what is activated was a member, and a member leaves
 *    only by an entry that says so.
 */
#ifndef RF_TEST_APPLY_SHADOW_H
#define RF_TEST_APPLY_SHADOW_H

#include "controller/core/apply.h"

enum { SHADOW_INSTANCES = 8, SHADOW_GROUPS = 50 };

struct shadow_instance {
    char agent[NAME_SIZE];
    bool here; /* named by the group now */
    uint64_t granted, proven;
};

struct shadow_group {
    char name[NAME_SIZE];
    uint64_t epoch;    /* highest ever activated */
    uint64_t fenced;   /* epoch of the last fence_begin */
    uint64_t fence_at; /* its index; 0: none since the last activation */
    bool managed;      /* activated, and not detached since */
    struct shadow_instance of[SHADOW_INSTANCES];
};

struct shadow {
    unsigned count;
    struct shadow_group groups[SHADOW_GROUPS];
};

/* `before` is the entry's group before `e` was applied (NULL: there was none, or `e` is a
 * batch of renewals), `after` the state that came of it. */
void shadow_follow(struct shadow *w, const struct group *before, const struct state *after,
                   const struct entry *e, const struct apply_result *r);

/* A claim does not hold. Whoever uses this has it; it may return. */
__attribute__((format(printf, 2, 3))) void shadow_broken(const char *claim, const char *fmt,
                                                         ...);

#endif
