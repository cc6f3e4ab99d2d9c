/* A bucket. libcurl signs (SigV4, all headers that are given); what S3 wants beside that is
 * a checksum of what is put under object lock, and `If-None-Match: *`, by which a name that
 * is taken is refused instead of getting a second version. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/evp.h>

#include "controller/base/clock.h"
#include "controller/ship/place_private.h"
#include "fencing/methods/secret.h"

enum {
    BODY_MAX = 4 << 20,
    CONNECT_MS = 10000,
    PAGES_MAX = 4096,
    KEYS = 1000, /* of a page; S3 gives no more */
    QUERY_SIZE = 512,
};

struct talk {
    CURL *curl;
    struct curl_slist *headers;
    struct buf body;
    char url[4 * QUERY_SIZE];
    char said[CURL_ERROR_SIZE];
    char access[SECRET_SIZE], secret[SECRET_SIZE];
    const uint8_t *data; /* what is left to be sent */
    size_t left;
    const atomic_bool *cancel;
};

static void hang_up(struct talk *t)
{
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->headers);
    buf_free(&t->body);
    secret_wipe(t->access);
    secret_wipe(t->secret);
}

static size_t on_body(char *data, size_t size, size_t n, void *owner)
{
    struct talk *t = owner;
    struct err err;

    return buf_append(&t->body, data, size * n, &err) == 0 ? size * n : 0;
}

static size_t on_read(char *to, size_t size, size_t n, void *owner)
{
    struct talk *t = owner;
    size_t len = size * n < t->left ? size * n : t->left;

    memcpy(to, t->data, len);
    t->data += len;
    t->left -= len;
    return len;
}

static int on_progress(void *owner, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct talk *t = owner;

    (void)a, (void)b, (void)c, (void)d;
    return t->cancel != NULL && atomic_load(t->cancel);
}

static int no_memory(struct err *err) { return err_set(err, ERR_NOMEM, "talk to S3"); }

static int add_header(struct talk *t, struct err *err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int add_header(struct talk *t, struct err *err, const char *fmt, ...)
{
    char line[256];
    struct curl_slist *more;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    more = curl_slist_append(t->headers, line);
    if (more == NULL)
        return no_memory(err);
    t->headers = more;
    return 0;
}

static int read_keys(struct talk *t, const struct ship_place *p, struct err *err)
{
    /* Each time: a new key needs no restart. */
    if (secret_read(p->access_key, t->access, err) != 0 ||
        secret_read(p->secret_key, t->secret, err) != 0)
        return err->code;
    return 0;
}

static void set_options(struct talk *t, const struct ship_place *p)
{
    char provider[SHIP_WORD_SIZE + 32];
    CURL *c = t->curl;

    (void)snprintf(provider, sizeof provider, "aws:amz:%s:s3", p->region);
    curl_easy_setopt(c, CURLOPT_URL, t->url);
    curl_easy_setopt(c, CURLOPT_AWS_SIGV4, provider);
    curl_easy_setopt(c, CURLOPT_USERNAME, t->access);
    curl_easy_setopt(c, CURLOPT_PASSWORD, t->secret);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https"); /* settings_ship.c: which */
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (p->ca[0] != '\0') {
        curl_easy_setopt(c, CURLOPT_CAINFO, p->ca);
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    }
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)p->timeout_ms);
    curl_easy_setopt(c, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->said);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
}

static void hex(const uint8_t *from, size_t len, char *to)
{
    for (size_t i = 0; i < len; i++)
        (void)snprintf(to + 2 * i, 3, "%02x", from[i]);
}

