/* Every allocation of ours fails once, in whatever reads or writes bytes and files. Each
 * time: ERR_NOMEM, nothing leaked (the address sanitizer looks at the end), and the same
 * call works when there is memory again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "controller/cli/group_file.h"
#include "controller/config/config.h"
#include "controller/consensus/driver.h"
#include "controller/daemon/settings.h"
#include "fencing/agent/agent_settings.h"
#include "fencing/agent/board.h"
#include "proto/entry_codec.h"
#include "proto/envelope.h"
#include "proto/frame.h"
#include "proto/snapshot_codec.h"
#include "tests/unit/heap/heap.h"
#include "tests/unit/proto/sample.h"

enum { SEED = 7, NTH_MAX = 50000 };

typedef int attempt(struct err *err);

static int write_entry(struct err *err)
{
    static struct entry e;
    AUTO(buf_free) struct buf out = {0};

    sample_entry(&e, ENTRY_DECLARE, SEED);
    return entry_encode(&e, &out, err);
}

static struct buf entry_bytes, snapshot_bytes;

static int read_entry(struct err *err)
{
    static struct entry e;

    return entry_decode(entry_bytes.data, entry_bytes.len, &e, err);
}

static int write_snapshot(struct err *err)
{
    static struct state s;
    AUTO(buf_free) struct buf out = {0};

    sample_state(&s, SEED);
    return snapshot_encode(&s, &out, err);
}

static int read_snapshot(struct err *err)
{
    static struct state s;

    return snapshot_decode(snapshot_bytes.data, snapshot_bytes.len, &s, err);
}

static int write_frame(struct err *err)
{
    AUTO(buf_free) struct buf out = {0};
    Rf__Frame f = RF__FRAME__INIT;
    Rf__Ping ping = RF__PING__INIT;

    f.body_case = RF__FRAME__BODY_PING;
    f.ping = &ping;
    return frame_encode(&f, &out, err);
}

static int seal_and_open(struct err *err)
{
    AUTO(buf_free) struct buf out = {0};
    struct envelope e = {.leader_id = 1, .body = (const uint8_t *)"x", .len = 1}, read;
    int status = envelope_seal(&e, &out, err);

    return status != 0 ? status : envelope_open(out.data, out.len, &read, err);
}

static int seal_and_open_snapshot(struct err *err)
{
    AUTO(buf_free) struct buf out = {0};
    struct snapshot_envelope s = {.index = 9,
                                  .term = 2,
                                  .taken_by = 1,
                                  .members_index = 1,
                                  .members = (const uint8_t *)"m",
                                  .members_len = 1,
                                  .body = (const uint8_t *)"x",
                                  .len = 1},
                             read;
    int status = snapshot_seal(&s, &out, err);

    return status != 0 ? status : snapshot_open(out.data, out.len, &read, err);
}

static int carry_message(struct err *err)
{
    AUTO(buf_free) struct buf out = {0};
    AUTO(consensus_msg_free) struct consensus_msg read = {0};
    struct consensus_entry entries[2] = {{.term = 1, .kind = ENTRY_BARRIER},
                                         {.term = 1, .kind = ENTRY_BARRIER}};
    struct consensus_msg m = {
        .type = CMSG_APPEND_ENTRIES,
        .from = 1,
        .to = 2,
        .term = 1,
        .append_entries = {
            .prev_log_index = 1, .prev_log_term = 1, .entries = entries, .n_entries = 2}};
    int status = consensus_msg_encode(&m, &out, err);

    return status != 0 ? status : consensus_msg_decode(out.data, out.len, &read, err);
}

static int open_driver(struct err *err)
{
    static const struct voter voters[] = {{1, "a"}, {2, "b"}, {3, "c"}};
    struct driver_config c = {.id = 1,
                              .cluster = "heap",
                              .incarnation = 1,
                              .voters = voters,
                              .n_voters = 3,
                              .election_ms = 300,
                              .heartbeat_ms = 50,
                              .trailing = 2,
                              .seed = 1};
    struct consensus_entry first = {.term = 1, .kind = ENTRY_VOTERS};
    struct driver_state state = {
        .term = 1, .first_index = 1, .entries = &first, .n_entries = 1};
    AUTO(buf_free) struct buf b = {0};
    AUTO(driver_drop) struct driver *d = NULL;
    struct orders out = {0};
    int status = driver_bootstrap_entry(&c, &b, err);

    first.data = b.data;
    first.len = b.len;
    if (status == 0)
        status = driver_new(&d, &c, err);
    if (status == 0)
        status = driver_start(d, 1000, &state, &out, err);
    if (status == 0)
        status = driver_tick(d, 5000, &out, err);
    orders_free(&out);
    return status;
}

static int load_group(struct err *err)
{
    AUTO(config_free) struct config *file = NULL;
    json_t *document = NULL;
    int status = group_file_load(EXAMPLES "/group-orders.yaml", &document, &file, err);

    json_decref(document);
    return status;
}

static int load_controller(struct err *err)
{
    struct settings s = {0};
    int status = settings_load(&s, WITH_FENCERS, NULL, err);

    settings_free(&s);
    return status;
}

static int load_agent(struct err *err)
{
    struct agent_settings s;

    return agent_settings_load(&s, EXAMPLES "/agent.yaml", NULL, err);
}

static const struct {
    const char *name;
    attempt *attempt;
} cases[] = {
    {"write an entry", write_entry},      {"read an entry", read_entry},
    {"write a snapshot", write_snapshot}, {"read a snapshot", read_snapshot},
    {"write a frame", write_frame},

    {"an envelope", seal_and_open},       {"a snapshot's envelope", seal_and_open_snapshot},
    {"a message of Raft", carry_message}, {"a driver", open_driver},
    {"a group's file", load_group},       {"a controller's file", load_controller},
    {"an agent's file", load_agent},
};

static void each_allocation_fails_once(void **state)
{
    struct err err = {0};
    static struct entry e;
    static struct state s;

    (void)state;
    heap_spare_libraft();
    sample_entry(&e, ENTRY_DECLARE, SEED);
    sample_state(&s, SEED);
    assert_int_equal(entry_encode(&e, &entry_bytes, &err), 0);
    assert_int_equal(snapshot_encode(&s, &snapshot_bytes, &err), 0);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        long nth = 1;

        /* Each of the first hundred; of a full state's thousands of equals ever fewer. */
        for (; nth < NTH_MAX; nth += 1 + nth / 100) {
            int status;

            memset(&err, 0, sizeof err);
            heap_fail_nth(nth);
            status = cases[i].attempt(&err);
            if (!heap_failed() && status == 0)
                break;
            heap_fail_nth(0);
            if (status != ERR_NOMEM || strstr(err.text, "memory") == NULL)
                fail_msg("%s, allocation %ld: %s: %s", cases[i].name, nth, err_name(status),
                         err.text);
        }
        assert_true(nth > 1); /* it allocates at all */
        assert_true(nth < NTH_MAX);
        print_message("%s: no more than %ld allocations\n", cases[i].name, nth - 1);
    }
    heap_fail_nth(0);
    buf_free(&entry_bytes);
    buf_free(&snapshot_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
