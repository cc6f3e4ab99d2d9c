/* controller/net/stream.h -- one connection to one proven peer: TCP, TLS 1.3, frames.
 *
 * A frame is a 4-byte big-endian length and that many bytes, 1..STREAM_FRAME_MAX. What a
 * frame means is the business of `proto`. Frames of one stream arrive whole, in order and
 * once, or the stream closes.
 *
 * A stream is *open* when the handshake is done, the peer's certificate is from our CA, of
 * our cluster and the one we expect, **and the peer has said that it accepts ours** (the
 * first message each side sends is a welcome or a refusal with its reason). Before that
 * nothing is delivered and nothing can be sent. What is not open by its deadline is closed.
 *
 * When the files of its tls are replaced (tls.h), an open stream's peer is judged by the
 * new ones within some seconds, and the stream closes (ERR_PEER) if it is revoked or of no
 * CA of ours any more. That a certificate has expired in the meantime closes nothing.
 *
 * Streams are made by a listener (controller/net/listener.h) or a link
 * (controller/net/link.h), which most callers want; stream_dial() is what a link uses.
 *
 * Units:   milliseconds, bytes.
 * Owner:   the caller, from stream_dial()/stream_adopt() until `on_close` has returned or
 *          stream_close() was called; then it belongs to the loop, which frees it.
 * Threads: the thread of its loop only. No state is shared between loops.
 * Errors:  whatever goes wrong (garbage, a frame too long, a wrong cluster, a peer that is
 *          gone) ends the stream and is told once through `on_close`, with a text for
 *          people that begins with the peer's address. The owner logs it (and limits how
 *          often): nothing is logged here.
 */
#ifndef RF_NET_STREAM_H
#define RF_NET_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/net/identity.h"
#include "controller/net/tls.h"

struct uv_loop_s;
struct sockaddr_storage;

enum {
    STREAM_FRAME_MAX = 4 << 20,
    /* What may wait for a peer that does not read; beyond it stream_send() says ERR_FULL.
     */
    STREAM_SEND_QUEUE_MAX = 8 << 20,
};

struct stream;

struct stream_options {
    uint32_t connect_ms;      /* TCP connect of stream_dial(); 0: 1000 */
    uint32_t handshake_ms;    /* from there until open; 0: 3000 */
    uint32_t user_timeout_ms; /* unacknowledged data or keepalives: dead; 0: 3000 */
};

/* All are called from the loop, never from inside a function of this header.
 * stream_close() and stream_send() are allowed in each of them. */
struct stream_events {
    /* Once, before any frame. `peer` is valid until the stream is gone. */
    void (*on_open)(void *owner, const struct identity *peer);
    /* `data` is valid during the call only, and not aligned. */
    void (*on_frame)(void *owner, const uint8_t *data, size_t len);
    /* At most once, and last; not after stream_close(). ERR_CLOSED: the peer closed in
     * good order; ERR_PEER: it is not who we expect, or it refused us; ERR_TIMEOUT;
     * ERR_BADMSG: garbage; ERR_FULL: a frame too long; ERR_IO; ERR_NOMEM; ERR_CONFLICT:
     * replaced by a newer connection of the same peer. */
    void (*on_close)(void *owner, const struct err *why);
};

struct stream_dial_to {
    const struct sockaddr_storage *sa;
    const struct identity *expected;      /* who must be found there; copied */
    const struct stream_options *options; /* NULL: the defaults; copied */
};

/* Connect. Call stream_adopt() right after it; the answer comes by on_open or on_close.
 *   ERR_NOMEM  ERR_IO */
MUST_USE int stream_dial(struct stream **ret_stream, struct uv_loop_s *loop,
                         struct tls *tls, const struct stream_dial_to *to, struct err *err);
/* Who is told; in a listener's on_accept, too. `events` must outlive the stream. */
void stream_adopt(struct stream *s, const struct stream_events *events, void *owner);

/* Send one frame; `data` is copied (encrypted) before it returns. What the kernel takes is
 * sent in this very call, the rest when the peer reads; it never blocks.
 *   ERR_CLOSED  not open yet, or closing
 *   ERR_FULL    more than STREAM_SEND_QUEUE_MAX would be waiting: the frame is dropped,
 *               the stream goes on; the caller decides what that means
 *   ERR_INVAL   no bytes, or more than STREAM_FRAME_MAX
 *   ERR_NOMEM   the stream closes, since half a frame may be out; on_close follows */
MUST_USE int stream_send(struct stream *s, const void *data, size_t len, struct err *err);

/* Bytes that wait for the peer to read. */
size_t stream_queued(const struct stream *s);

/* NULL before the peer has proven who it is. */
const struct identity *stream_peer(const struct stream *s);
/* "10.0.0.2:51234", for people. */
const char *stream_remote(const struct stream *s);

/* NULL is fine. No callback comes after it. What was sent before and the kernel has not
 * taken yet is dropped. */
void stream_close(struct stream *s);

#endif
