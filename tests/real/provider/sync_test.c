/* For whom commits wait: never reported before it is so (I8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/provider/cluster.h"

static void pair(struct world *w)
{
    PGconn *c;

    lead(&w->east);
    c = client(&w->east);
    assert_non_null(c);
    assert_true(client_run(c, "CREATE TABLE rows (id int)"));
    PQfinish(c);
    follow(&w->west, &w->east);
}

/* After a join nothing is acknowledged that the standby does not have. */
static void after_a_join_commits_wait(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_JOIN, 5000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    struct mono begin;
    PGconn *c;

    pair(w);
    step_add_member(&s, &w->west);
    begin = mono_now();
    result = step_do(&w->east, &s);
    ASSERT_OK(result);
    print_message("join: %llu ms\n", (unsigned long long)ms_since(begin));
    assert_true(result->position > 0);
    assert_true(result->seen->n_replicas == 1 &&
                result->seen->replicas[0]->flush_lsn >= result->position);
    /* The newcomer is in no set before the log says so. */
    assert_true(result->seen->sync_generation == s.request.step);
    c = client(&w->east);
    assert_true(client_write(&c, 1, 2000));
    signal_all(&w->west, SIGSTOP);
    assert_false(client_write(&c, 2, 300));
    signal_all(&w->west, SIGCONT);
}

/* With the checkpointer stopped PostgreSQL shows the names while commits are acknowledged
 * alone. The join is not reported, and the names of before stand again. */
static void a_stopped_checkpointer_lets_nobody_join(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_JOIN, 1000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    pid_t checkpointer;

    pair(w);
    checkpointer = backend_of_type(&w->east, "checkpointer");
    kill(checkpointer, SIGSTOP);
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    kill(checkpointer, SIGCONT);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", result->text);
    assert_non_null(strstr(result->text, "checkpointer"));
    assert_string_equal(result->seen->sync_names, "");
    join(&w->east, &w->west);
}

/* A checkpointer that is late by half a second: joined only when waiting is in force. The
 * standby is frozen right after, so that a write acknowledged alone would show. */
static void a_slow_checkpointer_delays_the_join(void **state)
{
    struct world *w = *state;
    pid_t checkpointer, helper;
    struct mono begin;
    PGconn *c;

    pair(w);
    checkpointer = backend_of_type(&w->east, "checkpointer");
    kill(checkpointer, SIGSTOP);
    helper = fork();
    if (helper == 0) {
        poll(NULL, 0, 500); /* the disturbance itself, not the test, takes its time */
        kill(checkpointer, SIGCONT);
        _exit(0);
    }
    begin = mono_now();
    join(&w->east, &w->west);
    assert_true(ms_since(begin) >= 450);
    waitpid(helper, NULL, 0);
    signal_all(&w->west, SIGSTOP);
    c = client(&w->east);
    assert_false(client_write(&c, 1, 300));
    signal_all(&w->west, SIGCONT);
}

/* A standby that does not answer does not join, and writers go on. */
static void a_frozen_standby_does_not_join(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_JOIN, 2500);
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c;

    pair(w);
    signal_all(&w->west, SIGSTOP);
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", result->text);
    assert_non_null(strstr(result->text, "rf-orders-west"));
    assert_string_equal(result->seen->sync_names, "");
    c = client(&w->east);
    assert_true(client_write(&c, 1, 2000));
    PQfinish(c);
    signal_all(&w->west, SIGCONT);
}

/* A member that is gone is taken out: writes that waited go on, and the step says done
 * only when they do. */
static void without_members_writes_go_on(void **state)
{
    struct world *w = *state;
    struct step shrink = step_make(RF__STEP_KIND__STEP_SYNC, 3000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c;

    pair(w);
    join(&w->east, &w->west);
    signal_all(&w->west, SIGKILL);
    result = step_do(&w->east, &shrink);
    ASSERT_OK(result);
    assert_string_equal(result->seen->sync_names, "");
    c = client(&w->east);
    assert_true(client_write(&c, 1, 2000));
    PQfinish(c);
}

/* SYNC for a member that is away: in force all the same, proven without it. */
static void members_that_are_away_are_waited_for(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_SYNC, 3000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c;

    pair(w);
    stop(&w->west);
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    ASSERT_OK(result);
    c = client(&w->east);
    assert_false(client_write(&c, 1, 300));
    follow(&w->west, &w->east);
    c = client(&w->east);
    assert_true(client_write(&c, 2, 5000));
    PQfinish(c);
}

/* The same again is quick, and keeps the new generation. */
static void syncing_twice_is_harmless(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_SYNC, 3000);
    AUTO(result_free) Rf__StepResult *result = NULL;

    pair(w);
    join(&w->east, &w->west);
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    ASSERT_OK(result);
    assert_true(result->seen->sync_generation == s.request.generation);
}

