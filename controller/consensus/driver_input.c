/* Time, submissions, the disk's reports, snapshots. */
#include <inttypes.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/consensus/driver_internal.h"
#include "proto/envelope.h"

/* Every input begins here. Time does not go back: the engine subtracts. */
int driver_begin(struct driver *d, uint64_t now_ms, struct orders *out, struct err *err)
{
    orders_reset(out);
    d->out = out;
    if (now_ms > d->now)
        d->now = now_ms;
    if (d->failed)
        return err_set(err, ERR_CLOSED, "this node has stopped after a fatal error");
    return 0;
}

/* And ends here. After a fatal error nothing of it may be carried out. */
int driver_finish(struct driver *d, int status)
{
    if (d->failed || driver_error_is_fatal(status)) {
        d->failed = true;
        orders_reset(d->out);
    }
    d->out = NULL;
    d->incoming = NULL;
    return status;
}

uint64_t driver_timeout_ms(const struct driver *d)
{
    uint64_t at = raft_timeout(&d->raft);

    return at > d->now ? at : d->now;
}

int driver_tick(struct driver *d, uint64_t now_ms, struct orders *out, struct err *err)
{
    struct raft_event ev = {.type = RAFT_TIMEOUT};
    struct err local;

    if (err == NULL)
        err = &local;
    if (driver_begin(d, now_ms, out, err) != 0)
        return err->code;
    if (raft_timeout(&d->raft) > d->now)
        return driver_finish(d, 0);
    ev.time = d->now;
    return driver_finish(d, driver_step(d, &ev, err));
}

/* ---- submission ---------------------------------------------------------------------- */

int driver_submit(struct driver *d, uint64_t now_ms, const struct driver_proposal *p,
                  struct orders *out, uint64_t ret_index_term[2], struct err *err)
{
    struct envelope e = {.leader_id = d->config.id, .body = p->body, .len = p->len};
    struct buf sealed = {0};
    struct err local;
    uint64_t index;
    int status;

    if (err == NULL)
        err = &local;
    if (driver_begin(d, now_ms, out, err) != 0)
        return err->code;
    if (p->len == 0 || p->len > CONSENSUS_BODY_MAX)
        return driver_finish(d, err_set(err, ERR_INVAL, "command of %zu bytes, 1 to %d",
                                        p->len, CONSENSUS_BODY_MAX));
    if (d->raft.state != RAFT_LEADER || raft_transferee(&d->raft) != 0)
        return driver_finish(d, err_set(err, ERR_NOTLEADER, "not the leader"));
    e.wall_ms = p->wall_ms;
    index = dlog_last(&d->log) + 1;
    memcpy(e.prev_hash, dlog_chain(&d->log, index - 1), CHAIN_SIZE);
    status = envelope_seal(&e, &sealed, err);
    if (status == 0)
        status = driver_submit_entry(d, ENTRY_COMMAND, sealed.data, sealed.len, err);
    buf_free(&sealed);
    if (status != 0)
        return driver_finish(d, status);
    ret_index_term[0] = index;
    ret_index_term[1] = raft_current_term(&d->raft);
    return driver_finish(d, 0);
}

int driver_barrier(struct driver *d, uint64_t now_ms, struct orders *out,
                   uint64_t ret_index_term[2], struct err *err)
{
    static const uint8_t nothing[8];
    struct err local;
    uint64_t index;
    int status;

    if (err == NULL)
        err = &local;
    if (driver_begin(d, now_ms, out, err) != 0)
        return err->code;
    if (!driver_is_authoritative(d) || raft_transferee(&d->raft) != 0)
        return driver_finish(d, err_set(err, ERR_NOTLEADER, "not the leader"));
    index = dlog_last(&d->log) + 1;
    status = driver_submit_entry(d, ENTRY_BARRIER, nothing, sizeof nothing, err);
    if (status != 0)
        return driver_finish(d, status);
    ret_index_term[0] = index;
    ret_index_term[1] = raft_current_term(&d->raft);
    return driver_finish(d, 0);
}

