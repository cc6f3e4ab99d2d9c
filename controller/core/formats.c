#include "controller/core/formats.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "controller/core/answered.h"

static bool meet(struct format_range a, struct format_range b)
{
    return a.min <= b.max && b.min <= a.max;
}

static void narrow(struct format_range *all, struct format_range one)
{
    if (one.min > all->min)
        all->min = one.min;
    if (one.max < all->max)
        all->max = one.max;
}

static int say_whom(const char *what, const char *name, struct format_range one,
                    struct format_range all, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "%s %s knows formats %" PRIu32 " to %" PRIu32 ", the others %" PRIu32
                   " to %" PRIu32 ": upgrade %s",
                   what, name, one.min, one.max, all.min, all.max,
                   one.max < all.min ? name : "the others");
}

uint32_t format_needed(const struct entry *e)
{
    bool people = (e->kind == ENTRY_DECLARE && e->declare.spec.policy.window_count != 0) ||
                  (e->kind == ENTRY_FENCE_BEGIN && e->fence_begin.proposal != 0) ||
                  (e->kind == ENTRY_SWITCHOVER && e->switchover.proposal != 0) ||
                  (e->kind == ENTRY_PROOF && e->proof.kind == PROOF_ATTESTED);

    if (key_is_set(&e->key))
        return FORMAT_KEYS;
    return people ? FORMAT_PEOPLE : entry_kind_since(e->kind);
}

bool format_is_known_by(const struct state *s, const char *controller, uint32_t format)
{
    for (unsigned i = 0; i < s->controller_count; i++)
        if (strcmp(s->controllers[i].name, controller) == 0)
            return s->controllers[i].format_max >= format;
    return false;
}

bool format_has_keys(const struct state *s)
{
    for (unsigned i = 0; i < s->controller_count; i++)
        if (s->controllers[i].format_max < FORMAT_KEYS)
            return false;
    for (unsigned i = 0; i < s->agent_count; i++)
        if (s->agents[i].format_max < FORMAT_KEYS)
            return false;
    return s->controller_count > 0;
}

/* Who is configured and not on record was never asked: it may well know it. */
static int say_unannounced(const struct entry *e, struct err *err)
{
    return err_set(
        err, ERR_UNSUPPORTED,
        "not every controller has said yet whether it knows %s (format %" PRIu32
        "): try again in a moment; if it stays so, one of them was never reached "
        "(`ringfence status`)",
        entry_kind_name(e->kind), format_needed(e));
}

static int say_too_old(const struct state *s, const struct group *g, const struct entry *e,
                       struct err *err)
{
    const char *what = NULL, *name = NULL;
    uint32_t needed = format_needed(e);

    for (unsigned i = 0; g != NULL && i < g->instance_count; i++) {
        const struct agent *a = state_agent(s, g->instances[i].agent);

        if (a != NULL && a->format_max < needed) {
            what = "agent";
            name = a->name;
        }
    }
    for (unsigned i = 0; i < s->controller_count; i++)
        if (s->controllers[i].format_max < needed) {
            what = "controller";
            name = s->controllers[i].name;
        }
    if (what == NULL)
        return say_unannounced(e, err);
    return err_set(err, ERR_UNSUPPORTED,
                   "%s %s does not know %s (format %" PRIu32 "): upgrade it", what, name,
                   entry_kind_name(e->kind), needed);
}

int format_choose(const struct state *s, const struct entry *e, struct format_range own,
                  bool all_on_record, uint32_t *ret_format, struct err *err)
{
    const struct group *g = state_group_const(s, e->group);
    struct format_range all = own;

    for (unsigned i = 0; i < s->controller_count; i++) {
        const struct controller *c = &s->controllers[i];
        struct format_range one = {c->format_min, c->format_max};

        if (meet(one, all))
            narrow(&all, one);
        else if (e->kind != ENTRY_CONTROLLER)
            return say_whom("controller", c->name, one, all, err);
    }
    for (unsigned i = 0; g != NULL && i < g->instance_count; i++) {
        const struct agent *a = state_agent(s, g->instances[i].agent);
        struct format_range one = {a != NULL ? a->format_min : all.min,
                                   a != NULL ? a->format_max : all.max};

        if (!meet(one, all))
            return say_whom("agent", a->name, one, all, err);
        narrow(&all, one);
    }
    if ((all_on_record ? all.max : all.min) < format_needed(e))
        return say_too_old(s, g, e, err);
    *ret_format = all_on_record ? all.max : all.min;
    return 0;
}
