/* chaos/history.h -- the one judge: what clients saw, and what it says about the service.
 *
 * A history is a list of events, in any order. The laboratory, scenario files and the
 * simulator write the same events and are judged by the same code, in this order of
 * importance: no two writers, nothing acknowledged lost beyond the policy, recovered.
 *
 * As text: one event per line, `TIME_NS KIND CLIENT HOST NUMBER`.
 *
 * Pure:    no clock; reads and writes only the streams it is given.
 * Units:   instants in nanoseconds of any one clock; hosts are small numbers.
 * Owner:   the caller owns the history; history_free() ends it.
 * Threads: one at a time. Clients keep one each; history_join() brings them together.
 * Errors:  history_read() alone can fail; it says which line.
 */
#ifndef RF_CHAOS_HISTORY_H
#define RF_CHAOS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { HISTORY_NO_HOST = 255, HISTORY_HOST_MAX = 8 };

/* `writer` clients number their rows, no number twice, and the rows are looked for at the
 * end. `probe` clients write to one server directly and say only who accepts writes. */
enum event_kind {
    EVENT_BEGIN,   /* a write is sent; the next event of this client is its outcome */
    EVENT_ACK,     /* acknowledged: success, and no warning of a cancelled wait */
    EVENT_UNKNOWN, /* no answer, an error, or success with a warning */
    EVENT_ROW,     /* the row is there at the end */
    EVENT_FAULT,   /* the fault was injected; for a switchover: it was asked for */
    EVENT_HEALED,  /* the cause is gone, or the expected recovery was seen */
    /* What the log says, where it is known; number: the epoch. Who sees the log only from
     * outside knows by when an entry was committed: that is its time. */
    EVENT_RENEWED, /* a lease of the host was granted or renewed */
    EVENT_FENCED,  /* fence_begin: no lease of this epoch, or an older one, from here on */
    EVENT_OPENING, /* the host may have been opened from here on, beside the last one */
    EVENT_OPENED,  /* the host may acknowledge from here on, and no other; HISTORY_NO_HOST:
                    * it is not known who */
    EVENT_KINDS
};

enum client_kind { CLIENT_WRITER = 0, CLIENT_PROBE = 100 }; /* numbered from here up */

struct event {
    int64_t at_ns;
    uint64_t number;
    uint8_t kind;   /* enum event_kind */
    uint8_t client; /* CLIENT_WRITER + i or CLIENT_PROBE + i */
    uint8_t host;
};

struct history {
    struct event *events;
    size_t count, cap;
};

void history_add(struct history *h, struct event e);
void history_join(struct history *into, const struct history *from);
void history_sort(struct history *h); /* by time; events of one instant keep their order */
void history_free(struct history *h);

void history_write(const struct history *h, FILE *out);
/* False with the number of the first line that is no event. */
bool history_read(struct history *h, FILE *in, size_t *ret_line);

/* From the last acknowledgement of `client` before it was longest without one, to the first
 * after it, among the gaps that end after `from` and begin before `to`. No acknowledgement
 * after the last one counts as a gap up to `to`. */
int64_t history_outage_ns(const struct history *h, uint8_t client, int64_t from,
                          int64_t to);
struct outage {
    int64_t from, until; /* equal: none */
};
struct outage history_outage(const struct history *h, uint8_t client, int64_t from,
                             int64_t to);

/* For how long a write begun on `old` after `fresh` had acknowledged one, was still
 * acknowledged: from that first acknowledgement (at or after `from`) to the last such one
 * before `to`. 0: never. Only probes are looked at. */
struct overlap_question {
    uint8_t old, fresh;
    int64_t from, to;
};
int64_t history_both_writable_ns(const struct history *h, struct overlap_question q);

/* How often probes' acknowledgements changed from one host to another, counting only writes
 * that were begun after the last host had acknowledged one: each change must have an epoch
 * of its own, whatever was moved and how often. */
unsigned history_changes(const struct history *h);

/* The same by what the log opened, of all clients: for how long after another host had been
 * opened a write was still acknowledged that was begun after that. 0: never. A host that
 * may have been opened meanwhile is no rival. */
int64_t history_rivals_ns(const struct history *h);

/* Acknowledged rows of all writers, and how many of them are missing at the end. */
void history_count(const struct history *h, uint64_t *ret_acked, uint64_t *ret_lost);

/* First acknowledgement of `client` on `host` that was begun at or after `from`; 0: none.
 */
int64_t history_first_ack_ns(const struct history *h, uint8_t client, uint8_t host,
                             int64_t from);

/* The leases of one holder, as they were watched: each one was granted at `from` at the
 * earliest and held until `until`; both only grow. */
struct lease_span {
    int64_t from, until;
};
struct lease_log {
    struct lease_span *spans;
    size_t count, cap;
};
void lease_log_add(struct lease_log *l, struct lease_span span);
void lease_log_free(struct lease_log *l);
/* Until when the holder could answer, as far as it knew at `at`: the end of the last lease
 * granted by then. One that it was granted later excuses nothing. 0: none was seen. */
int64_t lease_log_deadline(const struct lease_log *l, int64_t at);

/* What the declared policy allows. */
struct allowance {
    bool may_lose;   /* sync off, or preferred: rows that `old` acknowledged, no others */
    uint8_t old;     /* the side that was failed over from; not looked at else */
    bool loss_known; /* lost_bytes and forecast_bytes were reported */
    uint64_t lost_bytes, forecast_bytes;
    int64_t both_writable_ns; /* as found for every change of sides, the largest */
    int64_t recover_ns;       /* after EVENT_HEALED, a writer's row is acknowledged */
};

enum verdict {
    VERDICT_OK,
    VERDICT_TWO_WRITERS,
    VERDICT_RENEWED,        /* a lease was renewed after its epoch had been fenced (I4) */
    VERDICT_EPOCH_AGAIN,    /* an epoch was opened that is not above the last one (I1) */
    VERDICT_LOST,           /* acknowledged rows are missing and the policy forbids it */
    VERDICT_LOST_UNCOUNTED, /* allowed, but nobody said how much */
    VERDICT_LOST_BEYOND,    /* more than was forecast */
    VERDICT_NOT_RECOVERED,
    VERDICT_EMPTY, /* no acknowledgement at all: nothing was shown */
};

enum verdict history_judge(const struct history *h, const struct allowance *allow);
const char *verdict_text(enum verdict v);

#endif
