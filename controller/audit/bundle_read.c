/* Reading the lines of a bundle: one spelling each, anything else is refused. */
#include "controller/audit/bundle.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

static void drop_json(json_t **v) { json_decref(*v); }

static bool get_text(const json_t *from, const char *key, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(from, key));

    if (text == NULL || strlen(text) >= size)
        return false;
    memcpy(to, text, strlen(text) + 1);
    return true;
}

static bool get_number(const json_t *from, const char *key, uint64_t *ret)
{
    const json_t *v = json_object_get(from, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool get_hash(const json_t *from, const char *key, uint8_t ret[AUDIT_HASH_SIZE])
{
    const char *text = json_string_value(json_object_get(from, key));

    if (text == NULL || strlen(text) != 2 * (size_t)AUDIT_HASH_SIZE)
        return false;
    for (size_t i = 0; i < AUDIT_HASH_SIZE; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool get_base64(const json_t *from, const char *key, uint8_t *ret, size_t len)
{
    const char *text = json_string_value(json_object_get(from, key));

    return text != NULL && audit_unbase64(text, ret, len);
}

/* KEY, or KEY_base64 where it is no UTF-8. */
static bool get_bytes(const json_t *from, const char *key, char *to, size_t size)
{
    char name[32];
    const char *coded;
    uint8_t bytes[AUDIT_TEXT_SIZE + 4];
    size_t len;
    int n;

    if (json_object_get(from, key) != NULL)
        return get_text(from, key, to, size);
    (void)snprintf(name, sizeof name, "%s_base64", key);
    coded = json_string_value(json_object_get(from, name));
    len = coded != NULL ? strlen(coded) : 0;
    if (len == 0 || len % 4 != 0 || len / 4 * 3 > sizeof bytes - 1)
        return false;
    n = EVP_DecodeBlock(bytes, (const unsigned char *)coded, (int)len);
    n -= (coded[len - 1] == '=') + (coded[len - 2] == '=');
    if (n < 0 || (size_t)n >= size || memchr(bytes, '\0', (size_t)n) != NULL)
        return false;
    memcpy(to, bytes, (size_t)n);
    to[n] = '\0';
    return true;
}

static bool read_header(const json_t *v, struct bundle_header *h)
{
    const json_t *list = json_object_get(v, "controllers");

    h->controller_count = (unsigned)json_array_size(list);
    if (json_array_size(list) > BUNDLE_CONTROLLERS_MAX)
        return false;
    for (unsigned i = 0; i < h->controller_count; i++) {
        const json_t *c = json_array_get(list, i);

        if (!get_number(c, "id", &h->controllers[i].id) ||
            !get_text(c, "name", h->controllers[i].name, AUDIT_NAME_SIZE) ||
            !audit_name_ok(h->controllers[i].name))
            return false;
    }
    return get_text(v, "cluster", h->cluster, sizeof h->cluster) &&
           get_text(v, "exporter", h->exporter, sizeof h->exporter) &&
           get_number(v, "wall_ms", &h->wall_ms) &&
           get_text(v, "from", h->from, sizeof h->from) &&
           get_text(v, "to", h->to, sizeof h->to) &&
           get_number(v, "from_seq", &h->from_seq) && get_number(v, "to_seq", &h->to_seq) &&
           get_hash(v, "base", h->base);
}

static bool read_row(const json_t *v, struct audit_row *r)
{
    return get_number(v, "seq", &r->seq) && get_number(v, "index", &r->index) &&
           get_number(v, "term", &r->term) && get_number(v, "wall_ms", &r->wall_ms) &&
           get_number(v, "leader", &r->leader_id) &&
           get_bytes(v, "kind", r->kind, sizeof r->kind) &&
           get_bytes(v, "group", r->group, sizeof r->group) &&
           get_bytes(v, "rule", r->rule, sizeof r->rule) &&
           get_bytes(v, "text", r->text, sizeof r->text) &&
           get_hash(v, "prev", r->prev_hash) && get_hash(v, "hash", r->hash);
}

static bool read_point(const json_t *v, struct bundle_point *p)
{
    return get_number(v, "seq", &p->seq) && get_number(v, "index", &p->index) &&
           get_hash(v, "hash", p->hash);
}

static bool read_head(const json_t *v, struct bundle_head *h)
{
    const json_t *in = json_object_get(v, "head");

    return get_text(in, "cluster", h->cluster, sizeof h->cluster) &&
           get_text(in, "controller", h->controller, sizeof h->controller) &&
           get_number(in, "wall_ms", &h->wall_ms) &&
           read_point(json_object_get(in, "newest"), &h->newest) &&
           read_point(json_object_get(in, "at"), &h->at) &&
           get_base64(in, "key", h->key, sizeof h->key) &&
           get_base64(v, "signature", h->signature, sizeof h->signature);
}

static bool read_absent(const json_t *v, struct bundle_absent *a)
{
    const json_t *in = json_object_get(v, "absent");

    return get_text(in, "controller", a->controller, sizeof a->controller) &&
           get_text(in, "why", a->why, sizeof a->why);
}

static bool read_trailer(const json_t *v, struct bundle_trailer *t)
{
    const json_t *in = json_object_get(v, "trailer");

    return get_number(in, "entries", &t->entries) &&
           get_number(in, "last_seq", &t->last_seq) &&
           get_hash(in, "last_hash", t->last_hash);
}

static bool read_signature(const json_t *v, struct bundle_signature *s)
{
    const json_t *in = json_object_get(v, "bundle_signature");

    return get_text(in, "controller", s->controller, sizeof s->controller) &&
           get_base64(in, "key", s->key, sizeof s->key) &&
           get_base64(in, "ed25519", s->signature, sizeof s->signature);
}

/* The kind by a key that no other kind has. */
static bool read_kind(const json_t *v, struct bundle_line *ret)
{
    if (json_object_get(v, "ringfence_audit_bundle") != NULL) {
        ret->kind = BUNDLE_HEADER;
        return read_header(v, &ret->header);
    }
    if (json_object_get(v, "head") != NULL) {
        ret->kind = BUNDLE_HEAD;
        return read_head(v, &ret->head);
    }
    if (json_object_get(v, "absent") != NULL) {
        ret->kind = BUNDLE_ABSENT;
        return read_absent(v, &ret->absent);
    }
    if (json_object_get(v, "trailer") != NULL) {
        ret->kind = BUNDLE_TRAILER;
        return read_trailer(v, &ret->trailer);
    }
    if (json_object_get(v, "bundle_signature") != NULL) {
        ret->kind = BUNDLE_SIGNATURE;
        return read_signature(v, &ret->signature);
    }
    ret->kind = BUNDLE_ROW;
    return read_row(v, &ret->row);
}

int bundle_read(struct bundle_line *ret, const char *text, size_t len, struct err *err)
{
    AUTO(drop_json) json_t *v = NULL;
    AUTO(auto_free) char *again = NULL;
    struct bundle_line line = {0};
    const json_t *version;

    if (len > BUNDLE_LINE_MAX)
        return err_set(err, ERR_INVAL, "is longer than any line of a bundle");
    v = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(v))
        return err_set(err, ERR_INVAL, "is no JSON object");
    version = json_object_get(v, "ringfence_audit_bundle");
    if (version != NULL && json_integer_value(version) != BUNDLE_VERSION)
        return err_set(err, ERR_INVAL,
                       "is the header of a form of bundle that this version does not "
                       "know: use a newer `ringfence`");
    if (!read_kind(v, &line))
        return err_set(err, ERR_INVAL,
                       "is no line of a bundle: a field is missing, or is "
                       "not what it should be");
    again = bundle_text(&line);
    if (again == NULL)
        return err_set(err, ERR_NOMEM, "a line of a bundle");
    if (strlen(again) != len || memcmp(again, text, len) != 0)
        return err_set(err, ERR_INVAL,
                       "is not spelt as an export spells it: something was put in, or a "
                       "field for people does not say what the one for the hash says");
    *ret = line;
    return 0;
}
