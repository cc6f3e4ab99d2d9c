/* The wide-area network without a network: which frame leaves when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chaos/base.h"
#include "chaos/wan_core.h"

enum { A, B, C, SITES, SEED = 4711, SIZE = 1000, MANY = 10000 };

static const int64_t start_ns = INT64_C(1000000000000), us = 1000, ms = NS_PER_MS;

static int set_up(void **state)
{
    *state = wan_core_new(SITES, SEED);
    return 0;
}

static int tear_down(void **state)
{
    wan_core_free(*state);
    return 0;
}

/* Frames carry their number behind the two addresses. */
enum { NUMBER_AT = 14 };

static struct wan_frame *frame_for(struct wan_core *c, unsigned to, uint16_t size,
                                   uint32_t number)
{
    struct wan_frame *f = wan_core_blank(c);

    memset(f->bytes, 0, sizeof f->bytes);
    wan_mac(to, f->bytes);
    memcpy(f->bytes + NUMBER_AT, &number, sizeof number);
    f->size = size;
    return f;
}

static uint32_t number_of(const struct wan_frame *f)
{
    uint32_t number;

    memcpy(&number, f->bytes + NUMBER_AT, sizeof number);
    return number;
}

static void send_one(struct wan_core *c, unsigned from, unsigned to, uint32_t number,
                     int64_t now)
{
    wan_core_send(c, frame_for(c, to, SIZE, number), from, now);
}

static void rule(struct wan_core *c, struct wan_link rules)
{
    assert_null(wan_link_wrong(&rules));
    assert_true(wan_core_set(c, A, B, &rules));
}

/* What has left, as it left; to be freed. */
struct left {
    uint32_t number;
    uint8_t to;
    uint16_t size;
    int64_t at_ns;
};

static size_t drain(struct wan_core *c, int64_t until, struct left *left, size_t max)
{
    size_t n = 0;

    while (wan_core_next_ns(c) <= until) {
        int64_t at = wan_core_next_ns(c);
        struct wan_frame *f = wan_core_due(c, at);

        if (f == NULL)
            continue;
        assert_true(n < max);
        left[n++] = (struct left){number_of(f), f->to, f->size, at};
        wan_core_return(c, f);
    }
    return n;
}

static struct left left[2 * MANY];

static size_t drain_all(struct wan_core *c)
{
    return drain(c, INT64_MAX - 1, left, ARRAY_LEN(left));
}

/* sent + duplicated = frames + lost + overflow + cut, once nothing is under way. */
static void assert_all_accounted(const struct wan_core *c)
{
    struct wan_count n = wan_core_count(c, A, B);

    assert_int_equal(wan_core_next_ns(c), INT64_MAX);
    assert_int_equal(n.sent + n.duplicated, n.frames + n.lost + n.overflow + n.cut);
}

/* Without rules a frame leaves at the instant at which it came, as it was, to whom it is
 * addressed. */
static void a_link_without_rules_is_a_wire(void **state)
{
    struct wan_core *c = *state;

    for (unsigned to = B; to <= C; to++)
        send_one(c, A, to, 7 + to, start_ns);
    assert_int_equal(drain(c, start_ns, left, ARRAY_LEN(left)), 2);
    for (unsigned to = B; to <= C; to++) {
        assert_int_equal(left[to - B].to, to);
        assert_int_equal(left[to - B].number, 7 + to);
        assert_int_equal(left[to - B].size, SIZE);
        assert_int_equal(left[to - B].at_ns, start_ns);
    }
}

/* The delay is exact, and nothing leaves before. */
static void a_delay_is_kept_to_the_nanosecond(void **state)
{
    struct wan_core *c = *state;

    rule(c, (struct wan_link){.delay_us = 40000});
    send_one(c, A, B, 1, start_ns);
    assert_null(wan_core_due(c, start_ns + 40 * ms - 1));
    assert_int_equal(wan_core_next_ns(c), start_ns + 40 * ms);
    assert_int_equal(drain(c, start_ns + 40 * ms, left, ARRAY_LEN(left)), 1);
}

