/* What entries about users do. Nothing here concerns a group, an epoch or a lease: who may
 * ask never changes what may happen (I1, I2 hold whoever asks). */
#include <inttypes.h>
#include <string.h>

#include "controller/core/apply_internal.h"
#include "controller/core/people.h"

/* NULL: refused. */
static struct user *need_user(struct applying *a, const char *name)
{
    for (unsigned i = 0; i < a->s->user_count; i++)
        if (strcmp(a->s->users[i].name, name) == 0)
            return &a->s->users[i];
    refuse(a, REFUSE_UNKNOWN_USER, "there is no user %s; `ringfence user list` shows all",
           name);
    return NULL;
}

static bool roles_are_roles(struct applying *a, const struct entry_user_set *e)
{
    if (e->roles != 0 && (e->roles & ~ROLES_ALL) == 0 && e->group_count <= USER_GROUPS_MAX)
        return true;
    refuse(a, REFUSE_INVALID, "user %s would have no role, or one that there is not",
           e->name);
    return false;
}

static void user_set(struct applying *a)
{
    const struct entry_user_set *e = &a->e->user_set;
    struct user *u = NULL;

    for (unsigned i = 0; i < a->s->user_count; i++)
        if (strcmp(a->s->users[i].name, e->name) == 0)
            u = &a->s->users[i];
    if (!roles_are_roles(a, e))
        return;
    if (u == NULL && a->s->user_count == USER_MAX) {
        refuse(a, REFUSE_FULL, "there are %d users already: remove one", USER_MAX);
        return;
    }
    if (u == NULL) {
        u = &a->s->users[a->s->user_count++];
        memset(u, 0, sizeof *u);
        memcpy(u->name, e->name, sizeof u->name);
    }
    u->roles = e->roles;
    u->group_count = e->group_count;
    memcpy(u->groups, e->groups, sizeof u->groups);
    u->index = a->index;
}

static void user_remove(struct applying *a)
{
    struct user *u = need_user(a, a->e->user.name);
    struct user *last;

    if (u == NULL)
        return;
    last = &a->s->users[a->s->user_count - 1];
    memmove(u, u + 1, (size_t)(last - u) * sizeof *u);
    memset(last, 0, sizeof *last);
    a->s->user_count--;
}

static void user_token(struct applying *a)
{
    const struct entry_user_token *e = &a->e->user_token;
    struct user *u = need_user(a, e->name);

    if (u == NULL)
        return;
    if (u->token_count == USER_TOKENS_MAX) {
        refuse(a, REFUSE_FULL,
               "user %s has %d tokens already: `ringfence user token %s --revoke ID`",
               u->name, USER_TOKENS_MAX, u->name);
        return;
    }
    u->tokens[u->token_count] = (struct user_token){a->index, e->expires_ms, {0}};
    memcpy(u->tokens[u->token_count].hash, e->hash, TOKEN_HASH_SIZE);
    u->token_count++;
    u->index = a->index;
}

static void user_revoke(struct applying *a)
{
    const struct entry_user_revoke *e = &a->e->user_revoke;
    struct user *u = need_user(a, e->name);
    uint8_t kept = 0;

    if (u == NULL)
        return;
    for (uint8_t i = 0; i < u->token_count; i++)
        if (e->token != 0 && u->tokens[i].id != e->token)
            u->tokens[kept++] = u->tokens[i];
    if (kept == u->token_count && e->token != 0) {
        refuse(a, REFUSE_UNKNOWN_TOKEN,
               "user %s has no token %" PRIu64 "; `ringfence user list` shows them",
               u->name, e->token);
        return;
    }
    memset(&u->tokens[kept], 0, (USER_TOKENS_MAX - kept) * sizeof u->tokens[0]);
    u->token_count = kept;
    u->index = a->index;
}

/* The last step stays: a code that was used is no good for the new seed either, and two
 * seeds are never the same. A lock stays too: who may enrol is not who may unlock. */
