/* A cluster of Debian's postgresql-common, started and stopped by its unit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "providers/postgres/checks.h"
#include "tests/real/provider/cluster.h"

static char unit[] = "systemd:postgresql@15-rftest";

static void open_again(struct node *n)
{
    struct err err;

    provider_postgres.close(n->provider);
    provider_postgres.close(n->observer);
    assert_int_equal(provider_postgres.open(&n->provider, &n->spec, &err), 0);
    assert_int_equal(provider_postgres.open(&n->observer, &n->spec, &err), 0);
}

/* Configuration and pg_hba.conf lie under /etc, the data directory has none of its own. */
static int begin(void **state)
{
    struct node *n;

    if (world_begin(state) != 0)
        return -1;
    n = &((struct world *)*state)->east;
    snprintf(n->data, sizeof n->data, "%s/east/debian", ((struct world *)*state)->dir);
    if (run("rm -rf /etc/postgresql/* && "
            "pg_createcluster 15 rftest -d %s -p 5999 -- -N --wal-segsize=1 >/dev/null "
            "2>&1",
            n->data) != 0)
        return -1;
    append_line("/etc/postgresql/15/rftest/postgresql.conf",
                "fsync = off\nshared_buffers = 8MB\nmax_wal_size = 16MB\n"
                "min_wal_size = 2MB");
    if (run("printf 'local all postgres peer\\nhost all all 127.0.0.0/8 trust\\n' "
            "> /etc/postgresql/15/rftest/pg_hba.conf") != 0)
        return -1;
    n->spec.start = unit;
    open_again(n);
    return 0;
}

static void expect(PGconn *c, const char *setting, const char *value)
{
    char sql[64], shown[256];

    snprintf(sql, sizeof sql, "SHOW %s", setting);
    client_ask(c, sql, shown);
    assert_string_equal(shown, value);
}

/* The unit has a command line of its own: what I9 and the gate demand holds all the same.
 */
static void the_unit_starts_what_is_led(void **state)
{
    struct world *w = *state;
    struct node *n = &w->east;
    AUTO(see_free) Rf__Observation *up = NULL;
    AUTO(see_free) Rf__Observation *down = NULL;
    AUTO(see_free) Rf__Observation *again = NULL;
    char port[16];
    PGconn *c;

    lead(n);
    up = see(n, true);
    assert_int_equal(up->server, RF__SERVER_STATE__SERVER_PRIMARY);
    assert_int_equal(up->canary, RF__CANARY_STATE__CANARY_OK);
    assert_true(up->private_socket);
    c = client(n);
    assert_non_null(c);
    snprintf(port, sizeof port, "%u", n->spec.port);
    expect(c, "port", port);
    expect(c, "listen_addresses", n->address);
    expect(c, "unix_socket_directories", n->socket);
    expect(c, "unix_socket_permissions", "0700");
    expect(c, "restart_after_crash", "off");
    PQfinish(c);

    stop(n);
    down = see(n, false);
    assert_int_equal(down->server, RF__SERVER_STATE__SERVER_DOWN);
    assert_true(down->clean_shutdown);

    lead(n);
    signal_all(n, SIGKILL);
    lead(n);
    again = see(n, false);
    assert_int_equal(again->server, RF__SERVER_STATE__SERVER_PRIMARY);
}

static void a_unit_that_is_not_there_is_named(void **state)
{
    static char nobody[] = "systemd:postgresql@15-nobody";
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 5000);
    AUTO(result_free) Rf__StepResult *result = NULL;

    w->east.spec.start = nobody;
    open_again(&w->east);
    result = step_do(&w->east, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    assert_non_null(strstr(result->text, "postgresql@15-nobody not found"));
}

/* A start that fails is told at once, not when the step's time is over. */
static void a_unit_that_ends_again_is_told(void **state)
{
    struct world *w = *state;
    struct step s = step_make(RF__STEP_KIND__STEP_LEAD, 60000);
    AUTO(result_free) Rf__StepResult *result = NULL;
    struct mono began;

    append_line("/etc/postgresql/15/rftest/postgresql.conf", "work_mem = nonsense");
    began = mono_now();
    result = step_do(&w->east, &s);
    assert_int_equal(result->outcome, RF__STEP_OUTCOME__OUTCOME_FAILED);
    print_message("%s\n", result->text);
    assert_non_null(strstr(result->text, "journalctl -u postgresql@15-rftest"));
    assert_true(ms_since(began) < 50000);
}

