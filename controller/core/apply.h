/* controller/core/apply.h -- the only thing that changes the replicated state.
 *
 * apply() checks I1, I2, I4, I8 and I12 by itself: an entry that would break one is refused
 * and changes nothing but `applied`, whoever proposed it and on whatever it was decided. So
 * a stale leader's or a buggy rule's entry is harmless once it is committed.
 *
 * Pure:    no I/O, no clock, no allocation; equal states and entries give equal results on
 *          every controller, in the simulator and in the fuzzer.
 * Owner:   the caller owns both; the entry is not kept.
 * Errors:  none: a refusal is a result.
 */
#ifndef RF_CORE_APPLY_H
#define RF_CORE_APPLY_H

#include "controller/core/entry.h"

/* Stable numbers and names: they appear in answers, metrics and the audit trail. */
#define REFUSAL_MAP(X)                                                                     \
    X(ACCEPTED, 0, "accepted")                                                             \
    X(REFUSE_UNKNOWN_GROUP, 1, "unknown-group")                                            \
    X(REFUSE_UNKNOWN_INSTANCE, 2, "unknown-instance")                                      \
    X(REFUSE_STALE_EPOCH, 3, "stale-epoch")                                                \
    X(REFUSE_PHASE, 4, "wrong-phase")                                                      \
    X(REFUSE_FENCED, 5, "fence-begun")                                                     \
    X(REFUSE_NOT_ACTIVE, 6, "not-active")                                                  \
    X(REFUSE_INCARNATION, 7, "other-incarnation")                                          \
    X(REFUSE_NOT_ENROLLED, 8, "not-enrolled")                                              \
    X(REFUSE_UNPROVEN, 9, "unproven")                                                      \
    X(REFUSE_NOT_MEMBER, 10, "not-in-sync-set")                                            \
    X(REFUSE_SYNC_MODE, 11, "sync-mode")                                                   \
    X(REFUSE_GENERATION, 12, "stale-generation")                                           \
    X(REFUSE_STEP, 13, "wrong-step")                                                       \
    X(REFUSE_RENEWED, 14, "renewed-meanwhile")                                             \
    X(REFUSE_NAME_TAKEN, 15, "name-taken")                                                 \
    X(REFUSE_FULL, 16, "table-full")                                                       \
    X(REFUSE_INVALID, 17, "invalid")                                                       \
    X(REFUSE_OTHER_GROUP, 18, "belongs-to-other-group")                                    \
    X(REFUSE_ACTIVE_DIFFERS, 19, "active-region-differs")                                  \
    X(REFUSE_RUN, 20, "wrong-run")                                                         \
    X(REFUSE_RESIDENCY, 21, "residency")                                                   \
    X(REFUSE_FORMAT, 22, "format-not-announced")                                           \
    X(REFUSE_ALREADY_ACTIVE, 23, "already-active")                                         \
    X(REFUSE_NOT_DECLARED, 24, "not-declared-active")                                      \
    X(REFUSE_FIXED, 25, "fixed-in-place")                                                  \
    X(REFUSE_ALREADY_MEMBER, 26, "already-member")                                         \
    X(REFUSE_HEALTHY, 27, "healthy")                                                       \
    X(REFUSE_ID_USED, 28, "id-used")                                                       \
    X(REFUSE_NOT_READY, 29, "target-not-ready")                                            \
    X(REFUSE_UNKNOWN_USER, 30, "unknown-user")                                             \
    X(REFUSE_UNKNOWN_TOKEN, 31, "unknown-token")                                           \
    X(REFUSE_NO_FACTOR, 32, "no-second-factor")                                            \
    X(REFUSE_CODE_USED, 33, "code-used")                                                   \
    X(REFUSE_LOCKED, 34, "locked")                                                         \
    X(REFUSE_APPROVAL, 35, "approval-needed")                                              \
    X(REFUSE_ROLE, 36, "role-needed")                                                      \
    X(REFUSE_PROPOSAL, 37, "wrong-proposal")                                               \
    X(REFUSE_SAME_PERSON, 38, "same-person")                                               \
    X(REFUSE_EXPIRED, 39, "expired")                                                       \
    X(REFUSE_CHANGED, 40, "changed-since")                                                 \
    X(REFUSE_FACTOR, 41, "second-factor-needed")                                           \
    X(REFUSE_ANSWERED, 42, "answered-already")                                             \
    X(REFUSE_KEY, 43, "key-reused")

enum refusal {
#define X(name, number, text) name = (number),
    REFUSAL_MAP(X)
#undef X
};

struct apply_result {
    enum refusal refusal;
    char text[TEXT_SIZE]; /* refusals: what, why, what to do; else empty */
    /* ENTRY_RENEW: the verdict on each item; committed is not granted. */
    uint8_t verdicts[RENEW_MAX]; /* enum refusal */
};

/* `index` is the entry's place in the log and must be above s->applied. */
void apply(struct state *s, uint64_t index, const struct entry *e,
           struct apply_result *ret_result);

/* I10: what apply() would say, without changing `s`; refused too is what would leave an
 * invariant broken. `scratch` is overwritten. */
void apply_dry(const struct state *s, const struct entry *e, struct state *scratch,
               struct apply_result *ret_result);

const char *refusal_name(enum refusal r);

/* I1: the group other than `g` that has a server of this system identifier in the data
 * directory of `i`; NULL: none, or the identifier is 0. */
const struct group *system_in_other_group(const struct state *s, const struct group *g,
                                          const struct instance *i, uint64_t system_id);

/* Holds for every reachable state: tests and fuzzers ask after each step. NULL if all hold,
 * else the text of the broken one. */
const char *state_invariant_broken(const struct state *s);
/* The same of a state in which all held before it applied `e`: the daemon asks after each
 * apply(). */
const char *state_invariant_broken_by(const struct state *s, const struct entry *e);

#endif