/* ---- members ------------------------------------------------------------------------- */

static int check_change(const struct driver *d, const struct members *to, struct err *err)
{
    const struct member *self = members_find(to, d->config.id);

    if (!driver_is_authoritative(d) || raft_transferee(&d->raft) != 0)
        return err_set(err, ERR_NOTLEADER, "not the leader");
    if (d->members_uncommitted != 0)
        return err_set(err, ERR_BUSY, "the last change of members is not committed yet");
    if (!members_is_step(&d->members, to) || self == NULL || !self->votes)
        return err_set(err, ERR_INVAL, "no step from one list of members to the next");
    for (unsigned i = 0; i < to->n; i++)
        if (to->list[i].store == 0 && members_find(&d->members, to->list[i].id) == NULL)
            return err_set(err, ERR_INVAL, "%s comes without a store", to->list[i].name);
    return 0;
}

/* The entry is alone in its batch here; on followers driver_receive() sees to it. */
int driver_change(struct driver *d, uint64_t now_ms, const struct members *to,
                  struct orders *out, uint64_t ret_index_term[2], struct err *err)
{
    AUTO(buf_free) struct buf list = {0};
    struct err local;
    uint64_t index;

    if (err == NULL)
        err = &local;
    if (driver_begin(d, now_ms, out, err) != 0)
        return err->code;
    index = dlog_last(&d->log) + 1;
    if (check_change(d, to, err) != 0 || members_encode(to, &list, err) != 0 ||
        driver_submit_entry(d, ENTRY_VOTERS, list.data, list.len, err) != 0)
        return driver_finish(d, err->code);
    ret_index_term[0] = index;
    ret_index_term[1] = raft_current_term(&d->raft);
    return driver_finish(d, 0);
}

bool driver_peer_caught_up(const struct driver *d, uint64_t id)
{
    const struct slot *slot = driver_slot_of(d, id);
    raft_index match = 0;

    return raft_match_index(&d->raft, id, &match) == 0 && match == dlog_last(&d->log) &&
           slot != NULL && slot->contact != 0 &&
           d->now - slot->contact <= d->config.election_ms;
}

/* The engine would wait for a target that lacks entries, and then, with more entries under
 * way, ask it too early, be ignored, and refuse submissions until the transfer times out.
 * So it is asked only when the target has everything. */
static int choose_target(const struct driver *d, uint64_t *target, struct err *err)
{
    const struct member *m;

    for (unsigned i = 0; i < d->members.n && *target == 0; i++) {
        m = &d->members.list[i];
        if (m->id != d->config.id && m->votes && driver_peer_caught_up(d, m->id))
            *target = m->id;
    }
    if (*target == 0)
        return err_set(err, ERR_BUSY, "no follower has caught up");
    m = members_find(&d->members, *target);
    if (m == NULL || !m->votes || *target == d->config.id)
        return err_set(err, ERR_NOTFOUND, "%" PRIu64 " is not another voter", *target);
    if (!driver_peer_caught_up(d, *target))
        return err_set(err, ERR_BUSY, "%s has not caught up", m->name);
    return 0;
}

int driver_transfer(struct driver *d, uint64_t now_ms, uint64_t target, struct orders *out,
                    struct err *err)
{
    struct raft_event ev = {.type = RAFT_TRANSFER};
    struct err local;

    if (err == NULL)
        err = &local;
    if (driver_begin(d, now_ms, out, err) != 0)
        return err->code;
    if (d->raft.state != RAFT_LEADER)
        return driver_finish(d, err_set(err, ERR_NOTLEADER, "not the leader"));
    if (choose_target(d, &target, err) != 0)
        return driver_finish(d, err->code);
    ev.time = d->now;
    ev.transfer.server_id = target;
    return driver_finish(d, driver_step(d, &ev, err));
}

/* ---- disk ---------------------------------------------------------------------------- */

/* The highest entry that no crash can take from us any more, given that the writes before
 * position `done` of the queue are on disk; 0: nothing new.
 *
 * It is not enough that the entry is in our log with the term it was written with: it may
 * have been cut off and come back, the first writing done, the cutting write still queued.
 * Whoever acknowledges it then loses it in a crash between the two. So nothing counts that
 * a queued write will cut, and what is left of a write below that is what the log holds. */
