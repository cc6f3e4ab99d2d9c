/* controller/net/listener.h -- a port on which proven peers may connect.
 *
 * Garbage cannot exhaust us: at most LISTENER_PENDING_MAX connections are in their
 * handshake (a newer one then replaces the oldest), at most LISTENER_OPEN_MAX are open
 * (further peers are refused, with the reason), and at most LISTENER_PER_PEER_MAX of them
 * for one identity (the oldest is closed with ERR_CONFLICT: a peer that lost its
 * connections without our noticing must get in again at once).
 *
 * Owner:   the caller, from listener_open() to listener_close(). Connections in their
 *          handshake belong to the listener and end with it; adopted streams belong to who
 *          adopted them and live on.
 * Threads: the thread of its loop only.
 */
#ifndef RF_NET_LISTENER_H
#define RF_NET_LISTENER_H

#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/net/address.h"
#include "controller/net/identity.h"
#include "controller/net/stream.h"
#include "controller/net/tls.h"

enum { LISTENER_PENDING_MAX = 64, LISTENER_OPEN_MAX = 256, LISTENER_PER_PEER_MAX = 8 };

struct listener;

struct listener_events {
    /* May this peer (of our CA and cluster, proven) connect? 0, or an ERR_ code with a
     * text that is sent to the peer as well: "no agent pg-east in this cluster". NULL:
     * everybody may. */
    int (*on_peer)(void *owner, const struct identity *peer, struct err *why);
    /* The stream is open. Keep it with stream_adopt() before returning (its on_open is
     * not called any more), else it is closed. */
    void (*on_accept)(void *owner, struct stream *s, const struct identity *peer);
    /* A connection ended before it was open; `why` begins with its address. May come
     * often: limit what you log. NULL: do not tell. */
    void (*on_reject)(void *owner, const struct err *why);
};

struct listener_spec {
    const struct address *at;             /* numeric host; port 0: the kernel chooses */
    const struct stream_options *options; /* NULL: the defaults */
    const struct listener_events *events; /* must outlive the listener */
    void *owner;
};

/*   ERR_BUSY     the port is in use: the text names address and port and says how to find
 *                out by whom (ss -ltnp)
 *   ERR_INVAL    the host is not numeric
 *   ERR_NOTFOUND the address is not one of this host
 *   ERR_REFUSED  not allowed to use this port
 *   ERR_NOMEM  ERR_IO */
MUST_USE int listener_open(struct listener **ret_listener, struct uv_loop_s *loop,
                           struct tls *tls, const struct listener_spec *spec,
                           struct err *err);
void listener_close(struct listener *l); /* NULL is fine; at most once */

/* The port that is listened on. */
uint16_t listener_port(const struct listener *l);

#endif
