/* providers/postgres/mark.h -- what survives a step: marks beside the data directory.
 *
 * The `rewinding` mark says that a rewind or a clone of this data directory was begun and
 * not finished: PostgreSQL is never started over it (I6). It lies beside the directory,
 * not in it: pg_rewind removes what the source does not have, a clone empties everything.
 *
 * The tail note says how much divergent WAL was kept before a copy that is finished, until
 * the step that made it is through: one that is repeated (the standby did not stream yet)
 * finds nothing divergent any more, and would report that nothing was lost (I9).
 *
 * The sync record says which generation of synchronous_standby_names was seen applied by
 * which postmaster. It is written by the step worker and read by the observer, and lies in
 * the socket directory: it is worth nothing after a reboot.
 *
 * Limits:  a file of 4096 bytes, of which the first line counts; a path of the tail shorter
 *          than 512; numbers of 64 bits. A mark that is more, or something else, is
 *          ERR_CORRUPT or ERR_FULL and nothing is started; a sync record is as if it were
 *          not there.
 */
#ifndef RF_PROVIDERS_POSTGRES_MARK_H
#define RF_PROVIDERS_POSTGRES_MARK_H

#include "providers/postgres/process.h"

struct pg_mark {
    bool present;
    bool cloning;       /* the directory may have been emptied; else a rewind was begun */
    uint64_t system_id; /* of the cluster whose copy this will be */
    uint64_t tail_bytes;
    char tail[512]; /* where the divergent WAL was put; "": there was none */
};

MUST_USE int pg_mark_read(const struct pg *pg, struct pg_mark *ret, struct err *err);
MUST_USE int pg_mark_write(const struct pg *pg, const struct pg_mark *mark,
                           struct err *err);
MUST_USE int pg_mark_remove(const struct pg *pg, struct err *err);

/* `present`: there is one. */
MUST_USE int pg_tail_note_read(const struct pg *pg, struct pg_mark *ret, struct err *err);
MUST_USE int pg_tail_note_write(const struct pg *pg, const struct pg_mark *mark,
                                struct err *err);
MUST_USE int pg_tail_note_remove(const struct pg *pg, struct err *err);

/* "<data directory><suffix>", beside it. */
char *pg_beside(const struct pg *pg, const char *suffix);

MUST_USE int pg_sync_record_write(const struct pg *pg, const struct pg_postmaster *pm,
                                  uint64_t generation, const char *names, struct err *err);
/* 0 unless the record is of this postmaster and of exactly these names. */
uint64_t pg_sync_record_read(const struct pg *pg, const struct pg_postmaster *pm,
                             const char *names);

#endif
