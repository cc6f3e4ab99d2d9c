#include "controller/consensus/driver.h"
#include "controller/base/mutant.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/consensus/driver_internal.h"
#include "proto/envelope.h"

enum { INSTALL_TIMEOUT_FACTOR = 10 }; /* election timeouts until a snapshot is sent again */

/* ---- life ---------------------------------------------------------------------------- */

static int check_voters(const struct driver_config *c, struct err *err)
{
    bool self = false;

    if (c->n_voters == 0)
        return 0; /* it joins */
    if (c->n_voters > CONSENSUS_VOTERS_MAX)
        return err_set(err, ERR_INVAL, "%u voters, 1 to %d are possible", c->n_voters,
                       CONSENSUS_VOTERS_MAX);
    for (unsigned i = 0; i < c->n_voters; i++) {
        const struct voter *v = &c->voters[i];

        if (v->id == 0 || v->name[0] == '\0' ||
            strnlen(v->name, VOTER_NAME_SIZE) == VOTER_NAME_SIZE)
            return err_set(err, ERR_INVAL, "voter %u has no id or no name", i + 1);
        self = self || v->id == c->id;
        for (unsigned k = 0; k < i; k++)
            if (c->voters[k].id == v->id || strcmp(c->voters[k].name, v->name) == 0)
                return err_set(err, ERR_INVAL, "two voters with id %" PRIu64 " or name %s",
                               v->id, v->name);
    }
    if (!self)
        return err_set(err, ERR_INVAL, "this node (id %" PRIu64 ") is not among the voters",
                       c->id);
    return 0;
}

static int check_config(const struct driver_config *c, struct err *err)
{
    if (c->cluster == NULL || c->cluster[0] == '\0' ||
        strlen(c->cluster) >= VOTER_NAME_SIZE)
        return err_set(err, ERR_INVAL, "cluster name of 1 to %d characters expected",
                       VOTER_NAME_SIZE - 1);
    if (c->heartbeat_ms == 0 || c->election_ms < 3 * c->heartbeat_ms ||
        c->election_ms > 60000)
        return err_set(err, ERR_INVAL,
                       "election %" PRIu32 " ms, heartbeat %" PRIu32
                       " ms: an election timeout is 3 heartbeats or more, at most 60 s",
                       c->election_ms, c->heartbeat_ms);
    return check_voters(c, err);
}

static int encode_voters(const struct driver_config *c, struct buf *out, struct err *err)
{
    struct members m = {0};

    for (unsigned i = 0; i < c->n_voters; i++) {
        struct member one = {.id = c->voters[i].id, .votes = true};

        memcpy(one.name, c->voters[i].name, sizeof one.name);
        if (members_add(&m, &one, err) != 0)
            return err->code;
    }
    return members_encode(&m, out, err); /* equal bytes on every node */
}

int driver_bootstrap_entry(const struct driver_config *config, struct buf *out,
                           struct err *err)
{
    struct err local;

    if (err == NULL)
        err = &local;
    if (check_config(config, err) != 0)
        return err->code;
    if (config->n_voters == 0)
        return err_set(err, ERR_INVAL, "no voters");
    return encode_voters(config, out, err);
}

int driver_digest(const struct driver_config *config, uint64_t *ret_digest, struct err *err)
{
    AUTO(buf_free) struct buf all = {0};
    uint8_t hash[ENVELOPE_HASH_SIZE], number[8];
    uint64_t digest = 0;

    for (unsigned i = 0; i < sizeof number; i++)
        number[i] = (uint8_t)(config->incarnation >> (8 * i));
    if (buf_append(&all, number, sizeof number, err) != 0 ||
        buf_append(&all, config->cluster, strlen(config->cluster) + 1, err) != 0 ||
        encode_voters(config, &all, err) != 0)
        return err->code;
    envelope_hash(all.data, all.len, hash);
    for (unsigned i = 0; i < sizeof digest; i++)
        digest = digest << 8 | hash[i];
    *ret_digest = digest;
    return 0;
}

static int open_engine(struct driver *d, struct err *err)
{
    if (raft_init(&d->raft, NULL, NULL, d->config.id, "self") != 0)
        return err_set(err, ERR_NOMEM, "raft engine");
    d->raft_open = true;
    d->raft.tracer = NULL;
    raft_seed(&d->raft, d->config.seed);
    raft_set_pre_vote(&d->raft, true);
    raft_set_election_timeout(&d->raft, d->config.election_ms);
    raft_set_heartbeat_timeout(&d->raft, d->config.heartbeat_ms);
    raft_set_install_snapshot_timeout(&d->raft,
                                      INSTALL_TIMEOUT_FACTOR * d->config.election_ms);
    raft_set_max_inflight_entries(&d->raft, CONSENSUS_BATCH_MAX);
    raft_set_capacity_threshold(&d->raft, 0); /* disk space is the store's business */
    return 0;
}

