/* Coming back: STEP_FOLLOW and STEP_CLONE on real servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "providers/worker.h"
#include "tests/real/provider/cluster.h"

/* East leads with one row, west follows. */
static void pair(struct world *w)
{
    PGconn *c;

    lead(&w->east);
    c = client(&w->east);
    assert_non_null(c);
    assert_true(client_run(c, "CREATE TABLE rows (id int)"));
    assert_true(client_write(&c, 1, 2000));
    PQfinish(c);
    follow(&w->west, &w->east);
}

/* East writes rows that west never gets, dies; west leads and writes its own. */
static void diverge(struct world *w, int rows)
{
    char sql[96];
    PGconn *c;

    pair(w);
    stop(&w->west);
    c = client(&w->east);
    snprintf(sql, sizeof sql, "INSERT INTO rows SELECT generate_series(1, %d)", rows);
    assert_true(client_run(c, sql));
    PQfinish(c);
    signal_all(&w->east, SIGKILL);
    lead(&w->west);
    c = client(&w->west);
    assert_true(client_write(&c, 2, 2000));
    PQfinish(c);
}

static bool has_two_rows(void *owner) { return count_rows(owner) == 2; }

static Rf__StepResult *follow_west(struct world *w)
{
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 30000);

    step_follow(&s, &w->east, &w->west);
    return step_do(&w->east, &s);
}

/* A server makes segments ahead of need, all zeros; killed then, it has left files in
 * pg_wal that say nothing of the size of segments. Some are sure to be found first. */
static void segments_made_ahead_of_need_are_no_log(void **state)
{
    struct world *w = *state;
    AUTO(result_free) Rf__StepResult *result = NULL;

    diverge(w, 10);
    for (unsigned i = 0x40; i < 0x60; i++)
        assert_int_equal(
            run("truncate -s 16M %s/pg_wal/0000000100000000000000%02X", w->east.data, i),
            0);
    result = follow_west(w);
    ASSERT_OK(result);
    assert_true(result->divergent_bytes > 0);
}

/* Where pg_waldump finds records between two positions of a directory. */
static bool tail_is_readable(struct world *w, const char *tail)
{
    char from[64] = "", to[64] = "", line[256], path[600];
    FILE *f;

    snprintf(path, sizeof path, "%s/manifest", tail);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        sscanf(line, "from: %63s", from);
        sscanf(line, "to: %63s", to);
    }
    fclose(f);
    return run("%s/pg_waldump -p %s -t 1 -s %s -e %s | grep -q INSERT", w->bin, tail, from,
               to) == 0;
}

/* The divergent tail is kept and counted, the server rewound, and streams. */
static void an_old_primary_is_rewound_and_its_tail_kept(void **state)
{
    struct world *w = *state;
    AUTO(result_free) Rf__StepResult *result = NULL;
    struct mono begin;

    diverge(w, 5000);
    begin = mono_now();
    result = follow_west(w);
    ASSERT_OK(result);
    print_message("rewind: %llu ms, %llu bytes kept\n", (unsigned long long)ms_since(begin),
                  (unsigned long long)result->divergent_bytes);
    assert_false(result->cloned);
    /* 5000 rows of about 60 bytes each, in full pages or not. */
    assert_in_range(result->divergent_bytes, 250000, 2000000);
    assert_true(path_exists("%s/manifest", result->tail));
    assert_true(tail_is_readable(w, result->tail));
    assert_true(result->seen->streaming);
    assert_string_equal(result->seen->sync_names, "FIRST 1 (\"rf-blocked-east\")");
    assert_string_equal(result->seen->application_name, "rf-orders-east");
    assert_false(path_exists("%s.rewinding", w->east.data));
    eventually(has_two_rows, &w->east, 5000);
}

/* I9: a copy was finished, and the step was not: what was left behind is told by the one
 * that repeats it, and by no later one. */
static void what_was_kept_is_told_by_a_repeated_step(void **state)
{
    struct world *w = *state;
    AUTO(result_free) Rf__StepResult *first = NULL;
    AUTO(result_free) Rf__StepResult *again = NULL;
    AUTO(result_free) Rf__StepResult *later = NULL;

    diverge(w, 50);
    first = follow_west(w);
    ASSERT_OK(first);
    assert_false(path_exists("%s.tail-kept", w->east.data));
    assert_int_equal(run("echo 'rewind %llu 4711 /srv/tail' >%s.tail-kept",
                         (unsigned long long)first->seen->system_id, w->east.data),
                     0);
    again = follow_west(w);
    ASSERT_OK(again);
    assert_int_equal(again->divergent_bytes, 4711);
    assert_string_equal(again->tail, "/srv/tail");
    later = follow_west(w);
    ASSERT_OK(later);
    assert_int_equal(later->divergent_bytes, 0);
}

