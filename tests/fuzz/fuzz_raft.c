/* What one controller's engine says to another's: any bytes, then any message that could be
 * decoded, to a node that joins, follows, votes or leads. A peer's mistake is dropped or
 * stops the node with a sentence (driver.h); it never trips an assertion of the engine,
 * whose release build would go on in silence. */
#include <string.h>

#include "controller/base/auto.h"
#include "proto/envelope.h"
#include "tests/fuzz/drivers.h"
#include "tests/fuzz/fuzz.h"

struct node {
    struct driver *d;
    struct orders o;
    struct buf list; /* the bootstrap's members */
    uint64_t now, cluster, stored;
    bool stopped;
};

static void carry_out(struct node *n, int status, const struct err *err)
{
    uint64_t stored = n->stored;

    if (status != 0) {
        CLAIM(err->text[0] != '\0', "refused without a word");
        n->stopped = n->stopped || driver_error_is_fatal(status);
        return;
    }
    n->stored = drivers_store(n->d, &n->o, stored);
    if (n->stored != stored) {
        struct err more = {0};
        int again = driver_persisted(n->d, n->now, n->stored, &n->o, &more);

        carry_out(n, again, &more);
    }
}

/* One of three voters, with the first entry; or one that joins, with nothing. */
static void start(struct node *n, bool joins)
{
    struct driver_config c = drivers_config(1);
    struct consensus_entry first = {.term = 1, .kind = ENTRY_VOTERS};
    struct driver_state state = {
        .term = 1, .first_index = 1, .entries = &first, .n_entries = joins ? 0 : 1};
    struct err err = {0};

    n->now = 1000;
    CLAIM(driver_bootstrap_entry(&c, &n->list, &err) == 0, "%s", err.text);
    CLAIM(driver_digest(&c, &n->cluster, &err) == 0, "%s", err.text);
    first.data = n->list.data;
    first.len = n->list.len;
    if (joins)
        c.n_voters = 0;
    CLAIM(driver_new(&n->d, &c, &err) == 0, "%s", err.text);
    driver_set_digest(n->d, n->cluster);
    carry_out(n, driver_start(n->d, n->now, &state, &n->o, &err), &err);
    CLAIM(!n->stopped, "%s", err.text);
}

static void receive_bytes(struct node *n, const uint8_t *data, size_t len)
{
    AUTO(consensus_msg_free) struct consensus_msg m = {0};
    struct err err = {0};

    if (consensus_msg_decode(data, len, &m, &err) != 0)
        return;
    m.cluster = n->cluster;
    m.from = 2 + (m.from & 1);
    m.to = 1;
    carry_out(n, driver_receive(n->d, n->now, &m, &n->o, &err), &err);
}

/* By its bytes, as everything comes that a peer says. */
static void send_made(struct node *n, const struct consensus_msg *m)
{
    AUTO(buf_free) struct buf b = {0};
    struct err err = {0};

    if (consensus_msg_encode(m, &b, &err) == 0)
        receive_bytes(n, b.data, b.len);
}

/* Small numbers, near to what the node has: far more telling than any 64 bits. */
static uint64_t small(struct bytes *b) { return bytes_pick(b, 8); }

static void receive_append(struct node *n, struct bytes *b, struct consensus_msg *m)
{
    struct consensus_entry entries[3];
    struct buf bodies[3] = {{0}, {0}, {0}};
    struct driver_status st;
    struct err err = {0};

    driver_status(n->d, &st);
    m->append_entries.prev_log_index = bytes_near(b, st.last_index);
    m->append_entries.prev_log_term = small(b);
    m->append_entries.leader_commit = bytes_near(b, st.last_index);
    m->append_entries.n_entries = bytes_pick(b, 4);
    m->append_entries.entries = entries;
    for (unsigned i = 0; i < m->append_entries.n_entries; i++) {
        struct envelope e = {.leader_id = 2, .wall_ms = 1, .body = (const uint8_t *)"x"};

        e.len = 1;
        memcpy(e.prev_hash, st.chain, sizeof e.prev_hash);
        CLAIM(envelope_seal(&e, &bodies[i], &err) == 0, "%s", err.text);
        entries[i] = (struct consensus_entry){.term = small(b), .kind = ENTRY_BARRIER};
        if (bytes_next(b) & 1) {
            entries[i].kind = ENTRY_COMMAND;
            entries[i].data = bodies[i].data;
            entries[i].len = bodies[i].len;
        }
    }
    send_made(n, m);
    m->append_entries.entries = NULL;
    for (unsigned i = 0; i < 3; i++)
        buf_free(&bodies[i]);
}

/* Entries from near the beginning on, with lists of members: what a leader repeats whose
 * log is whole. */
