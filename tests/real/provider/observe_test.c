/* What an observation says in each state of a real server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <signal.h>
#include <unistd.h>

#include <poll.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/provider/cluster.h"

enum { OBSERVE_LIMIT_MS = 2 * PROVIDER_OBSERVE_MS };

static void an_absent_directory_is_absent(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *seen = see(&w->west, true);

    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_ABSENT);
    assert_string_equal(seen->error, "");
}

static void a_server_that_is_down_shows_its_control_file(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *seen = see(&w->east, true);

    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_DOWN);
    assert_true(seen->clean_shutdown);
    assert_true(seen->system_id != 0 && seen->timeline == 1);
    assert_true(seen->checkpoint_lsn != 0);
    assert_int_equal(seen->postmaster_pid, 0);
}

/* A data directory of another major version is no candidate, and both are named. */
static void another_major_version_is_told_of(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *seen = NULL;
    char path[200];
    FILE *f;

    snprintf(path, sizeof path, "%s/PG_VERSION", w->east.data);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("9\n", f);
    fclose(f);
    seen = see(&w->east, true);
    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_UNKNOWN);
    assert_non_null(strstr(seen->error, w->east.data));
    assert_non_null(strstr(seen->error, "is of PostgreSQL 9"));
    assert_non_null(strstr(seen->error, "bin_dir"));
}

/* The second look at a server that is down: the first one is in a hurry. */
static Rf__Observation *see_its_end(struct node *n)
{
    Rf__Observation *seen = see(n, false);

    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_DOWN);
    assert_true(seen->flush_lsn == 0);
    see_free(&seen);
    return see(n, false);
}

/* Of a server that is down: what a crash left behind, what a standby had received, what was
 * written after another start; on the timeline that it is on. */
static void the_end_of_a_stopped_log_is_found(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *up = NULL;
    AUTO(see_free) Rf__Observation *east = NULL;
    AUTO(see_free) Rf__Observation *west = NULL;
    AUTO(see_free) Rf__Observation *again = NULL;
    PGconn *c;

    lead(&w->east);
    follow(&w->west, &w->east);
    join(&w->east, &w->west);
    c = client(&w->east);
    assert_true(client_run(c, "CREATE TABLE grown AS SELECT generate_series(1, 5000)"));
    up = see(&w->east, false);
    PQfinish(c);
    signal_all(&w->east, SIGKILL);
    signal_all(&w->west, SIGKILL);
    east = see_its_end(&w->east);
    west = see_its_end(&w->west);
    assert_false(east->clean_shutdown);
    assert_true(east->flush_lsn >= up->flush_lsn && up->flush_lsn != 0);
    assert_true(west->flush_lsn >= up->flush_lsn);
    assert_true(west->flush_lsn <= east->flush_lsn);
    assert_true(east->flush_lsn - east->checkpoint_lsn > 100000);
    assert_true(east->timeline == 1 && west->timeline == 1);

    lead(&w->west);
    signal_all(&w->west, SIGKILL);
    again = see_its_end(&w->west);
    assert_true(again->flush_lsn > west->flush_lsn);
    assert_int_equal(again->timeline, 2);
}

/* Each reading is a program of its own, and nothing writes the file while the server is
 * down. When something has, it is read again. */
static void the_control_file_of_a_server_that_stays_down_is_read_once(void **state)
{
    struct world *w = *state;
    Rf__ServerSpec spec = w->east.spec;
    AUTO(see_free) Rf__Observation *read = NULL;
    AUTO(see_free) Rf__Observation *kept = NULL;
    AUTO(see_free) Rf__Observation *changed = NULL;
    AUTO(see_free) Rf__Observation *gone = NULL;
    char tools[128];

    snprintf(tools, sizeof tools, "%s/tools", w->dir);
    assert_int_equal(run("mkdir -m 755 %s && ln -s %s/p* %s", tools, w->bin, tools), 0);
    spec.bin_dir = tools;
    provider_postgres.close(w->east.observer);
    assert_int_equal(provider_postgres.open(&w->east.observer, &spec, NULL), 0);
    read = see_its_end(&w->east);
    assert_int_equal(run("rm -r %s", tools), 0);
    kept = see(&w->east, false);
    assert_string_equal(kept->error, "");
    assert_true(kept->system_id == read->system_id && read->system_id != 0);
    assert_true(kept->checkpoint_lsn == read->checkpoint_lsn && kept->clean_shutdown);
    assert_true(kept->flush_lsn == read->flush_lsn && kept->timeline == 1);
    assert_int_equal(run("touch %s/global/pg_control", w->east.data), 0);
    changed = see(&w->east, false);
    assert_int_equal(changed->server, RF__SERVER_STATE__SERVER_UNKNOWN);
    assert_int_equal(run("mkdir -m 755 %s && ln -s %s/p* %s && rm %s/global/pg_control",
                         tools, w->bin, tools, w->east.data),
                     0);
    gone = see(&w->east, false);
    assert_int_equal(gone->server, RF__SERVER_STATE__SERVER_UNKNOWN);
    assert_non_null(strstr(gone->error, "pg_controldata: error: could not open file"));
    assert_null(strstr(gone->error, "pg_controldata: pg_controldata")); /* once is enough */
}

