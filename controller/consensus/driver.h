/* controller/consensus/driver.h -- one Raft node as a function of its events.
 *
 * Events with the time go in (a tick, a message, bytes to replicate, "that is on disk"),
 * an ordered list of orders comes out (store, send, apply). The daemon's shell
 * (raftnode.h) and the simulator use this same driver; only who carries the orders out
 * differs. The engine is libraft 0.22.1 through raft_step(), behind filters for its known
 * gaps (docs/architecture.md section 1 lists them; driver_filter.c, driver_input.c and
 * driver_receive.c say why).
 *
 * How to use it. One input at a time; then carry out its orders, in order, before the
 * next input:
 *   - ORDER_STORE_*  hand to the disk, first in, first out. They need not be finished
 *     before the next input, except as follows.
 *   - ORDER_SEND     may leave only when every ORDER_STORE_VOTE given out before it is
 *     synced; a vote that is not on disk can be given twice. It need not wait for entries:
 *     acknowledgements come out only after driver_persisted(). So it may also be
 *     carried out before the ORDER_STORE_ENTRIES directly in front of it.
 *   - ORDER_RESTORE  replace the application's state by the snapshot's body.
 *   - ORDER_APPLY    give the entry to the application, whatever its kind (so that its
 *     applied index has no holes); only ENTRY_COMMAND has a body. It may come before the
 *     entry is on this node's own disk: a majority has it.
 *   - ORDER_ROLE     for information. Never act on "I am leader": act only while
 *     driver_is_authoritative(), and only on what has been committed since.
 * When the disk has finished (and synced) everything up to an order's `seq`, call
 * driver_persisted(seq). After carrying out APPLY or RESTORE call driver_applied().
 *
 * After any error for which driver_error_is_fatal() holds the node must stop: its state
 * can no longer be trusted (I10). A driver that returned such an error refuses all input.
 *
 * Pure:    no I/O, no clock, no randomness but the seed; allocates.
 * Units:   milliseconds on one monotonic clock of the caller's; a step back is ignored.
 * Owner:   driver_free(). Arguments are copied, never kept. What `struct orders` points to
 *          is valid until the next input to the same driver or orders_free().
 * Threads: one.
 * Errors:  listed at each function; fatal ones can come out of every input:
 *          ERR_NOMEM, ERR_CORRUPT (chain broken, committed entries in conflict),
 *          ERR_UNSUPPORTED (entry or snapshot of an unknown format version).
 */
#ifndef RF_CONSENSUS_DRIVER_H
#define RF_CONSENSUS_DRIVER_H

#include "controller/consensus/members.h"

enum { CHAIN_SIZE = 32 };

/* The cluster as it is bootstrapped. Later the log says who belongs to it (members.h), and
 * driver_change() changes that. */
struct voter {
    uint64_t id; /* > 0 */
    char name[VOTER_NAME_SIZE];
};

/* For tests only: show that each filter is needed. The daemon leaves it 0. */
enum driver_without {
    WITHOUT_VOTE_TERM_FILTER = 1,   /* pre-vote deadlock */
    WITHOUT_REJECTION_FILTER = 2,   /* replication stall */
    WITHOUT_VOTE_STATE_FILTER = 4,  /* stale union read */
    WITHOUT_STALE_REPLY_FILTER = 8, /* a refusal of an old term read as success */
    WITHOUT_REWRITE_GUARD = 16,     /* acknowledges entries that a queued write undoes */
    WITHOUT_LIST_ALONE =
        32, /* lists of members tracked at the wrong index, or two at once */
    WITHOUT_KNOWN_CUT = 64,      /* what a snapshot has replaced is appended once more */
    WITHOUT_COMMIT_BOUND = 128,  /* a late message takes back what is committed */
    WITHOUT_NEWCOMERS_VOTE = 256 /* the list that makes it a voter has not come yet */
};

struct driver_config {
    uint64_t id;         /* this node; among the voters, unless it joins */
    const char *cluster; /* name; part of the digest that every message carries */
    uint64_t incarnation;
    const struct voter *voters; /* of the bootstrap */
    unsigned n_voters;     /* 1..CONSENSUS_VOTERS_MAX; 0: joins, with nothing in its log */
    uint32_t election_ms;  /* a follower waits 1 to 2 times this */
    uint32_t heartbeat_ms; /* at most a third of election_ms */
    uint32_t trailing;     /* entries kept behind a snapshot for slow followers */
    uint32_t seed;         /* from getrandom(); from the seed in the simulator */
    unsigned without_filter; /* enum driver_without, tests only */
    uint64_t digest;         /* 0: made of cluster, incarnation and voters */
    uint64_t store;          /* of this node: in every message; 0: none (simulation) */
};

/* What the disk holds at the start. A node that never ran has exactly what
 * driver_bootstrap_entry() gives as entry 1, term 1, no vote, no snapshot; one that joins
 * has term 1 and nothing. */
