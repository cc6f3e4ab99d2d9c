/* An agent that is stopped between any two system calls of a renewal, or of a first
 * opening, until the lease that it was writing is over: no packet passes after that lease's
 * deadline, not while it is stopped, not when it goes on for one call more and is stopped
 * again, and not when it has done all of it.
 *
 * A child runs the shipped gate and is traced: each entry of a system call is a place to be
 * stopped at, each in turn. Meanwhile a thread sends datagrams to the port and from it,
 * each with the time of its sending: what arrives was judged later than that, so a stamp
 * behind the deadline is a packet that passed too late, whatever the machine was doing. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/gate/lab.h"

enum {
    OVER_MS = 3, /* a stop ends so long after the deadline */
    ROOMY_MS = 1000,
    AGAIN_MS = 4,    /* the second stop, one call later */
    PAUSE_US = 40,   /* between two datagrams */
    CALLS_MAX = 400, /* of one renewal */
};

/* nftables takes its time on a busy machine, and would rather not open at all. */
static const struct times {
    uint64_t first_ms; /* the lease that is renewed, or opened */
    uint64_t more_ms;  /* by so much */
} times[] = {[GATE_BPF] = {60, 40}, [GATE_NFTABLES] = {160, 60}};

/* ---- packets ---------------------------------------------------------------------------
 */

static struct {
    pthread_t thread;
    int server, client; /* connected to one another; the server's port is gated */
    uint16_t port;
    bool stop;
    uint64_t newest; /* stamp of those that passed */
} probe;

static void send_stamp(int fd)
{
    const struct boot now = boot_now();

    (void)send(fd, &now, sizeof now, MSG_DONTWAIT); /* the gate's EPERM is no news */
}

static void take_stamps(int fd)
{
    struct boot stamp;

    while (recv(fd, &stamp, sizeof stamp, MSG_DONTWAIT) == (ssize_t)sizeof stamp)
        if (stamp.ns > __atomic_load_n(&probe.newest, __ATOMIC_SEQ_CST))
            __atomic_store_n(&probe.newest, stamp.ns, __ATOMIC_SEQ_CST);
}

static void *run_probe(void *arg)
{
    const struct timespec pause = {.tv_nsec = PAUSE_US * 1000L};

    (void)arg;
    while (!__atomic_load_n(&probe.stop, __ATOMIC_SEQ_CST)) {
        send_stamp(probe.client);
        send_stamp(probe.server);
        take_stamps(probe.client);
        take_stamps(probe.server);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static int bound(struct sockaddr_in *ret_addr)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *ret_addr;

    *ret_addr = (struct sockaddr_in){.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)ret_addr, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_addr, &size), 0);
    return fd;
}

static void start_probe(void)
{
    struct sockaddr_in server, client;

    memset(&probe, 0, sizeof probe);
    probe.server = bound(&server);
    probe.client = bound(&client);
    probe.port = ntohs(server.sin_port);
    assert_int_equal(connect(probe.server, (struct sockaddr *)&client, sizeof client), 0);
    assert_int_equal(connect(probe.client, (struct sockaddr *)&server, sizeof server), 0);
}

static void run_probes(void)
{
    assert_int_equal(pthread_create(&probe.thread, NULL, run_probe, NULL), 0);
}

static void end_probe(void)
{
    __atomic_store_n(&probe.stop, true, __ATOMIC_SEQ_CST);
    (void)pthread_join(probe.thread, NULL);
    (void)close(probe.server);
    (void)close(probe.client);
}

static struct boot newest(void)
{
    return (struct boot){__atomic_load_n(&probe.newest, __ATOMIC_SEQ_CST)};
}

static void wait_until(struct boot at)
{
    while (boot_now().ns < at.ns)
        (void)poll(NULL, 0, 1);
}

static void wait_ms(uint64_t ms)
{
    wait_until((struct boot){boot_now().ns + ms * NS_PER_MS});
}

/* ---- the agent -------------------------------------------------------------------------
 */

/* Shared with the child. */
struct round {
    enum gate_driver driver;
    bool roomy;         /* the lease in question is long */
    bool first;         /* a first opening of its epoch; else a renewal */
    struct boot before; /* the deadline of the lease in force; 0: none */
    struct gate_lease lease;
    int result;
};

/* Stops three times a round: before it, before the call in question, and after it. */
static void live(struct round *r)
{
    struct gate *gate = lab_gate(r->driver, "east", false);
    const struct times *t = &times[r->driver];
    struct err err;
    uint64_t epoch = 1;

    if (gate_manage(gate, probe.port, NULL, 0, &err) != 0)
        _exit(2);
    for (;;) {
        (void)raise(SIGSTOP);
        r->before = (struct boot){0};
        if (!r->first)
            r->before = lab_open(gate, probe.port, epoch, t->first_ms);
        else
            epoch++;
        r->lease = (struct gate_lease){.epoch = epoch, .mode = GATE_OPEN};
        r->lease.deadline.ns =
            r->first ? boot_now().ns + (r->roomy ? ROOMY_MS : t->first_ms) * NS_PER_MS
                     : r->before.ns + (r->roomy ? ROOMY_MS : t->more_ms) * NS_PER_MS;
        (void)raise(SIGSTOP);
        r->result = gate_arm(gate, probe.port, &r->lease,
                             r->first ? GATE_REOPEN : GATE_RENEW, &err);
        (void)raise(SIGSTOP);
    }
}