/* Both roles, with all that decisions are taken on. */
static void a_pair_is_seen(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *east = NULL;
    AUTO(see_free) Rf__Observation *west = NULL;
    AUTO(see_free) Rf__Observation *down = NULL;

    down = see(&w->east, false);
    lead(&w->east);
    follow(&w->west, &w->east);
    join(&w->east, &w->west);
    west = see(&w->west, true);
    east = see(&w->east, true);
    assert_int_equal(west->server, RF__SERVER_STATE__SERVER_STANDBY);
    assert_true(west->streaming);
    assert_string_equal(west->upstream, "127.0.0.1");
    assert_int_equal(west->upstream_port, w->east.spec.port);
    assert_string_equal(west->application_name, "rf-orders-west");
    assert_string_equal(west->sync_names, "FIRST 1 (\"rf-blocked-west\")");
    assert_true(west->flush_lsn != 0 && west->replay_lsn != 0);
    assert_int_equal(west->canary, RF__CANARY_STATE__CANARY_NONE);
    assert_true(west->private_socket);

    assert_int_equal(east->server, RF__SERVER_STATE__SERVER_PRIMARY);
    assert_true(east->system_id == west->system_id && east->system_id == down->system_id);
    assert_int_equal(east->n_replicas, 1);
    assert_string_equal(east->replicas[0]->application_name, "rf-orders-west");
    assert_string_equal(east->replicas[0]->state, "streaming");
    assert_string_equal(east->replicas[0]->sync_state, "sync");
    assert_true(east->replicas[0]->flush_lsn != 0);
    assert_string_equal(east->sync_names, "FIRST 1 (\"rf-orders-west\")");
    assert_true(east->sync_generation != 0);
    assert_int_equal(east->canary, RF__CANARY_STATE__CANARY_OK);
    assert_int_equal(east->checksum_failures, 0);
    assert_int_equal(east->prepared_transactions, 0);
    assert_true(east->postmaster_pid > 1 && east->postmaster_start_ms != 0);
}

static bool rate_is_seen(void *owner)
{
    AUTO(see_free) Rf__Observation *seen = see(owner, false);

    return seen->wal_bytes_per_s > 100000;
}

/* A burst of WAL is still told some seconds after it was over. */
static void the_rate_of_a_burst_is_remembered(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *first = NULL;
    PGconn *c;

    lead(&w->east);
    first = see(&w->east, false);
    assert_true(first->wal_bytes_per_s == UINT64_MAX); /* seen once: not known */
    c = client(&w->east);
    assert_true(client_run(c, "CREATE TABLE rows AS SELECT generate_series(1, 100000) id"));
    PQfinish(c);
    eventually(rate_is_seen, &w->east, 3000);
}

/* Frozen: everything returns in time, again and again, and the role is still known. */
static void a_frozen_primary_is_hung(void **state)
{
    struct world *w = *state;
    struct mono begin;

    lead(&w->east);
    for (int warm = 1; warm >= 0; warm--) {
        AUTO(see_free) Rf__Observation *before = warm ? see(&w->east, true) : NULL;

        signal_all(&w->east, SIGSTOP);
        for (int i = 0; i < 3; i++) {
            AUTO(see_free) Rf__Observation *seen = NULL;

            begin = mono_now();
            seen = see(&w->east, true);
            assert_in_range(ms_since(begin), 0, OBSERVE_LIMIT_MS);
            assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_PRIMARY);
            assert_int_equal(seen->canary, RF__CANARY_STATE__CANARY_HUNG);
            assert_string_not_equal(seen->error, "");
        }
        signal_all(&w->east, SIGCONT);
        /* A new observer has no session from before. */
        provider_postgres.close(w->east.observer);
        assert_int_equal(provider_postgres.open(&w->east.observer, &w->east.spec, NULL), 0);
    }
}

