/* The streams that the other controllers have dialled: hello, then whatever they say. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/daemon/membership.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers_private.h"
#include "controller/net/stream.h"
#include "proto/entry_codec.h"

/* kin.h: which stores this node knows, its own too. */
static void put_kin(const struct peers *p, Rf__ControllerHello *h,
                    Rf__Kinsman rows[CONSENSUS_VOTERS_MAX],
                    Rf__Kinsman *list[CONSENSUS_VOTERS_MAX])
{
    struct kin_hello kin;

    node_hello(p->d->node, &kin);
    h->store = kin.store;
    h->mark = kin.mark;
    h->assembled = kin.assembled;
    h->digest = kin.digest;
    for (unsigned i = 0; i < kin.n; i++) {
        rf__kinsman__init(&rows[i]);
        rows[i].id = kin.list[i].id;
        rows[i].store = kin.list[i].store;
        rows[i].mark = kin.list[i].mark;
        list[i] = &rows[i];
    }
    h->n_kin = kin.n;
    h->kin = list;
}

void peers_say_hello(struct peers *p, uint8_t to)
{
    Rf__Kinsman rows[CONSENSUS_VOTERS_MAX], *list[CONSENSUS_VOTERS_MAX];
    char address[ADDRESS_TEXT_SIZE];
    const struct settings *own = &p->d->settings;
    const struct settings_controller *self = &own->controllers[own->self];
    Rf__ControllerHello h = RF__CONTROLLER_HELLO__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    h.cluster = (char *)own->cluster;
    h.name = (char *)self->name;
    h.id = self->id;
    h.version = (char *)RF_VERSION;
    h.format_min = entry_formats().min;
    h.format_max = entry_formats().max;
    h.election_ms = own->election_ms;
    h.heartbeat_ms = own->heartbeat_ms;
    h.region = (char *)self->region;
    put_kin(p, &h, rows, list);
    address_format(&self->at, address);
    h.address = address;
    frame.body_case = RF__FRAME__BODY_CONTROLLER_HELLO;
    frame.controller_hello = &h;
    (void)peers_send(p, to, &frame);
}

static void drop_incoming(struct incoming *in)
{
    struct incoming **at = &in->p->incoming;
    struct peer *peer = &in->p->peers[in->position];

    while (*at != in)
        at = &(*at)->next;
    *at = in->next;
    if (peer->in == in)
        peer->in = NULL;
    stream_close(in->s);
    free(in);
}

void peer_streams_close(struct peers *p)
{
    while (p->incoming != NULL)
        drop_incoming(p->incoming);
}

static void refuse(struct incoming *in, const char *why)
{
    const char *name = in->p->d->settings.controllers[in->position].name;
    Rf__Refusal refusal = RF__REFUSAL__INIT;
    Rf__Frame frame = RF__FRAME__INIT;
    AUTO(buf_free) struct buf bytes = {0};
    struct err err = {0};

    refusal.reason = (char *)why;
    refusal.final = true;
    frame.body_case = RF__FRAME__BODY_REFUSAL;
    frame.refusal = &refusal;
    if (frame_encode(&frame, &bytes, &err) != 0 ||
        stream_send(in->s, bytes.data, bytes.len, &err) != 0)
        log_debug("to controller %s: %s", name, err.text);
    log_at(peers_is_news(in->p->peers[in->position].we_refused, why) ? LOG_LEVEL_WARN
                                                                     : LOG_LEVEL_DEBUG,
           "controller %s at %s refused: %s", name, stream_remote(in->s), why);
}

static int check_id(const struct settings_controller *c, uint64_t id, uint64_t newest,
                    struct err *err)
{
    if (id < newest)
        return err_set(err, ERR_PEER,
                       "it has id %" PRIu64 ", and %s has id %" PRIu64
                       " now: it was replaced; never start it again",
                       id, c->name, newest);
    return err_set(
        err, ERR_PEER,
        "it has id %" PRIu64 ", and %s has id %" PRIu64
        ": if it is to take its place, run `ringfence controller replace %s --id "
        "%" PRIu64 "` on a host whose controller runs; else make the files agree",
        id, c->name, newest, c->name, id);
}

static int check_hello(const struct incoming *in, const Rf__ControllerHello *h,
                       struct err *err)
{
    const struct settings *own = &in->p->d->settings;
    const struct settings_controller *c = &own->controllers[in->position];
    uint64_t newest = membership_id(in->p->d, in->position);
    const struct format_range formats = entry_formats();

    if (strcmp(h->cluster, own->cluster) != 0)
        return err_set(err, ERR_PEER, "it is configured for cluster %s, this one is of %s",
                       h->cluster, own->cluster);
    if (strcmp(h->name, c->name) != 0)
        return err_set(err, ERR_PEER, "it calls itself %s, its certificate is for %s",
                       h->name, c->name);
    if (h->id != newest)
        return check_id(c, h->id, newest, err);
    if (strcmp(h->region, c->region) != 0)
        return err_set(
            err, ERR_PEER,
            "in its own file controller %s is in region %s, in the file of %s in "
            "region %s: make `controllers` agree",
            c->name, h->region, own->name, c->region);
    if (h->format_min > formats.max || h->format_max < formats.min ||
        h->format_min > h->format_max)
        return err_set(err, ERR_UNSUPPORTED,
                       "it knows formats %" PRIu32 " to %" PRIu32 ", this one %" PRIu32
                       " to %" PRIu32 ": upgrade the older one",
                       h->format_min, h->format_max, formats.min, formats.max);
    if (strlen(h->address) >= MEMBER_ADDRESS_SIZE)
        return err_set(err, ERR_INVAL, "its address is longer than %d bytes",
                       MEMBER_ADDRESS_SIZE - 1);
    if (h->n_kin > CONSENSUS_VOTERS_MAX || h->store == 0)
        return err_set(err, ERR_BADMSG, "it knows %zu controllers, %d are possible",
                       h->n_kin, CONSENSUS_VOTERS_MAX);
    if (strlen(h->version) >= NAME_SIZE)
        return err_set(err, ERR_INVAL, "its version is longer than %d bytes",
                       NAME_SIZE - 1);
    return 0;
}

