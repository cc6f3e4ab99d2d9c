/* tests/unit/history/test_history.c -- the judge must see what is there, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/base.h"
#include "chaos/history.h"

enum { OLD = 0, NEW = 1, PROBE_OLD = CLIENT_PROBE, PROBE_NEW = CLIENT_PROBE + 1 };

static void read_text(struct history *h, const char *text)
{
    AUTO(auto_free) char *copy = text_new("%s", text); /* fmemopen() wants no const */
    FILE *in = fmemopen(copy, strlen(copy), "r");
    size_t line = 0;

    assert_non_null(in);
    *h = (struct history){0};
    if (!history_read(h, in, &line))
        fail_msg("line %zu is no event", line);
    fclose(in);
}

/* The longest gap counts only if the fault can have caused it. */
static void outage_is_the_longest_gap_around_the_fault(void **state)
{
    static const struct {
        const char *name, *text;
        int64_t from, to, outage;
    } table[] = {
        {"one gap", "10 ack 0 0 1\n50 ack 0 1 2\n", 20, 100, 50},
        {"no gap but the end", "10 ack 0 0 1\n20 ack 0 0 2\n", 15, 100, 80},
        {"a longer one before the fault",
         "10 ack 0 0 1\n90 ack 0 0 2\n95 ack 0 0 3\n"
         "98 ack 0 1 4\n",
         92, 98, 5},
        {"a longer one after the story",
         "10 ack 0 0 1\n20 ack 0 0 2\n30 ack 0 1 3\n"
         "90 ack 0 1 4\n",
         15, 25, 10},
        {"other clients do not fill it",
         "10 ack 0 0 1\n30 ack 1 0 2\n35 ack 100 0 1\n"
         "50 ack 0 1 3\n",
         20, 50, 40},
        {"unknown outcomes do not fill it",
         "10 ack 0 0 1\n30 unknown 0 0 2\n"
         "50 ack 0 1 3\n",
         20, 50, 40},
        {"nothing at all", "10 begin 0 0 1\n", 20, 100, 80},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct history h;

        print_message("%s\n", table[i].name);
        read_text(&h, table[i].text);
        assert_int_equal(history_outage_ns(&h, 0, table[i].from, table[i].to),
                         table[i].outage);
        history_free(&h);
    }
}

/* Only a write that was *begun* after the other side had acknowledged one proves that both
 * were writable. */
