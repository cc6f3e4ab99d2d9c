/* controller/daemon/notices.h -- whoever has to hear of it is told: everybody of
 * break-glass and of a proof that did not hold, and the roles that a window of approvals
 * informs (`notify` of ringfenced.yaml).
 *
 * Sent by the leader, from its own copy of the audit trail, one after the other to each
 * receiver, beside the loop (controller/outbound): no decision waits for it. At least once:
 * a receiver that does not take it is asked again, after NOTICES_RETRY_MS and then less
 * often, and a new leader, or one that was started anew, sends all that is younger than
 * NOTICES_AGE_MS and among the last STORE_AUDIT_PAGE_MAX entries once more, since it cannot
 * know what the last one has sent: receivers go by `id`. What nobody took within
 * NOTICES_AGE_MS is given up, counted and logged; it stays in the trail.
 *
 * Owner:   notices_open() to notices_close().
 * Threads: the loop's.
 */
#ifndef RF_DAEMON_NOTICES_H
#define RF_DAEMON_NOTICES_H

#include "controller/daemon/settings.h"
#include "controller/http/api.h"

struct notices;

struct notices_spec {
    struct uv_loop_s *loop;
    const struct api_backend *backend; /* its facts() and query_log() */
    const struct settings_notify *list;
    unsigned count;
};

enum {
    NOTICES_AGE_MS = 60 * 60 * 1000,
    NOTICES_RETRY_MS = 2000,
    NOTICES_RETRY_MAX_MS = 60000,
    NOTICES_TIMEOUT_MS = 10000,
    NOTICES_LOOK_MS = 500,
};

/* What `spec` names must outlive it.
 *   ERR_NOMEM */
MUST_USE int notices_open(struct notices **ret_notices, const struct notices_spec *spec,
                          struct err *err);
/* The store answers no more. NULL is fine. */
void notices_close(struct notices *n);

/* `max` of them at most; how many there are. */
unsigned notices_facts(const struct notices *n, struct api_notice *ret, unsigned max);

#endif
