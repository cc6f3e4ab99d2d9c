/* proto/strict.h -- unpack messages of formats that have one spelling.
 *
 * What check.h refuses is refused, and so are a missing `required` field and any bytes that
 * packing would not give again: the log is a chain of hashes, and two spellings of one
 * entry would have two of them.
 *
 * Pure:    no I/O, no clock.
 * Owner:   whole_free(*ret_msg) (whole.h).
 * Threads: any; no shared state.
 * Errors:  ERR_BADMSG, ERR_NOMEM.
 */
#ifndef RF_PROTO_STRICT_H
#define RF_PROTO_STRICT_H

#include <protobuf-c/protobuf-c.h>

#include "controller/base/err.h"

MUST_USE int strict_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                           size_t len, ProtobufCMessage **ret_msg, struct err *err);

/* 0 if packing `msg` gives these bytes. */
MUST_USE int strict_compare(const ProtobufCMessage *msg, const uint8_t *data, size_t len,
                            struct err *err);

#endif
