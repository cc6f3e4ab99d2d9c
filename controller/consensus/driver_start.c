/* What the disk held becomes the engine's and the driver's state. */
#include <inttypes.h>
#include <string.h>

#include "controller/base/assert.h"
#include "controller/consensus/driver_internal.h"
#include "proto/envelope.h"

static int load_snapshot(struct driver *d, const struct driver_state *s, struct err *err)
{
    struct snapshot_envelope e;

    if (s->snapshot_index == 0)
        return 0;
    if (snapshot_open(s->snapshot, s->snapshot_len, &e, err) != 0)
        return err_wrap(err, "stored snapshot of %" PRIu64, s->snapshot_index);
    if (e.index != s->snapshot_index || e.term != s->snapshot_term)
        return err_set(err, ERR_CORRUPT, "stored snapshot of %" PRIu64 " holds %" PRIu64,
                       s->snapshot_index, e.index);
    if (stored_snapshot_take(&d->snapshot, &e, err) != 0) {
        if (err->code == ERR_BADMSG)
            err->code = ERR_CORRUPT; /* on the disk; neither memory nor a newer format is */
        return err_wrap(err, "stored snapshot of %" PRIu64, s->snapshot_index);
    }
    return buf_append(&d->snapshot.sealed, s->snapshot, s->snapshot_len, err);
}

/* The engine asserts these, and does not look at the length of a list of members. */
static int check_state(const struct driver *d, const struct driver_state *s,
                       struct err *err)
{
    uint64_t term = 0;
    struct members m;
    int status;

    if (s->term == 0 || s->first_index == 0 || s->first_index > s->snapshot_index + 1 ||
        (s->snapshot_index == 0 && s->n_entries == 0 && d->config.n_voters != 0) ||
        s->first_index + s->n_entries < s->snapshot_index + 1)
        return err_set(err, ERR_CORRUPT,
                       "stored log: term %" PRIu64 ", snapshot %" PRIu64
                       ", %zu entries from "
                       "%" PRIu64,
                       s->term, s->snapshot_index, s->n_entries, s->first_index);
    for (size_t i = 0; i < s->n_entries; i++) {
        const struct consensus_entry *e = &s->entries[i];

        if (e->term < term || e->term == 0 || e->term > s->term)
            return err_set(err, ERR_CORRUPT, "stored entry %" PRIu64 " of term %" PRIu64,
                           s->first_index + i, e->term);
        term = e->term;
        status = e->kind == ENTRY_VOTERS ? members_decode(e->data, e->len, &m, err) : 0;
        if (status == ERR_UNSUPPORTED)
            return err_wrap(err, "stored entry %" PRIu64, s->first_index + i);
        if ((s->first_index + i == 1 && e->kind != ENTRY_VOTERS) || status != 0)
            return err_set(err, ERR_CORRUPT, "stored entry %" PRIu64 " of kind %d",
                           s->first_index + i, (int)e->kind);
    }
    return 0;
}

static int load_entries(struct driver *d, const struct driver_state *s, struct err *err)
{
    dlog_reset(&d->log, s->first_index, NULL);
    if (s->first_index == s->snapshot_index + 1)
        dlog_set_chain(&d->log, s->snapshot_index, d->snapshot.chain);
    for (size_t i = 0; i < s->n_entries; i++) {
        if (dlog_append(&d->log, &s->entries[i], err) != 0)
            return err->code;
        if (s->first_index + i == s->snapshot_index)
            dlog_set_chain(&d->log, s->snapshot_index, d->snapshot.chain);
    }
    return 0;
}

/* The engine reads terms and kinds, and the bytes of lists of voters. */
static int start_engine(struct driver *d, const struct driver_state *s, struct err *err)
{
    struct raft_event ev = {.time = d->now, .type = RAFT_START};
    struct raft_snapshot_metadata md = {0};
    struct raft_entry *entries;

    entries = raft_calloc(s->n_entries != 0 ? s->n_entries : 1, sizeof *entries);
    if (entries == NULL)
        return err_set(err, ERR_NOMEM, "%zu entries", s->n_entries);
    for (size_t i = 0; i < s->n_entries; i++) {
        entries[i].term = s->entries[i].term;
        entries[i].type = (enum raft_entry_type)s->entries[i].kind;
        entries[i].buf.len = s->entries[i].len;
        entries[i].buf.base = NULL;
        if (s->entries[i].kind == ENTRY_VOTERS) /* only read */
            memcpy(&entries[i].buf.base, &s->entries[i].data, sizeof(void *));
    }
    ev.start.term = s->term;
    ev.start.voted_for = s->vote;
    ev.start.start_index = s->first_index;
    ev.start.entries = entries;
    ev.start.n_entries = (unsigned)s->n_entries;
    if (s->snapshot_index != 0) {
        md.index = s->snapshot_index;
        md.term = s->snapshot_term;
        md.configuration_index = d->snapshot.members_index;
        if (driver_configuration(&d->snapshot.members, &md.configuration, err) != 0) {
            raft_free(entries);
            return err->code;
        }
        ev.start.metadata = &md;
    }
    if (driver_step(d, &ev, err) != 0)
        return err->code; /* out of memory: the engine may have freed `entries` already */
    raft_free(entries);
    return 0;
}

static int load(struct driver *d, const struct driver_state *s, struct err *err)
{
    if (check_state(d, s, err) != 0 || load_snapshot(d, s, err) != 0 ||
        load_entries(d, s, err) != 0)
        return err->code;
    if (d->snapshot.index != 0 && driver_order_restore(d, err) != 0)
        return err->code;
    return start_engine(d, s, err);
}

int driver_start(struct driver *d, uint64_t now_ms, const struct driver_state *state,
                 struct orders *out, struct err *err)
{
    struct err local;
    int status;

    if (err == NULL)
        err = &local;
    ASSERT(!d->started);
    if (driver_begin(d, now_ms, out, err) != 0)
        return err->code;
    d->started = true;
    status = load(d, state, err);
    if (status != 0)
        d->failed = true;
    return driver_finish(d, status);
}