static const char *level_of(struct node *n, const char *group, const char *check)
{
    static char level[16];
    char name[16], *checks[] = {name};
    Rf__ProviderReply *reply = malloc(sizeof *reply);

    assert_non_null(reply);
    snprintf(name, sizeof name, "%s", group);
    rf__provider_reply__init(reply);
    assert_int_equal(provider_postgres.checks(n->observer, checks, 1, reply, NULL), 0);
    snprintf(level, sizeof level, "none");
    for (size_t i = 0; i < reply->n_findings; i++)
        if (strcmp(reply->findings[i]->check, check) == 0)
            snprintf(level, sizeof level, "%s", reply->findings[i]->level);
    rf__provider_reply__free_unpacked(reply, NULL);
    return level;
}

/* And before anything is to be started by it. A template alone starts nothing. */
static void the_unit_is_looked_for_before_it_is_needed(void **state)
{
    static char none[] = "systemd:NOSUCH", other[] = "systemd:postgresql@15-mian",
                by_us[] = "pg_ctl";
    static const struct {
        char *start;
        enum pg_unit is;
        const char *says;
    } table[] = {
        {unit, PG_UNIT_GOOD, ""},
        {by_us, PG_UNIT_GOOD, ""},
        {none, PG_UNIT_BAD, "start: systemd:NOSUCH: there is no such unit on this host"},
        {other, PG_UNIT_BAD, "there is no /etc/postgresql/15/mian/postgresql.conf"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct pg pg = {.spec = &w->east.spec};
        struct err err = {0};

        w->east.spec.start = table[i].start;
        assert_int_equal(pg_unit_look(&pg, mono_plus_ms(mono_now(), 3000), &err),
                         table[i].is);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("%s: %s", table[i].start, err.text);
    }
    w->east.spec.start = none;
    open_again(&w->east);
    assert_string_equal(level_of(&w->east, "start", "start"), "fail");
    w->east.spec.start = unit;
}

/* Without systemd there is no such thing as its unit, and it is said. */
static void no_systemctl_is_said(void **state)
{
    struct world *w = *state;
    struct pg pg = {.spec = &w->east.spec};
    struct err err = {0};

    assert_int_equal(mount("/dev/null", "/usr/bin/systemctl", NULL, MS_BIND, NULL), 0);
    assert_int_equal(pg_unit_look(&pg, mono_plus_ms(mono_now(), 3000), &err), PG_UNIT_BAD);
    assert_int_equal(umount("/usr/bin/systemctl"), 0);
    assert_non_null(strstr(err.text, "systemctl"));
}

/* Nobody but the agent starts PostgreSQL (I9). */
static void the_doctor_looks_at_the_unit(void **state)
{
    struct world *w = *state;

    assert_string_equal(level_of(&w->east, "host", "unit_restart"), "ok");
    assert_string_equal(level_of(&w->east, "host", "autostart"), "ok");
    append_line("/etc/postgresql/overrides", "Restart=on-failure\nUnitFileState=enabled");
    assert_string_equal(level_of(&w->east, "host", "unit_restart"), "fail");
    assert_string_equal(level_of(&w->east, "host", "autostart"), "fail");
}

/* Everything that postgresql-common touches is of this process and its children alone. */
static bool enter_own_mounts(void)
{
    return unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           run("mkdir -p /run/postgresql && mount -t tmpfs none /run/postgresql && "
               "mount -t tmpfs none /etc/postgresql && "
               "mount -t tmpfs none /var/log/postgresql && "
               "chown postgres /run/postgresql /var/log/postgresql") == 0 &&
           mount(FAKE_SYSTEMCTL, "/usr/bin/systemctl", NULL, MS_BIND, NULL) == 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_unit_starts_what_is_led),
        T(a_unit_that_is_not_there_is_named),
        T(the_unit_is_looked_for_before_it_is_needed),
        T(no_systemctl_is_said),
        T(a_unit_that_ends_again_is_told),
        T(the_doctor_looks_at_the_unit),
    };

    if (!enter_own_mounts()) {
        perror("mounts of our own");
        return 1;
    }
    return cmocka_run_group_tests(tests, world_group_setup, world_group_teardown);
}
