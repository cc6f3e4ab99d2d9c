/* controller/httpd/httpd_private.h -- the inside, for the files of this folder.
 *
 * libmicrohttpd owns connections and calls us from MHD_run() only. What our callers do at
 * other times (an answer that comes late, bytes for a stream) is noted, the connection is
 * resumed, and the next turn of the loop runs libmicrohttpd: it is never entered twice.
 *
 * A request and a stream have two owners, libmicrohttpd's connection and our caller; the
 * last one to let go frees it.
 */
#ifndef RF_HTTPD_PRIVATE_H
#define RF_HTTPD_PRIVATE_H

#include <stdbool.h>

#include <microhttpd.h>
#include <uv.h>

#include "controller/base/buf.h"
#include "controller/httpd/httpd.h"

enum { HTTPD_PATH_SIZE = 108 }; /* sun_path */

/* A connection of libmicrohttpd's, in a list of the oldest first. */
struct http_client {
    struct http_client *next, *prev;
    int fd;
    void *guest;       /* of httpd_adopt(), or NULL */
    uint64_t since_ms; /* it has been without a whole request */
    bool asked;        /* it has had one */
    bool served;       /* a whole request of it is being answered */
    bool let_go;       /* shut down: libmicrohttpd closes it in its next turn */
};

/* A connection that libmicrohttpd has not told us of yet. */
struct http_adopted {
    struct http_adopted *next;
    int fd;
    void *guest;
};

struct httpd {
    uv_poll_t poll;
    uv_timer_t timer, sweep;
    bool adopts;
    struct httpd_adopts limits; /* `connections` in any case */
    struct http_adopted *adopted;
    unsigned handles;
    uv_loop_t *loop;
    struct MHD_Daemon *daemon; /* NULL: stopped */
    bool running;              /* inside MHD_run() */
    bool closing;
    http_handler *handler;
    void *owner;
    struct http_request *requests; /* those whose connection lives */
    struct http_client *oldest, *newest;
    unsigned clients; /* those that are not let go */
    uint16_t port;
    char socket_path[HTTPD_PATH_SIZE]; /* "": TCP */
    uint64_t socket_inode;
};

struct http_pair {
    char *name, *value;
};

struct http_request {
    struct httpd *httpd; /* not to be used when the connection has ended */
    uv_loop_t *loop;
    struct MHD_Connection *connection; /* NULL: it has ended */
    struct http_request *next, *prev;
    char *method, *path, *accept, *content_type, *authorization, *totp, *last_event, *key;
    struct http_pair query[HTTPD_QUERY_MAX];
    unsigned n_query;
    struct http_pair extra[HTTPD_EXTRA_MAX]; /* headers of the answer */
    unsigned n_extra;
    bool lacks; /* a header of it could not be kept */
    struct buf body;
    uint64_t received;
    bool too_long;  /* more body than we take */
    bool too_much;  /* a longer secret than we take */
    bool handled;   /* the handler was called */
    bool owned;     /* our caller has it and owes an answer */
    bool suspended; /* libmicrohttpd waits for us */
    unsigned status;
    struct MHD_Response *response; /* made, not queued yet */
    bool last;                     /* the connection ends behind the answer */
    bool hopeless;                 /* no memory for an answer: close the connection */
    struct http_stream *stream;    /* the answer is one */
};

struct http_stream {
    uv_poll_t watch;  /* for the client's end, which a suspended connection does not see */
    uv_timer_t later; /* tells of a client that had gone before the stream began */
    bool watching;
    unsigned refs;            /* our caller, libmicrohttpd's response, each open handle */
    struct http_request *req; /* NULL: the connection has ended */
    struct buf pending;
    bool released; /* our caller has ended it, or was told that it is gone */
    bool broken;   /* the client has gone or is too slow */
    http_stream_gone *on_gone;
    http_stream_drained *on_drained; /* or NULL */
    void *owner;
};

/* socket.c: a bound, listening, non-blocking socket. */
MUST_USE int httpd_socket(struct httpd *h, const struct httpd_listen *at, int *ret_fd,
                          struct err *err);
void httpd_unlink(struct httpd *h);

/* clients.c: MHD_OPTION_NOTIFY_CONNECTION. */
void clients_notify(void *cls, struct MHD_Connection *connection, void **context,
                    enum MHD_ConnectionNotificationCode code);
/* A whole request of it is there, or was answered. */
void clients_serve(struct httpd *h, struct MHD_Connection *connection, bool served);
/* Those that take too long over their requests are let go. */
void clients_sweep(struct httpd *h);
const struct http_client *clients_of(struct MHD_Connection *connection);
void clients_forget(struct httpd *h); /* what was adopted, and never told of */

/* httpd.c: run libmicrohttpd in the next turn of the loop. */
void httpd_kick(struct httpd *h);
/* The second half of httpd_close(). */
void httpd_finish(struct httpd *h);

/* request.c: libmicrohttpd's callbacks. */
enum MHD_Result request_access(void *cls, struct MHD_Connection *connection,
                               const char *url, const char *method, const char *version,
                               const char *data, size_t *data_len, void **request);
void request_completed(void *cls, struct MHD_Connection *connection, void **request,
                       enum MHD_RequestTerminationCode why);
void request_free(struct http_request *req); /* when both owners have let go */
void request_resume(struct http_request *req);
/* The caller's answer; NULL: there was no memory for one. Gives `r` away. */
void request_settle(struct http_request *req, unsigned status, struct MHD_Response *r);

/* body_stream.c: the connection has ended. Tells the owner. */
void body_stream_disconnected(struct http_stream *s);

#endif
