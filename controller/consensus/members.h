/* controller/consensus/members.h -- who belongs to the cluster, as ENTRY_VOTERS says it.
 *
 * The list that the cluster was bootstrapped with is entry 1 of every log; each later
 * change is one entry, and a snapshot carries the list as of its index. A node goes by the
 * newest list in its log, committed or not. The bytes are those of libraft, which keeps one
 * text beside each id: the name, and for a member that came later "NAME/STORE/ADDRESS", so
 * that whoever counts its votes also knows whose they are (kin.h) and where it is reached.
 *
 * Limits:  1 to CONSENSUS_VOTERS_MAX members in MEMBERS_BYTES_MAX bytes; names shorter than
 *          VOTER_NAME_SIZE, addresses than MEMBER_ADDRESS_SIZE. More is ERR_BADMSG; another
 *          version of libraft's bytes ERR_UNSUPPORTED.
 * Pure:    no I/O, no clock.
 * Threads: any; no shared state.
 */
#ifndef RF_CONSENSUS_MEMBERS_H
#define RF_CONSENSUS_MEMBERS_H

#include "controller/consensus/message.h"

enum { VOTER_NAME_SIZE = 64, MEMBER_ADDRESS_SIZE = 64, MEMBERS_BYTES_MAX = 2048 };

struct member {
    uint64_t id; /* > 0, never used again */
    char name[VOTER_NAME_SIZE];
    bool votes;     /* false: it only gets the log, until it has caught up */
    uint64_t store; /* 0: of the bootstrap, see kin.h */
    char address[MEMBER_ADDRESS_SIZE]; /* "": as the configuration file says */
};

struct members {
    unsigned n;
    struct member list[CONSENSUS_VOTERS_MAX]; /* by id */
};

const struct member *members_find(const struct members *m, uint64_t id); /* NULL: none */
const struct member *members_named(const struct members *m, const char *name);

/* From libraft's text of one; false: it is none. */
bool members_read(uint64_t id, const char *text, bool votes, struct member *ret);

/* Keeps the order. ERR_INVAL: id or name is there already, a text that cannot be; ERR_FULL
 */
MUST_USE int members_add(struct members *m, const struct member *one, struct err *err);
void members_remove(struct members *m, uint64_t id);

/* One step that is safe: any majority of the one list meets any majority of the other.
 * Exactly one non-voter added, one non-voter made a voter, or one member removed. */
bool members_is_step(const struct members *from, const struct members *to);

MUST_USE int members_encode(const struct members *m, struct buf *out, struct err *err);
/* ERR_BADMSG: bytes that members_encode() would not write. ERR_UNSUPPORTED: of a newer
 * format; the text says what to install. */
MUST_USE int members_decode(const uint8_t *data, size_t len, struct members *ret,
                            struct err *err);

#endif
