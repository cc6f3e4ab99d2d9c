/* proto/entry_codec.h: every kind there and back; apply() sees only what it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/entry_codec.h"
#include "proto/log.pb-c.h"
#include "tests/unit/proto/sample.h"

enum { MUTATIONS = 4000 };

static void encode(const struct entry *e, struct buf *out)
{
    struct err err = {0};

    out->len = 0;
    if (entry_encode(e, out, &err) != 0)
        fail_msg("%s", err.text);
}

/* Every field of every kind comes out as it went in. */
static void test_round_trip(void **unused)
{
    AUTO(buf_free) struct buf once = {0}, twice = {0};

    (void)unused;
    for (int kind = 1; kind < ENTRY_KIND_COUNT; kind++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct entry e, again;
            struct err err;

            sample_entry(&e, (enum entry_kind)kind, seed);
            encode(&e, &once);
            assert_int_equal(entry_decode(once.data, once.len, &again, &err), 0);
            assert_memory_equal(&e, &again, sizeof e);
            encode(&again, &twice);
            assert_int_equal(once.len, twice.len);
            assert_memory_equal(once.data, twice.data, once.len);
        }
}

/* The wall time is the envelope's and does not change the bytes. */
static void test_wall_time_is_not_inside(void **unused)
{
    AUTO(buf_free) struct buf with = {0}, without = {0};
    struct entry e, again;
    struct err err;

    (void)unused;
    sample_entry(&e, ENTRY_OPENED, 3);
    encode(&e, &without);
    e.wall_ms = 1795000000000;
    encode(&e, &with);
    assert_int_equal(with.len, without.len);
    assert_memory_equal(with.data, without.data, with.len);
    assert_int_equal(entry_decode(with.data, with.len, &again, &err), 0);
    assert_int_equal(again.wall_ms, 0);
}

/* Nothing that is in the log can crash a node, and equal hashes mean equal entries: what is
 * accepted is what would be written. */
static void test_mutations(void **unused)
{
    AUTO(buf_free) struct buf good = {0}, bad = {0}, again = {0};
    unsigned accepted = 0, refused = 0;
    uint64_t seed = 4711;

    (void)unused;
    for (int kind = 1; kind < ENTRY_KIND_COUNT; kind++) {
        struct entry e;

        sample_entry(&e, (enum entry_kind)kind, 7);
        encode(&e, &good);
        for (unsigned k = 0; k < MUTATIONS; k++) {
            struct err err = {0};
            int status;

            sample_mutate(&good, &bad, &seed);
            status = entry_decode(bad.data, bad.len, &e, &err);
            assert_true(status == 0 || status == ERR_BADMSG || status == ERR_UNSUPPORTED);
            status == 0 ? accepted++ : refused++;
            if (status != 0)
                continue;
            again.len = 0; /* in the format that it says it has: its first field */
            assert_int_equal(entry_encode_as(&e, bad.data[1], &again, &err), 0);
            assert_int_equal(again.len, bad.len);
            assert_memory_equal(again.data, bad.data, bad.len);
        }
    }
    assert_true(accepted > 1000);
    assert_true(refused > accepted);
}

/* ---- what apply() may not see ----------------------------------------------------------
 */

