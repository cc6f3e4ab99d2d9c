#include "tests/unit/consensus/sim_node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"

enum { TRAILING = 8 };

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * UINT64_C(1099511628211);
    return hash;
}

static void copy_entry(struct sim_entry *to, const struct consensus_entry *e)
{
    *to = (struct sim_entry){e->term, e->kind, malloc(e->len + 1), e->len};
    ASSERT(to->data != NULL);
    memcpy(to->data, e->data, e->len);
}

uint64_t node_id(const struct sim_node *n)
{
    return n->position + 1 + (uint64_t)n->generation * SIM_NODES;
}

static void config_of(const struct sim_node *n, struct driver_config *ret,
                      struct voter voters[SIM_NODES])
{
    for (unsigned i = 0; i < SIM_NODES; i++) {
        voters[i].id = i + 1;
        snprintf(voters[i].name, sizeof voters[i].name, "node%u", i + 1);
    }
    *ret = (struct driver_config){.id = node_id(n),
                                  .cluster = "sim",
                                  .incarnation = 1,
                                  .voters = voters,
                                  .n_voters = n->generation != 0 ? 0 : SIM_NODES,
                                  .digest = n->sim->digest,
                                  .store = 1000 * node_id(n),
                                  .election_ms = 300,
                                  .heartbeat_ms = 50,
                                  .trailing = TRAILING,
                                  .seed = sim_random(n->sim, 1u << 31),
                                  .without_filter = n->sim->config.without_filter};
}

void node_bootstrap(struct sim_node *n)
{
    struct voter voters[SIM_NODES] = {0};
    struct driver_config config;
    struct buf entry = {0};

    config_of(n, &config, voters);
    if (driver_bootstrap_entry(&config, &entry, NULL) != 0)
        abort();
    n->disk.term = n->disk.first = n->disk.last = 1;
    copy_entry(&n->disk.log[1],
               &(struct consensus_entry){1, ENTRY_VOTERS, entry.data, entry.len});
    buf_free(&entry);
    n->ops_tail = &n->ops;
    n->held_tail = &n->held;
}

/* ---- the disk ------------------------------------------------------------------------ */

static void disk_cut_behind(struct sim_disk *d, uint64_t first)
{
    while (d->last >= first && d->last >= d->first) {
        free(d->log[d->last].data);
        d->log[d->last--] = (struct sim_entry){0};
    }
}

static void disk_write_entries(struct sim_node *n, struct sim_op *o)
{
    struct sim_disk *d = &n->disk;

    if (o->first > d->last + 1)
        sim_fail(n->sim, "disk of %u: gap %" PRIu64 " behind %" PRIu64, n->position + 1,
                 o->first, d->last);
    disk_cut_behind(d, o->first);
    d->last = o->first - 1;
    for (size_t i = 0; i < o->n; i++) {
        d->log[++d->last] = o->entries[i];
        o->entries[i].data = NULL;
    }
}

static void disk_write_snapshot(struct sim_disk *d, struct sim_op *o)
{
    buf_free(&d->snapshot);
    d->snapshot = o->snapshot;
    o->snapshot = (struct buf){0};
    d->snapshot_index = o->vote;
    d->snapshot_term = o->term;
    if (o->discard) {
        disk_cut_behind(d, d->first);
        d->first = o->first;
        d->last = o->first - 1;
    }
    for (; d->first < o->first && d->first <= d->last; d->first++) {
        free(d->log[d->first].data);
        d->log[d->first] = (struct sim_entry){0};
    }
}

static void disk_do(struct sim_node *n, struct sim_op *o)
{
    if (o->kind == ORDER_STORE_VOTE && !n->sim->config.lose_votes) {
        n->disk.term = o->term;
        n->disk.vote = o->vote;
    }
    if (o->kind == ORDER_STORE_ENTRIES)
        disk_write_entries(n, o);
    if (o->kind == ORDER_STORE_SNAPSHOT)
        disk_write_snapshot(&n->disk, o);
}

static void op_free(struct sim_op *o)
{
    for (size_t i = 0; i < o->n; i++)
        free(o->entries[i].data);
    free(o->entries);
    buf_free(&o->snapshot);
    free(o);
}

static struct sim_op *op_new(struct sim_node *n, const struct order *order)
{
    struct sim_op *o = calloc(1, sizeof *o);
    struct sim *s = n->sim;

    ASSERT(o != NULL);
    o->kind = order->kind;
    o->due = s->now + 1 + sim_random(s, 10);
    if (sim_random(s, 100) < 3)
        o->due += sim_random(s, 800);
    if (n->ops != NULL && o->due < CONTAINER_OF(n->ops_tail, struct sim_op, next)->due)
        o->due = CONTAINER_OF(n->ops_tail, struct sim_op, next)->due;
    *n->ops_tail = o;
    n->ops_tail = &o->next;
    return o;
}

