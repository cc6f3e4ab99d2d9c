/* proto/map.h -- tables that carry a plain C struct into a protobuf message and back.
 *
 * One row per field, and the row says all there is to say: where it is in the struct, which
 * field of the message it is, what it may be. So encoding, decoding, checking and the test
 * that walks every field cannot disagree.
 *
 * Pure:    no I/O, no clock.
 * Owner:   messages come from malloc(): protobuf_c_message_free_unpacked(m, NULL).
 * Threads: any; tables are constant.
 * Errors:  ERR_BADMSG where a value breaks its row; the text names message and field.
 */
#ifndef RF_PROTO_MAP_H
#define RF_PROTO_MAP_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/err.h"

enum map_kind {
    MAP_NUMBER, /* unsigned of 1, 2, 4 or 8 bytes, `min`..`max` */
    MAP_INDEX,  /* uint8_t: below `max`, or NO_INSTANCE */
    MAP_ENUM,   /* one of the values of the message's enum */
    MAP_BOOL,
    MAP_NAME,     /* char[]: [a-z0-9][a-z0-9-]*; may be empty where `min` is 0 */
    MAP_TEXT,     /* char[]: for people, or a path; cleaned when encoded */
    MAP_LIFE,     /* struct incarnation; none is no bytes */
    MAP_BYTES,    /* uint8_t[]: all of them, or no bytes for all zero unless `min` is 1 */
    MAP_MESSAGE,  /* an embedded struct, always there */
    MAP_MESSAGES, /* array of structs, at most `max`, its uint8_t count at `count_offset` */
    MAP_NAMES,    /* char[][NAME_SIZE], likewise */
};

struct map_type;

struct map_field {
    uint32_t id; /* of the message's field */
    enum map_kind kind;
    uint32_t offset, size; /* of the member; of one element where it is an array */
    uint32_t count_offset;
    uint64_t min, max;
    const struct map_type *type; /* MAP_MESSAGE(S) */
};

struct map_type {
    const ProtobufCMessageDescriptor *message;
    uint32_t size; /* of the struct */
    uint32_t field_count;
    const struct map_field *fields;
    /* What no single field can say (counts against indexes, duplicates); may be NULL. */
    int (*check)(const void *value, struct err *err);
};

/* Rows. S is the struct, m its member. */
#define MAP_AT(S, m) .offset = offsetof(S, m), .size = sizeof(((S *)0)->m)
#define MAP_EACH(S, m) .offset = offsetof(S, m), .size = sizeof(*((S *)0)->m)
#define ROW_NUMBER(n, S, m, lo, hi)                                                        \
    {                                                                                      \
        .id = (n), .kind = MAP_NUMBER, MAP_AT(S, m), .min = (lo), .max = (hi)              \
    }
#define ROW_ANY(n, S, m) ROW_NUMBER(n, S, m, 0, UINT64_MAX)
#define ROW_INDEX(n, S, m) ROW_NUMBER(n, S, m, 0, INSTANCE_MAX - 1)
#define ROW_INDEX_OR_NONE(n, S, m)                                                         \
    {                                                                                      \
        .id = (n), .kind = MAP_INDEX, MAP_AT(S, m), .max = INSTANCE_MAX                    \
    }
#define ROW_ENUM(n, S, m)                                                                  \
    {                                                                                      \
        .id = (n), .kind = MAP_ENUM, MAP_AT(S, m)                                          \
    }
#define ROW_BOOL(n, S, m)                                                                  \
    {                                                                                      \
        .id = (n), .kind = MAP_BOOL, MAP_AT(S, m)                                          \
    }
#define ROW_NAME(n, S, m)                                                                  \
    {                                                                                      \
        .id = (n), .kind = MAP_NAME, MAP_AT(S, m), .min = 1                                \
    }
#define ROW_NAME_OR_NONE(n, S, m)                                                          \
    {                                                                                      \
        .id = (n), .kind = MAP_NAME, MAP_AT(S, m)                                          \
    }
#define ROW_TEXT(n, S, m)                                                                  \
    {                                                                                      \
        .id = (n), .kind = MAP_TEXT, MAP_AT(S, m)                                          \
    }
#define ROW_LIFE(n, S, m)                                                                  \
    {                                                                                      \
        .id = (n), .kind = MAP_LIFE, MAP_AT(S, m)                                          \
    }
#define ROW_BYTES(n, S, m, needed)                                                         \
    {                                                                                      \
        .id = (n), .kind = MAP_BYTES, MAP_AT(S, m), .min = (needed)                        \
    }
#define ROW_MESSAGE(n, S, m, t)                                                            \
    {                                                                                      \
        .id = (n), .kind = MAP_MESSAGE, MAP_AT(S, m), .type = &(t)                         \
    }
#define ROW_MESSAGES(n, S, m, count, t)                                                    \
    {                                                                                      \
        .id = (n), .kind = MAP_MESSAGES, MAP_EACH(S, m),                                   \
        .count_offset = offsetof(S, count), .max = ARRAY_LEN(((S *)0)->m), .type = &(t)    \
    }
#define ROW_NAMES(n, S, m, count)                                                          \
    {                                                                                      \
        .id = (n), .kind = MAP_NAMES, MAP_EACH(S, m), .count_offset = offsetof(S, count),  \
        .min = 1, .max = ARRAY_LEN(((S *)0)->m)                                            \
    }

#define MAP_TYPE(name, descriptor, S, rows, checker)                                       \
    const struct map_type name = {&(descriptor), sizeof(S), ARRAY_LEN(rows), rows, checker}

/* Does `value` obey all rows? Encoding and decoding ask by themselves. */
MUST_USE int map_check(const struct map_type *t, const void *value, struct err *err);

MUST_USE int map_to_message(const struct map_type *t, const void *value,
                            ProtobufCMessage **ret_message, struct err *err);

/* `value` has been zeroed by the caller, and is partly written on failure. */
MUST_USE int map_from_message(const struct map_type *t, const ProtobufCMessage *message,
                              void *value, struct err *err);

/* Reads and writes a number of any size; for the tables' tests too. */
uint64_t map_number_get(const struct map_field *f, const void *value);
void map_number_put(const struct map_field *f, void *value, uint64_t number);

#endif
