/* One event through raft_step(), and what it asks for as orders.
 *
 * The order is the safety argument: a vote that was not synced may be given twice, an entry
 * acknowledged before it was stored may vanish with a majority's consent (I7). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/consensus/driver_internal.h"
#include "proto/envelope.h"

const struct slot *driver_slot_of(const struct driver *d, uint64_t id)
{
    for (unsigned i = 0; i < CONSENSUS_VOTERS_MAX; i++)
        if (d->slots[i].id == id)
            return &d->slots[i];
    return NULL;
}

/* There are as many as members can be: where all are taken, one is of nobody who is left.
 */
struct slot *driver_slot(struct driver *d, uint64_t id)
{
    unsigned at = 0;

    for (unsigned i = CONSENSUS_VOTERS_MAX; i-- > 0;) {
        if (d->slots[i].id == id)
            return &d->slots[i];
        if (members_find(&d->members, d->slots[i].id) == NULL)
            at = i;
    }
    d->slots[at] = (struct slot){.id = id};
    return &d->slots[at];
}

void stored_snapshot_free(struct stored_snapshot *s)
{
    buf_free(&s->sealed);
    buf_free(&s->members);
    *s = (struct stored_snapshot){0};
}

int stored_snapshot_take(struct stored_snapshot *s, const struct snapshot_envelope *e,
                         struct err *err)
{
    struct members m;

    s->index = e->index;
    s->term = e->term;
    s->members_index = e->members_index;
    memcpy(s->chain, e->chain, CHAIN_SIZE);
    if (e->members_index == 0 || e->members_index > e->index)
        return err_set(err, ERR_BADMSG, "snapshot of %" PRIu64 " with members of %" PRIu64,
                       e->index, e->members_index);
    if (members_decode(e->members, e->members_len, &m, err) != 0)
        return err->code;
    return buf_append(&s->members, e->members, e->members_len, err);
}

int driver_configuration(const struct buf *list, struct raft_configuration *ret,
                         struct err *err)
{
    struct raft_buffer bytes = {list->data, list->len};

    if (raft_configuration_decode(&bytes, ret) != 0)
        return err_set(err, ERR_NOMEM, "list of members");
    return 0;
}

int driver_follow_members(struct driver *d, struct err *err)
{
    const struct raft *r = &d->raft;
    struct members m = {0};

    if (d->members_at == r->configuration.servers && d->members.n == r->configuration.n &&
        d->members_committed == r->configuration_committed_index &&
        d->members_uncommitted == r->configuration_uncommitted_index)
        return 0;
    for (unsigned i = 0; i < r->configuration.n; i++) {
        const struct raft_server *server = &r->configuration.servers[i];
        struct member one;

        if (!members_read(server->id, server->address, server->role == RAFT_VOTER, &one) ||
            members_add(&m, &one, err) != 0)
            return err_set(err, ERR_CORRUPT, "list of members: %s", server->address);
    }
    d->members = m;
    d->members_at = r->configuration.servers;
    d->members_committed = r->configuration_committed_index;
    d->members_uncommitted = r->configuration_uncommitted_index;
    return 0;
}

/* Only these come back to callers; each other code of the engine is our death. */
static int from_raft(struct driver *d, int code, struct err *err)
{
    switch (code) {
    case RAFT_NOTLEADER:
        return err_set(err, ERR_NOTLEADER, "not the leader");
    case RAFT_BADID:
    case RAFT_NOTFOUND:
        return err_set(err, ERR_NOTFOUND, "not another voter");
    case RAFT_NOMEM:
        return err_set(err, ERR_NOMEM, "raft engine");
    case RAFT_SHUTDOWN:
        return err_set(
            err, ERR_CORRUPT,
            "the leader's log contradicts an entry that was committed here: this "
            "node's or the leader's data is damaged; keep both directories, "
            "compare them, replace the damaged node by one with a new id");
    default:
        return err_set(err, ERR_CORRUPT, "raft engine: %s (%s)", raft_strerror(code),
                       raft_errmsg(&d->raft));
    }
}

