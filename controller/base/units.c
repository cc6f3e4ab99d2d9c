#include "controller/base/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* From the smallest to the largest; formatting tries them backwards. */
static const struct unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
static const struct unit sizes[] = {{"B", 1},
                                    {"KiB", 1ull << 10},
                                    {"MiB", 1ull << 20},
                                    {"GiB", 1ull << 30},
                                    {"TiB", 1ull << 40}};
static const struct unit shares[] = {{"ppm", 1}, {"%", 10000}};

struct kind {
    const struct unit *units;
    size_t count;
    uint64_t max;
    const char *expected;
};

static const struct kind duration_kind = {durations, ARRAY_LEN(durations), UINT32_MAX,
                                          "a duration such as 300ms, 3s or 10min"};
static const struct kind size_kind = {sizes, ARRAY_LEN(sizes), UINT64_MAX,
                                      "a size such as 64KiB, 16MiB or 1GiB"};
static const struct kind share_kind = {shares, ARRAY_LEN(shares), 1000000,
                                       "a share such as 1%, 0.5% or 200ppm"};

/* The digits at `*at`, which moves behind them; false if there is none or too many. */
static bool read_digits(const char **at, uint64_t *ret_number, unsigned *ret_count)
{
    uint64_t number = 0;
    unsigned count = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++) {
        if (++count > 18)
            return false;
        number = number * 10 + (uint64_t)(**at - '0');
    }
    *ret_number = number;
    *ret_count = count;
    return count > 0;
}

/* whole + fraction / 10^digits, times the factor, must come out even. */
static bool scale(uint64_t whole, uint64_t fraction, unsigned digits, uint64_t factor,
                  uint64_t *ret_value)
{
    uint64_t power = 1, part, value;

    for (unsigned i = 0; i < digits; i++)
        power *= 10;
    if (__builtin_mul_overflow(fraction, factor, &part) || part % power != 0)
        return false;
    if (__builtin_mul_overflow(whole, factor, &value) ||
        __builtin_add_overflow(value, part / power, &value))
        return false;
    *ret_value = value;
    return true;
}

static bool parse(const struct kind *k, const char *text, uint64_t *ret_value)
{
    uint64_t whole, fraction = 0, value;
    unsigned count, digits = 0;
    const char *at = text;

    if (!read_digits(&at, &whole, &count))
        return false;
    if (*at == '.') {
        at++;
        if (!read_digits(&at, &fraction, &digits))
            return false;
    }
    if (*at == '\0' && whole == 0 && digits == 0) {
        *ret_value = 0;
        return true;
    }
    for (size_t i = 0; i < k->count; i++) {
        if (strcmp(at, k->units[i].name) != 0)
            continue;
        if (!scale(whole, fraction, digits, k->units[i].factor, &value) || value > k->max)
            return false;
        *ret_value = value;
        return true;
    }
    return false;
}

static int parse_or_say(const struct kind *k, const char *text, uint64_t *ret_value,
                        struct err *err)
{
    if (parse(k, text, ret_value))
        return 0;
    return err_set(err, ERR_INVAL, "expected %s, found '%.60s'", k->expected, text);
}

int units_parse_duration(const char *text, uint32_t *ret_ms, struct err *err)
{
    uint64_t value = 0;
    int status = parse_or_say(&duration_kind, text, &value, err);

    if (status == 0)
        *ret_ms = (uint32_t)value;
    return status;
}

int units_parse_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
    return parse_or_say(&size_kind, text, ret_bytes, err);
}

int units_parse_share(const char *text, uint32_t *ret_ppm, struct err *err)
{
    uint64_t value = 0;
    int status = parse_or_say(&share_kind, text, &value, err);

    if (status == 0)
        *ret_ppm = (uint32_t)value;
    return status;
}

/* With the largest unit that needs no fraction. */
static void format(const struct kind *k, uint64_t value, char text[UNITS_TEXT_SIZE])
{
    size_t i = k->count - 1;

    while (i > 0 && (value % k->units[i].factor != 0 || value == 0))
        i--;
    snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 "%s", value / k->units[i].factor,
             k->units[i].name);
}

void units_format_duration(uint64_t ms, char text[UNITS_TEXT_SIZE])
{
    format(&duration_kind, ms, text);
}

void units_format_size(uint64_t bytes, char text[UNITS_TEXT_SIZE])
{
    format(&size_kind, bytes, text);
}

void units_format_share(uint32_t ppm, char text[UNITS_TEXT_SIZE])
{
    format(&share_kind, ppm, text);
}
