/* controller/core/state.h -- the replicated state: all that three controllers agree on.
 *
 * It changes only by apply() (apply.h), is a plain value of fixed size (no pointers, so a
 * copy is a snapshot and a dry run needs no allocation), and says nothing about clocks:
 * what a controller counts by its own clock lives in observe.h.
 *
 * Pure:    types only.
 * Units:   durations in milliseconds, positions in bytes of WAL (LSN), `..._index` are
 *          indexes of the Raft log.
 * Owner:   whoever embeds it.
 */
#ifndef RF_CORE_STATE_H
#define RF_CORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/core/proposal.h"
#include "controller/core/sizes.h"
#include "fencing/rules/lease.h"
#include "fencing/rules/proof.h"

/* An epoch above what the log has reached is believed up to here: 2^62 activations are
 * never made, and what grows from there never wraps around (I1). */
#define EPOCH_TOLD_MAX (UINT64_C(1) << 62)

/* Bit i: instances[i]. */
typedef uint8_t member_set;

#define SYNC_MODE_MAP(X)                                                                   \
    X(SYNC_OFF, 0, "off")                                                                  \
    X(SYNC_PREFERRED, 1, "preferred")                                                      \
    X(SYNC_REQUIRED, 2, "required")                                                        \
    X(SYNC_STRICT, 3, "strict")

enum sync_mode {
#define X(name, number, text) name = (number),
    SYNC_MODE_MAP(X)
#undef X
};

/* The phases of a group; docs/architecture.md shows the diagram drawn from rules.c. */
#define PHASE_MAP(X)                                                                       \
    X(PHASE_NONE, 0, "none")                                                               \
    X(PHASE_FORMING, 1, "forming")     /* declared or attached; gates being proven */      \
    X(PHASE_PROMOTING, 2, "promoting") /* activated, not yet opened */                     \
    X(PHASE_STEADY, 3, "steady")                                                           \
    X(PHASE_SWITCHING, 4, "switching") /* controlled switchover before its fence_begin */  \
    X(PHASE_FENCING, 5, "fencing")     /* fence_begin is committed: irrevocable */         \
    X(PHASE_DETACHED, 6, "detached")   /* no lease, unmanaged */

enum phase {
#define X(name, number, text) name = (number),
    PHASE_MAP(X)
#undef X
        PHASE_COUNT
};

#define RUN_KIND_MAP(X)                                                                    \
    X(RUN_NONE, 0, "none")                                                                 \
    X(RUN_FORM, 1, "form") /* first activation, adoption, attach */                        \
    X(RUN_FAILOVER, 2, "failover")                                                         \
    X(RUN_SWITCHOVER, 3, "switchover")

enum run_kind {
#define X(name, number, text) name = (number),
    RUN_KIND_MAP(X)
#undef X
};

#define RUN_RESULT_MAP(X)                                                                  \
    X(RUN_RUNNING, 0, "running")                                                           \
    X(RUN_DONE, 1, "done")                                                                 \
    X(RUN_ABORTED, 2, "aborted")   /* went back before fence_begin */                      \
    X(RUN_RETURNED, 3, "returned") /* the old region was activated again */

enum run_result {
#define X(name, number, text) name = (number),
    RUN_RESULT_MAP(X)
#undef X
};

/* The numbers are those of proto/provider.proto's StepKind. */
#define STEP_KIND_MAP(X)                                                                   \
    X(STEP_NONE, 0, "none")                                                                \
    X(STEP_LEAD, 1, "lead")                                                                \
    X(STEP_FOLLOW, 2, "follow")                                                            \
    X(STEP_STOP, 3, "stop")                                                                \
    X(STEP_CHECKPOINT, 4, "checkpoint")                                                    \
    X(STEP_JOIN, 5, "join")                                                                \
    X(STEP_SYNC, 6, "sync")                                                                \
    X(STEP_CLONE, 7, "clone")

enum step_kind {
#define X(name, number, text) name = (number),
    STEP_KIND_MAP(X)
#undef X
};

enum step_state { STEP_IDLE = 0, STEP_STARTED = 1, STEP_DONE = 2, STEP_FAILED = 3 };

