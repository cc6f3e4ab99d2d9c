/* Several ports under one lease, and guests of a standby; by either driver. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/gate/lab.h"

enum { LEASE_MS = 60000, SHORT_MS = 400 };

static const enum gate_driver drivers[] = {GATE_BPF, GATE_NFTABLES};

/* A server, and a pooler beside it. */
static struct {
    enum gate_driver driver;
    struct gate *gate;
    int server, pooler; /* listening */
    uint16_t own, also;
} it;

static void begin(enum gate_driver driver)
{
    it.driver = driver;
    it.gate = lab_gate(driver, "east", true);
    it.server = lab_listen(AF_INET, &it.own);
    it.pooler = lab_listen(AF_INET, &it.also);
}

static void end(void)
{
    struct err err;

    assert_int_equal(gate_detach(it.gate, &err), 0);
    (void)close(it.server);
    (void)close(it.pooler);
}

static void manage_both(const struct gate_addr *peers, size_t n)
{
    struct err err;

    assert_int_equal(gate_manage(it.gate, it.own, peers, n, &err), 0);
    if (gate_set_also(it.gate, it.own, &it.also, 1, &err) != 0)
        fail_msg("%s", err.text);
}

static void next_life(void)
{
    gate_free(it.gate);
    it.gate = lab_gate(it.driver, "east", true);
    assert_true(gate_was_adopted(it.gate));
}

