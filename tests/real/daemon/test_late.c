/* What comes late is as old as it is. */
#include "tests/real/daemon/stage.h"

/* A report that was held back for longer than reports are fresh is no news of now, though
 * its agent renews all the while: nothing is fenced for it. The same words said now are. */
static void a_report_that_was_held_back_decides_nothing(void **state)
{
    struct stage *s = *state;
    int leader = cluster_wait_leader(&s->c);

    s->east.held_back = s->east.hung = true;
    cluster_turn_ms(&s->c, 3000);
    fake_agent_let_go(&s->east, leader);
    cluster_turn_ms(&s->c, 300);
    assert_int_equal(s->east.fence_orders, 0);
    assert_true(fake_agent_is_open(&s->east));

    s->east.held_back = false;
    cluster_until(&s->c, stage_west_serves, s, 10000, "the other region serving");
    assert_true(s->east.fence_orders > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_report_that_was_held_back_decides_nothing,
                                        stage_setup, stage_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
