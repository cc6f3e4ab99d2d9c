/* controller/outbound/outbound.h -- one request to somebody else's server: a web hook, a
 * mail, a provider's keys. By libcurl, on a thread of its own with ordinary priority, so
 * that a server that hangs, a resolver that does not answer or a TLS handshake costs the
 * loop nothing, and takes no place of libuv's own threads, which look up the names of
 * controllers.
 *
 * https:// and smtps:// verify the server's certificate and name, under `ca` or the host's
 * own; smtp:// goes on by STARTTLS only, unless `plain`; http:// is for who asks for it.
 * Nothing is redirected, no proxy of the environment is used, and no text has a secret in
 * it.
 *
 * Limits:  `timeout_ms` in all, `answer_max` bytes of answer (ERR_FULL).
 * Owner:   the caller, from outbound_start() until `done` was called or outbound_cancel()
 *          was; all of `what` is copied.
 * Threads: the thread of its loop.
 * Errors:  of the request: by `done`, with the URL in the text.
 */
#ifndef RF_OUTBOUND_OUTBOUND_H
#define RF_OUTBOUND_OUTBOUND_H

#include <stdbool.h>

#include "controller/base/buf.h"

struct outbound;
struct uv_loop_s;

enum { OUTBOUND_TO_MAX = 8, OUTBOUND_URL_SIZE = 512 };

struct outbound_ask {
    const char *url;    /* https://, http://, smtps://, smtp:// */
    const char *ca;     /* file of CAs; NULL or "": those of the host */
    bool plain;         /* smtp:// without TLS will do */
    const char *secret; /* a bearer token, or the password of `user`; NULL or "": none */
    const char *user;   /* of smtp; NULL or "": nobody */
    const char *type;   /* of `body`; NULL: GET */
    const void *body;   /* of a POST, or a whole mail */
    size_t len;
    const char *from; /* of a mail; NULL: it is none */
    const char *to[OUTBOUND_TO_MAX];
    unsigned to_count;
    uint32_t timeout_ms;
    size_t answer_max;
};

/* why NULL: the server has answered, with `status` (of smtp: 250), `body` is what it said,
 * until this returns. Once, from the loop, unless it is cancelled. */
typedef void outbound_done(void *owner, long status, const struct buf *body,
                           const struct err *why);

/*   ERR_INVAL  a URL of another kind
 *   ERR_NOMEM  ERR_IO (no thread) */
MUST_USE int outbound_start(struct outbound **ret_outbound, struct uv_loop_s *loop,
                            const struct outbound_ask *what, outbound_done *done,
                            void *owner, struct err *err);

/* Waits for its thread, which is told to end at once. NULL is fine. */
void outbound_cancel(struct outbound *o);

/* Of a kind that outbound_start() takes for a web hook: https:// or http://, with a host;
 * for mail: smtp:// or smtps://. */
bool outbound_is_web(const char *url, bool *ret_plain);
bool outbound_is_mail(const char *url);

#endif
