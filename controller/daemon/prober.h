/* controller/daemon/prober.h -- does each server still answer, as seen from here?
 *
 * A TCP connection to each instance every probe_ms, with PostgreSQL's SSLRequest, which a
 * living postmaster answers with one byte before it asks who one is. What comes out is
 * shown and raises suspicion; it proves nothing and vetoes nothing (design section 3).
 *
 * A server that refuses is told apart from one that is not heard of: a reset, or the end of
 * the connection, has been sent by a kernel over there.
 *
 * A turn that came late by more than LOOP_LATE_MS drops the probes under way: their silence
 * may be ours.
 *
 * Owner:   prober_open() to prober_close().
 * Threads: the loop's thread.
 */
#ifndef RF_DAEMON_PROBER_H
#define RF_DAEMON_PROBER_H

#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct daemon;
struct prober;

enum { PROBER_TIMEOUT_MS = 1000 }; /* or probe_ms, if that is less */

MUST_USE int prober_open(struct prober **ret_prober, struct daemon *d, struct err *err);
void prober_close(struct prober *p); /* NULL is fine */

/* The agent has hung up: does its servers' host do so as well? They are probed now, and
 * what comes out is told to the others, news or not. */
void prober_hurry(struct prober *p, const char *agent);

struct prober_stats {
    uint64_t answered, failed, dropped; /* dropped: our own loop was late */
};
void prober_stats(const struct prober *p, struct prober_stats *ret_stats);

#endif
