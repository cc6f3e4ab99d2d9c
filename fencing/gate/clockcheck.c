#include "fencing/gate/clockcheck.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "clock.skel.h"
#include "controller/base/clock.h"
#include "fencing/gate/gate.h"

/* The helper reads the kernel's lock-free clock, which may be some microseconds off while
 * the clock is being adjusted; an offset that harms a lease is a thousand times that. */
enum { CLOCK_SLACK_NS = 1000000 };

struct clockcheck {
    struct clock_bpf *kernel; /* NULL: user space only */
};

int clockcheck_open(struct clockcheck **ret_check, bool kernel, struct err *err)
{
    struct clockcheck *check = calloc(1, sizeof *check);

    if (check == NULL)
        return err_set(err, ERR_NOMEM, "clock check");
    if (kernel) {
        check->kernel = clock_bpf__open_and_load();
        if (check->kernel == NULL) {
            const int errno_value = errno;

            free(check);
            if (errno_value == ENOMEM) /* no reason for the weaker driver, see load() */
                return err_set(err, ERR_NOMEM, "load the clock program");
            return err_set(err, ERR_UNSUPPORTED, "load the clock program: errno %d",
                           errno_value);
        }
    }
    *ret_check = check;
    return 0;
}

void clockcheck_close(struct clockcheck *check)
{
    if (check == NULL)
        return;
    clock_bpf__destroy(check->kernel);
    free(check);
}

/* Past any library that was preloaded and past the vDSO. */
static struct boot boot_by_system_call(void)
{
    struct timespec t = {0};

    (void)syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &t);
    return (struct boot){(uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec};
}

/* "boottime  1000  0" in a time namespace that is shifted; zeros or no file else. */
static bool in_shifted_time_namespace(void)
{
    FILE *file = fopen("/proc/self/timens_offsets", "re");
    char line[128];
    bool shifted = false;

    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL) {
        static const char clock[] = "boottime";
        char *rest;
        long long seconds, ns;

        if (strncmp(line, clock, sizeof clock - 1) != 0)
            continue;
        seconds = strtoll(line + sizeof clock - 1, &rest, 10);
        ns = strtoll(rest, NULL, 10);
        shifted = seconds != 0 || ns != 0;
    }
    (void)fclose(file);
    return shifted;
}

static int read_kernel(struct clockcheck *check, struct boot *ret_boot, struct err *err)
{
    struct {
        uint64_t boot_ns;
    } args = {0};
    LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof args);

    if (check->kernel == NULL) {
        if (in_shifted_time_namespace())
            return err_set(err, ERR_UNSUPPORTED,
                           "this process is in a time namespace with another boot clock");
        *ret_boot = boot_by_system_call();
        return 0;
    }
    if (bpf_prog_test_run_opts(bpf_program__fd(check->kernel->progs.rf_clock), &opts) != 0)
        return err_errno(err, errno, "read the kernel's clock");
    *ret_boot = (struct boot){args.boot_ns};
    return 0;
}

int clockcheck_run(struct clockcheck *check, struct err *err)
{
    const struct boot before = boot_now();
    struct boot kernel = {0}, after;
    int r = read_kernel(check, &kernel, err);

    if (r != 0)
        return r;
    after = boot_now();
    /* The kernel's reading was made between our two: no other tolerance is needed, however
     * long this thread was held up in between. */
    if (kernel.ns + CLOCK_SLACK_NS < before.ns || kernel.ns > after.ns + CLOCK_SLACK_NS)
        return err_set(err, ERR_UNSUPPORTED,
                       "this process's boot clock (%" PRIu64 " ms) is not the kernel's "
                       "(%" PRIu64 " ms): time namespace or libfaketime? No lease can be "
                       "enforced",
                       after.ns / NS_PER_MS, kernel.ns / NS_PER_MS);
    return 0;
}

/* tick: microseconds per tick of USER_HZ, 10000 when nobody steers it;
 * freq: parts per million, scaled by 2^16. */
int gate_clock_rate_ppm(int32_t *ret_ppm, struct err *err)
{
    struct timex t = {.modes = 0};
    const long nominal = 1000000 / sysconf(_SC_CLK_TCK);
    long ppm;

    if (adjtimex(&t) < 0)
        return err_errno(err, errno, "adjtimex");
    ppm = (t.tick - nominal) * (1000000 / nominal) + t.freq / 65536;
    *ret_ppm = (int32_t)ppm;
    return 0;
}

int gate_clock_rate_check(uint32_t rho_ppm, struct err *err)
{
    int32_t ppm = 0;
    int r = gate_clock_rate_ppm(&ppm, err);

    if (r != 0)
        return r;
    if ((uint32_t)labs((long)ppm) > rho_ppm / 2)
        return err_set(err, ERR_REFUSED,
                       "the clock is being slewed by %" PRId32 " ppm; the limit is %" PRIu32
                       " (chrony: maxslewrate 1000)",
                       ppm, rho_ppm / 2);
    return 0;
}
