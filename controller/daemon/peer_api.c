/* Requests that a follower's API got and the leader answers: one hop at most. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/problem.h"
#include "controller/core/formats.h"
#include "controller/daemon/frontend.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers_private.h"
#include "controller/http/api.h"

static void answer(struct passed *q, unsigned status, const uint8_t *body, size_t len)
{
    struct passed done = *q;

    *q = (struct passed){0};
    done.on_reply(done.owner, status, body, len);
}

static void give_up(struct passed *q)
{
    char text[PROBLEM_SIZE];
    size_t len =
        problem_write(text, 503, "no-answer",
                      "the leader did not answer in time: the outcome is unknown; "
                      "look at `ringfence status` and repeat the request if it did "
                      "not happen");

    answer(q, 503, (const uint8_t *)text, len);
}

/* Who asks by our own socket as root goes without saying. */
static bool goes_without_saying(const struct caller *c)
{
    return c != NULL && c->kind == CALLER_SOCKET && strcmp(c->name, "root") == 0 &&
           c->bearer[0] == '\0' && c->totp[0] == '\0';
}

static void name_caller(const struct caller *c, Rf__Caller *ret)
{
    ret->kind = (uint32_t)c->kind;
    ret->name = (char *)c->name;
    ret->from = (char *)c->from;
    ret->bearer = (ProtobufCBinaryData){strlen(c->bearer), (uint8_t *)c->bearer};
    ret->totp = (ProtobufCBinaryData){strlen(c->totp), (uint8_t *)c->totp};
}

/* The stream has encrypted it; the bytes it was made of may have secrets in them. */
static bool send_wiped(struct peers *p, uint8_t to, const Rf__Frame *frame)
{
    bool sent = peers_send(p, to, frame);

    if (p->bytes.cap > 0)
        explicit_bzero(p->bytes.data, p->bytes.cap);
    return sent;
}

/* I10: one that does not know the field drops the whole stream over it, and with that what
 * Raft and the leases send. */
static bool knows(const struct peers *p, uint8_t position, uint32_t format)
{
    return format_is_known_by(node_state(p->d->node),
                              p->d->settings.controllers[position].name, format);
}

bool peers_knows_people(const struct peers *p, uint8_t position)
{
    return knows(p, position, FORMAT_PEOPLE);
}

bool peers_knows_refused(const struct peers *p, uint8_t position)
{
    return knows(p, position, FORMAT_KEYS);
}

struct passed *peer_api_place(struct passed passed[PEERS_API_MAX], bool unknown)
{
    struct passed *free_one = NULL;
    unsigned held = 0;

    for (unsigned i = 0; i < PEERS_API_MAX; i++) {
        if (passed[i].id == 0)
            free_one = &passed[i];
        else if (passed[i].unknown)
            held++;
    }
    return unknown && held >= PEERS_UNKNOWN_MAX ? NULL : free_one;
}

static int pass(struct peers *p, uint8_t position, const struct api_request *request,
                const struct passed *to, struct err *err)
{
    static const struct caller nobody = {.kind = CALLER_ANONYMOUS};
    struct passed *q = peer_api_place(p->passed, request->unknown);
    Rf__ApiRequest m = RF__API_REQUEST__INIT;
    Rf__Caller caller = RF__CALLER__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    if (q == NULL)
        return err_set(err, ERR_FULL, "%d requests%s wait for other controllers already",
                       request->unknown ? PEERS_UNKNOWN_MAX : PEERS_API_MAX,
                       request->unknown ? " of people whom nobody here knows" : "");

    m.id = ++p->next_id;
    m.method = (char *)request->method;
    m.path = (char *)request->path;
    m.body = (ProtobufCBinaryData){request->len, (uint8_t *)request->body};
    m.hops = 1;
    if (!goes_without_saying(request->caller)) {
        if (!peers_knows_people(p, position))
            return err_set(err, ERR_UNSUPPORTED,
                           "controller %s is of a version that takes requests of root "
                           "alone from others: ask it itself, or upgrade it",
                           p->d->settings.controllers[position].name);
        name_caller(request->caller != NULL ? request->caller : &nobody, &caller);
        m.caller = &caller;
    }
    if (request->caller != NULL && request->caller->key[0] != '\0' &&
        strcmp(request->method, "GET") != 0) {
        if (!knows(p, position, FORMAT_KEYS))
            return err_set(err, ERR_UNSUPPORTED,
                           "controller %s is of a version that cannot remember an "
                           "Idempotency-Key: upgrade it, or ask without one",
                           p->d->settings.controllers[position].name);
        m.key = (char *)request->caller->key;
    }
    frame.body_case = RF__FRAME__BODY_API_REQUEST;
    frame.api_request = &m;
    if (!send_wiped(p, position, &frame))
        return err_set(err, ERR_CLOSED, "controller %s cannot be reached",
                       p->d->settings.controllers[position].name);
    *q = (struct passed){.id = m.id,
                         .unknown = request->unknown,
                         .sent = mono_now(),
                         .on_reply = to->on_reply,
                         .owner = to->owner};
    return 0;
}

int peers_ask(struct peers *p, uint8_t position, const char *path,
              peers_api_reply *on_reply, void *owner, struct err *err)
{
    /* As `goes_without_saying()` has it: the other one knows which controller asks. */
    static const struct caller self = {.kind = CALLER_SOCKET, .name = "root"};
    const struct api_request request = {"GET", path, (const uint8_t *)"", 0, &self, false};

    return pass(p, position, &request,
                &(struct passed){.on_reply = on_reply, .owner = owner}, err);
}

int peers_api(struct peers *p, const struct api_request *request, peers_api_reply *on_reply,
              void *owner, struct err *err)
{
    const struct passed to = {.on_reply = on_reply, .owner = owner};
    struct peer *leader = peers_by_id(p, node_leader(p->d->node));
    struct err why = {0};
    int status;

    if (leader == NULL)
        return err_set(err, ERR_NOTLEADER, "no leader is known");
    status = pass(p, leader->position, request, &to, &why);
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
            break;
        }
    if (r->body.len > 0) /* a token that was made, say */
        explicit_bzero(r->body.data, r->body.len);
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
    if (!send_wiped(s->p, s->from, &frame))
        log_debug("an answer for controller %s could not be sent",
                  s->p->d->settings.controllers[s->from].name);
}

void peer_api_request(struct peers *p, uint8_t from, const Rf__ApiRequest *r)
{
    struct served *s = malloc(sizeof *s);

    if (s == NULL)
        return;
    *s = (struct served){p, from, r->id};
    frontend_serve(p->d->frontend, r, p->d->settings.controllers[from].name, on_served, s);
}
