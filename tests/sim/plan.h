/* tests/sim/plan.h -- what a seed makes of a world: its terms, and the schedule of faults.
 *
 * The schedule is a list, made before anything happens, so that single faults can be left
 * out and the rest stays as it was. A fault comes at its time, or a moment after the n-th
 * committed entry of a kind: where a wrong order would be found.
 */
#ifndef RF_SIM_PLAN_H
#define RF_SIM_PLAN_H

#include "controller/core/entry.h"
#include "tests/sim/world.h"

#define FAULT_MAP(X)                                                                       \
    X(FAULT_REGION_CUT, "region-cut")                                                      \
    X(FAULT_REGION_ONE_WAY, "region-cut-one-way")                                          \
    X(FAULT_LINK_CUT, "link-cut")                                                          \
    X(FAULT_LINK_ONE_WAY, "link-cut-one-way")                                              \
    X(FAULT_PAIR_CUT, "replication-cut")                                                   \
    X(FAULT_LINK_SLOW, "link-slow")                                                        \
    X(FAULT_ECHO, "late-commands")                                                         \
    X(FAULT_AMBUSH, "agent-alone-leader-killed")                                           \
    X(FAULT_AGENT_KILLED, "agent-killed")                                                  \
    X(FAULT_AGENT_FRESH, "agent-without-state")                                            \
    X(FAULT_AGENT_STOPPED, "agent-stopped")                                                \
    X(FAULT_AGENT_IN_HAND, "agent-stopped-in-a-call")                                      \
    X(FAULT_REBOOT, "reboot")                                                              \
    X(FAULT_REGION_LOST, "region-lost")                                                    \
    X(FAULT_CTL_KILLED, "controller-killed")                                               \
    X(FAULT_CTL_STOPPED, "controller-stopped")                                             \
    X(FAULT_CTL_IN_HAND, "controller-stopped-in-a-call")                                   \
    X(FAULT_QUORUM_LOST, "quorum-lost")                                                    \
    X(FAULT_LEADER_MOVED, "leader-moved")                                                  \
    X(FAULT_UPGRADE, "older-version")                                                      \
    X(FAULT_DISK_SLOW, "disk-slow")                                                        \
    X(FAULT_DISK_STALLED, "disk-stalled")                                                  \
    X(FAULT_DISK_FAILING, "disk-failing")                                                  \
    X(FAULT_DISK_FULL, "disk-full")                                                        \
    X(FAULT_WALL_JUMP, "wall-clock-jumps")                                                 \
    X(FAULT_SLEWED, "clock-slewed")                                                        \
    X(FAULT_CRASH, "server-crash")                                                         \
    X(FAULT_HUNG, "server-hung")                                                           \
    X(FAULT_ROGUE, "promoted-by-hand")                                                     \
    X(FAULT_PROVIDER, "provider-killed")                                                   \
    X(FAULT_SWITCHOVER, "switchover")                                                      \
    X(FAULT_FAILOVER, "failover-asked")                                                    \
    X(FAULT_ABORT, "abort")                                                                \
    X(FAULT_PAUSE, "pause")                                                                \
    X(FAULT_DETACH, "detach")                                                              \
    X(FAULT_POLICY, "policy-changed")                                                      \
    X(FAULT_LATE_FOLLOWER, "late-follower-leads")                                          \
    X(FAULT_SHORTER_TTL, "shorter-ttl-holder-alone")                                       \
    X(FAULT_REBORN, "answers-held-agent-reborn")                                           \
    X(FAULT_LATE_ORDER, "late-order-after-switchover")                                     \
    /* From here on chosen apart. */                                                       \
    X(FAULT_CTL_REPLACED, "controller-replaced")                                           \
    X(FAULT_FORMAT, "older-format")                                                        \
    X(FAULT_PG_FULL, "server-disk-full")                                                   \
    X(FAULT_PG_FAILING, "server-disk-failing")                                             \
    X(FAULT_CTL_AWAY, "controller-stays-away")                                             \
    X(FAULT_REGION_AWAY, "region-stays-away")                                              \
    X(FAULT_NEWER, "newer-version")                                                        \
    X(FAULT_FORGED_FRAMES, "forged-frames")                                                \
    X(FAULT_FORGED_ENTRIES, "forged-entries")                                              \
    X(FAULT_BLIND_RESTART, "agent-restarted-server-hung")                                  \
    X(FAULT_DAMAGED, "pages-damaged")                                                      \
    X(FAULT_POWER_AWAY, "fencer-away")                                                     \
    X(FAULT_HAND_START, "standby-started-by-hand")                                         \
    X(FAULT_HOLDER_ALONE, "holder-alone-with-its-standby")                                 \
    X(FAULT_CTL_ALONE, "controller-alone") /* only where one is away at a time */

