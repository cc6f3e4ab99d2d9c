/* proto/frame.h: every kind of frame there and back; nothing that arrives can hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "tests/unit/proto/sample.h"

enum { MUTATIONS = 4000 };

static void encode_sample(uint32_t kind, uint64_t seed, struct buf *out)
{
    ProtobufCMessage *frame = sample_message(&rf__frame__descriptor, kind, &seed);
    struct err err = {0};

    out->len = 0;
    if (frame_encode((Rf__Frame *)frame, out, &err) != 0)
        fail_msg("kind %u: %s", kind, err.text);
    protobuf_c_message_free_unpacked(frame, NULL);
}

static void test_round_trip(void **unused)
{
    AUTO(buf_free) struct buf once = {0}, twice = {0};

    (void)unused;
    for (unsigned i = 0; i < rf__frame__descriptor.n_fields; i++) {
        AUTO(frame_free) Rf__Frame *frame = NULL;
        const ProtobufCFieldDescriptor *f = &rf__frame__descriptor.fields[i];
        struct err err;

        encode_sample(f->id, 1, &once);
        assert_int_equal(frame_decode(once.data, once.len, &frame, &err), 0);
        assert_string_equal(frame_name(frame), f->name);
        twice.len = 0;
        assert_int_equal(frame_encode(frame, &twice, &err), 0);
        assert_int_equal(once.len, twice.len);
        assert_memory_equal(once.data, twice.data, once.len);
    }
}

/* A frame that is accepted says the same after being encoded and decoded again. */
static bool survives(const struct buf *bytes)
{
    AUTO(frame_free) Rf__Frame *frame = NULL, *again = NULL;
    AUTO(buf_free) struct buf once = {0}, twice = {0};
    struct err err = {0};

    if (frame_decode(bytes->data, bytes->len, &frame, &err) != 0) {
        assert_int_equal(err.code, ERR_BADMSG);
        assert_true(err.text[0] != '\0');
        assert_null(frame);
        return false;
    }
    assert_int_equal(frame_encode(frame, &once, &err), 0);
    assert_int_equal(frame_decode(once.data, once.len, &again, &err), 0);
    assert_int_equal(frame_encode(again, &twice, &err), 0);
    assert_int_equal(once.len, twice.len);
    assert_memory_equal(once.data, twice.data, once.len);
    return true;
}

static void test_mutations(void **unused)
{
    AUTO(buf_free) struct buf good = {0}, bad = {0};
    unsigned accepted = 0, refused = 0;
    uint64_t seed = 4711;

    (void)unused;
    for (unsigned i = 0; i < rf__frame__descriptor.n_fields; i++) {
        encode_sample(rf__frame__descriptor.fields[i].id, 2, &good);
        for (unsigned k = 0; k < MUTATIONS; k++) {
            sample_mutate(&good, &bad, &seed);
            survives(&bad) ? accepted++ : refused++;
        }
    }
    /* Neither is the check blind, nor the mutation. */
    assert_true(accepted > 1000);
    assert_true(refused > accepted);
}

static void expect_refused(const Rf__Frame *frame, const char *text)
{
    AUTO(buf_free) struct buf out = {0};
    struct err err = {0};

    assert_int_equal(frame_encode(frame, &out, &err), ERR_INVAL);
    assert_int_equal(err.code, ERR_INVAL);
    assert_non_null(strstr(err.text, text));
    assert_int_equal(out.len, 0);
}

/* Whoever handles a frame finds what it needs in it, on both sides of the wire. */
static void test_what_is_missing(void **unused)
{
    AUTO(frame_free) Rf__Frame *decoded = NULL;
    Rf__Frame frame = RF__FRAME__INIT;
    Rf__Renew renew = RF__RENEW__INIT;
    Rf__StepOrder order = RF__STEP_ORDER__INIT;
    Rf__Incarnation wire = RF__INCARNATION__INIT;
    struct incarnation life = {{1}};
    struct err err;

    (void)unused;
    expect_refused(&frame, "no body");
    assert_int_equal(frame_decode((const uint8_t *)"", 0, &decoded, &err), ERR_BADMSG);
    frame.body_case = RF__FRAME__BODY_RENEW;
    frame.renew = &renew;
    expect_refused(&frame, "renew: incarnation is missing");
    renew.incarnation = &wire;
    expect_refused(&frame, "renew: incarnation: parts of 0, 0 and 0 bytes instead of 16");
    assert_int_equal(
        frame_decode((const uint8_t *)"\xaa\x01\x02\x08\x01", 5, &decoded, &err),
        ERR_BADMSG);
    assert_non_null(strstr(err.text, "renew: incarnation is missing"));
    frame_incarnation_put(&life, &wire);
    order.incarnation = &wire;
    frame.body_case = RF__FRAME__BODY_STEP_ORDER;
    frame.step_order = &order;
    expect_refused(&frame, "request is missing");
}

