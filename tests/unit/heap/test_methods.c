/* Fence agents: every allocation of ours fails once, from the start of a run to its answer.
 * No failure looks like a host that is off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "controller/base/findings.h"
#include "tests/unit/heap/each.h"
#include "tests/unit/heap/heap.h"
#include "tests/unit/methods/bench.h"

static struct bench b;

static void run_dry(void) { (void)uv_run(&b.loop, UV_RUN_DEFAULT); }

/* To its answer, where it has begun. */
static int answer(int started, enum power_state wanted, struct err *err)
{
    if (started != 0)
        return started;
    run_dry();
    assert_int_equal(b.answers, 1);
    b.answers = 0;
    if (b.why.code == 0) {
        assert_int_equal(b.state, wanted);
        return 0;
    }
    assert_int_not_equal(b.state, POWER_OFF);
    *err = b.why;
    return b.why.code;
}

static int try_off(struct err *err)
{
    struct power_run *r = NULL;

    return answer(power_off_start(&r, &b.loop, &b.device, bench_done, &b, err), POWER_OFF,
                  err);
}

static int try_status(struct err *err)
{
    struct power_run *r = NULL;

    return answer(power_status_start(&r, &b.loop, &b.device, bench_done, &b, err),
                  POWER_OFF, err);
}

static void on_finding(void *owner, bool is_error, const char *key, const char *text)
{
    struct err *err = owner;

    (void)is_error;
    (void)key;
    if (err->code == 0)
        (void)err_set(err, strstr(text, "memory") != NULL ? ERR_NOMEM : ERR_INVAL, "%s",
                      text);
}

static int try_check(struct err *err)
{
    struct findings f = {.say = on_finding, .owner = err};

    err->code = 0;
    power_devices_check(&b.device, 1, "fencers", false, &f);
    return err->code;
}

/* An `off` that could not be kept in memory is asked about like any other. */
static const struct heap_case cases[] = {
    {"power_off_start", try_off, true},
    {"power_status_start", try_status, false},
    {"power_devices_check", try_check, false},
};

static void each_part(void **state)
{
    (void)state;
    bench_open(&b, "good");
    bench_secret(&b, "password", "x");
    heap_each(cases, ARRAY_LEN(cases), run_dry);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
