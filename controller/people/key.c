#include "controller/people/key.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "controller/base/auto.h"

enum { NONCE_SIZE = 12, TAG_SIZE = 16 };
_Static_assert(SEED_SEALED_SIZE == NONCE_SIZE + SEED_SIZE + TAG_SIZE, "nonce, seed, tag");

static void free_cipher(EVP_CIPHER_CTX **ctx) { EVP_CIPHER_CTX_free(*ctx); }

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int key_parse(struct secrets_key *ret_key, const char *text, struct err *err)
{
    static const char expected[] = "64 hexadecimal digits are expected, as `openssl rand "
                                   "-hex 32` makes them";
    const size_t digits = (size_t)2 * SECRETS_KEY_SIZE;
    struct secrets_key k = {.is_set = true};
    bool all_the_same = true;

    if (strspn(text, "0123456789abcdefABCDEF") != digits ||
        text[digits + strspn(text + digits, " \r\n")] != '\0')
        return err_set(err, ERR_INVAL, "%s", expected);
    for (size_t i = 0; i < SECRETS_KEY_SIZE; i++) {
        k.bytes[i] = (uint8_t)(digit(text[2 * i]) * 16 + digit(text[2 * i + 1]));
        all_the_same = all_the_same && k.bytes[i] == k.bytes[0];
    }
    if (all_the_same)
        return err_set(err, ERR_INVAL, "it is no random number: %s", expected);
    *ret_key = k;
    key_wipe(&k);
    return 0;
}

void key_wipe(struct secrets_key *k) { OPENSSL_cleanse(k, sizeof *k); }

static int need_key(const struct secrets_key *k, struct err *err)
{
    if (k == NULL || !k->is_set)
        return err_set(err, ERR_INVAL,
                       "this controller has no `secrets_key`, so there are no second "
                       "factors: give all controllers the same one (docs/security.md)");
    return 0;
}

int key_seal(const struct secrets_key *k, const char *user, const uint8_t seed[SEED_SIZE],
             uint8_t ret_sealed[SEED_SEALED_SIZE], struct err *err)
{
    AUTO(free_cipher) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t out[SEED_SEALED_SIZE];
    int len;

    if (need_key(k, err) != 0)
        return err->code;
    if (ctx == NULL || RAND_bytes(out, NONCE_SIZE) != 1 ||
        EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->bytes, out) != 1 ||
        EVP_EncryptUpdate(ctx, NULL, &len, (const uint8_t *)user, (int)strlen(user)) != 1 ||
        EVP_EncryptUpdate(ctx, out + NONCE_SIZE, &len, seed, SEED_SIZE) != 1 ||
        EVP_EncryptFinal_ex(ctx, out + NONCE_SIZE + len, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE,
                            out + NONCE_SIZE + SEED_SIZE) != 1)
        return err_set(err, ERR_IO, "the seed could not be sealed");
    memcpy(ret_sealed, out, sizeof out);
    return 0;
}

int key_unseal(const struct secrets_key *k, const char *user,
               const uint8_t sealed[SEED_SEALED_SIZE], uint8_t ret_seed[SEED_SIZE],
               struct err *err)
{
    AUTO(free_cipher) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t seed[SEED_SIZE], tag[TAG_SIZE];
    int len, ok;

    if (need_key(k, err) != 0)
        return err->code;
    memcpy(tag, sealed + NONCE_SIZE + SEED_SIZE, sizeof tag);
    ok =
        ctx != NULL &&
        EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->bytes, sealed) == 1 &&
        EVP_DecryptUpdate(ctx, NULL, &len, (const uint8_t *)user, (int)strlen(user)) == 1 &&
        EVP_DecryptUpdate(ctx, seed, &len, sealed + NONCE_SIZE, SEED_SIZE) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
        EVP_DecryptFinal_ex(ctx, seed + len, &len) == 1;
    if (ok)
        memcpy(ret_seed, seed, sizeof seed);
    OPENSSL_cleanse(seed, sizeof seed);
    if (!ok)
        return err_set(err, ERR_BADMSG,
                       "the second factor of %s was sealed under another key: have all "
                       "controllers the same `secrets_key`?",
                       user);
    return 0;
}
