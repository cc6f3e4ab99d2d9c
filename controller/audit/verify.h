/* controller/audit/verify.h -- is a bundle what the controllers had on record?
 *
 * Fed line by line; needs nothing but the public keys. What it finds: an entry that was
 * changed, left out, moved, told twice or put in; a line that is not a bundle's; a cut; a
 * signature that does not hold or is of an unknown key; a chain head of another controller
 * that does not fit the entries (a fork, or an exporter that lies). A head of an entry
 * before the last one counts as no head of the chain's end, and is named.
 *
 * What it cannot find: entries before the first and behind the last (the header says which
 * were asked for), and a lie on which a majority's keys agree.
 *
 * Pure:   but for memory.
 * Owner:  verify_open() to verify_close().
 * Errors: ERR_NOMEM. What is wrong with the bundle is no error but a finding.
 */
#ifndef RF_AUDIT_VERIFY_H
#define RF_AUDIT_VERIFY_H

#include "controller/audit/bundle.h"

struct verify;

/* `line`: the last one that was read. `bad` false: worth knowing, no evidence against it.
 */
typedef void verify_finding(void *owner, unsigned line, bool bad, const char *text);

MUST_USE int verify_open(struct verify **ret_verify, const struct audit_keys *keys,
                         verify_finding *tell, void *owner, struct err *err);
void verify_close(struct verify **v); /* for AUTO(), too */

/* Of several bundles that are checked one behind the other: the hashes of the entries of
 * all so far, so that each goes on where the one before ended, and tells the same of what
 * both have. A zeroed one has none; verify_chain_free(). */
struct verify_chain {
    struct verify_seen *list; /* in the order of their numbers */
    size_t n, room;
};
void verify_chain_free(struct verify_chain *c);
/* Before the first line. */
void verify_follow(struct verify *v, struct verify_chain *chain);

/* Without its line break; `ended` false: the file ends without one. */
MUST_USE int verify_line(struct verify *v, const char *text, size_t len, bool ended,
                         struct err *err);
/* The file is over. */
void verify_end(struct verify *v);

/* A whole file. ERR_IO, ERR_NOTFOUND, too. */
MUST_USE int verify_file(struct verify *v, const char *path, struct err *err);

/* A controller that signed an entry before the last one of the bundle. */
struct verify_older {
    char controller[AUDIT_NAME_SIZE];
    uint64_t seq;
};

struct verify_result {
    struct bundle_header header; /* zeroed: there was none */
    uint64_t entries;
    uint64_t first_ms, last_ms; /* wall times of the first and last entry */
    unsigned lines, bad;        /* findings */
    unsigned signed_heads;      /* of the last entry */
    unsigned absent;
    unsigned older_count; /* heads of an entry before it */
    struct verify_older older[BUNDLE_CONTROLLERS_MAX];
};
void verify_result(const struct verify *v, struct verify_result *ret);

#endif
