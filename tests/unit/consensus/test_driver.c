/* The driver's contract, input by input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controller/consensus/driver.h"
#include "proto/envelope.h"

static const struct voter voters[] = {{1, "a"}, {2, "b"}, {3, "c"}};

static struct {
    struct driver *d;
    struct orders o;
    struct err err;
    uint64_t now;
} r;

static struct driver_config config_of(uint64_t id, unsigned n_voters)
{
    return (struct driver_config){.id = id,
                                  .cluster = "test",
                                  .incarnation = 1,
                                  .voters = voters,
                                  .n_voters = n_voters,
                                  .election_ms = 300,
                                  .heartbeat_ms = 50,
                                  .trailing = 2,
                                  .seed = 1};
}

static void ok(int status)
{
    if (status != 0)
        fail_msg("%s: %s", err_name(status), r.err.text);
}

static int start_with(const struct driver_config *c, const struct consensus_entry *more,
                      size_t n)
{
    struct consensus_entry entries[8] = {{.term = 1, .kind = ENTRY_VOTERS}};
    struct driver_state state = {
        .term = 5, .first_index = 1, .entries = entries, .n_entries = n + 1};
    struct buf b = {0};
    int status;

    memset(&r, 0, sizeof r);
    r.now = 1000;
    ok(driver_bootstrap_entry(c, &b, &r.err));
    entries[0].data = b.data;
    entries[0].len = b.len;
    if (n != 0)
        memcpy(entries + 1, more, n * sizeof *more);
    ok(driver_new(&r.d, c, &r.err));
    status = driver_start(r.d, r.now, &state, &r.o, &r.err);
    buf_free(&b);
    return status;
}

static int stop(void **state)
{
    (void)state;
    driver_free(r.d);
    orders_free(&r.o);
    memset(&r, 0, sizeof r);
    return 0;
}

static const struct order *find(enum order_kind kind, unsigned nth)
{
    for (size_t i = 0; i < r.o.n; i++)
        if (r.o.list[i].kind == kind && nth-- == 0)
            return &r.o.list[i];
    return NULL;
}

static void receive(struct consensus_msg m)
{
    m.to = 1;
    m.cluster = driver_cluster_digest(r.d);
    ok(driver_receive(r.d, r.now, &m, &r.o, &r.err));
}

static int refused(struct consensus_msg m)
{
    return driver_receive(r.d, r.now, &m, &r.o, &r.err);
}

static void applied_all(void)
{
    for (size_t i = 0; i < r.o.n; i++)
        if (r.o.list[i].kind == ORDER_APPLY)
            driver_applied(r.d, r.o.list[i].apply.index);
}

static struct driver_status status_now(void)
{
    struct driver_status st;

    driver_status(r.d, &st);
    return st;
}

/* Leader by node 2's votes; what the last vote ordered is in r.o. */
static void elect(void)
{
    struct consensus_msg v = {.type = CMSG_REQUEST_VOTE_RESULT, .from = 2};

    r.now += 1000;
    ok(driver_tick(r.d, r.now, &r.o, &r.err));
    v.term = status_now().term + 1;
    v.request_vote_result = (struct cmsg_request_vote_result){true, true};
    receive(v);
    v.request_vote_result.pre_vote = false;
    receive(v);
    assert_int_equal(status_now().role, ROLE_LEADER);
}

static void answer(uint64_t from, uint64_t last)
{
    struct consensus_msg a = {.type = CMSG_APPEND_ENTRIES_RESULT, .from = from};

    a.term = status_now().term;
    a.append_entries_result.last_log_index = last;
    receive(a);
}

static struct driver_proposal proposal(const char *text)
{
    return (struct driver_proposal){(const uint8_t *)text, strlen(text), 12345};
}

static void persisted(uint64_t seq) { ok(driver_persisted(r.d, r.now, seq, &r.o, &r.err)); }

/* ---- claims -------------------------------------------------------------------------- */

