/* Effects: what the core decided, carried out on gate, disk and links. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/mutant.h"
#include "controller/base/text.h"
#include "fencing/agent/keeper_private.h"

/* ---- the epoch file -------------------------------------------------------------------
 */

void keeper_on_synced(void *owner, const struct err *why, uint32_t took_us)
{
    struct keeper *k = owner;
    bool was_ok = k->health.state_problem[0] == 0;

    k->health.sync_us = took_us;
    if (why == NULL && !was_ok)
        log_info("the state file can be written again");
    else if (why != NULL && was_ok)
        log_error("no epoch can be taken up: %s", why->text);
    text_set(k->health.state_problem, sizeof k->health.state_problem, "%s",
             why != NULL ? why->text : "");
    keeper_synced(&k->core, why == NULL, boot_now());
    keeper_pump(k);
}

static void start_sync(struct keeper *k, const struct epoch_table *table)
{
    k->contents.epochs = *table;
    syncer_write(k->syncer, &k->contents);
}

/* ---- the gate -------------------------------------------------------------------------
 */

static int manage(struct keeper *k, struct keeper_effect *e, struct err *err)
{
    const struct keeper_slot *s = &k->core.slots[e->slot];
    int status =
        gate_manage(k->gate, e->port, s->a.peers, s->assigned ? s->a.peer_count : 0, err);

    return status != 0 ? status : gate_read(k->gate, e->port, &e->found, err);
}

static int adopt(struct keeper *k, const struct keeper_effect *e, struct err *err)
{
    const struct keeper_slot *s = &k->core.slots[e->slot];

    return gate_manage_live(k->gate, e->port, s->a.peers, s->a.peer_count, &e->lease, err);
}

/* What is in use is not let go (keeper_beside.c says why). */
static int put_beside(struct keeper *k, struct keeper_effect *e, struct err *err)
{
    uint16_t in_gate[GATE_ALSO_MAX];
    size_t n = gate_also(k->gate, e->port, in_gate, GATE_ALSO_MAX);

    for (size_t i = 0; i < n && i < GATE_ALSO_MAX; i++) {
        if (also_ports_has(&e->also, in_gate[i]) || !gate_port_in_use(in_gate[i]))
            continue;
        if (!also_ports_add(&e->also, in_gate[i]))
            return err_set(err, ERR_FULL,
                           "port %u is not listed any more, but in use, and there is no "
                           "room for the others beside it: stop what is bound to it",
                           in_gate[i]);
    }
    return gate_set_also(k->gate, e->port, e->also.of, e->also.count, err);
}

static int set_guests(struct keeper *k, const struct keeper_effect *e, struct err *err)
{
    const struct keeper_assignment *a = &k->core.slots[e->slot].a;
    struct gate_guest guests[GATE_GUESTS_MAX];
    size_t n = 0;

    _Static_assert(GATE_GUESTS_MAX >= KEEPER_EXCEPTIONS_MAX * (1 + KEEPER_ALSO_MAX),
                   "no room for each exception at each port");
    for (uint8_t i = 0; e->admit && i < a->exception_count; i++)
        for (uint8_t p = 0; p <= e->also.count; p++)
            guests[n++] =
                (struct gate_guest){p == 0 ? e->port : e->also.of[p - 1], a->exceptions[i]};
    return gate_set_guests(k->gate, e->port, guests, n, err);
}

static int run_gate(struct keeper *k, struct keeper_effect *e, struct err *err)
{
    struct gate_proof proof;

    switch (e->kind) {
    case KEEPER_FENCE:
        return MUTANT(fence_without_gate,
                      gate_fence(k->gate, e->port, e->epoch, &proof, err), 0);
    case KEEPER_MANAGE:
        return manage(k, e, err);
    case KEEPER_ADOPT:
        return adopt(k, e, err);
    case KEEPER_UNMANAGE:
        return gate_unmanage(k->gate, e->port, err);
    case KEEPER_BESIDE:
        return put_beside(k, e, err);
    case KEEPER_GUESTS:
        return set_guests(k, e, err);
    case KEEPER_CLOSE:
        return gate_close(k->gate, e->port, e->epoch, err);
    case KEEPER_TRY:
        return gate_try(k->gate, e->port, err);
    case KEEPER_ARM:
        return gate_arm(k->gate, e->port, &e->lease, e->how, err);
    case KEEPER_SYNC:
    case KEEPER_PROOF:
    case KEEPER_RENEW:
    case KEEPER_EFFECT_COUNT:
        break;
    }
    return 0;
}

static const char *mode_name(enum gate_mode mode)
{
    return mode == GATE_OPEN ? "open" : mode == GATE_REPLICATION ? "replication" : "closed";
}

/* One line for each thing that happened to a gate; renewals are no news. */
static void log_gate(const struct keeper *k, const struct keeper_effect *e,
                     const struct gate_state *before)
{
    const char *group = k->core.want.of[e->slot].group;

    if (e->kind == KEEPER_ARM &&
        (before->mode != e->lease.mode || before->epoch != e->lease.epoch))
        log_info("%s: the gate of port %u is %s in epoch %" PRIu64, group, e->port,
                 mode_name(e->lease.mode), e->lease.epoch);
    else if (e->kind == KEEPER_FENCE)
        log_info("%s: port %u is fenced for good up to epoch %" PRIu64, group, e->port,
                 e->epoch);
    else if (e->kind == KEEPER_GUESTS)
        log_info("%s: port %u: exceptions are %s", group, e->port,
                 e->admit ? "admitted, the server is in recovery" : "shown out");
    else if (e->kind != KEEPER_ARM)
        log_info("%s: %s port %u", group, keeper_effect_name(e->kind), e->port);
}

