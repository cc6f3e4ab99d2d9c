/* Writing the lines of a bundle. */
#include "controller/audit/bundle.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"

#include <openssl/evp.h>

static json_t *hex(const uint8_t *data)
{
    char text[2 * AUDIT_HASH_SIZE + 1];

    for (size_t i = 0; i < AUDIT_HASH_SIZE; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", data[i]);
    return json_string(text);
}

static json_t *base64(const uint8_t *data, size_t len)
{
    char text[4 * (AUDIT_SIGNATURE_SIZE + 2) / 3 + 4];

    audit_base64(data, len, text);
    return json_string(text);
}

static json_t *number(uint64_t n) { return json_integer((json_int_t)n); }

static json_t *time_text(uint64_t wall_ms)
{
    char text[WALL_TEXT_SIZE];

    wall_format(wall_ms, text);
    return json_string(text);
}

static json_t *header_json(const struct bundle_header *h)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < h->controller_count; i++)
        (void)json_array_append_new(list, json_pack("{s:o, s:s}", "id",
                                                    number(h->controllers[i].id), "name",
                                                    h->controllers[i].name));
    return json_pack("{s:i, s:s, s:s, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o}",
                     "ringfence_audit_bundle", BUNDLE_VERSION, "cluster", h->cluster,
                     "exporter", h->exporter, "time", time_text(h->wall_ms), "wall_ms",
                     number(h->wall_ms), "from", h->from, "to", h->to, "from_seq",
                     number(h->from_seq), "to_seq", number(h->to_seq), "base", hex(h->base),
                     "controllers", list);
}

/* A text of the trail need not be UTF-8: one that was cut in the middle of a letter. */
static int add_text(json_t *out, const char *key, const char *text)
{
    json_t *plain = json_string(text);
    char name[32], *coded;
    size_t len = strlen(text);
    int status;

    if (plain != NULL)
        return json_object_set_new(out, key, plain);
    coded = malloc(4 * ((len + 2) / 3) + 1);
    if (coded == NULL)
        return -1;
    (void)EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)text, (int)len);
    (void)snprintf(name, sizeof name, "%s_base64", key);
    status = json_object_set_new(out, name, json_string(coded));
    free(coded);
    return status;
}

static json_t *row_json(const struct audit_row *r)
{
    json_t *out =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "seq", number(r->seq), "index",
                  number(r->index), "term", number(r->term), "time", time_text(r->wall_ms),
                  "wall_ms", number(r->wall_ms), "leader", number(r->leader_id));

    if (out == NULL || add_text(out, "kind", r->kind) != 0 ||
        add_text(out, "group", r->group) != 0 || add_text(out, "rule", r->rule) != 0 ||
        add_text(out, "text", r->text) != 0 ||
        json_object_set_new(out, "prev", hex(r->prev_hash)) != 0 ||
        json_object_set_new(out, "hash", hex(r->hash)) != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static json_t *point_json(const struct bundle_point *p)
{
    return json_pack("{s:o, s:o, s:o}", "seq", number(p->seq), "index", number(p->index),
                     "hash", hex(p->hash));
}

static json_t *head_inner(const struct bundle_head *h)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "cluster", h->cluster,
                     "controller", h->controller, "time", time_text(h->wall_ms), "wall_ms",
                     number(h->wall_ms), "newest", point_json(&h->newest), "at",
                     point_json(&h->at), "key", base64(h->key, AUDIT_PUBLIC_SIZE));
}

static json_t *line_json(const struct bundle_line *l)
{
    switch (l->kind) {
    case BUNDLE_HEADER:
        return header_json(&l->header);
    case BUNDLE_ROW:
        return row_json(&l->row);
    case BUNDLE_HEAD:
        return json_pack("{s:o, s:o}", "head", head_inner(&l->head), "signature",
                         base64(l->head.signature, AUDIT_SIGNATURE_SIZE));
    case BUNDLE_ABSENT:
        return json_pack("{s:{s:s, s:s}}", "absent", "controller", l->absent.controller,
                         "why", l->absent.why);
    case BUNDLE_TRAILER:
        return json_pack("{s:{s:o, s:o, s:o}}", "trailer", "entries",
                         number(l->trailer.entries), "last_seq",
                         number(l->trailer.last_seq), "last_hash",
                         hex(l->trailer.last_hash));
    case BUNDLE_SIGNATURE:
        return json_pack("{s:{s:s, s:o, s:o}}", "bundle_signature", "controller",
                         l->signature.controller, "key",
                         base64(l->signature.key, AUDIT_PUBLIC_SIZE), "ed25519",
                         base64(l->signature.signature, AUDIT_SIGNATURE_SIZE));
    }
    return NULL;
}

char *bundle_text(const struct bundle_line *line)
{
    json_t *v = line_json(line);
    char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;

    json_decref(v);
    return text;
}

const char *bundle_kind_name(enum bundle_kind kind)
{
    static const char *const names[] = {
        [BUNDLE_HEADER] = "header",   [BUNDLE_ROW] = "entry",
        [BUNDLE_HEAD] = "chain head", [BUNDLE_ABSENT] = "absence",
        [BUNDLE_TRAILER] = "trailer", [BUNDLE_SIGNATURE] = "signature of the bundle",
    };

    return names[kind];
}

/* ---- signatures -----------------------------------------------------------------------
 */

char *bundle_head_signed(const struct bundle_head *h, size_t *ret_len)
{
    json_t *v = head_inner(h);
    char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL, *whole = NULL;
    int len;

    json_decref(v);
    if (text == NULL)
        return NULL;
    len = asprintf(&whole, "ringfence audit head 1\n%s", text);
    free(text);
    if (len < 0)
        return NULL;
    *ret_len = (size_t)len;
    return whole;
}

int bundle_head_sign(struct bundle_head *h, const struct audit_key *key, struct err *err)
{
    AUTO(auto_free) char *text = NULL;
    size_t len = 0;

    audit_key_public(key, h->key);
    text = bundle_head_signed(h, &len);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "sign the chain head");
    return audit_key_sign(key, text, len, h->signature, err);
}

bool bundle_head_holds(const struct bundle_head *h)
{
    size_t len = 0;
    AUTO(auto_free) char *text = bundle_head_signed(h, &len);

    return text != NULL && audit_signature_holds(h->key, text, len, h->signature);
}

size_t bundle_signed(const uint8_t sha256[AUDIT_HASH_SIZE], uint8_t ret[BUNDLE_SIGNED_SIZE])
{
    static const char word[] = "ringfence audit bundle 1\n";
    size_t len = sizeof word - 1;

    memcpy(ret, word, len);
    memcpy(ret + len, sha256, AUDIT_HASH_SIZE);
    return len + AUDIT_HASH_SIZE;
}
