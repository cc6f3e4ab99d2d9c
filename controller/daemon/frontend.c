#include "controller/daemon/frontend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#include "controller/base/assert.h"
#include "controller/base/clock.h"
#include "controller/daemon/backfill.h"
#include "controller/base/log.h"
#include "controller/base/problem.h"
#include "controller/daemon/daemon.h"
#include "controller/daemon/fencers.h"
#include "controller/daemon/gateway.h"
#include "controller/daemon/jwks.h"
#include "controller/daemon/lag.h"
#include "controller/daemon/membership.h"
#include "controller/daemon/node.h"
#include "controller/daemon/notices.h"
#include "controller/daemon/peers.h"
#include "controller/daemon/prober.h"
#include "controller/daemon/renewals.h"
#include "controller/daemon/runner.h"
#include "controller/daemon/shipper.h"
#include "controller/http/api.h"
#include "controller/net/tls.h"

/* A controller that was not heard for so long is shown as down. */
enum { UP_MS = 2000, UNDER_WAY = 16 /* entries */ };

struct frontend {
    struct daemon *d;
    struct api *api;
    struct backfill *backfill;
    struct notices *notices;
    struct shipper *shipper; /* NULL: nothing is shipped */
    struct gateway *gateway; /* NULL: nobody comes over the network */
    struct api_backend backend;
    struct secrets_key key; /* of second factors */
    struct jwt *jwt;        /* keys of the OpenID provider; NULL: none */
    struct jwks *jwks;      /* NULL: they are in a file, or there are none */
};

/* ---- facts --------------------------------------------------------------------------- */

/* In parts per million; 0 where the kernel does not tell. */
static int64_t clock_rate_ppm(void)
{
    struct timex t = {0};

    if (adjtimex(&t) < 0)
        return 0;
    /* `freq` has 16 fractional bits; `tick` is microseconds per tick, 10,000 when nobody
     * steers, so that each one more is 100 ppm. */
    return t.freq / 65536 + (t.tick - 10000) * 100;
}

static void fill_controller(const struct daemon *d, uint8_t i,
                            const struct driver_status *status, struct api_controller *c)
{
    const struct settings_controller *own = &d->settings.controllers[i];
    const struct controller *r = state_controller(node_state(d->node), own->id);
    struct peer_facts facts;

    peers_facts(d->peers, i, &facts);
    c->id = own->id;
    (void)snprintf(c->name, sizeof c->name, "%s", own->name);
    (void)snprintf(c->region, sizeof c->region, "%s", own->region);
    (void)snprintf(c->version, sizeof c->version, "%s", r != NULL ? r->version : "");
    (void)snprintf(c->out_error, sizeof c->out_error, "%s", facts.out_error);
    (void)snprintf(c->refused, sizeof c->refused, "%s", facts.refused);
    c->self = i == d->settings.self;
    c->out_up = facts.out_up;
    c->in_up = facts.in_up;
    c->heard_ms = c->self                    ? 0
                  : mono_is_set(facts.heard) ? mono_since_ms(facts.heard, mono_now())
                                             : UINT64_MAX;
    c->up = c->heard_ms < UP_MS;
    c->rtt_us = facts.rtt_us;
    c->rtt_max_us = facts.rtt_max_us;
    c->loop_lag_us = facts.loop_lag_us;
    c->election_ms = r != NULL ? r->election_ms : d->settings.election_ms;
    c->caught_up = c->self;
    c->votes = membership_votes(d, own->id);
    /* For people who wait for it: entries are on their way all the time. */
    for (unsigned k = 0; k < status->n_peers; k++)
        if (status->peers[k].id == own->id)
            c->caught_up =
                status->peers[k].caught_up ||
                (c->up && status->peers[k].match_index + UNDER_WAY >= status->commit_index);
}

/* Each one tells of its own ends; either end is enough to know. */
static void fill_links(const struct daemon *d, struct api_facts *f)
{
    struct peer_link said[CONTROLLER_MAX];

    memset(f->links, 0, sizeof f->links);
    for (uint8_t i = 0; i < d->settings.count; i++) {
        peers_links(d->peers, i, said);
        for (uint8_t k = 0; k < d->settings.count; k++) {
            f->links[i][k].out_known = f->links[k][i].in_known = said[k].known;
            f->links[i][k].out_up = said[k].out_up;
            f->links[i][k].rtt_us = said[k].rtt_us;
            f->links[k][i].in_up = said[k].in_up;
        }
    }
}

