/* What cannot be judged is dropped, and only while something is managed. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/real/gate/lab.h"

enum { MANAGED = 5999, OTHER = 5998, TCP_HEADER = 20, PACKET_MAX = 512 };

struct packet {
    uint8_t bytes[PACKET_MAX];
    size_t len;
};

static void add(struct packet *p, const void *data, size_t n)
{
    assert_true(p->len + n <= sizeof p->bytes);
    memcpy(p->bytes + p->len, data, n);
    p->len += n;
}

/* A TCP header from `port`, or only its first `n` bytes. */
static void add_tcp(struct packet *p, uint16_t port, size_t n)
{
    uint8_t header[TCP_HEADER] = {[12] = 5 << 4, [13] = 0x10};

    header[0] = (uint8_t)(port >> 8);
    header[1] = (uint8_t)port;
    add(p, header, n);
}

/* 0 when it went out, else the errno: a packet that the gate drops on its way out is EPERM.
 */
static int send4(uint16_t port, uint8_t protocol, size_t header, uint16_t fragment)
{
    const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct iphdr ip = {
        .version = 4,
        .ihl = 5,
        .ttl = 64,
        .protocol = protocol,
        .frag_off = htons(fragment),
        .saddr = htonl(INADDR_LOOPBACK),
        .daddr = htonl(INADDR_LOOPBACK),
    };
    struct packet p = {.len = 0};
    int result;

    assert_true(fd >= 0);
    ip.tot_len = htons((uint16_t)(sizeof ip + header));
    add(&p, &ip, sizeof ip);
    add_tcp(&p, port, header);
    result = sendto(fd, p.bytes, p.len, 0, (const struct sockaddr *)&to, sizeof to) < 0
                 ? errno
                 : 0;
    (void)close(fd);
    return result;
}

/* The same in IPv6 behind `n` extension headers of this kind. */
static int send6(uint16_t port, uint8_t kind, size_t n, uint16_t fragment)
{
    const int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    const struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct ip6_hdr ip = {.ip6_src = in6addr_loopback, .ip6_dst = in6addr_loopback};
    struct packet p = {.len = 0};
    int result;

    assert_true(fd >= 0);
    ip.ip6_vfc = 6 << 4;
    ip.ip6_hops = 64;
    ip.ip6_nxt = n > 0 ? kind : IPPROTO_TCP;
    ip.ip6_plen = htons((uint16_t)(n * 8 + TCP_HEADER));
    add(&p, &ip, sizeof ip);
    for (size_t i = 0; i < n; i++) {
        uint8_t ext[8] = {i + 1 < n ? kind : IPPROTO_TCP, 0, 1, 4};

        if (kind == IPPROTO_FRAGMENT) {
            ext[2] = (uint8_t)(fragment >> 8);
            ext[3] = (uint8_t)fragment;
        }
        add(&p, ext, sizeof ext);
    }
    add_tcp(&p, port, TCP_HEADER);
    result = sendto(fd, p.bytes, p.len, 0, (const struct sockaddr *)&to, sizeof to) < 0
                 ? errno
                 : 0;
    (void)close(fd);
    return result;
}

enum { MORE = 0x2000, FAR = 3 };

static const struct {
    const char *name;
    uint16_t port;
    uint8_t protocol;
    size_t header;
    uint16_t fragment;
    int expect; /* while a port is managed and closed */
} table4[] = {
    {"tcp", MANAGED, IPPROTO_TCP, TCP_HEADER, 0, EPERM},
    {"tcp of another port", OTHER, IPPROTO_TCP, TCP_HEADER, 0, 0},
    {"udp", MANAGED, IPPROTO_UDP, 8, 0, EPERM},
    {"udp of another port", OTHER, IPPROTO_UDP, 8, 0, 0},
    {"sctp", MANAGED, 132, 12, 0, EPERM},
    {"no ports in it", MANAGED, IPPROTO_GRE, 8, 0, 0},
    {"a short tcp header", OTHER, IPPROTO_TCP, 19, 0, EPERM},
    {"no tcp header at all", OTHER, IPPROTO_TCP, 0, 0, EPERM},
    {"a short udp header", OTHER, IPPROTO_UDP, 7, 0, EPERM},
    {"the first fragment", OTHER, IPPROTO_TCP, TCP_HEADER, MORE, EPERM},
    {"a later fragment", OTHER, IPPROTO_TCP, TCP_HEADER, FAR, EPERM},
    {"its first fragment", MANAGED, IPPROTO_TCP, TCP_HEADER, MORE, EPERM},
    {"its later fragment", MANAGED, IPPROTO_TCP, TCP_HEADER, FAR, EPERM},
    {"a short tcp header of it", MANAGED, IPPROTO_TCP, 19, 0, EPERM},
    {"a later fragment without ports", OTHER, IPPROTO_GRE, TCP_HEADER, FAR, EPERM},
};