static pid_t agent;

static int next_stop(enum __ptrace_request how)
{
    int status;

    assert_int_equal(ptrace(how, agent, NULL, NULL), 0);
    assert_int_equal(waitpid(agent, &status, 0), agent);
    if (!WIFSTOPPED(status))
        fail_msg("the agent ended with status %d", status);
    return WSTOPSIG(status);
}

static void run_to_mark(void) { assert_int_equal(next_stop(PTRACE_CONT), SIGSTOP); }

static bool is_entry(void)
{
    struct __ptrace_syscall_info info;

    return ptrace(PTRACE_GET_SYSCALL_INFO, agent, sizeof info, &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

/* Before its next system call. False: it is at its mark instead. */
static bool run_to_call(void)
{
    int signal;

    do
        signal = next_stop(PTRACE_SYSCALL);
    while (signal == (SIGTRAP | 0x80) && !is_entry());
    return signal != SIGSTOP;
}

static void start_agent(struct round *r)
{
    int status;

    agent = fork();
    assert_true(agent >= 0);
    if (agent == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(3);
        live(r);
    }
    assert_int_equal(waitpid(agent, &status, 0), agent);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, agent, NULL, PTRACE_O_TRACESYSGOOD), 0);
}

static void assert_over(const char *when, unsigned call, struct boot deadline)
{
    const struct boot last = newest();

    if (last.ns > deadline.ns)
        fail_msg("call %u, %s: a packet passed %.3f ms after the deadline", call, when,
                 (double)(last.ns - deadline.ns) / NS_PER_MS);
}

/* Stopped before its `call`-th system call. False: it makes fewer. */
static bool stop_at(struct round *r, unsigned call)
{
    bool more = true;

    run_to_mark(); /* before the call in question */
    for (unsigned i = 0; i <= call && more; i++)
        more = run_to_call();
    if (more) {
        wait_until((struct boot){r->lease.deadline.ns + OVER_MS * NS_PER_MS});
        assert_over("stopped", call, call == 0 ? r->before : r->lease.deadline);
        more = run_to_call();
        wait_ms(AGAIN_MS);
        assert_over("stopped again", call, r->lease.deadline);
        if (more)
            run_to_mark();
        more = true;
        wait_ms(1);
        assert_over("at the end", call, r->lease.deadline);
    }
    run_to_mark(); /* before the next round */
    return more;
}

static void clean_up(enum gate_driver driver)
{
    struct gate *gate;
    struct err err;

    lab_kill(agent);
    gate = lab_gate(driver, "east", false);
    assert_int_equal(gate_detach(gate, &err), 0);
}

/* Stopped nowhere it does open, or nothing was tried at all. */
static void assert_opens(struct round *r)
{
    unsigned tries = 0;

    r->roomy = true;
    do {
        assert_true(tries++ < LAB_TRIES);
        run_to_mark();
        run_to_mark();
        if (r->result != 0)
            run_to_mark();
    } while (r->result != 0);
    wait_until((struct boot){r->lease.deadline.ns + OVER_MS * NS_PER_MS});
    assert_over("not stopped", 0, r->lease.deadline);
    assert_true(newest().ns > r->before.ns);
}

/* At every `each`th call. */
static void any_call_is_a_place_to_stop(enum gate_driver driver, bool first, unsigned each)
{
    struct round *r =
        mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned call = 0;

    assert_ptr_not_equal(r, MAP_FAILED);
    *r = (struct round){.driver = driver, .first = first};
    start_probe();
    start_agent(r);
    run_probes();
    while (stop_at(r, call)) {
        call += each;
        assert_true(call < CALLS_MAX);
    }
    print_message("%u calls\n", call);
    assert_true(call > 3);
    assert_opens(r);
    end_probe();
    clean_up(driver);
    (void)munmap(r, sizeof *r);
}

static void a_renewal_by_ebpf(void **state)
{
    (void)state;
    any_call_is_a_place_to_stop(GATE_BPF, false, 1);
}

static void a_first_opening_by_ebpf(void **state)
{
    (void)state;
    any_call_is_a_place_to_stop(GATE_BPF, true, 1);
}

static void a_renewal_by_nftables(void **state)
{
    (void)state;
    any_call_is_a_place_to_stop(GATE_NFTABLES, false, 1);
}

/* Its second half are the calls of a renewal; every third is enough for the rest. */
static void a_first_opening_by_nftables(void **state)
{
    (void)state;
    any_call_is_a_place_to_stop(GATE_NFTABLES, true, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewal_by_ebpf),
        cmocka_unit_test(a_first_opening_by_ebpf),
        cmocka_unit_test(a_renewal_by_nftables),
        cmocka_unit_test(a_first_opening_by_nftables),
    };

    return lab_run_tests("stopped", tests, ARRAY_LEN(tests));
}
