#include "controller/cli/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cli/https.h"

/* Of one among several. */
enum { CONNECT_MS = 3000 };

struct transfer {
    CURL *curl;
    struct curl_slist *headers;
    struct http_answer *answer;
    const struct http_lines *lines; /* NULL: collect the body */
    struct buf partial;             /* of a line */
    bool stopped;                   /* by on_line */
    bool full;
    const char *where; /* the socket, or the controller's URL */
    struct https_peer peer;
    char url[REMOTE_URL_SIZE + 512], said[CURL_ERROR_SIZE];
};

static void transfer_free(struct transfer *t)
{
    curl_slist_free_all(t->headers);
    curl_easy_cleanup(t->curl);
    buf_free(&t->partial);
}

static long status_of(const struct transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Whole lines in `partial`; false once on_line has had enough. */
static bool tell_lines(struct transfer *t)
{
    size_t from = 0;

    while (!t->stopped) {
        const char *line = (const char *)t->partial.data + from;
        const char *end =
            t->partial.len > from ? memchr(line, '\n', t->partial.len - from) : NULL;

        if (end == NULL)
            break;
        t->stopped = !t->lines->on_line(t->lines->owner, line, (size_t)(end - line));
        from += (size_t)(end - line) + 1;
    }
    buf_consume(&t->partial, from);
    return !t->stopped;
}

static size_t on_data(char *data, size_t size, size_t count, void *owner)
{
    struct transfer *t = owner;
    size_t len = size * count;
    bool as_lines = t->lines != NULL && status_of(t) == 200;

    if (buf_append(as_lines ? &t->partial : &t->answer->body, data, len, NULL) != 0) {
        t->full = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (as_lines && !tell_lines(t))
        return CURL_WRITEFUNC_ERROR;
    return len;
}

static bool add_secret(struct transfer *t, const char *header, const char *secret)
{
    char line[4200];
    struct curl_slist *more;

    if (secret == NULL || secret[0] == '\0')
        return true;
    (void)snprintf(line, sizeof line, "%s%s", header, secret);
    more = curl_slist_append(t->headers, line);
    explicit_bzero(line, sizeof line);
    if (more != NULL)
        t->headers = more;
    return more != NULL;
}

/* One that is gone for good must not use up the time of those behind it. */
static long connect_ms(const struct http *h)
{
    if (h->remote == NULL || h->remote->count < 2 || h->timeout_ms < CONNECT_MS)
        return (long)h->timeout_ms;
    return CONNECT_MS;
}

static int transfer_new(struct transfer *t, const struct http *h,
                        const struct http_request *request, struct err *err)
{
    const char *base = h->remote != NULL ? t->where : "http://localhost";
    int used = snprintf(t->url, sizeof t->url, "%s%s", base, request->path);

    if (used < 0 || (size_t)used >= sizeof t->url)
        return err_set(err, ERR_INVAL, "the path is too long");
    t->curl = curl_easy_init();
    t->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (t->curl == NULL || t->headers == NULL)
        return err_set(err, ERR_NOMEM, "HTTP");
    t->answer->body.limit = HTTP_ANSWER_MAX;
    t->partial.limit = HTTP_LINE_MAX;
    t->answer->body.secret = t->partial.secret = true;
    curl_easy_setopt(t->curl, CURLOPT_URL, t->url);
    if (h->remote != NULL)
        https_set_up(t->curl, h->remote, &t->peer);
    else
        curl_easy_setopt(t->curl, CURLOPT_UNIX_SOCKET_PATH, h->socket);
    curl_easy_setopt(t->curl, CURLOPT_PROXY, ""); /* whatever http_proxy says */
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, h->remote != NULL ? "https" : "http");
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->said);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms(h));
    if (!add_secret(t, "X-Ringfence-TOTP: ", h->totp) ||
        !add_secret(t, "Authorization: Bearer ", h->token))
        return err_set(err, ERR_NOMEM, "HTTP");
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
    if (request->body != NULL) {
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(request->body));
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, request->body);
    }
    return 0;
}

/* What is to be done where it is not there, or not to be reached. */
static int no_connection(const char *socket, int os_error, struct err *err)
{
    const char *to_do = "";

    if (os_error == EACCES || os_error == EPERM)
        to_do = " (root and its group may: `sudo`, or add this user to the group that `ls "
                "-l` shows)";
    else if (os_error == ENOENT)
        to_do = " (nobody who runs here has it: start ringfenced, or give --socket)";
    else if (os_error == ECONNREFUSED)
        to_do = " (who made it has ended: `systemctl status ringfenced` says why)";
    if (os_error == 0)
        return err_set(err, ERR_NOTFOUND, "connect to %s: nobody listens there", socket);
    return err_errno(err, os_error, "connect to %s%s", socket, to_do);
}