/* `*` would let any standby acknowledge. */
static void a_star_is_refused(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_SYNC, 3000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    static char star[] = "*";

    lead(&w->east);
    s.members[0] = star;
    s.request.n_members = 1;
    result = step_do(&w->east, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_string_equal(result->seen->sync_names, "");
}

/* --- a server that acknowledges without waiting (I8, I9)
 * ---------------------------------- */

/* As an administrator does in the server's file. */
static void set_in_file(struct node *n, const char *line)
{
    char conf[200];
    PGconn *c = client(n);

    snprintf(conf, sizeof conf, "%s/postgresql.conf", n->data);
    append_line(conf, line);
    assert_true(client_run(c, "SELECT pg_reload_conf()"));
    PQfinish(c);
}

static void shown_to_a_client(struct node *n, const char *wanted)
{
    char value[256];
    PGconn *c = client(n);

    client_ask(c, "SHOW synchronous_commit", value);
    assert_string_equal(value, wanted);
    PQfinish(c);
}

/* A join whose commits are acknowledged without the standby's flush is none. */
static void a_join_makes_commits_wait(void **state)
{
    static const char *const weaker[] = {"off", "local", "remote_write"};
    struct world *w = *state;
    char line[64];

    pair(w);
    for (size_t i = 0; i < 3; i++) {
        struct step out = step_make(RF__STEP_KIND__STEP_SYNC, 3000);
        AUTO(result_free) Rf__StepResult *result = NULL;
        PGconn *c = client(&w->east);

        assert_true(client_run(c, "ALTER SYSTEM RESET synchronous_commit"));
        PQfinish(c);
        snprintf(line, sizeof line, "synchronous_commit = %s", weaker[i]);
        set_in_file(&w->east, line);
        /* In `off` it is the owner's. */
        out.request.synchronous = false;
        result = step_do(&w->east, &out);
        ASSERT_OK(result);
        shown_to_a_client(&w->east, weaker[i]);
        join(&w->east, &w->west);
        shown_to_a_client(&w->east, "on");
    }
    signal_all(&w->west, SIGSTOP);
    {
        PGconn *c = client(&w->east);

        assert_false(client_write(&c, 1, 300));
    }
    signal_all(&w->west, SIGCONT);
}

static void stronger_stays(void **state)
{
    struct world *w = *state;

    pair(w);
    set_in_file(&w->east, "synchronous_commit = remote_apply");
    join(&w->east, &w->west);
    shown_to_a_client(&w->east, "remote_apply");
}

static void lowered_later(struct world *w, const char *sql)
{
    PGconn *c = client(&w->east);

    assert_true(client_run(c, sql));
    assert_true(client_run(c, "SELECT pg_reload_conf()"));
    PQfinish(c);
}

static bool is_weak(void *owner)
{
    AUTO(see_free) Rf__Observation *seen = see(owner, false);

    return seen->weak_commit[0] != '\0';
}

/* The look says so, the names that stand mean nothing meanwhile (generation 0), and the
 * step that sets them puts the setting right. */
static void a_setting_that_was_lowered_is_seen_and_mended(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_SYNC, 5000);
    AUTO(see_free) Rf__Observation *before = NULL;
    AUTO(see_free) Rf__Observation *weak = NULL;
    AUTO(see_free) Rf__Observation *after = NULL;
    AUTO(result_free) Rf__StepResult *result = NULL;

    pair(w);
    join(&w->east, &w->west);
    before = see(&w->east, false);
    assert_string_equal(before->weak_commit, "");
    assert_true(before->sync_generation != 0);
    lowered_later(w, "ALTER SYSTEM SET synchronous_commit = remote_write");
    eventually(is_weak, &w->east, 20000); /* the observer's session has been told */
    weak = see(&w->east, false);
    print_message("%s\n", weak->weak_commit);
    assert_non_null(strstr(weak->weak_commit, "synchronous_commit is remote_write"));
    assert_non_null(strstr(weak->error, "synchronous_commit is remote_write"));
    assert_true(weak->sync_generation == 0);
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    ASSERT_OK(result);
    after = see(&w->east, false);
    assert_string_equal(after->weak_commit, "");
    assert_true(after->sync_generation == s.request.generation);
    shown_to_a_client(&w->east, "on");
}

/* What a role or a database sets outweighs what the agent can set: it says who, and the
 * SQL that mends it. */
static void what_a_role_lowers_lets_nobody_join(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_JOIN, 3000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    AUTO(see_free) Rf__Observation *weak = NULL;

    pair(w);
    lowered_later(w,
                  "CREATE ROLE app LOGIN; ALTER ROLE app SET synchronous_commit = FALSE");
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", result->text);
    assert_non_null(strstr(result->text, "ALTER ROLE app RESET synchronous_commit"));
    assert_string_equal(result->seen->sync_names, "");
    lowered_later(w, "ALTER ROLE app RESET synchronous_commit");
    join(&w->east, &w->west);
    lowered_later(w, "ALTER DATABASE postgres SET synchronous_commit = local");
    weak = see(&w->east, false);
    print_message("%s\n", weak->weak_commit);
    assert_non_null(
        strstr(weak->weak_commit, "ALTER DATABASE postgres RESET synchronous_commit"));
}

