/* chaos/linear_model.c */
#include "chaos/linear_model.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* A sorted set of values. */
struct values {
    uint64_t *of;
    size_t count, cap;
};

static void values_add(struct values *v, uint64_t value)
{
    v->of = must_grow(v->of, &v->cap, v->count + 1, sizeof *v->of);
    v->of[v->count++] = value;
}

static void values_sort(struct values *v)
{
    size_t kept = 0;

    if (v->count == 0)
        return;
    qsort(v->of, v->count, sizeof *v->of, by_number);
    for (size_t i = 0; i < v->count; i++)
        if (kept == 0 || v->of[i] != v->of[kept - 1])
            v->of[kept++] = v->of[i];
    v->count = kept;
}

static const uint64_t *values_find(const struct values *v, uint64_t value)
{
    return v->count == 0 ? NULL
                         : bsearch(&value, v->of, v->count, sizeof *v->of, by_number);
}

static bool is_without(const struct part *p, uint64_t value)
{
    return p->without_count > 0 && bsearch(&value, p->without, p->without_count,
                                           sizeof *p->without, by_number) != NULL;
}

static const struct operation *op_of(const struct part *p, uint32_t i)
{
    return &p->all->of[p->pieces[i].op];
}

static bool is_certain(const struct part *p, uint32_t i)
{
    return op_of(p, i)->outcome == OPERATION_OK && !p->pieces[i].pending;
}

/* A swap whose answer is known and still stands: what it found is in the part. */
static bool is_swap(const struct part *p, uint32_t i)
{
    const struct operation *op = op_of(p, i);

    return op->kind == OPERATION_SWAP && is_certain(p, i) && !is_without(p, op->seen);
}

/* ---- lists -----------------------------------------------------------------------------
 */

static uint32_t find_child(const struct model *m, uint32_t node, uint64_t value)
{
    uint32_t child = m->nodes[node].first;

    while (child != 0 && m->nodes[child].value != value)
        child = m->nodes[child].next;
    return child;
}

static uint32_t make_child(struct model *m, uint32_t node, uint64_t value)
{
    uint32_t child = find_child(m, node, value);

    if (child != 0)
        return child;
    m->nodes = must_grow(m->nodes, &m->node_cap, m->node_count + 1, sizeof *m->nodes);
    child = (uint32_t)m->node_count++;
    m->nodes[child] = (struct model_node){.value = value, .next = m->nodes[node].first};
    m->nodes[node].first = child;
    return child;
}

static uint32_t list_state(struct model *m, const struct part *p,
                           const struct operation *op)
{
    uint32_t node = MODEL_EMPTY;

    for (uint32_t k = 0; k < op->list_count; k++) {
        uint64_t value = p->all->values[op->list_at + k];

        if (!is_without(p, value))
            node = make_child(m, node, value);
    }
    return node;
}

/* ---- what was seen ---------------------------------------------------------------------
 */

/* Makes the nodes of all lists on the way: each value stands there once for each place in
 * which it was seen, however often that was. */
static void collect_seen(struct model *m, const struct part *p, struct values *seen)
{
    for (uint32_t i = 0; i < p->count; i++) {
        const struct operation *op = op_of(p, i);

        if (!is_certain(p, i))
            continue;
        if (op->kind == OPERATION_READ)
            values_add(seen, op->value);
        else if (is_swap(p, i))
            values_add(seen, op->seen);
        else if (op->kind == OPERATION_LIST)
            (void)list_state(m, p, op);
    }
    for (size_t n = 1; n < m->node_count; n++)
        values_add(seen, m->nodes[n].value);
    values_sort(seen);
}

static uint32_t register_state(const struct values *seen, uint64_t value)
{
    const uint64_t *at = values_find(seen, value);

    if (value == 0)
        return MODEL_EMPTY;
    return at == NULL ? MODEL_UNSEEN : (uint32_t)(at - seen->of) + 1;
}

/* ---- items -----------------------------------------------------------------------------
 */

/* INT64_MAX is for those that have no end. */
static int64_t completed_ns(const struct operation *op)
{
    return op->completed_ns < INT64_MAX ? op->completed_ns : INT64_MAX - 1;
}

static void add_item(struct model *m, const struct part *p, uint32_t i,
                     const struct values *seen)
{
    const struct operation *op = op_of(p, i);
    bool certain = is_certain(p, i);
    struct item item = {.call = op->invoked_ns,
                        .ret = certain ? completed_ns(op) : INT64_MAX,
                        .value = op->value,
                        .op = p->pieces[i].op};

    if (op->kind != OPERATION_LIST && is_without(p, op->value))
        return;
    if (!certain && (operation_reads(op) || values_find(seen, op->value) == NULL))
        return;
    if (op->kind == OPERATION_READ) {
        item.kind = ITEM_READ;
        item.need = register_state(seen, op->value);
    } else if (op->kind == OPERATION_LIST) {
        item.kind = ITEM_READ;
        item.need = list_state(m, p, op);
    } else if (op->kind == OPERATION_APPEND) {
        item.kind = ITEM_APPEND;
    } else {
        item.kind = is_swap(p, i) ? ITEM_SWAP : ITEM_WRITE;
        item.need = is_swap(p, i) ? register_state(seen, op->seen) : 0;
        item.make = register_state(seen, op->value);
    }
    m->certain += certain;
    m->items[m->count++] = item;
}

static int by_call(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    bool x_ends = x->ret != INT64_MAX, y_ends = y->ret != INT64_MAX;

    if (x_ends != y_ends)
        return x_ends ? -1 : 1;
    if (x->call != y->call)
        return x->call < y->call ? -1 : 1;
    return x->op < y->op ? -1 : x->op > y->op;
}

void model_make(struct model *m, const struct part *p)
{
    struct values seen = {0};

    *m = (struct model){.items = must_alloc(p->count + 1, sizeof *m->items)};
    m->nodes = must_grow(NULL, &m->node_cap, 1, sizeof *m->nodes);
    m->nodes[m->node_count++] = (struct model_node){0};
    collect_seen(m, p, &seen);
    for (uint32_t i = 0; i < p->count; i++)
        if (op_of(p, i)->outcome != OPERATION_FAILED)
            add_item(m, p, i, &seen);
    if (m->count > 0)
        qsort(m->items, m->count, sizeof *m->items, by_call);
    free(seen.of);
}

void model_free(struct model *m)
{
    free(m->items);
    free(m->nodes);
    *m = (struct model){0};
}

bool model_step(const struct model *m, uint32_t state, const struct item *i,
                uint32_t *ret_state)
{
    uint32_t child;

    switch ((enum item_kind)i->kind) {
    case ITEM_READ:
        *ret_state = state;
        return state == i->need;
    case ITEM_WRITE:
        *ret_state = i->make;
        return true;
    case ITEM_SWAP:
        *ret_state = i->make;
        return state == i->need;
    case ITEM_APPEND:
        child = state == MODEL_UNSEEN ? 0 : find_child(m, state, i->value);
        *ret_state = child != 0 ? child : MODEL_UNSEEN;
        return true;
    }
    return false;
}
