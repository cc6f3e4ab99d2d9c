#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "controller/httpd/httpd.h"

enum { WAIT_MS = 10000, TEXT_SIZE = 4 << 20 };

/* A server whose handler does what the path says. */
struct bench {
    uv_loop_t loop;
    struct httpd *httpd;
    struct http_request *kept; /* "/later" */
    struct http_stream *stream;
    unsigned handled, gone;
    bool close_in_handler;
    char dir[64], path[96];
    char *text; /* what a client has read, terminated */
    size_t len;
};

static void on_gone(void *owner)
{
    struct bench *b = owner;

    b->gone++;
    b->stream = NULL;
}

static void begin_stream(struct bench *b, struct http_request *req)
{
    b->stream = http_stream_begin(req, 200, "text/plain", on_gone, b);
    assert_non_null(b->stream);
}

static void reply_about(struct http_request *req)
{
    const char *name = http_query(req, "name"), *type = http_header(req, "content-type");
    char text[512];
    size_t len;
    int n;

    (void)http_body(req, &len);
    n = snprintf(text, sizeof text, "%s %s name=%s empty=%s type=%s body=%zu\n",
                 http_method(req), http_path(req), name != NULL ? name : "-",
                 http_query(req, "empty") != NULL ? "yes" : "no", type != NULL ? type : "-",
                 len);
    http_reply(req, 200, "text/plain", text, (size_t)n);
}

static void handle(void *owner, struct http_request *req)
{
    struct bench *b = owner;

    b->handled++;
    if (strcmp(http_path(req), "/later") == 0)
        b->kept = req;
    else if (strcmp(http_path(req), "/stream") == 0)
        begin_stream(b, req);
    else
        reply_about(req);
    if (b->close_in_handler) {
        httpd_close(b->httpd);
        b->httpd = NULL;
    }
}

static void open_at(struct bench *b, const struct httpd_listen *at)
{
    struct err err = {0};

    *b = (struct bench){.text = calloc(1, TEXT_SIZE)};
    assert_int_equal(uv_loop_init(&b->loop), 0);
    if (httpd_open(&b->httpd, &b->loop, at, handle, b, &err) != 0)
        fail_msg("%s", err.text);
}

static void bench_open(struct bench *b)
{
    const struct httpd_listen at = {.address = "127.0.0.1"};

    open_at(b, &at);
}

static void bench_close(struct bench *b)
{
    httpd_close(b->httpd);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    free(b->text);
}

static int client(const struct bench *b)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(httpd_port(b->httpd))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void turn(struct bench *b) { uv_run(&b->loop, UV_RUN_NOWAIT); }

/* Turn the loop until `*counter` is `target`. */
static void until(struct bench *b, const unsigned *counter, unsigned target)
{
    const uint64_t end = uv_hrtime() + WAIT_MS * 1000000ull;

    while (*counter < target) {
        assert_true(uv_hrtime() < end);
        turn(b);
    }
}

/* Read into b->text until `what` is there (NULL: until the end of the connection). */
static void expect(struct bench *b, int fd, const char *what)
{
    const uint64_t end = uv_hrtime() + WAIT_MS * 1000000ull;
    ssize_t n;

    for (;;) {
        if (what != NULL && strstr(b->text, what) != NULL)
            return;
        n = recv(fd, b->text + b->len, TEXT_SIZE - b->len - 1, MSG_DONTWAIT);
        if (n > 0) {
            b->len += (size_t)n;
            b->text[b->len] = '\0';
        }
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            if (what == NULL)
                return;
            fail_msg("the connection ended; had: %s", b->text);
        }
        if (uv_hrtime() > end)
            fail_msg("waited for '%s'; had: %.200s", what != NULL ? what : "EOF", b->text);
        turn(b);
    }
}

static void forget(struct bench *b)
{
    b->len = 0;
    b->text[0] = '\0';
}

