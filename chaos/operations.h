/* chaos/operations.h -- what clients asked for, and what they were answered.
 *
 * history.h tells who acknowledged rows; this tells what each operation on a key meant,
 * from its invocation to its completion, so that linear.h can ask whether one order
 * explains all of them. A key is a register (read, write, swap) or a list (append, list),
 * never both.
 *
 * As text: one operation per line,
 *   `INVOKED_NS COMPLETED_NS CLIENT HOST KEY KIND OUTCOME [NUMBER...]`
 * with the numbers: write and append what they put there; swap that and, where it is ok,
 * what it found; read and list, where they are ok, what they saw.
 *
 * Pure:    no clock; reads and writes only the streams it is given.
 * Units:   instants in nanoseconds of any one clock; hosts are small numbers.
 * Owner:   the caller owns the operations; operations_free() ends them.
 * Threads: one at a time. Clients keep one each; operations_join() brings them together.
 * Errors:  operations_read() alone can fail; it names the line and what is wrong with it.
 *          Beyond a bound nothing is added and `full` is set: nothing is decided then.
 */
#ifndef RF_CHAOS_OPERATIONS_H
#define RF_CHAOS_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    OPERATIONS_MAX = 1 << 20,
    OPERATIONS_VALUES_MAX = 1 << 24, /* in all lists that were seen */
    OPERATION_LIST_MAX = 4096,       /* values in one of them */
    OPERATION_FAULT_SIZE = 80,
};

enum operation_kind {
    OPERATION_READ,
    OPERATION_WRITE,
    OPERATION_SWAP, /* reads and writes as one, in a transaction */
    OPERATION_APPEND,
    OPERATION_LIST, /* reads the whole list */
    OPERATION_KINDS
};

enum operation_outcome {
    OPERATION_OK,
    OPERATION_FAILED,  /* certainly not done, now or later */
    OPERATION_UNKNOWN, /* done, not done, or yet to be done */
    OPERATION_OUTCOMES
};

struct operation {
    int64_t invoked_ns, completed_ns; /* completed: unknown ones were given up then */
    uint64_t value; /* written or appended (not 0); by a read: what it saw */
    uint64_t seen;  /* swap that is ok: what it found */
    uint32_t key;
    uint32_t list_at, list_count; /* list: what it saw, in `values` */
    uint16_t client;
    uint8_t host, kind, outcome;
    bool standby; /* answered by a server in recovery */
};

/* A register that nobody has written holds 0. */
struct operations {
    struct operation *of;
    size_t count, cap;
    uint64_t *values;
    size_t value_count, value_cap;
    bool full;
};

void operations_add(struct operations *o, struct operation op);
/* A list that was seen; list_at and list_count of `op` are set here. */
void operations_add_list(struct operations *o, struct operation op, const uint64_t *values,
                         size_t count);
void operations_join(struct operations *into, const struct operations *from);
void operations_free(struct operations *o);

/* Where an operation stands in the history, to sort them by their keys: qsort()'s
 * comparison leaves those of one key in the order of the history. */
struct operation_key {
    uint32_t key, op;
};
int operation_by_key(const void *a, const void *b);

bool operation_reads(const struct operation *op); /* and changes nothing */
const char *operation_kind_name(uint8_t kind);
const char *operation_outcome_name(uint8_t outcome);

void operations_write(const struct operations *o, FILE *out);

struct operations_fault {
    size_t line;
    char what[OPERATION_FAULT_SIZE];
};
/* False with the first line that is no operation. */
bool operations_read(struct operations *o, FILE *in, struct operations_fault *ret_fault);

#endif
