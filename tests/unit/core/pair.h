/* tests/unit/core/pair.h -- a whole region pair in one address space, for unit.core.pair.
 *
 * Three controllers run the real core, two agents the real keeper; what is modelled is
 * everything below them: the log's order, the network, disks, clocks, the kernel's gate as
 * gate.h describes it, and PostgreSQL as far as acknowledgements and WAL go. One event list
 * and one generator make a run a function of its seed.
 *
 * Units:   true time in nanoseconds since the start; nobody inside can read it.
 * Owner:   the caller owns struct pair; no allocation but pair_new().
 * Errors:  a broken property ends the run: `failed` and `why`.
 */
#ifndef RF_TEST_PAIR_H
#define RF_TEST_PAIR_H

#include "controller/base/auto.h"
#include "controller/core/decide.h"
#include "fencing/agent/keeper_core.h"

/* Nodes of the network: first the controllers, then the hosts. Typed, for loops over them.
 */
#define CTLS ((uint8_t)3)
#define HOSTS ((uint8_t)2)
#define NODES ((uint8_t)5)

enum {
    NOBODY = 99,
    PORT = 5432,
    LOG_MAX = 6000,
    PENDING_MAX = 256,
    EVENT_MAX = 4096,
    WRITE_MAX = 16384,
    WAITING_MAX = 512,
    RHO_PPM = 10000,
    TTL_MS = 1000,
    RENEW_MS = 150,
    SHRINK_MS = 2000,
    HUNG_MS = 1500,
    PROMOTE_MS = 4000,
    STOP_MS = 1000,
    WAL_START = 1 << 24, /* as told to controllers: 0 is no position */
};

/* What the model does wrong on purpose, so that the test is seen to fail. */
#define MUTANT_MAP(X)                                                                      \
    X(MUTANT_NONE, "none")                                                                 \
    X(MUTANT_HALF_WAIT, "half-wait")       /* a lease is counted with half its TTL */      \
    X(MUTANT_LONG_LEASE, "long-lease")     /* a holder counts from the answer */           \
    X(MUTANT_NOT_FROZEN, "not-frozen")     /* a proof without closing and freezing */      \
    X(MUTANT_OPEN_EARLY, "open-early")     /* open without `opened` */                     \
    X(MUTANT_OLD_GRANT, "old-grant")       /* after a restore nothing is counted anew */   \
    X(MUTANT_JOIN_BLIND, "join-blind")     /* a member joins without having flushed */     \
    X(MUTANT_SHRINK_FIRST, "shrink-first") /* names without the entry that lets go */      \
    X(MUTANT_SHUT_BLIND, "shut-blind")     /* forming, a primary passes for stopped */

enum mutant {
#define X(name, text) name,
    MUTANT_MAP(X)
#undef X
        MUTANT_COUNT
};

/* ---- messages -------------------------------------------------------------------------
 */

enum msg_kind {
    MSG_HELLO,
    MSG_RENEW,
    MSG_REPORT,
    MSG_STEP_REPORT,
    MSG_PROOF,
    MSG_ASSIGN,
    MSG_ACK,
    MSG_STEP_ORDER,
    MSG_FENCE_ORDER
};

/* What an assignment says to the steps, beside the gate. */
struct duties {
    bool opened, stop_allowed, synchronous, known;
    uint64_t index, epoch, name; /* name: activation that standby names carry */
    uint64_t generation;
    member_set members;
    uint8_t role, active;
};

struct order {
    uint64_t step, epoch, generation, name;
    enum step_kind kind;
    bool restart;
    member_set members;
    uint8_t subject, upstream;
};

struct report {
    uint64_t seq, age_ns, follow_name;
    uint64_t sent; /* in truth */
    uint8_t upstream;
    struct seen_instance seen;
};

struct msg {
    enum msg_kind kind;
    uint8_t host, hops;
    struct incarnation inc;
    union {
        struct {
            uint64_t highest;
            struct incarnation former; /* filled in by the controller that hears it */
        } hello;
        struct {
            uint64_t seq, epoch;
            struct boot sent;
            enum keeper_kind kind;
        } renew;
        struct report report;
        struct {
            uint64_t step, position;
            bool done;
        } outcome;
        struct {
            uint64_t epoch, fence_index;
            bool installed;
        } proof;
        struct {
            uint64_t term;
            struct keeper_assignment a;
            struct duties d;
        } assign;
        struct {
            uint64_t seq;
            struct boot sent;
            struct keeper_verdict v;
        } ack;
        struct order order;
        struct {
            uint64_t epoch, fence_index;
        } fence;
    };
};