static void kind_none(struct entry *e) { e->kind = ENTRY_NONE; }
static void kind_new(struct entry *e) { e->kind = ENTRY_KIND_COUNT; }
static void group_upper(struct entry *e) { memcpy(e->group, "Orders", 7); }
static void group_dash(struct entry *e) { memcpy(e->group, "-x", 3); }
static void group_empty(struct entry *e) { e->group[0] = '\0'; }
static void group_open(struct entry *e) { memset(e->group, 'a', sizeof e->group); }
static void group_given(struct entry *e) { memcpy(e->group, "orders", 7); }
static void rule_dotted(struct entry *e) { memcpy(e->rule, "a.b", 4); }
static void instance_high(struct entry *e) { e->activate.instance = INSTANCE_MAX; }
static void instance_none(struct entry *e) { e->activate.instance = NO_INSTANCE; }
static void target_high(struct entry *e) { e->fence_begin.target = INSTANCE_MAX; }
static void run_kind_high(struct entry *e) { e->fence_begin.run = (enum run_kind)9; }
static void reason_open(struct entry *e) { memset(e->fence_begin.reason, 'a', TEXT_SIZE); }
static void renew_count(struct entry *e) { e->renew.count = RENEW_MAX + 1; }
static void renew_index(struct entry *e) { e->renew.items[3].instance = 200; }
static void renew_group(struct entry *e) { e->renew.items[3].group[0] = '\0'; }
static void regions_many(struct entry *e) { e->declare.spec.region_count = REGION_MAX + 1; }
static void tags_many(struct entry *e) { e->declare.spec.regions[0].tag_count = 9; }
static void residency_many(struct entry *e) { e->declare.spec.policy.residency_count = 9; }
static void fence_bits(struct entry *e) { e->declare.spec.policy.fence = 0x40; }
static void sync_mode_high(struct entry *e)
{
    e->declare.spec.policy.sync = (enum sync_mode)4;
}
static void region_beyond(struct entry *e)
{
    e->declare.spec.region_count = 2;
    e->declare.spec.instances[0].region = 2;
}
static void active_beyond(struct entry *e) { e->declare.spec.active = INSTANCE_MAX; }
static void port_zero(struct entry *e) { e->declare.spec.instances[1].port = 0; }
static void two_agents(struct entry *e)
{
    memcpy(e->declare.spec.instances[1].agent, e->declare.spec.instances[0].agent,
           NAME_SIZE);
}
static void two_regions(struct entry *e)
{
    memcpy(e->declare.spec.regions[1].name, e->declare.spec.regions[0].name, NAME_SIZE);
}
static void epochs_many(struct entry *e) { e->enrol.epoch_count = ENROL_EPOCHS_MAX + 1; }
static void agent_empty(struct entry *e) { e->enrol.agent.name[0] = '\0'; }
static void actor_roles(struct entry *e) { e->actor.roles = 16; }
static void actor_kind(struct entry *e) { e->actor.kind = (enum actor_kind)9; }
static void actor_name(struct entry *e) { memcpy(e->actor.name, "An na", 6); }
static void controller_zero(struct entry *e) { e->controller.id = 0; }

static const struct {
    enum entry_kind kind;
    void (*spoil)(struct entry *e);
    const char *text;
} spoilt[] = {
    {ENTRY_PAUSE, kind_none, "Entry.kind: 0 is not a kind"},
    {ENTRY_PAUSE, kind_new, "Entry.kind: 39 is not a kind"},
    {ENTRY_PAUSE, group_upper, "Entry.group: not [a-z0-9]"},
    {ENTRY_PAUSE, group_dash, "Entry.group: not [a-z0-9]"},
    {ENTRY_PAUSE, group_empty, "Entry.group: missing"},
    {ENTRY_PAUSE, group_open, "Entry.group: not terminated"},
    {ENTRY_RENEW, group_given, "Entry.group: 'orders' where there is none"},
    {ENTRY_DECLARE, group_given, "Entry.group: 'orders', its document says"},
    {ENTRY_PAUSE, rule_dotted, "Entry.rule"},
    {ENTRY_ACTIVATE, instance_high, "Activate.instance: out of range"},
    {ENTRY_ACTIVATE, instance_none, "Activate.instance: out of range"},
    {ENTRY_FENCE_BEGIN, target_high, "FenceBegin.target: no such index"},
    {ENTRY_FENCE_BEGIN, run_kind_high, "FenceBegin.run: unknown enum value"},
    {ENTRY_FENCE_BEGIN, reason_open, "FenceBegin.reason: not terminated"},
    {ENTRY_RENEW, renew_count, "RenewBatch.items: too many"},
    {ENTRY_RENEW, renew_index, "RenewedLease.instance: out of range"},
    {ENTRY_RENEW, renew_group, "RenewedLease.group: empty"},
    {ENTRY_DECLARE, regions_many, "Declare.regions: too many"},
    {ENTRY_DECLARE, tags_many, "Region.tags: too many"},
    {ENTRY_DECLARE, residency_many, "Policy.residency: too many"},
    {ENTRY_DECLARE, fence_bits, "Policy.fence: out of range"},
    {ENTRY_DECLARE, sync_mode_high, "Policy.sync: unknown enum value"},
    {ENTRY_DECLARE, region_beyond, "is in region 2 of 2"},
    {ENTRY_DECLARE, active_beyond, "Declare.active"},
    {ENTRY_DECLARE, port_zero, "DeclaredInstance.port: out of range"},
    {ENTRY_DECLARE, two_agents, "two instances are called"},
    {ENTRY_DECLARE, two_regions, "two regions are called"},
    {ENTRY_ENROL, epochs_many, "Enrol.epochs: too many"},
    {ENTRY_ENROL, agent_empty, "EnrolledAgent.name: empty"},
    {ENTRY_PAUSE, actor_roles, "Actor.roles: out of range"},
    {ENTRY_PAUSE, actor_kind, "Actor.kind: unknown enum value"},
    {ENTRY_PAUSE, actor_name, "Actor.name: not [a-z0-9]"},
    {ENTRY_CONTROLLER, controller_zero, "Controller.id: out of range"},
};

