/* Restarts, upgrades, live ports, and two agents that want the same place. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "controller/base/clock.h"
#include "fencing/gate/bpf_find.h"
#include "fencing/gate/cgroup.h"
#include "tests/real/gate/lab.h"

/* A restarting agent finds its gate; clients notice nothing and no deadline moves. */
static void a_restart_is_not_noticed(void **state)
{
    const struct gate_addr peers[] = {lab_addr("127.0.0.2"), lab_addr("2001:db8::7")};
    struct gate *gate = lab_gate(GATE_BPF, "east", false);
    uint16_t port, second, ports[GATE_PORTS_MAX];
    const int listener = lab_listen(AF_INET, &port), other = lab_listen(AF_INET, &second);
    char before[GATE_ID_TEXT_SIZE], after[GATE_ID_TEXT_SIZE];
    struct gate_lease lease = {.epoch = 6, .mode = GATE_OPEN};
    struct gate_proof proof;
    struct gate_state now;
    struct boot deadline;
    struct lab_pair pair;
    struct err err;

    (void)state;
    assert_false(gate_was_adopted(gate));
    gate_id_text(gate, before);
    assert_int_equal(gate_manage(gate, port, peers, 2, &err), 0);
    assert_int_equal(gate_manage(gate, second, NULL, 0, &err), 0);
    assert_int_equal(gate_fence(gate, second, 2, &proof, &err), 0);
    deadline = lab_open(gate, port, 6, 5000);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    gate_free(gate);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS)); /* nobody is there, the gate is */

    gate = lab_gate(GATE_BPF, "east", false);
    assert_true(gate_was_adopted(gate));
    gate_id_text(gate, after);
    assert_string_equal(before, after);
    assert_int_equal(gate_ports(gate, ports, GATE_PORTS_MAX), 2);
    assert_int_equal(gate_read(gate, port, &now, &err), 0);
    assert_int_equal(now.epoch, 6);
    assert_int_equal(now.mode, GATE_OPEN);
    assert_true(now.deadline.ns <= deadline.ns && now.deadline.ns + 4 > deadline.ns);
    assert_true(now.opened);
    assert_int_equal(gate_read(gate, second, &now, &err), 0);
    assert_true(now.fenced); /* a fence outlives the agent */
    assert_int_equal(now.epoch, 2);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));

    assert_int_equal(gate_manage(gate, port, peers, 1, &err),
                     0); /* again: no effect on it */
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    lease.deadline = (struct boot){boot_now().ns + 5000ull * NS_PER_MS};
    assert_int_equal(gate_arm(gate, port, &lease, GATE_RENEW, &err), 0);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(gate_detach(gate, &err), 0);
    lab_hang_up(&pair);
    (void)close(listener);
    (void)close(other);
}

/* A gate that cannot be adopted (half of it is gone here; an upgrade with another layout
 * goes the same way) is replaced: closed for all its ports, and just one is left. */
static void what_cannot_be_adopted_is_replaced_closed(void **state)
{
    const int cgroup = open(lab_cgroup(NULL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct gate *gate = lab_gate(GATE_BPF, "east", false);
    char before[GATE_ID_TEXT_SIZE], after[GATE_ID_TEXT_SIZE];
    struct bpf_found_list found;
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct lab_pair pair;
    struct err err;

    (void)state;
    gate_id_text(gate, before);
    assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
    (void)lab_open(gate, port, 6, 10000);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    gate_free(gate);
    assert_int_equal(bpf_find(&found, cgroup, &err), 0);
    assert_int_equal(
        bpf_prog_detach2(found.list[0].ingress, cgroup, BPF_CGROUP_INET_INGRESS), 0);
    bpf_found_close(&found);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));

    gate = lab_gate(GATE_BPF, "east", false);
    assert_false(gate_was_adopted(gate));
    gate_id_text(gate, after);
    assert_string_not_equal(before, after);
    assert_false(lab_echo(&pair, LAB_SILENCE_MS));
    assert_int_equal(bpf_find(&found, cgroup, &err), 0);
    assert_int_equal(found.n, 1);
    bpf_found_close(&found);
    assert_int_equal(gate_detach(gate, &err), 0);
    lab_hang_up(&pair);
    (void)close(listener);
    (void)close(cgroup);
}

