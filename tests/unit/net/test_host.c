/* What a host says to addresses and paths, and to a file that names them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/net/host.h"

static char dir[64];

static int new_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/rf-host-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"lock", "socket", "file"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];

        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static const char *in_dir(const char *name)
{
    static char path[4][128];
    static unsigned next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static int make_file(const char *name)
{
    int fd = open(in_dir(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

/* At a port of the kernel's choice. */
static int listen_tcp(int family, struct address *ret)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *sa =
        family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t len = family == AF_INET ? sizeof v4 : sizeof v6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (bind(fd, sa, len) != 0) {
        close(fd);
        return -1; /* no IPv6 here */
    }
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, sa, &len), 0);
    snprintf(ret->host, sizeof ret->host, family == AF_INET ? "127.0.0.1" : "::1");
    ret->port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
    return fd;
}

static int listen_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void who_holds_a_port_is_named(void **state)
{
    static const int families[] = {AF_INET, AF_INET6};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
        struct host_holder by = {0};
        struct address at;
        struct err err;
        int fd = listen_tcp(families[i], &at);

        if (fd < 0)
            continue;
        assert_int_equal(host_try_port(&at, &by, &err), ERR_BUSY);
        assert_int_equal(by.pid, getpid());
        assert_memory_equal(by.program, "test_net_host", 13);
        close(fd);
        assert_int_equal(host_try_port(&at, &by, &err), 0);
    }
}

static void an_address_of_another_host_is_none_of_ours(void **state)
{
    struct address at = {.host = "192.0.2.1", .port = 7400}; /* RFC 5737: nobody's */
    struct host_holder by = {0};
    struct err err;

    (void)state;
    assert_int_equal(host_try_port(&at, &by, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "192.0.2.1"));
    snprintf(at.host, sizeof at.host, "east.example.org");
    assert_int_equal(host_try_port(&at, &by, &err), ERR_INVAL);
}

static void a_socket_is_free_once_nobody_answers(void **state)
{
    struct host_holder by = {0};
    struct err err;
    int fd;

    (void)state;
    assert_int_equal(host_try_socket(in_dir("socket"), &by, &err), 0);
    fd = listen_unix(in_dir("socket"));
    assert_int_equal(host_try_socket(in_dir("socket"), &by, &err), ERR_BUSY);
    assert_int_equal(by.pid, getpid());
    close(fd);
    assert_int_equal(host_try_socket(in_dir("socket"), &by, &err), 0);
    close(make_file("file"));
    assert_int_equal(host_try_socket(in_dir("file"), &by, &err), ERR_INVAL);
}

/* ---- said of a file -------------------------------------------------------------------
 */

struct said {
    unsigned errors, warnings;
    char text[600];
};

static void on_finding(void *owner, bool is_error, const char *key, const char *text)
{
    struct said *s = owner;

    s->errors += is_error;
    s->warnings += !is_error;
    snprintf(s->text, sizeof s->text, "%s: %s", key, text);
}

/* The daemon of this configuration, which has its lock open, may hold what it holds: but
 * not when another one is to start. */
static void what_the_own_daemon_holds_is_not_wrong(void **state)
{
    struct address at;
    int fd = listen_tcp(AF_INET, &at), file = listen_unix(in_dir("socket"));

    (void)state;
    for (unsigned n = 0; n < 4; n++) {
        const bool own = n % 2 != 0, starting = n / 2 != 0;
        int lock = own ? make_file("lock") : -1;
        struct said said = {0};
        struct findings f = {.say = on_finding, .owner = &said};
        const struct host_check c = {&f, in_dir("lock"), starting};

        host_check_listen(&c, "listen", &at);
        assert_int_equal(said.errors, own && !starting ? 0 : 1);
        if (said.errors != 0) {
            assert_memory_equal(said.text, "listen: 127.0.0.1:", 18);
            assert_non_null(strstr(said.text, "test_net_host"));
            assert_int_equal(strstr(said.text, "already runs") != NULL, own);
        }
        host_check_socket(&c, "socket", in_dir("socket"), true);
        assert_int_equal(said.errors, own && !starting ? 0 : 2);
        if (own)
            close(lock);
        (void)unlink(in_dir("lock"));
    }
    close(fd);
    close(file);
}

