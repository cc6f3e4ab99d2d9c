/* controller/consensus/kin.h -- which store belongs to which controller, and how far it
 * was.
 *
 * A voter that lost its disk has forgotten whom it voted for and what it acknowledged.
 * Alone it cannot know, and started with --bootstrap over an empty directory it would vote
 * a second time, or for somebody who lacks committed entries (I7). So each store has a
 * random number, and each node keeps, in its own synced store, the number that belongs to
 * each id, and the highest mark (commits of that store) that it has heard of. Both are said
 * in every hello:
 *
 *   - whoever comes with another store, or with fewer commits than are remembered, is
 *     refused; and it stops itself when it hears what the others remember of it;
 *   - before a node has an *assembled* table it takes no part in Raft: it neither votes nor
 *     acknowledges. A table is assembled when all voters have said that they have the very
 *     same one (which needs all of them once, at bootstrap), or when somebody who has an
 *     assembled one lists this very store in it. So nothing is ever decided by nodes of
 * which one could take a voter's empty successor for the voter.
 *
 * Members that come later are in the log with their stores (members.h): they enter the
 * table with the list, and the joining one is told so by somebody who has an assembled
 * table.
 *
 * What this cannot see: an old copy of the *whole* directory, put back while every node
 * that remembers more is down. Nobody who is up has any evidence then.
 *
 * Limits:  a table of CONSENSUS_VOTERS_MAX stores, of exactly as many bytes as it takes;
 *          else ERR_CORRUPT, another version ERR_UNSUPPORTED.
 * Pure:    no I/O, no clock.
 * Threads: any; no shared state.
 */
#ifndef RF_CONSENSUS_KIN_H
#define RF_CONSENSUS_KIN_H

#include "controller/consensus/members.h"

struct kinsman {
    uint64_t id;
    uint64_t store;                      /* 0: not known yet */
    uint64_t mark;                       /* commits of that store that we have heard of */
    uint64_t said[CONSENSUS_VOTERS_MAX]; /* stores in its own table, in the order of ours;
                                            as it said last; not stored */
};

struct kin {
    uint64_t self;   /* id */
    uint64_t digest; /* of the cluster, driver_cluster_digest(); 0: not told yet */
    bool assembled;
    unsigned n;
    struct kinsman list[CONSENSUS_VOTERS_MAX]; /* self too; sorted by id */
};

/* What one node says of itself and of the others before anything else. */
struct kin_hello {
    uint64_t id, store, mark, digest;
    bool assembled;
    unsigned n;
    struct kinsman list[CONSENSUS_VOTERS_MAX]; /* `said` unused */
};

/* A table for these ids in which only our own store is known. One voter is assembled; one
 * that joins (`digest` 0) waits until it is listed. */
struct kin_self {
    uint64_t id, store, digest;
};
void kin_init(struct kin *k, const struct kin_self *self, const uint64_t *ids, unsigned n);

/* The members are these now: who left goes, who came enters with its store. An assembled
 * table only. True: it changed. */
bool kin_follow(struct kin *k, const struct members *m);

enum kin_verdict {
    KIN_FINE,
    KIN_CHANGED, /* say hello to everybody again; store the table before acting on it */
    KIN_REFUSE,  /* refuse that one: err (ERR_CONFLICT) says why and what to do there */
    KIN_STOP     /* it is we who must never vote again: err (ERR_CORRUPT) says why */
};

/* `name` is the speaker's, for the text. `mark` is our own, now. An id that the table does
 * not have is KIN_FINE: it is nobody's voter. */
enum kin_verdict kin_hear(struct kin *k, const char *name, uint64_t mark,
                          const struct kin_hello *h, struct err *err);
void kin_say(const struct kin *k, uint64_t mark, struct kin_hello *ret);

/* It has said that its store has so many commits. True: more than we knew. */
bool kin_note_mark(struct kin *k, uint64_t id, uint64_t mark);
const struct kinsman *kin_find(const struct kin *k, uint64_t id); /* NULL: none */

/* Its bytes, for the store. ERR_CORRUPT: not such bytes. ERR_UNSUPPORTED: of
 * a newer format; the text says what to install. */
MUST_USE int kin_encode(const struct kin *k, struct buf *out, struct err *err);
MUST_USE int kin_decode(const uint8_t *data, size_t len, struct kin *ret, struct err *err);

#endif
