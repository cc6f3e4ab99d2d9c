#include "controller/http/proposals.h"

#include <string.h>

#include "controller/base/clock.h"
#include "controller/core/actor.h"

static const uint8_t all_roles[] = {ROLE_VIEWER, ROLE_OPERATOR, ROLE_APPROVER, ROLE_ADMIN};

static json_t *roles(uint8_t bits)
{
    json_t *out = json_array();
    char name[ROLES_TEXT_SIZE];

    for (unsigned i = 0; i < ARRAY_LEN(all_roles); i++)
        if ((bits & all_roles[i]) != 0) {
            roles_text(all_roles[i], name);
            (void)json_array_append_new(out, json_string(name));
        }
    return out;
}

static json_t *needs(const struct proposal *p)
{
    json_t *out = json_array();
    char name[ROLES_TEXT_SIZE];

    for (unsigned i = 0; i < p->need_count; i++) {
        roles_text(p->need[i].role, name);
        (void)json_array_append_new(out, json_string(name));
    }
    return out;
}

static json_t *approvals(const struct proposal *p)
{
    json_t *out = json_array();
    char time[WALL_TEXT_SIZE];

    for (unsigned i = 0; i < p->signer_count; i++) {
        const struct signer *s = &p->signers[i];

        wall_format(s->wall_ms, time);
        (void)json_array_append_new(
            out, json_pack("{s:s, s:o, s:s, s:s}", "name", s->name, "roles",
                           roles(s->roles), "factor",
                           actor_factor_name((enum actor_factor)s->factor), "time", time));
    }
    return out;
}

static json_t *forecast(const struct forecast *f)
{
    return json_pack("{s:b, s:I, s:b, s:I, s:s}", "loss_known", (int)f->loss_known,
                     "loss_bytes", (json_int_t)f->loss_bytes, "member", (int)f->member,
                     "takes_ms", (json_int_t)f->takes_ms, "fails", f->fails);
}

static const char *region_of(const struct state *s, const struct proposal *p)
{
    const struct group *g = state_group_const(s, p->group);
    uint8_t k = g != NULL ? group_instance(g, p->target) : NO_INSTANCE;

    return k != NO_INSTANCE ? group_region_name(g, k) : "";
}

json_t *proposal_document(const struct state *s, const struct proposal *p)
{
    char made[WALL_TEXT_SIZE], expires[WALL_TEXT_SIZE];
    bool waits = p->state == PROPOSED_OPEN || p->state == PROPOSED_STALE;
    json_t *out;

    wall_format(p->wall_ms, made);
    wall_format(p->expires_ms, expires);
    out =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:s, s:s}", "id",
                  (json_int_t)p->id, "group", p->group, "kind", proposal_kind_name(p->kind),
                  "state", proposal_state_name(p->state), "target", p->target, "region",
                  region_of(s, p), "reason", p->reason, "by", p->by, "break_glass",
                  (int)p->break_glass, "seen", (json_int_t)p->asked, "epoch",
                  (json_int_t)p->epoch, "made", made, "expires", expires);
    if (out == NULL)
        return NULL;
    (void)json_object_set_new(out, "need", needs(p));
    (void)json_object_set_new(out, "missing", roles(waits ? proposal_lacks(p) : 0));
    (void)json_object_set_new(out, "approvals", approvals(p));
    (void)json_object_set_new(out, "inform", roles(p->inform));
    (void)json_object_set_new(out, "forecast", forecast(&p->forecast));
    (void)json_object_set_new(out, "run", json_integer((json_int_t)p->run));
    (void)json_object_set_new(out, "outcome", json_string(p->outcome));
    return out;
}

json_t *proposals_document(const struct state *s, const char *group)
{
    json_t *out = json_array();

    for (unsigned i = s->proposal_count; i > 0; i--) {
        const struct proposal *p = &s->proposals[i - 1];

        if (group == NULL || (strcmp(p->group, group) == 0 && !proposal_is_over(p)))
            (void)json_array_append_new(out, proposal_document(s, p));
    }
    return out;
}
