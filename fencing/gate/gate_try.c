/* Proving the gate by real connections. */
#include <errno.h>
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/base/clock.h"
#include "fencing/gate/courtesy.h"
#include "fencing/gate/gate_internal.h"

enum {
    TARGETS_MAX = 4,
    ANSWER_MS = 500, /* an open local connection takes microseconds */
    SILENCE_MS = 50, /* so a closed one that takes longer than this is closed */
    TRY_LEASE_MS = 5000,
    BACKLOG = 16,
};

struct target {
    struct sockaddr_in6 addr; /* IPv4 as ::ffff:a.b.c.d: one kind of socket for both */
    int fd;
};

struct trial {
    struct target list[TARGETS_MAX];
    size_t n;
    bool dual; /* else IPv4 only: sockaddr_in in the same room */
    int listener;
    uint16_t port;
};

static void add_target(struct trial *t, const struct in6_addr *ip)
{
    if (t->n == TARGETS_MAX)
        return;
    t->list[t->n++] = (struct target){
        .addr = {.sin6_family = AF_INET6, .sin6_addr = *ip},
        .fd = -1,
    };
}

static struct in6_addr mapped(struct in_addr ip4)
{
    struct in6_addr ip = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

    memcpy(ip.s6_addr + 12, &ip4, sizeof ip4);
    return ip;
}

/* Loopback of both kinds and the first other address of both kinds. */
static void find_targets(struct trial *t)
{
    const struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
    const struct in6_addr loopback4 = mapped(loopback);
    struct ifaddrs *all = NULL;
    bool got4 = false, got6 = false;

    add_target(t, &loopback4);
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *a = all; a != NULL; a = a->ifa_next) {
        if (a->ifa_addr == NULL || (a->ifa_flags & IFF_UP) == 0)
            continue;
        if (a->ifa_addr->sa_family == AF_INET && (a->ifa_flags & IFF_LOOPBACK) == 0 &&
            !got4) {
            const struct sockaddr_in *in = (const struct sockaddr_in *)(void *)a->ifa_addr;
            const struct in6_addr ip = mapped(in->sin_addr);

            add_target(t, &ip);
            got4 = true;
        }
        if (a->ifa_addr->sa_family == AF_INET6) {
            const struct sockaddr_in6 *in =
                (const struct sockaddr_in6 *)(void *)a->ifa_addr;

            if (!t->dual || IN6_IS_ADDR_LINKLOCAL(&in->sin6_addr) || got6)
                continue;
            add_target(t, &in->sin6_addr);
            got6 = (a->ifa_flags & IFF_LOOPBACK) == 0;
        }
    }
    freeifaddrs(all);
}

/* Both families by one socket where the host has IPv6, else IPv4 alone. */
static int new_socket(bool dual, int *ret_fd, struct err *err)
{
    const int no = 0, yes = 1;
    int fd =
        socket(dual ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_errno(err, errno, "make a socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (dual)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    *ret_fd = fd;
    return 0;
}

/* The address as the kind of socket in use wants it. */
static socklen_t address(const struct trial *t, const struct sockaddr_in6 *from,
                         uint16_t port, struct sockaddr_storage *ret_addr)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret_addr;
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)ret_addr;

    memset(ret_addr, 0, sizeof *ret_addr);
    if (t->dual) {
        *in6 = *from;
        in6->sin6_port = htons(port);
        return sizeof *in6;
    }
    in4->sin_family = AF_INET;
    in4->sin_port = htons(port);
    memcpy(&in4->sin_addr, from->sin6_addr.s6_addr + 12, sizeof in4->sin_addr);
    return sizeof *in4;
}

/* Listen on `port`, 0 for any. Not being able to because somebody listens there already is
 * fine for a port that was asked for: then that one is tried. */
static int listen_on(struct trial *t, uint16_t port, struct err *err)
{
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_storage addr;
    socklen_t size = address(t, &any, port, &addr);
    int r = new_socket(t->dual, &t->listener, err);

    if (r != 0)
        return r;
    if (bind(t->listener, (struct sockaddr *)&addr, size) != 0 ||
        listen(t->listener, BACKLOG) != 0) {
        if (port != 0 && errno == EADDRINUSE)
            goto taken;
        return err_errno(err, errno, "listen on port %u for a trial", port);
    }
    size = sizeof addr;
    if (getsockname(t->listener, (struct sockaddr *)&addr, &size) != 0)
        return err_errno(err, errno, "trial port");
    t->port = ntohs(t->dual ? ((struct sockaddr_in6 *)(void *)&addr)->sin6_port
                            : ((struct sockaddr_in *)(void *)&addr)->sin_port);
    return 0;
taken:
    auto_close(&t->listener);
    t->listener = -1;
    t->port = port;
    return 0;
}

static void hang_up(struct trial *t)
{
    for (size_t i = 0; i < t->n; i++) {
        auto_close(&t->list[i].fd);
        t->list[i].fd = -1;
    }
}

static void end_trial(struct trial *t)
{
    hang_up(t);
    auto_close(&t->listener);
    t->listener = -1;
}

static int call_all(struct trial *t, struct err *err)
{
    hang_up(t);
    for (size_t i = 0; i < t->n; i++) {
        struct sockaddr_storage addr;
        const socklen_t size = address(t, &t->list[i].addr, t->port, &addr);
        int r = new_socket(t->dual, &t->list[i].fd, err);

        if (r != 0)
            return r;
        /* How it ends is seen by are_through(). */
        if (connect(t->list[i].fd, (struct sockaddr *)&addr, size) != 0 &&
            errno != EINPROGRESS && errno != ECONNREFUSED)
            return err_errno(err, errno, "try port %u", t->port);
    }
    return 0;
}

