#include "controller/core/people.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool all_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

const struct user *state_user(const struct state *s, const char *name)
{
    for (unsigned i = 0; i < s->user_count; i++)
        if (strcmp(s->users[i].name, name) == 0)
            return &s->users[i];
    return NULL;
}

uint8_t user_roles(const struct user *u, const char *group)
{
    if (u->group_count == 0)
        return u->roles;
    for (unsigned i = 0; i < u->group_count; i++)
        if (strcmp(u->groups[i], group) == 0)
            return u->roles;
    return ROLE_VIEWER;
}

bool user_has_factor(const struct user *u) { return !all_zero(u->seed, sizeof u->seed); }

bool user_is_locked(const struct user *u, uint64_t wall_ms)
{
    return wall_ms < u->locked_until_ms;
}

unsigned user_codes_left(const struct user *u)
{
    unsigned left = 0;

    for (unsigned i = 0; i < u->recovery_count; i++)
        if (!all_zero(u->recovery[i].hash, TOKEN_HASH_SIZE))
            left++;
    return left;
}

static void summary_of_set(const struct entry_user_set *u, char *text, unsigned size)
{
    char roles[ROLES_TEXT_SIZE];
    unsigned used;

    roles_text(u->roles, roles);
    used = (unsigned)snprintf(text, size, "user %s is %s%s", u->name, roles,
                              u->group_count > 0 ? " of" : "");
    for (unsigned i = 0; i < u->group_count && used < size; i++)
        used += (unsigned)snprintf(text + used, size - used, "%s %s", i > 0 ? "," : "",
                                   u->groups[i]);
}

static void summary_of_factor(const struct entry *e, char *text, unsigned size)
{
    if (e->kind == ENTRY_USER_TOTP && all_zero(e->user_totp.seed, SEED_SEALED_SIZE))
        snprintf(text, size, "user %s has no second factor any more", e->user_totp.name);
    else if (e->kind == ENTRY_USER_TOTP)
        snprintf(text, size, "user %s has a new second factor, and %u recovery codes",
                 e->user_totp.name, e->user_totp.recovery_count);
    else if (e->kind == ENTRY_FACTOR_USED && e->factor_used.factor == FACTOR_RECOVERY)
        snprintf(text, size, "user %s has used up recovery code %u", e->factor_used.name,
                 e->factor_used.code + 1u);
    else if (e->kind == ENTRY_FACTOR_USED)
        snprintf(text, size, "user %s has used the code of step %" PRIu64,
                 e->factor_used.name, e->factor_used.step);
    else
        snprintf(text, size, "a wrong code for user %s", e->user.name);
}

void people_summary(const struct entry *e, char *text, unsigned size)
{
    if (e->kind == ENTRY_USER_SET)
        summary_of_set(&e->user_set, text, size);
    else if (e->kind == ENTRY_USER_REMOVE)
        snprintf(text, size, "user %s is removed, with all tokens", e->user.name);
    else if (e->kind == ENTRY_USER_UNLOCK)
        snprintf(text, size, "user %s is unlocked", e->user.name);
    else if (e->kind == ENTRY_USER_TOKEN)
        snprintf(text, size, "user %s has a new token%s", e->user_token.name,
                 e->user_token.expires_ms != 0 ? ", for a time" : "");
    else if (e->kind == ENTRY_USER_REVOKE && e->user_revoke.token != 0)
        snprintf(text, size, "token %" PRIu64 " of user %s is revoked",
                 e->user_revoke.token, e->user_revoke.name);
    else if (e->kind == ENTRY_USER_REVOKE)
        snprintf(text, size, "all tokens of user %s are revoked", e->user_revoke.name);
    else
        summary_of_factor(e, text, size);
}
