/* A directory of segments: what is missing between two, what is not of the same trail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/audit/folder.h"
#include "tests/unit/audit/made.h"

enum { ROWS = 30, TOLD = 16 };

static char dir[64];
static struct made made;

static struct {
    struct {
        char file[64], text[ERR_TEXT_SIZE];
        bool bad;
    } list[TOLD];
    unsigned n;
    struct folder_result result;
} told;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/rf-folder-XXXXXX");
    assert_non_null(mkdtemp(dir));
    made_open(&made, ROWS);
    return 0;
}

static int teardown(void **state)
{
    char command[96];

    (void)state;
    made.row_count = ROWS;
    made_free(&made);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* Entries `from` to `to`, as an export has them. */
static void put_as(const char *name, unsigned from, unsigned to)
{
    char path[160];
    FILE *file;

    for (unsigned i = 0; i < made.count; i++)
        free(made.lines[i]);
    made.count = 0;
    made.from = from - 1;
    made.row_count = to;
    made_bundle(&made);
    made.row_count = ROWS;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < made.count; i++)
        fprintf(file, "%s\n", made.lines[i]);
    fclose(file);
}

static void put(unsigned from, unsigned to)
{
    char name[64];

    snprintf(name, sizeof name, "demo-%012u-%012u.jsonl", from, to);
    put_as(name, from, to);
}

static void take_away(unsigned from, unsigned to)
{
    char path[160];

    snprintf(path, sizeof path, "%s/demo-%012u-%012u.jsonl", dir, from, to);
    assert_int_equal(unlink(path), 0);
}

static void on_finding(void *owner, const char *file, unsigned line, bool bad,
                       const char *text)
{
    (void)owner;
    (void)line;
    if (told.n == TOLD)
        return;
    snprintf(told.list[told.n].file, sizeof told.list[told.n].file, "%s", file);
    snprintf(told.list[told.n].text, sizeof told.list[told.n].text, "%s", text);
    told.list[told.n++].bad = bad;
}

static void check(void)
{
    struct err err = {0};

    memset(&told, 0, sizeof told);
    if (folder_verify(dir, &made.known, on_finding, NULL, &told.result, &err) != 0)
        fail_msg("%s", err.text);
}

static void was_found(const char *file, const char *text)
{
    for (unsigned i = 0; i < told.n; i++)
        if (told.list[i].bad && strstr(told.list[i].text, text) != NULL &&
            strstr(told.list[i].file, file) != NULL)
            return;
    for (unsigned i = 0; i < told.n; i++)
        print_message("%s: %s\n", told.list[i].file, told.list[i].text);
    fail_msg("'%s' was not found", text);
}

static void whole_ones_are_intact(void **state)
{
    (void)state;
    put(1, 10);
    put(11, 11);
    put(12, 30);
    check();
    assert_int_equal(told.result.bad, 0);
    assert_int_equal(told.result.segments, 3);
    assert_int_equal(told.result.from_seq, 1);
    assert_int_equal(told.result.to_seq, 30);
    assert_int_equal(told.result.entries, 30);
    assert_int_equal(told.result.least_heads, MADE_CONTROLLERS);
    assert_string_equal(told.result.cluster, "demo");
    /* The first ones may be gone: the result says from where on it is whole. */
    take_away(1, 10);
    check();
    assert_int_equal(told.result.bad, 0);
    assert_int_equal(told.result.from_seq, 11);
}

static void a_missing_one_is_found(void **state)
{
    (void)state;
    put(1, 10);
    put(11, 20);
    put(21, 30);
    take_away(11, 20);
    check();
    assert_int_equal(told.result.bad, 1);
    was_found("demo-000000000021", "entries 11 to 20 are missing: no segment");
    assert_int_equal(told.result.entries, 20);
}

/* Two leaders have shipped the same entries. */
static void twice_the_same_is_fine(void **state)
{
    (void)state;
    put(1, 10);
    put(5, 8);
    put(7, 20);
    put(11, 18);
    put(21, 30);
    check();
    assert_int_equal(told.result.bad, 0);
    assert_int_equal(told.result.entries, 30);
}

/* Each of them is good for itself. */
static void another_trail_is_found(void **state)
{
    struct audit_row kept[ROWS];

    (void)state;
    put(1, 10);
    memcpy(kept, made.rows, sizeof kept);
    strcpy(made.rows[4].text, "nobody asked for this");
    made_chain(&made, 4);
    put(11, 20); /* its first entry does not continue what is there */
    check();
    was_found("demo-000000000011", "entry 10 is another one in an earlier bundle");
    put(5, 12);
    check();
    was_found("demo-000000000005", "entry 5 is another one in an earlier bundle");
    memcpy(made.rows, kept, sizeof kept);
}

static void a_wrong_name_is_found(void **state)
{
    (void)state;
    put(1, 10);
    put_as("demo-000000000011-000000000020.jsonl", 11, 19);
    check();
    was_found("demo-000000000011", "is named for entries 11 to 20, and has 11 to 19");
    take_away(11, 20);
    put_as("november.jsonl", 11, 30); /* people's own exports fit in */
    check();
    assert_int_equal(told.result.bad, 0);
    assert_int_equal(told.result.to_seq, 30);
}

static void no_segment_is_no_trail(void **state)
{
    char command[192];
    struct err err = {0};

    (void)state;
    snprintf(command, sizeof command, "touch %s/.x.part %s/readme.txt", dir, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(folder_verify(dir, &made.known, on_finding, NULL, &told.result, &err),
                     ERR_NOTFOUND);
    snprintf(command, sizeof command, "echo garbage > %s/a.jsonl", dir);
    assert_int_equal(system(command), 0);
    check();
    was_found("a.jsonl", "is no JSON object");
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(whole_ones_are_intact),  CLAIM(a_missing_one_is_found),
        CLAIM(twice_the_same_is_fine), CLAIM(another_trail_is_found),
        CLAIM(a_wrong_name_is_found),  CLAIM(no_segment_is_no_trail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
