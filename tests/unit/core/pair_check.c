/* What must hold at every step, and what must come back when everything is healed. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/unit/core/pair.h"

enum { WRITES_WANTED = 3, SETTLE_MS = 1000, NOTICED_MS = 200 };

/* True if a client's write could be acknowledged there, were the server willing. */
static bool serves(const struct pair *w, uint8_t h)
{
    const struct pg *pg = &w->pgs[h];

    if (!gate_is_open(w, h))
        return false;
    /* A reader's gate is open too; then the server's role and its blocking names count. */
    if (w->standby_reads || !w->hosts[h].gate.managed)
        return pg->server == SERVER_PRIMARY && !pg->blocked;
    return true;
}

void check_step(struct pair *w)
{
    if (w->now > w->heal_at && w->noisy)
        fault_heal_all(w);
    if (!w->unmanaged && serves(w, 0) && serves(w, 1))
        pair_fail(w,
                  "I1, I3: both gates are open, epochs %" PRIu64 " and %" PRIu64
                  ", controllers at %" PRIu64,
                  w->hosts[0].gate.st.epoch, w->hosts[1].gate.st.epoch, w->epoch_seen);
}

void check_ack(struct pair *w, uint8_t h, int id)
{
    uint64_t epoch = w->hosts[h].gate.st.epoch;

    if (w->unmanaged || !w->hosts[h].gate.managed)
        return;
    if (epoch < w->ack_epoch)
        pair_fail(w, "I3: host %u acknowledges in epoch %" PRIu64 " after %" PRIu64, h,
                  epoch, w->ack_epoch);
    w->ack_epoch = epoch;
    w->acked[id] = true;
    w->acks++;
    if (w->now > w->heal_at + (uint64_t)SETTLE_MS * NS_PER_MS)
        w->acks_healed++;
}

/* Whatever the file says, a first gate cuts nobody off: of a server that has been a primary
 * for longer than a look takes it was known. A hand that was stopped meanwhile may be late;
 * and a port that the disk remembers (it could not take the detach) is closed at the start,
 * before anybody is heard. */
void check_first_gate(struct pair *w, uint8_t h)
{
    const struct host *host = &w->hosts[h];
    const struct pg *pg = &w->pgs[h];
    uint64_t noticed = (uint64_t)NOTICED_MS * NS_PER_MS;
    bool remembered = host->disk.count != 0 && host->disk.of[0].port != 0;

    if (host->d.role != ROLE_NONE || pg->server != SERVER_PRIMARY || remembered ||
        host->holding || w->now < host->frozen_until + noticed)
        return;
    if (pg->primary_since != 0 && w->now > pg->primary_since + noticed)
        pair_fail(w, "host %u: its gate is closed over a running primary, forming", h);
}

/* I8, I9: every acknowledged write stands in the log of the instance that is opened. */
static void check_nothing_lost(struct pair *w, uint8_t h)
{
    const struct pg *pg = &w->pgs[h];
    int at = 0;

    if (w->sync != SYNC_REQUIRED && w->sync != SYNC_STRICT)
        return;
    for (int id = 1; id <= w->writes; id++) {
        while (at < pg->len && pg->wal[at] < id)
            at++;
        if (w->acked[id] && (at == pg->len || pg->wal[at] != id)) {
            pair_fail(w, "I8: write %d was acknowledged and is missing on host %u", id, h);
            return;
        }
    }
}

static bool runs_ungated(const struct pair *w, uint8_t h)
{
    enum server_state s = w->pgs[h].server;

    return !w->hosts[h].gate.managed && (s == SERVER_PRIMARY || s == SERVER_STANDBY);
}

/* I2: the world is as the proofs say. */
static void check_activated(struct pair *w, const struct group *g)
{
    if (g->epoch <= w->epoch_seen)
        pair_fail(w, "I1: epoch %" PRIu64 " after %" PRIu64, g->epoch, w->epoch_seen);
    w->epoch_seen = g->epoch;
    w->unmanaged = false;
    for (uint8_t h = 0; h < HOSTS; h++)
        if (h != g->active && (serves(w, h) || runs_ungated(w, h)))
            pair_fail(w, "I2: host %u %s while %u is activated for %" PRIu64, h,
                      serves(w, h) ? "serves" : "has no gate", g->active, g->epoch);
}

