#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/base/mutant.h"
#include "controller/daemon/agents_private.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"
#include "controller/daemon/prober.h"
#include "controller/daemon/runner.h"
#include "controller/net/address.h"
#include "controller/net/stream.h"
#include "proto/entry_codec.h"

/* ---- life ---------------------------------------------------------------------------- */

static void drop_session(struct session *se)
{
    struct session **p = &se->a->sessions;

    while (*p != se)
        p = &(*p)->next;
    *p = se->next;
    stream_close(se->s);
    buf_free(&se->hello);
    free(se);
}

static bool is_usable(const struct session *se, const char *name)
{
    return se->greeted && !mono_is_set(se->refused_at) && strcmp(se->name, name) == 0;
}

/* Once for each life and reason: it comes again after a moment, for as long as it runs. */
static bool is_news(const struct session *se, const char *why)
{
    struct known *k = agents_know(se->a, se->name);
    char text[sizeof k->refused_why];

    if (k == NULL)
        return true;
    snprintf(text, sizeof text, "%s", why);
    if (strcmp(k->refused_why, text) == 0 &&
        incarnation_equal(&k->refused, &se->incarnation))
        return false;
    memcpy(k->refused_why, text, sizeof text);
    k->refused = se->incarnation;
    return true;
}

/* Each connection has another port, which makes no other reason of it. */
static const char *without_remote(const struct session *se, const char *text)
{
    const char *remote = stream_remote(se->s);
    size_t n = strlen(remote);

    return strncmp(text, remote, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2
                                                                            : text;
}

/* A group that would act on it names the agent. */
static bool counts_for_somebody(const struct state *s, const char *agent)
{
    for (unsigned i = 0; i < s->group_count; i++)
        if ((s->groups[i].policy.fence & FENCE_SYNC_SEVERED) != 0 &&
            group_instance(&s->groups[i], agent) != NO_INSTANCE)
            return true;
    return false;
}

/* That the last link of an agent to us has ended is told at once: with the same word from
 * another region, and servers that refuse, a group may act on it (core/severed.c). */
static void note_link(struct agents *a, const char *name)
{
    const struct daemon *d = a->d;
    uint8_t self = d->closing ? NO_INSTANCE : peers_self(d->peers);
    bool up = false;

    for (const struct session *se = a->sessions; se != NULL; se = se->next)
        up = up || is_usable(se, name);
    if (self == NO_INSTANCE ||
        !observe_link(node_seen(d->node), node_state(d->node), name, self, up,
                      mono_now()) ||
        !counts_for_somebody(node_state(d->node), name))
        return;
    prober_hurry(d->prober, name);
    peers_send_view(d->peers);
    runner_wake(d->runner);
}

static void on_close(void *owner, const struct err *why)
{
    struct session *se = owner;
    struct agents *a = se->a;
    bool greeted = se->greeted;
    char name[NAME_SIZE];

    if (se->refused_at.ns == 0 && se->greeted)
        log_info("agent %s has disconnected: %s", se->name, why->text);
    else if (se->refused_at.ns == 0)
        log_at(is_news(se, without_remote(se, why->text)) ? LOG_LEVEL_WARN
                                                          : LOG_LEVEL_DEBUG,
               "somebody with the certificate of agent %s has hung up without saying who "
               "it is: %s",
               se->name, why->text);
    se->s = NULL; /* belongs to the loop by now */
    memcpy(name, se->name, sizeof name);
    drop_session(se);
    if (greeted)
        note_link(a, name);
}

void sessions_close(struct agents *a)
{
    while (a->sessions != NULL)
        drop_session(a->sessions);
}

/* ---- sending ------------------------------------------------------------------------- */

static void send_frame(struct session *se, const Rf__Frame *frame)
{
    struct err err = {0};
    AUTO(buf_free) struct buf bytes = {0};

    if (frame_encode(frame, &bytes, &err) != 0 ||
        stream_send(se->s, bytes.data, bytes.len, &err) != 0)
        log_debug("to agent %s: %s", se->name, err.text);
}

static void refuse(struct session *se, const char *why, bool final)
{
    Rf__Refusal refusal = RF__REFUSAL__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    if (mono_is_set(se->refused_at))
        return;
    refusal.reason = (char *)why;
    refusal.final = final;
    frame.body_case = RF__FRAME__BODY_REFUSAL;
    frame.refusal = &refusal;
    send_frame(se, &frame);
    se->refused_at = mono_now();
    log_at(is_news(se, why) ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
           "agent %s at %s refused: %s", se->name, stream_remote(se->s), why);
}

bool sessions_send(struct agents *a, const char *name,
                   const struct incarnation *incarnation, const uint8_t *data, size_t len)
{
    struct err err = {0};
    bool sent = false;

    for (struct session *se = a->sessions; se != NULL; se = se->next) {
        if (!is_usable(se, name) ||
            (incarnation != NULL && !incarnation_equal(&se->incarnation, incarnation)))
            continue;
        if (stream_send(se->s, data, len, &err) == 0)
            sent = true;
        else
            log_debug("to agent %s: %s", name, err.text);
    }
    return sent;
}

bool sessions_refuse(struct agents *a, const char *name,
                     const struct incarnation *incarnation, const char *why, bool final)
{
    for (struct session *se = a->sessions; se != NULL; se = se->next)
        if (is_usable(se, name) &&
            (incarnation == NULL || incarnation_equal(&se->incarnation, incarnation))) {
            refuse(se, why, final);
            return true;
        }
    return false;
}

/* Of the sessions that sessions_refuse() would take. */
static bool newest_is_on_record(const struct agents *a, const char *name)
{
    const struct agent *r = state_agent(node_state(a->d->node), name);

    for (const struct session *se = a->sessions; r != NULL && se != NULL; se = se->next)
        if (is_usable(se, name))
            return incarnation_equal(&se->incarnation, &r->incarnation);
    return false;
}

static void welcome(struct session *se)
{
    const struct daemon *d = se->a->d;
    struct driver_status status;
    Rf__ControllerWelcome w = RF__CONTROLLER_WELCOME__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    node_status(d->node, &status);
    w.cluster = (char *)d->settings.cluster;
    w.name = (char *)d->settings.name;
    w.leader = (char *)peers_name(d->peers, status.leader_id);
    w.term = status.term;
    w.version = (char *)RF_VERSION;
    frame.body_case = RF__FRAME__BODY_WELCOME;
    frame.welcome = &w;
    if (!mono_is_set(se->welcomed))
        se->welcomed = mono_now();
    send_frame(se, &frame);
}

/* ---- receiving ----------------------------------------------------------------------- */

static void pass_hello(struct session *se, struct mono alive_at)
{
    struct agents *a = se->a;
    AUTO(frame_free) Rf__Frame *f = NULL;

    se->owes_hello = false;
    if (!node_leads(a->d->node))
        peers_forward_up(a->d->peers, se->name, se->hello.data, se->hello.len, alive_at);
    else if (frame_decode(se->hello.data, se->hello.len, &f, NULL) == 0)
        agents_handle(a, se->name, agents_self_route(a), f, alive_at);
}

/* I11, I12: lives have no order of their own, and what a dead one said may be on its way
 * for seconds: the stream of a host that lost its power is open, and a network holds back
 * what it likes. A hello that counted when it comes would put that life in the place of the
 * one that runs by then, which would be refused for ever. So a hello goes to the leader
 * only with the answer to a ping of ours, and is as old as that ping: whoever answers it
 * was alive when it was sent. (Found by tests/sim.) */
static void ask(struct session *se)
{
    Rf__Ping m = RF__PING__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    if (MUTANT(dead_hello, false, true)) {
        pass_hello(se, mono_now());
        return;
    }
    se->owes_hello = true;
    se->asked = mono_now();
    m.seq = ++se->asked_seq;
    m.sent_ns = se->asked.ns;
    frame.body_case = RF__FRAME__BODY_PING;
    frame.ping = &m;
    send_frame(se, &frame);
}

/* At the earliest. What else is said than reports carries its own order: epochs, step and
 * fence numbers, echoed send times. */
static struct mono said_at(const struct session *se, const Rf__Frame *f)
{
    struct mono now = mono_now(), said;
    const Rf__AgentReport *r = f->agent_report;
    struct mono answered;

    if (f->body_case != RF__FRAME__BODY_AGENT_REPORT)
        return now;
    if (relay_answered_at(se->answers, r->answered_seq, &answered))
        said = relay_taken(answered, r->answered_age_ms, 0);
    else
        said = relay_taken(se->welcomed, 0, 0);
    return said.ns < now.ns ? said : now;
}

static void to_leader(struct session *se, const Rf__Frame *f, const uint8_t *data,
                      size_t len)
{
    struct agents *a = se->a;
    struct mono said = said_at(se, f);

    if (node_leads(a->d->node)) {
        agents_handle(a, se->name, agents_self_route(a), f, said);
        return;
    }
    if (f->body_case == RF__FRAME__BODY_AGENT_REPORT)
        agents_observe(a, se->name, f->agent_report, said);
    peers_forward_up(a->d->peers, se->name, data, len, said);
}

static bool is_on_record(const struct session *se)
{
    const struct agent *known = state_agent(node_state(se->a->d->node), se->name);

    return known != NULL && incarnation_equal(&known->incarnation, &se->incarnation);
}

/* A stream closed right behind the refusal could take it along; its peer is given some time
 * to read why. The leader may have found the answer too old, or been another one since: who
 * is not on record yet is asked again. */
void sessions_tick(struct agents *a, struct mono now)
{
    struct session *next;

    for (struct session *se = a->sessions; se != NULL; se = next) {
        next = se->next;
        if (is_usable(se, se->name))
            note_link(a, se->name); /* it was not on record when it came */
        if (mono_is_set(se->refused_at)) {
            if (mono_since_ms(se->refused_at, now) > REFUSED_LINGER_MS)
                drop_session(se);
        } else if (se->greeted && !is_on_record(se) &&
                   mono_since_ms(se->asked, now) >=
                       (se->owes_hello ? ASK_LOST_MS : ASK_AGAIN_MS)) {
            ask(se);
        }
    }
}

static int check_hello(const struct session *se, const Rf__AgentHello *h, struct err *err)
{
    const struct settings *own = &se->a->d->settings;
    const struct format_range formats = entry_formats();
    struct sockaddr_storage sa;
    struct address at = {0};

    if (strcmp(h->cluster, own->cluster) != 0)
        return err_set(err, ERR_PEER,
                       "agent %s is configured for cluster %s, this controller is of %s: "
                       "correct `cluster` in its agent.yaml",
                       se->name, h->cluster, own->cluster);
    if (strcmp(h->name, se->name) != 0)
        return err_set(err, ERR_PEER,
                       "the agent calls itself %s, its certificate is for agent %s: "
                       "correct `name` or `tls` in its agent.yaml",
                       h->name, se->name);
    if (h->format_min > formats.max || h->format_max < formats.min ||
        h->format_min > h->format_max)
        return err_set(err, ERR_UNSUPPORTED,
                       "agent %s knows formats %" PRIu32 " to %" PRIu32
                       ", this controller %" PRIu32 " to %" PRIu32
                       ": upgrade the older one",
                       se->name, h->format_min, h->format_max, formats.min, formats.max);
    if (strlen(h->region) >= NAME_SIZE || strlen(h->version) >= NAME_SIZE ||
        strlen(h->address) >= ADDRESS_SIZE || h->address[0] == '\0')
        return err_set(err, ERR_INVAL,
                       "agent %s: region and version of at most %d bytes and an address of "
                       "1 to %d are expected",
                       se->name, NAME_SIZE - 1, ADDRESS_SIZE - 1);
    (void)snprintf(at.host, sizeof at.host, "%s", h->address);
    /* Gates compare it with packets, standbys and probes dial it: none of them may need a
     * resolver when a region is lost. */
    if (address_numeric(&sa, &at, NULL) != 0)
        return err_set(err, ERR_INVAL,
                       "agent %s: its address '%s' is not a number, like 10.0.1.2 or "
                       "fd00::2: correct `address` in its agent.yaml",
                       se->name, h->address);
    return 0;
}

/* Another life of the name, alive on another stream of ours. */
static bool has_living_twin(const struct session *se, const struct incarnation *incarnation)
{
    struct mono now = mono_now();

    for (const struct session *o = se->a->sessions; o != NULL; o = o->next)
        if (o != se && is_usable(o, se->name) &&
            !incarnation_equal(&o->incarnation, incarnation) &&
            mono_since_ms(o->heard, now) < AGENTS_ALIVE_MS)
            return true;
    return false;
}

/* The same life has connected again: what the old stream still says is old. */
static void drop_older_streams(struct session *se)
{
    struct session *next;

    for (struct session *o = se->a->sessions; o != NULL; o = next) {
        next = o->next;
        if (o != se && is_usable(o, se->name) &&
            incarnation_equal(&o->incarnation, &se->incarnation))
            drop_session(o);
    }
}

static void on_hello(struct session *se, const Rf__Frame *f, const uint8_t *data,
                     size_t len)
{
    struct incarnation incarnation;
    struct err err = {0};

    if (check_hello(se, f->agent_hello, &err) != 0) {
        refuse(se, err.text, true);
        return;
    }
    if (frame_incarnation_get(f->agent_hello->incarnation, &incarnation, &err) != 0 ||
        !incarnation_is_set(&incarnation)) {
        refuse(se, "the agent has no incarnation: update it", true);
        return;
    }
    if (se->greeted && !incarnation_equal(&se->incarnation, &incarnation)) {
        refuse(se, "another incarnation on the same connection: connect anew", false);
        return;
    }
    se->incarnation = incarnation;
    if (has_living_twin(se, &incarnation)) {
        refuse(se,
               "two agents of one name: another one is alive under it; stop one of them, "
               "or give it a name and a certificate of its own",
               false);
        return;
    }
    if (buf_reserve(&se->hello, len, &err) != 0)
        return;
    se->hello.len = 0;
    if (buf_append(&se->hello, data, len, &err) != 0)
        return;
    if (!se->greeted)
        log_info("agent %s has connected from %s", se->name, stream_remote(se->s));
    se->greeted = true;
    drop_older_streams(se);
    note_link(se->a, se->name);
    welcome(se);
    ask(se);
}

static void pong(struct session *se, const Rf__Ping *ping)
{
    Rf__Pong p = RF__PONG__INIT;
    Rf__Frame frame = RF__FRAME__INIT;

    relay_answer(se->answers, ping->seq, mono_now());
    p.seq = ping->seq;
    p.sent_ns = ping->sent_ns;
    frame.body_case = RF__FRAME__BODY_PONG;
    frame.pong = &p;
    send_frame(se, &frame);
}

static void on_good_frame(struct session *se, const Rf__Frame *f, const uint8_t *data,
                          size_t len)
{
    se->heard = mono_now();
    if (mono_is_set(se->refused_at))
        return;
    if (f->body_case == RF__FRAME__BODY_PING) {
        pong(se, f->ping);
        return;
    }
    if (f->body_case == RF__FRAME__BODY_PONG) {
        if (se->owes_hello && f->pong->seq == se->asked_seq)
            pass_hello(se, se->asked);
        return;
    }
    if (f->body_case == RF__FRAME__BODY_AGENT_HELLO) {
        on_hello(se, f, data, len);
        return;
    }
    if (!se->greeted) {
        refuse(se, "the first frame must be agent_hello", true);
        return;
    }
    to_leader(se, f, data, len);
}

static void on_frame(void *owner, const uint8_t *data, size_t len)
{
    struct session *se = owner;
    AUTO(frame_free) Rf__Frame *f = NULL;
    struct err err = {0};

    if (mono_is_set(se->refused_at))
        return;
    if (frame_decode(data, len, &f, &err) != 0) {
        refuse(se, err.text, true);
        return;
    }
    if (!frame_allowed(f, FRAME_AGENT_TO_CONTROLLER)) {
        (void)err_set(&err, ERR_BADMSG, "%s is no frame for an agent to send",
                      frame_name(f));
        refuse(se, err.text, true);
        return;
    }
    on_good_frame(se, f, data, len);
}

static const struct stream_events session_events = {.on_frame = on_frame,
                                                    .on_close = on_close};

void agents_accept(struct agents *a, struct stream *s, const struct identity *peer)
{
    size_t len = strlen(peer->name);
    struct session *se = len < NAME_SIZE ? calloc(1, sizeof *se) : NULL;

    if (se == NULL)
        return; /* not adopted: closed by the listener */
    se->a = a;
    se->s = s;
    memcpy(se->name, peer->name, len + 1);
    se->next = a->sessions;
    a->sessions = se;
    stream_adopt(s, &session_events, se);
}

/* ---- what others want of the streams ---------------------------------------------------
 */

void agents_leader_changed(struct agents *a)
{
    struct session *next;

    for (struct session *se = a->sessions; se != NULL; se = next) {
        next = se->next;
        if (!is_usable(se, se->name))
            continue;
        welcome(se);
        ask(se);
    }
}

void agents_deliver(struct agents *a, const char *agent, const uint8_t *data, size_t len)
{
    AUTO(frame_free) Rf__Frame *f = NULL;
    struct err err = {0};

    if (frame_decode(data, len, &f, &err) != 0 ||
        !frame_allowed(f, FRAME_CONTROLLER_TO_AGENT)) {
        log_warn("the leader sent something for agent %s that is no frame for one: %s",
                 agent, err.text);
        return;
    }
    if (f->body_case == RF__FRAME__BODY_REFUSAL)
        /* It does not say whom of two lives it is for; the one that came last asked last.
         * If that one is on record, it may as well be for the one before it, whose hello
         * was long on the way: then it must not keep the living one away for good (I11). */
        (void)sessions_refuse(a, agent, NULL, f->refusal->reason,
                              f->refusal->final && !newest_is_on_record(a, agent));
    else
        (void)sessions_send(a, agent, NULL, data, len);
}

unsigned agents_connected(const struct agents *a, const char *names[AGENT_MAX])
{
    unsigned n = 0;

    for (const struct session *se = a->sessions; se != NULL && n < AGENT_MAX; se = se->next)
        if (is_usable(se, se->name))
            names[n++] = se->name;
    return n;
}
