/* A secret's file is nobody else's, and what it holds is in no message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fencing/methods/secret.h"
#include "tests/unit/base/tree.h"

static char dir[TREE_PATH], path[TREE_PATH + 16];

static void put(const char *bytes, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void expect(int code, const char *says)
{
    char secret[SECRET_SIZE] = "untouched";
    struct err err = {0};
    int status = secret_read(path, secret, &err);

    if (status != code || strstr(err.text, says) == NULL)
        fail_msg("%s: '%s', expected %s with '%s'", err_name(status), err.text,
                 err_name(code), says);
    assert_string_equal(secret, "untouched");
    assert_null(strstr(err.text, "hidden"));
}

static void expect_read(const char *wanted)
{
    char secret[SECRET_SIZE];
    struct err err = {0};

    if (secret_read(path, secret, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(secret, wanted);
    secret_wipe(secret);
    assert_string_equal(secret, "");
}

static void one_line_is_a_secret(void **state)
{
    static const struct {
        const char *bytes, *secret;
    } table[] = {{"hidden", "hidden"},
                 {"hidden\n", "hidden"},
                 {"hidden\r\n", "hidden"},
                 {" with blanks \"and quotes\" \n", " with blanks \"and quotes\" "},
                 {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}};
    char longest[SECRET_SIZE + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        put(table[i].bytes, strlen(table[i].bytes), 0600);
        expect_read(table[i].secret);
    }
    memset(longest, 'x', sizeof longest);
    longest[SECRET_SIZE - 1] = '\0';
    put(longest, SECRET_SIZE - 1, 0400);
    expect_read(longest);
}

static void anything_else_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *says;
    } table[] = {{"", 0, "empty"},
                 {"\n", 1, "empty"},
                 {"hidden\naction=on\n", 17, "more than one line"},
                 {"hidden\0more", 11, "control character"},
                 {"hidden\033[2J", 10, "control character"}};
    char long_one[SECRET_SIZE + 10];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        put(table[i].bytes, table[i].len, 0600);
        expect(ERR_INVAL, table[i].says);
    }
    memset(long_one, 'x', sizeof long_one);
    for (size_t len = SECRET_SIZE; len <= sizeof long_one; len++) {
        put(long_one, len, 0600);
        expect(ERR_INVAL, "longer than 1023 bytes");
    }
}

/* Of groups only that of this process may read it. */
static void others_may_neither_read_nor_change_it(void **state)
{
    static const struct {
        mode_t mode;
        bool good;
    } table[] = {{0600, true},  {0400, true},  {0640, true},  {0440, true}, {0644, false},
                 {0604, false}, {0602, false}, {0660, false}, {0620, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        put("hidden\n", 7, table[i].mode);
        if (table[i].good)
            expect_read("hidden");
        else
            expect(ERR_REFUSED, "chmod 0600");
    }
    if (geteuid() != 0)
        return; /* only root can make somebody else the owner */
    put("hidden\n", 7, 0640);
    assert_int_equal(chown(path, 0, 12345), 0);
    expect(ERR_REFUSED, "group 12345");
    assert_int_equal(chown(path, 12345, 0), 0);
    expect(ERR_REFUSED, "belongs to user 12345");
    assert_int_equal(chown(path, 0, 0), 0);
    /* One that we may not read ourselves. */
    assert_int_equal(chmod(dir, 0711), 0);
    assert_int_equal(setegid(12345), 0);
    assert_int_equal(seteuid(12345), 0);
    expect(ERR_REFUSED, "user 12345 of group 12345: `chgrp 12345 ");
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    assert_int_equal(chmod(dir, 0700), 0);
}

/* Kubernetes' secrets are links in a directory of root's; in one that others may write a
 * link is anybody's. */
static void a_link_is_followed_in_a_place_of_ours_only(void **state)
{
    char file[TREE_PATH + 16];

    (void)state;
    put("hidden\n", 7, 0600);
    snprintf(file, sizeof file, "%s/file", dir);
    assert_int_equal(rename(path, file), 0);
    assert_int_equal(symlink(file, path), 0);
    expect_read("hidden");
    assert_int_equal(chmod(dir, 01777), 0);
    expect(ERR_REFUSED, "symbolic link");
    assert_int_equal(chmod(dir, 0770), 0);
    expect(ERR_REFUSED, "symbolic link");
    assert_int_equal(chmod(dir, 0700), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(file), 0);
}

/* A pipe nobody writes to would be waited for, for ever. */
static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    (void)unlink(path);
    expect(ERR_NOTFOUND, "No such file");
    assert_int_equal(mkfifo(path, 0600), 0);
    expect(ERR_REFUSED, "not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect(ERR_REFUSED, "not a regular file");
    assert_int_equal(rmdir(path), 0);
}

static void each_occurrence_is_hidden(void **state)
{
    static const struct {
        const char *secret, *text, *hidden;
    } table[] = {
        {"s3cret", "with s3cret, and s3crets3cret.", "with ***, and ******."},
        {"a", "banana", "b***n***n***"},
        {"*", "a * b", "a *** b"},
        {"p@ss/w", "http://u:p%40ss%2Fw@h p@ss/w", "http://u:***@h ***"},
        {"absent", "nothing", "nothing"},
    };
    char text[64], small[10];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        snprintf(text, sizeof text, "%s", table[i].text);
        secret_hide(table[i].secret, text, sizeof text);
        assert_string_equal(text, table[i].hidden);
    }
    /* Longer than before, and no room for it: what is cut is not the hiding. */
    snprintf(small, sizeof small, "xx,yy,xx!");
    secret_hide("xx", small, sizeof small);
    assert_string_equal(small, "***,yy,");
    snprintf(small, sizeof small, "x");
    secret_hide("x", small, 2);
    assert_string_equal(small, "");
}

static int begin(void **state)
{
    (void)state;
    tree_make(dir, "/tmp");
    snprintf(path, sizeof path, "%s/secret", dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return tree_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_is_a_secret),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(others_may_neither_read_nor_change_it),
        cmocka_unit_test(a_link_is_followed_in_a_place_of_ours_only),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(each_occurrence_is_hidden),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
