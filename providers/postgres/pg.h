/* providers/postgres/pg.h -- one PostgreSQL instance as its provider knows it.
 *
 * Internal to providers/postgres. Everything blocks, but never beyond its deadline, even
 * when the postmaster and all its children are stopped (SIGSTOP).
 *
 * Owner:   struct pg is made by postgres.c; the others borrow it.
 * Threads: one.
 */
#ifndef RF_PROVIDERS_POSTGRES_PG_H
#define RF_PROVIDERS_POSTGRES_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/base/time.h"
#include "proto/provider.pb-c.h"
#include "providers/postgres/text.h"

/* Why there is no session. */
enum pg_why {
    PG_WHY_NONE,
    PG_WHY_NO_SERVER, /* nothing listens on the socket */
    PG_WHY_NO_ANSWER, /* the kernel accepted, the server says nothing: frozen or hung */
    PG_WHY_NOT_NOW,   /* starting, stopping, not consistent yet (57P03) */
    PG_WHY_TOO_MANY,  /* too many clients (53300) */
    PG_WHY_PASSWORD,  /* wants a password or refuses the user (28xxx) */
    PG_WHY_DENIED,    /* our way in is barred: the socket's directory, the database (3Dxxx,
                         42501, 55000) */
    PG_WHY_OTHER,
};

/* A session, or an attempt at one. An attempt that a frozen server leaves unanswered is
 * kept and continued the next time, so that attempts do not fill the listen queue. */
struct pg_conn {
    PGconn *conn;
    bool ready;  /* the session is open */
    bool warned; /* the server sent a warning with the last answer */
    enum pg_why why;
    char sqlstate[6]; /* of the last error answer; empty: none */
};

enum { PG_RATE_SAMPLES = 32 };
#define PG_RATE_UNKNOWN UINT64_MAX /* Observation.wal_bytes_per_s */

struct pg_rate {
    unsigned n; /* samples so far; the ring holds the last PG_RATE_SAMPLES */
    struct {
        struct mono at;
        uint64_t lsn;
    } of[PG_RATE_SAMPLES];
};

/* Where the log of a server that is down ends, found once: nothing changes in it until the
 * server is started, which writes the control file. */
struct pg_down {
    int64_t
        control_ns; /* the control file's time of change when it was looked at; 0: never */
    uint32_t timeline;
    uint64_t end;              /* 0: not found out */
    struct pg_control control; /* what it says; system_id 0: not known */
};

struct pg {
    const Rf__ServerSpec *spec;     /* our copy */
    Rf__ProviderPeer *const *peers; /* of the request that is served */
    size_t n_peers;
    uid_t uid; /* the server's user: the owner of the data directory */
    gid_t gid;
    char user[64];
    struct pg_conn main;   /* opened first and kept: a reserved connection */
    struct pg_conn canary; /* commits as a client's would */
    bool canary_sent;      /* and not yet answered */
    struct mono canary_ok; /* the last one that was accepted */
    pid_t canary_pid;
    pid_t started; /* a postmaster that is our child; 0: none */
    struct pg_rate rate;
    Rf__ServerState role; /* PRIMARY or STANDBY, as last seen of the postmaster below */
    pid_t role_pid;
    uint64_t role_start_ms;
    uint32_t role_timeline; /* the highest that this postmaster has shown */
    struct pg_down down;
    bool commit_undrained;  /* synchronous_commit was raised; older statements may go on */
    char commit_raised[48]; /* since then, by the server's clock; "": not in force yet */
    unsigned bin_major;     /* of bin_dir's postgres; 0: not asked yet */
};

/* Time until `deadline`, rounded up; 0 when it has passed. */
int pg_left_ms(struct mono deadline);
/* A deadline no later than `deadline`. */
struct mono pg_within(struct mono deadline, uint32_t ms);
/* Waits `us` microseconds between two looks at something that sends no event. */
void pg_pause(unsigned us);

/* --- the server's user (postgres.c) ------------------------------------------------- */

/* Finds out as whom the server runs, anew, since a directory may have been made since.
 *   ERR_INVAL  owned by root, or nobody to derive it from */
MUST_USE int pg_find_user(struct pg *pg, struct err *err);

/* Reaps the postmaster that we started, if it has ended. */
void pg_reap(struct pg *pg);

/* --- sessions (conn.c) --------------------------------------------------------------- */

/* Opens a session to the local server over the Unix socket in `dir`; nothing to do when
 * it is open. `options` are server settings for the session.
 *   ERR_TIMEOUT, ERR_REFUSED ... with c->why set */
MUST_USE int pg_conn_open(struct pg *pg, struct pg_conn *c, const char *options,
                          struct mono deadline, struct err *err);
/* Opens a session by connection string (upstream), as the server's user. */
MUST_USE int pg_conn_dial(struct pg *pg, struct pg_conn *c, const char *conninfo,
                          struct mono deadline, struct err *err);
void pg_conn_close(struct pg_conn *c); /* also for AUTO(); c may be zeroed */

/* Runs one statement. After ERR_TIMEOUT the session is closed: the statement may still
 * happen (I5). `*ret_result` may be asked for by NULL; else the caller PQclear()s it.
 *   ERR_REFUSED  the server's error, c->sqlstate set
 *   ERR_TIMEOUT, ERR_CLOSED */
MUST_USE int pg_exec(struct pg_conn *c, const char *sql, struct mono deadline,
                     PGresult **ret_result, struct err *err);
/* The same in halves. pg_answer() with a passed deadline looks without waiting and, for
 * ERR_TIMEOUT, leaves the session as it is. */
MUST_USE int pg_send(struct pg_conn *c, const char *sql, struct err *err);
MUST_USE int pg_answer(struct pg_conn *c, struct mono deadline, PGresult **ret_result,
                       struct err *err);
void pg_clear(PGresult **result); /* for AUTO() */

/* One value; "" for NULL. */
MUST_USE int pg_ask(struct pg_conn *c, const char *sql, struct mono deadline, char *value,
                    size_t size, struct err *err);
MUST_USE int pg_ask_lsn(struct pg_conn *c, const char *sql, struct mono deadline,
                        uint64_t *ret_lsn, struct err *err);

/* The server runs, but we in particular are not let in: nothing is known of its health. */
bool pg_is_denied(enum pg_why why);

/* Opens pg->main. */
MUST_USE int pg_main(struct pg *pg, struct mono deadline, struct err *err);

#endif
