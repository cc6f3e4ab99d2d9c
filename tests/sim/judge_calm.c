#include "tests/sim/judge_calm.h"

#include <inttypes.h>
#include <string.h>

#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "tests/sim/gates.h"
#include "tests/sim/judge.h"
#include "tests/sim/plan.h"

static bool was_open[WORLD_GROUPS_MAX];
static uint64_t led_at;        /* when somebody led last */
static uint64_t gap, gap_over; /* how long nobody had, until then */

void judge_calm_begin(void)
{
    memset(was_open, 0, sizeof was_open);
    led_at = gap = gap_over = 0;
}

/* The others have gone on, so what it takes for leading, late answers in hand, leads to
 * nothing. */
static bool is_overtaken(uint8_t node, uint64_t term)
{
    struct driver_status st;

    for (uint8_t n = 0; n < CTLS; n++) {
        const struct daemon *d = ctl_daemon(n);

        if (n == node || d == NULL || d->node == NULL)
            continue;
        node_status(d->node, &st);
        if (st.term > term)
            return true;
    }
    return false;
}

/* It leads, and another one has answered it a moment ago. */
static bool leads_somebody(uint8_t node)
{
    const struct daemon *d = ctl_daemon(node);
    uint64_t now = clock_of(&sim.procs[node].clock) / NS_PER_MS;
    struct driver_status st;

    if (d == NULL || d->node == NULL || !node_leads(d->node))
        return false;
    node_status(d->node, &st);
    for (unsigned i = 0; i < st.n_peers; i++)
        if (st.peers[i].contact_ms != 0 &&
            now < st.peers[i].contact_ms + 2ull * plan.heartbeat_ms)
            return !is_overtaken(node, st.term);
    return false;
}

static void look_for_leader(void)
{
    for (uint8_t n = 0; n < CTLS; n++) {
        if (!leads_somebody(n))
            continue;
        if (sim.now - led_at > plan.election_ms * (uint64_t)NS_PER_MS) {
            gap = sim.now - led_at;
            gap_over = sim.now;
        }
        led_at = sim.now;
    }
}

/* What the TTL rule leaves for an election: one round, of which a split vote makes two. So
 * does a leader that comes back just when it has stepped down, its late heartbeats with it:
 * the others begin to wait anew. */
static bool took_two_rounds(uint8_t group)
{
    uint64_t spare = plan.ttl_ms - 2ull * plan.renew_ms;
    uint64_t ttl = plan.ttl_ms * (uint64_t)NS_PER_MS;

    if (operators[group].longer_ttl)
        spare = spare * 3 / 2;
    spare *= NS_PER_MS;
    return sim.now - led_at > spare || (gap > spare && sim.now < gap_over + 2 * ttl);
}

void judge_calm(uint8_t group, uint8_t active)
{
    bool open = active != NOBODY && gate_is_open(active, group);

    if (group == 0)
        look_for_leader();
    if (was_open[group] && !open && !(sim.opt.one_away && took_two_rounds(group)))
        sim_fail("I7: the gate of group %s on %s has closed, and %s", group_name(group),
                 node_name((uint8_t)(CTLS + active)),
                 sim.opt.one_away ? "one controller was away, for whom another led in time"
                                  : "nothing was wrong");
    was_open[group] = open;
}
