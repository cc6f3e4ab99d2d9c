/* chaos/capture.c */
#include "chaos/capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "chaos/base.h"

enum { SERVER_PORT = 5432, SNAP = 512, TICK_MS = 20, ROOM = 64 << 20 };

/* From the network header on: TCP, no fragment, source port SERVER_PORT. */
static struct sock_filter only_server[] = {
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 6),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 4, 0),
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
    BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SERVER_PORT, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SNAP),
    BPF_STMT(BPF_RET | BPF_K, 0),
};

static void set_option(int fd, int level, int name, const void *value, socklen_t size)
{
    if (setsockopt(fd, level, name, value, size) != 0)
        die("packet socket option %d: %s", name, strerror(errno));
}

static int open_socket(void)
{
    struct sock_fprog filter = {ARRAY_LEN(only_server), only_server};
    struct sockaddr_ll here = {.sll_family = AF_PACKET,
                               .sll_protocol = htons(ETH_P_IP),
                               .sll_ifindex = (int)if_nametoindex("eth0")};
    int room = ROOM, on = 1;
    /* Protocol 0 takes nothing until the filter is in place and bind() names it. */
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        die("packet socket: %s", strerror(errno));
    set_option(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
    set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) != 0)
        die("packet socket on eth0: %s", strerror(errno));
    return fd;
}

/* The tag of a CommandComplete message, with its NUL. */
static bool is_ack(const unsigned char *packet, size_t size)
{
    static const char tag[] = "INSERT 0 1";
    size_t ip = (size_t)(packet[0] & 0xfU) * 4, tcp;

    if (size < ip + 20)
        return false;
    tcp = (size_t)(packet[ip + 12] >> 4) * 4;
    return size > ip + tcp &&
           memmem(packet + ip + tcp, size - ip - tcp, tag, sizeof tag) != NULL;
}

static int host_of(const unsigned char *packet)
{
    char source[INET_ADDRSTRLEN];

    if (inet_ntop(AF_INET, packet + 12, source, sizeof source) == NULL)
        return -1;
    for (enum site s = EAST; s < SITE_COUNT; s++)
        if (strcmp(source, site_address(s)) == 0)
            return (int)s;
    return -1;
}

static int64_t stamp_of(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        struct timespec ts;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&ts, CMSG_DATA(c), sizeof ts);
        return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
    }
    return 0;
}

static bool take_packet(struct capture *c, int fd, int64_t boot_minus_wall)
{
    unsigned char packet[SNAP];
    union {
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr align;
    } control;
    struct sockaddr_ll from;
    struct iovec data = {packet, sizeof packet};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t size = recvmsg(fd, &message, 0);
    int host;

    if (size < 0)
        return false;
    host = size >= 20 && from.sll_pkttype == PACKET_HOST ? host_of(packet) : -1;
    if (host < 0 || !is_ack(packet, (size_t)size))
        return true;
    c->packets = must_grow(c->packets, &c->cap, c->count + 1, sizeof *c->packets);
    c->packets[c->count++] = (struct ack_packet){
        .at_ns = stamp_of(&message) + boot_minus_wall, .host = (uint8_t)host};
    return true;
}

static void *run_capture(void *owner)
{
    struct capture *c = owner;
    struct tpacket_stats stats = {0};
    socklen_t size = sizeof stats;
    AUTO(auto_close) int fd = -1;

    ground_enter(c->ground, CLIENT);
    fd = open_socket();
    atomic_store(&c->ready, true);
    while (!atomic_load(&c->stop)) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        int64_t boot_minus_wall;

        poll(&readable, 1, TICK_MS);
        boot_minus_wall = now_ns() - wall_ns();
        while (take_packet(c, fd, boot_minus_wall))
            ;
    }
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
        c->dropped = stats.tp_drops;
    return NULL;
}

void capture_start(struct capture *c, const struct ground *g)
{
    *c = (struct capture){.ground = g};
    if (pthread_create(&c->thread, NULL, run_capture, c) != 0)
        die("cannot start a thread");
    while (!atomic_load(&c->ready))
        wait_ms(1);
}

void capture_stop(struct capture *c)
{
    atomic_store(&c->stop, true);
    pthread_join(c->thread, NULL);
}

void capture_free(struct capture *c)
{
    free(c->packets);
    c->packets = NULL;
    c->count = c->cap = 0;
}

int64_t capture_last_ack_ns(const struct capture *c, enum site host, int64_t to)
{
    int64_t last = 0;

    for (size_t i = 0; i < c->count; i++)
        if (c->packets[i].host == host && c->packets[i].at_ns < to &&
            c->packets[i].at_ns > last)
            last = c->packets[i].at_ns;
    return last;
}
