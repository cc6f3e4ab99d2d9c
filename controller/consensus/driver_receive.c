/* A decoded message becomes the engine's event. */
#include <string.h>

#include "controller/base/assert.h"
#include "controller/consensus/driver_internal.h"
#include "proto/envelope.h"

/* Lost commitment: what is committed reaches as far as the leader says, but no further than
 * the message's last entry. The engine compares only the leader's word with what it knows,
 * and so a late message, or one that begins far back, takes back what was committed: an
 * entry that contradicts it then cut off what is applied. */
static uint64_t commit_of(const struct driver *d, const struct cmsg_append_entries *a)
{
    uint64_t last = a->prev_log_index + a->n_entries;

    if ((d->config.without_filter & (unsigned)WITHOUT_COMMIT_BOUND) != 0)
        return a->leader_commit;
    return a->leader_commit < last ? a->leader_commit : last;
}

/* The engine wants one allocation per batch, which it frees or gives back; the bytes stay
 * where they are, in the message. */
static int append_event(const struct driver *d, const struct consensus_msg *m,
                        struct raft_message *r, struct raft_entry *entries, struct err *err)
{
    const struct cmsg_append_entries *a = &m->append_entries;
    void *token = NULL;

    r->type = RAFT_APPEND_ENTRIES;
    r->append_entries = (struct raft_append_entries){.term = m->term,
                                                     .prev_log_index = a->prev_log_index,
                                                     .prev_log_term = a->prev_log_term,
                                                     .leader_commit = commit_of(d, a),
                                                     .entries = entries,
                                                     .n_entries = a->n_entries};
    if (a->n_entries == 0)
        return 0;
    token = raft_malloc(1);
    if (token == NULL)
        return err_set(err, ERR_NOMEM, "append-entries");
    for (unsigned i = 0; i < a->n_entries; i++) {
        entries[i] = (struct raft_entry){.term = a->entries[i].term,
                                         .type = (enum raft_entry_type)a->entries[i].kind,
                                         .batch = token};
        entries[i].buf.len = a->entries[i].len;
        memcpy(&entries[i].buf.base, &a->entries[i].data, sizeof(void *));
    }
    return 0;
}

static int install_event(const struct consensus_msg *m, struct raft_message *r,
                         struct err *err)
{
    const struct cmsg_install_snapshot *s = &m->install_snapshot;
    struct snapshot_envelope e;
    struct buf list = {0};

    if (snapshot_open(s->data, s->len, &e, err) != 0)
        return err->code;
    list.data = (uint8_t *)e.members; /* only read */
    list.len = e.members_len;
    r->type = RAFT_INSTALL_SNAPSHOT;
    r->install_snapshot = (struct raft_install_snapshot){.term = m->term,
                                                         .last_index = s->last_index,
                                                         .last_term = s->last_term,
                                                         .conf_index = e.members_index};
    if (driver_configuration(&list, &r->install_snapshot.conf, err) != 0)
        return err->code;
    r->install_snapshot.data.len = 1;
    r->install_snapshot.data.base = raft_malloc(1);
    if (r->install_snapshot.data.base == NULL) {
        raft_configuration_close(&r->install_snapshot.conf);
        return err_set(err, ERR_NOMEM, "install-snapshot");
    }
    return 0;
}

/* Versions as the engine of 0.22.1 writes them itself. */
enum { VOTE_VERSION = 2, APPEND_RESULT_VERSION = 2 };

static int to_raft(struct driver *d, const struct consensus_msg *m, struct raft_message *r,
                   struct raft_entry *entries, struct err *err)
{
    const struct member *from = members_find(&d->members, m->from);

