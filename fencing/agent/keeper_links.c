/* One link to each controller, and who of them leads. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/text.h"
#include "controller/net/names.h"
#include "fencing/agent/keeper_private.h"

static const struct uplink *leader_of(const struct keeper *k)
{
    const struct uplink *newest = NULL;

    for (unsigned i = 0; i < k->uplink_count; i++) {
        const struct uplink *u = &k->uplinks[i];

        if (u->welcomed && u->leader[0] != 0 && (newest == NULL || u->term > newest->term))
            newest = u;
    }
    for (unsigned i = 0; newest != NULL && i < k->uplink_count; i++)
        if (k->uplinks[i].welcomed && strcmp(k->uplinks[i].to->name, newest->leader) == 0)
            return &k->uplinks[i];
    return NULL;
}

void uplink_send(struct uplink *u, const Rf__Frame *frame)
{
    AUTO(buf_free) struct buf bytes = {0};
    struct err err = {0};

    if (u->link == NULL)
        return;
    if (frame_encode(frame, &bytes, &err) != 0)
        log_error("%s cannot be said: %s", frame_name(frame), err.text);
    else if (link_send(u->link, bytes.data, bytes.len, &err) != 0)
        log_debug("%s to %s: %s", frame_name(frame), u->to->name, err.text);
}

/* A link whose other end cannot be reached any more is up until its timeout. One by which
 * nothing came for three periods is not relied upon: the other controllers pass on (I7). */
static bool is_quiet(const struct keeper *k, const struct uplink *u)
{
    uint64_t limit_ms = 3ull * k->tick_ms;

    return boot_now().ns - u->heard.ns > limit_ms * NS_PER_MS;
}

bool keeper_is_way(const struct keeper *k, const struct uplink *u, bool all)
{
    const struct uplink *leader = all ? NULL : leader_of(k);

    if (leader != NULL && is_quiet(k, leader))
        leader = NULL;
    return u->welcomed && (leader == NULL || leader == u);
}

void keeper_send(struct keeper *k, const Rf__Frame *frame, bool all)
{
    for (unsigned i = 0; i < k->uplink_count; i++)
        if (keeper_is_way(k, &k->uplinks[i], all))
            uplink_send(&k->uplinks[i], frame);
}

static void ping(struct uplink *u)
{
    Rf__Ping m = RF__PING__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    m.seq = ++u->ping_seq;
    m.sent_ns = boot_now().ns;
    frame.body_case = RF__FRAME__BODY_PING;
    frame.ping = &m;
    uplink_send(u, &frame);
}

static int dial(struct uplink *u, struct err *err);

static void redial(struct uplink *u, struct boot now)
{
    struct err err = {0};

    if (u->redial.ns == 0 || now.ns < u->redial.ns)
        return;
    u->redial.ns = 0;
    if (dial(u, &err) != 0) {
        log_error("controller %s: %s", u->to->name, err.text);
        u->redial.ns = now.ns + (uint64_t)KEEPER_REDIAL_MS * NS_PER_MS;
    }
}

void keeper_links_tick(struct keeper *k)
{
    struct boot now = boot_now();

    for (unsigned i = 0; i < k->uplink_count; i++)
        redial(&k->uplinks[i], now);
    if (now.ns - k->pinged.ns < (uint64_t)KEEPER_PING_MS * NS_PER_MS)
        return;
    k->pinged = now;
    for (unsigned i = 0; i < k->uplink_count; i++)
        if (k->uplinks[i].welcomed)
            ping(&k->uplinks[i]);
}

/* ---- what comes in --------------------------------------------------------------------
 */

static void on_up(void *owner)
{
    struct uplink *u = owner;

    u->answered_seq = 0; /* what the other end said on an older stream it has forgotten */
    keeper_say_hello(u);
}

static void on_down(void *owner, const struct err *why)
{
    struct uplink *u = owner;

    u->welcomed = false;
    u->rtt_us = 0;
    if (u->problem[0] == 0)
        text_set(u->problem, sizeof u->problem, "%s", why->text);
    keeper_publish(u->k);
}

static void on_welcome(struct uplink *u, const Rf__ControllerWelcome *w)
{
    bool first = !u->welcomed;

    u->welcomed = true;
    u->term = w->term;
    u->problem[0] = 0;
    snprintf(u->leader, sizeof u->leader, "%s", w->leader);
    if (first) { /* at once, so that a lease is not short of the time to the next tick */
        ping(u); /* nor are reports dated by the welcome until then */
        keeper_tick(&u->k->core);
    } else if (u->leader[0] != 0) {
        /* An election has ended. What was asked while it went on is lost, and the lease may
         * be over before the period is. */
        keeper_ask_again(&u->k->core);
    }
    keeper_pump(u->k);
}

static bool everybody_refused(const struct keeper *k)
{
    for (unsigned i = 0; i < k->uplink_count; i++)
        if (k->uplinks[i].link != NULL || k->uplinks[i].redial.ns != 0)
            return false;
    return true;
}

static void on_refusal(struct uplink *u, const Rf__Refusal *r)
{
    char reason[sizeof u->problem];
    struct keeper *k = u->k;

    text_set(reason, sizeof reason, "%s", r->reason);
    if (strcmp(u->problem, reason) != 0)
        log_error("controller %s refuses this agent: %s", u->to->name, r->reason);
    memcpy(u->problem, reason, sizeof reason);
    u->welcomed = false;
    if (r->final) { /* it would only be said again; another process may know better */
        link_close(TAKE(u->link));
        if (everybody_refused(k))
            text_set(k->health.fatal, sizeof k->health.fatal,
                     "every controller refuses this agent: %s", r->reason);
    }
    keeper_publish(k);
}

