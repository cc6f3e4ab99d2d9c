/* proto/check.h: what is refused, and in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/check.h"
#include "proto/whole.h"
#include "proto/wire.pb-c.h"

struct row {
    const char *what;
    const ProtobufCMessageDescriptor *type;
    const char *bytes;
    size_t len;
    const char *text; /* part of the error; NULL: accepted */
};

#define BYTES(s) s, sizeof(s) - 1

static const struct row rows[] = {
    {"nothing", &rf__ping__descriptor, BYTES(""), NULL},
    {"two numbers", &rf__ping__descriptor, BYTES("\x08\x05\x10\x96\x01"), NULL},
    {"an unknown field", &rf__ping__descriptor, BYTES("\x48\x05"),
     "rf.Ping: unknown field 9 (of a newer version? then upgrade the one that cannot read "
     "it)"},
    {"field 0", &rf__ping__descriptor, BYTES("\x00\x05"), "unknown field 0"},
    {"another wire type", &rf__ping__descriptor, BYTES("\x0a\x01\x05"),
     "rf.Ping.seq (field 1): of another type"},
    {"a singular field twice", &rf__ping__descriptor, BYTES("\x08\x05\x08\x05"),
     "rf.Ping.seq (field 1): given twice"},
    {"a cut tag", &rf__ping__descriptor, BYTES("\x88"), "rf.Ping: cut off"},
    {"a cut number", &rf__ping__descriptor, BYTES("\x08\x85"), "seq (field 1): cut off"},
    {"a longer form of a number", &rf__ping__descriptor, BYTES("\x08\x85\x00"),
     "seq (field 1): cut off"},
    {"the largest number", &rf__ping__descriptor,
     BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), NULL},
    {"a number of 65 bits", &rf__ping__descriptor,
     BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03"), "cut off"},
    {"a number of 33 bits", &rf__peer_instance__descriptor,
     BYTES("\x20\x80\x80\x80\x80\x10"),
     "rf.PeerInstance.port (field 4): number out of range"},
    {"a bool of 2", &rf__peer_instance__descriptor, BYTES("\x30\x02"),
     "member (field 6): neither true nor false"},
    {"an enum value", &rf__renew_item__descriptor, BYTES("\x20\x02"), NULL},
    {"an enum value too many", &rf__renew_item__descriptor, BYTES("\x20\x03"),
     "rf.RenewItem.kind (field 4): unknown enum value"},
    {"an enum value below 0", &rf__renew_item__descriptor,
     BYTES("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "unknown enum value"},
    {"a negative int32", &rf__observation__descriptor,
     BYTES("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), NULL},
    {"an int32 out of range", &rf__observation__descriptor,
     BYTES("\x10\xff\xff\xff\xff\xff\xff\xff\x7f"), "number out of range"},
    {"a string", &rf__renew_item__descriptor,
     BYTES("\x0a\x02"
           "ab"),
     NULL},
    {"a cut string", &rf__renew_item__descriptor,
     BYTES("\x0a\x03"
           "ab"),
     "group (field 1): cut off"},
    {"a string with a zero byte", &rf__renew_item__descriptor,
     BYTES("\x0a\x02"
           "a\0"),
     "group (field 1): not UTF-8"},
    {"a line break", &rf__renew_item__descriptor,
     BYTES("\x0a\x02"
           "a\n"),
     "control"},
    {"C1 control", &rf__renew_item__descriptor,
     BYTES("\x0a\x02"
           "\xc2\x85"),
     "control"},
    {"UTF-8 of 2, 3 and 4 bytes", &rf__renew_item__descriptor,
     BYTES("\x0a\x09"
           "\xc3\xa9"
           "\xe2\x82\xac"
           "\xf0\x9f\x98\x80"),
     NULL},
    {"an overlong form", &rf__renew_item__descriptor,
     BYTES("\x0a\x02"
           "\xc0\xaf"),
     "UTF-8"},
    {"a surrogate", &rf__renew_item__descriptor,
     BYTES("\x0a\x03"
           "\xed\xa0\x80"),
     "UTF-8"},
    {"beyond Unicode", &rf__renew_item__descriptor,
     BYTES("\x0a\x04"
           "\xf4\x90\x80\x80"),
     "UTF-8"},
    {"half a character", &rf__renew_item__descriptor,
     BYTES("\x0a\x02"
           "a\xc3"),
     "UTF-8"},
    {"two bodies", &rf__frame__descriptor, BYTES("\x42\x00\x4a\x00"),
     "rf.Frame.pong (field 9): given twice"},
    {"deep inside", &rf__frame__descriptor, BYTES("\xaa\x01\x04\x22\x02\x48\x01"),
     "rf.Frame.renew: rf.Renew.items: rf.RenewItem: unknown field 9"},
    {"a group, which nobody has used since 2008", &rf__ping__descriptor, BYTES("\x0b\x0c"),
     "of another type"},
};

/* Each malformation is refused, in words that name message, field and number. */
static void test_refusals(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        struct err err = {0};
        int status = check_bytes(r->type, (const uint8_t *)r->bytes, r->len, NULL, &err);

        if (status != (r->text != NULL ? ERR_BADMSG : 0) ||
            (r->text != NULL && strstr(err.text, r->text) == NULL))
            fail_msg("%s: %d '%s'", r->what, status, err.text);
    }
}

/* What check_bytes() accepts, protobuf-c can unpack, with nothing unknown. */
static void test_accepted_is_unpacked(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        ProtobufCMessage *message;
        struct err err;

        if (r->text != NULL)
            continue;
        assert_int_equal(
            check_unpack(r->type, (const uint8_t *)r->bytes, r->len, NULL, &message, &err),
            0);
        assert_int_equal(message->n_unknown_fields, 0);
        whole_free(message);
    }
}

/* Bounds hold at the edge, and one beyond is refused. */
static void test_bounds(void **unused)
{
    static uint8_t many[2 * 4097];
    char text[1200] = "\x0a\xff\x07";
    struct check_limits tight = {.message_max = 100};
    struct err err;

    (void)unused;
    memset(text + 3, 'a', 1100);
    assert_int_equal(
        check_bytes(&rf__renew_item__descriptor, (uint8_t *)text, 3 + 1023, NULL, &err), 0);
    text[1] = (char)0x80;
    text[2] = 0x08;
    assert_int_equal(
        check_bytes(&rf__renew_item__descriptor, (uint8_t *)text, 3 + 1024, NULL, &err),
        ERR_BADMSG);
    assert_non_null(strstr(err.text, "1024 bytes of at most 1023"));
    for (size_t i = 0; i < sizeof many; i += 2)
        many[i] = 0x22; /* rf.Renew.items, empty */
    assert_int_equal(check_bytes(&rf__renew__descriptor, many, sizeof many - 2, NULL, &err),
                     0);
    assert_int_equal(check_bytes(&rf__renew__descriptor, many, sizeof many, NULL, &err),
                     ERR_BADMSG);
    assert_non_null(strstr(err.text, "items (field 4): too many"));
    assert_int_equal(check_bytes(&rf__renew__descriptor, many, 101, &tight, &err),
                     ERR_BADMSG);
    assert_non_null(strstr(err.text, "101 bytes, at most 100"));
}

/* A list of thousands needs more than the piece that was guessed from the bytes; what was
 * read packs to what was written, and all of it is given back (ASan). */
static void test_a_long_message_is_whole(void **unused)
{
    AUTO(buf_free) struct buf out = {0};
    AUTO(buf_free) struct buf back = {0};
    Rf__Renew renew = RF__RENEW__INIT;
    Rf__RenewItem item = RF__RENEW_ITEM__INIT, *items[4000];
    char group[] = "orders";
    ProtobufCMessage *again;
    struct err err;

    (void)unused;
    item.group = group;
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        items[i] = &item;
    renew.items = items;
    for (size_t n = 0; n <= ARRAY_LEN(items); n += 1000) {
        renew.n_items = n;
        out.len = back.len = 0;
        assert_int_equal(check_pack(&renew.base, NULL, &out, &err), 0);
        assert_int_equal(
            check_unpack(&rf__renew__descriptor, out.data, out.len, NULL, &again, &err), 0);
        assert_int_equal(((Rf__Renew *)again)->n_items, n);
        assert_int_equal(check_pack(again, NULL, &back, &err), 0);
        whole_free(again);
        assert_int_equal(back.len, out.len);
        if (out.len != 0)
            assert_memory_equal(back.data, out.data, out.len);
    }
    whole_free(NULL);
}

/* Texts of other people's libraries do not keep a frame from being sent. */
static void test_texts_are_cleaned(void **unused)
{
    AUTO(buf_free) struct buf out = {0};
    Rf__Refusal refusal = RF__REFUSAL__INIT;
    ProtobufCMessage *again;
    char dirty[] = "FATAL:  no\nsuch \x01 r\xf4le \xc2\x85\xc3\xa9\xc3", long_text[1100];
    struct err err;

    (void)unused;
    refusal.reason = dirty;
    assert_int_equal(check_pack(&refusal.base, NULL, &out, &err), 0);
    assert_int_equal(
        check_unpack(&rf__refusal__descriptor, out.data, out.len, NULL, &again, &err), 0);
    assert_string_equal(((Rf__Refusal *)again)->reason,
                        "FATAL:  no such   r?le   \xc3\xa9?");
    whole_free(again);
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    refusal.reason = long_text;
    out.len = 7;
    assert_int_equal(check_pack(&refusal.base, NULL, &out, &err), ERR_INVAL);
    assert_int_equal(err.code, ERR_INVAL);
    assert_int_equal(out.len, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_accepted_is_unpacked),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_a_long_message_is_whole),
        cmocka_unit_test(test_texts_are_cleaned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