int driver_order_write(struct driver *d, const struct write *w, const struct order *order,
                       struct err *err)
{
    if (d->n_writes == d->cap_writes) {
        size_t cap = d->cap_writes != 0 ? 2 * d->cap_writes : 64;
        void *writes = reallocarray(d->writes, cap, sizeof *d->writes);

        if (writes == NULL)
            return err_set(err, ERR_NOMEM, "%zu queued writes", cap);
        d->writes = writes;
        d->cap_writes = cap;
    }
    d->writes[d->n_writes++] = *w;
    return orders_add(d->out, order, err);
}

static int order_vote(struct driver *d, struct err *err)
{
    struct write w = {.seq = ++d->last_seq, .kind = WRITE_VOTE, .epoch = d->log_epoch};
    struct order o = {
        .kind = ORDER_STORE_VOTE,
        .store_vote = {w.seq, raft_current_term(&d->raft), raft_voted_for(&d->raft)}};

    return driver_order_write(d, &w, &o, err);
}

/* ---- entries ------------------------------------------------------------------------- */

static int copy_entries(struct driver *d, const struct raft_update *u, struct err *err)
{
    for (unsigned i = 0; i < u->entries.n; i++) {
        const struct raft_entry *e = &u->entries.batch[i];
        struct consensus_entry ours = {e->term, (enum consensus_entry_kind)e->type,
                                       e->buf.base, e->buf.len};

        if (dlog_append(&d->log, &ours, err) != 0)
            return err->code;
    }
    return 0;
}

static int order_entries(struct driver *d, const struct raft_update *u, struct err *err)
{
    uint64_t first = u->entries.index;
    struct write w = {.seq = ++d->last_seq,
                      .kind = WRITE_ENTRIES,
                      .epoch = d->log_epoch,
                      .first = first,
                      .last = first + u->entries.n - 1,
                      .last_term = u->entries.batch[u->entries.n - 1].term};
    struct order o = {.kind = ORDER_STORE_ENTRIES};
    struct consensus_entry *list;

    if (first <= d->ordered_index || first > dlog_last(&d->log) + 1)
        return err_set(err, ERR_CORRUPT,
                       "entries from %" PRIu64 ", applied %" PRIu64 ", last %" PRIu64,
                       first, d->ordered_index, dlog_last(&d->log));
    dlog_truncate(&d->log, first);
    if (copy_entries(d, u, err) != 0)
        return err->code;
    /* The array moves when the log grows, the bytes do not: the order gets its own array.
     */
    list = calloc(u->entries.n, sizeof *list);
    if (list == NULL)
        return err_set(err, ERR_NOMEM, "%u entries", u->entries.n);
    memcpy(list, dlog_get(&d->log, first), u->entries.n * sizeof *list);
    if (orders_own(d->out, list, err) != 0)
        return err->code;
    o.store_entries = (struct order_store_entries){w.seq, first, list, u->entries.n};
    return driver_order_write(d, &w, &o, err);
}

/* ---- a snapshot from the leader ------------------------------------------------------ */

static int order_install(struct driver *d, struct err *err)
{
    const struct cmsg_install_snapshot *s = &d->incoming->install_snapshot;
    struct snapshot_envelope e;
    struct write w = {.seq = ++d->last_seq, .kind = WRITE_INSTALL};
    struct order o = {.kind = ORDER_STORE_SNAPSHOT};

    if (snapshot_open(s->data, s->len, &e, err) != 0)
        return err_wrap(err, "snapshot");
    stored_snapshot_free(&d->coming); /* one of our own that was not stored yet is older */
    d->taking = false;
    d->installing = true;
    if (stored_snapshot_take(&d->coming, &e, err) != 0 ||
        buf_append(&d->coming.sealed, s->data, s->len, err) != 0)
        return err_wrap(err, "snapshot");
    w.epoch = ++d->log_epoch;
    dlog_reset(&d->log, s->last_index + 1, e.chain);
    o.store_snapshot = (struct order_store_snapshot){
        w.seq,  s->last_index, s->last_term,     d->coming.sealed.data,
        s->len, true,          s->last_index + 1};
    return driver_order_write(d, &w, &o, err);
}

