#include "tests/sim/power.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/process.h"

enum { AGENT_MS = 300, ANSWER_MS = 150, ACT_MS = 600, DEADLINE_MS = 3000 };

struct bmc {
    uint64_t off_until, away_until;
    bool lied; /* it has said once that its host is off, and it was not */
};

struct power_run {
    uint8_t host;
    bool off;
    power_done *done;
    void *owner;
    struct moment *next;
};

static struct bmc bmcs[HOSTS_MAX];

void power_begin(void) { memset(bmcs, 0, sizeof bmcs); }

static enum power_plan choice_of(uint8_t group)
{
    uint64_t dice = (sim.opt.seed * 64 + group + 5) * UINT64_C(6364136223846793005);

    dice = (dice ^ dice >> 33) * UINT64_C(0xff51afd7ed558ccd);
    switch (dice >> 40 & 15) {
    case 1:
        return POWER_LAST;
    case 2:
        return POWER_RACED;
    case 3:
    case 4:
        return POWER_ALONE;
    default:
        return POWER_NONE;
    }
}

void power_choose(void)
{
    for (uint8_t g = 0; g < WORLD_GROUPS_MAX; g++)
        plan.power[g] = choice_of(g);
}

enum power_plan power_plan_of(uint8_t group) { return plan.power[group]; }

void power_name(uint8_t host, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "bmc-%u", host);
}

void power_settings(struct settings *s)
{
    static struct power_device devices[HOSTS_MAX];
    bool any = false;

    for (uint8_t g = 0; g < sim.groups; g++)
        any = any || power_plan_of(g) != POWER_NONE;
    if (!any)
        return; /* that world is as it was before there were any */
    s->fencers = devices;
    s->fencer_count = sim.hosts;
    for (uint8_t h = 0; h < sim.hosts; h++) {
        power_name(h, devices[h].name);
        devices[h].deadline_ms = DEADLINE_MS;
    }
}

void power_policy(uint8_t group, struct policy *p)
{
    static const struct fence_turn turns[][3] = {
        [POWER_LAST] = {{FENCE_AGENT, false, AGENT_MS},
                        {FENCE_LEASE_EXPIRY, false, 0},
                        {FENCE_POWER, false, 0}},
        [POWER_RACED] = {{FENCE_AGENT, false, 0},
                         {FENCE_POWER, true, 0},
                         {FENCE_LEASE_EXPIRY, false, 0}},
        [POWER_ALONE] = {{FENCE_AGENT, false, AGENT_MS}, {FENCE_POWER, false, 0}},
    };
    enum power_plan plan_of = power_plan_of(group);

    if (plan_of == POWER_NONE)
        return;
    p->fence = 0;
    p->fence_turn_count = plan_of == POWER_ALONE ? 2 : 3;
    for (unsigned i = 0; i < p->fence_turn_count; i++) {
        p->fence_turns[i] = turns[plan_of][i];
        p->fence = (uint8_t)(p->fence | p->fence_turns[i].level);
    }
}

/* ---- the host ---------------------------------------------------------------------------
 */

uint64_t power_off_until(uint8_t host)
{
    return bmcs[host].off_until > sim.now ? bmcs[host].off_until : 0;
}

void power_away(uint8_t host, uint64_t until) { bmcs[host].away_until = until; }

static bool is_away(uint8_t host) { return bmcs[host].away_until > sim.now; }

static void cut_power(uint8_t host)
{
    uint8_t node = (uint8_t)(CTLS + host);
    uint64_t ms = sim_between(500, sim.noisy ? 6000 : 2500);

    if (power_off_until(host) != 0)
        return;
    sim_note("host %s is switched off, for %llu ms", node_name(node),
             (unsigned long long)ms);
    bmcs[host].off_until = sim.now + ms * NS_PER_MS;
    proc_lose_power(node);
    for (uint8_t g = 0; g < sim.groups; g++)
        pg_crash(host, g);
    gate_reboot(host);
    machines[node].boots++;
    for (uint8_t g = 0; g < sim.groups; g++)
        judge_group(g);
    proc_restart_in(node, ms);
}

