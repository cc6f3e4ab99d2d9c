/* controller/daemon/daemon.h -- the parts of one ringfenced process, and how they know of
 * each other.
 *
 * Each part has a header of its own; all hang on one struct daemon, which is made and taken
 * apart in daemon.c. Parts call each other only through their headers.
 *
 * Threads: the loop's thread, all of it (SQLite has its own, inside controller/consensus).
 */
#ifndef RF_DAEMON_DAEMON_H
#define RF_DAEMON_DAEMON_H

#include "controller/consensus/members.h"
#include "controller/daemon/settings.h"

struct uv_loop_s;

/* How a process ends; in the man page, too. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAIL_STOP = 1, /* the log or the disk can no longer be trusted */
    EXIT_CONFIG = 78,   /* wrong file, certificate, directory; sysexits' EX_CONFIG */
};

/* What an empty data_dir means. */
enum start_mode { START_PLAIN, START_BOOTSTRAP, START_JOIN };

struct daemon {
    struct uv_loop_s *loop;
    struct settings settings;
    struct tls *tls;
    struct node *node;         /* state and log */
    struct lag *lag;           /* how late we are */
    struct peers *peers;       /* the other controllers */
    struct agents *agents;     /* the agents */
    struct listener *listener; /* where both come in */
    struct renewals *renewals; /* leases */
    struct prober *prober;     /* what the servers answer */
    struct fencers *fencers;   /* what cuts the power of hosts */
    struct runner *runner;     /* decide() and its actions */
    struct frontend *frontend; /* API and metrics */
    struct jwt *jwt;           /* keys of the OpenID provider; NULL: none */
    struct members decided;    /* the newest list that was seen to be (membership.h) */
    enum exit_code exit_code;
    bool assembled; /* takes part in Raft (kin.h) */
    bool stopping;  /* asked to end, handing over */
    bool closing;   /* being taken apart: no answers, no proposals */
};

/* Opens everything; on an error what was opened is closed, and the loop must run once more
 * to finish that.
 *   ERR_...  of the part that failed; the text says which and what to do */
MUST_USE int daemon_open(struct daemon *d, struct uv_loop_s *loop,
                         const struct settings *settings, enum start_mode mode,
                         struct err *err);
/* Hands leadership over if it leads and somebody can take it, then closes everything; the
 * loop ends when that is done. May be called more than once. */
void daemon_stop(struct daemon *d);
/* Closes at once; from a fail-stop. */
void daemon_close(struct daemon *d);

#endif
