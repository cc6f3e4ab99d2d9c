/* tests/unit/proto/sample.h -- values for every field that a table or a descriptor has.
 *
 * Seeded: the same seed gives the same values on every machine, since golden files hold
 * some of them.
 */
#ifndef RF_TESTS_UNIT_PROTO_SAMPLE_H
#define RF_TESTS_UNIT_PROTO_SAMPLE_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/core/entry.h"
#include "proto/map.h"

uint64_t sample_random(uint64_t *seed);

/* Give every field that `t` has a row for a value of its own, none of them zero; lists are
 * full. `value` is zeroed first. */
void sample_fill(const struct map_type *t, void *value, uint64_t *seed);

struct state;
void sample_state(struct state *s, uint64_t seed);
/* One entry of this kind, acceptable to the decoder. */
void sample_entry(struct entry *e, enum entry_kind kind, uint64_t seed);

/* What format 1 has no room for is taken out of it. */
void sample_make_first(struct entry *e);
/* Which only format 3 has room for. */
void sample_add_key(struct entry *e, uint64_t seed);

/* A message with every field set; of a oneof the member with this number. Free with
 * protobuf_c_message_free_unpacked(m, NULL). */
ProtobufCMessage *sample_message(const ProtobufCMessageDescriptor *d, uint32_t member,
                                 uint64_t *seed);

/* One mutation of `data`: a flipped bit, a changed byte, a cut, a doubled or dropped part.
 */
void sample_mutate(const struct buf *from, struct buf *to, uint64_t *seed);

#endif
