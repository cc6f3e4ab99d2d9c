#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/httpd/bench.h"

/* One connection serves several requests, with query, header and body. */
static void keep_alive(void **state)
{
    struct bench b;
    int fd;

    (void)state;
    bench_open(&b);
    fd = bench_client(&b);
    bench_say(fd, "GET /a%20b?name=x%26y&empty HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "GET /a b name=x&y empty=yes type=- body=0\n");
    bench_forget(&b);
    bench_say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                  "Content-Length: 5\r\n\r\nhello");
    bench_expect(&b, fd, "POST /p name=- empty=no type=application/json body=5\n");
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
    fd = bench_client(&b);
    bench_say(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n");
    bench_expect(&b, fd, "HTTP/1.1 413 ");
    bench_expect(&b, fd, "{\"type\":\"urn:ringfence:problem:too-large\",");
    assert_int_equal(b.handled, 0);
    close(fd);
    bench_close(&b);
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
    fd = bench_client(&b);
    bench_say(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < HTTPD_BODY_MAX / CHUNK + 1; i++) {
        bench_say_all(&b, fd, "10000\r\n", 7);
        bench_say_all(&b, fd, chunk, CHUNK);
        bench_say_all(&b, fd, "\r\n", 2);
    }
    bench_say_all(&b, fd, "0\r\n\r\n", 5);
    bench_expect(&b, fd, "HTTP/1.1 413 ");
    bench_expect(&b, fd, "{\"type\":\"urn:ringfence:problem:too-large\",");
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
    fd = bench_client(&b);
    bench_say(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n");
    bench_say_all(&b, fd, body, HTTPD_BODY_MAX);
    bench_expect(&b, fd, "body=1048576\n");
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
    slow = bench_client(&b);
    quick = bench_client(&b);
    bench_say(slow, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_until(&b, &b.handled, 1);
    bench_say(quick, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, quick, "GET /now");
    bench_forget(&b);
    http_reply(b.kept, 202, "text/plain", "late\n", 5);
    bench_expect(&b, slow, "late\n");
    assert_non_null(strstr(b.text, "HTTP/1.1 202 "));
    bench_forget(&b);
    bench_say(slow, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, slow, "GET /again");
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
    fd = bench_client(&b);
    bench_say(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_until(&b, &b.handled, 1);
    close(fd);
    bench_turn(&b);
    assert_string_equal(http_path(b.kept), "/later");
    http_reply(b.kept, 200, "text/plain", "x", 1);
    fd = bench_client(&b);
    bench_say(fd, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "GET /next");
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
        fd = bench_client(&b);
        bench_say(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
        bench_until(&b, &b.handled, 1);
        httpd_close(b.httpd);
        b.httpd = NULL;
        bench_turn(&b);
        assert_string_equal(http_path(b.kept), "/later");
        if (as_stream) {
            bench_begin_stream(&b, b.kept);
            assert_int_equal(b.gone, 0);
            bench_until(&b, &b.gone, 1);
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
        fd = bench_client(&b);
        snprintf(text, sizeof text, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", paths[i]);
        bench_say(fd, text);
        bench_until(&b, &b.handled, 1);
        bench_turn(&b);
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
    fd = bench_client(&b);
    bench_say(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_until(&b, &b.handled, 1);
    for (unsigned i = 0; i < 20; i++) {
        char line[32];
        int n = snprintf(line, sizeof line, "line %u;", i);

        assert_int_equal(http_stream_write(b.stream, line, (size_t)n, &err), 0);
        bench_expect(&b, fd, line);
    }
    assert_non_null(strstr(b.text, "Transfer-Encoding: chunked"));
    assert_int_equal(http_stream_write(b.stream, "last", 4, &err), 0);
    http_stream_end(b.stream);
    bench_expect(&b, fd, "last\r\n0\r\n\r\n");
    bench_forget(&b);
    bench_say(fd, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "GET /again");
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
    fd = bench_client(&b);
    bench_say(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_until(&b, &b.handled, 1);
    bench_expect(&b, fd, "200 OK");
    close(fd);
    bench_until(&b, &b.gone, 1);
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
    fd = bench_client(&b);
    bench_say(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_until(&b, &b.handled, 1);
    while (status == 0) {
        status = http_stream_write(b.stream, block, sizeof block, &err);
        written += sizeof block;
        assert_true(written < 64u << 20);
        bench_turn(&b);
    }
    assert_int_equal(status, ERR_FULL);
    bench_until(&b, &b.gone, 1);
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
    fd = bench_client(&b);
    bench_say(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_until(&b, &b.handled, 1);
    bench_expect(&b, fd, "200 OK");
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
        fd = bench_client(&b);
        bench_say(fd, table[i]);
        bench_expect(&b, fd, NULL);
        close(fd);
        bench_forget(&b);
    }
    fd = bench_client(&b);
    bench_say(fd, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "GET /next");
    close(fd);
    bench_close(&b);
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
