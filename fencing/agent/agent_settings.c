#include "fencing/agent/agent_settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/config/config.h"
#include "controller/net/identity.h"

struct file_tls {
    char *ca, *cert, *key, *crl;
};

struct file_controller {
    char *name, *address;
};

struct file_gate {
    char *cgroup, *driver, *run_dir;
    bool *courtesy;
};

struct file_postgres {
    char *bin_dir, *socket_dir, *superuser, *replication_user, *passfile, *tail_dir,
        *options;
};

struct file {
    char *cluster, *name, *region, *address, *state_dir, *socket, *http, *guard, *watchdog;
    struct file_tls *tls;
    struct file_controller *controllers;
    unsigned controllers_count;
    struct file_gate *gate;
    struct file_postgres *postgres;
};

#define TEXT(type, member, flags)                                                          \
    CYAML_FIELD_STRING_PTR(#member, (flags) | CYAML_FLAG_POINTER, struct type, member, 0,  \
                           SETTINGS_TEXT_SIZE - 1)
#define NEEDED CYAML_FLAG_DEFAULT
#define MAY CYAML_FLAG_OPTIONAL

static const cyaml_schema_field_t tls_fields[] = {
    TEXT(file_tls, ca, NEEDED), TEXT(file_tls, cert, NEEDED), TEXT(file_tls, key, NEEDED),
    TEXT(file_tls, crl, MAY), CYAML_FIELD_END};

static const cyaml_schema_field_t controller_fields[] = {
    TEXT(file_controller, name, NEEDED), TEXT(file_controller, address, NEEDED),
    CYAML_FIELD_END};

static const cyaml_schema_value_t controller_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_controller, controller_fields)};

static const cyaml_schema_field_t gate_fields[] = {
    TEXT(file_gate, cgroup, MAY), TEXT(file_gate, driver, MAY),
    TEXT(file_gate, run_dir, MAY),
    CYAML_FIELD_BOOL_PTR("courtesy", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER,
                         struct file_gate, courtesy),
    CYAML_FIELD_END};

static const cyaml_schema_field_t postgres_fields[] = {
    TEXT(file_postgres, bin_dir, MAY),   TEXT(file_postgres, socket_dir, MAY),
    TEXT(file_postgres, superuser, MAY), TEXT(file_postgres, replication_user, MAY),
    TEXT(file_postgres, passfile, MAY),  TEXT(file_postgres, tail_dir, MAY),
    TEXT(file_postgres, options, MAY),   CYAML_FIELD_END};

static const cyaml_schema_field_t file_fields[] = {
    TEXT(file, cluster, NEEDED),
    TEXT(file, name, NEEDED),
    TEXT(file, region, NEEDED),
    TEXT(file, address, NEEDED),
    TEXT(file, state_dir, MAY),
    TEXT(file, socket, MAY),
    TEXT(file, http, MAY),
    TEXT(file, guard, MAY),
    TEXT(file, watchdog, MAY),
    CYAML_FIELD_MAPPING_PTR("tls", CYAML_FLAG_POINTER, struct file, tls, tls_fields),
    CYAML_FIELD_SEQUENCE("controllers", CYAML_FLAG_POINTER, struct file, controllers,
                         &controller_value, 1, SETTINGS_CONTROLLERS_MAX),
    CYAML_FIELD_MAPPING_PTR("gate", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file,
                            gate, gate_fields),
    CYAML_FIELD_MAPPING_PTR("postgres", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                            struct file, postgres, postgres_fields),
    CYAML_FIELD_END};

static const cyaml_schema_value_t file_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, file_fields)};

/* ---- from text to values --------------------------------------------------------------
 */

struct loading {
    const struct config *c;
    struct agent_settings *s;
    struct err *err;
};

static int bad(const struct loading *l, const char *key, const char *text)
{
    return config_bad(l->c, key, l->err, "%s", text);
}

/* NULL leaves the default. */
static int put(const struct loading *l, const char *key, const char *text, char *out,
               size_t size)
{
    if (text == NULL)
        return 0;
    if (strlen(text) >= size)
        return config_bad(l->c, key, l->err, "at most %zu characters are possible here",
                          size - 1);
    snprintf(out, size, "%s", text);
    return 0;
}

static int put_path(const struct loading *l, const char *key, const char *text, char *out,
                    size_t size)
{
    if (text != NULL && text[0] != '/')
        return config_bad(l->c, key, l->err, "'%s' is not a full path (it begins with /)",
                          text);
    return put(l, key, text, out, size);
}

