/* proto/check.h -- is this a message that we would have sent? Asked before it is unpacked.
 *
 * protobuf skips what it does not know, takes the last of two values and allocates what the
 * bytes ask for; for us unknown means stop (I10). So the bytes are walked along the
 * descriptor first, without allocating anything: unknown fields, wire types, numbers out of
 * their type's range, enum values that the descriptor does not have, a singular field (or
 * two members of a oneof) given twice, strings too long, not UTF-8 or with control
 * characters, too many repeated values, too deep nesting: ERR_BADMSG, and the text names
 * message, field and number ("rf.Renew.items: rf.RenewItem: unknown field 9"). What passes
 * costs memory in proportion to the bounds, not to the sender's wishes.
 *
 * Pure:    no I/O, no clock; check_bytes() allocates nothing.
 * Units:   bytes.
 * Threads: any; no shared state.
 * Errors:  ERR_BADMSG.
 */
#ifndef RF_PROTO_CHECK_H
#define RF_PROTO_CHECK_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/base/err.h"

enum {
    CHECK_STRING_MAX = 1023,
    CHECK_REPEATED_MAX = 4096, /* of each repeated field, in each message */
    CHECK_DEPTH_MAX = 8,
    CHECK_BYTES_MAX = 4 << 20,
};

struct check_limits {
    size_t message_max;    /* 0: no bound but bytes_max on each `bytes` field */
    size_t bytes_max;      /* 0: CHECK_BYTES_MAX */
    size_t string_max;     /* 0: CHECK_STRING_MAX */
    uint32_t repeated_max; /* 0: CHECK_REPEATED_MAX */
};

/* `limits` may be NULL: all defaults. */
MUST_USE int check_bytes(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                         size_t len, const struct check_limits *limits, struct err *err);

/* Check, then unpack. Owner: whole_free(*ret_message) (whole.h).
 *   ERR_NOMEM too */
MUST_USE int check_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                          size_t len, const struct check_limits *limits,
                          ProtobufCMessage **ret_message, struct err *err);

/* Append `message` to `out`. Texts of other people's libraries end up in our strings: bytes
 * that a receiver would refuse become '?', line breaks and other control characters become
 * a blank. Whatever else a receiver would refuse is our own mistake and is ERR_INVAL here,
 * with nothing appended.
 *   ERR_INVAL  ERR_NOMEM  ERR_FULL */
MUST_USE int check_pack(const ProtobufCMessage *message, const struct check_limits *limits,
                        struct buf *out, struct err *err);

/* Length of the leading part of `text` that a receiver accepts in a string. */
size_t check_text_span(const uint8_t *text, size_t len);
/* Make all of it acceptable, in place, keeping its length. */
void check_text_clean(uint8_t *text, size_t len);

#endif
