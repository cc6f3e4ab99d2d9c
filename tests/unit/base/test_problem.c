/* Problem details: whatever is told, the answer is JSON with the members of RFC 9457. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "controller/base/problem.h"

static json_t *written(unsigned status, const char *code, const char *detail)
{
    char out[PROBLEM_SIZE];
    size_t len = problem_write(out, status, code, detail);
    json_error_t error;
    json_t *v = json_loadb(out, len, JSON_REJECT_DUPLICATES, &error);

    assert_int_equal(len, strlen(out));
    if (v == NULL)
        fail_msg("%s: %s", error.text, out);
    return v;
}

static const char *member(const json_t *v, const char *name)
{
    return json_string_value(json_object_get(v, name));
}

static void says_all_of_it(void **state)
{
    char out[PROBLEM_SIZE];

    (void)state;
    (void)problem_write(out, 404, "unknown-group", "there is no group x");
    assert_string_equal(out,
                        "{\"type\":\"urn:ringfence:problem:unknown-group\",\"title\":"
                        "\"Unknown group\",\"status\":404,\"detail\":\"there is no group "
                        "x\",\"code\":\"unknown-group\"}");
}

/* A request's own words are in it, and may be anything. */
static void is_json_whatever_is_said(void **state)
{
    static const struct {
        const char *said, *told;
    } table[] = {
        {"", ""},
        {"a \"quoted\" \\ word", "a \"quoted\" \\ word"},
        {"two\nlines\t\x1b[2J\x7f", "two\nlines\t\x1b[2J\x7f"},
        {"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80",
         "\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"cut \xe2\x82", "cut ??"},
        {"alone \xbc", "alone ?"},
        {"overlong \xc0\xaf \xe0\x80\xaf", "overlong ?? ???"},
        {"surrogate \xed\xa0\x80", "surrogate ???"},
        {"beyond \xf4\x90\x80\x80 \xff", "beyond ???? ?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        json_t *v = written(400, "bad-request", table[i].said);

        assert_string_equal(member(v, "detail"), table[i].told);
        json_decref(v);
    }
    for (int a = 1; a < 256; a++)
        for (int b = 1; b < 256; b++) {
            char text[] = {'x', (char)a, (char)b, '\0'};

            json_decref(written(400, "bad-request", text));
        }
}

static void is_cut_where_it_is_too_long(void **state)
{
    char detail[2 * PROBLEM_DETAIL_SIZE];
    json_t *v;

    (void)state;
    memset(detail, '\x01', sizeof detail); /* the longest escapes */
    detail[sizeof detail - 1] = '\0';
    v = written(503, "no-leader", detail);
    assert_int_equal(json_string_length(json_object_get(v, "detail")),
                     PROBLEM_DETAIL_SIZE - 1);
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_all_of_it),
        cmocka_unit_test(is_json_whatever_is_said),
        cmocka_unit_test(is_cut_where_it_is_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
