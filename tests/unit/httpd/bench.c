#include "tests/unit/httpd/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { WAIT_MS = 10000, TEXT_SIZE = 4 << 20 };

static void on_gone(void *owner)
{
    struct bench *b = owner;

    b->gone++;
    b->stream = NULL;
}

void bench_begin_stream(struct bench *b, struct http_request *req)
{
    b->stream = http_stream_begin(req, 200, "text/plain", on_gone, b);
    assert_non_null(b->stream);
}

static void reply_about(struct http_request *req)
{
    const char *name = http_query(req, "name"), *type = http_header(req, "content-type");
    const char *guest = http_guest(req), *bearer = http_header(req, "authorization"),
               *totp = http_header(req, "x-ringfence-totp");
    char text[512];
    size_t len;
    int n;

    (void)http_body(req, &len);
    if (guest != NULL) {
        n = snprintf(text, sizeof text, "guest=%s auth=%s totp=%s\n", guest,
                     bearer != NULL ? bearer : "-", totp != NULL ? totp : "-");
        if (strcmp(http_path(req), "/last") == 0)
            http_close_after(req);
        http_reply(req, http_path(req)[1] == '4' ? (unsigned)atoi(http_path(req) + 1) : 200,
                   "text/plain", text, (size_t)n);
        return;
    }
    n = snprintf(text, sizeof text, "%s %s name=%s empty=%s type=%s body=%zu\n",
                 http_method(req), http_path(req), name != NULL ? name : "-",
                 http_query(req, "empty") != NULL ? "yes" : "no", type != NULL ? type : "-",
                 len);
    http_reply(req, 200, "text/plain", text, (size_t)n);
}

void bench_handle(void *owner, struct http_request *req)
{
    struct bench *b = owner;

    b->handled++;
    if (strcmp(http_path(req), "/later") == 0)
        b->kept = req;
    else if (strcmp(http_path(req), "/stream") == 0)
        bench_begin_stream(b, req);
    else
        reply_about(req);
    if (b->close_in_handler) {
        httpd_close(b->httpd);
        b->httpd = NULL;
    }
}

void bench_open_at(struct bench *b, const struct httpd_listen *at)
{
    struct err err = {0};

    *b = (struct bench){.text = calloc(1, TEXT_SIZE)};
    assert_int_equal(uv_loop_init(&b->loop), 0);
    if (httpd_open(&b->httpd, &b->loop, at, bench_handle, b, &err) != 0)
        fail_msg("%s", err.text);
}

void bench_open(struct bench *b)
{
    const struct httpd_listen at = {.address = "127.0.0.1"};

    bench_open_at(b, &at);
}

void bench_close(struct bench *b)
{
    httpd_close(b->httpd);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    free(b->text);
}

int bench_client(const struct bench *b)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(httpd_port(b->httpd))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

void bench_say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void bench_turn(struct bench *b) { uv_run(&b->loop, UV_RUN_NOWAIT); }

void bench_until(struct bench *b, const unsigned *counter, unsigned target)
{
    const uint64_t end = uv_hrtime() + WAIT_MS * 1000000ull;

    while (*counter < target) {
        assert_true(uv_hrtime() < end);
        bench_turn(b);
    }
}

void bench_expect(struct bench *b, int fd, const char *what)
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
        bench_turn(b);
    }
}

void bench_forget(struct bench *b)
{
    b->len = 0;
    b->text[0] = '\0';
}

void bench_say_all(struct bench *b, int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
        bench_turn(b);
    }
}
