/* controller/httpd/httpd.h -- plain HTTP on the loop, for the API's Unix socket, for people
 * who come by controller/net/door.h, and for the agent's endpoints for load balancers.
 *
 * A request reaches the handler when its body is complete. The handler answers at once,
 * or keeps the request and answers later; or it turns the answer into a stream (`log
 * --follow`, `status --watch`). TLS is not done here.
 *
 * Limits: HTTPD_BODY_MAX bytes of body (413 beyond), HTTPD_CONNECTIONS_MAX connections (a
 * further one takes the place of the one that has been without a whole request for longest;
 * where all are served, it waits in the kernel's backlog), HTTPD_IDLE_S seconds for a
 * connection that neither sends nor reads, HTTPD_STREAM_BUF_MAX bytes that wait for a slow
 * reader. A request's line and headers have HTTPD_HEADER_MAX bytes together with what the
 * answer's take (431 beyond). One that adopts has the limits of struct httpd_adopts: also
 * how long a request may take to come in whole, which ends those that say half of one.
 *
 * Owner:   the caller, from httpd_open() to httpd_close().
 * Threads: the thread of its loop only.
 * Errors:  what clients do wrong is answered or ends their connection; nothing is logged.
 */
#ifndef RF_HTTPD_HTTPD_H
#define RF_HTTPD_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"

struct uv_loop_s;

enum {
    HTTPD_BODY_MAX = 1 << 20,
    HTTPD_CONNECTIONS_MAX = 128,
    HTTPD_IDLE_S = 60,
    HTTPD_STREAM_BUF_MAX = 256 << 10,
    HTTPD_HEADER_MAX = 32 << 10,
    HTTPD_SECRET_MAX = 8192, /* of Authorization, X-Ringfence-TOTP; a longer one: 431 */
};

struct httpd;
struct http_request;
struct http_stream;

/* Answer `req` with http_reply() or http_stream_begin(), now or later, exactly once.
 * Called from the loop. */
typedef void http_handler(void *owner, struct http_request *req);

/* Nobody is listened for: connections come by httpd_adopt(). */
struct httpd_adopts {
    uint32_t connections;
    uint32_t first_ms; /* from the connection to its first whole request */
    uint32_t next_ms;  /* from an answer to the next one */
};

/* Where to listen: `socket_path`, or `address` and `port`; or `adopts`. */
struct httpd_listen {
    const struct httpd_adopts *adopts;
    /* Made with mode 0660; a dead process's one is replaced. ERR_REFUSED: its directory is
     * another user's, or others may write in it. */
    const char *socket_path;
    const char *group;   /* the socket's group, by name; NULL: our own */
    const char *address; /* numeric, v4 or v6 */
    uint16_t port;       /* 0: the kernel chooses */
};

/*   ERR_BUSY     the port is in use (the text says how to find out by whom), or a living
 *                process answers on the socket: "another ringfenced is running",
 *                by our own name
 *   ERR_INVAL    the address is not numeric, the path too long or not a socket
 *   ERR_NOTFOUND no such group, directory or local address
 *   ERR_REFUSED  not allowed
 *   ERR_NOMEM  ERR_IO */
MUST_USE int httpd_open(struct httpd **ret_httpd, struct uv_loop_s *loop,
                        const struct httpd_listen *at, http_handler *handler, void *owner,
                        struct err *err);

/* NULL is fine; at most once. Ends every connection: streams are told by their on_gone,
 * from inside this call; requests that were not answered yet stay valid until they are
 * (the answer goes nowhere). Removes the socket file. */
void httpd_close(struct httpd *h);

/* A connection that somebody else has made. `fd` and `guest` are the httpd's, also on
 * failure; `guest` comes back with each request of it, and is freed by free().
 *   ERR_FULL  ERR_NOMEM */
MUST_USE int httpd_adopt(struct httpd *h, int fd, void *guest, struct err *err);

/* The port that is listened on; 0 for a socket file. */
uint16_t httpd_port(const struct httpd *h);

/* Connections that are open. */
unsigned httpd_count(const struct httpd *h);

/* -- a request; valid until it is answered, even when its client has gone -- */

const char *http_method(const struct http_request *req); /* "GET" */
/* Without query; unescaped; "/api/v1/groups/orders" */
const char *http_path(const struct http_request *req);
/* The value of ?name=value, unescaped; "" for ?name; NULL when it is not there. Kept
 * names and values are at most HTTPD_QUERY_MAX, further ones are not seen. */
const char *http_query(const struct http_request *req, const char *name);
/* A header by its name (any case), or NULL; only: Accept, Content-Type, Authorization,
 * X-Ringfence-TOTP, Last-Event-ID, Idempotency-Key. Authorization and TOTP are wiped when
 * the request is gone. */
const char *http_header(const struct http_request *req, const char *name);
/* What its connection was adopted with; NULL: it was not. During the handler's call only.
 */
const void *http_guest(const struct http_request *req);
/* Who is at the other end of a Unix socket. False: it is none, or nobody can tell. */
bool http_uid(const struct http_request *req, uint32_t *ret_uid);
/* The connection ends behind the answer. */
void http_close_after(struct http_request *req);
/* *ret_len bytes, not terminated; never NULL. */
const uint8_t *http_body(const struct http_request *req, size_t *ret_len);

enum { HTTPD_QUERY_MAX = 16, HTTPD_EXTRA_MAX = 2 };

/* One more header of the answer by http_reply(), HTTPD_EXTRA_MAX at most; copied. False: no
 * memory. */
MUST_USE bool http_add_header(struct http_request *req, const char *name,
                              const char *value);

/* Answer; 401 and 429 get the header that belongs to them. `body` is copied. Afterwards
 * `req` is gone. For an answer that cannot be made for want of memory the connection is
 * closed: the client sees that, not us. */
void http_reply(struct http_request *req, unsigned status, const char *content_type,
                const void *body, size_t len);

/* -- a stream; an answer that goes on -- */

/* The client has gone, was too slow, or the httpd is closing. The stream is gone when this
 * returns. Not called after http_stream_end(), and only from the loop or httpd_close(). */
typedef void http_stream_gone(void *owner);

/* Answer with a stream. Afterwards `req` is gone. The stream is valid until its on_gone
 * was called or http_stream_end() was. A client that has gone already is told by on_gone,
 * too. Returns NULL, and on_gone is not called, only when there is no memory. */
MUST_USE struct http_stream *http_stream_begin(struct http_request *req, unsigned status,
                                               const char *content_type,
                                               http_stream_gone *on_gone, void *owner);

/* `data` is copied and sent as soon as the client reads.
 *   ERR_FULL   more than HTTPD_STREAM_BUF_MAX would wait: the client is too slow and is
 *              disconnected; on_gone follows
 *   ERR_NOMEM  likewise
 *   ERR_CLOSED on_gone is under way */
MUST_USE int http_stream_write(struct http_stream *s, const void *data, size_t len,
                               struct err *err);

/* For who has more to tell than may wait: called whenever the connection has taken all that
 * was written, and may write or end the stream. NULL: nobody. */
typedef void http_stream_drained(void *owner);
void http_stream_on_drained(struct http_stream *s, http_stream_drained *on_drained);
/* Bytes that wait for the client to read. */
size_t http_stream_waiting(const struct http_stream *s);

/* The answer cannot be completed: the client sees that it ends before its end, which it
 * cannot take for the whole. on_gone follows. */
void http_stream_break(struct http_stream *s);

/* What was written is still sent, then the answer is complete. `s` is gone. */
void http_stream_end(struct http_stream *s);

#endif
