/* What operators ask for, at the leader: a document or a word becomes an entry, the entry's
 * fate becomes the answer. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/text.h"
#include "controller/core/answered.h"
#include "controller/http/api_private.h"
#include "controller/http/reader.h"
#include "controller/http/status.h"

/* ---- an entry under way ----------------------------------------------------------------
 */

struct proposed {
    struct api *a;
    struct asker who;
    struct route route;
    bool roles_ignored; /* DECLARE */
    bool as_it_was;     /* PAUSE, RESUME */
    uint64_t about;     /* a proposal; 0: none */
    const char *what;   /* name of the entry */
    char group[NAME_SIZE];
    json_t *shown; /* own; what is told with the index, NULL: nothing more */
};

static void drop_proposed(struct proposed **p)
{
    if (*p != NULL)
        json_decref((*p)->shown);
    free(*p);
}

static json_t *json_object_set_index(json_t *object, uint64_t index)
{
    (void)json_object_set_new(object, "index", json_integer((json_int_t)index));
    return object;
}

static json_t *attached(struct api *a, const char *group, uint64_t index)
{
    json_t *out = json_pack("{s:I}", "index", (json_int_t)index);

    api_add_phase(a, group, out);
    return out;
}

static json_t *outcome(const struct proposed *p, uint64_t index)
{
    if (p->shown != NULL) {
        (void)json_object_set_new(p->shown, "index", json_integer((json_int_t)index));
        return json_incref(p->shown);
    }
    if (p->route.kind == ROUTE_DECLARE)
        return declared_document(p->a, p->group, index,
                                 (struct declared){true, p->roles_ignored});
    if (p->route.kind == ROUTE_PROPOSE)
        return proposed_document(p->a, index);
    if (p->about != 0)
        return json_object_set_index(proposed_document(p->a, p->about), index);
    if (p->route.kind == ROUTE_ATTACH)
        return attached(p->a, p->group, index);
    if (p->route.kind == ROUTE_SWITCHOVER)
        return json_pack("{s:I}", "run", (json_int_t)index);
    if (p->route.kind == ROUTE_PAUSE || p->route.kind == ROUTE_RESUME)
        return json_pack("{s:I, s:b}", "index", (json_int_t)index, "changed",
                         !p->as_it_was);
    return json_pack("{s:I}", "index", (json_int_t)index);
}

/* What was told with a secret cannot be told again, and must not be made again either:
 * whoever has lost it asks for another one, and lets go of the first. */
static void secret_is_gone(const struct route *r, const struct asker *who, uint64_t index)
{
    if (r->kind == ROUTE_USER_TOKEN)
        answer_error(who, 409, "secret-shown-once",
                     "token %" PRIu64 " of user %s was made, and is shown once: it is kept "
                     "nowhere; `ringfence user token %s --revoke %" PRIu64
                     "`, then ask for another one under a new Idempotency-Key",
                     index, r->group, r->group, index);
    else
        answer_error(who, 409, "secret-shown-once",
                     "a second factor of user %s was enrolled (entry %" PRIu64
                     "), and is shown once: it is kept nowhere; `ringfence user totp %s` "
                     "under a new Idempotency-Key makes another one in its place",
                     r->group, index, r->group);
}

static void answer_row(const struct proposed *p, const struct answered *row)
{
    if ((row->flags & ANSWERED_SECRET) != 0)
        secret_is_gone(&p->route, &p->who, row->index);
    else
        answer_json(&p->who, 200, outcome(p, row->index));
}

/* Which answer the entry got at first; ROUTE_COUNT: its index alone. */
static enum route_kind answers_as(uint32_t kind)
{
    static const struct {
        uint32_t kind;
        enum route_kind as;
    } table[] = {
        {ENTRY_DECLARE, ROUTE_DECLARE},        {ENTRY_PROPOSE, ROUTE_PROPOSE},
        {ENTRY_ATTACH, ROUTE_ATTACH},          {ENTRY_SWITCHOVER, ROUTE_SWITCHOVER},
        {ENTRY_FENCE_BEGIN, ROUTE_SWITCHOVER}, {ENTRY_PAUSE, ROUTE_PAUSE},
        {ENTRY_RESUME, ROUTE_RESUME}};

    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].kind == kind)
            return table[i].as;
    return ROUTE_COUNT;
}

/* What it says of who is where is as it is now. */
void request_answer_again(struct api *a, const struct route *r,
                          const struct api_request *raw, const struct asker *who,
                          const struct answered *row)
{
    struct proposed p = {.a = a,
                         .who = *who,
                         .route = *r,
                         .as_it_was = (row->flags & ANSWERED_AS_IT_WAS) != 0};

    memcpy(p.group, row->group, sizeof p.group);
    if ((row->flags & ANSWERED_SECRET) == 0)
        p.route.kind = answers_as(row->kind);
    if (row->kind == ENTRY_APPROVE || row->kind == ENTRY_REJECT ||
        row->kind == ENTRY_WITHDRAW)
        p.about = r->run;
    p.roles_ignored =
        r->keep_active && (row->flags & ANSWERED_KEPT) != 0 && declared_has_roles(raw);
    answer_row(&p, row);
}

