/* Each filter before libraft 0.22.1 is needed: a seed, or a directed history, that goes
 * wrong without it and well with it. The runs are children, since the engine's own
 * assertions (and the sanitizer) are among what goes wrong. */
#include "tests/unit/consensus/driver_rig.h"

#include <stdlib.h>
#include <string.h>

#include "proto/envelope.h"
#include "tests/unit/consensus/sim.h"

static bool simulated(unsigned without_filter, const void *arg)
{
    struct sim_config c = *(const struct sim_config *)arg;
    struct sim_result r;

    c.without_filter = without_filter;
    sim_run(&c, &r);
    return r.ok;
}

static void seed_needs(unsigned filter, const struct sim_config *c, int expected)
{
    assert_int_equal(outcome_of(simulated, 0, c), WELL);
    assert_int_equal(outcome_of(simulated, filter, c), expected);
}

/* Two healthy nodes, the better log at the lower term: nobody is elected for ever. */
static void pre_vote_deadlock(void **state)
{
    const struct sim_config c[] = {
        {.seed = 1426, .fault_ms = 20000},
        {.seed = 2962, .fault_ms = 20000, .snapshot_every = 40},
    };

    (void)state;
    seed_needs(WITHOUT_VOTE_TERM_FILTER, &c[0], WRONG);
    seed_needs(WITHOUT_VOTE_TERM_FILTER, &c[1], WRONG);
}

/* A late rejection puts next_index at or below match_index. */
static void replication_stall(void **state)
{
    const struct sim_config c = {.seed = 308, .fault_ms = 20000};

    (void)state;
    seed_needs(WITHOUT_REJECTION_FILTER, &c, DIED);
}

/* A vote result read through another state's union member. */
static void stale_union_read(void **state)
{
    const struct sim_config c = {.seed = 5, .fault_ms = 20000, .snapshot_every = 40};

    (void)state;
    seed_needs(WITHOUT_VOTE_STATE_FILTER, &c, DIED);
}

/* ---- directed histories -------------------------------------------------------------- */

/* Entry 2 of term 2 is written, cut off by term 3's, and comes back in term 4, while the
 * disk has done the first writing only: a crash now leaves entry 2 of term 3. So nothing of
 * entry 2 may be acknowledged before the third writing is done. */
static bool acknowledges_only_what_no_write_undoes(unsigned without_filter, const void *arg)
{
    static const uint8_t nothing[8];
    struct consensus_entry old[] = {{2, ENTRY_BARRIER, nothing, 8}};
    struct consensus_entry other[] = {{3, ENTRY_BARRIER, nothing, 8}};
    struct consensus_entry back[] = {{2, ENTRY_BARRIER, nothing, 8},
                                     {4, ENTRY_BARRIER, nothing, 8}};
    struct driver_config c = rig_config(1, without_filter);
    struct driver_status st;
    struct rig r;
    uint64_t first, last;
    bool well;

    (void)arg;
    rig_open(&r, &c, 1, NULL, 0);
    first = rig_append(&r, 2, 2, (struct cmsg_append_entries){1, 1, 1, old, 1});
    (void)rig_append(&r, 3, 3, (struct cmsg_append_entries){1, 1, 1, other, 1});
    last = rig_append(&r, 2, 4, (struct cmsg_append_entries){1, 1, 1, back, 2});
    rig_persisted(&r, first);
    driver_status(r.d, &st);
    well = st.stored_index == 1 && rig_find(&r, ORDER_SEND) == NULL;
    rig_persisted(&r, last);
    driver_status(r.d, &st);
    well = well && st.stored_index == 3 && rig_find(&r, ORDER_SEND) != NULL;
    rig_close(&r);
    return well;
}

static void rewritten_entries_are_not_acknowledged(void **state)
{
    (void)state;
    assert_int_equal(outcome_of(acknowledges_only_what_no_write_undoes, 0, NULL), WELL);
    assert_int_equal(
        outcome_of(acknowledges_only_what_no_write_undoes, WITHOUT_REWRITE_GUARD, NULL),
        WRONG);
}

/* Make the rig leader of the next term, with node 2's votes. */
static void rig_elect(struct rig *r)
{
    struct consensus_msg vote = {.type = CMSG_REQUEST_VOTE_RESULT, .from = 2, .to = 1};
    struct driver_status st;

    r->now += 1000;
    if (driver_tick(r->d, r->now, &r->o, &r->err) != 0)
        abort();
    driver_status(r->d, &st);
    vote.request_vote_result = (struct cmsg_request_vote_result){true, true};
    vote.term = st.term + 1;
    rig_receive(r, vote);
    vote.request_vote_result.pre_vote = false;
    rig_receive(r, vote);
}

