/* chaos/workload_sql.c */
#include "chaos/workload_sql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"
#include "chaos/workload.h"

const char workload_schema[] =
    "CREATE TABLE registers (k bigint PRIMARY KEY, v bigint NOT NULL);"
    "CREATE TABLE lists (k bigint PRIMARY KEY, vs bigint[] NOT NULL);"
    "GRANT SELECT, INSERT, UPDATE ON registers, lists TO writer;";

/* A row that is not there yet is an empty register, or list: each write makes it. */
void sql_of(const struct operation *op, char sql[SQL_SIZE])
{
    uint32_t k = op->key;
    uint64_t v = op->value;

    switch ((enum operation_kind)op->kind) {
    case OPERATION_READ:
        snprintf(sql, SQL_SIZE,
                 "SELECT pg_is_in_recovery(), "
                 "(SELECT v FROM registers WHERE k = %" PRIu32 ")",
                 k);
        return;
    case OPERATION_LIST:
        snprintf(sql, SQL_SIZE,
                 "SELECT pg_is_in_recovery(), "
                 "(SELECT array_to_string(vs, ' ') FROM lists WHERE k = %" PRIu32 ")",
                 k);
        return;
    case OPERATION_WRITE:
        snprintf(sql, SQL_SIZE,
                 "INSERT INTO registers VALUES (%" PRIu32 ", %" PRIu64 ") "
                 "ON CONFLICT (k) DO UPDATE SET v = excluded.v",
                 k, v);
        return;
    case OPERATION_APPEND:
        snprintf(sql, SQL_SIZE,
                 "INSERT INTO lists VALUES (%" PRIu32 ", ARRAY[%" PRIu64 "::bigint]) "
                 "ON CONFLICT (k) DO UPDATE SET vs = lists.vs || excluded.vs",
                 k, v);
        return;
    case OPERATION_SWAP:
        snprintf(sql, SQL_SIZE,
                 "BEGIN;"
                 "INSERT INTO registers VALUES (%" PRIu32 ", 0) ON CONFLICT DO NOTHING;"
                 "SELECT v FROM registers WHERE k = %" PRIu32 " FOR UPDATE;"
                 "UPDATE registers SET v = %" PRIu64 " WHERE k = %" PRIu32 ";"
                 "SELECT v FROM registers WHERE k = %" PRIu32 ";"
                 "COMMIT",
                 k, k, v, k, k);
        return;
    case OPERATION_KINDS:
        break;
    }
    die("an operation of kind %u has no SQL", op->kind);
}

void answer_reset(struct answer *a)
{
    *a = (struct answer){.list = a->list, .list_cap = a->list_cap};
}

void answer_free(struct answer *a)
{
    free(a->list);
    *a = (struct answer){0};
}

static uint64_t number_at(const PGresult *result, int column)
{
    return PQntuples(result) == 1 && PQnfields(result) > column
               ? strtoull(PQgetvalue(result, 0, column), NULL, 10)
               : 0;
}

static void take_list(struct answer *a, const char *text)
{
    char *end;

    for (const char *at = text; *at != 0; at = *end == ' ' ? end + 1 : end) {
        uint64_t value = strtoull(at, &end, 10);

        if (end == at)
            return;
        a->list = must_grow(a->list, &a->list_cap, a->list_count + 1, sizeof *a->list);
        a->list[a->list_count++] = value;
    }
}

static void take_rows(struct answer *a, struct operation *op, const PGresult *result)
{
    a->tables++;
    if (op->kind == OPERATION_SWAP) {
        *(a->tables == 1 ? &a->found : &a->own) = number_at(result, 0);
        return;
    }
    if (PQntuples(result) != 1 || PQnfields(result) != 2)
        return;
    op->standby = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    if (op->kind == OPERATION_LIST)
        take_list(a, PQgetvalue(result, 0, 1));
    else
        op->value = number_at(result, 1);
}

void answer_add(struct answer *a, struct operation *op, PGresult *result)
{
    static const char read_only_transaction[] = "25006";
    ExecStatusType status = PQresultStatus(result);
    const char *state;

    if (status == PGRES_TUPLES_OK) {
        take_rows(a, op, result);
    } else if (status != PGRES_COMMAND_OK) {
        state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        a->refused = true;
        a->read_only = state != NULL && strcmp(state, read_only_transaction) == 0;
    } else if (strncmp(PQcmdStatus(result), "ROLLBACK", 8) == 0) {
        a->rolled_back = true;
    }
}

enum operation_outcome answer_judge(const struct answer *a, struct operation *op)
{
    unsigned tables = op->kind == OPERATION_SWAP ? 2 : operation_reads(op) ? 1 : 0;

    if (a->read_only)
        return OPERATION_FAILED;
    if (a->refused || a->warned || a->rolled_back || a->tables != tables)
        return OPERATION_UNKNOWN;
    if (op->kind == OPERATION_SWAP)
        op->seen = a->found;
    return OPERATION_OK;
}