/* The signature is over the hash of what is sent. */
static int call(struct talk *t, const struct ship_place *p, const uint8_t *data, size_t len,
                struct err *err)
{
    uint8_t sha256[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned n = 0;
    CURLcode code;

    t->curl = curl_easy_init();
    t->body.limit = BODY_MAX;
    if (t->curl == NULL || EVP_Digest(len != 0 ? (const void *)data : "", len, sha256, &n,
                                      EVP_sha256(), NULL) != 1)
        return no_memory(err);
    hex(sha256, n, text);
    if (add_header(t, err, "x-amz-content-sha256: %s", text) != 0 ||
        read_keys(t, p, err) != 0)
        return err->code;
    set_options(t, p);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
    if (len != 0) {
        t->data = data;
        t->left = len;
        curl_easy_setopt(t->curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(t->curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(t->curl, CURLOPT_READDATA, t);
        curl_easy_setopt(t->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)len);
    }
    code = curl_easy_perform(t->curl);
    if (code == CURLE_OK)
        return 0;
    return err_set(err, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_IO,
                   "%s/%s: %s: look at the network, `url` and `ca`", p->url, p->bucket,
                   t->said[0] != '\0' ? t->said : curl_easy_strerror(code));
}

static long status_of(const struct talk *t)
{
    long status = 0;

    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* ---- listing --------------------------------------------------------------------------
 */

/* Names have none but letters, digits, "-", "." and "/", which a query writes as %2F. */
static void in_query(const char *text, char to[QUERY_SIZE])
{
    size_t n = 0;

    for (; *text != '\0' && n + 4 < QUERY_SIZE; text++) {
        if (*text == '/') {
            memcpy(to + n, "%2F", 3);
            n += 3;
        } else {
            to[n++] = *text;
        }
    }
    to[n] = '\0';
}

/* The keys of the query in their order, as the signature wants them. */
static int list_page(const struct ship_place *p, const atomic_bool *cancel,
                     char last[SHIP_URL_SIZE], struct ship_ranges *ret, struct err *err)
{
    struct talk t = {.cancel = cancel};
    char name[SHIP_PREFIX_SIZE + SHIP_WORD_SIZE + 4], prefix[QUERY_SIZE], after[QUERY_SIZE];
    int status;

    (void)snprintf(name, sizeof name, "%s%s-", p->prefix, p->cluster);
    in_query(name, prefix);
    in_query(last, after);
    if ((size_t)snprintf(t.url, sizeof t.url, "%s/%s?list-type=2&max-keys=%d&prefix=%s%s%s",
                         p->url, p->bucket, KEYS, prefix,
                         after[0] != '\0' ? "&start-after=" : "", after) >= sizeof t.url)
        return err_set(err, ERR_INVAL, "%s/%s: names there are too long", p->url,
                       p->bucket);
    status = call(&t, p, NULL, 0, err);
    if (status == 0 && status_of(&t) != 200)
        status = s3_refused(p, "list", status_of(&t), &t.body, err);
    else if (status == 0)
        status = s3_read_page(p, &t.body, ret, last, err);
    hang_up(&t);
    return status;
}

int s3_list(const struct ship_place *p, const atomic_bool *cancel, struct ship_ranges *ret,
            struct err *err)
{
    char last[SHIP_URL_SIZE] = "";

    for (unsigned i = 0; i < PAGES_MAX; i++) {
        if (list_page(p, cancel, last, ret, err) != 0)
            return err->code;
        if (last[0] == '\0')
            return 0;
    }
    return err_set(err, ERR_FULL, "%s/%s: it has more than %d segments", p->url, p->bucket,
                   PAGES_MAX * KEYS);
}

/* ---- putting --------------------------------------------------------------------------
 */

static int lock_headers(struct talk *t, const struct ship_place *p, struct err *err)
{
    time_t until = (time_t)((wall_now_ms() + p->retain_ms) / 1000);
    struct tm tm = {0};
    char text[32];

    if (p->retain_ms == 0)
        return 0;
    (void)gmtime_r(&until, &tm);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (add_header(t, err, "x-amz-object-lock-mode: %s",
                   p->compliance ? "COMPLIANCE" : "GOVERNANCE") != 0)
        return err->code;
    return add_header(t, err, "x-amz-object-lock-retain-until-date: %s", text);
}

static int put_headers(struct talk *t, const struct ship_place *p, const uint8_t *data,
                       size_t len, struct err *err)
{
    uint8_t md5[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (EVP_Digest(data, len, md5, &n, EVP_md5(), NULL) != 1)
        return err_set(
            err, ERR_UNSUPPORTED,
            "put into %s: this host's OpenSSL has no MD5, which object lock asks "
            "for",
            p->bucket);
    (void)EVP_EncodeBlock((unsigned char *)text, md5, (int)n);
    if (add_header(t, err, "Content-MD5: %s", text) != 0 ||
        add_header(t, err, "Content-Type: application/x-ndjson") != 0 ||
        add_header(t, err, "If-None-Match: *") != 0)
        return err->code;
    return lock_headers(t, p, err);
}

int s3_put(const struct ship_place *p, const char *name, const uint8_t *data, size_t len,
           const atomic_bool *cancel, struct err *err)
{
    struct talk t = {.cancel = cancel};
    int status = put_headers(&t, p, data, len, err);
    long answer = 0;

    (void)snprintf(t.url, sizeof t.url, "%s/%s/%s%s", p->url, p->bucket, p->prefix, name);
    if (status == 0)
        status = call(&t, p, data, len, err);
    if (status == 0)
        answer = status_of(&t);
    if (status == 0 && answer == 412)
        status = err_set(err, ERR_CONFLICT, "%s: it is there already", t.url);
    else if (status == 0 && answer != 200)
        status = s3_refused(p, "put into", answer, &t.body, err);
    hang_up(&t);
    return status;
}
