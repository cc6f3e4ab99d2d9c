/* chaos/linear.c */
#include "chaos/linear.h"

#include <inttypes.h>
#include <stdlib.h>

#include "chaos/base.h"
#include "chaos/linear_explain.h"
#include "chaos/linear_search.h"

/* Some ten seconds, and a quarter of a gigabyte. */
const struct linear_limits linear_limits_default = {.steps = 20000000, .bytes = 1U << 28};

static bool must_be_ordered(const struct operation *op)
{
    if (op->standby || op->outcome == OPERATION_FAILED)
        return false;
    return op->outcome == OPERATION_OK || !operation_reads(op);
}

static size_t collect(const struct operations *o, struct operation_key *of,
                      struct linear_report *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < o->count; i++) {
        if (!must_be_ordered(&o->of[i]))
            continue;
        of[n++] = (struct operation_key){.key = o->of[i].key, .op = (uint32_t)i};
        ret->unknown += o->of[i].outcome == OPERATION_UNKNOWN;
    }
    ret->operations = n;
    if (n > 0)
        qsort(of, n, sizeof *of, operation_by_key);
    return n;
}

static bool is_of_list(const struct operation *op)
{
    return op->kind == OPERATION_APPEND || op->kind == OPERATION_LIST;
}

/* A violation outweighs what was not decided, and the first of each is told. */
static void conclude(struct linear_report *ret, enum linear_answer answer, uint32_t key,
                     const char *reason)
{
    if (ret->answer != LINEAR_OK)
        return;
    ret->answer = answer;
    ret->key = key;
    snprintf(ret->reason, sizeof ret->reason, "key %" PRIu32 ": %s", key, reason);
}

static void check_key(const struct part *p, uint32_t key, struct linear_limits limits,
                      struct linear_report *ret)
{
    uint64_t left = limits.steps > ret->steps ? limits.steps - ret->steps : 0;
    struct search_outcome found;
    struct model m;

    for (uint32_t i = 1; i < p->count; i++)
        if (is_of_list(&p->all->of[p->pieces[i].op]) !=
            is_of_list(&p->all->of[p->pieces[0].op])) {
            conclude(ret, LINEAR_NOT_DECIDED, key,
                     "it is used as a register and as a list");
            return;
        }
    model_make(&m, p);
    found = search_order(&m, left, limits.bytes);
    ret->steps += found.steps;
    switch (found.answer) {
    case SEARCH_ORDERED:
        break;
    case SEARCH_IMPOSSIBLE:
        ret->answer = LINEAR_VIOLATION;
        ret->key = key;
        linear_explain(p, m.items[found.blocked].op, limits.bytes, ret);
        break;
    case SEARCH_TOO_LONG:
        conclude(ret, LINEAR_NOT_DECIDED, key, "more orders than the steps allowed");
        break;
    case SEARCH_TOO_LARGE:
        conclude(ret, LINEAR_NOT_DECIDED, key,
                 "more configurations than the memory allowed");
        break;
    }
    model_free(&m);
}

void linear_check(const struct operations *o, struct linear_limits limits,
                  struct linear_report *ret)
{
    AUTO(auto_free) struct operation_key *of = must_alloc(o->count + 1, sizeof *of);
    AUTO(auto_free) struct piece *pieces = must_alloc(o->count + 1, sizeof *pieces);
    size_t n;

    *ret = (struct linear_report){.answer = LINEAR_OK};
    n = collect(o, of, ret);
    for (size_t i = 0; i < n; i++)
        pieces[i] = (struct piece){.op = of[i].op};
    for (size_t i = 0, next; i < n && ret->answer != LINEAR_VIOLATION; i = next) {
        for (next = i; next < n && of[next].key == of[i].key;)
            next++;
        ret->keys++;
        check_key(
            &(struct part){.all = o, .pieces = pieces + i, .count = (uint32_t)(next - i)},
            of[i].key, limits, ret);
    }
    if (o->full && ret->answer == LINEAR_OK) {
        ret->answer = LINEAR_NOT_DECIDED;
        snprintf(ret->reason, sizeof ret->reason,
                 "more than %d operations, or longer lists", OPERATIONS_MAX);
    }
}

const char *linear_answer_text(enum linear_answer answer)
{
    switch (answer) {
    case LINEAR_OK:
        return "linearizable";
    case LINEAR_VIOLATION:
        return "not linearizable";
    case LINEAR_NOT_DECIDED:
        return "not decided";
    }
    return "?";
}

/* ---- telling ---------------------------------------------------------------------------
 */

static void print_list(const struct operations *o, const struct operation *op,
                       const struct linear_report *r, FILE *out)
{
    bool any = false;

    for (uint32_t i = 0; i < op->list_count; i++)
        for (uint32_t k = 0; k < r->value_count; k++)
            if (o->values[op->list_at + i] == r->values[k]) {
                fprintf(out, " %" PRIu64, r->values[k]);
                any = true;
            }
    fprintf(out, "%s (of %" PRIu32 " values)", any ? "" : " none of these", op->list_count);
}

static void print_operation(const struct operations *o, const struct operation *op,
                            const struct linear_report *r, FILE *out)
{
    bool ok = op->outcome == OPERATION_OK;

    fputs(operation_kind_name(op->kind), out);
    if (!operation_reads(op))
        fprintf(out, " %" PRIu64, op->value);
    if (op->kind == OPERATION_READ)
        fprintf(out, ": saw %" PRIu64, op->value);
    if (op->kind == OPERATION_SWAP && ok)
        fprintf(out, ": found %" PRIu64, op->seen);
    if (op->kind == OPERATION_LIST) {
        fputs(": saw", out);
        print_list(o, op, r, out);
    }
    fprintf(out, "%s\n", ok ? "" : "  (outcome unknown)");
}

void linear_print(const struct operations *o, const struct linear_report *r,
                  int64_t origin_ns, const char *(*host_name)(uint8_t host), FILE *out)
{
    fprintf(out, "%s", linear_answer_text(r->answer));
    if (r->answer != LINEAR_OK)
        fprintf(out, ": %s", r->reason);
    fputc('\n', out);
    if (r->answer != LINEAR_VIOLATION)
        return;
    fprintf(out, "  from %.3f to %.3f ms, client and host:\n",
            ms_between(origin_ns, r->from_ns), ms_between(origin_ns, r->to_ns));
    for (uint32_t i = 0; i < r->shown_count; i++) {
        const struct operation *op = &o->of[r->shown[i]];

        fprintf(out, "  %12.3f .. %12.3f  %3u %-8s ", ms_between(origin_ns, op->invoked_ns),
                ms_between(origin_ns, op->completed_ns), op->client, host_name(op->host));
        print_operation(o, op, r, out);
    }
    if (r->shown_of > r->shown_count)
        fprintf(out, "  and %" PRIu32 " more\n", r->shown_of - r->shown_count);
}
