/* The laboratory's page for people: one vocabulary with `ringfence status`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/base.h"
#include "chaos/result.h"

static char *report(const struct result *r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    result_report(r, out);
    fclose(out);
    return text;
}

static void expect(const struct result *r, const char *with, const char *without)
{
    AUTO(auto_free) char *text = report(r);

    if (strstr(text, with) == NULL)
        fail_msg("no \"%s\" in:%s", with, text);
    if (strstr(text, without) != NULL)
        fail_msg("\"%s\" in:%s", without, text);
}

static struct result some(void)
{
    struct result r;

    result_init(&r);
    r.scenario = "region-loss";
    r.sync = "required";
    r.synchronous = true;
    r.epoch_before = 1;
    r.epoch_after = r.epoch_end = 2;
    return r;
}

static void loss_is_said_as_status_says_it(void **state)
{
    static const struct {
        struct loss loss;
        const char *text;
    } table[] = {
        {{true, false, 512, 0}, "lost: 0, left behind 512 bytes (kept)"},
        {{true, false, 0, 0}, "lost: 0 bytes (forecast 0)"},
        {{false, false, 512, 4096}, "lost: 512 bytes (forecast 4096)"},
        {{false, false, 512, 0}, "lost: 512 bytes (forecast 0)"},
        {{false, false, 512, -1}, "lost: 512 bytes (no forecast)"},
        {{false, true, 0, 4096}, "lost: 0 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[LOSS_TEXT_SIZE];

        loss_say(text, &table[i].loss);
        assert_string_equal(text, table[i].text);
    }
}

/* What was judged one by one is on the page and in the line for machines; without a
 * workload it is on neither. */
static void operations_are_told_where_there_were_any(void **state)
{
    struct result r = some();
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    expect(&r, "acknowledged", "judged one by one");
    result_json(&r, out);
    r.operations = 4711;
    r.operations_unknown = 12;
    r.operations_keys = 8;
    r.standby_reads = 0;
    r.stale_ms = 0;
    expect(&r, "4711     on 8 keys, judged one by one (12 with an unknown outcome)",
           "oldest answer");
    r.standby_reads = 90;
    r.stale_ms = 1.26;
    expect(&r, "1.3 ms  behind, of 90 answers of a standby", "!!");
    result_json(&r, out);
    fclose(out);
    assert_non_null(strstr(text, "\"operations\":null"));
    assert_non_null(strstr(text, "\"operations\":{\"checked\":4711,\"unknown\":12,"
                                 "\"keys\":8,\"standby_reads\":90,\"stale_ms\":1.3}"));
    free(text);
}

static void the_page_has_the_same_words(void **state)
{
    struct result r = some();

    (void)state;
    r.lost_bytes = 512;
    r.forecast_lost_bytes = 0;
    expect(&r, "lost: 0, left behind 512 bytes (kept)", "forecast");
    expect(&r, "rows, of which lost: 0", "missing");
}

/* A script reads no loss where the page says that none was. */
static void the_json_has_the_same_sense(void **state)
{
    static const struct {
        bool synchronous;
        int64_t bytes;
        const char *json;
    } table[] = {
        {true, 120, "\"lost_bytes\":0,\"left_behind_bytes\":120"},
        {false, 120, "\"lost_bytes\":120,\"left_behind_bytes\":0"},
        {true, 0, "\"lost_bytes\":0,\"left_behind_bytes\":0"},
        {true, -1, "\"lost_bytes\":null,\"left_behind_bytes\":null"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct result r = some();
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        r.synchronous = table[i].synchronous;
        r.lost_bytes = table[i].bytes;
        r.forecast_lost_bytes = 0;
        result_json(&r, f);
        (void)fclose(f);
        if (strstr(text, table[i].json) == NULL)
            fail_msg("row %zu: %s", i, text);
        free(text);
    }
}

/* What a switchback adds is said, and nothing is added where there was none. */
static void every_epoch_is_said(void **state)
{
    struct result r = some();

    (void)state;
    expect(&r, "1 -> 2     failovers", "-> 3");
    r.epoch_end = 3;
    expect(&r, "1 -> 2 -> 3 (switched back)     failovers", "!!");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_is_said_as_status_says_it),
        cmocka_unit_test(operations_are_told_where_there_were_any),
        cmocka_unit_test(the_page_has_the_same_words),
        cmocka_unit_test(the_json_has_the_same_sense),
        cmocka_unit_test(every_epoch_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
