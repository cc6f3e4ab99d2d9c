/* The process of the wide-area network, with packet sockets in place of devices: what it is
 * told, what it refuses, and when it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "chaos/base.h"
#include "chaos/wan_switch.h"

enum { A, B, SITES, SEED = 4711, SIZE = 100, PATIENCE_MS = 5000, QUIET_MS = 50 };

static const struct wan_link cut = {.cut = true};

struct rig {
    pid_t pid;
    int control, devices[SITES];
};

static int set_up(void **state)
{
    static struct rig rig;
    struct wan_switch net = {.sites = SITES};
    int ends[SITES + 1][2];

    for (int i = 0; i <= SITES; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends[i]),
                         0);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        for (int i = 0; i <= SITES; i++)
            close(ends[i][0]);
        net.core = wan_core_new(SITES, SEED);
        memcpy(net.taps, (int[]){ends[A][1], ends[B][1]}, 2 * sizeof(int));
        net.control = ends[SITES][1];
        wan_switch_run(&net);
    }
    for (int i = 0; i <= SITES; i++)
        close(ends[i][1]);
    rig.devices[A] = ends[A][0];
    rig.devices[B] = ends[B][0];
    rig.control = ends[SITES][0];
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;

    kill(rig->pid, SIGKILL);
    waitpid(rig->pid, NULL, 0);
    close(rig->control);
    close(rig->devices[A]);
    close(rig->devices[B]);
    return 0;
}

static bool is_readable(int fd, int within_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, within_ms) == 1;
}

/* A frame from A to B. False: it did not come out. */
static bool passes(struct rig *rig, int within_ms)
{
    unsigned char frame[SIZE] = {0}, got[SIZE];

    wan_mac(B, frame);
    assert_int_equal(write(rig->devices[A], frame, sizeof frame), sizeof frame);
    if (!is_readable(rig->devices[B], within_ms))
        return false;
    assert_int_equal(read(rig->devices[B], got, sizeof got), sizeof got);
    assert_memory_equal(frame, got, sizeof got);
    return true;
}

static struct wan_answer tell(struct rig *rig, const void *message, size_t size)
{
    struct wan_answer answer;

    assert_int_equal(send(rig->control, message, size, 0), size);
    assert_true(is_readable(rig->control, PATIENCE_MS));
    assert_int_equal(recv(rig->control, &answer, sizeof answer, 0), sizeof answer);
    return answer;
}

static struct wan_order one(enum wan_order_kind kind, struct wan_link rules)
{
    return (struct wan_order){.kind = kind, .count = 1, .changes = {{A, B, rules}}};
}

/* Set, counted, healed: each is in force when it is answered. */
static void orders_are_obeyed(void **state)
{
    struct rig *rig = *state;
    struct wan_order o = one(WAN_SET, cut);
    struct wan_answer answer;

    assert_true(passes(rig, PATIENCE_MS));
    assert_true(tell(rig, &o, sizeof o).done);
    assert_false(passes(rig, QUIET_MS));
    o = one(WAN_COUNT, (struct wan_link){0});
    answer = tell(rig, &o, sizeof o);
    assert_true(answer.done);
    assert_int_equal(answer.count.sent, 2);
    assert_int_equal(answer.count.cut, 1);
    assert_int_equal(answer.count.bytes, SIZE);
    o = (struct wan_order){.kind = WAN_HEAL};
    assert_true(tell(rig, &o, sizeof o).done);
    assert_true(passes(rig, PATIENCE_MS));
}

/* What is not an order is refused as a whole: nothing of it is done, and it goes on. */
static void nonsense_is_refused_as_a_whole(void **state)
{
    struct rig *rig = *state;
    struct wan_order table[] = {
        one(WAN_SET, (struct wan_link){.loss_ppm = WAN_ALWAYS + 1}),
        {.kind = WAN_SET, .count = 2, .changes = {{A, B, cut}, {A, A, cut}}},
        {.kind = WAN_SET, .count = 2, .changes = {{A, B, cut}, {A, SITES, cut}}},
        {.kind = WAN_SET, .count = WAN_CHANGES_MAX + 1, .changes = {{A, B, cut}}},
        {.kind = (enum wan_order_kind)(WAN_OUTLIVE + 1), .changes = {{A, B, cut}}},
    };
    struct wan_order o = one(WAN_SET, cut);

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_false(tell(rig, &table[i], sizeof table[i]).done);
    assert_false(tell(rig, &o, sizeof o - 1).done);
    assert_false(tell(rig, &o, 1).done);
    assert_true(passes(rig, PATIENCE_MS));
}

/* It is gone when nobody can tell it anything any more. */
static void it_ends_with_its_control(void **state)
{
    struct rig *rig = *state;
    unsigned char byte;

    shutdown(rig->control, SHUT_RDWR);
    assert_true(is_readable(rig->devices[A], PATIENCE_MS)); /* the other end is closed */
    assert_int_equal(read(rig->devices[A], &byte, 1), 0);
}

/* Told to outlive it, it goes on without. */
static void it_outlives_its_control_when_told(void **state)
{
    struct rig *rig = *state;
    struct wan_order o = {.kind = WAN_OUTLIVE};

    assert_true(tell(rig, &o, sizeof o).done);
    shutdown(rig->control, SHUT_RDWR);
    assert_false(is_readable(rig->devices[A], QUIET_MS));
    assert_true(passes(rig, PATIENCE_MS));
}

#define SWITCH_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SWITCH_TEST(orders_are_obeyed),
        SWITCH_TEST(nonsense_is_refused_as_a_whole),
        SWITCH_TEST(it_ends_with_its_control),
        SWITCH_TEST(it_outlives_its_control_when_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
