/* What is said to whoever asks for the failover of a healthy region. */
#include "controller/base/clock.h"
#include "controller/base/text.h"
#include "controller/http/api_private.h"

/* Where it would lead if nobody says: the only other region, or none in particular. */
static const char *other_region(const struct group *g, uint8_t target)
{
    if (target != NO_INSTANCE)
        return group_region_name(g, target);
    return g->instance_count == 2 ? group_region_name(g, (uint8_t)(1 - g->active))
                                  : "REGION";
}

/* To where it would be moved in good order: not recommended where that would be refused. */
void request_say_healthy(const struct api_facts *f, const struct group *g, uint8_t target,
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
