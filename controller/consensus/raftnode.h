/* controller/consensus/raftnode.h -- one Raft voter on a libuv loop.
 *
 * Owns a driver (driver.h) and a store (store.h) and carries the driver's orders out:
 * votes are synced before anything is sent, entries before they are acknowledged, while
 * the leader's own disk write runs in parallel with sending to the followers. What is
 * submitted or arrives while the disk is busy shares its next sync. The daemon brings the
 * streams and the state machine.
 *
 * Committed is not granted, accepted is not committed: on_done(0) says that the entry is
 * committed *and* has been applied here, as index; every other status but ERR_NOTLEADER
 * from raftnode_submit() itself means *unknown*, so commands are idempotent.
 *
 * It fails stop: on_fatal is called once, from the loop, when the disk fails or stalls, the
 * log is damaged or of an unknown version, or a callback of the application fails. From
 * then on nothing is sent, applied or acknowledged; log err->text and exit.
 *
 * apply(), save(), restore() and send() must not call back into the node, but for
 * raftnode_audit() in apply() and the functions that only read; on_role and on_done may.
 *
 * Units:   milliseconds; the clock is mono_now(), read afresh at each event.
 * Owner:   raftnode_close(). Bytes handed in are copied; bytes handed out are valid during
 *          the callback only.
 * Threads: the loop's thread only.
 * Errors:  listed at each function.
 */
#ifndef RF_CONSENSUS_RAFTNODE_H
#define RF_CONSENSUS_RAFTNODE_H

#include "controller/consensus/driver.h"
#include "controller/consensus/kin.h"
#include "controller/consensus/store.h"

enum { RAFTNODE_PENDING_MAX = 4096 }; /* submissions without an outcome yet */

struct raftnode_callbacks {
    /* Send to that voter, or drop: Raft copes with loss, not with blocking. At most
     * CONSENSUS_MSG_MAX bytes. */
    void (*send)(void *owner, uint64_t to, const uint8_t *data, size_t len);

    /* The next entry of the log. Called for every index in order, whatever its kind; only
     * ENTRY_COMMAND has a body. Anything but 0 stops the node with *err. A restarted node
     * applies entries again from its last snapshot on: effects belong elsewhere (I5). */
    int (*apply)(void *owner, const struct order_apply *entry, struct err *err);

    /* Append the whole state to `out`, as of the last applied index. */
    int (*save)(void *owner, struct buf *out, struct err *err);
    /* Replace the whole state. Also called during raftnode_open(). */
    int (*restore)(void *owner, const struct order_restore *snapshot, struct err *err);

    /* Role, leader or term changed, or the leader became authoritative. */
    void (*on_role)(void *owner, const struct driver_status *status);
    void (*on_fatal)(void *owner, const struct err *err);
    /* Say hello to all others again. Not called from within raftnode_heard(). May be NULL.
     */
    void (*on_kin)(void *owner);
    /* The list of members in this node's log is another one. May be NULL. */
    void (*on_members)(void *owner);
    void *owner;
};

struct raftnode_config {
    struct driver_config driver; /* seed 0: from getrandom() */
    const char *node;            /* this node's name */
    const char *dir;
    bool allow_bootstrap;    /* store.h says when */
    bool allow_join;         /* likewise: a new node with a new id */
    uint32_t snapshot_every; /* applied entries between snapshots; 0: 4096 */
    uint32_t stall_ms;       /* 0: 5000 */
    const char *vfs;         /* tests only; NULL else */
};

struct raftnode;

/* Opens the directory (blocking, errors as store_open()), restores and starts. Callbacks
 * may come before it returns (a single voter applies its whole log), when *ret_node is set
 * already; NULL after an error. The name in config->node must be that of
 * driver.id in the list of voters (ERR_INVAL). */
MUST_USE int raftnode_open(struct raftnode **ret_node, struct uv_loop_s *loop,
                           const struct raftnode_config *config,
                           const struct raftnode_callbacks *callbacks, struct err *err);

/* Pending submissions get ERR_CLOSED before it returns; no other callback comes. NULL is
 * fine. The loop frees the rest. Hand leadership over first to spare the others an
 * election. */
void raftnode_close(struct raftnode *n);

