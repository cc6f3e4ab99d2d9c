/* When a server counts as hung (I9), and when its trouble is news. */
#include "tests/unit/agent/cmocka_env.h"

#include "fencing/agent/steps_rules.h"

static struct mono at(uint64_t ms) { return mono_plus_ms((struct mono){1}, ms); }

/* Hung: asked, and not answered, for long enough. */
static void hung_is_asked_and_not_answered(void **state)
{
    Rf__Assignment a = RF__ASSIGNMENT__INIT;

    (void)state;
    a.role = RF__ROLE__ROLE_PRIMARY;
    a.epoch = 3;
    a.hung_after_ms = 10000;
    assert_true(server_is_hung(&a, at(0), 2, at(10000)));
    assert_false(server_is_hung(&a, at(0), 1, at(10000)));
    assert_false(server_is_hung(&a, at(0), 5, at(9999)));
    assert_false(server_is_hung(&a, (struct mono){0}, 5, at(10000)));
    a.role = RF__ROLE__ROLE_STANDBY;
    assert_false(server_is_hung(&a, at(0), 5, at(10000)));
    a.role = RF__ROLE__ROLE_PRIMARY;
    a.hung_after_ms = 0;
    assert_false(server_is_hung(&a, at(0), 5, at(10000)));
}

/* What differs in its numbers only is no news; anything else is. */
static void trouble_is_told_apart_by_its_words(void **state)
{
    (void)state;
    assert_true(same_trouble("", ""));
    assert_true(same_trouble("no room: 12 MiB free", "no room: 9 MiB free"));
    assert_true(same_trouble("at 0/3A000060", "at 0/41B00"));
    assert_false(same_trouble("no room", "no room: 9 MiB free"));
    assert_false(same_trouble("no room on east", "no room on west"));
    assert_false(same_trouble("12 rows", "rows"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hung_is_asked_and_not_answered),
        cmocka_unit_test(trouble_is_told_apart_by_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
