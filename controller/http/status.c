#include "controller/http/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/http/proposals.h"
#include "controller/http/warnings.h"

/* ---- controllers and agents -----------------------------------------------------------
 */

static const char *name_of(const struct api_facts *f, uint64_t id)
{
    for (unsigned i = 0; i < f->controller_count; i++)
        if (f->controllers[i].id == id)
            return f->controllers[i].name;
    return "";
}

/* One that joins gets the log, and votes when it has all of it. */
static const char *controller_role(const struct api_facts *f,
                                   const struct api_controller *c)
{
    bool has_log = false;

    for (unsigned i = 0; i < f->controller_count; i++)
        has_log = has_log || f->controllers[i].votes;
    if (!has_log) /* it has not been taken in yet, and knows nothing of the others */
        return c->self ? "joining" : "unknown";
    if (c->id == f->leader_id)
        return "leader";
    return c->votes ? "follower" : "joining";
}

static json_t *controllers(const struct api_facts *f)
{
    json_t *out = json_array();

    for (unsigned i = 0; i < f->controller_count; i++) {
        const struct api_controller *c = &f->controllers[i];

        (void)json_array_append_new(
            out,
            json_pack("{s:s, s:s, s:I, s:s, s:b, s:b, s:s, s:s}", "name", c->name, "region",
                      c->region, "id", (json_int_t)c->id, "role", controller_role(f, c),
                      "up", (int)c->up, "caught_up", (int)c->caught_up, "version",
                      c->version, "refused", c->refused));
    }
    return out;
}

static json_t *since_ms(struct mono then, struct mono now)
{
    return mono_is_set(then) ? json_integer((json_int_t)mono_since_ms(then, now))
                             : json_null();
}

/* Null: its agent does not tell, or is not heard. */
static json_t *guard_or_null(bool heard, enum seen_guard guard)
{
    static const char *const names[] = {
        [SEEN_GUARD_OFF] = "off", [SEEN_GUARD_DOWN] = "down", [SEEN_GUARD_UP] = "up"};

    return heard && guard != SEEN_GUARD_UNSAID ? json_string(names[guard]) : json_null();
}

/* Agents talk to the leader: whoever knows none hears those that are linked to itself, and
 * of the others nothing, not that they are down. */
static json_t *agents(const struct api_facts *f, struct mono now, bool stale)
{
    json_t *out = json_array();

    for (unsigned i = 0; i < f->state->agent_count; i++) {
        const struct agent *a = &f->state->agents[i];
        const struct observed_agent *o = &f->seen->agents[i];
        const char *via =
            o->connected && o->via < f->controller_count ? f->controllers[o->via].name : "";

        bool known = !stale || f->leads || o->connected;

        (void)json_array_append_new(
            out, json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:I, s:s, s:o}", "name", a->name,
                           "region", a->region, "address", a->address, "connected",
                           known ? json_boolean(o->connected) : json_null(), "via", via,
                           "heard_ms", known ? since_ms(o->heard, now) : json_null(),
                           "lives", (json_int_t)a->lives, "version", a->version, "guard",
                           guard_or_null(o->connected, o->guard)));
    }
    return out;
}

/* ---- a group --------------------------------------------------------------------------
 */

static const char *instance_name(const struct group *g, uint8_t i)
{
    return i < g->instance_count ? g->instances[i].agent : "";
}

static json_t *members(const struct group *g)
{
    json_t *out = json_array();

    for (uint8_t i = 0; g->policy.sync != SYNC_OFF && i < g->instance_count; i++)
        if ((g->sync_set & 1u << i) != 0)
            (void)json_array_append_new(out, json_string(g->instances[i].agent));
    return out;
}

