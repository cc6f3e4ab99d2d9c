/* controller/people/key.h -- the controllers' key: what seeds of second factors are sealed
 * under.
 *
 * All controllers have the same one, in a file of its own (`secrets_key`, 0600), in no log,
 * no snapshot and no backup of those: who has a copy of the log has no second factor. The
 * file has 64 hexadecimal digits: `openssl rand -hex 32`.
 *
 * Sealed is by AES-256-GCM with a random nonce of 96 bits and the user's name as what is
 * authenticated besides, so that one user's seed is not another's. Some hundred seeds are
 * ever sealed under one key; random nonces are good for 2^32.
 *
 * Owner:   plain values with secrets in them: key_wipe().
 * Threads: any.
 * Errors:  listed; no text has a byte of the key.
 */
#ifndef RF_PEOPLE_KEY_H
#define RF_PEOPLE_KEY_H

#include "controller/base/err.h"
#include "controller/core/state.h"

enum { SECRETS_KEY_SIZE = 32, SEED_SIZE = 20 };

struct secrets_key {
    bool is_set; /* false: this controller has none */
    uint8_t bytes[SECRETS_KEY_SIZE];
};

/*   ERR_INVAL  not 64 hexadecimal digits, or all the same */
MUST_USE int key_parse(struct secrets_key *ret_key, const char *text, struct err *err);
void key_wipe(struct secrets_key *k);

/*   ERR_INVAL  there is no key
 *   ERR_IO     no randomness, or no cipher */
MUST_USE int key_seal(const struct secrets_key *k, const char *user,
                      const uint8_t seed[SEED_SIZE], uint8_t ret_sealed[SEED_SEALED_SIZE],
                      struct err *err);

/*   ERR_INVAL  there is no key
 *   ERR_BADMSG sealed under another key, for another user, or changed */
MUST_USE int key_unseal(const struct secrets_key *k, const char *user,
                        const uint8_t sealed[SEED_SEALED_SIZE], uint8_t ret_seed[SEED_SIZE],
                        struct err *err);

#endif
