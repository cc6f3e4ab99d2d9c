/* controller/http/route.h -- which request is it? Pure. */
#ifndef RF_HTTP_ROUTE_H
#define RF_HTTP_ROUTE_H

#include "controller/core/state.h"

enum route_kind {
    ROUTE_STATUS,
    ROUTE_GROUP,
    ROUTE_WHY,
    ROUTE_LOG,
    ROUTE_DECLARE,
    ROUTE_REMOVE,
    ROUTE_SWITCHOVER,
    ROUTE_FAILOVER,
    ROUTE_ABORT,
    ROUTE_PAUSE,
    ROUTE_RESUME,
    ROUTE_ACKNOWLEDGE,
    ROUTE_RETRY,
    ROUTE_DETACH,
    ROUTE_ATTACH,
    ROUTE_ATTEST,
    ROUTE_PROPOSALS,
    ROUTE_PROPOSE,
    ROUTE_APPROVE,
    ROUTE_REJECT,
    ROUTE_WITHDRAW,
    ROUTE_REPLACE,
    ROUTE_DOCTOR,
    ROUTE_VERSION,
    ROUTE_RULES,
    ROUTE_OPENAPI,
    ROUTE_EVENTS,
    ROUTE_AUDIT_POINT,
    ROUTE_AUDIT_EXPORT,
    ROUTE_AUDIT_KEYS,
    ROUTE_AUDIT_ROWS,
    ROUTE_WHOAMI,
    ROUTE_USERS,
    ROUTE_USER_SET,
    ROUTE_USER_REMOVE,
    ROUTE_USER_TOKEN,
    ROUTE_USER_REVOKE,
    ROUTE_USER_TOTP,
    ROUTE_USER_UNLOCK,
    ROUTE_COUNT
};

struct route {
    enum route_kind kind;
    char group[NAME_SIZE]; /* "" where the path has none; REPLACE: a controller; USER_: a
                              user */
    uint64_t run;          /* ABORT; of APPROVE, REJECT, WITHDRAW a proposal; AUDIT_POINT,
                              AUDIT_ROWS: an entry of the trail */
    bool dry, keep_active; /* DECLARE */
    bool stale_ok;         /* of what the leader is asked to tell */
};

/* 0, or the HTTP status: 404, 405 or 400 (a name or number that cannot be); the text says
 * why. `path` is without the query string. */
MUST_USE unsigned route_match(const char *method, const char *path, struct route *ret,
                              struct err *err);

/* The query of a path that another controller's route_format() made. False where it says
 * what this version does not know (I10: "dry" must not become an act). */
MUST_USE bool route_read_query(const char *query, struct route *r);

/* The group in question, as far as the path says it: "" for none. */
const char *route_group(const struct route *r);

/* Answered by whoever is asked: not passed on to the leader. */
bool route_is_local(enum route_kind kind);

/* Tells what the leader knows and changes nothing: `stale=ok` is for these. */
bool route_is_read(enum route_kind kind);

/* It may change something: a key counts (`Idempotency-Key`). */
bool route_changes(const struct route *r);

/* Answered by the leader, from its state: as of the moment at which it was asked, at least
 * (reads.h), unless it may be stale. */
bool route_is_told(const struct route *r);

/* The path that route_match() gives the same route for, with its query. */
enum { ROUTE_PATH_SIZE = 128 };
void route_format(const struct route *route, char path[ROUTE_PATH_SIZE]);
const char *route_method(enum route_kind kind);
/* "switchover"; for people. */
const char *route_name(enum route_kind kind);

/* 1 to NAME_SIZE - 1 of [a-z0-9-], beginning with a letter or digit. */
bool route_name_ok(const char *name);

#endif
