#include "tests/real/gate/lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/base/clock.h"
#include "fencing/gate/cgroup.h"

static struct {
    char name[48], mount[PATH_MAX], top[PATH_MAX], path[PATH_MAX], run_dir[64];
} lab;

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "lab: %s: %s\n", what, strerror(errno));
    exit(1);
}

int lab_run(const char *const argv[])
{
    pid_t pid;
    int status;

    if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) != 0)
        return -1;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static void run_ip(const char *a, const char *b, const char *c, const char *d,
                   const char *e)
{
    const char *argv[] = {"ip", a, b, c, d, e, NULL};

    need(lab_run(argv) == 0, "ip");
}

void lab_enter(const char *name)
{
    static const char *const veth[] = {"ip",   "link", "add",  "near", "type",
                                       "veth", "peer", "name", "far",  NULL};
    struct cgroup root;
    struct err err;

    if (geteuid() != 0) {
        (void)fprintf(stderr, "needs root\n");
        exit(LAB_SKIP);
    }
    if (cgroup_find(&root, "auto", &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(LAB_SKIP);
    }
    (void)snprintf(lab.mount, sizeof lab.mount, "%s", root.mount);
    cgroup_close(&root);
    (void)snprintf(lab.name, sizeof lab.name, "rf-gate-%s-%d", name, (int)getpid());
    (void)snprintf(lab.run_dir, sizeof lab.run_dir, "/tmp/%s", lab.name);
    need(mkdir(lab.run_dir, 0700) == 0, lab.run_dir);
    need(unshare(CLONE_NEWNET) == 0, "unshare network");
    run_ip("link", "set", "lo", "up", NULL);
    need(lab_run(veth) == 0, "veth");
    run_ip("addr", "add", "10.99.0.1/24", "dev", "near");
    run_ip("link", "set", "near", "up", NULL);
    run_ip("link", "set", "far", "up", NULL);
    lab_join(lab_cgroup(NULL));
}

const char *lab_cgroup(const char *below)
{
    int n = snprintf(lab.top, sizeof lab.top, "%s/%s", lab.mount, lab.name);

    need(n > 0 && (size_t)n < sizeof lab.top, "cgroup");
    need(mkdir(lab.top, 0755) == 0 || errno == EEXIST, lab.top);
    if (below == NULL)
        return lab.top;
    n = snprintf(lab.path, sizeof lab.path, "%s/%s", lab.top, below);
    need(n > 0 && (size_t)n < sizeof lab.path, "cgroup");
    need(mkdir(lab.path, 0755) == 0 || errno == EEXIST, lab.path);
    return lab.path;
}

void lab_join(const char *cgroup)
{
    char path[PATH_MAX + 16];
    int fd;

    (void)snprintf(path, sizeof path, "%s/cgroup.procs",
                   cgroup != NULL ? cgroup : lab.mount);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    need(fd >= 0 && write(fd, "0", 1) == 1, path);
    (void)close(fd);
}

static void remove_below(const char *path)
{
    const char *argv[] = {"find", path, "-depth", "-type", "d", "-delete", NULL};

    (void)lab_run(argv);
}

void lab_leave(void)
{
    const char *argv[] = {"rm", "-rf", lab.run_dir, NULL};

    lab_join(NULL);
    remove_below(lab.top);
    (void)lab_run(argv);
}

const char *lab_run_dir(void) { return lab.run_dir; }

struct gate *lab_gate(enum gate_driver driver, const char *agent, bool courtesy)
{
    const struct gate_config config = {
        .driver = driver,
        .cgroup = lab_cgroup(NULL),
        .run_dir = lab.run_dir,
        .agent = agent,
        .courtesy = courtesy,
    };
    struct gate *gate = NULL;
    struct err err;

    if (gate_open(&gate, &config, &err) != 0)
        fail_msg("%s", err.text);
    return gate;
}

int lab_setup_bpf(void **state)
{
    *state = lab_gate(GATE_BPF, "east", false);
    return 0;
}

int lab_setup_courtesy(void **state)
{
    *state = lab_gate(GATE_BPF, "east", true);
    return 0;
}

int lab_teardown(void **state)
{
    struct err err;

    if (*state != NULL)
        assert_int_equal(gate_detach(*state, &err), 0);
    return 0;
}

int lab_run_tests(const char *name, const struct CMUnitTest *tests, size_t n)
{
    int failed;

    lab_enter(name);
    failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
    lab_leave();
    return failed;
}

/* nftables may be too slow on a busy machine, and says so: the keeper asks again, too. */
int lab_arm(struct gate *gate, uint16_t port, struct gate_lease *lease, uint64_t ms,
            enum gate_arm_how how)
{
    struct err err;
    int status = ERR_TIMEOUT;

    for (unsigned i = 0; i < LAB_TRIES && status == ERR_TIMEOUT; i++) {
        lease->deadline.ns = boot_now().ns + ms * NS_PER_MS;
        status = gate_arm(gate, port, lease, i == 0 ? how : GATE_REOPEN, &err);
    }
    if (status != 0)
        print_message("%s\n", err.text);
    return status;
}

struct boot lab_open(struct gate *gate, uint16_t port, uint64_t epoch, uint64_t ms)
{
    struct gate_lease lease = {.epoch = epoch, .mode = GATE_OPEN};

    if (lab_arm(gate, port, &lease, ms, GATE_REOPEN) != 0)
        fail_msg("port %u is not opened", port);
    return lease.deadline;
}

struct gate_addr lab_addr(const char *text)
{
    struct gate_addr addr;
    struct err err;

    if (gate_addr_parse(&addr, text, &err) != 0)
        fail_msg("%s", err.text);
    return addr;
}

static socklen_t sockaddr_of(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(port);
        return sizeof *in4;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    return sizeof *in6;
}

int lab_listen(int family, uint16_t *ret_port)
{
    struct sockaddr_storage addr;
    socklen_t size = sockaddr_of(family == AF_INET ? "0.0.0.0" : "::", 0, &addr);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    assert_true(fd >= 0);
    /* As servers do: what is over on the port is in nobody's way. */
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &size), 0);
    *ret_port =
        ntohs(family == AF_INET ? ((struct sockaddr_in *)(void *)&addr)->sin_port
                                : ((struct sockaddr_in6 *)(void *)&addr)->sin6_port);
    return fd;
}

