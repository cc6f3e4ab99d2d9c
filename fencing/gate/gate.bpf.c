/* fencing/gate/gate.bpf.c -- the gate itself: runs in the kernel, on every IP packet of the
 * cgroup's sockets, and needs nobody alive (I3).
 *
 * A packet belongs to a managed port when its own local port says so, or when the local
 * port of its socket does. The socket is asked too because a header may not show the port:
 * host IPsec hands ESP to the egress hook. What belongs to a managed port passes only while
 * the kernel's boot clock is below the deadline in the cell. Whoever lowers the deadline
 * needs no cooperation from this program: each packet reads the cell anew.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "fencing/gate/gate_abi.h"

#define PROTO_SCTP 132
#define PROTO_UDPLITE 136
#define PROTO_AH 51
#define PROTO_MOBILITY 135
#define PROTO_HIP 139
#define PROTO_SHIM6 140
#define FAMILY_INET 2
#define IP4_FRAGMENT 0x3fff /* more fragments, or an offset */
#define IP6_FRAGMENT 0xfff9
#define IP6_HEADERS_MAX 8

enum verdict { DROP = 0, PASS = 1 };

enum known {
    KNOWN_NOT, /* cannot be judged by its header */
    NO_PORTS,  /* a protocol without ports */
    HAS_PORTS, /* local and remote are filled in */
};

struct flow {
    __u32 remote[4];
    __u32 local_port;
};

struct cell_map {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(struct gate_cell));
};

/* Port in host order -> the cell of its instance and epoch. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
    __uint(max_entries, GATE_ABI_PORTS_MAX);
    __type(key, __u32);
    __array(values, struct cell_map);
} rf_ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, GATE_ABI_PEERS_MAX);
    __type(key, struct gate_peer_key);
    __type(value, __u8);
} rf_peers SEC(".maps");

/* How many ports are managed; set before the first one enters and after the last one left.
 */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} rf_scope SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct gate_ident);
} rf_ident SEC(".maps");

static const __u32 zero;

static __always_inline int carries_ports(__u32 protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_DCCP ||
           protocol == PROTO_SCTP || protocol == PROTO_UDPLITE;
}

static __always_inline int is_peer(__u32 port, const __u32 remote[4])
{
    struct gate_peer_key key = {.port = port};

    __builtin_memcpy(key.ip, remote, sizeof key.ip);
    return bpf_map_lookup_elem(&rf_peers, &key) != 0;
}

/* The whole of I3 in the kernel. The word is one aligned 64-bit load, its writer makes one
 * 64-bit store: no state between two leases can be seen. */
static __always_inline enum verdict judge(__u32 port, const __u32 remote[4])
{
    void *inner = bpf_map_lookup_elem(&rf_ports, &port);
    const volatile struct gate_cell *cell;
    __u64 word, deadline;

    if (!inner)
        return PASS; /* not a managed port */
    cell = bpf_map_lookup_elem(inner, &zero);
    if (!cell)
        return DROP;

    word = cell->word;
    deadline = word & ~GATE_WORD_MODE;
    if (bpf_ktime_get_boot_ns() >= deadline)
        return DROP;
    if ((word & GATE_WORD_MODE) == GATE_WORD_OPEN)
        return deadline == GATE_WORD_FOREVER ? DROP : PASS;
    if ((word & GATE_WORD_MODE) != GATE_WORD_REPLICATION)
        return DROP;
    if (is_peer(port, remote))
        return PASS;
    /* Without a deadline it is a standby's. */
    return deadline == GATE_WORD_FOREVER && is_peer(port | GATE_GUEST_OF, remote) ? PASS
                                                                                  : DROP;
}

/* The first four bytes of all five protocols; a shorter header cannot be judged. */
static __always_inline enum known read_ports(struct __sk_buff *skb, __u32 at,
                                             __u32 protocol, int ingress, struct flow *f)
{
    __u8 header[20];
    __be16 port;

    if (!carries_ports(protocol))
        return NO_PORTS;
    if (bpf_skb_load_bytes(skb, at, header, protocol == IPPROTO_TCP ? 20 : 8))
        return KNOWN_NOT;
    __builtin_memcpy(&port, ingress ? header + 2 : header, sizeof port);
    f->local_port = bpf_ntohs(port);
    return HAS_PORTS;
}

