/* chaos/stale.c */
#include "chaos/stale.h"

#include <inttypes.h>
#include <stdlib.h>

#include "chaos/base.h"

/* A value that was written to a key. */
struct written {
    uint64_t value;
    int64_t invoked_ns;
    int64_t acked_ns; /* INT64_MAX: never */
    int64_t there_ns; /* by then it certainly was there; INT64_MAX: not known */
};

/* What was written to one key: by value for registers, by acknowledgement for lists. */
struct writes {
    struct written *of;
    size_t count, cap;
    int64_t
        *least_acked; /* registers, by invocation: the first of these and all after it */
    struct written *by_invocation;
};

static int by_value(const void *a, const void *b)
{
    const struct written *x = a, *y = b;

    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return 0;
}

static int by_invocation(const void *a, const void *b)
{
    const struct written *x = a, *y = b;

    return x->invoked_ns < y->invoked_ns ? -1 : x->invoked_ns > y->invoked_ns;
}

static int by_ack(const void *a, const void *b)
{
    const struct written *x = a, *y = b;

    return x->acked_ns < y->acked_ns ? -1 : x->acked_ns > y->acked_ns;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static struct written *find(const struct writes *w, uint64_t value)
{
    struct written key = {.value = value};

    return w->count == 0 ? NULL : bsearch(&key, w->of, w->count, sizeof key, by_value);
}

static void collect(const struct operations *o, const uint32_t *ops, size_t count,
                    struct writes *w)
{
    for (size_t i = 0; i < count; i++) {
        const struct operation *op = &o->of[ops[i]];
        bool ok = op->outcome == OPERATION_OK;

        if (operation_reads(op) || op->outcome == OPERATION_FAILED)
            continue;
        w->of = must_grow(w->of, &w->cap, w->count + 1, sizeof *w->of);
        w->of[w->count++] = (struct written){.value = op->value,
                                             .invoked_ns = op->invoked_ns,
                                             .acked_ns = ok ? op->completed_ns : INT64_MAX,
                                             .there_ns = ok ? op->completed_ns : INT64_MAX};
    }
}

/* What was read was there. One value that was written twice tells nothing about either. */
static void note_reads(const struct operations *o, const uint32_t *ops, size_t count,
                       struct writes *w)
{
    for (size_t i = 0; i < count; i++) {
        const struct operation *op = &o->of[ops[i]];
        struct written *x = op->kind == OPERATION_READ && op->outcome == OPERATION_OK
                                ? find(w, op->value)
                                : NULL;

        if (x != NULL && op->completed_ns < x->there_ns)
            x->there_ns = op->completed_ns;
    }
    for (size_t i = 1; i < w->count; i++)
        if (w->of[i].value == w->of[i - 1].value)
            w->of[i].there_ns = w->of[i - 1].there_ns = INT64_MAX;
}

static void order_writes(struct writes *w)
{
    int64_t least = INT64_MAX;

    w->by_invocation = must_alloc(w->count + 1, sizeof *w->by_invocation);
    w->least_acked = must_alloc(w->count + 1, sizeof *w->least_acked);
    for (size_t i = 0; i < w->count; i++)
        w->by_invocation[i] = w->of[i];
    if (w->count > 0)
        qsort(w->by_invocation, w->count, sizeof *w->of, by_invocation);
    for (size_t i = w->count; i-- > 0;) {
        if (w->by_invocation[i].acked_ns < least)
            least = w->by_invocation[i].acked_ns;
        w->least_acked[i] = least;
    }
}

/* When a write that certainly came after this value was acknowledged; INT64_MAX: none. */
static int64_t superseded_ns(const struct writes *w, uint64_t value)
{
    const struct written *x = value != 0 ? find(w, value) : NULL;
    int64_t there = value == 0 ? INT64_MIN : x != NULL ? x->there_ns : INT64_MAX;
    size_t low = 0, high = w->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (w->by_invocation[middle].invoked_ns > there)
            high = middle;
        else
            low = middle + 1;
    }
    return low < w->count ? w->least_acked[low] : INT64_MAX;
}

