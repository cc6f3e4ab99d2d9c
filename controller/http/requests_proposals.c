/* What people propose, agree to, and attest, at the leader. What is to be expected of it is
 * the leader's word: it is said to who proposes, and to who approves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/http/api_private.h"
#include "controller/http/proposals.h"
#include "controller/http/reader.h"

static bool read_text(const json_t *body, const char *key, char *ret, size_t size,
                      const struct asker *who)
{
    const json_t *v = json_object_get(body, key);
    struct err err = {0};

    if (v == NULL || json_is_null(v) || json_string_length(v) == 0)
        return true;
    if (reader_text(v, key, ret, size, &err) == 0)
        return true;
    answer_error(who, 400, "bad-request", "%s", err.text);
    return false;
}

static const struct group *group_of(struct api *a, struct api_facts *f, const char *name,
                                    const struct asker *who)
{
    const struct group *g;

    api_facts(a, f);
    g = state_group_const(f->state, name);
    if (g == NULL)
        answer_error(who, 404, refusal_name(REFUSE_UNKNOWN_GROUP), NO_SUCH_GROUP, name);
    return g;
}

void request_proposal(struct api *a, const struct group *g, const struct wanted *w,
                      const struct asker *who)
{
    const struct route as = {.kind = ROUTE_PROPOSE};
    struct entry e = {.kind = ENTRY_PROPOSE};
    struct api_facts f;

    api_facts(a, &f);
    (void)snprintf(e.group, sizeof e.group, "%s", g->name);
    e.propose.kind = w->kind;
    e.propose.epoch = g->epoch;
    e.propose.break_glass = w->break_glass;
    if (w->target != NO_INSTANCE)
        memcpy(e.propose.target, g->instances[w->target].agent, NAME_SIZE);
    (void)snprintf(e.propose.reason, sizeof e.propose.reason, "%s", w->reason);
    if (e.propose.reason[0] == '\0') {
        answer_error(who, 400, "bad-request",
                     "reason: is missing: whoever approves it reads it, and the auditor");
        return;
    }
    forecast_of(f.state, f.seen, (uint8_t)(g - f.state->groups), w->kind, w->target,
                mono_now(), &e.propose.forecast);
    request_propose(a, &as, &e, who);
}

json_t *proposed_document(struct api *a, uint64_t id)
{
    const struct proposal *p;
    struct api_facts f;

    api_facts(a, &f);
    p = state_proposal(f.state, id);
    return p != NULL ? json_pack("{s:I, s:o}", "index", (json_int_t)id, "proposal",
                                 proposal_document(f.state, p))
                     : json_pack("{s:I}", "index", (json_int_t)id);
}

/* ---- POST /api/v1/dr/switch ------------------------------------------------------------
 */

static bool read_kind(const json_t *body, enum proposal_kind *ret, const struct asker *who)
{
    const json_t *v = json_object_get(body, "kind");

    *ret = PROPOSAL_SWITCHOVER;
    if (v == NULL || json_is_null(v))
        return true;
    if (json_is_string(v) && strcmp(json_string_value(v), "failover") == 0)
        *ret = PROPOSAL_FAILOVER;
    else if (!json_is_string(v) || strcmp(json_string_value(v), "switchover") != 0) {
        answer_error(who, 400, "bad-request",
                     "kind: \"switchover\" or \"failover\" is expected");
        return false;
    }
    return true;
}

/* Both ends are asked before anybody is bothered with it. False: answered. */
static bool is_possible(const struct api_facts *f, const struct group *g,
                        const struct wanted *w, const struct asker *who)
{
    uint8_t group = (uint8_t)(g - f->state->groups);
    char text[ERR_TEXT_SIZE];

    if (w->kind != PROPOSAL_SWITCHOVER || g->phase != PHASE_STEADY ||
        w->target == g->active ||
        (switchover_source_ready(f->state, f->seen, group, mono_now(), text, sizeof text) &&
         switchover_may_begin(f->state, f->seen, group, w->target, mono_now(), text,
                              sizeof text)))
        return true;
    answer_error(who, 409, refusal_name(REFUSE_NOT_READY),
                 "no switchover of group %s: %s (`ringfence why %s` has the rest)", g->name,
                 text, g->name);
    return false;
}

static void propose_switch(struct api *a, const struct api_request *raw,
                           const struct asker *who)
{
    static const char *const keys[] = {"group",  "kind",        "to",
                                       "reason", "break_glass", NULL};
    struct wanted w = {.target = NO_INSTANCE};
    json_t *body = request_read_body(raw, keys, who);
    const struct group *g = NULL;
    struct err err = {0};
    struct api_facts f;
    char name[NAME_SIZE];

    if (body == NULL)
        return;
    if (reader_name(json_object_get(body, "group"), "group", name, &err) != 0 ||
        reader_bool(body, "", "break_glass", &w.break_glass, &err) != 0)
        answer_error(who, 400, "bad-request", "%s", err.text);
    else
        g = group_of(a, &f, name, who);
    if (g != NULL && read_kind(body, &w.kind, who) &&
        read_text(body, "reason", w.reason, sizeof w.reason, who) &&
        ((w.kind == PROPOSAL_FAILOVER && json_object_get(body, "to") == NULL) ||
         request_read_region(g, body, "to", &w.target, who)) &&
        is_possible(&f, g, &w, who))
        request_proposal(a, g, &w, who);
    json_decref(body);
}

