#include "fencing/gate/sockdestroy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

enum {
    BATCH = 256,       /* connections listed, then ended, at a time */
    ROUNDS_MAX = 4096, /* a million connections */
    REPLY_SIZE = 32768,
    DIAG_TIMEOUT_S = 2,
};

/* A connection and what it may still do. */
struct victim {
    struct inet_diag_sockid id;
    uint8_t family, state;
    bool orphan; /* no process owns it any more */
};

struct victims {
    struct victim list[BATCH];
    unsigned n;
    _Alignas(struct nlmsghdr) char reply[REPLY_SIZE];
};

struct diag_request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

static int diag_open(int *ret_fd, struct err *err)
{
    const struct timeval timeout = {.tv_sec = DIAG_TIMEOUT_S};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    if (fd < 0)
        return err_errno(err, errno, "open sock_diag");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    *ret_fd = fd;
    return 0;
}

static int diag_send(int fd, uint16_t type, uint16_t flags,
                     const struct inet_diag_req_v2 *body, struct err *err)
{
    struct diag_request request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = type,
                   .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
        .body = *body,
    };

    if (send(fd, &request, sizeof request, 0) != (ssize_t)sizeof request)
        return err_errno(err, errno, "ask sock_diag");
    return 0;
}

/* What may hold data of an older epoch: all but listeners and TIME_WAIT. */
static uint32_t states_of_connections(void)
{
    return 1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_SYN_RECV |
           1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT |
           1u << TCP_LAST_ACK | 1u << TCP_CLOSING;
}

static void keep_victim(struct victims *v, const struct inet_diag_msg *m, uint16_t port)
{
    if (v->n == BATCH || m->id.idiag_sport != htons(port))
        return;
    if ((1u << m->idiag_state & states_of_connections()) == 0)
        return;
    v->list[v->n++] = (struct victim){
        .id = m->id,
        .family = m->idiag_family,
        .state = m->idiag_state,
        .orphan = m->idiag_inode == 0,
    };
}

/* One datagram of a listing; `ret_done` at its end. */
static int take_replies(struct victims *v, const struct nlmsghdr *h, size_t left,
                        uint16_t port, bool *ret_done, struct err *err)
{
    for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
        if (h->nlmsg_type == NLMSG_DONE) {
            *ret_done = true;
            return 0;
        }
        if (h->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *e = NLMSG_DATA(h);

            if (e->error == -ENOENT) { /* no such address family here */
                *ret_done = true;
                return 0;
            }
            return err_errno(err, -e->error, "list connections");
        }
        if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            keep_victim(v, NLMSG_DATA(h), port);
    }
    return 0;
}

static int list_family(int fd, uint8_t family, uint16_t port, struct victims *v,
                       struct err *err)
{
    const struct inet_diag_req_v2 body = {
        .sdiag_family = family,
        .sdiag_protocol = IPPROTO_TCP,
        .idiag_states = states_of_connections(),
        .id = {.idiag_sport = htons(port)},
    };
    bool done = false;
    int r = diag_send(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &body, err);
    while (r == 0 && !done) {
        const ssize_t n = recv(fd, v->reply, sizeof v->reply, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "list connections");
        r = take_replies(v, (const struct nlmsghdr *)(void *)v->reply, (size_t)n, port,
                         &done, err);
    }
    return r;
}

/* The kernel's answer: 0 or a negative errno. */
static int destroy_one(int fd, const struct victim *victim, struct err *err)
{
    const struct inet_diag_req_v2 body = {
        .sdiag_family = victim->family,
        .sdiag_protocol = IPPROTO_TCP,
        .idiag_states = states_of_connections(),
        .id = victim->id,
    };
    char reply[512];
    const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)reply;
    const struct nlmsgerr *e = NLMSG_DATA(h);
    ssize_t n;

    if (diag_send(fd, SOCK_DESTROY, NLM_F_ACK, &body, err) != 0)
        return -EIO;
    do
        n = recv(fd, reply, sizeof reply, 0);
    while (n < 0 && errno == EINTR);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof *e) || h->nlmsg_type != NLMSG_ERROR)
        return -EIO;
    return e->error;
}

