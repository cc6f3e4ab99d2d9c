/* chaos/operations.c */
#include "chaos/operations.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"

static const char *const kind_names[OPERATION_KINDS] = {
    [OPERATION_READ] = "read",     [OPERATION_WRITE] = "write", [OPERATION_SWAP] = "swap",
    [OPERATION_APPEND] = "append", [OPERATION_LIST] = "list",
};

static const char *const outcome_names[OPERATION_OUTCOMES] = {
    [OPERATION_OK] = "ok",
    [OPERATION_FAILED] = "failed",
    [OPERATION_UNKNOWN] = "unknown",
};

static const char standby_mark[] = "standby-";

const char *operation_kind_name(uint8_t kind) { return kind_names[kind]; }

const char *operation_outcome_name(uint8_t outcome) { return outcome_names[outcome]; }

int operation_by_key(const void *a, const void *b)
{
    const struct operation_key *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->op < y->op ? -1 : x->op > y->op;
}

bool operation_reads(const struct operation *op)
{
    return op->kind == OPERATION_READ || op->kind == OPERATION_LIST;
}

void operations_add(struct operations *o, struct operation op)
{
    if (o->count == OPERATIONS_MAX) {
        o->full = true;
        return;
    }
    o->of = must_grow(o->of, &o->cap, o->count + 1, sizeof *o->of);
    o->of[o->count++] = op;
}

void operations_add_list(struct operations *o, struct operation op, const uint64_t *values,
                         size_t count)
{
    if (count > OPERATION_LIST_MAX || count > OPERATIONS_VALUES_MAX - o->value_count) {
        o->full = true;
        return;
    }
    o->values =
        must_grow(o->values, &o->value_cap, o->value_count + count, sizeof *o->values);
    if (count > 0)
        memcpy(o->values + o->value_count, values, count * sizeof *values);
    op.list_at = (uint32_t)o->value_count;
    op.list_count = (uint32_t)count;
    o->value_count += count;
    operations_add(o, op);
}

void operations_join(struct operations *into, const struct operations *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct operation *op = &from->of[i];

        if (op->kind == OPERATION_LIST)
            operations_add_list(into, *op, from->values + op->list_at, op->list_count);
        else
            operations_add(into, *op);
    }
    into->full |= from->full;
}

void operations_free(struct operations *o)
{
    free(o->of);
    free(o->values);
    *o = (struct operations){0};
}

static void write_numbers(const struct operations *o, const struct operation *op, FILE *out)
{
    bool ok = op->outcome == OPERATION_OK;

    if (!operation_reads(op) || (op->kind == OPERATION_READ && ok))
        fprintf(out, " %" PRIu64, op->value);
    if (op->kind == OPERATION_SWAP && ok)
        fprintf(out, " %" PRIu64, op->seen);
    for (uint32_t i = 0; op->kind == OPERATION_LIST && i < op->list_count; i++)
        fprintf(out, " %" PRIu64, o->values[op->list_at + i]);
}

void operations_write(const struct operations *o, FILE *out)
{
    for (size_t i = 0; i < o->count; i++) {
        const struct operation *op = &o->of[i];

        fprintf(out, "%" PRId64 " %" PRId64 " %u %u %" PRIu32 " %s%s %s", op->invoked_ns,
                op->completed_ns, op->client, op->host, op->key,
                op->standby ? standby_mark : "", kind_names[op->kind],
                outcome_names[op->outcome]);
        write_numbers(o, op, out);
        fputc('\n', out);
    }
}

/* ---- reading ---------------------------------------------------------------------------
 */

/* A line as it is taken apart: words between single spaces. */
struct words {
    char *rest; /* NULL: no word is left */
    struct operations_fault *fault;
};

static bool wrong(struct words *w, const char *what)
{
    snprintf(w->fault->what, sizeof w->fault->what, "%s", what);
    return false;
}

static bool read_number(struct words *w, const char *what, uint64_t most, uint64_t *ret)
{
    char *word = strsep(&w->rest, " "), *end;

    if (word == NULL || *word < '0' || *word > '9')
        return wrong(w, what);
    errno = 0;
    *ret = strtoull(word, &end, 10);
    return (errno == 0 && *end == 0 && *ret <= most) || wrong(w, what);
}

