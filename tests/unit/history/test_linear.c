/* tests/unit/history/test_linear.c -- forged histories are refused, and each has an honest
 * twin that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/base.h"
#include "chaos/linear.h"

static void read_text(struct operations *o, const char *text)
{
    AUTO(auto_free) char *copy = text_new("%s", text); /* fmemopen() wants no const */
    FILE *in = fmemopen(copy, strlen(copy), "r");
    struct operations_fault fault;

    assert_non_null(in);
    *o = (struct operations){0};
    if (!operations_read(o, in, &fault))
        fail_msg("line %zu: %s", fault.line, fault.what);
    fclose(in);
}

struct pair {
    const char *name, *forged, *honest, *reason;
    unsigned shown; /* the fewest that are wrong by themselves */
};

static const struct pair registers[] = {
    {"a lost write", "1 2 0 0 1 write ok 5\n3 4 1 0 1 read ok 0\n",
     "1 4 0 0 1 write ok 5\n2 3 1 0 1 read ok 0\n",
     "0 was seen although 5 had been acknowledged", 2},
    {"a stale read", "1 2 0 0 1 write ok 5\n3 4 0 1 1 write ok 6\n5 6 1 0 1 read ok 5\n",
     "1 2 0 0 1 write ok 5\n3 4 0 1 1 write ok 6\n4 6 1 0 1 read ok 5\n",
     "5 was seen although 6 had been acknowledged", 3},
    {"an answer that goes back",
     "1 2 0 0 1 write ok 5\n3 20 0 0 1 write ok 6\n4 5 1 0 1 read ok 6\n"
     "6 7 2 0 1 read ok 5\n",
     "1 2 0 0 1 write ok 5\n3 20 0 0 1 write ok 6\n4 6 1 0 1 read ok 6\n"
     "6 7 2 0 1 read ok 5\n",
     "no order of 4 operations", 4},
    {"an unknown write applied twice",
     "1 2 0 0 1 write unknown 5\n3 4 1 0 1 read ok 5\n5 6 0 0 1 write ok 6\n"
     "7 8 1 0 1 read ok 6\n9 10 1 0 1 read ok 5\n",
     "1 2 0 0 1 write unknown 5\n3 4 1 0 1 read ok 0\n5 6 0 0 1 write ok 6\n"
     "7 8 1 0 1 read ok 6\n9 10 1 0 1 read ok 5\n",
     "5 came back after 6", 4},
    {"a refused write that was done", "1 2 0 0 1 write failed 5\n3 4 1 0 1 read ok 5\n",
     "1 2 0 0 1 write unknown 5\n3 4 1 0 1 read ok 5\n",
     "5 was seen, and its write was refused", 1},
    {"a value from nowhere", "1 2 0 0 1 write ok 5\n3 4 1 0 1 read ok 9\n",
     "1 2 0 0 1 write ok 9\n3 4 1 0 1 read ok 9\n", "9 was seen, and nobody wrote it", 1},
    {"read before it was sent", "1 2 1 0 1 read ok 5\n3 4 0 0 1 write ok 5\n",
     "1 3 1 0 1 read ok 5\n3 4 0 0 1 write ok 5\n",
     "5 was seen before anybody had written it", 1},
    {"two swaps of the same value", "1 4 0 0 1 swap ok 5 0\n2 5 1 0 1 swap ok 6 0\n",
     "1 4 0 0 1 swap ok 5 6\n2 5 1 0 1 swap ok 6 0\n", "no order of 2 operations", 2},
    {"two writers for 5 ms",
     "1 2 0 1 1 swap ok 5 0\n1000000 1000001 1 0 1 swap ok 6 5\n"
     "2000000 6000000 0 1 1 swap ok 7 5\n",
     "1 2 0 1 1 swap ok 5 0\n1000000 1000001 1 0 1 swap ok 6 5\n"
     "2000000 6000000 0 1 1 swap ok 7 6\n",
     "5 was seen although 6 had been acknowledged", 3},
};