/* I12 keeps its 48 bytes on the wire. */
static void test_incarnation(void **unused)
{
    Rf__Incarnation wire;
    struct incarnation from, to = {{0}};
    struct err err;

    (void)unused;
    for (unsigned i = 0; i < INCARNATION_BYTES; i++)
        from.bytes[i] = (uint8_t)(i + 1);
    frame_incarnation_put(&from, &wire);
    assert_int_equal(frame_incarnation_get(&wire, &to, &err), 0);
    assert_true(incarnation_equal(&from, &to));
    wire.random.len = 15;
    assert_int_equal(frame_incarnation_get(&wire, &to, &err), ERR_BADMSG);
    assert_int_equal(frame_incarnation_get(NULL, &to, &err), ERR_BADMSG);
}

struct allowed {
    unsigned kind;
    const char *ways; /* c: controller to controller, u: up from an agent, d: down to it */
};

static const struct allowed table[] = {
    {RF__FRAME__BODY__NOT_SET, ""},      {RF__FRAME__BODY_CONTROLLER_HELLO, "c"},
    {RF__FRAME__BODY_RAFT, "c"},         {RF__FRAME__BODY_FORWARD_UP, "c"},
    {RF__FRAME__BODY_FORWARD_DOWN, "c"}, {RF__FRAME__BODY_API_REQUEST, "c"},
    {RF__FRAME__BODY_API_REPLY, "c"},    {RF__FRAME__BODY_PEER_VIEW, "c"},
    {RF__FRAME__BODY_PING, "cud"},       {RF__FRAME__BODY_PONG, "cud"},
    {RF__FRAME__BODY_AGENT_HELLO, "u"},  {RF__FRAME__BODY_RENEW, "u"},
    {RF__FRAME__BODY_AGENT_REPORT, "u"}, {RF__FRAME__BODY_STEP_REPORT, "u"},
    {RF__FRAME__BODY_FENCE_PROOF, "u"},  {RF__FRAME__BODY_WELCOME, "d"},
    {RF__FRAME__BODY_RENEW_ACK, "d"},    {RF__FRAME__BODY_ASSIGNMENTS, "d"},
    {RF__FRAME__BODY_STEP_ORDER, "d"},   {RF__FRAME__BODY_FENCE_ORDER, "d"},
    {RF__FRAME__BODY_REFUSAL, "cd"},     {RF__FRAME__BODY_REFUSED, "c"},
};

/* I10: each kind of frame goes its way only. */
static void test_ways(void **unused)
{
    Rf__Frame frame = RF__FRAME__INIT;

    (void)unused;
    assert_int_equal(ARRAY_LEN(table), rf__frame__descriptor.n_fields + 1);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *ways = table[i].ways;

        frame.body_case = (Rf__Frame__BodyCase)table[i].kind;
        assert_int_equal(frame_allowed(&frame, FRAME_CONTROLLER_TO_CONTROLLER),
                         strchr(ways, 'c') != NULL);
        assert_int_equal(frame_allowed(&frame, FRAME_AGENT_TO_CONTROLLER),
                         strchr(ways, 'u') != NULL);
        assert_int_equal(frame_allowed(&frame, FRAME_CONTROLLER_TO_AGENT),
                         strchr(ways, 'd') != NULL);
    }
}

static void test_provider(void **unused)
{
    AUTO(provider_request_free) Rf__ProviderRequest *request = NULL;
    AUTO(provider_reply_free) Rf__ProviderReply *reply = NULL;
    AUTO(buf_free) struct buf out = {0}, bad = {0};
    uint64_t seed = 5;
    ProtobufCMessage *sample = sample_message(&rf__provider_request__descriptor, 0, &seed);
    struct err err;

    (void)unused;
    assert_int_equal(provider_request_encode((Rf__ProviderRequest *)sample, &out, &err), 0);
    protobuf_c_message_free_unpacked(sample, NULL);
    assert_int_equal(provider_request_decode(out.data, out.len, &request, &err), 0);
    assert_true(request->id != 0 && request->step->joining[0] != '\0');
    assert_int_equal(
        provider_request_decode((const uint8_t *)"\x08\x01", 2, &request, &err),
        ERR_BADMSG);
    out.len = 0;
    sample = sample_message(&rf__provider_reply__descriptor, 0, &seed);
    assert_int_equal(provider_reply_encode((Rf__ProviderReply *)sample, &out, &err), 0);
    protobuf_c_message_free_unpacked(sample, NULL);
    assert_int_equal(provider_reply_decode(out.data, out.len, &reply, &err), 0);
    assert_int_equal(reply->n_findings, 2);
    for (unsigned k = 0; k < MUTATIONS; k++) {
        AUTO(provider_reply_free) Rf__ProviderReply *other = NULL;
        int status;

        sample_mutate(&out, &bad, &seed);
        status = provider_reply_decode(bad.data, bad.len, &other, &err);
        assert_true(status == 0 || status == ERR_BADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_incarnation),
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_provider),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
