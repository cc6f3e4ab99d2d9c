/* `audit.ship`: where the audit trail is brought to. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/findings.h"
#include "controller/daemon/settings_private.h"
#include "controller/net/host.h"
#include "fencing/methods/secret.h"

enum {
    EVERY_MS = 300000,
    EVERY_MIN_MS = 1000,
    EVERY_MAX_MS = 86400000,
    TIMEOUT_MS = 60000
};

#define S3_TEXT(key, flags, max)                                                           \
    CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | (flags), struct file_s3, key, 1, max)

static const cyaml_schema_field_t s3_fields[] = {
    S3_TEXT(url, 0, SHIP_URL_SIZE - 1),
    S3_TEXT(bucket, 0, SHIP_WORD_SIZE - 1),
    S3_TEXT(prefix, CYAML_FLAG_OPTIONAL, SHIP_PREFIX_SIZE - 2),
    S3_TEXT(region, 0, SHIP_WORD_SIZE - 1),
    S3_TEXT(access_key_file, 0, SHIP_PATH_SIZE - 1),
    S3_TEXT(secret_key_file, 0, SHIP_PATH_SIZE - 1),
    S3_TEXT(ca, CYAML_FLAG_OPTIONAL, SHIP_PATH_SIZE - 1),
    S3_TEXT(retain, CYAML_FLAG_OPTIONAL, 16),
    S3_TEXT(mode, CYAML_FLAG_OPTIONAL, 16),
    CYAML_FIELD_END,
};

const cyaml_schema_field_t settings_ship_fields[] = {
    CYAML_FIELD_STRING_PTR("directory", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file_ship, directory, 1, SHIP_PATH_SIZE - 1),
    CYAML_FIELD_MAPPING("s3", CYAML_FLAG_OPTIONAL, struct file_ship, s3, s3_fields),
    CONFIG_UNIT("every", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

/* A path of a URL as it is signed: nothing that would have to be written otherwise. */
static bool is_plain(const char *text, const char *more)
{
    for (; *text != '\0'; text++)
        if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') &&
            !(*text >= '0' && *text <= '9') && strchr(more, *text) == NULL)
            return false;
    return true;
}

/* Without TLS only to this host itself: what is shipped says who did what. */
static bool url_is_good(const char *url)
{
    static const char *const here[] = {"http://127.0.0.1", "http://[::1]",
                                       "http://localhost"};

    if (!is_plain(url, ":/.-[]"))
        return false;
    if (strncmp(url, "https://", 8) == 0)
        return url[8] != '\0';
    for (size_t i = 0; i < ARRAY_LEN(here); i++) {
        size_t len = strlen(here[i]);

        if (strncmp(url, here[i], len) == 0 && (url[len] == '\0' || url[len] == ':'))
            return true;
    }
    return false;
}

static int take_path(const struct config *c, const char *key, const char *text,
                     char ret[SHIP_PATH_SIZE], struct err *err)
{
    if (text[0] != '/')
        return config_bad(c, key, err, "\"%s\": an absolute path is expected", text);
    (void)snprintf(ret, SHIP_PATH_SIZE, "%s", text);
    return 0;
}

static int take_url(const struct config *c, const struct file_s3 *f, struct ship_place *p,
                    struct err *err)
{
    size_t len = strlen(f->url);

    if (!url_is_good(f->url))
        return config_bad(c, "audit.ship.s3.url", err,
                          "\"%s\": https://HOST or https://HOST:PORT is expected (http:// "
                          "only for this host itself)",
                          f->url);
    if (f->url[len - 1] == '/')
        len--;
    (void)snprintf(p->url, sizeof p->url, "%.*s", (int)len, f->url);
    return 0;
}

static int take_words(const struct config *c, const struct file_s3 *f, struct ship_place *p,
                      struct err *err)
{
    const char *prefix = f->prefix != NULL ? f->prefix : "";
    size_t len = strlen(prefix);

    if (!is_plain(f->bucket, ".-_"))
        return config_bad(c, "audit.ship.s3.bucket", err,
                          "\"%s\": letters, digits, '.', '-' and '_' are expected",
                          f->bucket);
    if (!is_plain(f->region, "-"))
        return config_bad(c, "audit.ship.s3.region", err,
                          "\"%s\": a region such as eu-central-1 is expected", f->region);
    if (!is_plain(prefix, ".-_/") || prefix[0] == '/' || strstr(prefix, "//") != NULL)
        return config_bad(c, "audit.ship.s3.prefix", err,
                          "\"%s\": a folder such as ringfence/prod is expected", prefix);
    (void)snprintf(p->bucket, sizeof p->bucket, "%s", f->bucket);
    (void)snprintf(p->region, sizeof p->region, "%s", f->region);
    (void)snprintf(p->prefix, sizeof p->prefix, "%s%s", prefix,
                   len > 0 && prefix[len - 1] != '/' ? "/" : "");
    return 0;
}