static void receive_repeated(struct node *n, struct bytes *b)
{
    static const uint8_t nothing[8];
    struct consensus_entry entries[12];
    struct consensus_msg m = {.type = CMSG_APPEND_ENTRIES, .to = 1, .cluster = n->cluster};
    uint8_t prev = bytes_pick(b, 5), lists = bytes_next(b);
    uint64_t term = 1 + bytes_pick(b, 3);

    m.from = 2u + bytes_pick(b, 2);
    m.term = small(b);
    m.append_entries = (struct cmsg_append_entries){
        prev, prev != 0 ? term : 0, small(b) + small(b), entries, bytes_pick(b, 13)};
    for (unsigned i = 0; i < m.append_entries.n_entries; i++) {
        entries[i] = (struct consensus_entry){term, ENTRY_BARRIER, nothing, 8};
        if (prev + i == 0 || (i < 8 && (lists >> i & 1) != 0))
            entries[i] = (struct consensus_entry){term, ENTRY_VOTERS, n->list.data, 0};
        if (entries[i].kind == ENTRY_VOTERS)
            entries[i].len = n->list.len;
        if (bytes_pick(b, 8) == 7)
            term++;
    }
    send_made(n, &m);
}

static void receive_snapshot(struct node *n, struct bytes *b)
{
    struct consensus_msg m = {.type = CMSG_INSTALL_SNAPSHOT, .to = 1, .from = 2};
    struct snapshot_envelope e = {.taken_by = 2, .body = (const uint8_t *)"x", .len = 1};
    AUTO(buf_free) struct buf sealed = {0};
    struct driver_status st;
    struct err err = {0};

    driver_status(n->d, &st);
    m.term = small(b);
    e.index = bytes_near(b, st.last_index) + small(b);
    e.term = small(b);
    e.members_index = bytes_near(b, 1);
    e.members = n->list.data;
    e.members_len = n->list.len;
    memcpy(e.chain, st.chain, sizeof e.chain);
    CLAIM(snapshot_seal(&e, &sealed, &err) == 0, "%s", err.text);
    m.install_snapshot =
        (struct cmsg_install_snapshot){e.index, e.term, sealed.data, sealed.len};
    send_made(n, &m);
}

static void receive_made(struct node *n, struct bytes *b)
{
    struct consensus_msg m = {.type = (enum consensus_msg_type)(1 + bytes_pick(b, 6)),
                              .to = 1,
                              .cluster = n->cluster};

    m.from = 2u + bytes_pick(b, 2);
    m.term = small(b);
    if (m.type == CMSG_APPEND_ENTRIES) {
        receive_append(n, b, &m);
        return;
    }
    if (m.type == CMSG_REQUEST_VOTE) {
        m.request_vote.last_log_index = small(b);
        m.request_vote.last_log_term = small(b);
        m.request_vote.disrupt_leader = bytes_next(b) & 1;
        m.request_vote.pre_vote = bytes_next(b) & 1;
    } else if (m.type == CMSG_REQUEST_VOTE_RESULT) {
        m.request_vote_result.granted = bytes_next(b) & 1;
        m.request_vote_result.pre_vote = bytes_next(b) & 1;
    } else if (m.type == CMSG_APPEND_ENTRIES_RESULT) {
        m.append_entries_result.rejected = small(b);
        m.append_entries_result.last_log_index = small(b);
        m.append_entries_result.stale = bytes_next(b) & 1;
    } else if (m.type == CMSG_TIMEOUT_NOW) {
        m.timeout_now.last_log_index = small(b);
        m.timeout_now.last_log_term = small(b);
    } else {
        m.install_snapshot.last_index = small(b);
        m.install_snapshot.last_term = small(b);
        m.install_snapshot.len = bytes_part(b, &m.install_snapshot.data);
    }
    send_made(n, &m);
}

static void play(struct node *n, struct bytes *b)
{
    struct driver_proposal p = {
        .body = (const uint8_t *)"proposal", .len = 8, .wall_ms = 1};
    uint64_t at[2];
    struct err err = {0};
    const uint8_t *part;
    size_t len;

    switch (bytes_pick(b, 8)) {
    case 0:
        n->now += 10u * bytes_next(b);
        carry_out(n, driver_tick(n->d, n->now, &n->o, &err), &err);
        return;
    case 1:
        carry_out(n, driver_submit(n->d, n->now, &p, &n->o, at, &err), &err);
        return;
    case 2:
        carry_out(n, driver_transfer(n->d, n->now, small(b), &n->o, &err), &err);
        return;
    case 3:
        carry_out(n, driver_snapshot_taken(n->d, n->now, &p, &n->o, &err), &err);
        return;
    case 4:
        len = bytes_part(b, &part);
        receive_bytes(n, part, len);
        return;
    case 5:
        receive_repeated(n, b);
        return;
    case 6:
        receive_snapshot(n, b);
        return;
    default:
        receive_made(n, b);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, data + size};
    struct node n = {0};

    start(&n, (bytes_next(&b) & 1) != 0);
    while (bytes_left(&b) && !n.stopped)
        play(&n, &b);
    orders_free(&n.o);
    driver_free(n.d);
    buf_free(&n.list);
    return 0;
}
