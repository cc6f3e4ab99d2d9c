/* controller/people/token.h -- bearer tokens: rf_USER_ and 32 random bytes in base64url.
 *
 * Shown once, to whoever asked for it; the log has its SHA-256. The name in it only says
 * where to look: comparing takes the same time wherever the first difference is, and
 * whether there is such a user.
 *
 * Owner:   texts with secrets in them are the caller's to wipe.
 * Threads: any.
 */
#ifndef RF_PEOPLE_TOKEN_H
#define RF_PEOPLE_TOKEN_H

#include "controller/base/err.h"
#include "controller/core/people.h"

enum { TOKEN_TEXT_SIZE = 3 + NAME_SIZE + 1 + 43 + 1, TOKEN_SECRET_LENGTH = 43 };

/*   ERR_IO  no randomness */
MUST_USE int token_make(const char *user, char ret_text[TOKEN_TEXT_SIZE],
                        uint8_t ret_hash[TOKEN_HASH_SIZE], struct err *err);

/* It is one of ours by its looks, and not a JWT. */
bool token_is_token(const char *bearer);

/* Whose token it is. NULL: nobody's; *ret_why says why, for the answer: of a token that is
 * none no more than that. *ret_id (untouched then) is the token's. */
const struct user *token_user(const struct state *s, const char *bearer, uint64_t wall_ms,
                              uint64_t *ret_id, const char **ret_why);

/* The user still has a token of that id, and it has not expired. */
bool token_lives(const struct user *u, uint64_t id, uint64_t wall_ms);

void token_hash(const char *text, uint8_t ret_hash[TOKEN_HASH_SIZE]);

#endif