int driver_order_restore(struct driver *d, struct err *err)
{
    struct snapshot_envelope e;
    struct order o = {.kind = ORDER_RESTORE};

    if (snapshot_open(d->snapshot.sealed.data, d->snapshot.sealed.len, &e, err) != 0)
        return err_wrap(err, "snapshot of %" PRIu64, d->snapshot.index);
    memcpy(d->ordered_chain, e.chain, CHAIN_SIZE);
    d->ordered_index = d->snapshot.index;
    d->decided.len = 0;
    d->decided_index = d->snapshot.members_index;
    if (buf_append(&d->decided, d->snapshot.members.data, d->snapshot.members.len, err) !=
        0)
        return err->code;
    o.restore = (struct order_restore){d->snapshot.index, d->snapshot.term, e.body, e.len};
    return orders_add(d->out, &o, err);
}

/* ---- messages ------------------------------------------------------------------------ */

/* The engine names entries by index and count; the bytes are in our log. */
static void fill_append(struct driver *d, const struct raft_append_entries *a,
                        struct consensus_msg *m)
{
    m->type = CMSG_APPEND_ENTRIES;
    m->term = a->term;
    m->append_entries = (struct cmsg_append_entries){a->prev_log_index, a->prev_log_term,
                                                     a->leader_commit, NULL, a->n_entries};
    if (a->n_entries == 0)
        return;
    m->append_entries.entries = dlog_get(&d->log, a->prev_log_index + 1);
    ASSERT(m->append_entries.entries != NULL);
    ASSERT(a->prev_log_index + a->n_entries <= dlog_last(&d->log));
}

static void fill_install(struct driver *d, const struct raft_install_snapshot *s,
                         struct consensus_msg *m)
{
    ASSERT(s->last_index == d->snapshot.index);
    m->type = CMSG_INSTALL_SNAPSHOT;
    m->term = s->term;
    m->install_snapshot = (struct cmsg_install_snapshot){
        s->last_index, s->last_term, d->snapshot.sealed.data, d->snapshot.sealed.len};
}

static void fill_message(struct driver *d, const struct raft_message *r,
                         struct consensus_msg *m)
{
    *m = (struct consensus_msg){.from = d->config.id,
                                .to = r->server_id,
                                .cluster = d->digest,
                                .store = d->config.store};
    switch (r->type) {
    case RAFT_APPEND_ENTRIES:
        fill_append(d, &r->append_entries, m);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        m->type = CMSG_APPEND_ENTRIES_RESULT;
        m->term = r->append_entries_result.term;
        m->append_entries_result = (struct cmsg_append_entries_result){
            r->append_entries_result.rejected, r->append_entries_result.last_log_index,
            false};
        break;
    case RAFT_REQUEST_VOTE:
        m->type = CMSG_REQUEST_VOTE;
        m->term = r->request_vote.term;
        m->request_vote = (struct cmsg_request_vote){
            r->request_vote.last_log_index, r->request_vote.last_log_term,
            r->request_vote.disrupt_leader, r->request_vote.pre_vote};
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        m->type = CMSG_REQUEST_VOTE_RESULT;
        m->term = r->request_vote_result.term;
        m->request_vote_result = (struct cmsg_request_vote_result){
            r->request_vote_result.vote_granted, r->request_vote_result.pre_vote};
        break;
    case RAFT_INSTALL_SNAPSHOT:
        fill_install(d, &r->install_snapshot, m);
        break;
    case RAFT_TIMEOUT_NOW:
        m->type = CMSG_TIMEOUT_NOW;
        m->term = r->timeout_now.term;
        m->timeout_now = (struct cmsg_timeout_now){r->timeout_now.last_log_index,
                                                   r->timeout_now.last_log_term};
        break;
    }
}

static int order_send(struct driver *d, const struct raft_message *r, struct err *err)
{
    struct buf bytes = {0};
    struct consensus_msg m;
    struct order o = {.kind = ORDER_SEND};

    fill_message(d, r, &m);
    driver_filter_out(d, &m);
    if (consensus_msg_encode(&m, &bytes, err) != 0) {
        buf_free(&bytes);
        return err->code;
    }
    if (orders_own(d->out, bytes.data, err) != 0)
        return err->code;
    o.send = (struct order_send){m.to, m.type, bytes.data, bytes.len};
    return orders_add(d->out, &o, err);
}

