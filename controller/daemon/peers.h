/* controller/daemon/peers.h -- the links between the controllers.
 *
 * Each controller dials each other one and sends on the link that it dialled; it listens on
 * the streams that the others dialled. So each direction is checked by itself, and `doctor`
 * can tell a half-broken path from a whole one. The dialling side says hello first; what
 * does not fit (cluster, name against certificate, id, formats) is refused with the reason.
 *
 * Positions are those of settings.controllers; our own has no link.
 *
 * Owner:   peers_open() to peers_close().
 * Threads: the loop's thread.
 */
#ifndef RF_DAEMON_PEERS_H
#define RF_DAEMON_PEERS_H

#include "controller/base/time.h"
#include "controller/core/state.h"
#include "proto/frame.h"

struct daemon;
struct identity;
struct member;
struct peers;
struct stream;

enum {
    PEERS_PING_MS = 500,
    PEERS_SILENT_MS = 4 * PEERS_PING_MS, /* a link without an answer for so long is down */
    PEERS_VIEW_MS = 500,
    PEERS_API_MS = 10000,  /* a forwarded request waits so long for its answer */
    PEERS_API_MAX = 64,    /* forwarded requests under way */
    PEERS_UNKNOWN_MAX = 8, /* of those, of people whom nobody here knows */
};

MUST_USE int peers_open(struct peers **ret_peers, struct daemon *d, struct err *err);
/* Forwarded requests are answered 503 before it returns. NULL is fine. */
void peers_close(struct peers *p);

/* A proven controller has connected. */
void peers_accept(struct peers *p, struct stream *s, const struct identity *peer);

/* By Raft id; "" for 0 and unknown ones, NO_INSTANCE. */
const char *peers_name(const struct peers *p, uint64_t id);
uint8_t peers_position(const struct peers *p, uint64_t id);

/* To all that are connected: the table of the voters' stores has changed. */
void peers_hello_all(struct peers *p);

/* All drop what cannot be sent now: Raft and agents repeat themselves. */
void peers_send_raft(struct peers *p, uint64_t to, const uint8_t *data, size_t len);
void peers_forward_up(struct peers *p, const char *agent, const uint8_t *data, size_t len,
                      struct mono said);
void peers_forward_down(struct peers *p, uint8_t to, const char *agent, const uint8_t *data,
                        size_t len);

/* What peer_views.c has to say to all others now. */
void peers_send_view(struct peers *p);
/* Position of this controller in state.controllers, NO_INSTANCE: not on record yet. */
uint8_t peers_self(const struct peers *p);

/* What its hello said that the log does not say yet: true, and *ret is filled in. For our
 * own position, what we say of ourselves. */
bool peers_announcement(const struct peers *p, uint8_t position, struct controller *ret);

/* From now on that one is dialled there, unless it is already. */
void peers_reach(struct peers *p, uint8_t position, const char *address);
/* Who said hello there last, if its id is the one that the name has now (membership.h). */
bool peers_newcomer(const struct peers *p, uint8_t position, struct member *ret);

/* One controller's link to and from another one. */
struct peer_link {
    bool known; /* somebody said so lately */
    bool out_up, in_up;
    uint32_t rtt_us;
};

struct peer_facts {
    bool out_up, in_up;            /* it answers us; it reaches us (with a good hello) */
    char out_error[200];           /* why we do not */
    char refused[ERR_TEXT_SIZE];   /* why we do not let it in, who came as it; or "" */
    struct mono heard;             /* any frame of it */
    uint32_t rtt_us;               /* round trip of the last ping; 0: none yet */
    uint32_t rtt_max_us;           /* largest of the last half minute */
    uint64_t loop_lag_us, applied; /* as it says of itself */
};
void peers_facts(const struct peers *p, uint8_t position, struct peer_facts *ret);
/* Its links as it says of itself (ours as we see them), by position. */
void peers_links(const struct peers *p, uint8_t position,
                 struct peer_link ret[CONTROLLER_MAX]);
/* Round trip of the longest path to a controller, rounded up (TTL rule). */
uint32_t peers_rtt_ms(const struct peers *p);

/* Hand a request to the leader (one hop). on_reply is called exactly once after success:
 * status 503 with an error document where no answer came (the outcome is unknown).
 *   ERR_NOTLEADER  no leader is known, or no link to it
 *   ERR_FULL       PEERS_API_MAX of them are under way; of an unknown caller's
 *                  PEERS_UNKNOWN_MAX, so that they keep nobody out who is known */
typedef void peers_api_reply(void *owner, unsigned status, const uint8_t *body, size_t len);
struct api_request;
MUST_USE int peers_api(struct peers *p, const struct api_request *request,
                       peers_api_reply *on_reply, void *owner, struct err *err);
/* GET of the controller at that position, whoever leads, in this controller's own name: who
 * wanted it has been let in here. ERR_CLOSED: no link to it. */
MUST_USE int peers_ask(struct peers *p, uint8_t position, const char *path,
                       peers_api_reply *on_reply, void *owner, struct err *err);

/* A request that was refused here is told to the leader, for the audit trail, which bounds
 * it once more (node_note_refused()). Not told: what is beyond refused.h's bounds here, and
 * where no leader is known, reached, or new enough to be told (I10): then the log of this
 * process has it. */
struct actor;
void peers_tell_refused(struct peers *p, const struct actor *who, const char *group,
                        const char *text);
/* How many were not told. */
uint64_t peers_refused_untold(const struct peers *p);

#endif
