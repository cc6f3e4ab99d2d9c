/* The CA's directory through its life: who may use it, and what it knows. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "tests/unit/net/craft.h"

enum { DAY = 86400 };

static char dir[BENCH_PATH];

static int make_ca(void **state)
{
    struct err err;

    (void)state;
    bench_make_dir(dir);
    return pki_init(dir, "prod", 1000, &err) != 0 ||
           pki_issue(dir, IDENTITY_CONTROLLER, "east", 100, &err) != 0 ||
           pki_issue(dir, IDENTITY_AGENT, "pg", 100, &err) != 0;
}

static int remove_ca(void **state)
{
    (void)state;
    bench_remove_dir(dir);
    return 0;
}

static const char *in_dir(const char *name)
{
    static char paths[4][BENCH_PATH + 80];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static X509 *read_cert(const char *name)
{
    FILE *file = fopen(in_dir(name), "r");
    X509 *cert;

    assert_non_null(file);
    cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(cert);
    return cert;
}

static int renew(enum identity_role role, const char *name, bool keep_key,
                 char old[PKI_SERIAL_SIZE], struct err *err)
{
    const struct pki_renewal what = {role, name, 200, keep_key};

    return pki_renew(dir, &what, old, err);
}

/* Of the controller east, the newest first. */
static unsigned list_east(struct pki_entry *ret, unsigned max, struct pki_crl *ret_crl)
{
    struct pki_entry *list = NULL;
    size_t n = 0;
    unsigned found = 0;
    struct err err = {0};

    if (pki_list(dir, &list, &n, ret_crl, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n && found < max; i++)
        if (!list[i].is_ca && list[i].id.role == IDENTITY_CONTROLLER)
            ret[found++] = list[i];
    free(list);
    return found;
}

/* A renewed node has another key, another serial, and a certificate that is the newest. The
 * one before is on record, and not revoked. */
static void renews_with_a_new_key(void **state)
{
    X509 *before = read_cert("controller-east.crt"), *after;
    struct pki_entry of[4];
    struct pki_crl crl;
    char old[PKI_SERIAL_SIZE];
    struct stat st;
    struct err err;

    (void)state;
    assert_int_equal(renew(IDENTITY_CONTROLLER, "east", false, old, &err), 0);
    after = read_cert("controller-east.crt");
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(before), X509_get0_pubkey(after)), 0);
    assert_int_equal(stat(in_dir("controller-east.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(list_east(of, 4, &crl), 2);
    assert_true(of[0].newest);
    assert_false(of[1].newest);
    assert_string_equal(of[1].serial, old);
    assert_int_equal(of[1].revoked_s, 0);
    assert_true(of[0].until_s > of[1].until_s);
    X509_free(before);
    X509_free(after);
}

/* With the same key, even where that has long been moved to its node. */
static void renews_for_the_same_key(void **state)
{
    X509 *before = read_cert("controller-east.crt"), *after;
    char old[PKI_SERIAL_SIZE];
    struct err err;

    (void)state;
    assert_int_equal(unlink(in_dir("controller-east.key")), 0);
    assert_int_equal(renew(IDENTITY_CONTROLLER, "east", true, old, &err), 0);
    after = read_cert("controller-east.crt");
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(before), X509_get0_pubkey(after)), 1);
    assert_int_equal(access(in_dir("controller-east.key"), F_OK), -1);
    X509_free(before);
    X509_free(after);
}

/* Ten renewals within a second: the newest of them is the newest. */
static void the_newest_is_the_last_one(void **state)
{
    struct pki_entry of[16];
    struct pki_crl crl;
    char old[PKI_SERIAL_SIZE], before[PKI_SERIAL_SIZE];
    struct err err;

    (void)state;
    list_east(of, 16, &crl);
    for (unsigned i = 0; i < 10; i++) {
        memcpy(before, of[0].serial, sizeof before);
        assert_int_equal(renew(IDENTITY_CONTROLLER, "east", false, old, &err), 0);
        assert_string_equal(old, before);
        assert_int_equal(list_east(of, 16, &crl), i + 2);
    }
}

