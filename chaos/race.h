/* chaos/race.h -- dialling several hosts at one time; the first that is read-write wins.
 *
 * Owner:   the caller owns a connection that it was given.
 * Threads: one.
 */
#ifndef RF_CHAOS_RACE_H
#define RF_CHAOS_RACE_H

#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "chaos/ground.h"

struct attempt {
    PGconn *conn;
    PostgresPollingStatusType wants;
    int64_t began_ns, again_ns; /* again: not before this, after a failure */
};

struct race {
    struct attempt of[SITE_COUNT];
    const char *settings; /* of the connection string, without the host */
    unsigned calm;        /* so many times the usual pauses; 0: as fast as it can be */
};

/* Begins what is due among `hosts` and ends attempts at others. */
void race_run(struct race *r, unsigned hosts, int64_t now);
/* What to wait for; returns how many. */
unsigned race_poll(const struct race *r, struct pollfd fds[SITE_COUNT]);
/* Goes on with the attempts; a session that is open is handed over. NULL: none yet. */
PGconn *race_take(struct race *r, int64_t now, enum site *ret_host);
void race_end(struct race *r);

#endif