/* Before anything else passes between two nodes, each says hello (kin.h): on every new
 * stream, and whenever on_kin() asks for it. A node takes part in nothing before its table
 * of the voters' stores is assembled and on disk. ERR_CONFLICT  refuse that node, err->text
 * says why: it lost its disk, or an old copy of its directory was put back ERR_CLOSED
 * stopped; also when that was said of us: on_fatal() tells, and every later start is
 * refused */
void raftnode_hello(const struct raftnode *n, struct kin_hello *ret);
MUST_USE int raftnode_heard(struct raftnode *n, const char *name, const struct kin_hello *h,
                            struct err *err);
/* That node says it has so many commits: what it must come back with (kin.h). */
void raftnode_note_mark(struct raftnode *n, uint64_t id, uint64_t mark);
/* Synced commits of our own store, to be said to the others now and then. */
uint64_t raftnode_mark(const struct raftnode *n);
/* It takes part in Raft. */
bool raftnode_is_assembled(const struct raftnode *n);

/* status 0: committed and applied here at `index` (apply() ran just before).
 * ERR_UNKNOWN: leadership was lost, it may yet be committed. ERR_CLOSED likewise. */
typedef void raftnode_done(void *owner, int status, uint64_t index);

/*   ERR_NOTLEADER  nothing was submitted; ask raftnode_status().leader_id
 *   ERR_INVAL      empty or longer than CONSENSUS_BODY_MAX
 *   ERR_FULL       RAFTNODE_PENDING_MAX
 *   ERR_CLOSED     stopped
 * on_done (may be NULL) is called exactly once after success, never from within. */
MUST_USE int raftnode_submit(struct raftnode *n, const uint8_t *body, size_t len,
                             raftnode_done *on_done, void *owner, struct err *err);

/* An entry that says nothing: on_done(0) says that this node led after the call (see
 * driver_barrier()), so what it has applied is no older than the call. As
 * raftnode_submit(); ERR_NOTLEADER also while leadership is being handed over. */
MUST_USE int raftnode_barrier(struct raftnode *n, raftnode_done *on_done, void *owner,
                              struct err *err);

/* Bytes from the voter that the stream's certificate names.
 *   ERR_BADMSG, ERR_FULL, ERR_PEER (message says another sender), ERR_CONFLICT (other
 *   cluster or voters): the message was dropped; close the stream and log it, once.
 *   ERR_CLOSED: stopped */
MUST_USE int raftnode_receive(struct raftnode *n, uint64_t from, const uint8_t *data,
                              size_t len, struct err *err);

/* Hand leadership to that voter if it has everything (leadership stays outside the active
 * region: design section 3). Errors of driver_transfer(), ERR_CLOSED. on_role tells the
 * rest. */
MUST_USE int raftnode_transfer(struct raftnode *n, uint64_t target, struct err *err);

/* The list of members in this node's log; *ret_decided: that one is committed. */
const struct members *raftnode_members(const struct raftnode *n, bool *ret_decided);
/* One step to another list. Errors of driver_change(), ERR_CLOSED. Its outcome shows in
 * raftnode_members(), here or at the next leader. */
MUST_USE int raftnode_change(struct raftnode *n, const struct members *to, struct err *err);

/* Audit rows of the entry being applied, in apply(). Written behind it, skipped when it is
 * an entry that was audited before a restart. */
MUST_USE int raftnode_audit(struct raftnode *n, const struct audit_row *rows, size_t count,
                            struct err *err);
MUST_USE int raftnode_prune_audit(struct raftnode *n, uint64_t before_ms, struct err *err);
MUST_USE int raftnode_fill_audit(struct raftnode *n, const struct store_fill *f,
                                 store_filled *reply, void *owner, struct err *err);
MUST_USE int raftnode_query_audit(struct raftnode *n, const struct audit_query *q,
                                  store_audit_reply *reply, void *owner, struct err *err);

void raftnode_status(const struct raftnode *n, struct driver_status *ret_status);
void raftnode_stats(const struct raftnode *n, struct store_stats *ret_stats);
/* How long ago driver_status().current_ms was, by the clock; UINT64_MAX: never. */
uint64_t raftnode_age_ms(const struct raftnode *n);
/* See driver_is_authoritative(). */
bool raftnode_is_authoritative(const struct raftnode *n);

#endif
