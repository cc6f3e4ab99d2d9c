/* The kernel's part of a gate, below fencing/gate/gate.c, which is the shipped one: a
 * driver beside those for eBPF and nftables, whose writes are refused now and then, meet a
 * SIGSTOP, and have no effect once the agent is dead; sockets that are destroyed; and the
 * opening of it all, which needs a cgroup in truth. */
#include "tests/sim/gates.h"

#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "fencing/gate/clockcheck.h"
#include "fencing/gate/courtesy.h"
#include "fencing/gate/gate_internal.h"
#include "fencing/gate/sockdestroy.h"
#include "tests/sim/judge.h"
#include "tests/sim/judge_lease.h"
#include "tests/sim/kernel.h"
#include "tests/sim/pg.h"

struct host_gate gates[HOSTS_MAX];
unsigned gate_refuses;
static struct gate handles[HOSTS_MAX];

static uint64_t now_of(uint8_t host) { return clock_of(&sim.procs[CTLS + host].clock); }

static bool passes(uint8_t host, uint8_t group, enum gate_mode least)
{
    const struct cell *c = &gates[host].cells[group];

    return !c->managed || (c->st.mode >= least && now_of(host) < c->st.deadline.ns);
}

bool gate_is_open(uint8_t host, uint8_t group) { return passes(host, group, GATE_OPEN); }

bool gate_lets_peers(uint8_t host, uint8_t group, uint8_t peer)
{
    const struct cell *c = &gates[host].cells[group];

    return passes(host, group, GATE_OPEN) ||
           (passes(host, group, GATE_REPLICATION) && (c->peers & 1u << peer) != 0);
}

void gates_begin(void)
{
    memset(gates, 0, sizeof gates);
    gate_refuses = sim_chance(300) ? 10 : 0;
}

void gate_reboot(uint8_t host) { memset(&gates[host], 0, sizeof gates[host]); }

static void shut(struct cell *c)
{
    c->st.mode = GATE_CLOSED;
    c->st.deadline.ns = 0;
}

static bool kernel_refuses(void)
{
    return sim.noisy && gate_refuses != 0 && sim_chance(gate_refuses);
}

static uint8_t host_of(const struct gate *gate) { return (uint8_t)(gate - handles); }

static uint8_t group_of(const struct gate_port *p)
{
    ASSERT(p->port >= FIRST_PORT && p->port < FIRST_PORT + WORLD_GROUPS_MAX);
    return (uint8_t)(p->port - FIRST_PORT);
}

static struct cell *cell_of(const struct gate *gate, const struct gate_port *p)
{
    return &gates[host_of(gate)].cells[group_of(p)];
}

/* ---- the driver ------------------------------------------------------------------------
 */

/* A write begins. False: it has no effect; *ret_status says what the caller is told. */
static bool may_write(int *ret_status, struct err *err)
{
    sim_call();
    *ret_status = 0;
    if (!sim_is_heard())
        return false;
    if (kernel_refuses())
        *ret_status = err_set(err, ERR_IO, "the kernel refuses");
    return *ret_status == 0;
}

static int sim_read(struct gate *gate, const struct gate_port *p,
                    struct gate_state *ret_state, struct err *err)
{
    (void)err;
    *ret_state = cell_of(gate, p)->st;
    return 0;
}

static uint8_t hosts_named(const struct gate_addr *peers, size_t n)
{
    uint8_t set = 0;

    for (size_t i = 0; i < n; i++) /* ::ffff:10.0.HOST.2 */
        set = (uint8_t)(set | 1u << (peers[i].ip[14] - 1));
    return set;
}

static int sim_set_peers(struct gate *gate, struct gate_port *p,
                         const struct gate_addr *peers, size_t n, struct err *err)
{
    int status;

    if (may_write(&status, err))
        cell_of(gate, p)->peers = hosts_named(peers, n);
    return status;
}

static int sim_manage(struct gate *gate, struct gate_port *p,
                      const struct gate_state *state, struct err *err)
{
    struct cell *c = cell_of(gate, p);
    struct server *s = pg_server(host_of(gate), group_of(p));
    int status;

    if (!may_write(&status, err))
        return status;
    if (!c->managed && s->state == SERVER_PRIMARY)
        s->shown_pid = s->pid; /* it has run without a gate: clients could see it */
    c->managed = true;
    c->st = *state;
    judge_group(group_of(p));
    if (state->mode == GATE_CLOSED)
        sim_block(sim_between(1, 15) * NS_PER_MS);
    return 0;
}

static int sim_unmanage(struct gate *gate, struct gate_port *p, struct err *err)
{
    int status;

    if (!may_write(&status, err))
        return status;
    *cell_of(gate, p) = (struct cell){0};
    pg_release_clients(host_of(gate), group_of(p));
    judge_group(group_of(p));
    return 0;
}

static int sim_new_epoch(struct gate *gate, struct gate_port *p, uint64_t epoch,
                         struct err *err)
{
    int status;

    if (may_write(&status, err))
        cell_of(gate, p)->st = (struct gate_state){.epoch = epoch};
    return status;
}

static int sim_mark_opened(struct gate *gate, struct gate_port *p, struct err *err)
{
    int status;

    if (may_write(&status, err))
        cell_of(gate, p)->st.opened = true;
    return status;
}

/* The kernel's own rules: nothing is written over a frozen cell, and a renewal finds what
 * it renews. */
static int sim_arm(struct gate *gate, struct gate_port *p, const struct gate_lease *l,
                   enum gate_arm_how how, struct err *err)
{
    struct cell *c = cell_of(gate, p);
    uint8_t host = host_of(gate), group = group_of(p);
    uint64_t now = now_of(host);
    int status;