static const struct pair lists[] = {
    {"an acknowledged append is missing in the middle",
     "1 2 0 0 1 append ok 1\n3 4 0 0 1 append ok 2\n5 6 0 0 1 append ok 3\n"
     "7 8 1 0 1 list ok 1 3\n",
     "1 2 0 0 1 append ok 1\n3 4 0 0 1 append ok 2\n5 6 0 0 1 append ok 3\n"
     "7 8 1 0 1 list ok 1 2 3\n",
     "the append of 2 was acknowledged before a list was read that lacks it", 2},
    {"an acknowledged append is missing at the end",
     "1 2 0 0 1 append ok 1\n3 4 0 0 1 append ok 2\n7 8 1 0 1 list ok 1\n",
     "1 2 0 0 1 append ok 1\n3 4 0 0 1 append unknown 2\n7 8 1 0 1 list ok 1\n",
     "the append of 2 was acknowledged", 2},
    {"two orders on two readers",
     "1 9 0 0 1 append ok 1\n1 9 1 0 1 append ok 2\n10 11 2 0 1 list ok 1 2\n"
     "10 11 3 1 1 list ok 2 1\n",
     "1 9 0 0 1 append ok 1\n1 9 1 0 1 append ok 2\n10 11 2 0 1 list ok 2 1\n"
     "10 11 3 1 1 list ok 2 1\n",
     "1 and 2 were seen in two orders", 4},
    {"an unknown append applied twice",
     "1 2 0 0 1 append unknown 5\n3 4 0 0 1 append ok 6\n5 6 1 0 1 list ok 5 6 5\n",
     "1 2 0 0 1 append unknown 5\n3 4 0 0 1 append ok 6\n5 6 1 0 1 list ok 6 5\n",
     "5 is in the list more often than it was appended", 2},
    {"an unknown append that came and went",
     "1 2 0 0 1 append unknown 5\n3 4 1 0 1 list ok 5\n5 6 1 0 1 list ok\n",
     "1 2 0 0 1 append unknown 5\n3 4 1 0 1 list ok\n5 6 1 0 1 list ok 5\n",
     "no order of 3 operations", 3},
    {"against the order of time",
     "1 2 0 0 1 append ok 1\n3 4 0 0 1 append ok 2\n5 6 1 0 1 list ok 2 1\n",
     "1 3 0 0 1 append ok 1\n3 4 1 0 1 append ok 2\n5 6 1 0 1 list ok 2 1\n",
     "no order of 3 operations", 3},
    {"a list that was shorter before",
     "1 9 0 0 1 append ok 1\n1 9 1 0 1 append ok 2\n3 4 2 0 1 list ok 1 2\n"
     "5 6 3 1 1 list ok 1\n",
     "1 9 0 0 1 append ok 1\n1 9 1 0 1 append ok 2\n3 4 2 0 1 list ok 1\n"
     "5 6 3 1 1 list ok 1 2\n",
     "no order of 3 operations", 3},
    {"a value from nowhere", "1 2 0 0 1 append ok 1\n3 4 1 0 1 list ok 1 7\n",
     "1 2 0 0 1 append ok 1\n1 4 0 0 1 append ok 7\n3 4 1 0 1 list ok 1 7\n",
     "7 was seen, and nobody wrote it", 1},
    {"one write of two sides, lost with its side",
     "1 2 0 1 1 append ok 1\n3 4 0 1 1 append ok 2\n5 6 1 0 1 append ok 3\n"
     "7 8 1 0 1 list ok 1 3\n9 10 0 1 1 list ok 1 2\n",
     "1 2 0 1 1 append ok 1\n3 4 0 1 1 append ok 2\n5 6 1 0 1 append ok 3\n"
     "7 8 1 0 1 list ok 1 2 3\n9 10 0 1 1 list ok 1 2 3\n",
     "was acknowledged before a list was read that lacks it", 2},
};

static void judge_pairs(const struct pair *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct linear_report r;
        struct operations o;

        print_message("%s\n", table[i].name);
        read_text(&o, table[i].honest);
        linear_check(&o, linear_limits_default, &r);
        assert_string_equal(linear_answer_text(r.answer), "linearizable");
        operations_free(&o);
        read_text(&o, table[i].forged);
        linear_check(&o, linear_limits_default, &r);
        assert_string_equal(linear_answer_text(r.answer), "not linearizable");
        if (strstr(r.reason, table[i].reason) == NULL)
            fail_msg("'%s' is not in '%s'", table[i].reason, r.reason);
        assert_int_equal(r.key, 1);
        assert_int_equal(r.shown_of, table[i].shown);
        operations_free(&o);
    }
}

static void forged_registers_are_refused(void **state)
{
    (void)state;
    judge_pairs(registers, ARRAY_LEN(registers));
}

static void forged_lists_are_refused(void **state)
{
    (void)state;
    judge_pairs(lists, ARRAY_LEN(lists));
}

