/* `secrets_key`, what seeds of second factors are sealed under; `oidc`, whose JWTs count.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/findings.h"
#include "controller/daemon/jwks.h"
#include "controller/daemon/settings_private.h"
#include "fencing/methods/secret.h"

const cyaml_schema_field_t settings_oidc_fields[] = {
    CYAML_FIELD_STRING_PTR("issuer", CYAML_FLAG_POINTER, struct file_oidc, issuer, 1,
                           JWT_TEXT_SIZE - 1),
    CYAML_FIELD_STRING_PTR("audience", CYAML_FLAG_POINTER, struct file_oidc, audience, 1,
                           JWT_TEXT_SIZE - 1),
    CYAML_FIELD_STRING_PTR("claim", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file_oidc, claim, 1, JWT_CLAIM_SIZE - 1),
    CYAML_FIELD_STRING_PTR("keys", CYAML_FLAG_POINTER, struct file_oidc, keys, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("ca", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file_oidc,
                           ca, 1, PATH_SIZE - 1),
    CONFIG_UNIT("refresh", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

/* Of a URL: whom to trust there, and how often to ask. */
static int take_fetched(const struct config *c, const struct file_oidc *f,
                        struct settings *s, struct err *err)
{
    if (f->ca != NULL && f->ca[0] != '/')
        return config_bad(c, "oidc.ca", err, "\"%s\": an absolute path is expected", f->ca);
    (void)snprintf(s->oidc.ca, sizeof s->oidc.ca, "%s", f->ca != NULL ? f->ca : "");
    s->oidc.refresh_ms = JWKS_REFRESH_MS;
    if (config_duration(c, "oidc.refresh", &s->oidc.refresh_ms, err) != 0)
        return err->code;
    if (s->oidc.refresh_ms < JWKS_REFRESH_MIN_MS ||
        s->oidc.refresh_ms > JWKS_REFRESH_MAX_MS)
        return config_bad(c, "oidc.refresh", err, "%" PRIu32 " ms: 1min to 1d are expected",
                          s->oidc.refresh_ms);
    return 0;
}

int settings_take_oidc(const struct config *c, const struct file_oidc *f,
                       struct settings *s, struct err *err)
{
    const char *claim = f->claim != NULL ? f->claim : "preferred_username";

    if (f->keys == NULL)
        return 0;
    (void)snprintf(s->oidc.keys, sizeof s->oidc.keys, "%s", f->keys);
    if (f->keys[0] != '/' && !jwt_keys_are_fetched(&s->oidc))
        return config_bad(c, "oidc.keys", err,
                          "\"%s\": an absolute path, or a URL that begins with https:// is "
                          "expected",
                          f->keys);
    if (f->ca != NULL && f->keys[0] == '/')
        return config_bad(c, "oidc.ca", err, "\"%s\": oidc.keys is a file, and not a URL",
                          f->ca);
    (void)snprintf(s->oidc.issuer, sizeof s->oidc.issuer, "%s", f->issuer);
    (void)snprintf(s->oidc.audience, sizeof s->oidc.audience, "%s", f->audience);
    (void)snprintf(s->oidc.claim, sizeof s->oidc.claim, "%s", claim);
    return take_fetched(c, f, s, err);
}

int settings_read_key(const struct settings *s, struct secrets_key *ret_key,
                      struct err *err)
{
    char text[SECRET_SIZE] = "";
    int status;

    *ret_key = (struct secrets_key){0};
    if (s->secrets_key[0] == '\0')
        return 0;
    status = secret_read(s->secrets_key, text, err);
    if (status == 0)
        status = key_parse(ret_key, text, err);
    secret_wipe(text);
    return status != 0 ? err_wrap(err, "%s", s->secrets_key) : 0;
}

/* A start goes on without it: who asks with a second factor is refused then, and a failover
 * waits for nobody's code. */
void settings_check_key(const struct settings *s, bool starting, struct findings *f)
{
    struct secrets_key key;
    struct err err = {0};

    if (settings_read_key(s, &key, &err) != 0)
        (starting ? findings_warn : findings_error)(f, "secrets_key", "%s", err.text);
    key_wipe(&key);
}

void settings_check_oidc(const struct settings *s, bool starting, struct findings *f)
{
    struct jwt *jwt = NULL;
    struct err err = {0};

    if (s->oidc.keys[0] != '\0' && jwt_open(&jwt, &s->oidc, &err) != 0)
        (starting ? findings_warn : findings_error)(f, "oidc.keys", "%s", err.text);
    jwt_close(jwt);
    /* Whether the provider answers is no matter of this host: `ringfence doctor` tells. */
    if (s->oidc.ca[0] != '\0' && access(s->oidc.ca, R_OK) != 0) {
        (void)err_errno(&err, errno, "%s", s->oidc.ca);
        (starting ? findings_warn : findings_error)(f, "oidc.ca", "%s", err.text);
    }
}