/* ---- attest ----------------------------------------------------------------------------
 */

/* Who answers in the life that is said to be over can prove it himself. */
static bool may_be_dead(const struct api_facts *f, const struct group *g, uint8_t k,
                        const struct asker *who)
{
    const struct agent *agent = state_agent(f->state, g->instances[k].agent);
    struct incarnation life;

    if (!report_is_fresh(f->state, f->seen, (uint8_t)(g - f->state->groups), k,
                         mono_now()) ||
        agent == NULL || !power_subject(f->state, g, k, &life) ||
        !incarnation_equal(&life, &agent->incarnation))
        return true;
    answer_error(who, 409, refusal_name(REFUSE_HEALTHY),
                 "the agent of %s answers, and proves by itself that its gate is closed",
                 g->instances[k].agent);
    return false;
}

static void attest(struct api *a, const struct route *r, const struct api_request *raw,
                   const struct asker *who)
{
    static const char *const keys[] = {"dead", "loss", "reason", NULL};
    struct wanted w = {.kind = PROPOSAL_ATTEST_DEAD};
    char dead[NAME_SIZE] = "", loss[NAME_SIZE] = "";
    json_t *body = request_read_body(raw, keys, who);
    const struct group *g;
    struct api_facts f;

    if (body == NULL)
        return;
    g = group_of(a, &f, r->group, who);
    if (g == NULL || !read_text(body, "dead", dead, sizeof dead, who) ||
        !read_text(body, "loss", loss, sizeof loss, who) ||
        !read_text(body, "reason", w.reason, sizeof w.reason, who)) {
        json_decref(body);
        return;
    }
    json_decref(body);
    if (loss[0] != '\0')
        w.kind = PROPOSAL_ATTEST_LOSS;
    w.target = group_instance(g, loss[0] != '\0' ? loss : dead);
    if ((loss[0] != '\0') == (dead[0] != '\0'))
        answer_error(who, 400, "bad-request", "one of dead and loss is expected");
    else if (w.target == NO_INSTANCE)
        answer_error(who, 404, refusal_name(REFUSE_UNKNOWN_INSTANCE),
                     "group %s has no instance %s: `ringfence status` shows them", g->name,
                     loss[0] != '\0' ? loss : dead);
    else if (w.kind == PROPOSAL_ATTEST_LOSS || may_be_dead(&f, g, w.target, who))
        request_proposal(a, g, &w, who);
}

/* ---- about one that is there -----------------------------------------------------------
 */

static void about(struct api *a, const struct route *r, const struct api_request *raw,
                  const struct asker *who)
{
    static const char *const keys[] = {"seen", "reason", NULL};
    struct entry e = {.kind = r->kind == ROUTE_APPROVE  ? ENTRY_APPROVE
                              : r->kind == ROUTE_REJECT ? ENTRY_REJECT
                                                        : ENTRY_WITHDRAW,
                      .proposal = {.id = r->run}};
    json_t *body = request_read_body(raw, keys, who);
    const struct proposal *p;
    struct err err = {0};
    struct api_facts f;

    if (body == NULL)
        return;
    api_facts(a, &f);
    p = state_proposal(f.state, r->run);
    if (p == NULL) {
        answer_error(who, 404, refusal_name(REFUSE_PROPOSAL),
                     "there is no proposal %" PRIu64 ": `ringfence proposals` lists them",
                     r->run);
    } else if (reader_number(body, "", "seen", &e.proposal.seen,
                             (struct reader_range){1, INT64_MAX}, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
    } else if (read_text(body, "reason", e.proposal.reason, sizeof e.proposal.reason,
                         who)) {
        if (e.proposal.seen == 0)
            e.proposal.seen = p->asked;
        memcpy(e.group, p->group, sizeof e.group);
        request_propose(a, r, &e, who);
    }
    json_decref(body);
}

void request_people(struct api *a, const struct route *r, const struct api_request *raw,
                    const struct asker *who)
{
    struct api_facts f;

    if (r->kind == ROUTE_PROPOSALS) {
        api_facts(a, &f);
        answer_json(who, 200,
                    json_pack("{s:o}", "proposals", proposals_document(f.state, NULL)));
    } else if (r->kind == ROUTE_PROPOSE) {
        propose_switch(a, raw, who);
    } else if (r->kind == ROUTE_ATTEST) {
        attest(a, r, raw, who);
    } else {
        about(a, r, raw, who);
    }
}
