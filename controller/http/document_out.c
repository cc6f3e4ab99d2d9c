/* The group document again, and what differs between two. */
#include <stdio.h>
#include <string.h>

#include "controller/http/document.h"
#include "controller/http/document_private.h"
#include "controller/http/reader.h"

static json_t *tags(const char (*list)[NAME_SIZE], unsigned n)
{
    json_t *out = json_array();

    for (unsigned i = 0; i < n; i++)
        (void)json_array_append_new(out, json_string(list[i]));
    return out;
}

static json_t *regions(const struct group *g)
{
    json_t *out = json_array();
    uint8_t active = g->active < g->instance_count ? g->instances[g->active].region : 0;

    for (unsigned i = 0; i < g->region_count; i++) {
        const struct region *r = &g->regions[i];

        (void)json_array_append_new(
            out, json_pack("{s:s, s:s, s:o}", "name", r->name, "role",
                           i == active ? "active" : "standby", "tags",
                           tags((const char(*)[NAME_SIZE])r->tags, r->tag_count)));
    }
    return out;
}

static json_t *also_ports(const struct instance *v)
{
    json_t *out = json_array();

    for (unsigned i = 0; i < v->also_count; i++)
        (void)json_array_append_new(out, json_integer(v->also[i].port));
    return out;
}

static json_t *instances(const struct group *g)
{
    json_t *out = json_array();

    for (uint8_t i = 0; i < g->instance_count; i++) {
        const struct instance *v = &g->instances[i];
        json_t *one = json_pack("{s:s, s:s, s:i, s:s, s:s}", "agent", v->agent, "region",
                                group_region_name(g, i), "port", (int)v->port, "data",
                                v->data, "start", v->start);

        if (v->also_count > 0)
            (void)json_object_set_new(one, "also_ports", also_ports(v));
        if (v->power[0] != '\0')
            (void)json_object_set_new(one, "power", json_string(v->power));
        (void)json_array_append_new(out, one);
    }
    return out;
}

static json_t *fence(const struct policy *p)
{
    json_t *out = json_array();

    for (unsigned i = 0; i < FENCE_LEVEL_COUNT; i++) {
        const struct fence_turn *t = fence_turn_at(p, i);

        if (t != NULL)
            (void)json_array_append_new(
                out, json_string(fence_level_name((enum fence_level)t->level)));
    }
    return out;
}

/* Only where they are not the levels' own: that of `agent` is a matter of course. */
static void add_fence_details(json_t *document, const struct policy *p)
{
    json_t *deadlines = json_object(), *races = json_array();

    for (unsigned i = 0; i < p->fence_turn_count; i++) {
        const struct fence_turn *t = &p->fence_turns[i];
        const char *name = fence_level_name((enum fence_level)t->level);
        char key[NAME_SIZE + 8];

        (void)snprintf(key, sizeof key, "%s_ms", name);
        if (t->deadline_ms != 0)
            (void)json_object_set_new(deadlines, key, json_integer(t->deadline_ms));
        if (t->race)
            (void)json_array_append_new(races, json_string(name));
    }
    if (json_object_size(deadlines) > 0)
        (void)json_object_set(document, "fence_deadline", deadlines);
    if (json_array_size(races) > 0)
        (void)json_object_set(document, "fence_race", races);
    json_decref(deadlines);
    json_decref(races);
}

static json_t *decide_of(const struct policy *p)
{
    return json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "automatic",
        (int)p->automatic, "local_restarts", (json_int_t)p->local_restarts,
        "failover_after_ms", (json_int_t)p->failover_after_ms, "hung_after_ms",
        (json_int_t)p->hung_after_ms, "shrink_after_ms", (json_int_t)p->shrink_after_ms,
        "promote_deadline_ms", (json_int_t)p->promote_deadline_ms, "stop_deadline_ms",
        (json_int_t)p->stop_deadline_ms, "cooldown_ms", (json_int_t)p->cooldown_ms,
        "max_lag_bytes", (json_int_t)p->max_lag_bytes, "max_lag_ms",
        (json_int_t)p->max_lag_ms, "probe_ms", (json_int_t)p->probe_ms);
}

