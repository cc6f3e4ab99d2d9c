/* The front: what may be written, in which order, whatever the driver. */
#include "fencing/gate/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/base/mutant.h"
#include "fencing/gate/clockcheck.h"
#include "fencing/gate/courtesy.h"
#include "fencing/gate/gate_internal.h"
#include "fencing/gate/gate_rules.h"
#include "fencing/gate/sockdestroy.h"

int gate_random(uint8_t *bytes, size_t n, struct err *err)
{
    if (getrandom(bytes, n, 0) != (ssize_t)n)
        return err_errno(err, errno, "getrandom");
    return 0;
}

int gate_boot_id(char *text, size_t size, struct err *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    n = read(fd, text, size - 1);
    if (n <= 0)
        return err_errno(err, n < 0 ? errno : EIO, "%s", path);
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 0;
}

void gate_witness(const struct gate *gate, struct guard_gate *ret_gate)
{
    gate->ops->witness(gate, ret_gate);
}

struct gate_port *gate_port_of(const struct gate *gate, uint16_t port)
{
    for (size_t i = 0; i < gate->n_ports; i++)
        if (gate->ports[i].port == port)
            return (struct gate_port *)&gate->ports[i];
    return NULL;
}

static int find_port(const struct gate *gate, uint16_t port, struct gate_port **ret_port,
                     struct err *err)
{
    *ret_port = gate_port_of(gate, port);
    return *ret_port != NULL ? 0
                             : err_set(err, ERR_NOTFOUND, "port %u is not managed", port);
}

/* --- courtesy, which never fails the caller --------------------------------------------
 */

static struct boot open_until(const struct gate_state *state)
{
    return state->mode == GATE_OPEN ? state->deadline : (struct boot){0};
}

/* Before a gate opens that was not open: the resets end first. */
static void tell_opening(struct gate *gate, const struct gate_port *p,
                         const struct gate_state *was, const struct gate_lease *lease)
{
    const bool was_open = was->mode == GATE_OPEN && was->deadline.ns > boot_now().ns;

    if (gate->courtesy == NULL || lease->mode != GATE_OPEN || was_open)
        return;
    for (size_t i = 0; gate_port_at(p, i) != 0; i++)
        courtesy_opening(gate->courtesy, gate_port_at(p, i), lease->deadline);
}

static void tell_courtesy(struct gate *gate, const struct gate_port *p,
                          const struct gate_state *state)
{
    for (size_t i = 0; gate->courtesy != NULL && gate_port_at(p, i) != 0; i++)
        courtesy_open(gate->courtesy, gate_port_at(p, i), open_until(state));
}

/* Peers come to the instance's own port, guests to that which they were let in to; neither
 * is ever reset. */
static void put_courtesy(struct gate *gate, const struct gate_port *p, uint16_t port,
                         struct boot until)
{
    struct gate_addr known[COURTESY_PEERS_MAX];
    size_t n = port == p->port ? p->n_peers : 0;

    memcpy(known, p->peers, n * sizeof known[0]);
    for (size_t i = 0; i < p->n_guests; i++)
        if (p->guests[i].port == port)
            known[n++] = p->guests[i].addr;
    courtesy_put(gate->courtesy, port, known, n, until);
}

void gate_courtesy_about(struct gate *gate, const struct gate_port *p)
{
    struct gate_state state;

    if (gate->courtesy == NULL || gate->ops->read(gate, p, &state, NULL) != 0)
        return;
    for (size_t i = 0; gate_port_at(p, i) != 0; i++)
        put_courtesy(gate, p, gate_port_at(p, i), open_until(&state));
}

int gate_warning(struct gate *gate, struct err *ret_warning)
{
    *ret_warning = (struct err){.code = 0};
    return gate->courtesy == NULL ? 0 : courtesy_warning(gate->courtesy, ret_warning);
}

/* --- managing ports --------------------------------------------------------------------
 */

