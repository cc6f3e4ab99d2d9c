#include "controller/http/document.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/http/document_private.h"
#include "controller/http/reader.h"
#include "controller/http/route.h"

static int read_tags(const json_t *list, const char *path, char tags[TAG_MAX][NAME_SIZE],
                     uint8_t *ret_count, struct err *err)
{
    size_t n;

    if (list == NULL)
        return 0;
    if (reader_list(list, path, 0, TAG_MAX, &n, err) != 0)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        char at[READER_PATH_SIZE];

        reader_path_index(at, path, i);
        if (reader_name(json_array_get(list, i), at, tags[i], err) != 0)
            return err->code;
    }
    *ret_count = (uint8_t)n;
    return 0;
}

/* ---- regions ------------------------------------------------------------------------- */

/* What the document says of roles. */
struct roles {
    int active; /* region; -1: none */
    size_t given;
};

static int read_role(const json_t *v, const char *path, const struct group *g,
                     struct roles *roles, struct err *err)
{
    const json_t *role = json_object_get(v, "role");
    char at[READER_PATH_SIZE];

    if (role == NULL)
        return 0;
    reader_path_key(at, path, "role");
    if (!json_is_string(role) || (strcmp(json_string_value(role), "active") != 0 &&
                                  strcmp(json_string_value(role), "standby") != 0))
        return err_set(err, ERR_INVAL, "%s: \"active\" or \"standby\" is expected", at);
    roles->given++;
    if (json_string_value(role)[0] != 'a')
        return 0;
    if (roles->active >= 0)
        return err_set(err, ERR_INVAL, "%s: %s is active already; exactly one region is",
                       at, g->regions[roles->active].name);
    roles->active = g->region_count;
    return 0;
}

static int read_region(const json_t *v, const char *path, struct group *g,
                       struct roles *roles, struct err *err)
{
    static const char *const keys[] = {"name", "role", "tags", NULL};
    struct region *r = &g->regions[g->region_count];
    char at[READER_PATH_SIZE];

    if (reader_object(v, path, keys, err) != 0)
        return err->code;
    reader_path_key(at, path, "name");
    if (reader_name(json_object_get(v, "name"), at, r->name, err) != 0)
        return err->code;
    if (group_region(g, r->name) != NO_INSTANCE)
        return err_set(err, ERR_INVAL, "%s: region %s is there twice", at, r->name);
    if (read_role(v, path, g, roles, err) != 0)
        return err->code;
    reader_path_key(at, path, "tags");
    if (read_tags(json_object_get(v, "tags"), at, r->tags, &r->tag_count, err) != 0)
        return err->code;
    g->region_count++;
    return 0;
}

/* All have a role, or none has: a role that was forgotten is not one that was left out. */
static int check_roles(const json_t *list, const struct roles *roles, struct err *err)
{
    size_t i = 0;

    if (roles->given == 0)
        return 0;
    while (json_object_get(json_array_get(list, i), "role") != NULL)
        i++;
    if (i < json_array_size(list))
        return err_set(err, ERR_INVAL,
                       "regions[%zu].role: is missing; every region has a role, or none "
                       "has and who is active stays as it is",
                       i);
    if (roles->active < 0)
        return err_set(err, ERR_INVAL,
                       "regions: none is active; exactly one needs `role: active`");
    return 0;
}

static int read_regions(const json_t *list, struct group *g, int *ret_active,
                        struct err *err)
{
    struct roles roles = {.active = -1};
    size_t n;

    if (reader_list(list, "regions", 2, REGION_MAX, &n, err) != 0)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        char at[READER_PATH_SIZE];

        reader_path_index(at, "regions", i);
        if (read_region(json_array_get(list, i), at, g, &roles, err) != 0)
            return err->code;
    }
    *ret_active = roles.active;
    return check_roles(list, &roles, err);
}

/* ---- components ---------------------------------------------------------------------- */

static int read_place(const json_t *v, const char *path, struct instance *i,
                      struct err *err)
{
    char at[READER_PATH_SIZE];
    uint64_t port = 0;

    reader_path_key(at, path, "port");
    if (json_object_get(v, "port") == NULL)
        return err_set(err, ERR_INVAL, "%s: is missing", at);
    if (reader_number(v, path, "port", &port, (struct reader_range){1, 65535}, err) != 0)
        return err->code;
    i->port = (uint16_t)port;
    reader_path_key(at, path, "data");
    if (reader_text(json_object_get(v, "data"), at, i->data, sizeof i->data, err) != 0)
        return err->code;
    if (i->data[0] != '/')
        return err_set(err, ERR_INVAL, "%s: \"%s\" is not an absolute path", at, i->data);

