#include "tests/sim/apart.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/net.h"
#include "tests/sim/pg.h"
#include "tests/sim/process.h"
#include "tests/sim/replace.h"

enum { ACKS_WANTED = 3, EXCUSE_MS = 3000, GROUP = 0 };

static struct {
    struct fault *fault; /* NULL: nobody is away */
    bool away[NODES_MAX];
    uint8_t host; /* that is away; NOBODY: only a controller is */
    char who[80];
    uint64_t acks[WORLD_GROUPS_MAX], returns_at;
    uint64_t led_at; /* somebody that is not away led; 0: nobody has since it was healed */
} apart;

static uint64_t *times;
static size_t time_count, time_cap;

bool apart_is(enum fault_kind kind)
{
    return kind == FAULT_CTL_AWAY || kind == FAULT_REGION_AWAY;
}

void apart_plan(uint64_t dice)
{
    bool region = sim.groups == 1 && dice % 3 != 0;

    if ((dice >> 32) % 3 != 0 || plan.count == 0 || plan.count == FAULTS_MAX)
        return;
    plan.of[plan.count++] =
        (struct fault){.kind = region ? FAULT_REGION_AWAY : FAULT_CTL_AWAY,
                       .a = (uint8_t)(dice >> 8),
                       .b = (uint8_t)(dice >> 16),
                       .number = dice >> 24,
                       .at = sim.heal_at};
}

/* ---- who stays away
 * ----------------------------------------------------------------------
 */

/* Whoever is left holds what was acknowledged, and can be made the primary: nobody has
 * promoted it by hand, nor is it being copied. */
static bool can_lead(uint8_t group, const struct group *g, uint8_t left)
{
    enum server_state now = pg_server(pgs[group].hosts[left], group)->state;

    return g->sync_known && (g->sync_set & 1u << left) != 0 &&
           (now == SERVER_STANDBY || now == SERVER_STARTING || now == SERVER_DOWN ||
            (now == SERVER_PRIMARY && g->active == left));
}

/* It is known, or will be with the next report, that pages of one of them are damaged:
 * nobody moves then without being asked. */
static bool is_damaged(uint8_t group, const struct group *g)
{
    for (uint8_t i = 0; i < 2; i++)
        if (pg_server(pgs[group].hosts[i], group)->checksum_failures != 0 ||
            g->instances[i].checksum_failures != 0)
            return true;
    return false;
}

/* What the one that is away had can be counted out. Of a life that was never granted
 * anything, nobody but its agent, or two people, can say that it is over. */
static bool can_be_proven(uint8_t node, const struct group *g, uint8_t gone)
{
    const struct instance *i = &g->instances[gone];

    return i->proof.last_grant != 0 ||
           instance_is_proven(node_state(ctl_daemon(node)->node), i);
}

/* Without its host the group can be writable: the design promises it for a member. Where
 * the mode is `strict` the set does not shrink within an epoch: there only for one that is
 * yet to be promoted, since a primary may be waiting, or just begin to wait, for who has
 * gone. */
static bool is_owed(uint8_t group, uint8_t host)
{
    uint8_t node, left = pgs[group].hosts[0] == host ? 1 : 0;
    const struct group *g = judge_view(group, &node);
    const struct operator_of *o = &operators[group];
    bool leads;

    if (g == NULL || o->detaching || o->unmanaged || g->phase == PHASE_FORMING ||
        g->phase == PHASE_DETACHED || plan.sync[group] == SYNC_OFF)
        return false;
    /* It has led, and is opened as soon as somebody leads: then it is the only member. */
    if (g->phase == PHASE_PROMOTING && g->active != left &&
        g->instances[g->active].step.kind == STEP_LEAD &&
        g->instances[g->active].step.state == STEP_DONE)
        return false;
    leads = g->active == left && g->phase != PHASE_FENCING && g->phase != PHASE_PROMOTING;
    if (!leads && is_damaged(group, g))
        return false;
    return can_lead(group, g, left) && can_be_proven(node, g, (uint8_t)(1 - left)) &&
           !(leads && plan.sync[group] == SYNC_STRICT);
}

static void part(uint8_t node)
{
    apart.away[node] = true;
    for (uint8_t n = 0; n < sim.nodes; n++)
        if (!apart.away[n]) {
            net_cut(node, n);
            net_cut(n, node);
        }
}

