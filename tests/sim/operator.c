/* People: they declare the group, ask for switchovers and failovers, stop automatic
 * decisions, let a group go and take it back, and are slow. What they ask for goes to
 * whoever leads, as the API hands it on: an entry for node_propose(), or a wish for
 * decide(). */
#include <stdio.h>
#include <string.h>

#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"
#include "controller/http/api.h"
#include "proto/entry_codec.h"
#include "tests/sim/approvals.h"
#include "tests/sim/judge.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/power.h"
#include "tests/sim/process.h"
#include "tests/sim/replace.h"
#include "tests/sim/severed.h"

enum { SLOW_MS = 4000 };

struct operator_of operators[WORLD_GROUPS_MAX];

/* Several may believe that they lead; one is asked. */
static struct daemon *ask_whom(uint8_t *ret_node)
{
    uint8_t first = (uint8_t)sim_between(0, CTLS - 1);

    for (uint8_t i = 0; i < CTLS; i++) {
        uint8_t n = (uint8_t)((first + i) % CTLS);
        struct daemon *d = ctl_daemon(n);

        if (d == NULL || d->node == NULL || sim.procs[n].frozen_until > sim.now ||
            sim.procs[n].tasks[TASK_MAIN].on_stack > 0 || !node_leads(d->node))
            continue;
        *ret_node = n;
        return d;
    }
    return NULL;
}

static bool propose(uint8_t node, struct daemon *d, const struct entry *e)
{
    struct scope s = scope_enter(&sim.procs[node].tasks[TASK_MAIN]);
    struct apply_result refused = {0};
    struct err err = {0};
    int status = node_propose(d->node, e, NULL, NULL, &refused, &err);

    if (status != 0)
        sim_note("operator: %s of %s: %s", entry_kind_name(e->kind), e->group, err.text);
    scope_leave(s);
    return status == 0;
}

static void on_answer(void *owner, unsigned status, const uint8_t *body, size_t len)
{
    (void)owner;
    (void)status;
    (void)body;
    (void)len;
}

/* To one that does not lead, as far as it knows: it hands it on. */
static void ask_follower(uint8_t node, const struct entry *e)
{
    struct daemon *d = ctl_daemon(node);
    struct api_request r = {.method = "POST", .path = "/entry"};
    AUTO(buf_free) struct buf body = {0};
    struct err err = {0};
    struct scope s;

    if (d == NULL || d->node == NULL || sim.procs[node].frozen_until > sim.now ||
        sim.procs[node].tasks[TASK_MAIN].on_stack > 0 || node_leads(d->node))
        return;
    s = scope_enter(&sim.procs[node].tasks[TASK_MAIN]);
    if (entry_encode(e, &body, &err) == 0) {
        r.body = body.data;
        r.len = body.len;
        if (peers_api(d->peers, &r, on_answer, NULL, &err) != 0)
            sim_note("operator: %s of %s by %s: %s", entry_kind_name(e->kind), e->group,
                     node_name(node), err.text);
    }
    scope_leave(s);
}

/* Impatient people ask two controllers, and the leader hears of it by one way or by all. */
static void ask_several(uint8_t node, struct daemon *d, const struct entry *e,
                        uint64_t number)
{
    unsigned how = (unsigned)(number >> 40) % 4;

    for (uint8_t n = 0; n < CTLS; n++)
        if (how != 0 && n != node && (how != 1 || n == (node + 1) % CTLS))
            ask_follower(n, e);
    /* A follower that was asked may have sent the leader what ended it. */
    if (how != 1 && d == ctl_daemon(node) && d->node != NULL)
        (void)propose(node, d, e);
}

static void entry_of(uint8_t group, enum entry_kind kind, struct entry *e)
{
    memset(e, 0, sizeof *e);
    e->kind = kind;
    snprintf(e->group, NAME_SIZE, "%s", group_name(group));
    snprintf(e->rule, RULE_SIZE, "operator");
    approvals_sign(e);
}

