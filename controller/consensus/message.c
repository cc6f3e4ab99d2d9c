#include "controller/consensus/message.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/base/assert.h"
#include "proto/raft.pb-c.h"
#include "proto/strict.h"
#include "proto/whole.h"

enum { WIRE_VERSION = 1 };

/* Room for 2^14 elections a second for thousands of years; more is a damaged number that
 * would make every later election impossible. */
#define TERM_MAX (UINT64_C(1) << 56)
#define INDEX_MAX (UINT64_C(1) << 56)

const char *consensus_msg_name(enum consensus_msg_type type)
{
    switch (type) {
    case CMSG_REQUEST_VOTE:
        return "request-vote";
    case CMSG_REQUEST_VOTE_RESULT:
        return "request-vote-result";
    case CMSG_APPEND_ENTRIES:
        return "append-entries";
    case CMSG_APPEND_ENTRIES_RESULT:
        return "append-entries-result";
    case CMSG_INSTALL_SNAPSHOT:
        return "install-snapshot";
    case CMSG_TIMEOUT_NOW:
        return "timeout-now";
    }
    return "unknown";
}

/* ---- encoding ------------------------------------------------------------------------ */

/* The protobuf structs of one message, on the stack. */
struct packing {
    Rf__RaftMsg msg;
    Rf__RaftRequestVote request_vote;
    Rf__RaftRequestVoteResult request_vote_result;
    Rf__RaftAppendEntries append_entries;
    Rf__RaftAppendEntriesResult append_entries_result;
    Rf__RaftInstallSnapshot install_snapshot;
    Rf__RaftTimeoutNow timeout_now;
    Rf__RaftEntry entries[CONSENSUS_BATCH_MAX], *entry_list[CONSENSUS_BATCH_MAX];
};

static ProtobufCBinaryData bytes(const void *data, size_t len)
{
    ProtobufCBinaryData b = {.len = len};

    /* protobuf-c has no const; packing only reads. */
    memcpy(&b.data, &data, sizeof b.data);
    return b;
}

static void fill_vote(struct packing *p, const struct cmsg_request_vote *m)
{
    rf__raft_request_vote__init(&p->request_vote);
    p->request_vote.last_log_index = m->last_log_index;
    p->request_vote.last_log_term = m->last_log_term;
    p->request_vote.disrupt_leader = m->disrupt_leader;
    p->request_vote.pre_vote = m->pre_vote;
    p->msg.request_vote = &p->request_vote;
    p->msg.body_case = RF__RAFT_MSG__BODY_REQUEST_VOTE;
}

static void fill_vote_result(struct packing *p, const struct cmsg_request_vote_result *m)
{
    rf__raft_request_vote_result__init(&p->request_vote_result);
    p->request_vote_result.granted = m->granted;
    p->request_vote_result.pre_vote = m->pre_vote;
    p->msg.request_vote_result = &p->request_vote_result;
    p->msg.body_case = RF__RAFT_MSG__BODY_REQUEST_VOTE_RESULT;
}

static void fill_append(struct packing *p, const struct cmsg_append_entries *m)
{
    rf__raft_append_entries__init(&p->append_entries);
    p->append_entries.prev_log_index = m->prev_log_index;
    p->append_entries.prev_log_term = m->prev_log_term;
    p->append_entries.leader_commit = m->leader_commit;
    for (unsigned i = 0; i < m->n_entries; i++) {
        rf__raft_entry__init(&p->entries[i]);
        p->entries[i].term = m->entries[i].term;
        p->entries[i].kind = (Rf__RaftEntryKind)m->entries[i].kind;
        p->entries[i].data = bytes(m->entries[i].data, m->entries[i].len);
        p->entry_list[i] = &p->entries[i];
    }
    p->append_entries.n_entries = m->n_entries;
    p->append_entries.entries = p->entry_list;
    p->msg.append_entries = &p->append_entries;
    p->msg.body_case = RF__RAFT_MSG__BODY_APPEND_ENTRIES;
}

