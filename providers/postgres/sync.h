/* providers/postgres/sync.h -- for whom commits wait, and the proof that they do (I8).
 *
 * The setting is not the fact: the checkpointer owns the shared flag that makes commits
 * wait, and each walsender its own copy of the names. With either of them slow, every view
 * says `sync` while commits are still acknowledged alone (facts, section 3). So a change
 * is believed only when a commit was seen to behave accordingly.
 *
 * Errors: ERR_UNKNOWN when the server did not answer while the setting was being changed:
 *         it may still happen. Everything else: the text says what stands now.
 */
#ifndef RF_PROVIDERS_POSTGRES_SYNC_H
#define RF_PROVIDERS_POSTGRES_SYNC_H

#include "providers/postgres/process.h"

/* Sets synchronous_standby_names, reloads, and waits until our session shows it. */
MUST_USE int pg_names_apply(struct pg *pg, const char *names, struct mono deadline,
                            struct err *err);

/* Commits wait for exactly `members`, proven, and recorded under `generation`. */
MUST_USE int pg_sync_apply(struct pg *pg, char *const *members, size_t n,
                           uint64_t generation, struct mono deadline, struct err *err);

/* Writes and waits for the acknowledgement as a client would.
 *   ERR_TIMEOUT  not acknowledged in time */
MUST_USE int pg_write_once(struct pg *pg, struct mono deadline, struct err *err);

MUST_USE int pg_step_sync(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                          Rf__StepResult *out, struct err *err);
MUST_USE int pg_step_join(struct pg *pg, const Rf__StepRequest *rq, struct mono deadline,
                          Rf__StepResult *out, struct err *err);

#endif
