/* Clients of a closed port are told at once, and peers are left alone. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/gate/lab.h"

enum { REFUSED_WITHIN_MS = 1500, KEEPALIVE_MS = 1000, SLACK_MS = 400 };

static int teardown(void **state)
{
    struct err err, warning;

    assert_int_equal(gate_warning(*state, &warning), 0);
    assert_int_equal(gate_detach(*state, &err), 0);
    return 0;
}

/* The rules follow by themselves, a moment later: ask until it is refused. */
static void assert_refused_soon(const char *source, uint16_t port)
{
    const struct mono started = mono_now();
    int r;

    do {
        r = lab_call(source, "127.0.0.1", port, 50);
        if (r >= 0)
            (void)close(r);
    } while (r != -ECONNREFUSED && mono_since_ms(started, mono_now()) < REFUSED_WITHIN_MS);
    assert_int_equal(r, -ECONNREFUSED);
}

/* A new connection to a closed port is refused, of a peer's it is only dropped. */
static void a_closed_port_refuses_clients_and_not_peers(void **state)
{
    const struct gate_addr peer = lab_addr("127.0.0.2");
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct mono started;
    struct err err;

    assert_int_equal(gate_manage(*state, port, &peer, 1, &err), 0);
    assert_refused_soon("127.0.0.3", port);
    started = mono_now();
    assert_int_equal(lab_call("127.0.0.3", "127.0.0.1", port, 500), -ECONNREFUSED);
    print_message("refused in %.3f ms\n",
                  (double)mono_since_ns(started, mono_now()) / NS_PER_MS);
    assert_int_equal(lab_call("127.0.0.2", "127.0.0.1", port, LAB_SILENCE_MS), -ETIMEDOUT);
    (void)close(listener);
}

/* A client that waits for a reply with keepalives on learns of the end at its next one. */
static void a_waiting_client_is_reset_after_the_deadline(void **state)
{
    const int yes = 1, second = 1;
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct boot deadline, ended;
    struct lab_pair pair;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    deadline = lab_open(*state, port, 1, 700);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    (void)setsockopt(pair.client, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    (void)setsockopt(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, &second, sizeof second);
    (void)setsockopt(pair.client, IPPROTO_TCP, TCP_KEEPINTVL, &second, sizeof second);
    assert_int_equal(send(pair.client, "q", 1, MSG_NOSIGNAL), 1);

    assert_int_equal(lab_receive(pair.client, 5000), -1);
    ended = boot_now();
    print_message("reset %.1f ms after the deadline\n",
                  ((double)ended.ns - (double)deadline.ns) / NS_PER_MS);
    assert_true(ended.ns > deadline.ns);
    assert_true(ended.ns < deadline.ns + (uint64_t)(KEEPALIVE_MS + SLACK_MS) * NS_PER_MS);
    lab_hang_up(&pair);
    (void)close(listener);
}

/* Renewed, an open port never resets its clients; at replication it does, but not peers. */
static void an_open_port_is_not_reset(void **state)
{
    const struct gate_addr peer = lab_addr("127.0.0.2");
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    struct lab_pair client, replica;
    struct boot until;
    struct err err;

    assert_int_equal(gate_manage(*state, port, &peer, 1, &err), 0);
    (void)lab_open(*state, port, 1, 300);
    client = lab_connect(listener, "127.0.0.3", "127.0.0.1", port);
    replica = lab_connect(listener, "127.0.0.2", "127.0.0.1", port);
    until = (struct boot){boot_now().ns + 1500ull * NS_PER_MS};
    while (boot_now().ns < until.ns) {
        lease.deadline = (struct boot){boot_now().ns + 300ull * NS_PER_MS};
        assert_int_equal(gate_arm(*state, port, &lease, GATE_RENEW, &err), 0);
        assert_true(lab_echo(&client, LAB_ANSWER_MS));
        assert_true(lab_echo(&replica, LAB_ANSWER_MS));
        assert_int_equal(lab_receive(client.client, 40), 0);
    }
    lease.mode = GATE_REPLICATION;
    lease.deadline = (struct boot){boot_now().ns + 5000ull * NS_PER_MS};
    assert_int_equal(gate_arm(*state, port, &lease, GATE_REOPEN, &err), 0);
    assert_refused_soon("127.0.0.3", port);
    assert_true(lab_echo(&replica, LAB_ANSWER_MS));
    lab_hang_up(&client);
    lab_hang_up(&replica);
    (void)close(listener);
}

/* Somebody flushes all rules: the gate does not care, and the resets come back. */
static void a_flush_costs_only_comfort(void **state)
{
    const char *flush[] = {"nft", "flush", "ruleset", NULL};
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    assert_refused_soon(NULL, port);
    assert_int_equal(lab_run(flush), 0);
    assert_int_equal(lab_call(NULL, "127.0.0.1", port, LAB_SILENCE_MS), -ETIMEDOUT);
    (void)lab_open(*state, port, 1, 100);
    assert_refused_soon(NULL, port);
    (void)close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_closed_port_refuses_clients_and_not_peers,
                                        lab_setup_courtesy, teardown),
        cmocka_unit_test_setup_teardown(a_waiting_client_is_reset_after_the_deadline,
                                        lab_setup_courtesy, teardown),
        cmocka_unit_test_setup_teardown(an_open_port_is_not_reset, lab_setup_courtesy,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_flush_costs_only_comfort, lab_setup_courtesy,
                                        teardown),
    };

    return lab_run_tests("courtesy", tests, ARRAY_LEN(tests));
}
