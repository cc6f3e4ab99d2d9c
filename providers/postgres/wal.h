/* providers/postgres/wal.h -- where the log of a server that is down ends. */
#ifndef RF_PROVIDERS_POSTGRES_WAL_H
#define RF_PROVIDERS_POSTGRES_WAL_H

#include "providers/postgres/pg.h"
#include "providers/postgres/text.h"
#include "providers/postgres/upstream.h"

struct pg_wal_end {
    uint64_t lsn; /* where the next record would begin */
    uint32_t timeline;
    struct pg_history history; /* of that timeline */
    bool unrecorded;           /* nobody knows it: `history` is empty */
};

/* From the control file after a clean shutdown of a primary, else by reading the log: a
 * crashed server has more than its control file says, and a standby may have received
 * more than it has replayed. */
MUST_USE int pg_wal_end(const struct pg *pg, const struct pg_control *c,
                        const struct pg_upstream *up, struct mono deadline,
                        struct pg_wal_end *ret, struct err *err);

/* A promotion writes the history before anything else: a server without the file did not
 * promote itself to its timeline, but has it from this cluster, by copy or stream. So what
 * `up` knows of that very timeline holds for it (true); of any other nothing is known. */
bool pg_history_borrow(const struct pg_upstream *up, uint32_t timeline,
                       struct pg_history *ret);

/* The history file of `timeline` in pg_wal; empty for timeline 1. ERR_NOTFOUND where a base
 * backup, or a stream that began on it, brought the timeline without its file. */
MUST_USE int pg_history_read(const struct pg *pg, uint32_t timeline, struct pg_history *ret,
                             struct err *err);

/* "000000010000000000000003": timeline and position of its first byte. */
bool pg_segment_parse(const char *name, uint32_t segment_bytes, uint32_t *ret_timeline,
                      uint64_t *ret_lsn);

#endif
