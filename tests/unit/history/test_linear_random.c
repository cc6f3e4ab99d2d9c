/* tests/unit/history/test_linear_random.c -- histories by seeds: honest ones are accepted,
 * and of changed ones the judge says what trying all orders says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "chaos/base.h"
#include "chaos/linear.h"
#include "tests/unit/history/all_orders.h"
#include "tests/unit/history/play_pretend.h"

enum { SMALL_SEEDS = 4000, LARGE_SEEDS = 60, CHANGES = 4 };

static struct linear_report judge(const struct operations *o)
{
    struct linear_report r;

    linear_check(o, linear_limits_default, &r);
    return r;
}

/* At most seven operations of one register, or of one list, close together. */
static void play_small(unsigned seed, struct operations *o)
{
    struct pretend plan = {.seed = seed,
                           .clients = 2 + seed % 3,
                           .each = 3,
                           .keys = 1,
                           .pause_us = 4,
                           .length_us = 8,
                           .unknown_percent = 15};
    struct operations both;

    if (seed % 2 != 0) {
        plan.keys = 2; /* and only what the list got */
        plan.each = 5;
    }
    play_pretend(&plan, &both);
    *o = (struct operations){0};
    for (size_t i = 0; i < both.count && o->count < ALL_ORDERS_MAX - 1; i++) {
        const struct operation *op = &both.of[i];

        if (op->key + 1 != plan.keys)
            continue;
        if (op->kind == OPERATION_LIST)
            operations_add_list(o, *op, both.values + op->list_at, op->list_count);
        else
            operations_add(o, *op);
    }
    operations_free(&both);
}

/* ---- changes ---------------------------------------------------------------------------
 */

static uint64_t another_value(const struct operations *o, unsigned *random)
{
    const struct operation *op = &o->of[(unsigned)rand_r(random) % o->count];

    return operation_reads(op) ? 0 : op->value;
}

static void change_list(struct operations *o, struct operation *op, unsigned *random)
{
    uint64_t *list = o->values + op->list_at;
    unsigned at = op->list_count > 0 ? (unsigned)rand_r(random) % op->list_count : 0;

    if (op->list_count == 0)
        return;
    if (rand_r(random) % 2 == 0) {
        list[at] = another_value(o, random); /* 0 is nobody's */
        return;
    }
    op->list_count--;
    memmove(list + at, list + at + 1, (op->list_count - at) * sizeof *list);
}

/* One value, one outcome or one moment. */
static void change(struct operations *o, unsigned *random)
{
    struct operation *op = &o->of[(unsigned)rand_r(random) % o->count];

    switch (rand_r(random) % 4) {
    case 0:
        op->completed_ns = op->invoked_ns + (op->completed_ns - op->invoked_ns) / 3;
        break;
    case 1:
        if (op->outcome == OPERATION_OK && !operation_reads(op))
            op->outcome = rand_r(random) % 2 != 0 ? OPERATION_UNKNOWN : OPERATION_FAILED;
        else if (op->kind == OPERATION_WRITE || op->kind == OPERATION_APPEND)
            op->outcome = OPERATION_OK;
        break;
    default:
        if (op->kind == OPERATION_LIST)
            change_list(o, op, random);
        else if (op->kind == OPERATION_SWAP && op->outcome == OPERATION_OK)
            op->seen = another_value(o, random);
        else if (op->kind == OPERATION_READ)
            op->value = another_value(o, random);
        else
            op->outcome = OPERATION_UNKNOWN;
        break;
    }
}

/* ---- the explanation -------------------------------------------------------------------
 */

static bool is_told(const struct linear_report *r, uint64_t value)
{
    for (uint32_t i = 0; i < r->value_count; i++)
        if (r->values[i] == value)
            return true;
    return false;
}

static void take_list(struct operations *into, const struct operations *o,
                      const struct operation *op, const struct linear_report *r)
{
    uint64_t told[ALL_ORDERS_MAX];
    size_t n = 0;

    for (uint32_t k = 0; k < op->list_count; k++)
        if (is_told(r, o->values[op->list_at + k]) && n < ARRAY_LEN(told))
            told[n++] = o->values[op->list_at + k];
    operations_add_list(into, *op, told, n);
}

/* What is told is wrong by itself: so nothing else is needed to see it. */
static bool is_told_rightly(const struct operations *o, const struct linear_report *r)
{
    struct operations told = {0};
    bool ordered;

    for (uint32_t i = 0; i < r->shown_count && o->of != NULL; i++) {
        struct operation op = o->of[r->shown[i]];

        if (op.kind == OPERATION_SWAP && !is_told(r, op.seen))
            op.kind = OPERATION_WRITE;
        if (op.kind == OPERATION_LIST)
            take_list(&told, o, &op, r);
        else
            operations_add(&told, op);
    }
    ordered = all_orders_find(&told);
    operations_free(&told);
    return !ordered && r->shown_count == r->shown_of && r->shown_count > 0;
}

static bool agrees(const struct operations *o, unsigned seed, unsigned *refused)
{
    struct linear_report r = judge(o);
    bool ordered = all_orders_find(o);

    *refused += !ordered;
    if (r.answer == (ordered ? LINEAR_OK : LINEAR_VIOLATION) &&
        (ordered || is_told_rightly(o, &r)))
        return true;
    operations_write(o, stdout);
    print_message("seed %u: %s (%s), and all orders say %s\n", seed,
                  linear_answer_text(r.answer), r.reason, ordered ? "yes" : "no");
    return false;
}

