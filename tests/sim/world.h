/* tests/sim/world.h -- one simulated world: time, chance, threads of processes, events.
 *
 * The shipped shells run here as they are. `ringfenced` is daemon_open() and all that hangs
 * on it, `ringfence-agent` its steps and its keeper; both are linked against a libuv, a
 * clock, streams, a store, a gate and provider processes of this folder's, which are the
 * only things that are modelled. Who calls uv_timer_start() gets an event in the one list
 * of the world; who reads a clock gets the world's time as his own clock shows it.
 *
 * A call into the kernel may take long (`sim_block`), or meet a SIGSTOP (`sim_call`): then
 * the rest of the world goes on inside that call, and the caller returns late, with
 * whatever it had in hand. A process that was killed meanwhile runs on, mute, to the end of
 * its turn, and changes nothing any more.
 *
 * Units:   true time in nanoseconds since the start; nobody inside can read it.
 * Owner:   one world at a time: `sim`. sim_run() begins and ends it.
 * Errors:  a broken property ends the run: sim.failed and sim.why.
 */
#ifndef RF_SIM_WORLD_H
#define RF_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "chaos/history.h"
#include "controller/base/auto.h"
#include "controller/base/time.h"
#include "controller/core/state.h"

/* Nodes of the network: first the controllers, then the agents' hosts. */
enum {
    CTLS = 3,
    HOSTS_MAX = 4,
    NODES_MAX = CTLS + HOSTS_MAX,
    WORLD_GROUPS_MAX = 50,
    FIRST_PORT = 5432,
    NOBODY = 255,
};

typedef void sim_fn(void *arg, uint64_t number);

struct task;

struct moment {
    struct moment *next; /* in limbo, or of those that come now */
    uint64_t at, seq;
    struct task *task; /* NULL: the world's own */
    uint32_t life;     /* of the task's process; another one: dropped */
    bool dead;         /* cancelled */
    bool late;         /* it waited for a process that was stopped, with others */
    sim_fn *fn;
    void *arg;
    uint64_t number;
    void (*drop)(void *arg); /* what it owns, if it never happens */
};

/* The order is read far more often than what is ordered. */
struct due {
    uint64_t at, seq;
    struct moment *e;
};

struct ticking {
    int64_t ppm;
    uint64_t offset;
    /* What somebody steers it by, beside its own drift: since when, and until then. */
    int64_t slew_ppm, slewed_ns;
    uint64_t slew_since;
};

/* One thread with a loop. */
struct task {
    struct proc *proc;
    uv_loop_t loop; /* `data` is the task */
    uint64_t blocked_until;
    unsigned on_stack;
    uv_handle_t *closing;
    struct pending_work *works;
    uv_prepare_t *prepare; /* called before the loop waits */
};

enum { TASK_MAIN = 0, TASK_KEEPER = 1, TASKS = 2, POLLS_MAX = 160 };

struct daemon_box; /* what a controller is */
struct agent_box;  /* what an agent is */

struct proc {
    uint8_t node;
    bool up;
    bool mute;     /* killed, or being taken apart: nothing it does has any effect */
    bool ending;   /* wants to end: exit(), uv_stop() */
    uint32_t life; /* +1 at each end */
    uint64_t frozen_until;
    uint32_t stop_after; /* SIGSTOP at the n-th call from now; 0: none */
    uint64_t stop_ns;    /* for so long */
    uint64_t loop_ns;    /* its clock when its loop last looked for work */
    struct ticking clock;
    struct task tasks[TASKS];
    struct daemon_box *ctl;
    struct agent_box *agent;
    uv_poll_t *polls[POLLS_MAX];
};

struct sim_options {
    uint64_t seed;
    unsigned groups;     /* 1: the pair; else the world of many */
    uint8_t hosts;       /* 0: as the seed has it */
    int trace;           /* 1: what happens; 2: the programs' own lines, too */
    const bool *without; /* faults of the schedule that are left out, by position */
    bool history;        /* keep it */
    bool calm;           /* no faults: then no gate that has opened closes */
    const char *only;    /* NULL: all; else "I2,I3": other judgements are looked past */
    bool one_away;       /* but for one controller at a time: the same */
};

struct sim {
    struct sim_options opt;
    uint64_t random, now, seq, events, heal_at, writable_by, settle_at, end_at;
    struct due *heap; /* what comes later */
    size_t heap_count, heap_cap, pool_count, pool_cap;
    struct moment *now_first, *now_last; /* what comes now, after what came before it */
    struct moment **pool, *limbo;
    struct task *cur;     /* whose code runs; NULL: the world's */
    unsigned depth;       /* calls of the kernel that the world goes on inside of */
    uint64_t inner_until; /* until when the innermost of them lasts */
    bool noisy;           /* faults go on */
    bool over, failed, stuck;
    char why[512];
    struct proc procs[NODES_MAX];
    uint8_t hosts, nodes, groups;
    uint64_t digest; /* of all that happened, for "same seed, same bytes" */
};

extern struct sim sim;

/* world.c */
uint64_t sim_random(void);
uint64_t sim_between(uint64_t low, uint64_t high);
bool sim_chance(unsigned permille);
void sim_mix(uint64_t value); /* into the digest */
struct moment *sim_at(uint64_t at, struct task *task, sim_fn *fn, void *arg);
void sim_cancel(struct moment *e);                  /* NULL is fine */
void sim_push_again(struct moment *e, uint64_t at); /* from within its own fn */
void sim_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
bool sim_wants(const char *text);                      /* by opt.only */
void sim_note(const char *fmt, ...) PRINTF_LIKE(1, 2); /* with --trace */
void sim_run_events(void);                             /* to the end, or a failure */
void sim_begin(const struct sim_options *opt);
void sim_end(void);

/* The caller's thread is in a call of the kernel for so long. */
void sim_block(uint64_t ns);
/* A call of the kernel begins: where a SIGSTOP may meet it. */
void sim_call(void);
/* False while the running process is mute: the call must have no effect. */
bool sim_is_heard(void);
uint64_t clock_of(const struct ticking *c);
void clock_slew(struct ticking *c, int64_t ppm); /* from now on */
struct proc *sim_self(void);

struct scope {
    struct task *before;
};
/* Run code of the task outside of its own events. */
struct scope scope_enter(struct task *t);
void scope_leave(struct scope s);

/* uv.c */
void uv_end_turn(struct task *t);
sim_fn uv_on_prepare;
void uv_will_wait(struct task *t); /* something was done, and more may be */
void uv_drain(struct task *t);     /* closing handles and works of a thread that ends */
void uv_fd_ready(struct proc *p, int fd);

/* process.c */
void proc_start_controller(uint8_t node);
void proc_start_agent(uint8_t node);
void proc_kill(uint8_t node);
void proc_reap(struct proc *p);
const char *node_name(uint8_t node);
uint8_t node_of_controller(const char *name);
struct daemon *ctl_daemon(uint8_t node); /* NULL: it is down */

#endif
