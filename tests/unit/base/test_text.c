/* controller/base/text.h and the ends of errors that are too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/err.h"
#include "controller/base/findings.h"
#include "controller/base/text.h"

static const struct {
    const char *given, *kept; /* in 20 bytes */
} rows[] = {
    {"", ""},
    {"fits", "fits"},
    {"just about that long", "just about that ..."},
    {"just about this one", "just about this one"},
    {"the disk is full since noon", "the disk is ..."},
    {"the disk was  full since noon", "the disk was  ..."},
    {"/var/lib/postgresql/15/main", "/var/lib/postgr ..."},
    {"a /var/lib/postgresql/15", "a /var/lib/post ..."},
    {"12345678901234\xc3\xbc and more", "12345678901234 ..."},
    {"1234567890123\xc3\xbc and more", "1234567890123\xc3\xbc ..."},
};

/* What does not fit ends at a word, or between two characters, and says so. */
static void what_does_not_fit_is_cut_at_a_word(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[20];

        text_set(text, sizeof text, "%s", rows[i].given);
        assert_string_equal(text, rows[i].kept);
    }
}

/* Set or wrapped, an error that is cut says so. */
static void an_error_says_that_it_was_cut(void **state)
{
    char words[2 * ERR_TEXT_SIZE];
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof words - 1; i++)
        words[i] = i % 5 == 4 ? ' ' : 'w';
    words[sizeof words - 1] = '\0';
    (void)err_set(&err, ERR_IO, "%s", words);
    assert_true(strlen(err.text) > ERR_TEXT_SIZE - 16);
    assert_string_equal(err.text + strlen(err.text) - 9, " wwww ...");
    words[ERR_TEXT_SIZE - 20] = '\0';
    (void)err_set(&err, ERR_IO, "%s", words);
    (void)err_wrap(&err, "what was tried when it went wrong");
    assert_int_equal(strncmp(err.text, "what was tried when it went wrong: wwww ", 40), 0);
    assert_string_equal(err.text + strlen(err.text) - 9, " wwww ...");
}

static void keep(void *owner, bool is_error, const char *key, const char *text)
{
    (void)is_error;
    (void)key;
    (void)snprintf(owner, ERR_TEXT_SIZE, "%s", text);
}

/* So does a finding. */
static void a_finding_says_that_it_was_cut(void **state)
{
    char words[2 * ERR_TEXT_SIZE], said[ERR_TEXT_SIZE];
    struct findings f = {.say = keep, .owner = said};

    (void)state;
    for (size_t i = 0; i < sizeof words - 1; i++)
        words[i] = i % 5 == 4 ? ' ' : 'w';
    words[sizeof words - 1] = '\0';
    findings_error(&f, "key", "%s", words);
    assert_string_equal(said + strlen(said) - 9, " wwww ...");
    findings_warn(&f, "key", "%s", words);
    assert_string_equal(said + strlen(said) - 9, " wwww ...");
    findings_warn(&f, "key", "short");
    assert_string_equal(said, "short");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_is_cut_at_a_word),
        cmocka_unit_test(an_error_says_that_it_was_cut),
        cmocka_unit_test(a_finding_says_that_it_was_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
