#include "controller/daemon/daemon.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "controller/audit/keys.h"
#include "controller/base/clock.h"
#include "controller/base/log.h"
#include "controller/daemon/agents.h"
#include "controller/daemon/fencers.h"
#include "controller/daemon/frontend.h"
#include "controller/daemon/lag.h"
#include "controller/daemon/membership.h"
#include "controller/daemon/node.h"
#include "controller/daemon/peers.h"
#include "controller/daemon/prober.h"
#include "controller/daemon/renewals.h"
#include "controller/daemon/runner.h"
#include "controller/net/listener.h"

/* ---- what the log tells the other parts ------------------------------------------------
 */

static void on_send(void *owner, uint64_t to, const uint8_t *data, size_t len)
{
    struct daemon *d = owner;

    if (d->peers != NULL && !d->closing)
        peers_send_raft(d->peers, to, data, len);
}

static void on_applied(void *owner, const struct entry *e, const struct apply_result *r)
{
    struct daemon *d = owner;

    if (d->agents == NULL || d->closing)
        return; /* still opening: agents_applied(NULL) follows */
    if (r == NULL || r->refusal == ACCEPTED)
        agents_applied(d->agents, e);
    if (e != NULL && !node_is_replaying(d->node)) {
        runner_applied(d->runner, e);
        if (e->kind == ENTRY_FALSE_PROOF && r != NULL && r->refusal == ACCEPTED)
            log_error("group %s: ALARM: the proof of %s by %s at index %" PRIu64
                      " did not hold: %s",
                      e->group, e->false_proof.agent, proof_kind_name(e->false_proof.kind),
                      e->false_proof.proof, e->false_proof.text);
    }
    runner_wake(d->runner);
}

static void on_role(void *owner, const struct driver_status *status)
{
    static const char *const names[] = {[ROLE_FOLLOWER] = "follows",
                                        [ROLE_CANDIDATE] = "asks for votes",
                                        [ROLE_LEADER] = "leads"};
    struct daemon *d = owner;

    if (d->agents == NULL || d->closing)
        return;
    log_info("term %llu: this controller %s%s%s%s", (unsigned long long)status->term,
             names[status->role], status->authoritative ? " with its barrier applied" : "",
             status->role == ROLE_FOLLOWER && status->leader_id != 0 ? " " : "",
             status->role == ROLE_FOLLOWER ? peers_name(d->peers, status->leader_id) : "");
    agents_leader_changed(d->agents);
    runner_wake(d->runner);
}

/* I10: what cannot be trusted any more is not used any more. */
static void on_fatal(void *owner, const struct err *err)
{
    struct daemon *d = owner;

    log_error("this controller stops, since its log can no longer be trusted: %s",
              err->text);
    d->exit_code = EXIT_FAIL_STOP;
    d->closing = true;
    uv_stop(d->loop);
}

static void on_kin(void *owner)
{
    struct daemon *d = owner;

    if (d->peers != NULL && !d->closing)
        peers_hello_all(d->peers);
    if (node_is_assembled(d->node) && !d->assembled)
        log_info("this controller takes part: all know whose data directory is whose");
    d->assembled = node_is_assembled(d->node);
}

static void on_members(void *owner)
{
    struct daemon *d = owner;

    if (d->node != NULL && !d->closing)
        membership_follow(d);
}

/* ---- who may connect -------------------------------------------------------------------
 */

static int on_peer(void *owner, const struct identity *peer, struct err *why)
{
    const struct daemon *d = owner;

    if (strlen(peer->name) >= NAME_SIZE)
        return err_set(why, ERR_PEER, "the name %s is longer than %d bytes", peer->name,
                       NAME_SIZE - 1);
    if (peer->role == IDENTITY_AGENT)
        return 0;
    if (peer->role != IDENTITY_CONTROLLER)
        return err_set(why, ERR_PEER, "%s %s is no node", identity_role_name(peer->role),
                       peer->name);
    for (unsigned i = 0; i < d->settings.count; i++)
        if (i != d->settings.self &&
            strcmp(d->settings.controllers[i].name, peer->name) == 0)
            return 0;
    return err_set(why, ERR_PEER,
                   "controller %s is not one of the other controllers in %s's "
                   "configuration: correct `controllers` there, or stop this one",
                   peer->name, d->settings.name);
}

static void on_accept(void *owner, struct stream *s, const struct identity *peer)
{
    struct daemon *d = owner;

    if (peer->role == IDENTITY_AGENT)
        agents_accept(d->agents, s, peer);
    else if (peer->role == IDENTITY_CONTROLLER)
        peers_accept(d->peers, s, peer);
}

/* Garbage may come as often as it likes; one line a second says enough. */
static void on_reject(void *owner, const struct err *why)
{
    static struct mono last;
    struct mono now = mono_now();

    (void)owner;
    if (mono_is_set(last) && mono_since_ms(last, now) < 1000)
        return;
    last = now;
    log_warn("connection refused: %s", why->text);
}