static void a_directory_may_be_made_later_but_not_anywhere(void **state)
{
    static const struct {
        const char *name, *path, *says;
        bool made, parents, starting;
        unsigned errors, warnings;
    } table[] = {
        {"there", "", "", true, false, true, 0, 0},
        {"made at the start", "new", "is not there yet", true, false, false, 0, 1},
        {"made now", "new", "", true, false, true, 0, 0},
        {"with its parents", "new/more", "at the start", true, true, false, 0, 1},
        {"not with them", "new/more", "has to be", true, false, false, 0, 1},
        {"and missed now", "new/more", "there is no", true, false, true, 1, 0},
        {"never made", "new", "there is no", false, false, true, 1, 0},
        {"a file", "file", "not a directory", true, false, false, 1, 0},
        {"below a file", "file/new", "Not a directory", true, true, false, 1, 0},
    };

    (void)state;
    close(make_file("file"));
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        struct said said = {0};
        struct findings f = {.say = on_finding, .owner = &said};
        const struct host_check c = {&f, "", table[i].starting};

        (void)host_check_dir(&c, "data_dir", in_dir(table[i].path), table[i].made,
                             table[i].parents);
        if (said.errors != table[i].errors || said.warnings != table[i].warnings ||
            strstr(said.text, table[i].says) == NULL)
            fail_msg("%s: %u errors, %u warnings: %s", table[i].name, said.errors,
                     said.warnings, said.text);
    }
}

static void be_of(const char *path, uid_t uid, mode_t mode)
{
    assert_int_equal(chown(path, uid, (gid_t)-1), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* Root sees all as good. Whose eyes count is said by the directory; where that is not there
 * yet, or was made by root, by the user whom the unit names. */
static void root_looks_with_the_eyes_of_who_will_run(void **state)
{
    enum { NOBODY = 65534 };
    char user[HOST_USER_SIZE], group[HOST_USER_SIZE];
    struct err err = {0};

    (void)state;
    if (getuid() != 0)
        skip();
    assert_int_equal(host_look_as_owner(in_dir("new"), "nobody", &err), 0);
    host_user(user, group);
    host_look_back();
    assert_string_equal(user, "nobody");
    be_of(dir, 0, 0755);
    assert_int_equal(host_look_as_owner(dir, "nobody", &err), 0);
    assert_int_equal(geteuid(), NOBODY);
    host_look_back();
    assert_int_equal(host_look_as_owner(dir, "no-such-user", &err), 0);
    assert_int_equal(geteuid(), 0);
    assert_false(host_is_of_another(dir, user));
    be_of(dir, NOBODY, 0755);
    assert_int_equal(host_look_as_owner(dir, "no-such-user", &err), 0);
    assert_int_equal(geteuid(), NOBODY);
    assert_false(host_is_of_another(dir, user));
    host_look_back();
    assert_true(host_is_of_another(dir, user));
    assert_string_equal(user, "nobody");
}

/* What is above may be somebody else's by right: it is not to be given away. */
static void a_directory_to_be_made_is_made_not_given(void **state)
{
    struct said said = {0};
    struct findings f = {.say = on_finding, .owner = &said};
    const struct host_check c = {&f, "", false};
    struct err err = {0};

    (void)state;
    if (getuid() != 0)
        skip();
    be_of(dir, 0, 0755);
    assert_int_equal(host_look_as("nobody", &err), 0);
    (void)host_check_dir(&c, "data_dir", in_dir("new"), true, false);
    assert_non_null(strstr(said.text, "`install -d -m 0700 -o nobody -g "));
    assert_non_null(strstr(said.text, "/new`, or configure another"));
    assert_null(strstr(said.text, "chown"));
    (void)host_check_dir(&c, "data_dir", dir, true, false);
    assert_non_null(strstr(said.text, "cannot be written by user nobody: `chown nobody:"));
    host_look_back();
    assert_int_equal(said.errors, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_holds_a_port_is_named),
        cmocka_unit_test(an_address_of_another_host_is_none_of_ours),
        cmocka_unit_test_setup_teardown(a_socket_is_free_once_nobody_answers, new_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(what_the_own_daemon_holds_is_not_wrong, new_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_directory_may_be_made_later_but_not_anywhere,
                                        new_dir, remove_dir),
        cmocka_unit_test_setup_teardown(root_looks_with_the_eyes_of_who_will_run, new_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_directory_to_be_made_is_made_not_given, new_dir,
                                        remove_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
