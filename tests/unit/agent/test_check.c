/* agent.yaml against its host: each thing that is wrong is named by its key, with what to
 * do; what may come right by itself is a warning. */
#include "tests/unit/agent/cmocka_env.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fencing/agent/agent_check.h"

enum { SAID_MAX = 8 };

static char dir[64];
static struct {
    char pw_name[64];
    uid_t pw_uid;
    gid_t pw_gid;
} user; /* of the server */

struct said {
    unsigned errors, warnings;
    char of[SAID_MAX][700];
};

static void on_finding(void *owner, bool is_error, const char *key, const char *text)
{
    struct said *s = owner;
    unsigned n = s->errors + s->warnings;

    assert_true(n < SAID_MAX);
    snprintf(s->of[n], sizeof s->of[0], "%s%s: %s", is_error ? "" : "warning: ", key, text);
    s->errors += is_error;
    s->warnings += !is_error;
}

static const char *in_dir(const char *name)
{
    static char path[32][160];
    static unsigned next;
    char *p = path[next++ % 32];

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void make_file(const char *name, mode_t mode)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    if (geteuid() == 0)
        assert_int_equal(fchown(fd, user.pw_uid, user.pw_gid), 0);
    close(fd);
}

static void fill_file(const char *name, const char *text)
{
    FILE *f = fopen(in_dir(name), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* What libpq reads, and what it only passes over. */
static const struct {
    const char *name, *text;
} passfiles[] = {
    {"pgpass", "# of the laboratory\n\n192.0.2.7:5432:*:ringfence:a:b\\:c\n"},
    {"garbage", "# none\n10.0.0.1 5432 secret\n"},
    {"unrelated", "192.0.2.7:5432:*:somebody:secret\n"},
    {"elsewhere", "192.0.2.99:5432:*:ringfence:secret\n"},
    {"one-database", "192.0.2.7:5432:replication:ringfence:secret\n"},
    {"escaped", "192.0.2.\\7:5432:*:ring\\fence:secret\n"},
    {"everything", "*:*:*:*:secret\n"},
};

static const char *const programs[] = {"postgres", "pg_controldata", "pg_basebackup",
                                       "pg_rewind", "pg_waldump"};

/* A host on which all is well. Root's tests act as for the user `nobody`. */
static int new_host(void **state)
{
    const struct passwd *pw;

    (void)state;
    pw = geteuid() == 0 ? getpwnam("nobody") : getpwuid(geteuid());
    assert_non_null(pw);
    snprintf(user.pw_name, sizeof user.pw_name, "%s", pw->pw_name);
    user.pw_uid = pw->pw_uid;
    user.pw_gid = pw->pw_gid;
    snprintf(dir, sizeof dir, "/tmp/rf-check-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(mkdir(in_dir("bin"), 0755), 0);
    assert_int_equal(mkdir(in_dir("state"), 0700), 0);
    assert_int_equal(mkdir(in_dir("closed"), 0700), 0);
    for (unsigned i = 0; i < ARRAY_LEN(programs); i++) {
        char name[32];

        snprintf(name, sizeof name, "bin/%s", programs[i]);
        make_file(name, 0755);
    }
    for (unsigned i = 0; i < ARRAY_LEN(passfiles); i++) {
        make_file(passfiles[i].name, 0600);
        fill_file(passfiles[i].name, passfiles[i].text);
    }
    assert_int_equal(mkdir(in_dir("conf"), 0755), 0);
    assert_int_equal(mkdir(in_dir("shared"), 01777), 0);
    assert_int_equal(chmod(in_dir("shared"), 01777), 0);
    fill_file("conf/agent.yaml", "name: pg-east\n");
    make_file("open", 0644);
    make_file("unreadable", 0000);
    return 0;
}

static int remove_host(void **state)
{
    static const char *const names[] = {"open", "unreadable", "conf/agent.yaml"};
    static const char *const dirs[] = {"bin", "state", "closed", "conf", "shared"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(programs); i++) {
        char name[32];

        snprintf(name, sizeof name, "bin/%s", programs[i]);
        (void)unlink(in_dir(name));
    }
    for (unsigned i = 0; i < ARRAY_LEN(passfiles); i++)
        (void)unlink(in_dir(passfiles[i].name));
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        (void)unlink(in_dir(names[i]));
    for (unsigned i = 0; i < ARRAY_LEN(dirs); i++)
        (void)rmdir(in_dir(dirs[i]));
    return rmdir(dir);
}

static struct agent_settings good(void)
{
    struct agent_settings s = {.driver = GATE_NFTABLES};

    snprintf(s.path, sizeof s.path, "%s", in_dir("conf/agent.yaml"));
    s.controller_count = 2;
    snprintf(s.controllers[0].at.host, sizeof s.controllers[0].at.host, "127.0.0.1");
    snprintf(s.controllers[1].at.host, sizeof s.controllers[1].at.host, "192.0.2.7");
    snprintf(s.address, sizeof s.address, "127.0.0.1");
    snprintf(s.state_dir, sizeof s.state_dir, "%s", in_dir("state"));
    snprintf(s.socket, sizeof s.socket, "%s", in_dir("agent.sock"));
    snprintf(s.cgroup, sizeof s.cgroup, "auto");
    snprintf(s.postgres.bin_dir, sizeof s.postgres.bin_dir, "%s", in_dir("bin"));
    snprintf(s.postgres.socket_dir, sizeof s.postgres.socket_dir, "%s", in_dir("pg"));
    snprintf(s.postgres.tail_dir, sizeof s.postgres.tail_dir, "%s", in_dir("tails"));
    snprintf(s.postgres.passfile, sizeof s.postgres.passfile, "%s", in_dir("pgpass"));
    snprintf(s.postgres.superuser, sizeof s.postgres.superuser, "%s", user.pw_name);
    snprintf(s.postgres.replication_user, sizeof s.postgres.replication_user, "ringfence");
    return s;
}

static struct said look(const struct agent_settings *s, bool starting)
{
    struct said said = {0};
    struct findings f = {.say = on_finding, .owner = &said};

    agent_check_host(s, starting, &f);
    agent_check_trust(s, &f);
    agent_check_server(s, starting, &f);
    assert_int_equal(f.errors, said.errors);
    return said;
}

/* Before the first start the two directories of the server are not there yet. */
static void nothing_is_said_of_what_is_right(void **state)
{
    struct agent_settings s = good();
    struct said said = look(&s, true);

    (void)state;
    if (said.errors + said.warnings != 0)
        fail_msg("%s", said.of[0]);
    said = look(&s, false);
    assert_int_equal(said.errors, 0);
    assert_int_equal(said.warnings, 2);
    assert_non_null(strstr(said.of[0], "warning: postgres.socket_dir: "));
    assert_non_null(strstr(said.of[1], "warning: postgres.tail_dir: "));
}

/* One thing is wrong, and that is said, once, and how to mend it. */
static void what_is_wrong_is_said(void **state)
{
    struct agent_settings s;
    const struct {
        char *field;
        size_t size;
        const char *value, *says, *mend;
    } table[] = {
#define ROW(f, value, says, mend) {s.f, sizeof s.f, value, says, mend}
        ROW(postgres.bin_dir, "/nowhere/bin", "postgres.bin_dir: there is no directory",
            "/usr/lib/postgresql"),
        ROW(postgres.bin_dir, "@closed", "closed has no postgres, pg_controldata",
            "install"),
        ROW(postgres.superuser, "rf-nobody-at-all",
            "postgres.superuser: there is no user 'rf-nobody-at-all'", "correct the name"),
        ROW(postgres.superuser, "root", "postgres.superuser: 'root' is root", "postgres"),
        ROW(postgres.passfile, "@nopass", "postgres.passfile: ", "ADDRESS:PORT:*:"),
        ROW(postgres.passfile, "@open", "has mode 0644", "chmod 0600"),
        ROW(postgres.passfile, "@unreadable", "cannot be read by user", "chmod 0600"),
        ROW(postgres.passfile, "@bin", "is not a file", ""),
        ROW(postgres.passfile, "@garbage",
            "garbage: line 2 is none of ADDRESS:", "correct"),
        ROW(postgres.passfile, "@unrelated", "has no line for user ringfence", "ADDRESS:"),
        ROW(postgres.socket_dir, "/var/tmp", "postgres.socket_dir: /var/tmp has mode 1777",
            "/run/ringfence-pg"),
        ROW(postgres.socket_dir, "@shared", "shared has mode 1777", "/run/ringfence-pg"),
        ROW(postgres.socket_dir, "@pgpass", "is not a directory", "another path"),
        ROW(postgres.socket_dir, "@state/pg",
            "postgres.socket_dir: ", "a place of its own"),
        ROW(postgres.socket_dir, "/run/ringfence/pg",
            "postgres.socket_dir: ", "a place of its own"),
        ROW(postgres.tail_dir, "/run/ringfence-agent",
            "postgres.tail_dir: ", "a place of its own"),
        ROW(postgres.tail_dir, "@pg/tails", "postgres.tail_dir: ", "two places"),
        ROW(postgres.tail_dir, "@open/tails", "postgres.tail_dir: ", "Not a dir"),
        ROW(state_dir, "@open", "state_dir: ", "is not a directory"),
        ROW(state_dir, "@a/b", "state_dir: there is no", "install -d"),
        ROW(socket, "@open", "socket: ", "move it away"),
        ROW(cgroup, "@bin", "gate.cgroup: /tmp/rf-check-", "`auto` for the root of all"),
        ROW(cgroup, "/no/such", "gate.cgroup: /no/such: No such file", "`auto`"),
        ROW(cgroup, "no/such", "gate.cgroup: no/such: No such file", "`auto`"),
#undef ROW
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) { /* "@": in the test's directory */
        struct said said;

        s = good();
        if (table[i].field == s.cgroup)
            s.driver = GATE_BPF;
        snprintf(table[i].field, table[i].size, "%s",
                 table[i].value[0] == '@' ? in_dir(table[i].value + 1) : table[i].value);
        said = look(&s, true);
        if (said.errors != 1 || strstr(said.of[0], table[i].says) == NULL ||
            strstr(said.of[0], table[i].mend) == NULL)
            fail_msg("%s: %u errors: %s", table[i].says, said.errors, said.of[0]);
    }
}

/* Which hosts will be asked is not known from the file; where controllers run is. */
static void a_passfile_for_nobody_we_know_is_a_warning(void **state)
{
    static const struct {
        const char *name;
        unsigned warnings;
    } table[] = {{"pgpass", 0},
                 {"elsewhere", 1},
                 {"one-database", 1},
                 {"escaped", 0},
                 {"everything", 0}};
    struct agent_settings s = good();

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        struct said said;

        snprintf(s.postgres.passfile, sizeof s.postgres.passfile, "%s",
                 in_dir(table[i].name));
        said = look(&s, true);
        assert_int_equal(said.errors, 0);
        assert_int_equal(said.warnings, table[i].warnings);
        if (said.warnings != 0)
            assert_non_null(strstr(said.of[0], "no other host of `controllers`"));
    }
}

/* Whoever can write agent.yaml, or put another one in its place, is root as good. */
static void a_file_that_others_can_write_is_not_trusted(void **state)
{
    static const struct {
        const char *part;
        mode_t mode, good;
        const char *says;
    } table[] = {
        {"conf", 0777, 0755, "every user can write"},
        {"conf", 0775, 0755, "its group can write"},
        {"conf/agent.yaml", 0666, 0644, "every user can write"},
        {"conf/agent.yaml", 0664, 0640, "its group can write"},
        {"conf", 01777, 0755, NULL}, /* as /tmp: nobody replaces what is another's */
    };
    struct agent_settings s = good();
    struct said said;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        const char *part = in_dir(table[i].part);

        if (geteuid() == 0)
            assert_int_equal(chown(part, 0, user.pw_gid), 0); /* group root is root's */
        assert_int_equal(chmod(part, table[i].mode), 0);
        said = look(&s, true);
        assert_int_equal(chmod(part, table[i].good), 0);
        assert_int_equal(said.errors, table[i].says != NULL);
        if (table[i].says == NULL)
            continue;
        assert_non_null(strstr(said.of[0], table[i].says));
        assert_non_null(strstr(said.of[0], "chmod go-w"));
    }
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(in_dir("conf"), user.pw_uid, 0), 0);
    said = look(&s, true);
    assert_int_equal(chown(in_dir("conf"), 0, 0), 0);
    assert_int_equal(said.errors, 1);
    assert_non_null(strstr(said.of[0], user.pw_name));
    assert_non_null(strstr(said.of[0], "chown root:root"));
}

