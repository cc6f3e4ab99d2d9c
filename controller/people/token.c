#include "controller/people/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

enum { SECRET_BYTES = 32 };

void token_hash(const char *text, uint8_t ret_hash[TOKEN_HASH_SIZE])
{
    (void)SHA256((const uint8_t *)text, strlen(text), ret_hash);
}

/* RFC 4648 section 5, without padding. */
static void encode(const uint8_t bytes[SECRET_BYTES], char text[TOKEN_SECRET_LENGTH + 2])
{
    (void)EVP_EncodeBlock((uint8_t *)text, bytes, SECRET_BYTES);
    text[TOKEN_SECRET_LENGTH] = '\0'; /* one '=' */
    for (char *p = text; *p != '\0'; p++)
        if (*p == '+')
            *p = '-';
        else if (*p == '/')
            *p = '_';
}

int token_make(const char *user, char ret_text[TOKEN_TEXT_SIZE],
               uint8_t ret_hash[TOKEN_HASH_SIZE], struct err *err)
{
    char secret[TOKEN_SECRET_LENGTH + 2];
    uint8_t bytes[SECRET_BYTES];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return err_set(err, ERR_IO, "no randomness for a token");
    encode(bytes, secret);
    (void)snprintf(ret_text, TOKEN_TEXT_SIZE, "rf_%s_%s", user, secret);
    token_hash(ret_text, ret_hash);
    OPENSSL_cleanse(bytes, sizeof bytes);
    OPENSSL_cleanse(secret, sizeof secret);
    return 0;
}

bool token_is_token(const char *bearer) { return strncmp(bearer, "rf_", 3) == 0; }

/* Names have no '_'. False: no token of ours. */
static bool read_name(const char *bearer, char name[NAME_SIZE])
{
    size_t len;

    if (!token_is_token(bearer))
        return false;
    len = strcspn(bearer + 3, "_");
    if (len == 0 || len >= NAME_SIZE || strlen(bearer + 3 + len) != 1 + TOKEN_SECRET_LENGTH)
        return false;
    (void)snprintf(name, NAME_SIZE, "%.*s", (int)len, bearer + 3);
    return true;
}

static bool has_expired(const struct user_token *t, uint64_t wall_ms)
{
    return t->expires_ms != 0 && wall_ms >= t->expires_ms;
}

bool token_lives(const struct user *u, uint64_t id, uint64_t wall_ms)
{
    for (unsigned i = 0; i < u->token_count; i++)
        if (u->tokens[i].id == id)
            return !has_expired(&u->tokens[i], wall_ms);
    return false;
}

const struct user *token_user(const struct state *s, const char *bearer, uint64_t wall_ms,
                              uint64_t *ret_id, const char **ret_why)
{
    static const struct user nobody = {.token_count = USER_TOKENS_MAX};
    const struct user_token *found = NULL;
    uint8_t hash[TOKEN_HASH_SIZE];
    char name[NAME_SIZE];
    const struct user *u;

    *ret_why = "that token is nobody's: it was never given out, or it is revoked";
    if (!read_name(bearer, name))
        return NULL;
    token_hash(bearer, hash);
    u = state_user(s, name);
    for (unsigned i = 0; i < (u != NULL ? u : &nobody)->token_count; i++) {
        const struct user_token *t = &(u != NULL ? u : &nobody)->tokens[i];

        if (CRYPTO_memcmp(t->hash, hash, sizeof hash) == 0)
            found = t;
    }
    if (u == NULL || found == NULL)
        return NULL;
    if (has_expired(found, wall_ms)) {
        *ret_why = "that token has expired: ask an admin for `ringfence user token`";
        return NULL;
    }
    *ret_id = found->id;
    return u;
}