static void queue_entries(struct sim_node *n, const struct order *order)
{
    const struct order_store_entries *e = &order->store_entries;
    struct sim_op *o = op_new(n, order);

    o->seq = e->seq;
    o->first = e->first_index;
    o->n = e->n;
    o->entries = calloc(e->n, sizeof *o->entries);
    ASSERT(o->entries != NULL);
    for (size_t i = 0; i < e->n; i++)
        copy_entry(&o->entries[i], &e->entries[i]);
}

static void queue_snapshot(struct sim_node *n, const struct order *order)
{
    const struct order_store_snapshot *s = &order->store_snapshot;
    struct sim_op *o = op_new(n, order);

    o->seq = s->seq;
    o->first = s->keep_from;
    o->discard = s->discard_log;
    o->vote = s->index;
    o->term = s->term;
    if (buf_append(&o->snapshot, s->data, s->len, NULL) != 0)
        abort();
    if (s->discard_log)
        n->sim->result->installs++;
}

static void queue_vote(struct sim_node *n, const struct order *order)
{
    struct sim_op *o = op_new(n, order);

    o->seq = n->vote_seq = order->store_vote.seq;
    o->term = order->store_vote.term;
    o->vote = order->store_vote.vote;
}

/* ---- sending ------------------------------------------------------------------------- */

static void release_held(struct sim_node *n)
{
    while (n->held != NULL && n->held->needs_vote <= n->done_seq) {
        struct sim_packet *p = n->held;

        n->held = p->next;
        if (n->held == NULL)
            n->held_tail = &n->held;
        p->next = NULL;
        sim_deliver_later(n->sim, p);
    }
}

static void hold(struct sim_node *n, const struct order_send *send)
{
    struct sim_packet *p = calloc(1, sizeof *p);

    ASSERT(p != NULL);
    p->from = n->position;
    p->to = (unsigned)(send->to - 1) % SIM_NODES;
    p->needs_vote = n->sim->config.lose_votes ? 0 : n->vote_seq;
    if (buf_append(&p->bytes, send->data, send->len, NULL) != 0)
        abort();
    *n->held_tail = p;
    n->held_tail = &p->next;
}

/* ---- application and checks ---------------------------------------------------------- */

static void check_leader(struct sim_node *n, const struct order_role *role)
{
    struct sim *s = n->sim;

    if (role->role != ROLE_LEADER)
        return;
    if (s->leader_of[role->term % SIM_TERM_MAX] == 0)
        s->result->elections++;
    else if (s->leader_of[role->term % SIM_TERM_MAX] != node_id(n))
        sim_fail(s, "two leaders in term %" PRIu64, role->term);
    s->leader_of[role->term % SIM_TERM_MAX] = node_id(n);
}

void node_answer(struct sim_node *n, uint64_t floor)
{
    n->sim->result->reads++;
    if (n->applied < floor)
        sim_fail(n->sim,
                 "node %u answers a read as of %" PRIu64 ", and %" PRIu64
                 " was committed before it came",
                 n->position + 1, n->applied, floor);
}

/* One whose barrier was replaced by another leader's entry is never answered. */
static void answer_reads(struct sim_node *n, uint64_t index, uint64_t term)
{
    while (n->n_reads > 0 && n->reads[0].index <= index) {
        struct sim_read r = n->reads[0];

        memmove(n->reads, n->reads + 1, --n->n_reads * sizeof r);
        if (r.index == index && r.term == term)
            node_answer(n, r.floor);
    }
}

static void apply(struct sim_node *n, const struct order_apply *a)
{
    struct sim *s = n->sim;
    uint64_t hash = mix(mix(a->term, a->chain, CHAIN_SIZE), a->body, a->len);

    if (a->index != n->applied + 1 || a->index >= SIM_LOG_MAX) {
        sim_fail(s, "node %u applies %" PRIu64 " after %" PRIu64, n->position + 1, a->index,
                 n->applied);
        return;
    }
    if (s->agreed_term[a->index] == 0) {
        s->agreed_term[a->index] = a->term;
        s->agreed_hash[a->index] = hash;
        s->committed = a->index > s->committed ? a->index : s->committed;
    } else if (s->agreed_term[a->index] != a->term || s->agreed_hash[a->index] != hash) {
        sim_fail(s, "node %u applies another entry at %" PRIu64, n->position + 1, a->index);
    }
    n->hash = mix(n->hash, &hash, sizeof hash);
    n->applied = a->index;
    n->since_snapshot++;
    driver_applied(n->driver, a->index);
    answer_reads(n, a->index, a->term);
}