/* What is no forgery, however odd it looks. */
static void odd_histories_are_accepted(void **state)
{
    static const struct {
        const char *name, *text;
    } table[] = {
        {"nothing", ""},
        {"what meets at one instant is concurrent",
         "1 2 0 0 1 write ok 5\n2 3 1 0 1 read ok 0\n"},
        {"an unknown write that never happened",
         "1 2 0 0 1 write unknown 5\n3 4 1 0 1 read ok 0\n9 10 1 0 1 read ok 0\n"},
        {"an unknown write that happened much later",
         "1 2 0 0 1 write unknown 5\n3 4 0 0 1 write ok 6\n5 6 1 0 1 read ok 6\n"
         "90 91 1 0 1 read ok 5\n"},
        {"an unknown swap between two others",
         "1 2 0 0 1 swap ok 5 0\n3 4 0 0 1 swap unknown 6\n5 6 1 0 1 swap ok 7 6\n"},
        {"a refused write", "1 2 0 0 1 write failed 5\n3 4 1 0 1 read ok 0\n"},
        {"a read without an answer", "1 2 0 0 1 write ok 5\n3 4 1 0 1 read unknown\n"},
        {"a standby is judged by its age", "1 2 0 0 1 write ok 5\n"
                                           "3 4 1 1 1 standby-read ok 0\n"},
        {"keys are independent", "1 2 0 0 1 write ok 5\n3 4 1 0 2 read ok 0\n"},
        {"one value written by two",
         "1 2 0 0 1 write ok 5\n3 4 0 0 1 write ok 6\n5 6 0 0 1 write ok 5\n"
         "7 8 1 0 1 read ok 5\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct operations o = {0};
        struct linear_report r;

        print_message("%s\n", table[i].name);
        if (table[i].text[0] != 0)
            read_text(&o, table[i].text);
        linear_check(&o, linear_limits_default, &r);
        assert_string_equal(linear_answer_text(r.answer), "linearizable");
        operations_free(&o);
    }
}

/* Many writes at one time, and a read of none of them: every order must be tried. */
static void add_a_crowd(struct operations *o, uint32_t key, uint64_t count)
{
    for (uint64_t i = 1; i <= count; i++)
        operations_add(o, (struct operation){.invoked_ns = 1,
                                             .completed_ns = 9,
                                             .key = key,
                                             .client = (uint16_t)i,
                                             .kind = OPERATION_SWAP,
                                             .value = i,
                                             .seen = i == count ? 1 : i - 1});
    operations_add(o, (struct operation){.invoked_ns = 10,
                                         .completed_ns = 11,
                                         .key = key,
                                         .kind = OPERATION_READ,
                                         .value = count + 1});
}

/* A bound that is reached is said, and never taken for success; what is certain counts. */
static void what_is_not_decided_is_said(void **state)
{
    struct operations o = {0};
    struct linear_report r;

    (void)state;
    add_a_crowd(&o, 1, 12);
    linear_check(&o, (struct linear_limits){.steps = 1, .bytes = 1 << 20}, &r);
    assert_int_equal(r.answer, LINEAR_NOT_DECIDED);
    assert_non_null(strstr(r.reason, "key 1: more orders than the steps allowed"));
    linear_check(&o, (struct linear_limits){.steps = 1 << 20, .bytes = 64}, &r);
    assert_int_equal(r.answer, LINEAR_NOT_DECIDED);
    assert_non_null(strstr(r.reason, "more configurations than the memory allowed"));
    linear_check(&o, linear_limits_default, &r);
    assert_int_equal(r.answer, LINEAR_VIOLATION);
    operations_free(&o);

    read_text(&o, "1 2 0 0 1 write ok 5\n3 4 0 0 1 append ok 6\n"
                  "1 2 0 0 2 write ok 5\n3 4 0 0 2 read ok 5\n");
    linear_check(&o, linear_limits_default, &r);
    assert_int_equal(r.answer, LINEAR_NOT_DECIDED);
    assert_string_equal(r.reason, "key 1: it is used as a register and as a list");
    operations_free(&o);

    read_text(&o, "1 2 0 0 1 write ok 5\n");
    o.full = true;
    linear_check(&o, linear_limits_default, &r);
    assert_int_equal(r.answer, LINEAR_NOT_DECIDED);
    operations_free(&o);
}

static const char *host_name(uint8_t host) { return host == 0 ? "east" : "west"; }

/* Of a long history only what is wrong is told, with who did it, where and when. */
static void the_explanation_is_short(void **state)
{
    struct operations o = {0};
    struct linear_report r;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int64_t ms = NS_PER_MS;
    uint64_t forged = 1003;

    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        struct operation op = {.invoked_ns = (int64_t)i * 2 * ms,
                               .completed_ns = (int64_t)i * 2 * ms + ms,
                               .key = (uint32_t)(i % 2),
                               .client = (uint16_t)(i % 6),
                               .host = i == forged,
                               .kind = i % 4 < 2 ? OPERATION_WRITE : OPERATION_READ,
                               .value = i == forged ? i / 4 - 1 : i / 4 + 1};

        operations_add(&o, op);
    }
    linear_check(&o, linear_limits_default, &r);
    assert_int_equal(r.answer, LINEAR_VIOLATION);
    assert_int_equal(r.operations, 2000);
    linear_print(&o, &r, 2000 * ms, host_name, out);
    fclose(out);
    assert_string_equal(
        text, "not linearizable: key 1: 249 was seen although 250 had been acknowledged "
              "before\n"
              "  from -14.000 to 7.000 ms, client and host:\n"
              "       -14.000 ..      -13.000    3 east     write 249\n"
              "        -6.000 ..       -5.000    1 east     write 250\n"
              "         6.000 ..        7.000    1 west     read: saw 249\n");
    free(text);
    operations_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forged_registers_are_refused),
        cmocka_unit_test(forged_lists_are_refused),
        cmocka_unit_test(odd_histories_are_accepted),
        cmocka_unit_test(what_is_not_decided_is_said),
        cmocka_unit_test(the_explanation_is_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
