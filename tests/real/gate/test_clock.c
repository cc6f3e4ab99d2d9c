/* A process whose boot clock is not the kernel's must get no gate. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/real/gate/lab.h"

static int open_gate(enum gate_driver driver, struct err *err)
{
    const struct gate_config config = {
        .driver = driver,
        .cgroup = lab_cgroup(NULL),
        .run_dir = lab_run_dir(),
        .agent = "clock",
    };
    struct gate *gate = NULL;
    int r = gate_open(&gate, &config, err);

    if (r == 0)
        r = gate_clock_check(gate, err);
    if (gate != NULL && gate_detach(gate, NULL) != 0)
        return ERR_IO;
    return r;
}

/* The exit status of a child that lives in a time namespace `seconds` ahead: 0 opened,
 * 1 refused for its clock, 2 anything else. */
static int in_time_namespace(const char *seconds, enum gate_driver driver)
{
    int status;
    const pid_t child = fork();

    if (child == 0) {
        char line[64];
        int fd, length = snprintf(line, sizeof line, "boottime %s 0\n", seconds);

        if (unshare(CLONE_NEWTIME) != 0)
            _exit(LAB_SKIP);
        fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, line, (size_t)length) != length)
            _exit(3);
        const pid_t inside = fork(); /* children of ours live there */

        if (inside == 0) {
            struct err err;
            const int r = open_gate(driver, &err);

            if (r == ERR_UNSUPPORTED && strstr(err.text, "clock") != NULL)
                _exit(1);
            if (r != 0)
                (void)fprintf(stderr, "%s\n", err.text);
            _exit(r == 0 ? 0 : 2);
        }
        if (waitpid(inside, &status, 0) != inside || !WIFEXITED(status))
            _exit(4);
        _exit(WEXITSTATUS(status));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_shifted_time_namespace_is_refused(void **state)
{
    (void)state;
    assert_int_equal(in_time_namespace("0", GATE_BPF),
                     0); /* it is the shift that matters */
    assert_int_equal(in_time_namespace("1000", GATE_BPF), 1);
    assert_int_equal(in_time_namespace("1000", GATE_NFTABLES), 1);
}

static void the_rate_of_this_host_is_known(void **state)
{
    int32_t ppm = INT32_MAX;
    struct err err;

    (void)state;
    assert_int_equal(gate_clock_rate_ppm(&ppm, &err), 0);
    assert_true(ppm > -100000 && ppm < 100000);
    print_message("%d ppm\n", ppm);
    assert_int_equal(gate_clock_rate_check((uint32_t)abs(ppm) * 2 + 2, &err), 0);
    if (ppm != 0)
        assert_int_equal(gate_clock_rate_check((uint32_t)abs(ppm), &err), ERR_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shifted_time_namespace_is_refused),
        cmocka_unit_test(the_rate_of_this_host_is_known),
    };

    return lab_run_tests("clock", tests, ARRAY_LEN(tests));
}
