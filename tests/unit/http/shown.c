#include "tests/unit/http/shown.h"

#include <stdio.h>
#include <string.h>

struct state s;
struct observations o;
struct api_facts f;
const struct mono now = {10000ull * NS_PER_MS};

struct mono ago_ms(uint64_t ms) { return (struct mono){now.ns - ms * NS_PER_MS}; }

static void make_group(struct group *g)
{
    snprintf(g->name, sizeof g->name, "orders");
    snprintf(g->provider, sizeof g->provider, "postgres");
    policy_defaults(&g->policy);
    g->policy.lease.ttl_ms = 1000;
    g->phase = PHASE_STEADY;
    g->epoch = 4;
    g->index = 90;
    g->activated_index = 80;
    g->opened_index = 85;
    g->old_active = 0;
    g->active = 1;
    g->sync_set = 2;
    g->sync_known = true;
    g->terms = g->policy.lease;
    g->failovers = 1;
    g->region_count = g->instance_count = 2;
    for (uint8_t i = 0; i < 2; i++) {
        const char *region = i == 0 ? "east" : "west";

        snprintf(g->regions[i].name, NAME_SIZE, "%s", region);
        snprintf(g->instances[i].agent, NAME_SIZE, "pg-%s", region);
        g->instances[i].region = i;
        g->instances[i].port = 5432;
        g->instances[i].step.subject = NO_INSTANCE;
    }
    g->run = (struct run){.id = 77,
                          .kind = RUN_FAILOVER,
                          .result = RUN_DONE,
                          .from = 0,
                          .to = 1,
                          .epoch = 4,
                          .rule = "silent-holder",
                          .reason = "no renewal",
                          .proof = PROOF_LEASE_EXPIRY,
                          .fence_wall_ms = 1795000000000,
                          .proof_wall_ms = 1795000000010,
                          .activate_wall_ms = 1795000000020,
                          .open_wall_ms = 1795000000040,
                          .loss_forecast_known = true};
    g->instances[1].proof.last_grant = 88;
    g->instances[1].holder_epoch = 4;
    g->instances[1].step.id = 81;
    g->instances[1].step.kind = STEP_LEAD;
    g->instances[1].step.state = STEP_DONE;
}

static void make_cluster(void)
{
    s.agent_count = 2;
    s.controller_count = 3;
    f.controller_count = 3;
    for (uint8_t i = 0; i < 3; i++) {
        static const char *const names[] = {"east", "west", "witness"};
        struct api_controller *c = &f.controllers[i];

        c->id = s.controllers[i].id = i + 1u;
        snprintf(c->name, NAME_SIZE, "%s", names[i]);
        snprintf(c->region, NAME_SIZE, "%s", names[i]);
        snprintf(c->version, NAME_SIZE, "0.1.0");
        snprintf(s.controllers[i].name, NAME_SIZE, "%s", names[i]);
        c->self = i == 2;
        c->up = c->out_up = c->in_up = i != 0;
        c->caught_up = i != 0;
        c->votes = true;
        c->rtt_us = i == 1 ? 1500 : 0;
        c->election_ms = 300;
    }
    for (uint8_t i = 0; i < 2; i++) {
        struct agent *a = &s.agents[i];

        snprintf(a->name, NAME_SIZE, "pg-%s", i == 0 ? "east" : "west");
        snprintf(a->region, NAME_SIZE, "%s", i == 0 ? "east" : "west");
        snprintf(a->address, sizeof a->address, "10.0.%u.2", i + 1u);
        snprintf(a->version, NAME_SIZE, "0.1.0");
        a->lives = i + 1u;
    }
}

int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    state_init(&s, "lab");
    observations_init(&o, 3);
    f.wall_s = 1795000000;
    f.tls = (struct tls_report){.there = true,
                                .cert = "/pki/witness.crt",
                                .ca = "/pki/ca.crt",
                                .cert_s = f.wall_s + 300 * 86400,
                                .ca_s = f.wall_s + 3000 * 86400};
    s.applied = 95;
    make_cluster();
    s.group_count = 1;
    make_group(&s.groups[0]);
    o.leading = true;
    o.leading_since = ago_ms(9000);
    o.agents[1] = (struct observed_agent){
        .connected = true, .guard = SEEN_GUARD_UP, .heard = ago_ms(12), .via = 1};
    o.groups[0].primary_lsn = 0x103000060;
    o.groups[0].primary_lsn_at = ago_ms(20);
    o.groups[0].instances[1].granted = ago_ms(30);
    o.groups[0].instances[1].seen = (struct seen_instance){.at = ago_ms(20),
                                                           .said = ago_ms(20),
                                                           .taken = ago_ms(20),
                                                           .epoch = 4,
                                                           .server = SERVER_PRIMARY,
                                                           .timeline = 2,
                                                           .flush_lsn = 0x103000060,
                                                           .lease_margin_ms = 870,
                                                           .gate_mode = "open"};
    o.groups[0].instances[1].probes[2] = (struct seen_probe){ago_ms(100), true, false};
    f.cluster = "lab";
    f.name = "witness";
    f.data_dir = "/d";
    f.state = &s;
    f.seen = &o;
    f.leads = true;
    f.leader_id = 3;
    f.term = 7;
    f.applied = 95;
    f.store.last_commit_us = 900;
    f.store.max_commit_us = 1200;
    return 0;
}
