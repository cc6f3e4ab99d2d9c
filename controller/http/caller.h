/* controller/http/caller.h -- who asks, from where, by which means.
 *
 * Known at the door (the socket's peer, the certificate of a TLS connection) and handed on
 * with the request, to the leader too: only another controller is believed about it, on the
 * stream that its certificate has proven. What somebody may do is authorize.h's question,
 * and is asked where the request is served.
 *
 * A zeroed one is nobody, who may do nothing.
 *
 * Owner:   plain values, but with secrets in them: caller_wipe() when the request has been
 *          decided upon. Nothing keeps one for longer, or logs `bearer` or `totp`.
 */
#ifndef RF_HTTP_CALLER_H
#define RF_HTTP_CALLER_H

#include <stdbool.h>

#include "controller/core/state.h"

/* The numbers travel between controllers (proto/wire.proto): add at the end. */
enum caller_kind {
    CALLER_ANONYMOUS,   /* over the network, and has not proven who it is (yet) */
    CALLER_SOCKET,      /* by a controller's Unix socket, which its file's mode guards */
    CALLER_CERTIFICATE, /* of a user, verified */
    CALLER_TOKEN,       /* `bearer` was found to be a user's token */
    CALLER_JWT,         /* `bearer` is a verified JWT */
    CALLER_KIND_MAX,
};

enum {
    CALLER_FROM_SIZE = 64,     /* "[2001:db8::1]:51234" */
    CALLER_BEARER_SIZE = 4096, /* a longer one is answered 400 */
    CALLER_TOTP_SIZE = 32,     /* a code, or a recovery code */
    CALLER_TEXT_SIZE = 160,
};

struct caller {
    enum caller_kind kind;
    char name[NAME_SIZE];        /* the user; SOCKET: "root", or "uid-1000" */
    char from[CALLER_FROM_SIZE]; /* its address and port; SOCKET: the controller's name */
    char bearer[CALLER_BEARER_SIZE]; /* of `Authorization: Bearer`, "" */
    char totp[CALLER_TOTP_SIZE];     /* of `X-Ringfence-TOTP`, "" */
    /* Of CALLER_TOKEN and CALLER_JWT, at the controller that saw it; not passed on: the
     * token's id (0: not known), and when it ends by itself (wall time; 0: never). */
    uint64_t token, until_ms;
};

/* "socket", "certificate", ... */
const char *caller_kind_name(enum caller_kind kind);

/* "alice by certificate from 10.0.0.9:51234", for logs; no secret is in it. */
void caller_text(const struct caller *c, char text[CALLER_TEXT_SIZE]);

/* The compiler may not leave it out. */
void caller_wipe(struct caller *c);

#endif