static void user_totp(struct applying *a)
{
    const struct entry_user_totp *e = &a->e->user_totp;
    struct user *u = need_user(a, e->name);

    if (u == NULL)
        return;
    memcpy(u->seed, e->seed, sizeof u->seed);
    u->recovery_count = e->recovery_count;
    memset(u->recovery, 0, sizeof u->recovery);
    memcpy(u->recovery, e->recovery, e->recovery_count * sizeof e->recovery[0]);
    u->index = a->index;
}

static void user_unlock(struct applying *a)
{
    struct user *u = need_user(a, a->e->user.name);

    if (u == NULL)
        return;
    u->failures = u->lockouts = 0;
    u->locked_until_ms = 0;
    u->index = a->index;
}

/* ---- codes ------------------------------------------------------------------------------
 */

static struct user *need_factor(struct applying *a, const char *name)
{
    struct user *u = need_user(a, name);

    if (u == NULL)
        return NULL;
    if (!user_has_factor(u)) {
        refuse(a, REFUSE_NO_FACTOR,
               "user %s has no second factor: `ringfence user totp %s`", u->name, u->name);
        return NULL;
    }
    if (user_is_locked(u, a->e->wall_ms)) {
        refuse(a, REFUSE_LOCKED,
               "the second factor of user %s is locked after %d wrong codes: wait, or let "
               "an admin `ringfence user unlock %s`",
               u->name, FACTOR_FAILURES_MAX, u->name);
        return NULL;
    }
    return u;
}

static void use_step(struct applying *a, struct user *u, uint64_t step)
{
    if (step <= u->totp_step)
        refuse(
            a, REFUSE_CODE_USED,
            "a code of this half minute, or of a later one, was used already by user %s: "
            "wait for the next one",
            u->name);
    else
        u->totp_step = step;
}

static void use_recovery(struct applying *a, struct user *u, uint8_t code)
{
    static const struct recovery_code used;

    if (code >= u->recovery_count || memcmp(&u->recovery[code], &used, sizeof used) == 0)
        refuse(a, REFUSE_CODE_USED, "recovery code %u of user %s was used already",
               code + 1u, u->name);
    else
        memset(&u->recovery[code], 0, sizeof u->recovery[code]);
}

/* The one place where a code counts. Two controllers that each believe they lead may both
 * have found it right; the log has room for one of them. */
static void factor_used(struct applying *a)
{
    const struct entry_factor_used *e = &a->e->factor_used;
    struct user *u = need_factor(a, e->name);

    if (u == NULL)
        return;
    if (e->factor == FACTOR_TOTP)
        use_step(a, u, e->step);
    else if (e->factor == FACTOR_RECOVERY)
        use_recovery(a, u, e->code);
    else
        refuse(a, REFUSE_INVALID, "a code of no second factor");
    if (a->result->refusal != ACCEPTED)
        return;
    u->failures = u->lockouts = 0;
    u->locked_until_ms = 0;
    u->index = a->index;
}

static void factor_failed(struct applying *a)
{
    struct user *u = need_factor(a, a->e->user.name);
    uint32_t doublings;

    if (u == NULL)
        return;
    u->index = a->index;
    if (++u->failures < FACTOR_FAILURES_MAX)
        return;
    doublings = u->lockouts < FACTOR_LOCK_DOUBLINGS ? u->lockouts : FACTOR_LOCK_DOUBLINGS;
    u->locked_until_ms = a->e->wall_ms + ((uint64_t)FACTOR_LOCK_MS << doublings);
    u->lockouts = doublings + 1;
    u->failures = 0;
}

void apply_people(struct applying *a)
{
    static void (*const handlers[])(struct applying *) = {
        [ENTRY_USER_SET] = user_set,       [ENTRY_USER_REMOVE] = user_remove,
        [ENTRY_USER_TOKEN] = user_token,   [ENTRY_USER_REVOKE] = user_revoke,
        [ENTRY_USER_TOTP] = user_totp,     [ENTRY_USER_UNLOCK] = user_unlock,
        [ENTRY_FACTOR_USED] = factor_used, [ENTRY_FACTOR_FAILED] = factor_failed,
    };

    handlers[a->e->kind](a);
}
