/* tests/unit/history/all_orders.c */
#include "tests/unit/history/all_orders.h"

#include <string.h>

struct world {
    uint64_t held;                 /* register */
    uint64_t list[ALL_ORDERS_MAX]; /* list */
    uint32_t length;
};

static bool is_certain(const struct operation *op) { return op->outcome == OPERATION_OK; }

/* Does it, if what it was answered is what it would be answered now. */
static bool happens(const struct operations *o, const struct operation *op, struct world *w)
{
    switch ((enum operation_kind)op->kind) {
    case OPERATION_READ:
        return w->held == op->value;
    case OPERATION_WRITE:
        w->held = op->value;
        return true;
    case OPERATION_SWAP:
        if (is_certain(op) && w->held != op->seen)
            return false;
        w->held = op->value;
        return true;
    case OPERATION_APPEND:
        w->list[w->length++] = op->value;
        return true;
    case OPERATION_LIST:
        return w->length == op->list_count &&
               (w->length == 0 ||
                memcmp(w->list, o->values + op->list_at, w->length * sizeof *w->list) == 0);
    case OPERATION_KINDS:
        break;
    }
    return false;
}

/* Something that is yet to happen had ended before it began. */
static bool is_too_early(const struct operations *o, unsigned done, size_t which)
{
    for (size_t i = 0; i < o->count; i++)
        if ((done & 1U << i) == 0 && is_certain(&o->of[i]) &&
            o->of[i].completed_ns < o->of[which].invoked_ns)
            return true;
    return false;
}

static bool is_complete(const struct operations *o, unsigned done)
{
    for (size_t i = 0; i < o->count; i++)
        if ((done & 1U << i) == 0 && is_certain(&o->of[i]))
            return false;
    return true;
}

static bool go_on(const struct operations *o, unsigned done, const struct world *w)
{
    if (is_complete(o, done))
        return true;
    for (size_t i = 0; i < o->count; i++) {
        const struct operation *op = &o->of[i];
        struct world next = *w;

        if ((done & 1U << i) != 0 || op->outcome == OPERATION_FAILED ||
            (!is_certain(op) && operation_reads(op)) || is_too_early(o, done, i))
            continue;
        if (happens(o, op, &next) && go_on(o, done | 1U << i, &next))
            return true;
    }
    return false;
}

bool all_orders_find(const struct operations *o)
{
    struct world w = {0};

    return o->count <= ALL_ORDERS_MAX && go_on(o, 0, &w);
}
