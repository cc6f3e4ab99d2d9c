#include "proto/check.h"

#include <stdbool.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/mutant.h"
#include "proto/whole.h"

/* No message of ours has more fields; a static table per level keeps the walk off the heap.
 */
enum { FIELD_MAX = 64, NEAR = 8 };

/* I10: what we do not know stops us, and the reader of the log line can end that. */
#define OF_A_NEWER_VERSION " (of a newer version? then upgrade the one that cannot read it)"

struct reader {
    const uint8_t *at, *end;
};

struct walk {
    struct check_limits limits;
    struct err *err;
    int depth;
    bool clean; /* repair strings in place (our own, before sending) */
};

static int walk_message(struct walk *w, const ProtobufCMessageDescriptor *type,
                        const uint8_t *data, size_t len);

static bool read_long_varint(struct reader *r, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;

        if (r->at == r->end)
            return false;
        byte = *r->at++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return byte != 0 || shift == 0; /* the shortest form, as packing gives it */
        }
    }
    return false;
}

static inline bool read_varint(struct reader *r, uint64_t *ret_value)
{
    if (r->at == r->end || *r->at >= 0x80)
        return read_long_varint(r, ret_value);
    *ret_value = *r->at++; /* most of them */
    return true;
}

static int refuse(struct walk *w, const ProtobufCMessageDescriptor *type,
                  const ProtobufCFieldDescriptor *f, const char *why)
{
    return err_set(w->err, ERR_BADMSG, "%s.%s (field %u): %s", type->name, f->name,
                   (unsigned)f->id, why);
}

static unsigned wire_type_of(const ProtobufCFieldDescriptor *f)
{
    static const uint8_t of_type[] = {
        [PROTOBUF_C_TYPE_INT32] = PROTOBUF_C_WIRE_TYPE_VARINT,
        [PROTOBUF_C_TYPE_SINT32] = PROTOBUF_C_WIRE_TYPE_VARINT,
        [PROTOBUF_C_TYPE_INT64] = PROTOBUF_C_WIRE_TYPE_VARINT,
        [PROTOBUF_C_TYPE_SINT64] = PROTOBUF_C_WIRE_TYPE_VARINT,
        [PROTOBUF_C_TYPE_UINT32] = PROTOBUF_C_WIRE_TYPE_VARINT,
        [PROTOBUF_C_TYPE_UINT64] = PROTOBUF_C_WIRE_TYPE_VARINT,
        [PROTOBUF_C_TYPE_BOOL] = PROTOBUF_C_WIRE_TYPE_VARINT,
        [PROTOBUF_C_TYPE_ENUM] = PROTOBUF_C_WIRE_TYPE_VARINT,
        [PROTOBUF_C_TYPE_SFIXED32] = PROTOBUF_C_WIRE_TYPE_32BIT,
        [PROTOBUF_C_TYPE_FIXED32] = PROTOBUF_C_WIRE_TYPE_32BIT,
        [PROTOBUF_C_TYPE_FLOAT] = PROTOBUF_C_WIRE_TYPE_32BIT,
        [PROTOBUF_C_TYPE_SFIXED64] = PROTOBUF_C_WIRE_TYPE_64BIT,
        [PROTOBUF_C_TYPE_FIXED64] = PROTOBUF_C_WIRE_TYPE_64BIT,
        [PROTOBUF_C_TYPE_DOUBLE] = PROTOBUF_C_WIRE_TYPE_64BIT,
        [PROTOBUF_C_TYPE_STRING] = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
        [PROTOBUF_C_TYPE_BYTES] = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
        [PROTOBUF_C_TYPE_MESSAGE] = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
    };

    ASSERT(f->type < ARRAY_LEN(of_type));
    return of_type[f->type];
}

/* protobuf-c keeps the low bits of a number that is too large for its type. */
static const char *varint_problem(const ProtobufCFieldDescriptor *f, uint64_t value)
{
    int64_t as_signed = (int64_t)value;

    if (f->type == PROTOBUF_C_TYPE_BOOL)
        return value > 1 ? "neither true nor false" : NULL;
    if (f->type == PROTOBUF_C_TYPE_UINT32 || f->type == PROTOBUF_C_TYPE_SINT32)
        return value > UINT32_MAX ? "number out of range" : NULL;
    if (f->type == PROTOBUF_C_TYPE_INT32)
        return as_signed < INT32_MIN || as_signed > INT32_MAX ? "number out of range"
                                                              : NULL;
    if (f->type == PROTOBUF_C_TYPE_ENUM) {
        if (as_signed < INT32_MIN || as_signed > INT32_MAX ||
            protobuf_c_enum_descriptor_get_value(f->descriptor, (int)as_signed) == NULL)
            return "unknown enum value" OF_A_NEWER_VERSION;
    }
    return NULL;
}

