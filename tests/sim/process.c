/* Programs: what starts and ends them, and the parts of the daemon that are not simulated
 * (API and probes), which only show things. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/consensus/raftnode.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/frontend.h"
#include "fencing/agent/keeper.h"
#include "fencing/agent/steps.h"
#include "controller/daemon/node.h"
#include "controller/people/jwt.h"
#include "proto/entry_codec.h"
#include "tests/sim/judge_raft.h"
#include "tests/sim/kernel.h"
#include "tests/sim/net.h"
#include "tests/sim/plan.h"
#include "tests/sim/power.h"
#include "tests/sim/process.h"
#include "tests/sim/replace.h"

enum { RESTART_MS = 1000, PULSE_MS = 500 };

struct daemon_box {
    struct daemon d;
    uint32_t snapshot_every, trailing;
};

/* As fencing/agent/agent.c has it. */
struct agent_box {
    struct agent_settings settings;
    struct agent_state state;
    struct agent_contents contents;
    struct board *board;
    struct steps *steps;
    struct keeper *keeper;
};

static struct daemon_box daemons[CTLS];
static struct agent_box agents[HOSTS_MAX];

static const char *const names[NODES_MAX] = {"east",    "west",      "witness",  "pg-east",
                                             "pg-west", "pg-east-2", "pg-west-2"};

const char *node_name(uint8_t node) { return node < NODES_MAX ? names[node] : "nobody"; }

const char *node_region(uint8_t node)
{
    return node < CTLS ? names[node] : names[(node - CTLS) % 2];
}

uint8_t node_of_controller(const char *name)
{
    for (uint8_t n = 0; n < CTLS; n++)
        if (strcmp(names[n], name) == 0)
            return n;
    ASSERT(false);
    return NOBODY;
}

struct daemon *ctl_daemon(uint8_t node)
{
    return sim.procs[node].up && !sim.procs[node].mute ? &daemons[node].d : NULL;
}

/* ---- parts that only show things --------------------------------------------------------
 */

/* Nobody shows a JWT, or a second factor, here. */
int jwt_open(struct jwt **ret_jwt, const struct jwt_config *config, struct err *err)
{
    (void)config;
    (void)err;
    *ret_jwt = NULL;
    return 0;
}

void jwt_close(struct jwt *j) { (void)j; }

int settings_read_key(const struct settings *s, struct secrets_key *ret_key,
                      struct err *err)
{
    (void)s;
    (void)ret_key;
    (void)err;
    return 0;
}

void key_wipe(struct secrets_key *k) { (void)k; }

int frontend_open(struct frontend **ret_frontend, struct daemon *d, struct err *err)
{
    (void)d;
    (void)err;
    *ret_frontend = NULL;
    return 0;
}

void frontend_close(struct frontend *f) { (void)f; }

void frontend_changed(struct frontend *f) { (void)f; }

/* What a follower has handed on (operator.c): the entry itself. */
void frontend_serve(struct frontend *f, const Rf__ApiRequest *r, const char *via,
                    void (*reply)(void *owner, unsigned status, const void *body,
                                  size_t len),
                    void *owner)
{
    struct daemon *d = ctl_daemon(sim_self()->node);
    struct apply_result refused;
    struct err err;
    struct entry e;
    bool proposed = d != NULL && d->node != NULL &&
                    entry_decode(r->body.data, r->body.len, &e, &err) == 0 &&
                    node_propose(d->node, &e, NULL, NULL, &refused, &err) == 0;

    (void)f;
    (void)via;
    reply(owner, proposed ? 202 : 503, "", 0);
}

/* ---- a controller -----------------------------------------------------------------------
 */

static struct raftnode *rafts[CTLS];

int __real_raftnode_open(struct raftnode **ret_node, struct uv_loop_s *loop,
                         const struct raftnode_config *config,
                         const struct raftnode_callbacks *callbacks, struct err *err);
int __wrap_raftnode_open(struct raftnode **ret_node, struct uv_loop_s *loop,
                         const struct raftnode_config *config,
                         const struct raftnode_callbacks *callbacks, struct err *err);

