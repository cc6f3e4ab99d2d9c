/* What operators ask for, at the leader: a document or a word becomes an entry, the entry's
 * fate becomes the answer. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/http/api_private.h"
#include "controller/http/reader.h"
#include "controller/http/status.h"

/* ---- an entry under way ----------------------------------------------------------------
 */

struct proposed {
    struct api *a;
    struct asker who;
    enum route_kind kind;
    bool roles_ignored; /* DECLARE */
    bool as_it_was;     /* PAUSE, RESUME */
    const char *what;   /* name of the entry */
    char group[NAME_SIZE];
};

static json_t *attached(struct api *a, const char *group, uint64_t index)
{
    json_t *out = json_pack("{s:I}", "index", (json_int_t)index);

    api_add_phase(a, group, out);
    return out;
}

static json_t *outcome(const struct proposed *p, uint64_t index)
{
    if (p->kind == ROUTE_DECLARE)
        return declared_document(p->a, p->group, index,
                                 (struct declared){true, p->roles_ignored});
    if (p->kind == ROUTE_ATTACH)
        return attached(p->a, p->group, index);
    if (p->kind == ROUTE_SWITCHOVER)
        return json_pack("{s:I}", "run", (json_int_t)index);
    if (p->kind == ROUTE_PAUSE || p->kind == ROUTE_RESUME)
        return json_pack("{s:I, s:b}", "index", (json_int_t)index, "changed",
                         !p->as_it_was);
    return json_pack("{s:I}", "index", (json_int_t)index);
}

static void on_proposed(void *owner, int status, uint64_t index,
                        const struct apply_result *r)
{
    AUTO(auto_free) struct proposed *p = owner;

    if (status != 0)
        answer_error(&p->who, 503, "outcome-unknown",
                     "leadership has changed: it may or may not have happened; look at "
                     "`ringfence status` and repeat the request if it did not");
    else if (r->refusal != ACCEPTED)
        answer_error(&p->who, 409, refusal_name(r->refusal), "%s", r->text);
    else
        answer_json(&p->who, 200, outcome(p, index));
}

void request_note(struct api *a, const char *group, const char *code, const char *what,
                  const char *why)
{
    char text[2 * ERR_TEXT_SIZE];

    (void)snprintf(text, sizeof text, "refused (%s): %s: %s", code, what, why);
    a->backend->note_refused(a->backend->owner, group, text);
}

static void answer_unproposed(struct api *a, const struct proposed *p,
                              const struct apply_result *refused, const struct err *err)
{
    if (err->code == ERR_REFUSED) {
        request_note(a, p->group, refusal_name(refused->refusal), p->what, refused->text);
        answer_error(&p->who, 409, refusal_name(refused->refusal), "%s", refused->text);
    } else if (err->code == ERR_UNSUPPORTED) {
        answer_error(&p->who, 409, refusal_name(REFUSE_FORMAT), "%s", err->text);
    } else if (err->code == ERR_INVAL) {
        answer_error(&p->who, 400, "bad-request", "%s", err->text);
    } else {
        answer_error(&p->who, 503,
                     err->code == ERR_NOTLEADER ? "no-leader" : "not-possible-now",
                     "%s: nothing was done", err->text);
    }
}

/* Asked again, it is as it was asked for, as with `apply`. */
static bool is_paused_so(struct api *a, const struct entry *e)
{
    const struct group *g;
    struct api_facts f;

    api_facts(a, &f);
    g = state_group_const(f.state, e->group);
    return g != NULL && g->paused == (e->kind == ENTRY_PAUSE);
}

void request_propose(struct api *a, const struct route *r, struct entry *e,
                     const struct asker *who)
{
    struct proposed *p = calloc(1, sizeof *p);
    struct apply_result refused = {0};
    struct err err = {0};

    if (p == NULL) {
        answer_error(who, 503, "no-memory", "out of memory");
        return;
    }
    p->a = a;
    p->who = *who;
    p->kind = r->kind;
    p->roles_ignored = r->keep_active;
    p->as_it_was = is_paused_so(a, e);
    p->what = entry_kind_name(e->kind);
    (void)snprintf(p->group, sizeof p->group, "%s", e->group);
    (void)snprintf(e->rule, sizeof e->rule, "operator");
    if (a->backend->propose(a->backend->owner, e, on_proposed, p, &refused, &err) != 0) {
        answer_unproposed(a, p, &refused, &err);
        free(p);
    }
}

