#include "proto/map.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/core/state.h"
#include "proto/check.h"

static const void *at(const void *value, size_t offset)
{
    return (const uint8_t *)value + offset;
}

static void *at_mutable(void *value, size_t offset) { return (uint8_t *)value + offset; }

static uint8_t count_of(const struct map_field *f, const void *value)
{
    return *(const uint8_t *)at(value, f->count_offset);
}

uint64_t map_number_get(const struct map_field *f, const void *value)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (f->size) {
    case sizeof u8:
        memcpy(&u8, at(value, f->offset), sizeof u8);
        return u8;
    case sizeof u16:
        memcpy(&u16, at(value, f->offset), sizeof u16);
        return u16;
    case sizeof u32:
        memcpy(&u32, at(value, f->offset), sizeof u32);
        return u32;
    default:
        break;
    }
    ASSERT(f->size == sizeof u64);
    memcpy(&u64, at(value, f->offset), sizeof u64);
    return u64;
}

void map_number_put(const struct map_field *f, void *value, uint64_t number)
{
    uint8_t u8 = (uint8_t)number;
    uint16_t u16 = (uint16_t)number;
    uint32_t u32 = (uint32_t)number;
    void *to = at_mutable(value, f->offset);

    switch (f->size) {
    case sizeof u8:
        memcpy(to, &u8, sizeof u8);
        return;
    case sizeof u16:
        memcpy(to, &u16, sizeof u16);
        return;
    case sizeof u32:
        memcpy(to, &u32, sizeof u32);
        return;
    default:
        break;
    }
    ASSERT(f->size == sizeof number);
    memcpy(to, &number, sizeof number);
}

static const ProtobufCFieldDescriptor *field_of(const struct map_type *t,
                                                const struct map_field *f)
{
    const ProtobufCFieldDescriptor *d =
        protobuf_c_message_descriptor_get_field(t->message, f->id);

    ASSERT(d != NULL);
    return d;
}

static int bad(const struct map_type *t, const struct map_field *f, struct err *err,
               const char *why)
{
    return err_set(err, ERR_BADMSG, "%s.%s: %s", t->message->name, field_of(t, f)->name,
                   why);
}

/* ---- is the struct in order? ----------------------------------------------------------
 */

static const char *name_problem(const char *name, size_t size, bool needed)
{
    size_t len = strnlen(name, size);

    if (len == size)
        return "not terminated";
    if (len == 0)
        return needed ? "empty" : NULL;
    if (name[0] == '-' || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return "not [a-z0-9][a-z0-9-]*";
    return NULL;
}

static const char *names_problem(const struct map_field *f, const void *value)
{
    uint8_t n = count_of(f, value);
    const char *problem = n > f->max ? "too many" : NULL;

    for (uint8_t i = 0; i < n && problem == NULL; i++)
        problem = name_problem(at(value, f->offset + (size_t)i * f->size), f->size, true);
    return problem;
}

static const char *number_problem(const struct map_field *f, uint64_t number)
{
    if (f->kind == MAP_INDEX)
        return number < f->max || number == NO_INSTANCE ? NULL : "no such index";
    return number >= f->min && number <= f->max ? NULL : "out of range";
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static const char *scalar_problem(const struct map_type *t, const struct map_field *f,
                                  const void *value)
{
    switch (f->kind) {
    case MAP_NUMBER:
    case MAP_INDEX:
        return number_problem(f, map_number_get(f, value));
    case MAP_ENUM:
        return protobuf_c_enum_descriptor_get_value(field_of(t, f)->descriptor,
                                                    (int)map_number_get(f, value)) != NULL
                   ? NULL
                   : "unknown enum value";
    case MAP_NAME:
        return name_problem(at(value, f->offset), f->size, f->min != 0);
    case MAP_NAMES:
        return names_problem(f, value);
    case MAP_TEXT:
        return strnlen(at(value, f->offset), f->size) < f->size ? NULL : "not terminated";
    case MAP_BYTES:
        return f->min == 0 || !all_zero(at(value, f->offset), f->size) ? NULL : "missing";
    case MAP_BOOL:
    case MAP_LIFE:
    case MAP_MESSAGE:
    case MAP_MESSAGES:
        break;
    }
    return NULL;
}

static int check_field(const struct map_type *t, const struct map_field *f,
                       const void *value, struct err *err)
{
    const char *problem = scalar_problem(t, f, value);
    uint8_t n = 0;

    if (problem != NULL)
        return bad(t, f, err, problem);
    if (f->kind == MAP_MESSAGE)
        n = 1;
    if (f->kind == MAP_MESSAGES)
        n = count_of(f, value);
    if (f->kind == MAP_MESSAGES && n > f->max)
        return bad(t, f, err, "too many");
    for (uint8_t i = 0; i < n; i++) {
        int status = map_check(f->type, at(value, f->offset + (size_t)i * f->size), err);

        if (status != 0)
            return status;
    }
    return 0;
}

int map_check(const struct map_type *t, const void *value, struct err *err)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        int status = check_field(t, &t->fields[i], value, err);

        if (status != 0)
            return status;
    }
    return t->check != NULL ? t->check(value, err) : 0;
}

