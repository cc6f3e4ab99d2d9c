/* proto/whole.h -- unpack a message into one piece of memory.
 *
 * protobuf-c takes a piece from the heap for every string, every message within the message
 * and every list, and gives each back by itself: for an agent's report some forty. Here all
 * of them are cut from one piece (or a few, if the guess at its size was too low) that is
 * given back at once.
 *
 * Pure:    no I/O, no clock.
 * Owner:   whole_free(*ret_message), and nothing else: no part of it can be kept, freed or
 *          replaced by what comes from malloc(). Its bytes may be changed in place.
 * Threads: any; no shared state.
 * Errors:  ERR_NOMEM, ERR_BADMSG: bytes that check_bytes() would have refused, or a
 *          `required` field that is missing.
 */
#ifndef RF_PROTO_WHOLE_H
#define RF_PROTO_WHOLE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/err.h"

/* Whoever reads foreign bytes asks check_bytes() first. */
MUST_USE int whole_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                          size_t len, ProtobufCMessage **ret_message, struct err *err);

/* `message` is what whole_unpack() returned, or NULL. */
void whole_free(ProtobufCMessage *message);

#endif