/* Snapshots come every few thousand entries in truth; and the seed is the kernel's. */
int __wrap_raftnode_open(struct raftnode **ret_node, struct uv_loop_s *loop,
                         const struct raftnode_config *config,
                         const struct raftnode_callbacks *callbacks, struct err *err)
{
    struct raftnode_callbacks watched = judge_raft_watch(callbacks);
    struct raftnode_config c = *config;

    c.snapshot_every = daemons[sim_self()->node].snapshot_every;
    c.driver.trailing = daemons[sim_self()->node].trailing;
    c.driver.seed = (uint32_t)(sim_random() >> 33) | 1;
    if (__real_raftnode_open(ret_node, loop, &c, &watched, err) != 0)
        return err->code;
    rafts[sim_self()->node] = *ret_node;
    return 0;
}

struct raftnode *ctl_raft(uint8_t node) { return rafts[node]; }

static void fill_settings(uint8_t node, struct settings *s)
{
    *s = (struct settings){.election_ms = plan.election_ms,
                           .heartbeat_ms = plan.heartbeat_ms,
                           .count = CTLS,
                           .self = node};
    (void)snprintf(s->cluster, sizeof s->cluster, "demo");
    (void)snprintf(s->name, sizeof s->name, "%s", names[node]);
    for (uint8_t i = 0; i < CTLS; i++) {
        s->controllers[i].id = i == node ? replace_id(node) : i + 1u;
        s->controllers[i].at.port = 7400;
        (void)snprintf(s->controllers[i].name, NAME_SIZE, "%s", names[i]);
        (void)snprintf(s->controllers[i].region, NAME_SIZE, "%s", names[i]);
    }
    power_settings(s);
}

static void on_restart(void *arg, uint64_t number)
{
    uint8_t host = (uint8_t)(number - CTLS);

    (void)arg;
    if (number >= CTLS && power_off_until(host) != 0) {
        sim_at(power_off_until(host), NULL, on_restart, NULL)->number = number;
        return;
    }
    /* Killed while it was stopped in a call: the kernel has not taken it apart yet. */
    if (sim.procs[number].up && sim.procs[number].mute)
        proc_restart_in((uint8_t)number, 50);
    else if (number < CTLS)
        proc_start_controller((uint8_t)number);
    else
        proc_start_agent((uint8_t)number);
}

void proc_restart_in(uint8_t node, uint64_t ms)
{
    struct moment *e = sim_at(sim.now + ms * NS_PER_MS, NULL, on_restart, NULL);

    e->number = node;
}

static void be_up(struct proc *p, uint8_t node)
{
    struct ticking clock = p->clock;
    uint32_t life = p->life;

    memset(p, 0, sizeof *p);
    p->clock = clock;
    p->life = life;
    p->node = node;
    p->up = true;
    for (unsigned i = 0; i < TASKS; i++) {
        p->tasks[i].proc = p;
        p->tasks[i].loop.data = &p->tasks[i];
    }
}

void proc_start_controller(uint8_t node)
{
    struct proc *p = &sim.procs[node];
    struct daemon_box *box = &daemons[node];
    struct settings settings;
    struct err err = {0};
    struct scope s;

    if (p->up)
        return;
    be_up(p, node);
    sim_note("controller %s starts", names[node]);
    fill_settings(node, &settings);
    box->snapshot_every = (uint32_t)plan.snapshot_every;
    box->trailing = (uint32_t)plan.trailing;
    s = scope_enter(&p->tasks[TASK_MAIN]);
    if (daemon_open(&box->d, &p->tasks[TASK_MAIN].loop, &settings, replace_begin(node),
                    &err) != 0) {
        sim_note("controller %s: %s", names[node], err.text);
        p->ending = true;
    }
    uv_will_wait(&p->tasks[TASK_MAIN]);
    scope_leave(s);
}

/* ---- an agent ---------------------------------------------------------------------------
 */

static void fill_agent_settings(uint8_t node, struct agent_settings *s)
{
    *s = (struct agent_settings){.controller_count = CTLS};
    (void)snprintf(s->cluster, sizeof s->cluster, "demo");
    (void)snprintf(s->name, sizeof s->name, "%s", names[node]);
    (void)snprintf(s->region, sizeof s->region, "%s", node_region(node));
    (void)snprintf(s->address, sizeof s->address, "10.0.%u.2", node - CTLS + 1u);
    (void)snprintf(s->state_dir, sizeof s->state_dir, "/state");
    for (uint8_t i = 0; i < CTLS; i++) {
        (void)snprintf(s->controllers[i].name, AGENT_NAME_SIZE, "%s", names[i]);
        s->controllers[i].at.port = 7400;
    }
}

