/* proto/strict.h -- unpack protobuf-c messages that may come from anybody.
 *
 * Stricter than protobuf itself, for our own formats (I10): unknown fields, unknown enum
 * values, repeated singular fields and any other bytes that packing would not give again
 * are errors, and memory stays proportional to the input however it is built.
 *
 * Pure:    no I/O, no clock.
 * Owner:   strict_free() what was unpacked.
 * Threads: any; no shared state.
 * Errors:  ERR_BADMSG.
 */
#ifndef RF_PROTO_STRICT_H
#define RF_PROTO_STRICT_H

#include <protobuf-c/protobuf-c.h>

#include "controller/base/err.h"

MUST_USE int strict_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                           size_t len, ProtobufCMessage **ret_msg, struct err *err);

/* NULL is fine. */
void strict_free(ProtobufCMessage *msg);

#endif
