/* What goes wrong, and when it is made good again. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/core/pair.h"

enum { FIRST_MS = 500, HEAL_MS = 20000, END_MS = 120000 };

enum fault {
    FAULT_REGION_CUT,
    FAULT_LINK,
    FAULT_PAIR_LINK,
    FAULT_AGENT_STOPS,
    FAULT_AGENT_KILLED,
    FAULT_REBOOT,
    FAULT_CRASH,
    FAULT_HUNG,
    FAULT_ROGUE,
    FAULT_CTL_KILLED,
    FAULT_CTL_STOPS,
    FAULT_LEADER,
    FAULT_DISK,
    FAULT_SWITCHOVER,
    FAULT_FAILOVER,
    FAULT_DETACH,
    FAULT_REGION_LOSS,
    FAULT_AMBUSH,
    FAULT_COUNT,
};

/* What is healed: a direction of the network, or something at one node. */
enum heal {
    HEAL_LINK,
    HEAL_AGENT,
    HEAL_REBOOTED,
    HEAL_CTL,
    HEAL_DISK,
    HEAL_HUNG,
    HEAL_DETACHED
};

static uint64_t duration_ns(struct pair *w)
{
    uint64_t ms =
        pair_chance(w, 600) ? pair_between(w, 50, 2500) : pair_between(w, 2500, 9000);

    return w->now + ms * NS_PER_MS < w->heal_at ? w->now + ms * NS_PER_MS : w->heal_at;
}

static void heal_at(struct pair *w, uint64_t at, enum heal what, uint8_t node,
                    uint8_t other)
{
    struct event *e = pair_at(w, at, EV_HEAL, node);

    e->number = (uint64_t)what << 8 | other;
}

static void cut(struct pair *w, uint8_t from, uint8_t to, uint64_t until)
{
    if (from == to)
        return;
    w->cut[from][to]++;
    heal_at(w, until, HEAL_LINK, from, to);
}

/* East and west are a controller and a host each, the witness is a controller alone. */
static bool in_region(uint8_t node, uint8_t region)
{
    return node == region || (region < HOSTS && node == CTLS + region);
}

static void cut_region(struct pair *w)
{
    uint8_t region = (uint8_t)pair_between(w, 0, CTLS - 1);
    bool out = pair_chance(w, 850), in = !out || pair_chance(w, 800);
    uint64_t until = duration_ns(w);

    pair_note(w, "region %u is cut off%s", region, out && in ? "" : " one way");
    for (uint8_t a = 0; a < NODES; a++) {
        for (uint8_t b = 0; b < NODES; b++) {
            if (in_region(a, region) == in_region(b, region))
                continue;
            if (in_region(a, region) ? out : in)
                cut(w, a, b, until);
        }
    }
}

static void cut_link(struct pair *w, bool of_pair)
{
    uint8_t a = of_pair ? CTLS : (uint8_t)pair_between(w, 0, NODES - 1);
    uint8_t b = of_pair ? CTLS + 1 : (uint8_t)pair_between(w, 0, NODES - 1);
    uint64_t until = duration_ns(w);

    pair_note(w, "link %u-%u is cut", a, b);
    cut(w, a, b, until);
    if (of_pair || pair_chance(w, 600))
        cut(w, b, a, until);
}

static void stop_agent(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];

    if (!host->alive || host->frozen_until > w->now)
        return;
    host->frozen_until = duration_ns(w);
    pair_note(w, "host %u: the agent is stopped", h);
    (void)pair_at(w, host->frozen_until, EV_THAW, (uint8_t)(CTLS + h));
}

static void operate(struct pair *w, enum entry_kind kind, uint8_t target)
{
    const struct group *g = w->lead != NOBODY ? ctl_group(w, w->lead) : NULL;
    struct entry e;

    if (g == NULL || !w->ctls[w->lead].o.leading)
        return;
    memset(&e, 0, sizeof e);
    e.kind = kind;
    snprintf(e.group, NAME_SIZE, "orders");
    snprintf(e.rule, RULE_SIZE, "operator");
    if (kind == ENTRY_SWITCHOVER) {
        e.switchover.target = target;
        e.switchover.epoch = g->epoch;
    }
    pair_note(w, "operator: %s", entry_kind_name(kind));
    log_propose(w, w->lead, &e, &(struct tag){0});
}

static void want_failover(struct pair *w)
{
    struct observed_group *og;

    if (w->lead == NOBODY || ctl_group(w, w->lead) == NULL)
        return;
    og = ctl_seen(w, w->lead);
    og->failover_wanted = true;
    og->failover_target = NO_INSTANCE;
}

static void detach(struct pair *w)
{
    if (w->detaching)
        return;
    w->detaching = true;
    operate(w, ENTRY_DETACH, 0);
    heal_at(w, duration_ns(w), HEAL_DETACHED, NOBODY, 0);
}

static void kill_agent(struct pair *w, uint8_t h, bool reboot)
{
    if (!w->hosts[h].alive)
        return;
    if (reboot)
        host_reboot(w, h);
    else
        host_crash(w, h);
    heal_at(w, duration_ns(w), reboot ? HEAL_REBOOTED : HEAL_AGENT, (uint8_t)(CTLS + h), 0);
}

static void kill_ctl(struct pair *w, uint8_t c)
{
    if (!w->ctls[c].up)
        return;
    log_crash(w, c);
    heal_at(w, duration_ns(w), HEAL_CTL, c, 0);
}

static void stop_ctl(struct pair *w, uint8_t c)
{
    w->ctls[c].frozen_until = duration_ns(w);
    pair_note(w, "controller %u is stopped", c);
}