/* Is it all right that this one is still listed? Without an owner nobody writes to it any
 * more: in FIN_WAIT2 all it ever sent was acknowledged, and where the kernel did accept the
 * order its queue was purged even if (before Linux 6.12) the socket itself stays. */
static bool is_harmless(const struct victim *victim, int answer)
{
    return victim->orphan && (answer == 0 || victim->state == TCP_FIN_WAIT2);
}

/* End what is listed; `ret_open` is how many of them could still do harm. */
static int destroy_all(int fd, const struct victims *v, unsigned *ret_ended,
                       unsigned *ret_open, struct err *err)
{
    unsigned ended = 0, open = 0;

    for (unsigned i = 0; i < v->n; i++) {
        const int answer = destroy_one(fd, &v->list[i], err);

        if (answer == 0)
            ended++;
        if (answer != 0 && answer != -ENOENT && !is_harmless(&v->list[i], answer))
            return err_set(err, ERR_BUSY,
                           "%u old connections are left and this kernel cannot end them "
                           "(%s): stop the server first",
                           v->n - i, strerror(-answer));
        if (!is_harmless(&v->list[i], answer))
            open++;
    }
    *ret_ended = ended;
    *ret_open = open;
    return 0;
}

/* A connection seen once may only be believed gone when a later listing says so. */
static int destroy_until_gone(int fd, uint16_t port, struct victims *v, unsigned *ret_n,
                              struct err *err)
{
    unsigned total = 0;

    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        unsigned ended = 0, open = 0;
        int r;

        v->n = 0;
        r = list_family(fd, AF_INET, port, v, err);
        if (r == 0)
            r = list_family(fd, AF_INET6, port, v, err);
        if (r == 0)
            r = destroy_all(fd, v, &ended, &open, err);
        if (r != 0)
            return r;
        total += ended;
        if (open == 0 && v->n < BATCH) {
            if (ret_n != NULL)
                *ret_n = total;
            return 0;
        }
    }
    return err_set(err, ERR_BUSY, "they do not go away");
}

int sockdestroy_port(uint16_t port, unsigned *ret_n, struct err *err)
{
    struct victims *v;
    int fd = -1, r = diag_open(&fd, err);

    if (r != 0)
        return r;
    v = malloc(sizeof *v);
    r = v == NULL ? err_set(err, ERR_NOMEM, "list")
                  : destroy_until_gone(fd, port, v, ret_n, err);
    free(v);
    auto_close(&fd);
    return r == 0 ? 0 : err_wrap(err, "old connections of port %u", port);
}

static int look_in(int fd, uint16_t port, bool *ret_any, struct err *err)
{
    struct victims *v = calloc(1, sizeof *v);
    int r;

    if (v == NULL)
        return err_set(err, ERR_NOMEM, "list");
    r = list_family(fd, AF_INET, port, v, err);
    if (r == 0)
        r = list_family(fd, AF_INET6, port, v, err);
    if (r == 0)
        *ret_any = v->n > 0;
    free(v);
    return r;
}

int sockdestroy_look(uint16_t port, bool *ret_any, struct err *err)
{
    int fd = -1, r = diag_open(&fd, err);

    if (r != 0)
        return r;
    r = look_in(fd, port, ret_any, err);
    auto_close(&fd);
    return r == 0 ? 0 : err_wrap(err, "connections of port %u", port);
}

bool sockdestroy_works(void)
{
    /* A connection that cannot be: "no such" from a kernel that can. */
    const struct victim nobody = {
        .id = {.idiag_sport = htons(1),
               .idiag_dport = htons(1),
               .idiag_src = {htonl(INADDR_LOOPBACK)},
               .idiag_dst = {htonl(INADDR_LOOPBACK)},
               .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
        .family = AF_INET,
    };
    AUTO(auto_close) int fd = -1;

    return diag_open(&fd, NULL) == 0 && destroy_one(fd, &nobody, NULL) == -ENOENT;
}