    *r = (struct raft_message){.server_id = m->from};
    r->server_address = from != NULL ? from->name : "leader";
    switch (m->type) {
    case CMSG_APPEND_ENTRIES:
        return append_event(d, m, r, entries, err);
    case CMSG_INSTALL_SNAPSHOT:
        return install_event(m, r, err);
    case CMSG_APPEND_ENTRIES_RESULT:
        r->type = RAFT_APPEND_ENTRIES_RESULT;
        r->append_entries_result = (struct raft_append_entries_result){
            .version = APPEND_RESULT_VERSION,
            .term = m->term,
            .rejected = m->append_entries_result.rejected,
            .last_log_index = m->append_entries_result.last_log_index};
        return 0;
    case CMSG_REQUEST_VOTE:
        r->type = RAFT_REQUEST_VOTE;
        r->request_vote =
            (struct raft_request_vote){.version = VOTE_VERSION,
                                       .term = m->term,
                                       .candidate_id = m->from,
                                       .last_log_index = m->request_vote.last_log_index,
                                       .last_log_term = m->request_vote.last_log_term,
                                       .disrupt_leader = m->request_vote.disrupt_leader,
                                       .pre_vote = m->request_vote.pre_vote};
        return 0;
    case CMSG_REQUEST_VOTE_RESULT:
        r->type = RAFT_REQUEST_VOTE_RESULT;
        r->request_vote_result = (struct raft_request_vote_result){
            .version = VOTE_VERSION,
            .term = m->term,
            .vote_granted = m->request_vote_result.granted,
            .pre_vote = m->request_vote_result.pre_vote};
        return 0;
    case CMSG_TIMEOUT_NOW:
        r->type = RAFT_TIMEOUT_NOW;
        r->timeout_now =
            (struct raft_timeout_now){.term = m->term,
                                      .last_log_index = m->timeout_now.last_log_index,
                                      .last_log_term = m->timeout_now.last_log_term};
        return 0;
    }
    return err_set(err, ERR_BADMSG, "message of type %d", (int)m->type);
}

static int step_message(struct driver *d, const struct consensus_msg *m, struct err *err)
{
    struct raft_entry entries[CONSENSUS_BATCH_MAX];
    struct raft_message r;
    struct raft_event ev = {.type = RAFT_RECEIVE};

    if (to_raft(d, m, &r, entries, err) != 0)
        return err->code;
    d->incoming = m;
    ev.time = d->now;
    ev.receive.message = &r;
    return driver_step(d, &ev, err);
}

/* I11: who asks for votes counts them by the list in its own log, so whoever is asked need
 * not be a voter by its own (Ongaro, section 4.1: a server answers without consulting its
 * list). The engine does not answer: a newcomer that was away when it was made a voter, and
 * the only one left who knows that it was, would never elect each other. It has kept its
 * votes and its log under this id from the beginning. */
static struct raft_server *own_seat(struct driver *d)
{
    struct raft_configuration *list = &d->raft.configuration;

    for (unsigned i = 0; i < list->n; i++)
        if (list->servers[i].id == d->config.id)
            return &list->servers[i];
    return NULL;
}

static int step_vote(struct driver *d, const struct consensus_msg *m, struct err *err)
{
    struct raft_server *seat = own_seat(d);
    struct consensus_msg asked = *m;
    int role, code;

    if (seat == NULL || seat->role == RAFT_VOTER ||
        (d->config.without_filter & (unsigned)WITHOUT_NEWCOMERS_VOTE) != 0)
        return step_message(d, m, err);
    /* Nor does it ever forget a leader, since it is never a candidate. */
    if (d->now - d->led_at >= d->config.election_ms)
        asked.request_vote.disrupt_leader = true;
    role = seat->role;
    seat->role = RAFT_VOTER;
    code = step_message(d, &asked, err);
    ASSERT(own_seat(d) == seat); /* a vote changes no list */
    seat->role = role;
    return code;
}

/* The newest list before this one is committed, whatever the leader's word on it is (a new
 * leader does not know yet how far): a list is proposed only when the one before it is
 * committed (check_change() in driver_input.c), so whose log has this one has that one for
 * good. It counts only if this log's agrees with the leader's up to there: it is not
 * behind the entry that the engine compares, or it is the first entry of this very part. */
static uint64_t list_before(const struct driver *d, const struct cmsg_append_entries *part)
{
    uint64_t tracked = d->raft.configuration_uncommitted_index;

    if (part->n_entries > 0 && part->entries[0].kind == ENTRY_VOTERS)
        return part->prev_log_index + 1;
    return tracked <= part->prev_log_index ? tracked : 0;
}