int lab_call(const char *source, const char *target, uint16_t port, uint32_t wait_ms)
{
    struct sockaddr_storage to, from;
    const socklen_t size = sockaddr_of(target, port, &to);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    socklen_t error_size = sizeof error;

    assert_true(fd >= 0);
    if (source != NULL) {
        const socklen_t from_size = sockaddr_of(source, 0, &from);

        assert_int_equal(bind(fd, (struct sockaddr *)&from, from_size), 0);
    }
    if (connect(fd, (struct sockaddr *)&to, size) != 0 && errno != EINPROGRESS)
        error = errno;
    else if (poll(&waiting, 1, (int)wait_ms) == 0)
        error = ETIMEDOUT;
    else
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
    if (error == 0)
        return fd;
    (void)close(fd);
    return -error;
}

struct lab_pair lab_connect(int listener, const char *source, const char *target,
                            uint16_t port)
{
    struct lab_pair pair = {.client = -ECONNREFUSED};

    /* Courtesy resets stop within some milliseconds of the opening, on a busy machine some
     * more; a client that is refused tries again. */
    for (unsigned i = 0; i < LAB_TRIES && pair.client == -ECONNREFUSED; i++) {
        (void)poll(NULL, 0, (int)(i * 10));
        pair.client = lab_call(source, target, port, LAB_ANSWER_MS);
    }
    if (pair.client < 0)
        fail_msg("connect: %s", strerror(-pair.client));
    pair.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(pair.server >= 0);
    return pair;
}

void lab_hang_up(struct lab_pair *pair)
{
    (void)close(pair->client);
    (void)close(pair->server);
}

int lab_receive(int fd, uint32_t wait_ms)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    char bytes[256];
    ssize_t n;

    if (poll(&waiting, 1, (int)wait_ms) == 0)
        return 0;
    n = recv(fd, bytes, sizeof bytes, 0);
    return n <= 0 ? -1 : (int)n;
}

bool lab_echo(const struct lab_pair *pair, uint32_t wait_ms)
{
    if (send(pair->client, "q", 1, MSG_NOSIGNAL) != 1)
        return false;
    if (lab_receive(pair->server, wait_ms) <= 0)
        return false;
    if (send(pair->server, "a", 1, MSG_NOSIGNAL) != 1)
        return false;
    return lab_receive(pair->client, wait_ms) > 0;
}

struct boot lab_last_echo(const struct lab_pair *pair, struct boot until)
{
    struct boot last = {0};

    while (boot_now().ns < until.ns && lab_echo(pair, 300))
        last = boot_now();
    return last;
}

pid_t lab_frozen(void (*life)(void *arg), void *arg)
{
    int status;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        life(arg);
        (void)raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    if (!WIFSTOPPED(status))
        fail_msg("the child ended with status %d", status);
    return child;
}

void lab_kill(pid_t child)
{
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}