/* A leader of term 1's successor asked a node of a higher term, beginning at entry 1 or
 * with a snapshot; meanwhile it won that very term. The answer says "term T, accepted, last
 * index: whatever was on the stack". If it counts, an entry that one node has is taken for
 * committed. */
static bool refusal_of_an_old_term_is_no_success(unsigned without_filter, const void *arg)
{
    struct consensus_msg m = {.type = CMSG_APPEND_ENTRIES_RESULT, .from = 3, .to = 1};
    const struct order *own;
    struct driver_config c = rig_config(1, without_filter);
    struct driver_status st;
    struct rig r;
    bool well;

    (void)arg;
    rig_open(&r, &c, 2, (const uint64_t[]){2}, 1);
    rig_elect(&r);
    own = rig_find(&r, ORDER_STORE_ENTRIES);
    driver_status(r.d, &st);
    well = st.role == ROLE_LEADER && own != NULL;
    if (well)
        rig_persisted(&r, own->store_entries.seq);
    m.term = st.term;
    m.append_entries_result =
        (struct cmsg_append_entries_result){.last_log_index = 4711, .stale = true};
    rig_receive(&r, m);
    driver_status(r.d, &st);
    well = well && st.commit_index == 1;
    rig_close(&r);
    return well;
}

static void stale_refusals_do_not_commit(void **state)
{
    (void)state;
    assert_int_equal(outcome_of(refusal_of_an_old_term_is_no_success, 0, NULL), WELL);
    assert_int_equal(
        outcome_of(refusal_of_an_old_term_is_no_success, WITHOUT_STALE_REPLY_FILTER, NULL),
        WRONG);
}

/* And the sender marks them: the other half of the filter. */
static bool marks_stale_replies(unsigned without_filter, const void *arg)
{
    struct driver_config c = rig_config(1, without_filter);
    struct consensus_msg m = {.type = CMSG_APPEND_ENTRIES, .from = 2, .to = 1, .term = 1};
    struct consensus_msg answer = {0};
    const struct order *o;
    struct rig r;
    bool well;

    (void)arg;
    rig_open(&r, &c, 5, (const uint64_t[]){2}, 1);
    rig_receive(&r, m);
    o = rig_find(&r, ORDER_SEND);
    well = o != NULL && o->send.type == CMSG_APPEND_ENTRIES_RESULT &&
           consensus_msg_decode(o->send.data, o->send.len, &answer, &r.err) == 0 &&
           answer.append_entries_result.stale && answer.term == 5 &&
           answer.append_entries_result.last_log_index == 0;
    consensus_msg_free(&answer);
    rig_close(&r);
    return well;
}

static void stale_replies_are_marked(void **state)
{
    (void)state;
    assert_int_equal(outcome_of(marks_stale_replies, 0, NULL), WELL);
}

/* Entries 1 to 9 of term 1 from node 2, committed, then a snapshot of 9 that leaves 8 and 9
 * in the log; and what entry 1 says. */
static void rig_open_compacted(struct rig *r, unsigned without_filter,
                               struct buf *ret_voters_entry)
{
    static const uint8_t nothing[8];
    struct driver_config c = rig_config(1, without_filter);
    struct driver_proposal state = {
        .body = (const uint8_t *)"state", .len = 5, .wall_ms = 1};
    struct consensus_entry list[8];
    uint64_t seq;

    c.trailing = 2;
    rig_open(r, &c, 1, NULL, 0);
    if (driver_bootstrap_entry(&c, ret_voters_entry, &r->err) != 0)
        abort();
    for (unsigned i = 0; i < 8; i++)
        list[i] = (struct consensus_entry){1, ENTRY_BARRIER, nothing, 8};
    seq = rig_append(r, 2, 1, (struct cmsg_append_entries){1, 1, 9, list, 8});
    driver_applied(r->d, 9);
    rig_persisted(r, seq);
    if (driver_snapshot_taken(r->d, r->now, &state, &r->o, &r->err) != 0)
        abort();
    rig_persisted(r, rig_find(r, ORDER_STORE_SNAPSHOT)->store_snapshot.seq);
}

/* The bootstrap's list, then barriers: what a leader has that begins with entry 1. Entry 9
 * is of `term`, and so is what follows. */