/* Fence levels that a group may use, a bit set. */
#define FENCE_LEVEL_MAP(X)                                                                 \
    X(FENCE_AGENT, 0, "agent")                                                             \
    X(FENCE_SYNC_SEVERED, 1, "sync_severed")                                               \
    X(FENCE_LEASE_EXPIRY, 2, "lease_expiry")                                               \
    X(FENCE_POWER, 3, "power")                                                             \
    X(FENCE_ATTESTED, 4, "attested")

enum fence_level {
#define X(name, bit, text) name = 1 << (bit),
    FENCE_LEVEL_MAP(X)
#undef X
};
enum { FENCE_LEVEL_COUNT = 5, FENCE_LEVELS_ALL = (1 << FENCE_LEVEL_COUNT) - 1 };

/* A level's place among the others: its turn comes when the one before it has had its
 * deadline without a proof, or with it (`race`). */
struct fence_turn {
    uint8_t level; /* enum fence_level, one bit */
    bool race;
    uint32_t deadline_ms; /* 0: the level's own, fence_deadline_ms() */
};

/* What an operator declares about decisions; defaults in policy.c. */
struct policy {
    struct lease_terms lease;
    uint32_t renew_ms;
    enum sync_mode sync;
    uint32_t shrink_after_ms;
    uint64_t max_lag_bytes;
    uint32_t max_lag_ms;
    uint32_t failover_after_ms;
    uint32_t local_restarts;
    uint32_t hung_after_ms;
    uint32_t promote_deadline_ms;
    uint32_t stop_deadline_ms; /* of a switchover's stop, before it goes back */
    uint32_t cooldown_ms;
    uint32_t probe_ms;
    uint8_t fence; /* enum fence_level bits */
    /* In the order of the file; none: of a version that had no order, design section 4's.
     */
    uint8_t fence_turn_count;
    struct fence_turn fence_turns[FENCE_LEVEL_COUNT];
    bool automatic;
    bool standby_reads;
    bool ungated_local;
    /* The owner's word: no session lowers synchronous_commit, and nobody takes a commit
     * whose wait was cancelled for one that succeeded. Level 2 rests on it. */
    bool no_async_writers;
    uint8_t residency_count;
    char residency[TAG_MAX][NAME_SIZE];
    /* Who must agree to what people ask for, and when; the last one is for all other
     * times. None: whoever may ask is enough. */
    uint8_t window_count;
    struct approval_window windows[WINDOW_MAX];
};

struct region {
    char name[NAME_SIZE];
    uint8_t tag_count;
    char tags[TAG_MAX][NAME_SIZE];
};

/* The one step an instance may be in (I6: one at a time), or its last one. A record that it
 * was done carries its outcome (I5). */
struct step {
    enum step_state state;
    enum step_kind kind;
    uint64_t id; /* log index of the entry that started it; 0: never */
    uint64_t epoch;
    uint64_t generation; /* of the sync set when it started */
    uint8_t subject;     /* JOIN: the instance that joins; else NO_INSTANCE */
    bool restart;        /* LEAD within the epoch */
    uint64_t position;   /* see StepResult.position */
    uint32_t failures;   /* in a row, of this kind in this epoch */
    char text[TEXT_SIZE];
};

/* A port beside the server's own, a pooler's on the same host say, which would go on
 * serving by the Unix socket behind a gate of the server's port alone: one lease rules all
 * of an instance's ports (I3). */
struct also_port {
    uint16_t port;
};

/* An address that may come to the group's standbys though clients may not: a monitor's, a
 * backup's. The owner states by it that nothing there writes; the gate lets it pass only
 * while the server is known to be in recovery, never to a primary that is not opened, never
 * when a lease is over or behind a fence (keeper_plan.c argues it, I3, I8). */
struct exception {
    char address[EXCEPTION_SIZE]; /* as inet_ntop() writes it; IPv4 is not mapped */
};

