#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/net/raw.h"

static char dir[BENCH_PATH];

static int make_ca(void **state)
{
    struct err err;

    (void)state;
    bench_make_dir(dir);
    return pki_init(dir, "prod", 100, &err);
}

static int remove_ca(void **state)
{
    (void)state;
    bench_remove_dir(dir);
    return 0;
}

static const char *in_dir(const char *name)
{
    static char paths[8][BENCH_PATH + 80];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static mode_t mode_of(const char *name)
{
    struct stat st;

    assert_int_equal(stat(in_dir(name), &st), 0);
    return st.st_mode & 0777;
}

static int load(const char *cert, const char *key, const char *self, struct err *err)
{
    const char *ca = in_dir("ca.crt"), *cert_path = in_dir(cert), *key_path = in_dir(key);
    const struct tls_files files = {ca, cert_path, key_path, NULL};
    struct identity id = bench_id(IDENTITY_CONTROLLER, self);
    struct tls *tls = NULL;
    int status = tls_new(&tls, &files, &id, err);

    if (status == 0)
        assert_true(tls_expires_s(tls) > time(NULL));
    tls_free(tls);
    return status;
}

/* Keys are for their owner alone. */
static void keys_are_private(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "east", 10, &err), 0);
    assert_int_equal(mode_of("ca.key"), 0600);
    assert_int_equal(mode_of("controller-east.key"), 0600);
}

/* What is issued can be loaded, by the node it is for. */
static void issued_is_loadable(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "east", 10, &err), 0);
    assert_int_equal(load("controller-east.crt", "controller-east.key", "east", &err), 0);
}

/* Nothing is overwritten: not the CA, not a node's key. */
static void overwrites_nothing(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(pki_init(dir, "prod", 10, &err), ERR_CONFLICT);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "a", 10, &err), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "a", 10, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "agent-a.key"));
    /* A certificate without a key: the new key must not stay behind. */
    assert_int_equal(unlink(in_dir("agent-a.key")), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "a", 10, &err), ERR_CONFLICT);
    assert_int_equal(access(in_dir("agent-a.key"), F_OK), -1);
}

/* Wrong arguments leave nothing behind. */
static void bad_arguments(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "No Name", 10, &err), ERR_INVAL);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "../x", 10, &err), ERR_INVAL);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "x", 0, &err), ERR_INVAL);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "x", PKI_DAYS_MAX + 1, &err),
                     ERR_INVAL);
    assert_int_equal(pki_init(in_dir("new"), "Prod", 10, &err), ERR_INVAL);
    assert_int_equal(access(in_dir("new"), F_OK), -1);
    assert_int_equal(pki_issue(in_dir("nowhere"), IDENTITY_AGENT, "x", 1, &err),
                     ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "ringfence pki init"));
}

/* Each wrong file is named, with what to do. */
static void wrong_files_are_named(void **state)
{
    static const struct {
        const char *cert, *key, *self;
        int code;
        const char *says;
    } table[] =
        {
            {"none.crt", "controller-east.key", "east", ERR_NOTFOUND, "/none.crt"},
            {"controller-east.crt", "none.key", "east", ERR_NOTFOUND, "/none.key"},
            {"garbage", "controller-east.key", "east", ERR_INVAL, "/garbage"},
            {"controller-east.crt", "garbage", "east", ERR_INVAL, "/garbage"},
            {"controller-east.crt", "controller-west.key", "east", ERR_INVAL,
             "does not belong to the certificate"},
            {"controller-west.crt", "controller-west.key", "east", ERR_PEER,
             "is for controller west of cluster prod, this node is controller east of "
             "cluster prod: correct the name"},
            {"old.crt", "old.key", "east", ERR_INVAL, "expired"},
            {"anon.crt", "anon.key", "east", ERR_PEER, "SAN URI"},
            {"two.crt", "two.key", "east", ERR_PEER, "more than one"},
        },
      *row;
    struct err err;
    FILE *garbage;

    (void)state;
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "east", 10, &err), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "west", 10, &err), 0);
    raw_craft(dir, "old", "URI:ringfence://prod/controller/east", -60);
    raw_craft(dir, "anon", NULL, 600);
    raw_craft(dir, "two",
              "URI:ringfence://prod/controller/east,URI:ringfence://prod/controller/west",
              600);
    garbage = fopen(in_dir("garbage"), "w");
    fputs("hello\n", garbage);
    fclose(garbage);
    assert_int_equal(chmod(in_dir("garbage"), 0600), 0);
    EACH (row, table) {
        print_message("%s %s\n", row->cert, row->key);
        assert_int_equal(load(row->cert, row->key, row->self, &err), row->code);
        print_message("  %s\n", err.text);
        assert_non_null(strstr(err.text, row->says));
    }
}