struct driver_state {
    uint64_t term, vote;
    uint64_t snapshot_index, snapshot_term; /* 0: none */
    const uint8_t *snapshot;                /* sealed */
    size_t snapshot_len;
    uint64_t first_index; /* of entries[0]; at most snapshot_index + 1 */
    const struct consensus_entry *entries;
    size_t n_entries;
};

enum raft_role { ROLE_FOLLOWER, ROLE_CANDIDATE, ROLE_LEADER };

enum order_kind {
    ORDER_STORE_VOTE,
    ORDER_STORE_ENTRIES,
    ORDER_STORE_SNAPSHOT,
    ORDER_SEND,
    ORDER_RESTORE,
    ORDER_APPLY,
    ORDER_ROLE
};

struct order_store_vote {
    uint64_t seq, term, vote;
};

/* Delete everything from first_index on, then append: one atomic act. */
struct order_store_entries {
    uint64_t seq, first_index;
    const struct consensus_entry *entries;
    size_t n;
};

/* Replace the stored snapshot. Then delete entries: all of them if `discard_log` (the
 * snapshot came from the leader), else those below keep_from. One atomic act. */
struct order_store_snapshot {
    uint64_t seq, index, term;
    const uint8_t *data; /* sealed */
    size_t len;
    bool discard_log;
    uint64_t keep_from;
};

struct order_send {
    uint64_t to;
    enum consensus_msg_type type;
    const uint8_t *data; /* encoded */
    size_t len;
};

struct order_restore {
    uint64_t index, term;
    const uint8_t *body; /* as it was given to driver_snapshot_taken() somewhere */
    size_t len;
};

struct order_apply {
    uint64_t index, term;
    enum consensus_entry_kind kind;
    uint64_t leader_id; /* who proposed it; with wall_ms and body 0 unless a command */
    uint64_t wall_ms;   /* for people only (I4) */
    const uint8_t *body;
    size_t len;
    uint8_t chain[CHAIN_SIZE]; /* the head after this entry (I9) */
};

struct order_role {
    enum raft_role role;
    uint64_t term;
    uint64_t leader_id; /* 0: unknown */
};

struct order {
    enum order_kind kind;
    union {
        struct order_store_vote store_vote;
        struct order_store_entries store_entries;
        struct order_store_snapshot store_snapshot;
        struct order_send send;
        struct order_restore restore;
        struct order_apply apply;
        struct order_role role;
    };
};

/* Zero it once, hand it to every input, orders_free() at the end. Each input empties it
 * first. */
struct orders {
    struct order *list;
    size_t n, cap;
    void **owned; /* memory that the orders point to */
    size_t n_owned, cap_owned;
};

void orders_free(struct orders *o);

/* ---- life ---------------------------------------------------------------------------- */

struct driver;

/* ERR_INVAL: no, too many or equal voters, own id missing, timeouts out of proportion. */
MUST_USE int driver_new(struct driver **ret_driver, const struct driver_config *config,
                        struct err *err);
void driver_free(struct driver *d); /* NULL is fine; also for AUTO() via driver_drop */
void driver_drop(struct driver **d);

/* The data of entry 1 (ENTRY_VOTERS, term 1) of an empty cluster. Equal on all voters. */
MUST_USE int driver_bootstrap_entry(const struct driver_config *config, struct buf *out,
                                    struct err *err);

/* What driver_new() makes of a configuration with voters. ERR_NOMEM, ERR_INVAL */
MUST_USE int driver_digest(const struct driver_config *config, uint64_t *ret_digest,
                           struct err *err);

/* Digest of cluster name, incarnation and the voters of the bootstrap; in every message,
 * compared by the receiver, so that a node of another cluster is told so and never counted.
 * It outlives every change of members. One that joins learns it before it starts. */
uint64_t driver_cluster_digest(const struct driver *d);
void driver_set_digest(struct driver *d, uint64_t digest);

/* Which store belongs to that voter (kin.h): messages from another one are ERR_CONFLICT. 0:
 * not checked. */
void driver_know_store(struct driver *d, uint64_t id, uint64_t store);

/* First input, once. Gives RESTORE for the snapshot; APPLY orders follow as the cluster's
 * commit index becomes known. Every error is fatal here.
 *   ERR_CORRUPT           indexes or terms that cannot be */
MUST_USE int driver_start(struct driver *d, uint64_t now_ms,
                          const struct driver_state *state, struct orders *out,
                          struct err *err);

/* True where the caller must stop the node. */
bool driver_error_is_fatal(int code);

/* ---- inputs -------------------------------------------------------------------------- */

/* When driver_tick() should be called next, if nothing else happens before. Read it anew
 * after every input. */
uint64_t driver_timeout_ms(const struct driver *d);

/* Time has passed; calling it too early is harmless. */
MUST_USE int driver_tick(struct driver *d, uint64_t now_ms, struct orders *out,
                         struct err *err);