static const struct listener_events listener_events = {
    .on_peer = on_peer, .on_accept = on_accept, .on_reject = on_reject};

/* ---- life ------------------------------------------------------------------------------
 */

static int open_node(struct daemon *d, enum start_mode mode, struct err *err)
{
    const struct settings *s = &d->settings;
    const struct node_events events = {.send = on_send,
                                       .on_applied = on_applied,
                                       .on_role = on_role,
                                       .on_fatal = on_fatal,
                                       .on_kin = on_kin,
                                       .on_members = on_members,
                                       .owner = d};
    struct node_config config = {.cluster = s->cluster,
                                 .name = s->name,
                                 .dir = s->data_dir,
                                 .id = s->controllers[s->self].id,
                                 .voter_count = s->count,
                                 .election_ms = s->election_ms,
                                 .heartbeat_ms = s->heartbeat_ms,
                                 .reserve_bytes = s->disk_reserve,
                                 .bootstrap = mode == START_BOOTSTRAP,
                                 .join = mode == START_JOIN};

    for (unsigned i = 0; i < s->count; i++) {
        config.voters[i].id = s->controllers[i].id;
        (void)snprintf(config.voters[i].name, sizeof config.voters[i].name, "%s",
                       s->controllers[i].name);
    }
    return node_open(&d->node, d->loop, &config, &events, err);
}

static int open_listener(struct daemon *d, struct err *err)
{
    const struct listener_spec spec = {
        .at = &d->settings.listen, .events = &listener_events, .owner = d};

    return listener_open(&d->listener, d->loop, d->tls, &spec, err);
}

/* A failover must not wait for an auditor's key: it starts without one, and says so. */
static void open_audit_key(struct daemon *d)
{
    struct err err = {0};

    if (d->settings.audit_key[0] != '\0' &&
        audit_key_load(&d->audit_key, d->settings.audit_key, &err) != 0)
        log_error("exports of the audit trail cannot be signed: %s", err.text);
}

static int open_parts(struct daemon *d, enum start_mode mode, struct err *err)
{
    const struct tls_files files = {d->settings.ca, d->settings.cert, d->settings.key,
                                    d->settings.crl};
    struct identity self;

    if (identity_make(&self, IDENTITY_CONTROLLER, d->settings.cluster, d->settings.name,
                      err) != 0 ||
        tls_new(&d->tls, &files, &self, err) != 0)
        return err->code;
    open_audit_key(d);
    /* The port before the log: a second process of the same node must not get as far as
     * touching the data directory. */
    if (open_listener(d, err) != 0 || open_node(d, mode, err) != 0 ||
        lag_open(&d->lag, d->loop, err) != 0 || peers_open(&d->peers, d, err) != 0 ||
        renewals_open(&d->renewals, d, err) != 0 || prober_open(&d->prober, d, err) != 0 ||
        agents_open(&d->agents, d, err) != 0 || fencers_open(&d->fencers, d, err) != 0 ||
        runner_open(&d->runner, d, err) != 0 || frontend_open(&d->frontend, d, err) != 0)
        return err->code;
    agents_applied(d->agents, NULL);
    membership_follow(d);
    d->assembled = node_is_assembled(d->node);
    if (!d->assembled && mode == START_JOIN)
        log_info(
            "this controller waits until it is taken in: `ringfence controller replace %s "
            "--id %llu` on a host whose controller runs",
            d->settings.name,
            (unsigned long long)d->settings.controllers[d->settings.self].id);
    else if (!d->assembled)
        log_info("this controller waits until it has seen all others once: so that none of "
                 "them can be taken for another one later that has lost its disk");
    return 0;
}

int daemon_open(struct daemon *d, struct uv_loop_s *loop, const struct settings *settings,
                enum start_mode mode, struct err *err)
{
    *d = (struct daemon){.loop = loop, .settings = *settings};
    if (open_parts(d, mode, err) != 0) {
        daemon_close(d);
        return err->code;
    }
    return 0;
}

/* The order matters: who still owes an answer is closed before who gives it. */
void daemon_close(struct daemon *d)
{
    d->closing = true;
    listener_close(d->listener);
    peers_close(d->peers);
    agents_close(d->agents);
    node_close(d->node);
    renewals_close(d->renewals);
    prober_close(d->prober);
    fencers_close(d->fencers);
    runner_close(d->runner);
    frontend_close(d->frontend);
    lag_close(d->lag);
    tls_free(d->tls);
    audit_key_free(d->audit_key);
    *d = (struct daemon){.loop = d->loop,
                         .settings = d->settings,
                         .exit_code = d->exit_code,
                         .closing = true};
}

void daemon_stop(struct daemon *d)
{
    struct err err = {0};

    if (d->stopping || d->closing)
        return;
    d->stopping = true;
    if (node_leads(d->node) && node_transfer(d->node, 0, &err) != 0)
        log_debug("leadership is not handed over: %s", err.text);
}
