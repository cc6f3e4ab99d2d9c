#include "controller/cli/group_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cli/group_units.h"
#include "controller/config/config.h"

enum { TEXT_MAX = 200, LIST_MAX = 16 };

struct file_lease {
    unsigned unused; /* libcyaml wants a struct; its members are durations */
};

struct file_instance {
    char *agent, *region, *data, *start, *power;
    uint16_t port;
    uint16_t *also_ports;
    unsigned also_ports_count;
};

struct file_component {
    char *name, *provider;
    bool *ungated_local, *standby_reads;
    char **exceptions;
    unsigned exceptions_count;
    struct file_instance *instances;
    unsigned instances_count;
};

struct file_window {
    char *days, *hours, *timezone, *expires;
    char **need, **inform;
    unsigned need_count, inform_count;
};

struct file_decide {
    bool *automatic;
    uint32_t *local_restarts;
};

struct file {
    char *group, *sync;
    char **residency, **fence, **fence_race;
    unsigned residency_count, fence_count, fence_race_count;
    struct file_lease lease, fence_deadline;
    struct file_component *components;
    unsigned components_count;
    struct file_window *approvals;
    unsigned approvals_count;
    struct file_decide decide;
    bool *no_async_writers, *adopt;
};

#define OPTIONAL_POINTER (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER)
#define TEXT(type, member, flags)                                                          \
    CYAML_FIELD_STRING_PTR(#member, (flags) | CYAML_FLAG_POINTER, struct type, member, 1,  \
                           TEXT_MAX)
#define SWITCH(type, member)                                                               \
    CYAML_FIELD_BOOL_PTR(#member, OPTIONAL_POINTER, struct type, member)
#define UNIT(key) CONFIG_UNIT(key, CYAML_FLAG_OPTIONAL)

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, TEXT_MAX)};

static const cyaml_schema_field_t lease_fields[] = {UNIT("ttl"), UNIT("renew"), UNIT("rho"),
                                                    CYAML_FIELD_END};

static const cyaml_schema_field_t deadline_fields[] = {UNIT("agent"), UNIT("sync_severed"),
                                                       UNIT("power"), CYAML_FIELD_END};

static const cyaml_schema_value_t port_value = {
    CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint16_t)};

static const cyaml_schema_field_t instance_fields[] = {
    TEXT(file_instance, agent, CYAML_FLAG_DEFAULT),
    TEXT(file_instance, region, CYAML_FLAG_DEFAULT),
    CYAML_FIELD_UINT("port", CYAML_FLAG_DEFAULT, struct file_instance, port),
    CYAML_FIELD_SEQUENCE("also_ports", OPTIONAL_POINTER, struct file_instance, also_ports,
                         &port_value, 0, LIST_MAX),
    TEXT(file_instance, data, CYAML_FLAG_DEFAULT),
    TEXT(file_instance, start, CYAML_FLAG_OPTIONAL),
    TEXT(file_instance, power, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END};

static const cyaml_schema_value_t instance_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_instance, instance_fields)};

static const cyaml_schema_field_t component_fields[] = {
    TEXT(file_component, name, CYAML_FLAG_DEFAULT),
    TEXT(file_component, provider, CYAML_FLAG_DEFAULT),
    SWITCH(file_component, ungated_local),
    SWITCH(file_component, standby_reads),
    CYAML_FIELD_SEQUENCE("exceptions", OPTIONAL_POINTER, struct file_component, exceptions,
                         &text_value, 0, LIST_MAX),
    CYAML_FIELD_SEQUENCE("instances", CYAML_FLAG_POINTER, struct file_component, instances,
                         &instance_value, 1, LIST_MAX),
    CYAML_FIELD_END};

static const cyaml_schema_value_t component_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_component, component_fields)};

static const cyaml_schema_field_t window_fields[] = {
    TEXT(file_window, days, CYAML_FLAG_OPTIONAL),
    TEXT(file_window, hours, CYAML_FLAG_OPTIONAL),
    TEXT(file_window, timezone, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_SEQUENCE("need", CYAML_FLAG_POINTER, struct file_window, need, &text_value,
                         1, LIST_MAX),
    CYAML_FIELD_SEQUENCE("inform", OPTIONAL_POINTER, struct file_window, inform,
                         &text_value, 0, LIST_MAX),
    TEXT(file_window, expires, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END};

static const cyaml_schema_value_t window_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_window, window_fields)};

