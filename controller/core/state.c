#include "controller/core/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/mutant.h"

#define NAME_OF(map)                                                                       \
    switch (value) {                                                                       \
        map(CASE)                                                                          \
    }                                                                                      \
    return "?"
#define CASE(name, number, text)                                                           \
    case name:                                                                             \
        return text;

const char *run_kind_name(enum run_kind value) { NAME_OF(RUN_KIND_MAP); }

const char *run_result_name(enum run_result value) { NAME_OF(RUN_RESULT_MAP); }

const char *step_kind_name(enum step_kind value) { NAME_OF(STEP_KIND_MAP); }

const char *sync_mode_name(enum sync_mode value) { NAME_OF(SYNC_MODE_MAP); }

const char *phase_name(enum phase value)
{
    switch (value) {
        PHASE_MAP(CASE)
    case PHASE_COUNT:
        break;
    }
    return "?";
}

bool sync_mode_parse(const char *text, enum sync_mode *ret_mode)
{
#define X(name, number, word)                                                              \
    if (strcmp(text, word) == 0) {                                                         \
        *ret_mode = name;                                                                  \
        return true;                                                                       \
    }
    SYNC_MODE_MAP(X)
#undef X
    return false;
}

void policy_defaults(struct policy *p)
{
    *p = (struct policy){
        .lease = {.ttl_ms = 3000, .rho_ppm = 10000},
        .renew_ms = 300,
        .sync = SYNC_REQUIRED,
        .shrink_after_ms = 6000,
        .max_lag_bytes = 16u << 20,
        .max_lag_ms = 10000,
        .failover_after_ms = 0,
        .local_restarts = 1,
        .hung_after_ms = 10000,
        .promote_deadline_ms = 30000,
        .stop_deadline_ms = 10000,
        .cooldown_ms = 600000,
        .probe_ms = 1000,
        .fence = FENCE_AGENT | FENCE_LEASE_EXPIRY,
        .fence_turn_count = 2,
        .fence_turns = {{.level = FENCE_AGENT}, {.level = FENCE_LEASE_EXPIRY}},
        .automatic = true,
    };
}

void state_init(struct state *s, const char *cluster)
{
    memset(s, 0, sizeof *s);
    snprintf(s->cluster, sizeof s->cluster, "%s", cluster);
}

void state_copy(struct state *to, const struct state *from)
{
    memcpy(to->cluster, from->cluster, sizeof to->cluster);
    to->applied = from->applied;
    to->controller_id_max = from->controller_id_max;
    to->group_count = from->group_count;
    to->agent_count = from->agent_count;
    to->controller_count = from->controller_count;
    to->tombstone_count = from->tombstone_count;
    to->user_count = from->user_count;
    memcpy(to->groups, from->groups, from->group_count * sizeof from->groups[0]);
    memcpy(to->agents, from->agents, from->agent_count * sizeof from->agents[0]);
    memcpy(to->controllers, from->controllers, sizeof to->controllers);
    memcpy(to->tombstones, from->tombstones,
           from->tombstone_count * sizeof from->tombstones[0]);
    memcpy(to->users, from->users, from->user_count * sizeof from->users[0]);
    to->answered_count = from->answered_count;
    memcpy(to->answered, from->answered, from->answered_count * sizeof from->answered[0]);
    to->proposal_count = from->proposal_count;
    memcpy(to->proposals, from->proposals,
           from->proposal_count * sizeof from->proposals[0]);
}

struct group *state_group(struct state *s, const char *name)
{
    for (unsigned i = 0; i < s->group_count; i++)
        if (strcmp(s->groups[i].name, name) == 0)
            return &s->groups[i];
    return NULL;
}

const struct group *state_group_const(const struct state *s, const char *name)
{
    for (unsigned i = 0; i < s->group_count; i++)
        if (strcmp(s->groups[i].name, name) == 0)
            return &s->groups[i];
    return NULL;
}

const struct agent *state_agent(const struct state *s, const char *name)
{
    for (unsigned i = 0; i < s->agent_count; i++)
        if (strcmp(s->agents[i].name, name) == 0)
            return &s->agents[i];
    return NULL;
}

bool instance_has_port(const struct instance *i, uint16_t port)
{
    for (unsigned k = 0; k < i->also_count; k++)
        if (i->also[k].port == port)
            return true;
    return i->port == port;
}

uint16_t instances_share_port(const struct instance *a, const struct instance *b)
{
    for (unsigned k = 0; k < b->also_count; k++)
        if (instance_has_port(a, b->also[k].port))
            return b->also[k].port;
    return instance_has_port(a, b->port) ? b->port : 0;
}

const struct controller *state_controller(const struct state *s, uint64_t id)
{
    for (unsigned i = 0; i < s->controller_count; i++)
        if (s->controllers[i].id == id)
            return &s->controllers[i];
    return NULL;
}