static void fill_append_result(struct packing *p,
                               const struct cmsg_append_entries_result *m)
{
    rf__raft_append_entries_result__init(&p->append_entries_result);
    p->append_entries_result.rejected = m->rejected;
    p->append_entries_result.last_log_index = m->last_log_index;
    p->append_entries_result.stale = m->stale;
    p->msg.append_entries_result = &p->append_entries_result;
    p->msg.body_case = RF__RAFT_MSG__BODY_APPEND_ENTRIES_RESULT;
}

static void fill_install(struct packing *p, const struct cmsg_install_snapshot *m)
{
    rf__raft_install_snapshot__init(&p->install_snapshot);
    p->install_snapshot.last_index = m->last_index;
    p->install_snapshot.last_term = m->last_term;
    p->install_snapshot.data = bytes(m->data, m->len);
    p->msg.install_snapshot = &p->install_snapshot;
    p->msg.body_case = RF__RAFT_MSG__BODY_INSTALL_SNAPSHOT;
}

static void fill_timeout_now(struct packing *p, const struct cmsg_timeout_now *m)
{
    rf__raft_timeout_now__init(&p->timeout_now);
    p->timeout_now.last_log_index = m->last_log_index;
    p->timeout_now.last_log_term = m->last_log_term;
    p->msg.timeout_now = &p->timeout_now;
    p->msg.body_case = RF__RAFT_MSG__BODY_TIMEOUT_NOW;
}

static void fill_body(struct packing *p, const struct consensus_msg *m)
{
    switch (m->type) {
    case CMSG_REQUEST_VOTE:
        fill_vote(p, &m->request_vote);
        break;
    case CMSG_REQUEST_VOTE_RESULT:
        fill_vote_result(p, &m->request_vote_result);
        break;
    case CMSG_APPEND_ENTRIES:
        ASSERT(m->append_entries.n_entries <= CONSENSUS_BATCH_MAX);
        fill_append(p, &m->append_entries);
        break;
    case CMSG_APPEND_ENTRIES_RESULT:
        fill_append_result(p, &m->append_entries_result);
        break;
    case CMSG_INSTALL_SNAPSHOT:
        fill_install(p, &m->install_snapshot);
        break;
    case CMSG_TIMEOUT_NOW:
        fill_timeout_now(p, &m->timeout_now);
        break;
    }
}

int consensus_msg_encode(const struct consensus_msg *msg, struct buf *out, struct err *err)
{
    struct packing p;
    size_t len;

    rf__raft_msg__init(&p.msg);
    p.msg.version = WIRE_VERSION;
    p.msg.from = msg->from;
    p.msg.to = msg->to;
    p.msg.cluster = msg->cluster;
    p.msg.store = msg->store;
    p.msg.term = msg->term;
    fill_body(&p, msg);
    len = rf__raft_msg__get_packed_size(&p.msg);
    if (len > CONSENSUS_MSG_MAX)
        return err_set(err, ERR_FULL, "%s of %zu bytes", consensus_msg_name(msg->type),
                       len);
    if (buf_reserve(out, len, err) != 0)
        return err_wrap(err, "encode %s", consensus_msg_name(msg->type));
    rf__raft_msg__pack(&p.msg, out->data + out->len);
    out->len += len;
    return 0;
}

/* ---- decoding ------------------------------------------------------------------------ */

/* What a decoded message owns: the unpacked bytes, and entries that point into them. */
struct decoded {
    Rf__RaftMsg *msg;
    struct consensus_entry entries[CONSENSUS_BATCH_MAX];
};

void consensus_msg_free(struct consensus_msg *msg)
{
    struct decoded *d;

    if (msg == NULL || msg->owner == NULL)
        return;
    d = TAKE(msg->owner);
    whole_free(&d->msg->base);
    free(d);
}

/* The limits of the three kinds, and no kind but these. */
static int check_entry(const Rf__RaftEntry *e, struct err *err)
{
    if (e->kind == RF__RAFT_ENTRY_KIND__RAFT_ENTRY_COMMAND && e->data.len == 0)
        return err_set(err, ERR_BADMSG, "empty command");
    if (e->data.len > CONSENSUS_ENTRY_MAX)
        return err_set(err, ERR_FULL, "entry of %zu bytes", e->data.len);
    if (e->term == 0)
        return err_set(err, ERR_BADMSG, "entry without a term");
    return 0;
}