static const cyaml_schema_field_t decide_fields[] = {
    SWITCH(file_decide, automatic),
    CYAML_FIELD_UINT_PTR("local_restarts", OPTIONAL_POINTER, struct file_decide,
                         local_restarts),
    UNIT("failover_after"),
    UNIT("hung_after"),
    UNIT("shrink_after"),
    UNIT("promote_deadline"),
    UNIT("stop_deadline"),
    UNIT("cooldown"),
    UNIT("max_lag"),
    UNIT("max_lag_time"),
    UNIT("probe"),
    CYAML_FIELD_END};

static const cyaml_schema_field_t file_fields[] = {
    TEXT(file, group, CYAML_FLAG_DEFAULT),
    CONFIG_FREE_MAPPING("regions", CYAML_FLAG_DEFAULT),
    CYAML_FIELD_SEQUENCE("residency", OPTIONAL_POINTER, struct file, residency, &text_value,
                         0, LIST_MAX),
    CYAML_FIELD_MAPPING("lease", CYAML_FLAG_OPTIONAL, struct file, lease, lease_fields),
    TEXT(file, sync, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_SEQUENCE("components", CYAML_FLAG_POINTER, struct file, components,
                         &component_value, 1, LIST_MAX),
    CYAML_FIELD_SEQUENCE("fence", OPTIONAL_POINTER, struct file, fence, &text_value, 1,
                         LIST_MAX),
    CYAML_FIELD_MAPPING("fence_deadline", CYAML_FLAG_OPTIONAL, struct file, fence_deadline,
                        deadline_fields),
    CYAML_FIELD_SEQUENCE("fence_race", OPTIONAL_POINTER, struct file, fence_race,
                         &text_value, 0, LIST_MAX),
    SWITCH(file, no_async_writers),
    SWITCH(file, adopt),
    CYAML_FIELD_MAPPING("decide", CYAML_FLAG_OPTIONAL, struct file, decide, decide_fields),
    CYAML_FIELD_SEQUENCE("approvals", OPTIONAL_POINTER, struct file, approvals,
                         &window_value, 0, LIST_MAX),
    CYAML_FIELD_END};

static const cyaml_schema_value_t file_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, file_fields)};

/* ---- units ----------------------------------------------------------------------------
 */

static int read_unit(const struct config *c, const struct group_unit_row *row,
                     uint64_t *ret_value, struct err *err)
{
    uint32_t small = 0;
    int status = 0;

    switch (row->unit) {
    case UNIT_DURATION:
        status = config_duration(c, row->key, &small, err);
        break;
    case UNIT_SHARE:
        status = config_share(c, row->key, &small, err);
        break;
    case UNIT_SIZE:
        return config_size(c, row->key, ret_value, err);
    }
    *ret_value = small;
    return status;
}

static json_t *member_object(json_t *document, const char *name)
{
    json_t *object = json_object_get(document, name);

    if (object == NULL && json_object_set_new(document, name, json_object()) == 0)
        object = json_object_get(document, name);
    return object;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "the group's document");
}

static int add_units(const struct config *c, json_t *document, struct err *err)
{
    const struct group_unit_row *row;

    for (size_t i = 0; (row = group_unit_at(i)) != NULL; i++) {
        uint64_t value = 0;
        int status;

        if (!config_has(c, row->key))
            continue;
        status = read_unit(c, row, &value, err);
        if (status != 0)
            return status;
        if (value > INT64_MAX)
            return config_bad(c, row->key, err, "too large");
        if (json_object_set_new(member_object(document, row->object), row->member,
                                json_integer((json_int_t)value)) != 0)
            return no_memory(err);
    }
    return 0;
}

/* ---- regions --------------------------------------------------------------------------
 */

static bool is_role(const char *text)
{
    return text != NULL && (strcmp(text, "active") == 0 || strcmp(text, "standby") == 0);
}

/* `key` is a list of texts, or not there. */
static int add_tags(const struct config *c, const char *key, json_t *region,
                    struct err *err)
{
    json_t *tags = json_array();
    size_t n = config_child_count(c, key);

