/* Connections that somebody else has made: whose they are comes back with each request,
 * and who does not say what it wants is let go. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/httpd/bench.h"

enum { FIRST_MS = 1000, NEXT_MS = 2000 };

static const struct httpd_adopts adopts = {40, FIRST_MS, NEXT_MS};
static const struct httpd_listen at = {.adopts = &adopts};

static int adopt(struct bench *b, const char *guest)
{
    struct err err = {0};
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    if (httpd_adopt(b->httpd, ends[0], strdup(guest), &err) != 0)
        fail_msg("%s", err.text);
    return ends[1];
}

/* Each connection has its own guest, whatever it asks and however often. */
static void a_guest_is_known(void **state)
{
    struct bench b;
    int a, c;

    (void)state;
    bench_open_at(&b, &at);
    a = adopt(&b, "alice");
    c = adopt(&b, "carol");
    for (int i = 0; i < 3; i++) {
        bench_say(a, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer xyz\r\n\r\n");
        bench_expect(&b, a, "guest=alice auth=Bearer xyz totp=-\n");
        bench_forget(&b);
        bench_say(c, "GET / HTTP/1.1\r\nHost: h\r\nX-Ringfence-TOTP: 123456\r\n\r\n");
        bench_expect(&b, c, "guest=carol auth=- totp=123456\n");
        bench_forget(&b);
    }
    close(a);
    close(c);
    bench_close(&b);
}

static void answers_bring_their_headers(void **state)
{
    struct bench b;
    int fd;

    (void)state;
    bench_open_at(&b, &at);
    fd = adopt(&b, "x");
    bench_say(fd, "GET /401 HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "WWW-Authenticate: Bearer\r\n");
    bench_expect(&b, fd, "guest=x");
    bench_forget(&b);
    bench_say(fd, "GET /429 HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "Retry-After: 1\r\n");
    bench_expect(&b, fd, "guest=x");
    bench_forget(&b);
    bench_say(fd, "GET /last HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, NULL); /* the connection's end */
    assert_non_null(strstr(b.text, "guest=x"));
    close(fd);
    bench_close(&b);
}

/* What is too long is said to be. */
static void too_much_is_refused(void **state)
{
    static char secret[HTTPD_SECRET_MAX + 200], header[2 * HTTPD_HEADER_MAX];
    struct bench b;
    int fd;

    (void)state;
    bench_open_at(&b, &at);
    fd = adopt(&b, "x");
    memset(secret, 'a', sizeof secret - 1);
    bench_say(fd, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ");
    bench_say_all(&b, fd, secret, sizeof secret - 1);
    bench_say(fd, "\r\n\r\n");
    bench_expect(&b, fd, "HTTP/1.1 431");
    bench_expect(&b, fd, "a secret of more than 8 KiB");
    close(fd);
    bench_forget(&b);
    fd = adopt(&b, "x");
    memset(header, 'a', sizeof header - 1);
    bench_say(fd, "GET / HTTP/1.1\r\nHost: h\r\nX-Long: ");
    (void)!send(fd, header, sizeof header - 1, MSG_NOSIGNAL);
    bench_expect(&b, fd, "HTTP/1.1 431");
    close(fd);
    assert_int_equal(b.handled, 0);
    bench_close(&b);
}

/* Half a request, and nothing at all, have their time; byte after byte is no progress. */
static void half_a_request_ends(void **state)
{
    static const char half[] =
        "GET / HTTP/1.1\r\nHost: hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh";
    const uint64_t begin = uv_hrtime();
    uint64_t took_ms;
    struct bench b;
    int nothing, slow;
    size_t said = 0;
    char c;

    (void)state;
    bench_open_at(&b, &at);
    nothing = adopt(&b, "x");
    slow = adopt(&b, "y");
    for (;;) {
        if (said < sizeof half - 1 && uv_hrtime() - begin > said * 100000000ull)
            (void)!send(slow, &half[said++], 1, MSG_NOSIGNAL);
        if (recv(slow, &c, 1, MSG_DONTWAIT) == 0 && recv(nothing, &c, 1, MSG_DONTWAIT) == 0)
            break;
        assert_true(uv_hrtime() - begin < 8000000000ull);
        bench_turn(&b);
    }
    took_ms = (uv_hrtime() - begin) / 1000000;
    print_message("ended after %u ms\n", (unsigned)took_ms);
    assert_true(took_ms >= FIRST_MS);
    assert_true(took_ms < FIRST_MS + 1500);
    assert_int_equal(b.handled, 0);
    close(nothing);
    close(slow);
    bench_close(&b);
}

/* Between two requests there is more time; a stream, and an answer that is owed, have all
 * of it. */
static void between_requests(void **state)
{
    const uint64_t begin = uv_hrtime();
    uint64_t took_ms;
    struct bench b;
    int fd, later, stream;

    (void)state;
    bench_open_at(&b, &at);
    fd = adopt(&b, "x");
    bench_say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "guest=x");
    later = adopt(&b, "y");
    bench_say(later, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    stream = adopt(&b, "z");
    bench_say(stream, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_until(&b, &b.handled, 3);
    bench_expect(&b, fd, NULL);
    took_ms = (uv_hrtime() - begin) / 1000000;
    assert_true(took_ms >= NEXT_MS);
    assert_int_equal(b.gone, 0);
    bench_forget(&b);
    http_reply(b.kept, 200, "text/plain", "at last\n", 8);
    bench_expect(&b, later, "at last\n");
    http_stream_end(b.stream);
    bench_forget(&b);
    bench_expect(&b, stream, "HTTP/1.1 200");
    close(fd);
    close(later);
    close(stream);
    bench_close(&b);
}

/* More than there is room for: none is lost, and none is left behind. */
static void a_crowd_is_adopted(void **state)
{
    enum { CROWD = 100 };
    struct bench b;
    int fds[CROWD], fd;

    (void)state;
    bench_open_at(&b, &at);
    for (int i = 0; i < CROWD; i++) {
        fds[i] = adopt(&b, "x");
        bench_turn(&b);
    }
    fd = adopt(&b, "alice");
    bench_say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_expect(&b, fd, "guest=alice");
    close(fd);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    bench_close(&b);
}

/* Closed before libmicrohttpd has said a word of them. */
static void closes_with_guests(void **state)
{
    struct bench b;
    int a, c;

    (void)state;
    bench_open_at(&b, &at);
    a = adopt(&b, "x");
    c = adopt(&b, "y");
    close(a);
    bench_close(&b);
    close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_is_known),
        cmocka_unit_test(answers_bring_their_headers),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(half_a_request_ends),
        cmocka_unit_test(between_requests),
        cmocka_unit_test(a_crowd_is_adopted),
        cmocka_unit_test(closes_with_guests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