/* Honest ones are accepted; then one thing after the other is changed, and after each the
 * judge and the trying of all orders agree, also on what the explanation shows. */
static void small_histories_are_judged_as_all_orders_say(void **state)
{
    unsigned refused = 0, judged = 0, honest = 0;

    (void)state;
    for (unsigned seed = 1; seed <= SMALL_SEEDS; seed++) {
        struct operations o;
        unsigned random = seed;

        play_small(seed, &o);
        assert_true(agrees(&o, seed, &honest));
        assert_int_equal(honest, 0);
        for (unsigned i = 0; i < CHANGES && o.of != NULL; i++) {
            change(&o, &random);
            assert_true(agrees(&o, seed, &refused));
            judged++;
        }
        operations_free(&o);
    }
    print_message("%u honest, %u changed, of which %u are wrong\n", SMALL_SEEDS, judged,
                  refused);
    assert_in_range(refused, judged / 5, judged - judged / 5);
}

/* ---- large ones ------------------------------------------------------------------------
 */

static const struct operation *acked_write(const struct operations *o, uint32_t key,
                                           int64_t after, int64_t before)
{
    for (size_t i = 0; i < o->count; i++) {
        const struct operation *op = &o->of[i];

        if (op->key == key && op->outcome == OPERATION_OK && !operation_reads(op) &&
            op->invoked_ns > after && op->completed_ns < before)
            return op;
    }
    return NULL;
}

/* One read is given a value that was certainly overwritten before it, or one list loses
 * what was certainly in it. False: there is none. */
static bool forge(struct operations *o, unsigned *random)
{
    size_t from = (unsigned)rand_r(random) % o->count;

    for (size_t n = 0; n < o->count; n++) {
        struct operation *op = &o->of[(from + n) % o->count];
        const struct operation *first, *second;

        if (op->outcome != OPERATION_OK || !operation_reads(op))
            continue;
        first = acked_write(o, op->key, 0, op->invoked_ns);
        if (first == NULL)
            continue;
        if (op->kind == OPERATION_LIST) {
            for (uint32_t k = 0; k < op->list_count; k++)
                if (o->values[op->list_at + k] == first->value)
                    o->values[op->list_at + k] = o->values[op->list_at + --op->list_count];
            return true;
        }
        second = acked_write(o, op->key, first->completed_ns, op->invoked_ns);
        if (second == NULL)
            continue;
        op->value = first->value;
        return true;
    }
    return false;
}

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* With many clients and some lost answers; one forged answer among a thousand is found. */
static void one_forged_answer_is_found_in_a_large_history(void **state)
{
    unsigned forged = 0;

    (void)state;
    for (unsigned seed = 1; seed <= LARGE_SEEDS; seed++) {
        struct pretend plan = {.seed = seed,
                               .clients = 3 + seed % 4,
                               .each = 200,
                               .keys = 2 + seed % 5,
                               .pause_us = 300,
                               .length_us = 100 + seed % 3 * 500,
                               .unknown_percent = seed % 2 == 0 ? 0 : 2};
        struct operations o;
        unsigned random = seed;

        play_pretend(&plan, &o);
        if (judge(&o).answer != LINEAR_OK)
            fail_msg("seed %u: %s", seed, judge(&o).reason);
        if (forge(&o, &random)) {
            forged++;
            if (judge(&o).answer != LINEAR_VIOLATION)
                fail_msg("seed %u: the forged answer was not found", seed);
        }
        operations_free(&o);
    }
    assert_in_range(forged, LARGE_SEEDS / 2, LARGE_SEEDS);
}

/* A minute of six clients at a hundred operations a second each, on eight keys. */
static void a_minute_is_judged_in_time(void **state)
{
    enum { MINUTE_S = 60, RATE = 100, AT_MOST_S = 60 };
    struct pretend plan = {.seed = 4711,
                           .clients = 6,
                           .each = MINUTE_S * RATE,
                           .keys = 8,
                           .pause_us = 12000,
                           .length_us = 8000,
                           .unknown_percent = 1};
    struct linear_report r;
    struct operations o;
    unsigned random = 1;
    double begun;

    (void)state;
    play_pretend(&plan, &o);
    begun = seconds();
    r = judge(&o);
    print_message("%zu operations in %.3f s of one core, %ju steps\n", o.count,
                  seconds() - begun, (uintmax_t)r.steps);
    assert_string_equal(linear_answer_text(r.answer), "linearizable");
    assert_true(forge(&o, &random));
    begun = seconds();
    r = judge(&o);
    print_message("refused and explained in %.3f s: %s\n", seconds() - begun, r.reason);
    assert_string_equal(linear_answer_text(r.answer), "not linearizable");
    assert_true(seconds() - begun < AT_MOST_S);
    assert_in_range(r.shown_of, 1, 6);
    operations_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_histories_are_judged_as_all_orders_say),
        cmocka_unit_test(one_forged_answer_is_found_in_a_large_history),
        cmocka_unit_test(a_minute_is_judged_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
