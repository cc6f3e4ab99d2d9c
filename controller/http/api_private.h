/* controller/http/api_private.h -- what api.c, requests*.c and follow.c share. */
#ifndef RF_HTTP_API_PRIVATE_H
#define RF_HTTP_API_PRIVATE_H

#include <jansson.h>
#include <uv.h>

#include "controller/base/clock.h"
#include "controller/http/api.h"
#include "controller/http/refusals.h"
#include "controller/http/route.h"
#include "controller/httpd/httpd.h"

enum { API_TICK_MS = 100, API_FAILOVER_MS = 1500 };

#define NO_SUCH_GROUP                                                                      \
    "there is no group %s: `ringfence status` shows those that are declared"

/* Who is to be answered, exactly once. */
struct asker {
    api_reply *reply;
    void *owner;
    struct actor actor;       /* who it is, and in which roles, once authorize() has said */
    uint64_t token, until_ms; /* with it: struct caller's */
    char group[NAME_SIZE];    /* that it is about, for the audit trail; "" */
};

struct audit_export;
struct follower;
struct failover_wait;
struct point;
struct rows_asked;
struct factor_gate;
struct refusals;

struct api {
    const struct api_backend *backend;
    struct httpd *socket, *metrics, *network; /* the last two: or NULL */
    struct rates *rates;                      /* of guests' addresses */
    struct api_guests guests;
    uv_timer_t tick;
    bool closing;
    struct follower *followers;
    struct failover_wait *waits;
    struct audit_export *exports;
    struct point *points;
    struct rows_asked *rows_asked;
    struct factor_gate *gates; /* codes that the log is asked about */
    struct refusals *refusals; /* what is noted, and how often */
    uint64_t fingerprint;
    char host[64];
};

void api_facts(const struct api *a, struct api_facts *ret);
/* The tick runs while somebody waits or follows. */
void api_need_tick(struct api *a);

/* Takes the JSON; NULL is answered 503 (no memory). */
void answer_json(const struct asker *who, unsigned status, json_t *body);
void answer_error(const struct asker *who, unsigned status, const char *code,
                  const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Whoever waits at the other end of a connection. */
void http_asker(struct http_request *req, struct asker *ret);

/* requests.c: an operator's request at the leader. */
void request_handle(struct api *a, const struct route *r, const struct api_request *raw,
                    const struct asker *who);
/* An entry, at the leader; its fate is answered when it is known. */
void request_propose(struct api *a, const struct route *r, struct entry *e,
                     const struct asker *who);
/* The same; `shown` (taken, NULL: nothing) is told with its index, once it is committed. */
void request_propose_shown(struct api *a, const struct route *r, struct entry *e,
                           json_t *shown, const struct asker *who);
/* A refusal for the audit trail (I10), in the form of controller/daemon/audit.c, which
 * controller/http/logview.c takes apart. */
struct noted {
    const char *group, *code, *what, *why;
};
void request_note(struct api *a, const struct asker *who, const struct noted *n);
/* An object with these keys only; nothing at all is an empty one. NULL: answered. */
json_t *request_read_body(const struct api_request *raw, const char *const *keys,
                          const struct asker *who);
/* The instance in the region that `key` names. False: answered. */
bool request_read_region(const struct group *g, const json_t *body, const char *key,
                         uint8_t *ret_instance, const struct asker *who);

/* requests_failover.c */
void request_failover(struct api *a, const struct group *g, const struct api_request *raw,
                      const struct asker *who);
void requests_look(struct api *a, struct mono now);
void requests_close(struct api *a);

/* requests_proposals.c: a move that is proposed instead of begun. */
struct wanted {
    enum proposal_kind kind;
    uint8_t target; /* NO_INSTANCE: the best candidate */
    bool break_glass;
    char reason[TEXT_SIZE];
};
void request_proposal(struct api *a, const struct group *g, const struct wanted *w,
                      const struct asker *who);
void request_people(struct api *a, const struct route *r, const struct api_request *raw,
                    const struct asker *who);
/* What has become of it, when its entry is applied. */
json_t *proposed_document(struct api *a, uint64_t id);

/* requests_replace.c */
void request_replace(struct api *a, const struct route *r, const struct api_request *raw,
                     const struct asker *who);

/* requests_retry.c */
void request_retry(struct api *a, const struct group *g, const struct api_request *raw,
                   const struct asker *who);

/* requests_declare.c; `keep_active` of the route that is proposed: the document has roles
 * that did not count. */
void request_declare(struct api *a, const struct route *r, const struct api_request *raw,
                     const struct asker *who);
struct declared {
    bool changed, roles_ignored;
};
/* Its phase, if there is such a group. */
void api_add_phase(struct api *a, const char *group, json_t *out);
json_t *declared_document(struct api *a, const char *group, uint64_t index,
                          struct declared how);

/* follow.c */
/* `known` (no secret is in it) is looked at again each API_TICK_MS: when the token, the
 * user or the role is gone, the stream ends, and the audit trail hears nothing of it. A
 * certificate is the door's affair. `events`: as Server-Sent Events, which have no end. */
void follow_log(struct api *a, struct http_request *req, const struct caller *known,
                bool events);
void follow_status(struct api *a, struct http_request *req, const struct caller *known);
void followers_look(struct api *a, struct mono now, bool news);
void followers_close(struct api *a);
/* False: it may not, and was answered. Then who->actor is known as far as it is. */
bool api_permits(struct api *a, const struct route *r, const struct api_request *raw,
                 struct asker *who, bool *ret_needs_code);
/* What is permitted is done; of a request that takes a code, when that counts. */
void api_perform(struct api *a, const struct route *r, const struct api_request *raw,
                 const struct asker *who);

/* requests_factor.c */
void request_factor(struct api *a, const struct route *r, const struct api_request *raw,
                    const struct asker *who);

/* requests_users.c */
void request_user(struct api *a, const struct route *r, const struct api_request *raw,
                  const struct asker *who);
json_t *users_document(const struct api_facts *f, uint64_t wall_ms);
json_t *whoami_document(const struct asker *who);

/* Where no code is taken, and nothing is done by it. */
bool api_may(struct api *a, const struct route *r, const struct api_request *raw,
             const struct asker *who);
/* A request from outside, on whichever listener. */
void api_take(struct api *a, struct http_request *req, const struct caller *c);

/* network.c */
MUST_USE int network_open(struct api *a, struct uv_loop_s *loop,
                          const struct api_network *n, struct err *err);
/* `Authorization` and the second factor, into the caller. False: answered. */
bool network_read_secrets(struct http_request *req, struct caller *c,
                          const struct asker *who);

/* audit_point.c, audit_export.c: chain heads, signed bundles. */
void audit_serve_point(struct api *a, uint64_t seq, const struct asker *who);
void audit_export(struct api *a, struct http_request *req);
void audit_keys(struct api *a, struct http_request *req);
void audit_serve_rows(struct api *a, uint64_t from_seq, const struct asker *who);
void audit_rows_close(struct api *a);
void exports_close(struct api *a); /* before points_close() */
void points_close(struct api *a);

/* Any route but a follower's: answered here, or by the leader. */
void api_dispatch(struct api *a, const struct route *r, const struct api_request *raw,
                  const struct asker *who, bool forwarded);

#endif