static int replace_peers(struct gate *gate, struct gate_port *p,
                         const struct gate_addr *peers, size_t n, struct err *err)
{
    int r;

    if (n > GATE_PEERS_MAX)
        return err_set(err, ERR_FULL, "port %u: %zu peers, at most %d", p->port, n,
                       GATE_PEERS_MAX);
    ASSERT(p != NULL);
    ASSERT(n == 0 || peers != NULL);
    r = gate->ops->set_peers(gate, p, peers, n, err);
    if (r != 0)
        return r;
    if (n > 0)
        memcpy(p->peers, peers, n * sizeof *peers);
    p->n_peers = n;
    return 0;
}

static int put_under(struct gate *gate, uint16_t port, const struct gate_addr *peers,
                     size_t n, const struct gate_state *state, struct err *err)
{
    struct gate_port *p;
    int r;

    if (port == 0)
        return err_set(err, ERR_INVAL, "port 0");
    for (size_t i = 0; i < gate->n_ports; i++)
        if (gate_has_port(gate->ports[i].also, gate->ports[i].n_also, port))
            return err_set(err, ERR_CONFLICT, "it belongs to port %u", gate->ports[i].port);
    if (gate->n_ports >= GATE_PORTS_MAX)
        return err_set(err, ERR_FULL, "more than %d managed ports", GATE_PORTS_MAX);
    p = &gate->ports[gate->n_ports];
    *p = (struct gate_port){.port = port, .cell_fd = -1};
    r = replace_peers(gate, p, peers, n, err);
    if (r == 0)
        r = gate->ops->manage(gate, p, state, err);
    if (r == 0)
        gate->n_ports++;
    return r;
}

int gate_manage(struct gate *gate, uint16_t port, const struct gate_addr *peers, size_t n,
                struct err *err)
{
    const struct gate_state closed = {.epoch = 0};
    struct gate_port *p = gate_port_of(gate, port);
    int r;

    if (p != NULL)
        r = replace_peers(gate, p, peers, n, err);
    else
        r = put_under(gate, port, peers, n, &closed, err);
    if (r != 0)
        return err_wrap(err, "manage port %u", port);
    gate_courtesy_about(gate, gate_port_of(gate, port));
    return 0;
}

int gate_manage_live(struct gate *gate, uint16_t port, const struct gate_addr *peers,
                     size_t n, const struct gate_lease *lease, struct err *err)
{
    const struct gate_state live = {
        .epoch = lease->epoch,
        .mode = lease->mode,
        .deadline = lease->deadline,
        .opened = true, /* whoever is connected now belongs to this epoch */
    };
    int r;

    if (gate_port_of(gate, port) != NULL)
        return err_set(err, ERR_CONFLICT, "port %u is managed already", port);
    r = clockcheck_run(gate->clock, err);
    if (r == 0)
        r = gate_rules_lease(lease, boot_now(), err);
    if (r == 0)
        r = put_under(gate, port, peers, n, &live, err);
    if (r == 0 && boot_now().ns >= lease->deadline.ns) {
        /* Not live any more: back to how it was, unmanaged, rather than half adopted. */
        r = gate_unmanage(gate, port, err);
        if (r == 0)
            r = err_set(err, ERR_TIMEOUT, "the lease ended meanwhile");
    }
    if (r != 0)
        return err_wrap(err, "manage live port %u", port);
    gate_courtesy_about(gate, gate_port_of(gate, port));
    return 0;
}

int gate_unmanage(struct gate *gate, uint16_t port, struct err *err)
{
    struct gate_port *p = gate_port_of(gate, port);
    int r;

    if (p == NULL)
        return 0;
    for (size_t i = 0; gate->courtesy != NULL && gate_port_at(p, i) != 0; i++)
        courtesy_drop(gate->courtesy, gate_port_at(p, i));
    r = p->n_guests == 0 ? 0 : gate->ops->set_guests(gate, p, NULL, 0, err);
    if (r != 0)
        return err_wrap(err, "unmanage port %u", port);
    p->n_guests = 0;
    /* What lets the port go comes last. Were it done when something else failed, the caller
     * would take an open port for a gated one, and give a proof of it (I2). */
    r = MUTANT(half_detached, replace_peers(gate, p, NULL, 0, err),
               gate->ops->unmanage(gate, p, err));
    if (r == 0)
        r = MUTANT(half_detached, gate->ops->unmanage(gate, p, err),
                   replace_peers(gate, p, NULL, 0, err));
    if (r != 0)
        return err_wrap(err, "unmanage port %u", port);
    *p = gate->ports[--gate->n_ports];
    return 0;
}

