/* tests/real/daemon/load.h -- three controllers that have something to write down: two fake
 * agents whose leases are renewed some twenty times a second.
 *
 * Owner: load_begin() to load_end(); the cluster is the caller's.
 */
#ifndef RF_TEST_DAEMON_LOAD_H
#define RF_TEST_DAEMON_LOAD_H

#include "tests/real/daemon/fake_agent.h"

struct load {
    struct cluster *c;
    struct fake_agent east, west;
    bool open;
};

/* Starts all controllers; afterwards the gate of east is open. */
void load_begin(struct load *l, struct cluster *c);
/* Ends all of them as an operator would, and looks at what they wrote down: each trail is
 * whole, and wherever two have a row about the same entry it is the same row. */
void load_end(struct load *l);

/* In a teardown: the agents of a test that failed would keep its loop for ever. */
void load_drop(struct load *l);

enum { LOAD_BACK_MS = 30000 };

/* Starts a node; its log is of this life alone. */
void load_start_anew(struct load *l, int node);
/* The same, and all three are there and east serves. */
void load_comes_back(struct load *l, int node);
/* East serves by the other two. */
void load_two_go_on(struct load *l, int without);
/* load_begin(), and then the witness is killed: its raft.db has everything in it, its
 * write-ahead log what came later; its directory is kept as `whole`. */
void load_keep_whole(struct load *l, struct cluster *c);

/* For cluster_until(); the owner is the load. */
bool load_east_serves(void *owner);
bool load_all_up(void *owner);

/* One command of the shell in the cluster's directory; it must succeed. */
void cluster_shell(struct cluster *c, const char *format, ...) PRINTF_LIKE(2, 3);
/* A row for each trail. A leader that goes while it is asked, or has not heard yet what the
 * others can read, is asked again, for another one. */
void cluster_add_user(struct cluster *c);
/* Its exit status, once it has ended by itself. */
int cluster_wait_end(struct cluster *c, int node, unsigned ms, const char *what);
void cluster_log_says(struct cluster *c, int node, const char *words);

#endif
