/* The fallback driver: the same gate by nftables, and the hazards it has. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "fencing/gate/nft_run.h"
#include "fencing/gate/nft_text.h"
#include "tests/real/gate/lab.h"

enum { NOTICED_MS = 25, TTL_MS = 800, FROZEN_TTL_MS = 500 };

/* A freeze between the driver's reading of the clock and the kernel's call. */
static struct {
    int slow_calls; /* so many of the next calls that open something are held up */
    int hold_ms;
    bool freeze;  /* stop before the call, and for good after it */
    bool stretch; /* timeouts of an hour, as if they stood still over a suspended host */
} hazard;

int __real_nft_run(struct nft_run *run, const char *text, struct err *err);
int __wrap_nft_run(struct nft_run *run, const char *text, struct err *err);

static void stretch(char *text)
{
    for (char *at = text; (at = strstr(at, " timeout ")) != NULL; at++) {
        char *unit = strstr(at, "ms }");

        assert_non_null(unit);
        memmove(unit + 1, unit + 2, strlen(unit + 2) + 1); /* minutes */
    }
}

int __wrap_nft_run(struct nft_run *run, const char *text, struct err *err)
{
    static char longer[NFT_TEXT_MAX];
    const bool opens = strstr(text, " timeout ") != NULL;
    int r;

    if (opens && hazard.stretch) {
        (void)snprintf(longer, sizeof longer, "%s", text);
        stretch(longer);
        text = longer;
    }

    if (opens && hazard.slow_calls > 0) {
        hazard.slow_calls--;
        (void)poll(NULL, 0, hazard.hold_ms);
    }
    if (opens && hazard.freeze)
        (void)raise(SIGSTOP);
    r = __real_nft_run(run, text, err);
    if (opens && hazard.freeze)
        (void)raise(SIGSTOP);
    return r;
}

static int setup(void **state)
{
    *state = lab_gate(GATE_NFTABLES, "east", true);
    return 0;
}

static bool is_shut(int result) { return result == -ECONNREFUSED || result == -ETIMEDOUT; }

static void assert_shut(const char *target, uint16_t port)
{
    const int r = lab_call(NULL, target, port, LAB_SILENCE_MS);

    if (!is_shut(r))
        fail_msg("a call to %s ended with %d", target, r);
}

static void it_says_what_it_is(void **state)
{
    const struct gate_capabilities can = gate_capabilities(*state);
    char text[512];

    gate_describe(*state, text, sizeof text);
    print_message("%s\n", text);
    assert_int_equal(can.driver, GATE_NFTABLES);
    assert_false(can.absolute_deadline);
    assert_non_null(strstr(text, "WEAKER"));
}

static void opens_and_closes_by_port(void **state)
{
    static const char *const targets[] = {"127.0.0.1", "10.99.0.1", "::1"};

    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        const int family = i == 2 ? AF_INET6 : AF_INET;
        uint16_t port, free_port;
        const int listener = lab_listen(family, &port);
        const int beside = lab_listen(family, &free_port);
        struct lab_pair pair, unlisted;
        struct err err;

        print_message("on %s\n", targets[i]);
        assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
        assert_shut(targets[i], port);
        unlisted = lab_connect(beside, NULL, targets[i], free_port);
        assert_true(lab_echo(&unlisted, LAB_ANSWER_MS));
        (void)lab_open(*state, port, 1, 5000);
        pair = lab_connect(listener, NULL, targets[i], port);
        assert_true(lab_echo(&pair, LAB_ANSWER_MS));
        assert_int_equal(gate_close(*state, port, 1, &err), 0);
        assert_false(lab_echo(&pair, LAB_SILENCE_MS));
        assert_int_equal(gate_unmanage(*state, port, &err), 0);
        lab_hang_up(&pair);
        lab_hang_up(&unlisted);
        (void)close(listener);
        (void)close(beside);
    }
}

struct life {
    uint16_t port;
    int tell;
};

static void arm_and_freeze(void *arg)
{
    const struct life *life = arg;
    struct gate *gate = lab_gate(GATE_NFTABLES, "east", true);
    struct err err;
    struct boot deadline;

    if (gate_manage(gate, life->port, NULL, 0, &err) != 0)
        _exit(2);
    deadline = lab_open(gate, life->port, 1, TTL_MS);
    if (write(life->tell, &deadline, sizeof deadline) != (ssize_t)sizeof deadline)
        _exit(3);
}

