/* What counts as done: the wrong answer here is a false alarm, or a loss that nobody sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/base.h"
#include "chaos/workload_sql.h"

/* Only a clean and whole answer is one; and only a server that takes no writes has
 * certainly done nothing: any other error may have come after the commit. */
static void what_is_not_certain_is_unknown(void **state)
{
    static const struct {
        const char *name;
        enum operation_kind kind;
        struct answer answer;
        enum operation_outcome outcome;
    } table[] = {
        {"a write", OPERATION_WRITE, {0}, OPERATION_OK},
        {"a read", OPERATION_READ, {.tables = 1}, OPERATION_OK},
        {"a swap", OPERATION_SWAP, {.tables = 2, .found = 5}, OPERATION_OK},
        {"a cancelled wait", OPERATION_APPEND, {.warned = true}, OPERATION_UNKNOWN},
        {"a refused read", OPERATION_LIST, {.refused = true}, OPERATION_UNKNOWN},
        {"an error", OPERATION_WRITE, {.refused = true}, OPERATION_UNKNOWN},
        {"a standby",
         OPERATION_WRITE,
         {.refused = true, .read_only = true},
         OPERATION_FAILED},
        {"half a swap", OPERATION_SWAP, {.tables = 1}, OPERATION_UNKNOWN},
        {"a commit that rolled back",
         OPERATION_SWAP,
         {.tables = 2, .rolled_back = true},
         OPERATION_UNKNOWN},
        {"no row", OPERATION_READ, {0}, OPERATION_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct operation op = {.kind = (uint8_t)table[i].kind, .value = 6};

        print_message("%s\n", table[i].name);
        assert_int_equal(answer_judge(&table[i].answer, &op), table[i].outcome);
        assert_int_equal(op.seen,
                         table[i].kind == OPERATION_SWAP && table[i].outcome == OPERATION_OK
                             ? table[i].answer.found
                             : 0);
    }
}

static PGresult *row_of(const char *recovery, const char *value)
{
    static PGresAttDesc columns[] = {{.name = "in_recovery"}, {.name = "value"}};
    PGresult *row = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    assert_non_null(row);
    assert_true(PQsetResultAttrs(row, ARRAY_LEN(columns), columns));
    assert_true(PQsetvalue(row, 0, 0, (char *)recovery, (int)strlen(recovery)));
    /* NULL, as libpq has it: the row is not there yet. */
    assert_true(
        PQsetvalue(row, 0, 1, (char *)value, value != NULL ? (int)strlen(value) : -1));
    return row;
}

/* A list in the order of the server, one that nobody has begun, and who has answered. */
static void reads_tell_value_list_and_role(void **state)
{
    static const struct {
        const char *recovery, *value;
        uint64_t list[3];
        size_t count;
    } lists[] = {
        {"f", "7 5 18446744073709551615", {7, 5, UINT64_MAX}, 3},
        {"t", "9", {9}, 1},
        {"f", "", {0}, 0},
        {"t", NULL, {0}, 0},
    };
    struct answer a = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct operation op = {.kind = OPERATION_LIST};
        PGresult *row = row_of(lists[i].recovery, lists[i].value);

        answer_reset(&a);
        answer_add(&a, &op, row);
        PQclear(row);
        assert_int_equal(answer_judge(&a, &op), OPERATION_OK);
        assert_int_equal(op.standby, lists[i].recovery[0] == 't');
        assert_int_equal(a.list_count, lists[i].count);
        if (a.list_count > 0)
            assert_memory_equal(a.list, lists[i].list, a.list_count * sizeof *a.list);
    }
    for (size_t i = 0; i < 2; i++) {
        struct operation op = {.kind = OPERATION_READ};
        PGresult *row = row_of("f", i == 0 ? "42" : NULL);

        answer_reset(&a);
        answer_add(&a, &op, row);
        PQclear(row);
        assert_int_equal(answer_judge(&a, &op), OPERATION_OK);
        assert_int_equal(op.value, i == 0 ? 42 : 0);
    }
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_certain_is_unknown),
        cmocka_unit_test(reads_tell_value_list_and_role),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
