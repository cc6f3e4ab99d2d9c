/* controller/http/reads.h -- when a leader may answer a read.
 *
 * A read is answered from what is applied here, and it has to hold all that anybody was
 * told to be committed before the read came (it is linearizable). That this node believes
 * to lead is not enough: one that was deposed, or is cut off, or was stopped, believes it
 * for a while. So the read waits for a barrier: an entry that says nothing, submitted after
 * the read came and applied here in the term that it was submitted in.
 *
 * Why that is enough. Say that a write was committed, in term w, before the read came to
 * the leader of term t. If w < t, or w = t, it stands in this leader's log before the
 * barrier (Raft's leader completeness), and is applied before it. If w > t, a majority
 * had gone on to term w before the read came, and none of it takes an entry of term t any
 * more: the barrier finds no majority, and the read is never answered. No clock is in this:
 * messages may be late, clocks may drift, a process may stand still for an hour between any
 * two of these steps.
 *
 * Why an entry, and no round of heartbeats (ReadIndex, section 6.4 of Ongaro's thesis):
 * libraft 0.22.1 does not say which request an answer belongs to, so an answer to a
 * heartbeat of before the read could be counted for it. And no leader's lease: it would
 * rest on clock rates, which is the leases' of the gate to do, and nobody else's.
 *
 * Shared: one barrier is under way at a time, for all reads that had come by then; one
 * each READS_EACH_MS, READS_BURST at once after a quiet time. So a polling screen adds no
 * more than 1000 / READS_EACH_MS entries a second, however many look, and without questions
 * there are none. They are in no audit trail, and gone with the next snapshot. Only who may
 * read makes one.
 *
 * Bounds:  READS_MAX wait; READS_DEADLINE_MS, then ERR_TIMEOUT.
 * Owner:   reads_open() to reads_close().
 * Threads: the loop's thread.
 */
#ifndef RF_HTTP_READS_H
#define RF_HTTP_READS_H

#include "controller/base/err.h"

struct uv_loop_s;
struct api_backend;
struct reads;

enum { READS_EACH_MS = 50, READS_BURST = 10, READS_DEADLINE_MS = 2000, READS_MAX = 1024 };

/* 0: answer it now, from what is applied. ERR_NOTLEADER: this node does not lead (any
 * more). ERR_TIMEOUT: nobody has confirmed that it leads. ERR_CLOSED: it stops. */
typedef void reads_done(void *owner, int status);

/* `backend` outlives it. ERR_NOMEM */
MUST_USE int reads_open(struct reads **ret_reads, struct uv_loop_s *loop,
                        const struct api_backend *backend, struct err *err);
/* Who waits is told before it returns. A barrier that is under way must have been told its
 * end. NULL is fine; the loop frees the rest. */
void reads_close(struct reads *r);

/* A read has come. `done` is called exactly once after success, perhaps from within.
 *   ERR_FULL  ERR_NOMEM */
MUST_USE int reads_wait(struct reads *r, reads_done *done, void *owner, struct err *err);

#endif