struct instance {
    char agent[NAME_SIZE]; /* also the instance's name: one per agent and group */
    char component[NAME_SIZE];
    uint8_t region; /* index in regions */
    uint16_t port;
    uint8_t also_count;
    struct also_port also[ALSO_MAX]; /* ascending, without `port` */
    char data[PATH_SIZE];
    char start[PATH_SIZE]; /* "pg_ctl" or "systemd:UNIT" */
    /* Name of the fencer, in every controller's file, that cuts its host's power; "": none.
     */
    char power[NAME_SIZE];
    uint64_t system_id; /* 0: not seen yet */
    struct proof_record proof;
    uint64_t holder_epoch; /* epoch of proof.last_grant */
    struct step step;
    /* Seen in its data once, whatever is reported since; 0: none since it was copied anew,
     * or the group was attached. */
    uint64_t checksum_failures;
    /* What a proof said did not hold (I2): log index of the entry that noted it, of the
     * proof, its kind and epoch. Until it is acknowledged; 0: none. */
    uint64_t false_proof, false_index, false_epoch;
    enum proof_kind false_kind;
    char severed_by[NAME_SIZE]; /* of PROOF_SYNC_SEVERED: who refuses its log; else "" */
};

/* One execution of a plan; the last one is kept for people. */
struct run {
    uint64_t id; /* log index; 0: none yet */
    enum run_kind kind;
    enum run_result result;
    uint8_t from, to;         /* instances; NO_INSTANCE: not chosen yet */
    bool requested;           /* by an operator, not by a rule */
    uint64_t epoch;           /* that it ended or will end */
    char rule[NAME_SIZE + 8]; /* the row that began it */
    char reason[TEXT_SIZE];   /* facts it was begun on */
    enum proof_kind proof;    /* of the old primary */
    uint64_t fence_wall_ms, proof_wall_ms, activate_wall_ms, open_wall_ms; /* for people */
    bool loss_forecast_known, loss_known;
    uint64_t loss_forecast_bytes, loss_bytes;
};

struct group {
    char name[NAME_SIZE];
    char component[NAME_SIZE];
    char provider[NAME_SIZE];
    struct policy policy;
    uint8_t region_count, instance_count;
    struct region regions[REGION_MAX];
    struct instance instances[INSTANCE_MAX];
    uint8_t exception_count;
    struct exception exceptions[EXCEPTION_MAX];

    enum phase phase;
    uint64_t epoch;       /* of the last activation; 0: never active */
    uint64_t epoch_floor; /* highest reported by an agent, or used up: epochs go on above
                             (I12) */
    uint64_t index;       /* of the entry that last changed this group (not: renewals) */
    uint8_t active;       /* instance authorised for `epoch`, or declared to be (FORMING) */
    uint8_t old_active;   /* the one before it */
    uint64_t activated_index, opened_index; /* of `epoch`; opened 0: not yet */
    uint64_t fence_index;                   /* fence_begin(epoch); 0: none */
    struct lease_terms terms;               /* widest granted in `epoch` (I4) */

    member_set sync_set;      /* after activation and until `opened`: the candidates (I8) */
    bool sync_known;          /* false until the first activation: no set yet */
    uint64_t sync_generation; /* log index of the last change of the set, or of places */

    bool paused;
    bool adopt;             /* FORMING: take over a running primary as it is */
    uint32_t restarts_used; /* local restarts in this epoch */
    uint32_t failovers, switchovers;
    uint32_t break_glass; /* proposals that needed no approval because one admin said so */
    uint64_t last_failover_index; /* for the cooldown */
    struct run run;
};

struct agent {
    char name[NAME_SIZE];
    char region[NAME_SIZE];
    char address[ADDRESS_SIZE];
    char version[NAME_SIZE];
    uint32_t format_min, format_max;
    struct incarnation incarnation;
    struct incarnation former; /* the one before it: superseded, never comes back (I12) */
    uint64_t enrolled_index;
    uint32_t lives; /* incarnations enrolled so far */
};

struct controller {
    char name[NAME_SIZE];
    char region[NAME_SIZE];
    char version[NAME_SIZE];
    uint64_t id;
    uint32_t format_min, format_max;
    uint32_t election_ms, heartbeat_ms;
};

