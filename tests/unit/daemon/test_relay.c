/* Dating what another controller saw: never younger than it is, whatever the network and
 * the two clocks do within their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/daemon/relay.h"

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % below;
}

/* Truth in nanoseconds of a clock that is right; ours and the other one run up to 5 % off.
 */
static void it_is_never_younger_than_the_truth(void **state)
{
    uint64_t seed = 7;

    (void)state;
    for (unsigned round = 0; round < 200000; round++) {
        double ours = 0.95 + (double)draw(&seed, 1001) / 10000;
        double other = 0.95 + (double)draw(&seed, 1001) / 10000;
        double asked = 1e12 + (double)draw(&seed, 1000000000);
        double came = asked + (double)draw(&seed, 3000000000);
        double spoke = came + (double)draw(&seed, 1000000000);
        double made = spoke - (double)draw(&seed, round % 2 == 0 ? 600000000 : 60000000000);
        /* As the sender rounds them. */
        uint64_t held_ms = (uint64_t)((spoke - came) * other / 1e6);
        uint64_t age_ms = (uint64_t)((spoke - made) * other / 1e6) + 1;
        struct mono sent = {(uint64_t)(asked * ours)};

        assert_true(relay_taken(sent, held_ms, age_ms).ns <= (uint64_t)(made * ours) + 1);
    }
}

/* And not much older, where the network is quick: the forecast stays of use. */
static void it_is_close_on_a_quick_network(void **state)
{
    const struct mono asked = {5000ull * NS_PER_MS};
    struct mono taken;

    (void)state;
    taken = relay_taken(asked, 400, 100); /* made 300 ms after our ping */
    assert_true(taken.ns >= asked.ns + 235ull * NS_PER_MS);
    taken = relay_taken(asked, 0, 0);
    assert_true(taken.ns >= asked.ns - 2ull * NS_PER_MS);
}

static void nonsense_counts_as_old(void **state)
{
    const struct mono asked = {5000ull * NS_PER_MS};

    (void)state;
    assert_int_equal(relay_taken(asked, 0, UINT64_MAX).ns, 1);
    assert_int_equal(relay_taken(asked, UINT64_MAX, UINT64_MAX).ns, 1);
    assert_true(relay_taken(asked, UINT64_MAX, 10).ns < asked.ns);
    assert_int_equal(relay_taken(asked, 0, 5000).ns, 1); /* before our boot: never 0 */
}

/* A network that gives one ping twice makes nothing younger (the simulator's seed 733: what
 * had been said with the first answer counted as said a second later). */
static void the_first_answer_dates_a_ping(void **state)
{
    struct relay_answered of[RELAY_ANSWERS] = {{0}};
    struct mono at = {0};

    (void)state;
    assert_false(relay_answered_at(of, 1, &at));
    assert_false(relay_answered_at(of, 0, &at));
    relay_answer(of, 1, (struct mono){1000});
    relay_answer(of, 2, (struct mono){2000});
    relay_answer(of, 1, (struct mono){9000});
    assert_true(relay_answered_at(of, 1, &at));
    assert_int_equal(at.ns, 1000);
    relay_answer(of, 1 + RELAY_ANSWERS, (struct mono){9500});
    assert_false(relay_answered_at(of, 1, &at));
    assert_true(relay_answered_at(of, 1 + RELAY_ANSWERS, &at));
    assert_int_equal(at.ns, 9500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_never_younger_than_the_truth),
        cmocka_unit_test(it_is_close_on_a_quick_network),
        cmocka_unit_test(nonsense_counts_as_old),
        cmocka_unit_test(the_first_answer_dates_a_ping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
