/* I3 with eBPF: what passes, until when, and that nobody has to be alive for it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/gate/lab.h"

/* Between the kernel's verdict and our noticing of a round trip; the machine may be busy.
 */
enum { NOTICED_MS = 25, TTL_MS = 700, RENEWALS = 1000, ROUNDS = 10, RENEWAL_MAX_US = 100 };

/* A port that nobody manages passes, beside a closed one. */
static void an_unlisted_port_passes(void **state)
{
    uint16_t open, closed;
    const int a = lab_listen(AF_INET, &open), b = lab_listen(AF_INET, &closed);
    struct err err;
    struct lab_pair pair;

    assert_int_equal(gate_manage(*state, closed, NULL, 0, &err), 0);
    pair = lab_connect(a, NULL, "127.0.0.1", open);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(lab_call(NULL, "127.0.0.1", closed, LAB_SILENCE_MS), -ETIMEDOUT);
    lab_hang_up(&pair);
    (void)close(a);
    (void)close(b);
}

/* Closed is closed over every address and both families, for connections too that were
 * there before the gate. */
static void a_managed_port_is_closed_until_opened(void **state)
{
    static const char *const targets[] = {"127.0.0.1", "10.99.0.1", "::1"};

    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        const int family = i == 2 ? AF_INET6 : AF_INET;
        uint16_t port;
        const int listener = lab_listen(family, &port);
        struct lab_pair before = lab_connect(listener, NULL, targets[i], port), after;
        struct err err;

        print_message("on %s\n", targets[i]);
        assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
        assert_false(lab_echo(&before, LAB_SILENCE_MS));
        assert_int_equal(lab_call(NULL, targets[i], port, LAB_SILENCE_MS), -ETIMEDOUT);
        (void)lab_open(*state, port, 1, 5000);
        after = lab_connect(listener, NULL, targets[i], port);
        assert_true(lab_echo(&after, LAB_ANSWER_MS));
        lab_hang_up(&before);
        lab_hang_up(&after);
        (void)close(listener);
    }
}

/* An IPv4 client of an IPv6 socket is judged by its IPv4 packets. */
static void a_mapped_client_is_gated(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET6, &port);
    struct lab_pair pair = lab_connect(listener, NULL, "127.0.0.1", port);
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    assert_false(lab_echo(&pair, LAB_SILENCE_MS));
    lab_hang_up(&pair);
    (void)close(listener);
}

struct life {
    uint16_t port;
    int tell; /* writes the deadline there */
};

static void arm_and_freeze(void *arg)
{
    const struct life *life = arg;
    struct gate *gate = lab_gate(GATE_BPF, "east", false);
    struct err err;
    struct boot deadline;

    if (gate_manage(gate, life->port, NULL, 0, &err) != 0)
        _exit(2);
    deadline = lab_open(gate, life->port, 1, TTL_MS);
    if (write(life->tell, &deadline, sizeof deadline) != (ssize_t)sizeof deadline)
        _exit(3);
}

static void last_round_trip_is_before_the_deadline(bool kill_it)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    int pipes[2];
    struct life life;
    struct boot deadline, last;
    struct lab_pair pair;
    struct gate *gate;
    struct err err;
    pid_t agent;

    assert_int_equal(pipe(pipes), 0);
    life = (struct life){.port = port, .tell = pipes[1]};
    agent = lab_frozen(arm_and_freeze, &life);
    assert_int_equal(read(pipes[0], &deadline, sizeof deadline), sizeof deadline);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    if (kill_it)
        lab_kill(agent);

    last = lab_last_echo(&pair, (struct boot){deadline.ns + 1000ull * NS_PER_MS});
    print_message("last round trip %.3f ms from the deadline\n",
                  ((double)last.ns - (double)deadline.ns) / NS_PER_MS);
    assert_true(last.ns <= deadline.ns + (uint64_t)NOTICED_MS * NS_PER_MS);
    assert_true(last.ns + 200ull * NS_PER_MS >=
                deadline.ns); /* and it was open until then */

    if (!kill_it)
        lab_kill(agent);
    gate = lab_gate(GATE_BPF, "east", false);
    assert_true(gate_was_adopted(gate));
    assert_int_equal(gate_detach(gate, &err), 0);
    lab_hang_up(&pair);
    (void)close(listener);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

/* The owner is frozen right after arming: nobody closes, and it closes. */
static void closes_with_the_owner_frozen(void **state)
{
    (void)state;
    last_round_trip_is_before_the_deadline(false);
}

static void closes_with_the_owner_killed(void **state)
{
    (void)state;
    last_round_trip_is_before_the_deadline(true);
}

/* A socket belongs to the cgroup it was made in: with the gate above, moving helps nobody.
 */
static void a_socket_made_elsewhere_below_is_covered(void **state)
{
    uint16_t port;
    struct lab_pair pair;
    struct err err;
    int listener;

    lab_join(lab_cgroup("first"));
    listener = lab_listen(AF_INET, &port);
    lab_join(lab_cgroup("second"));
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    assert_false(lab_echo(&pair, LAB_SILENCE_MS));
    assert_int_equal(lab_call(NULL, "127.0.0.1", port, LAB_SILENCE_MS), -ETIMEDOUT);
    lab_join(lab_cgroup(NULL));
    lab_hang_up(&pair);
    (void)close(listener);
}

