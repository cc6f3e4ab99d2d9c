/* controller/net/door_private.h -- the inside of a door, for door*.c. */
#ifndef RF_NET_DOOR_PRIVATE_H
#define RF_NET_DOOR_PRIVATE_H

#include <stdbool.h>

#include <openssl/ssl.h>
#include <uv.h>

#include "controller/net/door.h"
#include "controller/net/tls_session.h"

enum {
    DOOR_CHUNK = 16 << 10,
    DOOR_BUCKETS = 1024,
    DOOR_SOURCES_MAX = 8192, /* addresses that are remembered; further ones share one */
    DOOR_TICK_MS = 250,
    DOOR_GOODBYE_MS = 1000, /* for the guest to take the last words */
    DOOR_INNER_BUFFER = 32 << 10,
};

/* An address: how many guests it has, and how many more it may send. */
struct door_source {
    struct door_source *next;
    uint64_t key;
    unsigned open;
    uint64_t tokens_ms; /* an arrival costs 1000 */
    uint64_t at_ms;     /* when they were counted */
};

enum guest_phase {
    GUEST_HANDSHAKE,
    GUEST_SILENT, /* the handshake is done, nothing was said */
    GUEST_INSIDE,
    GUEST_LEAVING, /* the server has said goodbye; what is left is sent */
    GUEST_GONE,
};

struct guest {
    struct guest *next, *prev; /* the door's list, oldest first */
    struct door *door;
    struct door_source *source;
    uv_tcp_t tcp;
    uv_pipe_t inner;
    bool has_inner;
    unsigned handles; /* whose close callback has not run */
    enum guest_phase phase;
    uint64_t since_ms;    /* when it came into its phase */
    uint64_t progress_ms; /* when it last took something */
    struct door_guest who;

    SSL *ssl;
    struct tls_pipe pipe;
    uint64_t generation; /* of the files that it was judged by */
    bool has_cert;

    uv_write_t out_req, in_req;
    uv_shutdown_t out_end;
    struct buf out, in; /* under way: to the guest, to the server */
    bool out_busy, in_busy;
};

struct door {
    uv_tcp_t tcp;
    uv_timer_t tick;
    uv_loop_t *loop;
    unsigned refs;           /* our handles, and guests */
    bool closing, one_waits; /* no memory for a connection: it is taken at the next tick */
    struct tls *tls;
    struct door_limits limits;
    const struct door_events *events;
    void *owner;
    struct guest *oldest, *newest;
    unsigned count;
    struct door_source *buckets[DOOR_BUCKETS];
    struct door_source crowd; /* of addresses for which there was no room */
    unsigned sources;
    uint8_t chunk[DOOR_CHUNK], plain[DOOR_CHUNK];
};

/* door_guest.c: takes the connection that waits.
 *   ERR_NOMEM, or what the socket says: it may wait still */
MUST_USE int guest_accept(struct door *d, struct err *err);
/* Ends it; `why` NULL: nobody is told. */
void guest_end(struct guest *g, const struct err *why);
void guest_tick(struct guest *g, uint64_t now_ms);

/* door.c: may one of this address come in? Makes room. */
MUST_USE int door_admit(struct door *d, uint64_t key, struct door_source **ret_source,
                        struct err *err);
void door_enter(struct door *d, struct guest *g);
void door_left(struct door *d, struct guest *g); /* out of the list and the counts */
void door_unref(struct door *d);

/* door_source.c */
uint64_t source_key(const struct sockaddr_storage *sa);
struct door_source *source_of(struct door *d, uint64_t key, uint64_t now_ms);
/* False: too many of it have come of late. */
bool source_take(struct door *d, struct door_source *s, uint64_t now_ms);
void sources_sweep(struct door *d, uint64_t now_ms);
void sources_free(struct door *d);

#endif
