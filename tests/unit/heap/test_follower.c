/* What a follower takes from its leader and its disk, with every allocation of ours failing
 * once: it says that there was no memory, which stops the node, and never that what came is
 * bad or what lies there is damaged; nothing of it is acknowledged then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "controller/base/auto.h"
#include "controller/consensus/driver.h"
#include "proto/envelope.h"
#include "tests/unit/heap/each.h"
#include "tests/unit/heap/heap.h"

enum { NOW_MS = 1000, ENTRIES = 3, SNAPSHOT_INDEX = 9, SNAPSHOT_TERM = 2 };

static const struct voter voters[] = {{1, "a"}, {2, "b"}, {3, "c"}};
static const struct driver_config config = {.id = 1,
                                            .cluster = "heap",
                                            .incarnation = 1,
                                            .voters = voters,
                                            .n_voters = 3,
                                            .election_ms = 300,
                                            .heartbeat_ms = 50,
                                            .trailing = 2,
                                            .seed = 1};

static struct buf first, commands[ENTRIES], snapshot;

static int start(struct driver **ret, struct orders *o, struct err *err)
{
    const struct consensus_entry one = {1, ENTRY_VOTERS, first.data, first.len};
    const struct driver_state state = {
        .term = 1, .first_index = 1, .entries = &one, .n_entries = 1};
    int status = driver_new(ret, &config, err);

    return status != 0 ? status : driver_start(*ret, NOW_MS, &state, o, err);
}

/* True: something was said to the leader. */
static bool answers(const struct orders *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->list[i].kind == ORDER_SEND)
            return true;
    return false;
}

static int receive(struct driver *d, struct consensus_msg *m, struct orders *o,
                   struct err *err)
{
    int status;

    m->from = 2;
    m->to = 1;
    m->term = SNAPSHOT_TERM;
    m->cluster = driver_cluster_digest(d);
    status = driver_receive(d, NOW_MS, m, o, err);
    if (status != 0)
        assert_true(driver_error_is_fatal(status));
    return status;
}

/* Stored, synced, committed, applied. */
static int try_append(struct err *err)
{
    AUTO(driver_drop) struct driver *d = NULL;
    struct orders o = {0};
    struct consensus_entry entries[ENTRIES];
    struct consensus_msg m = {.type = CMSG_APPEND_ENTRIES,
                              .append_entries = {1, 1, 1 + ENTRIES, entries, ENTRIES}};
    uint64_t seq = 0;
    int status = start(&d, &o, err);

    for (unsigned i = 0; i < ENTRIES; i++)
        entries[i] = (struct consensus_entry){SNAPSHOT_TERM, ENTRY_COMMAND,
                                              commands[i].data, commands[i].len};
    if (status == 0)
        status = receive(d, &m, &o, err);
    for (size_t i = 0; status == 0 && i < o.n; i++)
        if (o.list[i].kind == ORDER_STORE_ENTRIES)
            seq = o.list[i].store_entries.seq;
        else if (o.list[i].kind == ORDER_STORE_VOTE)
            seq = o.list[i].store_vote.seq;
    if (status == 0) {
        assert_false(answers(&o)); /* not before it is synced */
        status = driver_persisted(d, NOW_MS, seq, &o, err);
    }
    if (status == 0)
        assert_true(answers(&o));
    orders_free(&o);
    return status;
}

static int try_install(struct err *err)
{
    AUTO(driver_drop) struct driver *d = NULL;
    struct orders o = {0};
    struct consensus_msg m = {
        .type = CMSG_INSTALL_SNAPSHOT,
        .install_snapshot = {SNAPSHOT_INDEX, SNAPSHOT_TERM, snapshot.data, snapshot.len}};
    uint64_t seq = 0;
    int status = start(&d, &o, err);

    if (status == 0)
        status = receive(d, &m, &o, err);
    for (size_t i = 0; status == 0 && i < o.n; i++)
        if (o.list[i].kind == ORDER_STORE_SNAPSHOT)
            seq = o.list[i].store_snapshot.seq;
    if (status == 0) {
        assert_true(seq > 0);
        status = driver_persisted(d, NOW_MS, seq, &o, err);
    }
    orders_free(&o);
    return status;
}

static int try_stored_snapshot(struct err *err)
{
    const struct driver_state state = {.term = SNAPSHOT_TERM,
                                       .snapshot_index = SNAPSHOT_INDEX,
                                       .snapshot_term = SNAPSHOT_TERM,
                                       .snapshot = snapshot.data,
                                       .snapshot_len = snapshot.len,
                                       .first_index = SNAPSHOT_INDEX + 1};
    AUTO(driver_drop) struct driver *d = NULL;
    struct orders o = {0};
    int status = driver_new(&d, &config, err);

    if (status == 0)
        status = driver_start(d, NOW_MS, &state, &o, err);
    orders_free(&o);
    return status;
}

static const struct heap_case cases[] = {
    {"entries of the leader", try_append, false},
    {"a snapshot of the leader", try_install, false},
    {"a snapshot on the disk", try_stored_snapshot, false},
};

static void nothing(void) {}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    heap_each(cases, ARRAY_LEN(cases), nothing);
}

static int begin(void **state)
{
    struct snapshot_envelope e = {.index = SNAPSHOT_INDEX,
                                  .term = SNAPSHOT_TERM,
                                  .taken_by = 2,
                                  .members_index = 1,
                                  .body = (const uint8_t *)"state",
                                  .len = 5};

    (void)state;
    heap_spare_libraft();
    assert_int_equal(driver_bootstrap_entry(&config, &first, NULL), 0);
    e.members = first.data;
    e.members_len = first.len;
    assert_int_equal(snapshot_seal(&e, &snapshot, NULL), 0);
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct envelope c = {.leader_id = 2, .body = (const uint8_t *)"do", .len = 2};

        if (i > 0)
            envelope_hash(commands[i - 1].data, commands[i - 1].len, c.prev_hash);
        assert_int_equal(envelope_seal(&c, &commands[i], NULL), 0);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_free(&first);
    buf_free(&snapshot);
    for (unsigned i = 0; i < ENTRIES; i++)
        buf_free(&commands[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails_once)};

    return cmocka_run_group_tests(tests, begin, end);
}
