/* tests/model/mutants.pml -- each one is a small wrong idea that a good engineer might have:
 * 0 as shipped, spin -DM_X=1 builds the mutant X. tests/model/run reads names and texts here,
 * and demands a counterexample for each.
 */

/* a controller waits the bare TTL: its clock may be fast, the holder's slow */
#ifndef M_BARE_TTL
#define M_BARE_TTL 0
#endif

/* the holder counts from when the answer came */
#ifndef M_FROM_REPLY
#define M_FROM_REPLY 0
#endif

/* apply() renews after fence_begin */
#ifndef M_GRANT_AFTER_FENCE
#define M_GRANT_AFTER_FENCE 0
#endif

/* promoted for e+1 before its lease is held */
#ifndef M_LEAD_WITHOUT_LEASE
#define M_LEAD_WITHOUT_LEASE 0
#endif

/* who signed a proof does not matter */
#ifndef M_ANY_SIGNER
#define M_ANY_SIGNER 0
#endif

/* the agent acts for an epoch before its disk knows it */
#ifndef M_NO_EPOCH_SYNC
#define M_NO_EPOCH_SYNC 0
#endif

/* the fence order is answered before the gate is closed */
#ifndef M_PROOF_BEFORE_FREEZE
#define M_PROOF_BEFORE_FREEZE 0
#endif

/* what a deposed leader sends of a lower epoch is obeyed */
#ifndef M_STALE_OBEYED
#define M_STALE_OBEYED 0
#endif

/* a restarted agent gives the gate it finds a whole TTL */
#ifndef M_REOPEN_AT_RESTART
#define M_REOPEN_AT_RESTART 0
#endif

/* the primary lets a silent member go, and logs it later */
#ifndef M_SHRINK_UNLOGGED
#define M_SHRINK_UNLOGGED 0
#endif

/* a join step believes a view in which waiting is not in force yet */
#ifndef M_JOIN_VIEW_LIES
#define M_JOIN_VIEW_LIES 0
#endif

/* a controller that comes back takes old grants for counted */
#ifndef M_COUNT_FROM_BEFORE
#define M_COUNT_FROM_BEFORE 0
#endif

/* counted from the first grant of the epoch, not the last */
#ifndef M_COUNT_FIRST_GRANT
#define M_COUNT_FIRST_GRANT 0
#endif

/* an expiry counted before fence_begin is proposed after it */
#ifndef M_COUNT_BEFORE_FENCE
#define M_COUNT_BEFORE_FENCE 0
#endif

/* activation without the others' proofs */
#ifndef M_NO_PROOF
#define M_NO_PROOF 0
#endif

/* a proof of an earlier epoch's fence is accepted for this one */
#ifndef M_OLD_PROOF
#define M_OLD_PROOF 0
#endif

/* one that is no candidate is activated */
#ifndef M_NON_MEMBER
#define M_NON_MEMBER 0
#endif

/* the gate opens at promotion, not at `opened` */
#ifndef M_OPEN_UNLOGGED
#define M_OPEN_UNLOGGED 0
#endif

/* `opened` leaves the old set as it was */
#ifndef M_OPENED_KEEPS_SET
#define M_OPENED_KEEPS_SET 0
#endif

/* a step older than the last one is carried out again */
#ifndef M_OLD_STEP
#define M_OLD_STEP 0
#endif

/* an answer for a former life is read on the new boot's clock */
#ifndef M_OTHER_LIFE_ANSWERED
#define M_OTHER_LIFE_ANSWERED 0
#endif

/* a new life gets a lease while the former one's may run */
#ifndef M_NEW_LIFE_GRANTED
#define M_NEW_LIFE_GRANTED 0
#endif

/* the fence closes the gate like any other closure: no mark, no freeze */
#ifndef M_NO_FREEZE
#define M_NO_FREEZE 0
#endif

/* PROGRESS: `opened` is proposed though the agent is silent */
#ifndef M_OPENED_UNHEARD
#define M_OPENED_UNHEARD 0
#endif

/* an activation does not raise the epoch */
#ifndef M_SAME_EPOCH
#define M_SAME_EPOCH 0
#endif