static bool find_name(const char *word, const char *const *names, uint8_t count,
                      uint8_t *ret)
{
    for (uint8_t i = 0; word != NULL && i < count; i++)
        if (strcmp(word, names[i]) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

static bool read_kind(struct words *w, struct operation *op)
{
    const char *word = strsep(&w->rest, " ");
    size_t mark = sizeof standby_mark - 1;

    op->standby = word != NULL && strncmp(word, standby_mark, mark) == 0;
    if (!find_name(op->standby ? word + mark : word, kind_names, OPERATION_KINDS,
                   &op->kind))
        return wrong(w, "the kind is none of read, write, swap, append, list");
    return !op->standby || operation_reads(op) ||
           wrong(w, "a standby only reads and lists");
}

static bool read_head(struct words *w, struct operation *op)
{
    uint64_t invoked, completed, client, host, key;

    if (!read_number(w, "the invocation is no time", INT64_MAX, &invoked) ||
        !read_number(w, "the completion is no time", INT64_MAX, &completed) ||
        !read_number(w, "the client is no number up to 65535", UINT16_MAX, &client) ||
        !read_number(w, "the host is no number up to 255", UINT8_MAX, &host) ||
        !read_number(w, "the key is no number of 32 bits", UINT32_MAX, &key) ||
        !read_kind(w, op))
        return false;
    if (!find_name(strsep(&w->rest, " "), outcome_names, OPERATION_OUTCOMES, &op->outcome))
        return wrong(w, "the outcome is none of ok, failed, unknown");
    if (completed < invoked)
        return wrong(w, "it completes before its invocation");
    op->invoked_ns = (int64_t)invoked;
    op->completed_ns = (int64_t)completed;
    op->client = (uint16_t)client;
    op->host = (uint8_t)host;
    op->key = (uint32_t)key;
    return true;
}

static bool read_values(struct words *w, struct operation *op)
{
    bool ok = op->outcome == OPERATION_OK;
    uint64_t least = op->kind == OPERATION_READ ? 0 : 1;

    if (!operation_reads(op) || (op->kind == OPERATION_READ && ok)) {
        if (!read_number(w, "the value is no number", UINT64_MAX, &op->value))
            return false;
        if (op->value < least)
            return wrong(w, "what is written is not 0, which means nothing yet");
    }
    return op->kind != OPERATION_SWAP || !ok ||
           read_number(w, "what was found is no number", UINT64_MAX, &op->seen);
}

static bool read_list(struct words *w, const struct operation *op, uint64_t *list,
                      size_t *ret_count)
{
    size_t n = 0;

    while (w->rest != NULL && op->kind == OPERATION_LIST && op->outcome == OPERATION_OK) {
        if (n == OPERATION_LIST_MAX)
            return wrong(w, "the list is too long");
        if (!read_number(w, "a value of the list is no number", UINT64_MAX, &list[n++]))
            return false;
    }
    *ret_count = n;
    return w->rest == NULL || wrong(w, "there is more in it than its kind takes");
}

static bool read_operation(struct operations *o, char *line, uint64_t *list,
                           struct operations_fault *fault)
{
    struct words w = {.rest = line, .fault = fault};
    struct operation op = {0};
    size_t length = strcspn(line, "\n"), count = 0;

    if (line[length] != '\n')
        return wrong(&w, "the line is too long, or has no end");
    line[length] = 0;
    if (!read_head(&w, &op) || !read_values(&w, &op) || !read_list(&w, &op, list, &count))
        return false;
    if (op.kind == OPERATION_LIST)
        operations_add_list(o, op, list, count);
    else
        operations_add(o, op);
    return !o->full || wrong(&w, "there are more operations than can be judged");
}

bool operations_read(struct operations *o, FILE *in, struct operations_fault *ret_fault)
{
    enum { DIGITS = 21, LINE = OPERATION_LIST_MAX * DIGITS + 256 };
    AUTO(auto_free) char *line = must_alloc(LINE, 1);
    AUTO(auto_free) uint64_t *list = must_alloc(OPERATION_LIST_MAX, sizeof *list);

    for (size_t n = 1; fgets(line, LINE, in) != NULL; n++) {
        ret_fault->line = n;
        if (!read_operation(o, line, list, ret_fault))
            return false;
    }
    return true;
}
