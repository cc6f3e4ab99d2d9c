/* POST /api/v1/groups, at the leader. */
#include <stdio.h>

#include "controller/http/api_private.h"
#include "controller/http/document.h"
#include "controller/http/status.h"

/* While a group forms, it may be held for what was declared: whoever asked looks again. */
void api_add_phase(struct api *a, const char *group, json_t *out)
{
    const struct group *g;
    struct api_facts f;

    api_facts(a, &f);
    g = state_group_const(f.state, group);
    if (out != NULL && g != NULL)
        (void)json_object_set_new(out, "phase", json_string(phase_name(g->phase)));
}

/* With what leases of this epoch are granted for: the TTL that was declared may differ
 * (I4); and with who is active, whom the document may have named wrongly or not at all. */
json_t *declared_document(struct api *a, const char *group, uint64_t index,
                          struct declared how)
{
    json_t *out =
        json_pack("{s:s, s:I, s:b, s:b}", "group", group, "index", (json_int_t)index,
                  "changed", (int)how.changed, "roles_ignored", (int)how.roles_ignored);
    const struct group *g;
    struct api_facts f;

    api_facts(a, &f);
    g = state_group_const(f.state, group);
    if (out != NULL && g != NULL) {
        (void)json_object_set_new(out, "active_region",
                                  json_string(group_region_name(g, g->active)));
        (void)json_object_set_new(out, "ttl_ms",
                                  json_integer((json_int_t)g->policy.lease.ttl_ms));
        (void)json_object_set_new(out, "lease_ttl_ms",
                                  json_integer((json_int_t)status_lease_ttl_ms(g)));
    }
    api_add_phase(a, group, out);
    return out;
}

bool declared_has_roles(const struct api_request *raw)
{
    struct group spec;
    struct err err = {0};

    return document_read(raw->body, raw->len, &spec, &err) == 0 &&
           spec.active != NO_INSTANCE;
}

/* Roles that are left out, or are not to count, mean: as it is. Who is active now is looked
 * up for the checks and the answer; the entry says to keep whoever is when it is applied,
 * since a move, or while the group forms another file, may be committed before it. */
static int settle_active(struct entry_declare *d, const struct group *g, struct route *r,
                         struct err *err)
{
    struct group *spec = &d->spec;
    bool has_roles = spec->active != NO_INSTANCE, keep = r->keep_active;

    r->keep_active = keep && has_roles && g != NULL;
    d->keep_active = g != NULL && (keep || !has_roles);
    if (d->keep_active)
        return document_keep_active(spec, g, err);
    if (has_roles)
        return 0;
    return err_set(err, ERR_INVAL,
                   "regions: none has a role, and group %s is new: exactly one needs "
                   "\"active\", the others \"standby\"",
                   spec->name);
}

/* What would change, and whether it would be let. */
static void declare_dry(struct api *a, const struct route *r, const struct entry *e,
                        json_t *diff, const struct asker *who)
{
    const struct group *spec = &e->declare.spec;
    struct apply_result would = {.refusal = ACCEPTED};
    json_t *refused = json_null();

    if (json_array_size(diff) > 0)
        a->backend->dry(a->backend->owner, e, &would);
    if (would.refusal != ACCEPTED)
        refused = json_pack("{s:s, s:s}", "code", refusal_name(would.refusal), "detail",
                            would.text);
    answer_json(who, 200,
                json_pack("{s:s, s:O, s:s, s:b, s:o}", "group", spec->name, "diff", diff,
                          "active_region", group_region_name(spec, spec->active),
                          "roles_ignored", (int)r->keep_active, "refused", refused));
}

static void declare_checked(struct api *a, const struct route *r, struct entry *e,
                            const struct group *g, const struct asker *who)
{
    json_t *diff = document_diff(g, &e->declare.spec);

    (void)snprintf(e->group, sizeof e->group, "%s", e->declare.spec.name);
    if (r->dry)
        declare_dry(a, r, e, diff, who);
    else if (g != NULL && json_array_size(diff) == 0)
        answer_json(who, 200,
                    declared_document(a, g->name, g->index,
                                      (struct declared){false, r->keep_active}));
    else
        request_propose(a, r, e, who);
    json_decref(diff);
}

void request_declare(struct api *a, const struct route *r, const struct api_request *raw,
                     const struct asker *who)
{
    struct entry e = {.kind = ENTRY_DECLARE};
    struct group *spec = &e.declare.spec;
    struct document_surroundings around;
    struct route settled = *r;
    const struct group *g;
    struct api_facts f;
    struct err err = {0};

    if (document_read(raw->body, raw->len, spec, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
        return;
    }
    api_facts(a, &f);
    g = state_group_const(f.state, spec->name);
    if (settle_active(&e.declare, g, &settled, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
        return;
    }
    around = (struct document_surroundings){f.state, f.rtt_ms};
    if (document_check(spec, &around, &err) != 0) {
        if (!r->dry) /* a question is no act, and the log is of acts */
            request_note(a, who,
                         &(struct noted){spec->name, refusal_name(REFUSE_INVALID),
                                         "declare", err.text});
        answer_error(who, 409, refusal_name(REFUSE_INVALID), "%s", err.text);
        return;
    }
    declare_checked(a, &settled, &e, g, who);
}
