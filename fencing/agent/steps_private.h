/* fencing/agent/steps_private.h -- shared by steps*.c only. Main thread. */
#ifndef RF_AGENT_STEPS_PRIVATE_H
#define RF_AGENT_STEPS_PRIVATE_H

#include <uv.h>

#include "fencing/agent/bell.h"
#include "fencing/agent/disk_probe.h"
#include "fencing/agent/helper.h"
#include "fencing/agent/steps.h"

enum {
    STEPS_TICK_MS = 50,
    OBSERVE_MS = 300,       /* while nothing happens */
    OBSERVE_FAST_MS = 50,   /* for FAST_FOR_MS after something did */
    OBSERVE_STOP_MS = 1000, /* while a stop is under way: the step tells when it is over */
    FAST_FOR_MS = 3000,
    OBSERVE_DEADLINE_MS = 1500,
    PROBE_DEFAULT_MS = 1000,
    STEP_LEAST_MS = 1000, /* no step gets less */
    STEP_GRACE_MS = 3000, /* beyond the deadline that the provider keeps by itself */
    OWN_STOP_MS = 1500,   /* a server that is not ours: fast, then immediate; its gate is
                             closed, so its walsenders could not drain anyway */
    OWN_STOP_AGAIN_MS = 5000,
    CHECKS_DEADLINE_MS = 3000,
    START_LOOK_MS = 60000,    /* between two looks at the unit that starts the server */
    START_LOOK_BAD_MS = 5000, /* while it could not */
    WAIT_SHOWN_MS = 1000,
    NUDGE_MS = 500,      /* after the names that commits wait for were changed */
    JOIN_WAIT_MS = 3000, /* for the newcomer to keep up; then the leader tries later */
    LATE_MS = 200,       /* a tick later than this: the silence is ours */
};

/* The life of one postmaster. */
struct inst;
struct watch {
    struct inst *i; /* NULL: nobody cares any more */
    uv_poll_t poll;
    int fd;
    struct postmaster pm;
    struct guard_process process; /* for the guard, where there is one */
};

/* What is under way in the step worker. */
struct running {
    bool busy, own; /* own: a stop that nobody ordered (I9) */
    bool cancelled;
    Rf__StepKind kind;
    uint64_t step, epoch;
};

struct inst {
    struct steps *st;
    uint8_t slot;
    bool used;
    char group[AGENT_NAME_SIZE];
    Rf__Assignment *a;
    Rf__StepOrder *order; /* the last one, until it is settled */
    struct step_record *rec;
    struct helper *observer, *worker;
    struct watch *watch;    /* NULL: no living postmaster is known */
    struct postmaster dead; /* the last one that we saw exit */
    Rf__Observation *seen;
    struct mono seen_at, asked_at, canary_asked_at;
    struct mono canary_ok;     /* accepted, or not accepted for a reason that is not hung */
    uint64_t asked_generation; /* of its sync set, likewise */
    uint64_t asked_index;      /* of the assignment, when the last look was asked for */
    uint64_t looked;           /* of the newest look that was answered; see keeper_server */
    unsigned canary_failed;    /* tries that came to nothing since */
    bool canary_asked;         /* with the observation that is under way */
    struct mono fast_until, stop_again, nudge_until;
    struct running run;
    uint64_t waiting; /* step that is waited with, since: */
    struct mono waiting_since;
    uint64_t result; /* step whose result is in result_packed */
    struct buf result_packed;
    struct buf said; /* the last report, without what changes at each look */
    bool alive, opening, crashed, hung, alien, stopped;
    bool let_go; /* detached, and nothing of ours is left beside the server */
    enum keeper_server_state state;
    struct keeper_server told;
    struct shrink_watch shrink;
    uint32_t shrink_bits;
    const char *alien_why; /* of police(); counts while `alien`, no longer */
    char waits[96];
    char trouble[KEEPER_PROBLEM_SIZE]; /* of the last step, as logged; "": it was done */
    Rf__StepKind trouble_kind;
    steps_checks *on_checks;
    void *checks_owner;
    bool checks_wanted, checking, closing;
    bool start_asked;            /* the look that is under way is at the start unit */
    struct mono start_looked_at; /* not set: never, or not since `start` has changed */
    char cannot_start[KEEPER_PROBLEM_SIZE]; /* its unit could not start it, and why */
    uint64_t done, failed, unknown, observations, observer_deaths;
};

struct steps {
    struct steps_parts parts;
    struct bell *bell;
    uv_timer_t tick;
    struct step_records records;
    struct mono ticked;
    struct mono left_at; /* when it was last looked what detached servers have left */
    struct disk_probe *probe;
    bool save_failed, disk_hangs;
    char disk_problem[KEEPER_PROBLEM_SIZE]; /* nothing can be begun: state_dir, and why */
    struct inst insts[AGENT_GROUPS_MAX];
};

/* steps.c */
/* False (and logged once): the disk does not take it, or hangs. */
bool steps_save(struct steps *st);

/* steps_watch.c */
/* False: it is not there (any more). Watching the same one again does nothing. */
bool inst_watch(struct inst *i, struct postmaster pm);
void inst_unwatch(struct inst *i);
/* Has it ended, though the loop has not come to say so yet? Then it is said now. */
void inst_check_watch(struct inst *i);

/* steps_observe.c */
void inst_observe(struct inst *i); /* ask, if it is time */
/* False: it says nothing new. */
bool inst_take_observation(struct inst *i, const Rf__Observation *seen);
helper_reply inst_on_observed;
void inst_fill_server(const struct inst *i, Rf__ServerSpec *out);
struct known_peers {
    Rf__ProviderPeer of[SHRINK_PEERS_MAX];
    Rf__ProviderPeer *list[SHRINK_PEERS_MAX];
};
void inst_fill_peers(const struct inst *i, bool members, struct known_peers *out,
                     Rf__ProviderRequest *request);
Rf__Observation *observation_copy(const Rf__Observation *from);

/* steps_run.c */
void inst_consider_order(struct inst *i);
void inst_stop_alien(struct inst *i);
/* Before any order of this life: the last life's last step, if it failed. */
void inst_remember_failure(struct inst *i);
helper_reply inst_on_step;

/* steps_tell.c */
/* All that follows from what is known now: police, readiness, orders, keeper, report. */
void inst_consider(struct inst *i);
/* Why the server that runs is being stopped, for people; "" where it may run. */
const char *inst_alien_why(const struct inst *i);
/* Nothing is sent when it knows already. */
void inst_tell_keeper(struct inst *i, uint64_t ready_epoch);
/* If the server has become ready, the keeper is told so now. True: the records were
 * written. */
bool inst_tell_ready(struct inst *i);
void inst_say_result(struct inst *i, const Rf__StepResult *result);

#endif
