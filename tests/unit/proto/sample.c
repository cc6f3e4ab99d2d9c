#include "tests/unit/proto/sample.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/core/state.h"
#include "proto/entry_map.h"
#include "proto/state_map.h"

/* splitmix64; Steele, Lea, Flood, "Fast splittable pseudorandom number generators". */
uint64_t sample_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void fill_name(char *to, size_t size, uint64_t *seed)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t len = 8 + sample_random(seed) % (size - 8);

    to[0] = letters[sample_random(seed) % 36];
    for (size_t i = 1; i < len; i++)
        to[i] = letters[sample_random(seed) % 37];
    to[len] = '\0';
}

static void fill_text(char *to, size_t size, uint64_t *seed)
{
    size_t len = 1 + sample_random(seed) % (size - 3);

    for (size_t i = 0; i < len; i++)
        to[i] = (char)(' ' + sample_random(seed) % 95);
    memcpy(to + len, "\xc3\xa9", 3); /* not ASCII: e with an acute accent */
}

static uint64_t number_in(uint64_t min, uint64_t max, unsigned bits, uint64_t *seed)
{
    uint64_t top = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
    uint64_t low = min != 0 ? min : 1, high = max < top ? max : top;
    uint64_t span = high - low + 1, draw = sample_random(seed);

    if (high < low)
        return high;
    return span == 0 ? draw | 1 : low + draw % span;
}

static int some_value(const ProtobufCEnumDescriptor *d, uint64_t *seed)
{
    return d->values[1 + sample_random(seed) % (d->n_values - 1)].value;
}

/* Ascending, each once, and none of them the server's own. */
static void put_in_order(struct also_port *ports, uint8_t n)
{
    for (uint8_t i = 0; i < n; i++) {
        if (ports[i].port > UINT16_MAX - ALSO_MAX)
            ports[i].port -= ALSO_MAX;
        if (i > 0 && ports[i].port <= ports[i - 1].port)
            ports[i].port = (uint16_t)(ports[i - 1].port + 1);
    }
}

static void part_ports(struct instance *i)
{
    for (uint8_t k = 0; k < i->also_count; k++)
        if (i->also[k].port == i->port)
            i->port = i->also[0].port == 1 ? UINT16_MAX : 1;
}

static void fill_field(const struct map_type *t, const struct map_field *f, void *value,
                       uint64_t *seed)
{
    uint8_t *to = (uint8_t *)value + f->offset;
    uint8_t *count = (uint8_t *)value + f->count_offset;
    const ProtobufCFieldDescriptor *d =
        protobuf_c_message_descriptor_get_field(t->message, f->id);

    switch (f->kind) {
    case MAP_NUMBER:
        map_number_put(f, value, number_in(f->min, f->max, 8 * f->size, seed));
        break;
    case MAP_INDEX:
        map_number_put(f, value, number_in(0, f->max - 1, 8, seed));
        break;
    case MAP_ENUM:
        map_number_put(f, value, (uint64_t)some_value(d->descriptor, seed));
        break;
    case MAP_BOOL:
        *(bool *)to = true;
        break;
    case MAP_NAME:
        fill_name((char *)to, f->size, seed);
        break;
    case MAP_TEXT:
        fill_text((char *)to, f->size, seed);
        break;
    case MAP_LIFE:
    case MAP_BYTES:
        for (uint32_t i = 0; i < f->size; i++)
            to[i] = (uint8_t)(1 + sample_random(seed) % 255);
        break;
    case MAP_MESSAGE:
        sample_fill(f->type, to, seed);
        break;
    case MAP_MESSAGES:
        for (*count = 0; *count < f->max; (*count)++)
            sample_fill(f->type, to + (size_t)*count * f->size, seed);
        if (f->type == &map_also_port)
            put_in_order((struct also_port *)(void *)to, *count);
        break;
    case MAP_NAMES:
        for (*count = 0; *count < f->max; (*count)++)
            fill_name((char *)to + (size_t)*count * f->size, f->size, seed);
        break;
    }
}

/* Rows that format 1 does not have: filled beside all others, so that what was filled
 * before they came is what it was, and so are the golden files. */
static const struct {
    const struct map_type *type;
    uint32_t row;
} later[] = {
    {&map_policy, 22},
    {&map_group, 29},
    {&map_state, 10},
    {&map_state, 11},
};

static bool is_later(const struct map_type *t, const struct map_field *f)
{
    for (unsigned i = 0; i < ARRAY_LEN(later); i++)
        if (later[i].type == t && later[i].row == f->id)
            return true;
    return strcmp(protobuf_c_message_descriptor_get_field(t->message, f->id)->name,
                  "proposal") == 0;
}

static void fill_rows(const struct map_type *t, void *value, uint64_t *seed)
{
    for (uint32_t i = 0; i < t->field_count; i++) {
        uint64_t beside = *seed;

        fill_field(t, &t->fields[i], value, is_later(t, &t->fields[i]) ? &beside : seed);
    }
}

