/* The bytes of Raft messages: golden, there and back, and whatever else a peer may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controller/consensus/message.h"
#include "proto/raft.pb-c.h"

enum { MUTATIONS = 60000, KINDS = 6 };

static const uint8_t body[] = {0xde, 0xad, 0xbe, 0xef};
static const struct consensus_entry two_entries[] = {
    {6, ENTRY_BARRIER, body, 2},
    {7, ENTRY_COMMAND, body, sizeof body},
};

static struct consensus_msg sample(unsigned kind)
{
    struct consensus_msg m = {.from = 1,
                              .to = 2,
                              .cluster = 0x1122334455667788,
                              .store = 0x0123456789abcdef,
                              .term = 7};

    m.type = (enum consensus_msg_type)(kind + 1);
    switch (m.type) {
    case CMSG_REQUEST_VOTE:
        m.request_vote = (struct cmsg_request_vote){41, 6, false, true};
        break;
    case CMSG_REQUEST_VOTE_RESULT:
        m.request_vote_result = (struct cmsg_request_vote_result){true, false};
        break;
    case CMSG_APPEND_ENTRIES:
        m.append_entries = (struct cmsg_append_entries){41, 6, 40, two_entries, 2};
        break;
    case CMSG_APPEND_ENTRIES_RESULT:
        m.append_entries_result = (struct cmsg_append_entries_result){42, 40, false};
        break;
    case CMSG_INSTALL_SNAPSHOT:
        m.install_snapshot = (struct cmsg_install_snapshot){40, 6, body, sizeof body};
        break;
    case CMSG_TIMEOUT_NOW:
        m.timeout_now = (struct cmsg_timeout_now){41, 7};
        break;
    }
    return m;
}

static void encode(const struct consensus_msg *m, struct buf *out)
{
    struct err err;

    if (consensus_msg_encode(m, out, &err) != 0)
        fail_msg("%s", err.text);
}

/* These bytes are spoken by released versions: a change here is a change of the protocol.
 */
static void bytes_are_golden(void **state)
{
    static const char *const golden[KINDS] = {
        "080110011802218877665544332211280731efcdab8967452301"
        "520808291006180020"
        "01",
        "080110011802218877665544332211280731efcdab8967452301"
        "5a0408011000",
        "080110011802218877665544332211280731efcdab8967452301"
        "621c082910061828"
        "220808061002"
        "1a02dead"
        "220a08071001"
        "1a04deadbeef",
        "080110011802218877665544332211280731efcdab8967452301"
        "6a06082a10281800",
        "080110011802218877665544332211280731efcdab8967452301"
        "720a082810061a04deadbeef",
        "080110011802218877665544332211280731efcdab8967452301"
        "7a0408291007",
    };

    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct consensus_msg m = sample(kind);
        struct buf b = {0};
        char hex[256] = "";

        encode(&m, &b);
        for (size_t i = 0; i < b.len; i++)
            snprintf(hex + 2 * i, 3, "%02x", b.data[i]);
        assert_string_equal(hex, golden[kind]);
        buf_free(&b);
    }
}

/* What comes out is what went in: encoding it again gives the same bytes. */
static void decodes_what_it_encodes(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct consensus_msg m = sample(kind), back = {0};
        struct buf a = {0}, b = {0};

        encode(&m, &a);
        assert_int_equal(consensus_msg_decode(a.data, a.len, &back, NULL), 0);
        assert_int_equal(back.type, m.type);
        assert_int_equal(back.cluster, m.cluster);
        encode(&back, &b);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len);
        consensus_msg_free(&back);
        buf_free(&a);
        buf_free(&b);
    }
}

static unsigned rng = 4711;

static unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 17;
    rng ^= rng << 5;
    return rng % n;
}

static void mutate(struct buf *b)
{
    for (unsigned n = 1 + rnd(4); n > 0 && b->len > 0; n--) {
        size_t at = rnd((unsigned)b->len);

        switch (rnd(5)) {
        case 0:
            b->data[at] ^= (uint8_t)(1u << rnd(8));
            break;
        case 1:
            b->data[at] = (uint8_t)rnd(256);
            break;
        case 2:
            b->len = at;
            break;
        case 3:
            buf_consume(b, 1 + rnd(3) <= b->len ? 1 : b->len);
            break;
        case 4: /* the end once more; room first, since appending may move it */
            if (buf_reserve(b, b->len - at, NULL) != 0)
                abort();
            memcpy(b->data + b->len, b->data + at, b->len - at);
            b->len += b->len - at;
            break;
        }
    }
}

/* Whatever arrives is refused, or is a message that encodes to exactly these bytes. Under
 * the sanitizers, so that reading too far would be seen. */
static void mutations_are_refused_or_canonical(void **state)
{
    unsigned accepted = 0;

    (void)state;
    for (unsigned i = 0; i < MUTATIONS; i++) {
        struct consensus_msg m = sample(i % KINDS), back = {0};
        struct buf b = {0}, again = {0};
        uint8_t *exact;

        encode(&m, &b);
        mutate(&b);
        exact = malloc(b.len != 0 ? b.len : 1); /* no byte behind it */
        assert_non_null(exact);
        if (b.len != 0)
            memcpy(exact, b.data, b.len);
        if (consensus_msg_decode(exact, b.len, &back, NULL) == 0) {
            accepted++;
            encode(&back, &again);
            assert_int_equal(again.len, b.len);
            assert_memory_equal(again.data, b.data, b.len);
            consensus_msg_free(&back);
        }
        free(exact);
        buf_free(&b);
        buf_free(&again);
    }
    assert_true(accepted > 100); /* the mutations are not all hopeless */
}

