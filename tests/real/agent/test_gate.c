/* A real agent whose gate is taken away from it, and one whose host boots. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "fencing/gate/bpf_find.h"
#include "tests/real/agent/act.h"
#include "tests/real/gate/lab.h"

static bool gate_is(const struct stage *s, const char *mode)
{
    return stage_report(s) != NULL && strcmp(stage_report(s)->gate_mode, mode) == 0;
}

static bool is_replication(const struct stage *s) { return gate_is(s, "replication"); }

static bool holds_a_lease(const struct stage *s)
{
    return stage_report(s) != NULL && stage_report(s)->lease_margin_ms > 0;
}

/* Off the cgroup, as `bpftool cgroup detach` does it, or a boot. */
static void take_gate_off(void)
{
    const int cgroup = open(lab_cgroup(NULL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct bpf_found_list found;
    struct err err;

    assert_int_equal(bpf_find(&found, cgroup, &err), 0);
    assert_int_equal(found.n, 1);
    assert_int_equal(bpf_take_off(&found.list[0], cgroup, &err), 0);
    bpf_found_close(&found);
    close(cgroup);
}

/* What a server would be that starts without asking anybody. */
static int listen_at(uint16_t port)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int call(void) { return lab_call(NULL, "127.0.0.1", stage.gated, LAB_SILENCE_MS); }

static bool has_lost_its_lease(const struct stage *s) { return !holds_a_lease(s); }

/* `bpftool cgroup detach` under a running lease: no packet would be held back, so the lease
 * is given up with the next renewal; the gate is put back, tried, and a new lease is taken.
 */
static void a_gate_taken_away_is_no_lease(void **state)
{
    (void)state;
    start();
    assign(RF__ROLE__ROLE_PRIMARY, 1);
    stage_until(&stage, holds_a_lease, "a lease");
    stage.grant =
        false; /* so that what is held can be seen to be given up before its end */
    take_gate_off();
    stage_until(&stage, has_lost_its_lease, "a report without a lease");
    assert_true(stage_log_has(&stage, "the gate was not as we had left it"));
    assert_true(stage_log_has(&stage, "it is put back, closed"));
    stage.grant = true;
    stage_until(&stage, holds_a_lease, "a lease behind a gate that was tried anew");
    assert_int_equal(stage_log_count(&stage, "the gate was not as we had left it"), 1);
    assert_true(stage_log_has(&stage, "the gate is as we left it again"));
}

/* A standby's gate has no renewals that anybody would miss. */
static void a_standbys_gate_is_missed_too(void **state)
{
    int listener, r;

    (void)state;
    start();
    assign(RF__ROLE__ROLE_STANDBY, 3);
    stage_until(&stage, is_replication, "the standby's gate");
    listener = listen_at(stage.gated);
    take_gate_off();
    r = call();
    assert_true(r >= 0); /* the test can tell */
    close(r);
    seen = stage.reports;
    stage_until(&stage, has_reported, "reports");
    assert_int_equal(call(), -ETIMEDOUT);
    stage_until(&stage, is_replication, "the standby's gate again");
    close(listener);
}

static void assign_with(uint16_t also_port)
{
    Rf__AlsoPort also = RF__ALSO_PORT__INIT, *list[] = {&also};
    struct stage_assignment a;

    stage_assignment(&stage, &a, RF__ROLE__ROLE_STANDBY, 3);
    also.port = also_port;
    a.a.n_also_ports = 1;
    a.a.also_ports = list;
    stage_assign(&stage, &a, NULL);
}

static bool passes(uint16_t port)
{
    const int fd = lab_call(NULL, "127.0.0.1", port, LAB_SILENCE_MS);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The host boots: no gate, and the server's unit starts by itself. What
 * ringfence-gate.service runs closes the port before; the agent takes that over as a new
 * life. */
static void a_booting_host_is_closed_before_its_agent(void **state)
{
    struct incarnation before;
    int listener, pooler, r;
    uint16_t pooled;

    (void)state;
    start();
    before = stage.life;
    pooler = lab_listen(AF_INET, &pooled);
    assign_with(pooled);
    stage_until(&stage, is_replication, "the standby's gate");
    assert_int_equal(stage_close_gate(&stage), 0); /* an agent that runs is not disturbed */
    assert_true(is_replication(&stage));
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    take_gate_off();
    listener = listen_at(stage.gated);
    r = call();
    assert_true(r >= 0); /* the test can tell */
    close(r);
    assert_true(passes(pooled));
    assert_int_equal(stage_close_gate(&stage), 0);
    assert_int_equal(call(), -ETIMEDOUT);
    assert_false(passes(pooled));
    assert_int_equal(stage_close_gate(&stage), 0); /* again: it is there */
    assert_int_equal(call(), -ETIMEDOUT);
    seen = stage.hellos;
    start();
    assert_false(incarnation_equal(&before, &stage.life));
    assert_int_equal(call(), -ETIMEDOUT);
    assert_false(passes(pooled));
    close(listener);
    close(pooler);
}

/* State that is not understood may have named any port: nothing is closed, and that is an
 * error, so no server's unit starts. */
static void a_state_that_is_not_understood_stops_the_boot(void **state)
{
    char command[400];

    (void)state;
    start();
    stage_kill(&stage, agent, SIGKILL);
    agent = 0;
    snprintf(command, sizeof command, "echo nonsense > %s/state/agent.state", stage.dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(stage_close_gate(&stage), 78);
    assert_true(stage_log_has(&stage, "no server may start over that"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_gate_taken_away_is_no_lease),
        ON_STAGE(a_standbys_gate_is_missed_too),
        ON_STAGE(a_booting_host_is_closed_before_its_agent),
        ON_STAGE(a_state_that_is_not_understood_stops_the_boot),
    };
    int failed;

    lab_enter("agent");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    lab_leave();
    return failed;
}