/* Another leader has answered it while this one worked on it. */
static bool was_answered(const struct proposed *p, const struct apply_result *r)
{
    struct proposed again = *p;
    const struct answered *row;
    struct api_facts f;

    if (r->refusal != REFUSE_ANSWERED)
        return false;
    api_facts(p->a, &f);
    row = answered_find(f.state, &p->who.key, wall_now_ms());
    if (row == NULL)
        return false;
    again.shown = NULL; /* what was made for nothing */
    again.as_it_was = (row->flags & ANSWERED_AS_IT_WAS) != 0;
    answer_row(&again, row);
    return true;
}

static void answer_refused(const struct proposed *p, const struct apply_result *r)
{
    if (!was_answered(p, r))
        answer_error(&p->who, r->refusal == REFUSE_KEY ? 422 : 409,
                     refusal_name(r->refusal), "%s", r->text);
}

static void on_proposed(void *owner, int status, uint64_t index,
                        const struct apply_result *r)
{
    AUTO(drop_proposed) struct proposed *p = owner;

    if (status != 0)
        answer_error(&p->who, 503, "outcome-unknown",
                     "leadership has changed: it may or may not have happened; look at "
                     "`ringfence status` and repeat the request if it did not");
    else if (r->refusal != ACCEPTED)
        answer_refused(p, r);
    else
        answer_json(&p->who, 200, outcome(p, index));
}

