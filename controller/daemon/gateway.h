/* controller/daemon/gateway.h -- the door for people (controller/net/door.h), on a thread
 * of its own.
 *
 * Handshakes are the dearest thing that a stranger can ask of us without being anybody, and
 * garbage is the cheapest to send. Neither may cost the loop that renews leases a turn: so
 * TLS is done by another thread, of ordinary priority and below the usual one, and the loop
 * sees only guests who have come through and asked something, as descriptors with
 * plaintext.
 *
 * The loop never waits for the thread: guests come as messages of a socketpair, and where
 * the loop does not take them, they are let go. (No uv_async: a loop with real-time
 * priority would spin on a sender that has been put aside.)
 *
 * Limits:  those of the door; descriptors: three for each connection, and DESCRIPTORS_KEPT
 *          stay for the rest of the process, or `connections` is cut down, with a warning.
 * Owner:   gateway_open() to gateway_close().
 * Threads: its functions and callbacks: the loop's.
 */
#ifndef RF_DAEMON_GATEWAY_H
#define RF_DAEMON_GATEWAY_H

#include "controller/daemon/settings.h"
#include "controller/net/door.h"

struct gateway;
struct tls;
struct uv_loop_s;

/* How many may be open at a time, of the many that are configured; may raise this process's
 * limit of descriptors. */
uint32_t gateway_room(uint32_t connections);

struct gateway_spec {
    const struct settings_api *api; /* with gateway_room()'s `connections` */
    struct tls *tls;
    /* `fd` is whose it is called. */
    void (*on_guest)(void *owner, int fd, const struct door_guest *guest);
    /* As the door's, but for ten at once and one a second: further ones are not told. */
    void (*on_turned_away)(void *owner, const struct door_guest *guest,
                           enum tls_refusal why);
    void *owner;
};

/* Errors of door_open(). */
MUST_USE int gateway_open(struct gateway **ret_gateway, struct uv_loop_s *loop,
                          const struct gateway_spec *spec, struct err *err);
/* Every guest goes, and the thread has ended when it returns. NULL is fine. */
void gateway_close(struct gateway *g);

uint16_t gateway_port(const struct gateway *g);

#endif
