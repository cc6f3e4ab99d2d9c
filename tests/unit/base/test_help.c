/* controller/base/help.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/help.h"

static const struct help_option options[] = {
    {"file", 'f', "FILE", "what to read"}, {"watch", 'w', NULL, "go on"}, {0}};
static const struct help_option more[] = {{"socket", 0, "PATH", "where"}, {0}};

static int parse(struct help_parsed *p, bool stop, int *used, struct err *err, ...)
{
    char *argv[16];
    struct help_words words = {argv, 0, stop};
    va_list args;

    va_start(args, err);
    while ((argv[words.count] = va_arg(args, char *)) != NULL)
        words.count++;
    va_end(args);
    return help_parse(options, more, &words, p, used, err);
}

/* Options in every form, operands anywhere, "-" is an operand, "--" ends options. */
static void test_forms(void **unused)
{
    struct help_parsed p;
    struct err err;
    int used;

    (void)unused;
    assert_int_equal(parse(&p, false, &used, &err, "-fa", "one", "--file=b=c", "-w", "-",
                           "--socket", "s", "--", "-x", NULL),
                     0);
    assert_int_equal(used, 9);
    assert_string_equal(help_value(&p, "file"), "b=c"); /* the last one wins */
    assert_string_equal(help_value(&p, "watch"), "");
    assert_string_equal(help_value(&p, "socket"), "s");
    assert_null(help_value(&p, "json"));
    assert_int_equal(p.operand_count, 3);
    assert_string_equal(p.operands[0], "one");
    assert_string_equal(p.operands[1], "-");
    assert_string_equal(p.operands[2], "-x");
    assert_int_equal(parse(&p, true, &used, &err, "--socket", "s", "status", "-w", NULL),
                     0);
    assert_int_equal(used, 2);
    assert_int_equal(p.operand_count, 0);
}

static void test_refusals(void **unused)
{
    static const struct {
        const char *words[3];
        const char *text;
    } rows[] = {
        {{"--fil", "x", NULL}, "unknown option '--fil'"}, /* no abbreviations */
        {{"-x", NULL}, "unknown option '-x'"},
        {{"--file", NULL}, "--file needs an argument: FILE"},
        {{"-f", NULL}, "--file needs an argument: FILE"},
        {{"--watch=yes", NULL}, "--watch takes no argument"},
        {{"-wf", NULL}, "--watch takes no argument"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct help_parsed p;
        struct err err = {0};

        assert_int_equal(
            parse(&p, false, NULL, &err, rows[i].words[0], rows[i].words[1], NULL),
            ERR_INVAL);
        assert_string_equal(err.text, rows[i].text);
    }
}

static const struct help_command first = {"go", "GROUP", "go there", "At once.", options};
static const struct help_command *const commands[] = {&first, NULL};
static const struct help_pair codes[] = {{"0", "done"}, {0}};
static const struct help program = {.program = "prog",
                                    .section = "8",
                                    .summary = "does things - well",
                                    .operands = "COMMAND",
                                    .text = "One.\n\n.Two begins with a dot.",
                                    .options = more,
                                    .commands = commands,
                                    .exit_codes = codes,
                                    .see_also = "other(1)"};

static char *printed(bool man, const struct help_command *c)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    if (man)
        help_print_man(&program, out);
    else
        help_print(&program, c, out);
    fclose(out);
    return text;
}

/* Whatever is in the table is in all three texts. */
static void test_texts(void **unused)
{
    char *whole = printed(false, NULL), *one = printed(false, &first),
         *man = printed(true, NULL);

    (void)unused;
    assert_non_null(strstr(whole, "usage: prog [OPTIONS] COMMAND\n"));
    assert_non_null(strstr(whole, "  go GROUP                go there\n"));
    assert_non_null(strstr(whole, "  --socket PATH           where\n"));
    assert_non_null(strstr(whole, "  0                       done\n"));
    assert_non_null(strstr(one, "usage: prog [OPTIONS] go GROUP\n"));
    assert_non_null(strstr(one, "  -f, --file FILE         what to read\n"));
    assert_non_null(strstr(one, "At once.\n"));
    assert_non_null(strstr(man, ".TH prog 8"));
    assert_non_null(strstr(man, "does things \\- well\n"));
    assert_non_null(strstr(man, ".PP\n\\&.Two begins"));
    assert_non_null(strstr(man, ".SS go\n.I GROUP\n"));
    assert_non_null(strstr(man, ".TP\n.B \\-f, \\-\\-file FILE\nwhat to read\n"));
    assert_non_null(strstr(man, ".SH SEE ALSO\nother(1)\n"));
    free(whole);
    free(one);
    free(man);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
