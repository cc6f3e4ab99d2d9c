/* STEP_FOLLOW whose server becomes something else while it waits for the stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/auto.h"
#include "controller/base/clock.h"
#include "tests/real/provider/cluster.h"

/* West starts and waits, since it names a slot that east does not have. And `then` happens
 * to it. */
static Rf__StepResult *follow_while(struct world *w, const char *then)
{
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 120000);
    char conf[200];

    lead(&w->east);
    follow(&w->west, &w->east);
    stop(&w->west);
    snprintf(conf, sizeof conf, "%s/postgresql.conf", w->west.data);
    append_line(conf, "primary_slot_name = 'not_there'");
    /* Two seconds for the step to have its own session. */
    assert_int_equal(run("(n=0; until [ \"$(%s/psql -qAt -h %s -p %u -U postgres -c "
                         "'SELECT pg_is_in_recovery()' postgres 2>/dev/null)\" = t ] || "
                         "[ $n -gt 600 ]; do sleep 0.1; n=$((n + 1)); done; sleep 2; "
                         "%s) >/dev/null 2>&1 &",
                         w->bin, w->west.address, w->west.spec.port, then),
                     0);
    step_follow(&s, &w->west, &w->east);
    return step_do(&w->west, &s);
}

/* A clone may take a day, so that is what its deadline allows: what has become of the
 * server meanwhile must not wait for it. */
static void what_becomes_of_it(struct world *w, const char *then, const char *word)
{
    struct mono begin = mono_now();
    AUTO(result_free) Rf__StepResult *result = follow_while(w, then);

    assert_in_range(ms_since(begin), 0, 60000);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_non_null(strstr(result->text, word));
}

static void a_standby_promoted_meanwhile_is_told(void **state)
{
    struct world *w = *state;
    char then[400];

    snprintf(then, sizeof then,
             "cd / && setpriv --reuid postgres --clear-groups %s/pg_ctl "
             "promote -w -D %s",
             w->bin, w->west.data);
    what_becomes_of_it(w, then, "promoted meanwhile");
}

static void a_standby_that_ends_meanwhile_is_told(void **state)
{
    struct world *w = *state;
    char then[400];

    snprintf(then, sizeof then, "kill -QUIT $(head -n 1 %s/postmaster.pid)", w->west.data);
    what_becomes_of_it(w, then, "the server has ended");
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_standby_promoted_meanwhile_is_told),
        T(a_standby_that_ends_meanwhile_is_told),
    };

    return cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
}
