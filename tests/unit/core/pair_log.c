/* One log in a total order, who leads, and how each controller gets to apply it.
 *
 * What Raft promises and no more: entries that were proposed may be committed late, by
 * another leader, or not at all; a leader that was replaced may believe in itself for long
 * and go on proposing. Sometimes we commit even what Raft never would (a stale leader's
 * entry behind the new one's): apply() must bear it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "tests/unit/core/pair.h"

static bool works(const struct pair *w, uint8_t c)
{
    return w->ctls[c].up && w->ctls[c].frozen_until <= w->now;
}

bool log_has_majority(const struct pair *w, uint8_t c)
{
    unsigned reached = 1;

    for (uint8_t k = 0; k < CTLS; k++)
        reached += k != c && works(w, k) && pair_linked(w, c, k) && pair_linked(w, k, c);
    return works(w, c) && reached * 2 > CTLS;
}

/* ---- applying -------------------------------------------------------------------------
 */

static bool hears_log(const struct pair *w, uint8_t c)
{
    return w->lead == c || (w->lead != NOBODY && pair_linked(w, w->lead, c) &&
                            log_has_majority(w, w->lead));
}

static void apply_one(struct pair *w, uint8_t c)
{
    struct ctl *ctl = &w->ctls[c];
    const struct logged *l = &w->log[ctl->s.applied];
    const char *broken;

    apply(&ctl->s, ctl->s.applied + 1, &l->e, &w->result);
    /* I4: a fresh reading after apply(). */
    observe_applied(&ctl->o, &ctl->s, &l->e, &w->result, ctl_now(w, c));
    broken = state_invariant_broken(&ctl->s);
    if (broken != NULL)
        pair_fail(w, "controller %u at %" PRIu64 ": %s", c, ctl->s.applied, broken);
    check_applied(w, c, l, &w->result);
    ctl_applied(w, c, l, &w->result);
    if (ctl->s.applied % 64 == 0)
        ctl->snapshot = ctl->s;
}

void log_apply(struct pair *w, uint8_t c)
{
    struct ctl *ctl = &w->ctls[c];

    if (!ctl->up || ctl->s.applied == w->log_count)
        return;
    if (!hears_log(w, c)) {
        (void)pair_at(w, w->now + 100ull * NS_PER_MS, EV_APPLY, c);
        return;
    }
    while (ctl->s.applied < w->log_count && !w->failed)
        apply_one(w, c);
    ctl_wake(w, c);
}

/* ---- committing -----------------------------------------------------------------------
 */

static void give_up(struct pair *w, struct pending *p)
{
    struct ctl *ctl = &w->ctls[p->by];

    p->used = false;
    if (!ctl->up || ctl->life != p->life)
        return;
    if (p->tag.decision)
        ctl->o.groups[0].busy = false; /* unknown, not failed: decide() asks again */
    if (p->e.kind == ENTRY_ENROL)
        ctl->enrolling[p->tag.msg.host] = false;
}

static void append(struct pair *w, struct pending *p)
{
    struct logged *l = &w->log[w->log_count];

    ASSERT(w->log_count < LOG_MAX);
    l->e = p->e;
    l->proposer = p->by;
    l->life = p->life;
    l->tag = p->tag;
    w->log_count++;
    p->used = false;
    for (uint8_t c = 0; c < CTLS; c++) {
        uint64_t lag = c == p->by            ? pair_between(w, 0, 500)
                       : pair_chance(w, 900) ? pair_between(w, 500, 20000)
                                             : pair_between(w, 20000, 300000);

        if (w->ctls[c].up)
            (void)pair_at(w, w->now + lag * 1000, EV_APPLY, c);
    }
}

void log_commit(struct pair *w, unsigned slot)
{
    struct pending *p = &w->pending[slot];
    const struct ctl *ctl = &w->ctls[p->by];
    bool current =
        p->by == w->lead && ctl->up && ctl->life == p->life && p->term == w->term;

    if (!p->used)
        return;
    if (current && !log_has_majority(w, p->by)) {
        struct event *e = pair_at(w, w->now + 50ull * NS_PER_MS, EV_COMMIT, NOBODY);

        e->number = slot;
        return;
    }
    if (current ||
        (w->lead != NOBODY && log_has_majority(w, w->lead) && pair_chance(w, 300)))
        append(w, p);
    else
        give_up(w, p);
}

void log_propose(struct pair *w, uint8_t c, const struct entry *e, const struct tag *tag)
{
    uint64_t us =
        pair_chance(w, 950) ? pair_between(w, 200, 6000) : pair_between(w, 6000, 600000);
    struct event *ev;
    unsigned slot = 0;

    while (slot < PENDING_MAX && w->pending[slot].used)
        slot++;
    if (slot == PENDING_MAX)
        return;
    w->pending[slot] = (struct pending){.used = true,
                                        .by = c,
                                        .life = w->ctls[c].life,
                                        .term = w->ctls[c].term,
                                        .since = w->now,
                                        .tag = *tag,
                                        .e = *e};
    if (tag->decision)
        w->ctls[c].o.groups[0].busy = true;
    ev = pair_at(w, w->now + us * 1000, EV_COMMIT, NOBODY);
    ev->number = slot;
}

/* ---- leadership -----------------------------------------------------------------------
 */