/* ---- bodies ----------------------------------------------------------------------------
 */

json_t *request_read_body(const struct api_request *raw, const char *const *keys,
                          const struct asker *who)
{
    json_error_t error = {0};
    json_t *body = raw->len == 0 ? json_object()
                                 : json_loadb((const char *)raw->body, raw->len,
                                              JSON_REJECT_DUPLICATES, &error);
    struct err err = {0};

    if (body == NULL) {
        answer_error(who, 400, "bad-request", "line %d, column %d: %s", error.line,
                     error.column, error.text);
        return NULL;
    }
    if (reader_object(body, "", keys, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
        json_decref(body);
        return NULL;
    }
    return body;
}

/* The instance in the region that `key` names. False: answered. */
static bool read_region(const struct group *g, const json_t *body, const char *key,
                        uint8_t *ret_instance, const struct asker *who)
{
    char name[NAME_SIZE];
    struct err err = {0};
    uint8_t region;

    if (reader_name(json_object_get(body, key), key, name, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
        return false;
    }
    region = group_region(g, name);
    *ret_instance = region != NO_INSTANCE ? group_instance_in(g, region) : NO_INSTANCE;
    if (*ret_instance == NO_INSTANCE) {
        answer_error(who, 404, "unknown-region", "group %s has no instance in region %s",
                     g->name, name);
        return false;
    }
    return true;
}

/* A file with its regions in another order may be committed before the entry is. */
static void name_instance(const struct group *g, uint8_t instance, char name[NAME_SIZE])
{
    if (instance < g->instance_count)
        memcpy(name, g->instances[instance].agent, NAME_SIZE);
}

static bool read_reason(const json_t *body, char reason[TEXT_SIZE], const struct asker *who)
{
    const json_t *v = json_object_get(body, "reason");
    struct err err = {0};

    if (v == NULL || json_is_null(v) || json_string_length(v) == 0)
        v = NULL;
    if (v != NULL && reader_text(v, "reason", reason, TEXT_SIZE, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
        return false;
    }
    return true;
}

/* ---- groups ----------------------------------------------------------------------------
 */

/* One that stops the primary, fences it and then waits for a target that cannot lead costs
 * the writes of a whole promote_deadline. What apply() refuses, it says better itself.
 * False: answered. */
static bool target_is_ready(struct api *a, const struct group *g, const struct entry *e,
                            const struct asker *who)
{
    struct apply_result would = {.refusal = ACCEPTED};
    char text[ERR_TEXT_SIZE];
    struct api_facts f;

    api_facts(a, &f);
    a->backend->dry(a->backend->owner, e, &would);
    if (would.refusal != ACCEPTED ||
        switchover_may_begin(f.state, f.seen, (uint8_t)(g - f.state->groups),
                             e->switchover.target, mono_now(), text, sizeof text))
        return true;
    request_note(a, g->name, refusal_name(REFUSE_NOT_READY), "switchover", text);
    answer_error(who, 409, refusal_name(REFUSE_NOT_READY),
                 "no switchover of group %s: %s (`ringfence why %s` has the rest)", g->name,
                 text, g->name);
    return false;
}

static void switchover(struct api *a, const struct route *r, const struct group *g,
                       const struct api_request *raw, const struct asker *who)
{
    static const char *const keys[] = {"to", "reason", NULL};
    struct entry e = {.kind = ENTRY_SWITCHOVER};
    json_t *body = request_read_body(raw, keys, who);

    if (body == NULL)
        return;
    (void)snprintf(e.group, sizeof e.group, "%s", g->name);
    e.switchover.epoch = g->epoch;
    if (read_region(g, body, "to", &e.switchover.target, who) &&
        read_reason(body, e.switchover.reason, who)) {
        name_instance(g, e.switchover.target, e.switchover.target_name);
        if (target_is_ready(a, g, &e, who))
            request_propose(a, r, &e, who);
    }
    json_decref(body);
}

static void attach(struct api *a, const struct route *r, const struct group *g,
                   const struct api_request *raw, const struct asker *who)
{
    static const char *const keys[] = {"active", NULL};
    struct entry e = {.kind = ENTRY_ATTACH};
    json_t *body = request_read_body(raw, keys, who);
    const json_t *active = json_object_get(body, "active");

    if (body == NULL)
        return;
    (void)snprintf(e.group, sizeof e.group, "%s", g->name);
    e.attach.active = g->active; /* who was active when it was detached */
    if (active == NULL || json_is_null(active) ||
        read_region(g, body, "active", &e.attach.active, who)) {
        name_instance(g, e.attach.active, e.attach.active_name);
        request_propose(a, r, &e, who);
    }
    json_decref(body);
}

static void simple(struct api *a, const struct route *r, enum entry_kind kind,
                   const struct api_request *raw, const struct asker *who)
{
    static const char *const keys[] = {NULL};
    struct entry e = {.kind = kind};
    json_t *body = request_read_body(raw, keys, who);

    if (body == NULL)
        return;
    json_decref(body);
    (void)snprintf(e.group, sizeof e.group, "%s", r->group);
    request_propose(a, r, &e, who);
}

/* Also where it is so already: a leader that was deposed and does not know it yet would
 * confirm a pause that its successor has ended. What is committed is confirmed. */
static void pause_or_resume(struct api *a, const struct route *r,
                            const struct api_request *raw, const struct asker *who)
{
    simple(a, r, r->kind == ROUTE_PAUSE ? ENTRY_PAUSE : ENTRY_RESUME, raw, who);
}

/* With its group an agent loses the word that it may let the port go, and a gate without
 * leases stays closed: so whoever can be reached must have let go before (I11). One that
 * cannot be is no hindrance: the group may be declared and detached again for it. */
static const struct instance *still_gated(const struct api_facts *f, const struct group *g)
{
    const struct observed_group *seen = &f->seen->groups[g - f->state->groups];

    for (uint8_t k = 0; k < g->instance_count; k++) {
        const struct agent *agent = state_agent(f->state, g->instances[k].agent);

        if (agent != NULL && f->seen->agents[agent - f->state->agents].connected &&
            strcmp(seen->instances[k].seen.gate_mode, "unmanaged") != 0)
            return &g->instances[k];
    }
    return NULL;
}

static void remove_group(struct api *a, const struct route *r, const struct group *g,
                         const struct api_request *raw, const struct asker *who)
{
    const struct instance *gated;
    struct api_facts f;

    api_facts(a, &f);
    gated = g->phase == PHASE_DETACHED ? still_gated(&f, g) : NULL;
    if (gated != NULL)
        answer_error(who, 409, "not-possible-now",
                     "agent %s has not let port %u go yet since the detach: ask again in a "
                     "moment, and look at its log if that does not help",
                     gated->agent, gated->port);
    else
        simple(a, r, ENTRY_REMOVE, raw, who);
}

static void abort_run(struct api *a, const struct route *r, const struct api_request *raw,
                      const struct asker *who)
{
    static const char *const keys[] = {"reason", NULL};
    struct entry e = {.kind = ENTRY_RUN_ABORT, .run_abort = {.run = r->run}};
    const struct group *g = NULL;
    struct api_facts f;
    json_t *body = request_read_body(raw, keys, who);

    if (body == NULL)
        return;
    api_facts(a, &f);
    for (unsigned i = 0; i < f.state->group_count; i++)
        if (f.state->groups[i].run.id == r->run)
            g = &f.state->groups[i];
    if (g == NULL) {
        answer_error(who, 404, refusal_name(REFUSE_RUN),
                     "no group has a run %" PRIu64 " (an older one is over)", r->run);
    } else if (read_reason(body, e.run_abort.reason, who)) {
        (void)snprintf(e.group, sizeof e.group, "%s", g->name);
        request_propose(a, r, &e, who);
    }
    json_decref(body);
}

/* ---- failover: taken up by decide(), so that one table decides -------------------------
 */

struct failover_wait {
    struct failover_wait *next;
    struct asker who;
    char group[NAME_SIZE];
    uint64_t run_before, epoch_before;
    struct mono since;
};

static void why_not(struct api *a, const struct api_facts *f, const struct group *g,
                    const struct asker *who)
{
    char text[ERR_TEXT_SIZE] = "";
    struct explanation e;
    size_t used = 0;

    explain(f->state, f->seen, (uint8_t)(g - f->state->groups), mono_now(), &e);
    for (unsigned i = 0; i < e.count && used < sizeof text; i++) {
        const struct condition *c = &e.list[i];

        /* A pause, a cooldown and the like hold only what nobody asked for. */
        if (c->holds || (strncmp(c->name, "candidate-", 10) != 0 &&
                         strcmp(c->name, "target-ready") != 0))
            continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s: %s",
                                 used > 0 ? "; " : "", c->name, c->value);
    }
    if (text[0] == '\0')
        text_set(text, sizeof text, "%s", e.verdict);
    request_note(a, g->name, "not-possible-now", "failover", text);
    answer_error(who, 409, "not-possible-now",
                 "no failover of group %s: %s (`ringfence why %s` has the rest)", g->name,
                 text, g->name);
}

struct failover_ask {
    uint8_t target;
    bool even_if_healthy;
};

/* False: answered. */
static bool read_failover(const struct group *g, const struct api_request *raw,
                          struct failover_ask *ret, const struct asker *who)
{
    static const char *const keys[] = {"to", "reason", "even_if_healthy", NULL};
    json_t *body = request_read_body(raw, keys, who);
    struct err err = {0};
    bool good;

    if (body == NULL)
        return false;
    *ret = (struct failover_ask){.target = NO_INSTANCE};
    good = reader_bool(body, "", "even_if_healthy", &ret->even_if_healthy, &err) == 0;
    if (!good)
        answer_error(who, 400, "bad-request", "%s", err.text);
    else
        good = json_object_get(body, "to") == NULL ||
               json_is_null(json_object_get(body, "to")) ||
               read_region(g, body, "to", &ret->target, who);
    json_decref(body);
    return good;
}

/* Where it would lead if nobody says: the only other region, or none in particular. */
static const char *other_region(const struct group *g, uint8_t target)
{
    if (target != NO_INSTANCE)
        return group_region_name(g, target);
    return g->instance_count == 2 ? group_region_name(g, (uint8_t)(1 - g->active))
                                  : "REGION";
}

/* To where it would be moved in good order: not recommended where that would be refused. */
static void say_healthy(const struct api_facts *f, const struct group *g, uint8_t target,
                        char text[ERR_TEXT_SIZE])
{
    uint8_t to = target;
    char why[ERR_TEXT_SIZE];

    if (to == NO_INSTANCE && g->instance_count == 2)
        to = (uint8_t)(1 - g->active);
    if (to != NO_INSTANCE &&
        !switchover_may_begin(f->state, f->seen, (uint8_t)(g - f->state->groups), to,
                              mono_now(), why, sizeof why)) {
        text_set(text, ERR_TEXT_SIZE,
                 "nothing is wrong with %s, where group %s is active, and %s",
                 group_region_name(g, g->active), g->name, why);
        return;
    }
    text_set(
        text, ERR_TEXT_SIZE,
        "nothing is wrong with %s, where group %s is active: to move it in good order, "
        "`ringfence switchover %s --to %s`; to fence it all the same, which breaks its "
        "connections and cannot be taken back, `ringfence failover %s "
        "--even-if-healthy`",
        group_region_name(g, g->active), g->name, g->name, other_region(g, target),
        g->name);
}

/* What speaks against it before anything is begun. False: answered. */
static bool failover_may_begin(struct api *a, const struct group *g,
                               const struct failover_ask *ask, const struct asker *who)
{
    char text[ERR_TEXT_SIZE];
    struct api_facts f;

    api_facts(a, &f);
    if (failover_waits_for_word(f.state, f.seen, (uint8_t)(g - f.state->groups),
                                mono_now()))
        return true;
    if (g->phase != PHASE_STEADY) {
        answer_error(who, 409, refusal_name(REFUSE_PHASE),
                     "group %s is %s: a failover begins from steady", g->name,
                     phase_name(g->phase));
        return false;
    }
    if (ask->target == g->active) {
        answer_error(who, 409, refusal_name(REFUSE_ALREADY_ACTIVE),
                     "group %s is active in %s already", g->name,
                     group_region_name(g, g->active));
        return false;
    }
    if (ask->even_if_healthy ||
        !group_is_healthy(f.state, f.seen, (uint8_t)(g - f.state->groups), mono_now()))
        return true;
    say_healthy(&f, g, ask->target, text);
    request_note(a, g->name, refusal_name(REFUSE_HEALTHY), "failover", text);
    answer_error(who, 409, refusal_name(REFUSE_HEALTHY), "%s", text);
    return false;
}

static void failover(struct api *a, const struct group *g, const struct api_request *raw,
                     const struct asker *who)
{
    struct failover_ask ask;
    struct failover_wait *w;
    struct api_facts f;

    if (!read_failover(g, raw, &ask, who) || !failover_may_begin(a, g, &ask, who))
        return;
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        answer_error(who, 503, "no-memory", "out of memory");
        return;
    }
    api_facts(a, &f);
    w->who = *who;
    w->run_before = g->run.id;
    w->epoch_before = g->epoch;
    w->since = mono_now();
    (void)snprintf(w->group, sizeof w->group, "%s", g->name);
    w->next = a->waits;
    a->waits = w;
    api_need_tick(a);
    a->backend->want_failover(a->backend->owner, (uint8_t)(g - f.state->groups), true,
                              ask.target);
}

/* I5: what is proposed cannot be called back. While the fate of an entry for the group is
 * not known (a slow link, a full disk), a fence_begin may still be committed: a "no" would
 * have somebody believe that nothing happens. */
static void give_up(struct api *a, const struct api_facts *f, const struct group *g,
                    const struct asker *who)
{
    uint8_t group = (uint8_t)(g - f->state->groups);

    if (f->seen->groups[group].busy)
        answer_error(
            who, 503, "outcome-unknown",
            "an entry for group %s is proposed and not decided yet: its failover "
            "may or may not begin; look at `ringfence status` before you repeat it",
            g->name);
    else
        why_not(a, f, g, who);
    a->backend->want_failover(a->backend->owner, group, false, NO_INSTANCE);
}

/* True: answered. */
static bool look_at(struct api *a, const struct failover_wait *w, struct mono now)
{
    const struct group *g;
    struct api_facts f;

    api_facts(a, &f);
    g = state_group_const(f.state, w->group);
    if (g == NULL) {
        answer_error(&w->who, 404, "unknown-group", "group %s has been removed", w->group);
    } else if (g->run.kind == RUN_FAILOVER &&
               (g->run.id != w->run_before || g->epoch != w->epoch_before)) {
        answer_json(&w->who, 200, json_pack("{s:I}", "run", (json_int_t)g->run.id));
    } else if (!f.leads) {
        answer_error(&w->who, 503, "outcome-unknown",
                     "leadership has changed: look at `ringfence status`");
    } else if (mono_since_ms(w->since, now) > API_FAILOVER_MS) {
        give_up(a, &f, g, &w->who);
    } else {
        return false;
    }
    return true;
}

void requests_look(struct api *a, struct mono now)
{
    struct failover_wait **at = &a->waits;

    while (*at != NULL) {
        struct failover_wait *w = *at;

        if (!look_at(a, w, now)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        free(w);
    }
}

void requests_close(struct api *a)
{
    while (a->waits != NULL) {
        struct failover_wait *w = a->waits;

        a->waits = w->next;
        answer_error(&w->who, 503, "outcome-unknown", "this controller is stopping");
        free(w);
    }
}

/* ---- which one -------------------------------------------------------------------------
 */

static void of_a_group(struct api *a, const struct route *r, const struct api_request *raw,
                       const struct asker *who)
{
    const struct group *g;
    struct api_facts f;

    api_facts(a, &f);
    g = state_group_const(f.state, r->group);
    if (g == NULL)
        answer_error(who, 404, refusal_name(REFUSE_UNKNOWN_GROUP), "there is no group %s",
                     r->group);
    else if (r->kind == ROUTE_SWITCHOVER)
        switchover(a, r, g, raw, who);
    else if (r->kind == ROUTE_FAILOVER)
        failover(a, g, raw, who);
    else if (r->kind == ROUTE_ATTACH)
        attach(a, r, g, raw, who);
    else if (r->kind == ROUTE_REMOVE)
        remove_group(a, r, g, raw, who);
    else if (r->kind == ROUTE_RETRY)
        request_retry(a, g, raw, who);
    else if (r->kind == ROUTE_PAUSE || r->kind == ROUTE_RESUME)
        pause_or_resume(a, r, raw, who);
    else
        simple(a, r, ENTRY_DETACH, raw, who);
}

void request_handle(struct api *a, const struct route *r, const struct api_request *raw,
                    const struct asker *who)
{
    if (r->kind == ROUTE_DECLARE)
        request_declare(a, r, raw, who);
    else if (r->kind == ROUTE_ABORT)
        abort_run(a, r, raw, who);
    else if (r->kind == ROUTE_REPLACE)
        request_replace(a, r, raw, who);
    else
        of_a_group(a, r, raw, who);
}
