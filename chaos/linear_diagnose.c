/* chaos/linear_diagnose.c -- which of the known ways to be wrong it is. Only the sentence
 * depends on this: that it is wrong was found by the search. */
#include "chaos/linear_explain.h"

#include <inttypes.h>
#include <stdlib.h>

#include "chaos/base.h"

static const struct operation *op_of(const struct part *p, uint32_t i)
{
    return &p->all->of[p->pieces[i].op];
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static bool is_left(const struct part *p, uint64_t value)
{
    return p->without_count == 0 ||
           bsearch(&value, p->without, p->without_count, sizeof value, by_number) == NULL;
}

/* What all operations on that key did to put it there. */
struct sources {
    unsigned times; /* ok or unknown */
    bool refused;
    int64_t first_ns; /* when the first of these was sent */
};

static struct sources find_sources(const struct part *p, uint64_t value)
{
    struct sources found = {.first_ns = INT64_MAX};
    uint32_t key = op_of(p, 0)->key;

    for (size_t i = 0; i < p->all->count; i++) {
        const struct operation *op = &p->all->of[i];

        if (op->key != key || operation_reads(op) || op->value != value)
            continue;
        if (op->outcome == OPERATION_FAILED) {
            found.refused = true;
            continue;
        }
        found.times++;
        if (op->invoked_ns < found.first_ns)
            found.first_ns = op->invoked_ns;
    }
    return found;
}

static bool is_from_nowhere(const struct part *p, const struct operation *op,
                            uint64_t value, char *text, size_t size)
{
    struct sources from = find_sources(p, value);

    if (value == 0 || from.first_ns <= op->completed_ns)
        return false;
    if (from.times > 0)
        snprintf(text, size, "%" PRIu64 " was seen before anybody had written it", value);
    else if (from.refused)
        snprintf(text, size, "%" PRIu64 " was seen, and its write was refused", value);
    else
        snprintf(text, size, "%" PRIu64 " was seen, and nobody wrote it", value);
    return true;
}

/* ---- lists -----------------------------------------------------------------------------
 */

static uint64_t value_at(const struct part *p, const struct operation *list, uint32_t k)
{
    return p->all->values[list->list_at + k];
}

static unsigned times_in(const struct part *p, const struct operation *list, uint64_t value)
{
    unsigned times = 0;

    for (uint32_t k = 0; k < list->list_count; k++)
        times += value_at(p, list, k) == value;
    return times;
}

static bool has_foreign_value(const struct part *p, const struct operation *list,
                              char *text, size_t size)
{
    for (uint32_t k = 0; k < list->list_count; k++) {
        uint64_t value = value_at(p, list, k);

        if (!is_left(p, value))
            continue;
        if (is_from_nowhere(p, list, value, text, size))
            return true;
        if (times_in(p, list, value) > find_sources(p, value).times) {
            snprintf(text, size,
                     "%" PRIu64 " is in the list more often than it was appended", value);
            return true;
        }
    }
    return false;
}

/* The k-th of the values that are left. */
static bool nth_left(const struct part *p, const struct operation *list, uint32_t nth,
                     uint64_t *ret)
{
    for (uint32_t k = 0; k < list->list_count; k++)
        if (is_left(p, value_at(p, list, k)) && nth-- == 0) {
            *ret = value_at(p, list, k);
            return true;
        }
    return false;
}

static bool have_two_orders(const struct part *p, const struct operation *a,
                            const struct operation *b, char *text, size_t size)
{
    uint64_t x, y;

    for (uint32_t k = 0; nth_left(p, a, k, &x) && nth_left(p, b, k, &y); k++) {
        if (x == y)
            continue;
        if (times_in(p, b, x) == 0 || times_in(p, a, y) == 0)
            return false;
        snprintf(text, size, "%" PRIu64 " and %" PRIu64 " were seen in two orders", x, y);
        return true;
    }
    return false;
}

static bool lacks_append(const struct part *p, const struct operation *list,
                         const struct operation *append, char *text, size_t size)
{
    if (append->outcome != OPERATION_OK || append->completed_ns >= list->invoked_ns ||
        times_in(p, list, append->value) > 0)
        return false;
    snprintf(text, size,
             "the append of %" PRIu64
             " was acknowledged before a list was read that lacks it",
             append->value);
    return true;
}

static bool diagnose_list(const struct part *p, const struct operation *list, char *text,
                          size_t size)
{
    if (has_foreign_value(p, list, text, size))
        return true;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct operation *other = op_of(p, i);

        if (other->kind == OPERATION_LIST && have_two_orders(p, list, other, text, size))
            return true;
        if (other->kind == OPERATION_APPEND && lacks_append(p, list, other, text, size))
            return true;
    }
    return false;
}

