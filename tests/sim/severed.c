#include "tests/sim/severed.h"

#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"
#include "controller/daemon/prober.h"
#include "controller/daemon/runner.h"
#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/net.h"
#include "tests/sim/pg.h"
#include "tests/sim/power.h"

enum { PROBE_MS = 100, HURRY_MAX_MS = 15, FIRST_MS = 500, AGENT_MS = 400 };

/* ---- which groups have it ---------------------------------------------------------------
 */

static uint64_t dice_of(uint64_t what)
{
    uint64_t x = (sim.opt.seed * 256 + what + 77) * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 29;
}

static enum severed_plan choice_of(uint8_t group)
{
    bool binding = plan.sync[group] == SYNC_REQUIRED || plan.sync[group] == SYNC_STRICT;

    if (!binding || plan.power[group] != POWER_NONE)
        return SEVERED_NONE;
    switch (dice_of(group) >> 20 & 15) {
    case 1:
    case 2:
        return SEVERED_SECOND;
    case 3:
        return SEVERED_RACED;
    default:
        return SEVERED_NONE;
    }
}

void severed_choose(void)
{
    for (uint8_t g = 0; g < WORLD_GROUPS_MAX; g++)
        plan.severed[g] = choice_of(g);
}

/* The holder is out of the controllers' reach, and its standby in its own: nothing else
 * keeps its writes from being acknowledged. And what was severed is started anew. */
void severed_choose_faults(void)
{
    uint64_t dice = dice_of(128), ms = sim.heal_at / NS_PER_MS - FIRST_MS - 1000;
    uint8_t group = (uint8_t)((dice >> 16) % sim.groups);

    for (unsigned i = 0; i < 2; i++) {
        if (plan.severed[group] == SEVERED_NONE || plan.count == 0 ||
            plan.count == FAULTS_MAX)
            return;
        plan.of[plan.count++] =
            i == 0 ? (struct fault){.kind = FAULT_HOLDER_ALONE,
                                    .group = group,
                                    .at = (FIRST_MS + (dice >> 20) % ms) * NS_PER_MS,
                                    .lasts = (300 + (dice >> 40) % 6000) * NS_PER_MS}
                   : (struct fault){.kind = FAULT_HAND_START,
                                    .group = group,
                                    .on = ENTRY_PROOF,
                                    .nth = 1 + (unsigned)((dice >> 52) % 4),
                                    .at = (dice >> 30) % 120 * NS_PER_MS};
    }
}

void severed_policy(uint8_t group, struct policy *p)
{
    static const struct fence_turn turns[] = {{FENCE_AGENT, false, AGENT_MS},
                                              {FENCE_SYNC_SEVERED, false, 0},
                                              {FENCE_LEASE_EXPIRY, false, 0}};

    if (plan.severed[group] == SEVERED_NONE)
        return;
    p->no_async_writers = true;
    p->probe_ms = PROBE_MS;
    p->fence = FENCE_AGENT | FENCE_SYNC_SEVERED | FENCE_LEASE_EXPIRY;
    p->fence_turn_count = 3;
    memcpy(p->fence_turns, turns, sizeof turns);
    p->fence_turns[1].race = plan.severed[group] == SEVERED_RACED;
}

/* ---- faults -----------------------------------------------------------------------------
 */

static void reach_again(void *arg, uint64_t host)
{
    uint8_t node = (uint8_t)(CTLS + host);

    (void)arg;
    for (uint8_t c = 0; c < CTLS; c++) {
        net_mend(node, c);
        net_mend(c, node);
    }
}

static void leave_alone(uint8_t host, uint64_t until)
{
    uint8_t node = (uint8_t)(CTLS + host);

    for (uint8_t c = 0; c < CTLS; c++) {
        net_cut(node, c);
        net_cut(c, node);
    }
    sim_at(until, NULL, reach_again, NULL)->number = host;
}

/* Its agent will find that it has not started it, and stop it. */
static void start_by_hand(uint8_t host, uint8_t group)
{
    if (pg_server(host, group)->state != SERVER_STANDBY || power_off_until(host) != 0)
        return;
    pg_stop(host, group, true);
    pg_start(host, group);
}

