/* controller/http/authorize.h -- may this caller do this? The one place where it is
 * decided.
 *
 * Asked where a request is served: at the leader for what goes to it, with the leader's
 * state; at the controller that was asked for what only that one knows, and for what it
 * says without a leader (whose state may lag: there a token counts for a moment after it
 * was revoked, and only for looking).
 *
 *   CALLER_SOCKET       everything, without a second factor: the socket's file mode has
 *                       decided. Root of a controller's host could read its memory.
 *   CALLER_CERTIFICATE  the user of that name, if there is one
 *   a bearer token      its user, also by the socket; a JWT's: the user that it names
 *   CALLER_TOKEN, _JWT  without its token: this or another controller has seen it, and goes
 *                       on telling its user; for looking only, and for no longer than the
 *                       token is good, as far as it is known here which one it was
 *   anybody else        nothing
 *
 * The table below says, for each request, which role it takes, for which group, and whether
 * a code is needed: for whatever changes who is active, lets go of a fence, or makes users,
 * who could do so. authorize() says only that a code has to be shown; that it is right, and
 * was not used before, is requests_factor.c's to find out, by the log.
 *
 * Nobody may what apply() refuses: I1 and I2 know no roles.
 *
 * Pure:    no I/O, no clock.
 */
#ifndef RF_HTTP_AUTHORIZE_H
#define RF_HTTP_AUTHORIZE_H

#include "controller/core/people.h"
#include "controller/http/caller.h"
#include "controller/http/route.h"
#include "controller/people/jwt.h"

struct authorize_ask {
    const struct caller *caller;
    const struct route *route;
    const struct state *state;
    const char *group; /* that it is about; "": the cluster */
    uint64_t wall_ms;
    const struct jwt *jwt; /* NULL: no provider is known */
};

struct authorize_verdict {
    unsigned status;  /* 0: it may; else of HTTP: 401 who are you, 403 you may not */
    const char *code; /* "wrong-role" */
    char text[ERR_TEXT_SIZE];
    struct actor actor;       /* as far as it is known who it is; for the log */
    const struct user *user;  /* NULL: the socket, or nobody */
    uint64_t token, until_ms; /* of struct caller: what a stream is looked at again by */
    bool key_unknown;         /* of a JWT: a newer set of the provider's keys may have it */
    bool needs_code;          /* if status is 0: caller->totp has to be right */
};

void authorize(const struct authorize_ask *ask, struct authorize_verdict *ret);

/* The row of the table; for the documentation's test too. */
struct permission {
    enum route_kind kind;
    uint8_t role;      /* one of these */
    bool of_the_group; /* else of the cluster: who is limited to groups has it not */
    bool factor;
};
const struct permission *permission_of(enum route_kind kind);

#endif
