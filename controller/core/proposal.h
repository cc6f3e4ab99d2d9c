/* controller/core/proposal.h -- what people ask for, who has agreed to it, and when that is
 * enough.
 *
 * A proposal says what (kind, target), why, and what was to be expected of it when it was
 * made. It is approved when each role that its time of day needs has said yes, every person
 * once; then decide() begins exactly that, or has it confirmed anew if it has become worse
 * meanwhile (proposal_worse(), decide_internal.h). No approval is a proof: what is approved
 * passes the same doors as everything else (I1, I2, I8, residency).
 *
 * An attestation is a proposal that begins nothing. Approved by two people it is a fact
 * that apply() and the rows may use, about one instance, in one epoch, as long as nothing
 * has been granted that they could not know of (attested_dead(), attested_loss()).
 *
 * Pure:    no I/O and no clock: the time of day is that of the entry.
 * Units:   wall time in milliseconds since 1970, UTC.
 */
#ifndef RF_CORE_PROPOSAL_H
#define RF_CORE_PROPOSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/core/sizes.h"
#include "fencing/rules/proof.h"

enum {
    WINDOW_MAX = 4,
    NEED_MAX = 4,          /* people that one proposal may need */
    PROPOSAL_MAX = 32,     /* remembered; what is over goes first */
    PROPOSAL_OPEN_MAX = 4, /* per group, not over */
    ZONE_ZERO = 1440,      /* UTC, as approval_window.zone */
    DAY_MIN = 1440,
    APPROVAL_EXPIRES_MS = 30 * 60 * 1000,
};

/* Numbers travel in the log: add at the end, never renumber. */
#define PROPOSAL_KIND_MAP(X)                                                               \
    X(PROPOSAL_NONE, 0, "none")                                                            \
    X(PROPOSAL_SWITCHOVER, 1, "switchover")                                                \
    X(PROPOSAL_FAILOVER, 2, "failover")                                                    \
    X(PROPOSAL_ATTEST_DEAD, 3,                                                             \
      "attest-dead") /* its target acknowledges nothing any more */                        \
    X(PROPOSAL_ATTEST_LOSS, 4, "attest-loss") /* its target may lead, whatever it misses   \
                                               */

enum proposal_kind {
#define X(name, number, text) name = (number),
    PROPOSAL_KIND_MAP(X)
#undef X
};

#define PROPOSAL_STATE_MAP(X)                                                              \
    X(PROPOSED_NONE, 0, "none")                                                            \
    X(PROPOSED_OPEN, 1, "open")         /* approvals are missing */                        \
    X(PROPOSED_APPROVED, 2, "approved") /* is begun; an attestation: in force */           \
    X(PROPOSED_STALE, 3, "stale")       /* has become worse: to be confirmed anew */       \
    X(PROPOSED_RUNNING, 4, "running")                                                      \
    X(PROPOSED_DONE, 5, "done")                                                            \
    X(PROPOSED_FAILED, 6, "failed")                                                        \
    X(PROPOSED_ABORTED, 7, "aborted") /* withdrawn, or its run went back */                \
    X(PROPOSED_REJECTED, 8, "rejected")                                                    \
    X(PROPOSED_EXPIRED, 9, "expired")

enum proposal_state {
#define X(name, number, text) name = (number),
    PROPOSAL_STATE_MAP(X)
#undef X
};

/* One person is needed who has this role (actor.h), besides all others. */
struct need {
    uint8_t role;
};

/* Of a group's policy: at these times, so many people. */
struct approval_window {
    uint8_t days;              /* bit 0: Monday; 0: the window of all other times */
    uint16_t from_min, to_min; /* minute of the day; equal: all of it; else `to` may be on
                                  the next day */
    uint16_t zone;             /* minutes east of UTC, plus ZONE_ZERO */
    uint8_t need_count;
    struct need need[NEED_MAX];
    uint8_t inform; /* roles that are told */
    uint32_t expires_ms;
};

/* What was to be expected when it was proposed, or confirmed last. */
struct forecast {
    bool loss_known;
    uint64_t loss_bytes;
    bool member; /* the target holds all that was acknowledged (I8) */
    uint32_t takes_ms;
    char fails[TEXT_SIZE]; /* conditions of `why` that do not hold, by name */
};

/* Somebody who has said yes. */
struct signer {
    char name[NAME_SIZE];
    uint8_t roles, factor;
    uint64_t wall_ms;
};

struct proposal {
    uint64_t id; /* log index of the entry that made it */
    char group[NAME_SIZE];
    enum proposal_kind kind;
    enum proposal_state state;
    char target[NAME_SIZE]; /* an agent; "": the best candidate */
    char reason[TEXT_SIZE];
    char by[NAME_SIZE];
    bool break_glass;
    uint64_t asked; /* log index at which approvals were asked for: `id`, or when it became
                       stale: an approval names what it has seen */
    uint64_t epoch;
    /* Attestations: the last grant of the instance that they are about, and its life. */
    uint64_t grant;
    struct incarnation life;
    uint64_t wall_ms, expires_ms; /* wall time */
    uint8_t need_count, inform;
    struct need need[NEED_MAX];
    uint8_t signer_count;
    struct signer signers[NEED_MAX];
    struct forecast forecast;
    uint64_t run;            /* that it began; 0: none */
    char outcome[TEXT_SIZE]; /* of what is over, or stale: how, and why */
};

struct state;
struct group;
struct policy;

const char *proposal_kind_name(enum proposal_kind kind);
const char *proposal_state_name(enum proposal_state state);

bool proposal_is_attestation(enum proposal_kind kind);
/* Nothing can come of it any more. */
bool proposal_is_over(const struct proposal *p);

/* The window of the policy at that time; NULL: it has none. */
const struct approval_window *approval_window_at(const struct policy *p, uint64_t wall_ms);
/* What is wrong with the windows, for people; NULL: nothing. */
const char *approval_windows_problem(const struct policy *p);

/* The roles that nobody has spoken for yet, as bits; 0: it has all that it needs. A person
 * speaks for one role. */
uint8_t proposal_lacks(const struct proposal *p);
/* Would the yes of somebody with these roles bring it closer? */
bool proposal_wants(const struct proposal *p, const char *name, uint8_t roles);
bool proposal_has_signed(const struct proposal *p, const char *name);

/* NULL: none of that id is remembered. */
const struct proposal *state_proposal(const struct state *s, uint64_t id);
/* The one of the group that is approved and to be begun; NULL: none. */
const struct proposal *proposal_approved(const struct state *s, const struct group *g,
                                         enum proposal_kind kind);

/* Two people have said that the instance acknowledges nothing any more; it is about the
 * life that a proof would have to be about now, which was granted nothing since, and no
 * other life of its agent has been heard of since. NULL: it is not so.
 *
 * I2, I4, I12. It is no proof yet: a lease that was granted is counted out first by whoever
 * leads (guards_attested.c), whatever people say, because they cannot see a clock. What is
 * said is void as soon as the log knows better: a grant (it lives), a new life (it came
 * back), another epoch (another fence). */
const struct proposal *attested_dead(const struct state *s, const struct group *g,
                                     uint8_t instance);

/* Two people have said that this instance is to lead though it is not known to hold all
 * that was acknowledged (I8): in this epoch, and as long as the active instance was granted
 * nothing since, so that what may be lost is what they could know of. NULL: it is not so.
 */
const struct proposal *attested_loss(const struct state *s, const struct group *g,
                                     uint8_t instance);

#endif
