/* Deadlines of power-offs, each waited for to its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/methods/bench.h"

enum { MOMENT_MS = 1000, WHILE_MS = 4000, LONG_MS = 9000 };

/* An agent that says it has done it, a machine that stays on: it is ordered again, while
 * there is time, and then it is said that it is on. */
static void an_order_without_effect_is_repeated(void **state)
{
    const char *asked;
    unsigned offs = 0;
    struct bench b;

    (void)state;
    bench_open(&b, "lies");
    b.device.deadline_ms = LONG_MS;
    bench_off(&b);
    asked = bench_read(&b, "asked");
    for (const char *at = asked; (at = strstr(at, "off\n")) != NULL; at++)
        offs++;
    if (offs < 2 || b.state != POWER_ON || b.why.code != ERR_TIMEOUT ||
        strstr(b.why.text, "still on, 9s after the first of ") == NULL)
        fail_msg("%u times off, state %d, %s: %s", offs, (int)b.state, err_name(b.why.code),
                 b.why.text);
    bench_close(&b);
}

/* `off` does what it should and does not end: there is time for a look nevertheless. */
static void a_hanging_off_leaves_time_for_a_look(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "hanging_off");
    b.device.deadline_ms = LONG_MS;
    bench_off(&b);
    if (b.state != POWER_OFF || b.why.code != 0)
        fail_msg("state %d: %s", (int)b.state, b.why.text);
    assert_string_equal(bench_read(&b, "asked"), "off\nstatus\n");
    bench_expect_dead(&b, 2);
    bench_close(&b);
}

/* Whatever an agent does with its pipes. */
static void one_that_does_not_end_is_late(void **state)
{
    static const char *const modes[] = {"hangs", "closes"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct bench b;

        bench_open(&b, modes[i]);
        b.device.deadline_ms = MOMENT_MS;
        bench_off(&b);
        if (b.state != POWER_UNKNOWN || b.why.code != ERR_TIMEOUT)
            fail_msg("%s: state %d: %s", modes[i], (int)b.state, b.why.text);
        bench_close(&b);
    }
}

/* At the deadline the agent's children go with it. */
static void a_stuck_agent_is_killed_with_its_children(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "hangs");
    b.device.deadline_ms = WHILE_MS;
    bench_off(&b);
    assert_int_equal(b.state, POWER_UNKNOWN);
    bench_expect_dead(&b, 2);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_without_effect_is_repeated),
        cmocka_unit_test(a_hanging_off_leaves_time_for_a_look),
        cmocka_unit_test(one_that_does_not_end_is_late),
        cmocka_unit_test(a_stuck_agent_is_killed_with_its_children),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