static bool canary_is_ok(void *owner)
{
    AUTO(see_free) Rf__Observation *seen = see(owner, true);

    return seen->canary == RF__CANARY_STATE__CANARY_OK;
}

/* Thawed, it is seen well again by the same observer. */
static void a_thawed_primary_is_well(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *before = NULL;
    AUTO(see_free) Rf__Observation *frozen = NULL;

    lead(&w->east);
    before = see(&w->east, true);
    signal_all(&w->east, SIGSTOP);
    frozen = see(&w->east, true);
    assert_int_equal(frozen->canary, RF__CANARY_STATE__CANARY_HUNG);
    assert_true(frozen->canary_age_ms > 0);
    signal_all(&w->east, SIGCONT);
    eventually(canary_is_ok, &w->east, 3000);
}

/* Every connection taken, by superusers even: the observer's own sessions remain, and a
 * new observer says "no connection", not "hung". */
static void too_many_clients_is_not_hung(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *first = NULL;
    AUTO(see_free) Rf__Observation *kept = NULL;
    AUTO(see_free) Rf__Observation *late = NULL;
    Rf__ProviderRequest request = RF__PROVIDER_REQUEST__INIT;
    PGconn *c[20] = {NULL};
    struct provider *fresh;

    lead(&w->east);
    first = see(&w->east, false);
    for (int i = 0; i < 20; i++)
        c[i] = client(&w->east);
    kept = see(&w->east, true);
    assert_int_equal(kept->server, RF__SERVER_STATE__SERVER_PRIMARY);
    assert_int_equal(kept->canary, RF__CANARY_STATE__CANARY_NO_CONNECTION);

    assert_int_equal(provider_postgres.open(&fresh, &w->east.spec, NULL), 0);
    late = malloc(sizeof *late);
    rf__observation__init(late);
    request.canary = true;
    provider_postgres.observe(fresh, &request, late);
    provider_postgres.close(fresh);
    assert_int_equal(late->server, RF__SERVER_STATE__SERVER_PRIMARY);
    assert_int_equal(late->canary, RF__CANARY_STATE__CANARY_NO_CONNECTION);
    for (int i = 0; i < 20; i++)
        PQfinish(c[i]);
}

/* Commits wait for a standby that is away: not hung, for as long as it takes. Each look
 * gives that standby something to answer, since who waits writes nothing more. */
static void waiting_for_sync_is_not_hung(void **state)
{
    struct world *w = *state;
    uint64_t flushed = 0;

    lead(&w->east);
    follow(&w->west, &w->east);
    join(&w->east, &w->west);
    signal_all(&w->west, SIGSTOP);
    for (int i = 0; i < 3; i++) {
        AUTO(see_free) Rf__Observation *seen = see(&w->east, true);

        assert_int_equal(seen->canary, RF__CANARY_STATE__CANARY_WAITS_SYNC);
        assert_true(seen->flush_lsn > flushed);
        flushed = seen->flush_lsn;
    }
    signal_all(&w->west, SIGCONT);
    eventually(canary_is_ok, &w->east, 5000);
}

/* A server that wants a password says what to do about it. */
static void a_password_is_asked_for_by_name(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *seen = NULL;

    assert_int_equal(
        run("printf 'local all all scram-sha-256\\n' > %s/pg_hba.conf", w->east.data), 0);
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 2000);
    AUTO(result_free) Rf__StepResult *result = step_do(&w->east, &s);

    assert_int_not_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_DONE);
    seen = see(&w->east, true);
    print_message("%s\n", seen->error);
    assert_non_null(strstr(seen->error, "needs a password"));
    assert_non_null(strstr(seen->error, "pg_hba.conf"));
    assert_non_null(strstr(seen->error, w->passfile));
    assert_int_equal(seen->canary, RF__CANARY_STATE__CANARY_NO_CONNECTION);
    /* The step says that, too, not what the server last wrote into its log. */
    assert_non_null(strstr(result->text, "password"));
    assert_null(strstr(result->text, "ready to accept"));
}

static void end_backends(struct node *n, const char *which)
{
    PGconn *c = client(n);
    char sql[200];

    assert_non_null(c);
    snprintf(sql, sizeof sql,
             "SELECT pg_reload_conf(), (SELECT count(pg_terminate_backend(pid)) FROM "
             "pg_stat_activity WHERE application_name = 'ringfence'%s)",
             which);
    assert_true(client_run(c, sql));
    PQfinish(c);
}

/* Our sessions end and are not let in again, for two reasons, first the canary's alone: it
 * is no sign of a hung server (clients are served), and it is said what to do. */
