/* `notify` of ringfenced.yaml: whom the leader tells. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/findings.h"
#include "controller/core/actor.h"
#include "controller/daemon/settings_private.h"
#include "fencing/methods/secret.h"

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, SETTINGS_MAIL_SIZE - 1)};

static const cyaml_schema_field_t notify_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct file_notify, name, 1,
                           NAME_SIZE - 1),
    CYAML_FIELD_STRING_PTR("url", CYAML_FLAG_POINTER, struct file_notify, url, 1,
                           OUTBOUND_URL_SIZE - 1),
    CYAML_FIELD_STRING_PTR("ca", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file_notify, ca, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("secret_file", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file_notify, secret_file, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("user", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file_notify, user, 1, SETTINGS_USER_SIZE - 1),
    CYAML_FIELD_STRING_PTR("from", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file_notify, from, 1, SETTINGS_MAIL_SIZE - 1),
    CYAML_FIELD_SEQUENCE("to", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file_notify,
                         to, &text_value, 1, OUTBOUND_TO_MAX),
    CYAML_FIELD_SEQUENCE("roles", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                         struct file_notify, roles, &text_value, 1, 4),
    CYAML_FIELD_BOOL("plain", CYAML_FLAG_OPTIONAL, struct file_notify, plain),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t settings_notify_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_notify, notify_fields),
};

/* One of the list, and the key in it that is looked at. */
struct place {
    const struct config *c;
    char at[CONFIG_KEY_SIZE / 2], key[CONFIG_KEY_SIZE];
};

static const char *key_of(struct place *p, const char *name)
{
    (void)snprintf(p->key, sizeof p->key, "%s.%s", p->at, name);
    return p->key;
}

static int take_path(struct place *p, const char *name, const char *text,
                     char ret[PATH_SIZE], struct err *err)
{
    if (text == NULL)
        return 0;
    if (text[0] != '/')
        return config_bad(p->c, key_of(p, name), err,
                          "\"%s\": an absolute path is expected", text);
    (void)snprintf(ret, PATH_SIZE, "%s", text);
    return 0;
}

/* It goes into the lines of a mail and of SMTP as it is. */
static bool is_mail(const char *text)
{
    const char *at = strchr(text, '@');

    for (const char *c = text; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr(".!#$%&'*+/=?^_`{|}~-@", *c) == NULL)
            return false;
    return at != NULL && at != text && at[1] != '\0' && strchr(at + 1, '@') == NULL &&
           text[0] != '-';
}

static int take_mail(struct place *p, const char *name, const char *text,
                     char ret[SETTINGS_MAIL_SIZE], struct err *err)
{
    if (!is_mail(text))
        return config_bad(p->c, key_of(p, name), err,
                          "\"%s\": a plain address such as ops@example.org is expected",
                          text);
    (void)snprintf(ret, SETTINGS_MAIL_SIZE, "%s", text);
    return 0;
}

static int take_mails(struct place *p, const struct file_notify *f,
                      struct settings_notify *ret, struct err *err)
{
    if (f->from == NULL)
        return config_bad(p->c, key_of(p, "from"), err, "is missing: who writes the mail");
    if (f->to_count == 0)
        return config_bad(p->c, key_of(p, "to"), err, "is missing: who gets the mail");
    if (take_mail(p, "from", f->from, ret->from, err) != 0)
        return err->code;
    for (uint32_t i = 0; i < f->to_count; i++)
        if (take_mail(p, "to", f->to[i], ret->to[i], err) != 0)
            return err->code;
    ret->to_count = (uint8_t)f->to_count;
    (void)snprintf(ret->user, sizeof ret->user, "%s", f->user != NULL ? f->user : "");
    if ((f->user != NULL) != (f->secret_file != NULL))
        return config_bad(p->c, key_of(p, "user"), err,
                          "`user` and `secret_file`, its password, belong together");
    return 0;
}