static void fill_counts(const struct daemon *d, struct api_facts *f)
{
    struct renewals_stats leases;
    struct prober_stats probes;
    struct lag_stats lag;

    lag_stats(d->lag, &lag);
    f->lag_last_us = lag.last_us;
    f->lag_max_us = lag.max_us;
    f->lag_late = lag.late;
    f->turns = lag.turns;
    f->commits = *node_commits(d->node);
    renewals_stats(d->renewals, &leases);
    f->leases_granted = leases.granted;
    f->leases_refused = leases.refused;
    f->lease_entries = leases.entries;
    prober_stats(d->prober, &probes);
    f->probes_answered = probes.answered;
    f->probes_failed = probes.failed;
    f->probes_dropped = probes.dropped;
    node_stats(d->node, &f->store);
}

static void fill_fencers(const struct daemon *d, struct api_facts *f)
{
    struct fencer_view v;

    f->fencer_count = 0;
    for (unsigned i = 0; i < API_FENCERS_MAX && fencers_at(d->fencers, i, &v); i++)
        f->fencers[f->fencer_count++] = (struct api_fencer){.name = v.name,
                                                            .problem = v.text,
                                                            .known = v.known,
                                                            .ready = v.ready,
                                                            .runs = v.runs,
                                                            .failures = v.failures};
}

static void on_facts(void *owner, struct api_facts *f)
{
    const struct frontend *fe = owner;
    const struct daemon *d = fe->d;
    struct driver_status status;

    node_status(d->node, &status);
    f->cluster = d->settings.cluster;
    f->name = d->settings.name;
    f->data_dir = d->settings.data_dir;
    f->state = node_state(d->node);
    f->seen = node_seen(d->node);
    f->leads = node_leads(d->node);
    f->leader_id = status.leader_id;
    f->term = status.term;
    f->applied = node_applied(d->node);
    f->audit_left_out = node_left_out(d->node) + peers_refused_untold(d->peers);
    f->commit = status.commit_index;
    f->last_index = status.last_index;
    f->age_ms = node_age_ms(d->node);
    f->controller_count = d->settings.count;
    for (uint8_t i = 0; i < d->settings.count; i++)
        fill_controller(d, i, &status, &f->controllers[i]);
    fill_links(d, f);
    f->rtt_ms = peers_rtt_ms(d->peers);
    fill_counts(d, f);
    fill_fencers(d, f);
    f->notice_count = notices_facts(fe->notices, f->notices, API_NOTICES_MAX);
    tls_report(d->tls, &f->tls);
    f->key = &fe->key;
    f->jwt = fe->jwt;
    jwks_facts(fe->jwks, &f->jwt_keys);
    f->has_api = fe->gateway != NULL;
    f->api_port = f->has_api ? gateway_port(fe->gateway) : 0;
    shipper_facts(fe->shipper, &f->ship);
    f->wall_s = (int64_t)(wall_now_ms() / 1000);
    f->clock_rate_ppm = clock_rate_ppm();
}

/* ---- requests ------------------------------------------------------------------------ */

static int on_propose(void *owner, const struct entry *e, api_proposed *done, void *ctx,
                      struct apply_result *ret_refused, struct err *err)
{
    const struct frontend *fe = owner;

    return node_propose(fe->d->node, e, done, ctx, ret_refused, err);
}

static int on_confirm(void *owner, api_confirmed *done, void *ctx, struct err *err)
{
    const struct frontend *fe = owner;

    return node_confirm(fe->d->node, done, ctx, err);
}

static void on_dry(void *owner, const struct entry *e, struct apply_result *ret)
{
    const struct frontend *fe = owner;

    node_dry(fe->d->node, e, ret);
}

static void on_refused(void *owner, const struct actor *who, const char *group,
                       const char *text)
{
    const struct frontend *fe = owner;

    if (node_leads(fe->d->node))
        node_note_refused(fe->d->node, who, group, text);
    else
        peers_tell_refused(fe->d->peers, who, group, text);
}

static void on_want_failover(void *owner, uint8_t group, const struct failover_wish *wish)
{
    const struct frontend *fe = owner;
    struct observed_group *g = &node_seen(fe->d->node)->groups[group];

    g->failover_wanted = wish != NULL;
    g->failover_target = wish != NULL ? wish->target : NO_INSTANCE;
    g->failover_actor = wish != NULL ? wish->actor : (struct actor){0};
    g->failover_key = wish != NULL ? wish->key : (struct request_key){0};
    runner_wake(fe->d->runner);
}

static void on_want_retry(void *owner, uint8_t group)
{
    const struct frontend *fe = owner;

    observe_retry(node_seen(fe->d->node), node_state(fe->d->node), group);
    runner_wake(fe->d->runner);
}

