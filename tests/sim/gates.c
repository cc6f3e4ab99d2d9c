#include "tests/sim/gates.h"

#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "tests/sim/judge.h"
#include "tests/sim/kernel.h"
#include "tests/sim/pg.h"

struct gate {
    uint8_t host;
    bool adopted;
};

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

/* NULL: no such port, or the caller is dead. */
static struct cell *cell_of(const struct gate *gate, uint16_t port)
{
    unsigned group = port - FIRST_PORT;

    ASSERT(group < WORLD_GROUPS_MAX);
    return &gates[gate->host].cells[group];
}

static uint8_t group_of(uint16_t port) { return (uint8_t)(port - FIRST_PORT); }

/* ---- the handle ------------------------------------------------------------------------
 */

int gate_open(struct gate **ret_gate, const struct gate_config *config, struct err *err)
{
    uint8_t host = (uint8_t)(sim_self()->node - CTLS);
    struct host_gate *g = &gates[host];

    (void)config;
    (void)err;
    sim_call();
    handles[host] = (struct gate){.host = host, .adopted = g->installed};
    if (!g->installed) {
        g->installed = true;
        g->installations++;
    }
    *ret_gate = &handles[host];
    return 0;
}

/* uv_run() has returned at once, so this comes long before the keeper ends. */
void gate_free(struct gate *gate) { (void)gate; }

bool gate_was_adopted(const struct gate *gate) { return gate->adopted; }

void gate_id(const struct gate *gate, uint8_t ret_id[GATE_ID_SIZE])
{
    uint64_t n = machines[CTLS + gate->host].boots << 32 | gates[gate->host].installations;

    memset(ret_id, 0, GATE_ID_SIZE);
    ret_id[0] = gate->host;
    memcpy(ret_id + 4, &n, sizeof n);
}

struct gate_capabilities gate_capabilities(const struct gate *gate)
{
    (void)gate;
    return (struct gate_capabilities){GATE_BPF, true, true, true, true, false};
}

void gate_describe(const struct gate *gate, char *text, size_t size)
{
    snprintf(text, size, "gate of host %u", gate->host);
}

int gate_warning(struct gate *gate, struct err *ret_warning)
{
    (void)gate;
    (void)ret_warning;
    return 0;
}

size_t gate_ports(const struct gate *gate, uint16_t *ret_ports, size_t max)
{
    size_t n = 0;

    for (unsigned i = 0; i < WORLD_GROUPS_MAX; i++)
        if (gates[gate->host].cells[i].managed && n < max)
            ret_ports[n++] = (uint16_t)(FIRST_PORT + i);
    return n;
}

int gate_clock_check(struct gate *gate, struct err *err)
{
    (void)gate;
    (void)err;
    return 0;
}

int gate_clock_rate_ppm(int32_t *ret_ppm, struct err *err)
{
    (void)err;
    *ret_ppm = machines[sim_self()->node].slew_ppm;
    return 0;
}

/* ---- ports -----------------------------------------------------------------------------
 */

static uint8_t hosts_of(const struct gate_addr *peers, size_t n)
{
    uint8_t set = 0;

    for (size_t i = 0; i < n; i++) /* ::ffff:10.0.HOST.2 */
        set = (uint8_t)(set | 1u << (peers[i].ip[14] - 1));
    return set;
}

int gate_manage(struct gate *gate, uint16_t port, const struct gate_addr *peers, size_t n,
                struct err *err)
{
    struct cell *c = cell_of(gate, port);

    sim_call();
    if (!sim_is_heard())
        return 0;
    if (kernel_refuses())
        return err_set(err, ERR_IO, "the kernel refuses");
    if (!c->managed)
        *c = (struct cell){.managed = true};
    c->peers = hosts_of(peers, n);
    sim_block(sim_between(1, 15) * NS_PER_MS);
    return 0;
}

int gate_manage_live(struct gate *gate, uint16_t port, const struct gate_addr *peers,
                     size_t n, const struct gate_lease *lease, struct err *err)
{
    struct cell *c = cell_of(gate, port);

    sim_call();
    if (!sim_is_heard())
        return 0;
    if (c->managed)
        return err_set(err, ERR_CONFLICT, "managed already");
    if (lease->deadline.ns <= now_of(gate->host))
        return err_set(err, ERR_TIMEOUT, "the deadline has passed");
    *c = (struct cell){.managed = true, .peers = hosts_of(peers, n)};
    c->st = (struct gate_state){lease->epoch, lease->mode, lease->deadline, false, true};
    judge_group(group_of(port));
    return 0;
}

