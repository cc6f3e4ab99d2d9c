#include "fencing/guard/look.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    PROGRAMS_MAX = 64, /* the kernel's own limit for one cgroup and hook */
    REPLY_SIZE = 16384,
    REQUEST_SIZE = 512,
    HEAD = sizeof(struct nlattr),
    ANSWER_US = 20000, /* netlink answers within the call */
};

static bool no(char *why, size_t size, const char *what, int error)
{
    (void)snprintf(why, size, "%s%s%s", what, error != 0 ? ": " : "",
                   error != 0 ? strerror(error) : "");
    return false;
}

/* ---- eBPF -----------------------------------------------------------------------------
 */

static int bpf(int command, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

/* 1: it is attached there; 0: it is not; below: the kernel does not say. */
static int has_program(int cgroup, uint32_t hook, uint64_t id)
{
    uint32_t ids[PROGRAMS_MAX];
    union bpf_attr attr;

    memset(&attr, 0, sizeof attr);
    attr.query.target_fd = (uint32_t)cgroup;
    attr.query.attach_type = hook;
    attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attr.query.prog_cnt = PROGRAMS_MAX;
    if (bpf(BPF_PROG_QUERY, &attr) != 0)
        return -errno;
    for (uint32_t i = 0; i < attr.query.prog_cnt; i++)
        if (ids[i] == id)
            return 1;
    return 0;
}

static bool look_bpf(const struct guard_gate *gate, char *why, size_t size)
{
    int fd = open(gate->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int in, out;

    if (fd < 0)
        return no(why, size, gate->place, errno);
    in = has_program(fd, BPF_CGROUP_INET_INGRESS, gate->ingress);
    out = has_program(fd, BPF_CGROUP_INET_EGRESS, gate->egress);
    (void)close(fd);
    if (in < 0 || out < 0)
        return no(why, size, "which programs are attached cannot be told",
                  in < 0 ? -in : -out);
    if (in == 0 || out == 0)
        return no(why, size,
                  in == 0 ? "its program for what comes in is not attached any more"
                          : "its program for what goes out is not attached any more",
                  0);
    return true;
}

static bool look_port(const struct guard_gate *gate, uint16_t port, char *why, size_t size)
{
    uint32_t key = port, found = 0;
    union bpf_attr attr;
    int fd, failed = 0;

    memset(&attr, 0, sizeof attr);
    attr.map_id = (uint32_t)gate->ports;
    fd = bpf(BPF_MAP_GET_FD_BY_ID, &attr);
    if (fd < 0)
        return no(why, size, "its map of ports is gone", errno);
    memset(&attr, 0, sizeof attr);
    attr.map_fd = (uint32_t)fd;
    attr.key = (uint64_t)(uintptr_t)&key;
    attr.value = (uint64_t)(uintptr_t)&found;
    if (bpf(BPF_MAP_LOOKUP_ELEM, &attr) != 0)
        failed = errno;
    (void)close(fd);
    return failed == 0 || no(why, size, "the port is not in its map any more", failed);
}

/* ---- nftables -------------------------------------------------------------------------
 */

struct request {
    struct nlmsghdr head;
    struct nfgenmsg family;
    char attributes[REQUEST_SIZE];
};

static void begin(struct request *r, int type, int flags)
{
    memset(r, 0, sizeof *r);
    r->head.nlmsg_len = NLMSG_LENGTH(sizeof r->family);
    r->head.nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    r->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    r->family.nfgen_family = NFPROTO_INET;
}

static uint32_t aligned(uint32_t len) { return (len + HEAD - 1) & ~(uint32_t)(HEAD - 1); }

static void say(struct request *r, uint16_t type, const void *data, size_t len)
{
    struct nlattr attr = {.nla_len = (uint16_t)(HEAD + len), .nla_type = type};
    char *to = (char *)r + NLMSG_ALIGN(r->head.nlmsg_len);

    if (NLMSG_ALIGN(r->head.nlmsg_len) + aligned(attr.nla_len) > sizeof *r)
        return; /* the kernel then finds nothing of that name */
    memcpy(to, &attr, sizeof attr);
    memcpy(to + HEAD, data, len);
    r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + aligned(attr.nla_len);
}

static void say_text(struct request *r, uint16_t type, const char *text)
{
    say(r, type, text, strlen(text) + 1);
}

/* A socket with the request sent, or below 0. */
static int ask(const struct request *r)
{
    const struct timeval patience = {.tv_usec = ANSWER_US};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        send(fd, r, r->head.nlmsg_len, 0) != (ssize_t)r->head.nlmsg_len) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool read_handle(const struct nlmsghdr *head, uint64_t *ret_handle)
{
    const char *at = (const char *)head + NLMSG_LENGTH(sizeof(struct nfgenmsg));
    const char *end = (const char *)head + head->nlmsg_len;

    while (at + HEAD <= end) {
        struct nlattr attr;
        unsigned char bytes[8];

        memcpy(&attr, at, sizeof attr);
        if (attr.nla_len < HEAD || at + attr.nla_len > end)
            return false;
        if ((attr.nla_type & NLA_TYPE_MASK) == NFTA_TABLE_HANDLE &&
            attr.nla_len == HEAD + sizeof bytes) {
            memcpy(bytes, at + HEAD, sizeof bytes);
            *ret_handle = 0;
            for (size_t i = 0; i < sizeof bytes; i++) /* it comes in network order */
                *ret_handle = *ret_handle << 8 | bytes[i];
            return true;
        }
        at += aligned(attr.nla_len);
    }
    return false;
}

static bool read_table(const char *table, uint64_t *ret_handle)
{
    _Alignas(struct nlmsghdr) char reply[REPLY_SIZE];
    const struct nlmsghdr *head = (const void *)reply;
    struct request r;
    bool found = false;
    ssize_t n;
    int fd;

    begin(&r, NFT_MSG_GETTABLE, 0);
    say_text(&r, NFTA_TABLE_NAME, table);
    fd = ask(&r);
    if (fd < 0)
        return false;
    n = recv(fd, reply, sizeof reply, 0);
    (void)close(fd);
    if (n >= (ssize_t)sizeof *head && NLMSG_OK(head, (size_t)n) &&
        head->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE))
        found = read_handle(head, ret_handle);
    return found;
}

/* How many rules the chain has; below 0: it cannot be told. */
static int count_rules(const char *table, const char *chain)
{
    _Alignas(struct nlmsghdr) char reply[REPLY_SIZE];
    struct request r;
    int fd, count = 0;
    bool done = false;

    begin(&r, NFT_MSG_GETRULE, NLM_F_DUMP);
    say_text(&r, NFTA_RULE_TABLE, table);
    say_text(&r, NFTA_RULE_CHAIN, chain);
    fd = ask(&r);
    while (fd >= 0 && !done) {
        const struct nlmsghdr *head = (const void *)reply;
        ssize_t n = recv(fd, reply, sizeof reply, 0);

        if (n <= 0)
            break;
        for (size_t left = (size_t)n; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
            done = done || head->nlmsg_type == NLMSG_DONE;
            count += head->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE);
            if (head->nlmsg_type == NLMSG_ERROR) {
                (void)close(fd);
                return -1;
            }
        }
    }
    if (fd >= 0)
        (void)close(fd);
    return done ? count : -1;
}

