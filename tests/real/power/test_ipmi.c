/* fence_ipmilan of Debian's fence-agents against openipmi's simulator of a BMC, behind
 * which a process of ours is the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/real/power/bmc.h"

enum { PATIENCE_MS = 20000, STEP_MS = 5, SHORT_MS = 4000 };

static struct bmc m;

static void expect(enum power_state state, int code, const char *says)
{
    const struct bench *b = &m.bench;

    if (b->state != state || b->why.code != code || strstr(b->why.text, says) == NULL)
        fail_msg("state %d, %s: '%s'; expected %d, %s, '%s'", (int)b->state,
                 err_name(b->why.code), b->why.text, (int)state, err_name(code), says);
    assert_null(strstr(b->why.text, "opens-it"));
}

static void touch(const char *name)
{
    char path[TREE_PATH + 16];
    int fd;

    snprintf(path, sizeof path, "%s/%s", m.bench.dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

/* The power goes, the machine with it, and only what `status` saw is said. */
static void off_kills_the_machine(void **state)
{
    (void)state;
    bench_status(&m.bench);
    expect(POWER_ON, 0, "");
    assert_true(bmc_victim_lives(&m));
    bench_off(&m.bench);
    expect(POWER_OFF, 0, "");
    assert_false(bmc_victim_lives(&m));
    bench_status(&m.bench);
    expect(POWER_OFF, 0, "");
    /* And again, of one that is off. */
    bench_off(&m.bench);
    expect(POWER_OFF, 0, "");
}

/* Refused, and the password is in no word of it. */
static void a_wrong_password_fences_nobody(void **state)
{
    (void)state;
    m.bench.device.secret_count = 0;
    bench_secret(&m.bench, "password", "opens-it-not");
    bench_off(&m.bench);
    expect(POWER_UNKNOWN, ERR_REFUSED,
           "fencer bmc-east: fence_ipmilan status: exit status 1");
    assert_true(bmc_victim_lives(&m));
}

/* Nobody answers: that is not off. */
static void an_absent_bmc_fences_nobody(void **state)
{
    (void)state;
    assert_int_equal(kill(m.sim, SIGKILL), 0);
    m.bench.device.deadline_ms = 60000;
    bench_off(&m.bench);
    expect(POWER_UNKNOWN, ERR_REFUSED, "exit status 1");
    assert_true(bmc_victim_lives(&m));
}

/* A BMC that says yes and does nothing. */
static void an_off_that_lies_is_found_out(void **state)
{
    (void)state;
    touch("lies");
    m.bench.device.deadline_ms = 3 * SHORT_MS;
    bench_off(&m.bench);
    expect(POWER_ON, ERR_TIMEOUT, "still on");
    assert_true(bmc_victim_lives(&m));
}

/* The BMC hangs, and the agent with it: at the deadline it goes, and so does its ipmitool.
 */
static void a_stuck_agent_ends_at_the_deadline(void **state)
{
    (void)state;
    assert_int_equal(kill(m.sim, SIGSTOP), 0);
    m.bench.device.deadline_ms = SHORT_MS;
    bench_off(&m.bench);
    expect(POWER_UNKNOWN, ERR_TIMEOUT, "did not end in time");
    for (int ms = 0; bmc_callers(&m) > 0; ms += STEP_MS) {
        assert_true(ms < PATIENCE_MS);
        (void)poll(NULL, 0, STEP_MS);
    }
    assert_true(bmc_victim_lives(&m));
}

/* A cancelled run has no process left either. */
static void a_cancelled_run_leaves_nobody(void **state)
{
    struct power_run *r = NULL;

    (void)state;
    assert_int_equal(kill(m.sim, SIGSTOP), 0);
    assert_int_equal(
        power_off_start(&r, &m.bench.loop, &m.bench.device, bench_done, &m.bench, NULL), 0);
    for (int ms = 0; bmc_callers(&m) == 0; ms += STEP_MS) {
        assert_true(ms < PATIENCE_MS);
        (void)uv_run(&m.bench.loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, STEP_MS);
    }
    power_run_cancel(r);
    (void)uv_run(&m.bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(m.bench.answers, 0);
    for (int ms = 0; bmc_callers(&m) > 0; ms += STEP_MS) {
        assert_true(ms < PATIENCE_MS);
        (void)poll(NULL, 0, STEP_MS);
    }
}

static int begin(void **state)
{
    (void)state;
    bmc_open(&m);
    return 0;
}

static int end(void **state)
{
    (void)state;
    bmc_close(&m);
    return 0;
}

#define EACH_WITH_A_BMC(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_WITH_A_BMC(off_kills_the_machine),
        EACH_WITH_A_BMC(a_wrong_password_fences_nobody),
        EACH_WITH_A_BMC(an_absent_bmc_fences_nobody),
        EACH_WITH_A_BMC(an_off_that_lies_is_found_out),
        EACH_WITH_A_BMC(a_stuck_agent_ends_at_the_deadline),
        EACH_WITH_A_BMC(a_cancelled_run_leaves_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
