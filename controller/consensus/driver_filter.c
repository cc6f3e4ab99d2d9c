/* What stands between the network and libraft 0.22.1.
 *
 * The engine's preconditions are assertions, which release builds do not have, and it has
 * defects that a message at the wrong moment brings out. Everything that a peer can send
 * passes here first. For each filter, those in driver_input.c and driver_receive.c too,
 * tests/unit/consensus has a seed or a history that goes wrong without it (test_filters.c,
 * test_lists.c). */
#include <inttypes.h>
#include <string.h>

#include "controller/consensus/driver_internal.h"
#include "proto/envelope.h"

static bool without(const struct driver *d, enum driver_without filter)
{
    return (d->config.without_filter & (unsigned)filter) != 0;
}

static bool is_leader(const struct driver *d) { return d->raft.state == RAFT_LEADER; }

/* A term has one leader. Followers' code in the engine would overwrite the leader's own
 * replication state (they share a union) when somebody else claims our term. */
static int check_other_leader(const struct driver *d, const struct consensus_msg *msg,
                              struct err *err)
{
    if (is_leader(d) && msg->term == raft_current_term(&d->raft))
        return err_set(err, ERR_BADMSG,
                       "%" PRIu64 " claims to lead term %" PRIu64 ", which this node leads",
                       msg->from, msg->term);
    return 0;
}

/* Entries that a snapshot has replaced count for the engine as entries that we lack, and at
 * prev_log_index 0 it compares nothing: it would put entry 1 behind our last one. An honest
 * leader comes to that point when our answers are lost, or a copy of its message is late;
 * and what begins behind entry 1 the engine refuses, with a rejection that such a leader
 * takes for an old one (amend_append_result).
 *
 * So what the snapshot holds is cut off. That is safe, since it is committed: who leads
 * this term or a later one has all of it (leader completeness), and if the message has the
 * snapshot's last entry, it must be of the term that it has here, which makes everything
 * before it the same (log matching). A message that ends before it is a heartbeat at that
 * entry. What is acknowledged is the snapshot, which is on our disk, and what the engine
 * then compares and stores (I7). A leader of an older term may well differ: it is answered
 * as ever, with our term and nothing else. */
static int cut_known(const struct driver *d, struct consensus_msg *msg, struct err *err)
{
    struct cmsg_append_entries *a = &msg->append_entries;
    uint64_t index = d->snapshot.index, known;

    if (d->installing || a->prev_log_index >= index || d->log.first == 1 ||
        a->prev_log_index >= d->log.first || msg->term < raft_current_term(&d->raft) ||
        without(d, WITHOUT_KNOWN_CUT))
        return 0;
    known = index - a->prev_log_index;
    if (known <= a->n_entries && a->entries[known - 1].term != d->snapshot.term)
        return err_set(err, ERR_BADMSG,
                       "entry %" PRIu64 " of term %" PRIu64 " from %" PRIu64
                       ", committed here in term %" PRIu64
                       ": one of the two data directories is damaged, compare them",
                       index, a->entries[known - 1].term, msg->from, d->snapshot.term);
    if (known > a->n_entries)
        known = a->n_entries;
    a->entries += known;
    a->n_entries -= (unsigned)known;
    a->prev_log_index = index;
    a->prev_log_term = d->snapshot.term;
    return 0;
}

/* The engine decodes lists of members without looking at their length. (It also tracks one
 * in the middle of a batch at the wrong index: driver_receive.c.) */
static int check_append(const struct driver *d, struct consensus_msg *msg, struct err *err)
{
    const struct cmsg_append_entries *a = &msg->append_entries;
    struct members m;

    for (unsigned i = 0; i < a->n_entries; i++) {
        const struct consensus_entry *e = &a->entries[i];

        if (e->kind == ENTRY_VOTERS && members_decode(e->data, e->len, &m, err) != 0)
            return err->code;
        if (a->prev_log_index + i == 0 && (e->kind != ENTRY_VOTERS || e->term != 1))
            return err_set(err, ERR_BADMSG, "entry 1 is not the bootstrap's list");
    }
    if (check_other_leader(d, msg, err) != 0)
        return err->code;
    return cut_known(d, msg, err);
}

