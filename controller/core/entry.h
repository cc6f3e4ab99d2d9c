/* controller/core/entry.h -- what may stand in the replicated log.
 *
 * Plain values; proto/ turns them into bytes and back and refuses what it does not know
 * (I10). Who proposed an entry and when is in its envelope, not here.
 *
 * Pure:    types only.
 */
#ifndef RF_CORE_ENTRY_H
#define RF_CORE_ENTRY_H

#include "controller/core/actor.h"
#include "controller/core/state.h"

/* Numbers travel in the log: add at the end, never renumber. */
#define ENTRY_KIND_MAP(X)                                                                  \
    X(ENTRY_NONE, 0, "none")                                                               \
    X(ENTRY_CONTROLLER, 1, "controller") /* a voter announces itself (I10) */              \
    X(ENTRY_ENROL, 2, "enrol")           /* an agent's incarnation (I12) */                \
    X(ENTRY_DECLARE, 3, "declare")       /* apply -f: one group */                         \
    X(ENTRY_REMOVE, 4, "remove")                                                           \
    X(ENTRY_RENEW, 5, "renew") /* a batch of renewals */                                   \
    X(ENTRY_PROOF, 6, "proof")                                                             \
    X(ENTRY_FENCE_BEGIN, 7, "fence-begin")                                                 \
    X(ENTRY_ACTIVATE, 8, "activate")                                                       \
    X(ENTRY_OPENED, 9, "opened")                                                           \
    X(ENTRY_SYNC_SHRINK, 10, "sync-shrink")                                                \
    X(ENTRY_SYNC_JOIN, 11, "sync-join")                                                    \
    X(ENTRY_STEP_START, 12, "step-start")                                                  \
    X(ENTRY_STEP_END, 13, "step-end")                                                      \
    X(ENTRY_SWITCHOVER, 14, "switchover") /* an operator's proposal, begins a run */       \
    X(ENTRY_RUN_ABORT, 15, "run-abort")   /* goes back before fence_begin */               \
    X(ENTRY_PAUSE, 16, "pause")                                                            \
    X(ENTRY_RESUME, 17, "resume")                                                          \
    X(ENTRY_DETACH, 18, "detach")                                                          \
    X(ENTRY_ATTACH, 19, "attach")                                                          \
    X(ENTRY_REFUSED, 20, "refused") /* summary of a refused request (I10) */               \
    X(ENTRY_CONTROLLER_REPLACE, 21, "controller-replace")                                  \
    X(ENTRY_CORRUPTION, 22, "corruption")   /* checksum failures were seen */              \
    X(ENTRY_FALSE_PROOF, 23, "false-proof") /* what a proof said does not hold */          \
    X(ENTRY_ACKNOWLEDGE, 24, "acknowledge") /* an operator has seen that */                \
    X(ENTRY_USER_SET, 25, "user-set")       /* format 2, as are all below */               \
    X(ENTRY_USER_REMOVE, 26, "user-remove")                                                \
    X(ENTRY_USER_TOKEN, 27, "user-token")                                                  \
    X(ENTRY_USER_REVOKE, 28, "user-revoke")                                                \
    X(ENTRY_USER_TOTP, 29, "user-totp")                                                    \
    X(ENTRY_USER_UNLOCK, 30, "user-unlock")                                                \
    X(ENTRY_FACTOR_USED, 31, "factor-used") /* a code; committed before it counts */       \
    X(ENTRY_FACTOR_FAILED, 32, "factor-failed")                                            \
    X(ENTRY_PROPOSE, 33, "propose") /* what a person asks for (proposal.h) */              \
    X(ENTRY_APPROVE, 34, "approve")                                                        \
    X(ENTRY_REJECT, 35, "reject")                                                          \
    X(ENTRY_WITHDRAW, 36, "withdraw")                                                      \
    X(ENTRY_EXPIRE, 37, "expire") /* nobody agreed in time */                              \
    X(ENTRY_STALE, 38, "stale")   /* what was approved would be something else now */

enum entry_kind {
#define X(name, number, text) name = (number),
    ENTRY_KIND_MAP(X)
#undef X
        ENTRY_KIND_COUNT
};

enum { RENEW_MAX = 64, RULE_SIZE = NAME_SIZE + 8 };

/* Also in the wire's LeaseKind. */
enum lease_kind { LEASE_NONE = 0, LEASE_WRITE = 1, LEASE_READ = 2 };

struct renew_item {
    char group[NAME_SIZE];
    uint8_t instance;
    enum lease_kind kind;
    uint64_t epoch;
    struct incarnation incarnation;
};

struct entry_declare {
    struct group spec; /* name, component, provider, policy, regions, instances, active,
                          adopt; all else zero */
    /* The file does not say who is active: that stays as it is when the entry is applied,
     * whatever `spec.active` was settled to when it was proposed. */
    bool keep_active;
};