static json_t *bytes_or_null(bool known, uint64_t bytes)
{
    return known ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *run(const struct group *g)
{
    const struct run *r = &g->run;
    bool activated = r->activate_wall_ms != 0;
    uint64_t before = activated && r->epoch > 0 ? r->epoch - 1 : r->epoch;
    json_t *out;

    if (r->id == 0)
        return json_null();
    out =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:s, s:s}", "id",
                  (json_int_t)r->id, "kind", run_kind_name(r->kind), "result",
                  run_result_name(r->result), "from", instance_name(g, r->from), "to",
                  instance_name(g, r->to), "epoch_before", (json_int_t)before,
                  "epoch_after", (json_int_t)r->epoch, "requested", (int)r->requested,
                  "rule", r->rule, "reason", r->reason, "proof", proof_kind_name(r->proof));
    if (out == NULL)
        return NULL;
    (void)json_object_set_new(out, "fence_ms", json_integer((json_int_t)r->fence_wall_ms));
    (void)json_object_set_new(out, "proof_ms", json_integer((json_int_t)r->proof_wall_ms));
    (void)json_object_set_new(out, "activate_ms",
                              json_integer((json_int_t)r->activate_wall_ms));
    (void)json_object_set_new(out, "open_ms", json_integer((json_int_t)r->open_wall_ms));
    (void)json_object_set_new(
        out, "forecast_lost_bytes",
        bytes_or_null(r->loss_forecast_known, r->loss_forecast_bytes));
    (void)json_object_set_new(out, "lost_bytes",
                              bytes_or_null(r->loss_known, r->loss_bytes));
    return out;
}

static const char *role_name(const struct group *g, uint8_t i)
{
    if (g->phase == PHASE_DETACHED)
        return "detached";
    if (g->phase == PHASE_FORMING)
        return "none";
    return i == g->active ? "primary" : "standby";
}

static const char *step_state_name(enum step_state s)
{
    switch (s) {
    case STEP_IDLE:
        return "idle";
    case STEP_STARTED:
        return "started";
    case STEP_DONE:
        return "done";
    case STEP_FAILED:
        return "failed";
    }
    return "?";
}

static json_t *step(const struct api_facts *f, uint8_t group, uint8_t i, struct mono now)
{
    const struct step *s = &f->state->groups[group].instances[i].step;
    uint64_t ms;
    bool again = step_retry_in(f->state, f->seen, group, i, now, &ms);

    if (s->id == 0)
        return json_null();
    return json_pack("{s:s, s:s, s:s, s:I, s:o}", "kind", step_kind_name(s->kind), "state",
                     step_state_name(s->state), "text", s->text, "failures",
                     (json_int_t)s->failures, "retry_ms",
                     again ? json_integer((json_int_t)ms) : json_null());
}

/* What a controller said that has fallen silent since is no answer. */
static json_t *probes(const struct api_facts *f, const struct group *g,
                      const struct observed_instance *o, struct mono now)
{
    enum { LEAST_MS = 3000, PROBES = 3 };
    uint64_t fresh = (uint64_t)PROBES * g->policy.probe_ms;
    json_t *out = json_object();

    if (fresh < LEAST_MS)
        fresh = LEAST_MS;
    for (unsigned i = 0; i < f->state->controller_count; i++)
        if (mono_is_set(o->probes[i].at) && mono_since_ms(o->probes[i].at, now) <= fresh)
            (void)json_object_set_new(out, f->state->controllers[i].name,
                                      json_boolean(o->probes[i].answered));
    return out;
}

/* A primary that has crashed may have written more than it was last seen with: its agent
 * reads the end of its log once it is down. */
static uint64_t log_end(const struct group *g, const struct observed_group *og)
{
    const struct seen_instance *seen;
    bool of_now;

    if (g->active >= g->instance_count)
        return og->primary_lsn;
    seen = &og->instances[g->active].seen;
    of_now = mono_is_set(seen->at) && seen->epoch == g->epoch &&
             seen->timeline == og->primary_timeline;
    return of_now && seen->flush_lsn > og->primary_lsn ? seen->flush_lsn : og->primary_lsn;
}

bool status_lag_bytes(const struct group *g, const struct observed_group *og, uint8_t i,
                      uint64_t *ret_bytes)
{
    const struct seen_instance *seen = &og->instances[i].seen;
    uint64_t end;

    if (!mono_is_set(og->primary_lsn_at) || !mono_is_set(seen->at) || seen->flush_lsn == 0)
        return false;
    end = log_end(g, og);
    *ret_bytes = end > seen->flush_lsn ? end - seen->flush_lsn : 0;
    return true;
}

static json_t *lag_bytes(const struct group *g, const struct observed_group *og, uint8_t i)
{
    uint64_t bytes;

    return status_lag_bytes(g, og, i, &bytes) ? json_integer((json_int_t)bytes)
                                              : json_null();
}

/* What an agent that holds no lease reports as its margin. */
enum { NO_LEASE = -1 };

bool status_lease_margin(const struct api_facts *f, uint8_t group, uint8_t i,
                         struct mono now, int64_t *ret_ms)
{
    const struct group *g = &f->state->groups[group];
    const struct instance *in = &g->instances[i];
    const struct seen_instance *seen = &f->seen->groups[group].instances[i].seen;