/* The command line outweighs it too. */
static void what_the_command_line_lowers_lets_nobody_join(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_JOIN, 3000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    struct err err;

    snprintf(w->east.options, sizeof w->east.options, "-c synchronous_commit=off");
    provider_postgres.close(
        w->east.provider); /* it has a copy of what it was opened with */
    assert_int_equal(provider_postgres.open(&w->east.provider, &w->east.spec, &err), 0);
    pair(w);
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", result->text);
    assert_non_null(strstr(result->text, "command line"));
    assert_string_equal(result->seen->sync_names, "");
}

/* A statement that began before the setting was raised commits as it began. */
static void a_statement_from_before_is_waited_for(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_JOIN, 1500);
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c;

    pair(w);
    set_in_file(&w->east, "synchronous_commit = off");
    c = client(&w->east);
    assert_int_equal(
        PQsendQuery(c, "INSERT INTO rows SELECT 1 FROM (SELECT pg_sleep(4)) s"), 1);
    PQflush(c);
    poll(NULL, 0, 200);
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", result->text);
    assert_non_null(strstr(result->text, "began before"));
    PQclear(PQgetResult(c));
    PQfinish(c);
    join(&w->east, &w->west);
}

/* I8: the primary acknowledges without its member, and nobody had to lower anything for it:
 * the names are gone, or are such as do not wait for it each time. */
static void names_that_somebody_changed_are_seen_and_mended(void **state)
{
    static const char *const changes[] = {
        "ALTER SYSTEM SET synchronous_standby_names = ''",
        "ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (\"spare\", "
        "\"rf-orders-west\")'",
        "ALTER SYSTEM SET synchronous_standby_names = '*'"};
    struct world *w = *state;

    pair(w);
    join(&w->east, &w->west);
    know(&w->east, &w->west, w->east.address, true);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct step s = step_make(RF__STEP_KIND__STEP_SYNC, 5000);
        AUTO(see_free) Rf__Observation *before = see(&w->east, false);
        AUTO(see_free) Rf__Observation *weak = NULL;
        AUTO(see_free) Rf__Observation *after = NULL;
        AUTO(result_free) Rf__StepResult *result = NULL;

        assert_string_equal(before->weak_commit, "");
        lowered_later(w, changes[i]);
        /* The reload reaches the session that looks some moments later. */
        for (int k = 0; k < 100 && (weak == NULL || weak->weak_commit[0] == 0); k++) {
            poll(NULL, 0, 10);
            see_free(&weak);
            weak = see(&w->east, false);
        }
        print_message("%s\n", weak->weak_commit);
        assert_non_null(strstr(weak->weak_commit, "synchronous_standby_names was changed"));
        assert_string_equal(weak->error, weak->weak_commit);
        assert_true(weak->sync_generation == 0);
        step_add_member(&s, &w->west);
        result = step_do(&w->east, &s);
        ASSERT_OK(result);
        after = see(&w->east, false);
        assert_string_equal(after->weak_commit, "");
        assert_true(after->sync_generation == s.request.generation);
    }
    know(&w->east, &w->west, w->east.address,
         false); /* as before `opened`: nobody is promised anything */
    lowered_later(w, changes[0]);
    {
        AUTO(see_free) Rf__Observation *alone = see(&w->east, false);

        assert_string_equal(alone->weak_commit, "");
    }
}

/* I8: PostgreSQL waits for whoever has the name. One who has it at another address is seen,
 * counts for nothing, and does not join. */
static void a_standby_of_the_same_name_elsewhere_is_not_the_member(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_JOIN, 1500);
    AUTO(see_free) Rf__Observation *seen = NULL;
    AUTO(see_free) Rf__Observation *other = NULL;
    AUTO(result_free) Rf__StepResult *result = NULL;

    pair(w);
    join(&w->east, &w->west);
    know(&w->east, &w->west, w->east.address, true);
    seen = see(&w->east, false);
    assert_int_equal(seen->n_replicas, 1);
    assert_null(strstr(seen->error, "calls itself"));
    know(&w->east, &w->west, "127.0.0.77", true);
    other = see(&w->east, false);
    print_message("%s\n", other->error);
    assert_int_equal(other->n_replicas, 0);
    assert_non_null(strstr(other->error, "calls itself rf-orders-west"));
    assert_string_equal(other->weak_commit, other->error);
    w->east.peer.member = false;
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", result->text);
    assert_non_null(strstr(result->text, "another host's standby"));
    assert_string_equal(result->seen->weak_commit, ""); /* no member, nothing promised */
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(after_a_join_commits_wait),
        T(a_stopped_checkpointer_lets_nobody_join),
        T(a_slow_checkpointer_delays_the_join),
        T(a_frozen_standby_does_not_join),
        T(without_members_writes_go_on),
        T(members_that_are_away_are_waited_for),
        T(syncing_twice_is_harmless),
        T(a_star_is_refused),
        T(a_join_makes_commits_wait),
        T(stronger_stays),
        T(a_setting_that_was_lowered_is_seen_and_mended),
        T(what_a_role_lowers_lets_nobody_join),
        T(what_the_command_line_lowers_lets_nobody_join),
        T(a_statement_from_before_is_waited_for),
        T(names_that_somebody_changed_are_seen_and_mended),
        T(a_standby_of_the_same_name_elsewhere_is_not_the_member),
    };

    return cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
}