/* Ours may be the store that is refused: then the node stops, and this stream with it. */
static int take_kin(const struct incoming *in, const Rf__ControllerHello *h,
                    struct err *err)
{
    struct kin_hello kin = {.id = h->id,
                            .store = h->store,
                            .mark = h->mark,
                            .digest = h->digest,
                            .assembled = h->assembled,
                            .n = (unsigned)h->n_kin};

    for (unsigned i = 0; i < kin.n; i++)
        kin.list[i] = (struct kinsman){
            .id = h->kin[i]->id, .store = h->kin[i]->store, .mark = h->kin[i]->mark};
    return node_heard(in->p->d->node, h->name, &kin, err);
}

/* False: it was refused. */
static bool take_hello(struct incoming *in, const Rf__ControllerHello *h)
{
    struct peer *peer = &in->p->peers[in->position];
    struct err err = {0};

    if (check_hello(in, h, &err) != 0 || take_kin(in, h, &err) != 0) {
        refuse(in, err.text);
        return false;
    }
    peer->hello = (struct controller){.id = h->id,
                                      .format_min = h->format_min,
                                      .format_max = h->format_max,
                                      .election_ms = h->election_ms,
                                      .heartbeat_ms = h->heartbeat_ms};
    (void)snprintf(peer->hello.name, sizeof peer->hello.name, "%s", h->name);
    (void)snprintf(peer->hello.region, sizeof peer->hello.region, "%s", h->region);
    (void)snprintf(peer->hello.version, sizeof peer->hello.version, "%s", h->version);
    peer->store = h->store;
    (void)snprintf(peer->address, sizeof peer->address, "%s", h->address);
    peer->has_hello = true;
    peer->we_refused[0] = '\0';
    if (h->id != in->p->d->settings.controllers[in->position].id)
        peers_reach(in->p, in->position, h->address); /* a newcomer, perhaps elsewhere */
    peer->in = in;
    peer->heard = mono_now();
    peer->asked = (struct pinged){0}; /* may be of its former life */
    in->greeted = true;
    in->id = h->id;
    if (!h->assembled && node_is_assembled(in->p->d->node))
        peers_say_hello(in->p, in->position); /* it waits for that */
    return true;
}

static bool take_frame(struct incoming *in, const Rf__Frame *f)
{
    uint64_t newest = membership_id(in->p->d, in->position);
    struct err err = {0};

    if (f->body_case == RF__FRAME__BODY_CONTROLLER_HELLO)
        return take_hello(in, f->controller_hello);
    if (!in->greeted) {
        refuse(in, "the first frame must be controller_hello");
        return false;
    }
    /* It was replaced since. What it acknowledges and how far its store is would be taken
     * for the newcomer's (I7). */
    if (in->id != newest) {
        (void)check_id(&in->p->d->settings.controllers[in->position], in->id, newest, &err);
        refuse(in, err.text);
        return false;
    }
    peers_handle(in->p, in->position, f);
    return true;
}

static void on_frame(void *owner, const uint8_t *data, size_t len)
{
    struct incoming *in = owner;
    AUTO(frame_free) Rf__Frame *f = NULL;
    struct err err = {0};
    bool good = false;

    if (frame_decode(data, len, &f, &err) != 0) {
        refuse(in, err.text);
    } else if (!frame_allowed(f, FRAME_CONTROLLER_TO_CONTROLLER)) {
        (void)err_set(&err, ERR_BADMSG, "%s is no frame for a controller to send",
                      frame_name(f));
        refuse(in, err.text);
    } else {
        good = take_frame(in, f);
    }
    if (!good)
        drop_incoming(in);
}

static void on_close(void *owner, const struct err *why)
{
    struct incoming *in = owner;

    log_info("controller %s no longer reaches this one: %s",
             in->p->d->settings.controllers[in->position].name, why->text);
    in->s = NULL; /* belongs to the loop by now */
    drop_incoming(in);
}

static const struct stream_events events = {.on_frame = on_frame, .on_close = on_close};

void peers_accept(struct peers *p, struct stream *s, const struct identity *peer)
{
    struct incoming *in;
    uint8_t position = NO_INSTANCE;

    for (uint8_t i = 0; i < p->d->settings.count; i++)
        if (i != p->d->settings.self &&
            strcmp(p->d->settings.controllers[i].name, peer->name) == 0)
            position = i;
    if (position == NO_INSTANCE)
        return; /* on_peer has let it pass, the listener closes it */
    in = calloc(1, sizeof *in);
    if (in == NULL)
        return;
    in->p = p;
    in->s = s;
    in->position = position;
    in->next = p->incoming;
    p->incoming = in;
    stream_adopt(s, &events, in);
}
