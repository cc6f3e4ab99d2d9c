/* controller/core/people.h -- users: who may ask for what, as all controllers know it.
 *
 * Replicated like everything else, so whichever controller leads knows the same people,
 * tokens and codes. What is in the state lets nobody in: tokens and recovery codes are
 * hashes of random bits, the seed of a second factor is sealed under the controllers' key
 * file, which is in no log and no snapshot. Hashing, sealing and comparing are the shell's
 * (controller/people); this is who there is and what becomes of codes.
 *
 * A code counts once, for all controllers and for ever: ENTRY_FACTOR_USED is committed
 * before what was asked for is proposed, and apply() refuses the second one of the same
 * step. FACTOR_FAILURES_MAX wrong ones lock the second factor for FACTOR_LOCK_MS, each lock
 * in a row twice as long, up to FACTOR_LOCK_DOUBLINGS times; by the wall time of the
 * entries, which is the leaders'. A clock that jumps ends a lock early or late; it makes no
 * code good twice.
 *
 * Bounds: USER_MAX users, each with USER_TOKENS_MAX tokens, USER_GROUPS_MAX groups and
 * RECOVERY_MAX codes; what finds no room is refused (table-full).
 *
 * Pure:    no I/O, no clock.
 * Units:   wall times in milliseconds since 1970.
 */
#ifndef RF_CORE_PEOPLE_H
#define RF_CORE_PEOPLE_H

#include "controller/core/entry.h"

enum {
    FACTOR_FAILURES_MAX = 5,
    FACTOR_LOCK_MS = 15 * 60 * 1000,
    FACTOR_LOCK_DOUBLINGS = 6, /* 16 hours */
};

/* NULL: there is none. */
const struct user *state_user(const struct state *s, const char *name);

/* His roles for this group; "" is the cluster as a whole. Who is limited to groups looks at
 * everything, and does nothing elsewhere. */
uint8_t user_roles(const struct user *u, const char *group);

/* He has been enrolled for a second factor. */
bool user_has_factor(const struct user *u);
bool user_is_locked(const struct user *u, uint64_t wall_ms);

/* Recovery codes that are left. */
unsigned user_codes_left(const struct user *u);

/* entry_summary() of the entries about users. */
void people_summary(const struct entry *e, char *text, unsigned size);

#endif
