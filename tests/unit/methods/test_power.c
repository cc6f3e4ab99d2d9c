/* A power-off that was seen is a proof; nothing else is. With an agent of ours, which is
 * strict in what it takes and says what it is told to (tests/unit/methods/agent). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "tests/unit/methods/bench.h"

static const char password[] = "p@ss word";

/* What counts is what `status` says behind an `off`; how `off` itself ended does not. */
static void off_is_what_status_says(void **state)
{
    static const struct {
        const char *mode;
        enum power_state state;
        int code;
        const char *says, *asked;
    } table[] = {
        {"good", POWER_OFF, 0, "", "off\nstatus\n"},
        {"slow", POWER_OFF, 0, "", "off\nstatus\nstatus\nstatus\nstatus\n"},
        {"no_off", POWER_OFF, 0, "", "off\nstatus\n"},
        {"second_off", POWER_OFF, 0, "", "off\nstatus\noff\nstatus\n"},
        {"silent", POWER_OFF, 0, "", "off\nstatus\nmonitor\n"},
        {"refused", POWER_UNKNOWN, ERR_REFUSED,
         "status: exit status 1: Unable to connect/login", "off\nstatus\n"},
        {"broken", POWER_UNKNOWN, ERR_UNKNOWN, "no proof", "off\nstatus\nmonitor\n"},
        {"usage", POWER_UNKNOWN, ERR_UNKNOWN, "no proof", "off\nstatus\nmonitor\n"},
        {"signalled", POWER_UNKNOWN, ERR_REFUSED, "killed by signal 11", "off\nstatus\n"},
        {"noisy", POWER_UNKNOWN, ERR_REFUSED, "without end", "off\nstatus\n"},
        {"noisy_error", POWER_UNKNOWN, ERR_REFUSED, "without end", "off\nstatus\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *asked;
        struct bench b;

        print_message("%s\n", table[i].mode);
        bench_open(&b, table[i].mode);
        bench_off(&b);
        asked = bench_read(&b, "asked");
        if (b.state != table[i].state || b.why.code != table[i].code ||
            strstr(b.why.text, table[i].says) == NULL ||
            (table[i].code != 0 && strncmp(b.why.text, "fencer bmc-east: ", 17) != 0) ||
            strcmp(asked, table[i].asked) != 0)
            fail_msg("%s: state %d, %s: '%s', asked: %s", table[i].mode, (int)b.state,
                     err_name(b.why.code), b.why.text, asked);
        bench_expect_dead(&b, 0);
        bench_close(&b);
    }
}

static void status_alone_orders_nothing(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "good");
    bench_status(&b);
    assert_int_equal(b.state, POWER_ON);
    assert_int_equal(b.why.code, 0);
    bench_off(&b);
    bench_status(&b);
    assert_int_equal(b.state, POWER_OFF);
    assert_int_equal(b.why.code, 0);
    assert_string_equal(bench_read(&b, "asked"), "status\noff\nstatus\nstatus\n");
    bench_close(&b);
}

/* Whoever lists processes, or reads an environment, sees no parameter; the agent has no
 * descriptor of ours (10 is the shell's own, on its script). */
static void parameters_go_by_standard_input_alone(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "good");
    bench_secret(&b, "password", password);
    bench_status(&b);
    assert_int_equal(b.why.code, 0);
    assert_string_equal(bench_read(&b, "password"), password);
    assert_string_equal(bench_read(&b, "cmdline"), "/bin/sh " TEST_AGENT " ");
    assert_string_equal(bench_read(&b, "fds"), "0 1 10 2 ");
    assert_null(strstr(bench_read(&b, "env"), "p@ss"));
    assert_non_null(strstr(bench_read(&b, "env"), "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"));
    assert_null(strstr(bench_read(&b, "env"), "MARK_OF_THE_DAEMON"));
    bench_close(&b);
}

/* The nth word from 1; counted from proc(5)'s third, `state`. */
static long stat_field(const struct bench *b, unsigned field)
{
    const char *at = bench_read(b, "stat");

    for (unsigned i = 3; i < field; i++) {
        at = strchr(at, ' ');
        assert_non_null(at);
        at++;
    }
    return strtol(at, NULL, 10);
}

static unsigned long long signals(const struct bench *b, const char *name)
{
    const char *at = strstr(bench_read(b, "signals"), name);

    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 16);
}

/* A controller has a real-time priority, ignores SIGPIPE and, while it starts, blocks
 * SIGTERM: all that is its own affair. */
static void an_agent_is_an_ordinary_process(void **state)
{
    enum { NICE = 19, SESSION = 6, POLICY = 41, OURS = -7 };
    const struct sched_param urgent = {.sched_priority = 1}, ordinary = {0};
    struct bench b;
    sigset_t term;

    (void)state;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (geteuid() == 0) {
        assert_int_equal(setpriority(PRIO_PROCESS, 0, OURS), 0);
        assert_int_equal(sched_setscheduler(0, SCHED_RR, &urgent), 0);
    }
    bench_open(&b, "good");
    bench_status(&b);
    sched_setscheduler(0, SCHED_OTHER, &ordinary);
    setpriority(PRIO_PROCESS, 0, 0);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &term, NULL);

    assert_int_equal(b.state, POWER_ON);
    assert_int_equal(stat_field(&b, POLICY), SCHED_OTHER);
    assert_int_equal(stat_field(&b, NICE), 0);
    assert_int_equal(stat_field(&b, SESSION), strtol(bench_read(&b, "agent"), NULL, 10));
    assert_int_equal(signals(&b, "SigBlk:") >> (SIGTERM - 1) & 1, 0);
    assert_int_equal(signals(&b, "SigIgn:") >> (SIGPIPE - 1) & 1, 0);
    bench_close(&b);
}

