/* tests/unit/history/test_operations.c -- operations as text, and their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/base.h"
#include "chaos/operations.h"

static bool read_text(struct operations *o, const char *text,
                      struct operations_fault *fault)
{
    AUTO(auto_free) char *copy = text_new("%s", text); /* fmemopen() wants no const */
    FILE *in = fmemopen(copy, strlen(copy), "r");
    bool done;

    assert_non_null(in);
    *o = (struct operations){0};
    done = operations_read(o, in, fault);
    fclose(in);
    return done;
}

static const char every_kind[] = "1 2 0 0 7 write ok 5\n"
                                 "1 9 1 0 7 write unknown 6\n"
                                 "2 3 65535 255 7 read ok 0\n"
                                 "2 4 2 0 7 swap ok 8 5\n"
                                 "2 4 2 0 7 swap failed 9\n"
                                 "3 5 3 1 4294967295 append ok 1\n"
                                 "4 6 3 1 4294967295 list ok\n"
                                 "7 8 3 1 4294967295 list ok 1 2 18446744073709551615\n"
                                 "7 8 4 1 7 standby-read ok 5\n"
                                 "7 8 4 1 8 standby-list ok 5 6\n"
                                 "7 8 4 1 8 read unknown\n";

/* What was written is read back the same. */
static void text_comes_back(void **state)
{
    char back[sizeof every_kind] = {0};
    FILE *out = fmemopen(back, sizeof back, "w");
    struct operations_fault fault;
    struct operations o;

    (void)state;
    assert_non_null(out);
    assert_true(read_text(&o, every_kind, &fault));
    operations_write(&o, out);
    fclose(out);
    assert_string_equal(back, every_kind);
    operations_free(&o);
}

/* A line that is no operation is named, and so is what is wrong with it. */
static void bad_lines_are_named(void **state)
{
    static const struct {
        const char *line, *what;
    } table[] = {
        {"\n", "invocation"},
        {"x 2 0 0 7 write ok 5\n", "invocation"},
        {"-1 2 0 0 7 write ok 5\n", "invocation"},
        {"1 9223372036854775808 0 0 7 write ok 5\n", "completion"},
        {"3 2 0 0 7 write ok 5\n", "before its invocation"},
        {"1 2 65536 0 7 write ok 5\n", "client"},
        {"1 2 0 256 7 write ok 5\n", "host"},
        {"1 2 0 0 4294967296 write ok 5\n", "key"},
        {"1 2 0 0 7 wrote ok 5\n", "kind"},
        {"1 2 0 0 7\n", "kind"},
        {"1 2 0 0 7 standby-write ok 5\n", "standby"},
        {"1 2 0 0 7 write fine 5\n", "outcome"},
        {"1 2 0 0 7 write\n", "outcome"},
        {"1 2 0 0 7 write ok\n", "value"},
        {"1 2 0 0 7 write ok 0\n", "not 0"},
        {"1 2 0 0 7 write ok 18446744073709551616\n", "value"},
        {"1 2 0 0 7 swap ok 5\n", "found"},
        {"1 2 0 0 7 write ok 5 6\n", "more in it"},
        {"1 2 0 0 7 read unknown 5\n", "more in it"},
        {"1 2 0 0 7 list ok 5  6\n", "list"},
        {"1 2 0 0 7 write ok 5 \n", "more in it"},
        {"1 2 0 0 7 write ok 5", "no end"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(auto_free) char *two = text_new("1 2 0 0 7 write ok 5\n%s", table[i].line);
        struct operations_fault fault = {0};
        struct operations o;

        print_message("%s", table[i].line);
        assert_false(read_text(&o, two, &fault));
        assert_int_equal(fault.line, 2);
        assert_non_null(strstr(fault.what, table[i].what));
        assert_int_equal(o.count, 1);
        operations_free(&o);
    }
}

/* Lists keep what they saw when histories are brought together. */
static void joining_keeps_the_lists(void **state)
{
    static const uint64_t first[] = {1, 2}, second[] = {3};
    struct operation list = {.kind = OPERATION_LIST};
    struct operations a = {0}, b = {0};

    (void)state;
    operations_add_list(&a, list, first, 2);
    operations_add_list(&b, list, second, 1);
    operations_add(&b, (struct operation){.kind = OPERATION_APPEND, .value = 9});
    operations_join(&a, &b);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.of[1].list_count, 1);
    assert_int_equal(a.values[a.of[1].list_at], 3);
    assert_int_equal(a.of[2].value, 9);
    assert_false(a.full);
    operations_free(&a);
    operations_free(&b);
}

/* Beyond a bound nothing is added and it says so; who joins it says so too. */
static void what_does_not_fit_is_said(void **state)
{
    static uint64_t long_list[OPERATION_LIST_MAX + 1];
    struct operations o = {0}, all = {0};
    struct operation list = {.kind = OPERATION_LIST};

    (void)state;
    operations_add_list(&o, list, long_list, OPERATION_LIST_MAX);
    assert_false(o.full);
    operations_add_list(&o, list, long_list, OPERATION_LIST_MAX + 1);
    assert_true(o.full);
    assert_int_equal(o.count, 1);
    operations_join(&all, &o);
    assert_true(all.full);
    operations_free(&all);
    operations_free(&o);
    for (size_t i = 0; i <= OPERATIONS_MAX; i++)
        operations_add(&o, (struct operation){.kind = OPERATION_WRITE, .value = 1});
    assert_true(o.full);
    assert_int_equal(o.count, OPERATIONS_MAX);
    operations_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_back),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(joining_keeps_the_lists),
        cmocka_unit_test(what_does_not_fit_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