/* A key that others may have is not certified once more. */
static void a_revoked_key_is_not_kept(void **state)
{
    char old[PKI_SERIAL_SIZE];
    unsigned n;
    struct err err;

    (void)state;
    assert_int_equal(pki_revoke(dir, "east", false, &n, &err), 0);
    assert_int_equal(renew(IDENTITY_CONTROLLER, "east", true, old, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "without --keep-key"));
    assert_int_equal(renew(IDENTITY_CONTROLLER, "east", false, old, &err), 0);
}

/* What is renewed must have been issued. */
static void only_what_was_issued_is_renewed(void **state)
{
    char old[PKI_SERIAL_SIZE];
    struct err err;

    (void)state;
    assert_int_equal(renew(IDENTITY_CONTROLLER, "west", false, old, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "pki issue controller west"));
    assert_int_equal(renew(IDENTITY_CONTROLLER, "pg", false, old, &err), ERR_NOTFOUND);
    assert_int_equal(renew(IDENTITY_CONTROLLER, "No", false, old, &err), ERR_INVAL);
}

/* By serial in any case, by name, by role and name; twice is once; the number of the list
 * grows each time, and what was on it stays. */
static void revokes_by_serial_and_name(void **state)
{
    struct pki_entry of[4];
    struct pki_crl crl;
    char old[PKI_SERIAL_SIZE], lower[PKI_SERIAL_SIZE];
    unsigned n = 0;
    struct err err;

    (void)state;
    list_east(of, 4, &crl);
    assert_true(crl.there);
    assert_int_equal(crl.number, 1);
    assert_int_equal(crl.revoked, 0);
    assert_true(crl.next_s > time(NULL) + (PKI_CRL_DAYS - 1) * (int64_t)DAY);
    assert_int_equal(renew(IDENTITY_CONTROLLER, "east", false, old, &err), 0);
    for (unsigned i = 0; i < sizeof lower; i++)
        lower[i] = (char)(old[i] >= 'A' && old[i] <= 'F' ? old[i] + 32 : old[i]);
    assert_int_equal(pki_revoke(dir, lower, false, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(pki_revoke(dir, old, false, &n, &err), ERR_CONFLICT);
    assert_int_equal(pki_revoke(dir, "controller/east", true, &n, &err), ERR_CONFLICT);
    assert_int_equal(list_east(of, 4, &crl), 2);
    assert_int_equal(of[0].revoked_s, 0);
    assert_true(of[1].revoked_s >= time(NULL) - 60);
    assert_int_equal(crl.number, 2);
    assert_int_equal(pki_revoke(dir, "east", false, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(pki_renew_crl(dir, 10, &err), 0);
    list_east(of, 4, &crl);
    assert_int_equal(crl.number, 4);
    assert_int_equal(crl.revoked, 2);
    assert_true(crl.next_s < time(NULL) + 11 * DAY);
    assert_int_equal(pki_revoke(dir, "nobody", false, &n, &err), ERR_NOTFOUND);
    assert_int_equal(pki_revoke(dir, "agent/east", false, &n, &err), ERR_NOTFOUND);
    assert_int_equal(pki_revoke(dir, "0123", true, &n, &err), ERR_INVAL);
}

/* A name that two nodes have revokes neither. */
static void a_name_of_two_nodes_is_asked_back(void **state)
{
    unsigned n;
    struct err err;

    (void)state;
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "east", 10, &err), 0);
    assert_int_equal(pki_revoke(dir, "east", false, &n, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "controller/east or agent/east"));
    assert_int_equal(pki_revoke(dir, "agent/east", false, &n, &err), 0);
}

/* A list that was lost is not begun again: that would forgive everybody. */
static void a_spoilt_list_is_not_replaced(void **state)
{
    unsigned n;
    struct err err;

    (void)state;
    craft_write(dir, "crl.pem", "nothing\n");
    assert_int_equal(pki_revoke(dir, "east", false, &n, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "put the last good one back"));
    assert_int_equal(pki_renew_crl(dir, 10, &err), ERR_INVAL);
}

/* What an older version has made has no `issued` and no list: it is taken as it is. */
static void an_older_ca_goes_on(void **state)
{
    struct pki_entry of[4];
    struct pki_crl crl;
    char old[PKI_SERIAL_SIZE];
    unsigned n;
    struct err err;

    (void)state;
    bench_remove_dir(in_dir("issued"));
    assert_int_equal(unlink(in_dir("crl.pem")), 0);
    assert_int_equal(list_east(of, 4, &crl), 1);
    assert_false(crl.there);
    assert_int_equal(renew(IDENTITY_CONTROLLER, "east", false, old, &err), 0);
    assert_int_equal(list_east(of, 4, &crl), 2);
    assert_int_equal(pki_revoke(dir, old, false, &n, &err), 0);
    list_east(of, 4, &crl);
    assert_int_equal(crl.number, 1);
    assert_true(of[1].revoked_s != 0);
}

/* ---- who may use it --------------------------------------------------------------------
 */

static int any_use(struct err *err)
{
    char old[PKI_SERIAL_SIZE];
    struct pki_entry *list = NULL;
    struct pki_crl crl;
    size_t count = 0;
    unsigned n;
    int code = pki_list(dir, &list, &count, &crl, err);

    free(list);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "new", 1, err), code);
    assert_int_equal(renew(IDENTITY_CONTROLLER, "east", false, old, err), code);
    assert_int_equal(pki_revoke(dir, "pg", false, &n, err), code);
    assert_int_equal(pki_renew_crl(dir, 1, err), code);
    return code;
}

