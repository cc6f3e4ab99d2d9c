/* controller/daemon/jwks.h -- the keys of the OpenID provider, from its URL.
 *
 * Fetched at the start, then each `refresh`; after a failure each `retry`; and, when a JWT
 * comes whose key is not there, at once, but not within `again` of the last try: whoever
 * knocks with forged JWTs moves nothing but that. TLS verifies the server; of its answer
 * JWT_KEYS_BYTES at most are read, and it is a whole JWKS or nothing: what cannot be read
 * leaves the last good set as it is, for as long as it takes, and its age is told
 * (`doctor`, /metrics). Until the first good one nobody's JWT is good.
 *
 * Owner:   jwks_open() to jwks_close(); `jwt` outlives it.
 * Threads: the loop's; fetching is done beside it (controller/outbound).
 */
#ifndef RF_DAEMON_JWKS_H
#define RF_DAEMON_JWKS_H

#include "controller/http/api.h"

enum {
    JWKS_REFRESH_MS = 60 * 60 * 1000,
    JWKS_REFRESH_MIN_MS = 60 * 1000,
    JWKS_REFRESH_MAX_MS = 24 * 60 * 60 * 1000,
    JWKS_AGAIN_MS = 60 * 1000,
    JWKS_RETRY_MS = 15 * 1000,
    JWKS_TIMEOUT_MS = 10 * 1000,
};

struct jwks;
struct uv_loop_s;

struct jwks_times {
    uint32_t refresh_ms, again_ms, retry_ms;
};

/*   ERR_NOMEM */
MUST_USE int jwks_open(struct jwks **ret_jwks, struct uv_loop_s *loop, struct jwt *jwt,
                       const struct jwt_config *config, const struct jwks_times *times,
                       struct err *err);
void jwks_close(struct jwks *k); /* NULL is fine */

/* A JWT came whose key is not there. NULL is fine: nothing is fetched. */
void jwks_want(struct jwks *k);
/* NULL: the keys are in a file. */
void jwks_facts(const struct jwks *k, struct api_keys *ret);

#endif