static void hang(struct pair *w, uint8_t h)
{
    w->pgs[h].hung =
        w->pgs[h].server == SERVER_PRIMARY || w->pgs[h].server == SERVER_STANDBY;
    pair_note(w, "host %u: the server hangs", h);
    heal_at(w, duration_ns(w), HEAL_HUNG, (uint8_t)(CTLS + h), 0);
}

static void promote_by_hand(struct pair *w, uint8_t h)
{
    if (w->pgs[h].server != SERVER_STANDBY)
        return;
    pair_note(w, "host %u: promoted by hand", h);
    w->pgs[h].server = SERVER_PRIMARY;
    w->pgs[h].streaming = false;
}

static void break_disk(struct pair *w, uint8_t h)
{
    w->hosts[h].disk_bad = true;
    heal_at(w, duration_ns(w), HEAL_DISK, (uint8_t)(CTLS + h), 0);
}

/* One host hears nobody and is not heard, while the leader dies and is back at once: the
 * lease still runs, and who leads next has forgotten when it began. */
static void ambush(struct pair *w, uint8_t h)
{
    uint64_t until = duration_ns(w);
    uint8_t c = w->lead, node = (uint8_t)(CTLS + h);

    pair_note(w, "host %u is alone", h);
    for (uint8_t k = 0; k < CTLS; k++) {
        cut(w, node, k, until);
        cut(w, k, node, until);
    }
    if (c == NOBODY || pair_chance(w, 500))
        return;
    log_crash(w, c);
    heal_at(w, w->now + pair_between(w, 5, 100) * NS_PER_MS, HEAL_CTL, c, 0);
}

static void lose_region(struct pair *w, uint8_t h)
{
    pg_crash(w, h);
    kill_agent(w, h, false);
    kill_ctl(w, h);
}

static void happen(struct pair *w, enum fault f, uint8_t h, uint8_t c)
{
    switch (f) {
    case FAULT_REGION_CUT:
        cut_region(w);
        return;
    case FAULT_LINK:
        cut_link(w, false);
        return;
    case FAULT_PAIR_LINK:
        cut_link(w, true);
        return;
    case FAULT_AGENT_STOPS:
        stop_agent(w, h);
        return;
    case FAULT_AGENT_KILLED:
        kill_agent(w, h, false);
        return;
    case FAULT_REBOOT:
        kill_agent(w, h, true);
        return;
    case FAULT_CRASH:
        pg_crash(w, h);
        return;
    case FAULT_HUNG:
        hang(w, h);
        return;
    case FAULT_ROGUE:
        promote_by_hand(w, h);
        return;
    case FAULT_CTL_KILLED:
        kill_ctl(w, c);
        return;
    case FAULT_CTL_STOPS:
        stop_ctl(w, c);
        return;
    case FAULT_LEADER:
        log_move_lead(w);
        return;
    case FAULT_DISK:
        break_disk(w, h);
        return;
    case FAULT_SWITCHOVER:
        operate(w, ENTRY_SWITCHOVER, h);
        return;
    case FAULT_FAILOVER:
        want_failover(w);
        return;
    case FAULT_DETACH:
        if (pair_chance(w, 300))
            detach(w);
        return;
    case FAULT_REGION_LOSS:
        lose_region(w, h);
        return;
    case FAULT_AMBUSH:
        ambush(w, h);
        return;
    case FAULT_COUNT:
        return;
    }
}

void fault_happen(struct pair *w, uint64_t number)
{
    if (w->now >= w->heal_at)
        return;
    if (number != 0) {
        ambush(w, (uint8_t)(number - 1));
        return;
    }
    happen(w, (enum fault)pair_between(w, 0, FAULT_COUNT - 1),
           (uint8_t)pair_between(w, 0, HOSTS - 1), (uint8_t)pair_between(w, 0, CTLS - 1));
}

/* The operator names what serves; if nothing does, what could. At times he is mistaken. */
static void end_detachment(struct pair *w)
{
    bool found = false, mistaken = pair_chance(w, 250);

    for (uint8_t h = 0; h < HOSTS && !found; h++) {
        found = w->pgs[h].server == SERVER_PRIMARY;
        if (found)
            w->declared = mistaken ? (uint8_t)(1 - h) : h;
    }
    for (uint8_t h = 0; h < HOSTS && !found; h++) {
        found = w->pgs[h].server == SERVER_DOWN;
        if (found)
            w->declared = h;
    }
    w->adopt = true;
    w->detaching = !found;
    if (!found)
        heal_at(w, w->now + 500ull * NS_PER_MS, HEAL_DETACHED, NOBODY, 0);
}

void fault_heal(struct pair *w, uint8_t node, uint64_t number)
{
    uint8_t other = (uint8_t)(number & 255), h = (uint8_t)(node - CTLS);

    switch ((enum heal)(number >> 8)) {
    case HEAL_LINK:
        w->cut[node][other]--;
        return;
    case HEAL_AGENT:
        host_start(w, h, true);
        return;
    case HEAL_REBOOTED:
        host_start(w, h, false);
        return;
    case HEAL_CTL:
        log_restart(w, node);
        return;
    case HEAL_DISK:
        w->hosts[h].disk_bad = false;
        return;
    case HEAL_HUNG:
        w->pgs[h].hung = false;
        return;
    case HEAL_DETACHED:
        end_detachment(w);
        return;
    }
}

void fault_heal_all(struct pair *w) { w->noisy = false; }

void fault_plan(struct pair *w)
{
    unsigned n = (unsigned)pair_between(w, 2, 14);

    w->heal_at = (uint64_t)HEAL_MS * NS_PER_MS;
    w->end_at = (uint64_t)END_MS * NS_PER_MS;
    while (n-- > 0) {
        uint64_t at = pair_between(w, FIRST_MS, HEAL_MS - 1000);

        (void)pair_at(w, at * NS_PER_MS, EV_FAULT, NOBODY);
    }
}
