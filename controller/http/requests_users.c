/* Users, at the leader: who there is, tokens, second factors. What is shown once (a token,
 * a seed, recovery codes) is made here, told when its entry is committed, and forgotten. */
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "controller/http/api_private.h"
#include "controller/http/reader.h"
#include "controller/people/factor.h"
#include "controller/people/token.h"

enum { TOKEN_DAYS_MAX = 3650 };

/* False: answered. */
static bool read_roles(const json_t *body, struct entry_user_set *u,
                       const struct asker *who)
{
    const json_t *list = json_object_get(body, "roles"), *v;
    struct err err = {0};
    size_t n, i;

    if (reader_list(list, "roles", 1, 4, &n, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
        return false;
    }
    json_array_foreach(list, i, v)
    {
        uint8_t role = json_is_string(v) ? role_of(json_string_value(v)) : 0;

        if (role == 0) {
            answer_error(who, 400, "bad-request",
                         "roles[%zu]: viewer, operator, approver or admin is expected", i);
            return false;
        }
        u->roles |= role;
    }
    return true;
}

static bool read_groups(const json_t *body, struct entry_user_set *u,
                        const struct asker *who)
{
    const json_t *list = json_object_get(body, "groups"), *v;
    char path[READER_PATH_SIZE];
    struct err err = {0};
    size_t n, i;

    if (list == NULL)
        return true;
    if (reader_list(list, "groups", 0, USER_GROUPS_MAX, &n, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
        return false;
    }
    json_array_foreach(list, i, v)
    {
        reader_path_index(path, "groups", i);
        if (reader_name(v, path, u->groups[i], &err) != 0) {
            answer_error(who, 400, "bad-request", "%s", err.text);
            return false;
        }
    }
    u->group_count = (uint8_t)n;
    return true;
}

static void set_user(struct api *a, const struct route *r, const struct api_request *raw,
                     const struct asker *who)
{
    static const char *const keys[] = {"name", "roles", "groups", NULL};
    struct entry e = {.kind = ENTRY_USER_SET};
    json_t *body = request_read_body(raw, keys, who);
    struct err err = {0};

    if (body == NULL)
        return;
    if (reader_name(json_object_get(body, "name"), "name", e.user_set.name, &err) != 0)
        answer_error(who, 400, "bad-request", "%s", err.text);
    else if (read_roles(body, &e.user_set, who) && read_groups(body, &e.user_set, who))
        request_propose(a, r, &e, who);
    json_decref(body);
}

static void add_token(struct api *a, const struct route *r, const struct api_request *raw,
                      const struct asker *who)
{
    static const char *const keys[] = {"days", NULL};
    struct entry e = {.kind = ENTRY_USER_TOKEN};
    json_t *body = request_read_body(raw, keys, who);
    char text[TOKEN_TEXT_SIZE];
    struct err err = {0};
    uint64_t days = 0;

    if (body == NULL)
        return;
    (void)snprintf(e.user_token.name, NAME_SIZE, "%s", r->group);
    if (reader_number(body, "", "days", &days, (struct reader_range){1, TOKEN_DAYS_MAX},
                      &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
    } else if (token_make(r->group, text, e.user_token.hash, &err) != 0) {
        answer_error(who, 503, "not-possible-now", "%s", err.text);
    } else {
        if (days != 0)
            e.user_token.expires_ms = wall_now_ms() + days * 86400 * 1000;
        request_propose_shown(a, r, &e, json_pack("{s:s}", "token", text), who);
    }
    OPENSSL_cleanse(text, sizeof text);
    json_decref(body);
}

static void revoke_token(struct api *a, const struct route *r,
                         const struct api_request *raw, const struct asker *who)
{
    static const char *const keys[] = {"id", NULL};
    struct entry e = {.kind = ENTRY_USER_REVOKE};
    json_t *body = request_read_body(raw, keys, who);
    struct err err = {0};

    if (body == NULL)
        return;
    (void)snprintf(e.user_revoke.name, NAME_SIZE, "%s", r->group);
    if (reader_number(body, "", "id", &e.user_revoke.token,
                      (struct reader_range){0, INT64_MAX}, &err) != 0)
        answer_error(who, 400, "bad-request", "%s", err.text);
    else
        request_propose(a, r, &e, who);
    json_decref(body);
}

static json_t *shown_once(const struct factor_made *m)
{
    json_t *codes = json_array();

    for (unsigned i = 0; i < RECOVERY_MAX; i++)
        (void)json_array_append_new(codes, json_string(m->recovery[i]));
    return json_pack("{s:s, s:o}", "uri", m->uri, "recovery", codes);
}

static void enrol(struct api *a, const struct route *r, const struct api_request *raw,
                  const struct asker *who)
{
    static const char *const keys[] = {"remove", NULL};
    struct entry e = {.kind = ENTRY_USER_TOTP};
    json_t *body = request_read_body(raw, keys, who);
    struct factor_made made = {0};
    struct err err = {0};
    bool remove = false;
    struct api_facts f;

    if (body == NULL)
        return;
    api_facts(a, &f);
    (void)snprintf(e.user_totp.name, NAME_SIZE, "%s", r->group);
    if (reader_bool(body, "", "remove", &remove, &err) != 0) {
        answer_error(who, 400, "bad-request", "%s", err.text);
    } else if (remove) {
        request_propose(a, r, &e, who);
    } else if (factor_make(f.key, f.cluster, r->group, &made, &err) != 0) {
        answer_error(who, 409, "not-possible-now", "%s", err.text);
    } else {
        e.user_totp = made.entry;
        request_propose_shown(a, r, &e, shown_once(&made), who);
    }
    factor_wipe(&made);
    json_decref(body);
}

static void by_name(struct api *a, const struct route *r, enum entry_kind kind,
                    const struct api_request *raw, const struct asker *who)
{
    static const char *const keys[] = {NULL};
    struct entry e = {.kind = kind};
    json_t *body = request_read_body(raw, keys, who);

    if (body == NULL)
        return;
    json_decref(body);
    (void)snprintf(e.user.name, NAME_SIZE, "%s", r->group);
    request_propose(a, r, &e, who);
}

void request_user(struct api *a, const struct route *r, const struct api_request *raw,
                  const struct asker *who)
{
    if (r->kind == ROUTE_USER_SET)
        set_user(a, r, raw, who);
    else if (r->kind == ROUTE_USER_TOKEN)
        add_token(a, r, raw, who);
    else if (r->kind == ROUTE_USER_REVOKE)
        revoke_token(a, r, raw, who);
    else if (r->kind == ROUTE_USER_TOTP)
        enrol(a, r, raw, who);
    else
        by_name(a, r, r->kind == ROUTE_USER_REMOVE ? ENTRY_USER_REMOVE : ENTRY_USER_UNLOCK,
                raw, who);
}

/* ---- who there is -----------------------------------------------------------------------
 */

static json_t *roles_list(uint8_t roles)
{
    json_t *list = json_array();

#define X(name, bit, text)                                                                 \
    if ((roles & (name)) != 0)                                                             \
        (void)json_array_append_new(list, json_string(text));
    ROLE_MAP(X)
#undef X
    return list;
}

static json_t *groups_list(const struct user *u)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < u->group_count; i++)
        (void)json_array_append_new(list, json_string(u->groups[i]));
    return list;
}

static json_t *time_or_null(uint64_t wall_ms)
{
    char text[WALL_TEXT_SIZE];

    if (wall_ms == 0)
        return json_null();
    wall_format(wall_ms, text);
    return json_string(text);
}

/* No hash, and no seed: they are for comparing. */
static json_t *user_document(const struct user *u, uint64_t wall_ms)
{
    json_t *tokens = json_array();

    for (unsigned i = 0; i < u->token_count; i++)
        (void)json_array_append_new(
            tokens,
            json_pack("{s:I, s:o, s:b}", "id", (json_int_t)u->tokens[i].id, "expires",
                      time_or_null(u->tokens[i].expires_ms), "expired",
                      u->tokens[i].expires_ms != 0 && u->tokens[i].expires_ms <= wall_ms));
    return json_pack("{s:s, s:o, s:o, s:o, s:b, s:i, s:o}", "name", u->name, "roles",
                     roles_list(u->roles), "groups", groups_list(u), "tokens", tokens,
                     "totp", user_has_factor(u), "recovery_codes", (int)user_codes_left(u),
                     "locked_until",
                     time_or_null(user_is_locked(u, wall_ms) ? u->locked_until_ms : 0));
}

json_t *users_document(const struct api_facts *f, uint64_t wall_ms)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < f->state->user_count; i++)
        (void)json_array_append_new(list, user_document(&f->state->users[i], wall_ms));
    return json_pack("{s:o}", "users", list);
}

json_t *whoami_document(const struct asker *who)
{
    return json_pack("{s:s, s:s, s:s, s:o}", "name", who->actor.name, "means",
                     actor_kind_name(who->actor.kind), "from", who->actor.from, "roles",
                     roles_list(who->actor.roles));
}