/* One direction's rules are no other's. */
static void the_way_back_has_rules_of_its_own(void **state)
{
    struct wan_core *c = *state;

    rule(c, (struct wan_link){.delay_us = 40000, .loss_ppm = WAN_ALWAYS});
    send_one(c, A, B, 1, start_ns);
    send_one(c, B, A, 2, start_ns);
    send_one(c, A, C, 3, start_ns);
    assert_int_equal(drain_all(c), 2);
    assert_int_equal(left[0].number, 2);
    assert_int_equal(left[0].at_ns, start_ns);
    assert_int_equal(left[1].number, 3);
    assert_int_equal(left[1].at_ns, start_ns);
}

/* Jitter stays within its bounds, uses both ends of them, and keeps the order. */
static void jitter_is_bounded_and_keeps_the_order(void **state)
{
    struct wan_core *c = *state;
    int64_t least = INT64_MAX, most = 0, before = 0;

    rule(c, (struct wan_link){.delay_us = 20000, .jitter_us = 5000});
    /* 20 ms apart, so that none waits for the one before. */
    for (uint32_t i = 0; i < MANY; i++)
        send_one(c, A, B, i, start_ns + i * 20 * ms);
    assert_int_equal(drain_all(c), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        int64_t took = left[i].at_ns - (start_ns + i * 20 * ms);

        assert_int_equal(left[i].number, i);
        assert_true(left[i].at_ns >= before);
        before = left[i].at_ns;
        least = took < least ? took : least;
        most = took > most ? took : most;
    }
    assert_in_range(least, 15 * ms, 15 * ms + 100 * us);
    assert_in_range(most, 25 * ms - 100 * us, 25 * ms);
}

