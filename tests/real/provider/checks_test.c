/* What `ringfence doctor` says of real servers, and of hosts that have none yet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/provider/cluster.h"

static const char *level_of(const Rf__ProviderReply *reply, const char *check)
{
    for (size_t i = 0; i < reply->n_findings; i++)
        if (strcmp(reply->findings[i]->check, check) == 0)
            return reply->findings[i]->level;
    return "none";
}

/* The doctor finds what would break a promise, and is content with what does not. */
static void the_doctor_finds_what_is_wrong(void **state)
{
    static char settings[] = "settings", disk[] = "disk", host[] = "host";
    char *checks[] = {settings, disk, host};
    struct world *w = *state;
    Rf__ProviderReply *reply = malloc(sizeof *reply);
    PGconn *c;

    lead(&w->east);
    c = client(&w->east);
    assert_true(client_run(
        c, "CREATE ROLE app LOGIN; ALTER ROLE app SET synchronous_commit = local"));
    PQfinish(c);
    rf__provider_reply__init(reply);
    assert_int_equal(provider_postgres.checks(w->east.observer, checks, 3, reply, NULL), 0);
    assert_string_equal(level_of(reply, "session"), "ok");
    assert_string_equal(level_of(reply, "wal_log_hints"), "ok");
    assert_string_equal(level_of(reply, "restart_after_crash"), "ok");
    assert_string_equal(level_of(reply, "synchronous_commit"), "ok");
    assert_string_equal(level_of(reply, "synchronous_commit_overrides"), "fail");
    assert_string_equal(level_of(reply, "durability"), "fail"); /* fsync = off here */
    assert_string_equal(level_of(reply, "listen_addresses"), "ok");
    assert_string_equal(level_of(reply, "replication_user"), "ok");
    assert_string_equal(level_of(reply, "passfile"), "ok");
    assert_string_equal(level_of(reply, "socket_dir"), "ok");
    assert_string_not_equal(level_of(reply, "sync_latency"), "none");
    for (size_t i = 0; i < reply->n_findings; i++)
        assert_null(strstr(reply->findings[i]->text, "could not be read"));
    rf__provider_reply__free_unpacked(reply, NULL);
}

/* It names the server's value, not that of the agent's own sessions; `remote_write` does
 * not wait for the standby's flush. */
static void the_doctor_sees_a_weaker_commit(void **state)
{
    static const char *const rows[][3] = {
        {"off", "", "warn"},  {"remote_write", "", "warn"}, {"remote_write", "x", "fail"},
        {"off", "x", "fail"}, {"remote_apply", "x", "ok"},
    };
    static char settings[] = "settings";
    char *checks[] = {settings};
    struct world *w = *state;
    char sql[120];

    lead(&w->east);
    for (size_t i = 0; i < 5; i++) {
        Rf__ProviderReply *reply = malloc(sizeof *reply);
        PGconn *c = client(&w->east);

        snprintf(sql, sizeof sql, "ALTER SYSTEM SET synchronous_commit = %s", rows[i][0]);
        assert_true(client_run(c, sql));
        snprintf(sql, sizeof sql, "ALTER SYSTEM SET synchronous_standby_names = '%s'",
                 rows[i][1]);
        assert_true(client_run(c, sql));
        assert_true(client_run(c, "SELECT pg_reload_conf()"));
        PQfinish(c);
        poll(NULL, 0, 100); /* until every session has been told */
        rf__provider_reply__init(reply);
        assert_int_equal(provider_postgres.checks(w->east.observer, checks, 1, reply, NULL),
                         0);
        if (strcmp(level_of(reply, "synchronous_commit"), rows[i][2]) != 0)
            fail_msg("row %zu: %s", i, level_of(reply, "synchronous_commit"));
        rf__provider_reply__free_unpacked(reply, NULL);
    }
}