    if (!mono_is_set(seen->at) || g->phase == PHASE_DETACHED || in->proof.last_grant == 0 ||
        in->holder_epoch != g->epoch || seen->epoch != g->epoch ||
        seen->lease_margin_ms == NO_LEASE)
        return false;
    *ret_ms = seen->lease_margin_ms - (int64_t)mono_since_ms(seen->at, now);
    return true;
}

static json_t *margin_or_null(const struct api_facts *f, uint8_t group, uint8_t i,
                              struct mono now)
{
    int64_t ms;

    return status_lease_margin(f, group, i, now, &ms) ? json_integer((json_int_t)ms)
                                                      : json_null();
}

/* What is known of it now. The kernel closes at the deadline, whoever is left to say so
 * (I3); of an agent that has fallen silent before that nobody knows. */
static const char *gate_name(const struct api_facts *f, uint8_t group, uint8_t i,
                             struct mono now)
{
    const struct seen_instance *seen = &f->seen->groups[group].instances[i].seen;
    bool open = strcmp(seen->gate_mode, "open") == 0;
    bool closed = strcmp(seen->gate_mode, "closed") == 0;
    int64_t margin;

    if (!mono_is_set(seen->at))
        return "";
    if ((open || closed) && lease_counted_out(f->state, f->seen, group, i, now))
        return "closed";
    if (!report_is_fresh(f->state, f->seen, group, i, now))
        return "unknown";
    if (open && status_lease_margin(f, group, i, now, &margin) && margin <= 0)
        return "closed";
    return seen->gate_mode;
}

/* What an agent said before it fell silent is what was: a dead primary is none. */
static const char *server_now(const struct seen_instance *seen, bool fresh)
{
    return server_state_name(fresh ? seen->server : SERVER_UNKNOWN);
}

/* As this controller has asked it; null: the host has none. */
static json_t *fencer(const struct instance *i, const struct seen_fencer *seen)
{
    bool known = seen->known && strcmp(seen->name, i->power) == 0;

    if (i->power[0] == '\0')
        return json_null();
    return json_pack("{s:s, s:o, s:s}", "name", i->power, "ready",
                     known ? json_boolean(seen->ready) : json_null(), "problem",
                     known ? seen->text : "");
}

static json_t *alarm_of(const struct group *g)
{
    char text[VERDICT_SIZE];

    (void)group_alarm(g, text, sizeof text);
    return json_string(text);
}

static json_t *instance(const struct api_facts *f, uint8_t group, uint8_t i,
                        struct mono now)
{
    const struct group *g = &f->state->groups[group];
    const struct observed_group *og = &f->seen->groups[group];
    const struct observed_instance *o = &og->instances[i];
    const struct seen_instance *seen = &o->seen;
    bool fresh = report_is_fresh(f->state, f->seen, group, i, now);
    char lsn[24];
    json_t *out;

    (void)snprintf(lsn, sizeof lsn, "%" PRIX64 "/%" PRIX64, seen->flush_lsn >> 32,
                   seen->flush_lsn & 0xffffffff);
    out = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:o, s:s, s:o, s:I, s:I, s:b}", "name",
        g->instances[i].agent, "region", group_region_name(g, i), "role", role_name(g, i),
        "server", server_now(seen, fresh), "member", (int)((g->sync_set & 1u << i) != 0),
        "proven", (int)instance_is_proven(f->state, &g->instances[i]), "gate",
        gate_name(f, group, i, now), "lease_margin_ms", margin_or_null(f, group, i, now),
        "lsn", seen->flush_lsn != 0 ? lsn : "", "lag_bytes", lag_bytes(g, og, i), "lag_ms",
        (json_int_t)seen->replay_lag_ms, "timeline", (json_int_t)seen->timeline,
        "streaming", (int)(seen->streaming && fresh));
    if (out == NULL)
        return NULL;
    (void)json_object_set_new(out, "step", step(f, group, i, now));
    (void)json_object_set_new(out, "probes", probes(f, g, o, now));
    (void)json_object_set_new(out, "problem", json_string(seen->problem));
    (void)json_object_set_new(out, "fencer", fencer(&g->instances[i], &o->fencer));
    return out;
}

static json_t *instances(const struct api_facts *f, uint8_t group, struct mono now)
{
    json_t *out = json_array();

    for (uint8_t i = 0; i < f->state->groups[group].instance_count; i++)
        (void)json_array_append_new(out, instance(f, group, i, now));
    return out;
}

