/* fencing/agent/keeper_core.h -- what the lease keeper does next (I3, I4, I6, I12).
 *
 * The keeper's thread tells this machine what happened (assignments, answers to renewals,
 * orders, what the server does, what the disk and the gate said) and asks keeper_next()
 * for one effect after the other until there is none. Effects are found by comparing what
 * ought to be with what is, so one that failed is simply asked for again later, and a
 * restart needs no special path: what is known is what the disk and the gate say.
 *
 * The rules, each guarded here whatever the shell does:
 *  - a deadline is the send time that the answer echoes plus the granted TTL, for answers
 *    that match a renewal which this life sent for that group, epoch and kind;
 *  - nothing of an epoch is asked for or armed before the epoch is on disk;
 *  - a gate opens only if the log says `opened`, the server is ready in this epoch, and
 *    the role is primary (or a read lease stands); otherwise replication is all there is;
 *  - after a fence order nothing of that epoch is armed or renewed, the mark is on disk
 *    before the gate is closed and frozen, and that is before the proof is sent;
 *  - after a restart over a fence mark, closing and freezing comes before all else;
 *  - a running primary is taken over only as the log says (`adopt`), and its port is gated
 *    before a lease of its epoch is asked for (keeper_plan.c says why);
 *  - while a group forms, no gate is put over a port whose server runs as a primary, or may
 *    run as one: it may have clients, and the log has not said that it is to serve nobody.
 *
 * Pure:    no I/O, no clock, no allocation; `now` is a fresh reading by the caller.
 * Units:   struct boot, milliseconds.
 * Owner:   the caller embeds struct keeper_core; its fields are read-only to others.
 * Threads: the keeper's.
 * Errors:  refused input returns an ERR_ code and changes nothing.
 */
#ifndef RF_AGENT_KEEPER_CORE_H
#define RF_AGENT_KEEPER_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/err.h"
#include "controller/base/time.h"
#include "fencing/agent/epoch_table.h"
#include "fencing/gate/gate.h"
#include "fencing/guard/guard_page.h"
#include "fencing/rules/lease.h"
#include "fencing/rules/proof.h"

enum {
    KEEPER_SENT_MAX = 64, /* renewals whose answers still count: more than 6 TTLs */
    KEEPER_PEERS_MAX = 8,
    KEEPER_EXCEPTIONS_MAX = 8,
    KEEPER_ALSO_MAX = 3, /* that a group lists */
    KEEPER_REFUSAL_SIZE = 32,
    KEEPER_PROBLEM_SIZE = ERR_TEXT_SIZE,
    KEEPER_LEFT_OVER_SIZE = 160, /* of keeper_left_over()'s text */
    KEEPER_LOOK_TICKS =
        10,              /* renewal periods; a first look that takes longer is a problem */
    KEEPER_TURN_MS = 20, /* a third of the shortest renewal period in use */
};

/* Numbers of proto/wire.proto. */
enum keeper_role { ROLE_NONE = 0, ROLE_PRIMARY = 1, ROLE_STANDBY = 2, ROLE_DETACHED = 3 };
enum keeper_kind { KIND_NONE = 0, KIND_WRITE = 1, KIND_READ = 2 };

/* The committed facts about one group that concern its gate. */
struct keeper_assignment {
    char group[AGENT_NAME_SIZE];
    uint64_t index, epoch, fence_index;
    enum keeper_role role;
    uint16_t port;
    uint32_t rho_ppm;
    uint32_t ttl_ms; /* what a grant of this epoch promises at least */
    bool standby_reads, proof_wanted;
    bool opened; /* the log holds `opened` of `epoch`: a renewal may be answered with `open`
                  */
    bool adopt;  /* until then: this is the declared active instance, and if its server runs
                  * as a primary it is taken over as it is */
    uint8_t peer_count;
    struct gate_addr peers[KEEPER_PEERS_MAX];
    struct also_ports also; /* at most KEEPER_ALSO_MAX */
    uint8_t exception_count;
    struct gate_addr exceptions[KEEPER_EXCEPTIONS_MAX];
};