/* Terms never fall along a log, and nobody sends entries of a term after its own. The
 * engine only asserts it, and not in release builds. */
static int get_append(struct decoded *d, uint64_t term, struct cmsg_append_entries *ret,
                      struct err *err)
{
    const Rf__RaftAppendEntries *a = d->msg->append_entries;
    uint64_t last_term = a->prev_log_term;

    if (a->n_entries > CONSENSUS_BATCH_MAX)
        return err_set(err, ERR_FULL, "%zu entries in one message", a->n_entries);
    if ((a->prev_log_index == 0) != (a->prev_log_term == 0))
        return err_set(err, ERR_BADMSG, "previous entry %" PRIu64 " of term %" PRIu64,
                       a->prev_log_index, a->prev_log_term);
    if (a->prev_log_index > INDEX_MAX || a->leader_commit > INDEX_MAX)
        return err_set(err, ERR_BADMSG, "index out of range");
    for (size_t i = 0; i < a->n_entries; i++) {
        const Rf__RaftEntry *e = a->entries[i];

        if (check_entry(e, err) != 0)
            return err->code;
        if (e->term < last_term)
            return err_set(err, ERR_BADMSG, "term falls from %" PRIu64 " to %" PRIu64,
                           last_term, e->term);
        last_term = e->term;
        d->entries[i] = (struct consensus_entry){
            e->term, (enum consensus_entry_kind)e->kind, e->data.data, e->data.len};
    }
    if (last_term > term)
        return err_set(err, ERR_BADMSG, "entry of term %" PRIu64 " in term %" PRIu64,
                       last_term, term);
    *ret =
        (struct cmsg_append_entries){a->prev_log_index, a->prev_log_term, a->leader_commit,
                                     d->entries, (unsigned)a->n_entries};
    return 0;
}

static int get_vote(const Rf__RaftRequestVote *v, uint64_t term,
                    struct cmsg_request_vote *ret, struct err *err)
{
    if ((v->last_log_index == 0) != (v->last_log_term == 0) || v->last_log_term > term ||
        v->last_log_index > INDEX_MAX)
        return err_set(err, ERR_BADMSG, "last entry %" PRIu64 " of term %" PRIu64,
                       v->last_log_index, v->last_log_term);
    *ret = (struct cmsg_request_vote){v->last_log_index, v->last_log_term,
                                      v->disrupt_leader != 0, v->pre_vote != 0};
    return 0;
}

static int get_install(const Rf__RaftInstallSnapshot *s, uint64_t term,
                       struct cmsg_install_snapshot *ret, struct err *err)
{
    if (s->last_index == 0 || s->last_index > INDEX_MAX || s->last_term == 0 ||
        s->last_term > term)
        return err_set(err, ERR_BADMSG, "snapshot of %" PRIu64 ", term %" PRIu64,
                       s->last_index, s->last_term);
    if (s->data.len > CONSENSUS_SNAPSHOT_MAX)
        return err_set(err, ERR_FULL, "snapshot of %zu bytes", s->data.len);
    *ret = (struct cmsg_install_snapshot){s->last_index, s->last_term, s->data.data,
                                          s->data.len};
    return 0;
}

static int get_timeout_now(const Rf__RaftTimeoutNow *t, uint64_t term,
                           struct cmsg_timeout_now *ret, struct err *err)
{
    if (t->last_log_term > term || t->last_log_index > INDEX_MAX)
        return err_set(err, ERR_BADMSG, "last entry %" PRIu64 " of term %" PRIu64,
                       t->last_log_index, t->last_log_term);
    *ret = (struct cmsg_timeout_now){t->last_log_index, t->last_log_term};
    return 0;
}

