/* The agent's other half: what it sees of its server, and the steps of runs. */
#include <inttypes.h>
#include <string.h>

#include "tests/unit/core/pair.h"

enum { LOOK_MS = 40, STEP_LIMIT_MS = 1500 };

/* ---- observing ------------------------------------------------------------------------
 */

static bool holds_write_lease(const struct pair *w, uint8_t h)
{
    struct keeper_view v;

    if (w->hosts[h].k.want.count == 0)
        return false;
    keeper_view(&w->hosts[h].k, 0, host_now(w, h), &v);
    return v.lease_kind == KIND_WRITE && v.lease_epoch == w->hosts[h].d.epoch &&
           v.fenced < v.lease_epoch;
}

static bool peers_have(const struct pair *w, uint8_t h, uint64_t position)
{
    for (uint8_t m = 0; m < HOSTS; m++) {
        const struct pg *s = &w->pgs[m];

        if (m != h && (w->hosts[h].d.members & 1u << m) != 0 &&
            (!s->streaming || s->upstream != h || (uint64_t)s->len < position))
            return false;
    }
    return true;
}

static uint64_t ready_epoch(struct pair *w, uint8_t h)
{
    struct steps *st = &w->hosts[h].steps;
    const struct duties *d = &w->hosts[h].d;
    const struct pg *pg = &w->pgs[h];

    if (d->role != ROLE_PRIMARY || d->epoch == 0 || st->led_epoch != d->epoch ||
        st->led_postmaster != pg->postmaster || pg->server != SERVER_PRIMARY)
        return 0;
    if (st->ready_epoch == d->epoch && st->ready_postmaster == pg->postmaster)
        return d->epoch;
    if (d->synchronous && d->opened && !peers_have(w, h, st->led_position))
        return 0;
    st->ready_epoch = d->epoch;
    st->ready_postmaster = pg->postmaster;
    return d->epoch;
}

static enum keeper_server_state keeper_state(enum server_state s)
{
    return s == SERVER_PRIMARY   ? KEEPER_SERVER_PRIMARY
           : s == SERVER_STANDBY ? KEEPER_SERVER_STANDBY
                                 : KEEPER_SERVER_DOWN;
}

/* A server that was promoted by hand, or is left over, is stopped. */
static void police(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];

    if (host->d.role == ROLE_STANDBY && w->pgs[h].server == SERVER_PRIMARY &&
        host->steps.running.step == 0) {
        pair_note(w, "host %u: a primary that ought to be a standby is stopped", h);
        pg_stop(w, h);
    }
}

static void look(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];
    const struct pg *pg = &w->pgs[h];
    struct keeper_server s = {.state = keeper_state(pg->server), .looked = host->d.index};

    if (host->k.want.count == 0)
        return;
    if (w->opt.mutant == MUTANT_SHUT_BLIND && host->d.role == ROLE_NONE)
        s.state = KEEPER_SERVER_DOWN;
    if (!pg->hung || pg->server != SERVER_PRIMARY)
        host->hung_since = 0;
    else if (host->hung_since == 0)
        host->hung_since = w->now;
    s.ready_epoch = ready_epoch(w, h);
    s.barred =
        host->hung_since != 0 && w->now - host->hung_since >= (uint64_t)HUNG_MS * NS_PER_MS;
    s.stopped = pg->server == SERVER_DOWN || pg->server == SERVER_ABSENT;
    keeper_server(&host->k, 0, &s);
}

void steps_look(struct pair *w, uint8_t h)
{
    (void)pair_at(w, w->now + (uint64_t)LOOK_MS * NS_PER_MS, EV_LOOK, (uint8_t)(CTLS + h));
    police(w, h);
    look(w, h);
    host_pump(w, h);
}

/* ---- reporting ------------------------------------------------------------------------
 */

/* I8: the peer that has not flushed for shrink_after what we had then. */
static member_set shrink_wish(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];
    uint8_t peer = (uint8_t)(1 - h);
    const struct pg *s = &w->pgs[peer];

    if (!holds_write_lease(w, h) || host->d.role != ROLE_PRIMARY || !host->d.opened ||
        w->pgs[h].server != SERVER_PRIMARY) {
        memset(&host->shrink, 0, sizeof host->shrink);
        return 0;
    }
    if (host->shrink.looked == 0 || host->shrink.generation != host->d.generation ||
        w->now - host->shrink.looked > (uint64_t)SHRINK_MS / 2 * NS_PER_MS) {
        host->shrink.generation = host->d.generation;
        host->shrink.target = w->pgs[h].len;
        host->shrink.since = w->now;
    }
    host->shrink.looked = w->now;
    if (s->streaming && s->upstream == h && s->len >= host->shrink.target) {
        host->shrink.target = w->pgs[h].len;
        host->shrink.since = w->now;
    }
    if ((host->d.members & 1u << peer) == 0 ||
        w->now - host->shrink.since < (uint64_t)SHRINK_MS * NS_PER_MS)
        return 0;
    return (member_set)(1u << peer);
}