/* The engine replaces its log by a snapshot whose last entry differs from its own, also if
 * its own is committed, and what was applied here would be taken back. No leader of this
 * term or a later one has such a snapshot. */
static int check_undecided(const struct driver *d, const struct consensus_msg *msg,
                           struct err *err)
{
    const struct cmsg_install_snapshot *s = &msg->install_snapshot;
    const struct consensus_entry *e = dlog_get(&d->log, s->last_index);

    if (e == NULL || e->term == s->last_term || s->last_index > d->ordered_index ||
        msg->term < raft_current_term(&d->raft))
        return 0;
    return err_set(err, ERR_BADMSG,
                   "snapshot of entry %" PRIu64 " of term %" PRIu64 " from %" PRIu64
                   ", committed here in term %" PRIu64
                   ": one of the two data directories is damaged, compare them",
                   s->last_index, s->last_term, msg->from, e->term);
}

/* While one is being installed the engine would take a second one's memory and forget it.
 * The leader repeats itself. */
static int check_install(const struct driver *d, const struct consensus_msg *msg,
                         struct err *err)
{
    const struct cmsg_install_snapshot *s = &msg->install_snapshot;
    struct snapshot_envelope e;
    struct members m;

    if (check_other_leader(d, msg, err) != 0)
        return err->code;
    if (d->installing)
        return 1;
    if (snapshot_open(s->data, s->len, &e, err) != 0) {
        if (err->code != ERR_NOMEM)
            err->code = ERR_BADMSG;
        return err_wrap(err, "snapshot from %" PRIu64, msg->from);
    }
    if (e.index != s->last_index || e.term != s->last_term)
        return err_set(err, ERR_BADMSG, "snapshot of %" PRIu64 " holds %" PRIu64,
                       s->last_index, e.index);
    if (e.members_index == 0 || e.members_index > e.index)
        return err_set(err, ERR_BADMSG, "snapshot of %" PRIu64 " with members of %" PRIu64,
                       e.index, e.members_index);
    if (check_undecided(d, msg, err) != 0)
        return err->code;
    return members_decode(e.members, e.members_len, &m, err);
}

/* Stale union read: in 0.22.1 the first thing that a vote result touches is the candidate's
 * state, whatever the node is by now; as a leader or follower it reads other members of
 * that union, and takes a term from the result or not by the value of a pointer's byte. */
static int check_vote_result(const struct driver *d, const struct consensus_msg *msg,
                             struct err *err)
{
    const struct cmsg_request_vote_result *v = &msg->request_vote_result;

    if (without(d, WITHOUT_VOTE_STATE_FILTER))
        return 0;
    if (d->raft.state != RAFT_CANDIDATE ||
        !members_find(&d->members, msg->from)->votes) /* a member: is_heard() */
        return 1;
    if (v->granted && v->pre_vote && msg->term > raft_current_term(&d->raft) + 1)
        return err_set(err, ERR_BADMSG, "pre-vote for term %" PRIu64 " in term %llu",
                       msg->term, raft_current_term(&d->raft));
    return 0;
}

/* Two defects.
 *
 * Replication stall: a rejection that was overtaken by a later success lowers next_index to
 * or below match_index; the difference of the two then underflows, looks like a full
 * pipeline, and that follower is sent empty heartbeats for ever. What has matched cannot
 * unmatch within a term, so such a rejection is old, and a hint below match is useless.
 *
 * Stale reply: to a request of an older term the engine answers with its own term and an
 * uninitialised last_log_index, as a success if the request was a snapshot or began at
 * entry 1. If the old leader has meanwhile won that very term, it counts the garbage as
 * stored and commits what nobody else has. The sender marks these (driver_filter_out); only
 * their term means something, and only to a node that has not reached it. */
