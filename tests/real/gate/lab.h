/* tests/real/gate/lab.h -- a network namespace and a cgroup of one's own, and sockets whose
 * packets can be counted on.
 *
 * Owner:   lab_enter() once per program; lab_leave() at its end.
 */
#ifndef RF_TESTS_REAL_GATE_LAB_H
#define RF_TESTS_REAL_GATE_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "controller/base/time.h"
#include "fencing/gate/gate.h"

enum {
    LAB_SKIP = 77,        /* what ctest counts as skipped */
    LAB_SILENCE_MS = 120, /* nothing came for so long: it was dropped */
    LAB_ANSWER_MS = 2000,
    LAB_TRIES = 10,
};

/* Becomes part of a new network namespace with lo and 10.99.0.1, and of a new cgroup. */
void lab_enter(const char *name);
void lab_leave(void);
/* Full path of the lab's cgroup, or of one below it (made when missing). */
const char *lab_cgroup(const char *below);
/* Move this process there; NULL: to the root of cgroup v2. */
void lab_join(const char *cgroup);
const char *lab_run_dir(void);

/* A gate over the lab's cgroup; fails the test when it cannot be had. */
struct gate *lab_gate(enum gate_driver driver, const char *agent, bool courtesy);
/* Fixtures: `*state` is such a gate of agent "east", by eBPF, without and with courtesy;
 * afterwards it is detached, unless it is NULL. */
int lab_setup_bpf(void **state);
int lab_setup_courtesy(void **state);
int lab_teardown(void **state);
/* All of a program, in a laboratory of its own; main()'s result. */
struct CMUnitTest;
int lab_run_tests(const char *name, const struct CMUnitTest *tests, size_t n);
/* Opens `port` for `ms` from now. Returns the deadline. */
struct boot lab_open(struct gate *gate, uint16_t port, uint64_t epoch, uint64_t ms);
/* gate_arm(), tried again where nftables is too slow on a busy machine. The lease is for
 * `ms` from then. */
int lab_arm(struct gate *gate, uint16_t port, struct gate_lease *lease, uint64_t ms,
            enum gate_arm_how how);
struct gate_addr lab_addr(const char *text);

/* Listen on any address and port of the family; returns the socket. */
int lab_listen(int family, uint16_t *ret_port);
/* Connect from `source` (NULL: any) to the port on `target`. The socket, or -errno, where
 * silence is -ETIMEDOUT. */
int lab_call(const char *source, const char *target, uint16_t port, uint32_t wait_ms);

struct lab_pair {
    int client, server;
};
struct lab_pair lab_connect(int listener, const char *source, const char *target,
                            uint16_t port);
void lab_hang_up(struct lab_pair *pair);
/* One byte there and one back within the time. */
bool lab_echo(const struct lab_pair *pair, uint32_t wait_ms);
/* Bytes waiting within the time: > 0, 0 for none, -1 for a reset or the end. */
int lab_receive(int fd, uint32_t wait_ms);

/* Run a program to its end; its exit status. */
int lab_run(const char *const argv[]);
/* A child that runs `life` and is then stopped for good (SIGSTOP). Returns when it is. */
pid_t lab_frozen(void (*life)(void *arg), void *arg);
void lab_kill(pid_t child);
/* Echo for as long as it works; when the last round trip had begun to work. */
struct boot lab_last_echo(const struct lab_pair *pair, struct boot until);

#endif