static void set_hba(const struct node *n, const char *lines)
{
    assert_int_equal(
        run("printf 'local all postgres peer\\nhost all all 127.0.0.3/32 trust\\n%s' > "
            "%s/pg_hba.conf",
            lines, n->data),
        0);
}

/* The levels of east's (or west's) own address and of the other's: "ok fail" for one. */
static void check_hba(struct world *w, struct node *n, const char *expected,
                      const char *says)
{
    static char east[] = "hba 127.0.0.1", west[] = "hba 127.0.0.2";
    char *checks[] = {n == &w->east ? east : west, n == &w->east ? west : east};
    Rf__ProviderReply *reply = malloc(sizeof *reply);
    char levels[64];

    rf__provider_reply__init(reply);
    assert_int_equal(provider_postgres.checks(n->observer, checks, 2, reply, NULL), 0);
    assert_int_equal(reply->n_findings, 2);
    snprintf(levels, sizeof levels, "%s %s", reply->findings[0]->level,
             reply->findings[1]->level);
    if (strcmp(levels, expected) != 0 || (strstr(reply->findings[0]->text, says) == NULL &&
                                          strstr(reply->findings[1]->text, says) == NULL))
        fail_msg("%s (wanted: %s, \"%s\"): %s; %s", levels, expected, says,
                 reply->findings[0]->text, reply->findings[1]->text);
    rf__provider_reply__free_unpacked(reply, NULL);
}

/* The copy leads with the file it was copied with: what it needs after the first move is
 * looked for on the server that it is copied from, before there is a copy. */
static void the_doctor_asks_pg_hba_for_both_sides(void **state)
{
    static const struct {
        const char *lines, *levels, *says;
    } table[] = {
        {"host replication,postgres postgres 127.0.0.2/32 trust\\n", "fail ok",
         "host replication,postgres postgres 127.0.0.1/32 scram-sha-256"},
        {"host replication,postgres postgres 127.0.0.1/32 trust\\n", "ok fail",
         "could not follow this server"},
        {"host replication,all +pg_monitor,postgres 127.0.0.0 255.255.255.252 md5\\n",
         "ok ok", "lets postgres in from 127.0.0.2"},
        {"host all all 127.0.0.0/8 trust\\n", "fail fail", "into replication"},
        {"host replication all 127.0.0.0/8 trust\\n", "fail fail", "into postgres"},
        {"host replication,all app 127.0.0.0/8 trust\\n", "fail fail", "into replication"},
        {"host all,replication all 127.0.0.2/32 reject\\n"
         "host all,replication all all trust\\n",
         "ok fail", "127.0.0.2"},
        {"hostnossl all,replication all ::1/128 trust\\n"
         "hostnossl all,replication all 127.0.0.0/8 trust\\n",
         "ok ok", "127.0.0.1"},
        {"hostssl all,replication all 127.0.0.0/8 trust\\n", "fail fail", ""},
        {"host all,replication all 127.0.0.1/32 trust\\n"
         "host all,replication all west.example trust\\n",
         "ok warn", "by a name"},
        {"host all,replication all nonsense\\n", "fail fail", "mistake"},
    };
    struct world *w = *state;

    lead(&w->east);
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        set_hba(&w->east, table[i].lines);
        check_hba(w, &w->east, table[i].levels, table[i].says);
    }
}

/* libpq says nothing of lines that it passes over. */
static void the_doctor_looks_into_the_passfile(void **state)
{
    static const struct {
        const char *line, *level;
    } table[] = {
        {"127.0.0.2:5432:*:postgres:x", "ok"},      {"*:*:*:*:x", "ok"},
        {"127.0.0.1:5432:*:postgres:x", "fail"},    {"127.0.0.2:5433:*:*:x", "fail"},
        {"127.0.0.2:5432:*:ringfence:x", "fail"},   {"127.0.0.2 5432 x", "fail"},
        {"127.0.0.2:5432:replication:*:x", "fail"},
    };
    static char pass[] = "pass 127.0.0.2 5432";
    char *checks[] = {pass};
    struct world *w = *state;

    assert_int_equal(run("chown postgres %s", w->east.data), 0);
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        Rf__ProviderReply *reply = malloc(sizeof *reply);

        assert_int_equal(run("echo '%s' > %s", table[i].line, w->passfile), 0);
        rf__provider_reply__init(reply);
        assert_int_equal(provider_postgres.checks(w->east.observer, checks, 1, reply, NULL),
                         0);
        assert_string_equal(level_of(reply, "passfile_line"), table[i].level);
        rf__provider_reply__free_unpacked(reply, NULL);
    }
}

