/* A request that the leader decides, on its way there and back. */
#include <stdlib.h>

#include "controller/http/api_private.h"
#include "controller/http/authorize.h"

struct passed_on {
    struct api *a;
    struct asker who;
};

static void on_passed_on(void *owner, unsigned status, const void *body, size_t len)
{
    struct passed_on *p = owner;

    p->who.reply(p->who.owner, status, body, len);
    free(p);
}

/* Whom this controller's own state does not know may be known to the leader: a token that
 * was given out a moment ago, the provider's new key. */
static bool is_unknown(struct api *a, const struct route *r, const struct api_request *raw,
                       struct authorize_verdict *ret)
{
    struct authorize_ask ask = {
        .caller = raw->caller, .route = r, .group = "", .wall_ms = wall_now_ms()};
    struct api_facts f;

    api_facts(a, &f);
    ask.state = f.state;
    ask.jwt = f.jwt;
    authorize(&ask, ret);
    if (ret->key_unknown && a->backend->want_keys != NULL)
        a->backend->want_keys(a->backend->owner);
    return ret->user == NULL && ret->actor.kind != ACTOR_SOCKET;
}

static void not_passed(struct api *a, const struct route *r, const struct api_request *raw,
                       const struct asker *who, const struct err *why)
{
    struct authorize_verdict v;

    if (why->code == ERR_FULL && is_unknown(a, r, raw, &v))
        answer_error(who, 503, "not-possible-now",
                     "as far as this controller knows: %s. The leader is not asked about "
                     "it: %s. Nothing was done, ask again",
                     v.text, why->text);
    else
        api_without_leader(a, r, raw, who, why->text);
}

void api_pass_on(struct api *a, const struct route *r, const struct api_request *raw,
                 const struct asker *who)
{
    struct passed_on *p = malloc(sizeof *p);
    char path[ROUTE_PATH_SIZE];
    struct authorize_verdict v;
    const struct api_request passed = {.method = route_method(r->kind),
                                       .path = path,
                                       .body = raw->body,
                                       .len = raw->len,
                                       .caller = raw->caller,
                                       .unknown = is_unknown(a, r, raw, &v)};
    struct err err = {0};

    if (key_counts(r, raw) && !key_is_possible(a, who)) {
        free(p);
        return;
    }
    if (p == NULL) {
        answer_error(who, 503, "no-memory", "out of memory");
        return;
    }
    *p = (struct passed_on){a, *who};
    route_format(r, path);
    if (a->backend->forward(a->backend->owner, &passed, on_passed_on, p, &err) != 0) {
        free(p);
        not_passed(a, r, raw, who, &err);
    }
}