/* "Why nothing happens", and what to do: only where something might be expected to. */
static json_t *hold(const struct api_facts *f, uint8_t group, struct mono now, bool stale)
{
    const struct group *g = &f->state->groups[group];
    bool suspect = group_is_suspect(f->state, f->seen, group, now);
    struct explanation e;

    bool quiet = !suspect && g->phase == PHASE_STEADY && !g->paused;

    if (stale && status_stale_verdict(f, group, now, e.verdict, sizeof e.verdict))
        return json_string(e.verdict);
    if (quiet && group_is_healthy(f->state, f->seen, group, now))
        return json_string("");
    explain(f->state, f->seen, group, now, &e);
    return json_string(quiet && !e.cause && !e.held ? "" : e.verdict);
}

/* Of a group in service that could not fail over: why, and what to do. */
static json_t *unprotected(const struct api_facts *f, uint8_t group, struct mono now)
{
    char text[VERDICT_SIZE];

    (void)group_is_unprotected(f->state, f->seen, group, now, text, sizeof text);
    return json_string(text);
}

/* As the answering controller knows it; null: the group does not have that level. */
static json_t *severing(const struct api_facts *f, uint8_t group, struct mono now)
{
    const char *why;
    enum severing is = group_severing(f->state, f->seen, group, now, &why);

    if (is == SEVERING_ABSENT)
        return json_null();
    return json_pack("{s:o, s:s}", "ready",
                     is == SEVERING_UNKNOWN ? json_null()
                                            : json_boolean(is == SEVERING_OPEN),
                     "problem", why);
}

static json_t *group_document(const struct api_facts *f, uint8_t group, struct mono now,
                              bool stale)
{
    const struct group *g = &f->state->groups[group];
    bool suspect = group_is_suspect(f->state, f->seen, group, now);
    json_t *out = json_pack(
        "{s:s, s:s, s:b, s:I, s:s, s:s, s:s, s:o, s:b, s:o, s:I, s:I, s:I}", "name",
        g->name, "phase", phase_name(g->phase), "suspect", (int)suspect, "epoch",
        (json_int_t)g->epoch, "active", instance_name(g, g->active), "active_region",
        g->active < g->instance_count ? group_region_name(g, g->active) : "", "sync",
        sync_mode_name(g->policy.sync), "sync_set", members(g), "paused", (int)g->paused,
        "hold", hold(f, group, now, stale), "failovers", (json_int_t)g->failovers,
        "switchovers", (json_int_t)g->switchovers, "ttl_ms",
        (json_int_t)g->policy.lease.ttl_ms);

    if (out == NULL)
        return NULL;
    (void)json_object_set_new(out, "lease_ttl_ms",
                              json_integer((json_int_t)status_lease_ttl_ms(g)));
    (void)json_object_set_new(out, "alarm", alarm_of(g));
    (void)json_object_set_new(out, "unprotected", unprotected(f, group, now));
    (void)json_object_set_new(out, "severing", severing(f, group, now));
    (void)json_object_set_new(
        out, "cooldown_ms",
        json_integer((json_int_t)group_cooldown_left_ms(f->state, f->seen, group, now)));
    (void)json_object_set_new(out, "proposals", proposals_document(f->state, g->name));
    (void)json_object_set_new(out, "break_glass", json_integer((json_int_t)g->break_glass));
    (void)json_object_set_new(out, "run", run(g));
    (void)json_object_set_new(out, "instances", instances(f, group, now));
    return out;
}

/* Somebody else leads, or nobody: what this controller sees explains nothing. */
bool status_stale_verdict(const struct api_facts *f, uint8_t group, struct mono now,
                          char *text, unsigned size)
{
    if (f->leads)
        return false;
    if (f->leader_id == 0)
        explain_leaderless(f->state, f->seen, group, now, f->name, text, size);
    else
        (void)snprintf(
            text, size,
            "not known here: controller %s leads, and was not asked, or does not "
            "answer",
            name_of(f, f->leader_id));
    return true;
}

json_t *status_age(const struct api_facts *f, bool stale)
{
    if (stale && f->age_ms == UINT64_MAX)
        return json_null();
    return json_integer(stale ? (json_int_t)f->age_ms : 0);
}

uint32_t status_lease_ttl_ms(const struct group *g)
{
    return g->epoch != 0 && g->terms.ttl_ms != 0 ? g->terms.ttl_ms : g->policy.lease.ttl_ms;
}

