#include "controller/audit/writer.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

int bundle_writer_open(struct bundle_writer *w, struct err *err)
{
    *w = (struct bundle_writer){.sha = EVP_MD_CTX_new()};
    if (w->sha != NULL && EVP_DigestInit_ex(w->sha, EVP_sha256(), NULL) == 1)
        return 0;
    bundle_writer_close(w);
    return err_set(err, ERR_NOMEM, "the hash of a bundle");
}

void bundle_writer_close(struct bundle_writer *w)
{
    EVP_MD_CTX_free(w->sha);
    buf_free(&w->out);
    *w = (struct bundle_writer){.sha = NULL};
}

int bundle_writer_line(struct bundle_writer *w, const struct bundle_line *line,
                       struct err *err)
{
    AUTO(auto_free) char *text = bundle_text(line);
    size_t len;

    if (text == NULL)
        return err_set(err, ERR_NOMEM, "a line of a bundle");
    len = strlen(text);
    text[len] = '\n'; /* in the place of its end */
    if (EVP_DigestUpdate(w->sha, text, len + 1) != 1)
        return err_set(err, ERR_NOMEM, "the hash of a bundle");
    if (line->kind == BUNDLE_ROW) {
        w->entries++;
        w->last_seq = line->row.seq;
        memcpy(w->last_hash, line->row.hash, AUDIT_HASH_SIZE);
    }
    return buf_append(&w->out, text, len + 1, err);
}

static int sign(struct bundle_writer *w, const char *exporter, const struct audit_key *key,
                struct err *err)
{
    struct bundle_line last = {.kind = BUNDLE_SIGNATURE};
    uint8_t sha256[AUDIT_HASH_SIZE], what[BUNDLE_SIGNED_SIZE];

    if (EVP_DigestFinal_ex(w->sha, sha256, NULL) != 1 ||
        EVP_DigestInit_ex(w->sha, EVP_sha256(), NULL) != 1)
        return err_set(err, ERR_NOMEM, "the signature of a bundle");
    (void)snprintf(last.signature.controller, sizeof last.signature.controller, "%s",
                   exporter);
    audit_key_public(key, last.signature.key);
    if (audit_key_sign(key, what, bundle_signed(sha256, what), last.signature.signature,
                       err) != 0)
        return err->code;
    return bundle_writer_line(w, &last, err);
}

int bundle_writer_end(struct bundle_writer *w, const struct bundle_line *heads, unsigned n,
                      const char *exporter, const struct audit_key *key, struct err *err)
{
    struct bundle_line trailer = {.kind = BUNDLE_TRAILER};

    for (unsigned i = 0; i < n; i++)
        if (bundle_writer_line(w, &heads[i], err) != 0)
            return err->code;
    trailer.trailer.entries = w->entries;
    trailer.trailer.last_seq = w->last_seq;
    memcpy(trailer.trailer.last_hash, w->last_hash, AUDIT_HASH_SIZE);
    if (bundle_writer_line(w, &trailer, err) != 0)
        return err->code;
    return sign(w, exporter, key, err);
}
