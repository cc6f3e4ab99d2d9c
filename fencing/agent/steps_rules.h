/* fencing/agent/steps_rules.h -- what the step runner may do, and what it says of a server.
 *
 * Pure:    no I/O, no clock; instants are passed in.
 * Units:   milliseconds, LSNs in bytes.
 * Owner:   messages stay the caller's.
 */
#ifndef RF_AGENT_STEPS_RULES_H
#define RF_AGENT_STEPS_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/base/time.h"
#include "fencing/agent/keeper_core.h"
#include "proto/wire.pb-c.h"

/* One postmaster, for as long as it lives. */
struct postmaster {
    int32_t pid; /* 0: none */
    uint64_t start_ms;
};

bool postmaster_equal(struct postmaster a, struct postmaster b);

enum { STEP_START_SIZE = 256 };

/* What is remembered of an instance across restarts of the agent (steps.state). */
struct step_record {
    char group[AGENT_NAME_SIZE];
    struct postmaster known; /* started by us, or adopted */
    bool ever_known;
    uint64_t led_epoch;          /* of the last LEAD that was done on `known` */
    uint64_t led_position;       /* its end of recovery */
    uint64_t ready_epoch;        /* latched (I9): `known` was found ready in this epoch */
    uint64_t last_step;          /* highest step id accepted */
    bool last_failed;            /* and it has ended so: it is not carried out again (I5) */
    uint32_t running_kind;       /* a step was begun and not ended; 0: none */
    struct postmaster worker;    /* the process that carries it out */
    char start[STEP_START_SIZE]; /* how the group's file starts it; "": not known */
};

/* ---- orders (I6) -----------------------------------------------------------------------
 */

enum order_verdict {
    ORDER_RUN,
    ORDER_WAIT,   /* not yet: assignment, lease, or the step under way */
    ORDER_CANCEL, /* end the step under way first: it is of an older epoch */
    ORDER_REPEAT, /* its result is known: say it again */
    ORDER_DROP,   /* of a stale leader; nothing is said */
    ORDER_REFUSE, /* a current leader asks for what we never do: say FAILED, with why */
};

struct order_facts {
    const Rf__Assignment *a; /* NULL: none yet */
    const Rf__StepRequest *request;
    struct keeper_view view;
    struct boot now;
    uint64_t running, running_epoch; /* step under way; 0: none (or our own) */
    bool busy;                       /* something is under way */
    uint64_t result;                 /* step whose result we hold; 0: none */
    bool joining_keeps_up;           /* JOIN: the standby that is to join */
    uint64_t last_step;
};

enum order_verdict order_judge(const struct order_facts *f, const char **ret_why);

/* ---- the server (I9) --------------------------------------------------------------------
 */

/* Does the end of a step show that the server is not `known` any more? A look that failed,
 * or that found no process and no reason, shows nothing. */
bool step_changed_server(const Rf__StepResult *r, struct postmaster known);

/* Does it run as the primary of the assignment's epoch, without a LEAD of it that is known
 * to have been done? It is not opened until there is one: the leader orders it again. */
bool server_is_unled(const Rf__Assignment *a, const Rf__Observation *seen,
                     const struct step_record *r);

/* May the server be opened in the assignment's epoch, as far as we can tell? Once true for
 * a postmaster and an epoch it stays true: callers latch it in the record. */
bool server_is_ready(const Rf__Assignment *a, const Rf__Observation *seen,
                     const struct step_record *r, bool opened);

enum police {
    POLICE_LET,
    POLICE_ADOPT, /* a running server that the group lets us take over as it is */
    POLICE_STOP,
};

/* `opening`: the step mark of a former life says that the server may be one that it was
 * just starting. */
enum police police(const Rf__Assignment *a, const Rf__Observation *seen,
                   const struct step_record *r, bool opening, const char **ret_why);

/* Clients on the host pass by the gate (`ungated_local`), so the fence of such a group is
 * proven by a stopped server too (design section 4): it is stopped once fence_begin is
 * committed, also one that is down, until it is known that none of its processes is left.
 */
bool fence_wants_stop(const Rf__Assignment *a, bool stopped);

/* What the keeper is told; `last` is what it was told before, `alive` what the pidfd says:
 * an observation that failed does not change what a living server was. */
enum keeper_server_state server_state(const Rf__Observation *seen,
                                      enum keeper_server_state last, bool alive);

/* The canary has been silent for too long: `failed` tries came to nothing since it was
 * `accepted`. Waiting for a standby, or for a connection, is not hung; nor is a server that
 * we were too slow to ask. */
enum { HUNG_TRIES_MIN = 2 };
bool server_is_hung(const Rf__Assignment *a, struct mono accepted, unsigned failed,
                    struct mono now);

/* A standby that may be read, by the group's max_lag: what it replayed last is no older,
 * and no more than that waits to be replayed. `seen` must be recent. */
enum { REPLICA_AGE_MS = 5000 };
bool replica_keeps_up(const Rf__Assignment *a, const Rf__Observation *seen,
                      uint64_t seen_age_ms);

/* The same words, whatever the numbers in them: "12 MiB free" today and 11 tomorrow is the
 * same trouble, and is logged once. */
bool same_trouble(const char *a, const char *b);

/* ---- members that do not flush (I8)
 * ------------------------------------------------------ */

enum { SHRINK_PEERS_MAX = 8 };

struct shrink_watch {
    uint64_t generation;
    struct mono looked; /* the last observation that counted */
    struct {
        char name[64];
        uint64_t target; /* flushed by the primary at `since` */
        struct mono since;
        struct mono current; /* last seen with all that the primary had a look before */
    } of[SHRINK_PEERS_MAX];
    uint8_t count;
};

/* The standby of this name keeps up now: to wait for one that does not, as a join does,
 * would stop all writes although the log has let it go. */
enum { STANDBY_CURRENT_MS = 1500 };
bool standby_keeps_up(const struct shrink_watch *w, const char *name, struct mono now);

/* `now`: when `seen` was taken. Bit i of the answer: a->peers[i] has not flushed what the
 * primary had for shrink_after, or the primary acknowledges without it (weak_commit).
 * `held`: we hold the write lease of this epoch now. */
uint32_t shrink_look(struct shrink_watch *w, const Rf__Assignment *a,
                     const Rf__Observation *seen, bool held, struct mono now);

#endif
