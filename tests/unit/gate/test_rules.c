/* What may be written into a gate, and the words it is written in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fencing/gate/gate_abi.h"
#include "fencing/gate/gate_rules.h"
#include "fencing/gate/nft_text.h"

/* Packing never lengthens a lease and loses nothing else, whatever the low bits. */
static void a_word_rounds_down_and_keeps_the_mode(void **state)
{
    static const uint64_t deadlines[] = {4, 1000, 123456789012345, UINT64_MAX - 8};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(deadlines); i++)
        for (uint64_t low = 0; low < 4; low++)
            for (int mode = GATE_REPLICATION; mode <= GATE_OPEN; mode++) {
                const struct boot deadline = {deadlines[i] + low};
                const uint64_t word = gate_word((enum gate_mode)mode, deadline);

                assert_int_equal(gate_word_mode(word), mode);
                assert_true(gate_word_deadline(word).ns <= deadline.ns);
                assert_true(gate_word_deadline(word).ns + 4 > deadline.ns);
            }
}

/* Closed is 0, and so is a lease so short that nothing is left of it. */
static void nothing_is_zero(void **state)
{
    (void)state;
    assert_true(gate_word(GATE_CLOSED, GATE_FOREVER) == 0);
    for (uint64_t ns = 0; ns < 4; ns++) {
        assert_true(gate_word(GATE_OPEN, (struct boot){ns}) == 0);
        assert_true(gate_word(GATE_REPLICATION, (struct boot){ns}) == 0);
    }
    assert_int_equal(gate_word_mode(0), GATE_CLOSED);
    assert_int_equal(gate_word_mode(GATE_WORD_MODE), GATE_CLOSED); /* nobody's mode */
    assert_true(gate_word_deadline(gate_word(GATE_REPLICATION, GATE_FOREVER)).ns ==
                GATE_WORD_FOREVER);
    assert_true(GATE_FOREVER.ns == GATE_WORD_FOREVER);
}

enum { NOW = 1000 };

/* Every combination of what is there and what is asked: opened is only what a current,
 * unfenced epoch with a future deadline may open; a renewal only what is still open. */
static void arming_over_every_state(void **state)
{
    static const uint64_t epochs[] = {0, 4, 5, 6};
    static const uint64_t deadlines[] = {0, NOW, NOW + 8, UINT64_MAX & ~(uint64_t)3};
    unsigned allowed = 0, n = 0;

    (void)state;
    for (unsigned bits = 0; bits < 4 * 3 * 4 * 2 * 3 * 4 * 2; bits++) {
        unsigned b = bits;
        struct gate_state there = {.epoch = 5};
        struct gate_lease lease;
        enum gate_arm_how how;
        bool ok;
        int r;

        lease.epoch = epochs[b % 4], b /= 4;
        lease.mode = (enum gate_mode)(b % 3), b /= 3;
        lease.deadline.ns = deadlines[b % 4], b /= 4;
        there.fenced = b % 2, b /= 2;
        there.mode = (enum gate_mode)(b % 3), b /= 3;
        there.deadline.ns = deadlines[b % 4], b /= 4;
        how = b % 2 ? GATE_RENEW : GATE_REOPEN;

        r = gate_rules_arm(&there, &lease, how, (struct boot){NOW}, NULL);
        ok = lease.epoch >= 5 && !(lease.epoch == 5 && there.fenced) &&
             lease.mode != GATE_CLOSED && lease.deadline.ns > NOW &&
             !(lease.mode == GATE_OPEN && lease.deadline.ns == GATE_FOREVER.ns) &&
             (how == GATE_REOPEN ||
              (lease.epoch == 5 && there.mode != GATE_CLOSED && there.deadline.ns > NOW));
        assert_int_equal(r == 0, ok);
        allowed += ok;
        n++;
    }
    print_message("%u of %u allowed\n", allowed, n);
    assert_true(allowed > 0);
}

static void agent_names(void **state)
{
    char longest[GATE_AGENT_MAX + 1];

    (void)state;
    assert_true(gate_rules_agent_name("pg-east"));
    assert_true(gate_rules_agent_name("A.b_9"));
    assert_false(gate_rules_agent_name(NULL));
    assert_false(gate_rules_agent_name(""));
    assert_false(gate_rules_agent_name("-east"));
    assert_false(gate_rules_agent_name("9east"));
    assert_false(gate_rules_agent_name("east;drop"));
    assert_false(gate_rules_agent_name("east west"));
    memset(longest, 'a', sizeof longest);
    longest[GATE_AGENT_MAX] = '\0';
    assert_false(gate_rules_agent_name(longest));
    longest[GATE_AGENT_MAX - 1] = '\0';
    assert_true(gate_rules_agent_name(longest));
}

static void addresses(void **state)
{
    struct gate_addr a, b;
    struct err err;
    char text[46];

    (void)state;
    assert_int_equal(gate_addr_parse(&a, "10.0.0.7", &err), 0);
    assert_int_equal(gate_addr_parse(&b, "::ffff:10.0.0.7", &err), 0);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(nft_addr(&a, text), '4');
    assert_string_equal(text, "10.0.0.7");
    assert_int_equal(gate_addr_parse(&a, "2001:db8::7", &err), 0);
    assert_int_equal(nft_addr(&a, text), '6');
    assert_string_equal(text, "2001:db8::7");
    assert_int_equal(gate_addr_parse(&a, "10.0.0", &err), ERR_INVAL);
    assert_int_equal(gate_addr_parse(&a, "", &err), ERR_INVAL);
    assert_int_equal(gate_addr_parse(&a, "host", &err), ERR_INVAL);
}

static void durations_of_nftables(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } table[] = {
        {"0s", 0},
        {"5ms", 5},
        {"1s", 1000},
        {"1s500ms", 1500},
        {"2m3s", 123000},
        {"1h", 3600000},
        {"1d2h3m4s5ms", 93784005},
        {"", 0},
        {"7x", 0},
        {"1s }", 1000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        print_message("'%s'\n", table[i].text);
        assert_true(nft_duration_ms(table[i].text) == table[i].ms);
    }
}

static void timed_elements_of_a_listing(void **state)
{
    static const char listing[] =
        "table inet t {\n\tset open {\n\t\ttype inet_service\n\t\tflags timeout\n"
        "\t\telements = { 543 timeout 2s expires 1s496ms, 5432,\n"
        "\t\t\t     5433 timeout 1m expires 59s1ms }\n\t}\n}\n";
    uint64_t ms = 7;

    (void)state;
    assert_true(nft_find_timed(listing, 543, &ms));
    assert_true(ms == 1496);
    assert_true(nft_find_timed(listing, 5432, &ms));
    assert_true(ms == UINT64_MAX);
    assert_true(nft_find_timed(listing, 5433, &ms));
    assert_true(ms == 59001);
    assert_false(nft_find_timed(listing, 54, &ms));
    assert_false(nft_find_timed(listing, 1, &ms));
    assert_false(nft_find_timed("table inet t {\n}\n", 543, &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_rounds_down_and_keeps_the_mode),
        cmocka_unit_test(nothing_is_zero),
        cmocka_unit_test(arming_over_every_state),
        cmocka_unit_test(agent_names),
        cmocka_unit_test(addresses),
        cmocka_unit_test(durations_of_nftables),
        cmocka_unit_test(timed_elements_of_a_listing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