static int take_url(struct place *p, const struct file_notify *f,
                    struct settings_notify *ret, struct err *err)
{
    bool plain = false, web = outbound_is_web(f->url, &plain);

    (void)snprintf(ret->url, sizeof ret->url, "%s", f->url);
    ret->plain = f->plain;
    if (!web && !outbound_is_mail(f->url))
        return config_bad(p->c, key_of(p, "url"), err,
                          "\"%s\": a URL of https://, smtps:// or smtp:// is expected",
                          f->url);
    if (plain && !f->plain)
        return config_bad(p->c, key_of(p, "url"), err,
                          "\"%s\": whoever is in between can read and change it: https:// "
                          "is expected, or `plain: true`",
                          f->url);
    if (f->plain && f->secret_file != NULL)
        return config_bad(
            p->c, key_of(p, "plain"), err,
            "a secret is sent by TLS only: take `plain` or `secret_file` out");
    if (web && (f->from != NULL || f->to_count != 0 || f->user != NULL))
        return config_bad(p->c, key_of(p, "url"), err,
                          "\"%s\": `from`, `to` and `user` are of a mail, smtps:// or "
                          "smtp://",
                          f->url);
    return web ? 0 : take_mails(p, f, ret, err);
}

static int take_roles(struct place *p, const struct file_notify *f,
                      struct settings_notify *ret, struct err *err)
{
    for (uint32_t i = 0; i < f->roles_count; i++) {
        uint8_t role = role_of(f->roles[i]);

        if (role == 0)
            return config_bad(p->c, key_of(p, "roles"), err,
                              "\"%s\": viewer, operator, approver or admin is expected",
                              f->roles[i]);
        ret->roles |= role;
    }
    return 0;
}

int settings_take_notify(const struct config *c, const struct file_notify *notify,
                         uint32_t count, struct settings *s, struct err *err)
{
    struct place p = {.c = c};

    if (count == 0)
        return 0;
    s->notify = calloc(count, sizeof *s->notify);
    if (s->notify == NULL)
        return err_set(err, ERR_NOMEM, "%s", config_path(c));
    for (uint32_t i = 0; i < count; i++) {
        struct settings_notify *n = &s->notify[i];

        (void)snprintf(p.at, sizeof p.at, "notify[%u]", i);
        if (settings_take_name(c, key_of(&p, "name"), notify[i].name, n->name, err) != 0 ||
            take_path(&p, "ca", notify[i].ca, n->ca, err) != 0 ||
            take_path(&p, "secret_file", notify[i].secret_file, n->secret_file, err) != 0 ||
            take_url(&p, &notify[i], n, err) != 0 ||
            take_roles(&p, &notify[i], n, err) != 0)
            return err->code;
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(s->notify[k].name, n->name) == 0)
                return config_bad(c, p.at, err,
                                  "has the name of notify[%u]: each is used once", k);
        s->notify_count++;
    }
    return 0;
}

/* Whether they answer is seen when there is something to tell: `ringfence doctor`. */
void settings_check_notify(const struct settings *s, bool starting, struct findings *f)
{
    void (*find)(struct findings *, const char *, const char *, ...) =
        starting ? findings_warn : findings_error;
    char secret[SECRET_SIZE], key[CONFIG_KEY_SIZE];
    struct err err = {0};

    for (unsigned i = 0; i < s->notify_count; i++) {
        const struct settings_notify *n = &s->notify[i];

        if (n->ca[0] != '\0' && access(n->ca, R_OK) != 0) {
            (void)snprintf(key, sizeof key, "notify[%u].ca", i);
            find(f, key, "%s: cannot be read", n->ca);
        }
        if (n->secret_file[0] == '\0')
            continue;
        (void)snprintf(key, sizeof key, "notify[%u].secret_file", i);
        if (secret_read(n->secret_file, secret, &err) != 0)
            find(f, key, "%s", err.text);
        secret_wipe(secret);
    }
}