static int take_lock(const struct config *c, const struct file_s3 *f, struct ship_place *p,
                     struct err *err)
{
    const char *mode = f->mode != NULL ? f->mode : "governance";

    p->compliance = strcmp(mode, "compliance") == 0;
    if (!p->compliance && strcmp(mode, "governance") != 0)
        return config_bad(c, "audit.ship.s3.mode", err,
                          "\"%s\": governance or compliance is expected", mode);
    if (f->retain == NULL && f->mode != NULL)
        return config_bad(c, "audit.ship.s3.mode", err,
                          "says how, and `retain` for how long, such as 13mo: it is "
                          "missing");
    if (f->retain == NULL)
        return 0;
    return settings_take_age(c, "audit.ship.s3.retain", f->retain, &p->retain_ms, err);
}

static int take_s3(const struct config *c, const struct file_s3 *f, struct ship_place *p,
                   struct err *err)
{
    p->kind = SHIP_S3;
    if (take_url(c, f, p, err) != 0 || take_words(c, f, p, err) != 0 ||
        take_lock(c, f, p, err) != 0 ||
        take_path(c, "audit.ship.s3.access_key_file", f->access_key_file, p->access_key,
                  err) != 0 ||
        take_path(c, "audit.ship.s3.secret_key_file", f->secret_key_file, p->secret_key,
                  err) != 0)
        return err->code;
    return f->ca != NULL ? take_path(c, "audit.ship.s3.ca", f->ca, p->ca, err) : 0;
}

/* Needs cluster, name and audit.key. */
int settings_take_ship(const struct config *c, const struct file_ship *f,
                       struct settings *s, struct err *err)
{
    struct ship_place *p = &s->ship;
    int status;

    s->ship_every_ms = EVERY_MS;
    if (!config_has(c, "audit.ship"))
        return 0;
    if ((f->directory != NULL) == (f->s3.url != NULL))
        return config_bad(c, "audit.ship", err, "either directory or s3 is expected");
    if (s->audit_key[0] == '\0')
        return config_bad(c, "audit.ship", err,
                          "what is shipped is signed: audit.key is missing");
    p->timeout_ms = TIMEOUT_MS;
    (void)snprintf(p->cluster, sizeof p->cluster, "%s", s->cluster);
    (void)snprintf(p->writer, sizeof p->writer, "%s", s->name);
    p->kind = SHIP_DIRECTORY;
    status = f->directory != NULL
                 ? take_path(c, "audit.ship.directory", f->directory, p->directory, err)
                 : take_s3(c, &f->s3, p, err);
    if (status != 0 || config_duration(c, "audit.ship.every", &s->ship_every_ms, err) != 0)
        return err->code;
    if (s->ship_every_ms < EVERY_MIN_MS || s->ship_every_ms > EVERY_MAX_MS)
        return config_bad(c, "audit.ship.every", err,
                          "%" PRIu32 " ms: 1s to 24h are expected", s->ship_every_ms);
    return 0;
}

static void check_secret(const char *key, const char *path, bool starting,
                         struct findings *f)
{
    char text[SECRET_SIZE] = "";
    struct err err = {0};

    if (secret_read(path, text, &err) != 0)
        (starting ? findings_warn : findings_error)(f, key, "%s", err.text);
    secret_wipe(text);
}

/* None of it keeps a controller from starting: what is not shipped is told. */
void settings_check_ship(const struct settings *s, bool starting, struct findings *f)
{
    const struct ship_place *p = &s->ship;
    struct ship_mark mark;
    struct err err = {0};

    if (p->kind == SHIP_S3) {
        check_secret("audit.ship.s3.access_key_file", p->access_key, starting, f);
        check_secret("audit.ship.s3.secret_key_file", p->secret_key, starting, f);
    }
    /* A start must not wait for a mounted one that hangs. */
    if (p->kind != SHIP_DIRECTORY || starting)
        return;
    if (ship_find(p, 0, NULL, &mark, &err) != 0)
        findings_error(f, "audit.ship.directory",
                       "%s: a directory that this user may write is expected", err.text);
    else if (faccessat(AT_FDCWD, p->directory, W_OK | X_OK, AT_EACCESS) != 0)
        findings_error(f, "audit.ship.directory",
                       "%s: %s: a directory that this user may write is expected",
                       p->directory, strerror(errno));
}
