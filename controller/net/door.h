/* controller/net/door.h -- the port by which people come in: TLS 1.3 outside, the plaintext
 * in a socketpair inside, for a server that knows nothing of TLS.
 *
 * A guest may come without a certificate: then nobody knows who it is (DOOR_NOBODY). One
 * that it shows is verified like a node's: of another CA, expired or revoked it ends the
 * handshake with an alert. A good one that is not a user's of this cluster is let in as
 * DOOR_REFUSED, with a sentence, so that its owner reads in an answer what is wrong.
 *
 * Only a guest that has said something, behind a handshake that was finished, gets a
 * socketpair and is told of; until then it costs a descriptor and a session.
 *
 * Limits, so that a slow or mad guest costs others nothing (struct door_limits):
 *   - `connections` in all, `per_address` of one address (IPv6: of one /64). Where there is
 *     no room the oldest guest goes that has said nothing yet, else the oldest that nobody
 *     knows, of the address with the most; where all are users at work, the newcomer;
 *   - `arrivals_per_s` connections of one address, twice as many at once; a further one is
 *     ended unheard;
 *   - `handshake_ms` from the connection to the end of the handshake, `idle_ms` from there
 *     to the first word, and for a guest that does not read what it asked for. How long a
 *     request may take is the server's affair;
 *   - what waits for a guest, or for the server, is at most a record and a socket's buffer
 *     each way: then the other side is not read.
 *
 * When the files of its tls are replaced, a guest whose certificate is accepted no more is
 * thrown out, as from a stream (stream.h).
 *
 * Owner:   the caller, from door_open() to door_close(); `fd` of on_guest is the caller's.
 * Threads: the thread of its loop only, which may be one of its own: `tls` is shared.
 *          SIGPIPE has to be ignored.
 * Errors:  of guests: they end the guest, and are told by on_reject if it had not come in.
 */
#ifndef RF_NET_DOOR_H
#define RF_NET_DOOR_H

#include <stdint.h>

#include "controller/net/address.h"
#include "controller/net/identity.h"
#include "controller/net/tls.h"
#include "controller/net/tls_report.h"

struct door;
struct uv_loop_s;

enum { DOOR_WHY_SIZE = 256 };

struct door_limits { /* 0 is no default here: DOOR_LIMITS has them */
    uint32_t connections, per_address, arrivals_per_s;
    uint32_t handshake_ms, idle_ms;
};
#define DOOR_LIMITS                                                                        \
    {                                                                                      \
        .connections = 512, .per_address = 64, .arrivals_per_s = 50, .handshake_ms = 5000, \
        .idle_ms = 60000                                                                   \
    }

enum door_proof { DOOR_NOBODY, DOOR_USER, DOOR_REFUSED };

struct door_guest {
    enum door_proof proof;
    char user[IDENTITY_NAME_SIZE]; /* DOOR_USER */
    char why[DOOR_WHY_SIZE];       /* DOOR_REFUSED */
    char from[ADDRESS_TEXT_SIZE];  /* "10.0.0.9:51234" */
    uint64_t source;               /* its address as a number: the same for the same one */
};

struct door_events {
    /* Called from the loop. What is written to `fd` goes to the guest, and its words come
     * from there, the first of them at once; closing it says goodbye. */
    void (*on_guest)(void *owner, int fd, const struct door_guest *guest);
    /* May come often: limit what you log. */
    void (*on_reject)(void *owner, const struct err *why);
    /* NULL: nobody wants to know. A certificate of a CA of ours that is revoked, has ended
     * or does not begin yet; guest->why says whose, and why. In the handshake
     * (guest->proof DOOR_REFUSED) neither the signature nor the key was looked at: anybody
     * may show what a revoked one says. Of a guest that was inside (DOOR_USER) they were.
     * May come as often. */
    void (*on_turned_away)(void *owner, const struct door_guest *guest,
                           enum tls_refusal why);
};

struct door_spec {
    const struct address *at;         /* numeric host; port 0: the kernel chooses */
    const struct door_limits *limits; /* copied */
    const struct door_events *events; /* must outlive the door */
    void *owner;
};

/* Errors of listener_open(). */
MUST_USE int door_open(struct door **ret_door, struct uv_loop_s *loop, struct tls *tls,
                       const struct door_spec *spec, struct err *err);
/* Every guest goes. NULL is fine; no callback comes after it. */
void door_close(struct door *d);

/* The port that is listened on. */
uint16_t door_port(const struct door *d);
/* Guests that are there. */
unsigned door_count(const struct door *d);

#endif