    reader_path_key(at, path, "start");
    (void)snprintf(i->start, sizeof i->start, "pg_ctl");
    if (json_object_get(v, "start") != NULL &&
        reader_text(json_object_get(v, "start"), at, i->start, sizeof i->start, err) != 0)
        return err->code;
    if (strcmp(i->start, "pg_ctl") != 0 &&
        (strncmp(i->start, "systemd:", 8) != 0 || i->start[8] == '\0'))
        return err_set(err, ERR_INVAL,
                       "%s: \"%s\": \"pg_ctl\" or \"systemd:UNIT\" is expected", at,
                       i->start);
    reader_path_key(at, path, "power");
    return json_object_get(v, "power") != NULL
               ? reader_name(json_object_get(v, "power"), at, i->power, err)
               : 0;
}

static int read_instance(const json_t *v, const char *path, struct group *g,
                         struct err *err)
{
    static const char *const keys[] = {"agent", "region", "port",  "also_ports",
                                       "data",  "start",  "power", NULL};
    struct instance *i = &g->instances[g->instance_count];
    char at[READER_PATH_SIZE], region[NAME_SIZE];

    if (reader_object(v, path, keys, err) != 0)
        return err->code;
    reader_path_key(at, path, "agent");
    if (reader_name(json_object_get(v, "agent"), at, i->agent, err) != 0)
        return err->code;
    if (group_instance(g, i->agent) != NO_INSTANCE)
        return err_set(err, ERR_INVAL, "%s: agent %s has an instance here already", at,
                       i->agent);
    reader_path_key(at, path, "region");
    if (reader_name(json_object_get(v, "region"), at, region, err) != 0)
        return err->code;
    i->region = group_region(g, region);
    if (i->region == NO_INSTANCE)
        return err_set(err, ERR_INVAL, "%s: region %s is not in `regions`", at, region);
    if (group_instance_in(g, i->region) != NO_INSTANCE)
        return err_set(err, ERR_INVAL,
                       "%s: region %s has an instance already; one per region in this "
                       "version",
                       at, region);
    if (read_place(v, path, i, err) != 0 ||
        document_read_also_ports(json_object_get(v, "also_ports"), path, i, err) != 0)
        return err->code;
    memcpy(i->component, g->component, sizeof i->component);
    i->step.subject = NO_INSTANCE;
    g->instance_count++;
    return 0;
}

static int read_instances(const json_t *list, const char *path, struct group *g,
                          struct err *err)
{
    size_t n;

    if (reader_list(list, path, 2, INSTANCE_MAX, &n, err) != 0)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        char at[READER_PATH_SIZE];

        reader_path_index(at, path, i);
        if (read_instance(json_array_get(list, i), at, g, err) != 0)
            return err->code;
    }
    return 0;
}

static int read_component(const json_t *list, struct group *g, struct err *err)
{
    static const char *const keys[] = {
        "name",      "provider", "ungated_local", "standby_reads", "exceptions",
        "instances", NULL};
    static const char path[] = "components[0]";
    const json_t *v;
    size_t n;

    if (reader_list(list, "components", 1, 16, &n, err) != 0)
        return err->code;
    if (n != 1)
        return err_set(err, ERR_UNSUPPORTED,
                       "components: %zu of them; one per group in this version", n);
    v = json_array_get(list, 0);
    if (reader_object(v, path, keys, err) != 0 ||
        reader_name(json_object_get(v, "name"), "components[0].name", g->component, err) !=
            0 ||
        reader_name(json_object_get(v, "provider"), "components[0].provider", g->provider,
                    err) != 0)
        return err->code;
    if (strcmp(g->provider, "postgres") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "components[0].provider: \"%s\" is not in this version; "
                       "\"postgres\" is expected",
                       g->provider);
    if (reader_bool(v, path, "ungated_local", &g->policy.ungated_local, err) != 0 ||
        reader_bool(v, path, "standby_reads", &g->policy.standby_reads, err) != 0 ||
        document_read_exceptions(json_object_get(v, "exceptions"), g, err) != 0)
        return err->code;
    return read_instances(json_object_get(v, "instances"), "components[0].instances", g,
                          err);
}

/* ---- policy -------------------------------------------------------------------------- */

static int read_lease(const json_t *v, struct policy *p, struct err *err)
{
    static const char *const keys[] = {"ttl_ms", "renew_ms", "rho_ppm", NULL};
    struct reader_field fields[] = {
        {"ttl_ms", &p->lease.ttl_ms, {LEASE_TTL_MIN_MS, LEASE_TTL_MAX_MS}},
        {"renew_ms", &p->renew_ms, {10, LEASE_TTL_MAX_MS}},
        {"rho_ppm", &p->lease.rho_ppm, {LEASE_RHO_MIN_PPM, LEASE_RHO_MAX_PPM}},
    };

    if (v == NULL)
        return 0;
    if (reader_object(v, "lease", keys, err) != 0)
        return err->code;
    return reader_fields(v, "lease", fields, ARRAY_LEN(fields), err);
}