/* api_reply takes void bytes, peers_api_reply octets. */
struct forwarded {
    api_reply *done;
    void *ctx;
};

static void on_reply(void *owner, unsigned status, const uint8_t *body, size_t len)
{
    AUTO(auto_free) struct forwarded *w = owner;

    w->done(w->ctx, status, body, len);
}

static int on_forward(void *owner, const struct api_request *r, api_reply *done, void *ctx,
                      struct err *err)
{
    const struct frontend *fe = owner;
    AUTO(auto_free) struct forwarded *w = malloc(sizeof *w);

    if (w == NULL)
        return err_set(err, ERR_NOMEM, "pass a request on");
    *w = (struct forwarded){done, ctx};
    if (peers_api(fe->d->peers, r, on_reply, w, err) != 0)
        return err->code;
    (void)TAKE(w);
    return 0;
}

static int on_ask(void *owner, unsigned position, const char *path, api_reply *done,
                  void *ctx, struct err *err)
{
    const struct frontend *fe = owner;
    AUTO(auto_free) struct forwarded *w = malloc(sizeof *w);

    if (w == NULL)
        return err_set(err, ERR_NOMEM, "ask another controller");
    *w = (struct forwarded){done, ctx};
    if (peers_ask(fe->d->peers, (uint8_t)position, path, on_reply, w, err) != 0)
        return err->code;
    (void)TAKE(w);
    return 0;
}

static const struct audit_key *on_audit_key(void *owner)
{
    const struct frontend *fe = owner;

    return fe->d->audit_key;
}

static void on_want_keys(void *owner)
{
    const struct frontend *fe = owner;

    jwks_want(fe->jwks);
}

static int on_query_log(void *owner, const struct audit_query *q, store_audit_reply *reply,
                        void *ctx, struct err *err)
{
    const struct frontend *fe = owner;

    return node_query_audit(fe->d->node, q, reply, ctx, err);
}

static bool take_bytes(char *to, size_t size, const ProtobufCBinaryData *from)
{
    to[0] = '\0';
    if (from->len == 0)
        return true; /* there is no `data` */
    if (from->len >= size || memchr(from->data, '\0', from->len) != NULL)
        return false;
    memcpy(to, from->data, from->len);
    to[from->len] = '\0';
    return true;
}

/* False: not as a controller of ours would say it. Which socket it was we know better. */
static bool take_caller(const Rf__Caller *said, const char *via, struct caller *ret)
{
    *ret = (struct caller){.kind = CALLER_SOCKET, .name = "root"};
    (void)snprintf(ret->from, sizeof ret->from, "%s", via);
    if (said == NULL)
        return true;
    if (said->kind >= CALLER_KIND_MAX || strlen(said->name) >= sizeof ret->name ||
        strlen(said->from) >= sizeof ret->from)
        return false;
    ret->kind = (enum caller_kind)said->kind;
    (void)snprintf(ret->name, sizeof ret->name, "%s", said->name);
    if (ret->kind != CALLER_SOCKET)
        (void)snprintf(ret->from, sizeof ret->from, "%s", said->from);
    return take_bytes(ret->bearer, sizeof ret->bearer, &said->bearer) &&
           take_bytes(ret->totp, sizeof ret->totp, &said->totp);
}

static bool take_key(const char *said, struct caller *ret)
{
    if (strlen(said) >= sizeof ret->key)
        return false;
    (void)snprintf(ret->key, sizeof ret->key, "%s", said);
    return true;
}

static void wipe_caller(const Rf__ApiRequest *r, struct caller *c)
{
    caller_wipe(c);
    if (r->caller == NULL)
        return;
    if (r->caller->bearer.len > 0)
        explicit_bzero(r->caller->bearer.data, r->caller->bearer.len);
    if (r->caller->totp.len > 0)
        explicit_bzero(r->caller->totp.data, r->caller->totp.len);
}

static void refuse(api_reply *reply, void *owner, unsigned status, const char *code,
                   const char *detail)
{
    char body[PROBLEM_SIZE];

    reply(owner, status, body, problem_write(body, status, code, detail));
}

void frontend_serve(struct frontend *f, const Rf__ApiRequest *r, const char *via,
                    void (*reply)(void *owner, unsigned status, const void *body,
                                  size_t len),
                    void *owner)
{
    struct caller c;
    const struct api_request request = {r->method,   r->path, r->body.data,
                                        r->body.len, &c,      false};

    if (f == NULL)
        refuse(reply, owner, 503, "no-leader",
               "this controller is starting: nothing was done");
    else if (!take_caller(r->caller, via, &c) || !take_key(r->key, &c))
        refuse(reply, owner, 400, "bad-request",
               "the leader does not know such a caller: it may be of an older version");
    else
        api_serve(f->api, &request, reply, owner);
    wipe_caller(r, &c);
}

