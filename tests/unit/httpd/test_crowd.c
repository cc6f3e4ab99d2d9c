/* More clients than there is room for: those who say nothing give way to those who ask. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/httpd/bench.h"

enum { CROWD = 4 * HTTPD_CONNECTIONS_MAX };

/* Each has begun to speak, and stopped. */
static void fill(struct bench *b, int fds[CROWD], const char *half)
{
    for (unsigned i = 0; i < CROWD; i++) {
        fds[i] = bench_client(b);
        if (half[0] != '\0')
            (void)!send(fds[i], half, strlen(half), MSG_NOSIGNAL);
        bench_turn(b);
    }
}

static void empty(const int fds[CROWD])
{
    for (unsigned i = 0; i < CROWD; i++)
        close(fds[i]);
}

static void half_a_request_keeps_nobody_out(void **state)
{
    static const char *const halves[] = {
        "", "GET /primary HTTP/1.1\r\nHo",
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf"};
    static int fds[CROWD];

    (void)state;
    for (unsigned i = 0; i < sizeof halves / sizeof *halves; i++) {
        struct bench b;
        int fd;

        bench_open(&b);
        fill(&b, fds, halves[i]);
        fd = bench_client(&b);
        bench_say(fd, "GET /primary HTTP/1.1\r\nHost: h\r\n\r\n");
        bench_expect(&b, fd, "GET /primary name=-");
        assert_int_equal(b.handled, 1);
        close(fd);
        empty(fds);
        bench_close(&b);
    }
}

/* An answer that is still owed, and a stream, are no silence. */
static void who_waits_for_an_answer_stays(void **state)
{
    static int fds[CROWD];
    struct bench b;
    int later, stream;

    (void)state;
    bench_open(&b);
    later = bench_client(&b);
    bench_say(later, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_until(&b, &b.handled, 1);
    stream = bench_client(&b);
    bench_say(stream, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    bench_until(&b, &b.handled, 2);
    fill(&b, fds, "");
    assert_int_equal(b.gone, 0);
    http_reply(b.kept, 200, "text/plain", "at last\n", 8);
    bench_expect(&b, later, "at last\n");
    bench_forget(&b);
    http_stream_end(b.stream);
    bench_expect(&b, stream, "HTTP/1.1 200");
    close(later);
    close(stream);
    empty(fds);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_a_request_keeps_nobody_out),
        cmocka_unit_test(who_waits_for_an_answer_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
