/* What the resolver said, as text and back. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "controller/net/names_text.h"
#include "tests/unit/net/bench.h"

static struct names_line line_of(const char *host, const char *a, const char *b)
{
    struct names_line line = {.wall_ms = 1764483331000};
    struct address at = {0};

    snprintf(line.host, sizeof line.host, "%s", host);
    snprintf(at.host, sizeof at.host, "%s", a);
    assert_int_equal(address_numeric(&line.answer.of[line.answer.count++], &at, NULL), 0);
    if (b == NULL)
        return line;
    snprintf(at.host, sizeof at.host, "%s", b);
    assert_int_equal(address_numeric(&line.answer.of[line.answer.count++], &at, NULL), 0);
    return line;
}

/* Writes `text` where names_text_read() then looks. */
static int read_back(const char *text, size_t len, struct names_line *lines,
                     unsigned *count, struct err *err)
{
    char dir[BENCH_PATH], path[BENCH_PATH + 16];
    FILE *f;
    int status;

    bench_make_dir(dir);
    snprintf(path, sizeof path, "%s/names", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
    status = names_text_read(path, lines, count, err);
    bench_remove_dir(dir);
    return status;
}

/* All that was written is read. */
static void comes_back(void **state)
{
    static struct names_line lines[NAMES_MAX], wrote[NAMES_MAX];
    struct buf b = {0};
    struct err err = {0};
    unsigned count = 0;

    (void)state;
    assert_int_equal(names_text_begin(&b, &err), 0);
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        char host[32], number[32];

        snprintf(host, sizeof host, "host-%u.test", i);
        snprintf(number, sizeof number, "10.0.0.%u", i);
        wrote[i] = line_of(host, number, i % 2 == 0 ? "fd00::2" : NULL);
        assert_int_equal(names_text_add(&b, &wrote[i], &err), 0);
    }
    assert_int_equal(read_back((char *)b.data, b.len, lines, &count, &err), 0);
    assert_int_equal(count, NAMES_MAX);
    assert_memory_equal(lines, wrote, sizeof lines);
    buf_free(&b);
}

/* One damaged line, and nothing of it is told. */
static void damage_is_found(void **state)
{
    static const char *const damaged[] = {
        "",
        "something else\n",
        "ringfence-names 2\neast.test 1 10.0.0.1\n",
        "ringfence-names 1\neast.test 1 10.0.0.1\nwest.test\n",
        "ringfence-names 1\neast.test 1\n",
        "ringfence-names 1\neast.test 1 \n",
        "ringfence-names 1\neast.test x 10.0.0.1\n",
        "ringfence-names 1\neast.test -1 10.0.0.1\n",
        "ringfence-names 1\neast.test 1 10.0.0.256\n",
        "ringfence-names 1\n 1 10.0.0.1\n",
        "ringfence-names 1\ne 1 ::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8 ::9\n",
    };
    static struct names_line lines[NAMES_MAX];
    struct err err = {0};
    char text[NAMES_FILE_MAX];
    unsigned count = 77;
    size_t n = (size_t)snprintf(text, sizeof text, "ringfence-names 1\n");

    (void)state;
    for (unsigned i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        int status = read_back(damaged[i], strlen(damaged[i]), lines, &count, &err);

        if (status != ERR_BADMSG)
            fail_msg("%d for: %s", status, damaged[i]);
    }
    for (unsigned i = 0; i <= NAMES_MAX; i++) /* one too many */
        n += (size_t)snprintf(text + n, sizeof text - n, "east.test 1 10.0.0.1\n");
    assert_int_equal(read_back(text, n, lines, &count, &err), ERR_BADMSG);
    assert_non_null(strstr(err.text, "damaged: line 34"));
    assert_int_equal(read_back(damaged[3], strlen(damaged[3]), lines, &count, &err),
                     ERR_BADMSG);
    assert_non_null(strstr(err.text, "damaged: line 3"));
    memset(text, '\n', sizeof text);
    memcpy(text, "ringfence-names 1\n", strlen("ringfence-names 1\n"));
    assert_int_equal(read_back(text, sizeof text, lines, &count, &err), ERR_BADMSG);
    text[50] = 0;
    assert_int_equal(read_back(text, 60, lines, &count, &err), ERR_BADMSG);
    assert_int_equal(count, 77);
}

/* A file that is not there has no names; what is no file is an error. */
static void an_absent_file_is_empty(void **state)
{
    static struct names_line lines[NAMES_MAX];
    struct err err = {0};
    unsigned count = 77;

    (void)state;
    assert_int_equal(names_text_read("/tmp", lines, &count, &err), ERR_IO);
    assert_int_equal(count, 77);
    assert_int_equal(names_text_read("/nowhere/names", lines, &count, &err), 0);
    assert_int_equal(count, 0);
}

/* The order of addresses is the resolver's whim; a host more or less is another answer. */
static void order_is_no_difference(void **state)
{
    struct names_answer ab = line_of("x", "10.0.0.1", "fd00::2").answer,
                        ba = line_of("x", "fd00::2", "10.0.0.1").answer,
                        a = line_of("x", "10.0.0.1", NULL).answer,
                        b = line_of("x", "fd00::2", NULL).answer,
                        c = line_of("x", "fd00::3", NULL).answer;
    char text[NAMES_ADDRESSES_TEXT];

    (void)state;
    assert_true(names_text_same(&ab, &ba));
    assert_false(names_text_same(&ab, &a));
    assert_false(names_text_same(&a, &ab));
    assert_false(names_text_same(&a, &b));
    assert_false(names_text_same(&b, &c));
    names_text_say(&ba, text);
    assert_string_equal(text, "fd00::2, 10.0.0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(an_absent_file_is_empty),
        cmocka_unit_test(order_is_no_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