void frontend_changed(struct frontend *f)
{
    if (f != NULL)
        api_changed(f->api);
}

/* ---- life ---------------------------------------------------------------------------- */

static void on_guest(void *owner, int fd, const struct door_guest *guest)
{
    const struct frontend *f = owner;

    api_admit(f->api, fd, guest);
}

static void on_turned_away(void *owner, const struct door_guest *guest,
                           enum tls_refusal why)
{
    const struct frontend *f = owner;

    api_turned_away(f->api, guest, why);
}

static int open_gateway(struct frontend *f, const struct settings_api *api, struct err *err)
{
    const struct gateway_spec spec = {.api = api,
                                      .tls = f->d->tls,
                                      .on_guest = on_guest,
                                      .on_turned_away = on_turned_away,
                                      .owner = f};

    if (gateway_open(&f->gateway, f->d->loop, &spec, err) != 0)
        return err->code;
    log_info("the API listens on %s port %u for people with a certificate",
             api->listen.host, gateway_port(f->gateway));
    return 0;
}

/* Neither keeps a controller from leading: who comes with a code, or a JWT, is refused. */
static void read_secrets(struct frontend *f)
{
    const struct settings *s = &f->d->settings;
    struct err err = {0};

    if (settings_read_key(s, &f->key, &err) != 0)
        log_warn("no second factors: %s", err.text);
    if (s->oidc.keys[0] != '\0' && jwt_open(&f->jwt, &s->oidc, &err) != 0)
        log_warn("no JWTs: %s", err.text);
}

static void fetch_keys(struct frontend *f)
{
    const struct jwt_config *oidc = &f->d->settings.oidc;
    const struct jwks_times times = {oidc->refresh_ms, JWKS_AGAIN_MS, JWKS_RETRY_MS};
    struct err err = {0};

    if (f->jwt != NULL && jwt_keys_are_fetched(oidc) &&
        jwks_open(&f->jwks, f->d->loop, f->jwt, oidc, &times, &err) != 0)
        log_warn("no JWTs: %s", err.text);
}

static void frontend_free(struct frontend *f)
{
    jwks_close(f->jwks);
    key_wipe(&f->key);
    jwt_close(f->jwt);
    free(f);
}

int frontend_open(struct frontend **ret_frontend, struct daemon *d, struct err *err)
{
    struct frontend *f = calloc(1, sizeof *f);
    const struct settings *s = &d->settings;
    struct settings_api network = s->api;
    struct api_network guests;
    struct notices_spec notices = {
        .loop = d->loop, .list = s->notify, .count = s->notify_count};
    struct api_listen at = {.socket = s->socket,
                            .metrics_address = s->has_metrics ? s->metrics.host : NULL,
                            .metrics_port = s->metrics.port};

    if (f == NULL)
        return err_set(err, ERR_NOMEM, "API");
    notices.backend = &f->backend;
    f->d = d;
    read_secrets(f);
    f->backend = (struct api_backend){.owner = f,
                                      .facts = on_facts,
                                      .propose = on_propose,
                                      .confirm = on_confirm,
                                      .dry = on_dry,
                                      .note_refused = on_refused,
                                      .want_failover = on_want_failover,
                                      .want_retry = on_want_retry,
                                      .forward = on_forward,
                                      .ask = on_ask,
                                      .want_keys = on_want_keys,
                                      .audit_key = on_audit_key,
                                      .query_log = on_query_log};
    if (s->has_api) {
        network.connections = gateway_room(s->api.connections);
        guests = (struct api_network){network.connections, network.requests_per_s,
                                      network.request_ms, network.idle_ms};
        at.network = &guests;
    }
    if (api_open(&f->api, d->loop, &at, &f->backend, err) != 0) {
        frontend_free(f);
        return err->code;
    }
    if (s->has_api && open_gateway(f, &network, err) != 0) {
        frontend_close(f);
        return err->code;
    }
    if (backfill_open(&f->backfill, d, err) != 0 ||
        notices_open(&f->notices, &notices, err) != 0 ||
        shipper_open(&f->shipper, d, f->api, err) != 0) {
        frontend_close(f);
        return err->code;
    }
    fetch_keys(f);
    *ret_frontend = f;
    return 0;
}

void frontend_close(struct frontend *f)
{
    if (f == NULL)
        return;
    notices_close(f->notices);
    backfill_close(f->backfill);
    gateway_close(f->gateway);
    api_close(f->api);
    shipper_close(f->shipper);
    frontend_free(f);
}
