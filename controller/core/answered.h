/* controller/core/answered.h -- requests that have been answered, so that one which comes a
 * second time changes nothing a second time.
 *
 * A client that has lost the answer asks again with the same key (`Idempotency-Key`, draft-
 * ietf-httpapi-idempotency-key-header), at another controller perhaps, while another one
 * leads. So the key stands in the very entry that makes the change: there is no moment at
 * which the one is committed and the other is not. apply() remembers it with the entry's
 * index, and refuses every later entry of that key: REFUSE_ANSWERED for the same request,
 * whoever proposed it on whatever state; REFUSE_KEY for another one. What was refused, or
 * lost, is not remembered: nothing was done, and asked again it is judged anew.
 *
 * The use of a code (ENTRY_FACTOR_USED) comes before the change, as an entry of its own. It
 * is remembered under the request's key too, until the change takes its place: so a code
 * counts for one request, and that one may be asked again when the leader was lost in
 * between, for as long as ANSWERED_CODE_MS.
 *
 * Bounds: ANSWERED_MAX rows and ANSWERED_HOURS by the entries' wall time (the leaders');
 * the oldest goes first. A clock that jumps ahead forgets early; none lets anything come
 * past the other doors of apply().
 *
 * Pure:    no I/O, no clock.
 */
#ifndef RF_CORE_ANSWERED_H
#define RF_CORE_ANSWERED_H

#include "controller/core/state.h"

enum { ANSWERED_CODE_MS = 10 * 60 * 1000 };

/* Bits: what the answer said that is not to be seen any more. */
enum answered_flag {
    ANSWERED_AS_IT_WAS = 1, /* PAUSE, RESUME: it was so already */
    ANSWERED_SECRET = 2,    /* it had a secret in it, which is kept nowhere */
    ANSWERED_KEPT = 4,      /* DECLARE: who was active stayed so */
};

bool key_is_set(const struct request_key *k);
bool key_is_same(const struct request_key *a, const struct request_key *b);

/* By key->id, whatever the request is; NULL: none that is young enough. */
const struct answered *answered_find(const struct state *s, const struct request_key *key,
                                     uint64_t wall_ms);

/* Its code was taken for this very request, not long ago, and nothing has come of it yet.
 */
bool answered_has_code(const struct answered *row, uint64_t wall_ms);

#endif
