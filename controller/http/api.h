/* controller/http/api.h -- the API of docs/architecture.md section 4, and /metrics.
 *
 * JSON over HTTP on a Unix socket, and for guests whose TLS has ended at a door
 * (controller/net/door.h), Prometheus text on an optional TCP address. What a guest may do
 * is said in authorize.h; who it is goes with its request to the leader. It knows the
 * state and what was seen, and asks for everything else through `struct api_backend`, which
 * the daemon fills in: so it can be tested without one.
 *
 * A controller that does not lead passes requests on to the leader, one hop at most;
 * without a leader everything is answered 503. Reads are answered when a majority has
 * confirmed that who answers leads (reads.h); those that say `?stale=ok` are answered at
 * once, by whoever is asked, from its own state. What only this node knows (log, doctor,
 * version) is answered here.
 *
 * Owner:   api_open() to api_close().
 * Threads: the loop's thread.
 * Errors:  of requests: as the page says. What is refused is told to the client, once.
 */
#ifndef RF_HTTP_API_H
#define RF_HTTP_API_H

#include "controller/base/histogram.h"
#include "controller/consensus/store.h"
#include "controller/core/decide.h"
#include "controller/http/caller.h"
#include "controller/net/door.h"
#include "controller/net/tls_report.h"
#include "controller/people/jwt.h"
#include "controller/people/key.h"

struct audit_key;
struct uv_loop_s;
struct api;

enum { API_ERROR_SIZE = ERR_TEXT_SIZE };

/* One controller as this one sees it. */
struct api_controller {
    uint64_t id;
    char name[NAME_SIZE], region[NAME_SIZE], version[NAME_SIZE];
    bool self, out_up, in_up;       /* we reach it, it reaches us */
    bool up;                        /* something was heard of it lately */
    bool caught_up;                 /* as the leader knows, but for what is on its way */
    bool votes;                     /* false: it has not caught up since it joined */
    char out_error[API_ERROR_SIZE]; /* why we do not reach it */
    char refused[API_ERROR_SIZE];   /* it was here, and we do not let it in: why */
    uint64_t heard_ms;              /* since; UINT64_MAX: never */
    uint32_t rtt_us, rtt_max_us, election_ms;
    uint64_t loop_lag_us;
};

/* From one controller to another one, as the first one says; as the second one says. */
struct api_link {
    bool out_known, out_up;
    bool in_known, in_up;
    uint32_t rtt_us; /* 0: not measured */
};

/* One of this controller's fencers (controller/daemon/fencers.h). */
struct api_fencer {
    const char *name, *problem; /* problem: why it does not answer, "" */
    bool known, ready;
    uint64_t runs, failures;
};
enum { API_FENCERS_MAX = 32 };

/* One whom the leader tells (controller/daemon/notices.h). */
struct api_notice {
    const char *name, *problem; /* problem: of the last try, "" */
    bool waits;                 /* there is something to tell */
    uint64_t sent, failures, lost;
};
enum { API_NOTICES_MAX = 8 };

/* The provider's keys, where they are fetched (controller/daemon/jwks.h). */
struct api_keys {
    bool fetched; /* they are, from a URL */
    bool known;   /* they were, `age_ms` ago */
    unsigned count;
    uint64_t age_ms, fetches, failures;
    char problem[API_ERROR_SIZE]; /* of the last try; "" */
};

/* What is brought out of the cluster (controller/daemon/shipper.h). */
struct api_ship {
    const char *target; /* NULL: nothing is */
    bool leads;         /* the leader alone ships, and knows */
    bool known;         /* how far that has come */
    uint64_t upto;      /* entries that are there */
    uint64_t rows;      /* that are not */
    uint64_t age_ms;    /* of the oldest of those; 0: not known */
    uint64_t hangs_ms;  /* since when the place has not answered */
    uint64_t failures;
    uint32_t again_ms;   /* between tries */
    const char *problem; /* "" */
};

/* Guests' requests since the start. */
struct api_guests {
    uint64_t known, unknown; /* with a user's certificate, and without */
    uint64_t wrong, limited; /* 403 wrong-certificate, 429 */
    unsigned open;           /* connections that have said something */
};

/* Everything but the state, as of now. */
struct api_facts {
    const char *cluster, *name, *data_dir;
    const struct state *state;
    const struct observations *seen;
    bool leads;         /* leader with its barrier applied */
    uint64_t leader_id; /* 0: none known */
    uint64_t term, applied, commit, last_index;
    uint64_t audit_left_out; /* refusals that no row tells of: too many, the disk is full */
    uint64_t age_ms; /* node_age_ms(): how old what is applied may be; UINT64_MAX: any */
    unsigned controller_count;
    struct api_controller controllers[CONTROLLER_MAX];
    struct api_link links[CONTROLLER_MAX][CONTROLLER_MAX]; /* [from][to] */
    uint32_t rtt_ms; /* longest round trip measured (TTL rule) */
    struct store_stats store;
    uint64_t lag_last_us, lag_max_us, lag_late;
    struct histogram turns;   /* how late the loop's turns came */
    struct histogram commits; /* this leader's proposals: from submitted to applied */
    uint64_t leases_granted, leases_refused, lease_entries;
    uint64_t probes_answered, probes_failed, probes_dropped;
    unsigned fencer_count;
    struct api_fencer fencers[API_FENCERS_MAX];
    unsigned notice_count;
    struct api_notice notices[API_NOTICES_MAX];
    struct tls_report tls;
    const struct secrets_key *key; /* NULL: none */
    const struct jwt *jwt;         /* NULL: none */
    struct api_keys jwt_keys;
    bool has_api; /* over the network, at api_port */
    uint16_t api_port;
    struct api_guests guests;
    struct api_ship ship;
    int64_t wall_s;         /* seconds since 1970: certificates know no other time */
    int64_t clock_rate_ppm; /* adjtimex's steering of this host's clock */
};

