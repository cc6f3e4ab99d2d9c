/* The agent's hand on the guard: started, adopted, replaced. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "fencing/agent/guard_link.h"
#include "fencing/guard/guard_rules.h"
#include "fencing/guard/proc.h"

enum { WAIT_MS = 10000, TICK_MS = 20 };

static char dir[64];
static uv_loop_t loop;
static struct guard_link *link_;

static void open_link(void)
{
    const struct guard_link_spec spec = {.loop = &loop,
                                         .run_dir = dir,
                                         .agent = "pg-east",
                                         .watchdog = "",
                                         .program = GUARD_BINARY};
    struct err err = {0};

    if (guard_link_open(&link_, &spec, &err) != 0)
        fail_msg("%s", err.text);
}

static void close_link(void)
{
    guard_link_close(link_);
    link_ = NULL;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

static struct guard_health health(void)
{
    struct guard_health h;

    guard_link_health(link_, &h);
    return h;
}

static void on_nothing(uv_timer_t *timer) { (void)timer; }

/* Runs the loop, with a tick as the keeper has it, until there is a guard that beats, other
 * than `other`. */
static pid_t a_guard_but(pid_t other)
{
    const struct boot since = boot_now();
    uv_timer_t tick;

    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_nothing, TICK_MS, TICK_MS);
    while (!health().there || health().pid == other) {
        if ((boot_now().ns - since.ns) / NS_PER_MS > WAIT_MS)
            fail_msg("no guard within %d ms: %s", WAIT_MS, health().problem);
        (void)uv_run(&loop, UV_RUN_ONCE);
        guard_link_tick(link_);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    return health().pid;
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/rf-guard-link-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(uv_loop_init(&loop), 0);
    return 0;
}

static int end(void **state)
{
    pid_t pid = link_ != NULL ? health().pid : 0;
    char path[128], cgroup[160];

    (void)state;
    if (link_ != NULL)
        close_link();
    if (pid > 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
    (void)snprintf(path, sizeof path, "%s/guard-pg-east.page", dir);
    (void)unlink(path);
    if (guard_cgroup_of((uint64_t)getpid(), path, sizeof path)) {
        (void)snprintf(cgroup, sizeof cgroup, "%s/guard-pg-east", path);
        (void)rmdir(cgroup);
    }
    return rmdir(dir);
}

static struct guard_order an_order(void)
{
    struct guard_order o = {.armed = 1, .open_until_ns = UINT64_MAX, .ttl_ms = 3000};

    (void)snprintf(o.group, sizeof o.group, "orders");
    return o;
}

/* A guard that is killed has a successor at once, which finds the orders. */
static void a_guard_that_dies_is_replaced(void **state)
{
    struct guard_order o = an_order(), got;
    pid_t first, second;

    (void)state;
    open_link();
    first = a_guard_but(0);
    assert_true(guard_link_order(link_, &o));
    (void)kill(first, SIGKILL);
    second = a_guard_but(first);
    assert_int_not_equal(first, second);
    assert_int_not_equal(waitpid(first, NULL, WNOHANG), 0); /* reaped: no zombie is left */
    assert_true(guard_link_read(link_, "orders", &got));
    assert_memory_equal(&got, &o, sizeof o);
}

/* One that stands still is ended and replaced; the agent does not wait for it. */
static void a_guard_that_stands_still_is_replaced(void **state)
{
    pid_t first;

    (void)state;
    open_link();
    first = a_guard_but(0);
    (void)kill(first, SIGSTOP);
    assert_int_not_equal(a_guard_but(first), first);
}

/* A restarted agent finds guard and orders as they are, and starts none. */
static void a_restart_takes_the_guard_over(void **state)
{
    struct guard_order o = an_order(), got;
    pid_t first;

    (void)state;
    open_link();
    first = a_guard_but(0);
    assert_true(guard_link_order(link_, &o));
    close_link();
    open_link();
    assert_int_equal(a_guard_but(0), first);
    assert_int_equal(health().starts, 0);
    assert_true(guard_link_read(link_, "orders", &got));
    assert_memory_equal(&got, &o, sizeof o);
    /* The end of one that was taken over is noticed as well. */
    (void)kill(first, SIGKILL);
    (void)waitpid(first, NULL, 0);
    assert_int_not_equal(a_guard_but(first), first);
}

/* A page of another version has its guard ended, and a page and a guard of ours follow. */
static void another_version_is_replaced(void **state)
{
    char path[128];
    uint32_t version = GUARD_VERSION + 1;
    FILE *f;
    pid_t first;

    (void)state;
    open_link();
    first = a_guard_but(0);
    close_link();
    (void)snprintf(path, sizeof path, "%s/guard-pg-east.page", dir);
    f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, offsetof(struct guard_page, version), SEEK_SET), 0);
    assert_int_equal(fwrite(&version, sizeof version, 1, f), 1);
    assert_int_equal(fclose(f), 0);
    open_link();
    assert_int_not_equal(a_guard_but(0), first);
    assert_int_equal(waitpid(first, NULL, 0), first);
}

/* Where there is no guard to start, nothing fails but the guard, and why is said. */
static void no_program_is_a_problem_that_is_told(void **state)
{
    const struct guard_link_spec spec = {.loop = &loop,
                                         .run_dir = dir,
                                         .agent = "pg-east",
                                         .watchdog = "",
                                         .program = "/nonexistent/guard"};
    struct err err = {0};

    (void)state;
    assert_int_equal(guard_link_open(&link_, &spec, &err), 0);
    assert_false(health().there);
    assert_non_null(strstr(health().problem, "/nonexistent/guard cannot be started"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_guard_that_dies_is_replaced, begin, end),
        cmocka_unit_test_setup_teardown(a_guard_that_stands_still_is_replaced, begin, end),
        cmocka_unit_test_setup_teardown(a_restart_takes_the_guard_over, begin, end),
        cmocka_unit_test_setup_teardown(another_version_is_replaced, begin, end),
        cmocka_unit_test_setup_teardown(no_program_is_a_problem_that_is_told, begin, end),
    };

    if (geteuid() != 0) {
        print_message("skipped: needs root\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