static int decode_hex(const char *hex)
{
    uint8_t bytes[256];
    size_t len = strlen(hex) / 2;
    struct consensus_msg back = {0};
    int status;

    for (size_t i = 0; i < len; i++) {
        const char digits[] = {hex[2 * i], hex[2 * i + 1], '\0'};

        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    status = consensus_msg_decode(bytes, len, &back, NULL);
    consensus_msg_free(&back);
    return status;
}

/* Each of these is a message but for one thing. */
static void each_rule_refuses(void **state)
{
    static const struct {
        const char *name, *hex;
    } table[] = {
        {"unknown field", "080110011802218877665544332211280731efcdab8967452301"
                          "7a0408291007a00601"},
        {"field twice",
         "0801080110011802218877665544332211280731efcdab89674523017a0408291007"},
        {"number not minimal", "0881001001180221887766554433221128077a0408291007"},
        {"no body", "080110011802218877665544332211280731efcdab8967452301"},
        {"two bodies", "080110011802218877665544332211280731efcdab8967452301"
                       "5a04080110007a0408291007"},
        {"other version", "08021001180221887766554433221128077a0408291007"},
        {"no term", "08011001180221887766554433221128007a0408291007"},
        {"from nobody", "08011000180221887766554433221128077a0408291007"},
        {"missing field", "080110011802218877665544332211280731efcdab8967452301"
                          "7a020829"},
        {"entries' terms fall",
         "080110011802218877665544332211280731efcdab8967452301621c08291006182822080807"
         "10021a02dead220a080610011a04deadbeef"},
        {"entry after its leader",
         "080110011802218877665544332211280731efcdab8967452301621c0829100618282208"
         "080610021a02dead220a080810011a04deadbeef"},
        {"entry of unknown kind",
         "080110011802218877665544332211280731efcdab8967452301621c082910061828220808"
         "0610051a02dead220a080710011a04deadbeef"},
        {"previous entry without term",
         "080110011802218877665544332211280731efcdab8967452301620608291000182"
         "8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (decode_hex(table[i].hex) != ERR_BADMSG)
            fail_msg("%s: %d", table[i].name, decode_hex(table[i].hex));
}

/* Thousands of empty entries in a few bytes do not become thousands of structs. */
static void empty_entries_do_not_swell(void **state)
{
    enum { N = 200000 };
    struct consensus_msg m = sample(CMSG_APPEND_ENTRIES - 1), back = {0};
    struct buf b = {0};
    uint8_t *body_start;
    size_t inner = 6 + 2 * (size_t)N, head;

    (void)state;
    m.append_entries.n_entries = 0;
    encode(&m, &b);
    head = b.len - 8; /* tag, length, six bytes of numbers */
    b.len = head;
    body_start = (uint8_t[]){0x62, (uint8_t)(0x80 | (inner & 0x7f)),
                             (uint8_t)(0x80 | (inner >> 7 & 0x7f)), (uint8_t)(inner >> 14)};
    assert_int_equal(buf_append(&b, body_start, 4, NULL), 0);
    assert_int_equal(buf_append(&b, (uint8_t[]){8, 41, 16, 6, 24, 40}, 6, NULL), 0);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(buf_append(&b, (uint8_t[]){0x22, 0}, 2, NULL), 0);
    assert_int_not_equal(consensus_msg_decode(b.data, b.len, &back, NULL), 0);
    buf_free(&b);
}

/* The limits hold on both sides. */
static void too_large_is_refused(void **state)
{
    struct consensus_msg m = sample(CMSG_INSTALL_SNAPSHOT - 1), back = {0};
    uint8_t *large = calloc(1, CONSENSUS_MSG_MAX);
    struct buf b = {0};

    (void)state;
    assert_non_null(large);
    m.install_snapshot.data = large;
    m.install_snapshot.len = CONSENSUS_MSG_MAX;
    assert_int_equal(consensus_msg_encode(&m, &b, NULL), ERR_FULL);
    m.install_snapshot.len = CONSENSUS_SNAPSHOT_MAX + 1;
    assert_int_equal(consensus_msg_encode(&m, &b, NULL), 0);
    assert_int_equal(consensus_msg_decode(b.data, b.len, &back, NULL), ERR_FULL);
    b.len = 0;
    m.install_snapshot.len = CONSENSUS_SNAPSHOT_MAX;
    assert_int_equal(consensus_msg_encode(&m, &b, NULL), 0);
    assert_int_equal(consensus_msg_decode(b.data, b.len, &back, NULL), 0);
    consensus_msg_free(&back);
    buf_free(&b);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_golden),
        cmocka_unit_test(decodes_what_it_encodes),
        cmocka_unit_test(mutations_are_refused_or_canonical),
        cmocka_unit_test(each_rule_refuses),
        cmocka_unit_test(empty_entries_do_not_swell),
        cmocka_unit_test(too_large_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