static void test_encoder_refuses(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(spoilt); i++) {
        AUTO(buf_free) struct buf out = {0};
        struct err err = {0};
        struct entry e;

        sample_entry(&e, spoilt[i].kind, 11);
        spoilt[i].spoil(&e);
        if (entry_encode(&e, &out, &err) != ERR_INVAL || err.code != ERR_INVAL ||
            strstr(err.text, spoilt[i].text) == NULL)
            fail_msg("row %zu wants '%s': '%s'", i, spoilt[i].text, err.text);
        assert_int_equal(out.len, 0);
    }
}

static void expect_undecodable(const Rf__Log__Entry *m, int code, const char *text)
{
    uint8_t bytes[4096];
    struct entry e;
    struct err err = {0};
    size_t len = rf__log__entry__pack(m, bytes);

    assert_int_equal(entry_decode(bytes, len, &e, &err), code);
    if (strstr(err.text, text) == NULL)
        fail_msg("wanted '%s': '%s'", text, err.text);
}

/* The decoder does not trust the encoder: the same from hand-made messages. */
static void test_decoder_refuses(void **unused)
{
    Rf__Log__Entry m = RF__LOG__ENTRY__INIT;
    Rf__Log__Attach attach = RF__LOG__ATTACH__INIT;
    Rf__Log__Activate activate = RF__LOG__ACTIVATE__INIT;
    Rf__Log__RenewBatch batch = RF__LOG__RENEW_BATCH__INIT;
    Rf__Log__RenewedLease item = RF__LOG__RENEWED_LEASE__INIT, *items[RENEW_MAX + 1];
    uint8_t life[INCARNATION_BYTES] = {0};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        items[i] = &item;
    expect_undecodable(&m, ERR_UNSUPPORTED, "entry of format 0");
    m.format = ENTRY_FORMAT_MAX + 1;
    expect_undecodable(&m, ERR_UNSUPPORTED, "entry of format 4, this version knows 1-3");
    m.format = 1;
    expect_undecodable(&m, ERR_BADMSG, "Entry.kind: 0 is not a kind");
    m.kind = RF__LOG__ENTRY_KIND__ENTRY_ATTACH;
    m.group = (char[]){"orders"};
    expect_undecodable(&m, ERR_BADMSG, "field 0 is no body of kind attach");
    m.body_case = RF__LOG__ENTRY__BODY_ATTACH;
    m.attach = &attach;
    attach.active = 5;
    expect_undecodable(&m, ERR_BADMSG, "Attach.active: no such index");
    attach.active = 256 + 1;
    expect_undecodable(&m, ERR_BADMSG, "Attach.active: out of range");
    m.kind = RF__LOG__ENTRY_KIND__ENTRY_PAUSE;
    expect_undecodable(&m, ERR_BADMSG, "field 23 is no body of kind pause");
    m.kind = RF__LOG__ENTRY_KIND__ENTRY_ACTIVATE;
    m.body_case = RF__LOG__ENTRY__BODY_ACTIVATE;
    m.activate = &activate;
    m.group = (char[]){"a-name-of-far-too-many-bytes"};
    expect_undecodable(&m, ERR_BADMSG, "Entry.group: too long");
    m.group = (char[]){""};
    m.kind = RF__LOG__ENTRY_KIND__ENTRY_RENEW;
    m.body_case = RF__LOG__ENTRY__BODY_RENEW;
    m.renew = &batch;
    batch.items = items;
    batch.n_items = ARRAY_LEN(items);
    item.group = (char[]){"orders"};
    expect_undecodable(&m, ERR_BADMSG, "RenewBatch.items: too many");
    batch.n_items = 1;
    item.incarnation = (ProtobufCBinaryData){47, life};
    expect_undecodable(&m, ERR_BADMSG, "RenewedLease.incarnation: not an incarnation");
    /* No incarnation is no bytes: 48 zeros would be a second way to say it. */
    item.incarnation.len = 48;
    expect_undecodable(&m, ERR_BADMSG, "not encoded canonically");
}

/* A key that has no room is no entry: without it the request could run twice. */
static void test_a_key_is_never_left_out(void **unused)
{
    AUTO(buf_free) struct buf old = {0}, now = {0};
    Rf__Log__Entry m = RF__LOG__ENTRY__INIT;
    Rf__Log__RequestKey key = RF__LOG__REQUEST_KEY__INIT;
    uint8_t bytes[KEY_HASH_SIZE] = {1};
    struct entry e, again;
    struct err err = {0};

    (void)unused;
    sample_entry(&e, ENTRY_PAUSE, 5);
    sample_add_key(&e, 6);
    assert_int_equal(entry_encode_as(&e, 2, &old, &err), ERR_INVAL);
    assert_int_equal(old.len, 0);
    assert_int_equal(entry_encode_as(&e, 3, &now, &err), 0);
    assert_int_equal(entry_decode(now.data, now.len, &again, &err), 0);
    assert_memory_equal(&again.key, &e.key, sizeof e.key);

    m.format = 2;
    m.kind = RF__LOG__ENTRY_KIND__ENTRY_PAUSE;
    m.group = (char[]){"orders"};
    m.key = &key;
    key.id = key.request = (ProtobufCBinaryData){sizeof bytes, bytes};
    expect_undecodable(&m, ERR_BADMSG, "Entry.key: not in format 2");
    m.format = 3;
    key.request.len = 0;
    expect_undecodable(&m, ERR_BADMSG, "RequestKey.request: missing");
}

