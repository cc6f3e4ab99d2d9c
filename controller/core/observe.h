/* controller/core/observe.h -- what this controller has seen, by its own clock; not logged.
 *
 * The shell fills it in: after each apply(), at each report of an agent, at each probe.
 * decide() reads it. A new leader starts from what its own process has seen since it
 * applied or restored each renewal, so a change of leader costs no second wait (I4).
 *
 * Pure:    types and arithmetic; the caller passes fresh readings of the clock in.
 * Owner:   one per controller process, embedded in the daemon (or the simulator).
 * Threads: the loop thread.
 */
#ifndef RF_CORE_OBSERVE_H
#define RF_CORE_OBSERVE_H

#include "controller/core/apply.h"

enum server_state { /* numbers of proto/provider.proto */
                    SERVER_UNKNOWN = 0,
                    SERVER_ABSENT = 1,
                    SERVER_DOWN = 2,
                    SERVER_STARTING = 3,
                    SERVER_PRIMARY = 4,
                    SERVER_STANDBY = 5,
                    SERVER_STOPPING = 6,
                    SERVER_REWINDING = 7,
};

/* "standby"; also in the API. */
const char *server_state_name(enum server_state s);

/* A primary that was seen once only: its log may grow at any rate (I9). */
#define WAL_RATE_UNKNOWN UINT64_MAX

/* The newest report of an agent about one instance. */
struct seen_instance {
    struct mono at;     /* when this process got it; never set: no report yet */
    struct mono said;   /* when its agent said it, at the earliest */
    struct mono taken;  /* when its agent looked, at the earliest: I9 counts from here */
    struct mono latest; /* and at the latest */
    uint64_t epoch;     /* that the agent worked under */
    enum server_state server;
    uint64_t system_id;
    uint32_t timeline;
    uint64_t flush_lsn; /* end of the log, of a server that is down too; 0: not known */
    uint64_t replay_lsn;
    uint64_t replay_lag_ms;
    uint64_t wal_bytes_per_s; /* highest recent rate, or WAL_RATE_UNKNOWN */
    uint64_t sync_generation;
    uint64_t checksum_failures;
    int64_t lease_margin_ms;
    bool streaming;
    bool follows_active; /* streams from the active instance under its present name */
    bool crashed, hung, ready, gate_proven, private_socket;
    bool unled;      /* runs as a primary that no LEAD of the epoch has verified */
    bool waits_sync; /* its last test write is in its own log, and waits for a standby */
    bool clean_shutdown;
    member_set shrink; /* members that a current holder asks to let go */
    uint64_t step;     /* being carried out by the agent; 0: none */
    bool unfit;        /* its agent can begin nothing, `problem` says why: no candidate */
    char gate_mode[16];
    char problem[TEXT_SIZE];
};

/* The outcome of a step as an agent reported it, kept until the log has it. */
struct seen_outcome {
    uint64_t step; /* 0: none */
    bool done;
    uint64_t position, system_id, loss_bytes;
    bool loss_known;
    bool cloned; /* all of the data is a new copy */
    char text[TEXT_SIZE];
};

struct seen_proof {
    bool given;
    bool installed;
    bool stopped; /* no process of the server was left when it was given */
    uint64_t epoch, fence_index;
    struct incarnation prover;
};

/* What this controller's own fencer of the instance's host has said. */
struct seen_fencer {
    char name[NAME_SIZE];        /* whose word it is */
    bool known, ready;           /* it was asked for its status, and answered */
    char text[200];              /* why not */
    uint64_t off_fence_index;    /* fence_begin behind which the host was seen to be off */
    struct incarnation off_life; /* power_subject() when that was begun */
};

/* A member's agent: its server refuses the log of the active instance. */
struct seen_severed {
    uint64_t
        fence_index; /* fence_begin behind which it was told to; 0: it has said nothing */
    struct incarnation by; /* the life that said so */
};

struct seen_probe {
    struct mono at;
    bool answered;
    bool refused; /* not answered, and not for want of packets: a reset, or the end */
};

/* Where the log of a group's primary was, told by whoever heard it. */
struct seen_position {
    uint64_t epoch;
    uint32_t timeline;
    uint64_t lsn, wal_bytes_per_s;
    struct mono taken; /* by our own clock, and no later than it was in truth */
};

struct observed_instance {
    char agent[NAME_SIZE];   /* follows the instance when positions move */
    struct mono step_began;  /* this process applied the start of its last step */
    struct mono step_ended;  /* this process applied the end of it */
    struct mono stray_since; /* seen not following the active instance since */
    bool corrected;      /* its file or its agent is another one since that step began */
    struct mono granted; /* fresh reading after this process applied or restored the last
                            grant (I4) */
    struct mono proven;  /* fresh reading after this process applied or restored the last
                            proof */
    struct mono renew_asked; /* last renewal that reached this leader, granted or not */
    struct seen_instance seen;
    struct seen_outcome outcome;
    struct seen_proof proof;
    struct seen_fencer fencer;
    struct seen_severed severed;
    struct seen_probe probes[CONTROLLER_MAX]; /* by position in state.controllers */
};

/* An operator's word for a failover. */
struct failover_wish {
    uint8_t target; /* NO_INSTANCE: best candidate */
    struct actor actor;
    struct request_key key; /* of his request */
};

