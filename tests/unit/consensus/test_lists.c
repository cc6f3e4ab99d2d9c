/* Two filters before libraft 0.22.1 that are about lists of members: none is forgotten, and
 * who was made a voter votes though its log does not say so yet. */
#include "tests/unit/consensus/driver_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bootstrap's list and one more learner in it. */
static struct buf list_with(const struct driver_config *c, uint64_t id, const char *name)
{
    struct member one = {.id = id, .store = id, .address = "10.0.0.9:7400"};
    struct buf list = {0}, longer = {0};
    struct members m;
    struct err err = {0};

    snprintf(one.name, sizeof one.name, "%s", name);
    if (driver_bootstrap_entry(c, &list, &err) != 0 ||
        members_decode(list.data, list.len, &m, &err) != 0 ||
        members_add(&m, &one, &err) != 0 || members_encode(&m, &longer, &err) != 0)
        abort();
    buf_free(&list);
    return longer;
}

/* Entries 2 and 3 are lists, of a leader that does not know yet that 2 is committed; the
 * next leader cuts 3 off. The node goes by 2 then, and not by the bootstrap's. */
static bool keeps_the_list_before(unsigned without_filter, const void *arg)
{
    static const uint8_t nothing[8];
    struct driver_config c = rig_config(1, without_filter);
    struct buf lists[] = {list_with(&c, 4, "d"), list_with(&c, 5, "e")};
    struct consensus_entry e[] = {{1, ENTRY_VOTERS, lists[0].data, lists[0].len},
                                  {1, ENTRY_VOTERS, lists[1].data, lists[1].len}};
    struct consensus_entry other = {2, ENTRY_BARRIER, nothing, 8};
    const bool together = *(const bool *)arg;
    const struct members *m;
    bool committed, well;
    struct rig r;

    rig_open(&r, &c, 1, NULL, 0);
    if (together)
        (void)rig_append(&r, 2, 1, (struct cmsg_append_entries){1, 1, 1, e, 2});
    for (unsigned i = 0; i < 2 && !together; i++)
        (void)rig_append(&r, 2, 1, (struct cmsg_append_entries){1 + i, 1, 1, e + i, 1});
    m = driver_members(r.d, &committed);
    well = m->n == 4 && members_find(m, 5) != NULL && !committed;
    (void)rig_append(&r, 3, 2, (struct cmsg_append_entries){2, 1, 1, &other, 1});
    m = driver_members(r.d, &committed);
    well = well && m->n == 4 && members_find(m, 4) != NULL && committed;
    buf_free(&lists[0]);
    buf_free(&lists[1]);
    rig_close(&r);
    return well;
}

static void lists_are_not_forgotten(void **state)
{
    const bool together[] = {false, true};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(outcome_of(keeps_the_list_before, 0, &together[i]), WELL);
        assert_int_equal(
            outcome_of(keeps_the_list_before, WITHOUT_LIST_ALONE, &together[i]), WRONG);
    }
}

static bool votes(const struct rig *r)
{
    const struct order *o = rig_find(r, ORDER_SEND);
    struct consensus_msg m = {0};
    struct err err = {0};
    bool granted;

    if (o == NULL || o->send.type != CMSG_REQUEST_VOTE_RESULT ||
        consensus_msg_decode(o->send.data, o->send.len, &m, &err) != 0)
        return false;
    granted = m.request_vote_result.granted;
    consensus_msg_free(&m);
    return granted;
}

/* With nothing in its log, under the cluster of `of`. */
static void join_as(struct rig *r, uint64_t id, const struct driver_config *of)
{
    struct driver_config c = *of;
    struct driver_state empty = {.term = 1, .first_index = 1};

    *r = (struct rig){.now = 1000};
    c.id = id;
    c.n_voters = 0;
    if (driver_digest(of, &c.digest, &r->err) != 0 || driver_new(&r->d, &c, &r->err) != 0 ||
        driver_start(r->d, r->now, &empty, &r->o, &r->err) != 0)
        abort();
}

/* Node 4 has joined and caught up. It was away when the others made it a voter, and their
 * leader is gone: without its vote the one that has that entry leads nobody. It votes by
 * its log and its term alone, as any other. */
static bool votes_before_it_knows(unsigned without_filter, const void *arg)
{
    struct driver_config c = rig_config(1, without_filter);
    struct buf first = {0}, list = list_with(&c, 4, "d");
    struct consensus_msg ask = {.type = CMSG_REQUEST_VOTE, .from = 3, .to = 4, .term = 2};
    struct consensus_msg log = {.type = CMSG_APPEND_ENTRIES, .from = 2, .to = 4, .term = 1};
    const bool pre = *(const bool *)arg;
    struct consensus_entry e[2];
    struct rig r;
    bool well;

    if (driver_bootstrap_entry(&c, &first, NULL) != 0)
        abort();
    e[0] = (struct consensus_entry){1, ENTRY_VOTERS, first.data, first.len};
    e[1] = (struct consensus_entry){1, ENTRY_VOTERS, list.data, list.len};
    join_as(&r, 4, &c);
    log.append_entries = (struct cmsg_append_entries){0, 0, 2, e, 2};
    rig_receive(&r, log);
    rig_persisted(&r, 1);
    r.now += 1000; /* the leader is silent */
    if (driver_tick(r.d, r.now, &r.o, &r.err) != 0)
        abort();
    ask.request_vote = (struct cmsg_request_vote){1, 1, false, pre};
    rig_receive(&r, ask);
    well = !votes(&r); /* it lacks an entry */
    ask.term = 3;
    ask.request_vote = (struct cmsg_request_vote){3, 1, false, pre};
    rig_receive(&r, ask);
    well =
        well && votes(&r) && !members_find(driver_members(r.d, &(bool){false}), 4)->votes;
    buf_free(&first);
    buf_free(&list);
    rig_close(&r);
    return well;
}

static void a_newcomer_votes_before_it_knows(void **state)
{
    const bool pre[] = {false, true};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(outcome_of(votes_before_it_knows, 0, &pre[i]), WELL);
        assert_int_equal(outcome_of(votes_before_it_knows, WITHOUT_NEWCOMERS_VOTE, &pre[i]),
                         WRONG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_not_forgotten),
        cmocka_unit_test(a_newcomer_votes_before_it_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