enum keeper_server_state {
    KEEPER_SERVER_UNKNOWN, /* not looked at yet */
    KEEPER_SERVER_DOWN,
    KEEPER_SERVER_PRIMARY,
    KEEPER_SERVER_STANDBY,
    KEEPER_SERVER_OTHER, /* starting, stopping */
};

struct keeper_server {
    enum keeper_server_state state;
    uint64_t ready_epoch; /* may be opened in this epoch (I9); 0: in none */
    bool barred;          /* hung, or a server that is not ours: closed whatever else */
    bool stopped;         /* no process of the instance is left */
    struct guard_process process; /* as last known; postmaster.pid 0: never */
    uint64_t looked; /* index of the assignment that was known when the newest look at it
                      * was asked for; 0: not looked at in this life */
};

struct keeper_verdict {
    char group[AGENT_NAME_SIZE];
    uint64_t epoch;
    enum keeper_kind kind;
    bool granted, open;
    struct lease_terms terms;
    char refusal[KEEPER_REFUSAL_SIZE];
};

struct keeper_ack {
    uint64_t seq;
    struct boot sent; /* as echoed */
    struct incarnation incarnation;
    uint8_t count;
    struct keeper_verdict items[AGENT_GROUPS_MAX];
};

struct keeper_renew_item {
    uint8_t slot;
    uint64_t epoch;
    enum keeper_kind kind;
};

struct keeper_renewal {
    uint64_t seq;
    struct boot sent;
    uint8_t count;
    struct keeper_renew_item items[AGENT_GROUPS_MAX];
};

#define KEEPER_EFFECT_MAP(X)                                                               \
    X(KEEPER_FENCE, "fence")   /* gate_fence(port, epoch) */                               \
    X(KEEPER_SYNC, "sync")     /* write `table` to disk, then keeper_synced() */           \
    X(KEEPER_MANAGE, "manage") /* gate_manage(port, peers), gate_read() into `found` */    \
    X(KEEPER_ADOPT, "adopt")   /* gate_manage_live(port, peers, lease) */                  \
    X(KEEPER_UNMANAGE, "unmanage") /* gate_unmanage(port) */                               \
    X(KEEPER_BESIDE, "beside")     /* gate_set_also(port, also); see keeper_effect.also */ \
    X(KEEPER_GUESTS, "guests") /* gate_set_guests(port, guests of `also` and the port) */  \
    X(KEEPER_CLOSE, "close")   /* gate_close(port, epoch) */                               \
    X(KEEPER_TRY, "try")       /* gate_try(port) */                                        \
    X(KEEPER_ARM, "arm")       /* gate_arm(port, lease, how) */                            \
    X(KEEPER_PROOF, "proof")   /* send a FenceProof */                                     \
    X(KEEPER_RENEW, "renew")   /* send `renewal` */

enum keeper_effect_kind {
#define X(name, text) name,
    KEEPER_EFFECT_MAP(X)
#undef X
        KEEPER_EFFECT_COUNT
};

const char *keeper_effect_name(enum keeper_effect_kind kind);

struct keeper_effect {
    enum keeper_effect_kind kind;
    uint8_t slot;
    uint16_t port;
    uint64_t epoch;
    struct gate_lease lease;
    enum gate_arm_how how;
    struct gate_state found; /* MANAGE: the caller fills it in */
    /* BESIDE: the list that the gate is to have. The caller keeps in the gate, and adds
     * here, what is in it already and is in use: that is not let go (keeper_beside.c). */
    struct also_ports also;
    bool admit;           /* GUESTS: the group's exceptions at each port; false: nobody */
    bool installed;       /* PROOF: of the installation, not of a fence */
    uint64_t fence_index; /* PROOF: of the fence_begin that it answers; installed: index of
                           * the assignment that it was given on */
    const struct epoch_table *table;
    struct keeper_renewal renewal;
};

struct keeper_lease {
    enum keeper_kind kind;
    uint64_t epoch;
    struct boot deadline;
    bool open;      /* the log holds `opened` of this epoch */
    bool inherited; /* found in the gate at the start; `kind` follows with the role */
};

