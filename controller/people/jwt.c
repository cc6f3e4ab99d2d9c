#include "controller/people/jwt.h"

#include <cjose/cjose.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/auto.h"

enum { RSA_BITS_MIN = 2048 };

struct key_set {
    unsigned count;
    cjose_jwk_t *of[JWT_KEYS_MAX];
};

struct jwt {
    struct jwt_config config;
    struct key_set keys;
};

static void drop_keys(struct key_set *keys)
{
    for (unsigned i = 0; i < keys->count; i++)
        cjose_jwk_release(keys->of[i]);
    keys->count = 0;
}

static void drop_json(json_t **v) { json_decref(*v); }
static void drop_jws(cjose_jws_t **jws) { cjose_jws_release(*jws); }
static void drop_jwt(struct jwt **j) { jwt_close(*j); }

/* ---- keys -------------------------------------------------------------------------------
 */

/* Of a kind that can sign what is accepted; others, for encryption say, are no errors. */
static bool is_usable(const cjose_jwk_t *key)
{
    cjose_err e;

    if (cjose_jwk_get_kty(key, &e) == CJOSE_JWK_KTY_RSA)
        return cjose_jwk_get_keysize(key, &e) >= RSA_BITS_MIN;
    return cjose_jwk_get_kty(key, &e) == CJOSE_JWK_KTY_EC &&
           cjose_jwk_EC_get_curve(key, &e) == CJOSE_JWK_EC_P_256;
}

static int add_keys(const struct jwt *j, const json_t *list, struct key_set *ret,
                    struct err *err)
{
    const json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        AUTO(auto_free) char *text = json_dumps(v, JSON_COMPACT);
        cjose_jwk_t *key = text != NULL ? cjose_jwk_import(text, strlen(text), NULL) : NULL;

        if (key != NULL && !is_usable(key)) {
            cjose_jwk_release(key);
            key = NULL;
        }
        if (key != NULL && ret->count == JWT_KEYS_MAX) {
            cjose_jwk_release(key);
            return err_set(err, ERR_INVAL, "%s: more than %d keys", j->config.keys,
                           JWT_KEYS_MAX);
        }
        if (key != NULL)
            ret->of[ret->count++] = key;
    }
    if (ret->count == 0)
        return err_set(err, ERR_INVAL,
                       "%s: no key in it: RSA of %d bits and more, or EC P-256, in a JWKS "
                       "are expected",
                       j->config.keys, RSA_BITS_MIN);
    return 0;
}

int jwt_take_keys(struct jwt *j, const void *text, size_t len, struct err *err)
{
    AUTO(drop_json)
    json_t *set =
        len <= JWT_KEYS_BYTES ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    AUTO(drop_keys) struct key_set fresh = {0};
    struct key_set old = j->keys;

    if (!json_is_array(json_object_get(set, "keys")))
        return err_set(err, ERR_INVAL, "%s: no JWKS, of %d bytes at most", j->config.keys,
                       JWT_KEYS_BYTES);
    if (add_keys(j, json_object_get(set, "keys"), &fresh, err) != 0)
        return err->code;
    j->keys = fresh;
    fresh = old;
    return 0;
}

unsigned jwt_key_count(const struct jwt *j) { return j->keys.count; }

static int read_file(struct jwt *j, struct err *err)
{
    AUTO(auto_free) char *text = malloc(JWT_KEYS_BYTES + 1);
    FILE *f = fopen(j->config.keys, "re");
    size_t len;

    if (f == NULL)
        return err_errno(err, errno, "%s", j->config.keys);
    len = text != NULL ? fread(text, 1, JWT_KEYS_BYTES + 1, f) : 0;
    (void)fclose(f);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "%s", j->config.keys);
    return jwt_take_keys(j, text, len, err);
}

bool jwt_keys_are_fetched(const struct jwt_config *config)
{
    return strncmp(config->keys, "https://", strlen("https://")) == 0;
}

int jwt_open(struct jwt **ret_jwt, const struct jwt_config *config, struct err *err)
{
    AUTO(drop_jwt) struct jwt *j = calloc(1, sizeof *j);

    if (j == NULL)
        return err_set(err, ERR_NOMEM, "keys of JWTs");
    j->config = *config;
    if (!jwt_keys_are_fetched(config) && read_file(j, err) != 0)
        return err->code;
    *ret_jwt = TAKE(j);
    return 0;
}

void jwt_close(struct jwt *j)
{
    if (j == NULL)
        return;
    drop_keys(&j->keys);
    free(j);
}

/* ---- the signature ----------------------------------------------------------------------
 */

static bool fits(const cjose_jwk_t *key, const char *kid, cjose_jwk_kty_t kty)
{
    const char *own = cjose_jwk_get_kid(key, NULL);

    return cjose_jwk_get_kty(key, NULL) == kty &&
           (kid == NULL || (own != NULL && strcmp(own, kid) == 0));
}

static const char not_in_file[] =
    "that JWT is signed by a key that is not in the provider's file";
static const char not_fetched[] = "the provider's keys could not be fetched yet "
                                  "(`ringfence doctor` says why): no JWT can "
                                  "be checked";