static void clean_up(void)
{
    struct gate *gate = lab_gate(GATE_NFTABLES, "east", true);
    struct err err;

    assert_true(gate_was_adopted(gate));
    assert_int_equal(gate_detach(gate, &err), 0);
}

static void closes_with_the_owner_frozen_or_killed(void **state)
{
    (void)state;
    for (int kill_it = 0; kill_it <= 1; kill_it++) {
        uint16_t port;
        const int listener = lab_listen(AF_INET, &port);
        int pipes[2];
        struct life life;
        struct boot deadline, last;
        struct lab_pair pair;
        pid_t agent;

        assert_int_equal(pipe(pipes), 0);
        life = (struct life){.port = port, .tell = pipes[1]};
        agent = lab_frozen(arm_and_freeze, &life);
        assert_int_equal(read(pipes[0], &deadline, sizeof deadline), sizeof deadline);
        pair = lab_connect(listener, NULL, "127.0.0.1", port);
        if (kill_it)
            lab_kill(agent);
        last = lab_last_echo(&pair, (struct boot){deadline.ns + 1000ull * NS_PER_MS});
        print_message("%s: last round trip %.3f ms from the deadline\n",
                      kill_it ? "killed" : "frozen",
                      ((double)last.ns - (double)deadline.ns) / NS_PER_MS);
        assert_true(last.ns <= deadline.ns + (uint64_t)NOTICED_MS * NS_PER_MS);
        assert_true(last.ns + 300ull * NS_PER_MS >= deadline.ns);
        if (!kill_it)
            lab_kill(agent);
        clean_up();
        lab_hang_up(&pair);
        (void)close(listener);
        (void)close(pipes[0]);
        (void)close(pipes[1]);
    }
}

/* The hazard of `add; delete; add`: a renewal that comes after expiry must fail and leave
 * it closed, even when the caller's clock says that the lease has not ended. */
static void a_late_renewal_does_not_open(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    struct boot deadline;
    struct lab_pair pair;
    struct err err;
    int r = 0;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    deadline = lab_open(*state, port, 1, 300);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    (void)lab_last_echo(&pair, (struct boot){deadline.ns + 50ull * NS_PER_MS});
    lease.deadline = (struct boot){boot_now().ns + 3000ull * NS_PER_MS};
    r = gate_arm(*state, port, &lease, GATE_RENEW, &err);
    assert_int_equal(r, ERR_CLOSED);
    assert_shut("127.0.0.1", port);
    (void)lab_open(*state, port, 1, 3000);
    lab_hang_up(&pair);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    lab_hang_up(&pair);
    (void)close(listener);
}

/* The element expires some ms before the lease's end; in that window the front's clock
 * check lets a renewal through, and only the kernel's ENOENT keeps the gate closed. */
static void the_kernel_refuses_what_expired_in_the_margin(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    struct boot deadline;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    deadline = lab_open(*state, port, 1, 300);
    while (boot_now().ns + 10ull * NS_PER_MS < deadline.ns)
        (void)poll(NULL, 0, 1);
    lease.deadline = (struct boot){deadline.ns + 3000ull * NS_PER_MS};
    assert_int_equal(gate_arm(*state, port, &lease, GATE_RENEW, &err), ERR_CLOSED);
    assert_shut("127.0.0.1", port);
    (void)close(listener);
}

/* Held up between the clock and the call, the lease would last longer by that: it is
 * written again, and ends when it should. Held up every time, it is closed. */
static void a_held_up_write_is_taken_back(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    struct boot deadline, last;
    struct lab_pair pair;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    hazard.hold_ms = 250;
    hazard.slow_calls = 1;
    deadline = lab_open(*state, port, 1, TTL_MS);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    last = lab_last_echo(&pair, (struct boot){deadline.ns + 800ull * NS_PER_MS});
    print_message("last round trip %.3f ms from the deadline\n",
                  ((double)last.ns - (double)deadline.ns) / NS_PER_MS);
    assert_true(last.ns <= deadline.ns + (uint64_t)NOTICED_MS * NS_PER_MS);

    hazard.slow_calls = 10;
    hazard.hold_ms = 330; /* longer than the longest margin */
    lease.deadline = (struct boot){boot_now().ns + 5000ull * NS_PER_MS};
    assert_int_equal(gate_arm(*state, port, &lease, GATE_REOPEN, &err), ERR_TIMEOUT);
    hazard.slow_calls = 0;
    assert_shut("127.0.0.1", port);
    lab_hang_up(&pair);
    (void)close(listener);
}

