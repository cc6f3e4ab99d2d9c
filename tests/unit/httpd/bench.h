/* tests/unit/httpd/bench.h -- a server whose handler does what the path says, and clients
 * that are plain sockets: "/later" is kept, "/stream" becomes a stream, all else is
 * answered at once with what was asked.
 *
 * Owner: bench_open() to bench_close(), which runs the loop dry and fails if a handle is
 *        left.
 */
#ifndef RF_TEST_HTTPD_BENCH_H
#define RF_TEST_HTTPD_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "controller/httpd/httpd.h"

struct bench {
    uv_loop_t loop;
    struct httpd *httpd;
    struct http_request *kept;
    struct http_stream *stream;
    unsigned handled, gone;
    bool close_in_handler;
    char *text; /* what a client has read, terminated */
    size_t len;
};

void bench_open_at(struct bench *b, const struct httpd_listen *at);
void bench_open(struct bench *b); /* on a port of 127.0.0.1 */
void bench_close(struct bench *b);

void bench_handle(void *owner, struct http_request *req); /* owner: the bench */
/* Make `req` the bench's stream. */
void bench_begin_stream(struct bench *b, struct http_request *req);

int bench_client(const struct bench *b);
void bench_say(int fd, const char *text);
/* More than the kernel takes at once. */
void bench_say_all(struct bench *b, int fd, const char *data, size_t len);
/* Run what is ready, and no more. */
void bench_turn(struct bench *b);
/* Turn the loop until `*counter` is `target`; fails the test after ten seconds. */
void bench_until(struct bench *b, const unsigned *counter, unsigned target);
/* Read into b->text until `what` is there (NULL: until the end of the connection). */
void bench_expect(struct bench *b, int fd, const char *what);
void bench_forget(struct bench *b);

#endif
