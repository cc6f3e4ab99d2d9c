/* Keys: who may have them, and what a file of public keys may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/audit/keys.h"

static char dir[] = "/tmp/rf-audit-XXXXXX", path[64];

static void put_key(void)
{
    struct audit_key *key = NULL;
    FILE *f = fopen(path, "w");
    struct err err;

    assert_non_null(f);
    assert_int_equal(audit_key_make(&key, &err), 0);
    assert_int_equal(audit_key_write(f, key), 1);
    fclose(f);
    audit_key_free(key);
}

static void others_may_not_read_it(void **state)
{
    static const struct {
        mode_t mode;
        int status;
    } table[] = {
        {0600, 0},           {0400, 0},           {0640, ERR_REFUSED}, {0604, ERR_REFUSED},
        {0620, ERR_REFUSED}, {0602, ERR_REFUSED}, {0610, ERR_REFUSED},
    };

    (void)state;
    put_key();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct audit_key *key = NULL;
        struct err err = {0};

        assert_int_equal(chmod(path, table[i].mode), 0);
        assert_int_equal(audit_key_load(&key, path, &err), table[i].status);
        if (table[i].status != 0)
            assert_non_null(strstr(err.text, "chmod 600"));
        audit_key_free(key);
    }
    unlink(path);
}

static void only_a_file_with_such_a_key(void **state)
{
    struct audit_key *key = NULL;
    struct err err;
    FILE *f;

    (void)state;
    assert_int_equal(audit_key_load(&key, path, &err), ERR_NOTFOUND);
    assert_int_equal(audit_key_load(&key, dir, &err), ERR_REFUSED);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_int_equal(audit_key_load(&key, path, &err), ERR_IO);
    unlink(path);
    f = fopen(path, "w");
    fputs("-----BEGIN PRIVATE KEY-----\nMC4CAQA=\n-----END PRIVATE KEY-----\n", f);
    fclose(f);
    chmod(path, 0600);
    assert_int_equal(audit_key_load(&key, path, &err), ERR_INVAL);
    assert_null(key);
    unlink(path);
}

static void a_signature_is_of_one_key_and_one_text(void **state)
{
    struct audit_key *a = NULL, *b = NULL;
    uint8_t pa[AUDIT_PUBLIC_SIZE], pb[AUDIT_PUBLIC_SIZE], s[AUDIT_SIGNATURE_SIZE];
    struct err err;

    (void)state;
    assert_int_equal(audit_key_make(&a, &err), 0);
    assert_int_equal(audit_key_make(&b, &err), 0);
    audit_key_public(a, pa);
    audit_key_public(b, pb);
    assert_int_equal(audit_key_sign(a, "text", 4, s, &err), 0);
    assert_true(audit_signature_holds(pa, "text", 4, s));
    assert_false(audit_signature_holds(pa, "texs", 4, s));
    assert_false(audit_signature_holds(pa, "text", 3, s));
    assert_false(audit_signature_holds(pb, "text", 4, s));
    s[63] ^= 1;
    assert_false(audit_signature_holds(pa, "text", 4, s));
    audit_key_free(a);
    audit_key_free(b);
}

#define KEY "mzOHMVI+ZKGlYGW/zkD/m0II2DBneWHAvMxva81t1AA="

static void public_keys_are_read_line_by_line(void **state)
{
    static const struct {
        const char *text, *wrong; /* NULL: nothing */
        size_t n;
    } table[] = {
        {"", NULL, 0},
        {"# who\n\n  \ndemo east ed25519:" KEY "\n", NULL, 1},
        {"demo east ed25519:" KEY "\ndemo east ed25519:" KEY, NULL, 2},
        {"demo east ed25519:" KEY " x\n", "line 1", 0},
        {"demo east rsa:" KEY "\n", "line 1", 0},
        {"demo ed25519:" KEY "\n", "line 1", 0},
        {"\ndemo East ed25519:" KEY "\n", "line 2", 0},
        {"demo east ed25519:AAAA\n", "line 1", 0},
        {"demo east ed25519:mzOHMVI+ZKGlYGW/zkD/m0II2DBneWHAvMxva81t1AB=\n", "line 1", 0},
        {"-----BEGIN PUBLIC KEY-----\n", "line 1", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        AUTO(audit_keys_free) struct audit_keys keys = {0};
        struct err err = {0};
        int status = audit_keys_parse(&keys, table[i].text, &err);

        if ((status != 0) != (table[i].wrong != NULL))
            fail_msg("%s: %d %s", table[i].text, status, err.text);
        if (table[i].wrong != NULL)
            assert_non_null(strstr(err.text, table[i].wrong));
        assert_int_equal(keys.n, table[i].n);
    }
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/key", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_may_not_read_it),
        cmocka_unit_test(only_a_file_with_such_a_key),
        cmocka_unit_test(a_signature_is_of_one_key_and_one_text),
        cmocka_unit_test(public_keys_are_read_line_by_line),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