/* ---- role and application ------------------------------------------------------------ */

static enum raft_role role_of(const struct driver *d)
{
    if (d->raft.state == RAFT_LEADER)
        return ROLE_LEADER;
    return d->raft.state == RAFT_CANDIDATE ? ROLE_CANDIDATE : ROLE_FOLLOWER;
}

static int order_role(struct driver *d, struct err *err)
{
    struct order o = {.kind = ORDER_ROLE};
    raft_id leader = 0;
    const char *address = NULL;

    raft_leader(&d->raft, &leader, &address);
    o.role = (struct order_role){role_of(d), raft_current_term(&d->raft), leader};
    if (o.role.role == d->role.role && o.role.term == d->role.term &&
        o.role.leader_id == d->role.leader_id)
        return 0;
    if (o.role.role == ROLE_LEADER &&
        (d->role.role != ROLE_LEADER || d->role.term != o.role.term)) {
        for (unsigned i = 0; i < CONSENSUS_VOTERS_MAX; i++)
            d->slots[i].contact = 0;
        d->own_term_index = 0;
    }
    d->role = o.role;
    return orders_add(d->out, &o, err);
}

/* I9: each command names the hash of the one before it. A gap or an exchange, whoever made
 * it, stops every node at the same entry instead of being applied. */
static int open_command(struct driver *d, uint64_t index, const struct consensus_entry *e,
                        struct order_apply *a, struct err *err)
{
    struct envelope env;

    if (envelope_open(e->data, e->len, &env, err) != 0)
        return err_wrap(err, "log entry %" PRIu64, index);
    if (memcmp(env.prev_hash, d->ordered_chain, CHAIN_SIZE) != 0)
        return err_set(err, ERR_CORRUPT,
                       "log entry %" PRIu64
                       " does not continue the hash chain: the log was "
                       "altered; keep the data directory for analysis",
                       index);
    a->leader_id = env.leader_id;
    a->wall_ms = env.wall_ms;
    a->body = env.body;
    a->len = env.len;
    return 0;
}

static int order_apply(struct driver *d, uint64_t index, const struct consensus_entry *e,
                       struct err *err)
{
    struct order o = {.kind = ORDER_APPLY};

    o.apply = (struct order_apply){.index = index, .term = e->term, .kind = e->kind};
    if (e->kind == ENTRY_COMMAND && open_command(d, index, e, &o.apply, err) != 0)
        return err->code;
    memcpy(d->ordered_chain, dlog_chain(&d->log, index), CHAIN_SIZE);
    memcpy(o.apply.chain, d->ordered_chain, CHAIN_SIZE);
    d->ordered_index = index;
    if (d->own_term_index == 0 && role_of(d) == ROLE_LEADER &&
        e->term == raft_current_term(&d->raft))
        d->own_term_index = index;
    return orders_add(d->out, &o, err);
}

/* A list of members that is decided: for the next snapshot, and for the engine. */
static int feed_configuration(struct driver *d, uint64_t index,
                              const struct consensus_entry *e, struct err *err)
{
    struct raft_event ev = {.time = d->now, .type = RAFT_CONFIGURATION};

    d->decided.len = 0;
    d->decided_index = index;
    if (buf_append(&d->decided, e->data, e->len, err) != 0)
        return err->code;
    ev.configuration.index = index;
    if (driver_configuration(&d->decided, &ev.configuration.conf, err) != 0)
        return err->code;
    return driver_step(d, &ev, err);
}

/* From memory: the commit index may be ahead of what is stored here (a majority has it). */
static int order_applies(struct driver *d, struct err *err)
{
    while (d->ordered_index < raft_commit_index(&d->raft)) {
        uint64_t index = d->ordered_index + 1;
        const struct consensus_entry *e = dlog_get(&d->log, index);

        if (e == NULL && d->installing)
            return 0; /* the snapshot that has it is being written */
        if (e == NULL)
            return err_set(err, ERR_CORRUPT, "committed entry %" PRIu64 " is not there",
                           index);
        if (order_apply(d, index, e, err) != 0)
            return err->code;
        if (e->kind == ENTRY_VOTERS && feed_configuration(d, index, e, err) != 0)
            return err->code;
    }
    return 0;
}

