/* controller/core/decide.h -- what the leader does next.
 *
 * decide() walks a table of rows (rules.c) for every group: a row has a stable name, the
 * phase it belongs to, a guard over state and observations, and one action. The first row
 * whose guard holds, and whose proposal passes a dry run, speaks for its group; it may be
 * asked again at any time, and asks for the same thing until the log or the world has
 * changed. What the last leader still owed is read off the state, not remembered (I5).
 *
 * explain() lists the very guards that decide() used, for `ringfence why`.
 *
 * Pure:    no I/O, no clock, no allocation. `now` is a fresh reading of the caller.
 */
#ifndef RF_CORE_DECIDE_H
#define RF_CORE_DECIDE_H

#include "controller/core/observe.h"

enum action_kind {
    ACT_PROPOSE,     /* submit `entry` to the log */
    ACT_ORDER_STEP,  /* tell the agent of `instance` to carry out the step on record */
    ACT_ORDER_FENCE, /* tell the agent of `instance` to close, freeze and prove (I3) */
    ACT_ORDER_SEVER, /* have `instance` refuse the WAL of the active one, and say so */
    ACT_ORDER_POWER, /* cut the power of the host of `instance`, by its fencer */
    ACT_TRANSFER,    /* hand leadership to controller `controller_id` */
};

struct action {
    enum action_kind kind;
    const char *rule; /* the row that spoke */
    uint8_t group, instance;
    uint64_t controller_id;
    uint64_t step;      /* ACT_ORDER_STEP */
    struct entry entry; /* ACT_PROPOSE */
};

/* A row that would have spoken, had its proposal not been refused in a dry run. */
struct held_back {
    const char *rule;
    uint8_t group;
    enum refusal refusal;
    char text[TEXT_SIZE];
};

/* Per group two orders for each instance, one to sever and one proposal; one transfer. */
enum { ACTION_MAX = GROUP_MAX * (2 * INSTANCE_MAX + 2) + 1 };

struct actions {
    unsigned count;
    struct action list[ACTION_MAX];
    /* When decide() should be asked again at the latest, even if nothing happens. */
    struct mono again;
    unsigned held_count; /* the first such row of each group, for people */
    struct held_back held[GROUP_MAX];
    struct state scratch; /* of dry runs */
};

void decide(const struct state *s, const struct observations *o, struct mono now,
            struct actions *out);

/* Is there still a reason to switch the host of the instance off, which has begun? */
bool power_off_is_wanted(const struct state *s, const struct observations *o, uint8_t group,
                         uint8_t instance, struct mono now);

/* What is to be expected of it now, for who proposes it and who approves it. `target`:
 * NO_INSTANCE for the best candidate. */
void forecast_of(const struct state *s, const struct observations *o, uint8_t group,
                 enum proposal_kind kind, uint8_t target, struct mono now,
                 struct forecast *ret);

/* ---- ringfence why --------------------------------------------------------------------
 */

enum {
    WHY_SIZE = 2 * TEXT_SIZE,     /* several reasons */
    VERDICT_SIZE = 5 * TEXT_SIZE, /* all that blocks, and what ends each */
};

/* What it means that a condition holds. */
enum condition_role {
    COND_NEEDED,    /* a failover needs it */
    COND_CAUSE,     /* it is a reason for a failover: healthy is where none holds */
    COND_CANDIDATE, /* this instance could take over */
    COND_PROOF,     /* this instance is proven: needed behind a fence */
};

struct condition {
    char name[40]; /* stable */
    enum condition_role role;
    bool holds;
    bool blocks; /* if it does not hold, an automatic failover does not begin */
    char value[WHY_SIZE], limit[TEXT_SIZE];
    char remedy[TEXT_SIZE]; /* of what does not hold: what to do about it, or empty */
};

enum { CONDITION_MAX = 48 };