    if (json_object_set_new(region, "tags", tags) != 0)
        return no_memory(err);
    if (config_has(c, key) && (config_text(c, key) != NULL || config_is_mapping(c, key)))
        return config_bad(c, key, err, "expected a list of tags");
    for (size_t i = 0; i < n; i++) {
        char item[CONFIG_KEY_SIZE];

        snprintf(item, sizeof item, "%.100s[%zu]", key, i);
        if (config_text(c, item) == NULL)
            return config_bad(c, item, err, "expected a tag");
        if (json_array_append_new(tags, json_string(config_text(c, item))) != 0)
            return no_memory(err);
    }
    return 0;
}

static int check_region_keys(const struct config *c, const char *key, bool with_name,
                             struct err *err)
{
    for (size_t i = 0; i < config_child_count(c, key); i++) {
        const char *name = config_child_name(c, key, i);
        char path[CONFIG_KEY_SIZE];

        if (name != NULL && (strcmp(name, "role") == 0 || strcmp(name, "tags") == 0 ||
                             (with_name && strcmp(name, "name") == 0)))
            continue;
        snprintf(path, sizeof path, "%.90s.%.30s", key, name != NULL ? name : "?");
        return config_bad(c, path, err, "unknown key; expected one of %srole, tags",
                          with_name ? "name, " : "");
    }
    return 0;
}

/* Left out, it says nothing: the server knows for which groups that will do. */
static int add_role(const struct config *c, const char *key, json_t *region,
                    struct err *err)
{
    const char *role = config_text(c, key);

    if (!config_has(c, key))
        return 0;
    if (!is_role(role))
        return config_bad(c, key, err, "expected active or standby%s%.60s%s",
                          role != NULL ? ", found '" : "", role != NULL ? role : "",
                          role != NULL ? "'" : "");
    return json_object_set_new(region, "role", json_string(role)) != 0 ? no_memory(err) : 0;
}

/* One region: `key` holds its role, or a mapping with role, tags (and name in a list); in a
 * list its name alone will do. */
static int add_region(const struct config *c, const char *key, const char *name,
                      json_t *regions, struct err *err)
{
    bool is_mapping = config_is_mapping(c, key), in_list = name == NULL;
    char role_key[CONFIG_KEY_SIZE], name_key[CONFIG_KEY_SIZE], tags_key[CONFIG_KEY_SIZE];
    json_t *region = json_object();
    int status = json_array_append_new(regions, region) != 0 ? no_memory(err) : 0;

    snprintf(role_key, sizeof role_key, "%.100s%s", key, is_mapping ? ".role" : "");
    snprintf(name_key, sizeof name_key, "%.100s.name", key);
    snprintf(tags_key, sizeof tags_key, "%.100s%s", key, is_mapping ? ".tags" : ".-");
    if (status == 0 && in_list && !is_mapping && config_text(c, key) == NULL)
        return config_bad(c, key, err,
                          "expected a name, or a mapping with name, role and "
                          "tags");
    if (status == 0 && is_mapping)
        status = check_region_keys(c, key, in_list, err);
    if (status != 0)
        return status;
    if (in_list)
        name = config_text(c, is_mapping ? name_key : key);
    if (name == NULL || name[0] == '\0')
        return config_bad(c, name_key, err, "expected the region's name");
    if (json_object_set_new(region, "name", json_string(name)) != 0)
        return no_memory(err);
    status = in_list && !is_mapping ? 0 : add_role(c, role_key, region, err);
    return status == 0 ? add_tags(c, tags_key, region, err) : status;
}

static int add_regions(const struct config *c, json_t *document, struct err *err)
{
    json_t *regions = json_array();
    bool is_mapping = config_is_mapping(c, "regions");
    size_t n = config_child_count(c, "regions");

    if (json_object_set_new(document, "regions", regions) != 0)
        return no_memory(err);
    if (n == 0)
        return config_bad(c, "regions", err,
                          "expected regions and their roles, such as "
                          "{east: active, west: standby}; or, of a group that is declared "
                          "already, their names: [east, west]");
    for (size_t i = 0; i < n; i++) {
        const char *name = config_child_name(c, "regions", i);
        char key[CONFIG_KEY_SIZE];
        int status;

        if (is_mapping)
            snprintf(key, sizeof key, "regions.%.100s", name);
        else
            snprintf(key, sizeof key, "regions[%zu]", i);
        status = add_region(c, key, is_mapping ? name : NULL, regions, err);
        if (status != 0)
            return status;
    }
    return 0;
}

