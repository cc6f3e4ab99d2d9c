/* Fence level 2: STEP_SEVER on real servers. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/base/auto.h"
#include "controller/base/clock.h"
#include "tests/real/provider/cluster.h"

/* East waits for west, and has acknowledged one row. */
static PGconn *pair(struct world *w)
{
    PGconn *c;

    lead(&w->east);
    c = client(&w->east);
    assert_non_null(c);
    assert_true(client_run(c, "CREATE TABLE rows (id int)"));
    follow(&w->west, &w->east);
    join(&w->east, &w->west);
    assert_true(client_write(&c, 1, 2000));
    return c;
}

static bool has_no_receiver(void *conn)
{
    char value[256];

    client_ask(conn, "SELECT count(*) FROM pg_stat_wal_receiver", value);
    return strcmp(value, "0") == 0;
}

static bool is_paused(void *conn)
{
    char value[256];

    client_ask(conn, "SELECT pg_get_wal_replay_pause_state()", value);
    return strcmp(value, "paused") == 0;
}

static Rf__StepResult *sever(struct node *n, struct node *upstream)
{
    struct step s = step_make(RF__STEP_KIND__STEP_SEVER, 5000);

    step_follow(&s, n, upstream);
    return step_do(n, &s);
}

static void severed(struct node *n, struct node *upstream)
{
    struct mono began = mono_now();
    AUTO(result_free) Rf__StepResult *result = sever(n, upstream);

    ASSERT_OK(result);
    assert_true(result->severed);
    assert_false(result->seen->streaming);
    print_message("severed in %u ms\n", (unsigned)mono_since_ms(began, mono_now()));
}

/* The old primary runs on, with clients, and acknowledges nothing any more. Its waits are
 * cut, not cancelled: a write that had begun before is not acknowledged with a warning. */
static void nothing_is_acknowledged_behind_it(void **state)
{
    struct world *w = *state;
    PGconn *c = pair(w);

    severed(&w->west, &w->east);
    assert_false(client_write(&c, 2, 500));
    c = client(&w->east);
    assert_non_null(c);
    assert_false(client_write(&c, 3, 300));
    severed(&w->west, &w->east); /* asked again it looks, and says the same */
}

/* Durably: whoever starts the server anew finds nobody to follow. */
static void it_stays_so_over_a_restart(void **state)
{
    struct world *w = *state;
    PGconn *c = pair(w);
    AUTO(see_free) Rf__Observation *seen = NULL;

    severed(&w->west, &w->east);
    assert_int_equal(run("setpriv --reuid postgres --regid postgres --clear-groups "
                         "%s/pg_ctl -D %s -w -t 20 restart >/dev/null",
                         w->bin, w->west.data),
                     0);
    assert_false(client_write(&c, 2, 1000));
    seen = see(&w->west, false);
    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_STANDBY);
    assert_false(seen->streaming);
    assert_string_equal(seen->upstream, "");
}

/* The old primary is dead, so there is no walreceiver to see; its startup process, though,
 * would ask for one as soon as it could. */
static void a_dead_primary_that_returns_is_refused(void **state)
{
    struct world *w = *state;
    PGconn *c = pair(w);

    PQfinish(c);
    signal_all(&w->east, SIGSTOP); /* as a host that is not heard of */
    severed(&w->west, &w->east);
    signal_all(&w->east, SIGCONT);
    c = client(&w->east);
    assert_non_null(c);
    assert_false(client_write(&c, 2, 1500)); /* wal_retrieve_retry_interval is 500 ms */
}

/* Down it is severed by its file. */
static void a_standby_that_is_down_is_severed(void **state)
{
    struct world *w = *state;
    PGconn *c = pair(w);

    stop(&w->west);
    severed(&w->west, &w->east);
    /* Not Debian's directory for sockets: it is not there on every machine. */
    assert_int_equal(run("setpriv --reuid postgres --regid postgres --clear-groups "
                         "%s/pg_ctl -D %s -o '-k %s' -w -t 20 start >/dev/null",
                         w->bin, w->west.data, w->west.data),
                     0);
    assert_false(client_write(&c, 2, 1000));
}

/* What ends it: a promotion, with all that was acknowledged; or to follow again. */
static void it_leads_or_follows_again(void **state)
{
    struct world *w = *state;
    PGconn *c = pair(w), *west;

    severed(&w->west, &w->east);
    follow(&w->west, &w->east);
    assert_true(client_write(&c, 2, 2000));
    severed(&w->west, &w->east);
    lead(&w->west);
    west = client(&w->west);
    assert_non_null(west);
    assert_true(client_write(&west, 3, 2000));
    assert_int_equal(count_rows(&w->west), 3);
    PQfinish(west);
    PQfinish(c);
}

/* I11: the worker was ended in the midst of it: replay stays paused, and a startup process
 * that pauses starts no walreceiver. Following again undoes that as well. */
static void what_was_severed_by_half_follows_again(void **state)
{
    enum { WITHIN_MS = 5000 };
    struct world *w = *state;
    PGconn *c = pair(w), *west = client(&w->west);

    assert_non_null(west);
    assert_true(client_run(west, "ALTER SYSTEM SET primary_conninfo = ''"));
    assert_true(client_run(west, "SELECT pg_reload_conf()"));
    eventually(has_no_receiver, west, WITHIN_MS);
    assert_true(client_run(west, "SELECT pg_wal_replay_pause()"));
    eventually(is_paused, west, WITHIN_MS);
    PQfinish(west);
    follow(&w->west, &w->east);
    assert_true(client_write(&c, 2, WITHIN_MS));
    PQfinish(c);
}

/* An administrator's pause is left as it was; a promotion goes on all the same. */
static void a_pause_of_somebody_else_stays(void **state)
{
    struct world *w = *state;
    PGconn *c = pair(w), *west = client(&w->west);
    char value[256];

    assert_non_null(west);
    assert_true(client_run(west, "SELECT pg_wal_replay_pause()"));
    severed(&w->west, &w->east);
    client_ask(west, "SELECT pg_is_wal_replay_paused()", value);
    assert_string_equal(value, "t");
    PQfinish(west);
    PQfinish(c);
}

/* A startup process that does not answer may ask for a walreceiver when it wakes up: that
 * none is there says nothing, and so no proof is given. */
static void a_startup_process_that_says_nothing_is_no_proof(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_SEVER, 1000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c = pair(w);
    pid_t startup = backend_of_type(&w->west, "startup");

    assert_true(startup > 0);
    assert_int_equal(kill(startup, SIGSTOP), 0);
    step_follow(&s, &w->west, &w->east);
    result = step_do(&w->west, &s);
    assert_int_equal(kill(startup, SIGCONT), 0);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_UNKNOWN);
    assert_false(result->severed);
    PQfinish(c);
}

static void a_primary_is_not_severed(void **state)
{
    struct world *w = *state;
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c = pair(w);

    result = sever(&w->east, &w->west);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_false(result->severed);
    assert_true(client_write(&c, 2, 2000));
    PQfinish(c);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH (nothing_is_acknowledged_behind_it),
        EACH (it_stays_so_over_a_restart),
        EACH (a_dead_primary_that_returns_is_refused),
        EACH (a_standby_that_is_down_is_severed),
        EACH (it_leads_or_follows_again),
        EACH (what_was_severed_by_half_follows_again),
        EACH (a_pause_of_somebody_else_stays),
        EACH (a_startup_process_that_says_nothing_is_no_proof),
        EACH (a_primary_is_not_severed),
    };

    return cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
}
