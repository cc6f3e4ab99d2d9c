/* Chance, time, the event list and the network of a simulated pair. */
#include "tests/unit/core/pair.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"

/* xorshift64*: the same everywhere, and never zero. */
uint64_t pair_random(struct pair *w)
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return w->random * 0x2545F4914F6CDD1Dull;
}

uint64_t pair_between(struct pair *w, uint64_t low, uint64_t high)
{
    return low + (pair_random(w) >> 11) % (high - low + 1);
}

bool pair_chance(struct pair *w, unsigned permille)
{
    return pair_between(w, 0, 999) < permille;
}

uint64_t pair_clock(const struct pair *w, const struct ticking *c)
{
    int64_t drift = (int64_t)w->now / 1000000 * c->ppm;

    return c->offset + (uint64_t)((int64_t)w->now + drift);
}

void pair_fail(struct pair *w, const char *fmt, ...)
{
    va_list args;
    int n;

    if (w->failed)
        return;
    w->failed = true;
    n = snprintf(w->why, sizeof w->why, "at %" PRIu64 " ms: ", w->now / NS_PER_MS);
    va_start(args, fmt);
    vsnprintf(w->why + n, sizeof w->why - (size_t)n, fmt, args);
    va_end(args);
}

void pair_note(struct pair *w, const char *fmt, ...)
{
    va_list args;

    if (!w->opt.verbose)
        return;
    printf("%9.3f ", (double)w->now / 1e9);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

/* ---- events ---------------------------------------------------------------------------
 */

static bool earlier(const struct heap_item *a, const struct heap_item *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void swap(struct heap_item *a, struct heap_item *b)
{
    struct heap_item t = *a;

    *a = *b;
    *b = t;
}

struct event *pair_at(struct pair *w, uint64_t at, enum event_kind kind, uint8_t node)
{
    unsigned i = w->heap_count++;
    struct event *e;

    ASSERT(w->free_count > 0);
    w->heap[i] = (struct heap_item){at, w->event_seq++, w->free_slots[--w->free_count]};
    e = &w->events[w->heap[i].slot];
    for (; i > 0 && earlier(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&w->heap[i], &w->heap[(i - 1) / 2]);
    e->kind = kind;
    e->node = node;
    e->life = 0;
    e->number = 0;
    if (node < CTLS)
        e->life = w->ctls[node].life;
    else if (node < NODES)
        e->life = w->hosts[node - CTLS].life;
    return e;
}

static uint16_t pop(struct pair *w)
{
    uint16_t slot = w->heap[0].slot;
    unsigned i = 0;

    w->now = w->heap[0].at;
    w->heap[0] = w->heap[--w->heap_count];
    for (;;) {
        unsigned best = i;

        for (unsigned k = 2 * i + 1; k <= 2 * i + 2 && k < w->heap_count; k++)
            if (earlier(&w->heap[k], &w->heap[best]))
                best = k;
        if (best == i)
            return slot;
        swap(&w->heap[i], &w->heap[best]);
        i = best;
    }
}

/* ---- the network ----------------------------------------------------------------------
 */

bool pair_linked(const struct pair *w, uint8_t from, uint8_t to)
{
    return w->cut[from][to] == 0;
}

static uint64_t delay(struct pair *w)
{
    if (w->noisy && pair_chance(w, 20))
        return pair_between(w, 30, 1500) * NS_PER_MS;
    return pair_between(w, 200, 8000) * 1000u;
}

/* Later deliveries may overtake earlier ones: that is the reordering. */
void pair_carry(struct pair *w, uint8_t from, uint8_t to, const struct msg *m)
{
    unsigned copies = w->noisy && pair_chance(w, 30) ? 2 : 1;

    if (!pair_linked(w, from, to) || (w->noisy && pair_chance(w, 30)))
        return;
    while (copies-- > 0) {
        struct event *e =
            pair_at(w, w->now + delay(w), to < CTLS ? EV_TO_CTL : EV_TO_HOST, to);

        e->msg = *m;
        e->life = 0; /* whoever lives there when it comes */
    }
}

void pair_host_says(struct pair *w, uint8_t host, struct msg *m)
{
    m->host = host;
    m->hops = 0;
    for (uint8_t c = 0; c < CTLS; c++)
        pair_carry(w, (uint8_t)(CTLS + host), c, m);
}

void pair_host_echoes(struct pair *w, const struct msg *m)
{
    uint64_t at = w->now + pair_between(w, 20, 3000) * NS_PER_MS;

    for (uint8_t c = 0; c < CTLS; c++) {
        struct event *e = pair_at(w, at, EV_TO_CTL, c);

        e->msg = *m;
        e->life = 0; /* whoever lives there when it comes */
    }
}

void pair_ctl_says(struct pair *w, uint8_t ctl, struct msg *m)
{
    uint8_t to = (uint8_t)(CTLS + m->host);

    if (pair_linked(w, ctl, to)) {
        pair_carry(w, ctl, to, m);
        return;
    }
    /* I7: any controller passes answers on. */
    for (uint8_t via = 0; via < CTLS; via++) {
        if (via == ctl || !w->ctls[via].up || !pair_linked(w, ctl, via) ||
            !pair_linked(w, via, to))
            continue;
        pair_carry(w, via, to, m);
        return;
    }
}

static void to_ctl(struct pair *w, uint8_t c, struct msg *m)
{
    struct ctl *ctl = &w->ctls[c];

    if (!ctl->up)
        return;
    if (ctl->o.leading) {
        ctl_handle(w, c, m);
    } else if (m->hops == 0 && w->lead != NOBODY && w->lead != c) {
        m->hops = 1;
        pair_carry(w, c, w->lead, m);
    }
}

/* ---- the run --------------------------------------------------------------------------
 */

/* Who is stopped by SIGSTOP takes everything up again when it is thawed. */
static uint64_t frozen_until(const struct pair *w, const struct event *e)
{
    if (e->node < CTLS)
        return w->ctls[e->node].frozen_until;
    if (e->node < NODES && e->kind != EV_STEP && e->kind != EV_SYNCED)
        return w->hosts[e->node - CTLS].frozen_until;
    return 0;
}

static bool is_for_another_life(const struct pair *w, const struct event *e)
{
    uint32_t now = e->node < CTLS    ? w->ctls[e->node].life
                   : e->node < NODES ? w->hosts[e->node - CTLS].life
                                     : 0;

    return e->life != 0 && e->life != now;
}

static void dispatch_host(struct pair *w, struct event *e)
{
    uint8_t host = (uint8_t)(e->node - CTLS);

    if (e->kind == EV_STEP) {
        if (e->number == w->hosts[host].steps.running.step)
            steps_go_on(w, host);
        return;
    }
    if (!w->hosts[host].alive)
        return;
    if (e->kind == EV_TO_HOST)
        host_handle(w, host, &e->msg);
    else if (e->kind == EV_TICK)
        host_tick(w, host);
    else if (e->kind == EV_LOOK)
        steps_look(w, host);
    else if (e->kind == EV_THAW)
        host_thaw(w, host);
    else if (e->kind == EV_SYNCED)
        host_synced(w, host);
}

static void dispatch_ctl(struct pair *w, struct event *e)
{
    if (e->kind == EV_TO_CTL)
        to_ctl(w, e->node, &e->msg);
    else if (e->kind == EV_APPLY)
        log_apply(w, e->node);
    else if (e->kind == EV_TURN)
        ctl_turn(w, e->node);
    else if (e->kind == EV_LEAD)
        log_lead(w, e->node, e->number);
    else if (e->kind == EV_UNLEAD)
        log_unlead(w, e->node, e->number);
}

static void dispatch(struct pair *w, struct event *e)
{
    if (e->kind == EV_COMMIT)
        log_commit(w, (unsigned)e->number);
    else if (e->kind == EV_RAFT)
        log_raft(w);
    else if (e->kind == EV_WORLD)
        pg_world(w);
    else if (e->kind == EV_FAULT)
        fault_happen(w, e->number);
    else if (e->kind == EV_HEAL)
        fault_heal(w, e->node, e->number);
    else if (e->node < CTLS)
        dispatch_ctl(w, e);
    else if (e->node < NODES)
        dispatch_host(w, e);
}

static void one_event(struct pair *w)
{
    uint16_t slot = pop(w);
    struct event *e = &w->events[slot];
    bool planned = e->kind == EV_COMMIT || e->kind == EV_FAULT || e->kind == EV_HEAL;
    uint64_t until = planned ? 0 : frozen_until(w, e);

    if (!planned && is_for_another_life(w, e)) {
        w->free_slots[w->free_count++] = slot;
        return;
    }
    if (until > w->now) {
        struct event *later = pair_at(w, until, e->kind, e->node);
        uint32_t life = e->life;

        later->number = e->number;
        later->msg = e->msg;
        later->life = life;
    } else {
        dispatch(w, e);
        check_step(w);
    }
    w->free_slots[w->free_count++] = slot;
}

struct pair *pair_new(void) { return calloc(1, sizeof(struct pair)); }

static int64_t any_rate(struct pair *w)
{
    static const int64_t edge[] = {-RHO_PPM, RHO_PPM, 0};

    return pair_chance(w, 700) ? edge[pair_between(w, 0, 2)]
                               : (int64_t)pair_between(w, 0, 2ull * RHO_PPM) - RHO_PPM;
}

static void begin(struct pair *w, const struct pair_options *opt)
{
    /* The log is long and needs no clearing. */
    size_t log_at = offsetof(struct pair, log), after = log_at + sizeof w->log;

    memset(w, 0, log_at);
    memset((char *)w + after, 0, sizeof *w - after);
    w->opt = *opt;
    w->random = opt->seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
    for (unsigned i = 0; i < EVENT_MAX; i++)
        w->free_slots[w->free_count++] = (uint16_t)i;
    for (int i = 0; i < 8; i++)
        (void)pair_random(w);
    w->lead = NOBODY;
    w->noisy = true;
    w->sync = pair_chance(w, 500)   ? SYNC_REQUIRED
              : pair_chance(w, 500) ? SYNC_STRICT
                                    : (enum sync_mode)pair_between(w, 0, 1);
    w->standby_reads = pair_chance(w, 250);
    w->manual = pair_chance(w, 150);
    for (unsigned c = 0; c < CTLS; c++)
        w->ctls[c].clock =
            (struct ticking){any_rate(w), pair_between(w, 1, 1u << 30) * 1000};
    for (unsigned h = 0; h < HOSTS; h++)
        w->hosts[h].clock =
            (struct ticking){any_rate(w), pair_between(w, 1, 1u << 30) * 1000};
}

/* East has run since before there were controllers, and is to be adopted; or the file names
 * west, where there is nothing. */
static void begin_running(struct pair *w)
{
    w->pgs[0].blocked = false;
    pg_begin(w, 0, SERVER_PRIMARY);
    w->unmanaged = w->adopt = true;
    w->declared = pair_chance(w, 500) ? 1 : 0;
}

void pair_run(struct pair *w, const struct pair_options *opt)
{
    begin(w, opt);
    fault_plan(w);
    log_start(w);
    for (uint8_t h = 0; h < HOSTS; h++) {
        w->pgs[h].server = h == 0 ? SERVER_DOWN : SERVER_ABSENT;
        w->pgs[h].blocked = true;
    }
    if (pair_chance(w, 200))
        begin_running(w);
    for (uint8_t h = 0; h < HOSTS; h++)
        host_start(w, h, false);
    (void)pair_at(w, 0, EV_WORLD, NOBODY);
    while (!w->failed && w->heap_count > 0 && w->now < w->end_at) {
        one_event(w);
        if (w->now > w->heal_at && check_alive(w))
            return;
    }
    if (!w->failed)
        check_stuck(w);
}
