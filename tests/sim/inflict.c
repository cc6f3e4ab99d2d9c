/* Faults: what each kind does, and how it is made good again at its end, or when all of
 * them end. */
#include <inttypes.h>
#include <string.h>

#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "fencing/rules/lease.h"
#include "tests/sim/apart.h"
#include "tests/sim/forge.h"
#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/net.h"
#include "tests/sim/older.h"
#include "tests/sim/pg.h"
#include "tests/sim/plan.h"
#include "tests/sim/power.h"
#include "tests/sim/process.h"
#include "tests/sim/replace.h"
#include "tests/sim/severed.h"
#include "tests/sim/stage.h"
#include "tests/sim/steps.h"

static uint64_t end_of(const struct fault *f)
{
    uint64_t at = sim.now + f->lasts;

    return at < sim.heal_at ? at : sim.heal_at;
}

static void at_end(const struct fault *f, sim_fn *fn, uint64_t number)
{
    struct moment *e = sim_at(end_of(f), NULL, fn, NULL);

    e->number = number;
}

static uint8_t ctl_of(const struct fault *f) { return f->a % CTLS; }

/* A host that the fault's group lives on. */
static uint8_t host_of(const struct fault *f) { return pgs[f->group].hosts[f->a % 2]; }

static uint8_t agent_of(const struct fault *f) { return (uint8_t)(CTLS + host_of(f)); }

static uint8_t leader(void)
{
    for (uint8_t n = 0; n < CTLS; n++) {
        struct daemon *d = ctl_daemon(n);

        if (d != NULL && d->node != NULL && node_leads(d->node) &&
            sim.procs[n].tasks[TASK_MAIN].on_stack == 0)
            return n;
    }
    return NOBODY;
}

/* ---- the network ------------------------------------------------------------------------
 */

static void mend(void *arg, uint64_t number)
{
    (void)arg;
    net_mend((uint8_t)(number >> 8), (uint8_t)(number & 255));
}

static void cut(const struct fault *f, uint8_t from, uint8_t to)
{
    if (from == to)
        return;
    net_cut(from, to);
    at_end(f, mend, (uint64_t)from << 8 | to);
}

static bool in_region(uint8_t node, uint8_t region)
{
    return node < CTLS ? node == region : region < 2 && (node - CTLS) % 2 == region;
}

static void cut_region(const struct fault *f, bool out, bool in)
{
    uint8_t region = ctl_of(f);

    for (uint8_t a = 0; a < sim.nodes; a++)
        for (uint8_t b = 0; b < sim.nodes; b++)
            if (in_region(a, region) != in_region(b, region) &&
                (in_region(a, region) ? out : in))
                cut(f, a, b);
}

static void cut_link(const struct fault *f, bool both)
{
    uint8_t a = f->a % sim.nodes, b = f->b % sim.nodes;

    cut(f, a, b);
    if (both)
        cut(f, b, a);
}

static void crash_one(void *arg, uint64_t number)
{
    (void)arg;
    pg_crash((uint8_t)(number >> 8), (uint8_t)(number & 255));
}

/* Sometimes a server crashes behind it, with a log that the other one does not have. */
static void cut_pair(const struct fault *f)
{
    uint8_t a = (uint8_t)(CTLS + pgs[f->group].hosts[0]);
    uint8_t b = (uint8_t)(CTLS + pgs[f->group].hosts[1]);

    cut(f, a, b);
    if (f->b % 3 != 0)
        cut(f, b, a);
    if (f->number % 3 == 0)
        sim_at(sim.now + f->number % 600 * NS_PER_MS, NULL, crash_one, NULL)->number =
            (uint64_t)host_of(f) << 8 | f->group;
}

static void slow_link(const struct fault *f)
{
    uint8_t a = f->a % sim.nodes, b = f->b % sim.nodes;

    net.slow_until[a][b] = end_of(f);
    if (f->number % 2 == 0)
        net.slow_until[b][a] = end_of(f);
}

/* What a leader has just said comes once more, when it may be none any more. */
static void echo(const struct fault *f)
{
    uint8_t from = f->b % 3 != 0 ? leader() : agent_of(f);

    if (from != NOBODY)
        net_echo(from, f->lasts / 2 + 20ull * NS_PER_MS);
}

/* ---- processes --------------------------------------------------------------------------
 */

static void kill_ctl(const struct fault *f, uint8_t node, uint64_t ms)
{
    uint64_t left = (end_of(f) - sim.now) / NS_PER_MS;

    if (!sim.procs[node].up)
        return;
    sim_note("controller %s is killed", node_name(node));
    proc_kill(node);
    proc_restart_in(node, ms < left ? ms : left);
}