/* ---- events ---------------------------------------------------------------------------
 */

enum event_kind {
    EV_TO_CTL,
    EV_TO_HOST,
    EV_COMMIT,
    EV_APPLY,
    EV_TURN,
    EV_RAFT,
    EV_LEAD,
    EV_UNLEAD,
    EV_TICK,
    EV_LOOK,
    EV_THAW,
    EV_SYNCED,
    EV_STEP,
    EV_WORLD,
    EV_FAULT,
    EV_HEAL,
};

struct event {
    enum event_kind kind;
    uint8_t node;
    uint32_t life; /* of the node it is for; another one: dropped */
    uint64_t number;
    struct msg msg;
};

struct heap_item {
    uint64_t at, seq;
    uint16_t slot;
};

/* ---- the parts ------------------------------------------------------------------------
 */

struct ticking {
    int64_t ppm;
    uint64_t offset;
};

/* Who waits for the fate of a proposal. */
struct tag {
    bool renewal, decision;
    struct msg msg;
};

struct logged {
    struct entry e;
    uint8_t proposer;
    uint32_t life;
    struct tag tag;
};

struct pending {
    bool used;
    uint8_t by;
    uint32_t life;
    uint64_t term, since;
    struct tag tag;
    struct entry e;
};

struct ctl {
    bool up;
    uint64_t frozen_until;
    uint32_t life;
    uint64_t term;
    struct ticking clock;
    struct state s, snapshot;
    struct observations o;
    bool turn_due, enrolling[HOSTS], dirty[HOSTS], has_hello[HOSTS];
    struct msg hello[HOSTS];
    uint64_t report_seq[HOSTS], pushed[HOSTS], heard[HOSTS];
    struct incarnation report_of[HOSTS];
    struct {
        uint64_t what, at;
    } step_pace[HOSTS], fence_pace[HOSTS];
};

struct cell { /* one port of the simulated gate */
    bool managed;
    struct gate_state st;
};

struct steps { /* the agent's step runner; survives its restart but for `running` */
    uint64_t last_step, led_epoch, led_position, led_postmaster;
    uint64_t ready_epoch, ready_postmaster;
    struct order running; /* step 0: none */
    uint64_t begun;
    uint8_t stage;
    struct {
        uint64_t step, position;
        bool done;
    } result;
};

struct host {
    bool alive, disk_bad;
    uint64_t frozen_until, up_at;
    uint32_t life, incarnations;
    struct incarnation inc;
    struct ticking clock;
    struct keeper_core k;
    struct cell gate;
    struct epoch_table disk, sync_table;
    struct keeper_effect held; /* frozen between deciding and doing */
    bool holding;
    uint64_t assign_term;
    struct duties d;
    struct steps steps;
    uint64_t report_seq, hung_since, hello_at;
    struct {
        uint64_t generation, since, looked;
        int target;
    } shrink;
};

struct pg {
    enum server_state server;
    int wal[WRITE_MAX];
    int len;
    uint64_t postmaster;    /* +1 at each start */
    uint64_t primary_since; /* 0: it is none */
    bool hung, blocked, crashed, streaming;
    uint8_t upstream;
    uint64_t follow_name, names_name, generation;
    member_set names;
    struct {
        int id, pos;
    } waiting[WAITING_MAX];
    unsigned waiting_count;
};

struct pair_options {
    uint64_t seed;
    enum mutant mutant;
    bool verbose;
};

struct pair {
    struct pair_options opt;
    uint64_t random, now, heal_at, end_at;
    struct heap_item heap[EVENT_MAX];
    struct event events[EVENT_MAX];
    uint16_t free_slots[EVENT_MAX];
    unsigned heap_count, free_count;
    uint64_t event_seq;

    uint8_t cut[NODES][NODES]; /* how many faults cut this direction */
    bool noisy;

    struct ctl ctls[CTLS];
    uint8_t lead;
    uint64_t term, lead_lost;
    unsigned log_count;
    struct logged log[LOG_MAX];
    struct pending pending[PENDING_MAX];
    uint64_t judged; /* highest index that the checks have seen */
    struct actions actions;
    struct apply_result result;
    struct state scratch;

    struct host hosts[HOSTS];
    struct pg pgs[HOSTS];
    enum sync_mode sync;
    bool standby_reads, manual, detaching, unmanaged, adopt;
    uint8_t declared;

    int writes; /* ids given so far */
    bool acked[WRITE_MAX], stored[WRITE_MAX];
    uint64_t ack_epoch, acks, acks_healed, opens, fences;
    uint64_t epoch_seen;