static void answer_unproposed(struct api *a, const struct proposed *p,
                              const struct apply_result *refused, const struct err *err)
{
    if (err->code == ERR_REFUSED && refused->refusal == REFUSE_ANSWERED) {
        answer_refused(p, refused);
    } else if (err->code == ERR_REFUSED) {
        request_note(a, &p->who,
                     &(struct noted){p->group, refusal_name(refused->refusal), p->what,
                                     refused->text});
        answer_refused(p, refused);
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
    request_propose_shown(a, r, e, NULL, who);
}

void request_propose_shown(struct api *a, const struct route *r, struct entry *e,
                           json_t *shown, const struct asker *who)
{
    AUTO(drop_proposed) struct proposed *p = calloc(1, sizeof *p);
    struct apply_result refused = {0};
    struct err err = {0};

    if (p == NULL) {
        json_decref(shown);
        answer_error(who, 503, "no-memory", "out of memory");
        return;
    }
    p->a = a;
    p->who = *who;
    p->route = *r;
    p->roles_ignored = r->keep_active;
    p->as_it_was = is_paused_so(a, e);
    if (e->kind == ENTRY_APPROVE || e->kind == ENTRY_REJECT || e->kind == ENTRY_WITHDRAW)
        p->about = e->proposal.id;
    p->what = entry_kind_name(e->kind);
    p->shown = shown;
    (void)snprintf(p->group, sizeof p->group, "%s", e->group);
    (void)snprintf(e->rule, sizeof e->rule, "operator");
    e->actor = who->actor;
    e->key = who->key;
    if (a->backend->propose(a->backend->owner, e, on_proposed, p, &refused, &err) != 0)
        answer_unproposed(a, p, &refused, &err);
    else
        (void)TAKE(p);
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

bool request_read_region(const struct group *g, const json_t *body, const char *key,
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
        answer_error(
            who, 404, "unknown-region",
            "group %s has no instance in region %s: `ringfence status` shows its regions",
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

/* One that waits for a server which cannot be stopped keeps a failover from being asked
 * for; one that stops the primary, fences it and then waits for a target that cannot lead
 * costs the writes of a whole promote_deadline. What apply() refuses, it says better
 * itself. False: answered. */
static bool both_are_ready(struct api *a, const struct group *g, const struct entry *e,
                           const struct asker *who)
{
    struct apply_result would = {.refusal = ACCEPTED};
    const char *code = refusal_name(REFUSE_NOT_READY);
    char text[ERR_TEXT_SIZE];
    struct api_facts f;
    uint8_t group;

    api_facts(a, &f);
    group = (uint8_t)(g - f.state->groups);
    a->backend->dry(a->backend->owner, e, &would);
    if (would.refusal != ACCEPTED && would.refusal != REFUSE_APPROVAL)
        return true;
    if (!switchover_source_ready(f.state, f.seen, group, mono_now(), text, sizeof text))
        code = "source-not-ready";
    else if (switchover_may_begin(f.state, f.seen, group, e->switchover.target, mono_now(),
                                  text, sizeof text))
        return true;
    request_note(a, who, &(struct noted){g->name, code, "switchover", text});
    answer_error(who, 409, code,
                 "no switchover of group %s: %s (`ringfence why %s` has the rest)", g->name,
                 text, g->name);
    return false;
}

/* Who alone may decide begins it; where others have to agree it is proposed to them. */
static void begin_switchover(struct api *a, const struct route *r, const struct group *g,
                             const json_t *body, struct entry *e, const struct asker *who)
{
    struct wanted w = {.kind = PROPOSAL_SWITCHOVER, .target = e->switchover.target};
    struct err err = {0};

    if (reader_bool(body, "", "break_glass", &w.break_glass, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
    } else if (g->policy.window_count == 0 && !w.break_glass) {
        request_propose(a, r, e, who);
    } else {
        memcpy(w.reason, e->switchover.reason, sizeof w.reason);
        request_proposal(a, g, &w, who);
    }
}

static void switchover(struct api *a, const struct route *r, const struct group *g,
                       const struct api_request *raw, const struct asker *who)
{
    static const char *const keys[] = {"to", "reason", "break_glass", NULL};
    struct entry e = {.kind = ENTRY_SWITCHOVER};
    json_t *body = request_read_body(raw, keys, who);

    if (body == NULL)
        return;
    (void)snprintf(e.group, sizeof e.group, "%s", g->name);
    e.switchover.epoch = g->epoch;
    if (request_read_region(g, body, "to", &e.switchover.target, who) &&
        read_reason(body, e.switchover.reason, who)) {
        name_instance(g, e.switchover.target, e.switchover.target_name);
        if (both_are_ready(a, g, &e, who))
            begin_switchover(a, r, g, body, &e, who);
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
        request_read_region(g, body, "active", &e.attach.active, who)) {
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

/* Who ends an alarm says what was found: it is read years later. */
static void acknowledge(struct api *a, const struct route *r, const struct api_request *raw,
                        const struct asker *who)
{
    static const char *const keys[] = {"reason", NULL};
    struct entry e = {.kind = ENTRY_ACKNOWLEDGE};
    json_t *body = request_read_body(raw, keys, who);

    if (body == NULL)
        return;
    (void)snprintf(e.group, sizeof e.group, "%s", r->group);
    if (json_string_length(json_object_get(body, "reason")) == 0)
        answer_error(who, 400, "bad-request",
                     "reason: is missing: what was found, and what was done about it");
    else if (read_reason(body, e.acknowledge.reason, who))
        request_propose(a, r, &e, who);
    json_decref(body);
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

/* The number that was printed was a proposal's: it is withdrawn, or the run that it began
 * is taken back. */
static void withdraw(struct api *a, const struct proposal *p, const char *reason,
                     const struct asker *who)
{
    const struct route as = {.kind = ROUTE_WITHDRAW};
    struct entry e = {.kind = ENTRY_WITHDRAW};

    if (p->state == PROPOSED_RUNNING) {
        e.kind = ENTRY_RUN_ABORT;
        e.run_abort.run = p->run;
        (void)snprintf(e.run_abort.reason, TEXT_SIZE, "%s", reason);
    } else {
        e.proposal.id = p->id;
        (void)snprintf(e.proposal.reason, TEXT_SIZE, "%s", reason);
    }
    memcpy(e.group, p->group, sizeof e.group);
    request_propose(a, &as, &e, who);
}

static void abort_run(struct api *a, const struct route *r, const struct api_request *raw,
                      const struct asker *who)
{
    static const char *const keys[] = {"reason", NULL};
    struct entry e = {.kind = ENTRY_RUN_ABORT, .run_abort = {.run = r->run}};
    const struct group *g = NULL;
    const struct proposal *p;
    struct api_facts f;
    json_t *body = request_read_body(raw, keys, who);

    if (body == NULL)
        return;
    api_facts(a, &f);
    for (unsigned i = 0; i < f.state->group_count; i++)
        if (f.state->groups[i].run.id == r->run)
            g = &f.state->groups[i];
    p = state_proposal(f.state, r->run);
    if (g == NULL && p == NULL) {
        answer_error(who, 404, refusal_name(REFUSE_RUN),
                     "no group has a run %" PRIu64 " (an older one is over)", r->run);
    } else if (!read_reason(body, e.run_abort.reason, who)) {
        /* answered */
    } else if (g == NULL) {
        withdraw(a, p, e.run_abort.reason, who);
    } else {
        (void)snprintf(e.group, sizeof e.group, "%s", g->name);
        request_propose(a, r, &e, who);
    }
    json_decref(body);
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
        answer_error(who, 404, refusal_name(REFUSE_UNKNOWN_GROUP), NO_SUCH_GROUP, r->group);
    else if (r->kind == ROUTE_SWITCHOVER)
        switchover(a, r, g, raw, who);
    else if (r->kind == ROUTE_FAILOVER)
        request_failover(a, g, raw, who);
    else if (r->kind == ROUTE_ATTACH)
        attach(a, r, g, raw, who);
    else if (r->kind == ROUTE_REMOVE)
        remove_group(a, r, g, raw, who);
    else if (r->kind == ROUTE_RETRY)
        request_retry(a, g, raw, who);
    else if (r->kind == ROUTE_ACKNOWLEDGE)
        acknowledge(a, r, raw, who);
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