static void kill_agent(const struct fault *f, bool fresh)
{
    uint8_t node = agent_of(f);

    if (!sim.procs[node].up)
        return;
    sim_note("agent %s is killed", node_name(node));
    proc_kill(node);
    if (fresh)
        kernel_forget_files(node);
    proc_restart_in(node, (end_of(f) - sim.now) / NS_PER_MS);
}

/* I7: one of them is away, and nothing else is wrong. */
static void send_away(const struct fault *f)
{
    uint8_t c = leader(), node = f->number == 0 || c == NOBODY ? ctl_of(f) : c;

    sim_note("controller %s is away", node_name(node));
    if (f->kind == FAULT_CTL_KILLED)
        kill_ctl(f, node, f->lasts / NS_PER_MS);
    else if (f->kind == FAULT_CTL_STOPPED)
        sim.procs[node].frozen_until = end_of(f);
    for (uint8_t n = 0; n < sim.nodes && f->kind == FAULT_CTL_ALONE; n++) {
        cut(f, node, n);
        cut(f, n, node);
    }
}

static void move_leader(void *arg, uint64_t number)
{
    uint8_t c = leader();
    struct scope s;
    struct err err;

    (void)arg;
    (void)number;
    if (c == NOBODY)
        return;
    s = scope_enter(&sim.procs[c].tasks[TASK_MAIN]);
    (void)(node_transfer(ctl_daemon(c)->node, 0, &err) != 0);
    scope_leave(s);
}

static void replace_ctl(const struct fault *f)
{
    if (!replace_lose(ctl_of(f), f->number % 2 == 0))
        return;
    older[ctl_of(f)] = OLDER_NOT; /* who installs anew installs what there is today */
    proc_restart_in(ctl_of(f), (end_of(f) - sim.now) / NS_PER_MS);
}

/* Who leads when the host comes back has perhaps not heard that it was away. */
static void reboot(const struct fault *f)
{
    uint8_t node = agent_of(f), host = host_of(f);

    sim_note("host %s reboots", node_name(node));
    proc_lose_power(node);
    for (uint8_t g = 0; g < sim.groups; g++)
        pg_crash(host, g);
    gate_reboot(host);
    machines[node].boots++;
    for (uint8_t g = 0; g < sim.groups; g++)
        judge_group(g);
    proc_restart_in(node, (end_of(f) - sim.now) / NS_PER_MS);
    if (f->number % 2 == 0)
        (void)sim_at(end_of(f) + f->number % 1500 * NS_PER_MS, NULL, move_leader, NULL);
}

static void freeze(const struct fault *f, uint8_t node)
{
    if (sim.procs[node].up && sim.procs[node].frozen_until < end_of(f))
        sim.procs[node].frozen_until = end_of(f);
}

static void freeze_in_hand(const struct fault *f, uint8_t node)
{
    sim.procs[node].stop_after = (uint32_t)(1 + f->number % 60);
    sim.procs[node].stop_ns = f->lasts;
}

static void lose_region(const struct fault *f)
{
    uint8_t region = f->a % 2;

    for (uint8_t h = region; h < sim.hosts; h = (uint8_t)(h + 2)) {
        struct fault one = *f;

        for (uint8_t g = 0; g < sim.groups; g++)
            pg_crash(h, g);
        one.a = h % 2;
        kill_agent(&one, false);
    }
    kill_ctl(f, region, f->lasts / NS_PER_MS);
}

static void lose_quorum(const struct fault *f)
{
    kill_ctl(f, ctl_of(f), f->lasts / NS_PER_MS);
    kill_ctl(f, (uint8_t)((ctl_of(f) + 1) % CTLS), f->lasts / NS_PER_MS);
}

/* One host hears nobody and is not heard, while the leader dies and is back at once: the
 * lease still runs, and who leads next has forgotten when it began. */
static void ambush(const struct fault *f)
{
    uint8_t node = agent_of(f), c = leader();

    for (uint8_t k = 0; k < CTLS; k++) {
        cut(f, node, k);
        cut(f, k, node);
    }
    if (c != NOBODY && f->b % 2 == 0)
        kill_ctl(f, c, 5 + f->number % 95);
}

static void upgraded(void *arg, uint64_t number)
{
    uint8_t node = (uint8_t)number;

    (void)arg;
    if (older[node] == OLDER_NOT)
        return; /* it was replaced */
    sim_note("%s is upgraded", node_name(node));
    older[node] = OLDER_NOT;
    if (!sim.procs[node].up)
        return;
    proc_kill(node);
    proc_restart_in(node, 300);
}

static void downgrade(const struct fault *f)
{
    uint8_t node = f->b % 2 == 0 ? ctl_of(f) : agent_of(f);

    if (older[node] != OLDER_NOT)
        return;
    older[node] = f->number % 2 == 0 ? OLDER_READS_OURS : OLDER_ALONE;
    proc_kill(node);
    proc_restart_in(node, 300);
    at_end(f, upgraded, node);
}

