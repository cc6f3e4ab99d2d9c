/* controller/base/units.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/units.h"

enum { DURATION, SIZE, SHARE };

static const struct {
    int kind;
    const char *text;
    uint64_t value;
} good[] = {
    {DURATION, "300ms", 300},
    {DURATION, "3s", 3000},
    {DURATION, "1.5s", 1500},
    {DURATION, "0.001s", 1},
    {DURATION, "10min", 600000},
    {DURATION, "2h", 7200000},
    {DURATION, "7d", 604800000},
    {DURATION, "0", 0},
    {DURATION, "0s", 0},
    {DURATION, "4294967295ms", 4294967295},
    {DURATION, "0.5min", 30000},
    {SIZE, "512B", 512},
    {SIZE, "64KiB", 65536},
    {SIZE, "16MiB", 16777216},
    {SIZE, "1.5GiB", 1610612736},
    {SIZE, "0", 0},
    {SIZE, "16777215TiB", 16777215ull << 40},
    {SHARE, "1%", 10000},
    {SHARE, "0.5%", 5000},
    {SHARE, "0.0001%", 1},
    {SHARE, "200ppm", 200},
    {SHARE, "100%", 1000000},
};

static const struct {
    int kind;
    const char *text;
} bad[] = {
    {DURATION, ""},        {DURATION, "300"},
    {DURATION, "ms"},      {DURATION, "-1s"},
    {DURATION, "+1s"},     {DURATION, " 1s"},
    {DURATION, "1 s"},     {DURATION, "1S"},
    {DURATION, "1s "},     {DURATION, "1s1ms"},
    {DURATION, "0.5ms"},   {DURATION, "4294967296ms"},
    {DURATION, "50d"},     {DURATION, "1e3s"},
    {DURATION, "0x10s"},   {DURATION, "1.s"},
    {DURATION, ".5s"},     {DURATION, "1,5s"},
    {DURATION, "3MiB"},    {DURATION, "1234567890123456789s"},
    {SIZE, "16"},          {SIZE, "16MB"},
    {SIZE, "16M"},         {SIZE, "0.5B"},
    {SIZE, "16777216TiB"}, {SIZE, "3s"},
    {SHARE, "1"},          {SHARE, "101%"},
    {SHARE, "0.00001%"},   {SHARE, "1000001ppm"},
    {SHARE, "% "},
};

static int parse(int kind, const char *text, uint64_t *ret, struct err *err)
{
    uint32_t small = 4711;
    int status;

    if (kind == SIZE)
        return units_parse_size(text, ret, err);
    status = kind == DURATION ? units_parse_duration(text, &small, err)
                              : units_parse_share(text, &small, err);
    *ret = small;
    return status;
}

static void test_accepts(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t value = 0;
        struct err err = {0};

        if (parse(good[i].kind, good[i].text, &value, &err) != 0 || value != good[i].value)
            fail_msg("'%s' is %llu: %s", good[i].text, (unsigned long long)value, err.text);
    }
}

/* A number that could be meant in two ways is refused, and the value is left alone. */
static void test_refuses(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t value = 4711;
        struct err err = {0};

        if (parse(bad[i].kind, bad[i].text, &value, &err) != ERR_INVAL || value != 4711)
            fail_msg("'%s' was accepted as %llu", bad[i].text, (unsigned long long)value);
        assert_non_null(strstr(err.text, "expected a "));
        assert_non_null(strstr(err.text, bad[i].text));
    }
}

/* What is printed can be read again. */
static void test_round_trip(void **unused)
{
    static const struct {
        uint64_t value;
        const char *duration, *size;
    } rows[] = {
        {0, "0ms", "0B"},
        {1, "1ms", "1B"},
        {1500, "1500ms", "1500B"},
        {3000, "3s", "3000B"},
        {600000, "10min", "600000B"},
        {16777216, "16777216ms", "16MiB"},
        {7200000, "2h", "7200000B"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[UNITS_TEXT_SIZE];
        uint64_t value;
        struct err err;

        units_format_duration(rows[i].value, text);
        assert_string_equal(text, rows[i].duration);
        assert_int_equal(parse(DURATION, text, &value, &err), 0);
        assert_int_equal(value, rows[i].value);
        units_format_size(rows[i].value, text);
        assert_string_equal(text, rows[i].size);
        assert_int_equal(parse(SIZE, text, &value, &err), 0);
        assert_int_equal(value, rows[i].value);
    }
}

static void test_shares(void **unused)
{
    char text[UNITS_TEXT_SIZE];

    (void)unused;
    units_format_share(10000, text);
    assert_string_equal(text, "1%");
    units_format_share(5000, text);
    assert_string_equal(text, "5000ppm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