static void whole_log(struct consensus_entry list[12], const struct buf *voters_entry,
                      uint64_t term)
{
    static const uint8_t nothing[8];

    list[0] = (struct consensus_entry){1, ENTRY_VOTERS, voters_entry->data, 0};
    list[0].len = voters_entry->len;
    for (unsigned i = 1; i < 12; i++)
        list[i] = (struct consensus_entry){i < 8 ? 1 : term, ENTRY_BARRIER, nothing, 8};
}

/* What the node says to a message; last_log_index UINT64_MAX: nothing. */
static struct cmsg_append_entries_result rig_answer(struct rig *r)
{
    struct cmsg_append_entries_result answer = {.last_log_index = UINT64_MAX};
    struct consensus_msg m = {0};
    const struct order *o = rig_find(r, ORDER_SEND);

    if (o == NULL || o->send.type != CMSG_APPEND_ENTRIES_RESULT ||
        consensus_msg_decode(o->send.data, o->send.len, &m, &r->err) != 0)
        return answer;
    answer = m.append_entries_result;
    consensus_msg_free(&m);
    return answer;
}

/* The first of the list is entry `first`; the answer is "stored up to 9", at once or with
 * the next write, and the log is as long as it must be. */
static bool is_taken(struct rig *r, const struct consensus_entry *list, unsigned first,
                     unsigned n, uint64_t last)
{
    struct cmsg_append_entries a = {first - 1u, first > 1, 9, list + first - 1, n};
    struct cmsg_append_entries_result answer;
    struct driver_status st;
    uint64_t seq = rig_append(r, 2, 1, a);

    if (seq != 0)
        rig_persisted(r, seq);
    answer = rig_answer(r);
    driver_status(r->d, &st);
    return answer.rejected == 0 && !answer.stale && answer.last_log_index == last &&
           st.last_index == last && st.commit_index == 9 && st.applied_index == 9;
}

/* All answers to a leader were lost. It repeats entries that are in a snapshot here, from
 * the first or from a later one, and some that are new. */
static bool takes_what_is_repeated(unsigned without_filter, const void *arg)
{
    struct consensus_entry list[12];
    struct buf voters_entry = {0};
    struct rig r;
    bool well;

    (void)arg;
    rig_open_compacted(&r, without_filter, &voters_entry);
    whole_log(list, &voters_entry, 1);
    well = is_taken(&r, list, 1, 3, 9) && is_taken(&r, list, 1, 9, 9) &&
           is_taken(&r, list, 4, 2, 9) && is_taken(&r, list, 4, 0, 9) &&
           is_taken(&r, list, 1, 10, 10) && is_taken(&r, list, 4, 8, 11) &&
           is_taken(&r, list, 1, 12, 12);
    buf_free(&voters_entry);
    rig_close(&r);
    return well;
}

static void repeated_entries_are_known(void **state)
{
    (void)state;
    assert_int_equal(outcome_of(takes_what_is_repeated, 0, NULL), WELL);
    assert_int_equal(outcome_of(takes_what_is_repeated, WITHOUT_KNOWN_CUT, NULL), DIED);
}

/* Who has another entry where ours is committed: refused and not acknowledged, and the node
 * goes on. A leader of a term that is over may have one: it hears of the new term. */
static bool refuses_another_past(unsigned without_filter, const void *arg)
{
    struct consensus_msg m = {.type = CMSG_APPEND_ENTRIES, .from = 3, .to = 1, .term = 2};
    struct consensus_msg beat = {.type = CMSG_APPEND_ENTRIES, .from = 2, .to = 1};
    struct consensus_entry list[12];
    struct buf voters_entry = {0};
    struct rig r;
    bool well;

    (void)arg;
    rig_open_compacted(&r, without_filter, &voters_entry);
    whole_log(list, &voters_entry, 2);
    m.cluster = driver_cluster_digest(r.d);
    m.append_entries = (struct cmsg_append_entries){0, 0, 9, list, 12};
    well = driver_receive(r.d, r.now, &m, &r.o, &r.err) == ERR_BADMSG && r.o.n == 0;
    beat.term = 3;
    beat.append_entries = (struct cmsg_append_entries){9, 1, 9, NULL, 0};
    rig_receive(&r, beat);
    well = well && rig_answer(&r).last_log_index == 9;
    rig_receive(&r, m);
    well = well && rig_answer(&r).stale && rig_answer(&r).last_log_index == 0;
    buf_free(&voters_entry);
    rig_close(&r);
    return well;
}

