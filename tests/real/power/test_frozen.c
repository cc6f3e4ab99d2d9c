/* A process that even SIGKILL does not end, as one that waits for a dead disk: here one
 * that a cgroup of version 1 has frozen. Needs root and that freezer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/methods/bench.h"

#define FREEZER "/sys/fs/cgroup/freezer"

enum { DEADLINE_MS = 4000, PATH = 128 };

static char group[PATH];

static bool put(const char *name, const char *word)
{
    char path[PATH + 32];
    FILE *f;
    bool ok;

    snprintf(path, sizeof path, "%s/%s", group, name);
    f = fopen(path, "we");
    ok = f != NULL && fputs(word, f) >= 0;
    return (f == NULL || fclose(f) == 0) && ok;
}

static bool make_group(void)
{
    snprintf(group, sizeof group, FREEZER "/rf-test-power-%d", (int)getpid());
    return mkdir(group, 0700) == 0;
}

/* The run ends nevertheless, soon after its deadline, and claims nothing. */
static void a_process_that_cannot_be_killed_holds_nobody_up(void **state)
{
    struct power_run *r = NULL;
    struct bench b;
    pid_t agent;

    (void)state;
    if (!make_group()) {
        print_message("no freezer of cgroup v1 here\n");
        skip();
    }
    bench_open(&b, "hangs");
    b.device.deadline_ms = DEADLINE_MS;
    assert_int_equal(power_off_start(&r, &b.loop, &b.device, bench_done, &b, NULL), 0);
    bench_await(&b, "pids");
    agent = (pid_t)strtol(bench_read(&b, "agent"), NULL, 10);
    assert_true(put("cgroup.procs", bench_read(&b, "agent")));
    assert_true(put("freezer.state", "FROZEN"));
    (void)uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_true(put("freezer.state", "THAWED"));
    assert_int_equal(waitpid(agent, NULL, 0), agent);
    assert_int_equal(rmdir(group), 0);

    assert_int_equal(b.answers, 1);
    assert_int_equal(b.state, POWER_UNKNOWN);
    assert_int_equal(b.why.code, ERR_TIMEOUT);
    assert_non_null(strstr(b.why.text, "hangs in the kernel"));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_cannot_be_killed_holds_nobody_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