static uint64_t durable_index(const struct driver *d, size_t done)
{
    uint64_t index = 0;

    for (size_t i = 0; i < d->n_writes; i++) {
        const struct write *w = &d->writes[i];

        if (w->kind != WRITE_ENTRIES || w->epoch != d->log_epoch)
            continue;
        if (i < done)
            index = w->last;
        else if (index >= w->first)
            index = w->first - 1;
    }
    return index;
}

/* For the regression test: the rule that the guard above replaces. */
static uint64_t durable_index_by_term(const struct driver *d, size_t done)
{
    uint64_t index = 0;

    for (size_t i = 0; i < done; i++) {
        const struct write *w = &d->writes[i];
        const struct consensus_entry *e = dlog_get(&d->log, w->last);

        if (w->kind == WRITE_ENTRIES && w->epoch == d->log_epoch && e != NULL &&
            e->term == w->last_term)
            index = w->last;
    }
    return index;
}

static int report_entries(struct driver *d, size_t done, struct err *err)
{
    struct raft_event ev = {.time = d->now, .type = RAFT_PERSISTED_ENTRIES};
    bool unguarded = (d->config.without_filter & (unsigned)WITHOUT_REWRITE_GUARD) != 0;
    uint64_t index = unguarded ? durable_index_by_term(d, done) : durable_index(d, done);

    if (d->installing || index <= d->raft.last_stored)
        return 0;
    ASSERT(index <= dlog_last(&d->log));
    ev.persisted_entries.index = index;
    return driver_step(d, &ev, err);
}

static void adopt_coming(struct driver *d)
{
    stored_snapshot_free(&d->snapshot);
    d->snapshot = d->coming;
    d->coming = (struct stored_snapshot){0};
}

/* Only now, since a follower may need entries from the old one on as long as it could be
 * what a restart finds. */
static int own_snapshot_stored(struct driver *d, struct err *err)
{
    struct raft_event ev = {.time = d->now, .type = RAFT_SNAPSHOT};

    ev.snapshot.metadata.index = d->coming.index;
    ev.snapshot.metadata.term = d->coming.term;
    ev.snapshot.metadata.configuration_index = d->coming.members_index;
    ev.snapshot.trailing = d->config.trailing;
    if (driver_configuration(&d->coming.members, &ev.snapshot.metadata.configuration,
                             err) != 0)
        return err->code;
    d->taking = false;
    adopt_coming(d);
    if (driver_step(d, &ev, err) != 0)
        return err->code;
    if (d->snapshot.index >= d->config.trailing)
        dlog_compact(&d->log, d->snapshot.index - d->config.trailing + 1);
    return 0;
}

static int install_stored(struct driver *d, struct err *err)
{
    struct raft_event ev = {.time = d->now, .type = RAFT_PERSISTED_SNAPSHOT};

    ev.persisted_snapshot.metadata.index = d->coming.index;
    ev.persisted_snapshot.metadata.term = d->coming.term;
    ev.persisted_snapshot.metadata.configuration_index = d->coming.members_index;
    ev.persisted_snapshot.last = true;
    if (driver_configuration(&d->coming.members,
                             &ev.persisted_snapshot.metadata.configuration, err) != 0)
        return err->code;
    d->installing = false;
    adopt_coming(d);
    if (driver_order_restore(d, err) != 0) {
        raft_configuration_close(&ev.persisted_snapshot.metadata.configuration);
        return err->code;
    }
    return driver_step(d, &ev, err);
}

/* Entries first: the engine counts them from its last stored one, which must still be in
 * its log when it is told of a snapshot. */