/* Of the controller that answers; of others what it saw. Nothing where all is well. */
static json_t *certificates(const struct api_facts *f)
{
    struct tls_told told[TLS_TELL_MAX];
    unsigned n = tls_report_tell(&f->tls, f->wall_s, told);
    json_t *out = json_array();

    for (unsigned i = 0; i < n; i++)
        if (told[i].level != TLS_FINE)
            (void)json_array_append_new(
                out, json_pack("{s:s, s:s, s:s}", "check", told[i].check, "level",
                               tls_level_name(told[i].level), "text", told[i].text));
    return out;
}

/* Of the controller that answers. Nothing where all is well. */
static json_t *warnings(const struct api_facts *f)
{
    struct warning told[WARNINGS_MAX];
    unsigned n = warnings_list(f, told);
    json_t *out = json_array();

    for (unsigned i = 0; i < n; i++)
        if (strcmp(told[i].level, "ok") != 0)
            (void)json_array_append_new(
                out, json_pack("{s:s, s:s, s:s}", "check", told[i].check, "level",
                               told[i].level, "text", told[i].text));
    return out;
}

/* ---- the whole ------------------------------------------------------------------------
 */

json_t *status_document(const struct api_facts *f, struct mono now, uint64_t wall_ms,
                        bool stale)
{
    char time[WALL_TEXT_SIZE];
    json_t *groups = json_array();

    for (uint8_t i = 0; i < f->state->group_count; i++)
        (void)json_array_append_new(groups, group_document(f, i, now, stale));
    wall_format(wall_ms, time);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:o, s:s, s:o, s:o, s:o, s:o, s:o}",
                     "cluster", f->cluster, "controller", f->name, "leader",
                     name_of(f, f->leader_id), "term", (json_int_t)f->term, "applied",
                     (json_int_t)f->applied, "stale", (int)stale, "age_ms",
                     status_age(f, stale), "time", time, "controllers", controllers(f),
                     "agents", agents(f, now, stale), "certificates", certificates(f),
                     "warnings", warnings(f), "groups", groups);
}

/* FNV-1a: good enough to see a change; a miss is made good a second later. */
static void mix(uint64_t *hash, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        *hash = (*hash ^ (value >> (8 * i) & 0xff)) * 0x100000001b3u;
}

static void mix_text(uint64_t *hash, const char *text)
{
    for (; *text != '\0'; text++)
        mix(hash, (unsigned char)*text);
}

static void mix_group(uint64_t *hash, const struct api_facts *f, uint8_t group,
                      struct mono now)
{
    const struct group *g = &f->state->groups[group];
    char text[VERDICT_SIZE];
    const char *why;

    mix(hash, group_is_unprotected(f->state, f->seen, group, now, text, sizeof text));
    mix(hash, (uint64_t)group_severing(f->state, f->seen, group, now, &why));
    mix_text(hash, why);
    mix(hash, g->index);
    mix(hash, (uint64_t)g->phase);
    mix(hash, group_is_suspect(f->state, f->seen, group, now));
    for (unsigned i = 0; i < g->instance_count; i++) {
        const struct seen_instance *seen = &f->seen->groups[group].instances[i].seen;

        mix(hash, (uint64_t)seen->server);
        mix(hash, seen->streaming);
        mix(hash, g->instances[i].proof.proven);
        mix(hash, g->instances[i].step.id);
        mix(hash, (uint64_t)g->instances[i].step.state);
        mix_text(hash, gate_name(f, group, (uint8_t)i, now));
        mix_text(hash, seen->problem);
    }
}

uint64_t status_fingerprint(const struct api_facts *f, struct mono now)
{
    uint64_t hash = 0xcbf29ce484222325u;

    mix(&hash, f->leader_id);
    mix(&hash, f->term);
    mix(&hash, f->store.reserve_used);
    mix(&hash, f->ship.target != NULL && f->ship.problem[0] != '\0');
    for (unsigned i = 0; i < f->controller_count; i++)
        mix(&hash, f->controllers[i].up);
    for (unsigned i = 0; i < f->state->agent_count; i++) {
        mix(&hash, f->seen->agents[i].connected);
        mix(&hash, (uint64_t)f->seen->agents[i].guard);
    }
    for (uint8_t i = 0; i < f->state->group_count; i++)
        mix_group(&hash, f, i, now);
    return hash;
}