struct observed_group {
    char name[NAME_SIZE];
    uint64_t epoch;            /* that `phase` and the positions below are about */
    struct mono phase_since;   /* this process applied the change to the present phase */
    enum phase phase;          /* the phase that phase_since is about */
    struct mono last_failover; /* this process applied it; for the cooldown */
    struct mono crashed_since, hung_since, waits_since;
    uint64_t primary_lsn; /* of the active instance's last report in this epoch, whoever
                             heard it: a change of leader does not forget it */
    uint32_t primary_timeline; /* of it; 0: not known */
    struct mono primary_lsn_at;
    uint64_t wal_rate; /* highest recent rate of it */
    bool busy;         /* an entry for this group is proposed, its fate not known */
    struct observed_instance instances[INSTANCE_MAX];
    /* An operator's `failover GROUP`, waiting to be taken up. */
    bool failover_wanted;
    uint8_t failover_target; /* NO_INSTANCE: best candidate */
    struct actor failover_actor;
    struct request_key failover_key;
};

/* The second line of an agent's host, as it last said; shown, and nothing is decided by it.
 */
enum seen_guard { /* numbers of proto/wire.proto */
                  SEEN_GUARD_UNSAID = 0,
                  SEEN_GUARD_OFF = 1,
                  SEEN_GUARD_DOWN = 2,
                  SEEN_GUARD_UP = 3,
};

struct observed_agent {
    bool connected; /* to this controller or through another one */
    enum seen_guard guard;
    struct mono heard; /* any frame of its enrolled incarnation */
    uint8_t via;       /* controller it was heard through */
    /* By position in state.controllers: its link to that controller is up; else when it
     * ended, as far as this process has seen it. */
    bool linked[CONTROLLER_MAX];
    struct mono hung_up[CONTROLLER_MAX];
};

struct observed_controller {
    struct mono heard;
    bool caught_up; /* replication within one heartbeat of our log */
};

/* When approvals were asked for, by this controller's clock: that of the entry is another
 * host's. */
struct observed_proposal {
    uint64_t asked; /* struct proposal's */
    struct mono since;
};

struct observations {
    bool leading;              /* leader, and the barrier of this term is applied */
    struct mono leading_since; /* silence is counted from here at the earliest */
    uint64_t self_id;          /* this controller */
    bool transfer_pending;
    struct observed_group groups[GROUP_MAX]; /* parallel to state.groups */
    struct observed_agent agents[AGENT_MAX]; /* parallel to state.agents */
    struct observed_controller controllers[CONTROLLER_MAX];
    struct observed_proposal proposals[PROPOSAL_MAX]; /* parallel to state.proposals */
};

void observations_init(struct observations *o, uint64_t self_id);

/* After apply(): `now` is a fresh reading made after it (I4). Follows phases, grants and
 * tables that moved. */
void observe_applied(struct observations *o, const struct state *s, const struct entry *e,
                     const struct apply_result *r, struct mono now);

/* After a snapshot was restored, or at start: every grant in it counts from `now`. */
void observe_restored(struct observations *o, const struct state *s, struct mono now);

/* This controller began or ceased to lead (with its barrier applied). What the agents said
 * to an older leader is dropped. */
void observe_leading(struct observations *o, bool leading, struct mono now);

/* A report arrived. The caller has checked the incarnation against the enrolled one, and
 * dated it: a frame may have been on its way for long, and its agent frozen before. */
void observe_report(struct observations *o, const struct state *s, uint8_t group,
                    uint8_t instance, const struct seen_instance *seen);

/* Of the guard on its host; an agent that nobody knows has said nothing. */
void observe_guard(struct observations *o, const struct state *s, const char *agent,
                   enum seen_guard guard);

/* The agent's program was started anew, so perhaps with a corrected file: what failed there
 * is tried at once. */
void observe_agent_anew(struct observations *o, const struct state *s, const char *agent);

/* Whatever step failed in the group is tried at once: an operator has mended its cause. */
void observe_retry(struct observations *o, const struct state *s, uint8_t group);

/* The fencer of that name was asked for its host's status: `text` NULL, it has answered. */
void observe_fencer(struct observations *o, const struct state *s, const char *fencer,
                    const char *text);

/* The host of the instance was seen to be off, by an order that was given behind this
 * fence_begin, when `life` was power_subject(). */
void observe_power_off(struct observations *o, uint8_t group, uint8_t instance,
                       uint64_t fence_index, const struct incarnation *life);

/* The agent of the instance, in this life, has had its server refuse the log of the active
 * instance, behind this fence_begin. */
void observe_severed(struct observations *o, uint8_t group, uint8_t instance,
                     uint64_t fence_index, const struct incarnation *by);

/* Whether the agent has a link to the controller at that position; any controller's word,
 * by our own clock. True: its end is news. */
bool observe_link(struct observations *o, const struct state *s, const char *agent,
                  uint8_t controller, bool up, struct mono now);

/* Another controller heard the primary. Kept if it says more than what we have ourselves:
 * a position further on, or the same one later. Of another epoch than ours: dropped. */
void observe_position(struct observations *o, const struct state *s, uint8_t group,
                      const struct seen_position *p);

/* The lease of the instance has been counted out by this process, now (I4). False for one
 * that was never granted: not knowing is not a proof. */
bool lease_counted_out(const struct state *s, const struct observations *o, uint8_t group,
                       uint8_t instance, struct mono now);

/* A primary that has lost sight of its standby writes faster than it ever did in its sight:
 * seen up to a quarter faster on a busy host. */
enum { LOSS_RATE_HEADROOM = 2 };

/* How much of the primary's log an activation of `instance` may miss: the last reported gap
 * plus LOSS_RATE_HEADROOM times the highest recent rate times the time since. False if it
 * cannot be known: no report of either, only one of the primary (its rate is not known
 * then), or the instance is on another timeline than the primary's, where positions do not
 * compare (a fenced primary may be further on, in a log that is void). */
bool loss_forecast(const struct state *s, const struct observations *o, uint8_t group,
                   uint8_t instance, struct mono now, uint64_t *ret_bytes);

#endif
