/* controller/consensus/driver_internal.h -- shared by the driver's files, nobody else: the
 * only header of ours that includes raft.h. */
#ifndef RF_CONSENSUS_DRIVER_INTERNAL_H
#define RF_CONSENSUS_DRIVER_INTERNAL_H

#include <raft.h>

#include "controller/consensus/driver_log.h"

_Static_assert(RAFT_VERSION_NUMBER == 2201,
               "libraft 0.22.1: later versions change who owns "
               "entries, earlier ones lose them");

enum write_kind { WRITE_VOTE, WRITE_ENTRIES, WRITE_OWN_SNAPSHOT, WRITE_INSTALL };

/* Ordered and not yet reported as persisted. */
struct write {
    uint64_t seq;
    enum write_kind kind;
    uint64_t epoch;       /* of the log it was ordered for: see struct driver */
    uint64_t first, last; /* entries: the disk's log ends at `last` when it is done */
    uint64_t last_term;   /* of the entry at `last` */
};

struct stored_snapshot {
    uint64_t index, term;
    uint8_t chain[CHAIN_SIZE];
    struct buf sealed;
    struct buf members; /* as of it, and which entry said so */
    uint64_t members_index;
};

/* What is kept of a member by id, since positions change. */
struct slot {
    uint64_t id;
    uint64_t store;   /* of the bootstrap; 0: not checked */
    uint64_t contact; /* time of its last answer to this leader; 0: none */
};

struct driver {
    struct raft raft;
    bool raft_open, started, failed;
    struct driver_config config;
    char cluster[VOTER_NAME_SIZE];
    uint64_t digest;

    struct members members; /* as the engine has them now: the newest list in the log */
    const void *members_at; /* the engine's list and its two indexes when we looked */
    uint64_t members_committed, members_uncommitted;
    struct buf decided; /* the newest list that was ordered to be applied, and its index */
    uint64_t decided_index;
    struct slot slots[CONSENSUS_VOTERS_MAX];

    uint64_t now;
    uint64_t led_at;     /* a leader spoke; 0: none has */
    uint64_t current_at; /* and left nothing to be applied; 0: never */
    struct dlog log;
    uint64_t log_epoch; /* +1 whenever a snapshot from the leader replaces the log: what was
                           queued before must not be acknowledged any more */
    struct stored_snapshot snapshot;
    struct stored_snapshot coming; /* own or installed one that is being written */
    bool taking, installing;

    uint64_t last_seq;
    struct write *writes;
    size_t n_writes, cap_writes;

    uint64_t ordered_index; /* APPLY or RESTORE was ordered up to here */
    uint8_t ordered_chain[CHAIN_SIZE];
    uint64_t applied_index;  /* and carried out up to here */
    uint64_t own_term_index; /* first index of our own term as leader; 0: not ordered yet */

    struct order_role role; /* as last told */

    const struct consensus_msg *incoming; /* during driver_receive() */
    struct orders *out;                   /* during an input */
};

/* ---- orders.c ---- */

void orders_reset(struct orders *o);
MUST_USE int orders_add(struct orders *o, const struct order *order, struct err *err);
/* The orders free `memory` (also on failure). */
MUST_USE int orders_own(struct orders *o, void *memory, struct err *err);

/* ---- driver_step.c ---- */

/* One event through the engine, and its consequences as orders. Fatal errors only, but for
 * ERR_NOTLEADER, ERR_BUSY and ERR_NOTFOUND of submissions and transfers. */
MUST_USE int driver_step(struct driver *d, struct raft_event *event, struct err *err);
MUST_USE int driver_submit_entry(struct driver *d, enum consensus_entry_kind kind,
                                 const void *data, size_t len, struct err *err);
MUST_USE int driver_order_write(struct driver *d, const struct write *w,
                                const struct order *order, struct err *err);
MUST_USE int driver_order_restore(struct driver *d, struct err *err);
/* The engine's form of a list of members that has been checked. */
MUST_USE int driver_configuration(const struct buf *list, struct raft_configuration *ret,
                                  struct err *err);
/* What the engine goes by now becomes ours. */
MUST_USE int driver_follow_members(struct driver *d, struct err *err);
struct slot *driver_slot(struct driver *d, uint64_t id);
/* NULL: none yet. */
const struct slot *driver_slot_of(const struct driver *d, uint64_t id);
struct snapshot_envelope;
/* Everything but the sealed bytes. ERR_BADMSG: its list of members is none. */
MUST_USE int stored_snapshot_take(struct stored_snapshot *s,
                                  const struct snapshot_envelope *e, struct err *err);
void stored_snapshot_free(struct stored_snapshot *s);

/* ---- driver_input.c ---- */

/* Every input begins and ends with these. After a fatal error nothing may be carried out.
 */
MUST_USE int driver_begin(struct driver *d, uint64_t now_ms, struct orders *out,
                          struct err *err);
MUST_USE int driver_finish(struct driver *d, int status);
bool driver_peer_caught_up(const struct driver *d, uint64_t id);

/* ---- driver_filter.c ---- */

/* What may reach the engine. 0: yes, `msg` may have been amended; 1: drop in silence;
 * negative: ERR_BADMSG or ERR_CONFLICT. */
MUST_USE int driver_filter_in(struct driver *d, struct consensus_msg *msg, struct err *err);
/* Amend what goes out. */
void driver_filter_out(const struct driver *d, struct consensus_msg *msg);

#endif
