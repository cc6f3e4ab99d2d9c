/* What a bucket says: a few flat elements of XML, and nothing of it is believed further
 * than a segment's name. */
#include <stdio.h>
#include <string.h>

#include "controller/ship/place_private.h"

/* What stands between <tag> and </tag> behind `from`; NULL: nothing. */
static const char *find(const char *from, const char *end, const char *tag, size_t *ret_len)
{
    char open[40], close[40];
    const char *at, *to;

    (void)snprintf(open, sizeof open, "<%s>", tag);
    (void)snprintf(close, sizeof close, "</%s>", tag);
    at = memmem(from, (size_t)(end - from), open, strlen(open));
    if (at == NULL)
        return NULL;
    at += strlen(open);
    to = memmem(at, (size_t)(end - at), close, strlen(close));
    if (to == NULL)
        return NULL;
    *ret_len = (size_t)(to - at);
    return at;
}

void s3_text(const struct buf *body, const char *tag, char *text, size_t size)
{
    const char *all = (const char *)body->data, *at = NULL;
    size_t len = 0;

    if (body->len > 0)
        at = find(all, all + body->len, tag, &len);
    if (at == NULL)
        len = 0;
    if (len >= size)
        len = size - 1;
    if (len > 0)
        memcpy(text, at, len);
    text[len] = '\0';
    for (size_t i = 0; i < len; i++) /* it goes into a line of the log */
        if ((unsigned char)text[i] < ' ')
            text[i] = ' ';
}

static int no_page(const struct ship_place *p, struct err *err)
{
    return err_set(err, ERR_BADMSG, "%s/%s: what it answered is no list of objects", p->url,
                   p->bucket);
}

static int take_key(const struct ship_place *p, const char *key, size_t len,
                    struct ship_ranges *ret, struct err *err)
{
    size_t skip = strlen(p->prefix);
    struct ship_range one;

    if (len < skip || memcmp(key, p->prefix, skip) != 0 ||
        !ship_read_name(p->cluster, key + skip, len - skip, &one))
        return 0;
    return ship_ranges_add(ret, one, err);
}

int s3_read_page(const struct ship_place *p, const struct buf *body,
                 struct ship_ranges *ret, char ret_last[SHIP_URL_SIZE], struct err *err)
{
    const char *at = (const char *)body->data, *end = at + body->len, *key;
    char more[8];
    size_t len;

    ret_last[0] = '\0';
    s3_text(body, "IsTruncated", more, sizeof more);
    if (strcmp(more, "true") != 0 && strcmp(more, "false") != 0)
        return no_page(p, err);
    for (; (key = find(at, end, "Key", &len)) != NULL; at = key + len) {
        if (len >= SHIP_URL_SIZE)
            return no_page(p, err);
        memcpy(ret_last, key, len);
        ret_last[len] = '\0';
        if (take_key(p, key, len, ret, err) != 0)
            return err->code;
    }
    if (strcmp(more, "false") == 0)
        ret_last[0] = '\0';
    else if (ret_last[0] == '\0')
        return no_page(p, err);
    return 0;
}

/* What people can do about it, by S3's own word for it. */
static const char *advice(long status, const char *code)
{
    static const struct {
        const char *code, *text;
    } rows[] = {
        {"SignatureDoesNotMatch", ": the secret key is another one, or `region` is wrong"},
        {"InvalidAccessKeyId", ": the access key is not known there"},
        {"RequestTimeTooSkewed", ": set this host's clock"},
        {"NoSuchBucket", ": make it, with object lock"},
        {"AccessDenied", ": the key needs s3:ListBucket, s3:PutObject and "
                         "s3:PutObjectRetention, and may be wrong"},
        {"InvalidRequest", ": has the bucket object lock?"},
        {"SlowDown", ": it is asked too much, and is left alone for a while"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].code, code) == 0)
            return rows[i].text;
    return status >= 500 ? ": its own trouble" : "";
}

int s3_refused(const struct ship_place *p, const char *what, long status,
               const struct buf *body, struct err *err)
{
    char code[48], message[160];

    s3_text(body, "Code", code, sizeof code);
    s3_text(body, "Message", message, sizeof message);
    return err_set(err, status >= 500 ? ERR_BUSY : ERR_REFUSED,
                   "%s %s/%s: status %ld%s%s%s%s%s%s", what, p->url, p->bucket, status,
                   code[0] != '\0' ? " " : "", code, message[0] != '\0' ? " (" : "",
                   message, message[0] != '\0' ? ")" : "", advice(status, code));
}