size_t gate_ports(const struct gate *gate, uint16_t *ret_ports, size_t max)
{
    for (size_t i = 0; i < gate->n_ports && i < max; i++)
        ret_ports[i] = gate->ports[i].port;
    return gate->n_ports;
}

int gate_set_peers(struct gate *gate, uint16_t port, const struct gate_addr *peers,
                   size_t n, struct err *err)
{
    struct gate_port *p;
    int r = find_port(gate, port, &p, err);

    if (r == 0)
        r = replace_peers(gate, p, peers, n, err);
    if (r == 0)
        gate_courtesy_about(gate, p);
    return r;
}

/* --- leases ----------------------------------------------------------------------------
 */

/* Before anything passes under a new epoch: no connection of an older one may be left, or a
 * reply that was written under it would be delivered now (I3). The port is closed here, so
 * none can come in meanwhile. Killed in between, the next life does it again: the mark is
 * set last. */
static int prepare_epoch(struct gate *gate, struct gate_port *p, struct gate_state *state,
                         uint64_t epoch, struct err *err)
{
    int r = 0;

    if (epoch > state->epoch) {
        r = gate->ops->new_epoch(gate, p, epoch, err);
        *state = (struct gate_state){.epoch = epoch};
    }
    if (r == 0 && !state->opened) {
        r = gate->ops->close(gate, p, err);
        for (size_t i = 0; r == 0 && gate_port_at(p, i) != 0; i++)
            r = MUTANT(old_sockets_stay, sockdestroy_port(gate_port_at(p, i), NULL, err),
                       0);
        if (r == 0)
            r = gate->ops->mark_opened(gate, p, err);
    }
    return r;
}

/* An absolute deadline makes this unnecessary for safety with eBPF; a relative one does
 * not, and the caller wants to know in any case. */
static int check_not_late(struct gate *gate, struct gate_port *p,
                          const struct gate_lease *lease, struct err *err)
{
    int r;

    if (boot_now().ns < lease->deadline.ns)
        return 0;
    r = gate->ops->close(gate, p, err);
    return r != 0 ? r : err_set(err, ERR_TIMEOUT, "the lease ended while it was written");
}

/* A lease that is written into a gate that nobody asks would hold nobody back. */
static int check_in_place(struct gate *gate, struct gate_port *p, struct err *err)
{
    const int r = gate->ops->check(gate, p, err);

    if (r != 0 && gate->ops->close(gate, p, NULL) != 0)
        return err_wrap(err, "could not be closed either");
    return r;
}

static int arm_port(struct gate *gate, struct gate_port *p, const struct gate_lease *lease,
                    enum gate_arm_how how, struct err *err)
{
    struct gate_state state;
    int r = gate->ops->read(gate, p, &state, err);

    if (r == 0)
        r = gate_rules_arm(&state, lease, how, boot_now(), err);
    if (r == 0)
        r = clockcheck_run(gate->clock, err);
    if (r == 0)
        r = check_in_place(gate, p, err);
    if (r == 0)
        r = prepare_epoch(gate, p, &state, lease->epoch, err);
    if (r == 0) {
        tell_opening(gate, p, &state, lease);
        r = gate->ops->arm(gate, p, lease, how, err);
    }
    return r != 0 ? r : check_not_late(gate, p, lease, err);
}

int gate_arm(struct gate *gate, uint16_t port, const struct gate_lease *lease,
             enum gate_arm_how how, struct err *err)
{
    struct gate_state state;
    struct gate_port *p;
    int r = find_port(gate, port, &p, err);

    if (r != 0)
        return r;
    r = arm_port(gate, p, lease, how, err);
    /* What is there now, whether that is the lease or what it was refused for. */
    if (gate->ops->read(gate, p, &state, NULL) == 0)
        tell_courtesy(gate, p, &state);
    return r == 0 ? 0 : err_wrap(err, "open port %u", port);
}