static void on_ping(struct uplink *u, const Rf__Ping *ping)
{
    Rf__Pong pong = RF__PONG__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    pong.seq = ping->seq;
    pong.sent_ns = ping->sent_ns;
    frame.body_case = RF__FRAME__BODY_PONG;
    frame.pong = &pong;
    uplink_send(u, &frame);
}

static void on_pong(struct uplink *u, const Rf__Pong *pong)
{
    uint64_t now = boot_now().ns;

    if (pong->seq > u->answered_seq && pong->seq <= u->ping_seq) {
        u->answered_seq = pong->seq;
        u->answered.ns = now;
    }
    if (pong->seq == u->ping_seq && pong->sent_ns <= now &&
        (now - pong->sent_ns) / 1000 < UINT32_MAX)
        u->rtt_us = (uint32_t)((now - pong->sent_ns) / 1000) + 1;
}

static void dispatch(struct uplink *u, const Rf__Frame *f)
{
    if (f->body_case == RF__FRAME__BODY_WELCOME)
        on_welcome(u, f->welcome);
    else if (f->body_case == RF__FRAME__BODY_REFUSAL)
        on_refusal(u, f->refusal);
    else if (f->body_case == RF__FRAME__BODY_PING)
        on_ping(u, f->ping);
    else if (f->body_case == RF__FRAME__BODY_PONG)
        on_pong(u, f->pong);
    else if (f->body_case == RF__FRAME__BODY_RENEW_ACK)
        keeper_on_ack(u->k, f->renew_ack);
    else if (f->body_case == RF__FRAME__BODY_ASSIGNMENTS)
        keeper_on_assignments(u->k, f->assignments);
    else if (f->body_case == RF__FRAME__BODY_STEP_ORDER)
        keeper_on_step_order(u->k, f->step_order);
    else if (f->body_case == RF__FRAME__BODY_FENCE_ORDER)
        keeper_on_fence_order(u->k, f->fence_order);
}

static const struct link_events uplink_events;

static int dial(struct uplink *u, struct err *err)
{
    struct keeper *k = u->k;
    struct identity peer;
    struct link_spec spec = {.peer = &peer,
                             .at = &u->to->at,
                             .events = &uplink_events,
                             .owner = u,
                             .names = k->names};

    if (identity_make(&peer, IDENTITY_CONTROLLER, k->parts.settings->cluster, u->to->name,
                      err) != 0)
        return err->code;
    return link_open(&u->link, &k->loop, k->parts.tls, &spec, err);
}

/* I10: what is not understood ends the connection; nothing of it is acted upon. */
static void on_garbage(struct uplink *u, const char *why)
{
    log_error("controller %s: %s: connecting anew", u->to->name, why);
    text_set(u->problem, sizeof u->problem, "%s", why);
    u->welcomed = false;
    link_close(TAKE(u->link));
    u->redial.ns = boot_now().ns + (uint64_t)KEEPER_REDIAL_MS * NS_PER_MS;
}

static void on_frame(void *owner, const uint8_t *data, size_t len)
{
    struct uplink *u = owner;
    AUTO(frame_free) Rf__Frame *f = NULL;
    struct err err = {0};

    if (frame_decode(data, len, &f, &err) != 0) {
        on_garbage(u, err.text);
        return;
    }
    if (!frame_allowed(f, FRAME_CONTROLLER_TO_AGENT)) {
        (void)err_set(&err, ERR_BADMSG,
                      "%s is no frame for a controller to send to an agent", frame_name(f));
        on_garbage(u, err.text);
        return;
    }
    u->heard = boot_now();
    dispatch(u, f);
}

static const struct link_events uplink_events = {
    .on_up = on_up, .on_down = on_down, .on_frame = on_frame};

int keeper_links_open(struct keeper *k, struct err *err)
{
    const struct agent_settings *s = k->parts.settings;
    char file[AGENT_PATH_SIZE + 8];
    int status;

    (void)snprintf(file, sizeof file, "%s/names", s->state_dir);
    status = names_open(&k->names, &k->loop, file, err);
    if (status != 0)
        return status;
    for (unsigned i = 0; i < s->controller_count; i++) {
        struct uplink *u = &k->uplinks[i];

        *u = (struct uplink){.k = k, .to = &s->controllers[i]};
        k->uplink_count++;
        if (dial(u, err) != 0)
            return err_wrap(err, "controller %s", u->to->name);
    }
    return 0;
}

void keeper_links_close(struct keeper *k)
{
    for (unsigned i = 0; i < k->uplink_count; i++)
        link_close(TAKE(k->uplinks[i].link));
    k->uplink_count = 0;
    names_close(TAKE(k->names));
}

void keeper_links_health(struct keeper *k)
{
    const struct uplink *leader = leader_of(k);

    k->health.controller_count = k->uplink_count;
    for (unsigned i = 0; i < k->uplink_count; i++) {
        const struct uplink *u = &k->uplinks[i];
        struct board_controller *c = &k->health.controllers[i];
        const struct err *last = u->link != NULL ? link_last_error(u->link) : NULL;

        *c = (struct board_controller){.up = u->link != NULL && link_is_up(u->link),
                                       .welcomed = u->welcomed,
                                       .leader = leader == u,
                                       .rtt_us = u->rtt_us};
        memcpy(c->name, u->to->name, sizeof c->name);
        if (u->problem[0] != 0)
            memcpy(c->problem, u->problem, sizeof c->problem);
        else if (last != NULL && last->code != 0)
            text_set(c->problem, sizeof c->problem, "%s", last->text);
    }
}