static void log_beside(const struct keeper *k, const struct keeper_effect *e,
                       const struct also_ports *before)
{
    const char *group = k->core.want.of[e->slot].group;

    for (uint8_t i = 0; i < e->also.count; i++)
        if (!also_ports_has(before, e->also.of[i]))
            log_info("%s: port %u is gated with port %u", group, e->also.of[i], e->port);
    for (uint8_t i = 0; i < before->count; i++)
        if (!also_ports_has(&e->also, before->of[i]))
            log_info("%s: port %u is not gated any more", group, before->of[i]);
}

static void act_on_gate(struct keeper *k, struct keeper_effect *e)
{
    struct keeper_slot *s = &k->core.slots[e->slot];
    const struct also_ports also = k->core.want.of[e->slot].also;
    struct gate_state before = s->gate;
    char old[KEEPER_PROBLEM_SIZE];
    struct err err = {0};

    memcpy(old, s->problem, sizeof old);
    if (e->kind == KEEPER_ARM || e->kind == KEEPER_ADOPT)
        keeper_guard_before(k, e);
    if (e->kind == KEEPER_UNMANAGE) /* what is let go on purpose is not to be stopped */
        keeper_guard_tell(k);
    err.code = run_gate(k, e, &err);
    keeper_done(&k->core, e, &err, boot_now());
    if (err.code == 0 && e->kind == KEEPER_BESIDE)
        log_beside(k, e, &also);
    else if (err.code == 0)
        log_gate(k, e, &before);
    else if (strcmp(old, s->problem) != 0)
        log_error("%s: %s", k->core.want.of[e->slot].group, s->problem);
}

/* Said once, of what is known to run; a server that was not looked at yet is no news. */
static void log_holds(struct keeper *k)
{
    for (uint8_t i = 0; i < k->core.want.count; i++) {
        const char *hold = keeper_hold(&k->core, i);
        uint64_t bit = (uint64_t)1 << i;

        if (hold != NULL && k->core.slots[i].server.state != KEEPER_SERVER_PRIMARY)
            continue;
        if (hold != NULL && (k->holds_logged & bit) == 0)
            log_warn("%s: %s", k->core.want.of[i].group, hold);
        if (hold != NULL)
            k->holds_logged |= bit;
        else
            k->holds_logged &= ~bit;
    }
}

static void act(struct keeper *k, struct keeper_effect *e)
{
    switch (e->kind) {
    case KEEPER_SYNC:
        start_sync(k, e->table);
        break;
    case KEEPER_RENEW:
        keeper_say_renew(k, &e->renewal);
        break;
    case KEEPER_PROOF:
        keeper_say_proof(k, e);
        break;
    case KEEPER_FENCE:
    case KEEPER_MANAGE:
    case KEEPER_ADOPT:
    case KEEPER_UNMANAGE:
    case KEEPER_BESIDE:
    case KEEPER_GUESTS:
    case KEEPER_CLOSE:
    case KEEPER_TRY:
        k->told_all.ns = 0; /* the next tick tells what has become of it */
        act_on_gate(k, e);
        break;
    case KEEPER_ARM:
        act_on_gate(k, e);
        break;
    case KEEPER_EFFECT_COUNT:
        ASSERT(false);
    }
}

/* True: all that can be done now is done. */
static bool act_on_all(struct keeper *k)
{
    const struct boot began = boot_now();
    struct keeper_effect e;

    for (int n = 0; keeper_next(&k->core, boot_now(), &e); n++) {
        ASSERT(n < KEEPER_EFFECTS_MAX);
        act(k, &e);
        if (keeper_turn_is_over(began, boot_now()))
            return false;
    }
    return true;
}

static void go_on(struct keeper *k, bool all_done)
{
    k->more = !all_done || keeper_has_trial(&k->core, boot_now());
    if (k->more)
        bell_ring(k->bell);
    log_holds(k);
    keeper_guard_tell(k);
    keeper_publish(k);
}

void keeper_pump(struct keeper *k) { go_on(k, act_on_all(k)); }

/* Many frames may wait in many sockets, and each of them is followed by keeper_pump(): were
 * there a trial in that, the answer to a renewal could wait for as many trials. */
void keeper_pump_bell(struct keeper *k)
{
    struct keeper_effect e;
    bool all_done = act_on_all(k);

    if (all_done && keeper_next_trial(&k->core, boot_now(), &e)) {
        act(k, &e);
        all_done = act_on_all(k);
    }
    go_on(k, all_done);
}

void keeper_publish(struct keeper *k)
{
    struct boot now = boot_now();

    for (uint8_t i = 0; i < k->core.want.count; i++) {
        struct keeper_view v;

        keeper_view(&k->core, i, now, &v);
        board_put_view(k->parts.board, i, &v);
    }
    k->health.counts = k->core.counts;
    k->health.incarnation = k->core.me;
    k->health.at = now;
    keeper_links_health(k);
    board_put_health(k->parts.board, &k->health);
}