static void part_region(const struct fault *f, uint8_t host)
{
    uint8_t region = host % 2;

    apart.host = host;
    if (f->number % 2 == 0 && !replace_goes_on()) {
        /* The two hear each other. */
        apart.away[region] = true;
        part((uint8_t)(CTLS + host));
        part(region);
    } else {
        part((uint8_t)(CTLS + host));
    }
    if (f->number % 3 == 0)
        pg_crash(host, GROUP);
    snprintf(apart.who, sizeof apart.who, " (%s is away%s)",
             node_name((uint8_t)(CTLS + host)),
             apart.away[region] ? " with its controller" : "");
}

void apart_start(struct fault *f)
{
    uint8_t node, host, ctl = f->a % CTLS;
    const struct group *g = judge_view(GROUP, &node);

    if (f->kind == FAULT_CTL_AWAY) {
        if (replace_goes_on())
            return; /* two would be missing */
        part(ctl);
        snprintf(apart.who, sizeof apart.who, " (%s is away)", node_name(ctl));
    } else {
        if (g == NULL)
            return;
        /* More often the one whose leaving is felt. */
        host = pgs[GROUP].hosts[f->b % 4 != 0 ? g->active : 1 - g->active];
        if (!is_owed(GROUP, host))
            return;
        part_region(f, host);
    }
    apart.fault = f;
    f->lasts = sim.end_at - sim.now;
    sim_note("all heals but%s", apart.who);
}

/* ---- until it comes back
 * -----------------------------------------------------------------
 */

static void keep_time(uint64_t ns)
{
    if (time_count == time_cap) {
        time_cap = 2 * time_cap + 1024;
        times = reallocarray(times, time_cap, sizeof *times);
        ASSERT(times != NULL);
    }
    times[time_count++] = ns;
}

void apart_ack(uint8_t host, uint8_t group)
{
    if (host != apart.host && ++apart.acks[group] == ACKS_WANTED)
        keep_time(sim.now - sim.heal_at);
}

static void come_back(void)
{
    for (uint8_t a = 0; a < sim.nodes; a++)
        for (uint8_t b = 0; b < sim.nodes; b++)
            if (apart.away[a] != apart.away[b])
                net_mend(a, b);
    sim_note("it is back:%s", apart.who);
    apart.fault->lasts = sim.now - apart.fault->began;
    apart.fault = NULL;
    memset(apart.away, 0, sizeof apart.away);
    apart.host = NOBODY;
    apart.who[0] = 0;
    sim.end_at = sim.now + (sim.end_at - sim.heal_at);
    sim.heal_at = sim.now;
    sim.settle_at = sim.now + 1500ull * NS_PER_MS;
    for (uint8_t g = 0; g < sim.groups; g++)
        pgs[g].acks_healed = 0;
}

/* What was under way when the world healed may have taken the other one out of the set, or
 * had done so, and nobody that can be asked had applied it: then there is no leader yet. */
static bool is_excused(void)
{
    if (apart.host == NOBODY || !apart_lacks_acks(GROUP))
        return false;
    for (uint8_t n = 0; n < CTLS && apart.led_at == 0; n++) {
        const struct daemon *d = ctl_daemon(n);

        if (!apart.away[n] && d != NULL && d->node != NULL && node_leads(d->node))
            apart.led_at = sim.now;
    }
    return (apart.led_at == 0 ||
            sim.now < apart.led_at + (uint64_t)EXCUSE_MS * NS_PER_MS) &&
           !is_owed(GROUP, apart.host);
}

void apart_step(bool settled)
{
    bool done = !apart_lacks(GROUP, settled);

    if (apart.fault == NULL)
        return;
    if (apart.returns_at == 0 && (done || is_excused()))
        apart.returns_at = sim.now + apart.fault->number % 3000 * NS_PER_MS;
    if (apart.returns_at != 0 && sim.now >= apart.returns_at)
        come_back();
}

bool apart_lacks_acks(uint8_t group) { return apart.acks[group] < ACKS_WANTED; }

bool apart_lacks(uint8_t group, bool settled)
{
    return apart.host != NOBODY ? apart_lacks_acks(group) : !settled;
}

bool apart_goes_on(void) { return apart.fault != NULL; }

const char *apart_who(void) { return apart.who; }

void apart_begin(void)
{
    memset(&apart, 0, sizeof apart);
    apart.host = NOBODY;
}

/* ---- figures
 * -----------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double in_s(size_t at) { return (double)times[at] / 1e9; }

void apart_times(FILE *out)
{
    if (time_count == 0)
        return;
    qsort(times, time_count, sizeof *times, compare);
    fprintf(out, "writable again after p50 %.1f s, p99 %.1f s, at most %.1f s\n",
            in_s(time_count / 2), in_s(time_count * 99 / 100), in_s(time_count - 1));
    free(times);
    times = NULL;
    time_count = time_cap = 0;
}