static __always_inline enum known read_ip4(struct __sk_buff *skb, int ingress,
                                           struct flow *f)
{
    struct iphdr ip;

    if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip) || ip.version != 4 || ip.ihl < 5)
        return KNOWN_NOT;
    if (ip.frag_off & bpf_htons(IP4_FRAGMENT))
        return KNOWN_NOT;
    f->remote[0] = f->remote[1] = 0;
    f->remote[2] = bpf_htonl(0xffff);
    f->remote[3] = ingress ? ip.saddr : ip.daddr;
    return read_ports(skb, ip.ihl * 4u, ip.protocol, ingress, f);
}

/* Walk as many extension headers as anything sane sends; more cannot be judged. */
static __always_inline enum known read_ip6(struct __sk_buff *skb, int ingress,
                                           struct flow *f)
{
    struct ipv6hdr ip;
    __u32 at = sizeof ip, next;
    __u8 ext[4]; /* next header, length, fragment offset */

    if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip) || ip.version != 6)
        return KNOWN_NOT;
    __builtin_memcpy(f->remote, ingress ? &ip.saddr : &ip.daddr, sizeof f->remote);
    next = ip.nexthdr;

    for (int i = 0; i < IP6_HEADERS_MAX; i++) {
        if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
            next != IPPROTO_FRAGMENT && next != IPPROTO_DSTOPTS && next != PROTO_AH &&
            next != PROTO_MOBILITY && next != PROTO_HIP && next != PROTO_SHIM6)
            return read_ports(skb, at, next, ingress, f);
        if (bpf_skb_load_bytes(skb, at, ext, sizeof ext))
            return KNOWN_NOT;
        if (next == IPPROTO_FRAGMENT) {
            if (((ext[2] << 8) | ext[3]) & IP6_FRAGMENT)
                return KNOWN_NOT;
            at += 8;
        } else if (next == PROTO_AH) {
            at += (ext[1] + 2u) * 4u;
        } else {
            at += (ext[1] + 1u) * 8u;
        }
        next = ext[0];
    }
    return KNOWN_NOT;
}

/* All fields are loaded first and volatile: the verifier wants each at its own fixed
 * offset, and the compiler would merge the loads of two branches by computing addresses. */
static __always_inline void remote_of_socket(const volatile struct bpf_sock *sk,
                                             __u32 remote[4])
{
    const __u32 ip4 = sk->dst_ip4, a = sk->dst_ip6[0], b = sk->dst_ip6[1];
    const __u32 c = sk->dst_ip6[2], d = sk->dst_ip6[3];
    const int is_ip4 = sk->family == FAMILY_INET;

    remote[0] = is_ip4 ? 0 : a;
    remote[1] = is_ip4 ? 0 : b;
    remote[2] = is_ip4 ? bpf_htonl(0xffff) : c;
    remote[3] = is_ip4 ? ip4 : d;
}

static __always_inline enum verdict gate(struct __sk_buff *skb, int ingress)
{
    const __u32 *managed = bpf_map_lookup_elem(&rf_scope, &zero);
    struct flow f = {};
    enum known known = KNOWN_NOT;
    struct bpf_sock *sk;

    if (managed && *managed == 0)
        return PASS;

    if (skb->protocol == bpf_htons(ETH_P_IP))
        known = read_ip4(skb, ingress, &f);
    else if (skb->protocol == bpf_htons(ETH_P_IPV6))
        known = read_ip6(skb, ingress, &f);
    if (known == KNOWN_NOT)
        return DROP;
    if (known == HAS_PORTS && judge(f.local_port, f.remote) == DROP)
        return DROP;

    sk = skb->sk;
    if (sk)
        sk = bpf_sk_fullsock(sk);
    if (!sk || !carries_ports(sk->protocol))
        return PASS;
    if (known == HAS_PORTS && sk->src_port == f.local_port)
        return PASS; /* judged above */
    if (known == NO_PORTS)
        remote_of_socket(sk, f.remote);
    return judge(sk->src_port, f.remote);
}

SEC("cgroup_skb/ingress") int rf_ingress(struct __sk_buff *skb) { return gate(skb, 1); }

SEC("cgroup_skb/egress") int rf_egress(struct __sk_buff *skb) { return gate(skb, 0); }

char LICENSE[] SEC("license") = "Dual BSD/GPL";
