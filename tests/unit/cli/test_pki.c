/* `ringfence pki`, as an operator sees it; what it makes is judged in tests/unit/net. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/cli/cli.h"
#include "tests/unit/cli/program.h"

/* The files of a CA go by their names: whatever else is found there is a fault. */
static void remove_pki(const char *dir)
{
    static const char *const files[] = {"ca.crt", "ca.key", "crl.pem", "agent-pg-east.crt",
                                        "agent-pg-east.key"};
    char place[64], file[128];
    const struct dirent *e;
    DIR *issued;

    snprintf(place, sizeof place, "%s/issued", dir);
    issued = opendir(place);
    assert_non_null(issued);
    while ((e = readdir(issued)) != NULL)
        if (e->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(issued), e->d_name, 0), 0);
    closedir(issued);
    assert_int_equal(rmdir(place), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(file, sizeof file, "%s/%s", dir, files[i]);
        assert_int_equal(unlink(file), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void test_pki(void **unused)
{
    char dir[] = "/tmp/rf-pki-XXXXXX";
    AUTO(outcome_free) struct outcome o = {0}, p = {0}, q = {0}, r = {0};

    (void)unused;
    assert_non_null(mkdtemp(dir));
    o = run(WORDS("pki", "init", "--dir", dir, "--cluster", "demo"));
    assert_int_equal(o.exit, CLI_OK);
    p = run(WORDS("pki", "issue", "--dir", dir, "agent", "pg-east"));
    assert_int_equal(p.exit, CLI_OK);
    q = run(WORDS("pki", "issue", "--dir", dir, "agent", "pg-east"));
    assert_int_equal(q.exit, CLI_NO); /* never overwritten */
    r = run(WORDS("pki", "issue", "--dir", dir, "agent", "PG"));
    assert_int_equal(r.exit, CLI_USAGE);
    remove_pki(dir);
}

/* A node's certificate from its beginning to its end, as an operator sees it. */
static void test_pki_life(void **unused)
{
    char dir[] = "/tmp/rf-pki-XXXXXX", list[64];
    AUTO(outcome_free) struct outcome made = {0}, issued = {0}, renewed = {0};
    AUTO(outcome_free) struct outcome revoked = {0}, shown = {0}, json = {0};
    AUTO(outcome_free) struct outcome crl = {0}, again = {0};

    (void)unused;
    assert_non_null(mkdtemp(dir));
    snprintf(list, sizeof list, "%s/crl.pem", dir);
    made = run(WORDS("pki", "init", "--dir", dir, "--cluster", "demo"));
    assert_int_equal(made.exit, CLI_OK);
    issued = run(WORDS("pki", "issue", "--dir", dir, "agent", "pg-east"));
    assert_int_equal(issued.exit, CLI_OK);
    renewed = run(WORDS("pki", "renew", "--dir", dir, "agent", "pg-east"));
    assert_int_equal(renewed.exit, CLI_OK);
    assert_non_null(strstr(renewed.out, "stays valid until it ends"));
    revoked = run(WORDS("pki", "revoke", "--dir", dir, "--superseded", "pg-east"));
    assert_int_equal(revoked.exit, CLI_OK);
    assert_non_null(strstr(revoked.out, "1 certificate of 'pg-east' revoked"));
    shown = run(WORDS("pki", "show", "--dir", dir));
    assert_int_equal(shown.exit, CLI_OK);
    assert_non_null(strstr(shown.out, "in use"));
    assert_non_null(strstr(shown.out, "revoked\n"));
    assert_non_null(strstr(shown.out, "revocation list 2 of"));
    json = run(WORDS("pki", "show", "--dir", dir, "--json"));
    assert_non_null(strstr(json.out, "\"state\":\"in use\""));
    assert_non_null(strstr(json.out, "\"days_left\":82"));
    crl = run(WORDS("pki", "show", list));
    assert_non_null(strstr(crl.out, "1 revoked"));
    again = run(WORDS("pki", "revoke", "--dir", dir, "--superseded", "pg-east"));
    assert_int_equal(again.exit, CLI_NO);
    assert_non_null(strstr(again.errors, "revoked already"));
    remove_pki(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pki),
        cmocka_unit_test(test_pki_life),
    };

    return cmocka_run_group_tests(tests, server_start, server_stop);
}