/* I1: an epoch is never reused, not even by a group that was removed and made again. */
struct tombstone {
    char name[NAME_SIZE];
    uint64_t epoch;
};

/* Of 256 random bits, so its hash needs no salt and no stretching. */
struct user_token {
    uint64_t id;         /* log index of the entry that added it */
    uint64_t expires_ms; /* since 1970; 0: never */
    uint8_t hash[TOKEN_HASH_SIZE];
};

struct recovery_code {
    uint8_t hash[TOKEN_HASH_SIZE]; /* all zero: used */
};

/* Who may ask for something (people.h). Nothing in here lets anybody in who reads it: the
 * seed of the second factor is sealed under a key that is in no log and no snapshot. */
struct user {
    char name[NAME_SIZE];
    uint8_t roles; /* enum role bits (actor.h) */
    uint8_t group_count;
    char groups[USER_GROUPS_MAX][NAME_SIZE]; /* none: all groups, and the cluster */
    uint8_t token_count;
    struct user_token tokens[USER_TOKENS_MAX];
    uint8_t seed[SEED_SEALED_SIZE]; /* all zero: no second factor */
    uint64_t totp_step;             /* the last one that was accepted; never again */
    uint8_t recovery_count;
    struct recovery_code recovery[RECOVERY_MAX];
    uint32_t failures;        /* wrong codes since the last right one, or lock */
    uint32_t lockouts;        /* since the last right code: each is twice as long */
    uint64_t locked_until_ms; /* wall time of the leaders; 0: not locked */
    uint64_t index;           /* of the entry that last changed it */
};

/* Of a request that may come a second time (answered.h). Hashes, so that the log is no
 * place to look for what clients say; all zero: it has none. */
struct request_key {
    uint8_t id[KEY_HASH_SIZE];      /* of who asks, and the key that he gave it */
    uint8_t request[KEY_HASH_SIZE]; /* of method, path and body */
};

/* A request that has changed something (answered.h). */
struct answered {
    struct request_key key;
    uint64_t index;   /* of its entry */
    uint64_t wall_ms; /* when it was committed, by the leaders' wall clocks */
    uint32_t kind;    /* enum entry_kind; FACTOR_USED: its code was taken, no more yet */
    uint32_t flags;   /* enum answered_flag */
    uint32_t factor;  /* enum actor_factor: which the request was made with */
    char group[NAME_SIZE];
};

struct state {
    char cluster[NAME_SIZE];
    uint64_t applied;           /* log index */
    uint64_t controller_id_max; /* of all that were ever on record: ids are used once */
    uint8_t group_count, agent_count, controller_count, tombstone_count, user_count,
        proposal_count, answered_count;
    struct group groups[GROUP_MAX];
    struct agent agents[AGENT_MAX];
    struct controller controllers[CONTROLLER_MAX];
    struct tombstone tombstones[TOMBSTONE_MAX];
    struct user users[USER_MAX];
    struct proposal proposals[PROPOSAL_MAX]; /* the oldest first */
    struct answered answered[ANSWERED_MAX];  /* likewise */
};

void state_init(struct state *s, const char *cluster);
/* All that it says; what lies behind the counts of `to` is left as it was. */
void state_copy(struct state *to, const struct state *from);

/* NULL (or NO_INSTANCE) where there is none. */
struct group *state_group(struct state *s, const char *name);
const struct group *state_group_const(const struct state *s, const char *name);
const struct agent *state_agent(const struct state *s, const char *name);
const struct controller *state_controller(const struct state *s, uint64_t id);
uint8_t group_instance(const struct group *g, const char *agent);
uint8_t group_region(const struct group *g, const char *region);

/* The instance in a region, NO_INSTANCE for none. */
uint8_t group_instance_in(const struct group *g, uint8_t region);
const char *group_region_name(const struct group *g, uint8_t instance);

/* One of the instance's ports is `port`. */
bool instance_has_port(const struct instance *i, uint16_t port);
/* The first port that both have, 0: none. */
uint16_t instances_share_port(const struct instance *a, const struct instance *b);