/* After a clean stop that reached the standby there is nothing to undo. */
static void after_a_switchover_nothing_is_rewound(void **state)
{
    struct world *w = *state;
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c;

    pair(w);
    stop(&w->east);
    lead(&w->west);
    c = client(&w->west);
    assert_true(client_write(&c, 2, 2000));
    PQfinish(c);
    result = follow_west(w);
    ASSERT_OK(result);
    assert_false(result->cloned);
    assert_int_equal(result->divergent_bytes, 0);
    assert_string_equal(result->tail, "");
    eventually(has_two_rows, &w->east, 5000);
}

/* An old primary that still runs (its agent was frozen) is stopped first. */
static void an_old_primary_that_runs_is_stopped_first(void **state)
{
    struct world *w = *state;
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c;

    pair(w);
    lead(&w->west);
    c = client(&w->east);
    assert_true(client_write(&c, 3, 2000));
    PQfinish(c);
    result = follow_west(w);
    ASSERT_OK(result);
    assert_true(result->divergent_bytes > 0);
    assert_int_equal(result->seen->server, RF__SERVER_STATE__SERVER_STANDBY);
    assert_int_equal(count_rows(&w->east), 1);
}

/* A standby that somebody promoted by hand comes back to the same primary. */
static void a_rogue_comes_back(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 30000);
    AUTO(result_free) Rf__StepResult *result = NULL;

    pair(w);
    assert_int_equal(run("setpriv --reuid postgres --clear-groups --regid postgres "
                         "%s/pg_ctl promote -w -D %s >/dev/null",
                         w->bin, w->west.data),
                     0);
    step_follow(&s, &w->west, &w->east);
    result = step_do(&w->west, &s);
    ASSERT_OK(result);
    assert_int_equal(result->seen->server, RF__SERVER_STATE__SERVER_STANDBY);
    assert_int_equal(result->seen->timeline, 1);
    assert_true(result->seen->streaming);
}

/* A standby that already follows is left alone; its settings are brought up to date. */
static void following_twice_restarts_nothing(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *before = NULL;
    AUTO(see_free) Rf__Observation *after = NULL;
    PGconn *c;

    pair(w);
    before = see(&w->west, false);
    c = client(&w->west);
    assert_true(client_run(c, "ALTER SYSTEM RESET synchronous_standby_names"));
    assert_true(client_run(c, "SELECT pg_reload_conf()"));
    PQfinish(c);
    follow(&w->west, &w->east);
    after = see(&w->west, false);
    assert_int_equal(before->postmaster_pid, after->postmaster_pid);
    assert_string_equal(after->sync_names, "FIRST 1 (\"rf-blocked-west\")");
}

/* A standby that refuses our login is not restarted for it: that would not open the door.
 */