enum fault_kind {
#define X(name, text) name,
    FAULT_MAP(X)
#undef X
        FAULT_KINDS
};

enum { FAULTS_MAX = 48, RHO_PPM = 10000 /* of all policies */ };

struct fault {
    enum fault_kind kind;
    enum entry_kind on; /* ENTRY_NONE: at `at` */
    unsigned nth;       /* such entry of the group */
    uint64_t at, lasts; /* `at` counts from the entry */
    uint8_t a, b, group;
    uint64_t number;
    bool left_out;
    uint64_t began; /* 0: not yet */
};

enum power_plan {
    POWER_NONE,  /* the group has the levels of old */
    POWER_LAST,  /* agent, lease_expiry, power */
    POWER_RACED, /* agent, power with it, lease_expiry */
    POWER_ALONE, /* agent, power: an expiry proves nothing */
    POWER_PLANS
};

enum severed_plan {
    SEVERED_NONE,   /* the group does not have the level */
    SEVERED_SECOND, /* agent, sync_severed, lease_expiry */
    SEVERED_RACED,  /* sync_severed beside the agent */
    SEVERED_PLANS
};

struct plan {
    unsigned count;
    struct fault of[FAULTS_MAX];
    uint32_t ttl_ms, renew_ms, election_ms, heartbeat_ms;
    uint32_t longest_ttl_ms;          /* that any group may come to */
    uint8_t slower[WORLD_GROUPS_MAX]; /* so many times the world's TTL */
    uint64_t snapshot_every, trailing;
    enum sync_mode sync[WORLD_GROUPS_MAX];
    bool standby_reads[WORLD_GROUPS_MAX], manual[WORLD_GROUPS_MAX];
    /* What may be lost where the mode allows it; 0: the default. A standby replays so late.
     */
    uint32_t max_lag_bytes[WORLD_GROUPS_MAX], max_lag_ms[WORLD_GROUPS_MAX];
    uint32_t replay_late_ms[WORLD_GROUPS_MAX];
    uint32_t cooldown_ms, local_restarts;
    enum power_plan power[WORLD_GROUPS_MAX];
    enum severed_plan severed[WORLD_GROUPS_MAX];
    bool people; /* make proposals, agree to them and attest (approvals.h) */
    uint32_t entries[WORLD_GROUPS_MAX][ENTRY_KIND_COUNT];
};

extern struct plan plan;

void plan_make(void);
void plan_start(void);
/* One way, so that the round trip is what the TTL rule (fencing/rules/lease.h) allows. */
uint32_t plan_latency_us(void);
/* An entry of the group has been committed and accepted, for the first time. */
void plan_note_entry(uint8_t group, enum entry_kind kind);
const char *fault_name(enum fault_kind kind);
void fault_describe(const struct fault *f, char *text, size_t size);
/* strikes.c. Bit by kind: it strikes the group, its hosts, or controllers, and goes on, or
 * ended less than a TTL and eight seconds ago: a step that failed is tried again by then.
 */
uint64_t faults_of_late(uint8_t group);

/* inflict.c */
void fault_begin(struct fault *f);

/* operator.c */
struct operator_of {
    bool detaching, unmanaged, paused, adopt;
    uint8_t declared; /* instance */
    bool longer_ttl;  /* than the profile's: then a change makes it shorter */
    bool fewer_restarts;
};
extern struct operator_of operators[WORLD_GROUPS_MAX];
void operator_start(void);
void operator_propose(uint8_t group, enum entry_kind kind, uint64_t number);
void operator_end_detachment(uint8_t group);

#endif