struct keeper_slot {
    bool used, assigned;
    struct keeper_assignment a;
    struct keeper_server server;
    struct keeper_lease lease;
    struct gate_state gate; /* as we left it, or found it */
    bool gate_doubted;      /* an ARM failed: it may be closed instead */
    bool managed;
    bool peers_set;    /* the managed peers are those of `a` */
    bool not_live;     /* the gate has the port: it cannot be adopted live */
    bool also_known;   /* the ports beside it in the gate are those of the record */
    bool guests;       /* the gate may let some pass */
    bool guests_stale; /* and they may be others than those of `a`, or at other ports */
    uint64_t since;    /* index of the assignment that began this role in this epoch */
    unsigned unlooked; /* periods without a look since then: */
    uint64_t formed; /* index of the assignment since which the group forms: a look that was
                      * asked for before it does not count */
    uint64_t frozen; /* highest epoch frozen in this life */
    uint64_t order_epoch, order_index; /* fence order that wants its proof; index 0: none */
    bool proof_due;                    /* send `installed` (again) */
    uint64_t asked_epoch;              /* of the last renewal sent */
    uint64_t floor_seq;                /* answers up to here are void */
    struct boot retry[KEEPER_EFFECT_COUNT];
    char refusal[KEEPER_REFUSAL_SIZE]; /* of the last renewal, else empty */
    char problem[KEEPER_PROBLEM_SIZE]; /* last trouble with the gate, else empty */
};

/* What the kernel's gate has of an instance. */
struct keeper_found {
    uint16_t port;
    struct also_ports also;
    bool guests; /* some pass it */
    struct gate_state gate;
};

struct keeper_counts {
    uint64_t sent, granted, refused, ignored;
    uint64_t gates_lost; /* looks that found the gate missing or changed */
};

struct keeper_core {
    struct incarnation me;
    struct epoch_table want, disk; /* records stand at the slots' own places */
    bool syncing, doubted;
    struct epoch_table in_flight;
    struct boot sync_retry;
    struct keeper_slot slots[AGENT_GROUPS_MAX];
    uint8_t try_next; /* the slot behind the one whose gate was tried last */
    uint64_t seq, acked_seq;
    struct keeper_renewal sent[KEEPER_SENT_MAX];
    bool renew_due;
    bool clock_same;
    int64_t clock_rate_ppm;
    struct keeper_counts counts;
    struct keeper_found strays[GATE_PORTS_MAX]; /* port 0: taken up by its group */
    uint8_t stray_count;
};

/* What other threads may know about a slot. */
struct keeper_view {
    char group[AGENT_NAME_SIZE];
    uint64_t epoch; /* synced */
    uint64_t fenced;
    enum keeper_kind lease_kind; /* NONE when there is none, or it is over */
    uint64_t lease_epoch;
    struct boot lease_deadline;
    struct boot deadline; /* of the gate, 0 when closed */
    bool opened;
    enum gate_mode mode;
    bool managed, tried;
    char problem[KEEPER_PROBLEM_SIZE];
};

void keeper_core_init(struct keeper_core *k, const struct incarnation *me,
                      const struct epoch_table *on_disk);

/* I6: what was read from the disk may not be on it: nothing that has to be there first is
 * done before all of it was written once more, and synced. */
void keeper_doubt_disk(struct keeper_core *k);
/* What a hello may say: what is on the disk, or was found there. */
const struct epoch_table *keeper_remembers(const struct keeper_core *k);

/* Number renewals from above `seq`. */
void keeper_count_from(struct keeper_core *k, uint64_t seq);

/* A port that the adopted gate manages already: nothing of it is touched until its group
 * is heard of (or a fence mark demands it). False: no record names this port. */
bool keeper_gate_found(struct keeper_core *k, const struct keeper_found *found);

/* A port of the gate that was closed since no record names it: a former life put it there
 * and did not come to note it down. The group that names it finds it gated. */
void keeper_gate_stray(struct keeper_core *k, const struct keeper_found *found);

/* ERR_PEER foreign incarnation; ERR_STALE lower index or epoch; ERR_FULL too many groups;
 * ERR_CONFLICT a port of another group. *ret_slot where it was filed. */
MUST_USE int keeper_assign(struct keeper_core *k, const struct incarnation *to,
                           const struct keeper_assignment *a, uint8_t *ret_slot,
                           struct err *err);

