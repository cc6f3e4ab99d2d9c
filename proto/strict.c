#include "proto/strict.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* protobuf-c builds a struct for every two bytes of an empty sub-message, and counts
 * repeated fields before it allocates them. An allocator with a budget bounds all of that
 * at once. A legitimate message needs its own length (the bytes fields) and some structs.
 */
struct budget {
    size_t left;
};

enum { BUDGET_FIXED = 65536 };

static void *budget_alloc(void *data, size_t size)
{
    struct budget *b = data;

    if (size > b->left)
        return NULL;
    b->left -= size;
    return malloc(size != 0 ? size : 1);
}

static void budget_free(void *data, void *pointer)
{
    (void)data;
    free(pointer);
}

/* Memory comes from malloc() whatever the budget was, so freeing needs none. */
void strict_free(ProtobufCMessage *msg)
{
    struct budget none = {0};
    ProtobufCAllocator heap = {budget_alloc, budget_free, &none};

    if (msg != NULL)
        protobuf_c_message_free_unpacked(msg, &heap);
}

static bool message_is_known(const ProtobufCMessage *msg);

static const void *member(const ProtobufCMessage *msg, unsigned offset)
{
    return (const char *)msg + offset;
}

/* The number of values that a field holds, and where they are. */
static size_t values_of(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f,
                        const void **ret_values)
{
    const void *at = member(msg, f->offset);

    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        *ret_values = *(void *const *)at;
        return *(const size_t *)member(msg, f->quantifier_offset);
    }
    *ret_values = at;
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return *(const uint32_t *)member(msg, f->quantifier_offset) == f->id;
    return 1;
}

static bool value_is_known(const ProtobufCFieldDescriptor *f, const void *values, size_t i)
{
    if (f->type == PROTOBUF_C_TYPE_ENUM)
        return protobuf_c_enum_descriptor_get_value(f->descriptor,
                                                    ((const int *)values)[i]) != NULL;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *inner = ((ProtobufCMessage *const *)values)[i];

        return inner == NULL || message_is_known(inner);
    }
    return true;
}

static bool message_is_known(const ProtobufCMessage *msg)
{
    if (msg->n_unknown_fields != 0)
        return false;
    for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
        const void *values;
        size_t n = values_of(msg, f, &values);

        for (size_t k = 0; k < n; k++)
            if (!value_is_known(f, values, k))
                return false;
    }
    return true;
}

static bool packs_to(const ProtobufCMessage *msg, const uint8_t *data, size_t len)
{
    uint8_t *again;
    bool same;

    if (protobuf_c_message_get_packed_size(msg) != len)
        return false;
    again = malloc(len != 0 ? len : 1);
    if (again == NULL)
        return false;
    same = protobuf_c_message_pack(msg, again) == len && memcmp(again, data, len) == 0;
    free(again);
    return same;
}

int strict_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                  ProtobufCMessage **ret_msg, struct err *err)
{
    struct budget budget = {2 * len + BUDGET_FIXED};
    ProtobufCAllocator heap = {budget_alloc, budget_free, &budget};
    ProtobufCMessage *msg = protobuf_c_message_unpack(type, &heap, len, data);

    if (msg == NULL)
        return err_set(err, ERR_BADMSG, "%zu bytes are no %s", len, type->name);
    if (!message_is_known(msg)) {
        strict_free(msg);
        return err_set(err, ERR_BADMSG, "%s with unknown fields or values", type->name);
    }
    if (!packs_to(msg, data, len)) {
        strict_free(msg);
        return err_set(err, ERR_BADMSG, "%s is not encoded canonically", type->name);
    }
    *ret_msg = msg;
    return 0;
}