/* Where its user may not pass, the server cannot go. Root may pass everywhere. */
static void a_closed_way_is_named(void **state)
{
    struct agent_settings s = good();
    struct said said;

    (void)state;
    if (geteuid() != 0)
        skip(); /* whoever made a directory may pass it */
    snprintf(s.postgres.socket_dir, sizeof s.postgres.socket_dir, "%s",
             in_dir("closed/pg"));
    said = look(&s, true);
    assert_int_equal(said.errors, 1);
    assert_non_null(strstr(said.of[0], "may not pass"));
    assert_non_null(strstr(said.of[0], "chmod o+x"));
}

/* Every one of them, not the first only. */
static void all_that_is_wrong_is_said(void **state)
{
    struct agent_settings s = good();
    struct said said;

    (void)state;
    s.has_http = true;
    s.http = (struct address){.host = "192.0.2.1", .port = 7403};
    snprintf(s.postgres.bin_dir, sizeof s.postgres.bin_dir, "/nowhere");
    snprintf(s.postgres.superuser, sizeof s.postgres.superuser, "rf-nobody-at-all");
    snprintf(s.address, sizeof s.address, "192.0.2.1");
    said = look(&s, true);
    assert_int_equal(said.errors, 3);
    assert_int_equal(said.warnings, 1);
    assert_non_null(strstr(said.of[0], "http: 192.0.2.1 is not an address of this host"));
    assert_non_null(strstr(said.of[1], "warning: address: 192.0.2.1"));
}

/* Its files are root's: what another user lacks must not be given to him. */
static void the_agent_is_root(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(agent_check_user(0, "root", &err), 0);
    assert_int_equal(agent_check_user(999, "ringfence", &err), ERR_REFUSED);
    assert_non_null(strstr(err.text, "this is user ringfence, and the agent is root"));
    assert_null(strstr(err.text, "chown"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_of_what_is_right),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(a_passfile_for_nobody_we_know_is_a_warning),
        cmocka_unit_test(a_file_that_others_can_write_is_not_trusted),
        cmocka_unit_test(a_closed_way_is_named),
        cmocka_unit_test(the_agent_is_root),
        cmocka_unit_test(all_that_is_wrong_is_said),
    };

    return cmocka_run_group_tests(tests, new_host, remove_host);
}