/* Until then nothing can have happened. */
static bool was_sent(const struct transfer *t)
{
    curl_off_t at_us = 0;

    curl_easy_getinfo(t->curl, CURLINFO_PRETRANSFER_TIME_T, &at_us);
    return at_us > 0;
}

/* Nothing was sent, or what was sent was not read: over the network only. 0: neither. */
static int unheard(const struct transfer *t, CURLcode code, struct err *err)
{
    if (code == CURLE_OUT_OF_MEMORY)
        return 0;
    if (t->peer.why[0] != '\0')
        return err_set(err, ERR_PEER, "%s: %s", t->where, t->peer.why);
    /* In TLS 1.3 a client is done before the server has looked at its certificate; a server
     * that does not accept it has read nothing behind it. */
    if (https_is_refusal(t->said))
        return err_set(err, ERR_PEER,
                       "%s does not accept our certificate, %s (`ringfence pki show` says "
                       "what it is; the controller's log says why)",
                       t->where, t->said);
    if (was_sent(t))
        return 0;
    return err_set(err, ERR_NOTFOUND, "connect to %s: %s", t->where,
                   t->said[0] != '\0' ? t->said : curl_easy_strerror(code));
}

/* Was anything sent? If so and it was no GET, nobody knows what has become of it (I5). */
static int failure(const struct transfer *t, const struct http *h, CURLcode code,
                   bool may_act, struct err *err)
{
    long os_error = 0;
    int status;

    status = h->remote != NULL ? unheard(t, code, err) : 0;
    if (status != 0)
        return status;
    curl_easy_getinfo(t->curl, CURLINFO_OS_ERRNO, &os_error);
    if (h->remote == NULL &&
        (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST))
        return no_connection(h->socket, (int)os_error, err);
    if (code == CURLE_OUT_OF_MEMORY)
        return err_set(err, ERR_NOMEM, "%s", t->where);
    if (t->full)
        return err_set(err, ERR_FULL, "%s: the answer is too long", t->where);
    if (may_act)
        return err_set(
            err, ERR_UNKNOWN,
            "%s: no answer (%s): it may have happened, or may still happen; look "
            "at `ringfence status` and repeat the command if it did not",
            t->where, curl_easy_strerror(code));
    return err_set(err, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_CLOSED,
                   "%s: %s", t->where, curl_easy_strerror(code));
}

struct attempt {
    const struct http *h;
    const struct http_request *request;
    const struct http_lines *lines; /* NULL: a body */
    struct http_answer *answer;
};

/* Another one may be asked after these: nothing has happened, and no line was told. */
static bool may_go_on(const struct attempt *a, int status)
{
    return status == ERR_NOTFOUND || status == ERR_PEER ||
           (status == ERR_TIMEOUT && a->lines == NULL);
}

static int attempt(const struct attempt *a, const char *where, struct err *err)
{
    AUTO(transfer_free)
    struct transfer t = {.answer = a->answer, .lines = a->lines, .where = where};
    int status = transfer_new(&t, a->h, a->request, err);
    CURLcode code;

    if (status != 0)
        return status;
    if (a->lines == NULL)
        curl_easy_setopt(t.curl, CURLOPT_TIMEOUT_MS, (long)a->h->timeout_ms);
    if (a->lines != NULL && a->lines->idle_ms != 0) {
        curl_easy_setopt(t.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(t.curl, CURLOPT_LOW_SPEED_TIME,
                         (long)(a->lines->idle_ms + 999) / 1000);
    }
    code = curl_easy_perform(t.curl);
    if (code != CURLE_OK && !t.stopped)
        return failure(&t, a->h, code, strcmp(a->request->method, "GET") != 0, err);
    a->answer->status = status_of(&t);
    return 0;
}

static int attempt_all(const struct attempt *a, struct err *err)
{
    struct remote *r = a->h->remote;
    int status = ERR_NOTFOUND;

    if (r == NULL)
        return attempt(a, a->h->socket, err);
    for (unsigned i = 0; i < r->count; i++) {
        status = attempt(a, r->urls[r->first], err);
        if (!may_go_on(a, status) || i + 1 == r->count)
            break;
        http_answer_free(a->answer);
        http_next(a->h);
    }
    return status;
}

void http_next(const struct http *h)
{
    if (h->remote != NULL)
        h->remote->first = (h->remote->first + 1) % h->remote->count;
}

int http_ask(const struct http *h, const struct http_request *request,
             struct http_answer *ret_answer, struct err *err)
{
    const struct attempt a = {h, request, NULL, ret_answer};

    return attempt_all(&a, err);
}

int http_follow(const struct http *h, const char *path, const struct http_lines *lines,
                struct http_answer *ret_answer, struct err *err)
{
    const struct http_request request = {.method = "GET", .path = path};
    const struct attempt a = {h, &request, lines, ret_answer};

    return attempt_all(&a, err);
}

void http_answer_free(struct http_answer *answer) { buf_free(&answer->body); }
