/* tests/unit/core/people.h -- who asks, in the tests of proposals. */
#ifndef RF_TEST_PEOPLE_H
#define RF_TEST_PEOPLE_H

#include <stdio.h>
#include <string.h>

#include "tests/unit/core/world.h"

static inline struct actor person(const char *name, uint8_t roles)
{
    struct actor a = {.kind = ACTOR_TOKEN, .roles = roles};

    (void)snprintf(a.name, sizeof a.name, "%s", name);
    return a;
}

/* Proposes; the refusal, or ACCEPTED with its id in `*ret_id`. */
static inline enum refusal propose(struct world *w, struct actor who,
                                   enum proposal_kind kind, const char *target,
                                   uint64_t *ret_id)
{
    struct entry e = entry_of(ENTRY_PROPOSE);

    e.actor = who;
    e.wall_ms = w->now.ns / NS_PER_MS;
    e.propose.kind = kind;
    e.propose.epoch = world_group(w)->epoch;
    (void)snprintf(e.propose.target, NAME_SIZE, "%s", target);
    (void)snprintf(e.propose.reason, TEXT_SIZE, "because");
    forecast_of(&w->s, &w->o, 0, kind,
                target[0] != '\0' ? group_instance(world_group(w), target) : NO_INSTANCE,
                w->now, &e.propose.forecast);
    *ret_id = w->s.applied + 1;
    return world_apply(w, &e);
}

static inline enum refusal say(struct world *w, enum entry_kind kind, struct actor who,
                               uint64_t id)
{
    struct entry e = entry_of(kind);
    const struct proposal *p = state_proposal(&w->s, id);

    e.actor = who;
    e.wall_ms = w->now.ns / NS_PER_MS;
    e.proposal.id = id;
    e.proposal.seen = p != NULL ? p->asked : 0;
    (void)snprintf(e.proposal.reason, TEXT_SIZE, "because");
    return world_apply(w, &e);
}

static inline enum refusal approve(struct world *w, struct actor who, uint64_t id)
{
    return say(w, ENTRY_APPROVE, who, id);
}

static inline const char *state_of(struct world *w, uint64_t id)
{
    const struct proposal *p = state_proposal(&w->s, id);

    return p != NULL ? proposal_state_name(p->state) : "gone";
}

/* Operator and approver, at all times. */
static inline void two_needed(struct world *w)
{
    struct policy *p = &world_group(w)->policy;

    p->window_count = 1;
    p->windows[0] = (struct approval_window){
        .zone = ZONE_ZERO, .need_count = 2, .expires_ms = APPROVAL_EXPIRES_MS};
    p->windows[0].need[0].role = ROLE_OPERATOR;
    p->windows[0].need[1].role = ROLE_APPROVER;
}

#endif
