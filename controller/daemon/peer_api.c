/* Requests that a follower's API got and the leader answers: one hop at most. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/daemon/frontend.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers_private.h"

static const char no_answer[] =
    "{\"error\": {\"code\": \"no-answer\", \"text\": \"the leader did not answer in time: "
    "the outcome is unknown; look at `ringfence status` and repeat the request if it did "
    "not happen\"}}";

static void answer(struct passed *q, unsigned status, const uint8_t *body, size_t len)
{
    struct passed done = *q;

    *q = (struct passed){0};
    done.on_reply(done.owner, status, body, len);
}

static void give_up(struct passed *q)
{
    answer(q, 503, (const uint8_t *)no_answer, sizeof no_answer - 1);
}

int peers_ask(struct peers *p, uint8_t position, const struct peers_api_request *request,
              peers_api_reply *on_reply, void *owner, struct err *err)
{
    struct passed *q = NULL;
    Rf__ApiRequest m = RF__API_REQUEST__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    for (unsigned i = 0; i < PEERS_API_MAX && q == NULL; i++)
        if (p->passed[i].id == 0)
            q = &p->passed[i];
    if (q == NULL)
        return err_set(err, ERR_FULL, "%d requests wait for other controllers already",
                       PEERS_API_MAX);

    m.id = ++p->next_id;
    m.method = (char *)request->method;
    m.path = (char *)request->path;
    m.body = (ProtobufCBinaryData){request->len, (uint8_t *)request->body};
    m.hops = 1;
    frame.body_case = RF__FRAME__BODY_API_REQUEST;
    frame.api_request = &m;
    if (!peers_send(p, position, &frame))
        return err_set(err, ERR_CLOSED, "controller %s cannot be reached",
                       p->d->settings.controllers[position].name);
    *q = (struct passed){m.id, mono_now(), on_reply, owner};
    return 0;
}

int peers_api(struct peers *p, const struct peers_api_request *request,
              peers_api_reply *on_reply, void *owner, struct err *err)
{
    struct peer *leader = peers_by_id(p, node_leader(p->d->node));
    struct err why = {0};
    int status;

    if (leader == NULL)
        return err_set(err, ERR_NOTLEADER, "no leader is known");
    status = peers_ask(p, leader->position, request, on_reply, owner, &why);
    if (status == ERR_CLOSED)
        return err_set(err, ERR_NOTLEADER, "controller %s leads, and cannot be reached",
                       p->d->settings.controllers[leader->position].name);
    return status != 0 ? err_set(err, status, "%s", why.text) : 0;
}

void peer_api_tick(struct peers *p, struct mono now)
{
    for (unsigned i = 0; i < PEERS_API_MAX; i++)
        if (p->passed[i].id != 0 && mono_since_ms(p->passed[i].sent, now) > PEERS_API_MS)
            give_up(&p->passed[i]);
}

void peer_api_close(struct peers *p)
{
    for (unsigned i = 0; i < PEERS_API_MAX; i++)
        if (p->passed[i].id != 0)
            give_up(&p->passed[i]);
}

void peer_api_reply(struct peers *p, const Rf__ApiReply *r)
{
    for (unsigned i = 0; i < PEERS_API_MAX; i++)
        if (p->passed[i].id != 0 && p->passed[i].id == r->id) {
            answer(&p->passed[i], r->status, r->body.data, r->body.len);
            return;
        }
}

/* One request of another controller; it owns itself until it is answered. */
struct served {
    struct peers *p;
    uint8_t from;
    uint64_t id;
};

static void on_served(void *owner, unsigned status, const void *body, size_t len)
{
    AUTO(auto_free) struct served *s = owner;
    Rf__ApiReply m = RF__API_REPLY__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    if (s->p->d->closing)
        return;
    m.id = s->id;
    m.status = status;
    m.body = (ProtobufCBinaryData){len, (uint8_t *)body};
    frame.body_case = RF__FRAME__BODY_API_REPLY;
    frame.api_reply = &m;
    if (!peers_send(s->p, s->from, &frame))
        log_debug("an answer for controller %s could not be sent",
                  s->p->d->settings.controllers[s->from].name);
}

void peer_api_request(struct peers *p, uint8_t from, const Rf__ApiRequest *r)
{
    struct served *s = malloc(sizeof *s);

    if (s == NULL)
        return;
    *s = (struct served){p, from, r->id};
    frontend_serve(p->d->frontend, r, on_served, s);
}