/* status 0: committed and applied at `index`; else the outcome is unknown. */
typedef void api_proposed(void *owner, int status, uint64_t index,
                          const struct apply_result *r);
/* status 0: this node led when it was asked, and what is applied is no older. */
typedef void api_confirmed(void *owner, int status, uint64_t index);
typedef void api_reply(void *owner, unsigned status, const void *body, size_t len);

/* A request as it was made, or passed on. All is used during the call only. */
struct api_request {
    const char *method, *path; /* with the query string */
    const uint8_t *body;
    size_t len;
    const struct caller *caller; /* NULL: nobody */
    bool unknown; /* nobody whom this controller knows; the leader may know better */
};

struct api_backend {
    void *owner;
    void (*facts)(void *owner, struct api_facts *ret);
    /* As node_propose(): ERR_REFUSED with *ret_refused, ERR_NOTLEADER, ... */
    int (*propose)(void *owner, const struct entry *e, api_proposed *done, void *ctx,
                   struct apply_result *ret_refused, struct err *err);
    /* As node_confirm(). */
    int (*confirm)(void *owner, api_confirmed *done, void *ctx, struct err *err);
    /* What a proposal would be answered now, without proposing it: node_dry(). */
    void (*dry)(void *owner, const struct entry *e, struct apply_result *ret);
    void (*note_refused)(void *owner, const struct actor *who, const char *group,
                         const char *text);
    /* An operator's failover is wanted (NULL: not any more); decide() takes it up. */
    void (*want_failover)(void *owner, uint8_t group, const struct failover_wish *wish);
    /* What failed in this group is tried again now: observe_retry(). */
    void (*want_retry)(void *owner, uint8_t group);
    /* To the leader; `done` exactly once after success. ERR_NOTLEADER, ERR_FULL; of who is
     * unknown ERR_FULL comes early, so that the known always get a place. */
    int (*forward)(void *owner, const struct api_request *r, api_reply *done, void *ctx,
                   struct err *err);
    /* GET of the controller at that position; `done` as forward()'s. */
    int (*ask)(void *owner, unsigned position, const char *path, api_reply *done, void *ctx,
               struct err *err);
    /* A JWT came whose key is not among the provider's as they were fetched last. NULL:
     * nobody cares. */
    void (*want_keys)(void *owner);
    /* What exports of the audit trail are signed with; NULL: this controller has none. */
    const struct audit_key *(*audit_key)(void *owner);
    int (*query_log)(void *owner, const struct audit_query *q, store_audit_reply *reply,
                     void *ctx, struct err *err);
};

/* For guests that come by a door. Of one address `requests_per_s`, twice as many at once; a
 * further one is answered 429 and ends the connection. */
struct api_network {
    uint32_t connections, requests_per_s, first_ms, idle_ms; /* struct httpd_adopts */
};

struct api_listen {
    const char *socket;          /* path */
    const char *metrics_address; /* numeric; NULL: no metrics */
    uint16_t metrics_port;
    const struct api_network *network; /* NULL: no guests */
};

/* `backend` must outlive the api. Errors of httpd_open(). */
MUST_USE int api_open(struct api **ret_api, struct uv_loop_s *loop,
                      const struct api_listen *at, const struct api_backend *backend,
                      struct err *err);
/* Requests that wait are answered 503. Proposals and forwards under way must have been told
 * their end before. NULL is fine. */
void api_close(struct api *a);

/* Where metrics are listened on; 0: not. */
uint16_t api_metrics_port(const struct api *a);

/* A guest's connection, in plaintext; `fd` is the API's. */
void api_admit(struct api *a, int fd, const struct door_guest *guest);

/* The entries behind `after`, `limit` of them at most (STORE_AUDIT_PAGE_MAX), as a signed
 * bundle. `s` NULL: there is none, and why; else s->data is the callee's to free(). Once,
 * not from within; after api_close() never. One at a time.
 *   ERR_BUSY, ERR_NOTFOUND (no audit key), ERR_NOMEM, those of the backend */
struct api_segment {
    uint64_t from_seq, to_seq;
    uint8_t *data;
    size_t len;
};
typedef void api_segment_done(void *owner, const struct api_segment *s, const char *why);
MUST_USE int api_segment(struct api *a, uint64_t after, unsigned limit,
                         api_segment_done *done, void *owner, struct err *err);

/* A request that another controller passed on, which is believed about its caller. */
void api_serve(struct api *a, const struct api_request *r, api_reply *reply, void *owner);

/* A guest whose certificate is accepted no more, or not yet: its handshake has ended with
 * an alert, or its connection (`guest->proof` is DOOR_USER then). Told to the trail, with
 * the sentence in guest->why. */
void api_turned_away(struct api *a, const struct door_guest *guest, enum tls_refusal why);

/* The end of a turn: followers of the status are told if it is news, waiting failovers are
 * looked at. */
void api_changed(struct api *a);

#endif
