/* Which controllers are asked over the network, and as whom: options and profiles. What
 * goes over the wire is tried in tests/real/daemon/test_people.c. */
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

#include "controller/cli/cli.h"
#include "controller/cli/https.h"
#include "controller/net/pki.h"
#include "tests/unit/cli/program.h"

static char dir[] = "/tmp/rf-remote-XXXXXX";
static char ca[64], cert[64], key[64];

static int make_all(void **unused)
{
    struct err err = {0};
    char pki[48];

    (void)unused;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(pki, sizeof pki, "%s/pki", dir);
    snprintf(ca, sizeof ca, "%s/ca.crt", pki);
    snprintf(cert, sizeof cert, "%s/user-alice.crt", pki);
    snprintf(key, sizeof key, "%s/user-alice.key", pki);
    if (pki_init(pki, "prod", 30, &err) != 0 ||
        pki_issue(pki, IDENTITY_USER, "alice", 30, &err) != 0)
        return -1;
    return setenv("XDG_CONFIG_HOME", dir, 1);
}

static int remove_all(void **unused)
{
    char command[64];

    (void)unused;
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

/* Only what says host and port, and nothing else. */
static void urls(void **unused)
{
    static const struct {
        const char *url, *kept; /* NULL: refused */
    } table[] = {
        {"https://10.0.1.2:7404", "https://10.0.1.2:7404"},
        {"https://10.0.1.2:7404/", "https://10.0.1.2:7404"},
        {"https://[fd00::2]:7404", "https://[fd00::2]:7404"},
        {"https://east.example.org:1", "https://east.example.org:1"},
        {"http://10.0.1.2:7404", NULL},
        {"https://10.0.1.2", NULL},
        {"https://:7404", NULL},
        {"https://10.0.1.2:7404/v1", NULL},
        {"https://10.0.1.2:7404?x", NULL},
        {"https://user@10.0.1.2:7404", NULL},
        {"10.0.1.2:7404", NULL},
        {"https://", NULL},
        {"", NULL},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct remote r = {0};
        struct err err = {0};

        print_message("%s\n", table[i].url);
        if (table[i].kept == NULL) {
            assert_int_equal(remote_add_url(&r, table[i].url, &err), ERR_INVAL);
            assert_int_equal(r.count, 0);
        } else {
            assert_int_equal(remote_add_url(&r, table[i].url, &err), 0);
            assert_string_equal(r.urls[0], table[i].kept);
        }
    }
}

/* The fake's --socket is there already in run(): so this one goes its own way. */
static struct outcome ask(const char *const *words)
{
    struct outcome o = {0};
    char *argv[WORDS_MAX + 4] = {"ringfence", "--timeout=300ms"};
    int argc = 2;
    size_t size;
    FILE *out = open_memstream(&o.out, &size), *errors = open_memstream(&o.errors, &size);

    while (argc < WORDS_MAX + 2 && *words != NULL)
        argv[argc++] = (char *)(uintptr_t)*words++;
    o.exit = cli_main(argc, argv, out, errors);
    fclose(out);
    fclose(errors);
    return o;
}

#define URL "--url", "https://127.0.0.1:1"

/* What cannot be meant is told before anybody is asked. */
static void what_does_not_fit(void **unused)
{
    const struct {
        const char *words[WORDS_MAX + 1], *errors;
    } table[] = {
        {{"status", URL}, "--ca is missing"},
        {{"status", URL, "--ca", ca}, "--cert is missing"},
        {{"status", URL, "--ca", ca, "--cert", cert}, "--key is missing"},
        {{"status", URL, "--ca", "/nowhere", "--cert", cert, "--key", key},
         "--ca /nowhere"},
        {{"status", "--ca", ca}, "--ca, --cert and --key are of --url"},
        {{"status", URL, "--profile", "prod"}, "either --profile or --url"},
        {{"status", URL, "--ca", ca, "--cert", cert, "--key", key, "--socket", "s"},
         "either --socket or --url"},
        {{"status", "--profile", "../x"}, "--profile '../x'"},
        {{"status", "--profile", "nobody"}, "no profile 'nobody'"},
        {{"login"}, "login: expected --profile NAME"},
        {{"login", "--profile", "prod"}, "login: expected --profile NAME"},
        {{"login", URL, "--ca", ca, "--cert", cert, "--key", key},
         "login: expected --profile NAME"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(outcome_free) struct outcome o = ask(table[i].words);

        if (o.exit != CLI_USAGE || strstr(o.errors, table[i].errors) == NULL)
            fail_msg("row %zu: %d '%s'", i, o.exit, o.errors);
    }
}

/* A key that others can read is not used. */
static void a_key_is_private(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0};

    (void)unused;
    assert_int_equal(chmod(key, 0640), 0);
    o = ask(WORDS("status", URL, "--ca", ca, "--cert", cert, "--key", key));
    assert_int_equal(o.exit, CLI_USAGE);
    assert_non_null(strstr(o.errors, "can be used by others (mode 0640)"));
    assert_int_equal(chmod(key, 0600), 0);
}

/* Nobody answers: nothing is kept, and the status says that nothing has happened. */
static void what_does_not_answer_is_not_kept(void **unused)
{
    AUTO(outcome_free) struct outcome o = {0}, p = {0};
    char path[80];

    (void)unused;
    o = ask(
        WORDS("login", "--profile", "dead", URL, "--ca", ca, "--cert", cert, "--key", key));
    assert_int_equal(o.exit, CLI_UNREACHABLE);
    assert_non_null(strstr(o.errors, "connect to https://127.0.0.1:1: "));
    snprintf(path, sizeof path, "%s/ringfence/dead.json", dir);
    assert_int_not_equal(access(path, F_OK), 0);
    p = ask(WORDS("pause", "orders", URL, "--ca", ca, "--cert", cert, "--key", key));
    assert_int_equal(p.exit, CLI_UNREACHABLE);
}

/* What is kept comes back, is nobody else's, and is refused once others could write it. */
static void profiles(void **unused)
{
    struct remote r = {0}, back = {0};
    struct err err = {0};
    char path[PATH_MAX];
    struct stat st;
    FILE *f;

    (void)unused;
    assert_int_equal(remote_add_url(&r, "https://a:1", &err), 0);
    assert_int_equal(remote_add_url(&r, "https://b:2", &err), 0);
    snprintf(r.ca, sizeof r.ca, "%s", ca);
    snprintf(r.cert, sizeof r.cert, "%s", cert);
    snprintf(r.key, sizeof r.key, "%s", key);
    for (int i = 0; i < 2; i++) /* again: it is replaced */
        assert_int_equal(remote_save(&r, "prod", path, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(remote_load(&back, "prod", &err), 0);
    assert_memory_equal(&r, &back, sizeof r);
    assert_int_equal(chmod(path, 0620), 0);
    assert_int_equal(remote_load(&back, "prod", &err), ERR_REFUSED);
    assert_int_equal(chmod(path, 0600), 0);
    f = fopen(path, "w");
    fputs("{\"urls\": [\"https://a:1\"], \"ca\": \"x\", \"cert\": \"y\", \"key\": \"z\", "
          "\"more\": 1}",
          f);
    fclose(f);
    assert_int_equal(remote_load(&back, "prod", &err), ERR_INVAL); /* I10 */
    assert_int_equal(remote_load(&back, "none", &err), ERR_NOTFOUND);
}

/* As libcurl quotes OpenSSL: the other side has not read what we asked. */
static void refusals(void **unused)
{
    (void)unused;
    assert_true(https_is_refusal("OpenSSL SSL_read: OpenSSL/3.0.19: error:0A000414:SSL "
                                 "routines::sslv3 alert certificate revoked, errno 0"));
    assert_true(https_is_refusal("error:0A000418:SSL routines::tlsv1 alert unknown ca"));
    assert_true(https_is_refusal("SSL routines::sslv3 alert bad certificate"));
    assert_true(https_is_refusal("routines::tlsv13 alert certificate required"));
    assert_false(https_is_refusal("tlsv1 alert internal error"));
    assert_false(https_is_refusal("Recv failure: Connection reset by peer"));
    assert_false(https_is_refusal(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(a_key_is_private),
        cmocka_unit_test(what_does_not_answer_is_not_kept),
        cmocka_unit_test(profiles),
        cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests(tests, make_all, remove_all);
}