static void check_kind(struct pair *w, uint8_t c, const struct logged *l)
{
    const struct group *g = ctl_group(w, c);
    bool worth_a_fault = false, worth_an_ambush = false;

    switch ((int)l->e.kind) {
    case ENTRY_ACTIVATE:
        check_activated(w, g);
        worth_a_fault = true;
        break;
    case ENTRY_OPENED:
        w->opens++;
        if (!w->pgs[g->active].blocked)
            check_nothing_lost(w, g->active);
        worth_a_fault = true;
        break;
    case ENTRY_FENCE_BEGIN:
        w->fences++;
        worth_a_fault = worth_an_ambush = true;
        break;
    case ENTRY_SYNC_JOIN:
    case ENTRY_SYNC_SHRINK:
        worth_a_fault = pair_chance(w, 200);
        break;
    case ENTRY_STEP_START:
        worth_a_fault = pair_chance(w, 200);
        worth_an_ambush = l->e.step_start.kind == STEP_LEAD;
        break;
    case ENTRY_DETACH:
        w->unmanaged = true;
        for (int id = 0; id <= w->writes; id++)
            w->acked[id] = false;
        break;
    default:
        break;
    }
    if (worth_an_ambush && pair_chance(w, 100)) {
        struct event *e =
            pair_at(w, w->now + pair_between(w, 0, 120) * NS_PER_MS, EV_FAULT, NOBODY);

        e->number = g->active + 1u;
    }
    if (worth_a_fault && pair_chance(w, 200))
        (void)pair_at(w, w->now + pair_between(w, 0, 150) * NS_PER_MS, EV_FAULT, NOBODY);
}

void check_applied(struct pair *w, uint8_t c, const struct logged *l,
                   const struct apply_result *r)
{
    uint64_t index = w->ctls[c].s.applied;
    const struct group *g = ctl_group(w, c);

    if (index <= w->judged)
        return;
    w->judged = index;
    if (r->refusal != ACCEPTED || l->e.kind == ENTRY_RENEW)
        return;
    if (g != NULL)
        pair_note(w, "[%" PRIu64 "] %s (%s): %s, epoch %" PRIu64 ", active %u, set %x",
                  index, entry_kind_name(l->e.kind), l->e.rule, phase_name(g->phase),
                  g->epoch, g->active, g->sync_set);
    check_kind(w, c, l);
}

bool check_alive(struct pair *w)
{
    const struct group *g = w->lead != NOBODY ? ctl_group(w, w->lead) : NULL;
    bool all_in;

    if (g == NULL || g->phase != PHASE_STEADY || w->acks_healed < WRITES_WANTED)
        return false;
    all_in = g->sync_set == (1u << HOSTS) - 1;
    if (w->sync != SYNC_OFF && !all_in)
        return false;
    check_nothing_lost(w, g->active);
    return true;
}

void check_stuck(struct pair *w)
{
    uint8_t c = w->lead != NOBODY ? w->lead : 0;
    const struct group *g = ctl_group(w, c);
    static struct explanation out;

    w->stuck = true;
    if (g == NULL) {
        pair_fail(w, "I11: no group; lead %u", w->lead);
        return;
    }
    explain(&w->ctls[c].s, &w->ctls[c].o, 0, ctl_now(w, c), &out);
    pair_note(w, "why: %s", out.verdict);
    pair_fail(w,
              "I11: stuck: %s, lead %u, epoch %" PRIu64
              ", active %u, set %x, servers %d and %d, steps "
              "%s/%d and %s/%d, alive %d and %d, acks %" PRIu64,
              phase_name(g->phase), w->lead, g->epoch, g->active, g->sync_set,
              (int)w->pgs[0].server, (int)w->pgs[1].server,
              step_kind_name(g->instances[0].step.kind), (int)g->instances[0].step.state,
              step_kind_name(g->instances[1].step.kind), (int)g->instances[1].step.state,
              w->hosts[0].alive, w->hosts[1].alive, w->acks_healed);
}