static void start_three(void)
{
    struct driver_config c = config_of(1, 3);

    ok(start_with(&c, NULL, 0));
}

/* A vote is stored before the message that says so, in the list of orders. */
static void vote_is_ordered_before_its_message(void **state)
{
    struct consensus_msg v = {.type = CMSG_REQUEST_VOTE, .from = 2, .term = 9};

    (void)state;
    start_three();
    v.request_vote = (struct cmsg_request_vote){1, 1, false, false};
    receive(v);
    assert_int_equal(r.o.list[0].kind, ORDER_STORE_VOTE);
    assert_int_equal(r.o.list[0].store_vote.term, 9);
    assert_int_equal(r.o.list[0].store_vote.vote, 2);
    assert_int_equal(r.o.list[1].kind, ORDER_SEND);
    assert_int_equal(r.o.list[1].send.type, CMSG_REQUEST_VOTE_RESULT);
}

/* A follower acknowledges entries when they are stored, not when they arrive. */
static void follower_acknowledges_after_storing(void **state)
{
    static const uint8_t nothing[8];
    const struct consensus_entry e[] = {{6, ENTRY_BARRIER, nothing, 8}};
    struct consensus_msg a = {.type = CMSG_APPEND_ENTRIES, .from = 2, .term = 6};

    (void)state;
    start_three();
    a.append_entries = (struct cmsg_append_entries){1, 1, 1, e, 1};
    receive(a);
    assert_non_null(find(ORDER_STORE_ENTRIES, 0));
    assert_int_equal(find(ORDER_STORE_ENTRIES, 0)->store_entries.first_index, 2);
    assert_null(find(ORDER_SEND, 0));
    persisted(find(ORDER_STORE_ENTRIES, 0)->store_entries.seq);
    assert_non_null(find(ORDER_SEND, 0));
    assert_int_equal(find(ORDER_SEND, 0)->send.type, CMSG_APPEND_ENTRIES_RESULT);
}

/* A leader sends in parallel with its own write, and is no authority until an entry of its
 * own term has been applied. */
static void leader_is_authoritative_after_its_barrier(void **state)
{
    uint64_t seq;

    (void)state;
    start_three();
    applied_all();
    elect();
    assert_non_null(find(ORDER_STORE_ENTRIES, 0));
    assert_int_equal(find(ORDER_STORE_ENTRIES, 0)->store_entries.entries[0].kind,
                     ENTRY_BARRIER);
    seq = find(ORDER_STORE_ENTRIES, 0)->store_entries.seq;
    assert_non_null(find(ORDER_SEND, 0)); /* without waiting for its own disk */
    assert_false(driver_is_authoritative(r.d));
    answer(2, 2);
    assert_null(find(ORDER_APPLY, 0)); /* one disk of three */
    persisted(seq);
    assert_non_null(find(ORDER_APPLY, 0));
    assert_int_equal(find(ORDER_APPLY, 0)->apply.kind, ENTRY_BARRIER);
    assert_false(driver_is_authoritative(r.d));
    applied_all();
    assert_true(driver_is_authoritative(r.d));
}

static void lead(void)
{
    start_three();
    applied_all();
    elect();
    persisted(find(ORDER_STORE_ENTRIES, 0)->store_entries.seq);
    answer(2, 2);
    applied_all();
    assert_true(driver_is_authoritative(r.d));
}

