/* controller/daemon/frontend.h -- the API's window on the daemon (controller/http).
 *
 * Owner:   frontend_open() to frontend_close().
 * Threads: the loop's thread.
 */
#ifndef RF_DAEMON_FRONTEND_H
#define RF_DAEMON_FRONTEND_H

#include <stddef.h>

#include "proto/frame.h"

struct daemon;
struct frontend;

/* Errors of api_open(). */
MUST_USE int frontend_open(struct frontend **ret_frontend, struct daemon *d,
                           struct err *err);
void frontend_close(struct frontend *f); /* NULL is fine */

/* The end of a turn; NULL is fine. */
void frontend_changed(struct frontend *f);

/* A request that another controller, `via`, passed on. NULL: answered 503. */
void frontend_serve(struct frontend *f, const Rf__ApiRequest *r, const char *via,
                    void (*reply)(void *owner, unsigned status, const void *body,
                                  size_t len),
                    void *owner);

#endif