static json_t *component(const struct group *g)
{
    json_t *out =
        json_pack("{s:s, s:s, s:b, s:b, s:o}", "name", g->component, "provider",
                  g->provider, "ungated_local", (int)g->policy.ungated_local,
                  "standby_reads", (int)g->policy.standby_reads, "instances", instances(g));
    json_t *exceptions = json_array();

    for (unsigned i = 0; i < g->exception_count; i++)
        (void)json_array_append_new(exceptions, json_string(g->exceptions[i].address));
    if (g->exception_count > 0)
        (void)json_object_set(out, "exceptions", exceptions);
    json_decref(exceptions);
    return out;
}

json_t *document_of(const struct group *g)
{
    const struct policy *p = &g->policy;

    json_t *d;

    d = json_pack("{s:s, s:o, s:o, s:{s:I, s:I, s:I}, s:s, s:[o], s:o, s:b, s:o}", "group",
                  g->name, "regions", regions(g), "residency",
                  tags((const char(*)[NAME_SIZE])p->residency, p->residency_count), "lease",
                  "ttl_ms", (json_int_t)p->lease.ttl_ms, "renew_ms",
                  (json_int_t)p->renew_ms, "rho_ppm", (json_int_t)p->lease.rho_ppm, "sync",
                  sync_mode_name(p->sync), "components", component(g), "fence", fence(p),
                  "adopt", (int)g->adopt, "decide", decide_of(p));
    if (d != NULL)
        add_fence_details(d, p);
    if (d != NULL && p->window_count > 0)
        (void)json_object_set_new(d, "approvals", document_approvals(p));
    if (d != NULL && p->no_async_writers)
        (void)json_object_set_new(d, "no_async_writers", json_true());
    return d;
}

/* ---- differences --------------------------------------------------------------------- */

static void differs(json_t *out, const char *path, const json_t *from, const json_t *to)
{
    (void)json_array_append_new(
        out, json_pack("{s:s, s:O?, s:O?}", "path", path, "from", from, "to", to));
}

static void compare(json_t *out, const char *path, const json_t *from, const json_t *to);

/* Of documents of ours one may lack what the other has: what was taken out is told, too. */
static void compare_objects(json_t *out, const char *path, const json_t *from,
                            const json_t *to)
{
    char at[READER_PATH_SIZE];
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(to != NULL ? to : from), key, value)
    {
        reader_path_key(at, path, key);
        compare(out, at, json_object_get(from, key), json_object_get(to, key));
    }
    if (to == NULL)
        return;
    json_object_foreach((json_t *)from, key, value)
    {
        reader_path_key(at, path, key);
        if (json_object_get(to, key) == NULL)
            compare(out, at, value, NULL);
    }
}

static void compare_lists(json_t *out, const char *path, const json_t *from,
                          const json_t *to)
{
    size_t a = json_array_size(from), b = json_array_size(to);
    char at[READER_PATH_SIZE];

    for (size_t i = 0; i < a || i < b; i++) {
        reader_path_index(at, path, i);
        compare(out, at, json_array_get(from, i), json_array_get(to, i));
    }
}

static void compare(json_t *out, const char *path, const json_t *from, const json_t *to)
{
    /* What is on one side only is told leaf by leaf as well: it is to be read. */
    if (json_is_object(from) || json_is_object(to))
        compare_objects(out, path, from, to);
    else if (json_is_array(from) || json_is_array(to))
        compare_lists(out, path, from, to);
    else if (!json_equal(from, to))
        differs(out, path, from, to);
}

json_t *document_diff(const struct group *from, const struct group *to)
{
    json_t *a = from != NULL ? document_of(from) : NULL;
    json_t *b = document_of(to), *out = json_array();

    /* `adopt` says how a group is formed, and may be added for as long as it forms;
     * afterwards it has no meaning. */
    if (from != NULL && (from->phase != PHASE_FORMING || from->adopt))
        (void)json_object_set(a, "adopt", json_object_get(b, "adopt"));
    compare(out, "", a, b);
    json_decref(a);
    json_decref(b);
    return out;
}
