/* Which fence level of a group has its turn when (design section 4). */
#include <string.h>

#include "controller/base/auto.h"
#include "controller/base/clock.h"
#include "controller/core/state.h"

enum {
    /* An agent that answers at all has closed, frozen and read back in some milliseconds;
     * one whose disk is slow needs a sync on top of that. */
    AGENT_DEADLINE_MS = 2000,
    SEVERED_DEADLINE_MS = 1000,
    /* Behind the last instant at which a lease may hold, until it is logged. */
    EXPIRY_SLACK_MS = 1000,
    /* A BMC that is reset answers again after half a minute. */
    POWER_DEADLINE_MS = 40000,
};

static const struct {
    uint8_t level;
    const char *name;
} levels[] = {
#define X(level, bit, text) {level, text},
    FENCE_LEVEL_MAP(X)
#undef X
};

const char *fence_level_name(enum fence_level level)
{
    for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
        if (levels[i].level == level)
            return levels[i].name;
    return "?";
}

uint8_t fence_level_parse(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
        if (strcmp(levels[i].name, name) == 0)
            return levels[i].level;
    return 0;
}

const struct fence_turn *fence_turn_at(const struct policy *p, unsigned place)
{
    static const struct fence_turn design[] = {
        {.level = FENCE_AGENT},        {.level = FENCE_SYNC_SEVERED},
        {.level = FENCE_LEASE_EXPIRY}, {.level = FENCE_POWER},
        {.level = FENCE_ATTESTED},
    };

    const struct fence_turn *t = p->fence_turn_count != 0 ? p->fence_turns : design;
    unsigned n = p->fence_turn_count != 0 ? p->fence_turn_count : FENCE_LEVEL_COUNT;

    return place < n && (p->fence & t[place].level) != 0 ? &t[place] : NULL;
}

uint32_t fence_deadline_ms(const struct policy *p, struct lease_terms terms,
                           enum fence_level level)
{
    for (unsigned i = 0; i < p->fence_turn_count; i++)
        if (p->fence_turns[i].level == level && p->fence_turns[i].deadline_ms != 0)
            return p->fence_turns[i].deadline_ms;
    switch (level) {
    case FENCE_AGENT:
        return AGENT_DEADLINE_MS;
    case FENCE_SYNC_SEVERED:
        return SEVERED_DEADLINE_MS;
    case FENCE_LEASE_EXPIRY:
        return (uint32_t)(lease_wait_ns(terms) / NS_PER_MS) + EXPIRY_SLACK_MS;
    case FENCE_POWER:
        return POWER_DEADLINE_MS;
    case FENCE_ATTESTED:
        break;
    }
    return 0;
}

/* A level that cannot come to a proof of the instance keeps nobody waiting. */
static bool may_prove(const struct group *g, uint8_t instance, enum fence_level level)
{
    const struct proof_record *r = &g->instances[instance].proof;

    switch (level) {
    case FENCE_LEASE_EXPIRY:
        return !g->policy.ungated_local && r->last_grant != 0 &&
               incarnation_is_set(&r->holder);
    case FENCE_POWER:
        return group_may_power_off(g, instance);
    case FENCE_AGENT:
    case FENCE_SYNC_SEVERED:
        return true;
    case FENCE_ATTESTED:
        break;
    }
    return false;
}

uint32_t fence_turn_ms(const struct group *g, uint8_t instance, enum fence_level level)
{
    const struct policy *p = &g->policy;
    uint64_t at = 0, before = 0; /* its turn; and when the last one's deadline ends */

    if (!(p->fence & level))
        return UINT32_MAX;
    for (unsigned i = 0; i < FENCE_LEVEL_COUNT; i++) {
        const struct fence_turn *t = fence_turn_at(p, i);

        if (t == NULL)
            continue;
        if (!t->race)
            at = before;
        if (t->level == level)
            return at < UINT32_MAX ? (uint32_t)at : UINT32_MAX - 1;
        if (may_prove(g, instance, t->level)) {
            uint64_t end = at + fence_deadline_ms(p, g->terms, t->level);

            before = end > before ? end : before;
        }
    }
    return UINT32_MAX;
}

bool group_may_power_off(const struct group *g, uint8_t instance)
{
    return (g->policy.fence & FENCE_POWER) != 0 && g->instances[instance].power[0] != '\0';
}
