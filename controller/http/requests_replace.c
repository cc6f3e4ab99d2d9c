/* Another controller in the place of one that has lost its disk. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/http/api_private.h"
#include "controller/http/reader.h"

/* One that still answers is stopped first, by whoever is sure of it: two of one name would
 * take turns. */
static bool may_replace(const struct api_facts *f, const char *name,
                        const struct asker *who)
{
    for (unsigned i = 0; i < f->controller_count; i++) {
        const struct api_controller *c = &f->controllers[i];
        const struct controller *r = state_controller(f->state, c->id);

        if (strcmp(c->name, name) != 0)
            continue;
        if (!c->self && (!c->up || r == NULL))
            return true;
        answer_error(who, 409, "still-there",
                     "controller %s (id %" PRIu64 ") still answers: stop it for good first "
                     "(systemctl disable --now ringfenced there)",
                     name, c->id);
        return false;
    }
    answer_error(who, 404, "unknown-controller",
                 "there is no controller %s; `ringfence status` lists them", name);
    return false;
}

/* Asked again, as after an answer that was lost: it is in the log, and stays there. The new
 * one must not be taken for the old one, which has to be stopped for good. */
static bool is_replaced(const struct api_facts *f, const char *name, uint64_t id)
{
    const struct controller *c = state_controller(f->state, id);

    return c != NULL && strcmp(c->name, name) == 0;
}

void request_replace(struct api *a, const struct route *r, const struct api_request *raw,
                     const struct asker *who)
{
    static const char *const keys[] = {"id", NULL};
    struct entry e = {.kind = ENTRY_CONTROLLER_REPLACE};
    json_t *body = request_read_body(raw, keys, who);
    struct api_facts f;

    if (body == NULL)
        return;
    e.controller_replace.id = (uint64_t)json_integer_value(json_object_get(body, "id"));
    json_decref(body);
    if (e.controller_replace.id == 0 || e.controller_replace.id > INT64_MAX) {
        answer_error(
            who, 400, "bad-request",
            "id: the number of the new controller is expected, one that none has had");
        return;
    }
    api_facts(a, &f);
    if (is_replaced(&f, r->group, e.controller_replace.id)) {
        answer_json(who, 200,
                    json_pack("{s:I, s:b}", "index", (json_int_t)f.applied, "changed", 0));
        return;
    }
    if (!may_replace(&f, r->group, who))
        return;
    (void)snprintf(e.controller_replace.name, sizeof e.controller_replace.name, "%s",
                   r->group);
    for (unsigned i = 0; i < f.state->controller_count; i++)
        if (strcmp(f.state->controllers[i].name, r->group) == 0)
            e.controller_replace.former = f.state->controllers[i].id;
    if (e.controller_replace.former == 0) {
        answer_error(who, 409, "not-possible-now",
                     "controller %s has not announced itself yet", r->group);
        return;
    }
    request_propose(a, r, &e, who);
}
