/* What PostgreSQL's programs and files say, what was left beside its data directory,
 * durations, sizes and shares that people write, and who a certificate is for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/auto.h"
#include "controller/base/units.h"
#include "controller/net/identity.h"
#include "providers/postgres/mark.h"
#include "providers/postgres/names.h"
#include "providers/postgres/text.h"
#include "providers/postgres/wal.h"
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

/* I8: what is read of who is waited for is what we have written. */
static void try_names(const char *text)
{
    AUTO(auto_free) char *again = NULL;
    char *list[PG_NAMES_MAX];
    struct pg_names names;
    struct err err = {0};

    if (!pg_names_parse(text, &names))
        return;
    for (size_t i = 0; i < names.n; i++)
        list[i] = names.of[i];
    CLAIM(pg_names_format(list, names.n, &again, &err) == 0, "%s", err.text);
    CLAIM(strcmp(again, text) == 0, "read from %s", text);
}

static void try_segment(const char *text)
{
    char again[PG_SEGMENT_NAME];

    for (uint32_t bytes = 1 << 20; bytes <= 1 << 28; bytes *= 4) {
        uint32_t timeline;
        uint64_t lsn;

        if (!pg_segment_parse(text, bytes, &timeline, &lsn))
            continue;
        pg_segment_name(timeline, lsn, bytes, again);
        CLAIM(strcmp(again, text) == 0, "%s", again);
    }
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", fuzz_scratch(), name);
    f = fopen(path, "w");
    CLAIM(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, "not written: %s", path);
}

/* The marks beside a data directory, and the record in the socket directory. */
static void try_marks(const char *text)
{
    char data[128];
    Rf__ServerSpec spec = RF__SERVER_SPEC__INIT;
    struct pg pg = {.spec = &spec};
    struct pg_postmaster pm = {.pid = 12, .start_ms = 34};
    struct pg_mark mark, again;
    struct err err = {0};

    snprintf(data, sizeof data, "%s/data", fuzz_scratch());
    spec.data = data;
    spec.socket_dir = data;
    data[strlen(data) - 5] = '\0';
    write_file("ringfence.sync", text);
    (void)pg_sync_record_read(&pg, &pm, "FIRST 1 (\"b\")");
    data[strlen(data)] = '/';
    write_file("data.rewinding", text);
    if (pg_mark_read(&pg, &mark, &err) != 0) {
        CLAIM(err.text[0] != '\0', "refused without a word");
        return;
    }
    CLAIM(mark.present, "it was there");
    CLAIM(pg_mark_write(&pg, &mark, &err) == 0 && pg_mark_read(&pg, &again, &err) == 0,
          "%s", err.text);
    CLAIM(mark.cloning == again.cloning && mark.system_id == again.system_id &&
              mark.tail_bytes == again.tail_bytes && strcmp(mark.tail, again.tail) == 0,
          "not what was written: %s", again.tail);
}

static void try_identity(const char *text)
{
    char again[IDENTITY_TEXT_SIZE];
    struct identity id;
    struct err err = {0};

    if (identity_parse(&id, text, strlen(text), &err) != 0) {
        CLAIM(err.text[0] != '\0', "refused without a word");
        for (const char *c = err.text; *c != '\0'; c++)
            CLAIM(*c >= ' ' && *c < 0x7f, "a stranger's bytes on a terminal");
        return;
    }
    identity_format(&id, again);
    CLAIM(strcmp(again, text) == 0, "%s", again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    typedef void try_text(const char *text);
    static try_text *const tries[] = {try_lsn,     try_history, try_control,
                                      try_rest,    try_units,   try_names,
                                      try_segment, try_marks,   try_identity};
    char *text;

    if (size == 0)
        return 0;
    text = malloc(size);
    CLAIM(text != NULL, "no memory");
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    tries[data[0] % 9](text);
    free(text);
    return 0;
}