/* When the first append was acknowledged that is not in the list; `w` is sorted so. */
static int64_t lacking_ns(const struct operations *o, const struct operation *op,
                          const struct writes *w)
{
    AUTO(auto_free)
    uint64_t *list = must_alloc((size_t)op->list_count + 1, sizeof *list);

    for (uint32_t k = 0; k < op->list_count; k++)
        list[k] = o->values[op->list_at + k];
    qsort(list, op->list_count, sizeof *list, by_number);
    for (size_t i = 0; i < w->count && w->of[i].acked_ns < op->invoked_ns; i++)
        if (bsearch(&w->of[i].value, list, op->list_count, sizeof *list, by_number) == NULL)
            return w->of[i].acked_ns;
    return INT64_MAX;
}

static void blame(struct stale_report *ret, size_t bad, const char *what)
{
    if (!ret->ok)
        return;
    ret->ok = false;
    ret->bad = bad;
    snprintf(ret->reason, sizeof ret->reason, "%s", what);
}

static void judge(const struct operation *op, uint32_t place, int64_t stale_ns,
                  const struct stale_policy *policy, struct stale_report *ret)
{
    int64_t behind = stale_ns < op->invoked_ns ? op->invoked_ns - stale_ns : 0;
    int64_t allowed = op->standby ? policy->standby_ns : policy->primary_ns;
    int64_t *worst = op->standby ? &ret->worst_standby_ns : &ret->worst_primary_ns;
    char what[STALE_REASON_SIZE];

    ret->reads++;
    ret->standby_reads += op->standby;
    if (behind > *worst)
        *worst = behind;
    if (op->standby && !policy->standby_reads) {
        snprintf(what, sizeof what,
                 "key %" PRIu32 ": a standby answered a reader, without standby_reads",
                 op->key);
        blame(ret, place, what);
    } else if (behind > allowed) {
        snprintf(what, sizeof what,
                 "key %" PRIu32 ": %s answered %.1f ms behind what had been acknowledged, "
                 "%.1f are allowed",
                 op->key, op->standby ? "a standby" : "a primary", ms_between(0, behind),
                 ms_between(0, allowed));
        blame(ret, place, what);
    }
}

static void check_key(const struct operations *o, const uint32_t *ops, size_t count,
                      const struct stale_policy *policy, struct stale_report *ret)
{
    struct writes w = {0};
    bool list = false;

    collect(o, ops, count, &w);
    for (size_t i = 0; i < count; i++)
        list |= o->of[ops[i]].kind == OPERATION_LIST;
    if (w.count > 0)
        qsort(w.of, w.count, sizeof *w.of, list ? by_ack : by_value);
    if (!list)
        note_reads(o, ops, count, &w);
    order_writes(&w);
    for (size_t i = 0; i < count; i++) {
        const struct operation *op = &o->of[ops[i]];

        if (operation_reads(op) && op->outcome == OPERATION_OK)
            judge(op, ops[i],
                  op->kind == OPERATION_LIST ? lacking_ns(o, op, &w)
                                             : superseded_ns(&w, op->value),
                  policy, ret);
    }
    free(w.of);
    free(w.by_invocation);
    free(w.least_acked);
}

void stale_check(const struct operations *o, const struct stale_policy *policy,
                 struct stale_report *ret)
{
    AUTO(auto_free) struct operation_key *keyed = must_alloc(o->count + 1, sizeof *keyed);
    AUTO(auto_free) uint32_t *ops = must_alloc(o->count + 1, sizeof *ops);

    *ret = (struct stale_report){.ok = true};
    for (size_t i = 0; i < o->count; i++)
        keyed[i] = (struct operation_key){.key = o->of[i].key, .op = (uint32_t)i};
    if (o->count > 0)
        qsort(keyed, o->count, sizeof *keyed, operation_by_key);
    for (size_t i = 0; i < o->count; i++)
        ops[i] = keyed[i].op;
    for (size_t i = 0, next; i < o->count; i = next) {
        for (next = i; next < o->count && keyed[next].key == keyed[i].key;)
            next++;
        check_key(o, ops + i, next - i, policy, ret);
    }
}