static const struct {
    const char *name;
    uint16_t port;
    uint8_t kind;
    size_t n;
    uint16_t fragment;
    int expect;
} table6[] = {
    {"tcp", MANAGED, 0, 0, 0, EPERM},
    {"tcp of another port", OTHER, 0, 0, 0, 0},
    {"behind an option header", MANAGED, IPPROTO_DSTOPTS, 1, 0, EPERM},
    {"another port behind one", OTHER, IPPROTO_DSTOPTS, 1, 0, 0},
    {"behind six", MANAGED, IPPROTO_DSTOPTS, 6, 0, EPERM},
    {"another port behind six", OTHER, IPPROTO_DSTOPTS, 6, 0, 0},
    {"another port behind nine", OTHER, IPPROTO_DSTOPTS, 9, 0, EPERM},
    {"the first fragment", OTHER, IPPROTO_FRAGMENT, 1, 1, EPERM},
    {"a later fragment", OTHER, IPPROTO_FRAGMENT, 1, 8, EPERM},
    {"its first fragment", MANAGED, IPPROTO_FRAGMENT, 1, 1, EPERM},
    {"its later fragment", MANAGED, IPPROTO_FRAGMENT, 1, 8, EPERM},
    {"behind nine", MANAGED, IPPROTO_DSTOPTS, 9, 0, EPERM},
    {"a fragment of one, another port", OTHER, IPPROTO_FRAGMENT, 1, 0, 0},
    {"a fragment of one", MANAGED, IPPROTO_FRAGMENT, 1, 0, EPERM},
};

/* nftables reads further into a header than our program, so it can tell that a packet is
 * another port's where ours drops what it cannot judge. */
static void assert_verdict(const struct gate *gate, uint16_t port, int result, int expect)
{
    if (gate_capabilities(gate).driver == GATE_NFTABLES && port == OTHER && result == 0)
        return;
    assert_int_equal(result, expect);
}

static void judges_ip4_packets(void **state)
{
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(table4); i++) {
        print_message("nothing managed: %s\n", table4[i].name);
        assert_int_equal(
            send4(table4[i].port, table4[i].protocol, table4[i].header, table4[i].fragment),
            0);
    }
    assert_int_equal(gate_manage(*state, MANAGED, NULL, 0, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(table4); i++) {
        print_message("%s\n", table4[i].name);
        assert_verdict(
            *state, table4[i].port,
            send4(table4[i].port, table4[i].protocol, table4[i].header, table4[i].fragment),
            table4[i].expect);
    }
    (void)lab_open(*state, MANAGED, 1, 10000);
    assert_int_equal(send4(MANAGED, IPPROTO_TCP, TCP_HEADER, 0), 0);
    assert_int_equal(send4(MANAGED, IPPROTO_TCP, TCP_HEADER, MORE), EPERM);
}

static void judges_ip6_packets(void **state)
{
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(table6); i++) {
        print_message("nothing managed: %s\n", table6[i].name);
        assert_int_equal(
            send6(table6[i].port, table6[i].kind, table6[i].n, table6[i].fragment), 0);
    }
    assert_int_equal(gate_manage(*state, MANAGED, NULL, 0, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(table6); i++) {
        print_message("%s\n", table6[i].name);
        /* A later fragment names no port: nftables lets it pass, and drops the first one,
         * so that nobody can put them together. */
        assert_verdict(
            *state, table6[i].fragment >= 8 ? OTHER : table6[i].port,
            send6(table6[i].port, table6[i].kind, table6[i].n, table6[i].fragment),
            table6[i].expect);
    }
}

/* A datagram that was cut into fragments on its way is judged when it is whole again. */
static void fragments_are_judged_reassembled(void **state)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int to = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(MANAGED)};
    static uint8_t
        big[65000]; /* lo carries 65,536: cut at the veth's 1,500 it would be more */
    const char *small[] = {"ip", "link", "set", "lo", "mtu", "1500", NULL};
    const char *usual[] = {"ip", "link", "set", "lo", "mtu", "65536", NULL};
    struct err err;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(lab_run(small), 0);
    assert_int_equal(bind(to, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(sendto(fd, big, sizeof big, 0, (struct sockaddr *)&addr, sizeof addr),
                     sizeof big);
    assert_true(lab_receive(to, LAB_ANSWER_MS) > 0);
    assert_int_equal(gate_manage(*state, MANAGED, NULL, 0, &err), 0);
    assert_int_equal(sendto(fd, big, sizeof big, 0, (struct sockaddr *)&addr, sizeof addr),
                     sizeof big);
    assert_int_equal(lab_receive(to, LAB_SILENCE_MS), 0);
    (void)lab_open(*state, MANAGED, 1, 10000);
    assert_int_equal(sendto(fd, big, sizeof big, 0, (struct sockaddr *)&addr, sizeof addr),
                     sizeof big);
    assert_true(lab_receive(to, LAB_ANSWER_MS) > 0);
    assert_int_equal(lab_run(usual), 0);
    (void)close(fd);
    (void)close(to);
}

static int setup_nft(void **state)
{
    *state = lab_gate(GATE_NFTABLES, "east", false);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(judges_ip4_packets, setup_nft, lab_teardown),
        cmocka_unit_test_setup_teardown(judges_ip6_packets, setup_nft, lab_teardown),
        cmocka_unit_test_setup_teardown(fragments_are_judged_reassembled, setup_nft,
                                        lab_teardown),
        cmocka_unit_test_setup_teardown(judges_ip4_packets, lab_setup_bpf, lab_teardown),
        cmocka_unit_test_setup_teardown(judges_ip6_packets, lab_setup_bpf, lab_teardown),
        cmocka_unit_test_setup_teardown(fragments_are_judged_reassembled, lab_setup_bpf,
                                        lab_teardown),
    };

    return lab_run_tests("packets", tests, ARRAY_LEN(tests));
}
