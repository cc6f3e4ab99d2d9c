#include "controller/http/caller.h"

#include <stdio.h>
#include <string.h>

const char *caller_kind_name(enum caller_kind kind)
{
    switch (kind) {
    case CALLER_ANONYMOUS:
        return "nobody known";
    case CALLER_SOCKET:
        return "socket";
    case CALLER_CERTIFICATE:
        return "certificate";
    case CALLER_TOKEN:
        return "token";
    case CALLER_JWT:
        return "jwt";
    case CALLER_KIND_MAX:
        break;
    }
    return "?";
}

void caller_text(const struct caller *c, char text[CALLER_TEXT_SIZE])
{
    if (c->kind == CALLER_ANONYMOUS)
        (void)snprintf(text, CALLER_TEXT_SIZE, "nobody known from %s", c->from);
    else if (c->kind == CALLER_SOCKET)
        (void)snprintf(text, CALLER_TEXT_SIZE, "%s by the socket of %s", c->name, c->from);
    else
        (void)snprintf(text, CALLER_TEXT_SIZE, "%s by %s from %s", c->name,
                       caller_kind_name(c->kind), c->from);
}

void caller_wipe(struct caller *c) { explicit_bzero(c, sizeof *c); }