static int report(struct driver *d, size_t done, struct err *err)
{
    uint64_t epoch = d->log_epoch;

    if (report_entries(d, done, err) != 0)
        return err->code;
    for (size_t i = 0; i < done; i++) {
        enum write_kind kind = d->writes[i].kind;

        if (d->writes[i].epoch != epoch)
            continue; /* a snapshot from the leader came in between */
        if (kind == WRITE_OWN_SNAPSHOT && d->taking && own_snapshot_stored(d, err) != 0)
            return err->code;
        if (kind == WRITE_INSTALL && install_stored(d, err) != 0)
            return err->code;
    }
    return 0;
}

int driver_persisted(struct driver *d, uint64_t now_ms, uint64_t seq, struct orders *out,
                     struct err *err)
{
    size_t done = 0;
    struct err local;
    int status;

    if (err == NULL)
        err = &local;
    if (driver_begin(d, now_ms, out, err) != 0)
        return err->code;
    while (done < d->n_writes && d->writes[done].seq <= seq)
        done++;
    status = report(d, done, err);
    d->n_writes -= done;
    memmove(d->writes, d->writes + done, d->n_writes * sizeof *d->writes);
    return driver_finish(d, status);
}

/* ---- snapshots ----------------------------------------------------------------------- */

void driver_applied(struct driver *d, uint64_t index)
{
    ASSERT(index <= d->ordered_index);
    if (index > d->applied_index)
        d->applied_index = index;
}

static int seal_snapshot(struct driver *d, const struct driver_proposal *p, struct err *err)
{
    const struct consensus_entry *last = dlog_get(&d->log, d->applied_index);
    struct snapshot_envelope e = {.index = d->applied_index,
                                  .taken_by = d->config.id,
                                  .wall_ms = p->wall_ms,
                                  .members_index = d->decided_index,
                                  .members = d->decided.data,
                                  .members_len = d->decided.len,
                                  .body = p->body,
                                  .len = p->len};

    ASSERT(last != NULL);
    e.term = last->term;
    memcpy(e.chain, d->ordered_chain, CHAIN_SIZE);
    stored_snapshot_free(&d->coming);
    if (snapshot_seal(&e, &d->coming.sealed, err) != 0)
        return err->code;
    return stored_snapshot_take(&d->coming, &e, err);
}

static int order_own_snapshot(struct driver *d, struct err *err)
{
    struct write w = {
        .seq = ++d->last_seq, .kind = WRITE_OWN_SNAPSHOT, .epoch = d->log_epoch};
    struct order o = {.kind = ORDER_STORE_SNAPSHOT};
    uint64_t keep = d->log.first;

    if (d->coming.index >= d->config.trailing &&
        d->coming.index - d->config.trailing + 1 > keep)
        keep = d->coming.index - d->config.trailing + 1;
    d->taking = true;
    o.store_snapshot = (struct order_store_snapshot){w.seq,
                                                     d->coming.index,
                                                     d->coming.term,
                                                     d->coming.sealed.data,
                                                     d->coming.sealed.len,
                                                     false,
                                                     keep};
    return driver_order_write(d, &w, &o, err);
}

int driver_snapshot_taken(struct driver *d, uint64_t now_ms,
                          const struct driver_proposal *state, struct orders *out,
                          struct err *err)
{
    enum { ENVELOPE_ROOM = 256 + MEMBERS_BYTES_MAX };
    struct err local;

    if (err == NULL)
        err = &local;
    if (driver_begin(d, now_ms, out, err) != 0)
        return err->code;
    if (d->taking || d->installing || d->applied_index != d->ordered_index ||
        d->applied_index <= d->snapshot.index)
        return driver_finish(
            d, err_set(err, ERR_BUSY, "no snapshot of %" PRIu64 " now", d->applied_index));
    if (state->len > CONSENSUS_SNAPSHOT_MAX - ENVELOPE_ROOM)
        return driver_finish(d,
                             err_set(err, ERR_FULL, "snapshot of %zu bytes, at most %d",
                                     state->len, CONSENSUS_SNAPSHOT_MAX - ENVELOPE_ROOM));
    if (seal_snapshot(d, state, err) != 0 || order_own_snapshot(d, err) != 0) {
        d->failed = true;
        return driver_finish(d, err->code);
    }
    return driver_finish(d, 0);
}