/* ---- declaring --------------------------------------------------------------------------
 */

static void fill_policy(uint8_t group, struct policy *p)
{
    uint32_t ttl_ms = plan.slower[group] * plan.ttl_ms;
    uint32_t renew_ms = plan.slower[group] * plan.renew_ms;

    policy_defaults(p);
    p->sync = plan.sync[group];
    p->lease = (struct lease_terms){ttl_ms, RHO_PPM};
    p->renew_ms = renew_ms;
    p->hung_after_ms = 1500;
    p->promote_deadline_ms = 3000 + ttl_ms;
    p->stop_deadline_ms = 1000;
    p->cooldown_ms = plan.cooldown_ms;
    p->local_restarts = plan.local_restarts;
    p->standby_reads = plan.standby_reads[group];
    p->automatic = !plan.manual[group];
    if (plan.max_lag_bytes[group] != 0)
        p->max_lag_bytes = plan.max_lag_bytes[group];
    if (plan.max_lag_ms[group] != 0)
        p->max_lag_ms = plan.max_lag_ms[group];
    if (operators[group].longer_ttl) {
        p->lease.ttl_ms = ttl_ms * 3 / 2;
        p->renew_ms = renew_ms * 3 / 2;
    }
    if (operators[group].fewer_restarts)
        p->local_restarts = 1;
    power_policy(group, p);
    severed_policy(group, p);
    approvals_policy(group, p);
}

static void declare(uint8_t group, uint8_t node, struct daemon *d)
{
    struct entry e;
    struct group *g = &e.declare.spec;

    entry_of(group, ENTRY_DECLARE, &e);
    snprintf(g->name, NAME_SIZE, "%s", group_name(group));
    snprintf(g->component, NAME_SIZE, "db");
    snprintf(g->provider, NAME_SIZE, "postgres");
    fill_policy(group, &g->policy);
    g->region_count = g->instance_count = 2;
    g->active = operators[group].declared;
    g->adopt = operators[group].adopt;
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t agent = (uint8_t)(CTLS + pgs[group].hosts[i]);

        snprintf(g->regions[i].name, NAME_SIZE, "%s", node_region(agent));
        snprintf(g->instances[i].agent, NAME_SIZE, "%s", node_name(agent));
        snprintf(g->instances[i].component, NAME_SIZE, "db");
        snprintf(g->instances[i].data, PATH_SIZE, "/srv/%s", group_name(group));
        snprintf(g->instances[i].start, PATH_SIZE, "pg_ctl");
        if (power_plan_of(group) != POWER_NONE)
            power_name(pgs[group].hosts[i], g->instances[i].power);
        g->instances[i].region = i;
        g->instances[i].port = (uint16_t)(FIRST_PORT + group);
    }
    (void)propose(node, d, &e);
}

/* ---- what they ask for at any moment
 * ------------------------------------------------------ */

static void resume(void *arg, uint64_t number)
{
    (void)arg;
    operators[number].paused = false;
}

static void end_detach(void *arg, uint64_t number)
{
    (void)arg;
    operator_end_detachment((uint8_t)number);
}

static void later(uint64_t at, sim_fn *fn, uint8_t group)
{
    struct moment *e = sim_at(at, NULL, fn, NULL);

    e->number = group;
}

static void abort_it(void *arg, uint64_t number)
{
    (void)arg;
    operator_propose((uint8_t)number, ENTRY_RUN_ABORT, 1);
}

/* One at a time: more of the same would only be in its way. */
static void propose_move(uint8_t group, uint8_t node, struct daemon *d,
                         enum proposal_kind kind, uint8_t target)
{
    const struct state *s = node_state(d->node);
    struct entry e;

    for (unsigned i = 0; i < s->proposal_count; i++)
        if (strcmp(s->proposals[i].group, group_name(group)) == 0 &&
            s->proposals[i].kind == kind && !proposal_is_over(&s->proposals[i]))
            return;
    approvals_propose(group, s, kind, target, &e);
    (void)propose(node, d, &e);
}

