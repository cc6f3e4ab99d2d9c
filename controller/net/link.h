/* controller/net/link.h -- an outgoing connection to one named peer that is kept alive.
 *
 * The link dials, and dials again for ever: after a failure it waits backoff_min_ms, then
 * twice as long each time up to backoff_max_ms, each with up to a quarter of jitter less.
 * A connection that stayed up for longer than backoff_max_ms resets the wait.
 *
 * A name is looked up by `names` (names.h), so a link that was up once needs no resolver.
 * All its addresses are tried, one after the other, before it waits; first the one where it
 * was up last.
 *
 * What is sent while the link is down is dropped and ERR_CLOSED returned: Raft and agents
 * repeat by themselves, and an old message is worse than none.
 *
 * Logs a change of state once ("link to controller west at 10.0.0.2:7400 is up", "... is
 * down: ..."), and while it is down each *kind* of error once; not each try. A connection
 * that the peer ends again within backoff_max_ms (it refuses us) is no change: what was
 * logged stays logged until one has lasted.
 *
 * Units:   milliseconds.
 * Owner:   the caller, from link_open() to link_close().
 * Threads: the thread of its loop only; several loops may have links of one tls.
 * Errors:  a peer with the certificate of another node is refused: "expected controller
 *          west at 10.0.0.2:7400, found controller east".
 */
#ifndef RF_NET_LINK_H
#define RF_NET_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/net/address.h"
#include "controller/net/identity.h"
#include "controller/net/stream.h"
#include "controller/net/tls.h"

struct link;
struct names;

/* Called from the loop, never from inside a function of this header. link_send() and
 * link_close() are allowed in each. Any may be NULL. */
struct link_events {
    void (*on_up)(void *owner);
    /* The link was up and is not any more; it dials again by itself. */
    void (*on_down)(void *owner, const struct err *why);
    /* `data` is valid during the call only, and not aligned. */
    void (*on_frame)(void *owner, const uint8_t *data, size_t len);
};

struct link_spec {
    const struct identity *peer;      /* copied */
    const struct address *at;         /* copied */
    const struct link_events *events; /* must outlive the link */
    void *owner;
    struct names *names; /* must outlive the link; NULL: `at` has to be a number */
    const struct stream_options *options; /* NULL: the defaults; copied */
    uint32_t backoff_min_ms;              /* 0: 20 */
    uint32_t backoff_max_ms;              /* 0: 1000 */
};

/* The first try starts at once, from the loop.
 *   ERR_INVAL  port 0, a name without `names`, or backoff_min_ms > backoff_max_ms
 *   ERR_NOMEM  ERR_IO */
MUST_USE int link_open(struct link **ret_link, struct uv_loop_s *loop, struct tls *tls,
                       const struct link_spec *spec, struct err *err);

/* As stream_send(); ERR_CLOSED while the link is down. */
MUST_USE int link_send(struct link *l, const void *data, size_t len, struct err *err);

bool link_is_up(const struct link *l);
/* Bytes that wait for the peer to read; 0 while down. */
size_t link_queued(const struct link *l);
/* Why it is down: the last try's error; code 0 while up, or before the first try ended. */
const struct err *link_last_error(const struct link *l);
const struct identity *link_peer(const struct link *l);

void link_close(struct link *l); /* NULL is fine; no callback comes after it */

#endif