static void say_result(struct pair *w, uint8_t h)
{
    const struct steps *st = &w->hosts[h].steps;
    struct msg m = {.kind = MSG_STEP_REPORT, .inc = w->hosts[h].inc};

    m.outcome.step = st->result.step;
    m.outcome.done = st->result.done;
    m.outcome.position = WAL_START + st->result.position;
    pair_host_says(w, h, &m);
}

void steps_report(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];
    const struct pg *pg = &w->pgs[h];
    struct msg m = {.kind = MSG_REPORT, .inc = host->inc};
    struct seen_instance *v = &m.report.seen;

    look(w, h);
    m.report.seq = ++host->report_seq;
    m.report.sent = w->now;
    m.report.upstream = pg->upstream;
    m.report.follow_name = pg->follow_name;
    m.report.age_ns = pair_between(w, 0, LOOK_MS) * NS_PER_MS;
    v->epoch = host->k.disk.count != 0 ? host->k.disk.of[0].highest : 0;
    v->server = pg->server;
    v->flush_lsn = v->replay_lsn = WAL_START + (uint64_t)pg->len;
    v->streaming = pg->streaming;
    v->crashed = pg->crashed && pg->server == SERVER_DOWN && host->d.role == ROLE_PRIMARY;
    v->hung =
        host->hung_since != 0 && w->now - host->hung_since >= (uint64_t)HUNG_MS * NS_PER_MS;
    v->sync_generation = pg->generation;
    v->shrink = shrink_wish(w, h);
    v->step = host->steps.running.step;
    pair_host_says(w, h, &m);
}

/* ---- steps ----------------------------------------------------------------------------
 */

static void finish(struct pair *w, uint8_t h, bool done, uint64_t position)
{
    struct steps *st = &w->hosts[h].steps;

    pair_note(w, "host %u: %s of epoch %" PRIu64 " %s", h, step_kind_name(st->running.kind),
              st->running.epoch, done ? "done" : "failed");
    st->result.step = st->running.step;
    st->result.done = done;
    st->result.position = position;
    st->running.step = 0;
    if (!w->hosts[h].alive || w->hosts[h].frozen_until > w->now)
        return; /* the order is repeated, and then so is the result */
    look(w, h);
    say_result(w, h);
    steps_report(w, h);
    host_pump(w, h);
}

static void again_in(struct pair *w, uint8_t h, uint64_t ms)
{
    struct event *e = pair_at(w, w->now + ms * NS_PER_MS, EV_STEP, (uint8_t)(CTLS + h));

    e->life = 0; /* the worker lives on without its agent, until the next one ends it */
    e->number = w->hosts[h].steps.running.step;
}

static void set_names(struct pg *pg, const struct order *o, member_set names)
{
    pg->names = names;
    pg->names_name = o->name;
    pg->generation = o->generation;
    pg->blocked = false;
}

static void go_lead(struct pair *w, uint8_t h)
{
    struct steps *st = &w->hosts[h].steps;
    const struct order *o = &st->running;
    struct pg *pg = &w->pgs[h];

    if (pg->server != SERVER_PRIMARY && pg->server != SERVER_STANDBY &&
        pg->server != SERVER_DOWN) {
        finish(w, h, false, 0);
        return;
    }
    if (pg->server == SERVER_DOWN)
        pg_begin(w, h, SERVER_PRIMARY);
    set_names(pg, o, o->members);
    pg->server = SERVER_PRIMARY;
    pg->streaming = false;
    st->led_epoch = o->epoch;
    st->led_position = (uint64_t)pg->len;
    st->led_postmaster = pg->postmaster;
    finish(w, h, true, (uint64_t)pg->len);
}

/* Stop, rewind (half done for a while), start, and see it stream. */
static void go_follow(struct pair *w, uint8_t h)
{
    struct steps *st = &w->hosts[h].steps;
    const struct order *o = &st->running;
    struct pg *pg = &w->pgs[h];
    const struct pg *up = &w->pgs[o->upstream];

    if (st->stage == 0) {
        pg_stop(w, h);
        if (!pg_flows(w, o->upstream, h)) {
            finish(w, h, false, 0);
            return;
        }
        if (pg->server == SERVER_ABSENT || pg_common(pg, up) != pg->len)
            pg->server = SERVER_REWINDING;
        st->stage = 1;
        again_in(w, h, pair_between(w, 5, 400));
        return;
    }
    if (st->stage == 1 && pg->server == SERVER_REWINDING) {
        if (!pg_flows(w, o->upstream, h)) {
            finish(w, h, false, 0); /* the mark stays: nobody starts it */
            return;
        }
        memcpy(pg->wal, up->wal, (size_t)up->len * sizeof up->wal[0]);
        pg->len = up->len;
    }
    if (st->stage == 1) {
        pg_begin(w, h, SERVER_STANDBY);
        pg->upstream = o->upstream;
        pg->follow_name = o->name;
        pg->blocked = true;
        st->stage = 2;
        again_in(w, h, pair_between(w, 10, 100));
        return;
    }
    if (!pg->streaming && w->now - st->begun < (uint64_t)STEP_LIMIT_MS * NS_PER_MS)
        again_in(w, h, 30);
    else
        finish(w, h, pg->streaming, (uint64_t)pg->len);
}