static void want_failover(uint8_t group, uint8_t node, struct daemon *d)
{
    const struct state *s = node_state(d->node);
    const struct group *g = state_group_const(s, group_name(group));
    struct observed_group *og;

    if (g == NULL)
        return;
    if (approvals_like_to(group)) {
        propose_move(group, node, d, PROPOSAL_FAILOVER, NO_INSTANCE);
        return;
    }
    og = &node_seen(d->node)->groups[g - s->groups];
    og->failover_wanted = true;
    og->failover_target = NO_INSTANCE;
}

void operator_propose(uint8_t group, enum entry_kind kind, uint64_t number)
{
    struct operator_of *o = &operators[group];
    uint64_t dice = (sim.opt.seed + sim.now) * UINT64_C(6364136223846793005);
    uint8_t node;
    struct daemon *d = ask_whom(&node);
    const struct group *g =
        d != NULL ? state_group_const(node_state(d->node), group_name(group)) : NULL;
    struct entry e;

    if (g == NULL || o->detaching)
        return;
    entry_of(group, kind, &e);
    if (kind == ENTRY_FENCE_BEGIN) {
        want_failover(group, node, d);
        return;
    }
    if (kind == ENTRY_SWITCHOVER && approvals_like_to(group)) {
        propose_move(group, node, d, PROPOSAL_SWITCHOVER, (uint8_t)number);
        return;
    }
    if (kind == ENTRY_SWITCHOVER)
        e.switchover = (struct entry_switchover){
            .target = (uint8_t)number, .epoch = g->epoch, .reason = "asked for"};
    if (kind == ENTRY_SWITCHOVER && number < g->instance_count)
        memcpy(e.switchover.target_name, g->instances[number].agent, NAME_SIZE);
    if (kind == ENTRY_RUN_ABORT && g->phase != PHASE_SWITCHING && number == 0) {
        operator_propose(group, ENTRY_SWITCHOVER, g->active < 2 ? 1 - g->active : 0);
        later(sim.now + sim_between(5, 500) * NS_PER_MS, abort_it,
              group); /* second thoughts */
        return;
    }
    if (kind == ENTRY_RUN_ABORT)
        e.run_abort.run = g->run.id;
    if (kind == ENTRY_PAUSE) {
        o->paused = true;
        later(number, resume, group);
    }
    if (kind == ENTRY_DETACH) {
        o->detaching = true;
        later(number, end_detach, group);
    }
    if (kind == ENTRY_DECLARE) {
        o->longer_ttl = !o->longer_ttl;
        o->fewer_restarts = number % 2 == 0;
        declare(group, node, d);
        return;
    }
    ask_several(node, d, &e, dice);
}

/* The operator names what serves; if nothing does, what could. */
void operator_end_detachment(uint8_t group)
{
    struct operator_of *o = &operators[group];
    bool found = false;

    for (uint8_t i = 0; i < 2 && !found; i++) {
        found = pg_server(pgs[group].hosts[i], group)->state == SERVER_PRIMARY;
        if (found)
            o->declared = i;
    }
    for (uint8_t i = 0; i < 2 && !found; i++) {
        found = pg_server(pgs[group].hosts[i], group)->state == SERVER_DOWN;
        if (found)
            o->declared = i;
    }
    o->adopt = true;
    o->detaching = !found;
    if (!found)
        later(sim.now + 500ull * NS_PER_MS, end_detach, group);
}

/* ---- what they look after
 * ------------------------------------------------------------------ */

static bool is_whole(const struct server *s)
{
    return s->state != SERVER_ABSENT && s->state != SERVER_REWINDING;
}

/* What `why` tells the operator of a group that does not form: the other one holds more. So
 * it does if the named one was being rewound, by a step that nobody had ended, when the
 * group was let go. */