static void freeze_around_the_call(void *arg)
{
    const struct life *life = arg;
    struct gate *gate = lab_gate(GATE_NFTABLES, "east", true);
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    struct err err;

    if (gate_manage(gate, life->port, NULL, 0, &err) != 0)
        _exit(2);
    lease.deadline = (struct boot){boot_now().ns + (uint64_t)FROZEN_TTL_MS * NS_PER_MS};
    if (write(life->tell, &lease.deadline, sizeof lease.deadline) < 0)
        _exit(3);
    hazard.freeze = true;
    if (gate_arm(gate, life->port, &lease, GATE_REOPEN, &err) == 0)
        _exit(4); /* never gets that far */
}

/* Frozen between clock and call, thawed for the call alone and frozen again: nobody is left
 * to take it back, and nothing was opened that would have to be. */
static void a_late_call_opens_nothing(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    int pipes[2], status;
    struct life life;
    struct boot deadline;
    pid_t agent;

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    life = (struct life){.port = port, .tell = pipes[1]};
    agent = lab_frozen(freeze_around_the_call, &life);
    assert_int_equal(read(pipes[0], &deadline, sizeof deadline), sizeof deadline);
    while (boot_now().ns < deadline.ns)
        (void)poll(NULL, 0, 5);
    (void)kill(agent, SIGCONT);
    assert_int_equal(waitpid(agent, &status, WUNTRACED), agent);
    assert_true(WIFSTOPPED(status));
    assert_shut("127.0.0.1", port);
    lab_kill(agent);
    clean_up();
    (void)close(listener);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

/* Timeouts stand still while a host is suspended; the wall clock goes on, and closes what
 * is over by it, to the second. */
static void the_wall_clock_is_a_second_bound(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct boot deadline, last;
    struct lab_pair pair;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    hazard.stretch = true;
    deadline = lab_open(*state, port, 1, TTL_MS);
    hazard.stretch = false;
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    last = lab_last_echo(&pair, (struct boot){deadline.ns + 3000ull * NS_PER_MS});
    print_message("last round trip %.3f ms from the deadline\n",
                  ((double)last.ns - (double)deadline.ns) / NS_PER_MS);
    assert_true(last.ns + (uint64_t)NOTICED_MS * NS_PER_MS >= deadline.ns);
    assert_true(last.ns <= deadline.ns + (uint64_t)(1000 + NOTICED_MS) * NS_PER_MS);
    lab_hang_up(&pair);
    (void)close(listener);
}

/* `nft flush ruleset`, the classic: with an owned, persistent table it changes nothing;
 * without (before Linux 6.9) it opens the gate, which the capabilities say. */
static void a_flush_does_what_is_said(void **state)
{
    const char *flush[] = {"nft", "flush", "ruleset", NULL};
    const bool survives = gate_capabilities(*state).survives_flush;
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    struct lab_pair pair;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    assert_int_equal(lab_run(flush), 0);
    print_message("%s\n", survives ? "survives" : "opened, as said");
    if (!survives) {
        assert_true(lab_call(NULL, "127.0.0.1", port, LAB_SILENCE_MS) >= 0);
        skip();
    }
    assert_shut("127.0.0.1", port);
    (void)lab_open(*state, port, 1, 5000);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    assert_int_equal(lab_run(flush), 0);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(lab_arm(*state, port, &lease, 5000, GATE_RENEW), 0);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    lab_hang_up(&pair);
    (void)close(listener);
}

static void replication_passes_peers_only(void **state)
{
    const struct gate_addr peers[] = {lab_addr("127.0.0.2"), lab_addr("::1")};
    const struct gate_lease standby = {
        .epoch = 3, .mode = GATE_REPLICATION, .deadline = GATE_FOREVER};
    uint16_t port;
    const int listener = lab_listen(AF_INET6, &port);
    struct lab_pair four, six;
    struct err err;

    assert_int_equal(gate_manage(*state, port, peers, 2, &err), 0);
    assert_int_equal(gate_arm(*state, port, &standby, GATE_REOPEN, &err), 0);
    four = lab_connect(listener, "127.0.0.2", "127.0.0.1", port);
    six = lab_connect(listener, NULL, "::1", port);
    assert_true(lab_echo(&four, LAB_ANSWER_MS));
    assert_true(lab_echo(&six, LAB_ANSWER_MS));
    assert_int_equal(lab_call("127.0.0.3", "127.0.0.1", port, LAB_ANSWER_MS),
                     -ECONNREFUSED);
    assert_int_equal(gate_set_peers(*state, port, &peers[1], 1, &err), 0);
    assert_false(lab_echo(&four, LAB_SILENCE_MS));
    assert_true(lab_echo(&six, LAB_ANSWER_MS));
    lab_hang_up(&four);
    lab_hang_up(&six);
    (void)close(listener);
}

/* Epochs, fences and restarts, as with the other driver. */
static void fences_and_is_adopted(void **state)
{
    struct gate *gate = lab_gate(GATE_NFTABLES, "east", true);
    uint16_t port, live;
    const int listener = lab_listen(AF_INET, &port), other = lab_listen(AF_INET, &live);
    struct gate_lease lease = {.epoch = 1ull << 33, .mode = GATE_OPEN};
    char before[GATE_ID_TEXT_SIZE], after[GATE_ID_TEXT_SIZE];
    struct gate_proof proof;
    struct gate_state now;
    struct lab_pair pair;
    struct boot deadline;
    struct err err;

    (void)state;
    gate_id_text(gate, before);
    assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
    (void)lab_open(gate, port, lease.epoch, 10000);
    assert_int_equal(gate_fence(gate, port, lease.epoch, &proof, &err), 0);
    assert_int_equal(gate_fence(gate, port, lease.epoch, &proof, &err), 0);
    lease.deadline = (struct boot){boot_now().ns + 10000ull * NS_PER_MS};
    assert_int_equal(gate_arm(gate, port, &lease, GATE_REOPEN, &err), ERR_STALE);
    assert_shut("127.0.0.1", port);
    pair = lab_connect(other, NULL, "127.0.0.1", live);
    lease.epoch = 5;
    assert_int_equal(gate_manage_live(gate, live, NULL, 0, &lease, &err), 0);
    deadline = lease.deadline;
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    gate_free(gate);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));

    gate = lab_gate(GATE_NFTABLES, "east", true);
    assert_true(gate_was_adopted(gate));
    gate_id_text(gate, after);
    assert_string_equal(before, after);
    assert_int_equal(gate_read(gate, port, &now, &err), 0);
    assert_true(now.fenced);
    assert_true(now.epoch == 1ull << 33);
    assert_int_equal(gate_read(gate, live, &now, &err), 0);
    assert_int_equal(now.mode, GATE_OPEN);
    assert_true(now.deadline.ns <= deadline.ns);
    assert_true(now.deadline.ns + 500ull * NS_PER_MS > deadline.ns);
    assert_int_equal(lab_arm(gate, live, &lease, 10000, GATE_RENEW), 0);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    (void)lab_open(gate, port, (1ull << 33) + 1, 5000);
    lab_hang_up(&pair);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(gate_try(gate, 0, &err), 0);
    assert_int_equal(gate_detach(gate, &err), 0);
    lab_hang_up(&pair);
    (void)close(listener);
    (void)close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_says_what_it_is, setup, lab_teardown),
        cmocka_unit_test_setup_teardown(opens_and_closes_by_port, setup, lab_teardown),
        cmocka_unit_test(closes_with_the_owner_frozen_or_killed),
        cmocka_unit_test_setup_teardown(a_late_renewal_does_not_open, setup, lab_teardown),
        cmocka_unit_test_setup_teardown(the_kernel_refuses_what_expired_in_the_margin,
                                        setup, lab_teardown),
        cmocka_unit_test_setup_teardown(a_held_up_write_is_taken_back, setup, lab_teardown),
        cmocka_unit_test(a_late_call_opens_nothing),
        cmocka_unit_test_setup_teardown(the_wall_clock_is_a_second_bound, setup,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(a_flush_does_what_is_said, setup, lab_teardown),
        cmocka_unit_test_setup_teardown(replication_passes_peers_only, setup, lab_teardown),
        cmocka_unit_test(fences_and_is_adopted),
    };

    return lab_run_tests("nft", tests, ARRAY_LEN(tests));
}