static void restore(struct sim_node *n, const struct order_restore *r)
{
    if (r->len != sizeof n->hash)
        sim_fail(n->sim, "snapshot of %zu bytes", r->len);
    else
        memcpy(&n->hash, r->body, sizeof n->hash);
    n->applied = r->index;
    n->since_snapshot = 0;
    driver_applied(n->driver, r->index);
    answer_reads(n, r->index, 0);
}

static void carry_out_one(struct sim_node *n, const struct order *o)
{
    switch (o->kind) {
    case ORDER_STORE_VOTE:
        queue_vote(n, o);
        break;
    case ORDER_STORE_ENTRIES:
        queue_entries(n, o);
        break;
    case ORDER_STORE_SNAPSHOT:
        queue_snapshot(n, o);
        break;
    case ORDER_SEND:
        hold(n, &o->send);
        break;
    case ORDER_RESTORE:
        restore(n, &o->restore);
        break;
    case ORDER_APPLY:
        apply(n, &o->apply);
        break;
    case ORDER_ROLE:
        check_leader(n, &o->role);
        break;
    }
}

static void acknowledge_early(struct sim_node *n, uint64_t seq)
{
    struct err err;
    int status = driver_persisted(n->driver, n->sim->now, seq, &n->orders, &err);

    node_carry_out(n, status, &err);
}

void node_carry_out(struct sim_node *n, int status, const struct err *err)
{
    uint64_t early = 0;

    if (driver_error_is_fatal(status) || status == ERR_BADMSG || status == ERR_CONFLICT)
        sim_fail(n->sim, "node %u: %s: %s", n->position + 1, err_name(status), err->text);
    if (status != 0)
        return;
    for (size_t i = 0; i < n->orders.n; i++) {
        carry_out_one(n, &n->orders.list[i]);
        if (n->orders.list[i].kind == ORDER_STORE_ENTRIES && n->sim->config.ack_early)
            early = n->orders.list[i].store_entries.seq;
    }
    release_held(n);
    if (early != 0)
        acknowledge_early(n, early);
}

static void take_snapshot(struct sim_node *n)
{
    struct driver_proposal state = {(const uint8_t *)&n->hash, sizeof n->hash, n->sim->now};
    struct err err;
    int status = driver_snapshot_taken(n->driver, n->sim->now, &state, &n->orders, &err);

    if (status == ERR_BUSY)
        return;
    n->since_snapshot = 0;
    node_carry_out(n, status, &err);
}

/* ---- life ---------------------------------------------------------------------------- */

void node_start(struct sim_node *n)
{
    struct sim_disk *d = &n->disk;
    struct voter voters[SIM_NODES] = {0};
    struct driver_config config;
    struct driver_state state = {.term = d->term,
                                 .vote = d->vote,
                                 .snapshot_index = d->snapshot_index,
                                 .snapshot_term = d->snapshot_term,
                                 .snapshot = d->snapshot.data,
                                 .snapshot_len = d->snapshot.len,
                                 .first_index = d->first,
                                 .n_entries = d->last + 1 - d->first};
    struct consensus_entry *entries = calloc(state.n_entries + 1, sizeof *entries);
    struct err err;

    ASSERT(entries != NULL);
    for (size_t i = 0; i < state.n_entries; i++) {
        const struct sim_entry *e = &d->log[d->first + i];

        entries[i] = (struct consensus_entry){e->term, e->kind, e->data, e->len};
    }
    state.entries = entries;
    config_of(n, &config, voters);
    if (driver_new(&n->driver, &config, &err) != 0)
        abort();
    n->sim->digest = driver_cluster_digest(n->driver);
    for (unsigned i = 0; i < SIM_NODES; i++)
        driver_know_store(n->driver, i + 1, 1000 * (i + 1));
    n->up = true;
    n->applied = n->vote_seq = n->done_seq = n->since_snapshot = 0;
    n->hash = 17;
    node_carry_out(n, driver_start(n->driver, n->sim->now, &state, &n->orders, &err), &err);
    free(entries);
}

/* Some of the queued operations reach the disk in order, the last of them perhaps in part
 * (a transaction is whole in the store; the driver must not depend on it). */
void node_crash(struct sim_node *n)
{
    bool keep = true;

    while (n->ops != NULL) {
        struct sim_op *o = n->ops;

        n->ops = o->next;
        keep = keep && sim_random(n->sim, 2) != 0;
        if (keep)
            disk_do(n, o);
        op_free(o);
    }
    n->ops_tail = &n->ops;
    while (n->held != NULL) {
        struct sim_packet *p = n->held;

        n->held = p->next;
        buf_free(&p->bytes);
        free(p);
    }
    n->held_tail = &n->held;
    driver_free(n->driver);
    n->driver = NULL;
    n->up = false;
}

void node_lose_disk(struct sim_node *n)
{
    struct sim_disk *d = &n->disk;

    node_crash(n);
    disk_cut_behind(d, d->first);
    buf_free(&d->snapshot);
    d->term = d->first = 1;
    d->vote = d->last = d->snapshot_index = d->snapshot_term = 0;
    n->generation++;
}

