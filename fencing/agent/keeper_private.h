/* fencing/agent/keeper_private.h -- shared by keeper*.c only.
 *
 * Threads: the keeper's own, but for keeper_start() and keeper_stop().
 */
#ifndef RF_AGENT_KEEPER_PRIVATE_H
#define RF_AGENT_KEEPER_PRIVATE_H

#include <uv.h>

#include "controller/base/buf.h"
#include "controller/net/link.h"
#include "fencing/agent/bell.h"
#include "fencing/agent/keeper.h"
#include "fencing/agent/syncer.h"
#include "proto/frame.h"

enum {
    KEEPER_TICK_DEFAULT_MS = 200, /* before a group says how often to renew */
    KEEPER_TICK_MIN_MS = 20,
    KEEPER_TICK_MAX_MS = 2000,
    KEEPER_LATE_MS = 50, /* a turn later than this counts as ours, not as others' silence */
    KEEPER_PING_MS = 1000,
    KEEPER_STEPS_STILL_MS = 10000, /* they speak every second or two */
    KEEPER_REDIAL_MS = 1000,       /* after garbage */
    KEEPER_NEWS_MS = 10, /* news that come closer than this share a report: each is a turn
                          * of the leader's, and fifty groups have hundreds a second */
    KEEPER_EFFECTS_MAX = 512, /* in one turn: more is a mistake of ours */
};
#define KEEPER_ALL UINT64_MAX
_Static_assert(AGENT_GROUPS_MAX <= 64, "slots are bits of a uint64_t");

struct uplink {
    struct keeper *k;
    const struct agent_controller *to;
    struct link *link; /* NULL: refused for good, or until `redial` */
    struct boot redial;
    bool welcomed;
    struct boot heard; /* last frame that came by it */
    uint64_t term;
    char leader[AGENT_NAME_SIZE];    /* as it said last */
    uint64_t ping_seq, answered_seq; /* our last one, and the last one with an answer */
    struct boot answered;            /* when that came */
    uint32_t rtt_us;
    char problem[KEEPER_PROBLEM_SIZE];
};

/* What the steps said about an instance, waiting for the next report. */
struct kept_report {
    struct buf packed;
    struct boot taken;
};

struct keeper {
    struct keeper_parts parts;
    struct agent_contents contents;
    uv_thread_t thread;
    uv_sem_t started;
    int start_status;
    struct err start_err;

    uv_loop_t loop;
    struct bell *bell;
    uv_timer_t tick, news_timer;
    struct boot tick_expected;
    uint32_t tick_ms;
    bool stopping;
    bool more; /* something is left to do, and the bell was rung for it */

    struct gate *gate;
    struct guard_link *guard; /* NULL: not wanted, or its page cannot be had */
    struct keeper_core core;
    struct syncer *syncer;
    struct names *names; /* of the controllers' hosts */
    struct uplink uplinks[SETTINGS_CONTROLLERS_MAX];
    uint8_t uplink_count;
    uint64_t assignments_term;
    struct buf assigned[AGENT_GROUPS_MAX]; /* as packed last, to pass on changes only */
    uint32_t renew_ms[AGENT_GROUPS_MAX];
    struct kept_report reports[AGENT_GROUPS_MAX];
    uint64_t report_seq;
    struct boot reported; /* when the last one was sent */
    struct boot told_all; /* when one about all slots was */
    uint64_t news;        /* slots by bit, to be reported by the news_timer */
    struct boot pinged;
    struct board_health health;
    char gate_trouble[KEEPER_PROBLEM_SIZE];   /* what gate_check() said last, else empty */
    char assign_problem[KEEPER_PROBLEM_SIZE]; /* of the last refused one, said once */
    uint64_t holds_logged;    /* by slot bit: that the port of a primary is held was said */
    uint64_t refusals_logged; /* by slot bit: the last renewal's refusal was said aloud */
};

/* keeper_act.c */
/* Carry out what the core wants, for as long as a turn may take, then tell the steps where
 * we are; what is left goes on with the bell (`more`). */
void keeper_pump(struct keeper *k);
void keeper_pump_bell(struct keeper *k); /* one trial of a gate, too; for the bell alone */
void keeper_publish(struct keeper *k);
syncer_done keeper_on_synced;

/* keeper_guard.c: the second line. Nothing of it where no guard is wanted. */
void keeper_guard_open(struct keeper *k);
void keeper_guard_close(struct keeper *k);
void keeper_guard_tick(struct keeper *k);
/* Before the effect (ARM, ADOPT) reaches the gate. */
void keeper_guard_before(struct keeper *k, const struct keeper_effect *e);
void keeper_guard_tell(struct keeper *k); /* as all is now */

/* keeper_links.c */
MUST_USE int keeper_links_open(struct keeper *k, struct err *err);
void keeper_links_close(struct keeper *k);
/* To the controller that leads as far as we know; to all if nobody does, or `all`. */
void keeper_send(struct keeper *k, const Rf__Frame *frame, bool all);
/* Whether it would go out by this link. */
bool keeper_is_way(const struct keeper *k, const struct uplink *u, bool all);
void keeper_links_tick(struct keeper *k); /* pings, and dials again what sent garbage */
void keeper_links_health(struct keeper *k);

/* keeper_frames.c: what controllers say. */
void keeper_on_assignments(struct keeper *k, const Rf__Assignments *m);
void keeper_on_ack(struct keeper *k, const Rf__RenewAck *m);
void keeper_on_step_order(struct keeper *k, const Rf__StepOrder *m);
void keeper_on_fence_order(struct keeper *k, const Rf__FenceOrder *m);

/* keeper_say.c: what we say. */
void keeper_say_hello(struct uplink *u);
void keeper_say_renew(struct keeper *k, const struct keeper_renewal *r);
void keeper_say_proof(struct keeper *k, const struct keeper_effect *e);
/* Of the slots by bit: KEEPER_ALL with each tick; those of which there is news at once. */
void keeper_say_report(struct keeper *k, uint64_t slots);
void keeper_say_result(struct keeper *k, const struct buf *packed);
void uplink_send(struct uplink *u, const Rf__Frame *frame);

#endif