static bool is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;

    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

/* How many of the calls are through within `wait_ms`; returns early when all are. */
static size_t are_through(const struct trial *t, uint32_t wait_ms, size_t *ret_first)
{
    const struct mono started = mono_now();

    for (;;) {
        struct pollfd waiting[TARGETS_MAX];
        size_t through = 0, open = 0;

        for (size_t i = t->n; i-- > 0;) {
            if (is_connected(t->list[i].fd)) {
                through++;
                *ret_first = i;
            } else {
                waiting[open++] = (struct pollfd){.fd = t->list[i].fd, .events = POLLOUT};
            }
        }
        if (open == 0 || mono_since_ms(started, mono_now()) >= wait_ms)
            return through;
        if (poll(waiting, (nfds_t)open, 5) > 0 && through == 0)
            (void)poll(NULL, 0, 1); /* refused: stays readable; wait without spinning */
    }
}

static const char *target_text(const struct target *target, char text[INET6_ADDRSTRLEN])
{
    const char *shown =
        inet_ntop(AF_INET6, &target->addr.sin6_addr, text, INET6_ADDRSTRLEN);

    return shown != NULL ? shown : "?";
}

static int must_answer(struct trial *t, const char *when, struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    size_t first = 0;
    int r = call_all(t, err);

    if (r != 0)
        return r;
    if (are_through(t, ANSWER_MS, &first) == t->n)
        return 0;
    for (size_t i = 0; i < t->n; i++)
        if (!is_connected(t->list[i].fd))
            first = i;
    return err_set(err, ERR_REFUSED,
                   "trial: no connection to port %u on %s %s; a firewall in the way?",
                   t->port, target_text(&t->list[first], text), when);
}

static int must_be_dead(struct trial *t, const struct gate *gate, struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    size_t first = 0;
    int r = call_all(t, err);

    if (r != 0)
        return r;
    if (are_through(t, SILENCE_MS, &first) == 0)
        return 0;
    return err_set(
        err, ERR_REFUSED,
        "trial: a connection to port %u on %s came through the closed gate; does "
        "gate.cgroup (%s) hold this host's sockets?",
        t->port, target_text(&t->list[first], text),
        gate->can.driver == GATE_BPF ? gate->cgroup.path : "this network namespace");
}

static int begin_trial(struct trial *t, uint16_t port, struct err *err)
{
    AUTO(auto_close) int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *t = (struct trial){.listener = -1, .dual = probe >= 0};
    find_targets(t);
    return listen_on(t, port, err);
}

/* A spare port, managed without the knowledge of the courtesy rules: what is tried is the
 * gate and not them. */
static int try_managed_spare(struct gate *gate, struct trial *t, struct gate_port *p,
                             struct err *err)
{
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};
    int r = must_be_dead(t, gate, err);

    hang_up(t);
    if (r != 0)
        return r;
    lease.deadline = (struct boot){boot_now().ns + (uint64_t)TRY_LEASE_MS * NS_PER_MS};
    r = gate->ops->new_epoch(gate, p, lease.epoch, err);
    if (r == 0)
        r = gate->ops->arm(gate, p, &lease, GATE_REOPEN, err);
    if (r == 0)
        r = must_answer(t, "while its gate is open", err);
    return r;
}

static int try_spare(struct gate *gate, struct err *err)
{
    const struct gate_state closed = {.epoch = 0};
    AUTO(end_trial) struct trial t = {.listener = -1};
    struct gate_port *p;
    int r = begin_trial(&t, 0, err), undone;

    if (r == 0)
        r = must_answer(&t, "although nothing closes it", err);
    hang_up(&t);
    if (r != 0)
        return r;
    if (gate->n_ports > GATE_PORTS_MAX)
        return err_set(err, ERR_FULL, "no room for a spare port");
    p = &gate->ports[gate->n_ports];
    *p = (struct gate_port){.port = t.port, .spare = true, .cell_fd = -1};
    r = gate->ops->manage(gate, p, &closed, err);
    if (r != 0)
        return r;
    gate->n_ports++;
    r = try_managed_spare(gate, &t, p, err);
    undone = gate->ops->unmanage(gate, p, r == 0 ? err : NULL);
    gate->n_ports--;
    return r != 0 ? r : undone;
}

static int try_port(struct gate *gate, uint16_t port, struct err *err)
{
    AUTO(end_trial) struct trial t = {.listener = -1};
    int r = begin_trial(&t, port, err);

    if (r != 0)
        return r;
    if (gate->courtesy != NULL)
        courtesy_exempt(gate->courtesy, port, true);
    r = must_be_dead(&t, gate, err);
    if (gate->courtesy != NULL)
        courtesy_exempt(gate->courtesy, port, false);
    return r;
}

int gate_try(struct gate *gate, uint16_t port, struct err *err)
{
    const struct gate_port *p = gate_port_of(gate, port);
    struct gate_state state = {.mode = GATE_CLOSED};
    int r = port == 0 ? 0 : gate_read(gate, port, &state, err);

    if (r == 0)
        r = try_spare(gate, err);
    for (size_t i = 0; r == 0 && p != NULL && state.mode == GATE_CLOSED; i++) {
        if (gate_port_at(p, i) == 0)
            break;
        r = try_port(gate, gate_port_at(p, i), err);
    }
    return r;
}