/* ---- members ------------------------------------------------------------------------- */

bool node_votes(const struct sim_node *n)
{
    bool decided;
    const struct members *m = driver_members(n->driver, &decided);
    const struct member *self = members_find(m, node_id(n));

    return decided && self != NULL && self->votes;
}

static bool has_caught_up(const struct driver_status *st, uint64_t id)
{
    for (unsigned i = 0; i < st->n_peers; i++)
        if (st->peers[i].id == id)
            return st->peers[i].match_index >= st->commit_index;
    return false;
}

static bool next_list(const struct sim_node *n, struct members *m)
{
    struct driver_status st;

    driver_status(n->driver, &st);
    for (unsigned i = 0; i < SIM_NODES; i++) {
        uint64_t id = node_id(&n->sim->node[i]);
        struct member one = {.id = id, .store = 1000 * id, .address = "10.0.0.1:7400"};
        const struct member *there;

        snprintf(one.name, sizeof one.name, "node%u", i + 1);
        there = members_named(m, one.name);
        if (there == NULL)
            return members_add(m, &one, NULL) == 0;
        if (there->id != id) {
            members_remove(m, there->id);
            return true;
        }
        if (!there->votes && has_caught_up(&st, id)) {
            m->list[there - m->list].votes = true;
            return true;
        }
    }
    return false;
}

void node_reconcile(struct sim_node *n)
{
    bool decided;
    struct members m = *driver_members(n->driver, &decided);
    uint64_t at[2];
    struct err err;

    if (!decided || !driver_is_authoritative(n->driver) || !next_list(n, &m))
        return;
    node_carry_out(n, driver_change(n->driver, n->sim->now, &m, &n->orders, at, &err),
                   &err);
}

void node_free(struct sim_node *n)
{
    if (n->up)
        node_crash(n);
    orders_free(&n->orders);
    disk_cut_behind(&n->disk, n->disk.first);
    buf_free(&n->disk.snapshot);
}

/* ---- inputs -------------------------------------------------------------------------- */

void node_run_disk(struct sim_node *n)
{
    uint64_t seq = 0;
    struct err err;

    while (n->ops != NULL && n->ops->due <= n->sim->now) {
        struct sim_op *o = n->ops;

        n->ops = o->next;
        if (n->ops == NULL)
            n->ops_tail = &n->ops;
        disk_do(n, o);
        seq = o->seq;
        op_free(o);
        if (sim_random(n->sim, 2) != 0)
            break; /* the others share the next report */
    }
    if (seq == 0)
        return;
    n->done_seq = seq;
    release_held(n);
    node_carry_out(n, driver_persisted(n->driver, n->sim->now, seq, &n->orders, &err),
                   &err);
}

void node_tick(struct sim_node *n)
{
    struct err err;

    if (driver_timeout_ms(n->driver) <= n->sim->now)
        node_carry_out(n, driver_tick(n->driver, n->sim->now, &n->orders, &err), &err);
    if (n->sim->config.snapshot_every != 0 &&
        n->since_snapshot >= n->sim->config.snapshot_every)
        take_snapshot(n);
}

void node_receive(struct sim_node *n, const struct sim_packet *p)
{
    struct consensus_msg msg = {0};
    struct err err;
    int status = consensus_msg_decode(p->bytes.data, p->bytes.len, &msg, &err);

    if (status == 0 && msg.to != node_id(n)) {
        consensus_msg_free(&msg); /* to the one that was here before */
        return;
    }
    if (status == 0)
        status = driver_receive(n->driver, n->sim->now, &msg, &n->orders, &err);
    else
        sim_fail(n->sim, "decode: %s", err.text);
    node_carry_out(n, status, &err);
    consensus_msg_free(&msg);
}

void node_submit(struct sim_node *n)
{
    uint8_t body[100] = {0};
    uint64_t at[2] = {0}, value = ++n->sim->next_value;
    struct driver_proposal p = {body, 8 + sim_random(n->sim, 90), n->sim->now};
    struct driver_status st;
    struct err err;
    int status;

    memcpy(body, &value, sizeof value);
    driver_status(n->driver, &st);
    if (st.role != ROLE_LEADER)
        return;
    status = driver_submit(n->driver, n->sim->now, &p, &n->orders, at, &err);
    node_carry_out(n, status, &err);
    if (status == 0 && at[0] != st.last_index + 1)
        sim_fail(n->sim, "submitted at %" PRIu64 " after %" PRIu64, at[0], st.last_index);
}

void node_transfer(struct sim_node *n)
{
    struct err err;
    int status = driver_transfer(n->driver, n->sim->now, 0, &n->orders, &err);

    node_carry_out(n, status, &err);
    n->sim->result->transfers += status == 0;
}
