/* Lists of members: their bytes, and which step from one to another is safe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/buf.h"
#include "controller/consensus/members.h"

static struct members list(const char *text)
{
    struct members m = {0};

    for (; *text != '\0';
         text++) { /* "12v3": digits are ids, "v" makes the last one vote */
        struct member one = {.id = (uint64_t)(*text - '0'),
                             .store = *text == '4' ? 0x44 : 0};

        if (*text == 'v') {
            m.list[m.n - 1].votes = true;
            continue;
        }
        snprintf(one.name, sizeof one.name, "c%c", *text);
        if (one.store != 0)
            snprintf(one.address, sizeof one.address, "10.0.0.1:7400");
        assert_int_equal(members_add(&m, &one, NULL), 0);
    }
    return m;
}

static void steps_are_single(void **state)
{
    static const struct {
        const char *from, *to;
        bool step;
    } table[] = {
        {"1v2v3v", "2v3v", true},   {"2v3v", "2v3v4", true},     {"2v3v4", "2v3v4v", true},
        {"2v3v4", "2v3v", true},    {"1v2v3v", "1v2v3v", false}, {"1v2v3v", "2v3v4", false},
        {"2v3v", "2v3v4v", false},  {"2v3v4", "3v4v", false},    {"1v2v3v", "3v", false},
        {"1v2v3v", "1v2v3", false}, {"2v3v", "2v3v45", false},   {"1v4", "4", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct members from = list(table[i].from), to = list(table[i].to);

        if (members_is_step(&from, &to) != table[i].step)
            fail_msg("%s to %s", table[i].from, table[i].to);
    }
}

/* The engine reads them without looking at a length: whatever is not exactly what we would
 * write is refused, each byte changed and each end cut off. */
static void bytes_are_exact(void **state)
{
    struct members m = list("1v2v4"), back;
    struct buf b = {0};

    (void)state;
    assert_int_equal(members_encode(&m, &b, NULL), 0);
    assert_int_equal(b.len % 8, 0);
    assert_int_equal(members_decode(b.data, b.len, &back, NULL), 0);
    assert_int_equal(back.n, 3);
    assert_string_equal(members_find(&back, 4)->address, "10.0.0.1:7400");
    assert_int_equal(members_named(&back, "c4")->store, 0x44);
    assert_true(members_find(&back, 2)->votes);
    assert_false(members_find(&back, 4)->votes);
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(members_decode(b.data, len, &back, NULL), ERR_BADMSG);
    for (size_t i = 0; i < b.len; i++) {
        struct buf again = {0};

        b.data[i] ^= 0x80;
        if (members_decode(b.data, b.len, &back, NULL) == 0) { /* another id or letter */
            assert_int_equal(members_encode(&back, &again, NULL), 0);
            assert_memory_equal(again.data, b.data, b.len);
            buf_free(&again);
        }
        b.data[i] ^= 0x80;
    }
    buf_free(&b);
}

static void twins_are_refused(void **state)
{
    struct members m = list("12");
    struct member one = {.id = 2, .name = "x"};

    (void)state;
    assert_int_equal(members_add(&m, &one, NULL), ERR_INVAL);
    one = (struct member){.id = 3, .name = "c1"};
    assert_int_equal(members_add(&m, &one, NULL), ERR_INVAL);
    one = (struct member){.id = 3, .name = "a/b"};
    assert_int_equal(members_add(&m, &one, NULL), ERR_INVAL);
    members_remove(&m, 1);
    assert_int_equal(m.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_single),
        cmocka_unit_test(bytes_are_exact),
        cmocka_unit_test(twins_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