/* One connection serves several requests, with query, header and body. */
static void keep_alive(void **state)
{
    struct bench b;
    int fd;

    (void)state;
    bench_open(&b);
    fd = client(&b);
    say(fd, "GET /a%20b?name=x%26y&empty HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&b, fd, "GET /a b name=x&y empty=yes type=- body=0\n");
    forget(&b);
    say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            "Content-Length: 5\r\n\r\nhello");
    expect(&b, fd, "POST /p name=- empty=no type=application/json body=5\n");
    assert_int_equal(b.handled, 2);
    close(fd);
    bench_close(&b);
}

/* An announced body that is too long is refused before it is sent. */
static void long_body_is_413_at_once(void **state)
{
    struct bench b;
    int fd;

    (void)state;
    bench_open(&b);
    fd = client(&b);
    say(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n");
    expect(&b, fd, "HTTP/1.1 413 ");
    assert_int_equal(b.handled, 0);
    close(fd);
    bench_close(&b);
}

static void send_all(struct bench *b, int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
        turn(b);
    }
}

/* A body that does not say its length is read to the end, not kept, and refused. */
static void long_chunked_body_is_413(void **state)
{
    enum { CHUNK = 64 << 10 };
    struct bench b;
    char *chunk = calloc(1, CHUNK);
    int fd;

    (void)state;
    bench_open(&b);
    fd = client(&b);
    say(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < HTTPD_BODY_MAX / CHUNK + 1; i++) {
        send_all(&b, fd, "10000\r\n", 7);
        send_all(&b, fd, chunk, CHUNK);
        send_all(&b, fd, "\r\n", 2);
    }
    send_all(&b, fd, "0\r\n\r\n", 5);
    expect(&b, fd, "HTTP/1.1 413 ");
    assert_int_equal(b.handled, 0);
    close(fd);
    free(chunk);
    bench_close(&b);
}