static bool named_the_wrong_one(uint8_t group, const struct group *g)
{
    const struct server *a = pg_server(pgs[group].hosts[g->active], group);
    const struct server *b = pg_server(pgs[group].hosts[1 - g->active], group);

    return g->phase == PHASE_FORMING && is_whole(b) &&
           (!is_whole(a) || b->timeline > a->timeline ||
            (b->timeline == a->timeline && b->len > a->len));
}

/* Two run as primaries: what holds more was named, so the other one is stopped. So is the
 * named one that runs as a standby: a step that was begun before the group was let go has
 * started it behind the operator's look. `why` asks for both. */
static void stop_what_should_not_run(uint8_t group, const struct group *g)
{
    const uint8_t host = pgs[group].hosts[g->active],
                  other = pgs[group].hosts[1 - g->active];

    if (g->phase != PHASE_FORMING)
        return;
    if (pg_server(other, group)->state == SERVER_PRIMARY)
        pg_stop(other, group, true);
    if (pg_server(host, group)->state == SERVER_STANDBY &&
        g->instances[g->active].step.state != STEP_STARTED)
        pg_stop(host, group, true);
}

/* What `why` tells of a steady group whose fencer lied: the old side has another life now,
 * and nothing proves the one before. */
static bool waits_for_a_former_life(const struct state *s, const struct group *g)
{
    const struct instance *i = &g->instances[1 - g->active];
    const struct agent *agent = state_agent(s, i->agent);

    return g->phase == PHASE_STEADY && instance_proof_is_false(i) &&
           instance_holder_stands(i) && agent != NULL &&
           !incarnation_equal(&i->proof.holder, &agent->incarnation);
}

static void repair(uint8_t group, uint8_t node, struct daemon *d, const struct group *g)
{
    struct operator_of *o = &operators[group];
    uint8_t host = pgs[group].hosts[o->declared];
    struct entry e;

    if (waits_for_a_former_life(node_state(d->node), g)) {
        o->declared = g->active;
        o->adopt = true;
        entry_of(group, ENTRY_DETACH, &e);
        (void)propose(node, d, &e);
        return;
    }
    if (named_the_wrong_one(group, g)) {
        o->declared = (uint8_t)(1 - g->active);
        entry_of(group, ENTRY_DETACH, &e);
        (void)propose(node, d, &e);
        return;
    }
    stop_what_should_not_run(group, g);
    if (g->phase != PHASE_DETACHED)
        return;
    if (pg_server(host, group)->state == SERVER_STANDBY) {
        pg_stop(host, group, true);
        return;
    }
    entry_of(group, sim.opt.seed % 2 == 0 ? ENTRY_ATTACH : ENTRY_REMOVE, &e);
    if (e.kind == ENTRY_ATTACH)
        e.attach.active = o->declared;
    (void)propose(node, d, &e);
}

/* A group that says `automatic: false`, or has damaged pages, waits for an operator, who is
 * slow, and sees what this controller sees. */
static void fail_over_by_hand(uint8_t group, uint8_t node, struct daemon *d)
{
    const struct state *s = node_state(d->node);
    const struct group *g = state_group_const(s, group_name(group));
    struct observed_group *og = &node_seen(d->node)->groups[g - s->groups];
    struct mono now = {clock_of(&sim.procs[node].clock)};
    struct mono granted = og->instances[g->active].granted;
    uint64_t slow = SLOW_MS + 2ull * plan.slower[group] * plan.ttl_ms;
    bool silent = mono_is_set(granted) && mono_since_ms(granted, now) > slow;
    bool down =
        mono_is_set(og->crashed_since) && mono_since_ms(og->crashed_since, now) > slow;

    if (g->phase == PHASE_STEADY && !og->failover_wanted && (silent || down)) {
        sim_note("an operator asks %s for a failover of %s", node_name(node), g->name);
        want_failover(group, node, d);
    }
}

