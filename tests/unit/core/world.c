#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

struct incarnation life(uint8_t agent, uint8_t number)
{
    struct incarnation i = {{0}};

    i.bytes[0] = (uint8_t)(agent + 1);
    i.bytes[1] = number;
    i.bytes[INCARNATION_BYTES - 1] = 0xa5;
    return i;
}

struct group *world_group(struct world *w) { return state_group(&w->s, "orders"); }

struct observed_group *world_seen(struct world *w)
{
    return &w->o.groups[world_group(w) - w->s.groups];
}

struct entry entry_of(enum entry_kind kind)
{
    struct entry e;

    memset(&e, 0, sizeof e);
    e.kind = kind;
    snprintf(e.group, sizeof e.group, "orders");
    snprintf(e.rule, sizeof e.rule, "test");
    return e;
}

enum refusal world_apply(struct world *w, const struct entry *e)
{
    const char *broken;

    apply(&w->s, w->s.applied + 1, e, &w->result);
    observe_applied(&w->o, &w->s, e, &w->result, w->now);
    broken = state_invariant_broken(&w->s);
    if (broken != NULL)
        fail_msg("after %s: %s", entry_kind_name(e->kind), broken);
    return w->result.refusal;
}

static const char *const agent_names[] = {"pg-east", "pg-west", "pg-north"};
static const char *const region_names[] = {"east", "west", "north"};

enum refusal world_enrol(struct world *w, uint8_t agent, uint8_t number)
{
    struct entry e = entry_of(ENTRY_ENROL);
    struct agent *a = &e.enrol.agent;

    e.group[0] = '\0';
    snprintf(a->name, sizeof a->name, "%s", agent_names[agent]);
    snprintf(a->region, sizeof a->region, "%s", region_names[agent]);
    snprintf(a->address, sizeof a->address, "10.0.%u.2", agent + 1u);
    snprintf(a->version, sizeof a->version, "0.1.0");
    a->format_min = 1;
    a->format_max = 2;
    a->incarnation = life(agent, number);
    if (state_agent(&w->s, a->name) != NULL)
        a->former = state_agent(&w->s, a->name)->incarnation;
    return world_apply(w, &e);
}

void world_init(struct world *w)
{
    static const char *const names[] = {"east", "west", "witness"};

    memset(w, 0, sizeof *w);
    w->now.ns = 1000ull * 1000 * NS_PER_MS;
    state_init(&w->s, "demo");
    observations_init(&w->o, 3);
    observe_leading(&w->o, true, w->now);
    for (unsigned i = 0; i < 3; i++) {
        struct entry e = entry_of(ENTRY_CONTROLLER);

        e.group[0] = '\0';
        snprintf(e.controller.name, NAME_SIZE, "%s", names[i]);
        snprintf(e.controller.region, NAME_SIZE, "%s", names[i]);
        e.controller.id = i + 1;
        e.controller.election_ms = 300;
        e.controller.format_min = 1;
        e.controller.format_max = 2; /* users too */
        assert_int_equal(world_apply(w, &e), ACCEPTED);
    }
    assert_int_equal(world_enrol(w, EAST, 1), ACCEPTED);
    assert_int_equal(world_enrol(w, WEST, 1), ACCEPTED);
    for (unsigned i = 0; i < AGENT_MAX; i++)
        w->o.agents[i].connected = true;
}

void world_declare(struct world *w, enum sync_mode mode)
{
    struct entry e = entry_of(ENTRY_DECLARE);
    struct group *g = &e.declare.spec;

    snprintf(g->name, NAME_SIZE, "orders");
    snprintf(g->component, NAME_SIZE, "db");
    snprintf(g->provider, NAME_SIZE, "postgres");
    policy_defaults(&g->policy);
    g->policy.sync = mode;
    g->policy.lease.ttl_ms = 1000;
    g->policy.renew_ms = 150;
    g->policy.shrink_after_ms = 2000;
    g->policy.cooldown_ms = 0;
    g->region_count = g->instance_count = 2;
    g->active = EAST;
    for (uint8_t i = 0; i < 2; i++) {
        snprintf(g->regions[i].name, NAME_SIZE, "%s", region_names[i]);
        snprintf(g->instances[i].agent, NAME_SIZE, "%s", agent_names[i]);
        snprintf(g->instances[i].component, NAME_SIZE, "db");
        snprintf(g->instances[i].data, PATH_SIZE, "/srv/pg");
        snprintf(g->instances[i].start, PATH_SIZE, "pg_ctl");
        g->instances[i].region = i;
        g->instances[i].port = 5432;
    }
    assert_int_equal(world_apply(w, &e), ACCEPTED);
}

enum refusal world_renew(struct world *w, uint8_t instance, uint8_t number,
                         enum lease_kind kind)
{
    struct entry e = entry_of(ENTRY_RENEW);

    e.group[0] = '\0';
    e.renew.count = 1;
    snprintf(e.renew.items[0].group, NAME_SIZE, "orders");
    e.renew.items[0].instance = instance;
    e.renew.items[0].kind = kind;
    e.renew.items[0].epoch = world_group(w)->epoch;
    e.renew.items[0].incarnation = life(instance, number);
    assert_int_equal(world_apply(w, &e), ACCEPTED); /* committed is not granted */
    return (enum refusal)w->result.verdicts[0];
}

