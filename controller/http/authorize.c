#include "controller/http/authorize.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PRINTF_LIKE(4, 5)
static void refuse(struct authorize_verdict *v, unsigned status, const char *code,
                   const char *fmt, ...)
{
    va_list args;

    v->status = status;
    v->code = code;
    va_start(args, fmt);
    (void)vsnprintf(v->text, sizeof v->text, fmt, args);
    va_end(args);
}

static void who_are_you(const struct caller *c, struct authorize_verdict *v)
{
    if (c->bearer[0] != '\0')
        refuse(v, 401, "not-authenticated",
               "bearer tokens are not known to this version: show the certificate of a "
               "user");
    else
        refuse(v, 401, "not-authenticated",
               "who asks over the network shows the certificate of a user: `ringfence pki "
               "issue user NAME` makes one, `ringfence --url ... --ca ... --cert ... --key "
               "...` shows it");
}

void authorize(const struct authorize_ask *ask, struct authorize_verdict *ret)
{
    const struct caller *c = ask->caller;

    *ret = (struct authorize_verdict){.code = ""};
    switch (c->kind) {
    case CALLER_SOCKET:
        return;
    case CALLER_CERTIFICATE:
        if (strcmp(route_method(ask->route->kind), "GET") != 0)
            refuse(ret, 403, "not-permitted-yet",
                   "%s is not for user %s over the network in this version: ask on the "
                   "Unix socket of a controller's host",
                   route_name(ask->route->kind), c->name);
        return;
    case CALLER_ANONYMOUS:
    case CALLER_TOKEN:
    case CALLER_JWT:
    case CALLER_KIND_MAX:
        break;
    }
    who_are_you(c, ret);
}