static int read_decide(const json_t *v, struct policy *p, struct err *err)
{
    static const char *const keys[] = {
        "automatic",       "local_restarts",      "failover_after_ms", "hung_after_ms",
        "shrink_after_ms", "promote_deadline_ms", "stop_deadline_ms",  "cooldown_ms",
        "max_lag_bytes",   "max_lag_ms",          "probe_ms",          NULL};
    enum { HOUR = 3600000, DAY = 24 * HOUR, WEEK = 7 * DAY };
    struct reader_field fields[] = {
        {"local_restarts", &p->local_restarts, {0, 1000}},
        {"failover_after_ms", &p->failover_after_ms, {0, DAY}},
        {"hung_after_ms", &p->hung_after_ms, {1000, DAY}},
        {"shrink_after_ms", &p->shrink_after_ms, {0, DAY}},
        {"promote_deadline_ms", &p->promote_deadline_ms, {1000, HOUR}},
        {"stop_deadline_ms", &p->stop_deadline_ms, {100, HOUR}},
        {"cooldown_ms", &p->cooldown_ms, {0, WEEK}},
        {"max_lag_ms", &p->max_lag_ms, {0, DAY}},
        {"probe_ms", &p->probe_ms, {100, 60000}},
    };

    if (v == NULL)
        return 0;
    if (reader_object(v, "decide", keys, err) != 0 ||
        reader_bool(v, "decide", "automatic", &p->automatic, err) != 0 ||
        reader_number(v, "decide", "max_lag_bytes", &p->max_lag_bytes,
                      (struct reader_range){0, 1ull << 50}, err) != 0)
        return err->code;
    return reader_fields(v, "decide", fields, ARRAY_LEN(fields), err);
}

/* The bit of a level that this version has; 0 with an error. */
static uint8_t read_level(const json_t *v, const char *path, struct err *err)
{
    const char *name = json_string_value(v);
    uint8_t level = name != NULL ? fence_level_parse(name) : 0;

    if (level == 0)
        (void)err_set(err, ERR_INVAL,
                      "%s: \"%.60s\": \"agent\", \"sync_severed\", \"lease_expiry\" or "
                      "\"power\" is expected",
                      path, name != NULL ? name : "something else");
    else if (level == FENCE_ATTESTED)
        (void)err_set(err, ERR_UNSUPPORTED,
                      "%s: \"%s\" is not written here: two people's word is the last "
                      "resort of every group (`ringfence attest`)",
                      path, name);
    else
        return level;
    return 0;
}

static struct fence_turn *turn_of(struct policy *p, uint8_t level)
{
    for (unsigned i = 0; i < p->fence_turn_count; i++)
        if (p->fence_turns[i].level == level)
            return &p->fence_turns[i];
    return NULL;
}

static int read_levels(const json_t *list, struct policy *p, struct err *err)
{
    size_t n;

    if (list == NULL)
        return 0;
    if (reader_list(list, "fence", 1, FENCE_LEVEL_COUNT, &n, err) != 0)
        return err->code;
    p->fence = 0;
    memset(p->fence_turns, 0, sizeof p->fence_turns);
    p->fence_turn_count = 0;
    for (size_t i = 0; i < n; i++) {
        char at[READER_PATH_SIZE];
        uint8_t level;

        reader_path_index(at, "fence", i);
        level = read_level(json_array_get(list, i), at, err);
        if (level == 0)
            return err->code;
        if (turn_of(p, level) != NULL)
            return err_set(err, ERR_INVAL, "%s: \"%s\" is there already", at,
                           json_string_value(json_array_get(list, i)));
        p->fence = (uint8_t)(p->fence | level);
        p->fence_turns[p->fence_turn_count++].level = level;
    }
    return 0;
}

/* How a lease is counted out leaves no choice of a deadline. */
static int read_deadlines(const json_t *v, struct policy *p, struct err *err)
{
    static const char *const keys[] = {"agent_ms", "power_ms", "sync_severed_ms", NULL};
    static const uint8_t levels[] = {FENCE_AGENT, FENCE_POWER, FENCE_SYNC_SEVERED};
    enum { DEADLINE_MAX_MS = 3600000 };

    if (v == NULL)
        return 0;
    if (reader_object(v, "fence_deadline", keys, err) != 0)
        return err->code;
    for (unsigned i = 0; i < ARRAY_LEN(levels); i++) {
        struct fence_turn *t = turn_of(p, levels[i]);
        uint64_t ms = 0;

        if (json_object_get(v, keys[i]) == NULL)
            continue;
        if (t == NULL)
            return err_set(err, ERR_INVAL,
                           "fence_deadline.%s: `fence` does not have the "
                           "level",
                           fence_level_name((enum fence_level)levels[i]));
        if (reader_number(v, "fence_deadline", keys[i], &ms,
                          (struct reader_range){1, DEADLINE_MAX_MS}, err) != 0)
            return err->code;
        t->deadline_ms = (uint32_t)ms;
    }
    return 0;
}

