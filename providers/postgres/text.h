/* providers/postgres/text.h -- what PostgreSQL's tools and files say, read into numbers.
 *
 * Pure:    no I/O, no clock.
 * Owner:   arguments are copied, never kept; returned strings are malloc'ed.
 * Threads: any.
 * Errors:  ERR_BADMSG for text that does not say what it should, ERR_NOMEM.
 */
#ifndef RF_PROVIDERS_POSTGRES_TEXT_H
#define RF_PROVIDERS_POSTGRES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

enum {
    PG_LSN_TEXT = 24,
    PG_STATE_TEXT = 40,
    PG_HISTORY_MAX = 64, /* switches of timeline in one history; more is ERR_BADMSG */
    /* XLOG_CHECKPOINT_SHUTDOWN: header 24, short data header 2, CheckPoint 88, aligned.
     * The same in PostgreSQL 12 to 17. */
    PG_CHECKPOINT_RECORD = 120,
};

/* A decimal number behind blanks; `*text` is moved behind it. False when there is none. */
MUST_USE bool pg_number_next(const char **text, uint64_t *ret_number);

/* "16/B374D848". False, and nothing is stored, for anything else. */
MUST_USE bool pg_lsn_parse(const char *text, uint64_t *ret_lsn);
void pg_lsn_format(uint64_t lsn, char text[PG_LSN_TEXT]);

/* What pg_controldata says under LC_ALL=C. */
struct pg_control {
    uint64_t system_id;
    uint64_t checkpoint; /* where the latest checkpoint record begins */
    uint64_t redo;
    uint64_t min_recovery; /* 0: none */
    uint32_t timeline;     /* of the latest checkpoint */
    uint32_t min_recovery_timeline;
    uint32_t segment_bytes;
    bool checksums, wal_log_hints;
    char state[PG_STATE_TEXT]; /* "in production", "shut down", ... */
};
MUST_USE int pg_control_parse(const char *text, struct pg_control *ret, struct err *err);
/* "shut down" or "shut down in recovery" */
bool pg_control_clean(const struct pg_control *c);
/* The server was, or stopped, in recovery: "shut down in recovery", "in archive recovery".
 */
bool pg_control_standby(const struct pg_control *c);

/* The ancestors of a timeline: up to where each of them is part of it. */
struct pg_history {
    unsigned n;
    struct {
        uint32_t timeline;
        uint64_t end;
    } of[PG_HISTORY_MAX];
};
/* The text of a .history file; empty text is an empty history (timeline 1). */
MUST_USE int pg_history_parse(const char *text, struct pg_history *ret, struct err *err);
/* Where the logs of two servers part: each is on a timeline with a history. `*ret_lsn` is
 * UINT64_MAX when they are on the same timeline with the same history, and `*ret_timeline`
 * the last timeline they share. False when they share none. */
MUST_USE bool pg_fork_find(const struct pg_history *a, uint32_t a_timeline,
                           const struct pg_history *b, uint32_t b_timeline,
                           uint64_t *ret_lsn, uint32_t *ret_timeline);

/* "postmaster.pid". The status is "starting", "ready", "standby" or "stopping". */
struct pg_pidfile {
    int pid;
    uint32_t port;
    char socket_dir[256];
    char status[16];
};
MUST_USE int pg_pidfile_parse(const char *text, struct pg_pidfile *ret, struct err *err);

/* The last "at 0/..." or "length at 0/..." of what pg_waldump complains about at the end
 * of the log: where the first record that is not there would begin. */
MUST_USE bool pg_waldump_end(const char *text, uint64_t *ret_end);

/* What a statement of ours asks for, for people: an operator can do nothing with its SQL.
 */
const char *pg_in_words(const char *sql);

/* 'value' for a connection string, and for a line of postgresql.conf. NULL: no memory. */
char *pg_quote_conninfo(const char *value);
char *pg_quote_conf(const char *value);

/* The file name of the segment of `timeline` that holds `lsn`. */
enum { PG_SEGMENT_NAME = 25 };
void pg_segment_name(uint32_t timeline, uint64_t lsn, uint32_t segment_bytes,
                     char name[PG_SEGMENT_NAME]);

#endif
