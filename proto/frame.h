/* proto/frame.h -- bytes of one frame <-> Rf__Frame; the same for a provider's messages.
 *
 * Everything that proto/check.h refuses is refused here, and a frame without a body or with
 * an incarnation that is not one. Decode what arrived, ask frame_allowed() whether this
 * peer may send it, then use it.
 *
 * Pure:    no I/O, no clock.
 * Owner:   decoded messages are freed by frame_free() and its kin, which take the address
 *          (for AUTO) and leave NULL behind; encoding appends and keeps nothing.
 * Threads: any; no shared state.
 * Errors:  decode: ERR_BADMSG, ERR_NOMEM; encode: ERR_INVAL (a receiver would refuse it),
 *          ERR_NOMEM, ERR_FULL.
 */
#ifndef RF_PROTO_FRAME_H
#define RF_PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/base/err.h"
#include "fencing/rules/proof.h"
#include "proto/provider.pb-c.h"
#include "proto/wire.pb-c.h"

enum {
    FRAME_MAX = 4 << 20,    /* controller/net's STREAM_FRAME_MAX */
    PROVIDER_MAX = 1 << 20, /* one message of the socketpair */
};

MUST_USE int frame_decode(const uint8_t *data, size_t len, Rf__Frame **ret_frame,
                          struct err *err);
MUST_USE int frame_encode(const Rf__Frame *frame, struct buf *out, struct err *err);
void frame_free(Rf__Frame **frame);

MUST_USE int provider_request_decode(const uint8_t *data, size_t len,
                                     Rf__ProviderRequest **ret_request, struct err *err);
MUST_USE int provider_request_encode(const Rf__ProviderRequest *request, struct buf *out,
                                     struct err *err);
void provider_request_free(Rf__ProviderRequest **request);

MUST_USE int provider_reply_decode(const uint8_t *data, size_t len,
                                   Rf__ProviderReply **ret_reply, struct err *err);
MUST_USE int provider_reply_encode(const Rf__ProviderReply *reply, struct buf *out,
                                   struct err *err);
void provider_reply_free(Rf__ProviderReply **reply);

/* Which way a frame goes; the peer's certificate says who is at the other end. */
enum frame_way {
    FRAME_CONTROLLER_TO_CONTROLLER,
    FRAME_AGENT_TO_CONTROLLER,
    FRAME_CONTROLLER_TO_AGENT,
};

/* I10: false for a frame that has no business on a stream of that kind. */
bool frame_allowed(const Rf__Frame *frame, enum frame_way way);

/* "renew", "agent_report"; for logs and refusals. */
const char *frame_name(const Rf__Frame *frame);

/* I12 on the wire: 16 bytes each, or it is none.
 *   ERR_BADMSG  missing, or a part of another length */
MUST_USE int frame_incarnation_get(const Rf__Incarnation *wire, struct incarnation *ret,
                                   struct err *err);
/* `wire` points into `from`, which must stay while `wire` is used. */
void frame_incarnation_put(struct incarnation *from, Rf__Incarnation *wire);

#endif