/* True while a lease of `epoch` may be granted to the active instance (I4: not after
 * fence_begin). */
bool group_may_renew(const struct group *g);

/* I2 as one question: may an activation that makes `target` active be applied now, as far
 * as proofs go? On false *ret_missing names an instance without proof. */
bool group_all_others_proven(const struct state *s, const struct group *g, uint8_t target,
                             uint8_t *ret_missing);
bool instance_is_proven(const struct state *s, const struct instance *i);

/* The proof on record was seen not to hold: it proves nothing, in this fence or a later
 * one, until there is another. */
bool instance_proof_is_false(const struct instance *i);
/* The holder on record still has to be taken to hold: a grant without a later proof, or
 * with a false one about that very life. */
bool instance_holder_stands(const struct instance *i);
/* In this fence a proof of that kind was false, so another one is no better until somebody
 * has acknowledged it. What rests on the gate falls together: the agent's word (unless no
 * process of the server is left) and the expiry of a lease. */
bool proof_is_barred(const struct group *g, uint8_t instance, enum proof_kind kind,
                     bool stopped);

/* Design section 4: clients on the host pass by the gate (`ungated_local`), so what served
 * the epoch is proven only by a closed gate and a stopped server. Others are in recovery,
 * and acknowledge nothing. */
bool proof_needs_stop(const struct group *g, uint8_t instance);

/* Level 2 needs of a group's policy what this names, for people; NULL: nothing is missing.
 */
const char *policy_lacks_for_severing(const struct policy *p);
/* Members of the set on record that could prove the active instance by refusing its log;
 * none: nobody could. */
member_set group_severers(const struct group *g);

/* Level 4 can prove this instance: the group has it, and its host has a fencer. */
bool group_may_power_off(const struct group *g, uint8_t instance);

/* Whose life ends when the power of the instance's host is cut now: the holder's of a lease
 * that is not proven over, else the enrolled one's. False: nobody is enrolled. */
bool power_subject(const struct state *s, const struct group *g, uint8_t instance,
                   struct incarnation *ret_life);

/* How long a level is given before the next one's turn comes. Of lease expiry: until a
 * lease of `terms` can be counted out. */
uint32_t fence_deadline_ms(const struct policy *p, struct lease_terms terms,
                           enum fence_level level);
/* When the turn of a level comes, counted from fence_begin; UINT32_MAX: it has none. The
 * one before that proves nothing of `instance` (no lease to be counted out, no word that
 * counts) is passed over. */
uint32_t fence_turn_ms(const struct group *g, uint8_t instance, enum fence_level level);
/* The turn at a place among those that the group has; NULL: no more, or not this one. */
const struct fence_turn *fence_turn_at(const struct policy *p, unsigned place);
const char *fence_level_name(enum fence_level level);
/* 0: there is none of that name. */
uint8_t fence_level_parse(const char *name);

/* The epoch that the next activation must carry (I1: only grows; I12: above the floor). */
uint64_t group_next_epoch(const struct group *g);

/* True if the region of `instance` carries one of the group's residency tags, or the group
 * names none. */
bool group_may_reside(const struct group *g, uint8_t instance);

/* Members of the set other than the active instance. */
member_set group_other_members(const struct group *g);

enum { STANDBY_NAME_SIZE = 64 };
/* The application_name under which an instance replicates in this epoch: group, agent,
 * epoch and a nonce (low bits of the activation's log index). At most 63 bytes. */
void group_standby_name(const struct group *g, uint8_t instance,
                        char name[STANDBY_NAME_SIZE]);
/* A synchronous standby that nobody is: what a standby itself carries (I8). */
void group_blocking_name(const struct group *g, char name[STANDBY_NAME_SIZE]);

const char *phase_name(enum phase p);
const char *run_kind_name(enum run_kind k);
const char *run_result_name(enum run_result r);
const char *step_kind_name(enum step_kind k);
const char *sync_mode_name(enum sync_mode m);
bool sync_mode_parse(const char *text, enum sync_mode *ret_mode);

/* Defaults of design section 7. */
void policy_defaults(struct policy *p);

#endif
