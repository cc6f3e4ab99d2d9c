/* tests/real/daemon/cluster.h -- three real ringfenced processes on loopback, in a
 * directory of their own, with certificates of a throw-away CA and ports from the kernel.
 *
 * The test's own loop runs inside cluster_until() and cluster_call(): fake agents live on
 * it, so nothing here blocks it.
 *
 * Owner: cluster_open() to cluster_close(), which ends the processes by their pids.
 */
#ifndef RF_TEST_DAEMON_CLUSTER_H
#define RF_TEST_DAEMON_CLUSTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <uv.h>

enum { NODES = 3, EAST = 0, WEST = 1, WITNESS = 2, CLUSTER_PATH = 160 };

extern const char *const node_names[NODES];

struct cluster {
    uv_loop_t loop;
    char dir[CLUSTER_PATH];
    uint16_t ports[NODES], metrics[NODES], apis[NODES];
    int held[3 * NODES]; /* sockets that keep the ports from others */
    int pids[NODES];     /* 0: not running */
    unsigned ids[NODES]; /* as each one's own file says of itself; 0: 1, 2, 3 */
};

void cluster_open(struct cluster *c);
void cluster_close(struct cluster *c);

/* A certificate for an agent of that name; at most once for each. */
void cluster_issue_agent(struct cluster *c, const char *name);

void cluster_start(struct cluster *c, int node, bool bootstrap);
/* With --join, after its own file was written with another id. */
void cluster_join(struct cluster *c, int node, unsigned id);
void cluster_start_all(struct cluster *c);
/* By SIGKILL, and waits for its end. */
void cluster_kill(struct cluster *c, int node);
/* By SIGTERM; returns the exit status. */
int cluster_stop(struct cluster *c, int node);

/* What a process of this configuration says and with which exit status it ends, where it
 * is not expected to run. `text` gets its standard error. */
int cluster_run(struct cluster *c, const char *const *arguments, char *text, size_t size);
void cluster_config(const struct cluster *c, int node, char path[CLUSTER_PATH]);
void cluster_write_config(struct cluster *c, int node, const char *path, const char *extra);
/* The end of what a node has written to its log so far. */
void cluster_log(const struct cluster *c, int node, char *text, size_t size);

/* Run the loop until `done` says so; fails the test after `ms`, naming `what`. */
void cluster_until(struct cluster *c, bool (*done)(void *owner), void *owner, unsigned ms,
                   const char *what);
void cluster_turn_ms(struct cluster *c, unsigned ms);

/* One request to a node's socket. *ret_status 0: it could not be reached. NULL: no JSON. */
json_t *cluster_call(struct cluster *c, int node, const char *method, const char *path,
                     const char *body, long *ret_status);
/* The same with one header more. */
json_t *cluster_call_with(struct cluster *c, int node, const char *header,
                          const char *method, const char *path, const char *body,
                          long *ret_status);
/* The body as text from a TCP port (metrics). */
char *cluster_get_tcp(struct cluster *c, uint16_t port, const char *path, long *ret_status);

/* Position of the leader that `node` names, -1: none. */
int cluster_leader_seen_by(struct cluster *c, int node);
/* Waits until all running nodes name the same running leader. */
int cluster_wait_leader(struct cluster *c);
/* A value in the status document of the leader: "groups.0.phase". NULL: not there. */
json_t *cluster_status(struct cluster *c);
const json_t *at(const json_t *document, const char *path);

#endif