/* Length of the UTF-8 sequence at `s` (no overlong form, no surrogate), 0 if it is none. */
static size_t utf8_len(const uint8_t *s, size_t len)
{
    static const uint8_t least[] = {0, 0, 0x80, 0, 0};
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;

    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if (n == 2)
        return s[1] >= least[2] ? n : 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static bool is_control(const uint8_t *s, size_t n)
{
    return (n == 1 && (s[0] < 0x20 || s[0] == 0x7f)) ||
           (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

size_t check_text_span(const uint8_t *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        size_t n;

        if (text[at] >= 0x20 && text[at] < 0x7f) {
            at++;
            continue;
        }
        n = utf8_len(text + at, len - at);
        if (n == 0 || is_control(text + at, n))
            break;
        at += n;
    }
    return at;
}

void check_text_clean(uint8_t *text, size_t len)
{
    size_t at = check_text_span(text, len);

    while (at < len) {
        size_t n = utf8_len(text + at, len - at);

        if (n == 0)
            text[at] = '?';
        else
            memset(text + at, ' ', n);
        at += check_text_span(text + at, len - at);
    }
}

static int walk_string(struct walk *w, const ProtobufCMessageDescriptor *type,
                       const ProtobufCFieldDescriptor *f, struct reader value)
{
    size_t len = (size_t)(value.end - value.at);

    if (len > w->limits.string_max)
        return err_set(w->err, ERR_BADMSG, "%s.%s (field %u): %zu bytes of at most %zu",
                       type->name, f->name, (unsigned)f->id, len, w->limits.string_max);
    /* Only check_pack() asks for it, and these bytes are its own buffer. */
    if (w->clean)
        check_text_clean((uint8_t *)value.at, len);
    if (check_text_span(value.at, len) != len)
        return refuse(w, type, f, "not UTF-8, or with control characters");
    return 0;
}

/* A message, a string or bytes; no format of ours has packed numbers. */
static int walk_prefixed(struct walk *w, const ProtobufCMessageDescriptor *type,
                         const ProtobufCFieldDescriptor *f, struct reader value)
{
    size_t len = (size_t)(value.end - value.at);
    int status;

    if (f->type == PROTOBUF_C_TYPE_STRING)
        return walk_string(w, type, f, value);
    if (f->type == PROTOBUF_C_TYPE_BYTES)
        return len > w->limits.bytes_max ? refuse(w, type, f, "too many bytes") : 0;
    status = walk_message(w, f->descriptor, value.at, len);
    if (status != 0)
        err_wrap(w->err, "%s.%s", type->name, f->name);
    return status;
}

static int walk_value(struct walk *w, const ProtobufCMessageDescriptor *type,
                      const ProtobufCFieldDescriptor *f, struct reader *r)
{
    unsigned wire = wire_type_of(f);
    size_t left = (size_t)(r->end - r->at);
    struct reader value = {r->at, r->at};
    const char *problem;
    uint64_t number;

    if (wire == PROTOBUF_C_WIRE_TYPE_32BIT || wire == PROTOBUF_C_WIRE_TYPE_64BIT) {
        size_t size = wire == PROTOBUF_C_WIRE_TYPE_32BIT ? 4 : 8;

        if (left < size)
            return refuse(w, type, f, "cut off");
        r->at += size;
        return 0;
    }
    if (!read_varint(r, &number))
        return refuse(w, type, f, "cut off");
    if (wire == PROTOBUF_C_WIRE_TYPE_VARINT) {
        problem = varint_problem(f, number);
        return problem != NULL ? refuse(w, type, f, problem) : 0;
    }
    if (number > (size_t)(r->end - r->at))
        return refuse(w, type, f, "cut off");
    value.at = r->at;
    value.end = r->at + number;
    r->at = value.end;
    return walk_prefixed(w, type, f, value);
}

/* What was there of one message's fields, by position. A count is set when its field is
 * first seen. Members of one oneof share the first one's place. */
struct fields_seen {
    uint64_t bits;
    uint32_t counts[FIELD_MAX];
};

static int note_field(struct walk *w, const ProtobufCMessageDescriptor *type,
                      const ProtobufCFieldDescriptor *f, struct fields_seen *seen)
{
    size_t slot = (size_t)(f - type->fields);
    uint64_t bit;

    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        while (slot > 0 &&
               type->fields[slot - 1].quantifier_offset == f->quantifier_offset &&
               (type->fields[slot - 1].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
            slot--;
    bit = (uint64_t)1 << slot;
    if ((seen->bits & bit) == 0) {
        seen->bits |= bit;
        seen->counts[slot] = 1;
        return 0;
    }
    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return refuse(w, type, f, "given twice");
    return ++seen->counts[slot] > w->limits.repeated_max
               ? refuse(w, type, f, "too many of them")
               : 0;
}

/* NULL: no such field. They mostly come as they are packed: in order, `*next` being where
 * the last one was, or behind it. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  uint64_t number, unsigned *next)
{
    const ProtobufCFieldDescriptor *f;

    for (unsigned i = *next; i < type->n_fields && i < *next + NEAR; i++)
        if (type->fields[i].id == number) {
            *next = i;
            return &type->fields[i];
        }
    f = protobuf_c_message_descriptor_get_field(type, (unsigned)number);
    if (f != NULL)
        *next = (unsigned)(f - type->fields);
    return f;
}

static int walk_field(struct walk *w, const ProtobufCMessageDescriptor *type,
                      struct reader *r, struct fields_seen *seen, unsigned *next)
{
    const ProtobufCFieldDescriptor *f;
    uint64_t tag;
    int status;

    if (!read_varint(r, &tag) || tag > UINT32_MAX)
        return err_set(w->err, ERR_BADMSG, "%s: cut off, or not a field", type->name);
    f = find_field(type, tag >> 3, next);
    if (f == NULL)
        return MUTANT(unknown_field_passed_over,
                      err_set(w->err, ERR_BADMSG, "%s: unknown field %u" OF_A_NEWER_VERSION,
                              type->name, (unsigned)(tag >> 3)),
                      (r->at = r->end, 0));
    if ((tag & 7) != wire_type_of(f))
        return refuse(w, type, f, "of another type");
    status = note_field(w, type, f, seen);
    return status != 0 ? status : walk_value(w, type, f, r);
}

static int walk_message(struct walk *w, const ProtobufCMessageDescriptor *type,
                        const uint8_t *data, size_t len)
{
    /* An empty message may come without an address, and NULL + 0 is undefined in C17. */
    struct reader r = {data, len > 0 ? data + len : data};
    struct fields_seen seen;
    unsigned next = 0;
    int status = 0;

    ASSERT(type->n_fields <= FIELD_MAX);
    seen.bits = 0;
    if (w->depth == CHECK_DEPTH_MAX)
        return err_set(w->err, ERR_BADMSG, "%s: nested too deeply", type->name);
    w->depth++;
    while (status == 0 && r.at < r.end)
        status = walk_field(w, type, &r, &seen, &next);
    w->depth--;
    return status;
}

static struct walk walk_new(const struct check_limits *limits, bool clean, struct err *err)
{
    struct walk w = {.err = err, .clean = clean};

    if (limits != NULL)
        w.limits = *limits;
    if (w.limits.bytes_max == 0)
        w.limits.bytes_max = CHECK_BYTES_MAX;
    if (w.limits.string_max == 0)
        w.limits.string_max = CHECK_STRING_MAX;
    if (w.limits.repeated_max == 0)
        w.limits.repeated_max = CHECK_REPEATED_MAX;
    return w;
}

static int walk_start(struct walk *w, const ProtobufCMessageDescriptor *type,
                      const uint8_t *data, size_t len)
{
    if (w->limits.message_max != 0 && len > w->limits.message_max)
        return err_set(w->err, ERR_BADMSG, "%s of %zu bytes, at most %zu", type->name, len,
                       w->limits.message_max);
    return walk_message(w, type, data, len);
}

int check_bytes(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                const struct check_limits *limits, struct err *err)
{
    struct walk w = walk_new(limits, false, err);

    return walk_start(&w, type, data, len);
}

int check_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                 const struct check_limits *limits, ProtobufCMessage **ret_message,
                 struct err *err)
{
    int status = check_bytes(type, data, len, limits, err);

    return status != 0 ? status : whole_unpack(type, data, len, ret_message, err);
}

int check_pack(const ProtobufCMessage *message, const struct check_limits *limits,
               struct buf *out, struct err *err)
{
    struct walk w = walk_new(limits, true, err);
    size_t len = protobuf_c_message_get_packed_size(message);
    int status = buf_reserve(out, len, err);

    if (status != 0)
        return err_wrap(err, "pack %s", message->descriptor->name);
    if (len == 0)
        return 0;
    protobuf_c_message_pack(message, out->data + out->len);
    status = walk_start(&w, message->descriptor, out->data + out->len, len);
    if (status != 0) {
        if (err != NULL)
            err->code = ERR_INVAL;
        return ERR_INVAL;
    }
    out->len += len;
    return 0;
}