/* Each command continues the chain; applying gives back what was submitted. */
static void commands_are_chained(void **state)
{
    struct driver_proposal p = proposal("one"), q = proposal("two");
    const struct consensus_entry *e;
    struct envelope first, second;
    uint8_t hash[CHAIN_SIZE];
    uint64_t at[2];

    (void)state;
    lead();
    ok(driver_submit(r.d, r.now, &p, &r.o, at, &r.err));
    assert_int_equal(at[0], 3);
    e = find(ORDER_STORE_ENTRIES, 0)->store_entries.entries;
    ok(envelope_open(e->data, e->len, &first, &r.err));
    for (size_t i = 0; i < CHAIN_SIZE; i++)
        assert_int_equal(first.prev_hash[i], 0);
    envelope_hash(e->data, e->len, hash);
    ok(driver_submit(r.d, r.now, &q, &r.o, at, &r.err));
    e = find(ORDER_STORE_ENTRIES, 0)->store_entries.entries;
    ok(envelope_open(e->data, e->len, &second, &r.err));
    assert_memory_equal(second.prev_hash, hash, CHAIN_SIZE);
    persisted(find(ORDER_STORE_ENTRIES, 0)->store_entries.seq);
    answer(3, 4);
    assert_int_equal(find(ORDER_APPLY, 0)->apply.index, 3);
    assert_memory_equal(find(ORDER_APPLY, 0)->apply.chain, hash, CHAIN_SIZE);
    assert_int_equal(find(ORDER_APPLY, 0)->apply.wall_ms, 12345);
    assert_int_equal(find(ORDER_APPLY, 1)->apply.len, 3);
    assert_memory_equal(find(ORDER_APPLY, 1)->apply.body, "two", 3);
}

/* What reads wait for: it says nothing, and is applied only with a majority's consent. A
 * leader that nobody answers any more is not confirmed by it, and its age says so. */
static void a_barrier_waits_for_a_majority(void **state)
{
    uint64_t at[2];

    (void)state;
    start_three();
    assert_int_equal(driver_barrier(r.d, r.now, &r.o, at, &r.err), ERR_NOTLEADER);
    assert_int_equal(status_now().current_ms, 0);
    stop(NULL);
    lead();
    assert_int_equal(status_now().current_ms, r.now);
    r.now += 7;
    ok(driver_barrier(r.d, r.now, &r.o, at, &r.err));
    assert_int_equal(at[0], 3);
    assert_int_equal(at[1], status_now().term);
    assert_int_equal(find(ORDER_STORE_ENTRIES, 0)->store_entries.entries->kind,
                     ENTRY_BARRIER);
    persisted(find(ORDER_STORE_ENTRIES, 0)->store_entries.seq);
    assert_null(find(ORDER_APPLY, 0));
    assert_int_equal(status_now().current_ms, r.now - 7);
    answer(3, 3);
    assert_int_equal(find(ORDER_APPLY, 0)->apply.index, 3);
    assert_int_equal(find(ORDER_APPLY, 0)->apply.kind, ENTRY_BARRIER);
    assert_int_equal(status_now().current_ms, r.now);
}

/* Not the leader, nothing, too much: nothing is submitted. */
static void unfit_submissions_are_refused(void **state)
{
    struct driver_proposal p = proposal("x"), none = proposal(""), large = p;
    uint8_t *much = calloc(1, CONSENSUS_BODY_MAX + 1);
    uint64_t at[2];

    (void)state;
    start_three();
    assert_int_equal(driver_submit(r.d, r.now, &p, &r.o, at, &r.err), ERR_NOTLEADER);
    stop(NULL);
    lead();
    assert_int_equal(driver_submit(r.d, r.now, &none, &r.o, at, &r.err), ERR_INVAL);
    large.body = much;
    large.len = CONSENSUS_BODY_MAX + 1;
    assert_int_equal(driver_submit(r.d, r.now, &large, &r.o, at, &r.err), ERR_INVAL);
    large.len = CONSENSUS_BODY_MAX;
    ok(driver_submit(r.d, r.now, &large, &r.o, at, &r.err));
    assert_true(find(ORDER_STORE_ENTRIES, 0)->store_entries.entries[0].len <=
                CONSENSUS_ENTRY_MAX);
    free(much);
}