/* Who was refused for good is another program again, in a process of its own. */
static void put_back(void *arg, uint64_t number)
{
    (void)arg;
    if (!sim.procs[number].up)
        return;
    sim_note("%s runs the version of the others again", node_name((uint8_t)number));
    proc_kill((uint8_t)number);
    proc_restart_in((uint8_t)number, 300);
}

/* Whatever else happens, one after the other. */
static void upgrade_all(const struct fault *f)
{
    uint8_t left = 0;

    for (uint8_t n = 0; n < sim.nodes; n++)
        left = (uint8_t)(left + (older[n] == OLDER_FORMAT));
    for (uint8_t n = 0, i = 0; n < sim.nodes; n++)
        if (older[n] == OLDER_FORMAT)
            sim_at(sim.now + f->lasts * ++i / left, NULL, upgraded, NULL)->number = n;
}

/* ---- disks and clocks -------------------------------------------------------------------
 */

static void heal_disk(void *arg, uint64_t number)
{
    (void)arg;
    machines[number].disk = DISK_GOOD;
}

static void spoil_disk(const struct fault *f, enum disk_state state)
{
    uint8_t node = f->b % 2 == 0 ? ctl_of(f) : agent_of(f);

    machines[node].disk = state;
    at_end(f, heal_disk, node);
}

static void heal_clock(void *arg, uint64_t number)
{
    (void)arg;
    machines[number].slew_ppm = 0;
    clock_slew(&sim.procs[number].clock, 0);
}

/* Within the bound it stays there, as is assumed of what may be leased by; beyond it the
 * clock runs off. */
static void steer(void *arg, uint64_t number)
{
    struct ticking *c = &sim.procs[number].clock;
    int64_t ppm = machines[number].slew_ppm;

    (void)arg;
    if (lease_clock_rate_ok(ppm, RHO_PPM) && c->ppm + ppm > RHO_PPM)
        ppm = RHO_PPM - c->ppm;
    if (lease_clock_rate_ok(ppm, RHO_PPM) && c->ppm + ppm < -RHO_PPM)
        ppm = -RHO_PPM - c->ppm;
    sim_note("the clock of %s is off by %" PRId64 " ppm, and %" PRId64 " of steering",
             node_name((uint8_t)number), c->ppm, ppm);
    clock_slew(c, ppm);
}

static void jump(const struct fault *f)
{
    machines[f->a % sim.nodes].wall_offset_ms += (int64_t)(f->number % 7200000) - 3600000;
}

/* adjtimex() shows it, and a TTL later, the longest that there may be, it has an effect: a
 * lease that was taken before it could be seen is over by then (the assumption of
 * docs/safety.md is about those). Up to three times rho, in either direction. */
static void slew(const struct fault *f)
{
    uint8_t node = agent_of(f);
    uint64_t ttl_ns = plan.longest_ttl_ms * (uint64_t)NS_PER_MS;
    uint64_t at = sim.now + ttl_ns + ttl_ns / 50;
    int32_t most = f->number % 3 == 0 ? RHO_PPM / 2 : 3 * RHO_PPM;
    struct fault longer = *f;

    if (machines[node].slew_ppm != 0)
        return; /* it is steered already */
    machines[node].slew_ppm = (int32_t)(f->number / 3 % (2 * (uint64_t)most + 1)) - most;
    longer.lasts += at - sim.now;
    at_end(&longer, heal_clock, node);
    if (at < sim.heal_at)
        sim_at(at, NULL, steer, NULL)->number = node;
}

/* ---- servers ----------------------------------------------------------------------------
 */

static void unhang(void *arg, uint64_t number)
{
    (void)arg;
    pg_server((uint8_t)(number >> 8), (uint8_t)(number & 255))->hung = false;
}

static void hang(const struct fault *f)
{
    struct server *s = pg_server(host_of(f), f->group);

    s->hung = s->state == SERVER_PRIMARY || s->state == SERVER_STANDBY;
    at_end(f, unhang, (uint64_t)host_of(f) << 8 | f->group);
}

static void heal_servers_disk(void *arg, uint64_t number)
{
    (void)arg;
    machines[number].servers_disk = DISK_GOOD;
}

static void spoil_servers_disk(const struct fault *f, enum disk_state state)
{
    machines[agent_of(f)].servers_disk = state;
    at_end(f, heal_servers_disk, agent_of(f));
}

static void promote_by_hand(const struct fault *f)
{
    struct server *s = pg_server(host_of(f), f->group);

    if (s->state != SERVER_STANDBY)
        return;
    s->state = SERVER_PRIMARY;
    s->standby_dir = s->streaming = false;
    s->timeline++;
    judge_group(f->group);
}

/* ---- all of them ------------------------------------------------------------------------
 */