/* A running primary is put under the gate with its lease, and its clients stay. */
static void a_live_port_is_adopted_without_a_gap(void **state)
{
    struct gate *gate = lab_gate(GATE_BPF, "east", false);
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct lab_pair pair = lab_connect(listener, NULL, "127.0.0.1", port);
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN, .deadline = {1}};
    struct gate_state now;
    struct err err;

    (void)state;
    assert_int_equal(gate_manage_live(gate, port, NULL, 0, &lease, &err), ERR_TIMEOUT);
    assert_int_equal(gate_read(gate, port, &now, &err), ERR_NOTFOUND);
    lease.deadline = (struct boot){boot_now().ns + 400ull * NS_PER_MS};
    assert_int_equal(gate_manage_live(gate, port, NULL, 0, &lease, &err), 0);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(gate_manage_live(gate, port, NULL, 0, &lease, &err), ERR_CONFLICT);
    (void)lab_last_echo(&pair, (struct boot){lease.deadline.ns + 100ull * NS_PER_MS});
    assert_false(lab_echo(&pair, LAB_SILENCE_MS));
    (void)lab_open(gate, port, 1, 10000); /* the same epoch: it is the same connection */
    assert_true(lab_receive(pair.client, LAB_ANSWER_MS) >= 0);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(gate_unmanage(gate, port, &err), 0);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(gate_detach(gate, &err), 0);
    lab_hang_up(&pair);
    (void)close(listener);
}

/* An agent that lost its memory begins at epoch 1 over a gate that remembers 5: it never
 * opens that one, and a detach takes it out of the kernel. */
static void a_gate_of_a_forgotten_life_is_let_go(void **state)
{
    struct gate *gate = lab_gate(GATE_BPF, "east", false);
    const struct gate_lease first = {
        .epoch = 1, .mode = GATE_OPEN, .deadline = {boot_now().ns + 60000ull * NS_PER_MS}};
    struct err err;
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct lab_pair pair;

    (void)state;
    assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
    (void)lab_open(gate, port, 5, 50);
    gate_free(gate); /* it stays in the kernel */
    gate = lab_gate(GATE_BPF, "east", false);
    assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
    assert_int_equal(gate_arm(gate, port, &first, GATE_REOPEN, &err), ERR_STALE);
    assert_non_null(strstr(err.text, "epoch 1 is older than the gate's 5"));
    assert_int_equal(gate_unmanage(gate, port, &err), 0);
    assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
    assert_int_equal(lab_call(NULL, "127.0.0.1", port, LAB_SILENCE_MS), -ETIMEDOUT);
    assert_int_equal(gate_arm(gate, port, &first, GATE_REOPEN, &err), 0);
    pair = lab_connect(listener, NULL, "127.0.0.1", port);
    assert_true(lab_echo(&pair, LAB_ANSWER_MS));
    assert_int_equal(gate_detach(gate, &err), 0);
    lab_hang_up(&pair);
    (void)close(listener);
}

static void hold_a_gate(void *arg) { (void)lab_gate(GATE_BPF, arg, false); }

static int try_open(const char *agent, const char *cgroup, struct err *err)
{
    const struct gate_config config = {
        .driver = GATE_BPF, .cgroup = cgroup, .run_dir = lab_run_dir(), .agent = agent};
    struct gate *gate = NULL;
    const int r = gate_open(&gate, &config, err);

    gate_free(gate);
    return r;
}

/* One gate for one agent: not two lives of one, not two agents, not above, not below. */
static void overlapping_gates_are_refused(void **state)
{
    char east[] = "east";
    const char *inner = lab_cgroup("inner");
    pid_t agent = lab_frozen(hold_a_gate, east);
    struct gate *gate;
    struct err err;

    (void)state;
    assert_int_equal(try_open("east", lab_cgroup(NULL), &err), ERR_BUSY);
    assert_int_equal(try_open("west", lab_cgroup(NULL), &err), ERR_BUSY);
    assert_int_equal(try_open("west", inner, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "agent east"));
    lab_kill(agent);
    assert_int_equal(try_open("west", lab_cgroup(NULL), &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "agent east"));
    assert_int_equal(try_open("west", inner, &err), ERR_CONFLICT);
    gate = lab_gate(GATE_BPF, "east", false);
    assert_true(gate_was_adopted(gate));
    assert_int_equal(gate_detach(gate, &err), 0);

    /* From below, upwards. */
    assert_int_equal(try_open("west", inner, &err), 0);
    assert_int_equal(try_open("east", lab_cgroup(NULL), &err), ERR_CONFLICT);
    assert_int_equal(try_open("west", lab_cgroup(NULL), &err), ERR_CONFLICT);
    assert_int_equal(gate_open(&gate,
                               &(struct gate_config){.driver = GATE_BPF,
                                                     .cgroup = inner,
                                                     .run_dir = lab_run_dir(),
                                                     .agent = "west"},
                               &err),
                     0);
    assert_int_equal(gate_detach(gate, &err), 0);
}

