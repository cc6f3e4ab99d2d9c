/* providers/postgres/copy.h -- the data directory becomes a copy of the upstream's.
 *
 * The mark must be written before either is called (I6); they leave it.
 */
#ifndef RF_PROVIDERS_POSTGRES_COPY_H
#define RF_PROVIDERS_POSTGRES_COPY_H

#include "providers/postgres/pg.h"

/* Brings a server that crashed to a clean stop, in single-user mode, without serving
 * anybody; WAL that a rewind may need is kept. */
MUST_USE int pg_recover_alone(struct pg *pg, struct mono deadline, struct err *err);

/* Could it be rewound? Changes nothing.
 *   ERR_CONFLICT     no: a clone is needed; the text says why
 *   ERR_TIMEOUT ...  not known: the upstream could not be asked */
MUST_USE int pg_rewind_try(struct pg *pg, const Rf__Upstream *up, struct mono deadline,
                           struct err *err);
/* `*ret_dirty` tells, on failure, whether anything may have been changed. */
MUST_USE int pg_rewind_do(struct pg *pg, const Rf__Upstream *up, struct mono deadline,
                          bool *ret_dirty, struct err *err);

/* Empties the data directory and takes a base backup. */
MUST_USE int pg_clone_do(struct pg *pg, const Rf__Upstream *up, struct mono deadline,
                         struct err *err);

#endif
