/* What the agent finds on its host: a full disk, units of systemd. */
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

static bool is_unfit(const struct stage *s)
{
    return stage_report(s) != NULL && stage_report(s)->unfit;
}

static bool is_fit(const struct stage *s)
{
    return stage_report(s) != NULL && !stage_report(s)->unfit;
}

/* A full state_dir is found out before any order comes, named once, and over when there is
 * room again. */
static void a_full_state_dir_is_reported(void **state)
{
    char dir[96], command[400];

    (void)state;
    snprintf(dir, sizeof dir, "%s/state", stage.dir);
    snprintf(command, sizeof command,
             "mkdir -p %s && mount -t tmpfs -o size=128k,mode=700 rf-agent-state %s", dir,
             dir);
    assert_int_equal(system(command), 0);
    start();
    assign(RF__ROLE__ROLE_STANDBY, 1);
    stage_until(&stage, is_fit, "a report");
    snprintf(command, sizeof command,
             "dd if=/dev/zero of=%s/fill bs=4k count=64 status=none 2>/dev/null", dir);
    assert_int_not_equal(system(command), 0);
    stage_until(&stage, is_unfit, "a report that says so");
    assert_non_null(strstr(stage_report(&stage)->problem, "state_dir not writable"));
    assert_non_null(strstr(stage_report(&stage)->problem, dir));
    seen = stage.reports;
    stage_until(&stage, has_reported, "more reports");
    assert_int_equal(stage_log_count(&stage, "state_dir not writable"), 1);
    snprintf(command, sizeof command, "rm %s/fill", dir);
    assert_int_equal(system(command), 0);
    stage_until(&stage, is_fit, "room again");
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    snprintf(command, sizeof command, "umount %s", dir);
    assert_int_equal(system(command), 0);
}

/* A unit that is not there is the instance's problem before anything is to be started by
 * it, and `--check` remembers it; corrected, it is over at once. */
static void a_start_unit_that_is_not_there_is_reported(void **state)
{
    static char nobody[] = "systemd:rf-no-such", by_us[] = "pg_ctl";
    struct stage_assignment a;

    (void)state;
    start();
    stage_assignment(&stage, &a, RF__ROLE__ROLE_STANDBY, 1);
    a.server.start = nobody;
    stage_assign(&stage, &a, NULL);
    stage_until(&stage, is_unfit, "a report that says so");
    assert_non_null(strstr(stage_report(&stage)->problem, "start: systemd:rf-no-such: "));
    seen = stage.reports;
    stage_until(&stage, has_reported, "more reports");
    assert_int_equal(stage_log_count(&stage, "start: systemd:rf-no-such: "), 1);
    assert_int_equal(stage_check(&stage), 78);
    assert_true(stage_log_has(&stage, ": postgres: group orders: start: systemd:rf-no-"));
    a.a.index++;
    a.server.start = by_us;
    stage_assign(&stage, &a, NULL);
    stage_until(&stage, is_fit, "a report that it is over");
    assert_string_equal(stage_report(&stage)->problem, "");
}

/* Whatever systemctl takes: a successor takes over the lease first, and the unit is looked
 * at beside its renewals. With one look of a second before, three groups' leases were over.
 */
static void a_slow_systemctl_delays_no_take_over(void **state)
{
    static char unit[] = "systemd:rf-slow";
    struct stage_assignment a;

    (void)state;
    start();
    stage_assignment(&stage, &a, RF__ROLE__ROLE_PRIMARY, 1);
    a.server.start = unit;
    stage_assign(&stage, &a, NULL);
    stage_until(&stage, is_unfit, "the unit that is not there");
    stage_kill(&stage, agent, SIGKILL);
    stage_slow_systemctl(&stage);
    seen = stage.hellos;
    start();
    assert_false(stage_asked_systemctl(&stage));
    seen = stage.renews;
    stage_assign(&stage, &a, NULL);
    stage_until(&stage, stage_asked_systemctl, "a look at the unit");
    stage_until(&stage, has_renewed, "renewals");
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    stage_own_systemctl();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_full_state_dir_is_reported),
        ON_STAGE(a_start_unit_that_is_not_there_is_reported),
        ON_STAGE(a_slow_systemctl_delays_no_take_over),
    };
    int failed;

    lab_enter("agent");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    lab_leave();
    return failed;
}