/* ---- the rest -------------------------------------------------------------------------
 */

static int set_bool(json_t *object, const char *name, const bool *value)
{
    return value != NULL ? json_object_set_new(object, name, json_boolean(*value)) : 0;
}

static int set_text(json_t *object, const char *name, const char *text)
{
    return text != NULL ? json_object_set_new(object, name, json_string(text)) : 0;
}

static int set_texts(json_t *object, const char *name, char *const *texts, unsigned n)
{
    json_t *list;

    if (texts == NULL)
        return 0;
    list = json_array();
    for (unsigned i = 0; i < n; i++)
        if (json_array_append_new(list, json_string(texts[i])) != 0) {
            json_decref(list);
            return -1;
        }
    return json_object_set_new(object, name, list);
}

static int set_ports(json_t *object, const char *name, const uint16_t *ports, unsigned n)
{
    json_t *list;

    if (ports == NULL)
        return 0;
    list = json_array();
    for (unsigned i = 0; i < n; i++)
        if (json_array_append_new(list, json_integer(ports[i])) != 0) {
            json_decref(list);
            return -1;
        }
    return json_object_set_new(object, name, list);
}

static int add_instance(const struct file_instance *i, json_t *list)
{
    json_t *object = json_object();

    return json_array_append_new(list, object) != 0 ||
                   set_text(object, "agent", i->agent) != 0 ||
                   set_text(object, "region", i->region) != 0 ||
                   json_object_set_new(object, "port", json_integer(i->port)) != 0 ||
                   set_ports(object, "also_ports", i->also_ports, i->also_ports_count) !=
                       0 ||
                   set_text(object, "data", i->data) != 0 ||
                   set_text(object, "start", i->start) != 0 ||
                   set_text(object, "power", i->power) != 0
               ? -1
               : 0;
}

static int add_component(const struct file_component *f, json_t *list)
{
    json_t *object = json_object(), *instances = json_array();
    int status =
        json_array_append_new(list, object) != 0 ||
                set_text(object, "name", f->name) != 0 ||
                set_text(object, "provider", f->provider) != 0 ||
                set_bool(object, "ungated_local", f->ungated_local) != 0 ||
                set_bool(object, "standby_reads", f->standby_reads) != 0 ||
                set_texts(object, "exceptions", f->exceptions, f->exceptions_count) != 0
            ? -1
            : 0;

    for (unsigned i = 0; i < f->instances_count && status == 0; i++)
        status = add_instance(&f->instances[i], instances);
    if (status != 0) {
        json_decref(instances);
        return -1;
    }
    return json_object_set_new(object, "instances", instances);
}

static int add_decide(const struct file_decide *d, json_t *document)
{
    json_t *object;

    if (d->automatic == NULL && d->local_restarts == NULL)
        return 0;
    object = member_object(document, "decide");
    if (set_bool(object, "automatic", d->automatic) != 0)
        return -1;
    return d->local_restarts != NULL ? json_object_set_new(object, "local_restarts",
                                                           json_integer(*d->local_restarts))
                                     : 0;
}

static int add_window(const struct file_window *w, json_t *list)
{
    json_t *object = json_object();

    return json_array_append_new(list, object) != 0 ||
                   set_text(object, "days", w->days) != 0 ||
                   set_text(object, "hours", w->hours) != 0 ||
                   set_text(object, "timezone", w->timezone) != 0 ||
                   set_texts(object, "need", w->need, w->need_count) != 0 ||
                   set_texts(object, "inform", w->inform, w->inform_count) != 0 ||
                   set_text(object, "expires", w->expires) != 0
               ? -1
               : 0;
}

