#include "proto/whole.h"

#include <stdbool.h>
#include <stdlib.h>

#include "controller/base/assert.h"

/* Parts are aligned as malloc() aligns, so is the place behind the head. */
enum { ALIGN = _Alignof(max_align_t), SPARE = 256, PER_BYTE = 3 };

struct piece {
    _Alignas(max_align_t) struct piece *older;
    size_t used, size; /* of what follows */
};

struct cutting {
    struct piece *newest;
    bool failed; /* no memory: protobuf-c says NULL for that and for bad bytes alike */
};

static struct piece *piece_new(struct piece *older, size_t size)
{
    struct piece *p = malloc(sizeof *p + size);

    if (p != NULL)
        *p = (struct piece){.older = older, .size = size};
    return p;
}

static void *cut(void *data, size_t size)
{
    struct cutting *c = data;
    struct piece *p = c->newest;
    size_t need = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    uint8_t *at;

    if (need < size || need > SIZE_MAX / 4) {
        c->failed = true;
        return NULL;
    }
    if (p->size - p->used < need) {
        p = piece_new(p, need > p->size ? need : 2 * p->size);
        if (p == NULL) {
            c->failed = true;
            return NULL;
        }
        c->newest = p;
    }
    at = (uint8_t *)(p + 1) + p->used;
    p->used += need;
    return at;
}

static void keep(void *data, void *part)
{
    (void)data;
    (void)part;
}

static void pieces_free(struct piece *p)
{
    while (p != NULL) {
        struct piece *older = p->older;

        free(p);
        p = older;
    }
}

/* The message itself is cut first, so its piece is found again: it stands right behind the
 * head. That is the oldest one, which a newer one points to; so the chain is turned round
 * at the end. */
int whole_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
                 ProtobufCMessage **ret_message, struct err *err)
{
    size_t guess = type->sizeof_message + PER_BYTE * len + SPARE;
    struct piece *first = piece_new(NULL, guess);
    struct cutting c = {first, first == NULL};
    ProtobufCAllocator allocator = {cut, keep, &c};
    ProtobufCMessage *m =
        c.failed ? NULL : protobuf_c_message_unpack(type, &allocator, len, data);

    if (m == NULL) {
        pieces_free(c.newest);
        return c.failed ? err_set(err, ERR_NOMEM, "unpack %s of %zu bytes", type->name, len)
                        : err_set(err, ERR_BADMSG,
                                  "%s: not readable, or without a field that "
                                  "it needs",
                                  type->name);
    }
    ASSERT((void *)m == (void *)(first + 1));
    if (c.newest != first) {
        /* newest -> ... -> first becomes first -> newest -> ... */
        struct piece *p = c.newest;

        while (p->older != first)
            p = p->older;
        p->older = NULL;
        first->older = c.newest;
    }
    *ret_message = m;
    return 0;
}

void whole_free(ProtobufCMessage *message)
{
    if (message != NULL)
        pieces_free((struct piece *)(void *)message - 1);
}
