/* Requests with a key (`Idempotency-Key`), at the leader: one that was answered is answered
 * again by what its entry has made of it, one that is being worked on is not begun anew.
 * That nothing runs twice is apply()'s doing (controller/core/answered.h); a leader that
 * does not know yet what another one has committed is only told so later. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/answered.h"
#include "controller/core/formats.h"
#include "controller/http/api_private.h"

/* One whose answer is still owed. */
struct under_way {
    struct under_way *next;
    struct api *a;
    struct request_key key;
    api_reply *reply;
    void *owner;
};

/* ---- which request is it? ---------------------------------------------------------------
 */

/* Each part with its end, so that no two lists of parts look the same. */
static bool hash(uint8_t out[KEY_HASH_SIZE], const char *const *parts, const uint8_t *body,
                 size_t len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

    for (; ok && *parts != NULL; parts++)
        ok = EVP_DigestUpdate(ctx, *parts, strlen(*parts) + 1) == 1;
    if (ok && len > 0)
        ok = EVP_DigestUpdate(ctx, body, len) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* The same user by whichever means and at whichever controller; who comes by a socket is
 * who he is there. */
static bool key_of(const struct route *r, const struct api_request *raw,
                   const struct asker *who, struct request_key *ret)
{
    const char *means = who->actor.kind == ACTOR_SOCKET ? "socket" : "user";
    const char *const id[] = {"ringfence-key", means, who->actor.name, raw->caller->key,
                              NULL};
    char path[ROUTE_PATH_SIZE];
    const char *const request[] = {route_method(r->kind), path, NULL};

    route_format(r, path);
    return hash(ret->id, id, NULL, 0) && hash(ret->request, request, raw->body, raw->len);
}

bool key_counts(const struct route *r, const struct api_request *raw)
{
    return raw->caller != NULL && raw->caller->key[0] != '\0' && route_changes(r);
}

bool key_is_possible(struct api *a, const struct asker *who)
{
    struct api_facts f;

    api_facts(a, &f);
    if (format_has_keys(f.state))
        return true;
    answer_error(who, 409, refusal_name(REFUSE_FORMAT),
                 "Idempotency-Key: a controller or an agent on record is of a version that "
                 "cannot remember it: nothing was done; upgrade it (`ringfence status` "
                 "shows the versions), or ask without a key");
    return false;
}

/* ---- the answer that is owed ------------------------------------------------------------
 */

static void on_answered(void *owner, unsigned status, const void *body, size_t len)
{
    AUTO(auto_free) struct under_way *u = owner;
    struct under_way **at = &u->a->under_way;

    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    u->reply(u->owner, status, body, len);
}

static const struct under_way *find(const struct api *a, const struct request_key *key)
{
    for (const struct under_way *u = a->under_way; u != NULL; u = u->next)
        if (memcmp(u->key.id, key->id, sizeof key->id) == 0)
            return u;
    return NULL;
}

/* False: answered. */
static bool take_up(struct api *a, struct asker *who)
{
    struct under_way *u = malloc(sizeof *u);

    if (u == NULL) {
        answer_error(who, 503, "no-memory", "out of memory");
        return false;
    }
    *u = (struct under_way){a->under_way, a, who->key, who->reply, who->owner};
    a->under_way = u;
    who->reply = on_answered;
    who->owner = u;
    return true;
}

static void other_request(const struct asker *who)
{
    answer_error(who, 422, refusal_name(REFUSE_KEY),
                 "Idempotency-Key: another request has had this key: nothing was done; a "
                 "new request takes a new key");
}

bool key_admits(struct api *a, const struct route *r, const struct api_request *raw,
                struct asker *who, bool *needs_code)
{
    const struct answered *row;
    const struct under_way *u;
    struct api_facts f;

    if (!key_counts(r, raw))
        return true;
    if (!key_is_possible(a, who))
        return false;
    if (!key_of(r, raw, who, &who->key)) {
        answer_error(who, 503, "no-memory", "out of memory");
        return false;
    }
    api_facts(a, &f);
    row = answered_find(f.state, &who->key, wall_now_ms());
    u = find(a, &who->key);
    if ((row != NULL && !key_is_same(&row->key, &who->key)) ||
        (u != NULL && !key_is_same(&u->key, &who->key))) {
        other_request(who);
        return false;
    }
    if (u != NULL) {
        answer_error(who, 409, "under-way",
                     "this request is being worked on already: ask again with the same "
                     "key, and you get its answer");
        return false;
    }
    if (row != NULL && row->kind != ENTRY_FACTOR_USED) {
        request_answer_again(a, r, raw, who, row);
        return false;
    }
    if (row != NULL && *needs_code && answered_has_code(row, wall_now_ms())) {
        who->actor.factor = (enum actor_factor)row->factor;
        *needs_code = false;
    }
    return take_up(a, who);
}

bool key_answers(struct api *a, const struct route *r, const struct api_request *raw,
                 const struct asker *who)
{
    const struct answered *row;
    struct api_facts f;

    api_facts(a, &f);
    row = answered_find(f.state, &who->key, wall_now_ms());
    if (row == NULL || row->kind == ENTRY_FACTOR_USED || !key_is_same(&row->key, &who->key))
        return false;
    request_answer_again(a, r, raw, who, row);
    return true;
}

void keys_close(struct api *a)
{
    while (a->under_way != NULL) {
        const struct asker who = {.reply = on_answered, .owner = a->under_way};

        answer_error(&who, 503, "outcome-unknown", "this controller is stopping");
    }
}