static int add_approvals(const struct file *f, json_t *document)
{
    json_t *list = f->approvals != NULL ? json_array() : NULL;

    if (f->approvals == NULL)
        return 0;
    for (unsigned i = 0; i < f->approvals_count; i++)
        if (add_window(&f->approvals[i], list) != 0) {
            json_decref(list);
            return -1;
        }
    return json_object_set_new(document, "approvals", list);
}

static int add_typed(const struct file *f, json_t *document, struct err *err)
{
    json_t *components = json_array();
    int status = set_text(document, "sync", f->sync);

    if (status == 0)
        status = set_texts(document, "residency", f->residency, f->residency_count);
    if (status == 0)
        status = set_texts(document, "fence", f->fence, f->fence_count);
    if (status == 0)
        status = set_texts(document, "fence_race", f->fence_race, f->fence_race_count);
    if (status == 0)
        status = set_bool(document, "no_async_writers", f->no_async_writers);
    if (status == 0)
        status = set_bool(document, "adopt", f->adopt);
    if (status == 0)
        status = add_decide(&f->decide, document);
    if (status == 0)
        status = add_approvals(f, document);
    if (json_object_set_new(document, "components", components) != 0)
        return no_memory(err);
    for (unsigned i = 0; i < f->components_count && status == 0; i++)
        status = add_component(&f->components[i], components);
    return status != 0 ? no_memory(err) : 0;
}

int group_file_load(const char *path, json_t **ret_document, struct config **ret_file,
                    struct err *err)
{
    AUTO(config_free) struct config *c = NULL;
    const struct file *f;
    json_t *document;
    int status =
        config_load(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &file_schema, &c, err);

    if (status != 0)
        return status;
    f = config_data(c);
    document = json_object();
    status =
        document == NULL || set_text(document, "group", f->group) != 0 ? no_memory(err) : 0;
    if (status == 0)
        status = add_regions(c, document, err);
    if (status == 0)
        status = add_typed(f, document, err);
    if (status == 0)
        status = add_units(c, document, err);
    if (status != 0) {
        json_decref(document);
        return status;
    }
    *ret_document = document;
    *ret_file = TAKE(c);
    return 0;
}

/* ---- what the server says -------------------------------------------------------------
 */

/* Regions are a list in the document; in the file they may be a mapping, of scalars even:
 * "regions[1].role" stands at "regions.west". */
static void locate_region(const struct config *c, const char *path,
                          char key[CONFIG_KEY_SIZE])
{
    static const char list[] = "regions[";
    const char *name;
    char *rest;
    unsigned long i;

    snprintf(key, CONFIG_KEY_SIZE, "%s", path);
    if (strncmp(path, list, sizeof list - 1) != 0 || !config_is_mapping(c, "regions"))
        return;
    i = strtoul(path + sizeof list - 1, &rest, 10);
    name = *rest == ']' ? config_child_name(c, "regions", i) : NULL;
    if (name == NULL)
        return;
    snprintf(key, CONFIG_KEY_SIZE, "regions.%.100s%s", name, rest + 1);
    if (!config_has(c, key))
        snprintf(key, CONFIG_KEY_SIZE, "regions.%.100s", name);
}

/* The key in the file of a path in the document. */
static void locate_key(const struct config *c, const char *path, char key[CONFIG_KEY_SIZE])
{
    const struct group_unit_row *row = group_unit_of(path);

    if (row != NULL)
        snprintf(key, CONFIG_KEY_SIZE, "%s", row->key);
    else
        locate_region(c, path, key);
}

bool group_file_locate(const struct config *file, const char *said, struct err *ret)
{
    static const char path_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789_.[]";
    size_t len = strspn(said, path_chars), first = strcspn(said, ".[: ");
    char path[CONFIG_KEY_SIZE], key[CONFIG_KEY_SIZE];
    const cyaml_schema_field_t *f = file_fields;

    if (len == 0 || len >= sizeof path || strncmp(said + len, ": ", 2) != 0)
        return false;
    while (f->key != NULL && (strlen(f->key) != first || strncmp(f->key, said, first) != 0))
        f++;
    if (f->key == NULL)
        return false;
    snprintf(path, sizeof path, "%.*s", (int)len, said);
    locate_key(file, path, key);
    config_bad(file, key, ret, "%s", said + len + 2);
    return true;
}