/* An agent that tells everything: what is quoted of it has neither the password, plain or
 * as in a URL, nor anything that would drive a terminal. */
static void what_is_quoted_holds_no_secret(void **state)
{
    struct bench b;

    (void)state;
    bench_open(&b, "tells");
    bench_secret(&b, "password", password);
    bench_status(&b);
    assert_int_equal(b.why.code, ERR_REFUSED);
    assert_string_equal(b.why.text,
                        "fencer bmc-east: " TEST_AGENT
                        " status: exit status 1: login as admin with *** / at last "
                        "?[31mred: http://admin:***@bmc/");
    bench_close(&b);
}

/* A secret is read at each use: a new one needs no restart, and one that is lost is told.
 */
static void a_secret_is_read_each_time(void **state)
{
    struct power_run *r = NULL;
    struct err err = {0};
    struct bench b;

    (void)state;
    bench_open(&b, "good");
    bench_secret(&b, "password", "first");
    bench_status(&b);
    assert_string_equal(bench_read(&b, "password"), "first");
    b.device.secret_count = 0;
    bench_secret(&b, "password", "second");
    bench_status(&b);
    assert_string_equal(bench_read(&b, "password"), "second");
    assert_int_equal(unlink(b.device.secrets[0].value), 0);
    assert_int_equal(power_off_start(&r, &b.loop, &b.device, bench_done, &b, &err),
                     ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "fencer bmc-east: secret password: "));
    assert_null(r);
    bench_close(&b);
    assert_int_equal(b.answers, 0);
}

/* Somebody who is left behind and holds the pipes open is neither waited for nor spared. */
static void who_is_left_behind_holds_nothing_up(void **state)
{
    const struct mono begin = mono_now();
    struct bench b;

    (void)state;
    bench_open(&b, "left_behind");
    bench_off(&b);
    assert_int_equal(b.state, POWER_OFF);
    assert_true(mono_since_ms(begin, mono_now()) < b.device.deadline_ms / 2);
    bench_expect_dead(&b, 2);
    bench_close(&b);
}

/* At a cancel the agent's children go with it. */
static void a_cancelled_agent_goes_with_its_children(void **state)
{
    struct power_run *r = NULL;
    struct bench b;

    (void)state;
    bench_open(&b, "hangs");
    assert_int_equal(power_off_start(&r, &b.loop, &b.device, bench_done, &b, NULL), 0);
    bench_await(&b, "pids");
    power_run_cancel(r);
    (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_int_equal(b.answers, 0);
    bench_expect_dead(&b, 1);
    bench_close(&b);
}

/* A run can be ended at any moment, between two questions too. */
static void a_cancelled_run_says_nothing(void **state)
{
    struct power_run *r = NULL;
    struct bench b;

    (void)state;
    bench_open(&b, "lies");
    assert_int_equal(power_off_start(&r, &b.loop, &b.device, bench_done, &b, NULL), 0);
    power_run_cancel(r);
    (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    for (int turns = 1; turns < 10; turns += turns) {
        assert_int_equal(power_off_start(&r, &b.loop, &b.device, bench_done, &b, NULL), 0);
        for (int i = 0; i < turns; i++)
            (void)uv_run(&b.loop, UV_RUN_ONCE);
        assert_int_equal(b.answers, 0);
        power_run_cancel(r);
        (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(b.answers, 0);
    power_run_cancel(NULL);
    bench_close(&b);
}

/* An option is what it is: nothing in it becomes a second line, which could be an order. */
static void a_value_is_one_line(void **state)
{
    struct power_run *r = NULL;
    struct err err = {0};
    struct bench b;

    (void)state;
    bench_open(&b, "good");
    bench_option(&b, "plug", "1\naction=on");
    assert_int_equal(power_off_start(&r, &b.loop, &b.device, bench_done, &b, &err),
                     ERR_INVAL);
    assert_non_null(strstr(err.text, "options.plug"));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_is_what_status_says),
        cmocka_unit_test(status_alone_orders_nothing),
        cmocka_unit_test(parameters_go_by_standard_input_alone),
        cmocka_unit_test(an_agent_is_an_ordinary_process),
        cmocka_unit_test(what_is_quoted_holds_no_secret),
        cmocka_unit_test(a_secret_is_read_each_time),
        cmocka_unit_test(who_is_left_behind_holds_nothing_up),
        cmocka_unit_test(a_cancelled_agent_goes_with_its_children),
        cmocka_unit_test(a_cancelled_run_says_nothing),
        cmocka_unit_test(a_value_is_one_line),
    };

    /* Nothing of the daemon's environment reaches an agent. */
    setenv("MARK_OF_THE_DAEMON", "1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