/* On a standby, too: it is the one that would lead next. Here all connections come from
 * 127.0.0.1. */
static void the_doctor_asks_a_standbys_pg_hba(void **state)
{
    struct world *w = *state;

    set_hba(&w->east, "host replication,postgres postgres 127.0.0.1/32 trust\\n");
    lead(&w->east);
    follow(&w->west, &w->east);
    check_hba(w, &w->west, "fail ok", "127.0.0.2/32 scram-sha-256");
}

/* The directory of a standby is made by its agent: nothing is wrong before. */
static void nothing_fails_before_there_is_a_directory(void **state)
{
    static char settings[] = "settings", disk[] = "disk", host[] = "host",
                east[] = "hba 127.0.0.1";
    char *checks[] = {settings, disk, host, east};
    struct world *w = *state;
    Rf__ProviderReply *reply = malloc(sizeof *reply);

    rf__provider_reply__init(reply);
    assert_int_equal(provider_postgres.checks(w->west.observer, checks, 4, reply, NULL), 0);
    assert_string_equal(level_of(reply, "data"), "warn");
    assert_string_equal(level_of(reply, "session"), "none");
    assert_string_not_equal(level_of(reply, "room_data"), "none");
    assert_string_equal(level_of(reply, "sync_latency"), "none");
    for (size_t i = 0; i < reply->n_findings; i++)
        if (strcmp(reply->findings[i]->level, "fail") == 0)
            fail_msg("%s: %s", reply->findings[i]->check, reply->findings[i]->text);
    rf__provider_reply__free_unpacked(reply, NULL);
}

/* What to do about a role is said whole: with the password and what else it needs. */
static void the_doctor_says_how_to_make_the_role(void **state)
{
    static char settings[] = "settings", role[] = "ringfence";
    char *checks[] = {settings};
    struct world *w = *state;
    Rf__ProviderReply *reply = malloc(sizeof *reply);
    struct provider *p = NULL;
    const char *text = NULL;

    lead(&w->east);
    w->east.spec.replication_user = role;
    assert_int_equal(provider_postgres.open(&p, &w->east.spec, NULL), 0);
    rf__provider_reply__init(reply);
    assert_int_equal(provider_postgres.checks(p, checks, 1, reply, NULL), 0);
    for (size_t i = 0; i < reply->n_findings; i++)
        if (strcmp(reply->findings[i]->check, "replication_user") == 0)
            text = reply->findings[i]->text;
    assert_non_null(text);
    assert_non_null(strstr(text, "role ringfence does not exist"));
    assert_non_null(strstr(text, "LOGIN REPLICATION PASSWORD '...'"));
    assert_non_null(strstr(text, "GRANT pg_monitor, pg_checkpoint TO ringfence"));
    assert_non_null(strstr(text, "pg_read_binary_file(text, bigint, bigint, boolean) TO "
                                 "ringfence"));
    rf__provider_reply__free_unpacked(reply, NULL);
    provider_postgres.close(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_doctor_finds_what_is_wrong),
        T(the_doctor_sees_a_weaker_commit),
        T(the_doctor_asks_pg_hba_for_both_sides),
        T(the_doctor_asks_a_standbys_pg_hba),
        T(the_doctor_looks_into_the_passfile),
        T(nothing_fails_before_there_is_a_directory),
        T(the_doctor_says_how_to_make_the_role),
    };

    return cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
}