/* Three defects of 0.22.1 around lists of members. One that is not the first new entry of
 * its message is tracked at the wrong index. A list that is committed by the very message
 * that brings the next one is not taken for the committed one, and one that is not known to
 * be committed is forgotten when the next one comes: should the next one be cut off again,
 * the engine falls back to the one before both, or, on a node that joins, to none. So what
 * comes before a list is a message of its own, though it be empty: it commits the list
 * before, and the list follows. */
static int step_append(struct driver *d, const struct consensus_msg *m, struct err *err)
{
    const struct cmsg_append_entries *a = &m->append_entries;
    unsigned from = 0;

    for (unsigned i = 0; i <= a->n_entries; i++) {
        struct consensus_msg part = *m;
        struct cmsg_append_entries *p = &part.append_entries;
        int status;

        if (i < a->n_entries &&
            (a->entries[i].kind != ENTRY_VOTERS || a->prev_log_index + i == 0))
            continue;
        if (from != 0) {
            p->prev_log_index += from;
            p->prev_log_term = a->entries[from - 1].term;
        }
        p->entries = a->entries + from;
        p->n_entries = i - from;
        if (i < a->n_entries && list_before(d, p) > p->leader_commit)
            p->leader_commit = list_before(d, p);
        from = i;
        status = step_message(d, &part, err);
        if (status != 0)
            return status;
    }
    return 0;
}

/* It has all that the leader knew to be committed when it sent this. */
static void note_current(struct driver *d, const struct consensus_msg *m)
{
    if (m->term == raft_current_term(&d->raft) &&
        raft_commit_index(&d->raft) >= m->append_entries.leader_commit)
        d->current_at = d->now;
}

/* A leader has heard that one now: the time since when as many others have answered as make
 * a majority with it. */
static void note_answered(struct driver *d, uint64_t from)
{
    uint64_t contacts[CONSENSUS_VOTERS_MAX] = {0};
    unsigned voters = 0, n = 0;

    driver_slot(d, from)->contact = d->now;
    for (unsigned i = 0; i < d->members.n; i++) {
        const struct member *m = &d->members.list[i];
        const struct slot *slot = driver_slot_of(d, m->id);
        uint64_t at = slot != NULL ? slot->contact : 0;
        unsigned k = n;

        voters += m->votes;
        if (!m->votes || m->id == d->config.id)
            continue;
        for (; k > 0 && contacts[k - 1] < at; k--)
            contacts[k] = contacts[k - 1];
        contacts[k] = at;
        n++;
    }
    if (d->raft.state == RAFT_LEADER && voters > 1 &&
        contacts[voters / 2 - 1] > d->current_at)
        d->current_at = contacts[voters / 2 - 1];
}

static int receive_append(struct driver *d, const struct consensus_msg *m, struct err *err)
{
    int status = (d->config.without_filter & (unsigned)WITHOUT_LIST_ALONE) == 0
                     ? step_append(d, m, err)
                     : step_message(d, m, err);

    if (status == 0)
        note_current(d, m);
    return status;
}

int driver_receive(struct driver *d, uint64_t now_ms, const struct consensus_msg *msg,
                   struct orders *out, struct err *err)
{
    struct consensus_msg m = *msg;
    struct err local;
    int status;

    if (err == NULL)
        err = &local;
    if (driver_begin(d, now_ms, out, err) != 0)
        return err->code;
    status = driver_filter_in(d, &m, err);
    if (status == ERR_UNSUPPORTED) /* what a message brings is dropped, and stops nobody */
        status = err->code = ERR_BADMSG;
    if (status != 0)
        return driver_finish(d, status > 0 ? 0 : status);
    if ((m.type == CMSG_APPEND_ENTRIES || m.type == CMSG_INSTALL_SNAPSHOT) &&
        m.term >= raft_current_term(&d->raft))
        d->led_at = d->now;
    if (m.type == CMSG_APPEND_ENTRIES_RESULT && m.term == raft_current_term(&d->raft))
        note_answered(d, m.from);
    if (m.type == CMSG_APPEND_ENTRIES)
        return driver_finish(d, receive_append(d, &m, err));
    if (m.type == CMSG_REQUEST_VOTE)
        return driver_finish(d, step_vote(d, &m, err));
    return driver_finish(d, step_message(d, &m, err));
}
