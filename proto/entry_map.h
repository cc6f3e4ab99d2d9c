/* proto/entry_map.h -- the tables of controller/core/entry.h's structs (proto/map.h): which
 * kind of entry has which body.
 *
 * Pure:    constants.
 */
#ifndef RF_PROTO_ENTRY_MAP_H
#define RF_PROTO_ENTRY_MAP_H

#include "controller/core/entry.h"
#include "proto/map.h"

enum entry_group { ENTRY_GROUP_NONE, ENTRY_GROUP_NEEDED, ENTRY_GROUP_EITHER };

struct entry_body {
    enum entry_kind kind;
    enum entry_group group;
    uint32_t field;  /* of rf.log.Entry; 0: a kind without a body */
    uint32_t offset; /* in struct entry */
    const struct map_type *type;
};

/* kind, group and rule; format and body are the codec's. */
extern const struct map_type map_entry_head;

/* Of Entry.actor, which format 2 has where it is not nobody. */
extern const struct map_type map_actor;

/* Of Entry.key, which format 3 has where there is one; of the snapshot too. */
extern const struct map_type map_request_key;

/* NULL for what is not a kind of entry (ENTRY_NONE too). */
const struct entry_body *entry_body_of(enum entry_kind kind);

const char *entry_kind_text(enum entry_kind kind);

#endif