static int amend_append_result(const struct driver *d, struct consensus_msg *msg)
{
    struct cmsg_append_entries_result *r = &msg->append_entries_result;
    raft_index match = 0;

    if (r->stale && !without(d, WITHOUT_STALE_REPLY_FILTER))
        return msg->term <= raft_current_term(&d->raft) ? 1 : 0;
    if (!is_leader(d) || msg->term != raft_current_term(&d->raft) || r->rejected == 0 ||
        without(d, WITHOUT_REJECTION_FILTER))
        return 0;
    if (raft_match_index(&d->raft, msg->from, &match) != 0)
        return 1;
    if (r->rejected <= match)
        return 1;
    if (r->last_log_index < match)
        r->last_log_index = match;
    return 0;
}

/* I7: a voter that lost its disk has forgotten its votes and what it acknowledged. Its
 * empty successor under the same id is another one, whatever it says. */
static int check_store(const struct driver *d, const struct consensus_msg *msg,
                       struct err *err)
{
    const struct member *m = members_find(&d->members, msg->from);
    const struct slot *slot = driver_slot_of(d, msg->from);
    uint64_t store = slot != NULL ? slot->store : 0;

    if (m != NULL && m->store != 0)
        store = m->store;
    if (store == 0 || store == msg->store)
        return 0;
    return err_set(err, ERR_CONFLICT,
                   "controller %s (id %" PRIu64 ") speaks from another data directory than "
                   "the one it had: it has forgotten its votes and is not counted; stop it "
                   "and replace it (ringfence controller replace)",
                   m != NULL ? m->name : "?", msg->from);
}

/* Who leads or asks for a vote may be somebody whose list this node's log does not have
 * yet: a newcomer hears only of the old ones at first. Its own list decides whether a
 * leader leads. Whatever is counted here must come from a member. */
static bool is_heard(const struct driver *d, const struct consensus_msg *msg)
{
    return msg->type == CMSG_APPEND_ENTRIES || msg->type == CMSG_INSTALL_SNAPSHOT ||
           msg->type == CMSG_REQUEST_VOTE || members_find(&d->members, msg->from) != NULL;
}

int driver_filter_in(struct driver *d, struct consensus_msg *msg, struct err *err)
{
    if (msg->cluster != d->digest)
        return err_set(err, ERR_CONFLICT,
                       "node %" PRIu64
                       " belongs to another cluster, or was bootstrapped with "
                       "another list of controllers: compare the configuration files",
                       msg->from);
    if (msg->to != d->config.id || msg->from == d->config.id)
        return err_set(err, ERR_BADMSG, "%s from %" PRIu64 " to %" PRIu64,
                       consensus_msg_name(msg->type), msg->from, msg->to);
    if (!is_heard(d, msg))
        return 1;
    if (check_store(d, msg, err) != 0)
        return err->code;
    switch (msg->type) {
    case CMSG_REQUEST_VOTE:
    case CMSG_TIMEOUT_NOW:
        return 0;
    case CMSG_REQUEST_VOTE_RESULT:
        return check_vote_result(d, msg, err);
    case CMSG_APPEND_ENTRIES:
        return check_append(d, msg, err);
    case CMSG_APPEND_ENTRIES_RESULT:
        return amend_append_result(d, msg);
    case CMSG_INSTALL_SNAPSHOT:
        return check_install(d, msg, err);
    }
    return err_set(err, ERR_BADMSG, "message of type %d", (int)msg->type);
}

/* Pre-vote deadlock: the answer to a pre-vote echoes the request's term, also when ours is
 * higher. A node with the best log and a lower term then never learns the higher one, and
 * the others never grant it a vote: two healthy nodes without a leader for ever. */
void driver_filter_out(const struct driver *d, struct consensus_msg *msg)
{
    uint64_t term = raft_current_term(&d->raft);

    if (msg->type == CMSG_REQUEST_VOTE_RESULT && !msg->request_vote_result.granted &&
        msg->term < term && !without(d, WITHOUT_VOTE_TERM_FILTER))
        msg->term = term;
    if (msg->type == CMSG_APPEND_ENTRIES_RESULT && d->incoming != NULL &&
        d->incoming->term < term) {
        msg->append_entries_result.stale = true;
        if (!without(d, WITHOUT_STALE_REPLY_FILTER))
            msg->append_entries_result.rejected =
                msg->append_entries_result.last_log_index = 0;
    }
}
