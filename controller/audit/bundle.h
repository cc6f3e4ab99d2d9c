/* controller/audit/bundle.h -- the audit trail as it leaves a cluster: JSON Lines, signed.
 *
 *     {"ringfence_audit_bundle":1, ...}   whose, which entries, the hash before the first
 *     {"seq":1, ..., "prev":"...","hash":"..."}   an entry each, without a gap
 *     {"head":{...},"signature":"..."}    each controller's own word on its chain, or
 *     {"absent":{...}}                    that it could not be asked, and why
 *     {"trailer":{...}}                   how many, and the last hash
 *     {"bundle_signature":{...}}          Ed25519 of the exporter over all lines before
 *
 * Every field that the hash of an entry covers is in its line, so the hash can be computed
 * from the line alone (controller/audit/chain.h); `time` says `wall_ms` for people. A line
 * has one spelling: bundle_read() writes what it has read again, and refuses what does not
 * come out as it came in.
 *
 * Pure:   yes, but for memory.
 * Owner:  free() the texts.
 * Errors: ERR_INVAL; the text says what is wrong. ERR_NOMEM.
 */
#ifndef RF_AUDIT_BUNDLE_H
#define RF_AUDIT_BUNDLE_H

#include "controller/audit/chain.h"
#include "controller/audit/keys.h"

enum {
    BUNDLE_VERSION = 1,
    BUNDLE_CONTROLLERS_MAX = 16,
    BUNDLE_LINE_MAX = 32 << 10,
    BUNDLE_ASKED_SIZE = 48,
    BUNDLE_WHY_SIZE = 256
};

struct bundle_controller {
    uint64_t id; /* as `leader` of an entry */
    char name[AUDIT_NAME_SIZE];
};

struct bundle_header {
    char cluster[AUDIT_NAME_SIZE], exporter[AUDIT_NAME_SIZE];
    uint64_t wall_ms;
    char from[BUNDLE_ASKED_SIZE], to[BUNDLE_ASKED_SIZE]; /* as asked for; "": no bound */
    uint64_t from_seq, to_seq;
    uint8_t base[AUDIT_HASH_SIZE]; /* before from_seq */
    unsigned controller_count;
    struct bundle_controller controllers[BUNDLE_CONTROLLERS_MAX];
};

/* What one controller signs: its newest entry, and the one at `at`, which is the last of
 * the bundle, or its newest where it has not come so far. */
struct bundle_point {
    uint64_t seq, index;
    uint8_t hash[AUDIT_HASH_SIZE];
};
struct bundle_head {
    char cluster[AUDIT_NAME_SIZE], controller[AUDIT_NAME_SIZE];
    uint64_t wall_ms;
    struct bundle_point newest, at;
    uint8_t key[AUDIT_PUBLIC_SIZE];
    uint8_t signature[AUDIT_SIGNATURE_SIZE];
};

struct bundle_absent {
    char controller[AUDIT_NAME_SIZE], why[BUNDLE_WHY_SIZE];
};

struct bundle_trailer {
    uint64_t entries, last_seq;
    uint8_t last_hash[AUDIT_HASH_SIZE];
};

struct bundle_signature {
    char controller[AUDIT_NAME_SIZE];
    uint8_t key[AUDIT_PUBLIC_SIZE];
    uint8_t signature[AUDIT_SIGNATURE_SIZE];
};

enum bundle_kind {
    BUNDLE_HEADER,
    BUNDLE_ROW,
    BUNDLE_HEAD,
    BUNDLE_ABSENT,
    BUNDLE_TRAILER,
    BUNDLE_SIGNATURE
};

struct bundle_line {
    enum bundle_kind kind;
    union {
        struct bundle_header header;
        struct audit_row row;
        struct bundle_head head;
        struct bundle_absent absent;
        struct bundle_trailer trailer;
        struct bundle_signature signature;
    };
};

/* Without line break; NULL: no memory. */
char *bundle_text(const struct bundle_line *line);
MUST_USE int bundle_read(struct bundle_line *ret, const char *text, size_t len,
                         struct err *err);
const char *bundle_kind_name(enum bundle_kind kind);

/* What a head's signature is over, and the bundle's: the SHA-256 of every byte of the lines
 * before, with a word in front, so that neither can be taken for the other. free() it. */
char *bundle_head_signed(const struct bundle_head *h, size_t *ret_len);
enum { BUNDLE_SIGNED_SIZE = 32 + AUDIT_HASH_SIZE };
size_t bundle_signed(const uint8_t sha256[AUDIT_HASH_SIZE],
                     uint8_t ret[BUNDLE_SIGNED_SIZE]);

/* The head with its signature. */
MUST_USE int bundle_head_sign(struct bundle_head *h, const struct audit_key *key,
                              struct err *err);
bool bundle_head_holds(const struct bundle_head *h);

#endif
