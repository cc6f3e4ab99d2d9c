/* The proof of I3: frozen for good, old sockets gone, other epochs untouched. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "controller/base/clock.h"
#include "fencing/gate/bpf_find.h"
#include "tests/real/gate/lab.h"

/* The inner map of a port, as any process of root could get hold of it. */
static int inner_map(uint16_t port)
{
    const int cgroup = open(lab_cgroup(NULL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct bpf_found_list found;
    struct err err;
    __u32 key = port, id = 0;
    int fd;

    assert_int_equal(bpf_find(&found, cgroup, &err), 0);
    assert_int_equal(found.n, 1);
    assert_int_equal(bpf_map_lookup_elem(found.list[0].ports, &key, &id), 0);
    fd = bpf_map_get_fd_by_id(id);
    assert_true(fd >= 0);
    bpf_found_close(&found);
    (void)close(cgroup);
    return fd;
}

static int write_word(int map, __u64 word)
{
    struct gate_cell cell;
    __u32 key = 0;

    assert_int_equal(bpf_map_lookup_elem(map, &key, &cell), 0);
    cell.word = word;
    return bpf_map_update_elem(map, &key, &cell, BPF_ANY) == 0 ? 0 : errno;
}

/* After a proof the kernel refuses every later write of that epoch, whoever writes; the
 * next epoch's map and another port's can be written. */
static void a_fence_freezes_one_epoch_of_one_port(void **state)
{
    uint16_t port, other;
    const int listener = lab_listen(AF_INET, &port), second = lab_listen(AF_INET, &other);
    struct gate_lease lease = {.epoch = 7, .mode = GATE_OPEN};
    struct gate_proof proof, again;
    struct lab_pair pair;
    struct gate_state now;
    struct err err;
    int frozen, next, beside;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    assert_int_equal(gate_manage(*state, other, NULL, 0, &err), 0);
    (void)lab_open(*state, port, 7, 10000);
    (void)lab_open(*state, other, 7, 10000);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    frozen = inner_map(port);
    assert_int_equal(write_word(frozen, GATE_WORD_FOREVER | GATE_WORD_REPLICATION), 0);

    assert_int_equal(gate_fence(*state, port, 7, &proof, &err), 0);
    assert_int_equal(proof.epoch, 7);
    assert_int_equal(proof.port, port);
    assert_false(lab_echo(&pair, LAB_SILENCE_MS));
    assert_int_equal(write_word(frozen, 0), EPERM);
    lease.deadline = (struct boot){boot_now().ns + 10000ull * NS_PER_MS};
    assert_int_equal(gate_arm(*state, port, &lease, GATE_REOPEN, &err), ERR_STALE);
    assert_int_equal(gate_read(*state, port, &now, &err), 0);
    assert_true(now.fenced);
    assert_int_equal(now.mode, GATE_CLOSED);

    assert_int_equal(gate_fence(*state, port, 7, &again, &err), 0);
    assert_memory_equal(again.gate_id, proof.gate_id, sizeof proof.gate_id);
    assert_int_equal(gate_close(*state, port, 7, &err), 0);

    beside = inner_map(other);
    assert_int_equal(write_word(beside, 0), 0);
    (void)lab_open(*state, port, 8, 10000);
    next = inner_map(port);
    assert_int_equal(write_word(next, 0), 0);
    assert_int_equal(gate_fence(*state, port, 7, &again, &err), ERR_STALE);
    (void)close(frozen);
    (void)close(beside);
    (void)close(next);
    lab_hang_up(&pair);
    (void)close(listener);
    (void)close(second);
}

/* A fence for an epoch that this gate never saw is a closed, frozen cell of that epoch. */
static void an_unseen_epoch_can_be_fenced(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct gate_lease lease = {.epoch = 9, .mode = GATE_OPEN};
    struct gate_proof proof;
    struct gate_state now;
    struct err err;
    int map;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    (void)lab_open(*state, port, 3, 10000);
    assert_int_equal(gate_fence(*state, port, 9, &proof, &err), 0);
    assert_int_equal(gate_read(*state, port, &now, &err), 0);
    assert_int_equal(now.epoch, 9);
    assert_true(now.fenced);
    assert_int_equal(lab_call(NULL, "127.0.0.1", port, LAB_SILENCE_MS), -ETIMEDOUT);
    map = inner_map(port);
    assert_int_equal(write_word(map, 0), EPERM);
    lease.deadline = (struct boot){boot_now().ns + 10000ull * NS_PER_MS};
    for (lease.epoch = 1; lease.epoch <= 9; lease.epoch++)
        assert_int_equal(gate_arm(*state, port, &lease, GATE_REOPEN, &err), ERR_STALE);
    (void)close(map);
    (void)close(listener);
}

/* The server's reply is written while the gate is closed, and waits for retransmission. */
static struct lab_pair with_late_reply(struct gate *gate, int listener, uint16_t port)
{
    struct lab_pair pair;
    struct err err;

    (void)lab_open(gate, port, 1, 60000);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(send(pair.client, "commit", 6, MSG_NOSIGNAL), 6);
    assert_true(lab_receive(pair.server, LAB_ANSWER_MS) > 0);
    assert_int_equal(gate_close(gate, port, 1, &err), 0);
    assert_int_equal(send(pair.server, "done", 4, MSG_NOSIGNAL), 4);
    assert_int_equal(lab_receive(pair.client, LAB_SILENCE_MS), 0);
    return pair;
}

/* Opened again in the same epoch, a reply that was held up arrives: the connection lived.
 */
static void reopening_within_an_epoch_keeps_connections(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct lab_pair pair;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    pair = with_late_reply(*state, listener, port);
    (void)lab_open(*state, port, 1, 60000);
    assert_true(lab_receive(pair.client, LAB_ANSWER_MS) > 0);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    lab_hang_up(&pair);
    (void)close(listener);
}

/* The late acknowledgement: opened for another epoch, it must never arrive, whether the
 * server's process still has the socket or is gone and left an orphan to the kernel. */
static void a_new_epoch_delivers_nothing_old(void **state)
{
    for (int orphan = 0; orphan <= 1; orphan++) {
        uint16_t port;
        const int listener = lab_listen(orphan ? AF_INET : AF_INET6, &port);
        struct lab_pair pair, fresh;
        struct gate_proof proof;
        struct err err;

        print_message("%s\n", orphan ? "an orphan" : "a living server's");
        assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
        pair = with_late_reply(*state, listener, port);
        if (orphan)
            (void)close(pair.server);
        assert_int_equal(gate_fence(*state, port, 1, &proof, &err), 0);
        (void)lab_open(*state, port, 2, 60000);
        /* Longer than several retransmissions; the connection being reset is fine. */
        assert_true(lab_receive(pair.client, 1500) <= 0);
        if (!orphan)
            assert_int_equal(lab_receive(pair.server, 10), -1);
        fresh = lab_connect(listener, NULL, "127.0.0.1", port);
        assert_true(lab_echo(&fresh, LAB_ANSWER_MS));
        lab_hang_up(&fresh);
        (void)close(pair.client);
        if (!orphan)
            (void)close(pair.server);
        (void)close(listener);
    }
}

/* A first opening at replication destroys old connections as well, and going from there to
 * open in the same epoch keeps the peers'. */
static void a_first_opening_at_replication_counts(void **state)
{
    const struct gate_addr peer = lab_addr("127.0.0.2");
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct lab_pair old = lab_connect(listener, "127.0.0.2", "127.0.0.1", port), kept;
    struct gate_lease lease = {.epoch = 5, .mode = GATE_REPLICATION};
    struct err err;

    assert_int_equal(gate_manage(*state, port, &peer, 1, &err), 0);
    lease.deadline = (struct boot){boot_now().ns + 10000ull * NS_PER_MS};
    assert_int_equal(gate_arm(*state, port, &lease, GATE_REOPEN, &err), 0);
    assert_false(lab_echo(&old, LAB_SILENCE_MS));
    kept = lab_connect(listener, "127.0.0.2", "127.0.0.1", port);
    lease.mode = GATE_OPEN;
    assert_int_equal(gate_arm(*state, port, &lease, GATE_RENEW, &err), 0);
    assert_true(lab_echo(&kept, LAB_ANSWER_MS));
    lab_hang_up(&old);
    lab_hang_up(&kept);
    (void)close(listener);
}

/* Somebody took the gate off: then nothing was proven. */
static void a_gate_that_is_gone_proves_nothing(void **state)
{
    const int cgroup = open(lab_cgroup(NULL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct bpf_found_list found;
    struct gate_proof proof;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    assert_int_equal(bpf_find(&found, cgroup, &err), 0);
    assert_int_equal(bpf_take_off(&found.list[0], cgroup, &err), 0);
    assert_int_equal(gate_fence(*state, port, 1, &proof, &err), ERR_UNPROVEN);
    bpf_found_close(&found);
    (void)close(cgroup);
    (void)close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_fence_freezes_one_epoch_of_one_port,
                                        lab_setup_bpf, lab_teardown),
        cmocka_unit_test_setup_teardown(an_unseen_epoch_can_be_fenced, lab_setup_bpf,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(reopening_within_an_epoch_keeps_connections,
                                        lab_setup_bpf, lab_teardown),
        cmocka_unit_test_setup_teardown(a_new_epoch_delivers_nothing_old, lab_setup_bpf,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(a_first_opening_at_replication_counts,
                                        lab_setup_bpf, lab_teardown),
        cmocka_unit_test_setup_teardown(a_gate_that_is_gone_proves_nothing, lab_setup_bpf,
                                        lab_teardown),
    };

    return lab_run_tests("fence", tests, ARRAY_LEN(tests));
}