    bool failed, stuck; /* stuck: a property of liveness */
    char why[400];
};

/* pair_world.c: chance, time, the event list, the network. */
uint64_t pair_random(struct pair *w);
uint64_t pair_between(struct pair *w, uint64_t low, uint64_t high);
bool pair_chance(struct pair *w, unsigned permille);
uint64_t pair_clock(const struct pair *w, const struct ticking *c);
struct event *pair_at(struct pair *w, uint64_t at, enum event_kind kind, uint8_t node);
bool pair_linked(const struct pair *w, uint8_t from, uint8_t to);
void pair_host_says(struct pair *w, uint8_t host, struct msg *m);
/* Once more through every controller, long after it was said first. */
void pair_host_echoes(struct pair *w, const struct msg *m);
void pair_ctl_says(struct pair *w, uint8_t ctl, struct msg *m);
void pair_carry(struct pair *w, uint8_t from, uint8_t to, const struct msg *m);
void pair_fail(struct pair *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void pair_note(struct pair *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct pair *pair_new(void);
void pair_run(struct pair *w, const struct pair_options *opt);

/* pair_log.c: the order of the log, and the controllers' shell. */
void log_start(struct pair *w);
void log_commit(struct pair *w, unsigned slot);
void log_raft(struct pair *w);
void log_lead(struct pair *w, uint8_t ctl, uint64_t term);
void log_unlead(struct pair *w, uint8_t ctl, uint64_t term);
void log_move_lead(struct pair *w);
void log_propose(struct pair *w, uint8_t ctl, const struct entry *e, const struct tag *tag);
void log_apply(struct pair *w, uint8_t ctl);
void log_crash(struct pair *w, uint8_t ctl);
void log_restart(struct pair *w, uint8_t ctl);
bool log_has_majority(const struct pair *w, uint8_t ctl);

/* pair_ctl.c: what a controller does with messages and decisions. */
void ctl_applied(struct pair *w, uint8_t ctl, const struct logged *l,
                 const struct apply_result *r);
void ctl_wake(struct pair *w, uint8_t ctl);
void ctl_turn(struct pair *w, uint8_t ctl);
void ctl_handle(struct pair *w, uint8_t ctl, const struct msg *m);
struct mono ctl_now(const struct pair *w, uint8_t ctl);
const struct group *ctl_group(const struct pair *w, uint8_t ctl);
struct observed_group *ctl_seen(struct pair *w, uint8_t ctl);

/* pair_agent.c: the keeper's shell and the gate. */
struct boot host_now(const struct pair *w, uint8_t host);
void host_start(struct pair *w, uint8_t host, bool same_life);
void host_crash(struct pair *w, uint8_t host);
void host_reboot(struct pair *w, uint8_t host);
void host_tick(struct pair *w, uint8_t host);
void host_pump(struct pair *w, uint8_t host);
void host_thaw(struct pair *w, uint8_t host);
void host_synced(struct pair *w, uint8_t host);
void host_handle(struct pair *w, uint8_t host, const struct msg *m);
bool gate_is_open(const struct pair *w, uint8_t host);
bool gate_lets_peers(const struct pair *w, uint8_t host);

/* pair_steps.c: observations, reports and steps of an agent. */
void steps_look(struct pair *w, uint8_t host);
void steps_order(struct pair *w, uint8_t host, const struct order *o);
void steps_go_on(struct pair *w, uint8_t host);
void steps_report(struct pair *w, uint8_t host);

/* pair_pg.c: the servers and their clients. */
void pg_world(struct pair *w);
void pg_crash(struct pair *w, uint8_t host);
void pg_stop(struct pair *w, uint8_t host);
void pg_begin(struct pair *w, uint8_t host, enum server_state as);
void pg_forget_clients(struct pair *w, uint8_t host);
int pg_common(const struct pg *a, const struct pg *b);
bool pg_flows(const struct pair *w, uint8_t upstream, uint8_t standby);

/* pair_fault.c */
void fault_plan(struct pair *w);
void fault_happen(struct pair *w, uint64_t number);
void fault_heal(struct pair *w, uint8_t node, uint64_t number);
void fault_heal_all(struct pair *w);

/* pair_check.c: the properties. */
void check_step(struct pair *w);
void check_applied(struct pair *w, uint8_t ctl, const struct logged *l,
                   const struct apply_result *r);
void check_ack(struct pair *w, uint8_t host, int id);
/* The gate is put before the port, closed. */
void check_first_gate(struct pair *w, uint8_t host);
bool check_alive(struct pair *w);
void check_stuck(struct pair *w);

#endif