/* Only to who has everything, once; submissions wait meanwhile. */
static void transfer_goes_to_who_has_everything(void **state)
{
    struct driver_proposal p = proposal("x");
    uint64_t at[2];

    (void)state;
    lead();
    assert_int_equal(driver_transfer(r.d, r.now, 3, &r.o, &r.err), ERR_BUSY);
    assert_int_equal(driver_transfer(r.d, r.now, 1, &r.o, &r.err), ERR_NOTFOUND);
    assert_int_equal(driver_transfer(r.d, r.now, 4, &r.o, &r.err), ERR_NOTFOUND);
    ok(driver_transfer(r.d, r.now, 0, &r.o, &r.err));
    assert_int_equal(find(ORDER_SEND, 0)->send.type, CMSG_TIMEOUT_NOW);
    assert_int_equal(find(ORDER_SEND, 0)->send.to, 2);
    assert_int_equal(status_now().transferee, 2);
    assert_int_equal(driver_submit(r.d, r.now, &p, &r.o, at, &r.err), ERR_NOTLEADER);
    assert_int_equal(driver_transfer(r.d, r.now, 2, &r.o, &r.err), ERR_NOTLEADER);
}

/* A snapshot is dropped into place only when it is stored; then entries behind go. */
static void snapshot_compacts_when_stored(void **state)
{
    struct driver_proposal p = proposal("x"), app = proposal("state");
    const struct order *o;
    uint64_t at[2], seq;

    (void)state;
    lead();
    for (unsigned i = 0; i < 6; i++)
        ok(driver_submit(r.d, r.now, &p, &r.o, at, &r.err));
    persisted(find(ORDER_STORE_ENTRIES, 0)->store_entries.seq);
    answer(2, 8);
    applied_all();
    ok(driver_snapshot_taken(r.d, r.now, &app, &r.o, &r.err));
    o = find(ORDER_STORE_SNAPSHOT, 0);
    assert_int_equal(o->store_snapshot.index, 8);
    assert_int_equal(o->store_snapshot.keep_from, 7);
    assert_false(o->store_snapshot.discard_log);
    seq = o->store_snapshot.seq;
    assert_int_equal(status_now().first_index, 1);
    assert_int_equal(driver_snapshot_taken(r.d, r.now, &app, &r.o, &r.err), ERR_BUSY);
    persisted(seq);
    assert_int_equal(status_now().first_index, 7);
    assert_int_equal(status_now().snapshot_index, 8);
    assert_int_equal(driver_snapshot_taken(r.d, r.now, &app, &r.o, &r.err), ERR_BUSY);
}

/* What no correct node sends changes nothing and is no reason to stop. */
static void impossible_messages_are_refused(void **state)
{
    struct consensus_msg m = {.type = CMSG_APPEND_ENTRIES, .from = 2, .to = 1};
    struct consensus_entry other = {5, ENTRY_VOTERS, (const uint8_t *)"zz", 2};
    struct driver_status before, after;

    (void)state;
    lead();
    before = status_now();
    m.term = before.term;
    assert_int_equal(refused(m), ERR_CONFLICT); /* other cluster */
    m.cluster = driver_cluster_digest(r.d);
    assert_int_equal(refused(m), ERR_BADMSG); /* another leader of our term */
    m.from = 1;
    assert_int_equal(refused(m), ERR_BADMSG); /* ourselves */
    m.from = 4;
    assert_int_equal(refused(m), ERR_BADMSG); /* nobody, and leads our term */
    m.from = 2;
    m.term++;
    m.append_entries = (struct cmsg_append_entries){2, 5, 0, &other, 1};
    assert_int_equal(refused(m), ERR_BADMSG); /* no list of members, or a newer one */
    assert_non_null(strstr(r.err.text, "install the version that the others run"));
    m.type = CMSG_INSTALL_SNAPSHOT;
    m.install_snapshot = (struct cmsg_install_snapshot){9, 5, (const uint8_t *)"zz", 2};
    assert_int_equal(refused(m), ERR_BADMSG); /* no snapshot inside */
    after = status_now();
    assert_int_equal(after.term, before.term);
    assert_int_equal(after.role, ROLE_LEADER);
    for (int code = -18; code <= 0; code++)
        assert_int_equal(driver_error_is_fatal(code),
                         code == ERR_NOMEM || code == ERR_IO || code == ERR_STALE ||
                             code == ERR_UNPROVEN || code == ERR_TIMEOUT ||
                             code == ERR_REFUSED || code == ERR_CLOSED ||
                             code == ERR_CORRUPT || code == ERR_UNKNOWN ||
                             code == ERR_PEER || code == ERR_UNSUPPORTED);
}

