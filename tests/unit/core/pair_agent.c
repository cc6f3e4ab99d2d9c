/* An agent's keeper thread as fencing/agent/keeper*.c has it, over a simulated gate. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "tests/unit/core/pair.h"

struct boot host_now(const struct pair *w, uint8_t h)
{
    return (struct boot){pair_clock(w, &w->hosts[h].clock)};
}

/* ---- the gate, as gate.h says ---------------------------------------------------------
 */

static bool passes(const struct pair *w, uint8_t h, enum gate_mode least)
{
    const struct cell *c = &w->hosts[h].gate;

    return !c->managed || (c->st.mode >= least && host_now(w, h).ns < c->st.deadline.ns);
}

bool gate_is_open(const struct pair *w, uint8_t h) { return passes(w, h, GATE_OPEN); }

bool gate_lets_peers(const struct pair *w, uint8_t h)
{
    return passes(w, h, GATE_REPLICATION);
}

static void shut(struct cell *c)
{
    c->st.mode = GATE_CLOSED;
    c->st.deadline.ns = 0;
}

static int sim_arm(struct pair *w, uint8_t h, const struct keeper_effect *e,
                   struct err *err)
{
    struct cell *c = &w->hosts[h].gate;
    const struct gate_lease *l = &e->lease;
    uint64_t now = host_now(w, h).ns;

    if (l->epoch == 0 || l->mode == GATE_CLOSED ||
        (l->mode == GATE_OPEN && l->deadline.ns == GATE_FOREVER.ns))
        return err_set(err, ERR_INVAL, "no such lease");
    if (l->epoch < c->st.epoch || (c->st.fenced && l->epoch <= c->st.epoch))
        return err_set(err, ERR_STALE, "an older or a fenced epoch");
    if (e->how == GATE_RENEW &&
        (c->st.epoch != l->epoch || c->st.mode == GATE_CLOSED || c->st.deadline.ns <= now))
        return err_set(err, ERR_CLOSED, "a fresh lease is needed");
    if (l->deadline.ns <= now) {
        shut(c);
        return err_set(err, ERR_TIMEOUT, "the deadline has passed");
    }
    if (l->epoch != c->st.epoch)
        c->st = (struct gate_state){.epoch = l->epoch};
    if (l->mode == GATE_OPEN && !c->st.opened) {
        pg_forget_clients(w, h); /* older connections are destroyed */
        c->st.opened = true;
    }
    c->st.mode = l->mode;
    c->st.deadline = l->deadline;
    return 0;
}

static int sim_fence(struct cell *c, uint64_t epoch, struct err *err)
{
    if (!c->managed)
        return err_set(err, ERR_NOTFOUND, "not managed");
    if (epoch < c->st.epoch)
        return err_set(err, ERR_STALE, "older");
    c->st = (struct gate_state){.epoch = epoch, .fenced = true};
    return 0;
}

static int sim_close(struct cell *c, uint64_t epoch, struct err *err)
{
    if (!c->managed)
        return err_set(err, ERR_NOTFOUND, "not managed");
    if (epoch < c->st.epoch)
        return err_set(err, ERR_STALE, "older");
    shut(c);
    return 0;
}

static int sim_adopt(struct pair *w, uint8_t h, const struct gate_lease *l, struct err *err)
{
    struct cell *c = &w->hosts[h].gate;

    if (c->managed)
        return err_set(err, ERR_CONFLICT, "managed already");
    if (l->deadline.ns <= host_now(w, h).ns)
        return err_set(err, ERR_TIMEOUT, "the deadline has passed");
    *c =
        (struct cell){.managed = true, .st = {l->epoch, l->mode, l->deadline, false, true}};
    return 0;
}

static int run_gate(struct pair *w, uint8_t h, const struct keeper_effect *e,
                    struct err *err)
{
    struct cell *c = &w->hosts[h].gate;

    if (w->noisy && pair_chance(w, 10)) {
        if (e->kind == KEEPER_ARM && pair_chance(w, 500))
            shut(c);
        return err_set(err, ERR_IO, "the kernel refuses");
    }
    switch (e->kind) {
    case KEEPER_FENCE:
        return w->opt.mutant == MUTANT_NOT_FROZEN ? 0 : sim_fence(c, e->epoch, err);
    case KEEPER_MANAGE:
        if (!c->managed) {
            check_first_gate(w, h);
            *c = (struct cell){.managed = true};
        }
        return 0;
    case KEEPER_ADOPT:
        return sim_adopt(w, h, &e->lease, err);
    case KEEPER_UNMANAGE:
        *c = (struct cell){0};
        return 0;
    case KEEPER_CLOSE:
        return sim_close(c, e->epoch, err);
    case KEEPER_ARM:
        return c->managed ? sim_arm(w, h, e, err) : err_set(err, ERR_NOTFOUND, "none");
    case KEEPER_BESIDE:
    case KEEPER_GUESTS:
    case KEEPER_TRY:
    case KEEPER_SYNC:
    case KEEPER_PROOF:
    case KEEPER_RENEW:
    case KEEPER_EFFECT_COUNT:
        break;
    }
    return 0;
}

