/* fence_dummy of Debian's fence-agents: a machine that is a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/base/findings.h"
#include "tests/unit/methods/bench.h"

static void set_machine(struct bench *b, const char *word)
{
    char path[TREE_PATH + 16];
    FILE *f;

    snprintf(path, sizeof path, "%s/machine", b->dir);
    f = fopen(path, "we");
    assert_non_null(f);
    fputs(word, f);
    fclose(f);
}

static void open_dummy(struct bench *b, const char *type)
{
    char path[TREE_PATH + 16];

    bench_open(b, "");
    snprintf(path, sizeof path, "%s/machine", b->dir);
    b->device.option_count = 0;
    snprintf(b->device.agent, sizeof b->device.agent, "fence_dummy");
    bench_option(b, "type", type);
    bench_option(b, "status_file", path);
    set_machine(b, "on");
}

static void a_file_is_switched_off(void **state)
{
    struct bench b;

    (void)state;
    open_dummy(&b, "file");
    bench_status(&b);
    assert_int_equal(b.state, POWER_ON);
    bench_off(&b);
    if (b.state != POWER_OFF)
        fail_msg("%s", b.why.text);
    assert_non_null(strstr(bench_read(&b, "machine"), "off"));
    bench_status(&b);
    assert_int_equal(b.state, POWER_OFF);
    set_machine(&b, "on");
    bench_status(&b);
    assert_int_equal(b.state, POWER_ON);
    bench_close(&b);
}

/* An agent that always fails is quoted, and proves nothing. */
static void a_device_that_fails_is_told(void **state)
{
    struct bench b;

    (void)state;
    open_dummy(&b, "fail");
    b.device.deadline_ms = 8000;
    bench_off(&b);
    assert_int_not_equal(b.state, POWER_OFF);
    assert_int_not_equal(b.why.code, 0);
    assert_non_null(strstr(b.why.text, "fencer bmc-east: fence_dummy"));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_switched_off),
        cmocka_unit_test(a_device_that_fails_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