struct explanation {
    bool would_fail_over;       /* an automatic failover would begin now */
    bool cause;                 /* something is wrong with the active side */
    bool held;                  /* what is due, or under way, waits for what blocks */
    bool writes_wait;           /* for a member of the sync set: `held`, too */
    char verdict[VERDICT_SIZE]; /* for people: what is, what holds it, what to do */
    unsigned count;
    struct condition list[CONDITION_MAX];
};

void explain(const struct state *s, const struct observations *o, uint8_t group,
             struct mono now, struct explanation *out);

/* What the agent of the instance said last may be gone by: it is connected, and its report
 * is fresh. */
bool report_is_fresh(const struct state *s, const struct observations *o, uint8_t group,
                     uint8_t instance, struct mono now);

/* A proof that did not hold, which nobody has acknowledged: `out` says whose, and what to
 * do.
 */
bool group_alarm(const struct group *g, char *out, unsigned size);

/* True if the group looks suspect: renewals missed or probes failing, nothing decided. */
bool group_is_suspect(const struct state *s, const struct observations *o, uint8_t group,
                      struct mono now);

/* A fence is in force, or a promotion goes nowhere, and nobody may be promoted but
 * instances that had checksum failures: an operator's failover takes one of them (I11). */
bool failover_waits_for_word(const struct state *s, const struct observations *o,
                             uint8_t group, struct mono now);

/* True if nothing is known to be wrong with the active side of a steady group: its agent
 * answers and holds a lease, its server is a primary that accepts writes, and confirms them
 * to its clients. */
bool group_is_healthy(const struct state *s, const struct observations *o, uint8_t group,
                      struct mono now);

/* Can a switchover to `instance` come to its end, by the conditions that explain() shows?
 * False: `out` says what it lacks and what to do. How far it lags does not count: a planned
 * move waits for the last byte before its fence; who is a member is asked by apply(). */
bool switchover_may_begin(const struct state *s, const struct observations *o,
                          uint8_t group, uint8_t instance, struct mono now, char *out,
                          unsigned size);

/* Can the active server be stopped in good order, and say where its log ends? False: `out`
 * says why not, and what moves the group instead. */
bool switchover_source_ready(const struct state *s, const struct observations *o,
                             uint8_t group, struct mono now, char *out, unsigned size);

/* True if this leader has listened, the group is in service, and nobody could take over
 * from the active instance: `out` says why, and what to do. */
bool group_is_unprotected(const struct state *s, const struct observations *o,
                          uint8_t group, struct mono now, char *out, unsigned size);

/* Would `sync_severed` prove the active instance now? `*ret_why`: why not, or "". */
enum severing {
    SEVERING_ABSENT,  /* the group does not have the level, or has nobody to fence */
    SEVERING_OPEN,    /* it would */
    SEVERING_CLOSED,  /* it would not: its lease would have to be counted out */
    SEVERING_UNKNOWN, /* the leader knows */
};
enum severing group_severing(const struct state *s, const struct observations *o,
                             uint8_t group, struct mono now, const char **ret_why);

/* For how long a failure would not be failed over by itself any more, because the last
 * failover was so short ago; 0: it would. */
uint64_t group_cooldown_left_ms(const struct state *s, const struct observations *o,
                                uint8_t group, struct mono now);

/* What it means for a group that this controller, `name`, knows no leader: one sentence. */
void explain_leaderless(const struct state *s, const struct observations *o, uint8_t group,
                        struct mono now, const char *name, char *out, unsigned size);

/* In how many ms the failed step on record of the instance is tried again, 0: at once.
 * False: it is none, or nothing tries it again by itself. */
bool step_retry_in(const struct state *s, const struct observations *o, uint8_t group,
                   uint8_t instance, struct mono now, uint64_t *ret_ms);

/* ---- the table, for docs and tests ----------------------------------------------------
 */

struct rule_row {
    const char *name;
    enum phase from, to; /* `to` == `from`: stays */
    const char *when;    /* one line for people */
};

unsigned rule_rows(const struct rule_row **ret_rows);

#endif