void severed_strike(const struct fault *f, uint64_t until)
{
    uint8_t seen_by;
    const struct group *g = judge_view(f->group, &seen_by);

    if (g == NULL || g->active > 1)
        return;
    if (f->kind == FAULT_HOLDER_ALONE)
        leave_alone(pgs[f->group].hosts[g->active], until);
    else
        start_by_hand(pgs[f->group].hosts[1 - g->active], f->group);
}

/* ---- probes -----------------------------------------------------------------------------
 */

struct prober {
    struct daemon *d;
    struct task *task;
    struct moment *tick, *hurried;
};

static struct seen_probe look(uint8_t node, uint8_t group, uint8_t host)
{
    uint8_t there = (uint8_t)(CTLS + host);
    const struct server *s = pg_server(host, group);
    struct seen_probe p = {.at = mono_now()};

    if (!net_linked(node, there) || !net_linked(there, node) || power_off_until(host) != 0)
        return p;
    if (gates[host].cells[group].managed && !gate_is_open(host, group))
        return p; /* whatever its courtesy is worth */
    p.refused = s->pid == 0;
    p.answered = s->pid != 0 && !s->hung;
    return p;
}

/* True: it says something else than before. */
static bool probe(struct prober *p, uint8_t group)
{
    struct daemon *d = p->d;
    const struct state *s = node_state(d->node);
    const struct group *g = state_group_const(s, group_name(group));
    uint8_t self = peers_self(d->peers);
    bool news = false;

    for (uint8_t i = 0; g != NULL && self != NO_INSTANCE && i < g->instance_count; i++) {
        struct seen_probe *seen =
            &node_seen(d->node)->groups[g - s->groups].instances[i].probes[self];
        struct seen_probe now = look(p->task->proc->node, group, pgs[group].hosts[i]);

        news = news || now.answered != seen->answered || now.refused != seen->refused;
        *seen = now;
    }
    return news;
}

static bool probe_all(struct prober *p)
{
    bool news = false;

    for (uint8_t g = 0; g < sim.groups; g++)
        if (plan.severed[g] != SEVERED_NONE)
            news = probe(p, g) || news;
    return news;
}

static void tell(struct prober *p)
{
    peers_send_view(p->d->peers);
    runner_wake(p->d->runner);
}

static void on_tick(void *arg, uint64_t number);

static void tick_later(struct prober *p)
{
    p->tick = sim_at(sim.now + PROBE_MS * NS_PER_MS, p->task, on_tick, p);
}

static void on_tick(void *arg, uint64_t number)
{
    struct prober *p = arg;

    (void)number;
    tick_later(p);
    if (probe_all(p))
        tell(p);
}

static bool anybody_has_it(void)
{
    for (uint8_t g = 0; g < sim.groups; g++)
        if (plan.severed[g] != SEVERED_NONE)
            return true;
    return false;
}

int prober_open(struct prober **ret_prober, struct daemon *d, struct err *err)
{
    struct prober *p = anybody_has_it() ? calloc(1, sizeof *p) : NULL;

    (void)err;
    *ret_prober = p;
    if (p == NULL)
        return 0; /* that world is as it was before there were any */
    p->d = d;
    p->task = d->loop->data;
    tick_later(p);
    return 0;
}

void prober_close(struct prober *p)
{
    if (p == NULL)
        return;
    sim_cancel(p->tick);
    sim_cancel(p->hurried);
    free(p);
}

static void on_hurry(void *arg, uint64_t number)
{
    struct prober *p = arg;

    (void)number;
    p->hurried = NULL;
    (void)probe_all(p);
    tell(p);
}

void prober_hurry(struct prober *p, const char *agent)
{
    (void)agent;
    if (p != NULL && p->hurried == NULL)
        p->hurried = sim_at(sim.now + sim_between(1, HURRY_MAX_MS) * NS_PER_MS, p->task,
                            on_hurry, p);
}
