/* The gate proves itself, and says when it proves nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "tests/real/gate/lab.h"

static void a_sound_gate_passes_its_trial(void **state)
{
    uint16_t port, ports[4];
    const int listener = lab_listen(AF_INET, &port);
    struct err err;
    struct mono started;

    started = mono_now();
    if (gate_try(*state, 0, &err) != 0)
        fail_msg("%s", err.text);
    print_message("spare port: %u ms\n", (unsigned)mono_since_ms(started, mono_now()));
    assert_int_equal(gate_ports(*state, ports, 4), 0); /* nothing is left behind */

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    started = mono_now();
    if (gate_try(*state, port, &err) != 0)
        fail_msg("%s", err.text);
    print_message("with a listener: %u ms\n", (unsigned)mono_since_ms(started, mono_now()));
    (void)close(listener);
    if (gate_try(*state, port, &err) != 0) /* nobody listens there now */
        fail_msg("%s", err.text);
    assert_int_equal(gate_try(*state, 1, &err), ERR_NOTFOUND);
}

/* A live primary is not disturbed by a trial. */
static void a_trial_leaves_a_live_port_alone(void **state)
{
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct lab_pair pair;
    struct err err;

    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    (void)lab_open(*state, port, 1, 20000);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    assert_int_equal(gate_try(*state, port, &err), 0);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    lab_hang_up(&pair);
    (void)close(listener);
}

/* gate.cgroup does not hold this host's sockets: the trial sees it. */
static void a_gate_in_the_wrong_place_fails_its_trial(void **state)
{
    struct err err;
    int r;

    lab_join(NULL);
    r = gate_try(*state, 0, &err);
    lab_join(lab_cgroup(NULL));
    assert_int_equal(r, ERR_REFUSED);
    assert_non_null(strstr(err.text, "gate.cgroup"));
}

/* A server that was started elsewhere is seen by the trial of its own port. */
static void a_server_outside_fails_the_trial_of_its_port(void **state)
{
    uint16_t port;
    struct err err;
    int listener;

    lab_join(NULL);
    listener = lab_listen(AF_INET, &port);
    lab_join(lab_cgroup(NULL));
    assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
    assert_int_equal(gate_try(*state, port, &err), ERR_REFUSED);
    (void)close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sound_gate_passes_its_trial, lab_setup_courtesy,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(a_trial_leaves_a_live_port_alone,
                                        lab_setup_courtesy, lab_teardown),
        cmocka_unit_test_setup_teardown(a_gate_in_the_wrong_place_fails_its_trial,
                                        lab_setup_courtesy, lab_teardown),
        cmocka_unit_test_setup_teardown(a_server_outside_fails_the_trial_of_its_port,
                                        lab_setup_courtesy, lab_teardown),
    };

    return lab_run_tests("try", tests, ARRAY_LEN(tests));
}