/* Whatever comes by the port's queue first, a connection of the past included. */
static bool passes(const char *source, uint16_t port)
{
    const int fd = lab_call(source, "127.0.0.1", port, LAB_SILENCE_MS);

    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static void assert_both(bool pass)
{
    assert_int_equal(passes(NULL, it.own), pass);
    assert_int_equal(passes(NULL, it.also), pass);
}

/* Courtesy resets end some milliseconds behind an opening on a busy machine. */
static void assert_soon_open(const char *source, uint16_t port)
{
    const struct mono began = mono_now();
    bool open = false;

    while (!open && mono_since_ms(began, mono_now()) < LAB_ANSWER_MS)
        open = passes(source, port);
    assert_true(open);
}

/* Opened, closed, over, fenced, opened in the next epoch, found by the next life, let go:
 * each of them for both at once. */
static void both_obey_one_lease(void **state)
{
    (void)state;
    for (size_t d = 0; d < ARRAY_LEN(drivers); d++) {
        struct gate_proof proof;
        struct boot deadline;
        struct err err;

        begin(drivers[d]);
        manage_both(NULL, 0);
        assert_both(false);
        (void)lab_open(it.gate, it.own, 1, LEASE_MS);
        assert_soon_open(NULL, it.own);
        assert_soon_open(NULL, it.also);
        next_life();
        assert_both(true);
        assert_int_equal(gate_ports(it.gate, NULL, 0), 1);
        assert_int_equal(gate_check(it.gate, &err), 0);
        assert_int_equal(gate_close(it.gate, it.own, 1, &err), 0);
        assert_both(false);
        deadline = lab_open(it.gate, it.own, 1, SHORT_MS);
        assert_soon_open(NULL, it.also);
        while (boot_now().ns < deadline.ns)
            ;
        assert_both(false);
        (void)lab_open(it.gate, it.own, 1, LEASE_MS);
        assert_int_equal(gate_fence(it.gate, it.own, 1, &proof, &err), 0);
        assert_both(false);
        next_life();
        assert_both(false);
        (void)lab_open(it.gate, it.own, 2, LEASE_MS);
        assert_soon_open(NULL, it.own);
        assert_soon_open(NULL, it.also);
        assert_int_equal(gate_fence(it.gate, it.own, 2, &proof, &err), 0);
        assert_int_equal(gate_unmanage(it.gate, it.own, &err), 0);
        assert_soon_open(NULL, it.own);
        assert_soon_open(NULL, it.also);
        end();
    }
}

/* A reply that waits in the pooler's queue is of the old epoch as well. */
static void the_poolers_old_connections_end_too(void **state)
{
    (void)state;
    for (size_t d = 0; d < ARRAY_LEN(drivers); d++) {
        struct lab_pair pair;
        struct gate_proof proof;
        struct err err;

        begin(drivers[d]);
        manage_both(NULL, 0);
        (void)lab_open(it.gate, it.own, 1, LEASE_MS);
        pair = lab_connect(it.pooler, NULL, "127.0.0.1", it.also);
        assert_true(lab_echo(&pair, LAB_ANSWER_MS));
        assert_int_equal(gate_fence(it.gate, it.own, 1, &proof, &err), 0);
        (void)send(pair.server, "done", 4, MSG_NOSIGNAL);
        (void)lab_open(it.gate, it.own, 2, LEASE_MS);
        assert_true(lab_receive(pair.client, 600) <= 0);
        assert_int_equal(lab_receive(pair.server, 10), -1);
        lab_hang_up(&pair);
        end();
    }
}

/* A port with a closed gate of its own (a former life's) comes under another one's. */
static void a_closed_port_is_taken_over(void **state)
{
    (void)state;
    for (size_t d = 0; d < ARRAY_LEN(drivers); d++) {
        struct gate_state now;
        struct err err;

        begin(drivers[d]);
        assert_int_equal(gate_manage(it.gate, it.also, NULL, 0, &err), 0);
        assert_int_equal(gate_manage(it.gate, it.own, NULL, 0, &err), 0);
        (void)lab_open(it.gate, it.also, 4, LEASE_MS);
        assert_int_equal(gate_set_also(it.gate, it.own, &it.also, 1, &err), ERR_CONFLICT);
        assert_int_equal(gate_close(it.gate, it.also, 4, &err), 0);
        assert_int_equal(gate_set_also(it.gate, it.own, &it.also, 1, &err), 0);
        assert_int_equal(gate_read(it.gate, it.also, &now, &err), ERR_NOTFOUND);
        assert_int_equal(gate_ports(it.gate, NULL, 0), 1);
        assert_both(false);
        assert_int_equal(gate_check(it.gate, &err), 0);
        (void)lab_open(it.gate, it.own, 1, LEASE_MS);
        assert_soon_open(NULL, it.also);
        assert_int_equal(gate_manage(it.gate, it.also, NULL, 0, &err), ERR_CONFLICT);
        assert_int_equal(gate_close(it.gate, it.own, 1, &err), 0);
        assert_int_equal(gate_set_also(it.gate, it.own, NULL, 0, &err), 0);
        assert_soon_open(NULL, it.also);
        assert_false(passes(NULL, it.own));
        end();
    }
}

static void bad_lists_are_refused(void **state)
{
    uint16_t many[GATE_ALSO_MAX + 1];
    struct gate_guest guests[GATE_GUESTS_MAX + 1];
    struct err err;

    (void)state;
    begin(GATE_BPF);
    manage_both(NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (uint16_t)(i + 1);
    for (size_t i = 0; i < ARRAY_LEN(guests); i++)
        guests[i] = (struct gate_guest){it.own, lab_addr("127.0.0.9")};
    assert_int_equal(gate_set_also(it.gate, it.own, many, ARRAY_LEN(many), &err), ERR_FULL);
    assert_int_equal(gate_set_also(it.gate, it.own, &it.own, 1, &err), ERR_INVAL);
    assert_int_equal(gate_set_also(it.gate, it.also, many, 1, &err), ERR_NOTFOUND);
    assert_int_equal(gate_set_guests(it.gate, it.own, guests, ARRAY_LEN(guests), &err),
                     ERR_FULL);
    guests[0].port = 1;
    assert_int_equal(gate_set_guests(it.gate, it.own, guests, 1, &err), ERR_INVAL);
    end();
}

/* A listener, or a client that is left when it is gone; not what is over. */
static void a_port_in_use_is_told(void **state)
{
    (void)state;
    for (size_t f = 0; f < 2; f++) {
        const int family = f == 0 ? AF_INET : AF_INET6;
        uint16_t port;
        int listener = lab_listen(family, &port);
        struct lab_pair pair =
            lab_connect(listener, NULL, f == 0 ? "127.0.0.1" : "::1", port);

        assert_true(gate_port_in_use(port));
        (void)close(listener);
        assert_true(gate_port_in_use(port));
        (void)close(pair.server); /* first: TIME_WAIT is here */
        (void)close(pair.client);
        while (gate_port_in_use(port))
            (void)poll(NULL, 0, 10);
    }
}

static const char monitor[] = "127.0.0.7", backup[] = "127.0.0.8", peer[] = "127.0.0.2";

static void arm(enum gate_mode mode, uint64_t epoch, struct boot deadline)
{
    const struct gate_lease lease = {.epoch = epoch, .mode = mode, .deadline = deadline};
    struct err err;
    int r = ERR_TIMEOUT;

    for (unsigned i = 0; i < LAB_TRIES && r == ERR_TIMEOUT; i++)
        r = gate_arm(it.gate, it.own, &lease, GATE_REOPEN, &err);
    if (r != 0)
        fail_msg("%s", err.text);
}

static void assert_guests(bool pass)
{
    assert_int_equal(passes(monitor, it.own), pass);
    assert_int_equal(passes(backup, it.also), pass);
    assert_false(passes(monitor, it.also)); /* each at its own door */
    assert_false(passes(backup, it.own));
    assert_false(passes("127.0.0.3", it.own));
    assert_false(passes(peer, it.also)); /* replication comes to the server */
}

/* A guest comes to a standby and to nobody else: not to a primary that is not opened yet,
 * not when the lease is over, not behind a fence. */
static void guests_pass_a_standby_alone(void **state)
{
    const struct gate_addr peers[] = {lab_addr(peer)};

    (void)state;
    for (size_t d = 0; d < ARRAY_LEN(drivers); d++) {
        struct gate_guest guests[2];
        struct gate_proof proof;
        struct boot soon;
        struct err err;

        begin(drivers[d]);
        manage_both(peers, 1);
        guests[0] = (struct gate_guest){it.own, lab_addr(monitor)};
        guests[1] = (struct gate_guest){it.also, lab_addr(backup)};
        assert_int_equal(gate_set_guests(it.gate, it.own, guests, 2, &err), 0);
        assert_guests(false);
        arm(GATE_REPLICATION, 1, GATE_FOREVER);
        assert_soon_open(monitor, it.own);
        assert_guests(true);
        assert_true(passes(peer, it.own));
        next_life();
        assert_guests(true);
        assert_int_equal(gate_check(it.gate, &err), 0);

        soon = (struct boot){boot_now().ns + (uint64_t)LEASE_MS * NS_PER_MS};
        arm(GATE_REPLICATION, 1, soon); /* of a primary that is not opened yet */
        assert_true(passes(peer, it.own));
        assert_guests(false);
        arm(GATE_REPLICATION, 1, GATE_FOREVER);
        assert_guests(true);
        assert_int_equal(gate_fence(it.gate, it.own, 1, &proof, &err), 0);
        assert_guests(false);
        arm(GATE_REPLICATION, 2, GATE_FOREVER);
        assert_guests(true);
        assert_int_equal(gate_set_guests(it.gate, it.own, &guests[1], 1, &err), 0);
        assert_false(passes(monitor, it.own));
        assert_true(passes(backup, it.also));
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_obey_one_lease),
        cmocka_unit_test(the_poolers_old_connections_end_too),
        cmocka_unit_test(a_closed_port_is_taken_over),
        cmocka_unit_test(bad_lists_are_refused),
        cmocka_unit_test(a_port_in_use_is_told),
        cmocka_unit_test(guests_pass_a_standby_alone),
    };

    return lab_run_tests("beside", tests, ARRAY_LEN(tests));
}