/* In replication the peers' addresses pass and nobody else; of both families. */
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
    assert_int_equal(lab_call("127.0.0.2", "127.0.0.1", port, LAB_SILENCE_MS), -ETIMEDOUT);
    assert_int_equal(gate_arm(*state, port, &standby, GATE_REOPEN, &err), 0);
    four = lab_connect(listener, "127.0.0.2", "127.0.0.1", port);
    six = lab_connect(listener, NULL, "::1", port);
    assert_true(lab_echo(&four, LAB_ANSWER_MS));
    assert_true(lab_echo(&six, LAB_ANSWER_MS));
    assert_int_equal(lab_call("127.0.0.3", "127.0.0.1", port, LAB_SILENCE_MS), -ETIMEDOUT);
    assert_int_equal(lab_call(NULL, "10.99.0.1", port, LAB_SILENCE_MS), -ETIMEDOUT);

    assert_int_equal(gate_set_peers(*state, port, &peers[1], 1, &err), 0);
    assert_false(lab_echo(&four, LAB_SILENCE_MS));
    assert_true(lab_echo(&six, LAB_ANSWER_MS));
    lab_hang_up(&four);
    lab_hang_up(&six);
    (void)close(listener);
}

/* A lease that is not one is refused, and nothing changes. */
static void bad_leases_are_refused(void **state)
{
    const uint64_t soon = boot_now().ns + 10000ull * NS_PER_MS;
    const struct {
        const char *name;
        struct gate_lease lease;
        enum gate_arm_how how;
        int code;
    } table[] = {
        {"open for ever", {5, GATE_OPEN, GATE_FOREVER}, GATE_REOPEN, ERR_INVAL},
        {"closed", {5, GATE_CLOSED, {soon}}, GATE_REOPEN, ERR_INVAL},
        {"no epoch", {0, GATE_OPEN, {soon}}, GATE_REOPEN, ERR_INVAL},
        {"already over", {5, GATE_OPEN, {1}}, GATE_REOPEN, ERR_TIMEOUT},
        {"renewed before it was opened", {5, GATE_OPEN, {soon}}, GATE_RENEW, ERR_CLOSED},
    };
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct gate_state now;

        print_message("%s\n", table[i].name);
        assert_int_equal(gate_arm(*state, port, &table[i].lease, table[i].how, &err),
                         table[i].code);
        assert_int_equal(gate_read(*state, port, &now, &err), 0);
        assert_int_equal(now.mode, GATE_CLOSED);
    }
    assert_int_equal(gate_arm(*state, 1, &table[0].lease, GATE_REOPEN, &err), ERR_NOTFOUND);
    (void)close(listener);
}

/* Whoever wakes up late cannot extend what expired; a fresh lease of the same epoch may,
 * and connections have survived that. */
static void an_expired_lease_is_not_renewed_but_reopened(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct gate_lease lease = {.epoch = 4, .mode = GATE_OPEN};
    struct boot deadline;
    struct lab_pair pair;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    deadline = lab_open(*state, port, 4, 150);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    (void)lab_last_echo(&pair, (struct boot){deadline.ns + 200ull * NS_PER_MS});

    lease.deadline = (struct boot){boot_now().ns + 3000ull * NS_PER_MS};
    assert_int_equal(gate_arm(*state, port, &lease, GATE_RENEW, &err), ERR_CLOSED);
    assert_false(lab_echo(&pair, LAB_SILENCE_MS));
    assert_int_equal(gate_arm(*state, port, &lease, GATE_REOPEN, &err), 0);
    assert_true(lab_receive(pair.client, LAB_ANSWER_MS) >= 0); /* what was held up comes */
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(gate_close(*state, port, 3, &err), ERR_STALE);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(gate_close(*state, port, 4, &err), 0);
    assert_false(lab_echo(&pair, LAB_SILENCE_MS));
    lab_hang_up(&pair);
    (void)close(listener);
}

static double us_per_renewal(struct gate *gate, uint16_t port)
{
    const struct mono started = mono_now();
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    struct err err;

    for (int i = 0; i < RENEWALS; i++) {
        lease.deadline = (struct boot){boot_now().ns + 60000ull * NS_PER_MS};
        assert_int_equal(gate_arm(gate, port, &lease, GATE_RENEW, &err), 0);
    }
    return (double)mono_since_ns(started, mono_now()) / 1000 / RENEWALS;
}

/* A renewal costs microseconds: in the best of some rounds, since others run beside it. */
static void a_renewal_is_quick(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    double best = 1e9;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    (void)lab_open(*state, port, 1, 60000);
    for (int round = 0; round < ROUNDS; round++) {
        const double us = us_per_renewal(*state, port);

        best = us < best ? us : best;
    }
    print_message("%.2f us per renewal\n", best);
    assert_true(best < RENEWAL_MAX_US);
    (void)close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_unlisted_port_passes, lab_setup_bpf,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(a_managed_port_is_closed_until_opened,
                                        lab_setup_bpf, lab_teardown),
        cmocka_unit_test_setup_teardown(a_mapped_client_is_gated, lab_setup_bpf,
                                        lab_teardown),
        cmocka_unit_test(closes_with_the_owner_frozen),
        cmocka_unit_test(closes_with_the_owner_killed),
        cmocka_unit_test_setup_teardown(a_socket_made_elsewhere_below_is_covered,
                                        lab_setup_bpf, lab_teardown),
        cmocka_unit_test_setup_teardown(replication_passes_peers_only, lab_setup_bpf,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(bad_leases_are_refused, lab_setup_bpf,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(an_expired_lease_is_not_renewed_but_reopened,
                                        lab_setup_bpf, lab_teardown),
        cmocka_unit_test_setup_teardown(a_renewal_is_quick, lab_setup_bpf, lab_teardown),
    };

    return lab_run_tests("lease", tests, ARRAY_LEN(tests));
}
