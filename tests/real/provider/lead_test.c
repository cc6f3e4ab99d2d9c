/* STEP_LEAD and STEP_STOP on real servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/provider/cluster.h"

/* The aim is 30 to 50, which bench measures; this only finds what got lost in a timeout. */
enum { PROMOTE_BUDGET_MS = 2000 };

static void make_table(struct node *n)
{
    PGconn *c = client(n);

    assert_non_null(c);
    assert_true(client_run(c, "CREATE TABLE rows (id int)"));
    PQfinish(c);
}

/* A server that is down starts with what I9 demands, leads, and outlives its starter. */
static void a_server_that_is_down_starts_and_leads(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *seen = NULL;
    struct stat st;
    char value[256];
    PGconn *c;

    lead(&w->east);
    seen = see(&w->east, true);
    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_PRIMARY);
    assert_int_equal(seen->canary, RF__CANARY_STATE__CANARY_OK);
    assert_true(seen->private_socket);
    assert_true(seen->sync_generation != 0);
    assert_string_equal(seen->sync_names, "");
    assert_int_equal(stat(w->east.socket, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    c = client(&w->east);
    assert_non_null(c);
    client_ask(c, "SHOW restart_after_crash", value);
    assert_string_equal(value, "off");
    client_ask(c, "SHOW listen_addresses", value);
    assert_string_equal(value, "127.0.0.1");
    PQfinish(c);
    assert_true(getsid(seen->postmaster_pid) == seen->postmaster_pid);
}

/* From the request to a verified write on a running standby. */
static void a_standby_leads_quickly(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 5000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    struct mono begin;
    uint64_t took;

    lead(&w->east);
    make_table(&w->east);
    follow(&w->west, &w->east);
    signal_all(&w->east, SIGKILL);
    begin = mono_now();
    result = step_do(&w->west, &s);
    took = ms_since(begin);
    ASSERT_OK(result);
    print_message("promotion, request to verified write and fresh look: %llu ms\n",
                  (unsigned long long)took);
    assert_in_range(took, 0, PROMOTE_BUDGET_MS);
    assert_int_equal(result->seen->server, RF__SERVER_STATE__SERVER_PRIMARY);
    assert_int_equal(result->seen->timeline, 2);
    assert_true(result->position > 0 && result->position <= result->seen->flush_lsn);
    assert_int_equal(count_rows(&w->west), 0);
}

/* A promotion by hand acknowledges nothing; LEAD lifts the names and it does. */
static void blocking_names_hold_a_rogue_until_it_leads(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *seen = NULL;
    PGconn *c;

    lead(&w->east);
    make_table(&w->east);
    follow(&w->west, &w->east);
    assert_int_equal(run("setpriv --reuid postgres --clear-groups --regid postgres "
                         "%s/pg_ctl promote -w -D %s >/dev/null",
                         w->bin, w->west.data),
                     0);
    c = client(&w->west);
    assert_non_null(c);
    assert_false(client_write(&c, 1, 300));
    seen = see(&w->west, true);
    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_PRIMARY);
    assert_int_equal(seen->canary, RF__CANARY_STATE__CANARY_WAITS_SYNC);
    lead(&w->west);
    c = client(&w->west);
    assert_non_null(c);
    assert_true(client_write(&c, 2, 2000));
    PQfinish(c);
}

/* The names come back when nothing could be promoted: the checkpointer never applied it. */
static void names_stay_when_the_checkpointer_is_stopped(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 600);
    AUTO(result_free) Rf__StepResult *result = NULL;
    pid_t checkpointer;

    lead(&w->east);
    follow(&w->west, &w->east);
    checkpointer = backend_of_type(&w->west, "checkpointer");
    kill(checkpointer, SIGSTOP);
    result = step_do(&w->west, &s);
    kill(checkpointer, SIGCONT);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", result->text);
    assert_non_null(strstr(result->text, "checkpointer"));
    assert_int_equal(result->seen->server, RF__SERVER_STATE__SERVER_STANDBY);
    assert_string_equal(result->seen->sync_names, "FIRST 1 (\"rf-blocked-west\")");
    lead(&w->west);
}

/* What is already done is done: again, and by another worker. */
static void leading_twice_changes_nothing(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *before = NULL;
    AUTO(see_free) Rf__Observation *after = NULL;

    lead(&w->east);
    before = see(&w->east, false);
    lead(&w->east);
    after = see(&w->east, false);
    assert_int_equal(before->postmaster_pid, after->postmaster_pid);
    assert_int_equal(before->timeline, after->timeline);
}

