/* controller/consensus/message.h -- what one controller's Raft engine says to another's.
 *
 * Plain structs that mirror libraft's messages without its header, and their bytes
 * (proto/raft.proto). A decoded message has been checked for everything that can be
 * checked without knowing the receiver's state: lengths, types, enums, unknown and repeated
 * fields, limits, monotonic terms. The driver checks the rest.
 *
 * Pure:    no I/O, no clock.
 * Owner:   consensus_msg_decode() makes the message own its memory, until
 *          consensus_msg_free(). A message to encode borrows what it points to.
 * Threads: any; no shared state.
 * Errors:  ERR_BADMSG (with what was wrong), ERR_FULL (a limit), ERR_NOMEM.
 */
#ifndef RF_CONSENSUS_MESSAGE_H
#define RF_CONSENSUS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/buf.h"
#include "controller/base/err.h"

enum {
    CONSENSUS_VOTERS_MAX = 7,
    CONSENSUS_BATCH_MAX = 32,              /* entries in one append_entries */
    CONSENSUS_BODY_MAX = 240 << 10,        /* one command, as it is submitted */
    CONSENSUS_ENTRY_MAX = 256 << 10,       /* the same with its envelope */
    CONSENSUS_SNAPSHOT_MAX = 8 << 20,      /* with its envelope */
    CONSENSUS_MSG_MAX = (8 << 20) + 65536, /* any message; size the frames for it */
};

/* Numbers travel and are stored: never renumber. */
enum consensus_entry_kind {
    ENTRY_COMMAND = 1, /* data is a sealed envelope (proto/envelope.h) */
    ENTRY_BARRIER = 2, /* says nothing: a leader's first entry, and what reads wait for */
    ENTRY_VOTERS = 3   /* a list of members (members.h); entry 1 is one */
};

struct consensus_entry {
    uint64_t term;
    enum consensus_entry_kind kind;
    const uint8_t *data;
    size_t len;
};

enum consensus_msg_type {
    CMSG_REQUEST_VOTE = 1,
    CMSG_REQUEST_VOTE_RESULT,
    CMSG_APPEND_ENTRIES,
    CMSG_APPEND_ENTRIES_RESULT,
    CMSG_INSTALL_SNAPSHOT,
    CMSG_TIMEOUT_NOW
};

struct cmsg_request_vote {
    uint64_t last_log_index, last_log_term;
    bool disrupt_leader; /* a leader that hands over asked for this election */
    bool pre_vote;
};

struct cmsg_request_vote_result {
    bool granted, pre_vote;
};

struct cmsg_append_entries {
    uint64_t prev_log_index, prev_log_term, leader_commit;
    const struct consensus_entry *entries;
    unsigned n_entries;
};

struct cmsg_append_entries_result {
    uint64_t rejected;       /* 0: accepted */
    uint64_t last_log_index; /* accepted: stored up to here; rejected: a hint */
    bool stale;              /* answers a request of an older term than `term`: only `term`
                                counts, the rest says nothing about the sender's log */
};

struct cmsg_install_snapshot {
    uint64_t last_index, last_term;
    const uint8_t *data; /* sealed (proto/envelope.h) */
    size_t len;
};

struct cmsg_timeout_now {
    uint64_t last_log_index, last_log_term;
};

struct consensus_msg {
    enum consensus_msg_type type;
    uint64_t from, to; /* node ids, never 0 */
    uint64_t cluster;  /* digest of cluster name, incarnation and voters: see driver.h */
    uint64_t store;    /* which store `from` has: kin.h */
    uint64_t term;
    union {
        struct cmsg_request_vote request_vote;
        struct cmsg_request_vote_result request_vote_result;
        struct cmsg_append_entries append_entries;
        struct cmsg_append_entries_result append_entries_result;
        struct cmsg_install_snapshot install_snapshot;
        struct cmsg_timeout_now timeout_now;
    };
    void *owner; /* what a decoded message owns; NULL else */
};

/* "append-entries" and so on, for log lines. */
const char *consensus_msg_name(enum consensus_msg_type type);

/* Append the message's bytes to `out`. ERR_FULL: larger than CONSENSUS_MSG_MAX. */
MUST_USE int consensus_msg_encode(const struct consensus_msg *msg, struct buf *out,
                                  struct err *err);

/* The bytes may come from anybody. Memory used stays proportional to `len`. */
MUST_USE int consensus_msg_decode(const uint8_t *data, size_t len,
                                  struct consensus_msg *ret_msg, struct err *err);

/* Frees what a decoded message owns; a zeroed one is fine. Also for AUTO(). */
void consensus_msg_free(struct consensus_msg *msg);

#endif
