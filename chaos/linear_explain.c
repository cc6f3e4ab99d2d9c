/* chaos/linear_explain.c */
#include "chaos/linear_explain.h"

#include <inttypes.h>
#include <stdlib.h>

#include "chaos/base.h"
#include "chaos/linear_search.h"

enum { TRIES_MAX = 1500, TRY_STEPS = 200000, STEPS_MAX = 5000000 };

struct shrink {
    const struct operations *all;
    struct piece *pieces, *fewer; /* fewer: those of a try */
    uint32_t count;
    uint64_t *values, *without; /* values: that are left; sorted, both */
    uint32_t value_count, without_count;
    uint32_t tries;
    uint64_t steps;
    size_t bytes;
};

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static bool is_wrong(struct shrink *s, const struct part *p)
{
    struct search_outcome found;
    struct model m;

    s->tries++;
    model_make(&m, p);
    found = search_order(&m, TRY_STEPS, s->bytes);
    model_free(&m);
    s->steps += found.steps;
    return found.answer == SEARCH_IMPOSSIBLE;
}

static bool may_try(const struct shrink *s)
{
    return s->tries < TRIES_MAX && s->steps < STEPS_MAX;
}

/* What began by the end of `blocked`; what had not ended by then is pending. */
static void cut(struct shrink *s, const struct part *p, uint32_t blocked)
{
    int64_t end = p->all->of[blocked].completed_ns;

    for (uint32_t i = 0; i < p->count; i++) {
        const struct operation *op = &p->all->of[p->pieces[i].op];
        bool pending = op->outcome != OPERATION_OK || op->completed_ns > end;

        if (op->invoked_ns > end || (pending && operation_reads(op)))
            continue;
        s->pieces[s->count++] = (struct piece){.op = p->pieces[i].op, .pending = pending};
    }
}

/* ---- leaving out operations ------------------------------------------------------------
 */

static bool try_pieces(struct shrink *s, uint32_t from, uint32_t to)
{
    struct part p = {.all = s->all,
                     .pieces = s->fewer,
                     .without = s->without,
                     .without_count = s->without_count};
    uint32_t left_out = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        bool out = i >= from && i < to && operation_reads(&s->all->of[s->pieces[i].op]);

        left_out += out;
        if (!out)
            s->fewer[p.count++] = s->pieces[i];
    }
    if (left_out == 0 || !may_try(s) || !is_wrong(s, &p))
        return false;
    for (uint32_t i = 0; i < p.count; i++)
        s->pieces[i] = s->fewer[i];
    s->count = p.count;
    return true;
}

static void leave_out_reads(struct shrink *s)
{
    for (uint32_t some = s->count / 2 + 1;; some /= 2) {
        for (uint32_t from = 0; from < s->count;)
            if (!try_pieces(s, from, from + some))
                from += some;
        if (some <= 1)
            return;
    }
}

/* ---- leaving out values ----------------------------------------------------------------
 */

static void collect_values(struct shrink *s)
{
    size_t cap = 0, n = 0;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        const struct operation *op = &s->all->of[s->pieces[i].op];

        s->values = must_grow(s->values, &cap, n + 2 + op->list_count, sizeof *s->values);
        if (op->kind != OPERATION_LIST)
            s->values[n++] = op->value;
        if (op->kind == OPERATION_SWAP && op->outcome == OPERATION_OK)
            s->values[n++] = op->seen;
        for (uint32_t k = 0; k < op->list_count; k++)
            s->values[n++] = s->all->values[op->list_at + k];
    }
    if (n > 0)
        qsort(s->values, n, sizeof *s->values, by_number);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || s->values[i] != s->values[kept - 1])
            s->values[kept++] = s->values[i];
    s->value_count = kept;
    s->without = must_alloc((size_t)kept + 1, sizeof *s->without);
}

static bool is_among(const uint64_t *values, uint32_t count, uint64_t value)
{
    return count > 0 && bsearch(&value, values, count, sizeof value, by_number) != NULL;
}