static void a_standby_that_bars_us_goes_on(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 5000);
    AUTO(see_free) Rf__Observation *before = NULL;
    AUTO(see_free) Rf__Observation *after = NULL;
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c;

    pair(w);
    before = see(&w->west, false);
    assert_int_equal(run("printf 'local all all scram-sha-256\\nhost all all 127.0.0.0/8 "
                         "trust\\n' > %s/pg_hba.conf",
                         w->west.data),
                     0);
    c = client(&w->west);
    assert_true(client_run(c,
                           "SELECT pg_reload_conf(), (SELECT "
                           "count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                           "application_name = 'ringfence')"));
    PQfinish(c);
    step_follow(&s, &w->west, &w->east);
    result = step_do(&w->west, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_non_null(strstr(result->text, "password"));
    after = see(&w->west, false);
    assert_int_equal(before->postmaster_pid, after->postmaster_pid);
}

/* The last checkpoint before the fork is not in the log any more: a new copy is taken. */
static void what_cannot_be_rewound_is_cloned(void **state)
{
    struct world *w = *state;
    AUTO(result_free) Rf__StepResult *result = NULL;
    PGconn *c;

    pair(w);
    stop(&w->west);
    c = client(&w->east);
    assert_true(client_run(c, "ALTER SYSTEM SET wal_keep_size = 0"));
    assert_true(client_run(c, "SELECT pg_reload_conf()"));
    for (int i = 0; i < 4; i++) {
        assert_true(client_run(c, "INSERT INTO rows SELECT generate_series(1, 20000)"));
        assert_true(client_run(c, "SELECT pg_switch_wal()"));
        assert_true(client_run(c, "CHECKPOINT"));
    }
    PQfinish(c);
    signal_all(&w->east, SIGKILL);
    lead(&w->west);
    c = client(&w->west);
    assert_true(client_write(&c, 2, 2000));
    PQfinish(c);
    result = follow_west(w);
    ASSERT_OK(result);
    assert_true(result->cloned);
    assert_true(result->divergent_bytes > 1000000);
    assert_true(path_exists("%s/manifest", result->tail));
    assert_string_equal(result->seen->sync_names, "FIRST 1 (\"rf-blocked-east\")");
    eventually(has_two_rows, &w->east, 5000);
}

struct worker {
    pid_t pid;
    int fd;
};

static struct worker worker_start(void)
{
    struct worker worker;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    worker.fd = fds[0];
    worker.pid = fork();
    assert_true(worker.pid >= 0);
    if (worker.pid == 0) {
        char number[16];

        close(fds[0]);
        snprintf(number, sizeof number, "%d", fds[1]);
        execl(WORKER_BINARY, WORKER_BINARY, number, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    return worker;
}

static void worker_ask(struct worker *worker, struct node *n, struct step *s)
{
    Rf__ProviderRequest request = RF__PROVIDER_REQUEST__INIT;
    struct err err;

    s->request.upstream = &s->upstream;
    s->request.standby_name = s->standby;
    s->request.blocking_name = s->blocking;
    request.id = 1;
    request.server = &n->spec;
    request.step = &s->request;
    assert_int_equal(
        provider_frame_write(worker->fd, &request.base, (struct mono){0}, &err), 0);
}

static bool is_marked(void *owner)
{
    struct node *n = owner;

    return path_exists("%s.rewinding", n->data);
}

/* SIGKILL of the worker in the middle of a rewind: its tool dies with it, the mark stays,
 * nobody starts PostgreSQL over it, and the next FOLLOW completes it from a new copy. */
static void an_interrupted_rewind_is_finished_later(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 30000);
    struct step l = step_make(RF__STEP_KIND__STEP_LEAD, 5000);
    AUTO(see_free) Rf__Observation *seen = NULL;
    AUTO(result_free) Rf__StepResult *refused = NULL;
    AUTO(result_free) Rf__StepResult *result = NULL;
    struct worker worker;

    diverge(w, 5000);
    step_follow(&s, &w->east, &w->west);
    worker = worker_start();
    worker_ask(&worker, &w->east, &s);
    eventually(is_marked, &w->east, 10000);
    kill(worker.pid, SIGKILL);
    waitpid(worker.pid, NULL, 0);
    close(worker.fd);

    seen = see(&w->east, true);
    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_REWINDING);
    refused = step_do(&w->east, &l);
    assert_int_equal(refused->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_int_equal(refused->seen->server, RF__SERVER_STATE__SERVER_REWINDING);
    result = follow_west(w);
    ASSERT_OK(result);
    assert_true(result->cloned);
    assert_true(result->divergent_bytes > 0);
    assert_true(path_exists("%s/manifest", result->tail));
    eventually(has_two_rows, &w->east, 5000);
}

/* No room for the tail: hold, and nothing is touched. With room it goes on. */
static void a_full_disk_holds(void **state)
{
    struct world *w = *state;
    AUTO(result_free) Rf__StepResult *held = NULL;
    AUTO(result_free) Rf__StepResult *result = NULL;

    diverge(w, 5000);
    assert_int_equal(mkdir(w->tail, 0700), 0);
    assert_int_equal(mount("rf-prov", w->tail, "tmpfs", 0, "size=200k"), 0);
    held = follow_west(w);
    assert_int_equal(held->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", held->text);
    assert_non_null(strstr(held->text, "hold:"));
    assert_non_null(strstr(held->text, w->tail));
    assert_int_equal(held->seen->server, RF__SERVER_STATE__SERVER_DOWN);
    assert_false(path_exists("%s.rewinding", w->east.data));
    assert_int_equal(umount(w->tail), 0);
    result = follow_west(w);
    ASSERT_OK(result);
    assert_false(result->cloned);
}

/* More than the group allows to keep: hold as well. */
static void a_tail_beyond_the_limit_holds(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 30000);
    AUTO(result_free) Rf__StepResult *held = NULL;

    diverge(w, 5000);
    step_follow(&s, &w->east, &w->west);
    s.request.max_tail_bytes = 1000;
    held = step_do(&w->east, &s);
    assert_int_equal(held->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_non_null(strstr(held->text, "hold:"));
    assert_false(path_exists("%s.rewinding", w->east.data));
}

/* Another cluster's data is neither overwritten nor followed. */
static void another_cluster_is_told_apart(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 10000);
    struct step wrong = step_make(RF__STEP_KIND__STEP_FOLLOW, 10000);
    AUTO(result_free) Rf__StepResult *ours = NULL;
    AUTO(result_free) Rf__StepResult *theirs = NULL;

    lead(&w->east);
    assert_int_equal(run("install -d -o postgres -m 0700 %s && cd / && setpriv --reuid "
                         "postgres --regid postgres --clear-groups %s/initdb -D %s -U "
                         "postgres -N --wal-segsize=1 >/dev/null 2>&1",
                         w->west.data, w->bin, w->west.data),
                     0);
    step_follow(&s, &w->west, &w->east);
    ours = step_do(&w->west, &s);
    assert_int_equal(ours->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", ours->text);
    assert_non_null(strstr(ours->text, "system identifier"));
    assert_int_equal(ours->seen->server, RF__SERVER_STATE__SERVER_DOWN);
    assert_false(path_exists("%s/standby.signal", w->west.data));

    step_follow(&wrong, &w->west, &w->east);
    wrong.upstream.system_id = 4711;
    theirs = step_do(&w->west, &wrong);
    assert_int_equal(theirs->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_non_null(strstr(theirs->text, "4711"));
}

/* STEP_CLONE does overwrite, since it was asked to. */
static void a_clone_starts_anew(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_CLONE, 20000);
    AUTO(result_free) Rf__StepResult *result = NULL;

    pair(w);
    step_follow(&s, &w->west, &w->east);
    result = step_do(&w->west, &s);
    ASSERT_OK(result);
    assert_true(result->cloned);
    assert_true(result->seen->streaming);
    assert_int_equal(count_rows(&w->west), 1);
}

/* The upstream wants a password that nobody gave us: which, and where to put it. */
static void a_missing_password_is_told(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 5000);
    AUTO(result_free) Rf__StepResult *result = NULL;

    assert_int_equal(run("printf 'local all all peer\\nhost replication all all "
                         "scram-sha-256\\n' > %s/pg_hba.conf",
                         w->east.data),
                     0);
    lead(&w->east);
    step_follow(&s, &w->west, &w->east);
    result = step_do(&w->west, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_non_null(strstr(result->text, w->passfile));
    assert_non_null(strstr(result->text, "CREATE ROLE postgres LOGIN REPLICATION"));
    assert_int_equal(result->seen->server, RF__SERVER_STATE__SERVER_ABSENT);
}

/* An upstream that does not answer: within the deadline, and the directory is signed as a
 * standby's already. */
static void an_unreachable_upstream_changes_nothing_else(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_FOLLOW, 700);
    AUTO(see_free) Rf__Observation *seen = NULL;
    AUTO(result_free) Rf__StepResult *result = NULL;
    struct mono begin;

    pair(w);
    seen = see(&w->west, false);
    stop(&w->west);
    signal_all(&w->east, SIGSTOP);
    assert_int_equal(run("rm %s/standby.signal", w->west.data), 0);
    step_follow(&s, &w->west, &w->east);
    s.upstream.system_id = seen->system_id;
    begin = mono_now();
    result = step_do(&w->west, &s);
    assert_in_range(ms_since(begin), 0, 2200);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_int_equal(result->seen->server, RF__SERVER_STATE__SERVER_DOWN);
    assert_true(path_exists("%s/standby.signal", w->west.data));
    signal_all(&w->east, SIGCONT);
    follow(&w->west, &w->east);
}

/* A base backup, or a stream that began on the timeline, brings no history file. A standby
 * that was killed then follows on as before: the upstream knows that timeline's history. */
static void a_killed_standby_without_its_history_follows_on(void **state)
{
    struct world *w = *state;
    AUTO(result_free) Rf__StepResult *result = NULL;

    diverge(w, 10);
    result = follow_west(w); /* east is a standby on timeline 2 now */
    ASSERT_OK(result);
    signal_all(&w->east, SIGKILL);
    assert_int_equal(run("rm %s/pg_wal/00000002.history", w->east.data), 0);
    result_free(&result);
    result = follow_west(w);
    ASSERT_OK(result);
    assert_false(result->cloned);
    assert_int_equal(result->divergent_bytes, 0);
    eventually(has_two_rows, &w->east, 5000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_old_primary_is_rewound_and_its_tail_kept),
        T(what_was_kept_is_told_by_a_repeated_step),
        T(after_a_switchover_nothing_is_rewound),
        T(an_old_primary_that_runs_is_stopped_first),
        T(a_rogue_comes_back),
        T(following_twice_restarts_nothing),
        T(a_standby_that_bars_us_goes_on),
        T(what_cannot_be_rewound_is_cloned),
        T(an_interrupted_rewind_is_finished_later),
        T(a_full_disk_holds),
        T(a_tail_beyond_the_limit_holds),
        T(another_cluster_is_told_apart),
        T(segments_made_ahead_of_need_are_no_log),
        T(a_clone_starts_anew),
        T(a_missing_password_is_told),
        T(a_killed_standby_without_its_history_follows_on),
        T(an_unreachable_upstream_changes_nothing_else),
    };

    return cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
}