struct keeper_fence_order {
    struct incarnation to;
    char group[AGENT_NAME_SIZE];
    uint64_t epoch, fence_index;
};

/* ERR_PEER, ERR_STALE, ERR_NOTFOUND (group or epoch not heard of yet: it is repeated),
 * ERR_INVAL (names no committed fence_begin). */
MUST_USE int keeper_fence_order(struct keeper_core *k, const struct keeper_fence_order *o,
                                struct err *err);

/* How many items were granted and taken. */
unsigned keeper_ack(struct keeper_core *k, const struct keeper_ack *ack, struct boot now);

void keeper_server(struct keeper_core *k, uint8_t slot, const struct keeper_server *s);
/* The gate was not what we had left in the kernel, and may have let pass anything (I3): no
 * lease is held any more, each gate is tried anew before one is asked for, and each fence
 * is done again. `why` becomes the problem of each group until then. */
void keeper_gate_lost(struct keeper_core *k, const char *why);
/* The gate's clock is ours, and how fast it is steered. Until said, no lease is taken. */
void keeper_clock(struct keeper_core *k, bool same, int64_t rate_ppm);
/* One renewal period has passed. */
void keeper_tick(struct keeper_core *k);
/* There is a leader now: what nobody has answered is asked at once (I7). */
void keeper_ask_again(struct keeper_core *k);

/* The next thing to do; false: nothing for the moment. Carry it out, then keeper_done()
 * (for SYNC: keeper_synced(), when the disk has it; others may be asked for meanwhile). */
bool keeper_next(struct keeper_core *k, struct boot now, struct keeper_effect *ret);
/* The next TRY, which takes long: to be asked for once in a round of the loop, when all
 * that came in has been heard, and keeper_next() has nothing. */
bool keeper_next_trial(struct keeper_core *k, struct boot now, struct keeper_effect *ret);
bool keeper_has_trial(const struct keeper_core *k, struct boot now);
/* The thread has been busy for so long that what is left waits for another round: ticks,
 * answers and orders come in between. */
bool keeper_turn_is_over(struct boot began, struct boot now);
void keeper_done(struct keeper_core *k, const struct keeper_effect *e,
                 const struct err *result, struct boot now);
void keeper_synced(struct keeper_core *k, bool ok, struct boot now);

void keeper_view(const struct keeper_core *k, uint8_t slot, struct boot now,
                 struct keeper_view *ret);
/* The last renewal has not been answered by anybody. */
bool keeper_unanswered(const struct keeper_core *k);
/* A renewal names this group, or would. */
bool keeper_wants_lease(const struct keeper_core *k, uint8_t slot);
/* Why no gate is put over the port while its group forms, for people; NULL: nothing holds.
 */
const char *keeper_hold(const struct keeper_core *k, uint8_t slot);
/* AGENT_GROUPS_MAX: none. */
uint8_t keeper_find(const struct keeper_core *k, const char *group);

/* Every port that the group lists stands in the gate, as far as we know (I3). */
bool keeper_all_gated(const struct keeper_core *k, uint8_t slot);
bool also_ports_has(const struct also_ports *list, uint16_t port);
/* False: no room, or a port that is there already. */
bool also_ports_add(struct also_ports *list, uint16_t port);
bool also_ports_equal(const struct also_ports *a, const struct also_ports *b);
/* For keeper_plan.c: what they need next, ports first. */
bool keeper_plan_beside(const struct keeper_core *k, uint8_t slot, struct boot now,
                        struct keeper_effect *ret);
void keeper_beside_done(struct keeper_core *k, const struct keeper_effect *e,
                        struct boot now);
/* What is still gated though the group does not list it any more; for people. False: none.
 */
bool keeper_left_over(const struct keeper_core *k, uint8_t slot, char *text, size_t size);

/* The server was seen in recovery since this role in this epoch began. */
bool keeper_may_read(const struct keeper_slot *s);

/* For keeper_plan.c: the effect that one slot needs next, but for the trial of its gate. */
bool keeper_plan_slot(struct keeper_core *k, uint8_t slot, struct boot now,
                      struct keeper_effect *ret);
bool keeper_plan_try(const struct keeper_core *k, uint8_t slot, struct boot now,
                     struct keeper_effect *ret);

#endif