static int read_races(const json_t *list, struct policy *p, struct err *err)
{
    size_t n;

    if (list == NULL)
        return 0;
    if (reader_list(list, "fence_race", 0, FENCE_LEVEL_COUNT, &n, err) != 0)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        char at[READER_PATH_SIZE];
        struct fence_turn *t;
        uint8_t level;

        reader_path_index(at, "fence_race", i);
        level = read_level(json_array_get(list, i), at, err);
        if (level == 0)
            return err->code;
        t = turn_of(p, level);
        if (t == NULL)
            return err_set(err, ERR_INVAL, "%s: `fence` does not have the level \"%s\"", at,
                           fence_level_name((enum fence_level)level));
        if (t == &p->fence_turns[0])
            return err_set(err, ERR_INVAL, "%s: \"%s\" is the first: it races with none",
                           at, fence_level_name((enum fence_level)level));
        t->race = true;
    }
    return 0;
}

static int read_fence(const json_t *d, struct policy *p, struct err *err)
{
    if (read_levels(json_object_get(d, "fence"), p, err) != 0 ||
        read_deadlines(json_object_get(d, "fence_deadline"), p, err) != 0 ||
        read_races(json_object_get(d, "fence_race"), p, err) != 0)
        return err->code;
    return 0;
}

static int read_sync(const json_t *v, struct policy *p, struct err *err)
{
    if (v == NULL)
        return 0;
    if (!json_is_string(v) || !sync_mode_parse(json_string_value(v), &p->sync))
        return err_set(err, ERR_INVAL,
                       "sync: %s%.60s%s: one of \"off\", \"preferred\", \"required\", "
                       "\"strict\" is expected",
                       json_is_string(v) ? "\"" : "",
                       json_is_string(v) ? json_string_value(v) : "is something else",
                       json_is_string(v) ? "\"" : "");
    return 0;
}

/* ---- the whole ----------------------------------------------------------------------- */

static int read_policy(const json_t *d, struct group *g, struct err *err)
{
    struct policy *p = &g->policy;

    p->shrink_after_ms = 0;
    if (read_tags(json_object_get(d, "residency"), "residency", p->residency,
                  &p->residency_count, err) != 0 ||
        read_lease(json_object_get(d, "lease"), p, err) != 0 ||
        read_sync(json_object_get(d, "sync"), p, err) != 0 || read_fence(d, p, err) != 0 ||
        read_decide(json_object_get(d, "decide"), p, err) != 0 ||
        document_read_approvals(json_object_get(d, "approvals"), p, err) != 0 ||
        reader_bool(d, "", "no_async_writers", &p->no_async_writers, err) != 0 ||
        reader_bool(d, "", "adopt", &g->adopt, err) != 0)
        return err->code;
    if (p->shrink_after_ms == 0)
        p->shrink_after_ms = 2 * p->lease.ttl_ms;
    return 0;
}

int document_parse(const json_t *document, struct group *ret_spec, struct err *err)
{
    static const char *const keys[] = {
        "group",      "regions", "residency",      "lease",      "sync",
        "components", "fence",   "fence_deadline", "fence_race", "no_async_writers",
        "adopt",      "decide",  "approvals",      NULL};
    struct group g = {0};
    int active = -1;

    policy_defaults(&g.policy);
    if (reader_object(document, "", keys, err) != 0 ||
        reader_name(json_object_get(document, "group"), "group", g.name, err) != 0 ||
        read_policy(document, &g, err) != 0 ||
        read_regions(json_object_get(document, "regions"), &g, &active, err) != 0 ||
        read_component(json_object_get(document, "components"), &g, err) != 0)
        return err->code;
    g.active = active < 0 ? NO_INSTANCE : group_instance_in(&g, (uint8_t)active);
    if (active >= 0 && g.active == NO_INSTANCE)
        return err_set(err, ERR_INVAL,
                       "components[0].instances: none is in %s, the active region",
                       g.regions[active].name);
    *ret_spec = g;
    return 0;
}

int document_read(const void *data, size_t len, struct group *ret_spec, struct err *err)
{
    json_error_t error;
    json_t *document = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
    int status;

    if (document == NULL)
        return err_set(err, ERR_INVAL, "line %d, column %d: %s", error.line, error.column,
                       error.text);
    status = document_parse(document, ret_spec, err);
    json_decref(document);
    return status;
}
