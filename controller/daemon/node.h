/* controller/daemon/node.h -- this controller's copy of the state, and the way into the
 * log.
 *
 * Glue between the Raft shell and the core. Every committed entry is decoded, applied, and
 * observed with a clock read afresh after apply() (I4: a reading that the loop had cached
 * could be older than the holder's send). An entry that cannot be read, or a state in which
 * an invariant does not hold, stops the node (I10): on_fatal, and nothing is applied,
 * granted or answered any more.
 *
 * A proposal is encoded, decoded again and applied to a copy before it is submitted (I10):
 * what would be refused never becomes an entry.
 *
 * Owner:   node_open() to node_close().
 * Threads: the loop's thread.
 * Errors:  listed at each function.
 */
#ifndef RF_DAEMON_NODE_H
#define RF_DAEMON_NODE_H

#include "controller/base/histogram.h"
#include "controller/consensus/raftnode.h"
#include "controller/core/decide.h"

struct node;

struct node_events {
    void (*send)(void *owner, uint64_t to, const uint8_t *data, size_t len);
    /* An entry was applied here, or (`e` NULL) a whole state was restored. */
    void (*on_applied)(void *owner, const struct entry *e, const struct apply_result *r);
    void (*on_role)(void *owner, const struct driver_status *status);
    void (*on_fatal)(void *owner, const struct err *err);
    /* Say hello to the other controllers again; the list of members in the log is another
     * one. Either may be NULL. */
    void (*on_kin)(void *owner);
    void (*on_members)(void *owner);
    void *owner;
};

struct node_config {
    const char *cluster, *name, *dir;
    uint64_t id;
    unsigned voter_count;
    struct voter voters[CONTROLLER_MAX];
    uint32_t election_ms, heartbeat_ms;
    uint64_t reserve_bytes; /* of the disk: store.h */
    bool bootstrap, join;   /* store.h says when */
};

/* Errors of raftnode_open(). Entries may be applied before it returns. */
MUST_USE int node_open(struct node **ret_node, struct uv_loop_s *loop,
                       const struct node_config *config, const struct node_events *events,
                       struct err *err);
/* Waiting proposals are told ERR_CLOSED before it returns. NULL is fine. */
void node_close(struct node *n);

const struct state *node_state(const struct node *n);
/* The shell fills in what agents, probes and peers say. */
struct observations *node_seen(struct node *n);
void node_status(const struct node *n, struct driver_status *ret_status);
void node_stats(const struct node *n, struct store_stats *ret_stats);
/* How long this leader's proposals took from submitted to applied; valid with the node. */
const struct histogram *node_commits(const struct node *n);
/* Leader with everything applied that was committed before its term (I7): may propose. */
bool node_leads(const struct node *n);
uint64_t node_leader(const struct node *n); /* 0: not known */
uint64_t node_applied(const struct node *n);
/* What is applied was in the log when it was opened, and may be of any age. */
bool node_is_replaying(const struct node *n);

/* status 0: committed and applied at `index`, `r` is what apply() said of it. Else `r` is
 * NULL and the outcome is unknown: it may yet be committed. */
typedef void node_done(void *owner, int status, uint64_t index,
                       const struct apply_result *r);

/* What apply() would say now. `ret` as apply()'s. */
void node_dry(struct node *n, const struct entry *e, struct apply_result *ret);

/* on_done (may be NULL) is called exactly once after success, never from within.
 *   ERR_REFUSED     by the state machine; *ret_refused (may be NULL) says why. No entry.
 *   ERR_NOTLEADER   not the leader, or its barrier is not applied yet
 *   ERR_UNSUPPORTED a controller or an agent concerned does not know the format (I10)
 *   ERR_FULL ERR_INVAL ERR_CLOSED ERR_NOMEM */
MUST_USE int node_propose(struct node *n, const struct entry *e, node_done *on_done,
                          void *owner, struct apply_result *ret_refused, struct err *err);

/* on_done(0): this node led after the call, and has applied all that was committed before
 * it; never called from within. As raftnode_barrier(). */
MUST_USE int node_confirm(struct node *n, raftnode_done *on_done, void *owner,
                          struct err *err);
/* How old what is applied may be; as raftnode_age_ms(). */
uint64_t node_age_ms(const struct node *n);

/* Put a bounded summary of a refused operator's request into the log (I10): what is beyond
 * the bounds of controller/daemon/refused.h is dropped, and what comes where nobody leads.
 */
void node_note_refused(struct node *n, const struct actor *who, const char *group,
                       const char *text);
/* How many were not noted: beyond the bounds (refused.h), not to be written, or since the
 * disk's reserve is in use (store_stats.reserve_used). */
uint64_t node_left_out(const struct node *n);
/* The same of what a group is held by; holds.h says how often. An error: try it again. */
MUST_USE int node_note_held(struct node *n, const char *group,
                            const struct entry_refused *what, struct err *err);

/* As raftnode's. */
MUST_USE int node_receive(struct node *n, uint64_t from, const uint8_t *data, size_t len,
                          struct err *err);
void node_hello(const struct node *n, struct kin_hello *ret);
MUST_USE int node_heard(struct node *n, const char *name, const struct kin_hello *h,
                        struct err *err);
void node_note_mark(struct node *n, uint64_t id, uint64_t mark);
uint64_t node_mark(const struct node *n);
bool node_is_assembled(const struct node *n);
const struct members *node_members(const struct node *n, bool *ret_decided);
MUST_USE int node_change(struct node *n, const struct members *to, struct err *err);
MUST_USE int node_transfer(struct node *n, uint64_t to, struct err *err);
MUST_USE int node_prune_audit(struct node *n, uint64_t before_ms, struct err *err);
MUST_USE int node_fill_audit(struct node *n, const struct store_fill *f,
                             store_filled *reply, void *owner, struct err *err);
MUST_USE int node_query_audit(struct node *n, const struct audit_query *q,
                              store_audit_reply *reply, void *owner, struct err *err);

#endif