/* Where others can write or read what signs, nothing is signed, and the cure is said. */
static void weak_permissions_are_refused(void **state)
{
    static const struct {
        const char *file;
        mode_t weak, good;
        const char *says;
    } table[] =
        {
            {".", 0777, 0700, "can be written by every user"},
            {".", 0770, 0700, "can be written by its group"},
            {"ca.key", 0644, 0600, "can be used by every user"},
            {"ca.key", 0640, 0600, "can be used by its group"},
            {"ca.key", 0620, 0600, "can be used by its group"},
            {"controller-east.key", 0604, 0600, "can be used by every user"},
            {"agent-pg.key", 0642, 0600, "can be used by every user"},
        },
      *row;
    struct err err = {0};

    (void)state;
    assert_int_equal(chmod(in_dir("agent-pg.key"), 0640), 0); /* its daemon's group */
    EACH (row, table) {
        char cure[BENCH_PATH];

        assert_int_equal(chmod(in_dir(row->file), row->weak), 0);
        assert_int_equal(any_use(&err), ERR_REFUSED);
        print_message("%s\n", err.text);
        assert_non_null(strstr(err.text, row->says));
        snprintf(cure, sizeof cure, "`chmod %s", row->file[0] == '.' ? "go-w" : "0600");
        assert_non_null(strstr(err.text, cure));
        assert_int_equal(chmod(in_dir(row->file), row->good), 0);
    }
    assert_int_equal(any_use(&err), 0);
}

/* Root alone can try it: a directory, or a key, that is somebody else's. */
static void another_owner_is_refused(void **state)
{
    static const char *const files[] = {".", "ca.key"};
    struct err err = {0};

    (void)state;
    if (geteuid() != 0)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        assert_int_equal(chown(in_dir(files[i]), 65534, 65534), 0);
        assert_int_equal(any_use(&err), ERR_REFUSED);
        assert_non_null(strstr(err.text, "belongs to uid 65534"));
        assert_int_equal(chown(in_dir(files[i]), 0, 0), 0);
    }
}

/* A key that is a link leads to where others may have put it. */
static void a_link_is_no_key(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(rename(in_dir("ca.key"), in_dir("elsewhere")), 0);
    assert_int_equal(symlink("elsewhere", in_dir("ca.key")), 0);
    assert_int_equal(any_use(&err), ERR_REFUSED);
}

