/* controller/people/jwt.h -- who asks, by the word of an OpenID provider: a JWT, signed by
 * one of its keys.
 *
 * RS256 and ES256 only, by libcjose: `alg: none`, HS256 (a public key is no secret) and
 * whatever else is refused by name before a signature is looked at; so are critical
 * headers (`crit`), RSA keys below 2048 bits, curves other than P-256, and a key that is
 * not of the algorithm's kind. Keys come from our own file or URL (a JWKS), never from the
 * token (`jwk`, `jku`, `x5u`); of a URL somebody else fetches them (jwks.h of the daemon),
 * and until then nobody's JWT is good. `iss` and `aud` have to be as configured, `exp` has
 * to be there; `exp` and `nbf` may be off by JWT_LEEWAY_S. The claim that names the user
 * has to be a name of ours; roles are those of the replicated user of that name, whatever
 * the token says of roles.
 *
 * Pure:    but for jwt_open(), which reads a file, if there is one, of JWT_KEYS_BYTES at
 *          most.
 * Owner:   jwt_open() to jwt_close(); `config` is copied.
 * Threads: one.
 * Errors:  listed.
 */
#ifndef RF_PEOPLE_JWT_H
#define RF_PEOPLE_JWT_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/base/err.h"
#include "controller/core/state.h"

enum {
    JWT_TEXT_SIZE = 256,
    JWT_CLAIM_SIZE = 64,
    JWT_KEYS_MAX = 16,
    JWT_KEYS_BYTES = 64 << 10,
    JWT_LEEWAY_S = 30,
};

struct jwt_config {
    char issuer[JWT_TEXT_SIZE], audience[JWT_TEXT_SIZE];
    char claim[JWT_CLAIM_SIZE]; /* that has the user's name: "preferred_username" */
    char keys[PATH_SIZE];       /* file of the JWKS, or its https:// */
    char ca[PATH_SIZE];         /* of the server there; "": those of the host */
    uint32_t refresh_ms;        /* how often they are fetched */
};

struct jwt;

/*   ERR_NOTFOUND ERR_IO  the file of the keys
 *   ERR_INVAL            no JWKS, no key that can be used, or too many
 *   ERR_NOMEM */
MUST_USE int jwt_open(struct jwt **ret_jwt, const struct jwt_config *config,
                      struct err *err);
void jwt_close(struct jwt *j); /* NULL is fine */

/* The keys are in no file: jwt_open() has none yet. */
bool jwt_keys_are_fetched(const struct jwt_config *config);

/* A JWKS: its keys are all that count from now on. On failure nothing has changed.
 *   ERR_INVAL  no JWKS, no key that can be used, or too many
 *   ERR_NOMEM */
MUST_USE int jwt_take_keys(struct jwt *j, const void *text, size_t len, struct err *err);
unsigned jwt_key_count(const struct jwt *j);

/* Whose token it is, and when it has expired. */
struct jwt_owner {
    char name[NAME_SIZE];
    uint64_t until_ms; /* wall time */
    /* It is not good for want of its key, which a newer JWKS may have: set on failure too.
     */
    bool key_unknown;
};

/* False: it is not good, and *ret_why says why. */
bool jwt_user(const struct jwt *j, const char *bearer, uint64_t wall_ms,
              struct jwt_owner *ret, const char **ret_why);

#endif
