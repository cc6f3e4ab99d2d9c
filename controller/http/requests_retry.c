/* POST /api/v1/groups/G/retry, at the leader: whoever has mended what a step fails on does
 * not wait for its pause. Nothing is decided by it, so nothing is logged but the steps. */
#include "controller/base/clock.h"
#include "controller/http/api_private.h"

void request_retry(struct api *a, const struct group *g, const struct api_request *raw,
                   const struct asker *who)
{
    json_t *body = request_read_body(raw, (const char *const[]){NULL}, who), *steps;
    struct api_facts f;
    uint8_t group;
    uint64_t ms;

    if (body == NULL)
        return;
    json_decref(body);
    api_facts(a, &f);
    group = (uint8_t)(g - f.state->groups);
    steps = json_array();
    for (uint8_t k = 0; k < g->instance_count; k++)
        if (step_retry_in(f.state, f.seen, group, k, mono_now(), &ms))
            (void)json_array_append_new(
                steps, json_sprintf("%s of %s", step_kind_name(g->instances[k].step.kind),
                                    g->instances[k].agent));
    if (json_array_size(steps) > 0)
        a->backend->want_retry(a->backend->owner, group);
    answer_json(
        who, 200,
        json_pack("{s:b, s:o}", "changed", json_array_size(steps) > 0, "steps", steps));
}