/* ---- struct to message ----------------------------------------------------------------
 */

static int no_memory(const struct map_type *t, struct err *err)
{
    return err_set(err, ERR_NOMEM, "%s", t->message->name);
}

static ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *message = calloc(1, d->sizeof_message);

    if (message != NULL)
        d->message_init(message);
    return message;
}

/* protobuf-c frees strings one by one, but for the empty one that init puts in. */
static bool put_string(char **ret_string, const char *text, bool clean)
{
    char *copy;

    if (text[0] == '\0')
        return true;
    copy = strdup(text);
    if (copy == NULL)
        return false;
    if (clean)
        check_text_clean((uint8_t *)copy, strlen(copy));
    *ret_string = copy;
    return true;
}

static bool put_life(ProtobufCBinaryData *ret_bytes, const struct incarnation *life)
{
    if (!incarnation_is_set(life))
        return true;
    ret_bytes->data = malloc(INCARNATION_BYTES);
    if (ret_bytes->data == NULL)
        return false;
    memcpy(ret_bytes->data, life->bytes, INCARNATION_BYTES);
    ret_bytes->len = INCARNATION_BYTES;
    return true;
}

static bool put_bytes(const struct map_field *f, ProtobufCBinaryData *ret_bytes,
                      const uint8_t *from)
{
    if (all_zero(from, f->size))
        return true;
    ret_bytes->data = malloc(f->size);
    if (ret_bytes->data == NULL)
        return false;
    memcpy(ret_bytes->data, from, f->size);
    ret_bytes->len = f->size;
    return true;
}

static bool put_names(const struct map_field *f, const void *value, size_t *ret_count,
                      char ***ret_names)
{
    uint8_t n = count_of(f, value);

    if (n == 0)
        return true;
    *ret_names = calloc(n, sizeof(char *));
    if (*ret_names == NULL)
        return false;
    for (uint8_t i = 0; i < n; i++) {
        (*ret_names)[i] = strdup(at(value, f->offset + (size_t)i * f->size));
        if ((*ret_names)[i] == NULL)
            return false;
        (*ret_count)++;
    }
    return true;
}

static int fill_message(const struct map_type *t, const void *value,
                        ProtobufCMessage *message, struct err *err);

static int put_messages(const struct map_field *f, const void *value, size_t *ret_count,
                        ProtobufCMessage ***ret_messages, struct err *err)
{
    uint8_t n = count_of(f, value);

    if (n == 0)
        return 0;
    *ret_messages = calloc(n, sizeof(void *));
    if (*ret_messages == NULL)
        return no_memory(f->type, err);
    for (uint8_t i = 0; i < n; i++) {
        ProtobufCMessage *one = message_new(f->type->message);
        int status;

        if (one == NULL)
            return no_memory(f->type, err);
        (*ret_messages)[i] = one;
        (*ret_count)++;
        status =
            fill_message(f->type, at(value, f->offset + (size_t)i * f->size), one, err);
        if (status != 0)
            return status;
    }
    return 0;
}

static void put_number(const ProtobufCFieldDescriptor *d, void *to, uint64_t number)
{
    uint32_t small = (uint32_t)number;

    if (d->type == PROTOBUF_C_TYPE_UINT64)
        memcpy(to, &number, sizeof number);
    else
        memcpy(to, &small, sizeof small);
}

static int fill_field(const struct map_type *t, const struct map_field *f,
                      const void *value, ProtobufCMessage *message, struct err *err)
{
    const ProtobufCFieldDescriptor *d = field_of(t, f);
    void *to = at_mutable(message, d->offset);
    size_t *count = at_mutable(message, d->quantifier_offset);
    const void *from = at(value, f->offset);
    ProtobufCMessage *inner;
    bool ok = true;

    switch (f->kind) {
    case MAP_NUMBER:
    case MAP_INDEX:
    case MAP_ENUM:
        put_number(d, to, map_number_get(f, value));
        break;
    case MAP_BOOL:
        put_number(d, to, *(const bool *)from);
        break;
    case MAP_NAME:
    case MAP_TEXT:
        ok = put_string(to, from, f->kind == MAP_TEXT);
        break;
    case MAP_LIFE:
        ok = put_life(to, from);
        break;
    case MAP_BYTES:
        ok = put_bytes(f, to, from);
        break;
    case MAP_NAMES:
        ok = put_names(f, value, count, to);
        break;
    case MAP_MESSAGES:
        return put_messages(f, value, count, to, err);
    case MAP_MESSAGE:
        inner = message_new(f->type->message);
        if (inner == NULL)
            return no_memory(f->type, err);
        memcpy(to, &inner, sizeof(void *));
        return fill_message(f->type, from, inner, err);
    }
    return ok ? 0 : no_memory(t, err);
}

static int fill_message(const struct map_type *t, const void *value,
                        ProtobufCMessage *message, struct err *err)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        int status = fill_field(t, &t->fields[i], value, message, err);

        if (status != 0)
            return status;
    }
    return 0;
}

