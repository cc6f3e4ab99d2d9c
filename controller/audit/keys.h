/* controller/audit/keys.h -- who says so: Ed25519 keys of controllers for the audit trail.
 *
 * Each controller has a key of its own, beside the one of its certificate and for nothing
 * else: a certificate's key is renewed and thrown away, while a bundle is checked years
 * later. What an auditor gets is a file of public keys, a line for each:
 *
 *     CLUSTER CONTROLLER ed25519:BASE64
 *
 * A controller may have several (its key was replaced); # begins a comment.
 *
 * Owner:   audit_key_free() what was loaded, audit_keys_free() what was read.
 * Threads: any.
 * Errors:  ERR_NOTFOUND, ERR_REFUSED (weak permissions), ERR_INVAL, ERR_NOMEM, ERR_IO.
 */
#ifndef RF_AUDIT_KEYS_H
#define RF_AUDIT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

enum {
    AUDIT_PUBLIC_SIZE = 32,
    AUDIT_SIGNATURE_SIZE = 64,
    AUDIT_NAME_SIZE = 64, /* of a cluster, of a controller */
    AUDIT_KEYS_MAX = 256,
    AUDIT_PUBLIC_TEXT_SIZE = 48, /* base64 */
};

struct audit_key;

/* A private key in PEM. Refused unless it is a plain file of ours (or root's) that nobody
 * else may read or write. */
MUST_USE int audit_key_load(struct audit_key **ret_key, const char *path, struct err *err);
/* A new one; audit_key_write() writes it as audit_key_load() reads it, 1 for success. */
MUST_USE int audit_key_make(struct audit_key **ret_key, struct err *err);
int audit_key_write(void *file, const void *key);
void audit_key_free(struct audit_key *key);  /* NULL is fine */
void audit_key_drop(struct audit_key **key); /* for AUTO() */

void audit_key_public(const struct audit_key *key, uint8_t ret[AUDIT_PUBLIC_SIZE]);
MUST_USE int audit_key_sign(const struct audit_key *key, const void *data, size_t len,
                            uint8_t ret_signature[AUDIT_SIGNATURE_SIZE], struct err *err);
bool audit_signature_holds(const uint8_t key[AUDIT_PUBLIC_SIZE], const void *data,
                           size_t len, const uint8_t signature[AUDIT_SIGNATURE_SIZE]);

struct audit_public {
    char cluster[AUDIT_NAME_SIZE], controller[AUDIT_NAME_SIZE];
    uint8_t key[AUDIT_PUBLIC_SIZE];
};

struct audit_keys {
    struct audit_public *list;
    size_t n;
};

/* ERR_INVAL names the line. */
MUST_USE int audit_keys_read(struct audit_keys *ret, const char *path, struct err *err);
MUST_USE int audit_keys_parse(struct audit_keys *ret, const char *text, struct err *err);
void audit_keys_free(struct audit_keys *keys); /* for AUTO(), too */
/* Without line break. */
enum { AUDIT_KEYS_LINE = 2 * AUDIT_NAME_SIZE + AUDIT_PUBLIC_TEXT_SIZE + 16 };
void audit_keys_line(const struct audit_public *of, char text[AUDIT_KEYS_LINE]);
bool audit_keys_know(const struct audit_keys *keys, const struct audit_public *one);
/* Is there any of that controller? */
bool audit_keys_name(const struct audit_keys *keys, const char *cluster,
                     const char *controller);

/* 1 to AUDIT_NAME_SIZE - 1 of [a-z0-9-]. */
bool audit_name_ok(const char *name);

/* Base64 into `text` of 4 * (len + 2) / 3 + 1; and back: false unless it is that of exactly
 * `len` bytes, in its one spelling. `len` is 64 at most. */
void audit_base64(const uint8_t *data, size_t len, char *text);
bool audit_unbase64(const char *text, uint8_t *ret, size_t len);

#endif
