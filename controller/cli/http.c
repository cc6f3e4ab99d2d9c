#include "controller/cli/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct transfer {
    CURL *curl;
    struct curl_slist *headers;
    struct http_answer *answer;
    const struct http_lines *lines; /* NULL: collect the body */
    struct buf partial;             /* of a line */
    bool stopped;                   /* by on_line */
    bool full;
    char url[512];
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

static bool add_totp(struct transfer *t, const char *code)
{
    char header[64];
    struct curl_slist *more;

    if (code == NULL || code[0] == '\0')
        return true;
    (void)snprintf(header, sizeof header, "X-Ringfence-TOTP: %s", code);
    more = curl_slist_append(t->headers, header);
    explicit_bzero(header, sizeof header);
    if (more != NULL)
        t->headers = more;
    return more != NULL;
}

static int transfer_new(struct transfer *t, const struct http *h,
                        const struct http_request *request, struct err *err)
{
    int used = snprintf(t->url, sizeof t->url, "http://localhost%s", request->path);

    if (used < 0 || (size_t)used >= sizeof t->url)
        return err_set(err, ERR_INVAL, "the path is too long");
    t->curl = curl_easy_init();
    t->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (t->curl == NULL || t->headers == NULL)
        return err_set(err, ERR_NOMEM, "HTTP");
    t->answer->body.limit = HTTP_ANSWER_MAX;
    t->partial.limit = HTTP_LINE_MAX;
    curl_easy_setopt(t->curl, CURLOPT_URL, t->url);
    curl_easy_setopt(t->curl, CURLOPT_UNIX_SOCKET_PATH, h->socket);
    curl_easy_setopt(t->curl, CURLOPT_PROXY, ""); /* whatever http_proxy says */
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)h->timeout_ms);
    if (!add_totp(t, h->totp))
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

/* Was anything sent? If so and it was no GET, nobody knows what has become of it (I5). */
static int failure(const struct transfer *t, const struct http *h, CURLcode code,
                   bool may_act, struct err *err)
{
    long os_error = 0;

    curl_easy_getinfo(t->curl, CURLINFO_OS_ERRNO, &os_error);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return no_connection(h->socket, (int)os_error, err);
    if (code == CURLE_OUT_OF_MEMORY)
        return err_set(err, ERR_NOMEM, "%s", h->socket);
    if (t->full)
        return err_set(err, ERR_FULL, "%s: the answer is too long", h->socket);
    if (may_act)
        return err_set(
            err, ERR_UNKNOWN,
            "%s: no answer (%s): it may have happened, or may still happen; look "
            "at `ringfence status` and repeat the command if it did not",
            h->socket, curl_easy_strerror(code));
    return err_set(err, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_CLOSED,
                   "%s: %s", h->socket, curl_easy_strerror(code));
}

int http_ask(const struct http *h, const struct http_request *request,
             struct http_answer *ret_answer, struct err *err)
{
    AUTO(transfer_free) struct transfer t = {.answer = ret_answer};
    int status = transfer_new(&t, h, request, err);
    CURLcode code;

    if (status != 0)
        return status;
    curl_easy_setopt(t.curl, CURLOPT_TIMEOUT_MS, (long)h->timeout_ms);
    code = curl_easy_perform(t.curl);
    if (code != CURLE_OK)
        return failure(&t, h, code, strcmp(request->method, "GET") != 0, err);
    ret_answer->status = status_of(&t);
    return 0;
}

int http_follow(const struct http *h, const char *path, const struct http_lines *lines,
                struct http_answer *ret_answer, struct err *err)
{
    struct http_request request = {.method = "GET", .path = path};
    AUTO(transfer_free) struct transfer t = {.answer = ret_answer, .lines = lines};
    int status = transfer_new(&t, h, &request, err);
    CURLcode code;

    if (status != 0)
        return status;
    if (lines->idle_ms != 0) {
        curl_easy_setopt(t.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(t.curl, CURLOPT_LOW_SPEED_TIME,
                         (long)(lines->idle_ms + 999) / 1000);
    }
    code = curl_easy_perform(t.curl);
    if (code != CURLE_OK && !t.stopped)
        return failure(&t, h, code, false, err);
    ret_answer->status = status_of(&t);
    return 0;
}

void http_answer_free(struct http_answer *answer) { buf_free(&answer->body); }