static void begin_outside(const struct fault *f)
{
    switch ((int)f->kind) {
    case FAULT_REGION_CUT:
        cut_region(f, true, true);
        break;
    case FAULT_REGION_ONE_WAY:
        cut_region(f, f->b % 2 == 0, f->b % 2 != 0);
        break;
    case FAULT_LINK_CUT:
        cut_link(f, true);
        break;
    case FAULT_LINK_ONE_WAY:
        cut_link(f, false);
        break;
    case FAULT_PAIR_CUT:
        cut_pair(f);
        break;
    case FAULT_LINK_SLOW:
        slow_link(f);
        break;
    case FAULT_NEWER:
        newer_until[f->a % sim.nodes] = end_of(f);
        at_end(f, put_back, f->a % sim.nodes);
        break;
    case FAULT_ECHO:
        echo(f);
        break;
    case FAULT_AMBUSH:
        ambush(f);
        break;
    case FAULT_WALL_JUMP:
        jump(f);
        break;
    case FAULT_SLEWED:
        slew(f);
        break;
    case FAULT_CRASH:
        pg_crash(host_of(f), f->group);
        break;
    case FAULT_HUNG:
        hang(f);
        break;
    case FAULT_ROGUE:
        promote_by_hand(f);
        break;
    case FAULT_DAMAGED:
        pg_server(host_of(f), f->group)->checksum_failures = 1 + f->number;
        break;
    case FAULT_PROVIDER:
        provider_crash(host_of(f));
        break;
    case FAULT_PG_FULL:
        spoil_servers_disk(f, DISK_FULL);
        break;
    case FAULT_PG_FAILING:
        spoil_servers_disk(f, DISK_FAILING);
        break;
    default:
        break;
    }
}

static void begin_process(const struct fault *f)
{
    switch ((int)f->kind) {
    case FAULT_AGENT_KILLED:
        kill_agent(f, false);
        break;
    case FAULT_AGENT_FRESH:
        kill_agent(f, true);
        break;
    case FAULT_AGENT_STOPPED:
        freeze(f, agent_of(f));
        break;
    case FAULT_AGENT_IN_HAND:
        freeze_in_hand(f, agent_of(f));
        break;
    case FAULT_REBOOT:
        reboot(f);
        break;
    case FAULT_REGION_LOST:
        lose_region(f);
        break;
    case FAULT_CTL_KILLED:
        kill_ctl(f, ctl_of(f), f->lasts / NS_PER_MS);
        break;
    case FAULT_CTL_STOPPED:
        freeze(f, ctl_of(f));
        break;
    case FAULT_CTL_IN_HAND:
        freeze_in_hand(f, ctl_of(f));
        break;
    case FAULT_QUORUM_LOST:
        lose_quorum(f);
        break;
    case FAULT_CTL_REPLACED:
        replace_ctl(f);
        break;
    case FAULT_LEADER_MOVED:
        move_leader(NULL, 0);
        break;
    case FAULT_UPGRADE:
        downgrade(f);
        break;
    case FAULT_FORMAT:
        upgrade_all(f);
        break;
    case FAULT_DISK_SLOW:
        spoil_disk(f, DISK_SLOW);
        break;
    case FAULT_DISK_STALLED:
        spoil_disk(f, DISK_STALLED);
        break;
    case FAULT_DISK_FAILING:
        spoil_disk(f, DISK_FAILING);
        break;
    case FAULT_DISK_FULL:
        spoil_disk(f, DISK_FULL);
        break;
    default:
        break;
    }
}

void fault_begin(struct fault *f)
{
    if (sim.opt.one_away) {
        send_away(f);
        return;
    }
    switch ((int)f->kind) {
    case FAULT_SWITCHOVER:
        operator_propose(f->group, ENTRY_SWITCHOVER, f->a % 2);
        return;
    case FAULT_FAILOVER:
        operator_propose(f->group, ENTRY_FENCE_BEGIN, NO_INSTANCE);
        return;
    case FAULT_ABORT:
        operator_propose(f->group, ENTRY_RUN_ABORT, 0);
        return;
    case FAULT_PAUSE:
        operator_propose(f->group, ENTRY_PAUSE, end_of(f));
        return;
    case FAULT_DETACH:
        operator_propose(f->group, ENTRY_DETACH, end_of(f));
        return;
    case FAULT_POLICY:
        operator_propose(f->group, ENTRY_DECLARE, f->number);
        return;
    case FAULT_HAND_START:
    case FAULT_HOLDER_ALONE:
        severed_strike(f, end_of(f));
        return;
    case FAULT_POWER_AWAY:
        power_away(host_of(f), end_of(f));
        return;
    default:
        begin_outside(f);
        begin_process(f);
        stage_begin(f);
        if (apart_is(f->kind))
            apart_start(f);
        forge_begin(f);
    }
}