/* Close behind one another, jitter would turn frames around: they wait instead. */
static void a_stream_with_jitter_stays_in_order(void **state)
{
    struct wan_core *c = *state;

    rule(c, (struct wan_link){.delay_us = 20000, .jitter_us = 20000});
    for (uint32_t i = 0; i < MANY; i++)
        send_one(c, A, B, i, start_ns + i * us);
    assert_int_equal(drain_all(c), MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(left[i].number, i);
}

/* A shorter delay does not let a frame pass those that were sent before. */
static void new_rules_do_not_turn_the_order_around(void **state)
{
    struct wan_core *c = *state;

    rule(c, (struct wan_link){.delay_us = 800000});
    send_one(c, A, B, 1, start_ns);
    wan_core_heal(c);
    send_one(c, A, B, 2, start_ns + ms);
    assert_int_equal(drain_all(c), 2);
    assert_int_equal(left[0].number, 1);
    assert_int_equal(left[1].number, 2);
    assert_int_equal(left[1].at_ns, start_ns + 800 * ms);
}

/* A link of 8 Mbit/s takes a millisecond for 1000 bytes, once the burst has passed. */
static void a_rate_spaces_what_leaves(void **state)
{
    enum { COUNT = 1000, AT_ONCE = WAN_BURST_BYTES / SIZE };
    struct wan_core *c = *state;

    rule(c, (struct wan_link){.rate_bps = 8000000, .queue_bytes = COUNT * SIZE});
    for (uint32_t i = 0; i < COUNT; i++)
        send_one(c, A, B, i, start_ns);
    assert_int_equal(drain_all(c), COUNT);
    for (uint32_t i = 0; i < AT_ONCE; i++)
        assert_int_equal(left[i].at_ns, start_ns);
    for (uint32_t i = AT_ONCE + 1; i < COUNT; i++)
        assert_int_equal(left[i].at_ns - left[i - 1].at_ns, ms);
    assert_all_accounted(c);
}

/* What was not used of the rate is saved up as far as the burst, and no further. */
static void a_pause_saves_up_one_burst(void **state)
{
    enum { AT_ONCE = WAN_BURST_BYTES / SIZE };
    struct wan_core *c = *state;
    size_t n;

    rule(c, (struct wan_link){.rate_bps = 8000000});
    for (int round = 0; round < 3; round++) {
        int64_t now = start_ns + round * 1000 * ms;

        for (uint32_t i = 0; i < 2 * AT_ONCE; i++)
            send_one(c, A, B, i, now);
        n = drain(c, now, left, ARRAY_LEN(left));
        assert_int_equal(n, AT_ONCE);
        assert_int_equal(drain_all(c), AT_ONCE);
    }
}

/* What does not fit the queue before the rate is dropped and counted, and the queue is as
 * long as was said. */
static void a_full_queue_drops(void **state)
{
    enum { QUEUE = 20, AT_ONCE = WAN_BURST_BYTES / SIZE, COUNT = 100 };
    struct wan_core *c = *state;
    struct wan_count n;

    rule(c, (struct wan_link){.rate_bps = 8000000, .queue_bytes = QUEUE * SIZE});
    for (uint32_t i = 0; i < COUNT; i++)
        send_one(c, A, B, i, start_ns);
    /* The last of the burst's bytes are less than a frame. */
    assert_int_equal(drain_all(c), AT_ONCE + QUEUE);
    n = wan_core_count(c, A, B);
    assert_int_equal(n.overflow, COUNT - AT_ONCE - QUEUE);
    assert_all_accounted(c);
    send_one(c, A, B, COUNT, start_ns + 1000 * ms);
    assert_int_equal(drain_all(c), 1);
}

/* On a link without a rate, too, there is an end to what can be under way. */
static void a_long_link_holds_so_many_frames(void **state)
{
    struct wan_core *c = *state;

    rule(c, (struct wan_link){.delay_us = 1000000});
    for (uint32_t i = 0; i < WAN_UNDER_WAY_MAX + 5; i++)
        send_one(c, A, B, i, start_ns);
    assert_int_equal(wan_core_count(c, A, B).overflow, 5);
    send_one(c, A, C, 0, start_ns); /* another link has room of its own */
    assert_int_equal(wan_core_count(c, A, C).overflow, 0);
    assert_int_equal(drain_all(c), WAN_UNDER_WAY_MAX + 1);
    send_one(c, A, B, 0, start_ns + 2000 * ms);
    assert_int_equal(drain_all(c), 1);
    assert_all_accounted(c);
}

/* Ten per cent are ten per cent: within five standard deviations of them. */
static void losses_are_as_many_as_said(void **state)
{
    struct wan_core *c = *state;
    struct wan_count n;

    rule(c, (struct wan_link){.loss_ppm = 100000});
    for (uint32_t i = 0; i < MANY; i++)
        send_one(c, A, B, i, start_ns);
    n = wan_core_count(c, A, B);
    assert_in_range(n.lost, 850, 1150);
    assert_int_equal(drain_all(c), MANY - n.lost);
    assert_int_equal(n.sent, MANY);
    assert_all_accounted(c);
}

/* A fraction of a per mille is possible. */
static void losses_may_be_rare(void **state)
{
    struct wan_core *c = *state;

    rule(c, (struct wan_link){.loss_ppm = 300});
    for (uint32_t i = 0; i < 10 * MANY; i++) {
        send_one(c, A, B, i, start_ns);
        (void)drain_all(c);
    }
    assert_in_range(wan_core_count(c, A, B).lost, 5, 60);
}

/* A copy follows its original, and is one. */
static void duplicates_follow_their_originals(void **state)
{
    struct wan_core *c = *state;
    struct wan_count n;
    size_t count;
    uint64_t twice = 0;

    rule(c, (struct wan_link){.duplicate_ppm = 200000, .delay_us = 1000});
    for (uint32_t i = 0; i < MANY; i++)
        send_one(c, A, B, i, start_ns);
    count = drain_all(c);
    n = wan_core_count(c, A, B);
    assert_in_range(n.duplicated, 1800, 2200);
    assert_int_equal(count, MANY + n.duplicated);
    for (size_t i = 1; i < count; i++) {
        assert_int_equal(left[i].size, SIZE);
        assert_true(left[i].number - left[i - 1].number <= 1);
        twice += left[i].number == left[i - 1].number;
    }
    assert_int_equal(twice, n.duplicated);
    assert_all_accounted(c);
}

/* A reordered frame comes later than its turn, at most by the bound, and holds nobody up.
 */
static void reordered_frames_are_passed(void **state)
{
    struct wan_core *c = *state;
    struct wan_count n;
    uint64_t held = 0;

    rule(c, (struct wan_link){.reorder_ppm = 100000, .delay_us = 5000});
    for (uint32_t i = 0; i < MANY; i++)
        send_one(c, A, B, i, start_ns + i * ms);
    assert_int_equal(drain_all(c), MANY);
    n = wan_core_count(c, A, B);
    assert_in_range(n.reordered, 850, 1150);
    for (size_t i = 0; i < MANY; i++) {
        int64_t late = left[i].at_ns - (start_ns + left[i].number * ms + 5 * ms);

        assert_in_range(late, 0, WAN_HOLD_MAX_US * us);
        held += late > 0;
    }
    assert_int_equal(held, n.reordered);
    assert_all_accounted(c);
}

/* A cut takes what comes and what is under way; what is sent after it is healed arrives. */
static void a_cut_lets_nothing_arrive(void **state)
{
    struct wan_core *c = *state;
    struct wan_count n;

    rule(c, (struct wan_link){.delay_us = 10000});
    send_one(c, A, B, 1, start_ns);
    rule(c, (struct wan_link){.cut = true});
    send_one(c, A, B, 2, start_ns + ms);
    wan_core_heal(c);
    send_one(c, A, B, 3, start_ns + 2 * ms);
    assert_int_equal(drain_all(c), 1);
    assert_int_equal(left[0].number, 3);
    assert_int_equal(left[0].at_ns, start_ns + 2 * ms);
    n = wan_core_count(c, A, B);
    assert_int_equal(n.cut, 2);
    assert_int_equal(n.frames, 1);
    assert_int_equal(n.bytes, SIZE);
    assert_all_accounted(c);
}

/* Healing goes back to the base, not to a wire. */
static void healing_leaves_the_distance(void **state)
{
    static const struct wan_link far = {.delay_us = 125000}, cut = {.cut = true};
    struct wan_core *c = *state;

    assert_true(wan_core_set_base(c, A, B, &far));
    send_one(c, A, B, 1, start_ns);
    assert_int_equal(drain_all(c), 1);
    assert_int_equal(left[0].at_ns, start_ns + 125 * ms);
    rule(c, cut);
    wan_core_heal(c);
    send_one(c, A, B, 2, start_ns + 1000 * ms);
    assert_int_equal(drain_all(c), 1);
    assert_int_equal(left[0].at_ns, start_ns + 1125 * ms);
}

/* What is for all goes to all others, over their links. */
static void a_broadcast_reaches_all_others(void **state)
{
    struct wan_core *c = *state;
    struct wan_frame *f = frame_for(c, B, 60, 1);

    rule(c, (struct wan_link){.delay_us = 1000});
    memset(f->bytes, 0xff, WAN_MAC_SIZE);
    wan_core_send(c, f, A, start_ns);
    assert_int_equal(drain_all(c), 2);
    assert_int_equal(left[0].to, C);
    assert_int_equal(left[1].to, B);
    assert_int_equal(left[1].at_ns, start_ns + ms);
}

/* What is for nobody, for its own sender, too short or too long goes nowhere. */
static void strays_are_counted(void **state)
{
    static const struct {
        unsigned to;
        uint16_t size;
    } table[] = {
        {SITES, 60}, {WAN_SITES_MAX, 60}, {A, 60}, {B, 13}, {B, WAN_FRAME_MAX + 1}};
    struct wan_core *c = *state;

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        wan_core_send(c, frame_for(c, table[i].to, table[i].size, 0), A, start_ns);
    assert_int_equal(wan_core_stray(c), ARRAY_LEN(table));
    assert_int_equal(drain_all(c), 0);
}

/* Rules that make no sense, and links that there are not, change nothing. */
static void nonsense_is_refused(void **state)
{
    static const struct wan_link table[] = {
        {.delay_us = WAN_DELAY_MAX_US + 1}, {.delay_us = 10, .jitter_us = 11},
        {.rate_bps = WAN_RATE_MIN - 1},     {.queue_bytes = WAN_QUEUE_MAX + 1},
        {.loss_ppm = WAN_ALWAYS + 1},       {.duplicate_ppm = WAN_ALWAYS + 1},
        {.reorder_ppm = WAN_ALWAYS + 1},
    };
    static const struct wan_link cut = {.cut = true};
    struct wan_core *c = *state;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_non_null(wan_link_wrong(&table[i]));
        assert_false(wan_core_set(c, A, B, &table[i]));
        assert_false(wan_core_set_base(c, A, B, &table[i]));
    }
    assert_false(wan_core_set(c, A, A, &cut));
    assert_false(wan_core_set(c, A, SITES, &cut));
    assert_false(wan_core_set(c, SITES, A, &cut));
    send_one(c, A, B, 1, start_ns);
    assert_int_equal(drain(c, start_ns, left, ARRAY_LEN(left)), 1);
}