static int put_name(const struct loading *l, const char *key, const char *text, char *out,
                    size_t size)
{
    if (!identity_name_is_valid(text))
        return config_bad(l->c, key, l->err,
                          "'%s' is not a name: small letters, digits and '-' are expected, "
                          "a letter or digit first and last",
                          text);
    return put(l, key, text, out, size);
}

static int put_address(const struct loading *l, const char *key, const char *text,
                       struct address *out)
{
    struct err why;

    if (address_parse(out, text, &why) != 0)
        return bad(l, key, why.text);
    return 0;
}

static int put_names(const struct loading *l, const struct file *f)
{
    struct agent_settings *s = l->s;
    uint8_t ip[16];
    int status = put_name(l, "cluster", f->cluster, s->cluster, sizeof s->cluster);

    if (status == 0)
        status = put_name(l, "name", f->name, s->name, sizeof s->name);
    if (status == 0)
        status = put_name(l, "region", f->region, s->region, sizeof s->region);
    if (status == 0)
        status = put(l, "address", f->address, s->address, sizeof s->address);
    if (status != 0)
        return status;
    /* Peers' gates compare it with packets, so it cannot be a name. */
    if (inet_pton(AF_INET, s->address, ip) != 1 && inet_pton(AF_INET6, s->address, ip) != 1)
        return config_bad(l->c, "address", l->err,
                          "'%s' is not a numeric address, like 10.0.1.2 or fd00::2",
                          s->address);
    return 0;
}

static int put_files(const struct loading *l, const struct file *f)
{
    struct agent_settings *s = l->s;
    int status = put_path(l, "state_dir", f->state_dir, s->state_dir, sizeof s->state_dir);

    if (status == 0)
        status = put_path(l, "socket", f->socket, s->socket, sizeof s->socket);
    if (status == 0)
        status = put_path(l, "tls.ca", f->tls->ca, s->ca, sizeof s->ca);
    if (status == 0)
        status = put_path(l, "tls.cert", f->tls->cert, s->cert, sizeof s->cert);
    if (status == 0)
        status = put_path(l, "tls.key", f->tls->key, s->key, sizeof s->key);
    if (status == 0)
        status = put_path(l, "tls.crl", f->tls->crl, s->crl, sizeof s->crl);
    s->has_http = f->http != NULL;
    if (status == 0 && s->has_http)
        status = put_address(l, "http", f->http, &s->http);
    return status;
}

static int put_controllers(const struct loading *l, const struct file *f)
{
    struct agent_settings *s = l->s;

    for (unsigned i = 0; i < f->controllers_count; i++) {
        struct agent_controller *c = &s->controllers[i];
        char key[CONFIG_KEY_SIZE];

        snprintf(key, sizeof key, "controllers[%u].name", i);
        if (put_name(l, key, f->controllers[i].name, c->name, sizeof c->name) != 0)
            return ERR_INVAL;
        for (unsigned k = 0; k < i; k++)
            if (strcmp(s->controllers[k].name, c->name) == 0)
                return config_bad(l->c, key, l->err, "'%s' is named twice", c->name);
        snprintf(key, sizeof key, "controllers[%u].address", i);
        if (put_address(l, key, f->controllers[i].address, &c->at) != 0)
            return ERR_INVAL;
        if (c->at.port == 0)
            return bad(l, key, "the port is 0: the controller's `listen` port is expected");
        s->controller_count++;
    }
    return 0;
}

static int put_gate(const struct loading *l, const struct file_gate *g)
{
    static const struct {
        const char *name;
        enum gate_driver driver;
    } drivers[] = {{"auto", GATE_AUTO}, {"ebpf", GATE_BPF}, {"nftables", GATE_NFTABLES}};
    struct agent_settings *s = l->s;
    int status;

    if (g == NULL)
        return 0;
    status = put(l, "gate.cgroup", g->cgroup, s->cgroup, sizeof s->cgroup);
    if (status == 0)
        status = put_path(l, "gate.run_dir", g->run_dir, s->run_dir, sizeof s->run_dir);
    if (status != 0)
        return status;
    if (g->courtesy != NULL)
        s->courtesy = *g->courtesy;
    if (g->driver == NULL)
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(drivers); i++) {
        if (strcmp(g->driver, drivers[i].name) == 0) {
            s->driver = drivers[i].driver;
            return 0;
        }
    }
    return config_bad(l->c, "gate.driver", l->err,
                      "'%s' is not a driver; auto, ebpf or nftables is expected",
                      g->driver);
}

