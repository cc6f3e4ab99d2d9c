/* STEP_FOLLOW where the upstream has removed the log that follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/auto.h"
#include "tests/real/provider/cluster.h"

/* West is away until what it would ask for next is gone from east. */
static void remove_what_follows(struct world *w)
{
    PGconn *c;

    lead(&w->east);
    follow(&w->west, &w->east);
    stop(&w->west);
    c = client(&w->east);
    assert_non_null(c);
    for (int i = 0; i < 3; i++) {
        assert_true(client_run(c, "ALTER SYSTEM SET wal_keep_size = 0"));
        assert_true(client_run(c, "SELECT pg_reload_conf()"));
        assert_true(client_run(c, "SELECT pg_switch_wal()"));
        assert_true(client_run(c, "CHECKPOINT"));
    }
    PQfinish(c);
}

/* I11: nobody would notice that it asks for ever for what is not there any more. What looks
 * as if it streamed for a moment is found at the next step, which comes as often as it
 * strays. */
static void a_standby_whose_log_was_removed_is_cloned(void **state)
{
    enum { TIMES = 10 };
    struct world *w = *state;
    bool cloned = false;

    remove_what_follows(w);
    for (int i = 0; i < TIMES && !cloned; i++) {
        struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 20000);
        AUTO(result_free) Rf__StepResult *result = NULL;

        step_follow(&s, &w->west, &w->east);
        result = step_do(&w->west, &s);
        ASSERT_OK(result);
        cloned = result->cloned;
        assert_true(result->divergent_bytes == 0);
        assert_true(!cloned || result->seen->streaming);
    }
    assert_true(cloned);
}

/* I8: should east die while it is copied, nobody had what was acknowledged. */
static void a_member_whose_log_was_removed_is_not_cloned(void **state)
{
    enum { TIMES = 10 };
    struct world *w = *state;
    bool refused = false;

    remove_what_follows(w);
    for (int i = 0; i < TIMES && !refused; i++) {
        struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 20000);
        AUTO(result_free) Rf__StepResult *result = NULL;

        step_follow(&s, &w->west, &w->east);
        step_add_member(&s, &w->west);
        result = step_do(&w->west, &s);
        assert_false(result->cloned);
        refused =
            strstr(result->text, "a member of the sync set is not cloned over") != NULL;
    }
    assert_true(refused);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH (a_standby_whose_log_was_removed_is_cloned),
        EACH (a_member_whose_log_was_removed_is_not_cloned),
    };

    return cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
}
