#include "controller/daemon/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/daemon/agents.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/fencers.h"
#include "controller/daemon/frontend.h"
#include "controller/daemon/holds.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"

struct runner {
    struct daemon *d;
    uv_prepare_t soon; /* runs before the loop waits */
    uv_idle_t again_now;
    bool woken;
    uv_timer_t again;
    unsigned handles;
    struct mono transferred; /* last try to hand leadership over */
    struct err last;         /* refusal that was logged last */
    struct mono last_at;
    struct actions *actions; /* megabytes; decide() writes what is read of it */
    struct holds holds;
};

/* One proposal of decide() whose fate is not known. */
struct proposed {
    struct runner *r;
    char group[NAME_SIZE];
    const char *rule;
};

/* ---- proposals ----------------------------------------------------------------------- */

static void set_busy(struct runner *r, const char *group, bool busy)
{
    const struct state *s = node_state(r->d->node);
    const struct group *g = state_group_const(s, group);

    if (g != NULL)
        node_seen(r->d->node)->groups[g - s->groups].busy = busy;
}

static void log_refused(struct runner *r, const char *rule, const struct err *err)
{
    struct mono now = mono_now();

    if (strcmp(r->last.text, err->text) == 0 && mono_since_ms(r->last_at, now) < 10000)
        return;
    r->last = *err;
    r->last_at = now;
    log_warn("%s: %s", rule, err->text);
}

static void on_done(void *owner, int status, uint64_t index, const struct apply_result *res)
{
    AUTO(auto_free) struct proposed *p = owner;

    if (p->r->d->closing)
        return;
    set_busy(p->r, p->group, false);
    if (status != 0)
        log_info("%s for group %s: outcome unknown, leadership has changed", p->rule,
                 p->group);
    else if (res->refusal != ACCEPTED)
        log_info("entry %" PRIu64 ", %s for group %s, was refused (%s): %s", index, p->rule,
                 p->group, refusal_name(res->refusal), res->text);
    runner_wake(p->r);
}

/* A row that was refused in its dry run: the ones behind it have had their say. */
static void tell_held(struct runner *r, const struct held_back *h)
{
    const struct state *s = node_state(r->d->node);
    struct err err = {0};

    (void)err_set(&err, ERR_REFUSED, "not proposed for group %s (%s): %s",
                  s->groups[h->group].name, refusal_name(h->refusal), h->text);
    log_refused(r, h->rule, &err);
}

static void propose(struct runner *r, const struct action *a)
{
    const struct state *s = node_state(r->d->node);
    AUTO(auto_free) struct proposed *p = malloc(sizeof *p);
    struct err err = {0};
    int status;

    if (p == NULL)
        return;
    *p = (struct proposed){.r = r, .rule = a->rule};
    (void)snprintf(p->group, sizeof p->group, "%s", s->groups[a->group].name);
    status = node_propose(r->d->node, &a->entry, on_done, p, NULL, &err);
    if (status != 0) {
        if (status != ERR_NOTLEADER)
            log_refused(r, a->rule, &err);
        return;
    }
    set_busy(r, p->group, true);
    (void)TAKE(p);
}

/* ---- leadership ---------------------------------------------------------------------- */

static void transfer(struct runner *r, const struct action *a)
{
    struct mono now = mono_now();
    struct err err = {0};

    if (mono_is_set(r->transferred) &&
        mono_since_ms(r->transferred, now) < RUNNER_TRANSFER_MS)
        return;
    r->transferred = now;
    if (node_transfer(r->d->node, a->controller_id, &err) != 0) {
        log_debug("leadership stays here: %s", err.text);
        return;
    }
    node_seen(r->d->node)->transfer_pending = true;
    log_info("leadership goes to controller %s (%s)",
             peers_name(r->d->peers, a->controller_id), a->rule);
}

static void look_at_voters(struct runner *r)
{
    const struct state *s = node_state(r->d->node);
    struct observations *o = node_seen(r->d->node);
    struct driver_status status;

    node_status(r->d->node, &status);
    if (status.transferee == 0)
        o->transfer_pending = false;
    for (unsigned i = 0; i < s->controller_count; i++) {
        bool self = s->controllers[i].id == o->self_id;

        o->controllers[i].caught_up = self;
        if (self)
            o->controllers[i].heard = mono_now();
        for (unsigned k = 0; k < status.n_peers; k++)
            if (status.peers[k].id == s->controllers[i].id)
                o->controllers[i].caught_up = status.peers[k].caught_up;
    }
}