/* ---- registers -------------------------------------------------------------------------
 */

static bool finds(const struct part *p, uint32_t i, uint64_t *ret)
{
    const struct operation *op = op_of(p, i);

    if (p->pieces[i].pending || op->outcome != OPERATION_OK)
        return false;
    *ret = op->kind == OPERATION_READ ? op->value : op->seen;
    return (op->kind == OPERATION_READ || op->kind == OPERATION_SWAP) && is_left(p, *ret);
}

static bool precedes(const struct part *p, uint32_t a, uint32_t b)
{
    return op_of(p, a)->completed_ns < op_of(p, b)->invoked_ns;
}

/* What the register held after it: as a read saw it, or as it was written for certain. */
static bool leaves(const struct part *p, uint32_t i, uint64_t *ret)
{
    const struct operation *op = op_of(p, i);

    *ret = op->value;
    return op->outcome == OPERATION_OK && !p->pieces[i].pending;
}

/* Seen, then something else, then seen again. */
static bool came_back(const struct part *p, uint32_t i, char *text, size_t size)
{
    uint64_t first, between, again;

    if (!finds(p, i, &first) || find_sources(p, first).times > 1)
        return false;
    for (uint32_t k = 0; k < p->count; k++)
        for (uint32_t n = 0; n < p->count; n++) {
            if (!leaves(p, k, &between) || !finds(p, n, &again) || first != again ||
                first == between || !precedes(p, i, k) || !precedes(p, k, n))
                continue;
            snprintf(text, size, "%" PRIu64 " came back after %" PRIu64, first, between);
            return true;
        }
    return false;
}

/* Whatever the value is from, it was there before the operation began. */
static bool was_there_before(const struct part *p, uint64_t value,
                             const struct operation *op)
{
    for (size_t i = 0; value != 0 && i < p->all->count; i++) {
        const struct operation *w = &p->all->of[i];

        if (w->key == op->key && !operation_reads(w) && w->value == value)
            return w->outcome == OPERATION_OK && w->completed_ns < op->invoked_ns;
    }
    return true;
}

static bool saw_older(const struct part *p, uint32_t i, char *text, size_t size)
{
    uint64_t found;

    if (!finds(p, i, &found))
        return false;
    for (uint32_t k = 0; k < p->count; k++) {
        const struct operation *op = op_of(p, k);

        if (operation_reads(op) || op->outcome != OPERATION_OK || op->value == found ||
            op->completed_ns >= op_of(p, i)->invoked_ns || !was_there_before(p, found, op))
            continue;
        snprintf(text, size,
                 "%" PRIu64 " was seen although %" PRIu64 " had been acknowledged before",
                 found, op->value);
        return true;
    }
    return false;
}

static bool diagnose_register(const struct part *p, uint32_t i, char *text, size_t size)
{
    uint64_t found;

    if (!finds(p, i, &found))
        return false;
    return is_from_nowhere(p, op_of(p, i), found, text, size) ||
           came_back(p, i, text, size) || saw_older(p, i, text, size);
}

void linear_diagnose(const struct part *p, char *text, size_t size)
{
    enum { FEW = 64 }; /* of more than that no sentence is worth the search for it */

    for (uint32_t i = 0; i < p->count && p->count <= FEW; i++) {
        bool list = op_of(p, i)->kind == OPERATION_LIST;

        if (list ? diagnose_list(p, op_of(p, i), text, size)
                 : diagnose_register(p, i, text, size))
            return;
    }
    snprintf(text, size, "no order of %" PRIu32 " operations explains their answers",
             p->count);
}
