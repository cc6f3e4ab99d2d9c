/* fencing/gate/courtesy.h -- tell the clients of a closed port at once, by TCP resets.
 *
 * The gate drops, which leaves clients hanging: libpq waits 2 s for a connection at the
 * least, and for a reply for ever. A rule of nftables in front of it answers instead, as
 * soon as the port's timed element is gone. Peers are never reset, so replication survives.
 *
 * It is no part of the safety argument (I3): it opens nothing, and where it fails clients
 * wait a little longer. Hence a thread of its own: a busy nftables must not delay a
 * renewal. An element ends COURTESY_LATE_MS after the lease, never before; if refreshing
 * fails, the table is taken away rather than left to reset the clients of an open gate.
 *
 * Owner:   courtesy_stop() what courtesy_start() handed over; the table stays.
 * Threads: every call from the keeper's; only courtesy_opening() and _exempt() wait.
 */
#ifndef RF_FENCING_COURTESY_H
#define RF_FENCING_COURTESY_H

#include "fencing/gate/gate.h"

enum {
    COURTESY_LATE_MS = 5,
    COURTESY_WAIT_MS = 100,
    COURTESY_OPEN_MS = 20,
    COURTESY_PEERS_MAX = GATE_PEERS_MAX + GATE_GUESTS_MAX,
    COURTESY_PORTS_MAX = GATE_PORTS_MAX * (1 + GATE_ALSO_MAX),
};

struct courtesy;

MUST_USE int courtesy_start(struct courtesy **ret_courtesy, const char *agent,
                            struct err *err);
void courtesy_stop(struct courtesy *c);   /* NULL is fine */
void courtesy_remove(struct courtesy *c); /* the same, and the table goes */

/* From now on answer for `port`, but not while it is open, nor to its peers. */
void courtesy_put(struct courtesy *c, uint16_t port, const struct gate_addr *peers,
                  size_t n_peers, struct boot open_until);
void courtesy_drop(struct courtesy *c, uint16_t port);
/* The port is open until then; {0}: not open. */
void courtesy_open(struct courtesy *c, uint16_t port, struct boot until);
/* The same before a closed port is opened: waits until nobody is reset any more, at most
 * COURTESY_OPEN_MS, or the first clients would still be refused. */
void courtesy_opening(struct courtesy *c, uint16_t port, struct boot until);
/* Be silent about `port` for a trial of the gate behind; returns when it is so, or after
 * COURTESY_WAIT_MS. */
void courtesy_exempt(struct courtesy *c, uint16_t port, bool silent);

/* The last trouble, once. */
int courtesy_warning(struct courtesy *c, struct err *ret_warning);

#endif
