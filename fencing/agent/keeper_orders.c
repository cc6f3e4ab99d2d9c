#include "fencing/agent/keeper_orders.h"

#include <string.h>

static uint64_t end_of(struct boot deadline)
{
    return deadline.ns >= GATE_FOREVER.ns ? UINT64_MAX : deadline.ns;
}

/* A standby acknowledges nothing, and reads are its lease's matter. One that was seen in
 * recovery before this role began may have been promoted since. */
static bool is_plain_standby(const struct keeper_slot *s)
{
    bool holds = s->gate.mode != GATE_CLOSED && s->gate.deadline.ns != GATE_FOREVER.ns;

    return keeper_may_read(s) && !holds;
}

static bool is_known_down(const struct keeper_slot *s)
{
    return s->server.state == KEEPER_SERVER_DOWN && s->server.stopped;
}

static void note_server(const struct keeper_slot *s, struct guard_order *order)
{
    const struct guard_life *now = &s->server.process.postmaster;
    const struct guard_life *told = &order->process.postmaster;

    /* A lease that is over was another postmaster's: this one has been started since, by a
     * step, and what it may do is its gate's matter until it is granted one. */
    if (now->pid != 0 && (now->pid != told->pid || now->start_ms != told->start_ms)) {
        order->process = s->server.process;
        order->lease_until_ns = 0;
    }
    order->ttl_ms = s->a.ttl_ms;
    order->port = s->a.port;
    memcpy(order->group, s->a.group, sizeof order->group);
}

static void disarm(struct guard_order *order)
{
    order->armed = order->open_until_ns = order->lease_until_ns = 0;
}

void keeper_order(const struct keeper_slot *s, enum guard_when when,
                  struct guard_order *order)
{
    if (s->assigned && s->a.role == ROLE_DETACHED) {
        disarm(order);
        return;
    }
    /* A restart, or a gate that cannot be had: what was told before stands. */
    if (!s->assigned || !s->managed || s->server.state == KEEPER_SERVER_UNKNOWN)
        return;
    note_server(s, order);
    order->when = when;
    if (is_known_down(s) || is_plain_standby(s)) {
        disarm(order);
        return;
    }
    if (order->process.postmaster.pid == 0 || s->server.state == KEEPER_SERVER_DOWN)
        return; /* nobody to stop yet; or its last processes end, as far as is known */
    order->armed = 1;
    order->open_until_ns = s->gate.mode == GATE_CLOSED ? 0 : end_of(s->gate.deadline);
    if (s->gate.mode != GATE_CLOSED && s->gate.deadline.ns != GATE_FOREVER.ns)
        order->lease_until_ns = s->gate.deadline.ns;
}

void keeper_order_before(const struct keeper_slot *s, const struct gate_lease *lease,
                         enum guard_when when, struct guard_order *order)
{
    if (lease->deadline.ns >= GATE_FOREVER.ns || s->server.process.postmaster.pid == 0 ||
        s->server.state == KEEPER_SERVER_DOWN)
        return;
    note_server(s, order);
    order->when = when;
    order->armed = 1;
    if (order->open_until_ns < lease->deadline.ns)
        order->open_until_ns = lease->deadline.ns;
    if (order->lease_until_ns < lease->deadline.ns)
        order->lease_until_ns = lease->deadline.ns;
}
