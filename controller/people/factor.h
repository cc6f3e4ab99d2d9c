/* controller/people/factor.h -- the second factor: codes of RFC 6238, and recovery codes.
 *
 * Six digits, 30 seconds, SHA-1, as every authenticator application knows them; the code of
 * the step before and of the one after count too (a phone's clock). A recovery code counts
 * once instead: 80 random bits, so its SHA-256 is enough.
 *
 * What is right here counts only when the log has accepted it (ENTRY_FACTOR_USED):
 * controller/core/people.h.
 *
 * Owner:   texts with secrets in them are the caller's to wipe.
 * Threads: one: liboath is readied at the first check.
 */
#ifndef RF_PEOPLE_FACTOR_H
#define RF_PEOPLE_FACTOR_H

#include "controller/core/people.h"
#include "controller/people/key.h"

enum {
    TOTP_DIGITS = 6,
    TOTP_STEP_S = 30,
    TOTP_WINDOW = 1,
    RECOVERY_TEXT_SIZE = 20, /* "abcd-efgh-ijkl-mnop" */
    FACTOR_URI_SIZE = 256,
};

/* Everything that is shown once. */
struct factor_made {
    struct entry_user_totp entry;
    char uri[FACTOR_URI_SIZE]; /* otpauth://totp/... */
    char recovery[RECOVERY_MAX][RECOVERY_TEXT_SIZE];
};

/*   ERR_INVAL  there is no key
 *   ERR_IO     no randomness */
MUST_USE int factor_make(const struct secrets_key *k, const char *cluster, const char *user,
                         struct factor_made *ret, struct err *err);
void factor_wipe(struct factor_made *m);

enum factor_verdict {
    CODE_RIGHT,
    CODE_WRONG,
    CODE_USED, /* right, and it was used before: not counted as a guess */
};

/* On CODE_RIGHT *ret_used is what the log has to accept.
 *   ERR_INVAL  there is no key  ERR_BADMSG  another key */
MUST_USE int factor_check(const struct secrets_key *k, const struct user *u,
                          const char *code, uint64_t wall_ms,
                          enum factor_verdict *ret_verdict,
                          struct entry_factor_used *ret_used, struct err *err);

#endif