/* Bad names and places are said. */
static void bad_configurations_are_refused(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(try_open("", lab_cgroup(NULL), &err), ERR_INVAL);
    assert_int_equal(try_open("a b", lab_cgroup(NULL), &err), ERR_INVAL);
    assert_int_equal(try_open("east", "/no/such/cgroup", &err), ERR_INVAL);
    assert_int_equal(try_open("east", "/tmp", &err), ERR_INVAL);
}

/* As under `ip netns exec`, which mounts another /sys over ours. */
static void hide_cgroups(void)
{
    struct cgroup root;

    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    while (cgroup_find(&root, "auto", NULL) == 0) {
        cgroup_close(&root);
        assert_int_equal(umount2(root.mount, MNT_DETACH), 0);
    }
}

static int open_hidden(const char *cgroup, char text[ERR_TEXT_SIZE])
{
    const struct gate_config config = {
        .cgroup = cgroup, .run_dir = lab_run_dir(), .agent = "rf-hidden"};
    struct gate *gate = NULL;
    struct err err = {0};
    int r = gate_open(&gate, &config, &err);

    snprintf(text, ERR_TEXT_SIZE, "%s", err.text);
    if (r != 0)
        return r;
    gate_describe(gate, text, ERR_TEXT_SIZE);
    return gate_detach(gate, NULL);
}

static void run_hidden(void (*claims)(void))
{
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        hide_cgroups();
        claims();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void expect(const char *cgroup, int code, const char *words)
{
    char text[ERR_TEXT_SIZE];
    int r = open_hidden(cgroup, text);

    if (r != code || strstr(text, words) == NULL) {
        fprintf(stderr, "%s: %d %s\n", cgroup, r, text);
        _exit(1);
    }
}

static char named[PATH_MAX];

static void claims_with_its_gate_attached(void)
{
    expect("auto", ERR_CONFLICT, "still attached");
    expect("auto", ERR_CONFLICT, "cgroup v2 is not mounted");
    expect(named, ERR_INVAL, "cgroup v2 is not mounted");
}

static void claims_without_a_gate(void)
{
    expect(named, ERR_INVAL, named);
    expect("auto", 0, "no eBPF: cgroup v2 is not mounted here");
}

/* A cgroup that was named is never silently left for nftables; where it was not, the reason
 * is told, and nothing is done while our own gate stands where we cannot see it. */
static void a_fallback_is_never_silent(void **state)
{
    const struct gate_config config = {.driver = GATE_BPF,
                                       .cgroup = lab_cgroup(NULL),
                                       .run_dir = lab_run_dir(),
                                       .agent = "rf-hidden"};
    struct gate *gate;
    struct err err;

    (void)state;
    snprintf(named, sizeof named, "%s", lab_cgroup(NULL));
    assert_int_equal(gate_open(&gate, &config, &err), 0);
    run_hidden(claims_with_its_gate_attached);
    assert_int_equal(gate_detach(gate, &err), 0);
    run_hidden(claims_without_a_gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_is_not_noticed),
        cmocka_unit_test(what_cannot_be_adopted_is_replaced_closed),
        cmocka_unit_test(a_live_port_is_adopted_without_a_gap),
        cmocka_unit_test(a_gate_of_a_forgotten_life_is_let_go),
        cmocka_unit_test(overlapping_gates_are_refused),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(a_fallback_is_never_silent),
    };

    return lab_run_tests("adopt", tests, ARRAY_LEN(tests));
}