void sample_make_first(struct entry *e)
{
    if (e->kind == ENTRY_DECLARE) {
        e->declare.spec.policy.window_count = 0;
        memset(e->declare.spec.policy.windows, 0, sizeof e->declare.spec.policy.windows);
    }
    if (e->kind == ENTRY_FENCE_BEGIN)
        e->fence_begin.proposal = 0;
    if (e->kind == ENTRY_SWITCHOVER)
        e->switchover.proposal = 0;
}

void sample_add_key(struct entry *e, uint64_t seed)
{
    sample_fill(&map_request_key, &e->key, &seed);
}

void sample_fill(const struct map_type *t, void *value, uint64_t *seed)
{
    memset(value, 0, t->size);
    fill_rows(t, value, seed);
    if (t == &map_instance)
        part_ports(value);
}

void sample_state(struct state *s, uint64_t seed) { sample_fill(&map_state, s, &seed); }

void sample_entry(struct entry *e, enum entry_kind kind, uint64_t seed)
{
    const struct entry_body *body = entry_body_of(kind);

    ASSERT(body != NULL);
    memset(e, 0, sizeof *e);
    fill_rows(&map_entry_head, e, &seed);
    e->kind = kind;
    if (body->type != NULL)
        fill_rows(body->type, (uint8_t *)e + body->offset, &seed);
    if (body->group == ENTRY_GROUP_NONE)
        memset(e->group, 0, sizeof e->group);
    if (kind == ENTRY_DECLARE)
        memcpy(e->group, e->declare.spec.name, sizeof e->group);
    sample_fill(&map_actor, &e->actor, &seed); /* last: older golden files have none */
}

static char *some_string(uint64_t *seed)
{
    char text[40];

    fill_text(text, sizeof text, seed);
    return strdup(text);
}

static void set_value(const ProtobufCFieldDescriptor *f, void *to, uint64_t *seed)
{
    ProtobufCBinaryData *bytes = to;
    uint64_t number = sample_random(seed) | 1;
    uint32_t small = (uint32_t)number | 1;
    ProtobufCMessage *inner;
    char *text;

    switch (f->type) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        memcpy(to, &number, sizeof number);
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
        memcpy(to, &small, sizeof small);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)to = 1;
        return;
    case PROTOBUF_C_TYPE_ENUM:
        *(int *)to = some_value(f->descriptor, seed);
        return;
    case PROTOBUF_C_TYPE_STRING:
        text = some_string(seed);
        memcpy(to, &text, sizeof text);
        return;
    case PROTOBUF_C_TYPE_BYTES:
        bytes->len = 16;
        bytes->data = malloc(16);
        for (size_t i = 0; i < 16; i++)
            bytes->data[i] = (uint8_t)sample_random(seed);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        inner = sample_message(f->descriptor, 0, seed);
        memcpy(to, &inner, sizeof inner);
        return;
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        break;
    }
    ASSERT(!"a type that no format of ours has had");
}

static void set_list(const ProtobufCFieldDescriptor *f, ProtobufCMessage *m, uint64_t *seed)
{
    size_t *count = (size_t *)((char *)m + f->quantifier_offset);
    char **list = calloc(2, sizeof *list);

    /* Only strings and messages are repeated in our formats: pointers both. */
    ASSERT(f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE);
    for (*count = 0; *count < 2; (*count)++)
        set_value(f, &list[*count], seed);
    memcpy((char *)m + f->offset, &list, sizeof list);
}

ProtobufCMessage *sample_message(const ProtobufCMessageDescriptor *d, uint32_t member,
                                 uint64_t *seed)
{
    ProtobufCMessage *m = calloc(1, d->sizeof_message);

    ASSERT(m != NULL);
    d->message_init(m);
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        void *to = (char *)m + f->offset;

        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
            if (f->id != member)
                continue;
            memcpy((char *)m + f->quantifier_offset, &f->id, sizeof f->id);
        }
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            set_list(f, m, seed);
        else
            set_value(f, to, seed);
    }
    return m;
}

static void append(struct buf *to, const uint8_t *data, size_t len)
{
    int status = buf_append(to, data, len, NULL);

    ASSERT(status == 0);
}

void sample_mutate(const struct buf *from, struct buf *to, uint64_t *seed)
{
    size_t at = sample_random(seed) % (from->len + 1);
    size_t len = 1 + sample_random(seed) % 12;
    uint8_t junk[16];

    if (len > from->len - at)
        len = from->len - at;
    to->len = 0;
    switch (sample_random(seed) % 6) {
    case 0:
        append(to, from->data, at);
        return;
    case 1: /* drop a part */
        append(to, from->data, at);
        append(to, from->data + at + len, from->len - at - len);
        return;
    case 2: /* double a part */
        append(to, from->data, at + len);
        append(to, from->data + at, from->len - at);
        return;
    case 3: /* insert junk */
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (uint8_t)sample_random(seed);
        append(to, from->data, at);
        append(to, junk, 1 + sample_random(seed) % sizeof junk);
        append(to, from->data + at, from->len - at);
        return;
    default:
        break;
    }
    append(to, from->data, from->len);
    for (uint64_t n = 1 + sample_random(seed) % 3; n > 0 && to->len > 0; n--)
        to->data[sample_random(seed) % to->len] ^= (uint8_t)(1u << sample_random(seed) % 8);
}
