#include "controller/people/factor.h"

#include <liboath/oath.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/auto.h"
#include "controller/people/token.h"

enum { RECOVERY_LETTERS = 16 };

/* Base32 of RFC 4648, in lower case: neither 0, 1, 8 nor 9, which are read wrongly. */
static int make_recovery(char text[RECOVERY_TEXT_SIZE], struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t bytes[RECOVERY_LETTERS];
    size_t n = 0;

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return err_set(err, ERR_IO, "no randomness for recovery codes");
    for (unsigned i = 0; i < RECOVERY_LETTERS; i++) {
        if (i > 0 && i % 4 == 0)
            text[n++] = '-';
        text[n++] = letters[bytes[i] & 31];
    }
    text[n] = '\0';
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

static int make_uri(const uint8_t seed[SEED_SIZE], const char *cluster, const char *user,
                    char uri[FACTOR_URI_SIZE], struct err *err)
{
    char *base32 = NULL;
    size_t len;

    if (oath_base32_encode((const char *)seed, SEED_SIZE, &base32, &len) != OATH_OK)
        return err_set(err, ERR_NOMEM, "the seed in base32");
    (void)snprintf(uri, FACTOR_URI_SIZE,
                   "otpauth://totp/Ringfence%%20%s:%s?secret=%s&issuer=Ringfence%%20%s"
                   "&algorithm=SHA1&digits=%d&period=%d",
                   cluster, user, base32, cluster, TOTP_DIGITS, TOTP_STEP_S);
    OPENSSL_cleanse(base32, len);
    free(base32);
    return 0;
}

static int make(const struct secrets_key *k, const char *cluster, const char *user,
                struct factor_made *m, struct err *err)
{
    uint8_t seed[SEED_SIZE];
    int status;

    if (RAND_bytes(seed, sizeof seed) != 1)
        return err_set(err, ERR_IO, "no randomness for a seed");
    (void)snprintf(m->entry.name, sizeof m->entry.name, "%s", user);
    status = key_seal(k, user, seed, m->entry.seed, err);
    if (status == 0)
        status = make_uri(seed, cluster, user, m->uri, err);
    OPENSSL_cleanse(seed, sizeof seed);
    for (unsigned i = 0; i < RECOVERY_MAX && status == 0; i++) {
        status = make_recovery(m->recovery[i], err);
        token_hash(m->recovery[i], m->entry.recovery[i].hash);
    }
    m->entry.recovery_count = RECOVERY_MAX;
    return status;
}

int factor_make(const struct secrets_key *k, const char *cluster, const char *user,
                struct factor_made *ret, struct err *err)
{
    struct factor_made m = {0};
    int status = make(k, cluster, user, &m, err);

    if (status == 0)
        *ret = m;
    factor_wipe(&m);
    return status;
}

void factor_wipe(struct factor_made *m) { OPENSSL_cleanse(m, sizeof *m); }

/* The step whose code it is, 0: none of the window. All of them are computed and compared,
 * whichever matches. */
static uint64_t matching_step(const uint8_t seed[SEED_SIZE], const char *code,
                              uint64_t wall_ms, uint64_t above)
{
    static bool ready;
    uint64_t now = wall_ms / 1000 / TOTP_STEP_S, match = 0;
    char expected[TOTP_DIGITS + 1];

    ready = ready || oath_init() == OATH_OK;

    for (uint64_t step = now - TOTP_WINDOW; step <= now + TOTP_WINDOW; step++) {
        bool same =
            oath_hotp_generate((const char *)seed, SEED_SIZE, step, TOTP_DIGITS, false,
                               OATH_HOTP_DYNAMIC_TRUNCATION, expected) == OATH_OK &&
            CRYPTO_memcmp(expected, code, TOTP_DIGITS) == 0;

        /* Two steps of three may have one code: the one that is still good is meant. */
        if (same && (match == 0 || match <= above))
            match = step;
    }
    OPENSSL_cleanse(expected, sizeof expected);
    return match;
}

static bool is_totp(const char *code)
{
    return strlen(code) == TOTP_DIGITS && strspn(code, "0123456789") == TOTP_DIGITS;
}

static enum factor_verdict check_recovery(const struct user *u, const char *code,
                                          struct entry_factor_used *used)
{
    uint8_t hash[TOKEN_HASH_SIZE];
    enum factor_verdict verdict = CODE_WRONG;

    token_hash(code, hash);
    for (uint8_t i = 0; i < u->recovery_count; i++)
        if (CRYPTO_memcmp(hash, u->recovery[i].hash, sizeof hash) == 0) {
            used->factor = FACTOR_RECOVERY;
            used->code = i;
            verdict = CODE_RIGHT;
        }
    return verdict;
}

int factor_check(const struct secrets_key *k, const struct user *u, const char *code,
                 uint64_t wall_ms, enum factor_verdict *ret_verdict,
                 struct entry_factor_used *ret_used, struct err *err)
{
    struct entry_factor_used used = {.factor = FACTOR_TOTP};
    uint8_t seed[SEED_SIZE];

    memcpy(used.name, u->name, sizeof used.name);
    if (!is_totp(code)) {
        *ret_verdict = check_recovery(u, code, &used);
        *ret_used = used;
        return 0;
    }
    if (key_unseal(k, u->name, u->seed, seed, err) != 0)
        return err->code;
    used.step = matching_step(seed, code, wall_ms, u->totp_step);
    OPENSSL_cleanse(seed, sizeof seed);
    *ret_verdict = used.step == 0              ? CODE_WRONG
                   : used.step <= u->totp_step ? CODE_USED
                                               : CODE_RIGHT;
    *ret_used = used;
    return 0;
}
