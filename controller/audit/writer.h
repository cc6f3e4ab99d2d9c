/* controller/audit/writer.h -- the lines of a bundle, one behind the other, and its end.
 *
 * Owner:   bundle_writer_close(); the text is in `out`, who takes it away may.
 * Errors:  ERR_NOMEM, ERR_FULL (buf.h).
 */
#ifndef RF_AUDIT_WRITER_H
#define RF_AUDIT_WRITER_H

#include "controller/audit/bundle.h"
#include "controller/base/buf.h"

struct evp_md_ctx_st; /* OpenSSL's EVP_MD_CTX */

struct bundle_writer {
    struct evp_md_ctx_st *sha; /* of every line so far */
    struct buf out;
    uint64_t entries, last_seq;
    uint8_t last_hash[AUDIT_HASH_SIZE];
};

MUST_USE int bundle_writer_open(struct bundle_writer *w, struct err *err);
void bundle_writer_close(struct bundle_writer *w); /* a zeroed one is fine */
MUST_USE int bundle_writer_line(struct bundle_writer *w, const struct bundle_line *line,
                                struct err *err);
/* Heads and absences, the trailer, and the signature of `exporter`. */
MUST_USE int bundle_writer_end(struct bundle_writer *w, const struct bundle_line *heads,
                               unsigned n, const char *exporter,
                               const struct audit_key *key, struct err *err);

#endif