static size_t play(uint64_t seed, struct left *into)
{
    struct wan_core *c = wan_core_new(SITES, seed);
    size_t n;

    rule(c, (struct wan_link){.delay_us = 20000,
                              .jitter_us = 20000,
                              .rate_bps = 10000000,
                              .queue_bytes = 50000,
                              .loss_ppm = 50000,
                              .duplicate_ppm = 50000,
                              .reorder_ppm = 50000});
    for (uint32_t i = 0; i < MANY; i++)
        send_one(c, A, B, i, start_ns + i * 700 * us);
    n = drain(c, INT64_MAX - 1, into, 2 * MANY);
    assert_all_accounted(c);
    wan_core_free(c);
    return n;
}

static bool is_same(const struct left *a, const struct left *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i].number != b[i].number || a[i].at_ns != b[i].at_ns)
            return false;
    return true;
}

/* The same seed tells the same story, and another one another. */
static void a_seed_repeats_a_run(void **state)
{
    static struct left again[2 * MANY];
    size_t n = play(SEED, left), other;

    (void)state;
    assert_int_equal(play(SEED, again), n);
    assert_true(is_same(left, again, n));
    other = play(SEED + 1, again);
    assert_false(is_same(left, again, other < n ? other : n));
}

/* A link's chances are its own: traffic on another one does not change them. */
static void a_link_does_not_hear_of_others(void **state)
{
    enum { COUNT = 1000 };
    static const struct wan_link lossy = {.loss_ppm = 500000};
    struct wan_core *alone = *state, *busy = wan_core_new(SITES, SEED);

    rule(alone, lossy);
    rule(busy, lossy);
    assert_true(wan_core_set(busy, A, C, &lossy));
    for (uint32_t i = 0; i < COUNT; i++) {
        send_one(alone, A, B, i, start_ns);
        send_one(busy, A, C, i, start_ns);
        send_one(busy, A, B, i, start_ns);
        assert_int_equal(wan_core_count(alone, A, B).lost, wan_core_count(busy, A, B).lost);
    }
    assert_in_range(wan_core_count(alone, A, B).lost, 400, 600);
    wan_core_free(busy);
}