int gate_close(struct gate *gate, uint16_t port, uint64_t epoch, struct err *err)
{
    struct gate_state state;
    struct gate_port *p;
    int r = find_port(gate, port, &p, err);

    if (r == 0)
        r = gate->ops->read(gate, p, &state, err);
    if (r == 0 && epoch < state.epoch)
        r = err_set(err, ERR_STALE, "epoch %" PRIu64 " is older than the gate's %" PRIu64,
                    epoch, state.epoch);
    if (r == 0 && !state.fenced)
        r = gate->ops->close(gate, p, err);
    if (r != 0)
        return err_wrap(err, "close port %u", port);
    tell_courtesy(gate, p, &(struct gate_state){.mode = GATE_CLOSED});
    return 0;
}

/* Closed and for good, in this order: a mark without a closed gate would be worth nothing,
 * and a gate that is closed when we die is fenced by the next life from its synced mark. */
static int fence_port(struct gate *gate, struct gate_port *p, uint64_t epoch,
                      struct err *err)
{
    struct gate_state state;
    int r = gate->ops->read(gate, p, &state, err);

    if (r != 0)
        return r;
    if (epoch < state.epoch)
        return err_set(err, ERR_STALE,
                       "epoch %" PRIu64 " is older than the gate's %" PRIu64, epoch,
                       state.epoch);
    if (epoch > state.epoch) {
        if (!state.fenced)
            r = gate->ops->fence(gate, p, err); /* the older one too: nothing keeps it */
        if (r == 0)
            r = gate->ops->new_epoch(gate, p, epoch, err);
    }
    if (r == 0)
        r = gate->ops->fence(gate, p, err);
    if (r == 0)
        r = gate->ops->read(gate, p, &state, err);
    if (r != 0)
        return r;
    if (state.epoch != epoch || state.mode != GATE_CLOSED || !state.fenced)
        return err_set(
            err, ERR_UNPROVEN, "epoch %" PRIu64 " reads back as %" PRIu64 ", mode %d, %s",
            epoch, state.epoch, (int)state.mode, state.fenced ? "fenced" : "not fenced");
    return 0;
}

int gate_fence(struct gate *gate, uint16_t port, uint64_t epoch,
               struct gate_proof *ret_proof, struct err *err)
{
    struct gate_proof proof = {.port = port, .epoch = epoch};
    struct gate_port *p;
    int r = find_port(gate, port, &p, err);

    if (r == 0 && epoch == 0)
        r = err_set(err, ERR_INVAL, "a fence without an epoch");
    if (r == 0)
        r = fence_port(gate, p, epoch, err);
    if (r != 0)
        return err_wrap(err, "fence port %u", port);
    tell_courtesy(gate, p, &(struct gate_state){.mode = GATE_CLOSED});
    memcpy(proof.gate_id, gate->id, sizeof proof.gate_id);
    proof.closed_at = boot_now();
    *ret_proof = proof;
    return 0;
}

int gate_read(struct gate *gate, uint16_t port, struct gate_state *ret_state,
              struct err *err)
{
    struct gate_port *p;
    int r = find_port(gate, port, &p, err);

    return r != 0 ? r : gate->ops->read(gate, p, ret_state, err);
}

int gate_check(struct gate *gate, struct err *err)
{
    struct err wrong = {.code = 0}, again = {.code = 0};
    int r = gate->ops->check(gate, NULL, &wrong);

    if (r == 0)
        return 0;
    r = gate->ops->restore(gate, &again);
    if (r == 0)
        again.text[0] = '\0';
    for (size_t i = 0; i < gate->n_ports; i++)
        tell_courtesy(gate, &gate->ports[i], &(struct gate_state){.epoch = 0});
    return err_set(
        err, ERR_UNPROVEN, "%s; %s%s", wrong.text,
        r == 0 ? "it is put back, closed" : "it cannot be put back: ", again.text);
}

int gate_clock_check(struct gate *gate, struct err *err)
{
    return clockcheck_run(gate->clock, err);
}