/* A restart within the epoch promotes nothing, whether the standby is down or up. */
static void a_restart_never_promotes(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 3000);
    AUTO(result_free) Rf__StepResult *up = NULL;
    AUTO(result_free) Rf__StepResult *down = NULL;

    s.request.restart = true;
    lead(&w->east);
    follow(&w->west, &w->east);
    up = step_do(&w->west, &s);
    assert_int_equal(up->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_int_equal(up->seen->server, RF__SERVER_STATE__SERVER_STANDBY);
    stop(&w->west);
    down = step_do(&w->west, &s);
    assert_int_equal(down->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_int_equal(down->seen->server, RF__SERVER_STATE__SERVER_DOWN);
}

/* After a crash the server restarts within its epoch, and commits wait for the member. */
static void a_restart_waits_for_its_members(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 8000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c;

    lead(&w->east);
    make_table(&w->east);
    follow(&w->west, &w->east);
    join(&w->east, &w->west);
    signal_all(&w->west, SIGKILL);
    signal_all(&w->east, SIGKILL);
    s.request.restart = true;
    step_add_member(&s, &w->west);
    result = step_do(&w->east, &s);
    ASSERT_OK(result);
    assert_string_equal(result->seen->sync_names, "FIRST 1 (\"rf-orders-west\")");
    assert_true(result->seen->sync_generation == s.request.generation);
    c = client(&w->east);
    assert_non_null(c);
    assert_false(client_write(&c, 1, 300));
}

/* A standby that is down starts in recovery and is promoted: never beside the primary on
 * the same timeline, even when somebody removed standby.signal. */
static void a_standby_that_is_down_leads_on_a_new_timeline(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *seen = NULL;

    lead(&w->east);
    make_table(&w->east);
    follow(&w->west, &w->east);
    stop(&w->east);
    stop(&w->west);
    assert_int_equal(run("rm %s/standby.signal", w->west.data), 0);
    lead(&w->west);
    seen = see(&w->west, true);
    assert_int_equal(seen->timeline, 2);
    assert_int_equal(seen->canary, RF__CANARY_STATE__CANARY_OK);
}

/* Somebody cancels the agent's own statements all the time: it is promoted all the same. */
static void a_cancelled_promotion_is_asked_again(void **state)
{
    struct world *w = *state;
    PGconn *c;
    pid_t child;

    lead(&w->east);
    follow(&w->west, &w->east);
    c = client(&w->west);
    assert_non_null(c);
    child = fork();
    if (child == 0) {
        char sql[] = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                     " WHERE query LIKE 'SELECT pg_promote%' AND state = 'active'";

        for (int i = 0; i < 3000; i++)
            PQclear(PQexec(c, sql));
        _exit(0);
    }
    lead(&w->west);
    kill(child, SIGKILL);
    PQfinish(c);
}

/* STOP drains: the standby has flushed what it reports. */
static void a_stop_drains_to_the_standby(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_STOP, 5000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    AUTO(see_free) Rf__Observation *standby = NULL;
    PGconn *c;

    lead(&w->east);
    make_table(&w->east);
    follow(&w->west, &w->east);
    c = client(&w->east);
    assert_true(client_run(c, "INSERT INTO rows SELECT generate_series(1, 50000)"));
    PQfinish(c);
    result = step_do(&w->east, &s);
    ASSERT_OK(result);
    assert_int_equal(result->seen->server, RF__SERVER_STATE__SERVER_DOWN);
    assert_true(result->seen->clean_shutdown);
    standby = see(&w->west, false);
    assert_true(result->position > result->seen->checkpoint_lsn);
    assert_true(standby->flush_lsn == result->position);
    assert_int_not_equal(
        run("ls -d /sys/fs/cgroup/unified/ringfence-%s-db-east-* >/dev/null 2>&1",
            w->group),
        0);
}

static bool has_let_go(void *owner)
{
    struct node *n = owner;

    return provider_postgres.let_go(n->observer);
}

/* Of a detached server the cgroup goes as soon as it is empty, and not before. */
static void a_cgroup_is_left_with_its_server(void **state)
{
    static const char there[] =
        "ls -d /sys/fs/cgroup/unified/ringfence-%s-db-east-* >/dev/null 2>&1";
    struct world *w = *state;
    PGconn *c;

    lead(&w->east);
    if (run(there, w->group) != 0)
        skip(); /* no cgroup v2 at that place here */
    assert_false(provider_postgres.let_go(w->east.observer));
    c = client(&w->east);
    assert_true(client_run(c, "SELECT 1"));
    PQfinish(c);
    signal_all(&w->east, SIGKILL);
    eventually(has_let_go, &w->east, 5000);
    assert_int_not_equal(run(there, w->group), 0);
    assert_true(provider_postgres.let_go(w->east.observer));
}

/* Frozen processes are stopped too, in time, and the log's end is told all the same. */
static void a_frozen_server_is_stopped_in_time(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_STOP, 1000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    struct mono begin;

    lead(&w->east);
    make_table(&w->east);
    signal_all(&w->east, SIGSTOP);
    begin = mono_now();
    result = step_do(&w->east, &s);
    assert_in_range(ms_since(begin), 0, 2500);
    ASSERT_OK(result);
    assert_int_equal(result->seen->server, RF__SERVER_STATE__SERVER_DOWN);
    assert_false(result->seen->clean_shutdown);
    assert_true(result->position >= result->seen->flush_lsn);
    assert_int_equal(run("pgrep -f '^%s/postgres -D %s' >/dev/null", w->bin, w->east.data),
                     1);
}

/* A service manager gave the socket directory, with what a server left in it, to somebody:
 * it is taken back. One with other things in it is somebody's, and is named. */
static void a_socket_directory_is_taken_back(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 5000);
    AUTO(result_free) Rf__StepResult *r = NULL;

    lead(&w->east);
    stop(&w->east);
    assert_int_equal(run("cd %s && touch .s.PGSQL.%u && echo 4999999 >.s.PGSQL.%u.lock && "
                         "chmod 600 .s.* && "
                         "chown -R daemon .",
                         w->east.socket, w->east.spec.port, w->east.spec.port),
                     0);
    lead(&w->east);
    stop(&w->east);
    assert_int_equal(
        run("touch %s/other && chown -R daemon %s", w->east.socket, w->east.socket), 0);
    r = step_do(&w->east, &s);
    assert_int_equal(r->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_non_null(strstr(r->text, w->east.socket));
    assert_non_null(strstr(r->text, "chown"));
}

/* `socket_dir: /tmp` would have taken /tmp from everybody. */
static void a_directory_of_all_is_not_taken(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 5000);
    AUTO(result_free) Rf__StepResult *r = NULL;

    assert_int_equal(run("install -d -m 1777 %s", w->east.socket), 0);
    r = step_do(&w->east, &s);
    assert_int_equal(r->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_non_null(strstr(r->text, "every user of this host uses it"));
    assert_int_equal(run("test \"$(stat -c %%u:%%a %s)\" = 0:1777", w->east.socket), 0);
}

/* A zombie of the server's user: process 1 of a container may be slow to reap. */
static pid_t make_zombie(void)
{
    struct passwd *user = getpwnam("postgres");
    siginfo_t ended;
    pid_t pid;

    assert_non_null(user);
    pid = fork();
    if (pid == 0)
        _exit(setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0 ? 0 : 1);
    assert_int_equal(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
    assert_int_equal(ended.si_status, 0);
    return pid;
}

/* PostgreSQL goes by the pid in its locks, and to a zombie a signal can be sent. */
static void a_dead_servers_locks_are_no_bar(void **state)
{
    struct world *w = *state;
    struct node *n = &w->east;
    pid_t zombie;

    lead(n);
    signal_all(n, SIGKILL);
    zombie = make_zombie();
    assert_int_equal(run("sed -i 1s/.*/%d/ %s/postmaster.pid %s/.s.PGSQL.%u.lock", zombie,
                         n->data, n->socket, n->spec.port),
                     0);
    lead(n);
    waitpid(zombie, NULL, 0);
}

/* A port in use is an error that says so. */
static void a_port_in_use_is_told(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 5000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)w->east.spec.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    result = step_do(&w->east, &s);
    close(fd);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", result->text);
    assert_non_null(strstr(result->text, "did not start"));
    assert_int_equal(result->seen->server, RF__SERVER_STATE__SERVER_DOWN);
}

/* I9: alone in its set a primary acknowledges what is on its disk. In `off` the setting is
 * the owner's. */
static void alone_it_commits_to_its_disk(void **state)
{
    static const char *const wanted[] = {"off", "on"};
    struct world *w = *state;
    char conf[200], value[256];

    snprintf(conf, sizeof conf, "%s/postgresql.conf", w->east.data);
    append_line(conf, "synchronous_commit = off");
    for (int synchronous = 0; synchronous <= 1; synchronous++) {
        struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 10000);
        AUTO(result_free) Rf__StepResult *result = NULL;
        PGconn *c;

        s.request.synchronous = synchronous != 0;
        result = step_do(&w->east, &s);
        ASSERT_OK(result);
        c = client(&w->east);
        client_ask(c, "SHOW synchronous_commit", value);
        PQfinish(c);
        assert_string_equal(value, wanted[synchronous]);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(alone_it_commits_to_its_disk),
        T(a_server_that_is_down_starts_and_leads),
        T(a_standby_leads_quickly),
        T(blocking_names_hold_a_rogue_until_it_leads),
        T(names_stay_when_the_checkpointer_is_stopped),
        T(leading_twice_changes_nothing),
        T(a_restart_never_promotes),
        T(a_restart_waits_for_its_members),
        T(a_standby_that_is_down_leads_on_a_new_timeline),
        T(a_cancelled_promotion_is_asked_again),
        T(a_stop_drains_to_the_standby),
        T(a_frozen_server_is_stopped_in_time),
        T(a_socket_directory_is_taken_back),
        T(a_cgroup_is_left_with_its_server),
        T(a_directory_of_all_is_not_taken),
        T(a_dead_servers_locks_are_no_bar),
        T(a_port_in_use_is_told),
    };

    return cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
}