static void overlap_needs_a_write_begun_later(void **state)
{
    static const struct {
        const char *name, *text;
        int64_t overlap;
    } table[] = {
        {"one after the other",
         "10 begin 100 0 1\n12 ack 100 0 1\n"
         "20 begin 101 1 1\n22 ack 101 1 1\n",
         0},
        {"in flight when the other began",
         "10 begin 100 0 1\n20 begin 101 1 1\n"
         "22 ack 101 1 1\n25 ack 100 0 1\n",
         0},
        {"begun after it",
         "20 begin 101 1 1\n22 ack 101 1 1\n23 begin 100 0 1\n"
         "25 ack 100 0 1\n",
         3},
        {"the last one counts",
         "22 ack 101 1 1\n23 begin 100 0 1\n25 ack 100 0 1\n"
         "40 begin 100 0 2\n47 ack 100 0 2\n",
         25},
        {"begun after it, and not acknowledged",
         "22 ack 101 1 1\n23 begin 100 0 1\n"
         "25 unknown 100 0 1\n",
         0},
        {"before the fault", "2 ack 101 1 1\n3 begin 100 0 1\n4 ack 100 0 1\n", 0},
        {"after the story", "22 ack 101 1 1\n230 begin 100 0 1\n250 ack 100 0 1\n", 0},
        {"writers are not asked", "22 ack 1 1 1\n23 begin 0 0 2\n25 ack 0 0 2\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct history h;

        print_message("%s\n", table[i].name);
        read_text(&h, table[i].text);
        assert_int_equal(
            history_both_writable_ns(&h, (struct overlap_question){OLD, NEW, 5, 200}),
            table[i].overlap);
        history_free(&h);
    }
}

/* Each change of sides needs an epoch, however often the group is moved. */
static void counts_changes_of_sides(void **state)
{
    static const struct {
        const char *name, *text;
        unsigned changes;
    } table[] = {
        {"one side", "1 begin 100 0 1\n2 ack 100 0 1\n3 begin 100 0 2\n4 ack 100 0 2\n", 0},
        {"there", "1 begin 100 0 1\n2 ack 100 0 1\n3 begin 101 1 1\n4 ack 101 1 1\n", 1},
        {"there and back",
         "1 begin 100 0 1\n2 ack 100 0 1\n3 begin 101 1 1\n4 ack 101 1 1\n"
         "5 begin 100 0 2\n6 ack 100 0 2\n",
         2},
        {"in flight when the other began",
         "1 begin 100 0 1\n2 ack 100 0 1\n3 begin 100 0 2\n4 begin 101 1 1\n"
         "5 ack 101 1 1\n6 ack 100 0 2\n",
         1},
        {"both for a while",
         "1 begin 100 0 1\n2 ack 100 0 1\n3 begin 101 1 1\n4 ack 101 1 1\n"
         "5 begin 100 0 2\n6 ack 100 0 2\n7 begin 101 1 2\n8 ack 101 1 2\n",
         3},
        {"refused there",
         "1 begin 100 0 1\n2 ack 100 0 1\n3 begin 101 1 1\n4 unknown 101 1 1\n", 0},
        {"writers are not asked",
         "1 begin 0 0 1\n2 ack 0 0 1\n3 begin 0 1 2\n4 ack 0 1 2\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct history h;

        print_message("%s\n", table[i].name);
        read_text(&h, table[i].text);
        assert_int_equal(history_changes(&h), table[i].changes);
        history_free(&h);
    }
}

/* Rows are looked for one by one; unknown ones may be there or not. */
static void counts_acknowledged_rows_that_are_missing(void **state)
{
    struct history h;
    uint64_t acked, lost;

    (void)state;
    read_text(&h, "1 ack 0 0 1\n2 ack 1 0 2\n3 unknown 0 0 3\n4 ack 0 1 4\n5 ack 100 0 7\n"
                  "9 row 0 1 1\n9 row 0 1 3\n9 row 0 1 4\n");
    history_count(&h, &acked, &lost);
    assert_int_equal(acked, 3);
    assert_int_equal(lost, 1);
    history_free(&h);
}

/* East is opened again and again while west goes on for 5 ms: renewals are in order, both
 * believe. The same with an honest west, whose last write was begun before that. */
static const char two_for_5_ms[] = "1 opened 0 1 4\n2 begin 1 1 1\n3 ack 1 1 1\n"
                                   "10000000 opened 0 0 5\n10000001 begin 0 0 2\n"
                                   "10000002 ack 0 0 2\n11000000 begin 1 1 3\n"
                                   "15000000 ack 1 1 3\n20000000 row 0 0 1\n"
                                   "20000000 row 0 0 2\n20000000 row 0 0 3\n";
static const char one_at_a_time[] = "1 opened 0 1 4\n2 begin 1 1 1\n3 ack 1 1 1\n"
                                    "9000000 begin 1 1 3\n10000000 opened 0 0 5\n"
                                    "10000001 begin 0 0 2\n10000002 ack 0 0 2\n"
                                    "15000000 ack 1 1 3\n20000000 row 0 0 1\n"
                                    "20000000 row 0 0 2\n20000000 row 0 0 3\n";
#define FENCED_AT_5 "1 opened 0 0 1\n2 renewed 0 0 1\n5 fenced 0 0 1\n"
#define WEST_TAKES_OVER "8 opened 0 1 2\n9 begin 0 1 1\n10 ack 0 1 1\n20 row 0 1 1\n"
static const char renewed_after[] = FENCED_AT_5 "6 renewed 0 0 1\n" WEST_TAKES_OVER;
static const char renewed_below[] =
    FENCED_AT_5 WEST_TAKES_OVER "11 fenced 0 1 2\n12 renewed 0 0 1\n";
static const char renewed_anew[] = FENCED_AT_5 "7 renewed 0 1 2\n" WEST_TAKES_OVER;
static const char renewed_with[] = FENCED_AT_5 "5 renewed 0 0 1\n" WEST_TAKES_OVER;
static const char opened_again[] = "1 opened 0 0 1\n8 opened 0 1 1\n9 begin 0 1 1\n"
                                   "10 ack 0 1 1\n20 row 0 1 1\n";
/* The log as it is seen from outside: west was opened at 10 at the latest. */
#define SEEN_FROM_OUTSIDE                                                                  \
    "1 opened 0 0 1\n2 opening 0 1 2\n3 begin 1 0 1\n4 ack 1 0 1\n"                        \
    "7 begin 0 1 2\n8 ack 0 1 2\n10 opened 0 1 2\n20 row 0 1 1\n20 row 0 1 2\n"
static const char opening_first[] = SEEN_FROM_OUTSIDE;
static const char old_after_opened[] =
    SEEN_FROM_OUTSIDE "11 begin 1 0 3\n12 ack 1 0 3\n20 row 0 1 3\n";
static const char never_opening[] = "1 opened 0 0 1\n7 begin 0 1 2\n8 ack 0 1 2\n"
                                    "20 row 0 1 2\n";
static const char opened_unsaid[] = "1 opened 0 255 1\n7 begin 0 1 2\n8 ack 0 1 2\n"
                                    "9 opened 0 255 2\n20 row 0 1 2\n";
static const char good[] = "1 ack 0 0 1\n5 healed 0 0 0\n9 ack 0 1 2\n"
                           "20 row 0 1 1\n20 row 0 1 2\n";
static const char lossy[] = "1 ack 0 0 1\n5 healed 0 0 0\n9 ack 0 1 2\n20 row 0 1 2\n";
static const char dead[] = "1 ack 0 0 1\n5 healed 0 0 0\n20 row 0 1 1\n";
static const char slow[] = "1 ack 0 0 1\n5 healed 0 0 0\n90 ack 0 0 2\n"
                           "99 row 0 1 1\n99 row 0 1 2\n";
static const struct {
    const char *name, *text;
    struct allowance allow;
    enum verdict verdict;
} judged[] = {
    {"good", good, {.recover_ns = 10}, VERDICT_OK},
    {"two writers", good, {.recover_ns = 10, .both_writable_ns = 1}, VERDICT_TWO_WRITERS},
    {"two writers for 5 ms", two_for_5_ms, {.recover_ns = 10}, VERDICT_TWO_WRITERS},
    {"and its honest twin", one_at_a_time, {.recover_ns = 10}, VERDICT_OK},
    {"renewed after the fence", renewed_after, {.recover_ns = 10}, VERDICT_RENEWED},
    {"an older epoch renewed", renewed_below, {.recover_ns = 10}, VERDICT_RENEWED},
    {"the next epoch's first lease", renewed_anew, {.recover_ns = 10}, VERDICT_OK},
    {"in the instant of the fence", renewed_with, {.recover_ns = 10}, VERDICT_OK},
    {"an epoch opened again", opened_again, {.recover_ns = 10}, VERDICT_EPOCH_AGAIN},
    {"it may have been opened already", opening_first, {.recover_ns = 10}, VERDICT_OK},
    {"the old one after that", old_after_opened, {.recover_ns = 10}, VERDICT_TWO_WRITERS},
    {"nobody opens it", never_opening, {.recover_ns = 10}, VERDICT_TWO_WRITERS},
    {"opened, not said who", opened_unsaid, {.recover_ns = 10}, VERDICT_OK},
    {"two writers and loss", lossy, {.both_writable_ns = 1}, VERDICT_TWO_WRITERS},
    {"lost", lossy, {.recover_ns = 10}, VERDICT_LOST},
    {"lost, allowed, unknown how much",
     lossy,
     {.may_lose = true, .recover_ns = 10},
     VERDICT_LOST_UNCOUNTED},
    {"lost within the forecast",
     lossy,
     {.may_lose = true,
      .loss_known = true,
      .lost_bytes = 5,
      .forecast_bytes = 5,
      .recover_ns = 10},
     VERDICT_OK},
    {"lost, and counted as nothing",
     lossy,
     {.may_lose = true, .loss_known = true, .forecast_bytes = 5, .recover_ns = 10},
     VERDICT_LOST_UNCOUNTED},
    {"lost by the side that lived on",
     lossy,
     {.may_lose = true,
      .old = 1,
      .loss_known = true,
      .lost_bytes = 5,
      .forecast_bytes = 5,
      .recover_ns = 10},
     VERDICT_LOST},
    {"lost beyond the forecast",
     lossy,
     {.may_lose = true,
      .loss_known = true,
      .lost_bytes = 6,
      .forecast_bytes = 5,
      .recover_ns = 10},
     VERDICT_LOST_BEYOND},
    {"figures do not excuse where nothing may be lost",
     lossy,
     {.loss_known = true, .lost_bytes = 1, .forecast_bytes = 5, .recover_ns = 10},
     VERDICT_LOST},
    {"never came back", dead, {.recover_ns = 10}, VERDICT_NOT_RECOVERED},
    {"came back too late", slow, {.recover_ns = 10}, VERDICT_NOT_RECOVERED},
    {"an empty history shows nothing",
     "5 healed 0 0 0\n",
     {.recover_ns = 10},
     VERDICT_EMPTY},
};

/* How long is measured from the opening of the other host, by any client. */
static void rivals_are_measured_from_the_opening(void **state)
{
    struct history h;

    (void)state;
    read_text(&h, two_for_5_ms);
    assert_int_equal(history_rivals_ns(&h), 5 * NS_PER_MS);
    history_free(&h);
    read_text(&h, one_at_a_time);
    assert_int_equal(history_rivals_ns(&h), 0);
    history_free(&h);
}

/* Worse things are named first, whatever else is wrong. */
static void judges_in_order_of_importance(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(judged); i++) {
        struct history h;

        print_message("%s\n", judged[i].name);
        read_text(&h, judged[i].text);
        assert_string_equal(verdict_text(history_judge(&h, &judged[i].allow)),
                            verdict_text(judged[i].verdict));
        history_free(&h);
    }
}

/* What was written is read back the same; what is no event is refused with its line. */
static void text_comes_back_and_nonsense_is_refused(void **state)
{
    static const char text[] =
        "1 begin 0 0 1\n2 ack 0 0 1\n3 unknown 100 1 2\n4 fault 0 0 0\n"
        "5 healed 0 0 0\n6 row 0 1 1\n7 renewed 0 1 3\n8 fenced 0 1 3\n9 opened 0 0 4\n";
    static const char *const nonsense[] = {
        "x\n", "1 ack 0 0\n", "1 acked 0 0 1\n", "1 ack 256 0 1\n", "1 ack 0 0 1 2\n",
        "\n"};
    char back[sizeof text] = {0};
    struct history h;
    FILE *out = fmemopen(back, sizeof back, "w");

    (void)state;
    assert_non_null(out);
    read_text(&h, text);
    history_write(&h, out);
    fclose(out);
    assert_string_equal(back, text);
    history_free(&h);
    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
        AUTO(auto_free) char *two = text_new("1 ack 0 0 1\n%s", nonsense[i]);
        FILE *in = fmemopen(two, strlen(two), "r");
        size_t line = 0;

        assert_non_null(in);
        h = (struct history){0};
        assert_false(history_read(&h, in, &line));
        assert_int_equal(line, 2);
        fclose(in);
        history_free(&h);
    }
}

