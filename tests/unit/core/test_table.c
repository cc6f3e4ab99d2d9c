/* The table itself: one door to promotion, an exit from every state, docs that are current.
 *
 *   test_core_table DOCS            fails where the generated part of DOCS is stale
 *   test_core_table DOCS --rewrite  writes it
 */
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *docs_path;

enum { DOC_MAX = 64 << 10 };

/* I2: activation has two rows, one behind proofs, one for a group that forms. */
static void promotion_has_its_doors_and_no_other(void **state)
{
    const struct rule_row *rows;
    unsigned n = rule_rows(&rows), doors = 0;

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        if (rows[i].to != PHASE_PROMOTING || rows[i].from == PHASE_PROMOTING)
            continue;
        doors++;
        assert_true(strcmp(rows[i].name, "activate-behind-proofs") == 0 ||
                    strcmp(rows[i].name, "activate-declared") == 0);
        assert_true(rows[i].from == PHASE_FENCING || rows[i].from == PHASE_FORMING);
    }
    assert_int_equal(doors, 2);
}

/* I11: every state has an exit, and from each one steady can be reached. */
static void every_state_has_an_exit(void **state)
{
    const struct rule_row *rows;
    unsigned n = rule_rows(&rows);

    (void)state;
    for (int phase = PHASE_FORMING; phase < PHASE_COUNT; phase++) {
        bool reached[PHASE_COUNT] = {false};

        reached[phase] = true;
        for (int round = 0; round < PHASE_COUNT; round++)
            for (unsigned i = 0; i < n; i++)
                if (reached[rows[i].from])
                    reached[rows[i].to] = true;
        if (!reached[PHASE_STEADY])
            fail_msg("no way from %s to steady", phase_name((enum phase)phase));
    }
}

static void names_are_unique_and_fit_the_log(void **state)
{
    const struct rule_row *rows;
    unsigned n = rule_rows(&rows);

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        assert_true(strlen(rows[i].name) < RULE_SIZE);
        for (unsigned k = 0; k < i; k++)
            assert_true(strcmp(rows[i].name, rows[k].name) != 0 ||
                        rows[i].from != rows[k].from);
    }
}

static void add_diagram(FILE *out, const struct rule_row *rows, unsigned n)
{
    fprintf(out, "```mermaid\nstateDiagram-v2\n");
    for (unsigned i = 0; i < n; i++) {
        const char *from = rows[i].from == PHASE_NONE ? "[*]" : phase_name(rows[i].from);
        const char *to = rows[i].to == PHASE_NONE ? "[*]" : phase_name(rows[i].to);

        if (rows[i].from != rows[i].to)
            fprintf(out, "    %s --> %s: %s\n", from, to, rows[i].name);
    }
    fprintf(out, "```\n\n");
}

static void generate(char *text)
{
    const struct rule_row *rows;
    unsigned n = rule_rows(&rows);
    FILE *out = fmemopen(text, DOC_MAX, "w");

    assert_non_null(out);
    fprintf(out, "\n");
    add_diagram(out, rows, n);
    fprintf(out, "| row | phase | goes to | when |\n| --- | --- | --- | --- |\n");
    for (unsigned i = 0; i < n; i++) {
        bool any = rows[i].from == PHASE_NONE && rows[i].to == PHASE_NONE;

        fprintf(out, "| `%s` | %s | %s | %s |\n", rows[i].name,
                any ? "any" : phase_name(rows[i].from),
                rows[i].from == rows[i].to ? "stays" : phase_name(rows[i].to),
                rows[i].when);
    }
    fprintf(out, "\n");
    assert_int_equal(fclose(out), 0);
}

static const char begin_mark[] = "<!-- generated:rules -->";
static const char end_mark[] = "<!-- /generated:rules -->";

static void read_docs(char *text)
{
    FILE *in = fopen(docs_path, "r");
    size_t n;

    if (in == NULL)
        fail_msg("cannot read %s", docs_path);
    n = fread(text, 1, DOC_MAX - 1, in);
    text[n] = '\0';
    assert_int_equal(fclose(in), 0);
}

/* docs/architecture.md shows what rules.c says. */
static void the_docs_are_current(void **state)
{
    static char docs[DOC_MAX], wanted[DOC_MAX];
    char *begin, *end;

    (void)state;
    read_docs(docs);
    generate(wanted);
    begin = strstr(docs, begin_mark);
    end = strstr(docs, end_mark);
    assert_non_null(begin);
    assert_non_null(end);
    begin += strlen(begin_mark);
    if ((size_t)(end - begin) != strlen(wanted) ||
        memcmp(begin, wanted, strlen(wanted)) != 0)
        fail_msg("the rules in %s are stale: test_core_table %s --rewrite", docs_path,
                 docs_path);
}

static int rewrite(void)
{
    static char docs[DOC_MAX], wanted[DOC_MAX];
    char *begin, *end;
    FILE *out;

    read_docs(docs);
    generate(wanted);
    begin = strstr(docs, begin_mark);
    end = strstr(docs, end_mark);
    if (begin == NULL || end == NULL)
        return 1;
    out = fopen(docs_path, "w");
    if (out == NULL)
        return 1;
    begin += strlen(begin_mark);
    fwrite(docs, 1, (size_t)(begin - docs), out);
    fputs(wanted, out);
    fputs(end, out);
    return fclose(out) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promotion_has_its_doors_and_no_other),
        cmocka_unit_test(every_state_has_an_exit),
        cmocka_unit_test(names_are_unique_and_fit_the_log),
        cmocka_unit_test(the_docs_are_current),
    };

    if (argc < 2) {
        fprintf(stderr, "usage: %s docs/architecture.md [--rewrite]\n", argv[0]);
        return 2;
    }
    docs_path = argv[1];
    if (argc > 2 && strcmp(argv[2], "--rewrite") == 0)
        return rewrite();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
