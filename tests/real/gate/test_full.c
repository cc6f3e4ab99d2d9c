/* As many groups as an agent can have, on one host: the maps and sets are full, and full is
 * what they may be. By either driver. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "controller/base/clock.h"
#include "fencing/gate/bpf_find.h"
#include "tests/real/gate/lab.h"

enum { FIRST_PORT = 20000, LEASE_MS = 60000 };

static const enum gate_driver drivers[] = {GATE_BPF, GATE_NFTABLES};

static struct gate *other_gate(enum gate_driver driver)
{
    return lab_gate(driver, "east", false);
}

static void name_peers(struct gate_addr peers[GATE_PEERS_MAX], unsigned net)
{
    for (unsigned i = 0; i < GATE_PEERS_MAX; i++) {
        char text[32];

        (void)snprintf(text, sizeof text, "10.%u.0.%u", net, i + 1);
        peers[i] = lab_addr(text);
    }
}

static void fill(struct gate *gate)
{
    struct gate_addr peers[GATE_PEERS_MAX];
    struct err err;

    name_peers(peers, 1);
    for (uint16_t i = 0; i < GATE_PORTS_MAX; i++)
        if (gate_manage(gate, (uint16_t)(FIRST_PORT + i), peers, GATE_PEERS_MAX, &err) != 0)
            fail_msg("port %u: %s", i, err.text);
}

static void arm_all(struct gate *gate)
{
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    struct mono began;

    for (uint16_t i = 0; i < GATE_PORTS_MAX; i++)
        (void)lab_open(gate, (uint16_t)(FIRST_PORT + i), 1, LEASE_MS);
    began = mono_now();
    for (uint16_t i = 0; i < GATE_PORTS_MAX; i++)
        assert_int_equal(
            lab_arm(gate, (uint16_t)(FIRST_PORT + i), &lease, LEASE_MS, GATE_RENEW), 0);
    print_message("%.3f ms a renewal\n",
                  (double)mono_since_ns(began, mono_now()) / NS_PER_MS / GATE_PORTS_MAX);
}

/* The last of 64 groups gets its gate, its trial, its lease, new peers and its fence like
 * the first; a 65th is refused and changes nothing; a successor finds all of it. */
static void all_groups_fit(void **state)
{
    (void)state;
    for (size_t d = 0; d < ARRAY_LEN(drivers); d++) {
        struct gate *gate = other_gate(drivers[d]);
        const uint16_t last = FIRST_PORT + GATE_PORTS_MAX - 1;
        struct gate_addr peers[GATE_PEERS_MAX];
        struct gate_state now;
        struct gate_proof proof;
        struct mono began;
        struct err err;

        fill(gate);
        assert_int_equal(gate_manage(gate, last + 1, NULL, 0, &err), ERR_FULL);
        if (gate_try(gate, last, &err) != 0)
            fail_msg("%s", err.text);
        arm_all(gate);
        name_peers(peers, 2);
        assert_int_equal(gate_set_peers(gate, last, peers, GATE_PEERS_MAX, &err), 0);
        began = mono_now();
        if (gate_check(gate, &err) != 0)
            fail_msg("%s", err.text);
        print_message("checked in %.3f ms\n",
                      (double)mono_since_ns(began, mono_now()) / NS_PER_MS);
        gate_free(gate);
        gate = other_gate(drivers[d]);
        assert_true(gate_was_adopted(gate));
        assert_int_equal(gate_ports(gate, NULL, 0), GATE_PORTS_MAX);
        assert_int_equal(gate_read(gate, last, &now, &err), 0);
        assert_int_equal(now.mode, GATE_OPEN);
        if (gate_check(gate, &err) != 0)
            fail_msg("%s", err.text);
        assert_int_equal(gate_fence(gate, last, 1, &proof, &err), 0);
        assert_int_equal(gate_unmanage(gate, FIRST_PORT, &err), 0);
        assert_int_equal(gate_manage(gate, last + 1, peers, GATE_PEERS_MAX, &err), 0);
        assert_int_equal(gate_detach(gate, &err), 0);
    }
}

static bool has_a_port(int cgroup)
{
    AUTO(bpf_found_close) struct bpf_found_list found = {.n = 0};
    __u32 key;

    assert_int_equal(bpf_find(&found, cgroup, NULL), 0);
    return found.n == 1 && bpf_map_get_next_key(found.list[0].ports, NULL, &key) == 0;
}

static void try_for_ever(void)
{
    struct gate *gate = other_gate(GATE_BPF);

    for (;;)
        if (gate_try(gate, 0, NULL) != 0)
            _exit(2);
}

/* Killed in the middle of a trial again and again: the spare port of each, which may be
 * anybody's by then, would be closed until the host is started anew, and fill the map. */
static void a_killed_trial_leaves_no_port(void **state)
{
    const int cgroup = open(lab_cgroup(NULL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct gate *gate;
    struct err err;

    (void)state;
    for (int i = 0; i < 3; i++) {
        const pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            try_for_ever();
        while (!has_a_port(cgroup))
            ;
        lab_kill(child);
        assert_true(has_a_port(cgroup));
        gate = other_gate(GATE_BPF);
        assert_true(gate_was_adopted(gate));
        assert_int_equal(gate_ports(gate, NULL, 0), 0);
        assert_false(has_a_port(cgroup));
        gate_free(gate);
    }
    gate = other_gate(GATE_BPF);
    assert_int_equal(gate_detach(gate, &err), 0);
    (void)close(cgroup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_groups_fit),
        cmocka_unit_test(a_killed_trial_leaves_no_port),
    };

    return lab_run_tests("full", tests, ARRAY_LEN(tests));
}
