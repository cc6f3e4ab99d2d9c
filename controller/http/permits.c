/* Requests that are let in, and what the audit trail hears of those that are not. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/http/api_private.h"
#include "controller/http/authorize.h"

/* The number of an entry of the audit trail, say, is none of a proposal. */
static bool is_of_proposal(enum route_kind kind)
{
    return kind == ROUTE_APPROVE || kind == ROUTE_REJECT || kind == ROUTE_WITHDRAW;
}

/* The group in question: of a declaration and a proposal the document says it, of an abort
 * the run, of what is said about a proposal that one. */
static void find_group(const struct api_facts *f, const struct route *r,
                       const struct api_request *raw, char group[NAME_SIZE])
{
    json_t *body = NULL;
    const char *name;

    (void)snprintf(group, NAME_SIZE, "%s", route_group(r));
    for (unsigned i = 0; i < f->state->group_count && r->kind == ROUTE_ABORT; i++)
        if (f->state->groups[i].run.id == r->run)
            memcpy(group, f->state->groups[i].name, NAME_SIZE);
    /* An abort's number may be a proposal's, too. */
    for (unsigned i = 0; i < f->state->proposal_count; i++)
        if (f->state->proposals[i].id == r->run &&
            (is_of_proposal(r->kind) || (r->kind == ROUTE_ABORT && group[0] == '\0')))
            memcpy(group, f->state->proposals[i].group, NAME_SIZE);
    if (r->kind != ROUTE_DECLARE && r->kind != ROUTE_PROPOSE)
        return;
    body = json_loadb((const char *)raw->body, raw->len, JSON_REJECT_DUPLICATES, NULL);
    name = json_string_value(json_object_get(body, "group"));
    /* What can be no group's name would keep the refusal out of the trail. */
    if (name != NULL && route_name_ok(name))
        (void)snprintf(group, NAME_SIZE, "%s", name);
    json_decref(body);
}

/* Nobody, who has not even tried: the whole of the network may knock, and the log is for
 * those who have something in their hands. */
static bool is_worth_a_note(const struct caller *c)
{
    return c->kind != CALLER_ANONYMOUS || c->bearer[0] != '\0';
}

bool api_permits(struct api *a, const struct route *r, const struct api_request *raw,
                 struct asker *who, bool *ret_needs_code)
{
    static const struct caller nobody = {.kind = CALLER_ANONYMOUS};
    struct authorize_ask ask = {.caller = raw->caller != NULL ? raw->caller : &nobody,
                                .route = r,
                                .group = who->group,
                                .wall_ms = wall_now_ms()};
    struct authorize_verdict verdict;
    struct api_facts f;

    api_facts(a, &f);
    ask.state = f.state;
    ask.jwt = f.jwt;
    find_group(&f, r, raw, who->group);
    authorize(&ask, &verdict);
    who->actor = verdict.actor;
    who->token = verdict.token;
    who->until_ms = verdict.until_ms;
    *ret_needs_code = verdict.needs_code;
    if (verdict.key_unknown && a->backend->want_keys != NULL)
        a->backend->want_keys(a->backend->owner);
    if (verdict.status == 0)
        return true;
    if (is_worth_a_note(ask.caller))
        request_note(
            a, who,
            &(struct noted){who->group, verdict.code, route_name(r->kind), verdict.text});
    answer_error(who, verdict.status, verdict.code, "%s", verdict.text);
    return false;
}

bool api_may(struct api *a, const struct route *r, const struct api_request *raw,
             const struct asker *who)
{
    struct asker known = *who;
    bool needs_code;

    return api_permits(a, r, raw, &known, &needs_code);
}

void request_note(struct api *a, const struct asker *who, const struct noted *n)
{
    char text[2 * ERR_TEXT_SIZE];
    uint32_t more = 0;

    /* The socket is root's, who could write what he likes. */
    if (who->actor.kind != ACTOR_SOCKET &&
        !refusals_take(a->refusals,
                       &(struct refused_request){who->actor.from, who->actor.name, n->code},
                       mono_now(), &more))
        return;
    if (more == 0)
        (void)snprintf(text, sizeof text, "refused (%s): %s: %s", n->code, n->what, n->why);
    else
        (void)snprintf(text, sizeof text,
                       "refused (%s): %s: %s (and %" PRIu32
                       " more from there since the last "
                       "one that was noted)",
                       n->code, n->what, n->why, more);
    a->backend->note_refused(a->backend->owner, &who->actor, n->group, text);
}
