/* What PostgreSQL's programs and files say, and durations, sizes and shares that people
 * write. */
#include <stdlib.h>
#include <string.h>

#include "controller/base/units.h"
#include "providers/postgres/text.h"
#include "tests/fuzz/fuzz.h"

static void try_lsn(const char *text)
{
    char again[PG_LSN_TEXT];
    uint64_t lsn, twice;

    if (!pg_lsn_parse(text, &lsn))
        return;
    pg_lsn_format(lsn, again);
    CLAIM(pg_lsn_parse(again, &twice) && twice == lsn, "%s", again);
}

static void try_history(const char *text)
{
    static struct pg_history a, b;
    struct err err = {0};
    const char *half = text + strlen(text) / 2;
    uint64_t lsn, again;
    uint32_t timeline, same;

    if (pg_history_parse(text, &a, &err) != 0 || pg_history_parse(half, &b, &err) != 0)
        return;
    /* Both ways round they part at the same place. */
    if (pg_fork_find(&a, UINT32_MAX, &b, UINT32_MAX, &lsn, &timeline)) {
        CLAIM(pg_fork_find(&b, UINT32_MAX, &a, UINT32_MAX, &again, &same), "one way only");
        CLAIM(again == lsn && same == timeline, "on timelines %u and %u", timeline, same);
    }
}

static void try_control(const char *text)
{
    struct pg_control c;
    struct err err = {0};

    if (pg_control_parse(text, &c, &err) != 0)
        return;
    (void)pg_control_clean(&c);
    (void)pg_control_standby(&c);
}

static void try_rest(const char *text)
{
    const char *at = text;
    struct pg_pidfile f;
    struct err err = {0};
    uint64_t number;

    if (pg_pidfile_parse(text, &f, &err) != 0)
        CLAIM(err.text[0] != '\0', "refused without a word");
    if (pg_waldump_end(text, &number))
        CLAIM(number != 0, "a log that ends at 0");
    while (pg_number_next(&at, &number))
        CLAIM(at > text && at <= text + strlen(text), "ran out of the text");
}

static void try_units(const char *text)
{
    char again[UNITS_TEXT_SIZE];
    struct err err = {0};
    uint32_t ms, ms_again, ppm, ppm_again;
    uint64_t size, size_again;

    if (units_parse_duration(text, &ms, &err) == 0) {
        units_format_duration(ms, again);
        CLAIM(units_parse_duration(again, &ms_again, &err) == 0 && ms_again == ms, "%s",
              again);
    }
    if (units_parse_size(text, &size, &err) == 0) {
        units_format_size(size, again);
        CLAIM(units_parse_size(again, &size_again, &err) == 0 && size_again == size, "%s",
              again);
    }
    if (units_parse_share(text, &ppm, &err) == 0) {
        units_format_share(ppm, again);
        CLAIM(units_parse_share(again, &ppm_again, &err) == 0 && ppm_again == ppm, "%s",
              again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    typedef void try_text(const char *text);
    static try_text *const tries[] = {try_lsn, try_history, try_control, try_rest,
                                      try_units};
    char *text;

    if (size == 0)
        return 0;
    text = malloc(size);
    CLAIM(text != NULL, "no memory");
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    tries[data[0] % 5](text);
    free(text);
    return 0;
}