/* Format 1 has no room for whose request it was: leaves it out, and refuses it. */
static void test_format_1_has_nobody(void **unused)
{
    AUTO(buf_free) struct buf old = {0}, now = {0};
    Rf__Log__Entry m = RF__LOG__ENTRY__INIT;
    Rf__Log__Actor actor = RF__LOG__ACTOR__INIT;
    struct entry e, again;
    struct err err = {0};

    (void)unused;
    sample_entry(&e, ENTRY_PAUSE, 5);
    assert_int_not_equal(e.actor.kind, ACTOR_NONE);
    assert_int_equal(entry_encode_as(&e, 1, &old, &err), 0);
    assert_int_equal(entry_decode(old.data, old.len, &again, &err), 0);
    assert_int_equal(again.actor.kind, ACTOR_NONE);
    assert_string_equal(again.actor.name, "");
    assert_int_equal(entry_encode_as(&e, 2, &now, &err), 0);
    assert_int_equal(entry_decode(now.data, now.len, &again, &err), 0);
    assert_memory_equal(&again.actor, &e.actor, sizeof e.actor);

    m.format = 1;
    m.kind = RF__LOG__ENTRY_KIND__ENTRY_PAUSE;
    m.group = (char[]){"orders"};
    m.actor = &actor;
    actor.kind = RF__LOG__ACTOR_KIND__ACTOR_SOCKET;
    expect_undecodable(&m, ERR_BADMSG, "Entry.actor: not in format 1");
    m.format = 2;
    actor.kind = RF__LOG__ACTOR_KIND__ACTOR_NONE;
    actor.name = (char[]){"anna"};
    expect_undecodable(&m, ERR_BADMSG, "something is said of nobody");
    /* Nobody is no message: an empty one would be a second way to say it. */
    actor.name = (char[]){""};
    expect_undecodable(&m, ERR_BADMSG, "not encoded canonically");
}

/* I10: what format 1 has no room for is not written in it, nor read. */
static void test_format_1_has_no_proposals(void **unused)
{
    static const enum entry_kind kinds[] = {
        ENTRY_PROPOSE,    ENTRY_APPROVE, ENTRY_STALE,      ENTRY_EXPIRE,
        ENTRY_SWITCHOVER, ENTRY_DECLARE, ENTRY_FENCE_BEGIN};

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        AUTO(buf_free) struct buf out = {0};
        struct err err = {0};
        struct entry e, again;

        sample_entry(&e, kinds[i], 3);
        assert_int_equal(entry_encode_as(&e, 1, &out, &err), ERR_INVAL);
        assert_non_null(strstr(err.text, "is not in format 1"));
        assert_int_equal(out.len, 0);
        assert_int_equal(entry_encode_as(&e, 2, &out, &err), 0);
        out.data[1] = 1; /* field 1, the format */
        assert_int_equal(entry_decode(out.data, out.len, &again, &err), ERR_BADMSG);
    }
}

/* The order of fields is part of the encoding too. */
static void test_other_order_is_refused(void **unused)
{
    static const uint8_t good[] = "\x08\x01\x10\x10\x1a\x01g",
                         swapped[] = "\x10\x10\x08\x01\x1a\x01g",
                         zero[] = "\x08\x01\x10\x10\x1a\x01g\x22\x00";
    struct entry e;
    struct err err;

    (void)unused;
    assert_int_equal(entry_decode(good, sizeof good - 1, &e, &err), 0);
    assert_int_equal(e.kind, ENTRY_PAUSE);
    assert_int_equal(entry_decode(swapped, sizeof swapped - 1, &e, &err), ERR_BADMSG);
    assert_int_equal(entry_decode(zero, sizeof zero - 1, &e, &err), ERR_BADMSG);
    assert_non_null(strstr(err.text, "canonically"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_wall_time_is_not_inside),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_encoder_refuses),
        cmocka_unit_test(test_decoder_refuses),
        cmocka_unit_test(test_a_key_is_never_left_out),
        cmocka_unit_test(test_format_1_has_nobody),
        cmocka_unit_test(test_format_1_has_no_proposals),
        cmocka_unit_test(test_other_order_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
