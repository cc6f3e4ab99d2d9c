/* fencing/agent/endpoints.h -- what the agent answers over HTTP (architecture.md 4 and 5).
 *
 * For load balancers on the network: /primary, /read-write, /replica, /health, /metrics.
 * On the Unix socket as well, and there /api/v1/doctor and /api/v1/version. Answers are
 * made of what is known already; only doctor asks around, and answers when it has heard.
 *
 * Owner:   endpoints_open() to endpoints_close().
 * Threads: the main thread.
 * Errors:  as httpd_open().
 */
#ifndef RF_AGENT_ENDPOINTS_H
#define RF_AGENT_ENDPOINTS_H

#include "fencing/agent/board.h"
#include "fencing/agent/steps.h"

struct endpoints;
struct tls;

struct endpoints_parts {
    struct uv_loop_s *loop;
    const struct agent_settings *settings;
    struct board *board;
    struct steps *steps;
    struct tls *tls; /* NULL: says nothing of certificates */
};

MUST_USE int endpoints_open(struct endpoints **ret_endpoints,
                            const struct endpoints_parts *parts, struct err *err);
void endpoints_close(struct endpoints *e); /* NULL is fine */

/* The port that is listened on; 0 without `http` in the configuration. */
uint16_t endpoints_port(const struct endpoints *e);

/* Prometheus text of everything that is known now. */
struct buf;
MUST_USE int metrics_write(struct buf *out, const struct endpoints_parts *parts,
                           struct err *err);

#endif