/* Epochs that one hello may tell of: all that an agent remembers, also of groups that are
 * gone (AGENT_GROUPS_MAX). */
enum { ENROL_EPOCHS_MAX = 64 };

struct entry_enrol {
    struct agent agent; /* enrolled_index and lives zero; former: the life on record when
                           this one said hello, zero: there was none */
    uint8_t epoch_count;
    struct tombstone epochs[ENROL_EPOCHS_MAX]; /* highest that the agent has seen, by
                                                  group (I12) */
};

/* An operator's word: the controller of this name has lost its disk, another one takes its
 * place under an id that nobody has had. */
struct entry_controller_replace {
    char name[NAME_SIZE];
    uint64_t id, former;
};

struct entry_renew {
    uint8_t count;
    struct renew_item items[RENEW_MAX];
};

struct entry_proof {
    uint8_t instance;
    enum proof_kind kind;
    uint64_t epoch;       /* being fenced; for PROOF_INSTALLED the group's epoch then */
    uint64_t fence_index; /* fence_begin that it answers; PROOF_INSTALLED: index of the
                             group that the agent knew when it gave the proof */
    struct incarnation prover;
    bool stopped; /* PROOF_AGENT: no process of the server is left either */
    /* PROOF_SYNC_SEVERED: the member that refuses its log, and the life of its agent that
     * said so. */
    char severed_by[NAME_SIZE];
    struct incarnation witness;
};

/* Whom an operator's entry means is named, beside its position: a file with its regions in
 * another order, committed in between, moves positions. An entry without the name is of an
 * earlier version and is taken by its position (entry_target()). */

/* `expected_grant` is the holder's last grant that the decision was taken on: if another
 * came in between, the entry is refused and nothing has happened. */
struct entry_fence_begin {
    uint64_t epoch;
    uint64_t expected_grant;
    enum run_kind run; /* RUN_FAILOVER, or RUN_SWITCHOVER for the run under way */
    uint8_t target;    /* wished for by an operator, else NO_INSTANCE */
    char target_name[NAME_SIZE];
    bool requested;
    char reason[TEXT_SIZE];
    uint64_t proposal; /* that it begins; 0: none */
};

struct entry_activate {
    uint64_t epoch; /* the new one */
    uint8_t instance;
    bool loss_forecast_known;
    uint64_t loss_forecast_bytes;
};

struct entry_opened {
    uint64_t epoch;
    uint8_t instance;
    uint64_t system_id;
};

struct entry_sync {
    uint64_t epoch;
    uint8_t instance;    /* leaves or joins */
    uint64_t generation; /* of the set that the decision was taken on */
    uint64_t step;       /* JOIN: the step that found the position flushed; else 0 */
    uint64_t position;
    struct incarnation holder; /* at whose request a member leaves */
};

struct entry_step_start {
    uint8_t instance;
    enum step_kind kind;
    uint64_t epoch;
    uint8_t subject; /* JOIN: who joins; else NO_INSTANCE */
    bool restart;    /* LEAD within the epoch */
    bool counted;    /* against the policy's local_restarts */
    /* Of the set that it was decided on; positions move with it. 0: of an earlier version,
     * which did not say. */
    uint64_t generation;
};

struct entry_step_end {
    uint8_t instance;
    uint64_t step;
    bool done; /* else failed */
    uint64_t position;
    uint64_t system_id;
    bool loss_known; /* FOLLOW of an old primary: `loss_bytes` past the fork */
    uint64_t loss_bytes;
    char text[TEXT_SIZE];
    bool cloned; /* all of its data is a new copy of the active instance's */
};

/* Noted once per instance, until its data is copied anew or the group is attached. */
struct entry_corruption {
    char agent[NAME_SIZE];
    uint64_t failures; /* when they were first seen; never 0 */
};

/* Who was proven to serve nobody was seen to serve, or to be alive where it was said to be
 * off. */
struct entry_false_proof {
    char agent[NAME_SIZE];
    uint64_t proof; /* log index of the proof */
    enum proof_kind kind;
    char text[TEXT_SIZE]; /* what was seen */
};

struct entry_acknowledge {
    char reason[TEXT_SIZE];
};

struct entry_switchover {
    uint8_t target;
    char target_name[NAME_SIZE];
    uint64_t epoch; /* that the operator saw */
    char reason[TEXT_SIZE];
    uint64_t proposal; /* that it begins; 0: none */
};

struct entry_propose {
    enum proposal_kind kind;
    char target[NAME_SIZE]; /* an agent; "": the best candidate */
    uint64_t epoch;         /* that its author saw */
    bool break_glass;
    char reason[TEXT_SIZE];
    struct forecast forecast;
};

