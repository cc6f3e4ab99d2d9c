/* tests/unit/history/play_pretend.c */
#include "tests/unit/history/play_pretend.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"

enum { NS_PER_US = 1000, LISTS_OF = 3 };

struct planned {
    struct operation op;
    int64_t instant; /* INT64_MAX: never */
};

/* What a key holds. */
struct holding {
    uint64_t value;
    uint64_t *list;
    size_t length, cap;
};

static unsigned below(unsigned *random, unsigned most)
{
    return (unsigned)rand_r(random) % (most + 1);
}

static void choose_kind(struct operation *op, unsigned *random)
{
    static const uint8_t of_register[] = {OPERATION_READ, OPERATION_WRITE, OPERATION_SWAP};
    static const uint8_t of_list[LISTS_OF] = {OPERATION_APPEND, OPERATION_APPEND,
                                              OPERATION_LIST};

    op->kind = op->key % 2 != 0 ? of_list[below(random, LISTS_OF - 1)]
                                : of_register[below(random, ARRAY_LEN(of_register) - 1)];
}

static void choose_outcome(struct planned *p, const struct pretend *plan, unsigned *random)
{
    int64_t length = p->op.completed_ns - p->op.invoked_ns;

    p->instant = p->op.invoked_ns + (int64_t)below(random, (unsigned)length);
    if (below(random, 99) >= plan->unknown_percent)
        return;
    p->op.outcome = OPERATION_UNKNOWN;
    switch (below(random, 3)) {
    case 0:
        p->instant = INT64_MAX;
        break;
    case 1:
        p->instant += (int64_t)below(random, 20) * length;
        break;
    case 2:
        p->op.outcome = OPERATION_FAILED;
        p->instant = INT64_MAX;
        break;
    default:
        break;
    }
}

static void plan_client(const struct pretend *plan, unsigned client, unsigned *random,
                        struct planned *out)
{
    int64_t at = 1;

    for (unsigned i = 0; i < plan->each; i++) {
        struct planned *p = &out[i];

        *p = (struct planned){.op = {.client = (uint16_t)client}};
        at += (int64_t)below(random, plan->pause_us) * NS_PER_US;
        p->op.invoked_ns = at;
        at += (int64_t)below(random, plan->length_us) * NS_PER_US + 1;
        p->op.completed_ns = at++;
        p->op.key = below(random, plan->keys - 1);
        choose_kind(&p->op, random);
        p->op.value = operation_reads(&p->op) ? 0 : client * plan->each + i + 1;
        choose_outcome(p, plan, random);
    }
}

static int by_instant(const void *a, const void *b)
{
    const struct planned *x = a, *y = b;

    if (x->instant != y->instant)
        return x->instant < y->instant ? -1 : 1;
    return x->op.client < y->op.client ? -1 : x->op.client > y->op.client;
}

static void happen(struct planned *p, struct holding *h, struct operations *into)
{
    struct operation *op = &p->op;

    if (op->kind == OPERATION_LIST) {
        if (op->outcome == OPERATION_OK)
            operations_add_list(into, *op, h->list, h->length);
        return;
    }
    if (operation_reads(op)) {
        op->value = h->value;
        if (op->outcome == OPERATION_OK)
            operations_add(into, *op);
        return;
    }
    op->seen = op->kind == OPERATION_SWAP && op->outcome == OPERATION_OK ? h->value : 0;
    operations_add(into, *op);
    if (p->instant == INT64_MAX)
        return;
    h->value = op->value;
    if (op->kind != OPERATION_APPEND)
        return;
    h->list = must_grow(h->list, &h->cap, h->length + 1, sizeof *h->list);
    h->list[h->length++] = op->value;
}

void play_pretend(const struct pretend *plan, struct operations *into)
{
    size_t count = (size_t)plan->clients * plan->each;
    AUTO(auto_free) struct planned *all = must_alloc(count, sizeof *all);
    AUTO(auto_free) struct holding *held = must_alloc(plan->keys, sizeof *held);
    unsigned random = plan->seed;

    *into = (struct operations){0};
    for (unsigned c = 0; c < plan->clients; c++)
        plan_client(plan, c, &random, all + (size_t)c * plan->each);
    qsort(all, count, sizeof *all, by_instant);
    for (size_t i = 0; i < count; i++)
        happen(&all[i], &held[all[i].op.key], into);
    for (unsigned k = 0; k < plan->keys; k++)
        free(held[k].list);
}