static void on_pulse(void *arg, uint64_t number)
{
    struct agent_box *a = arg;
    struct board_health h;

    board_health(a->board, &h);
    if (h.fatal[0] != 0) {
        sim_note("agent %s ends: %s", a->settings.name, h.fatal);
        sim_self()->ending = true;
        return;
    }
    (void)sim_at(sim.now + (uint64_t)PULSE_MS * NS_PER_MS, sim.cur, on_pulse, a);
    (void)number;
}

static int start_agent(struct agent_box *a, struct proc *p, struct err *err)
{
    struct agent_contents self = {0};
    struct steps_parts steps = {.loop = &p->tasks[TASK_MAIN].loop,
                                .settings = &a->settings,
                                .dir = &a->state.dir,
                                .epochs = &a->contents.epochs};
    struct keeper_parts keeper = {
        .settings = &a->settings, .state = &a->state, .contents = &a->contents};
    int status;

    snprintf(self.cluster, sizeof self.cluster, "%s", a->settings.cluster);
    snprintf(self.agent, sizeof self.agent, "%s", a->settings.name);
    status = agent_state_open(&a->state, a->settings.state_dir, &a->contents, &self, err);
    if (status == 0)
        status = board_new(&a->board, err);
    steps.board = keeper.board = a->board;
    if (status == 0)
        status = steps_open(&a->steps, &steps, err);
    if (status == 0)
        status = keeper_start(&a->keeper, &keeper, err);
    return status;
}

void proc_start_agent(uint8_t node)
{
    struct proc *p = &sim.procs[node];
    struct agent_box *a = &agents[node - CTLS];
    struct err err = {0};
    struct scope s;

    if (p->up)
        return;
    be_up(p, node);
    sim_note("agent %s starts", names[node]);
    memset(a, 0, sizeof *a);
    fill_agent_settings(node, &a->settings);
    s = scope_enter(&p->tasks[TASK_MAIN]);
    if (start_agent(a, p, &err) != 0) {
        sim_note("agent %s does not start: %s", names[node], err.text);
        p->ending = true;
    } else {
        (void)sim_at(sim.now + (uint64_t)PULSE_MS * NS_PER_MS, &p->tasks[TASK_MAIN],
                     on_pulse, a);
    }
    scope_leave(s);
}

void proc_incarnation(uint8_t node, struct incarnation *ret)
{
    struct board_health h;

    board_health(agents[node - CTLS].board, &h);
    *ret = h.incarnation;
}

uint64_t proc_epoch(uint8_t node, const char *group)
{
    struct keeper_view v;

    for (uint8_t slot = 0; slot < AGENT_GROUPS_MAX; slot++) {
        board_view(agents[node - CTLS].board, slot, &v);
        if (strcmp(v.group, group) == 0)
            return v.epoch;
    }
    return 0;
}

/* ---- the end ----------------------------------------------------------------------------
 */

/* Nothing that happens in here is heard or seen by anybody: it gives memory back. */
static void take_apart(struct proc *p)
{
    struct scope s;

    p->up = false;
    p->mute = true;
    net_forget(p->node, false);
    s = scope_enter(&p->tasks[TASK_MAIN]);
    if (p->node < CTLS) {
        daemon_close(&daemons[p->node].d);
    } else {
        struct agent_box *a = &agents[p->node - CTLS];

        steps_close(a->steps);
        uv_drain(&p->tasks[TASK_MAIN]);
        keeper_stop(a->keeper);
        board_free(a->board);
        agent_state_close(&a->state);
    }
    uv_drain(&p->tasks[TASK_MAIN]);
    scope_leave(s);
    p->life++;
}

static bool is_on_stack(const struct proc *p)
{
    return p->tasks[TASK_MAIN].on_stack > 0 || p->tasks[TASK_KEEPER].on_stack > 0;
}

void proc_reap(struct proc *p)
{
    if (!p->up || is_on_stack(p))
        return;
    if (p->ending && !p->mute) {
        judge_ended(p->node);
        p->mute = true;
        if (!sim.over)
            proc_restart_in(p->node, RESTART_MS);
    }
    if (p->mute)
        take_apart(p);
}

void proc_kill(uint8_t node)
{
    struct proc *p = &sim.procs[node];

    if (!p->up)
        return;
    p->mute = true;
    proc_reap(p);
}

void proc_lose_power(uint8_t node)
{
    net_forget(node, true);
    proc_kill(node);
    if (node >= CTLS)
        kernel_lose_power(node);
}

void process_begin(void)
{
    memset(daemons, 0, sizeof daemons);
    memset(agents, 0, sizeof agents);
    replace_start();
}