/* Whether the table rules the port. Its rules alone do not say so: a server that is adopted
 * serves before it is in there. */
static bool look_nft_port(const struct guard_gate *gate, uint16_t port, char *why,
                          size_t size)
{
    /* One element, whose key is the port, in network order. */
    const struct {
        struct nlattr element, key, value;
        unsigned char port[2], pad[2];
    } list = {.element = {3 * HEAD + 4, NLA_F_NESTED | NFTA_LIST_ELEM},
              .key = {2 * HEAD + 4, NLA_F_NESTED | NFTA_SET_ELEM_KEY},
              .value = {HEAD + sizeof list.port, NFTA_DATA_VALUE},
              .port = {(unsigned char)(port >> 8), (unsigned char)port}};
    _Alignas(struct nlmsghdr) char reply[REPLY_SIZE];
    const struct nlmsghdr *head = (const void *)reply;
    struct request r;
    ssize_t n;
    int fd;

    begin(&r, NFT_MSG_GETSETELEM, 0);
    say_text(&r, NFTA_SET_ELEM_LIST_TABLE, gate->place);
    say_text(&r, NFTA_SET_ELEM_LIST_SET, "managed");
    say(&r, NLA_F_NESTED | NFTA_SET_ELEM_LIST_ELEMENTS, &list, sizeof list);
    fd = ask(&r);
    if (fd < 0)
        return no(why, size, "its table cannot be asked", errno);
    n = recv(fd, reply, sizeof reply, 0);
    (void)close(fd);
    return (n >= (ssize_t)sizeof *head && NLMSG_OK(head, (size_t)n) &&
            head->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM)) ||
           no(why, size, "the port is not in its table", 0);
}

static bool look_nft(const struct guard_gate *gate, char *why, size_t size)
{
    static const char *const chains[] = {"in", "out"};
    uint64_t handle = 0;

    if (!read_table(gate->place, &handle))
        return no(why, size, "its table is gone (nft flush ruleset?)", 0);
    if (handle != gate->handle)
        return no(why, size, "its table was made anew by somebody else", 0);
    for (int i = 0; i < 2 && gate->rules != 0; i++)
        if (count_rules(gate->place, chains[i]) < (int)gate->rules)
            return no(why, size, "rules are missing in its table (nft flush table?)", 0);
    return true;
}

/* ---- either ---------------------------------------------------------------------------
 */

bool guard_look(const struct guard_gate *gate, char *why, size_t size)
{
    switch ((enum guard_gate_kind)gate->kind) {
    case GUARD_GATE_BPF:
        return look_bpf(gate, why, size);
    case GUARD_GATE_NFT:
        return look_nft(gate, why, size);
    case GUARD_GATE_NONE:
        break;
    }
    return no(why, size, "there is no gate", 0);
}

bool guard_look_port(const struct guard_gate *gate, uint16_t port, char *why, size_t size)
{
    return gate->kind == GUARD_GATE_NFT ? look_nft_port(gate, port, why, size)
                                        : look_port(gate, port, why, size);
}

void guard_nft_witness(struct guard_gate *gate)
{
    int in, out;

    gate->handle = gate->rules = 0;
    if (!read_table(gate->place, &gate->handle))
        return;
    in = count_rules(gate->place, "in");
    out = count_rules(gate->place, "out");
    if (in > 0 && out > 0)
        gate->rules = (uint64_t)(in < out ? in : out);
}