static int put_guard(const struct loading *l, const struct file *f)
{
    static const struct {
        const char *name;
        enum settings_guard guard;
    } all[] = {{"off", SETTINGS_GUARD_OFF},
               {"missing", SETTINGS_GUARD_MISSING},
               {"expired", SETTINGS_GUARD_EXPIRED}};
    struct agent_settings *s = l->s;
    unsigned i = 0;

    while (f->guard != NULL && i < ARRAY_LEN(all) && strcmp(f->guard, all[i].name) != 0)
        i++;
    if (i == ARRAY_LEN(all))
        return config_bad(l->c, "guard", l->err,
                          "'%s' does not say when a server is stopped; missing (where no "
                          "gate closes before it), expired (at the end of each lease) or "
                          "off is expected",
                          f->guard);
    if (f->guard != NULL)
        s->guard = all[i].guard;
    if (f->watchdog != NULL && s->guard == SETTINGS_GUARD_OFF)
        return bad(l, "watchdog", "it is the guard that speaks to it, and `guard` is off");
    return put_path(l, "watchdog", f->watchdog, s->watchdog, sizeof s->watchdog);
}

static int put_postgres(const struct loading *l, const struct file_postgres *f)
{
    struct agent_postgres *p = &l->s->postgres;
    const struct {
        const char *key, *text;
        char *out;
        size_t size;
        bool path;
    } all[] = {
        {"postgres.bin_dir", f->bin_dir, p->bin_dir, sizeof p->bin_dir, true},
        {"postgres.socket_dir", f->socket_dir, p->socket_dir, sizeof p->socket_dir, true},
        {"postgres.superuser", f->superuser, p->superuser, sizeof p->superuser, false},
        {"postgres.replication_user", f->replication_user, p->replication_user,
         sizeof p->replication_user, false},
        {"postgres.passfile", f->passfile, p->passfile, sizeof p->passfile, true},
        {"postgres.tail_dir", f->tail_dir, p->tail_dir, sizeof p->tail_dir, true},
        {"postgres.options", f->options, p->options, sizeof p->options, false},
    };

    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        int status = all[i].path && all[i].text != NULL && all[i].text[0] != 0
                         ? put_path(l, all[i].key, all[i].text, all[i].out, all[i].size)
                         : put(l, all[i].key, all[i].text, all[i].out, all[i].size);
        if (status != 0)
            return status;
    }
    return 0;
}

static void set_defaults(struct agent_settings *s, const char *path)
{
    *s = (struct agent_settings){
        .driver = GATE_AUTO, .courtesy = true, .guard = SETTINGS_GUARD_MISSING};
    snprintf(s->path, sizeof s->path, "%s", path);
    snprintf(s->state_dir, sizeof s->state_dir, "/var/lib/ringfence/agent");
    snprintf(s->socket, sizeof s->socket, "/run/ringfence-agent/ringfence-agent.sock");
    snprintf(s->cgroup, sizeof s->cgroup, "auto");
    s->postgres = (struct agent_postgres){
        .bin_dir = "/usr/lib/postgresql/15/bin",
        .socket_dir = "/run/ringfence-pg",
        .superuser = "postgres",
        .replication_user = "ringfence",
        .tail_dir = "/var/lib/ringfence/tails",
    };
}

int agent_settings_load(struct agent_settings *ret_settings, const char *path,
                        struct config **ret_config, struct err *err)
{
    AUTO(config_free) struct config *c = NULL;
    struct agent_settings s;
    struct loading l = {.s = &s, .err = err};
    const struct file *f;
    int status = config_load(path, &file_schema, &c, err);

    if (status != 0)
        return status;
    l.c = c;
    f = config_data(c);
    set_defaults(&s, path);
    status = put_names(&l, f);
    if (status == 0)
        status = put_files(&l, f);
    if (status == 0)
        status = put_controllers(&l, f);
    if (status == 0)
        status = put_gate(&l, f->gate);
    if (status == 0)
        status = put_guard(&l, f);
    if (status == 0 && f->postgres != NULL)
        status = put_postgres(&l, f->postgres);
    if (status != 0)
        return status;
    *ret_settings = s;
    if (ret_config != NULL)
        *ret_config = TAKE(c);
    return 0;
}
