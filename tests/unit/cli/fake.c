#include "tests/unit/cli/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/base/assert.h"

enum { REQUEST_MAX = 16384 };

struct exchange {
    int fd;
    char text[REQUEST_MAX];
    size_t len;
};

static bool read_more(struct exchange *x)
{
    ssize_t n = recv(x->fd, x->text + x->len, sizeof x->text - 1 - x->len, 0);

    if (n <= 0)
        return false;
    x->len += (size_t)n;
    x->text[x->len] = '\0';
    return true;
}

/* True once head and body are there; the body's place in *ret_body. */
static bool read_request(struct exchange *x, char **ret_body)
{
    char *end, *length;
    size_t wanted;

    while ((end = strstr(x->text, "\r\n\r\n")) == NULL)
        if (!read_more(x))
            return false;
    length = strcasestr(x->text, "\r\nContent-Length:");
    wanted = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
    while (x->len < (size_t)(end + 4 - x->text) + wanted)
        if (!read_more(x))
            return false;
    *end = '\0';
    *ret_body = end + 4;
    return true;
}

static bool well_formed(const struct exchange *x, const char *body)
{
    const char *line_end = strstr(x->text, "\r\n");

    return line_end != NULL && line_end - x->text > 9 &&
           memcmp(line_end - 9, " HTTP/1.1", 9) == 0 &&
           strcasestr(x->text, "\r\nHost: localhost") != NULL &&
           (body[0] == '\0' ||
            strcasestr(x->text, "\r\nContent-Type: application/json") != NULL);
}

static bool is_for_version(const struct fake *f)
{
    return strncmp(f->line, "GET /api/v1/version ", 20) == 0;
}

static void note_key(struct fake *f, const char *head)
{
    const char *key = strcasestr(head, "\r\nIdempotency-Key: ");

    memcpy(f->key_before, f->key, sizeof f->key);
    f->key[0] = '\0';
    if (key != NULL)
        snprintf(f->key, sizeof f->key, "%.*s", (int)strcspn(key + 19, "\r"), key + 19);
}

static void reply(const struct fake *f, int fd, bool ok)
{
    static const char unknown[] =
        "{\"code\": \"unknown-group\", \"detail\": \"there is none\"}";
    static const char leaderless[] =
        "{\"code\": \"no-leader\", \"detail\": \"nobody leads\"}";
    bool refuse = f->refuses == f->asked;
    bool lost = f->no_leader && strstr(f->line, "?stale=ok ") == NULL;
    bool listed = f->listed != NULL && strstr(f->line, "GET /api/v1/proposals ") == f->line;
    bool version = f->keys && is_for_version(f);
    const char *body = f->body;
    unsigned status = f->status;
    char head[200];
    size_t len;

    if (version || listed)
        status = 200;
    else if (lost || refuse)
        status = lost ? 503 : 404;
    if (version)
        body = "{\"keys\": true}";
    else if (lost)
        body = leaderless;
    else if (refuse)
        body = unknown;
    else if (listed)
        body = f->listed;
    len = strlen(body);
    snprintf(head, sizeof head,
             "HTTP/1.1 %u X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
             ok ? status : 400, len + (f->end == FAKE_CUT ? 10 : 0));
    (void)send(fd, head, strlen(head), MSG_NOSIGNAL);
    (void)send(fd, body, len, MSG_NOSIGNAL);
}

static void serve(struct fake *f, int fd)
{
    struct exchange *x = calloc(1, sizeof *x);
    char *body = NULL, rest;

    ASSERT(x != NULL);
    x->fd = fd;
    if (read_request(x, &body)) {
        bool ok = well_formed(x, body);

        snprintf(f->line, sizeof f->line, "%.*s", (int)strcspn(x->text, "\r"), x->text);
        snprintf(f->request, sizeof f->request, "%s", body);
        if (!is_for_version(f)) {
            f->asked++;
            note_key(f, x->text);
        }
        if (!(f->keys && is_for_version(f)) && f->loses > 0)
            f->loses--;
        else if (!(f->keys && is_for_version(f)) && f->end == FAKE_HANG)
            (void)recv(fd, &rest, 1, 0); /* ends when the client does */
        else if ((f->keys && is_for_version(f)) || f->end != FAKE_CLOSE)
            reply(f, fd, ok);
    }
    free(x);
}

static void *run(void *owner)
{
    struct fake *f = owner;
    int fd;

    while ((fd = accept(f->listener, NULL, NULL)) >= 0) {
        serve(f, fd);
        close(fd);
    }
    return NULL;
}

void fake_start(struct fake *f)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    *f = (struct fake){.dir = "/tmp/rf-cli-XXXXXX", .status = 200, .body = "{}"};
    ASSERT(mkdtemp(f->dir) != NULL);
    snprintf(f->socket, sizeof f->socket, "%s/api.sock", f->dir);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", f->socket);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(f->listener >= 0);
    ASSERT(bind(f->listener, (struct sockaddr *)&at, sizeof at) == 0);
    ASSERT(listen(f->listener, 4) == 0);
    ASSERT(pthread_create(&f->thread, NULL, run, f) == 0);
}

void fake_stop(struct fake *f)
{
    shutdown(f->listener, SHUT_RDWR); /* accept() returns */
    pthread_join(f->thread, NULL);
    close(f->listener);
    unlink(f->socket);
    rmdir(f->dir);
}
