/* Raw bytes on an HTTP port: the server answers or hangs up, and serves the next one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "controller/httpd/httpd.h"
#include "tests/fuzz/fuzz.h"

static uv_loop_t loop;
static struct httpd *httpd;
static struct sockaddr_un at = {.sun_family = AF_UNIX};

static void on_request(void *owner, struct http_request *req)
{
    const char *name = http_query(req, "name"), *type = http_header(req, "content-type");
    char text[256];
    size_t len;
    int n;

    (void)owner;
    CLAIM(http_body(req, &len) != NULL && len <= HTTPD_BODY_MAX, "a body of %zu", len);
    n = snprintf(text, sizeof text, "%.20s %.100s %.40s %.40s %zu\n", http_method(req),
                 http_path(req), name != NULL ? name : "-", type != NULL ? type : "-", len);
    http_reply(req, 200, "text/plain", text, (size_t)n < sizeof text ? (size_t)n : 0);
}

static void once(void)
{
    struct err err = {0};
    struct httpd_listen where = {.socket_path = at.sun_path};

    if (httpd != NULL)
        return;
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/rf-fuzz-http-%d.sock", (int)getpid());
    CLAIM(uv_loop_init(&loop) == 0, "no loop");
    CLAIM(httpd_open(&httpd, &loop, &where, on_request, NULL, &err) == 0, "%s", err.text);
}

static int dial(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    CLAIM(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0, "connect: %s",
          strerror(errno));
    return fd;
}

/* Turns the loop until the other side has ended the connection, or has had its chance. */
static size_t drain(int fd, unsigned turns)
{
    static char answer[65536];
    size_t got = 0;

    for (unsigned i = 0; i < turns; i++) {
        ssize_t n;

        uv_run(&loop, UV_RUN_NOWAIT);
        n = recv(fd, answer, sizeof answer, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return got;
        got += n > 0 ? (size_t)n : 0;
    }
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] =
        "GET /still HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    static unsigned inputs;
    int fd;

    if (size == 0 || size > 60000)
        return 0;
    once();
    fd = dial();
    (void)send(fd, data, size, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    (void)drain(fd, 8);
    close(fd);
    uv_run(&loop, UV_RUN_NOWAIT);
    if (inputs++ % 64 == 0) { /* and for the others it is as if nothing had happened */
        fd = dial();
        CLAIM(send(fd, good, sizeof good - 1, MSG_NOSIGNAL) == sizeof good - 1, "send");
        CLAIM(drain(fd, 1000) > 0, "no answer to the next request");
        close(fd);
    }
    return 0;
}