static const char not_in_set[] =
    "that JWT is signed by a key that the provider did not have when its keys were "
    "fetched: "
    "they are fetched anew, once a minute at most; ask again then";

/* Each key that it may mean is tried; without `kid` that is each of its kind. */
static bool is_signed(const struct jwt *j, cjose_jws_t *jws, bool *ret_unknown,
                      const char **ret_why)
{
    cjose_header_t *h = cjose_jws_get_protected(jws);
    const char *alg = cjose_header_get(h, CJOSE_HDR_ALG, NULL);
    const char *kid = cjose_header_get(h, CJOSE_HDR_KID, NULL);
    AUTO(auto_free) char *crit = cjose_header_get_raw(h, "crit", NULL);
    cjose_jwk_kty_t kty = CJOSE_JWK_KTY_RSA;
    bool any = false;

    if (alg != NULL && strcmp(alg, "ES256") == 0) {
        kty = CJOSE_JWK_KTY_EC;
    } else if (alg == NULL || strcmp(alg, "RS256") != 0) {
        *ret_why = "that JWT is not signed by RS256 or ES256";
        return false;
    }
    if (crit != NULL) {
        *ret_why = "that JWT has critical headers, which are not known here";
        return false;
    }
    for (unsigned i = 0; i < j->keys.count; i++)
        if (fits(j->keys.of[i], kid, kty)) {
            any = true;
            if (cjose_jws_verify(jws, j->keys.of[i], NULL))
                return true;
        }
    *ret_unknown = !any;
    *ret_why = any                                 ? "the signature of that JWT is wrong"
               : !jwt_keys_are_fetched(&j->config) ? not_in_file
               : j->keys.count == 0                ? not_fetched
                                                   : not_in_set;
    return false;
}

/* ---- what it says -----------------------------------------------------------------------
 */

static bool has_audience(const json_t *aud, const char *audience)
{
    const json_t *v;
    size_t i;

    if (json_is_string(aud))
        return strcmp(json_string_value(aud), audience) == 0;
    json_array_foreach(aud, i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), audience) == 0)
            return true;
    }
    return false;
}

/* Seconds since 1970; a fraction is cut off. -1: no such number. */
static int64_t seconds(const json_t *v)
{
    double n = json_is_number(v) ? json_number_value(v) : -1;

    return n >= 0 && n < 1e15 ? (int64_t)n : -1;
}

static const char *wrong_time(const json_t *claims, int64_t now)
{
    const json_t *nbf = json_object_get(claims, "nbf");
    int64_t exp = seconds(json_object_get(claims, "exp"));

    if (exp < 0)
        return "that JWT does not say when it expires";
    if (now >= exp + JWT_LEEWAY_S)
        return "that JWT has expired";
    if (nbf != NULL && (seconds(nbf) < 0 || now + JWT_LEEWAY_S < seconds(nbf)))
        return "that JWT is not good yet (`nbf`)";
    return NULL;
}

static bool take_name(const json_t *v, char ret_name[NAME_SIZE])
{
    const char *name = json_string_value(v);
    size_t len = name != NULL ? strlen(name) : 0;

    if (len == 0 || len >= NAME_SIZE || name[0] == '-' || json_string_length(v) != len ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return false;
    (void)snprintf(ret_name, NAME_SIZE, "%s", name);
    return true;
}

static const char *wrong_claims(const struct jwt *j, const json_t *claims, int64_t now,
                                char ret_name[NAME_SIZE])
{
    const char *iss = json_string_value(json_object_get(claims, "iss")), *text;

    if (!json_is_object(claims))
        return "that JWT has no claims";
    if (iss == NULL || strcmp(iss, j->config.issuer) != 0)
        return "that JWT is of another issuer (`iss`)";
    if (!has_audience(json_object_get(claims, "aud"), j->config.audience))
        return "that JWT is for somebody else (`aud`)";
    text = wrong_time(claims, now);
    if (text == NULL && !take_name(json_object_get(claims, j->config.claim), ret_name))
        text = "that JWT does not name a user: [a-z0-9-], 23 characters at most";
    return text;
}

bool jwt_user(const struct jwt *j, const char *bearer, uint64_t wall_ms,
              struct jwt_owner *ret, const char **ret_why)
{
    AUTO(drop_jws) cjose_jws_t *jws = cjose_jws_import(bearer, strlen(bearer), NULL);
    AUTO(drop_json) json_t *claims = NULL;
    char name[NAME_SIZE];
    uint8_t *text;
    size_t len;

    ret->key_unknown = false;
    *ret_why = "that is neither a token nor a JWT";
    if (jws == NULL || !is_signed(j, jws, &ret->key_unknown, ret_why) ||
        !cjose_jws_get_plaintext(jws, &text, &len, NULL))
        return false;
    claims = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
    *ret_why = wrong_claims(j, claims, (int64_t)(wall_ms / 1000), name);
    if (*ret_why != NULL)
        return false;
    memcpy(ret->name, name, sizeof name);
    ret->until_ms =
        (uint64_t)(seconds(json_object_get(claims, "exp")) + JWT_LEEWAY_S) * 1000;
    return true;
}