static void another_past_is_refused(void **state)
{
    (void)state;
    assert_int_equal(outcome_of(refuses_another_past, 0, NULL), WELL);
}

/* A heartbeat that begins far back, of a leader that has committed more by now. What is
 * committed stays it, and an entry that contradicts it stops the node with a sentence. */
static bool commits_for_good(unsigned without_filter, const void *arg)
{
    static const uint8_t nothing[8];
    struct driver_config c = rig_config(1, without_filter);
    struct consensus_entry other = {2, ENTRY_BARRIER, nothing, 8};
    struct consensus_msg m = {.type = CMSG_APPEND_ENTRIES, .from = 3, .to = 1, .term = 2};
    struct driver_status st;
    struct rig r;
    bool well;

    (void)arg;
    rig_open(&r, &c, 1, (const uint64_t[]){1, 1, 1}, 3);
    (void)rig_append(&r, 2, 1, (struct cmsg_append_entries){4, 1, 4, NULL, 0});
    driver_applied(r.d, 4);
    (void)rig_append(&r, 2, 1, (struct cmsg_append_entries){2, 1, 5, NULL, 0});
    driver_status(r.d, &st);
    well = st.commit_index == 4;
    m.cluster = driver_cluster_digest(r.d);
    m.append_entries = (struct cmsg_append_entries){2, 1, 4, &other, 1};
    well = well && driver_receive(r.d, r.now, &m, &r.o, &r.err) == ERR_CORRUPT &&
           strstr(r.err.text, "contradicts an entry that was committed here") != NULL;
    rig_close(&r);
    return well;
}

static void commitment_is_not_lost(void **state)
{
    (void)state;
    assert_int_equal(outcome_of(commits_for_good, 0, NULL), WELL);
    assert_int_equal(outcome_of(commits_for_good, WITHOUT_COMMIT_BOUND, NULL), WRONG);
}

/* A sealed snapshot of entry 3, as no leader has it: of another term than the committed
 * entry here, or with members from nowhere. Dropped; the node goes on. */
static bool refuses_snapshot(uint64_t term, uint64_t members_index)
{
    struct driver_config c = rig_config(1, 0);
    struct consensus_msg m = {
        .type = CMSG_INSTALL_SNAPSHOT, .from = 2, .to = 1, .term = term};
    struct snapshot_envelope e = {.index = members_index == 1 ? 3 : 9,
                                  .term = term,
                                  .taken_by = 2,
                                  .members_index = members_index,
                                  .body = (const uint8_t *)"x",
                                  .len = 1};
    struct buf list = {0}, sealed = {0};
    struct driver_status st;
    struct rig r;
    bool well;

    rig_open(&r, &c, 1, (const uint64_t[]){1, 1, 1}, 3);
    (void)rig_append(&r, 2, 1, (struct cmsg_append_entries){4, 1, 4, NULL, 0});
    driver_applied(r.d, 4);
    if (driver_bootstrap_entry(&c, &list, &r.err) != 0)
        abort();
    e.members = list.data;
    e.members_len = list.len;
    if (snapshot_seal(&e, &sealed, &r.err) != 0)
        abort();
    m.cluster = driver_cluster_digest(r.d);
    m.install_snapshot =
        (struct cmsg_install_snapshot){e.index, term, sealed.data, sealed.len};
    well = driver_receive(r.d, r.now, &m, &r.o, &r.err) == ERR_BADMSG;
    driver_status(r.d, &st);
    well = well && st.last_index == 4 && st.applied_index == 4;
    (void)rig_append(&r, 2, 1, (struct cmsg_append_entries){4, 1, 4, NULL, 0});
    buf_free(&list);
    buf_free(&sealed);
    rig_close(&r);
    return well;
}

static void snapshots_take_nothing_back(void **state)
{
    (void)state;
    assert_true(refuses_snapshot(2, 1));
    assert_true(refuses_snapshot(1, 0));
    assert_true(refuses_snapshot(1, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pre_vote_deadlock),
        cmocka_unit_test(replication_stall),
        cmocka_unit_test(stale_union_read),
        cmocka_unit_test(rewritten_entries_are_not_acknowledged),
        cmocka_unit_test(stale_refusals_do_not_commit),
        cmocka_unit_test(stale_replies_are_marked),
        cmocka_unit_test(repeated_entries_are_known),
        cmocka_unit_test(another_past_is_refused),
        cmocka_unit_test(commitment_is_not_lost),
        cmocka_unit_test(snapshots_take_nothing_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