enum refusal world_prove(struct world *w, uint8_t instance, enum proof_kind kind,
                         uint8_t number)
{
    struct entry e = entry_of(ENTRY_PROOF);

    e.proof.instance = instance;
    e.proof.kind = kind;
    e.proof.epoch = world_group(w)->epoch;
    e.proof.fence_index =
        kind == PROOF_INSTALLED ? world_group(w)->index : world_group(w)->fence_index;
    e.proof.prover = life(instance, number);
    e.proof.stopped = kind == PROOF_AGENT;
    return world_apply(w, &e);
}

enum refusal world_fence(struct world *w)
{
    struct entry e = entry_of(ENTRY_FENCE_BEGIN);

    e.fence_begin.epoch = world_group(w)->epoch;
    e.fence_begin.run = RUN_FAILOVER;
    e.fence_begin.target = NO_INSTANCE;
    return world_apply(w, &e);
}

enum refusal world_activate(struct world *w, uint8_t instance)
{
    struct entry e = entry_of(ENTRY_ACTIVATE);

    e.activate.epoch = group_next_epoch(world_group(w));
    e.activate.instance = instance;
    return world_apply(w, &e);
}

void world_report(struct world *w, uint8_t instance, enum server_state server)
{
    const struct group *g = world_group(w);
    struct seen_instance seen = {
        .at = w->now,
        .said = w->now,
        .taken = w->now,
        .latest = w->now,
        .epoch = g->epoch,
        .server = server,
        .system_id = 77,
        .timeline = 1,
        .flush_lsn = 1000,
        .sync_generation = g->sync_generation,
        .streaming = server == SERVER_STANDBY,
        .follows_active = server == SERVER_STANDBY,
        .ready = server == SERVER_PRIMARY,
        .private_socket = true,
    };

    observe_report(&w->o, &w->s, (uint8_t)(g - w->s.groups), instance, &seen);
}

void world_crash(struct world *w)
{
    world_report(w, WEST, SERVER_STANDBY);
    world_report(w, EAST, SERVER_DOWN);
    assert_int_equal(world_renew(w, EAST, 1, LEASE_WRITE), ACCEPTED);
}

void world_report_unfit(struct world *w, uint8_t instance, const char *problem)
{
    struct seen_instance *seen = &world_seen(w)->instances[instance].seen;

    world_report(w, instance, SERVER_STANDBY);
    seen->unfit = true;
    snprintf(seen->problem, sizeof seen->problem, "%s", problem);
}

void world_outcome(struct world *w, uint8_t instance, bool done)
{
    struct seen_outcome *out = &world_seen(w)->instances[instance].outcome;

    *out = (struct seen_outcome){
        .step = world_group(w)->instances[instance].step.id,
        .done = done,
        .position = 900,
        .system_id = 77,
    };
}

void world_pass_ms(struct world *w, uint64_t ms) { w->now = mono_plus_ms(w->now, ms); }

const char *world_decide(struct world *w)
{
    decide(&w->s, &w->o, w->now, &w->actions);
    for (unsigned i = 0; i < w->actions.count; i++)
        if (w->actions.list[i].kind == ACT_PROPOSE)
            return w->actions.list[i].rule;
    return "";
}

const char *world_step(struct world *w)
{
    const char *rule = world_decide(w);

    for (unsigned i = 0; i < w->actions.count; i++) {
        if (w->actions.list[i].kind != ACT_PROPOSE)
            continue;
        if (world_apply(w, &w->actions.list[i].entry) != ACCEPTED)
            fail_msg("%s was refused: %s: %s", rule, refusal_name(w->result.refusal),
                     w->result.text);
    }
    return rule;
}

void world_steady(struct world *w, enum sync_mode mode)
{
    world_init(w);
    world_declare(w, mode);
    assert_int_equal(world_prove(w, WEST, PROOF_INSTALLED, 1), ACCEPTED);
    world_report(w, EAST, SERVER_DOWN);
    world_report(w, WEST, SERVER_ABSENT);
    assert_string_equal(world_step(w), "activate-declared");
    assert_int_equal(world_renew(w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_string_equal(world_step(w), "lead-under-lease");
    world_outcome(w, EAST, true);
    assert_string_equal(world_step(w), "record-outcome");
    world_report(w, EAST, SERVER_PRIMARY);
    assert_string_equal(world_step(w), "open-verified");
    world_report(w, EAST, SERVER_PRIMARY);
    assert_string_equal(world_step(w), "follow-active");
    world_outcome(w, WEST, true);
    assert_string_equal(world_step(w), "record-outcome");
    world_report(w, WEST, SERVER_STANDBY);
    if (mode != SYNC_OFF) {
        assert_string_equal(world_step(w), "join-standby");
        world_outcome(w, EAST, true);
        assert_string_equal(world_step(w), "record-outcome");
        assert_string_equal(world_step(w), "join-flushed-member");
        world_report(w, EAST, SERVER_PRIMARY);
    }
    assert_int_equal(world_renew(w, EAST, 1, LEASE_WRITE), ACCEPTED);
    assert_string_equal(world_step(w), "");
    assert_int_equal(world_group(w)->phase, PHASE_STEADY);
}

void world_stopping(struct world *w)
{
    struct entry sw = entry_of(ENTRY_SWITCHOVER);

    world_steady(w, SYNC_REQUIRED);
    sw.switchover = (struct entry_switchover){.target = WEST, .epoch = 1};
    assert_int_equal(world_apply(w, &sw), ACCEPTED);
    assert_string_equal(world_step(w), "switchover-checkpoint");
    world_outcome(w, EAST, true);
    assert_string_equal(world_step(w), "record-outcome");
    assert_string_equal(world_step(w), "switchover-stop");
}
