/* controller/net/tls_watch.h -- new certificates without a restart.
 *
 * Looks each minute whether the files of a tls have changed, and reads them if so; at
 * tls_watch_now() (SIGHUP) in any case. That is done in libuv's pool: the loop waits for no
 * disk, and a disk that never answers costs one thread of the pool and the next
 * certificates, not a lease.
 *
 * Logs what was taken; what was refused, and why, when that is news and once a day; and
 * once a day what ends soon.
 *
 * Owner:   tls_watch_open() to tls_watch_close(); takes its own reference of the tls.
 * Threads: the thread of its loop.
 */
#ifndef RF_NET_TLS_WATCH_H
#define RF_NET_TLS_WATCH_H

#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/net/tls.h"

struct uv_loop_s;
struct tls_watch;

/* `period_ms` 0: a minute.
 *   ERR_NOMEM */
MUST_USE int tls_watch_open(struct tls_watch **ret_watch, struct uv_loop_s *loop,
                            struct tls *tls, uint32_t period_ms, struct err *err);
void tls_watch_now(struct tls_watch *w);
void tls_watch_close(struct tls_watch *w); /* NULL is fine */

#endif