/* Two at a time exclude each other; who only looks waits for nobody. */
static void two_at_a_time_exclude_each_other(void **state)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    struct pki_entry of[4];
    struct pki_crl crl;
    char old[PKI_SERIAL_SIZE];
    unsigned n;
    struct err err;

    (void)state;
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "x", 1, &err), ERR_BUSY);
    assert_int_equal(renew(IDENTITY_CONTROLLER, "east", false, old, &err), ERR_BUSY);
    assert_int_equal(pki_revoke(dir, "east", false, &n, &err), ERR_BUSY);
    assert_int_equal(pki_ca_prepare(dir, 10, &err), ERR_BUSY);
    assert_int_equal(list_east(of, 4, &crl), 1);
    close(fd);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "x", 1, &err), 0);
}

/* A step of the CA's replacement that was killed half-way is made whole by doing it again.
 */
static void an_interrupted_step_is_done_again(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(pki_ca_prepare(dir, 100, &err), 0);
    assert_int_equal(rename(in_dir("ca.key"), in_dir("ca-old.key")), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "x", 1, &err), ERR_INVAL);
    assert_non_null(strstr(err.text, "run it again"));
    assert_int_equal(pki_ca_use(dir, &err), 0);
    assert_int_equal(pki_issue(dir, IDENTITY_AGENT, "x", 1, &err), 0);
}

/* What a killed try has left beside is in nobody's way, and nothing is left by one that
 * was not. */
static void leaves_nothing_behind(void **state)
{
    char old[PKI_SERIAL_SIZE];
    struct err err;

    (void)state;
    craft_write(dir, "new.tmp", "half");
    assert_int_equal(renew(IDENTITY_CONTROLLER, "east", false, old, &err), 0);
    assert_int_equal(access(in_dir("new.tmp"), F_OK), -1);
}

/* One file, whoever made it. */
static void looks_at_one_file(void **state)
{
    struct pki_entry e;
    struct pki_crl crl;
    bool is_cert = false;
    struct err err;

    (void)state;
    assert_int_equal(pki_look(in_dir("agent-pg.crt"), &e, &crl, &is_cert, &err), 0);
    assert_true(is_cert);
    assert_true(e.has_identity);
    assert_string_equal(e.id.name, "pg");
    assert_int_equal(e.id.role, IDENTITY_AGENT);
    assert_int_equal(pki_look(in_dir("crl.pem"), &e, &crl, &is_cert, &err), 0);
    assert_false(is_cert);
    assert_int_equal(crl.number, 1);
    assert_int_equal(pki_look(in_dir("ca.key"), &e, &crl, &is_cert, &err), ERR_INVAL);
    assert_int_equal(pki_look(in_dir("nothing"), &e, &crl, &is_cert, &err), ERR_NOTFOUND);
}

int main(void)
{
#define WITH_CA(test) cmocka_unit_test_setup_teardown(test, make_ca, remove_ca)
    const struct CMUnitTest tests[] = {
        WITH_CA(renews_with_a_new_key),
        WITH_CA(renews_for_the_same_key),
        WITH_CA(the_newest_is_the_last_one),
        WITH_CA(a_revoked_key_is_not_kept),
        WITH_CA(only_what_was_issued_is_renewed),
        WITH_CA(revokes_by_serial_and_name),
        WITH_CA(a_name_of_two_nodes_is_asked_back),
        WITH_CA(a_spoilt_list_is_not_replaced),
        WITH_CA(an_older_ca_goes_on),
        WITH_CA(weak_permissions_are_refused),
        WITH_CA(another_owner_is_refused),
        WITH_CA(a_link_is_no_key),
        WITH_CA(two_at_a_time_exclude_each_other),
        WITH_CA(an_interrupted_step_is_done_again),
        WITH_CA(leaves_nothing_behind),
        WITH_CA(looks_at_one_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
