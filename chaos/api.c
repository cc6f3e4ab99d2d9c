/* chaos/api.c */
#include "chaos/api.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/base.h"

enum { ANSWER_MAX = 8 << 20 };

void api_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        die("libcurl does not start");
}

struct text {
    char *bytes;
    size_t size, cap;
};

/* Returns less than it got, which ends the transfer, when an answer has no end. */
static size_t on_bytes(const char *bytes, size_t size, size_t count, void *owner)
{
    struct text *t = owner;
    size_t n = size * count;

    if (t->size + n > ANSWER_MAX)
        return 0;
    t->bytes = must_grow(t->bytes, &t->cap, t->size + n + 1, 1);
    memcpy(t->bytes + t->size, bytes, n);
    t->size += n;
    t->bytes[t->size] = 0;
    return n;
}

static CURL *new_request(const char *url, long timeout_ms)
{
    CURL *c = curl_easy_init();

    if (c == NULL)
        die("out of memory");
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout_ms);
    return c;
}

json_t *api_get(const char *socket, const char *path)
{
    enum { ANSWER_WITHIN_MS = 5000 };
    AUTO(auto_free) char *url = text_new("http://localhost%s", path);
    CURL *c = new_request(url, ANSWER_WITHIN_MS);
    struct text answer = {0};
    json_t *json = NULL;

    curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer);
    if (curl_easy_perform(c) == CURLE_OK && answer.size > 0)
        json = json_loads(answer.bytes, 0, NULL);
    curl_easy_cleanup(c);
    free(answer.bytes);
    return json;
}

char *api_text(void **keep, const char *url, long timeout_ms)
{
    struct text answer = {0};
    CURL *c = *keep;

    if (c == NULL)
        *keep = c = new_request(url, timeout_ms);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer);
    if (curl_easy_perform(c) == CURLE_OK && answer.bytes != NULL)
        return answer.bytes;
    free(answer.bytes);
    return NULL;
}

void api_hang_up(void **keep)
{
    if (*keep != NULL)
        curl_easy_cleanup(*keep);
    *keep = NULL;
}

struct follow {
    struct text pending; /* what has no end of line yet */
    const atomic_bool *stop;
    api_line *on_line;
    void *owner;
};

static void take_lines(struct follow *f)
{
    char *line = f->pending.bytes, *end;

    while ((end = strchr(line, '\n')) != NULL) {
        json_t *json;

        *end = 0;
        json = json_loads(line, 0, NULL);
        if (json != NULL)
            f->on_line(f->owner, json);
        json_decref(json);
        line = end + 1;
    }
    f->pending.size -= (size_t)(line - f->pending.bytes);
    memmove(f->pending.bytes, line, f->pending.size + 1);
}

static size_t on_stream(const char *bytes, size_t size, size_t count, void *owner)
{
    struct follow *f = owner;
    size_t n = on_bytes(bytes, size, count, &f->pending);

    if (n > 0)
        take_lines(f);
    return n;
}

static int on_progress(void *owner, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct follow *f = owner;

    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(f->stop);
}

void api_follow(const char *socket, const char *path, const atomic_bool *stop,
                api_line *on_line, void *owner)
{
    AUTO(auto_free) char *url = text_new("http://localhost%s", path);
    struct follow f = {.stop = stop, .on_line = on_line, .owner = owner};
    CURL *c = new_request(url, 0);

    curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_stream);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &f);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, &f);
    /* A frozen controller sends nothing although each second would be due. */
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 5L);
    (void)curl_easy_perform(c);
    curl_easy_cleanup(c);
    free(f.pending.bytes);
}