/* ---- effects --------------------------------------------------------------------------
 */

static void say_proof(struct pair *w, uint8_t h, const struct keeper_effect *e)
{
    struct msg m = {.kind = MSG_PROOF, .inc = w->hosts[h].inc};

    m.proof.epoch = e->epoch;
    m.proof.fence_index = e->fence_index;
    m.proof.installed = e->installed;
    pair_note(w, "host %u proves %s, epoch %" PRIu64, h,
              e->installed ? "installed" : "a fence", e->epoch);
    pair_host_says(w, h, &m);
    /* Proofs are repeated by every way until the log has one: a copy may come behind it. */
    if (w->noisy && pair_chance(w, 400))
        pair_host_echoes(w, &m);
}

static void say_renewal(struct pair *w, uint8_t h, const struct keeper_renewal *r)
{
    struct msg m = {.kind = MSG_RENEW, .inc = w->hosts[h].inc};

    ASSERT(r->count == 1);
    m.renew.seq = r->seq;
    m.renew.sent = r->sent;
    m.renew.epoch = r->items[0].epoch;
    m.renew.kind = r->items[0].kind;
    pair_host_says(w, h, &m);
}

static void begin_sync(struct pair *w, uint8_t h, const struct epoch_table *table)
{
    uint64_t us = w->noisy && pair_chance(w, 100) ? pair_between(w, 50000, 1500000)
                                                  : pair_between(w, 100, 10000);

    w->hosts[h].sync_table = *table;
    (void)pair_at(w, w->now + us * 1000, EV_SYNCED, (uint8_t)(CTLS + h));
}

void host_synced(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];

    if (!host->disk_bad)
        host->disk = host->sync_table;
    keeper_synced(&host->k, !host->disk_bad, host_now(w, h));
    host_pump(w, h);
}

static void carry_out(struct pair *w, uint8_t h, const struct keeper_effect *e)
{
    struct host *host = &w->hosts[h];
    struct err err = {0};

    if (e->kind == KEEPER_SYNC) {
        begin_sync(w, h, e->table);
        return;
    }
    if (e->kind == KEEPER_RENEW) {
        say_renewal(w, h, &e->renewal);
        return;
    }
    if (e->kind == KEEPER_PROOF) {
        say_proof(w, h, e);
        return;
    }
    if (run_gate(w, h, e, &err) == 0 && e->kind == KEEPER_ARM && !host->gate.managed)
        pair_fail(w, "host %u armed a gate that is not managed", h);
    if (e->kind != KEEPER_ARM || e->how == GATE_REOPEN || err.code != 0)
        pair_note(w, "host %u: %s epoch %" PRIu64 " mode %d: %s", h,
                  keeper_effect_name(e->kind), e->epoch, (int)e->lease.mode, err.text);
    keeper_done(&host->k, e, &err, host_now(w, h));
}

void host_pump(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];
    struct keeper_effect e;

    if (!host->alive || host->frozen_until > w->now)
        return;
    for (int n = 0; keeper_next(&host->k, host_now(w, h), &e) ||
                    keeper_next_trial(&host->k, host_now(w, h), &e);
         n++) {
        ASSERT(n < 512);
        /* SIGSTOP between the decision and the act; the act comes late. */
        if (w->noisy && e.kind != KEEPER_SYNC && pair_chance(w, 1)) {
            host->held = e;
            host->holding = true;
            host->frozen_until = w->now + pair_between(w, 50, 4000) * NS_PER_MS;
            pair_note(w, "host %u stops before %s", h, keeper_effect_name(e.kind));
            (void)pair_at(w, host->frozen_until, EV_THAW, (uint8_t)(CTLS + h));
            return;
        }
        carry_out(w, h, &e);
    }
}

void host_thaw(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];

    if (host->holding) {
        carry_out(w, h, &host->held);
        host->holding = false;
    }
    host_pump(w, h);
}

static void say_hello(struct pair *w, uint8_t h)
{
    struct msg m = {.kind = MSG_HELLO, .inc = w->hosts[h].inc};

    m.hello.highest = w->hosts[h].disk.count != 0 ? w->hosts[h].disk.of[0].highest : 0;
    pair_host_says(w, h, &m);
}

