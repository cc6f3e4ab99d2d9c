/* controller/cli/http.h -- HTTP over a Unix socket, or TLS to controllers (remote.h), by
 * libcurl.
 *
 * Of several controllers the next one is asked where nothing can have happened at the one
 * before: it was not reached, or is not one.
 *
 * Owner:   http_answer_free() what was answered (zeroed is empty).
 * Threads: one.
 * Errors:  ERR_NOTFOUND  nobody listens there: nothing was sent
 *          ERR_PEER      who listens is no controller of ours, or does not accept our
 *                        certificate: nothing has happened
 *          ERR_REFUSED   the socket may not be used by this user
 *          ERR_UNKNOWN   something other than a GET was sent, and no whole answer came
 *          ERR_TIMEOUT ERR_CLOSED  a GET without a whole answer
 *          ERR_NOMEM ERR_IO ERR_FULL
 */
#ifndef RF_CLI_HTTP_H
#define RF_CLI_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/base/err.h"
#include "controller/cli/remote.h"

enum { HTTP_ANSWER_MAX = 16 << 20, HTTP_LINE_MAX = 4 << 20 };

struct http {
    const char *socket;    /* with `remote`: what it is called in messages */
    struct remote *remote; /* NULL: the socket */
    uint32_t timeout_ms;
    const char *totp;  /* code of a second factor; NULL, "": none */
    const char *token; /* likewise */
};

struct http_answer {
    long status;
    struct buf body;
};

struct http_request {
    const char *method, *path;
    const char *body; /* JSON; NULL: none */
    const char *key;  /* Idempotency-Key; NULL: none */
};

MUST_USE int http_ask(const struct http *h, const struct http_request *request,
                      struct http_answer *ret_answer, struct err *err);

/* GET a document of lines; `on_line` is called for each as it comes (without its end) and
 * returns false to end. `idle_ms` without any byte is ERR_TIMEOUT; 0: wait for ever. An
 * answer other than 200 goes to *ret_answer and no line is told.
 *   0: ended by on_line, by the server, or *ret_answer has another status */
struct http_lines {
    bool (*on_line)(void *owner, const char *line, size_t len);
    void *owner;
    uint32_t idle_ms;
};
MUST_USE int http_follow(const struct http *h, const char *path,
                         const struct http_lines *lines, struct http_answer *ret_answer,
                         struct err *err);

/* Ask another controller first from now on, if there is one. */
void http_next(const struct http *h);

void http_answer_free(struct http_answer *answer);

#endif
