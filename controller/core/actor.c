#include "controller/core/actor.h"

#include <stdio.h>
#include <string.h>

#include "controller/base/auto.h"

static const struct {
    const char *name;
    uint8_t bit;
} roles[] = {
#define X(name, bit, text) {text, name},
    ROLE_MAP(X)
#undef X
};

const char *actor_kind_name(enum actor_kind kind)
{
#define X(name, number, text)                                                              \
    if (kind == (name))                                                                    \
        return text;
    ACTOR_KIND_MAP(X)
#undef X
    return "?";
}

const char *actor_factor_name(enum actor_factor factor)
{
#define X(name, number, text)                                                              \
    if (factor == (name))                                                                  \
        return text;
    ACTOR_FACTOR_MAP(X)
#undef X
    return "?";
}

bool role_allows(uint8_t have, uint8_t needed)
{
    if ((have & ROLE_ADMIN) != 0)
        return true;
    if ((have & (ROLE_OPERATOR | ROLE_APPROVER)) != 0)
        have |= ROLE_VIEWER;
    return (have & needed) != 0;
}

uint8_t role_of(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(roles); i++)
        if (strcmp(roles[i].name, name) == 0)
            return roles[i].bit;
    return 0;
}

void roles_text(uint8_t bits, char text[ROLES_TEXT_SIZE])
{
    size_t used = 0;

    (void)snprintf(text, ROLES_TEXT_SIZE, "no role");
    for (unsigned i = 0; i < ARRAY_LEN(roles); i++)
        if ((bits & roles[i].bit) != 0)
            used += (size_t)snprintf(text + used, ROLES_TEXT_SIZE - used, "%s%s",
                                     used > 0 ? ", " : "", roles[i].name);
}

void actor_text(const struct actor *a, char text[ACTOR_TEXT_SIZE])
{
    text[0] = '\0';
    if (a->kind == ACTOR_NONE)
        return;
    (void)snprintf(text, ACTOR_TEXT_SIZE, "%s (%s%s%s)%s%s",
                   a->name[0] != '\0' ? a->name : "somebody", actor_kind_name(a->kind),
                   a->factor != FACTOR_NONE ? ", " : "",
                   a->factor != FACTOR_NONE ? actor_factor_name(a->factor) : "",
                   a->from[0] != '\0' ? " from " : "", a->from);
}