/* Who ordered it may be gone by now. */
static void on_order(void *arg, uint64_t number)
{
    (void)arg;
    if (!is_away((uint8_t)number))
        cut_power((uint8_t)number);
}

/* ---- runs -------------------------------------------------------------------------------
 */

static void finish(struct power_run *r, enum power_state state, const struct err *why)
{
    power_done *done = r->done;
    void *owner = r->owner;

    free(r);
    done(owner, state, why);
}

/* One that is wired to another host says of that one that it is off. That is outside of
 * what we promise to withstand, so it happens only where it does no harm: no lease of the
 * host can open a gate any more. */
static bool lies(uint8_t host)
{
    const struct ticking *clock = &sim.procs[CTLS + host].clock;

    for (uint8_t g = 0; g < sim.groups; g++) {
        const struct cell *c = &gates[host].cells[g];

        if (gate_is_open(host, g) || c->st.deadline.ns > clock_of(clock))
            return false;
    }
    return sim.noisy && sim_chance(500);
}

bool power_has_lied(uint8_t host) { return bmcs[host].lied; }

/* Its last look at the status. */
static void on_end(void *arg, uint64_t number)
{
    struct power_run *r = arg;
    enum power_state now = power_off_until(r->host) != 0 ? POWER_OFF : POWER_ON;
    struct err why = {0};

    if (r->off && now == POWER_ON && !is_away(r->host) && lies(r->host)) {
        sim_note("bmc-%u says off, and it is not", r->host);
        bmcs[r->host].lied = true;
        now = POWER_OFF;
    }

    (void)number;
    r->next = NULL;
    if (is_away(r->host))
        (void)err_set(&why, ERR_TIMEOUT, "bmc-%u: no answer", r->host);
    else if (r->off && now != POWER_OFF)
        (void)err_set(&why, ERR_TIMEOUT, "bmc-%u: still on", r->host);
    if (why.code != 0)
        finish(r, is_away(r->host) ? POWER_UNKNOWN : POWER_ON, &why);
    else
        finish(r, now, NULL);
}

static struct power_run *start(struct uv_loop_s *loop, const struct power_device *d,
                               uint64_t ends, power_done *done, void *owner)
{
    struct power_run *r = calloc(1, sizeof *r);
    unsigned host = 0;

    ASSERT(r != NULL);
    ASSERT(sscanf(d->name, "bmc-%u", &host) == 1 && host < sim.hosts);
    r->host = (uint8_t)host;
    r->done = done;
    r->owner = owner;
    r->next = sim_at(ends, loop->data, on_end, r);
    return r;
}

int power_status_start(struct power_run **ret_run, struct uv_loop_s *loop,
                       const struct power_device *d, power_done *done, void *owner,
                       struct err *err)
{
    uint64_t ends = sim.now + sim_between(5, ANSWER_MS) * NS_PER_MS;

    (void)err;
    *ret_run = start(loop, d, ends, done, owner);
    return 0;
}

int power_off_start(struct power_run **ret_run, struct uv_loop_s *loop,
                    const struct power_device *d, power_done *done, void *owner,
                    struct err *err)
{
    uint64_t acts = sim.now + sim_between(5, ACT_MS) * NS_PER_MS;
    uint64_t ends = acts + sim_between(1, ANSWER_MS) * NS_PER_MS;

    (void)err;
    *ret_run = start(loop, d, ends, done, owner);
    (*ret_run)->off = true;
    /* An order in five comes to nothing. */
    if (!sim.noisy || !sim_chance(200))
        sim_at(acts, NULL, on_order, NULL)->number = (*ret_run)->host;
    return 0;
}

void power_run_cancel(struct power_run *r)
{
    if (r == NULL)
        return;
    sim_cancel(r->next);
    free(r);
}
