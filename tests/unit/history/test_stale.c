/* tests/unit/history/test_stale.c -- an answer is as old as what it certainly lacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/base.h"
#include "chaos/stale.h"

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

/* 5 and then 6, in a register or a list. */
#define REGISTER "10 20 0 0 1 write ok 5\n30 40 0 0 1 write ok 6\n"
#define LIST "10 20 0 0 1 append ok 5\n30 40 0 0 1 append ok 6\n"

/* Behind by: from the acknowledgement of the first thing that is lacking to the question.
 */
static void age_is_what_is_certain(void **state)
{
    static const struct {
        const char *name, *text;
        int64_t primary, standby;
    } table[] = {
        {"up to date", REGISTER "50 60 1 0 1 read ok 6\n", 0, 0},
        {"asked before the acknowledgement", REGISTER "40 60 1 0 1 read ok 5\n", 0, 0},
        {"overwritten", REGISTER "50 60 1 0 1 read ok 5\n", 10, 0},
        {"never written, as it says", REGISTER "50 60 1 0 1 read ok 0\n", 30, 0},
        {"of a standby", REGISTER "50 60 1 1 1 standby-read ok 5\n", 0, 10},
        {"the worst of several",
         REGISTER "50 60 1 1 1 standby-read ok 5\n90 91 1 1 1 standby-read ok 5\n", 0, 50},
        {"not acknowledged is not lacking",
         "10 20 0 0 1 write ok 5\n30 40 0 0 1 write unknown 6\n50 60 1 0 1 read ok 5\n", 0,
         0},
        {"written at one time: either may be the last",
         "10 30 0 0 1 write ok 5\n20 40 1 0 1 write ok 6\n50 60 1 0 1 read ok 5\n", 0, 0},
        {"unknown, but seen before the next one",
         "10 20 0 0 1 write unknown 5\n21 25 1 0 1 read ok 5\n30 40 0 0 1 write ok 6\n"
         "50 60 1 0 1 read ok 5\n",
         10, 0},
        {"unknown, and not seen before: it may be the last",
         "10 20 0 0 1 write unknown 5\n30 40 0 0 1 write ok 6\n50 60 1 0 1 read ok 5\n", 0,
         0},
        {"other keys", REGISTER "50 60 1 0 2 read ok 0\n", 0, 0},
        {"a whole list", LIST "50 60 1 0 1 list ok 5 6\n", 0, 0},
        {"the last append is lacking", LIST "50 60 1 0 1 list ok 5\n", 10, 0},
        {"the first append is lacking", LIST "50 60 1 1 1 standby-list ok 6\n", 0, 30},
        {"asked before it was acknowledged", LIST "40 60 1 0 1 list ok 5\n", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct stale_policy lenient = {true, 1000, 1000};
        struct stale_report r;
        struct operations o;

        print_message("%s\n", table[i].name);
        read_text(&o, table[i].text);
        stale_check(&o, &lenient, &r);
        assert_true(r.ok);
        assert_int_equal(r.worst_primary_ns, table[i].primary);
        assert_int_equal(r.worst_standby_ns, table[i].standby);
        operations_free(&o);
    }
}

/* What is too old is refused by the policy of whoever answered, up to the nanosecond. */
static void the_policy_decides(void **state)
{
    static const struct {
        const char *name, *text;
        struct stale_policy policy;
        const char *reason; /* NULL: ok */
    } table[] = {
        {"a primary may be behind by nothing",
         REGISTER "41 60 1 0 1 read ok 5\n",
         {false, 0, 0},
         "a primary answered"},
        {"its twin", REGISTER "40 60 1 0 1 read ok 5\n", {false, 0, 0}, NULL},
        {"a standby within its bound",
         REGISTER "50 60 1 1 1 standby-read ok 5\n",
         {true, 0, 10},
         NULL},
        {"and beyond it",
         REGISTER "51 60 1 1 1 standby-read ok 5\n",
         {true, 0, 10},
         "a standby answered"},
        {"the standby's bound is not the primary's",
         LIST "51 60 1 0 1 list ok 5\n",
         {true, 0, 1000},
         "a primary answered"},
        {"nobody may ask a standby",
         REGISTER "50 60 1 1 1 standby-read ok 6\n",
         {false, 0, 10},
         "without standby_reads"},
        {"and one that does not answer is fine",
         REGISTER "50 60 1 1 1 standby-read unknown\n",
         {false, 0, 10},
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct stale_report r;
        struct operations o;

        print_message("%s\n", table[i].name);
        read_text(&o, table[i].text);
        stale_check(&o, &table[i].policy, &r);
        assert_int_equal(r.ok, table[i].reason == NULL);
        if (table[i].reason != NULL) {
            assert_non_null(strstr(r.reason, table[i].reason));
            assert_int_equal(r.bad, 2);
        }
        operations_free(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(age_is_what_is_certain),
        cmocka_unit_test(the_policy_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
