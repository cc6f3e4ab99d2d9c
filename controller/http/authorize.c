#include "controller/http/authorize.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/people/token.h"

enum { GROUPS = true, CLUSTER = false, CODE = true, NO_CODE = false };

static const struct permission table[] = {
    {ROUTE_STATUS, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_GROUP, ROLE_VIEWER, GROUPS, NO_CODE},
    {ROUTE_WHY, ROLE_VIEWER, GROUPS, NO_CODE},
    {ROUTE_LOG, ROLE_VIEWER, CLUSTER, NO_CODE},
    /* Of the file hangs who has to agree, where it may go, and what may be lost: a token
     * alone must not change that. Dry it is a viewer's. */
    {ROUTE_DECLARE, ROLE_ADMIN, GROUPS, CODE},
    {ROUTE_REMOVE, ROLE_ADMIN, GROUPS, CODE},
    {ROUTE_SWITCHOVER, ROLE_OPERATOR, GROUPS, CODE},
    {ROUTE_FAILOVER, ROLE_OPERATOR, GROUPS, CODE},
    {ROUTE_ABORT, ROLE_OPERATOR, GROUPS, NO_CODE}, /* goes back: who is active stays so */
    {ROUTE_PAUSE, ROLE_OPERATOR, GROUPS, NO_CODE},
    {ROUTE_RESUME, ROLE_OPERATOR, GROUPS, NO_CODE},
    {ROUTE_ACKNOWLEDGE, ROLE_OPERATOR, GROUPS, CODE},
    {ROUTE_RETRY, ROLE_OPERATOR, GROUPS, NO_CODE},
    {ROUTE_DETACH, ROLE_ADMIN, GROUPS, CODE},
    {ROUTE_ATTACH, ROLE_ADMIN, GROUPS, CODE},
    {ROUTE_ATTEST, ROLE_OPERATOR, GROUPS, CODE},
    {ROUTE_PROPOSALS, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_PROPOSE, ROLE_OPERATOR, GROUPS, CODE},
    {ROUTE_APPROVE, ROLE_OPERATOR | ROLE_APPROVER, GROUPS, CODE},
    {ROUTE_REJECT, ROLE_OPERATOR | ROLE_APPROVER, GROUPS, NO_CODE}, /* nothing begins */
    {ROUTE_WITHDRAW, ROLE_OPERATOR, GROUPS, NO_CODE},
    {ROUTE_REPLACE, ROLE_ADMIN, CLUSTER, CODE},
    {ROUTE_DOCTOR, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_VERSION, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_RULES, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_AUDIT_POINT, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_AUDIT_EXPORT, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_AUDIT_KEYS, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_AUDIT_ROWS, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_OPENAPI, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_EVENTS, ROLE_VIEWER, CLUSTER, NO_CODE}, /* the log, as it grows */
    {ROUTE_WHOAMI, ROLE_VIEWER, CLUSTER, NO_CODE},
    {ROUTE_USERS, ROLE_ADMIN, CLUSTER, NO_CODE},
    {ROUTE_USER_SET, ROLE_ADMIN, CLUSTER, CODE},
    {ROUTE_USER_REMOVE, ROLE_ADMIN, CLUSTER, CODE},
    {ROUTE_USER_TOKEN, ROLE_ADMIN, CLUSTER, CODE},
    {ROUTE_USER_REVOKE, ROLE_ADMIN, CLUSTER, NO_CODE}, /* in a hurry: a token has leaked */
    {ROUTE_USER_TOTP, ROLE_ADMIN, CLUSTER, CODE},
    {ROUTE_USER_UNLOCK, ROLE_ADMIN, CLUSTER, CODE},
};

const struct permission *permission_of(enum route_kind kind)
{
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].kind == kind)
            return &table[i];
    ASSERT(false); /* a test asks for each */
    return NULL;
}

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

/* ---- who is it? -------------------------------------------------------------------------
 */

static void set_actor(struct authorize_verdict *v, enum actor_kind kind, const char *name,
                      const struct caller *c)
{
    v->actor.kind = kind;
    (void)snprintf(v->actor.name, sizeof v->actor.name, "%s", name);
    (void)snprintf(v->actor.from, sizeof v->actor.from, "%s", c->from);
}

static void by_certificate(const struct authorize_ask *ask, struct authorize_verdict *v)
{
    const struct caller *c = ask->caller;

    set_actor(v, ACTOR_CERTIFICATE, c->name, c);
    v->user = state_user(ask->state, c->name);
    if (v->user == NULL)
        refuse(v, 403, "unknown-user",
               "the certificate of %s is good, and there is no such user: an admin adds "
               "one by `ringfence user add %s --role ROLE`",
               c->name, c->name);
}

static void by_token(const struct authorize_ask *ask, struct authorize_verdict *v)
{
    const struct caller *c = ask->caller;
    const char *why;

    set_actor(v, ACTOR_ANONYMOUS, "", c);
    v->user = token_user(ask->state, c->bearer, ask->wall_ms, &v->token, &why);
    if (v->user == NULL)
        refuse(v, 401, "not-authenticated", "%s", why);
    else
        set_actor(v, ACTOR_TOKEN, v->user->name, c);
}