void host_tick(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];

    (void)pair_at(w, w->now + (uint64_t)RENEW_MS * NS_PER_MS, EV_TICK, (uint8_t)(CTLS + h));
    if (w->now >= host->hello_at) {
        host->hello_at = w->now + 1000ull * NS_PER_MS;
        say_hello(w, h);
    }
    keeper_tick(&host->k);
    host_pump(w, h);
    if (host->alive && host->frozen_until <= w->now)
        steps_report(w, h);
}

/* ---- what controllers say -------------------------------------------------------------
 */

static void on_assign(struct pair *w, uint8_t h, const struct msg *m)
{
    struct host *host = &w->hosts[h];
    struct err err = {0};
    uint8_t slot;

    if (m->assign.term < host->assign_term || !incarnation_equal(&m->inc, &host->inc))
        return;
    host->assign_term = m->assign.term;
    if (keeper_assign(&host->k, &m->inc, &m->assign.a, &slot, &err) == 0)
        host->d = m->assign.d;
}

void host_handle(struct pair *w, uint8_t h, const struct msg *m)
{
    struct host *host = &w->hosts[h];
    struct err err = {0};

    if (m->kind == MSG_ASSIGN) {
        on_assign(w, h, m);
    } else if (m->kind == MSG_ACK) {
        struct keeper_ack ack = {
            .seq = m->ack.seq, .sent = m->ack.sent, .incarnation = m->inc, .count = 1};

        ack.items[0] = m->ack.v;
        (void)keeper_ack(&host->k, &ack, host_now(w, h));
    } else if (m->kind == MSG_FENCE_ORDER) {
        struct keeper_fence_order o = {
            .to = m->inc, .epoch = m->fence.epoch, .fence_index = m->fence.fence_index};

        snprintf(o.group, sizeof o.group, "orders");
        if (keeper_fence_order(&host->k, &o, &err) != 0)
            pair_note(w, "host %u: %s", h, err.text);
    } else if (m->kind == MSG_STEP_ORDER && incarnation_equal(&m->inc, &host->inc)) {
        steps_order(w, h, &m->order);
    }
    host_pump(w, h);
}

/* ---- life -----------------------------------------------------------------------------
 */

static void new_incarnation(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];

    host->incarnations++;
    memset(&host->inc, 0, sizeof host->inc);
    host->inc.bytes[0] = (uint8_t)(h + 1);
    memcpy(&host->inc.bytes[16], &host->incarnations, sizeof host->incarnations);
    for (uint8_t i = 0; i < host->disk.count; i++)
        host->disk.of[i].tried = false;
}

void host_start(struct pair *w, uint8_t h, bool same_life)
{
    struct host *host = &w->hosts[h];

    if (host->alive)
        return;
    pair_note(w, "host %u: the agent starts, %s life", h, same_life ? "same" : "new");
    host->life++;
    if (!same_life)
        new_incarnation(w, h);
    host->alive = true;
    host->frozen_until = 0;
    host->holding = false;
    host->assign_term = 0;
    host->d = (struct duties){0};
    host->hello_at = host->hung_since = 0;
    memset(&host->shrink, 0, sizeof host->shrink);
    memset(&host->steps.running, 0, sizeof host->steps.running);
    memset(&host->steps.result, 0, sizeof host->steps.result);
    keeper_core_init(&host->k, &host->inc, &host->disk);
    if (host->gate.managed &&
        (!same_life ||
         !keeper_gate_found(&host->k,
                            &(struct keeper_found){.port = PORT, .gate = host->gate.st}))) {
        keeper_gate_stray(&host->k,
                          &(struct keeper_found){.port = PORT, .gate = host->gate.st});
        shut(&host->gate);
    }
    keeper_clock(&host->k, true, 0);
    (void)pair_at(w, w->now, EV_TICK, (uint8_t)(CTLS + h));
    (void)pair_at(w, w->now + pair_between(w, 0, 50) * NS_PER_MS, EV_LOOK,
                  (uint8_t)(CTLS + h));
    host_pump(w, h);
}

/* A sync that was under way may or may not have reached the disk. */
void host_crash(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];

    if (!host->alive)
        return;
    pair_note(w, "host %u: the agent is killed", h);
    if (host->k.syncing && !host->disk_bad && pair_chance(w, 500))
        host->disk = host->sync_table;
    host->alive = false;
    host->life++;
}

/* The gate is gone with the kernel, and so is the server. */
void host_reboot(struct pair *w, uint8_t h)
{
    struct host *host = &w->hosts[h];

    host_crash(w, h);
    pg_crash(w, h);
    memset(&host->steps.running, 0, sizeof host->steps.running);
    host->gate = (struct cell){0};
    pair_note(w, "host %u reboots", h);
}