int map_to_message(const struct map_type *t, const void *value,
                   ProtobufCMessage **ret_message, struct err *err)
{
    int status = map_check(t, value, err);
    ProtobufCMessage *message;

    if (status != 0)
        return status;
    message = message_new(t->message);
    if (message == NULL)
        return no_memory(t, err);
    status = fill_message(t, value, message, err);
    if (status != 0) {
        protobuf_c_message_free_unpacked(message, NULL);
        return status;
    }
    *ret_message = message;
    return 0;
}

/* ---- message to struct ----------------------------------------------------------------
 */

static uint64_t get_number(const ProtobufCFieldDescriptor *d, const void *from)
{
    uint64_t number;
    uint32_t small;

    if (d->type == PROTOBUF_C_TYPE_UINT64) {
        memcpy(&number, from, sizeof number);
        return number;
    }
    memcpy(&small, from, sizeof small);
    return small;
}

/* A number that its member cannot hold must not lose its high bits on the way. */
static const char *get_scalar(const struct map_field *f, uint64_t number, void *value)
{
    if (f->size < sizeof number && number >> (8 * f->size) != 0)
        return "out of range";
    map_number_put(f, value, number);
    return NULL;
}

static const char *get_string(const struct map_field *f, const char *text, void *to)
{
    size_t len = strlen(text);

    if (len >= f->size)
        return "too long";
    memcpy(to, text, len + 1);
    return NULL;
}

static const char *get_bytes(const struct map_field *f, const ProtobufCBinaryData *bytes,
                             uint8_t *to)
{
    if (bytes->len == 0)
        return NULL;
    if (bytes->len != f->size)
        return "not of its length";
    memcpy(to, bytes->data, f->size);
    return NULL;
}

static const char *get_life(const ProtobufCBinaryData *bytes, struct incarnation *life)
{
    if (bytes->len == 0)
        return NULL;
    if (bytes->len != INCARNATION_BYTES)
        return "not an incarnation";
    memcpy(life->bytes, bytes->data, INCARNATION_BYTES);
    return NULL;
}

static const char *get_names(const struct map_field *f, size_t n, char *const *names,
                             void *value)
{
    const char *problem = n > f->max ? "too many" : NULL;

    for (size_t i = 0; i < n && problem == NULL; i++)
        problem = get_string(f, names[i], at_mutable(value, f->offset + i * f->size));
    if (problem == NULL)
        *(uint8_t *)at_mutable(value, f->count_offset) = (uint8_t)n;
    return problem;
}

static int read_field(const struct map_type *t, const struct map_field *f,
                      const ProtobufCMessage *message, void *value, struct err *err);

static int read_message(const struct map_type *t, const ProtobufCMessage *message,
                        void *value, struct err *err)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        int status = read_field(t, &t->fields[i], message, value, err);

        if (status != 0)
            return status;
    }
    return 0;
}

static int read_messages(const struct map_type *t, const struct map_field *f,
                         const ProtobufCMessage *message, void *value, struct err *err)
{
    const ProtobufCFieldDescriptor *d = field_of(t, f);
    size_t n = *(const size_t *)at(message, d->quantifier_offset);
    ProtobufCMessage *const *list =
        *(ProtobufCMessage *const *const *)at(message, d->offset);

    if (n > f->max)
        return bad(t, f, err, "too many");
    for (size_t i = 0; i < n; i++) {
        int status =
            read_message(f->type, list[i], at_mutable(value, f->offset + i * f->size), err);

        if (status != 0)
            return status;
    }
    *(uint8_t *)at_mutable(value, f->count_offset) = (uint8_t)n;
    return 0;
}

static int read_field(const struct map_type *t, const struct map_field *f,
                      const ProtobufCMessage *message, void *value, struct err *err)
{
    const ProtobufCFieldDescriptor *d = field_of(t, f);
    const void *from = at(message, d->offset);
    void *to = at_mutable(value, f->offset);
    const ProtobufCMessage *inner;
    const char *problem = NULL;

    switch (f->kind) {
    case MAP_NUMBER:
    case MAP_INDEX:
    case MAP_ENUM:
        problem = get_scalar(f, get_number(d, from), value);
        break;
    case MAP_BOOL:
        *(bool *)to = get_number(d, from) != 0;
        break;
    case MAP_NAME:
    case MAP_TEXT:
        problem = get_string(f, *(char *const *)from, to);
        break;
    case MAP_LIFE:
        problem = get_life(from, to);
        break;
    case MAP_BYTES:
        problem = get_bytes(f, from, to);
        break;
    case MAP_NAMES:
        problem = get_names(f, *(const size_t *)at(message, d->quantifier_offset),
                            *(char *const *const *)from, value);
        break;
    case MAP_MESSAGES:
        return read_messages(t, f, message, value, err);
    case MAP_MESSAGE:
        inner = *(const ProtobufCMessage *const *)from;
        if (inner != NULL)
            return read_message(f->type, inner, to, err);
        problem = "missing";
        break;
    }
    return problem != NULL ? bad(t, f, err, problem) : 0;
}

int map_from_message(const struct map_type *t, const ProtobufCMessage *message, void *value,
                     struct err *err)
{
    int status = read_message(t, message, value, err);

    return status != 0 ? status : map_check(t, value, err);
}
