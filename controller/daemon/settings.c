#include "controller/daemon/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/daemon/settings_private.h"
#include "controller/net/identity.h"

/* What libcyaml makes of the file, before we make sense of it. */
struct file_controller {
    uint64_t id;
    char *name, *region, *address;
};

struct file {
    char *cluster, *name, *data_dir, *listen, *socket, *metrics, *secrets_key;
    struct {
        char *ca, *cert, *key, *crl;
    } tls;
    struct {
        int unused;
    } raft;
    struct {
        char *key, *retention;
    } audit;
    struct file_api api;
    struct file_oidc oidc;
    struct file_controller *controllers;
    uint32_t controllers_count;
    struct file_fencer *fencers;
    uint32_t fencers_count;
    struct file_notify *notify;
    uint32_t notify_count;
};

static const cyaml_schema_field_t tls_fields[] = {
    CYAML_FIELD_STRING_PTR("ca", CYAML_FLAG_POINTER, __typeof__(((struct file *)0)->tls),
                           ca, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("cert", CYAML_FLAG_POINTER, __typeof__(((struct file *)0)->tls),
                           cert, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, __typeof__(((struct file *)0)->tls),
                           key, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("crl", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           __typeof__(((struct file *)0)->tls), crl, 1, PATH_SIZE - 1),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t raft_fields[] = {
    CONFIG_UNIT("election", CYAML_FLAG_OPTIONAL),
    CONFIG_UNIT("heartbeat", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t audit_fields[] = {
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           __typeof__(((struct file *)0)->audit), key, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("retention", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           __typeof__(((struct file *)0)->audit), retention, 1, 16),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t controller_fields[] = {
    CYAML_FIELD_UINT("id", CYAML_FLAG_DEFAULT, struct file_controller, id),
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct file_controller, name, 1,
                           NAME_SIZE - 1),
    CYAML_FIELD_STRING_PTR("region", CYAML_FLAG_POINTER, struct file_controller, region, 1,
                           NAME_SIZE - 1),
    CYAML_FIELD_STRING_PTR("address", CYAML_FLAG_POINTER, struct file_controller, address,
                           1, ADDRESS_TEXT_SIZE - 1),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t controller_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_controller, controller_fields),
};

static const cyaml_schema_field_t fields[] = {
    CYAML_FIELD_STRING_PTR("cluster", CYAML_FLAG_POINTER, struct file, cluster, 1,
                           NAME_SIZE - 1),
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct file, name, 1, NAME_SIZE - 1),
    CYAML_FIELD_STRING_PTR("data_dir", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file, data_dir, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_POINTER, struct file, listen, 1,
                           ADDRESS_TEXT_SIZE - 1),
    CYAML_FIELD_STRING_PTR("socket", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file,
                           socket, 1, SETTINGS_PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("metrics", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file,
                           metrics, 1, ADDRESS_TEXT_SIZE - 1),
    CYAML_FIELD_STRING_PTR("secrets_key", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct file, secrets_key, 1, PATH_SIZE - 1),
    CYAML_FIELD_MAPPING("tls", CYAML_FLAG_DEFAULT, struct file, tls, tls_fields),
    CYAML_FIELD_MAPPING("api", CYAML_FLAG_OPTIONAL, struct file, api, settings_api_fields),
    CYAML_FIELD_MAPPING("oidc", CYAML_FLAG_OPTIONAL, struct file, oidc,
                        settings_oidc_fields),
    CYAML_FIELD_MAPPING("raft", CYAML_FLAG_OPTIONAL, struct file, raft, raft_fields),
    CYAML_FIELD_MAPPING("audit", CYAML_FLAG_OPTIONAL, struct file, audit, audit_fields),
    CYAML_FIELD_SEQUENCE("controllers", CYAML_FLAG_POINTER, struct file, controllers,
                         &controller_schema, 1, CONTROLLER_MAX),
    CYAML_FIELD_SEQUENCE("fencers", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file,
                         fencers, &settings_fencer_schema, 0, SETTINGS_FENCER_MAX),
    CYAML_FIELD_SEQUENCE("notify", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file,
                         notify, &settings_notify_schema, 0, SETTINGS_NOTIFY_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, fields),
};

/* ---- sense -----------------------------------------------------------------------------
 */

int settings_take_name(const struct config *c, const char *key, const char *text,
                       char ret[NAME_SIZE], struct err *err)
{
    if (!identity_name_is_valid(text))
        return config_bad(c, key, err,
                          "\"%s\": 1 to %d of a-z, 0-9 and -, beginning and ending with a "
                          "letter or digit, are expected",
                          text, NAME_SIZE - 1);
    (void)snprintf(ret, NAME_SIZE, "%s", text);
    return 0;
}

static int take_address(const struct config *c, const char *key, const char *text,
                        struct address *ret, struct err *err)
{
    struct err why = {0};

    if (address_parse(ret, text, &why) != 0)
        return config_bad(c, key, err, "%s", why.text);
    return 0;
}

static int take_path(const struct config *c, const char *key, const char *text, char *ret,
                     size_t size, struct err *err)
{
    if (text[0] != '/')
        return config_bad(c, key, err, "\"%s\": an absolute path is expected", text);
    (void)snprintf(ret, size, "%s", text);
    return 0;
}

static int take_controller(const struct config *c, const struct file_controller *f,
                           struct settings *s, struct err *err)
{
    struct settings_controller *v = &s->controllers[s->count];
    char key[CONFIG_KEY_SIZE];

    (void)snprintf(key, sizeof key, "controllers[%u].id", s->count);
    if (f->id == 0)
        return config_bad(c, key, err, "0: a number above 0 is expected");
    v->id = f->id;
    (void)snprintf(key, sizeof key, "controllers[%u].name", s->count);
    if (settings_take_name(c, key, f->name, v->name, err) != 0)
        return err->code;
    (void)snprintf(key, sizeof key, "controllers[%u].region", s->count);
    if (settings_take_name(c, key, f->region, v->region, err) != 0)
        return err->code;
    (void)snprintf(key, sizeof key, "controllers[%u].address", s->count);
    if (take_address(c, key, f->address, &v->at, err) != 0)
        return err->code;
    if (v->at.port == 0)
        return config_bad(c, key, err, "port 0: the port that it listens on is expected");
    for (unsigned i = 0; i < s->count; i++) {
        (void)snprintf(key, sizeof key, "controllers[%u]", s->count);
        if (s->controllers[i].id == v->id || strcmp(s->controllers[i].name, v->name) == 0)
            return config_bad(
                c, key, err, "has the id or name of controllers[%u]: each is used once", i);
        (void)snprintf(key, sizeof key, "controllers[%u].address", s->count);
        if (s->controllers[i].at.port == v->at.port &&
            strcmp(s->controllers[i].at.host, v->at.host) == 0)
            return config_bad(c, key, err,
                              "\"%s\" is that of controllers[%u] already: each has an "
                              "address of its own",
                              f->address, i);
    }
    s->count++;
    return 0;
}

static int take_controllers(const struct config *c, const struct file *f,
                            struct settings *s, struct err *err)
{
    bool found = false;

    for (unsigned i = 0; i < f->controllers_count; i++)
        if (take_controller(c, &f->controllers[i], s, err) != 0)
            return err->code;
    for (uint8_t i = 0; i < s->count; i++) {
        if (strcmp(s->controllers[i].name, s->name) != 0)
            continue;
        s->self = i;
        found = true;
    }
    if (!found)
        return config_bad(c, "name", err,
                          "\"%s\" is not in `controllers`: add it there, or correct it",
                          s->name);
    if (s->count % 2 == 0)
        return config_bad(c, "controllers", err,
                          "there are %u: an odd number is expected (three, or five), since "
                          "one more than an odd number tolerates no more failures",
                          s->count);
    return 0;
}

static int take_raft(const struct config *c, struct settings *s, struct err *err)
{
    s->election_ms = 900;
    s->heartbeat_ms = 100;
    if (config_duration(c, "raft.election", &s->election_ms, err) != 0 ||
        config_duration(c, "raft.heartbeat", &s->heartbeat_ms, err) != 0)
        return err->code;
    if (s->election_ms < 50 || s->election_ms > 10000)
        return config_bad(c, "raft.election", err,
                          "%" PRIu32 " ms: 50ms to 10s are expected", s->election_ms);
    if (s->heartbeat_ms < 5 || 3 * s->heartbeat_ms > s->election_ms)
        return config_bad(c, "raft.heartbeat", err,
                          "%" PRIu32 " ms: 5ms to a third of raft.election (%" PRIu32
                          " ms) are expected",
                          s->heartbeat_ms, s->election_ms);
    return 0;
}

/* "400d", "13mo", "2y", "forever"; a month has 31 days here, so that none is too short. */
static int take_retention(const struct config *c, const char *text, struct settings *s,
                          struct err *err)
{
    static const struct {
        const char *unit;
        uint64_t days;
    } units[] = {{"d", 1}, {"mo", 31}, {"y", 366}};
    char *unit;
    unsigned long n;

    if (strcmp(text, "forever") == 0) {
        s->audit_retention_ms = 0;
        return 0;
    }
    n = strtoul(text, &unit, 10);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (text[0] >= '0' && text[0] <= '9' && strcmp(unit, units[i].unit) == 0 && n > 0 &&
            n <= 36600) {
            s->audit_retention_ms = n * units[i].days * 86400 * UINT64_C(1000);
            return 0;
        }
    return config_bad(c, "audit.retention", err,
                      "\"%s\": a number of days, months or years, such as 400d, 13mo or "
                      "2y, or forever is expected",
                      text);
}

static int take_places(const struct config *c, const struct file *f, struct settings *s,
                       struct err *err)
{
    const char *data = f->data_dir != NULL ? f->data_dir : "/var/lib/ringfence/controller";
    const char *socket = f->socket != NULL ? f->socket : "/run/ringfence/ringfenced.sock";

    if (take_path(c, "data_dir", data, s->data_dir, sizeof s->data_dir, err) != 0 ||
        take_path(c, "socket", socket, s->socket, sizeof s->socket, err) != 0 ||
        take_path(c, "tls.ca", f->tls.ca, s->ca, sizeof s->ca, err) != 0 ||
        take_path(c, "tls.cert", f->tls.cert, s->cert, sizeof s->cert, err) != 0 ||
        take_path(c, "tls.key", f->tls.key, s->key, sizeof s->key, err) != 0 ||
        take_address(c, "listen", f->listen, &s->listen, err) != 0)
        return err->code;
    if (f->secrets_key != NULL &&
        take_path(c, "secrets_key", f->secrets_key, s->secrets_key, sizeof s->secrets_key,
                  err) != 0)
        return err->code;
    if (f->tls.crl != NULL &&
        take_path(c, "tls.crl", f->tls.crl, s->crl, sizeof s->crl, err) != 0)
        return err->code;
    if (f->audit.key != NULL && take_path(c, "audit.key", f->audit.key, s->audit_key,
                                          sizeof s->audit_key, err) != 0)
        return err->code;
    if (take_retention(c, f->audit.retention != NULL ? f->audit.retention : "13mo", s,
                       err) != 0)
        return err->code;
    s->has_metrics = f->metrics != NULL;
    if (s->has_metrics && take_address(c, "metrics", f->metrics, &s->metrics, err) != 0)
        return err->code;
    return 0;
}

int settings_load(struct settings *ret_settings, const char *path,
                  struct config **ret_config, struct err *err)
{
    AUTO(config_free) struct config *c = NULL;
    struct settings s = {0};
    const struct file *f;

    if (config_load(path, &schema, &c, err) != 0)
        return err->code;
    f = config_data(c);
    if (settings_take_name(c, "cluster", f->cluster, s.cluster, err) != 0 ||
        settings_take_name(c, "name", f->name, s.name, err) != 0 ||
        take_places(c, f, &s, err) != 0 || settings_take_api(c, &f->api, &s, err) != 0 ||
        settings_take_oidc(c, &f->oidc, &s, err) != 0 || take_raft(c, &s, err) != 0 ||
        take_controllers(c, f, &s, err) != 0 ||
        settings_take_fencers(c, f->fencers, f->fencers_count, &s, err) != 0 ||
        settings_take_notify(c, f->notify, f->notify_count, &s, err) != 0) {
        settings_free(&s);
        return err->code;
    }
    *ret_settings = s;
    if (ret_config != NULL)
        *ret_config = TAKE(c);
    return 0;
}

void settings_free(struct settings *s)
{
    free(s->fencers);
    s->fencers = NULL;
    s->fencer_count = 0;
    free(s->notify);
    s->notify = NULL;
    s->notify_count = 0;
}