/* A command that does not continue the chain, or is damaged, stops the node. */
static int commit_foreign(const struct envelope *env, bool damaged)
{
    struct consensus_msg a = {.type = CMSG_APPEND_ENTRIES, .from = 2, .term = 6};
    struct consensus_entry e = {.term = 6, .kind = ENTRY_COMMAND};
    struct buf sealed = {0};
    int status;

    ok(envelope_seal(env, &sealed, &r.err));
    if (damaged)
        sealed.data[sealed.len - 1] ^= 1;
    e.data = sealed.data;
    e.len = sealed.len;
    a.append_entries = (struct cmsg_append_entries){1, 1, 2, &e, 1};
    a.to = 1;
    a.cluster = driver_cluster_digest(r.d);
    status = driver_receive(r.d, r.now, &a, &r.o, &r.err);
    buf_free(&sealed);
    return status;
}

static void broken_chain_stops_the_node(void **state)
{
    struct envelope env = {.leader_id = 2, .body = (const uint8_t *)"x", .len = 1};

    (void)state;
    start_three();
    applied_all();
    memset(env.prev_hash, 7, sizeof env.prev_hash);
    assert_int_equal(commit_foreign(&env, false), ERR_CORRUPT);
    assert_non_null(strstr(r.err.text, "hash chain"));
    assert_int_equal(r.o.n, 0); /* nothing of it may be carried out */
    assert_int_equal(driver_tick(r.d, r.now, &r.o, &r.err), ERR_CLOSED);
    stop(NULL);
    start_three();
    memset(env.prev_hash, 0, sizeof env.prev_hash);
    assert_int_equal(commit_foreign(&env, true), ERR_CORRUPT);
    stop(NULL);
    start_three();
    assert_int_equal(commit_foreign(&env, false), 0);
}

/* What a damaged or foreign directory might hold. */
static void impossible_states_are_refused(void **state)
{
    const struct consensus_entry falls[] = {{4, ENTRY_BARRIER, (const uint8_t *)"", 0},
                                            {3, ENTRY_BARRIER, (const uint8_t *)"", 0}};
    const struct consensus_entry ahead[] = {{6, ENTRY_BARRIER, (const uint8_t *)"", 0}};
    struct driver_config c = config_of(1, 3);
    struct driver_state none = {.term = 1};

    (void)state;
    assert_int_equal(start_with(&c, falls, 2), ERR_CORRUPT);
    stop(NULL);
    assert_int_equal(start_with(&c, ahead, 1), ERR_CORRUPT);
    stop(NULL);
    ok(driver_new(&r.d, &c, &r.err));
    assert_int_equal(driver_start(r.d, 1, &none, &r.o, &r.err), ERR_CORRUPT);
}

/* The log says who belongs to the cluster; the file counts for the bootstrap only. */
static void the_log_knows_the_members(void **state)
{
    struct driver_config three = config_of(1, 3), two = config_of(1, 2);
    struct consensus_entry e = {.term = 1, .kind = ENTRY_VOTERS};
    struct driver_state s = {.term = 1, .first_index = 1, .entries = &e, .n_entries = 1};
    struct buf b = {0};
    bool decided;

    (void)state;
    ok(driver_bootstrap_entry(&two, &b, &r.err));
    e.data = b.data;
    e.len = b.len;
    ok(driver_new(&r.d, &three, &r.err));
    ok(driver_start(r.d, 1, &s, &r.o, &r.err));
    assert_int_equal(driver_members(r.d, &decided)->n, 2);
    assert_true(decided);
    buf_free(&b);
}