static void a_refused_login_is_not_hung(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *canary = NULL;
    AUTO(see_free) Rf__Observation *both = NULL;
    AUTO(see_free) Rf__Observation *barred = NULL;
    AUTO(see_free) Rf__Observation *first = NULL;

    lead(&w->east);
    first = see(&w->east, true);
    assert_int_equal(first->canary, RF__CANARY_STATE__CANARY_OK);
    assert_string_equal(first->denied, "");
    assert_int_equal(run("printf 'local all all scram-sha-256\\nhost all all 127.0.0.0/8 "
                         "trust\\n' > %s/pg_hba.conf",
                         w->east.data),
                     0);
    end_backends(&w->east, " AND query LIKE '%canary%'");
    see_free(&canary);
    for (int i = 0; i < 2; i++) { /* the first look may find the session's end */
        see_free(&canary);
        canary = see(&w->east, true);
    }
    assert_int_equal(canary->canary, RF__CANARY_STATE__CANARY_NO_CONNECTION);
    assert_non_null(strstr(canary->denied, "needs a password"));
    assert_string_equal(canary->error, ""); /* all else was seen */

    end_backends(&w->east, "");
    for (int i = 0; i < 2; i++) {
        see_free(&both);
        both = see(&w->east, true);
    }
    assert_int_equal(both->canary, RF__CANARY_STATE__CANARY_NO_CONNECTION);
    assert_non_null(strstr(both->denied, "needs a password"));

    assert_int_equal(run("chown root %s", w->east.socket), 0);
    barred = see(&w->east, true);
    assert_int_equal(barred->canary, RF__CANARY_STATE__CANARY_NO_CONNECTION);
    assert_non_null(strstr(barred->denied, w->east.socket));
    see_free(&both);
    both = see(&w->east, true); /* it was taken back */
    assert_non_null(strstr(both->denied, "needs a password"));

    /* Swept away, as cleaners of temporary directories do: TCP clients are still served. */
    assert_int_equal(run("rm %s/.s.PGSQL.%u", w->east.socket, w->east.spec.port), 0);
    see_free(&barred);
    barred = see(&w->east, true);
    assert_int_equal(barred->canary, RF__CANARY_STATE__CANARY_NO_CONNECTION);
    assert_non_null(strstr(barred->denied, w->east.socket));
}

/* A pid file that names somebody else's process is not believed. */
static void a_stale_pid_file_is_not_a_server(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *seen = NULL;
    char path[256], line[32];

    snprintf(path, sizeof path, "%s/postmaster.pid", w->east.data);
    snprintf(line, sizeof line, "%d", getpid());
    append_line(path, line);
    seen = see(&w->east, true);
    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_DOWN);
}

/* A running pair is adopted: a server that was started by hand, with a socket elsewhere,
 * is seen, and its socket is not called private. */
static void a_server_started_by_hand_is_seen(void **state)
{
    struct world *w = *state;
    AUTO(see_free) Rf__Observation *seen = NULL;

    assert_int_equal(run("install -d -o postgres %s/east/sock && cd / && "
                         "setpriv --reuid postgres --regid postgres --clear-groups "
                         "%s/pg_ctl start -w -D %s -l %s/east/sock/log -o "
                         "'-p %u -c listen_addresses=127.0.0.1 -k %s/east/sock' >/dev/null",
                         w->dir, w->bin, w->east.data, w->dir, w->east.spec.port, w->dir),
                     0);
    seen = see(&w->east, true);
    assert_int_equal(seen->server, RF__SERVER_STATE__SERVER_PRIMARY);
    assert_int_equal(seen->canary, RF__CANARY_STATE__CANARY_OK);
    assert_false(seen->private_socket);
    assert_int_equal(seen->sync_generation, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_absent_directory_is_absent),
        T(a_server_that_is_down_shows_its_control_file),
        T(another_major_version_is_told_of),
        T(the_control_file_of_a_server_that_stays_down_is_read_once),
        T(the_end_of_a_stopped_log_is_found),
        T(a_pair_is_seen),
        T(the_rate_of_a_burst_is_remembered),
        T(a_frozen_primary_is_hung),
        T(a_thawed_primary_is_well),
        T(too_many_clients_is_not_hung),
        T(waiting_for_sync_is_not_hung),
        T(a_password_is_asked_for_by_name),
        T(a_refused_login_is_not_hung),
        T(a_stale_pid_file_is_not_a_server),
        T(a_server_started_by_hand_is_seen),
    };

    return cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
}
