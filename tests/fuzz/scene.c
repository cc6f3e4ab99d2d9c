#include "tests/fuzz/scene.h"

#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

const char *const scene_agents[SCENE_AGENTS] = {"pg-east", "pg-west", "pg-north", "pg-far"};
const char *const scene_groups[2] = {"orders", "bills"};

struct incarnation scene_life(uint8_t agent, uint8_t number)
{
    struct incarnation i = {{0}};

    i.bytes[0] = (uint8_t)(agent + 1);
    i.bytes[1] = (uint8_t)(number + 1);
    i.bytes[INCARNATION_BYTES - 1] = 0xa5;
    return i;
}

static void must(struct state *s, const struct entry *e)
{
    struct apply_result r;

    apply(s, s->applied + 1, e, &r);
    CLAIM(r.refusal == ACCEPTED, "%s: %s", entry_kind_name(e->kind), r.text);
}

void scene_spec(struct group *spec, uint8_t group)
{
    memset(spec, 0, sizeof *spec);
    snprintf(spec->name, NAME_SIZE, "%s", scene_groups[group]);
    snprintf(spec->component, NAME_SIZE, "db");
    snprintf(spec->provider, NAME_SIZE, "postgres");
    policy_defaults(&spec->policy);
    spec->policy.lease.ttl_ms = 1000;
    spec->policy.renew_ms = 150;
    spec->policy.shrink_after_ms = 2000;
    spec->region_count = spec->instance_count = 2;
    for (uint8_t i = 0; i < 2; i++) {
        struct instance *in = &spec->instances[i];

        snprintf(spec->regions[i].name, NAME_SIZE, "%s", i == 0 ? "east" : "west");
        snprintf(in->agent, NAME_SIZE, "%s", scene_agents[2 * group + i]);
        snprintf(in->component, NAME_SIZE, "db");
        snprintf(in->data, PATH_SIZE, "/srv/pg%u", group);
        snprintf(in->start, PATH_SIZE, "pg_ctl");
        in->region = i;
        in->port = (uint16_t)(5432 + group);
    }
}

static struct entry entry_for(enum entry_kind kind, uint8_t group)
{
    struct entry e;

    memset(&e, 0, sizeof e);
    e.kind = kind;
    if (kind != ENTRY_CONTROLLER && kind != ENTRY_ENROL)
        snprintf(e.group, NAME_SIZE, "%s", scene_groups[group]);
    snprintf(e.rule, RULE_SIZE, "scene");
    return e;
}

void scene_begin(struct state *s)
{
    static const char *const regions[] = {"east", "west", "witness"};

    state_init(s, "demo");
    for (uint8_t i = 0; i < 3; i++) {
        struct entry e = entry_for(ENTRY_CONTROLLER, 0);

        snprintf(e.controller.name, NAME_SIZE, "%s", regions[i]);
        snprintf(e.controller.region, NAME_SIZE, "%s", regions[i]);
        e.controller.id = i + 1u;
        e.controller.election_ms = 300;
        must(s, &e);
    }
    for (uint8_t i = 0; i < SCENE_AGENTS; i++) {
        struct entry e = entry_for(ENTRY_ENROL, 0);

        snprintf(e.enrol.agent.name, NAME_SIZE, "%s", scene_agents[i]);
        snprintf(e.enrol.agent.region, NAME_SIZE, "%s", i % 2 == 0 ? "east" : "west");
        snprintf(e.enrol.agent.address, ADDRESS_SIZE, "10.0.%u.2", i);
        e.enrol.agent.incarnation = scene_life(i, 0);
        must(s, &e);
    }
}

static void lead(struct state *s)
{
    struct group *g = state_group(s, scene_groups[0]);
    struct entry renew = entry_for(ENTRY_RENEW, 0), start = entry_for(ENTRY_STEP_START, 0);
    struct entry end = entry_for(ENTRY_STEP_END, 0), opened = entry_for(ENTRY_OPENED, 0);

    renew.renew.count = 1;
    renew.renew.items[0] = (struct renew_item){
        .kind = LEASE_WRITE, .epoch = 1, .incarnation = scene_life(0, 0)};
    memcpy(renew.renew.items[0].group, g->name, NAME_SIZE);
    must(s, &renew);
    start.step_start =
        (struct entry_step_start){.kind = STEP_LEAD, .epoch = 1, .subject = NO_INSTANCE};
    must(s, &start);
    end.step_end = (struct entry_step_end){
        .step = g->instances[0].step.id, .done = true, .position = 1000, .system_id = 77};
    must(s, &end);
    opened.opened = (struct entry_opened){.epoch = 1, .system_id = 77};
    must(s, &opened);
}

void scene_make(struct state *s)
{
    scene_begin(s);
    for (uint8_t i = 0; i < 2; i++) {
        struct entry declare = entry_for(ENTRY_DECLARE, i);

        scene_spec(&declare.declare.spec, i);
        must(s, &declare);
    }
    struct entry proof = entry_for(ENTRY_PROOF, 0), act = entry_for(ENTRY_ACTIVATE, 0);
    proof.proof = (struct entry_proof){.instance = 1,
                                       .kind = PROOF_INSTALLED,
                                       .fence_index = s->groups[0].run.id,
                                       .prover = scene_life(1, 0)};
    must(s, &proof);
    act.activate = (struct entry_activate){.epoch = 1};
    must(s, &act);
    lead(s);
}