static int get_append_result(const Rf__RaftAppendEntriesResult *r,
                             struct cmsg_append_entries_result *ret, struct err *err)
{
    if (r->rejected > INDEX_MAX || r->last_log_index > INDEX_MAX)
        return err_set(err, ERR_BADMSG, "index out of range");
    *ret =
        (struct cmsg_append_entries_result){r->rejected, r->last_log_index, r->stale != 0};
    return 0;
}

static int get_body(struct decoded *d, struct consensus_msg *ret, struct err *err)
{
    const Rf__RaftMsg *m = d->msg;

    switch (m->body_case) {
    case RF__RAFT_MSG__BODY_REQUEST_VOTE:
        ret->type = CMSG_REQUEST_VOTE;
        return get_vote(m->request_vote, m->term, &ret->request_vote, err);
    case RF__RAFT_MSG__BODY_REQUEST_VOTE_RESULT:
        ret->type = CMSG_REQUEST_VOTE_RESULT;
        ret->request_vote_result.granted = m->request_vote_result->granted != 0;
        ret->request_vote_result.pre_vote = m->request_vote_result->pre_vote != 0;
        return 0;
    case RF__RAFT_MSG__BODY_APPEND_ENTRIES:
        ret->type = CMSG_APPEND_ENTRIES;
        return get_append(d, m->term, &ret->append_entries, err);
    case RF__RAFT_MSG__BODY_APPEND_ENTRIES_RESULT:
        ret->type = CMSG_APPEND_ENTRIES_RESULT;
        return get_append_result(m->append_entries_result, &ret->append_entries_result,
                                 err);
    case RF__RAFT_MSG__BODY_INSTALL_SNAPSHOT:
        ret->type = CMSG_INSTALL_SNAPSHOT;
        return get_install(m->install_snapshot, m->term, &ret->install_snapshot, err);
    case RF__RAFT_MSG__BODY_TIMEOUT_NOW:
        ret->type = CMSG_TIMEOUT_NOW;
        return get_timeout_now(m->timeout_now, m->term, &ret->timeout_now, err);
    case RF__RAFT_MSG__BODY__NOT_SET:
    case _RF__RAFT_MSG__BODY__CASE_IS_INT_SIZE:
        break;
    }
    return err_set(err, ERR_BADMSG, "a message without a body");
}

static int get_message(struct decoded *d, struct consensus_msg *ret, struct err *err)
{
    const Rf__RaftMsg *m = d->msg;

    if (m->version != WIRE_VERSION)
        return err_set(err, ERR_BADMSG,
                       "wire version %" PRIu32 ", this one speaks %d: run "
                       "versions on all controllers that know each other",
                       m->version, WIRE_VERSION);
    if (m->from == 0 || m->to == 0 || m->term == 0 || m->term > TERM_MAX)
        return err_set(err, ERR_BADMSG, "from %" PRIu64 " to %" PRIu64 " in term %" PRIu64,
                       m->from, m->to, m->term);
    *ret = (struct consensus_msg){.from = m->from,
                                  .to = m->to,
                                  .cluster = m->cluster,
                                  .store = m->store,
                                  .term = m->term};
    return get_body(d, ret, err);
}

int consensus_msg_decode(const uint8_t *data, size_t len, struct consensus_msg *ret_msg,
                         struct err *err)
{
    struct err local;
    struct decoded *d;
    struct consensus_msg msg = {0};
    ProtobufCMessage *base = NULL;

    if (err == NULL)
        err = &local;
    if (len > CONSENSUS_MSG_MAX)
        return err_set(err, ERR_FULL, "raft message of %zu bytes", len);
    if (strict_unpack(&rf__raft_msg__descriptor, data, len, &base, err) != 0)
        return err_wrap(err, "raft message");
    d = calloc(1, sizeof *d);
    if (d == NULL) {
        whole_free(base);
        return err_set(err, ERR_NOMEM, "raft message");
    }
    d->msg = (Rf__RaftMsg *)(void *)base;
    if (get_message(d, &msg, err) != 0) {
        whole_free(base);
        free(d);
        return err_wrap(err, "raft message");
    }
    msg.owner = d;
    *ret_msg = msg;
    return 0;
}