/* Writes of what is left out, and reads of it; lists stay, without it. */
static void drop_pieces(struct shrink *s)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        const struct operation *op = &s->all->of[s->pieces[i].op];

        if (op->kind == OPERATION_LIST ||
            !is_among(s->without, s->without_count, op->value))
            s->pieces[kept++] = s->pieces[i];
    }
    s->count = kept;
}

static bool try_values(struct shrink *s, uint32_t from, uint32_t to)
{
    struct part p = {.all = s->all, .pieces = s->pieces, .count = s->count};
    uint32_t before = s->without_count;
    AUTO(auto_free)
    uint64_t *more = must_alloc((size_t)before + (to - from) + 1, sizeof *more);

    for (uint32_t i = 0; i < before; i++)
        more[p.without_count++] = s->without[i];
    for (uint32_t i = from; i < to; i++)
        more[p.without_count++] = s->values[i];
    qsort(more, p.without_count, sizeof *more, by_number);
    p.without = more;
    if (!may_try(s) || !is_wrong(s, &p))
        return false;
    for (uint32_t i = 0; i < p.without_count; i++)
        s->without[i] = more[i];
    s->without_count = p.without_count;
    for (uint32_t i = to; i < s->value_count; i++)
        s->values[i - (to - from)] = s->values[i];
    s->value_count -= to - from;
    drop_pieces(s);
    return true;
}

static void leave_out_values(struct shrink *s)
{
    for (uint32_t some = s->value_count / 2 + 1;; some /= 2) {
        for (uint32_t from = 0; from < s->value_count;) {
            uint32_t to = from + some < s->value_count ? from + some : s->value_count;

            if (!try_values(s, from, to))
                from = to;
        }
        if (some <= 1)
            return;
    }
}

/* ---- the report ------------------------------------------------------------------------
 */

static void show(const struct shrink *s, struct linear_report *ret)
{
    ret->from_ns = INT64_MAX;
    ret->to_ns = 0;
    ret->shown_of = s->count;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct operation *op = &s->all->of[s->pieces[i].op];

        if (op->invoked_ns < ret->from_ns)
            ret->from_ns = op->invoked_ns;
        if (op->outcome == OPERATION_OK && op->completed_ns > ret->to_ns)
            ret->to_ns = op->completed_ns;
        if (ret->shown_count < LINEAR_SHOWN_MAX)
            ret->shown[ret->shown_count++] = s->pieces[i].op;
    }
    for (uint32_t i = 0; i < s->value_count && i < LINEAR_SHOWN_MAX; i++)
        ret->values[ret->value_count++] = s->values[i];
}

/* By invocation, as they are told. */
static void sort_pieces(struct shrink *s)
{
    for (uint32_t i = 1; i < s->count; i++)
        for (uint32_t k = i; k > 0 && s->all->of[s->pieces[k].op].invoked_ns <
                                          s->all->of[s->pieces[k - 1].op].invoked_ns;
             k--) {
            struct piece swap = s->pieces[k];

            s->pieces[k] = s->pieces[k - 1];
            s->pieces[k - 1] = swap;
        }
}

void linear_explain(const struct part *p, uint32_t blocked, size_t bytes,
                    struct linear_report *ret)
{
    struct shrink s = {.all = p->all, .bytes = bytes};
    char what[LINEAR_REASON_SIZE - 20];
    struct part left;

    s.pieces = must_alloc((size_t)p->count + 1, sizeof *s.pieces);
    s.fewer = must_alloc((size_t)p->count + 1, sizeof *s.fewer);
    cut(&s, p, blocked);
    leave_out_reads(&s);
    collect_values(&s);
    leave_out_values(&s);
    leave_out_reads(&s);
    sort_pieces(&s);
    left = (struct part){.all = s.all,
                         .pieces = s.pieces,
                         .count = s.count,
                         .without = s.without,
                         .without_count = s.without_count};
    linear_diagnose(&left, what, sizeof what);
    snprintf(ret->reason, sizeof ret->reason, "key %" PRIu32 ": %s", ret->key, what);
    show(&s, ret);
    free(s.pieces);
    free(s.fewer);
    free(s.values);
    free(s.without);
}