/* The first write that the new side took: begun after the fault, not only answered. */
static void first_ack_is_of_a_write_begun_later(void **state)
{
    struct history h;

    (void)state;
    read_text(&h,
              "1 begin 0 1 1\n12 ack 0 1 1\n13 begin 0 0 2\n14 ack 0 0 2\n15 begin 0 1 3\n"
              "18 ack 0 1 3\n");
    assert_int_equal(history_first_ack_ns(&h, 0, NEW, 10), 18);
    assert_int_equal(history_first_ack_ns(&h, 0, NEW, 16), 0);
    assert_int_equal(history_first_ack_ns(&h, PROBE_OLD, NEW, 0), 0);
    assert_int_equal(history_first_ack_ns(&h, PROBE_NEW, NEW, 0), 0);
    history_free(&h);
}

/* A failover that is held ends with a new lease of the same holder. What it answers under
 * that one is in time; what it answered before it had it is late. */
static void a_later_lease_excuses_nothing(void **state)
{
    struct lease_log l = {0};
    static const struct {
        int64_t at, deadline;
    } table[] = {
        {99, 0}, /* before the first one that was seen */
        {100, 1100},   {249, 1100},    {250, 1250},
        {1250, 1250},  {1290, 1250}, /* 40 late: nobody had renewed it */
        {8999, 1250},                /* just before the new one: very late */
        {9000, 10000}, {10000, 10000}, {10007, 10000},
    };

    (void)state;
    assert_int_equal(lease_log_deadline(&l, 50), 0);
    lease_log_add(&l, (struct lease_span){100, 1100});
    lease_log_add(&l, (struct lease_span){250, 1250});
    lease_log_add(&l, (struct lease_span){9000, 10000});
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(lease_log_deadline(&l, table[i].at), table[i].deadline);
    lease_log_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outage_is_the_longest_gap_around_the_fault),
        cmocka_unit_test(overlap_needs_a_write_begun_later),
        cmocka_unit_test(rivals_are_measured_from_the_opening),
        cmocka_unit_test(counts_changes_of_sides),
        cmocka_unit_test(counts_acknowledged_rows_that_are_missing),
        cmocka_unit_test(judges_in_order_of_importance),
        cmocka_unit_test(text_comes_back_and_nonsense_is_refused),
        cmocka_unit_test(a_later_lease_excuses_nothing),
        cmocka_unit_test(first_ack_is_of_a_write_begun_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