/* One voter is its own majority. */
static void single_voter_leads_alone(void **state)
{
    struct driver_config c = config_of(1, 1);
    struct driver_proposal p = proposal("alone");
    uint64_t at[2];

    (void)state;
    ok(start_with(&c, NULL, 0));
    assert_int_equal(status_now().role, ROLE_LEADER);
    applied_all();
    persisted(find(ORDER_STORE_ENTRIES, 0)->store_entries.seq);
    applied_all();
    assert_true(driver_is_authoritative(r.d));
    ok(driver_submit(r.d, r.now, &p, &r.o, at, &r.err));
    persisted(find(ORDER_STORE_ENTRIES, 0)->store_entries.seq);
    assert_int_equal(find(ORDER_APPLY, 0)->apply.index, at[0]);
}

/* Contradictory configurations say what is wrong. */
static void bad_configurations_are_refused(void **state)
{
    struct driver_config c = config_of(4, 3);
    struct voter twins[] = {{1, "a"}, {1, "b"}};

    (void)state;
    assert_int_equal(driver_new(&r.d, &c, &r.err), ERR_INVAL);
    c = config_of(1, 3);
    c.heartbeat_ms = 200;
    assert_int_equal(driver_new(&r.d, &c, &r.err), ERR_INVAL);
    c = config_of(1, 8);
    assert_int_equal(driver_new(&r.d, &c, &r.err), ERR_INVAL);
    c = config_of(1, 2);
    c.voters = twins;
    assert_int_equal(driver_new(&r.d, &c, &r.err), ERR_INVAL);
    c = config_of(1, 3);
    c.cluster = "";
    assert_int_equal(driver_new(&r.d, &c, &r.err), ERR_INVAL);
}

/* Another name, another life, other voters: another digest. */
static uint64_t digest_of(const struct driver_config *c)
{
    struct driver *d;
    uint64_t digest;

    ok(driver_new(&d, c, &r.err));
    digest = driver_cluster_digest(d);
    driver_free(d);
    return digest;
}

static void digest_tells_clusters_apart(void **state)
{
    struct driver_config a = config_of(1, 3), b = a;
    struct voter reordered[] = {voters[2], voters[0], voters[1]};

    (void)state;
    b.id = 2;
    assert_int_equal(digest_of(&a), digest_of(&b));
    b.voters = reordered;
    assert_int_equal(digest_of(&a), digest_of(&b));
    b.incarnation = 2;
    assert_int_not_equal(digest_of(&a), digest_of(&b));
    b = config_of(1, 2);
    assert_int_not_equal(digest_of(&a), digest_of(&b));
    b = a;
    b.cluster = "tess";
    assert_int_not_equal(digest_of(&a), digest_of(&b));
}

#define CLAIM(f) cmocka_unit_test_teardown(f, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(vote_is_ordered_before_its_message),
        CLAIM(follower_acknowledges_after_storing),
        CLAIM(leader_is_authoritative_after_its_barrier),
        CLAIM(commands_are_chained),
        CLAIM(a_barrier_waits_for_a_majority),
        CLAIM(unfit_submissions_are_refused),
        CLAIM(transfer_goes_to_who_has_everything),
        CLAIM(snapshot_compacts_when_stored),
        CLAIM(impossible_messages_are_refused),
        CLAIM(broken_chain_stops_the_node),
        CLAIM(impossible_states_are_refused),
        CLAIM(the_log_knows_the_members),
        CLAIM(single_voter_leads_alone),
        CLAIM(bad_configurations_are_refused),
        CLAIM(digest_tells_clusters_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