/* The provider says who it is, and the replicated user what he may. */
static void by_jwt(const struct authorize_ask *ask, struct authorize_verdict *v)
{
    const struct caller *c = ask->caller;
    struct jwt_owner owner;
    const char *why;

    set_actor(v, ACTOR_ANONYMOUS, "", c);
    if (!jwt_user(ask->jwt, c->bearer, ask->wall_ms, &owner, &why)) {
        v->key_unknown = owner.key_unknown;
        refuse(v, 401, "not-authenticated", "%s", why);
        return;
    }
    set_actor(v, ACTOR_JWT, owner.name, c);
    v->until_ms = owner.until_ms;
    v->user = state_user(ask->state, owner.name);
    if (v->user == NULL)
        refuse(v, 403, "unknown-user",
               "the JWT of %s is good, and there is no such user: an admin adds one by "
               "`ringfence user add %s --role ROLE`",
               owner.name, owner.name);
}

/* One that goes on following what it was let in for by its token, which was not kept: it
 * sees what the user may see, while there is one, and the token is good. */
static void by_memory(const struct authorize_ask *ask, struct authorize_verdict *v)
{
    const struct caller *c = ask->caller;

    set_actor(v, c->kind == CALLER_JWT ? ACTOR_JWT : ACTOR_TOKEN, c->name, c);
    v->user = state_user(ask->state, c->name);
    if (v->user == NULL || strcmp(route_method(ask->route->kind), "GET") != 0)
        refuse(v, 401, "not-authenticated", "show the token again");
    else if (c->token != 0 && !token_lives(v->user, c->token, ask->wall_ms))
        refuse(v, 401, "not-authenticated",
               "the token that this was begun with is revoked, or has expired");
    else if (c->until_ms != 0 && ask->wall_ms >= c->until_ms)
        refuse(v, 401, "not-authenticated", "the JWT that this was begun with has expired");
}

/* A token beside a certificate would leave open which of two users asks. */
static void identify(const struct authorize_ask *ask, struct authorize_verdict *v)
{
    const struct caller *c = ask->caller;

    if (c->kind == CALLER_SOCKET && c->bearer[0] == '\0') {
        set_actor(v, ACTOR_SOCKET, c->name, c);
    } else if (c->kind == CALLER_CERTIFICATE && c->bearer[0] == '\0') {
        by_certificate(ask, v);
    } else if ((c->kind == CALLER_TOKEN || c->kind == CALLER_JWT) && c->bearer[0] == '\0') {
        by_memory(ask, v);
    } else if (c->kind == CALLER_CERTIFICATE) {
        set_actor(v, ACTOR_CERTIFICATE, c->name, c);
        refuse(v, 401, "not-authenticated",
               "a certificate and a bearer token were shown: show one of them");
    } else if (token_is_token(c->bearer)) {
        by_token(ask, v);
    } else if (c->bearer[0] != '\0' && ask->jwt != NULL) {
        by_jwt(ask, v);
    } else {
        set_actor(v, ACTOR_ANONYMOUS, "", c);
        refuse(v, 401, "not-authenticated",
               "who asks over the network shows a user's certificate or token: an admin "
               "makes one by `ringfence user add NAME --role ROLE --token`");
    }
}

/* ---- what may it? -----------------------------------------------------------------------
 */

static void check_role(const struct authorize_ask *ask, const struct permission *p,
                       struct authorize_verdict *v)
{
    uint8_t needed = ask->route->dry ? ROLE_VIEWER : p->role;
    char have[ROLES_TEXT_SIZE], wanted[ROLES_TEXT_SIZE];

    v->actor.roles = user_roles(v->user, p->of_the_group ? ask->group : "");
    if (role_allows(v->actor.roles, needed))
        return;
    roles_text(v->actor.roles, have);
    roles_text(needed, wanted);
    refuse(v, 403, "wrong-role",
           "%s takes the role %s%s%s, and user %s is %s there: an admin can give it "
           "(`ringfence user add`), or ask somebody who has it",
           route_name(ask->route->kind), wanted, p->of_the_group ? " of group " : "",
           p->of_the_group ? ask->group : " of the cluster", v->user->name, have);
}

static void check_factor(const struct authorize_ask *ask, struct authorize_verdict *v)
{
    const char *name = v->user->name;

    if (!user_has_factor(v->user))
        refuse(v, 403, "no-second-factor",
               "%s takes a second factor, and user %s has none: another admin enrols one "
               "(`ringfence user totp %s`), or root at a controller's socket",
               route_name(ask->route->kind), name, name);
    else if (user_is_locked(v->user, ask->wall_ms))
        refuse(v, 403, "locked",
               "the second factor of %s is locked after %d wrong codes: wait, or let "
               "another admin `ringfence user unlock %s`",
               name, FACTOR_FAILURES_MAX, name);
    else if (ask->caller->totp[0] == '\0')
        refuse(v, 401, "second-factor-needed",
               "%s takes the code of user %s's second factor too: `ringfence --totp ...` "
               "asks for it, X-Ringfence-TOTP carries it",
               route_name(ask->route->kind), name);
    else
        v->needs_code = true;
}

void authorize(const struct authorize_ask *ask, struct authorize_verdict *ret)
{
    const struct permission *p = permission_of(ask->route->kind);

    *ret = (struct authorize_verdict){.code = ""};
    identify(ask, ret);
    if (ret->status != 0)
        return;
    if (ret->user == NULL) { /* the socket */
        ret->actor.roles = ROLES_ALL;
        return;
    }
    check_role(ask, p, ret);
    if (ret->status == 0 && p->factor && !ask->route->dry)
        check_factor(ask, ret);
}
