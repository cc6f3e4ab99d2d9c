/* proto/snapshot_codec.h: every field of the state comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/log.pb-c.h"
#include "proto/snapshot_codec.h"
#include "tests/unit/proto/sample.h"

enum { MUTATIONS = 1500 };

static struct state state, again;

static void encode(const struct state *s, struct buf *out)
{
    struct err err = {0};

    out->len = 0;
    if (snapshot_encode(s, out, &err) != 0)
        fail_msg("%s", err.text);
}

static void test_round_trip(void **unused)
{
    AUTO(buf_free) struct buf once = {0}, twice = {0};

    (void)unused;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct err err = {0};

        sample_state(&state, seed);
        encode(&state, &once);
        assert_true(once.len < SNAPSHOT_BYTES_MAX / 4); /* full tables: room is left */
        memset(&again, 0xa5, sizeof again);
        if (snapshot_decode(once.data, once.len, &again, &err) != 0)
            fail_msg("%s", err.text);
        assert_memory_equal(&state, &again, sizeof state);
        encode(&again, &twice);
        assert_int_equal(once.len, twice.len);
        assert_memory_equal(once.data, twice.data, once.len);
    }
}

/* A new cluster's state, with nothing in it but its name. */
static void test_empty(void **unused)
{
    AUTO(buf_free) struct buf out = {0};
    struct err err;

    (void)unused;
    memset(&state, 0, sizeof state);
    memcpy(state.cluster, "demo", 5);
    encode(&state, &out);
    assert_int_equal(snapshot_decode(out.data, out.len, &again, &err), 0);
    assert_memory_equal(&state, &again, sizeof state);
}

/* What is behind a count is not part of the state. */
static void test_leftovers_do_not_count(void **unused)
{
    AUTO(buf_free) struct buf clean = {0}, dirty = {0};

    (void)unused;
    sample_state(&state, 3);
    state.agent_count = 2;
    memset(&state.agents[2], 0, sizeof state.agents[2]);
    encode(&state, &clean);
    memset(&state.agents[2], 0x7f, sizeof state.agents[2]);
    encode(&state, &dirty);
    assert_int_equal(clean.len, dirty.len);
    assert_memory_equal(clean.data, dirty.data, clean.len);
}

static void group_count_high(struct state *s) { s->group_count = GROUP_MAX + 1; }
static void active_high(struct state *s)
{
    s->groups[2].instance_count = 2;
    s->groups[2].active = 3;
}
static void sync_bits(struct state *s) { s->groups[0].sync_set = 1 << INSTANCE_MAX; }
static void phase_high(struct state *s) { s->groups[0].phase = PHASE_COUNT; }
static void region_high(struct state *s) { s->groups[1].instances[1].region = REGION_MAX; }
static void two_groups(struct state *s)
{
    memcpy(s->groups[1].name, s->groups[0].name, NAME_SIZE);
}
static void two_agents(struct state *s)
{
    memcpy(s->agents[4].name, s->agents[0].name, NAME_SIZE);
}
static void cluster_empty(struct state *s) { s->cluster[0] = '\0'; }

static const struct {
    void (*spoil)(struct state *s);
    const char *text;
} spoilt[] = {
    {group_count_high, "Snapshot.groups: too many"},
    {active_high, "instance 3 of 2 is active"},
    {sync_bits, "Group.sync_set: out of range"},
    {phase_high, "Group.phase: unknown enum value"},
    {region_high, "Instance.region: out of range"},
    {two_groups, "two groups are called"},
    {two_agents, "two agents are called"},
    {cluster_empty, "Snapshot.cluster: empty"},
};

static void test_refusals(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(spoilt); i++) {
        AUTO(buf_free) struct buf out = {0};
        struct err err = {0};

        sample_state(&state, 5);
        spoilt[i].spoil(&state);
        if (snapshot_encode(&state, &out, &err) != ERR_INVAL ||
            strstr(err.text, spoilt[i].text) == NULL)
            fail_msg("row %zu wants '%s': '%s'", i, spoilt[i].text, err.text);
    }
}

static void test_format(void **unused)
{
    static const uint8_t newer[] = "\x08\x04\x12\x01"
                                   "c";
    struct err err;

    (void)unused;
    assert_int_equal(snapshot_decode(newer, sizeof newer - 1, &again, &err),
                     ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "format 4"));
}

/* `ret_state` is untouched by what is refused, and what is accepted is canonical. */
static void test_mutations(void **unused)
{
    AUTO(buf_free) struct buf good = {0}, bad = {0}, twice = {0};
    uint64_t seed = 4711;
    unsigned accepted = 0;

    (void)unused;
    sample_state(&state, 9);
    state.group_count = 2;
    state.agent_count = 2;
    state.tombstone_count = 2;
    encode(&state, &good);
    for (unsigned k = 0; k < MUTATIONS; k++) {
        struct err err = {0};
        int status;

        sample_mutate(&good, &bad, &seed);
        again.applied = 42;
        status = snapshot_decode(bad.data, bad.len, &again, &err);
        assert_true(status == 0 || status == ERR_BADMSG || status == ERR_UNSUPPORTED);
        if (status != 0) {
            assert_int_equal(again.applied, 42);
            continue;
        }
        accepted++;
        encode(&again, &twice);
        assert_int_equal(bad.len, twice.len);
        assert_memory_equal(bad.data, twice.data, bad.len);
    }
    assert_true(accepted > 50);
    assert_true(accepted < MUTATIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_leftovers_do_not_count),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