int gate_unmanage(struct gate *gate, uint16_t port, struct err *err)
{
    sim_call();
    if (!sim_is_heard())
        return 0;
    if (kernel_refuses())
        return err_set(err, ERR_IO, "the kernel refuses");
    *cell_of(gate, port) = (struct cell){0};
    judge_group(group_of(port));
    return 0;
}

int gate_read(struct gate *gate, uint16_t port, struct gate_state *ret_state,
              struct err *err)
{
    const struct cell *c = cell_of(gate, port);

    if (!c->managed)
        return err_set(err, ERR_NOTFOUND, "not managed");
    *ret_state = c->st;
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

/* ---- leases ----------------------------------------------------------------------------
 */

static int check_arm(const struct cell *c, const struct gate_lease *l,
                     enum gate_arm_how how, uint64_t now, struct err *err)
{
    if (l->epoch == 0 || l->mode == GATE_CLOSED ||
        (l->mode == GATE_OPEN && l->deadline.ns == GATE_FOREVER.ns))
        return err_set(err, ERR_INVAL, "no such lease");
    if (l->epoch < c->st.epoch || (c->st.fenced && l->epoch <= c->st.epoch))
        return err_set(err, ERR_STALE, "an older epoch, or a fenced one");
    if (how == GATE_RENEW &&
        (c->st.epoch != l->epoch || c->st.mode == GATE_CLOSED || c->st.deadline.ns <= now))
        return err_set(err, ERR_CLOSED, "a fresh lease is needed");
    return 0;
}

int gate_arm(struct gate *gate, uint16_t port, const struct gate_lease *lease,
             enum gate_arm_how how, struct err *err)
{
    struct cell *c = cell_of(gate, port);
    uint64_t now;

    sim_call();
    if (!sim_is_heard())
        return 0;
    now = now_of(gate->host);
    if (!c->managed)
        return err_set(err, ERR_NOTFOUND, "not managed");
    if (kernel_refuses()) {
        if (sim_chance(500))
            shut(c);
        return err_set(err, ERR_IO, "the kernel refuses");
    }
    if (check_arm(c, lease, how, now, err) != 0)
        return err->code;
    if (lease->deadline.ns <= now) {
        shut(c);
        return err_set(err, ERR_TIMEOUT, "the deadline has passed");
    }
    if (lease->epoch != c->st.epoch)
        judge_on_disk(gate->host, group_of(port), lease->epoch, false);
    if (lease->epoch != c->st.epoch)
        c->st = (struct gate_state){.epoch = lease->epoch};
    if (lease->mode == GATE_OPEN && !c->st.opened) {
        pg_drop_clients(gate->host, group_of(port)); /* older connections are destroyed */
        c->st.opened = true;
    }
    c->st.mode = lease->mode;
    c->st.deadline = lease->deadline;
    if (lease->mode == GATE_OPEN)
        judge_opens(gate->host, group_of(port));
    judge_group(group_of(port));
    return 0;
}

int gate_close(struct gate *gate, uint16_t port, uint64_t epoch, struct err *err)
{
    struct cell *c = cell_of(gate, port);

    sim_call();
    if (!sim_is_heard())
        return 0;
    if (!c->managed)
        return err_set(err, ERR_NOTFOUND, "not managed");
    if (epoch < c->st.epoch)
        return err_set(err, ERR_STALE, "older");
    if (kernel_refuses())
        return err_set(err, ERR_IO, "the kernel refuses");
    shut(c);
    return 0;
}

int gate_fence(struct gate *gate, uint16_t port, uint64_t epoch,
               struct gate_proof *ret_proof, struct err *err)
{
    struct cell *c = cell_of(gate, port);

    sim_call();
    if (!sim_is_heard())
        return 0;
    if (!c->managed)
        return err_set(err, ERR_NOTFOUND, "not managed");
    if (epoch < c->st.epoch)
        return err_set(err, ERR_STALE, "older");
    if (kernel_refuses())
        return err_set(err, ERR_IO, "the kernel refuses");
    judge_on_disk(gate->host, group_of(port), epoch, true);
    c->st = (struct gate_state){.epoch = epoch, .fenced = true};
    *ret_proof = (struct gate_proof){port, epoch, {0}, {now_of(gate->host)}};
    sim_block(sim_between(1, 12) * NS_PER_MS);
    return 0;
}