/* A decoded message. The caller has made sure that msg->from is who sent it (the
 * certificate). Not fatal, the message is dropped and nothing changes:
 *   ERR_BADMSG    no correct node can have sent this
 *   ERR_CONFLICT  the sender's cluster digest differs: other voters or another cluster; or
 * it has another store than its id is known with: it lost its disk */
MUST_USE int driver_receive(struct driver *d, uint64_t now_ms,
                            const struct consensus_msg *msg, struct orders *out,
                            struct err *err);

struct driver_proposal {
    const uint8_t *body;
    size_t len;       /* 1..CONSENSUS_BODY_MAX */
    uint64_t wall_ms; /* for people only */
};

/* Seal the body in an envelope that continues the hash chain (I9) and append it. Accepted
 * is not committed: it is when (*ret_index, *ret_term) is applied; if another term is
 * applied at that index it is lost; until then its outcome is unknown.
 * Not fatal, nothing was submitted:
 *   ERR_NOTLEADER  not the leader, or handing over
 *   ERR_INVAL      no body, or too long */
MUST_USE int driver_submit(struct driver *d, uint64_t now_ms,
                           const struct driver_proposal *p, struct orders *out,
                           uint64_t ret_index_term[2], struct err *err);

/* Append an entry that says nothing. Once it is applied, as (*ret_index, *ret_term), this
 * node led after the call, and has applied whatever any leader had committed before it.
 * Not fatal, nothing was submitted:
 *   ERR_NOTLEADER  not the leader, its first entry is not applied yet, or handing over */
MUST_USE int driver_barrier(struct driver *d, uint64_t now_ms, struct orders *out,
                            uint64_t ret_index_term[2], struct err *err);

/* Everything ordered with a seq up to this one is stored and synced. */
MUST_USE int driver_persisted(struct driver *d, uint64_t now_ms, uint64_t seq,
                              struct orders *out, struct err *err);

/* The application has carried out APPLY or RESTORE up to `index`. */
void driver_applied(struct driver *d, uint64_t index);

/* Hand leadership to `target` (0: to any follower that has everything). Until it is done,
 * or election_ms have passed, submissions are refused. Not fatal:
 *   ERR_NOTLEADER  not the leader, or already handing over
 *   ERR_NOTFOUND   not another voter
 *   ERR_BUSY       the target lacks entries or was silent; ask again later */
MUST_USE int driver_transfer(struct driver *d, uint64_t now_ms, uint64_t target,
                             struct orders *out, struct err *err);

/* Make `to` the list of members: one step (members_is_step), and this node still a voter.
 * It counts from the moment it is in a log; it is decided when it is committed. Not fatal:
 *   ERR_NOTLEADER  not the leader, its barrier is not applied yet, or handing over
 *   ERR_BUSY       the last change is not committed yet
 *   ERR_INVAL      not one step, or without this node, or a new member without a store */
MUST_USE int driver_change(struct driver *d, uint64_t now_ms, const struct members *to,
                           struct orders *out, uint64_t ret_index_term[2], struct err *err);

/* The application's state as of its applied index, to be sealed and stored; entries more
 * than `trailing` behind it are then dropped. Not fatal:
 *   ERR_BUSY  another one is being stored or installed, or nothing was applied since
 *   ERR_FULL  larger than CONSENSUS_SNAPSHOT_MAX allows */
MUST_USE int driver_snapshot_taken(struct driver *d, uint64_t now_ms,
                                   const struct driver_proposal *state, struct orders *out,
                                   struct err *err);

/* ---- what it knows ------------------------------------------------------------------- */

struct driver_peer {
    uint64_t id;
    uint64_t match_index; /* known to be stored there; leader only */
    uint64_t contact_ms;  /* time of its last answer in this term; 0: none */
    bool votes;
    bool caught_up; /* has all that we have, and answered within election_ms */
};

struct driver_status {
    enum raft_role role;
    uint64_t leader_id; /* 0: unknown */
    uint64_t term;
    uint64_t first_index, last_index, stored_index, commit_index, applied_index;
    uint64_t snapshot_index;
    uint64_t transferee; /* 0: not handing over */
    bool authoritative;
    /* When this node last had all that it knew to be committed: of a follower, when a
     * leader's message left it with nothing more to apply; of a leader, when so many had
     * answered that they are a majority with it. The time of the driver's inputs; 0: never
     * since it was started. For people: a message has been on its way before it came. */
    uint64_t current_ms;
    struct driver_peer peers[CONSENSUS_VOTERS_MAX]; /* the others; leader only */
    unsigned n_peers;
    uint8_t chain[CHAIN_SIZE]; /* head after applied_index */
};

void driver_status(const struct driver *d, struct driver_status *ret_status);

/* The newest list in this node's log; *ret_committed: it is the one that is decided. */
const struct members *driver_members(const struct driver *d, bool *ret_committed);

/* Leader, and an entry of its own term has been committed and applied here: so everything
 * that earlier leaders committed has been applied too. Even then another leader may exist:
 * only what is committed from now on is a decision. */
bool driver_is_authoritative(const struct driver *d);

#endif
