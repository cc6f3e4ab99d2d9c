/* controller/http/authorize.h -- may this caller do this? The one place where it is
 * decided.
 *
 * Asked where a request is served: at the leader for what goes to it, with the leader's
 * state; at the controller that was asked for what only that one knows, and for what it
 * says without a leader. Who the caller is has been found out before (caller.h); a bearer
 * token comes as it is, with a caller that is CALLER_ANONYMOUS until it has been looked at.
 *
 *   CALLER_SOCKET       everything: the socket's file mode has decided
 *   CALLER_CERTIFICATE  what only looks (GET)
 *   anybody else        nothing
 *
 * Pure:    no I/O, no clock.
 */
#ifndef RF_HTTP_AUTHORIZE_H
#define RF_HTTP_AUTHORIZE_H

#include "controller/http/caller.h"
#include "controller/http/route.h"

struct authorize_ask {
    const struct caller *caller;
    const struct route *route;
    const struct state *state;
};

struct authorize_verdict {
    unsigned status;  /* 0: it may; else of HTTP: 401 who are you, 403 you may not */
    const char *code; /* "not-permitted-yet" */
    char text[ERR_TEXT_SIZE];
};

void authorize(const struct authorize_ask *ask, struct authorize_verdict *ret);

#endif