/* ---- the turn ------------------------------------------------------------------------ */

static void carry_out(struct runner *r, const struct action *a)
{
    switch (a->kind) {
    case ACT_PROPOSE:
        propose(r, a);
        break;
    case ACT_ORDER_STEP:
        agents_order_step(r->d->agents, a->group, a->instance);
        break;
    case ACT_ORDER_FENCE:
        agents_order_fence(r->d->agents, a->group, a->instance);
        break;
    case ACT_ORDER_SEVER:
        agents_order_sever(r->d->agents, a->group, a->instance);
        break;
    case ACT_ORDER_POWER:
        fencers_power_off(r->d->fencers, a->group, a->instance);
        break;
    case ACT_TRANSFER:
        transfer(r, a);
        break;
    }
}

static void on_again(uv_timer_t *timer);

static void ask_again_at(struct runner *r, struct mono at)
{
    struct mono now = mono_now();
    /* One millisecond more: a timer that fires just before `at` would be asked in vain. */
    uint64_t in_ms = at.ns > now.ns ? (at.ns - now.ns) / NS_PER_MS + 1 : 0;

    if (in_ms < RUNNER_SOONEST_MS)
        in_ms = RUNNER_SOONEST_MS;
    if (in_ms > RUNNER_LATEST_MS)
        in_ms = RUNNER_LATEST_MS;
    uv_update_time(r->again.loop);
    (void)uv_timer_start(&r->again, on_again, in_ms, 0);
}

static void turn(struct runner *r)
{
    r->woken = false;
    if (r->d->closing)
        return;
    look_at_voters(r);
    fencers_look(r->d->fencers);
    /* I4: a fresh reading; nothing is counted from the loop's cached time. */
    decide(node_state(r->d->node), node_seen(r->d->node), mono_now(), r->actions);
    /* What the log says goes first: an order is judged by it. */
    agents_flush(r->d->agents);
    for (unsigned i = 0; i < r->actions->held_count; i++)
        tell_held(r, &r->actions->held[i]);
    for (unsigned i = 0; i < r->actions->count; i++)
        carry_out(r, &r->actions->list[i]);
    holds_look(&r->holds, r->d->node, mono_now());
    frontend_changed(r->d->frontend);
    ask_again_at(r, r->actions->again);
}

static void on_again(uv_timer_t *timer) { turn(timer->data); }

static void on_again_now(uv_idle_t *idle) { (void)uv_idle_stop(idle); }

/* Whatever has woken us in this round of the loop, one turn before it waits. What the turn
 * itself has woken us for comes in a round of its own, which does not wait. */
static void on_soon(uv_prepare_t *prepare)
{
    struct runner *r = prepare->data;

    if (!r->woken)
        return;
    turn(r);
    if (r->woken)
        (void)uv_idle_start(&r->again_now, on_again_now);
}

void runner_applied(struct runner *r, const struct entry *e)
{
    if (r != NULL && e->kind == ENTRY_REFUSED)
        holds_told(&r->holds, node_state(r->d->node), e->group, e->refused.hold,
                   mono_now());
}

void runner_wake(struct runner *r)
{
    if (r != NULL)
        r->woken = true;
}

/* ---- life ---------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct runner *r = handle->data;

    if (--r->handles > 0)
        return;
    free(r->actions);
    free(r);
}

int runner_open(struct runner **ret_runner, struct daemon *d, struct err *err)
{
    struct runner *r = calloc(1, sizeof *r);

    if (r != NULL)
        r->actions = malloc(sizeof *r->actions);
    if (r == NULL || r->actions == NULL) {
        free(r);
        return err_set(err, ERR_NOMEM, "decisions");
    }
    r->d = d;
    (void)uv_prepare_init(d->loop, &r->soon); /* these cannot fail */
    (void)uv_idle_init(d->loop, &r->again_now);
    (void)uv_timer_init(d->loop, &r->again);
    r->soon.data = r->again_now.data = r->again.data = r;
    r->handles = 3;
    (void)uv_prepare_start(&r->soon, on_soon);
    *ret_runner = r;
    runner_wake(r);
    return 0;
}

void runner_close(struct runner *r)
{
    if (r == NULL)
        return;
    uv_close((uv_handle_t *)&r->soon, on_closed);
    uv_close((uv_handle_t *)&r->again_now, on_closed);
    uv_close((uv_handle_t *)&r->again, on_closed);
}
