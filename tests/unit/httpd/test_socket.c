#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/httpd/bench.h"

/* A port in use is named, and how to find out by whom. */
static void port_in_use(void **state)
{
    struct bench b;
    struct httpd *second = NULL;
    struct httpd_listen at = {.address = "127.0.0.1"};
    struct err err;

    (void)state;
    bench_open(&b);
    at.port = httpd_port(b.httpd);
    assert_int_equal(httpd_open(&second, &b.loop, &at, bench_handle, &b, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "ss -ltnp"));
    at = (struct httpd_listen){.address = "localhost"};
    assert_int_equal(httpd_open(&second, &b.loop, &at, bench_handle, &b, &err), ERR_INVAL);
    at = (struct httpd_listen){.address = "203.0.113.7"};
    assert_int_equal(httpd_open(&second, &b.loop, &at, bench_handle, &b, &err),
                     ERR_NOTFOUND);
    assert_null(second);
    bench_close(&b);
}

struct names {
    char dir[64], path[96];
};

static void make_names(struct names *n)
{
    snprintf(n->dir, sizeof n->dir, "/tmp/rf-httpd-XXXXXX");
    assert_non_null(mkdtemp(n->dir));
    snprintf(n->path, sizeof n->path, "%s/api.sock", n->dir);
}

static int unix_client(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

/* The API's socket serves, is for its group only, and is removed at the end. */
static void unix_socket_serves(void **state)
{
    struct bench b = {0};
    struct names names;
    struct httpd_listen at = {.group = "root"};
    struct stat st;
    int fd;

    (void)state;
    make_names(&names);
    at.socket_path = names.path;
    if (getuid() != 0)
        at.group = NULL;
    bench_open_at(&b, &at);
    assert_int_equal(stat(names.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    fd = unix_client(names.path);
    bench_say(fd, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "GET /x");
    close(fd);
    bench_close(&b);
    assert_int_equal(access(names.path, F_OK), -1);
    assert_int_equal(rmdir(names.dir), 0);
}

/* Owner and mode are set by name: so nobody else may write there, nor own the place. */
static void no_socket_where_others_may_write(void **state)
{
    struct bench b = {0};
    struct names names;
    struct httpd_listen at = {0};
    struct httpd *h = NULL;
    struct err err;

    (void)state;
    make_names(&names);
    assert_int_equal(uv_loop_init(&b.loop), 0);
    at.socket_path = names.path;
    assert_int_equal(chmod(names.dir, 0775), 0);
    assert_int_equal(httpd_open(&h, &b.loop, &at, bench_handle, &b, &err), ERR_REFUSED);
    assert_non_null(strstr(err.text, "(mode 0775): `chmod go-w` it"));
    assert_int_equal(access(names.path, F_OK), -1);
    if (getuid() == 0) {
        assert_int_equal(chmod(names.dir, 0755), 0);
        assert_int_equal(chown(names.dir, 65534, 65534), 0);
        assert_int_equal(httpd_open(&h, &b.loop, &at, bench_handle, &b, &err), ERR_REFUSED);
        assert_non_null(strstr(err.text, "belongs to uid 65534"));
        assert_non_null(strstr(err.text, "runs as uid 0: run it as its own user"));
    }
    assert_null(h);
    assert_int_equal(uv_loop_close(&b.loop), 0);
    assert_int_equal(rmdir(names.dir), 0);
}

/* A socket file that nobody listens on is replaced; one that answers is not. */
static void stale_socket_is_replaced_a_live_one_is_not(void **state)
{
    struct bench b = {0};
    struct names names;
    struct httpd_listen at = {0};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct httpd *second = NULL;
    struct err err;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    make_names(&names);
    at.socket_path = names.path;
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", names.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd); /* as a killed process leaves it */
    bench_open_at(&b, &at);
    assert_int_equal(httpd_open(&second, &b.loop, &at, bench_handle, &b, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "another test_httpd_socket is running"));
    assert_null(second);
    fd = unix_client(names.path);
    bench_say(fd, "GET /still HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "GET /still");
    close(fd);
    bench_close(&b);
    assert_int_equal(rmdir(names.dir), 0);
}

/* What is not a socket is not removed, and wrong paths and groups are named. */
static void wrong_socket_paths(void **state)
{
    struct bench b = {0};
    struct names names;
    struct httpd_listen at = {0};
    struct httpd *h = NULL;
    struct err err;
    char longer[256], missing[160];
    int fd;

    (void)state;
    make_names(&names);
    assert_int_equal(uv_loop_init(&b.loop), 0);
    fd = open(names.path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    at.socket_path = names.path;
    assert_int_equal(httpd_open(&h, &b.loop, &at, bench_handle, &b, &err), ERR_INVAL);
    assert_int_equal(unlink(names.path), 0);
    at.group = "no-such-group";
    assert_int_equal(httpd_open(&h, &b.loop, &at, bench_handle, &b, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "no-such-group"));
    at.group = NULL;
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    at.socket_path = longer;
    assert_int_equal(httpd_open(&h, &b.loop, &at, bench_handle, &b, &err), ERR_INVAL);
    snprintf(missing, sizeof missing, "%s/no/api.sock", names.dir);
    at.socket_path = missing;
    assert_int_equal(httpd_open(&h, &b.loop, &at, bench_handle, &b, &err), ERR_NOTFOUND);
    assert_null(h);
    assert_int_equal(uv_loop_close(&b.loop), 0);
    assert_int_equal(rmdir(names.dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_in_use),
        cmocka_unit_test(unix_socket_serves),
        cmocka_unit_test(no_socket_where_others_may_write),
        cmocka_unit_test(stale_socket_is_replaced_a_live_one_is_not),
        cmocka_unit_test(wrong_socket_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
