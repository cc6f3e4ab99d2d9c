/* providers/postgres/tail.h -- the divergent end of a log is kept before it is undone (I9).
 *
 * tail_dir/GROUP-INSTANCE-TIME/ gets the WAL segments from the fork to the end, as far as
 * they are written (the rest of the last one is a hole), the timeline histories, and a
 * `manifest`. pg_waldump reads it.
 */
#ifndef RF_PROVIDERS_POSTGRES_TAIL_H
#define RF_PROVIDERS_POSTGRES_TAIL_H

#include "providers/postgres/wal.h"

struct pg_tail {
    uint64_t system_id;
    uint64_t from, to; /* positions */
    uint32_t fork_timeline, timeline;
    uint32_t segment_bytes;
};

/* Bytes of log between the positions. */
static inline uint64_t pg_tail_bytes(const struct pg_tail *t)
{
    return t->to > t->from ? t->to - t->from : 0;
}

/* All of it or nothing, synced. `max_bytes` 0: as much as the disk has.
 *   ERR_FULL  no room, or more than `max_bytes`: hold; the text says the way out */
MUST_USE int pg_tail_keep(const struct pg *pg, const struct pg_tail *tail,
                          uint64_t max_bytes, char path[512], struct err *err);

#endif