/* A key that everybody can use is not a key. */
static void public_key_file_is_refused(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "east", 10, &err), 0);
    assert_int_equal(chmod(in_dir("controller-east.key"), 0644), 0);
    assert_int_equal(load("controller-east.crt", "controller-east.key", "east", &err),
                     ERR_REFUSED);
}

/* A leaf does not outlive its CA. */
static void leaf_ends_with_its_ca(void **state)
{
    const char *ca = in_dir("ca.crt");
    const struct tls_files files = {ca, in_dir("controller-east.crt"),
                                    in_dir("controller-east.key"), NULL};
    struct identity id = bench_id(IDENTITY_CONTROLLER, "east");
    struct tls *tls;
    struct err err;

    (void)state;
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "east", 3650, &err), 0);
    assert_int_equal(tls_new(&tls, &files, &id, &err), 0);
    assert_true(tls_expires_s(tls) <= time(NULL) + 100L * 86400);
    tls_free(tls);
}

static void on_finding(void *owner, bool is_error, const char *key, const char *text)
{
    char *said = owner;

    snprintf(said, BENCH_PATH + 600, "%s%s: %s", is_error ? "" : "warning: ", key, text);
}

/* Of the files the one that is wrong is told by its key in the configuration; what will end
 * within a month is warned of. */
static void a_check_names_the_key(void **state)
{
    static const struct {
        const char *ca, *cert, *key, *crl, *self, *says;
        unsigned errors;
    } table[] =
        {
            {"ca.crt", "controller-told.crt", "controller-told.key", "crl.pem", "told", "",
             0},
            {"ca.crt", "controller-told.crt", "controller-told.key", "", "told", "", 0},
            {"gone", "controller-told.crt", "controller-told.key", "", "told",
             "tls.ca: ", 1},
            {"ca.crt", "gone", "controller-told.key", "", "told", "tls.cert: ", 1},
            {"ca.crt", "controller-told.crt", "gone", "", "told", "tls.key: ", 1},
            {"ca.crt", "controller-told.crt", "ca.key", "", "told", "tls.key: ", 1},
            {"ca.crt", "controller-told.crt", "controller-told.key", "gone", "told",
             "tls.crl: ", 1},
            {"ca.crt", "controller-told.crt", "controller-told.key", "ca.crt", "told",
             "tls.crl: ", 1},
            {"ca.crt", "controller-told.crt", "controller-told.key", "", "west",
             "tls.cert: ", 1},
            {"ca.crt", "controller-told.crt", "controller-told.key", "", "No", "name: ", 1},
            {"ca.crt", "controller-brief.crt", "controller-brief.key", "", "brief",
             "warning: tls.cert: ", 0},
            {"ca.crt", "controller-out.crt", "controller-out.key", "crl.pem", "out",
             "tls.cert: ", 1},
        },
      *row;
    unsigned n;
    struct err err;

    (void)state;
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "told", 90, &err), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "brief", 29, &err), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_CONTROLLER, "out", 90, &err), 0);
    assert_int_equal(pki_revoke(dir, "out", false, &n, &err), 0);
    EACH (row, table) {
        const char *ca = in_dir(row->ca), *cert = in_dir(row->cert),
                   *key = in_dir(row->key);
        const struct tls_files files = {ca, cert, key,
                                        row->crl[0] != 0 ? in_dir(row->crl) : ""};
        const struct tls_node node = {IDENTITY_CONTROLLER, "prod", row->self};
        char said[BENCH_PATH + 600] = "";
        struct findings f = {.say = on_finding, .owner = said};

        tls_check(&files, &node, &f);
        print_message("%s\n", said);
        assert_int_equal(f.errors, row->errors);
        assert_int_equal(f.warnings, row->errors == 0 && row->says[0] != 0);
        if (strncmp(said, row->says, strlen(row->says)) != 0)
            fail_msg("%s, and not at %s", said, row->says);
    }
}

int main(void)
{
#define WITH_CA(test) cmocka_unit_test_setup_teardown(test, make_ca, remove_ca)
    const struct CMUnitTest tests[] = {
        WITH_CA(keys_are_private),      WITH_CA(issued_is_loadable),
        WITH_CA(overwrites_nothing),    WITH_CA(bad_arguments),
        WITH_CA(wrong_files_are_named), WITH_CA(public_key_file_is_refused),
        WITH_CA(leaf_ends_with_its_ca), WITH_CA(a_check_names_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
