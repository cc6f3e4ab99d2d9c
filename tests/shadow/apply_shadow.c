#include "tests/shadow/apply_shadow.h"

#include <inttypes.h>
#include <string.h>

#include "controller/base/assert.h"

#define CLAIM(holds, ...)                                                                  \
    do {                                                                                   \
        if (!(holds))                                                                      \
            shadow_broken(#holds, __VA_ARGS__);                                            \
    } while (0)

static struct shadow_group *shadow_of(struct shadow *w, const char *name)
{
    for (unsigned i = 0; i < w->count; i++)
        if (strcmp(w->groups[i].name, name) == 0)
            return &w->groups[i];
    ASSERT(w->count < SHADOW_GROUPS);
    w->groups[w->count] = (struct shadow_group){0};
    memcpy(w->groups[w->count].name, name, NAME_SIZE);
    return &w->groups[w->count++];
}

static struct shadow_instance *instance_of(struct shadow_group *g, const char *agent)
{
    for (unsigned i = 0; i < SHADOW_INSTANCES; i++) {
        if (g->of[i].agent[0] == '\0')
            memcpy(g->of[i].agent, agent, NAME_SIZE);
        if (strcmp(g->of[i].agent, agent) == 0)
            return &g->of[i];
    }
    ASSERT(false); /* few agents */
    return NULL;
}

/* I2: one that comes, or comes back, enters without a proof, whatever it had. */
static void follow_declare(struct shadow_group *g, const struct group *now)
{
    for (unsigned i = 0; i < SHADOW_INSTANCES; i++) {
        struct shadow_instance *s = &g->of[i];
        bool named = s->agent[0] != '\0' && group_instance(now, s->agent) != NO_INSTANCE;

        if (s->here && !named)
            CLAIM(!g->managed || s->proven > s->granted,
                  "I2: %s left the live group %s unproven", s->agent, g->name);
        s->here = named;
        if (!named)
            s->granted = s->proven = 0;
    }
    for (uint8_t k = 0; k < now->instance_count; k++)
        instance_of(g, now->instances[k].agent)->here = true;
}

static void follow_renew(struct shadow *w, const struct state *after, const struct entry *e,
                         const struct apply_result *r)
{
    for (unsigned i = 0; i < e->renew.count; i++) {
        const struct renew_item *item = &e->renew.items[i];
        const struct group *g = state_group_const(after, item->group);
        struct shadow_group *sg;

        if (r->verdicts[i] != ACCEPTED)
            continue;
        CLAIM(g != NULL, "a lease of a group that is not there: %s", item->group);
        if (g == NULL)
            continue;
        sg = shadow_of(w, item->group);
        CLAIM(item->epoch == sg->epoch, "I1: a lease of epoch %" PRIu64 " in %" PRIu64,
              item->epoch, sg->epoch);
        CLAIM(sg->fence_at == 0 && sg->managed, "I4: a lease after fence_begin");
        instance_of(sg, g->instances[item->instance].agent)->granted = after->applied;
    }
}

static void follow_activate(struct shadow_group *sg, const struct group *before,
                            const struct group *now)
{
    bool binding =
        before->policy.sync == SYNC_REQUIRED || before->policy.sync == SYNC_STRICT;
    const char *target = now->instances[now->active].agent;

    CLAIM(now->epoch > sg->epoch, "I1: epoch %" PRIu64 " after %" PRIu64, now->epoch,
          sg->epoch);
    CLAIM(!sg->managed || (sg->fence_at != 0 && sg->fenced == sg->epoch),
          "I2: activated without fence_begin of epoch %" PRIu64, sg->epoch);
    for (unsigned i = 0; i < SHADOW_INSTANCES; i++) {
        const struct shadow_instance *s = &sg->of[i];

        if (s->here && strcmp(s->agent, target) != 0)
            CLAIM(s->proven > s->granted && s->proven > 0,
                  "I2: %s activated, %s granted at %" PRIu64 ", proven at %" PRIu64, target,
                  s->agent, s->granted, s->proven);
    }
    if (sg->managed && binding)
        CLAIM(before->sync_set & 1u << now->active, "I8: %s is no member", target);
    sg->epoch = now->epoch;
    sg->fence_at = 0;
    sg->managed = true;
}

/* I8: who belonged to the set is still in it unless this entry is one that may let go. */
static void claim_set_kept(const struct group *before, const struct group *now,
                           const struct entry *e)
{
    bool may_leave = e->kind == ENTRY_OPENED || e->kind == ENTRY_DETACH ||
                     e->kind == ENTRY_DECLARE ||
                     (e->kind == ENTRY_SYNC_SHRINK && before->policy.sync != SYNC_STRICT) ||
                     (e->kind == ENTRY_ACTIVATE &&
                      (before->phase == PHASE_FORMING || before->policy.ungated_local));

    for (uint8_t k = 0; k < before->instance_count && before->sync_known; k++) {
        uint8_t at = group_instance(now, before->instances[k].agent);
        bool was = before->sync_set & 1u << k;

        CLAIM(!was || may_leave || (at != NO_INSTANCE && now->sync_set & 1u << at),
              "I8: %s left the set by %s", before->instances[k].agent,
              entry_kind_name(e->kind));
    }
    if (before->fence_index != 0 && e->kind != ENTRY_ACTIVATE)
        CLAIM(before->sync_set == now->sync_set, "I4: a set changed after fence_begin");
}

static void follow_group(struct shadow_group *sg, const struct group *before,
                         const struct group *now, uint64_t index, const struct entry *e)
{
    if (e->kind == ENTRY_PROOF)
        instance_of(sg, now->instances[e->proof.instance].agent)->proven = index;
    if (e->kind == ENTRY_FENCE_BEGIN) {
        sg->fenced = sg->epoch;
        sg->fence_at = index;
    }
    if (e->kind == ENTRY_ACTIVATE)
        follow_activate(sg, before, now);
    if (before != NULL && now != NULL)
        claim_set_kept(before, now, e);
    if (e->kind == ENTRY_DETACH) {
        sg->managed = false;
        sg->fence_at = 0;
        for (unsigned i = 0; i < SHADOW_INSTANCES; i++)
            sg->of[i].granted = index;
    }
    if (e->kind == ENTRY_REMOVE)
        for (unsigned i = 0; i < SHADOW_INSTANCES; i++)
            sg->of[i] = (struct shadow_instance){0};
}

void shadow_follow(struct shadow *w, const struct group *before, const struct state *after,
                   const struct entry *e, const struct apply_result *r)
{
    const struct group *now = state_group_const(after, e->group);
    struct shadow_group *sg;

    if (r->refusal != ACCEPTED)
        return;
    if (e->kind == ENTRY_RENEW) {
        follow_renew(w, after, e, r);
        return;
    }
    if (e->group[0] == '\0' || e->kind == ENTRY_REFUSED)
        return;
    sg = shadow_of(w, e->group);
    if (e->kind == ENTRY_DECLARE)
        follow_declare(sg, now);
    follow_group(sg, before, now, after->applied, e);
}