/* The longest body that is allowed arrives whole. */
static void longest_body_arrives(void **state)
{
    struct bench b;
    char *body = calloc(1, HTTPD_BODY_MAX);
    int fd;

    (void)state;
    bench_open(&b);
    fd = client(&b);
    say(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n");
    send_all(&b, fd, body, HTTPD_BODY_MAX);
    expect(&b, fd, "body=1048576\n");
    close(fd);
    free(body);
    bench_close(&b);
}

/* An answer may come later; other requests are served meanwhile. */
static void answer_comes_later(void **state)
{
    struct bench b;
    int slow, quick;

    (void)state;
    bench_open(&b);
    slow = client(&b);
    quick = client(&b);
    say(slow, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    until(&b, &b.handled, 1);
    say(quick, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&b, quick, "GET /now");
    forget(&b);
    http_reply(b.kept, 202, "text/plain", "late\n", 5);
    expect(&b, slow, "late\n");
    assert_non_null(strstr(b.text, "HTTP/1.1 202 "));
    forget(&b);
    say(slow, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&b, slow, "GET /again");
    close(slow);
    close(quick);
    bench_close(&b);
}

/* A client that has gone is no reason to crash when its answer comes. */
static void client_gone_before_the_answer(void **state)
{
    struct bench b;
    int fd;

    (void)state;
    bench_open(&b);
    fd = client(&b);
    say(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    until(&b, &b.handled, 1);
    close(fd);
    turn(&b);
    assert_string_equal(http_path(b.kept), "/later");
    http_reply(b.kept, 200, "text/plain", "x", 1);
    fd = client(&b);
    say(fd, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&b, fd, "GET /next");
    close(fd);
    bench_close(&b);
}

/* A request outlives the server, and may be answered, or made a stream, afterwards. */
static void answer_after_close(void **state)
{
    struct bench b;
    int fd;

    (void)state;
    for (int as_stream = 0; as_stream < 2; as_stream++) {
        bench_open(&b);
        fd = client(&b);
        say(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
        until(&b, &b.handled, 1);
        httpd_close(b.httpd);
        b.httpd = NULL;
        turn(&b);
        assert_string_equal(http_path(b.kept), "/later");
        if (as_stream) {
            begin_stream(&b, b.kept);
            assert_int_equal(b.gone, 0);
            until(&b, &b.gone, 1);
        } else {
            http_reply(b.kept, 200, "text/plain", "x", 1);
        }
        close(fd);
        bench_close(&b);
    }
}

/* The server may be closed by its own handler. */
static void close_inside_the_handler(void **state)
{
    static const char *const paths[] = {"now", "later", "stream"};
    struct bench b;
    char text[64];
    int fd;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        bench_open(&b);
        b.close_in_handler = true;
        fd = client(&b);
        snprintf(text, sizeof text, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", paths[i]);
        say(fd, text);
        until(&b, &b.handled, 1);
        turn(&b);
        if (b.kept != NULL)
            http_reply(b.kept, 200, "text/plain", "x", 1);
        assert_null(b.stream);
        close(fd);
        bench_close(&b);
    }
}

/* A stream sends what is written when it is written, and ends properly. */
static void stream_flows(void **state)
{
    struct bench b;
    struct err err;
    int fd;

    (void)state;
    bench_open(&b);
    fd = client(&b);
    say(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    until(&b, &b.handled, 1);
    for (unsigned i = 0; i < 20; i++) {
        char line[32];
        int n = snprintf(line, sizeof line, "line %u;", i);

        assert_int_equal(http_stream_write(b.stream, line, (size_t)n, &err), 0);
        expect(&b, fd, line);
    }
    assert_non_null(strstr(b.text, "Transfer-Encoding: chunked"));
    assert_int_equal(http_stream_write(b.stream, "last", 4, &err), 0);
    http_stream_end(b.stream);
    expect(&b, fd, "last\r\n0\r\n\r\n");
    forget(&b);
    say(fd, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&b, fd, "GET /again");
    assert_int_equal(b.gone, 0);
    close(fd);
    bench_close(&b);
}

/* The owner of a silent stream is told when the client hangs up. */
static void hang_up_is_noticed(void **state)
{
    struct bench b;
    int fd;

    (void)state;
    bench_open(&b);
    fd = client(&b);
    say(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    until(&b, &b.handled, 1);
    expect(&b, fd, "200 OK");
    close(fd);
    until(&b, &b.gone, 1);
    assert_null(b.stream);
    bench_close(&b);
}

/* A client that does not read is cut off at the limit. */
static void slow_reader_is_cut_off(void **state)
{
    static char block[32 << 10];
    struct bench b;
    struct err err;
    size_t written = 0;
    int fd, status = 0;

    (void)state;
    memset(block, 'x', sizeof block);
    bench_open(&b);
    fd = client(&b);
    say(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    until(&b, &b.handled, 1);
    while (status == 0) {
        status = http_stream_write(b.stream, block, sizeof block, &err);
        written += sizeof block;
        assert_true(written < 64u << 20);
        turn(&b);
    }
    assert_int_equal(status, ERR_FULL);
    until(&b, &b.gone, 1);
    assert_int_equal(b.gone, 1);
    close(fd);
    bench_close(&b);
}

/* Closing the server tells each stream, once. */
static void close_tells_streams(void **state)
{
    struct bench b;
    int fd;

    (void)state;
    bench_open(&b);
    fd = client(&b);
    say(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    until(&b, &b.handled, 1);
    expect(&b, fd, "200 OK");
    httpd_close(b.httpd);
    b.httpd = NULL;
    assert_int_equal(b.gone, 1);
    close(fd);
    bench_close(&b);
}

/* Garbage is answered or cut off, and the next client is served. */
static void garbage_does_no_harm(void **state)
{
    static const char *const table[] = {
        "\x16\x03\x01\x02\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    struct bench b;
    int fd;

    (void)state;
    bench_open(&b);
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        fd = client(&b);
        say(fd, table[i]);
        expect(&b, fd, NULL);
        close(fd);
        forget(&b);
    }
    fd = client(&b);
    say(fd, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&b, fd, "GET /next");
    close(fd);
    bench_close(&b);
}

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
    assert_int_equal(httpd_open(&second, &b.loop, &at, handle, &b, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "ss -ltnp"));
    at = (struct httpd_listen){.address = "localhost"};
    assert_int_equal(httpd_open(&second, &b.loop, &at, handle, &b, &err), ERR_INVAL);
    at = (struct httpd_listen){.address = "203.0.113.7"};
    assert_int_equal(httpd_open(&second, &b.loop, &at, handle, &b, &err), ERR_NOTFOUND);
    assert_null(second);
    bench_close(&b);
}

static void make_path(struct bench *b)
{
    snprintf(b->dir, sizeof b->dir, "/tmp/rf-httpd-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->path, sizeof b->path, "%s/api.sock", b->dir);
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
    struct bench b = {0}, names = {0};
    struct httpd_listen at = {.group = "root"};
    struct stat st;
    int fd;

    (void)state;
    make_path(&names);
    at.socket_path = names.path;
    if (getuid() != 0)
        at.group = NULL;
    open_at(&b, &at);
    assert_int_equal(stat(names.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    fd = unix_client(names.path);
    say(fd, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&b, fd, "GET /x");
    close(fd);
    bench_close(&b);
    assert_int_equal(access(names.path, F_OK), -1);
    assert_int_equal(rmdir(names.dir), 0);
}

/* A socket file that nobody listens on is replaced; one that answers is not. */
static void stale_socket_is_replaced_a_live_one_is_not(void **state)
{
    struct bench b = {0}, names = {0};
    struct httpd_listen at = {0};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct httpd *second = NULL;
    struct err err;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    make_path(&names);
    at.socket_path = names.path;
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", names.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd); /* as a killed process leaves it */
    open_at(&b, &at);
    assert_int_equal(httpd_open(&second, &b.loop, &at, handle, &b, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "another ringfenced is running"));
    assert_null(second);
    fd = unix_client(names.path);
    say(fd, "GET /still HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&b, fd, "GET /still");
    close(fd);
    bench_close(&b);
    assert_int_equal(rmdir(names.dir), 0);
}

/* What is not a socket is not removed, and wrong paths and groups are named. */
static void wrong_socket_paths(void **state)
{
    struct bench b = {0}, names = {0};
    struct httpd_listen at = {0};
    struct httpd *h = NULL;
    struct err err;
    char longer[256], missing[160];
    int fd;

    (void)state;
    make_path(&names);
    assert_int_equal(uv_loop_init(&b.loop), 0);
    fd = open(names.path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    at.socket_path = names.path;
    assert_int_equal(httpd_open(&h, &b.loop, &at, handle, &b, &err), ERR_INVAL);
    assert_int_equal(unlink(names.path), 0);
    at.group = "no-such-group";
    assert_int_equal(httpd_open(&h, &b.loop, &at, handle, &b, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "no-such-group"));
    at.group = NULL;
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    at.socket_path = longer;
    assert_int_equal(httpd_open(&h, &b.loop, &at, handle, &b, &err), ERR_INVAL);
    snprintf(missing, sizeof missing, "%s/no/api.sock", names.dir);
    at.socket_path = missing;
    assert_int_equal(httpd_open(&h, &b.loop, &at, handle, &b, &err), ERR_NOTFOUND);
    assert_null(h);
    assert_int_equal(uv_loop_close(&b.loop), 0);
    assert_int_equal(rmdir(names.dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive),
        cmocka_unit_test(long_body_is_413_at_once),
        cmocka_unit_test(long_chunked_body_is_413),
        cmocka_unit_test(longest_body_arrives),
        cmocka_unit_test(answer_comes_later),
        cmocka_unit_test(client_gone_before_the_answer),
        cmocka_unit_test(answer_after_close),
        cmocka_unit_test(close_inside_the_handler),
        cmocka_unit_test(stream_flows),
        cmocka_unit_test(hang_up_is_noticed),
        cmocka_unit_test(slow_reader_is_cut_off),
        cmocka_unit_test(close_tells_streams),
        cmocka_unit_test(garbage_does_no_harm),
        cmocka_unit_test(port_in_use),
        cmocka_unit_test(unix_socket_serves),
        cmocka_unit_test(stale_socket_is_replaced_a_live_one_is_not),
        cmocka_unit_test(wrong_socket_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
