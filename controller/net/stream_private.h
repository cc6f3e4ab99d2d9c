/* controller/net/stream_private.h -- the inside of a stream, for stream*.c and listener.c.
 *
 * A stream goes through its phases in their order, and to STREAM_CLOSED from each. A peer
 * that is refused is told why and then *drained*: closing at once, with its bytes unread,
 * would make the kernel send a reset that can overtake our reason.
 */
#ifndef RF_NET_STREAM_PRIVATE_H
#define RF_NET_STREAM_PRIVATE_H

#include <stdbool.h>

#include <openssl/ssl.h>
#include <uv.h>

#include "controller/base/buf.h"
#include "controller/net/address.h"
#include "controller/net/stream.h"
#include "controller/net/tls_session.h"

enum {
    STREAM_CHUNK = 16 << 10, /* one TLS record */
    STREAM_HEADER = 4,
    STREAM_DRAIN_MS = 500,
    STREAM_RECHECK_MS = 2000,   /* an open stream's peer, after new files (tls.h) */
    STREAM_KEEP_CAP = 64 << 10, /* an idle stream keeps no larger buffer */
};

enum stream_phase {
    STREAM_CONNECTING,
    STREAM_HANDSHAKE,
    STREAM_WELCOME, /* TLS is up; the peer's word that it accepts us is missing */
    STREAM_OPEN,
    STREAM_DRAINING,
    STREAM_CLOSED,
};

/* What a listener wants to know of the streams it made. */
struct stream_host {
    /* A proven peer of our cluster: 0 to let it in. */
    int (*vet)(void *owner, const struct identity *peer, struct err *why);
    void (*opened)(void *owner, struct stream *s);
    /* The stream is about to be freed. */
    void (*gone)(void *owner, struct stream *s);
};

struct stream {
    uv_tcp_t tcp;
    uv_timer_t deadline; /* until it is open; then when its peer is looked at again */
    unsigned handles;    /* whose close callback has not run */
    uv_connect_t connecting;
    uv_write_t writing;
    uv_shutdown_t ending;

    enum stream_phase phase;
    bool dialed;
    bool released; /* stream_close() was called: nobody is told anything */
    struct stream_options options;
    struct identity expected; /* dialed: who must be there */
    struct identity peer;
    char remote[ADDRESS_TEXT_SIZE];
    struct err why;

    struct tls *tls;
    SSL *ssl;
    uint64_t generation; /* of the files that its peer was judged by */
    bool counted;        /* as an open one, in the report */
    struct tls_pipe pipe;
    struct buf in;       /* plaintext that is not a whole frame yet */
    struct buf inflight; /* what the kernel did not take at once */
    size_t inflight_at;
    bool write_pending;

    const struct stream_events *events;
    void *owner;
    const struct stream_host *host;
    void *host_owner;
    struct stream *next; /* the listener's list, oldest first */

    uint8_t chunk[STREAM_CHUNK];
};

/* A stream for a connection that waits at `server`.
 *   ERR_NOMEM, or what the socket says */
MUST_USE int stream_accept(struct stream **ret_stream, uv_stream_t *server, struct tls *tls,
                           const struct stream_options *options, struct err *err);

/* Close, and tell the owner why. Does nothing to a closed stream. */
void stream_fail(struct stream *s, const struct err *why);
/* The same, for a peer that deserves to hear it: flush, and wait until it has read. */
void stream_drain(struct stream *s, const struct err *why);

/* Encrypt one frame of any phase. */
MUST_USE int stream_put(struct stream *s, const void *data, size_t len, struct err *err);
/* Give the kernel what it takes. May close the stream. */
void stream_flush(struct stream *s);

/* It is open now: from here on its peer is looked at again when the files change. */
void stream_watch_peer(struct stream *s);

/* stream_hello.c: TLS is up; is it a peer that we want? */
void stream_greet(struct stream *s);
/* The peer's first message. */
void stream_take_hello(struct stream *s, const uint8_t *data, size_t len);

#endif
