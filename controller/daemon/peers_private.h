/* controller/daemon/peers_private.h -- what peers.c, peer_streams.c, peer_views.c and
 * peer_api.c share; nobody else includes it. */
#ifndef RF_DAEMON_PEERS_PRIVATE_H
#define RF_DAEMON_PEERS_PRIVATE_H

#include <uv.h>

#include "controller/base/buf.h"
#include "controller/consensus/members.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/peers.h"
#include "controller/daemon/refused.h"
#include "controller/net/link.h"

enum { RTT_WINDOW = 64, PINGS_KEPT = 16 };

/* A stream that another controller dialled. */
struct incoming {
    struct peers *p;
    struct incoming *next;
    struct stream *s;
    uint8_t position;
    bool greeted;
    uint64_t id; /* by its hello */
};

/* A ping of ours, or (`came` set) the last one that came from the other side. */
struct pinged {
    uint64_t seq; /* 0: none */
    struct mono came;
    uint64_t sent_ns; /* by the clock of whoever sent it */
};

struct peer {
    struct peers *p;
    uint8_t position;
    struct link *link;   /* NULL: our own position */
    struct incoming *in; /* the one that said hello last */
    bool has_hello;
    struct controller hello;
    uint64_t store; /* and address, with the hello */
    char address[MEMBER_ADDRESS_SIZE];
    struct mono heard;
    struct mono answered; /* a ping of ours, or when the link came up */
    uint64_t ping_seq;
    struct pinged pings[PINGS_KEPT];        /* ours, by seq */
    struct pinged asked;                    /* its last one, on the stream `in` */
    struct peer_link links[CONTROLLER_MAX]; /* as it says, by our positions */
    struct mono links_at;                   /* when it said so */
    uint32_t rtt_us[RTT_WINDOW];            /* a ring; 0: none */
    unsigned rtt_next;
    uint64_t loop_lag_us, applied;
    /* As logged last: both sides try again twice a second, for as long as it takes. */
    char we_refused[ERR_TEXT_SIZE], refused_us[ERR_TEXT_SIZE];
};

/* A request that was handed to the leader. */
struct passed {
    uint64_t id; /* 0: free */
    bool unknown;
    struct mono sent;
    peers_api_reply *on_reply;
    void *owner;
};

struct peers {
    struct daemon *d;
    uv_timer_t tick;
    struct incoming *incoming;
    struct names *names; /* of their hosts */
    struct peer peers[CONTROLLER_MAX];
    uint64_t next_id;
    struct passed passed[PEERS_API_MAX];
    struct buf bytes;
    bool announcing;
    struct refused_bounds refused; /* of those that the leader is told */
    uint64_t refused_untold;
};

struct peer *peers_by_id(struct peers *p, uint64_t id);
/* `said` is what was logged last of its kind: true, and noted, where `why` is another. */
bool peers_is_news(char said[ERR_TEXT_SIZE], const char *why);
/* False where the frame could not be sent. */
/* Of the process that said hello; before that, of the settings. */
uint64_t peers_id(const struct peers *p, uint8_t position);
bool peers_send(struct peers *p, uint8_t to, const Rf__Frame *frame);

/* peer_streams.c */
void peer_streams_close(struct peers *p);
void peers_say_hello(struct peers *p, uint8_t to);

/* peers.c: a frame that peer `from` may send. */
void peers_handle(struct peers *p, uint8_t from, const Rf__Frame *f);

/* peers.c: when we sent the ping that the other side names. False where it is none of our
 * last ones, or one of a former life of ours: then what it says may be of any age. */
bool peers_find_ping(const struct peer *peer, uint64_t seq, uint64_t sent_ns,
                     struct mono *ret);

/* peer_views.c */
void peer_view_take(struct peers *p, uint8_t from, const Rf__PeerView *view);

/* peer_refused.c */
void peer_refused_take(const struct peers *p, const Rf__Refused *r);

/* peer_api.c */
/* I10: Caller, and Refused, which is younger. One that does not know them drops the whole
 * stream over them, and with that what Raft and the leases send. */
bool peers_knows_people(const struct peers *p, uint8_t position);
bool peers_knows_refused(const struct peers *p, uint8_t position);
void peer_api_request(struct peers *p, uint8_t from, const Rf__ApiRequest *r);
void peer_api_reply(struct peers *p, const Rf__ApiReply *r);
/* A free place among `passed`; NULL: none, for one of this kind. */
struct passed *peer_api_place(struct passed passed[PEERS_API_MAX], bool unknown);
void peer_api_tick(struct peers *p, struct mono now);
void peer_api_close(struct peers *p);

#endif