static void go_stop(struct pair *w, uint8_t h)
{
    struct pg *pg = &w->pgs[h], *peer = &w->pgs[1 - h];
    bool clean = pg->server == SERVER_PRIMARY && !pg->hung;

    if (!clean) {
        finish(w, h, false, 0);
        return;
    }
    pg->wal[pg->len++] = ++w->writes; /* the shutdown checkpoint */
    if (peer->streaming && peer->upstream == h && pg_common(peer, pg) == peer->len) {
        memcpy(peer->wal, pg->wal, (size_t)pg->len * sizeof pg->wal[0]);
        peer->len = pg->len;
    }
    pg_stop(w, h);
    finish(w, h, true, (uint64_t)pg->len);
}

/* Waiting is in force first, then the position, then its flush. */
static void go_join(struct pair *w, uint8_t h)
{
    struct steps *st = &w->hosts[h].steps;
    const struct order *o = &st->running;
    struct pg *pg = &w->pgs[h];
    const struct pg *s = &w->pgs[o->subject];
    bool blind = w->opt.mutant == MUTANT_JOIN_BLIND;

    if (pg->server != SERVER_PRIMARY || pg->hung) {
        finish(w, h, false, 0);
        return;
    }
    if (st->stage == 0) {
        if (!blind)
            set_names(pg, o, (member_set)(o->members | 1u << o->subject));
        st->result.position = (uint64_t)pg->len;
        st->stage = 1;
    }
    if (blind || (s->streaming && s->upstream == h && s->follow_name == o->name &&
                  (uint64_t)s->len >= st->result.position)) {
        finish(w, h, true, st->result.position);
        return;
    }
    if (w->now - st->begun < (uint64_t)STEP_LIMIT_MS * NS_PER_MS) {
        again_in(w, h, 20);
        return;
    }
    set_names(pg, o, o->members);
    finish(w, h, false, 0);
}

void steps_go_on(struct pair *w, uint8_t h)
{
    struct steps *st = &w->hosts[h].steps;
    const struct order *o = &st->running;
    struct pg *pg = &w->pgs[h];

    if (o->step == 0)
        return;
    if (st->stage == 0 && w->noisy && pair_chance(w, 80)) {
        finish(w, h, false, 0);
    } else if (o->kind == STEP_LEAD) {
        go_lead(w, h);
    } else if (o->kind == STEP_FOLLOW || o->kind == STEP_CLONE) {
        go_follow(w, h);
    } else if (o->kind == STEP_STOP) {
        go_stop(w, h);
    } else if (o->kind == STEP_JOIN) {
        go_join(w, h);
    } else if (o->kind == STEP_SYNC && pg->server == SERVER_PRIMARY && !pg->hung) {
        set_names(pg, o, o->members);
        finish(w, h, true, 0);
    } else {
        finish(w, h, o->kind == STEP_CHECKPOINT && pg->server == SERVER_PRIMARY, 0);
    }
}

static bool may_run(const struct pair *w, uint8_t h, const struct order *o,
                    bool *ret_refuse)
{
    const struct host *host = &w->hosts[h];
    bool primary = host->d.role == ROLE_PRIMARY, standby = host->d.role == ROLE_STANDBY;
    bool follow = o->kind == STEP_FOLLOW || o->kind == STEP_CLONE;

    *ret_refuse = false;
    if (host->k.disk.count == 0 || host->k.disk.of[0].highest != o->epoch)
        return false;
    *ret_refuse = (primary && o->kind == STEP_STOP && !host->d.stop_allowed) ||
                  (follow ? primary : standby);
    if (*ret_refuse || (!primary && !standby))
        return false;
    if (o->kind == STEP_LEAD || o->kind == STEP_JOIN || o->kind == STEP_SYNC)
        return holds_write_lease(w, h);
    return !follow || !holds_write_lease(w, h);
}

void steps_order(struct pair *w, uint8_t h, const struct order *o)
{
    struct steps *st = &w->hosts[h].steps;
    const struct duties *d = &w->hosts[h].d;
    bool refuse;

    if (!d->known || o->epoch != d->epoch || o->step < st->last_step)
        return;
    if (st->running.step != 0) {
        if (st->running.epoch < o->epoch)
            st->running.step = 0; /* its process is ended (I5) */
        return;
    }
    if (o->step == st->result.step) {
        say_result(w, h);
        return;
    }
    if (!may_run(w, h, o, &refuse) && !refuse)
        return;
    st->last_step = o->step;
    st->running = *o;
    st->begun = w->now;
    st->stage = 0;
    if (refuse)
        finish(w, h, false, 0);
    else
        again_in(w, h,
                 pair_chance(w, 900) ? pair_between(w, 2, 80) : pair_between(w, 80, 3000));
}
