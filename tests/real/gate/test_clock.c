/* A process whose boot clock is not the kernel's must get no gate. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
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

/* ---- libfaketime ------------------------------------------------------------------------
 */

static const char faketime[] = "/usr/lib/" ARCHITECTURE "/faketime/libfaketime.so.1";

enum { DRIFT_MS = 100, HALF_RATE_PORT = 20001 };

/* What this program is when it is run under libfaketime: 0 got a lease, 1 was refused for
 * its clock, 2 anything else. */
static int live_faked(const char *driver, const char *cgroup, const char *run_dir)
{
    const struct gate_config config = {.driver = strcmp(driver, "nft") == 0 ? GATE_NFTABLES
                                                                            : GATE_BPF,
                                       .cgroup = cgroup,
                                       .run_dir = run_dir,
                                       .agent = "clock"};
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    struct gate *gate = NULL;
    struct err err;
    int r = gate_open(&gate, &config, &err);

    if (r == 0)
        r = gate_manage(gate, HALF_RATE_PORT, NULL, 0, &err);
    if (r == 0) { /* a clock that is only slow is right at first */
        (void)poll(NULL, 0, DRIFT_MS);
        lease.deadline.ns = boot_now().ns + 10000ull * NS_PER_MS;
        r = gate_arm(gate, HALF_RATE_PORT, &lease, GATE_REOPEN, &err);
    }
    if (gate != NULL && gate_detach(gate, NULL) != 0)
        return 2;
    if (r != 0)
        (void)fprintf(stderr, "%s\n", err.text);
    return r == 0 ? 0 : r == ERR_UNSUPPORTED && strstr(err.text, "clock") != NULL ? 1 : 2;
}

static int run_faked(const char *fake, const char *driver)
{
    int status;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        /* Sanitizers want to be first among what is preloaded. */
        (void)setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
        (void)setenv("LD_PRELOAD", faketime, 1);
        (void)setenv("FAKETIME", fake, 1);
        (void)execl("/proc/self/exe", "test_gate_clock", driver, lab_cgroup(NULL),
                    lab_run_dir(), (char *)NULL);
        _exit(3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_faked_clock_is_refused(void **state)
{
    (void)state;
    if (access(faketime, F_OK) != 0)
        skip();
    for (int nft = 0; nft <= 1; nft++) {
        const char *driver = nft ? "nft" : "bpf";

        assert_int_equal(run_faked("+1000", driver), 1);
        assert_int_equal(run_faked("+0 x0.5", driver), 1);
        assert_int_equal(run_faked("+0 x2", driver), 1);
    }
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shifted_time_namespace_is_refused),
        cmocka_unit_test(a_faked_clock_is_refused),
        cmocka_unit_test(the_rate_of_this_host_is_known),
    };

    if (argc == 4)
        return live_faked(argv[1], argv[2], argv[3]);
    return lab_run_tests("clock", tests, ARRAY_LEN(tests));
}
