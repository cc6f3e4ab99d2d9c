/* fencing/gate/clock.bpf.c -- the clock that the gate reads, shown to the agent.
 *
 * In a time namespace or under libfaketime a process's CLOCK_BOOTTIME is not this one, and
 * a deadline made from it might never come. Run by bpf_prog_test_run_opts() only.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct clock_args {
    __u64 boot_ns;
};

SEC("syscall") int rf_clock(struct clock_args *args)
{
    args->boot_ns = bpf_ktime_get_boot_ns();
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