void driver_free(struct driver *d)
{
    if (d == NULL)
        return;
    if (d->raft_open)
        raft_close(&d->raft, NULL);
    dlog_free(&d->log);
    stored_snapshot_free(&d->snapshot);
    stored_snapshot_free(&d->coming);
    buf_free(&d->decided);
    free(d->writes);
    free(d);
}

void driver_drop(struct driver **d) { driver_free(*d); }

int driver_new(struct driver **ret_driver, const struct driver_config *config,
               struct err *err)
{
    AUTO(driver_drop) struct driver *d = NULL;
    struct err local;

    if (err == NULL)
        err = &local;
    if (check_config(config, err) != 0)
        return err->code;
    d = calloc(1, sizeof *d);
    if (d == NULL)
        return err_set(err, ERR_NOMEM, "raft driver");
    d->config = *config;
    memcpy(d->cluster, config->cluster, strlen(config->cluster) + 1);
    d->config.cluster = d->cluster;
    d->digest = config->digest;
    dlog_reset(&d->log, 1, NULL);
    if (config->digest == 0 && config->n_voters != 0 &&
        driver_digest(config, &d->digest, err) != 0)
        return err->code;
    d->config.voters = NULL; /* the caller's */
    if (open_engine(d, err) != 0)
        return err->code;
    *ret_driver = TAKE(d);
    return 0;
}

void driver_know_store(struct driver *d, uint64_t id, uint64_t store)
{
    driver_slot(d, id)->store = store;
}

void driver_set_digest(struct driver *d, uint64_t digest) { d->digest = digest; }

uint64_t driver_cluster_digest(const struct driver *d) { return d->digest; }

bool driver_error_is_fatal(int code)
{
    return code != 0 && code != ERR_NOTLEADER && code != ERR_INVAL && code != ERR_BADMSG &&
           code != ERR_BUSY && code != ERR_NOTFOUND && code != ERR_FULL &&
           code != ERR_CONFLICT;
}

/* ---- what it knows ------------------------------------------------------------------- */

bool driver_is_authoritative(const struct driver *d)
{
    return d->started && !d->failed && d->role.role == ROLE_LEADER &&
           MUTANT(acts_before_barrier,
                  d->own_term_index != 0 && d->applied_index >= d->own_term_index, true);
}

static void peer_status(const struct driver *d, const struct member *m,
                        struct driver_peer *ret)
{
    const struct slot *slot = driver_slot_of(d, m->id);
    raft_index match = 0;

    *ret = (struct driver_peer){
        .id = m->id, .votes = m->votes, .contact_ms = slot != NULL ? slot->contact : 0};
    if (raft_match_index(&d->raft, ret->id, &match) != 0)
        return;
    ret->match_index = match;
    ret->caught_up = driver_peer_caught_up(d, m->id);
}

const struct members *driver_members(const struct driver *d, bool *ret_committed)
{
    *ret_committed = d->members_uncommitted == 0;
    return &d->members;
}

/* A majority by itself, at any time. */
static bool is_alone(const struct driver *d)
{
    unsigned voters = 0;

    for (unsigned i = 0; i < d->members.n; i++)
        voters += d->members.list[i].votes;
    return voters < 2;
}

void driver_status(const struct driver *d, struct driver_status *ret_status)
{
    struct driver_status *s = ret_status;

    *s = (struct driver_status){.role = d->role.role,
                                .leader_id = d->role.leader_id,
                                .term = raft_current_term(&d->raft),
                                .first_index = d->log.first,
                                .last_index = dlog_last(&d->log),
                                .stored_index = d->raft.last_stored,
                                .commit_index = raft_commit_index(&d->raft),
                                .applied_index = d->applied_index,
                                .snapshot_index = d->snapshot.index,
                                .transferee = raft_transferee(&d->raft),
                                .authoritative = driver_is_authoritative(d)};
    s->current_ms = d->role.role == ROLE_LEADER && is_alone(d) ? d->now : d->current_at;
    /* The engine may lower it for a moment when an old heartbeat arrives late. */
    if (s->commit_index < d->ordered_index)
        s->commit_index = d->ordered_index;
    memcpy(s->chain, d->ordered_chain, CHAIN_SIZE);
    for (unsigned i = 0; i < d->members.n && d->role.role == ROLE_LEADER; i++)
        if (d->members.list[i].id != d->config.id)
            peer_status(d, &d->members.list[i], &s->peers[s->n_peers++]);
}