#define WAN_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAN_TEST(a_link_without_rules_is_a_wire),
        WAN_TEST(a_delay_is_kept_to_the_nanosecond),
        WAN_TEST(the_way_back_has_rules_of_its_own),
        WAN_TEST(jitter_is_bounded_and_keeps_the_order),
        WAN_TEST(a_stream_with_jitter_stays_in_order),
        WAN_TEST(new_rules_do_not_turn_the_order_around),
        WAN_TEST(a_rate_spaces_what_leaves),
        WAN_TEST(a_pause_saves_up_one_burst),
        WAN_TEST(a_full_queue_drops),
        WAN_TEST(a_long_link_holds_so_many_frames),
        WAN_TEST(losses_are_as_many_as_said),
        WAN_TEST(losses_may_be_rare),
        WAN_TEST(duplicates_follow_their_originals),
        WAN_TEST(reordered_frames_are_passed),
        WAN_TEST(a_cut_lets_nothing_arrive),
        WAN_TEST(healing_leaves_the_distance),
        WAN_TEST(a_broadcast_reaches_all_others),
        WAN_TEST(strays_are_counted),
        WAN_TEST(nonsense_is_refused),
        WAN_TEST(a_seed_repeats_a_run),
        WAN_TEST(a_link_does_not_hear_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
