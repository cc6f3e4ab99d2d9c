/* What the log's commands and snapshots are wrapped in: golden bytes, and every damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "proto/envelope.h"

static const uint8_t body[] = "begin";

static struct envelope sample(void)
{
    struct envelope e = {
        .leader_id = 3, .wall_ms = 1700000000000, .body = body, .len = sizeof body - 1};

    memset(e.prev_hash, 0xab, sizeof e.prev_hash);
    return e;
}

static struct snapshot_envelope snapshot_sample(void)
{
    struct snapshot_envelope s = {.index = 1000,
                                  .term = 7,
                                  .taken_by = 2,
                                  .wall_ms = 1700000000000,
                                  .members_index = 990,
                                  .members = (const uint8_t *)"members",
                                  .members_len = 7,
                                  .body = body,
                                  .len = sizeof body - 1};

    memset(s.chain, 0xcd, sizeof s.chain);
    return s;
}

static void hex_of(const struct buf *b, char *hex)
{
    for (size_t i = 0; i < b->len; i++)
        snprintf(hex + 2 * i, 3, "%02x", b->data[i]);
}

/* Bytes of released versions lie on disks: a change here needs a new format version. */
static void bytes_are_golden(void **state)
{
    struct envelope e = sample();
    struct snapshot_envelope s = snapshot_sample();
    struct buf a = {0}, b = {0};
    char hex[512];

    (void)state;
    assert_int_equal(envelope_seal(&e, &a, NULL), 0);
    hex_of(&a, hex);
    assert_string_equal(hex, "080110031880d095ffbc312220"
                             "abababababababababababababababab"
                             "abababababababababababababababab"
                             "2a05626567696e356c83d388");
    assert_int_equal(snapshot_seal(&s, &b, NULL), 0);
    hex_of(&b, hex);
    assert_string_equal(hex, "080110e8071807200228"
                             "80d095ffbc313220"
                             "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
                             "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
                             "38de0742076d656d62657273"
                             "4a05626567696e5593034f47");
    buf_free(&a);
    buf_free(&b);
}

static void opens_what_it_sealed(void **state)
{
    struct envelope e = sample(), back;
    struct snapshot_envelope s = snapshot_sample(), sback;
    struct buf a = {0}, b = {0};

    (void)state;
    assert_int_equal(envelope_seal(&e, &a, NULL), 0);
    assert_int_equal(envelope_open(a.data, a.len, &back, NULL), 0);
    assert_int_equal(back.leader_id, 3);
    assert_int_equal(back.wall_ms, e.wall_ms);
    assert_int_equal(back.version, ENVELOPE_VERSION);
    assert_memory_equal(back.prev_hash, e.prev_hash, ENVELOPE_HASH_SIZE);
    assert_int_equal(back.len, e.len);
    assert_memory_equal(back.body, body, e.len);
    assert_int_equal(snapshot_seal(&s, &b, NULL), 0);
    assert_int_equal(snapshot_open(b.data, b.len, &sback, NULL), 0);
    assert_int_equal(sback.members_index, 990);
    assert_int_equal(sback.members_len, 7);
    assert_memory_equal(sback.members, "members", 7);
    assert_int_equal(sback.index, 1000);
    assert_int_equal(sback.term, 7);
    assert_int_equal(sback.taken_by, 2);
    assert_memory_equal(sback.chain, s.chain, ENVELOPE_HASH_SIZE);
    assert_memory_equal(sback.body, body, s.len);
    buf_free(&a);
    buf_free(&b);
}

/* Every single flipped bit and every cut is noticed, and reads nothing behind the end. */
static void every_damage_is_noticed(void **state)
{
    struct envelope e = sample(), back;
    struct snapshot_envelope sback;
    struct buf a = {0};
    uint8_t *copy;

    (void)state;
    assert_int_equal(envelope_seal(&e, &a, NULL), 0);
    for (size_t bit = 0; bit < 8 * a.len; bit++) {
        copy = malloc(a.len);
        assert_non_null(copy);
        memcpy(copy, a.data, a.len);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(envelope_open(copy, a.len, &back, NULL), ERR_CORRUPT);
        assert_int_equal(snapshot_open(copy, a.len, &sback, NULL), ERR_CORRUPT);
        free(copy);
    }
    for (size_t len = 0; len < a.len; len++) {
        copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, a.data, len);
        assert_int_equal(envelope_open(copy, len, &back, NULL), ERR_CORRUPT);
        free(copy);
    }
    buf_free(&a);
}

static void fix_crc(struct buf *b)
{
    uint32_t crc = (uint32_t)crc32_z(0, b->data, b->len - 5);

    for (unsigned i = 0; i < 4; i++)
        b->data[b->len - 4 + i] = (uint8_t)(crc >> (8 * i));
}

/* A newer version is told from damage: its operator is asked to upgrade (I10). */
static void newer_version_is_unsupported(void **state)
{
    struct envelope e = sample(), back;
    struct buf a = {0};

    (void)state;
    assert_int_equal(envelope_seal(&e, &a, NULL), 0);
    a.data[1] = 2;
    fix_crc(&a);
    assert_int_equal(envelope_open(a.data, a.len, &back, NULL), ERR_UNSUPPORTED);
    buf_free(&a);
}

/* With a right checksum but bytes that nobody here would write: still refused. */
static void other_spellings_are_refused(void **state)
{
    struct envelope e = sample(), back;
    struct buf a = {0}, b = {0};

    (void)state;
    e.leader_id = 0;
    assert_int_equal(envelope_seal(&e, &a, NULL), 0);
    /* leader_id 0 in two bytes: 10 80 00 instead of 10 00 */
    assert_int_equal(buf_append(&b, a.data, 3, NULL), 0);
    assert_int_equal(buf_append(&b, (uint8_t[]){0x80}, 1, NULL), 0);
    assert_int_equal(buf_append(&b, a.data + 3, a.len - 3, NULL), 0);
    fix_crc(&b);
    assert_int_equal(envelope_open(b.data, b.len, &back, NULL), ERR_CORRUPT);
    buf_free(&a);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_golden),
        cmocka_unit_test(opens_what_it_sealed),
        cmocka_unit_test(every_damage_is_noticed),
        cmocka_unit_test(newer_version_is_unsupported),
        cmocka_unit_test(other_spellings_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
