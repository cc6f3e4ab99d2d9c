/* The lease keeper's orders to the guard.
 *
 * The order of the two writes (I3): the guard's first, then the gate's. Both are told the
 * one deadline that the grant allows, so neither ever permits more than the lease, and
 * whichever is late only acts earlier. What the order is for is the opening: no packet
 * passes a gate of whose deadline the guard knows nothing, though the agent dies between
 * the two. A deadline that the gate then refuses stands with the guard alone, and is put
 * right by keeper_guard_tell() at the end of the same turn; were the agent dead by then,
 * the gate is closed, in place, and the guard leaves the server to it. A server that is
 * adopted serves already, and the gate may not rule its port yet: then the guard, which
 * looks for the port too, ends it by that deadline. */
#include "fencing/agent/guard_link.h"
#include "fencing/agent/keeper_orders.h"
#include "fencing/agent/keeper_private.h"

#include "controller/base/log.h"
#include "controller/base/text.h"

static const char default_run_dir[] = "/run/ringfence-agent";

static enum guard_when when(const struct keeper *k)
{
    return k->parts.settings->guard == SETTINGS_GUARD_EXPIRED ? GUARD_WHEN_EXPIRED
                                                              : GUARD_WHEN_MISSING;
}

static void write_order(struct keeper *k, const struct guard_order *order)
{
    if (order->group[0] != '\0' && !guard_link_order(k->guard, order))
        text_set(k->health.guard.problem, sizeof k->health.guard.problem,
                 "its page is full: group %.23s has no second line", order->group);
}

/* As it was found by the look that comes with each renewal. */
static void tell_gate(struct keeper *k)
{
    struct guard_gate gate;

    gate_witness(k->gate, &gate);
    guard_link_gate(k->guard, &gate);
}

void keeper_guard_open(struct keeper *k)
{
    const struct agent_settings *s = k->parts.settings;
    struct guard_link_spec spec = {
        .loop = &k->loop,
        .run_dir = s->run_dir[0] != '\0' ? s->run_dir : default_run_dir,
        .agent = s->name,
        .watchdog = s->watchdog,
    };
    struct err err = {0};

    if (s->guard == SETTINGS_GUARD_OFF)
        return;
    k->health.guard.wanted = true;
    if (guard_link_open(&k->guard, &spec, &err) == 0) {
        tell_gate(k);
        return;
    }
    log_error("there is no guard behind the gate: %s", err.text);
    text_set(k->health.guard.problem, sizeof k->health.guard.problem, "%s", err.text);
}

void keeper_guard_close(struct keeper *k) { guard_link_close(TAKE(k->guard)); }

void keeper_guard_tick(struct keeper *k)
{
    if (k->guard == NULL)
        return;
    tell_gate(k);
    guard_link_tick(k->guard);
    guard_link_health(k->guard, &k->health.guard);
}

void keeper_guard_before(struct keeper *k, const struct keeper_effect *e)
{
    const struct keeper_slot *s = &k->core.slots[e->slot];
    struct guard_order order;

    if (k->guard == NULL || !guard_link_read(k->guard, s->a.group, &order))
        return;
    keeper_order_before(s, &e->lease, when(k), &order);
    write_order(k, &order);
}

void keeper_guard_tell(struct keeper *k)
{
    struct guard_order order;

    if (k->guard == NULL)
        return;
    for (uint8_t i = 0; i < k->core.want.count; i++) {
        const struct keeper_slot *s = &k->core.slots[i];

        if (!guard_link_read(k->guard, s->a.group, &order))
            continue;
        keeper_order(s, when(k), &order);
        write_order(k, &order);
    }
}