static void elect(struct pair *w, uint8_t c)
{
    uint8_t old = w->lead;
    struct event *e;

    w->lead = c;
    w->term++;
    w->lead_lost = 0;
    pair_note(w, "controller %u leads in term %" PRIu64, c, w->term);
    e = pair_at(w, w->now + pair_between(w, 2, 60) * NS_PER_MS, EV_LEAD, c);
    e->number = w->term;
    if (old == NOBODY || old == c)
        return;
    e = pair_at(w, w->now + pair_between(w, 1, 900) * NS_PER_MS, EV_UNLEAD, old);
    e->number = w->term;
}

/* The barrier of its term is applied: it has everything that was committed before. */
void log_lead(struct pair *w, uint8_t c, uint64_t term)
{
    struct ctl *ctl = &w->ctls[c];

    if (!ctl->up || w->lead != c || w->term != term)
        return;
    while (ctl->s.applied < w->log_count && !w->failed)
        apply_one(w, c);
    observe_leading(&ctl->o, false, ctl_now(w, c));
    observe_leading(&ctl->o, true, ctl_now(w, c));
    ctl->term = term;
    memset(ctl->enrolling, 0, sizeof ctl->enrolling);
    memset(ctl->step_pace, 0, sizeof ctl->step_pace);
    memset(ctl->fence_pace, 0, sizeof ctl->fence_pace);
    for (unsigned h = 0; h < HOSTS; h++)
        ctl->dirty[h] = true;
    ctl_wake(w, c);
}

void log_unlead(struct pair *w, uint8_t c, uint64_t term)
{
    struct ctl *ctl = &w->ctls[c];
    bool told = w->lead != NOBODY && pair_linked(w, w->lead, c);

    if (!ctl->up || ctl->term >= term || w->lead == c)
        return;
    if (!told && pair_chance(w, 700)) {
        struct event *e = pair_at(w, w->now + 200ull * NS_PER_MS, EV_UNLEAD, c);

        e->number = term;
        return;
    }
    observe_leading(&ctl->o, false, ctl_now(w, c));
}

void log_move_lead(struct pair *w)
{
    uint8_t c = (uint8_t)pair_between(w, 0, CTLS - 1);

    if (c != w->lead && log_has_majority(w, c))
        elect(w, c);
}

void log_raft(struct pair *w)
{
    uint8_t c = (uint8_t)pair_between(w, 0, CTLS - 1);

    (void)pair_at(w, w->now + 50ull * NS_PER_MS, EV_RAFT, NOBODY);
    for (uint8_t k = 0; k < CTLS; k++)
        if (w->ctls[k].up && w->ctls[k].s.applied < w->log_count && hears_log(w, k))
            (void)pair_at(w, w->now + NS_PER_MS, EV_APPLY, k);
    if (w->lead != NOBODY && log_has_majority(w, w->lead)) {
        w->lead_lost = 0;
        return;
    }
    if (w->lead_lost == 0)
        w->lead_lost = w->now + pair_between(w, 300, 900) * NS_PER_MS;
    if (w->now >= w->lead_lost && log_has_majority(w, c))
        elect(w, c);
}

/* ---- life -----------------------------------------------------------------------------
 */

void log_crash(struct pair *w, uint8_t c)
{
    if (w->lead == c)
        w->lead = NOBODY;
    w->ctls[c].up = false;
    w->ctls[c].life++;
    if (pair_chance(w, 500))
        w->ctls[c].snapshot = w->ctls[c].s;
    pair_note(w, "controller %u is killed", c);
}

/* From its last snapshot; what is left of the log is applied again in its own time. */
void log_restart(struct pair *w, uint8_t c)
{
    struct ctl *ctl = &w->ctls[c];

    if (ctl->up)
        return;
    ctl->up = true;
    ctl->s = ctl->snapshot;
    ctl->turn_due = false;
    memset(ctl->has_hello, 0, sizeof ctl->has_hello);
    memset(ctl->report_seq, 0, sizeof ctl->report_seq);
    observations_init(&ctl->o, c + 1u);
    observe_restored(&ctl->o, &ctl->s, ctl_now(w, c));
    if (w->opt.mutant == MUTANT_OLD_GRANT)
        for (unsigned h = 0; h < HOSTS; h++)
            ctl->o.groups[0].instances[h].granted.ns = 1;
    pair_note(w, "controller %u is back at %" PRIu64, c, ctl->s.applied);
    (void)pair_at(w, w->now + pair_between(w, 1, 200) * NS_PER_MS, EV_APPLY, c);
}

static void preset(struct pair *w, const struct entry *e)
{
    struct logged *l = &w->log[w->log_count++];

    memset(l, 0, sizeof *l);
    l->e = *e;
    l->proposer = NOBODY;
}

void log_start(struct pair *w)
{
    static const char *const names[] = {"east", "west", "witness"};

    for (unsigned c = 0; c < CTLS; c++) {
        struct entry e;

        memset(&e, 0, sizeof e);
        e.kind = ENTRY_CONTROLLER;
        snprintf(e.controller.name, NAME_SIZE, "%s", names[c]);
        snprintf(e.controller.region, NAME_SIZE, "%s", names[c]);
        e.controller.id = c + 1u;
        e.controller.election_ms = 300;
        preset(w, &e);
    }
    for (uint8_t c = 0; c < CTLS; c++) {
        struct ctl *ctl = &w->ctls[c];

        state_init(&ctl->s, "demo");
        ctl->snapshot = ctl->s;
        observations_init(&ctl->o, c + 1u);
        ctl->up = true;
        ctl->life = 1;
        while (ctl->s.applied < w->log_count)
            apply_one(w, c);
    }
    (void)pair_at(w, NS_PER_MS, EV_RAFT, NOBODY);
}
