/* Somebody promotes a standby by hand, with a real server, a real agent and a real gate: it
 * is fenced at once, stopped, and the report says what was found. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/real/agent/act.h"
#include "tests/real/gate/lab.h"

enum { COMMAND_SIZE = 1024 };

static const char *bin_dir(void)
{
    const char *named = getenv("RF_PG_BIN");

    return named != NULL ? named : "/usr/lib/postgresql/15/bin";
}

static int as_postgres(const char *command)
{
    char line[COMMAND_SIZE];

    snprintf(line, sizeof line,
             "cd / && setpriv --reuid postgres --regid postgres --clear-groups %s/%s "
             ">/dev/null 2>&1",
             bin_dir(), command);
    return system(line);
}

/* Of a standby nothing but being in recovery is needed here: it waits for WAL that never
 * comes. */
static void start_standby(const struct stage *s)
{
    char command[COMMAND_SIZE];

    snprintf(command, sizeof command,
             "chmod 0711 %s && install -d -o postgres -m 0700 %s/data", s->dir, s->dir);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command,
             "initdb -D %s/data -U postgres -N -A trust -E UTF8 --locale=C", s->dir);
    assert_int_equal(as_postgres(command), 0);
    snprintf(command, sizeof command,
             "install -o postgres /dev/null %s/data/standby.signal", s->dir);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command,
             "pg_ctl -w -D %s/data -l %s/data/log -o \"-p %u -k %s/data -c fsync=off "
             "-c listen_addresses=127.0.0.1\" start",
             s->dir, s->dir, s->gated, s->dir);
    assert_int_equal(as_postgres(command), 0);
}

static void stop_server(const struct stage *s)
{
    char command[COMMAND_SIZE];

    snprintf(command, sizeof command, "pg_ctl -m immediate -D %s/data stop", s->dir);
    (void)as_postgres(command); /* it may be down already: that is what is tested */
}

static int end(void **state)
{
    stop_server(&stage);
    return tear_down(state);
}

static bool gate_is(const struct stage *s, const char *mode)
{
    return stage_report(s) != NULL && strcmp(stage_report(s)->gate_mode, mode) == 0;
}

static bool runs_as(const struct stage *s, Rf__ServerState state)
{
    return stage_report(s) != NULL && stage_report(s)->seen != NULL &&
           stage_report(s)->seen->server == state;
}

static bool is_a_gated_standby(const struct stage *s)
{
    return gate_is(s, "replication") && runs_as(s, RF__SERVER_STATE__SERVER_STANDBY);
}

static bool is_told_of(const struct stage *s)
{
    return gate_is(s, "closed") &&
           strstr(stage_report(s)->problem, "promoted by hand") != NULL;
}

static bool is_down(const struct stage *s)
{
    return runs_as(s, RF__SERVER_STATE__SERVER_DOWN);
}

static void a_promotion_by_hand_is_fenced_and_told(void **state)
{
    struct stage_assignment a;
    char command[COMMAND_SIZE];
    int call;

    (void)state;
    start_standby(&stage);
    start();
    stage_assignment(&stage, &a, RF__ROLE__ROLE_STANDBY, 3);
    a.a.adopt = true;
    stage_assign(&stage, &a, NULL);
    stage_until(&stage, is_a_gated_standby, "a standby behind its gate");
    /* Not waited for: the agent may be quicker than pg_ctl's next look. */
    snprintf(command, sizeof command, "pg_ctl promote -W -D %s/data", stage.dir);
    assert_int_equal(as_postgres(command), 0);
    stage_until(&stage, is_told_of, "a closed gate, and a report that says why");
    call = lab_call(NULL, "127.0.0.1", stage.gated, LAB_SILENCE_MS);
    assert_true(call < 0);
    stage_until(&stage, is_down, "its end");
    assert_true(stage_log_has(&stage, "promoted by hand"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_promotion_by_hand_is_fenced_and_told, set_up,
                                        end),
    };
    int failed;

    lab_enter("agent");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    lab_leave();
    return failed;
}
