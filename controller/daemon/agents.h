/* controller/daemon/agents.h -- everything between this controller and the agents.
 *
 * An agent dials every controller. The one that leads handles what it says; the others pass
 * its frames on to the leader and the leader's answers back (I7), so all of this is keyed
 * by the agent's name, and works the same for frames that took the longer way.
 *
 * The leader enrols an agent's incarnation through the log (I12) and takes reports, step
 * outcomes and fence proofs only from the incarnation on record. Assignments tell committed
 * facts only; orders repeat what the log has started (I5, I6) until the outcome is known.
 *
 * Owner:   agents_open() to agents_close().
 * Threads: the loop's thread.
 * Errors:  a peer's mistakes end its stream and are logged once; nothing else fails.
 */
#ifndef RF_DAEMON_AGENTS_H
#define RF_DAEMON_AGENTS_H

#include "controller/core/apply.h"
#include "proto/frame.h"

struct agents;
struct daemon;
struct identity;
struct stream;

enum {
    AGENTS_ALIVE_MS = 2000,     /* heard so recently: another incarnation is refused */
    AGENTS_ROUTE_MS = 3000,     /* a way to an agent that worked so recently is used */
    AGENTS_PUSH_EACH_MS = 1000, /* assignments are repeated */
    AGENTS_ORDER_EACH_MS = 200, /* so are orders */
};

MUST_USE int agents_open(struct agents **ret_agents, struct daemon *d, struct err *err);
void agents_close(struct agents *a); /* NULL is fine */

/* A proven agent has connected. */
void agents_accept(struct agents *a, struct stream *s, const struct identity *peer);

/* `data` is a frame that controller `from` (position in settings) got from an agent, which
 * said it at `said` or later, by our clock; not set: nobody knows when. */
void agents_forwarded(struct agents *a, uint8_t from, const char *agent,
                      const uint8_t *data, size_t len, struct mono said);
/* `data` is the leader's answer to an agent that is connected here. */
void agents_deliver(struct agents *a, const char *agent, const uint8_t *data, size_t len);

/* Send through these controllers (bits by position in settings; our own: directly). */
void agents_send_routes(struct agents *a, const char *agent, uint8_t routes,
                        const Rf__Frame *frame);

/* The log says something new (`e` NULL: everything may be new). */
void agents_applied(struct agents *a, const struct entry *e);
/* The leader changed, or the link to it came up. */
void agents_leader_changed(struct agents *a);
/* Push what agents_applied() found to be new; at the end of the loop's turn. */
void agents_flush(struct agents *a);

/* Repeated at most each AGENTS_ORDER_EACH_MS, at once when it is a new one. */
void agents_order_step(struct agents *a, uint8_t group, uint8_t instance);
void agents_order_fence(struct agents *a, uint8_t group, uint8_t instance);
void agents_order_sever(struct agents *a, uint8_t group, uint8_t instance);

/* Names of the agents with a stream to us: pointers into `a`, valid during the turn. */
unsigned agents_connected(const struct agents *a, const char *names[AGENT_MAX]);
/* Controller `from` says that these have a stream to it. */
void agents_seen_by(struct agents *a, uint8_t from, char **names, size_t n);

#endif