/* About one that was made: APPROVE, REJECT, WITHDRAW, EXPIRE, STALE. */
struct entry_proposal {
    uint64_t id;
    uint64_t seen;            /* APPROVE: its `asked`, as whoever approves has seen it */
    char reason[TEXT_SIZE];   /* STALE: what has become worse */
    uint64_t epoch;           /* STALE: in which it is to be confirmed */
    struct forecast forecast; /* STALE: what is to be confirmed */
};

struct entry_run_abort {
    uint64_t run;
    char reason[TEXT_SIZE];
};

struct entry_attach {
    uint8_t active;
    char active_name[NAME_SIZE];
};

struct entry_refused {
    char text[TEXT_SIZE];
    uint64_t hold; /* which one (daemon/holds.h); 0: not a hold */
};

/* A new user, or other roles and groups for one that is there; tokens and second factor
 * stay. */
struct entry_user_set {
    char name[NAME_SIZE];
    uint8_t roles;
    uint8_t group_count;
    char groups[USER_GROUPS_MAX][NAME_SIZE];
};

/* USER_REMOVE, USER_UNLOCK, FACTOR_FAILED. */
struct entry_user {
    char name[NAME_SIZE];
};

struct entry_user_token {
    char name[NAME_SIZE];
    uint64_t expires_ms;
    uint8_t hash[TOKEN_HASH_SIZE];
};

struct entry_user_revoke {
    char name[NAME_SIZE];
    uint64_t token; /* 0: all of them */
};

/* Another second factor, or none (all zero, and no codes). */
struct entry_user_totp {
    char name[NAME_SIZE];
    uint8_t seed[SEED_SEALED_SIZE];
    uint8_t recovery_count;
    struct recovery_code recovery[RECOVERY_MAX];
};

struct entry_factor_used {
    char name[NAME_SIZE];
    enum actor_factor factor;
    uint64_t step; /* TOTP: of RFC 6238, seconds since 1970 / 30 */
    uint8_t code;  /* RECOVERY: which one */
};

struct entry {
    enum entry_kind kind;
    char group[NAME_SIZE]; /* empty where no single group is concerned */
    char rule[RULE_SIZE];  /* row of rules.c that proposed it; "operator", "agent" else */
    uint64_t wall_ms; /* from the envelope, copied for the records of a run; people only */
    struct actor actor; /* whose request it is; ACTOR_NONE: nobody's (and in format 1) */
    struct request_key key; /* of that request; format 3 */
    union {
        struct controller controller;
        struct entry_enrol enrol;
        struct entry_declare declare;
        struct entry_renew renew;
        struct entry_proof proof;
        struct entry_fence_begin fence_begin;
        struct entry_activate activate;
        struct entry_opened opened;
        struct entry_sync sync;
        struct entry_step_start step_start;
        struct entry_step_end step_end;
        struct entry_switchover switchover;
        struct entry_run_abort run_abort;
        struct entry_attach attach;
        struct entry_refused refused;
        struct entry_controller_replace controller_replace;
        struct entry_corruption corruption;
        struct entry_false_proof false_proof;
        struct entry_acknowledge acknowledge;
        struct entry_user_set user_set;
        struct entry_user user;
        struct entry_user_token user_token;
        struct entry_user_revoke user_revoke;
        struct entry_user_totp user_totp;
        struct entry_factor_used factor_used;
        struct entry_propose propose;
        struct entry_proposal proposal;
    };
};

const char *entry_kind_name(enum entry_kind k);

/* The first format (formats.h) that has this kind. */
static inline uint32_t entry_kind_since(enum entry_kind k)
{
    return k < ENTRY_USER_SET ? 1 : 2;
}

/* The instance that the entry is about, by its position in the group; NO_INSTANCE: none. */
uint8_t entry_instance(const struct entry *e);

/* The same by its name, as far as the entry says it; "": it does not. */
const char *entry_instance_name(const struct entry *e);

/* Where `g` has the instance that an operator's entry names, or without a name at that
 * position; NO_INSTANCE: it has none. */
uint8_t entry_target(const struct group *g, uint8_t position, const char *name);

/* The spec as it is applied to the group as it is now (NULL: there is none): with
 * `keep_active`, spec.active is the instance that is active there; NO_INSTANCE: the file
 * has left it out. */
void declare_settle(const struct group *now, const struct entry_declare *d,
                    struct group *ret_spec);

/* What a declaration changes of the group as it was before (NULL: it is new), in the words
 * of the file, as many as `size` has room for, and how many more there are. A function of
 * nothing else: every controller writes the same row of the audit trail. */
enum { DECLARE_TEXT_SIZE = 640 };
void declare_summary(const struct group *before, const struct group *spec, char *text,
                     unsigned size);

/* One line for `ringfence log`: what was asked, in words. Never longer than `size`. `name`
 * is that of entry_instance(); unused where that is none; of the end of a step that of its
 * step too, "pg-west: follow". Of ENTRY_DECLARE without what it
 * changes: declare_summary() says that. */
void entry_summary(const struct entry *e, const char *name, char *text, unsigned size);

#endif