/* Then no failover begins by itself (design section 5). */
static bool is_damaged(const struct group *g)
{
    for (uint8_t k = 0; k < g->instance_count; k++)
        if (g->instances[k].checksum_failures != 0)
            return true;
    return false;
}

/* Only what has damaged pages is left, and a person says whether it is better than
 * nothing. */
static void consider_damage(uint8_t group, uint8_t node, struct daemon *d)
{
    const struct state *s = node_state(d->node);
    const struct group *g = state_group_const(s, group_name(group));
    struct mono now = {clock_of(&sim.procs[node].clock)};

    if (!failover_waits_for_word(s, node_seen(d->node), (uint8_t)(g - s->groups), now))
        return;
    sim_note("an operator asks %s to take what is damaged for %s", node_name(node),
             g->name);
    want_failover(group, node, d);
}

/* In the calm world: the others serve by then. */
static bool is_yet_to_come(uint8_t group)
{
    return sim.opt.calm && group % 2 != 0 && sim.now < UINT64_C(10000000000);
}

static void have_people_speak(uint8_t group, uint8_t node, struct daemon *d)
{
    const struct state *s = node_state(d->node);
    const struct group *g = state_group_const(s, group_name(group));
    struct mono now = {clock_of(&sim.procs[node].clock)};
    uint8_t silent = 0;
    struct entry e;

    if (g == NULL)
        return;
    for (uint8_t k = 0; k < g->instance_count; k++)
        if (!report_is_fresh(s, node_seen(d->node), (uint8_t)(g - s->groups), k, now))
            silent = (uint8_t)(silent | 1u << k);
    if (approvals_attest(group, s, silent, &e))
        (void)propose(node, d, &e);
    if (ctl_daemon(node) == d && d->node != NULL &&
        approvals_speak(group, node_state(d->node), &e))
        (void)propose(node, d, &e);
}

static void look_after(uint8_t group, uint8_t node, struct daemon *d)
{
    const struct state *s = node_state(d->node);
    const struct group *g = state_group_const(s, group_name(group));
    struct operator_of *o = &operators[group];
    char alarm[VERDICT_SIZE];
    struct entry e;

    if (o->detaching)
        return;
    if (g == NULL) {
        if (s->agent_count == sim.hosts && !is_yet_to_come(group))
            declare(group, node, d);
        return;
    }
    if (g->paused && !o->paused) {
        entry_of(group, ENTRY_RESUME, &e);
        (void)propose(node, d, &e);
        return; /* the controller may have ended over it; the next look finds out */
    }
    if (group_alarm(g, alarm, sizeof alarm)) {
        entry_of(group, ENTRY_ACKNOWLEDGE, &e);
        snprintf(e.acknowledge.reason, TEXT_SIZE, "seen");
        (void)propose(node, d, &e);
        return;
    }
    if (!node_seen(d->node)->groups[g - s->groups].busy)
        repair(group, node, d, g);
    if (ctl_daemon(node) != d || d->node == NULL)
        return;
    g = state_group_const(node_state(d->node), group_name(group));
    if (g == NULL)
        return;
    if (plan.manual[group] || is_damaged(g))
        fail_over_by_hand(group, node, d);
    consider_damage(group, node, d);
    if (ctl_daemon(node) == d && d->node != NULL)
        have_people_speak(group, node, d);
}

static void on_look(void *arg, uint64_t number)
{
    uint8_t node = NOBODY;
    struct daemon *asked = ask_whom(&node);
    struct entry e;

    (void)arg;
    if (asked != NULL && replace_wants(asked, &e))
        (void)propose(node, asked, &e);
    for (uint8_t g = 0; g < sim.groups; g++) {
        struct daemon *d = ask_whom(&node);

        if (d != NULL)
            look_after(g, node, d);
    }
    later(sim.now + sim_between(100, 300) * NS_PER_MS, on_look, (uint8_t)number);
}

void operator_start(void) { later(300ull * NS_PER_MS, on_look, 0); }
