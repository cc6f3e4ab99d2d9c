/* Faults that are short plays: several things in an order that chance would seldom find,
 * each about one way in which a wrong idea would show. They strike whoever is active then,
 * and leave to chance what else goes on. */
#include "tests/sim/stage.h"

#include "controller/daemon/agents.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/net.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/process.h"
#include "tests/sim/steps.h"

/* A cast is packed into the number that an event carries. */
uint64_t stage_pack(struct cast c)
{
    return (uint64_t)c.group << 24 | (uint64_t)c.agent << 16 | (uint64_t)c.leader << 8 |
           c.other;
}

struct cast stage_unpack(uint64_t number)
{
    return (struct cast){(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                         (uint8_t)(number >> 8), (uint8_t)number};
}

/* Nothing new begins once the world is to heal. */
void stage_then(uint64_t ms, sim_fn *fn, struct cast c)
{
    uint64_t at = sim.now + ms * NS_PER_MS;

    if (at < sim.heal_at)
        sim_at(at, NULL, fn, NULL)->number = stage_pack(c);
}

static void mend(void *arg, uint64_t number)
{
    (void)arg;
    net_mend((uint8_t)(number >> 8), (uint8_t)(number & 255));
}

static void cut_for(uint8_t from, uint8_t to, uint64_t ms)
{
    uint64_t at = sim.now + ms * NS_PER_MS;

    net_cut(from, to);
    sim_at(at < sim.heal_at ? at : sim.heal_at, NULL, mend, NULL)->number =
        (uint64_t)from << 8 | to;
}

void stage_isolate(void *arg, uint64_t number)
{
    struct cast c = stage_unpack(number);

    (void)arg;
    for (uint8_t k = 0; k < CTLS; k++) {
        cut_for(c.agent, k, 3ull * plan.ttl_ms);
        cut_for(k, c.agent, 3ull * plan.ttl_ms);
    }
}

/* False: nobody leads, or the group is not there yet. */
bool stage_cast(const struct fault *f, struct cast *ret)
{
    uint8_t node;
    const struct group *g = judge_view(f->group, &node);

    if (g == NULL || g->active > 1)
        return false;
    for (uint8_t n = 0; n < CTLS; n++) {
        struct daemon *d = ctl_daemon(n);

        if (d == NULL || d->node == NULL || !node_leads(d->node) ||
            sim.procs[n].tasks[TASK_MAIN].on_stack > 0)
            continue;
        *ret = (struct cast){.group = f->group,
                             .agent = (uint8_t)(CTLS + pgs[f->group].hosts[g->active]),
                             .leader = n,
                             .other = (uint8_t)((n + 1 + f->number % 2) % CTLS)};
        return true;
    }
    return false;
}

/* ---- a follower that stood still leads at once -----------------------------------------
 *
 * What was committed meanwhile it learns in one round of its loop, of which the cached time
 * is from before. The holder is alone from a moment before; then it is failed over. */

static void hand_over(void *arg, uint64_t number)
{
    struct cast c = stage_unpack(number);
    struct daemon *d = ctl_daemon(c.leader);
    struct scope s;
    struct err err;

    (void)arg;
    if (d == NULL || d->node == NULL || sim.procs[c.leader].tasks[TASK_MAIN].on_stack > 0)
        return;
    s = scope_enter(&sim.procs[c.leader].tasks[TASK_MAIN]);
    (void)(node_transfer(d->node, c.other + 1u, &err) != 0);
    scope_leave(s);
}

void stage_ask_failover(void *arg, uint64_t number)
{
    (void)arg;
    operator_propose(stage_unpack(number).group, ENTRY_FENCE_BEGIN, 0);
}

static void late_follower(const struct fault *f)
{
    uint64_t still = plan.ttl_ms * 6ull / 10;
    struct cast c;

    if (!stage_cast(f, &c) || !sim.procs[c.other].up)
        return;
    sim.procs[c.other].frozen_until = sim.now + still * NS_PER_MS;
    stage_then(still - 2ull * plan.heartbeat_ms, stage_isolate, c);
    stage_then(still + f->number % 100, hand_over, c);
    for (uint64_t n = 1; n < 6; n++)
        stage_then(still + 100 * n, stage_ask_failover, c);
}

/* ---- a TTL that is made shorter ---------------------------------------------------------
 *
 * The holder has a lease of the longer one and is alone. */

static void declare_anew(void *arg, uint64_t number)
{
    (void)arg;
    operator_propose(stage_unpack(number).group, ENTRY_DECLARE, 1);
}

static void shorter(const struct fault *f)
{
    struct cast c;
    uint64_t ms = 0;

    if (!stage_cast(f, &c))
        return;
    if (!operators[f->group].longer_ttl) {
        declare_anew(NULL, stage_pack(c));
        ms = 4ull * plan.renew_ms;
    }
    stage_then(ms, stage_isolate, c);
    stage_then(ms + 1 + f->number % 20, declare_anew, c);
}

/* ---- an answer for the life before ------------------------------------------------------
 *
 * The holder reaches the leader by one other controller only, and that passes the answers
 * on a second time: when the agent has lost its state, has come back as somebody else, and
 * has been taken in, which takes as long as its former life is held to be alive. */

static void lose_state(void *arg, uint64_t number)
{
    struct cast c = stage_unpack(number);

    (void)arg;
    if (!sim.procs[c.agent].up)
        return;
    proc_kill(c.agent);
    kernel_forget_files(c.agent);
    proc_restart_in(c.agent, 20);
}

static void cut_both(uint8_t a, uint8_t b, uint64_t ms)
{
    cut_for(a, b, ms);
    cut_for(b, a, ms);
}

static void reborn(const struct fault *f)
{
    uint64_t lost = 3ull * plan.renew_ms + 50, taken_in = AGENTS_ALIVE_MS + 350;
    uint64_t spare = plan.ttl_ms > taken_in + 300 ? plan.ttl_ms - taken_in - 300 : 100;
    struct cast c;

    if (!stage_cast(f, &c))
        return;
    cut_both(c.leader, c.agent, 2ull * plan.ttl_ms);
    cut_both((uint8_t)(CTLS - c.leader - c.other), c.agent, lost);
    net_repeat(c.leader, c.other, lost * NS_PER_MS,
               (lost + taken_in + f->number % spare) * NS_PER_MS);
    stage_then(lost, lose_state, c);
}

/* ---- an order that comes late -----------------------------------------------------------
 *
 * The standby was told to follow, and is the primary when it is told so once more. */

static void switch_over(void *arg, uint64_t number)
{
    struct cast c = stage_unpack(number);

    (void)arg;
    operator_propose(c.group, ENTRY_SWITCHOVER, pgs[c.group].hosts[1] == c.other - CTLS);
}

static void late_order(const struct fault *f)
{
    enum { WHILE_MS = 2000 };
    uint8_t standby;
    struct cast c;

    if (!stage_cast(f, &c))
        return;
    standby = pgs[f->group].hosts[pgs[f->group].hosts[0] == c.agent - CTLS];
    c.other = (uint8_t)(CTLS + standby);
    pg_crash(standby, f->group); /* then it is told to follow */
    for (uint8_t k = 0; k < CTLS; k++)
        net_repeat(k, c.other, WHILE_MS * NS_PER_MS,
                   (WHILE_MS + 500 + f->number % 2000) * NS_PER_MS);
    stage_then(WHILE_MS, switch_over, c);
}

/* ---- a restart that cannot see its server ----------------------------------------------
 *
 * The server hangs, so that no look at it ends, while the agent comes back under a lease
 * that runs: what may it do with the gate that it finds open? */

static void wake_server(void *arg, uint64_t number)
{
    struct cast c = stage_unpack(number);

    (void)arg;
    pg_server((uint8_t)(c.agent - CTLS), c.group)->hung = false;
}

static void blind_restart(const struct fault *f)
{
    struct server *s;
    struct cast c;

    if (!stage_cast(f, &c) || !sim.procs[c.agent].up)
        return;
    s = pg_server((uint8_t)(c.agent - CTLS), f->group);
    if (s->state == SERVER_PRIMARY) {
        uint64_t end = sim.now + 1500ull * NS_PER_MS;

        s->hung = true;
        sim_at(end < sim.heal_at ? end : sim.heal_at, NULL, wake_server, NULL)->number =
            stage_pack(c);
    }
    proc_kill(c.agent);
    proc_restart_in(c.agent, f->number % (plan.ttl_ms * 3 / 4));
    if (f->number % 3 == 0)
        provider_crash((uint8_t)(c.agent - CTLS));
}

void stage_begin(const struct fault *f)
{
    if (f->kind == FAULT_LATE_FOLLOWER)
        late_follower(f);
    else if (f->kind == FAULT_SHORTER_TTL)
        shorter(f);
    else if (f->kind == FAULT_REBORN)
        reborn(f);
    else if (f->kind == FAULT_LATE_ORDER)
        late_order(f);
    else if (f->kind == FAULT_BLIND_RESTART)
        blind_restart(f);
}
