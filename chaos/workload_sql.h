/* chaos/workload_sql.h -- the operations of a workload as SQL, and their answers.
 *
 * Every operation is one query string, a swap's a whole transaction: so it is sent at once,
 * and its answer is complete with the one ReadyForQuery that follows.
 *
 * Pure:    no clock, no socket; libpq's results are only read.
 * Owner:   the caller; answer_free() ends an answer.
 */
#ifndef RF_CHAOS_WORKLOAD_SQL_H
#define RF_CHAOS_WORKLOAD_SQL_H

#include <libpq-fe.h>

#include "chaos/operations.h"

enum { SQL_SIZE = 512 };

/* What has come so far. */
struct answer {
    bool refused;   /* an error was in it */
    bool read_only; /* that error: the server takes no writes, so nothing was done */
    bool warned;    /* a warning came with it: a cancelled wait, perhaps */
    bool rolled_back;
    unsigned tables;     /* results with rows */
    uint64_t found, own; /* swap: before, and what it read of itself */
    uint64_t *list;
    size_t list_count, list_cap;
};

void sql_of(const struct operation *op, char sql[SQL_SIZE]);

void answer_reset(struct answer *a);
void answer_free(struct answer *a);
/* The next result of the answer to `op`. Of a read it sets op->value and op->standby. */
void answer_add(struct answer *a, struct operation *op, PGresult *result);
/* When all of it has come. Of a swap it sets op->seen. */
enum operation_outcome answer_judge(const struct answer *a, struct operation *op);

#endif