uint8_t group_instance(const struct group *g, const char *agent)
{
    for (uint8_t i = 0; i < g->instance_count; i++)
        if (strcmp(g->instances[i].agent, agent) == 0)
            return i;
    return NO_INSTANCE;
}

uint8_t group_region(const struct group *g, const char *region)
{
    for (uint8_t i = 0; i < g->region_count; i++)
        if (strcmp(g->regions[i].name, region) == 0)
            return i;
    return NO_INSTANCE;
}

uint8_t group_instance_in(const struct group *g, uint8_t region)
{
    for (uint8_t i = 0; i < g->instance_count; i++)
        if (g->instances[i].region == region)
            return i;
    return NO_INSTANCE;
}

const char *group_region_name(const struct group *g, uint8_t instance)
{
    return instance < g->instance_count ? g->regions[g->instances[instance].region].name
                                        : "";
}

bool group_may_renew(const struct group *g)
{
    return (g->phase == PHASE_PROMOTING || g->phase == PHASE_STEADY ||
            g->phase == PHASE_SWITCHING) &&
           g->fence_index == 0;
}

bool instance_is_proven(const struct state *s, const struct instance *i)
{
    static const struct incarnation none;
    const struct agent *agent = state_agent(s, i->agent);

    return !instance_proof_is_false(i) &&
           proof_holds(&i->proof, agent != NULL ? &agent->incarnation : &none);
}

bool instance_proof_is_false(const struct instance *i)
{
    return i->false_index != 0 && i->false_index == i->proof.proven;
}

bool instance_holder_stands(const struct instance *i)
{
    const struct proof_record *r = &i->proof;

    return incarnation_is_set(&r->holder) &&
           (r->proven <= r->last_grant || proof_leaves_lease(r) ||
            (instance_proof_is_false(i) && incarnation_equal(&r->prover, &r->holder)));
}

static bool rests_on_gate(enum proof_kind kind, bool stopped)
{
    return kind == PROOF_LEASE_EXPIRY || (kind == PROOF_AGENT && !stopped);
}

bool proof_is_barred(const struct group *g, uint8_t instance, enum proof_kind kind,
                     bool stopped)
{
    const struct instance *i = &g->instances[instance];

    if (i->false_kind == PROOF_NONE || i->false_epoch != g->epoch || g->fence_index == 0 ||
        i->false_index <= g->fence_index)
        return false;
    return kind == i->false_kind
               ? kind != PROOF_AGENT || !stopped
               : rests_on_gate(kind, stopped) && rests_on_gate(i->false_kind, false);
}

bool proof_needs_stop(const struct group *g, uint8_t instance)
{
    return g->policy.ungated_local && instance == g->active;
}

bool group_all_others_proven(const struct state *s, const struct group *g, uint8_t target,
                             uint8_t *ret_missing)
{
    for (uint8_t i = 0; i < g->instance_count; i++) {
        if (MUTANT(wrong_one_proven, i == target, i != target) ||
            instance_is_proven(s, &g->instances[i]))
            continue;
        *ret_missing = i;
        return false;
    }
    return true;
}

uint64_t group_next_epoch(const struct group *g)
{
    return (g->epoch > g->epoch_floor ? g->epoch : g->epoch_floor) + 1;
}

bool group_may_reside(const struct group *g, uint8_t instance)
{
    const struct region *r = &g->regions[g->instances[instance].region];

    for (unsigned i = 0; i < g->policy.residency_count; i++)
        for (unsigned k = 0; k < r->tag_count; k++)
            if (strcmp(g->policy.residency[i], r->tags[k]) == 0)
                return true;
    return g->policy.residency_count == 0;
}

member_set group_other_members(const struct group *g)
{
    member_set others = g->sync_set;

    if (g->active < g->instance_count)
        others = (member_set)(others & ~(1u << g->active));
    return others;
}

void group_standby_name(const struct group *g, uint8_t instance,
                        char name[STANDBY_NAME_SIZE])
{
    /* 3 + 23 + 1 + 23 + 2 + 5 + 1 + 4 = 62 bytes: PostgreSQL cuts at 63. */
    snprintf(name, STANDBY_NAME_SIZE, "rf_%.23s_%.23s_e%" PRIx64 "_%04" PRIx64, g->name,
             g->instances[instance].agent, g->epoch & 0xfffff, g->activated_index & 0xffff);
}

void group_blocking_name(const struct group *g, char name[STANDBY_NAME_SIZE])
{
    snprintf(name, STANDBY_NAME_SIZE, "rf_blocked_%.23s_e%" PRIx64 "_%04" PRIx64, g->name,
             g->epoch & 0xfffff, g->activated_index & 0xffff);
}