    if (!may_write(&status, err)) {
        if (status != 0 && sim_chance(500))
            shut(c);
        return status;
    }
    if (c->st.fenced)
        return err_set(err, ERR_STALE, "frozen");
    if (how == GATE_RENEW && (c->st.mode == GATE_CLOSED || c->st.deadline.ns <= now))
        return err_set(err, ERR_CLOSED, "closed meanwhile");
    judge_on_disk(host, group, l->epoch, false);
    judge_armed(host, group, l);
    c->st.mode = l->mode;
    c->st.deadline = l->deadline;
    if (l->mode == GATE_OPEN)
        judge_opens(host, group);
    judge_group(group);
    return 0;
}

static int sim_close(struct gate *gate, struct gate_port *p, struct err *err)
{
    int status;

    if (may_write(&status, err))
        shut(cell_of(gate, p));
    return status;
}

static int sim_fence(struct gate *gate, struct gate_port *p, struct err *err)
{
    struct cell *c = cell_of(gate, p);
    int status;

    if (!may_write(&status, err))
        return status;
    judge_on_disk(host_of(gate), group_of(p), c->st.epoch, true);
    shut(c);
    c->st.fenced = true;
    judge_froze(host_of(gate), group_of(p), c->st.epoch);
    sim_block(sim_between(1, 12) * NS_PER_MS);
    return 0;
}

/* Nobody takes a gate away in here: tests/real/gate does. */
static int sim_check(struct gate *gate, const struct gate_port *p, struct err *err)
{
    (void)gate;
    (void)p;
    (void)err;
    return 0;
}

static const struct gate_ops sim_ops = {.check = sim_check,
                                        .read = sim_read,
                                        .manage = sim_manage,
                                        .unmanage = sim_unmanage,
                                        .set_peers = sim_set_peers,
                                        .new_epoch = sim_new_epoch,
                                        .mark_opened = sim_mark_opened,
                                        .arm = sim_arm,
                                        .close = sim_close,
                                        .fence = sim_fence};

/* ---- below it --------------------------------------------------------------------------
 */

/* NOLINTNEXTLINE(readability-non-const-parameter): sockdestroy.h declares it so */
int sockdestroy_port(uint16_t port, unsigned *ret_n, struct err *err)
{
    int status;

    (void)ret_n;
    if (may_write(&status, err))
        pg_drop_clients((uint8_t)(sim_self()->node - CTLS), (uint8_t)(port - FIRST_PORT));
    return status;
}

int clockcheck_run(struct clockcheck *check, struct err *err)
{
    (void)check;
    (void)err;
    return 0;
}

/* Of the courtesies nothing is modelled: a gate has none, and these are not called. */
void courtesy_put(struct courtesy *c, uint16_t port, const struct gate_addr *peers,
                  size_t n, struct boot open_until)
{
    (void)c;
    (void)port;
    (void)peers;
    (void)n;
    (void)open_until;
}

void courtesy_open(struct courtesy *c, uint16_t port, struct boot until)
{
    (void)c;
    (void)port;
    (void)until;
}

void courtesy_opening(struct courtesy *c, uint16_t port, struct boot until)
{
    (void)c;
    (void)port;
    (void)until;
}

void courtesy_drop(struct courtesy *c, uint16_t port)
{
    (void)c;
    (void)port;
}

int courtesy_warning(struct courtesy *c, struct err *ret_warning)
{
    (void)c;
    (void)ret_warning;
    return 0;
}

/* Nor are ports beside a server's own. */
bool gate_port_in_use(uint16_t port)
{
    (void)port;
    return false;
}

/* ---- the handle ------------------------------------------------------------------------
 */

int gate_open(struct gate **ret_gate, const struct gate_config *config, struct err *err)
{
    uint8_t host = (uint8_t)(sim_self()->node - CTLS);
    struct host_gate *g = &gates[host];
    struct gate *gate = &handles[host];
    uint64_t n;

    (void)config;
    (void)err;
    sim_call();
    *gate = (struct gate){.ops = &sim_ops,
                          .adopted = g->installed,
                          .can = {GATE_BPF, true, true, true, true, false}};
    if (!g->installed) {
        g->installed = true;
        g->installations++;
    }
    n = machines[CTLS + host].boots << 32 | g->installations;
    gate->id[0] = host;
    memcpy(gate->id + 4, &n, sizeof n);
    for (unsigned i = 0; i < WORLD_GROUPS_MAX; i++)
        if (g->cells[i].managed)
            gate->ports[gate->n_ports++].port = (uint16_t)(FIRST_PORT + i);
    *ret_gate = gate;
    return 0;
}

/* uv_run() has returned at once, so this comes long before the keeper ends. */
void gate_free(struct gate *gate) { (void)gate; }

bool gate_was_adopted(const struct gate *gate) { return gate->adopted; }

void gate_id(const struct gate *gate, uint8_t ret_id[GATE_ID_SIZE])
{
    memcpy(ret_id, gate->id, GATE_ID_SIZE);
}

struct gate_capabilities gate_capabilities(const struct gate *gate) { return gate->can; }

void gate_describe(const struct gate *gate, char *text, size_t size)
{
    snprintf(text, size, "gate of host %u", host_of(gate));
}

int gate_clock_rate_ppm(int32_t *ret_ppm, struct err *err)
{
    (void)err;
    *ret_ppm = machines[sim_self()->node].slew_ppm;
    return 0;
}

int gate_try(struct gate *gate, uint16_t port, struct err *err)
{
    (void)gate;
    (void)port;
    sim_call();
    sim_block(sim_between(5, 150) * NS_PER_MS);
    if (kernel_refuses())
        return err_set(err, ERR_REFUSED, "a connection came through");
    return 0;
}