static int order_all(struct driver *d, const struct raft_update *u, struct err *err)
{
    if (driver_follow_members(d, err) != 0)
        return err->code;
    /* The library's flag macros have no parentheses. */
    if (((u->flags & (RAFT_UPDATE_CURRENT_TERM)) != 0 ||
         (u->flags & (RAFT_UPDATE_VOTED_FOR)) != 0) &&
        order_vote(d, err) != 0)
        return err->code;
    if ((u->flags & (RAFT_UPDATE_ENTRIES)) != 0 && order_entries(d, u, err) != 0)
        return err->code;
    if ((u->flags & (RAFT_UPDATE_SNAPSHOT)) != 0 && order_install(d, err) != 0)
        return err->code;
    if ((u->flags & (RAFT_UPDATE_MESSAGES)) != 0)
        for (unsigned i = 0; i < u->messages.n; i++)
            if (order_send(d, &u->messages.batch[i], err) != 0)
                return err->code;
    if (order_role(d, err) != 0)
        return err->code;
    return order_applies(d, err);
}

/* What comes with the update is ours, whether its orders could be made or not: tokens, for
 * the bytes are in our log and in the message. */
static int carry_out(struct driver *d, struct raft_update *u, struct err *err)
{
    int status = order_all(d, u, err);

    if ((u->flags & (RAFT_UPDATE_ENTRIES)) != 0)
        raft_free(u->entries.batch[0].batch); /* one batch each */
    if ((u->flags & (RAFT_UPDATE_SNAPSHOT)) != 0) {
        raft_free(u->snapshot.chunk.base);
        raft_configuration_close(&u->snapshot.metadata.configuration);
    }
    return status;
}

int driver_submit_entry(struct driver *d, enum consensus_entry_kind kind, const void *data,
                        size_t len, struct err *err)
{
    struct raft_entry e = {.term = raft_current_term(&d->raft),
                           .type = (enum raft_entry_type)kind};
    struct raft_event ev = {.time = d->now, .type = RAFT_SUBMIT};
    struct raft_update u = {0};
    int code;

    e.buf.len = len;
    e.buf.base = e.batch = raft_malloc(len);
    if (e.batch == NULL)
        return err_set(err, ERR_NOMEM, "entry of %zu bytes", len);
    memcpy(e.batch, data, len);
    ev.submit.entries = &e; /* must live until the update has been carried out */
    ev.submit.n = 1;
    code = raft_step(&d->raft, &ev, &u);
    if (code != 0) {
        raft_free(e.batch); /* refused: still ours */
        return from_raft(d, code, err);
    }
    if (carry_out(d, &u, err) != 0) {
        d->failed = true; /* the engine has gone on, its orders are incomplete */
        return err->code;
    }
    return 0;
}

/* Without an entry of its own term a leader can commit nothing (the paper's figure 8), and
 * does not know what its predecessors committed. The engine makes one only when something
 * may be uncommitted; we always want it: it is what driver_is_authoritative() waits for. */
static int submit_barrier(struct driver *d, struct err *err)
{
    static const uint8_t nothing[8];
    const struct consensus_entry *last = dlog_get(&d->log, dlog_last(&d->log));

    if (last != NULL && last->term == raft_current_term(&d->raft))
        return 0;
    return driver_submit_entry(d, ENTRY_BARRIER, nothing, sizeof nothing, err);
}

int driver_step(struct driver *d, struct raft_event *event, struct err *err)
{
    struct raft_update u = {0};
    bool was_leader = d->raft.state == RAFT_LEADER;
    int code = raft_step(&d->raft, event, &u);

    if (code != 0)
        return from_raft(d, code, err);
    if (carry_out(d, &u, err) != 0) {
        d->failed = true; /* the engine has gone on, its orders are incomplete */
        return err->code;
    }
    if (!was_leader && d->raft.state == RAFT_LEADER)
        return submit_barrier(d, err);
    return 0;
}
