/* fencing/gate/gate.h -- the dead-man's switch in the kernel: no lease, no packets (I3).
 *
 * A gate stands over one cgroup and rules *managed* local ports. Their packets, in and out,
 * IPv4 and IPv6, loopback too, pass only while the kernel's own CLOCK_BOOTTIME is below an
 * absolute deadline; ports that are not managed pass untouched. It needs no living agent:
 * frozen, killed or slow, the agent's gate closes at its deadline, and it stays installed.
 *
 *   closed       nothing passes.
 *   replication  only packets to and from the port's peers (the group's other instances).
 *   open         everything passes.
 *
 * An instance is named by one port, its server's own. Ports beside it, a pooler's say, obey
 * the same lease (gate_set_also()). Guests, a monitor's or a backup's address, pass a
 * standby's gate as its peers do: at replication, without a deadline (gate_set_guests()).
 *
 * Every state but closed has a deadline. GATE_FOREVER is the deadline of a standby's gate
 * in replication; it is never accepted with `open`.
 *
 * Not covered, said here so that nobody counts on it:
 *   - a paused virtual machine: guest clocks may stand still while the world goes on;
 *   - a hostile root on this host (AF_PACKET, detaching programs, another kernel module);
 *   - Unix sockets: keep the server's socket directory private (design section 4);
 *   - a proxy or pooler on this host with its own port: manage that port as well;
 *   - a packet that passed before the deadline and waits in a queue behind the gate;
 *   - servers in another network namespace than the caller's (old connections are looked
 *     up in the caller's), and a cgroup that does not hold the server's sockets.
 * Same-numbered ports of other network namespaces under the same cgroup are gated too.
 * Fragments and packets that cannot be judged are dropped while any port is managed; TCP
 * never needs IP fragments, and what arrives has been put together again by the stack.
 *
 * Units:   deadlines are CLOCK_BOOTTIME nanoseconds (struct boot), ports in host order.
 * Owner:   gate_open() hands over the handle, gate_free() ends it and leaves the kernel's
 *          gate as it is. Arguments are copied, never kept.
 * Threads: one thread, the lease keeper's, from gate_open() to gate_free(). No call waits
 *          for anything but the kernel; those that may take milliseconds say so. Courtesy
 *          resets have a thread of their own inside.
 * Fork:    children hold no lock and no writable mapping of the gate.
 * Errors:  listed at each function; ret_ arguments are untouched on failure. ERR_IO is a
 *          refusal of the kernel at any of them: then the gate is as it was, or closed.
 */
#ifndef RF_FENCING_GATE_H
#define RF_FENCING_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "controller/base/time.h"

enum {
    GATE_PORTS_MAX = 64,  /* managed at a time */
    GATE_PEERS_MAX = 16,  /* per port */
    GATE_ALSO_MAX = 7,    /* ports of an instance beside its own; a group lists fewer, and
                           * those that have left its file may stand here a while longer */
    GATE_GUESTS_MAX = 32, /* per instance: each address at each of its ports is one */
    GATE_AGENT_MAX = 64,  /* bytes of an agent's name, with the NUL */
    GATE_ID_SIZE = 16,    /* random, one per installation */
    GATE_ID_TEXT_SIZE = 33,
};

enum gate_driver { GATE_AUTO, GATE_BPF, GATE_NFTABLES };

enum gate_mode { GATE_CLOSED = 0, GATE_REPLICATION = 1, GATE_OPEN = 2 };

/* The deadline of a standby's gate: replication until told otherwise, never open. */
static const struct boot GATE_FOREVER = {UINT64_MAX & ~(uint64_t)3};

/* An address as IPv6; IPv4 as ::ffff:a.b.c.d, so that both kinds compare alike. */
struct gate_addr {
    uint8_t ip[16];
};

struct gate_config {
    enum gate_driver driver; /* GATE_AUTO: eBPF where it can be had, else nftables, said
                              * aloud, and not while an eBPF gate of this agent stands */
    const char *cgroup;  /* "auto": the root of cgroup v2; "/x" or "x": x below that root;
                          * or the full path of a directory on cgroup v2; what is named
                          * and cannot be opened is an error */
    const char *run_dir; /* same for every agent of the host; NULL: /run/ringfence-agent */
    const char *agent;   /* [A-Za-z0-9._-], shorter than GATE_AGENT_MAX */
    bool courtesy;       /* answer clients of a closed port with TCP resets */
};

/* Who may come to which port of an instance while it is a standby. */
struct gate_guest {
    uint16_t port;
    struct gate_addr addr;
};

/* What one lease allows on one port. */
struct gate_lease {
    uint64_t epoch;
    enum gate_mode mode;
    struct boot deadline;
};

enum gate_arm_how {
    GATE_RENEW,  /* extend: refused when the last deadline has passed meanwhile */
    GATE_REOPEN, /* a fresh lease may open what is closed */
};

struct gate_state {
    uint64_t epoch;       /* 0: none yet */
    enum gate_mode mode;  /* as it was written; passes only until the deadline */
    struct boot deadline; /* 0 when closed */
    bool fenced;          /* this epoch is over for good */
    bool opened;          /* this epoch has been opened before */
};

/* The fact of I3: since `closed_at` no packet of `port` passes under `epoch` or earlier,
 * and no write can change that. */
struct gate_proof {
    uint16_t port;
    uint64_t epoch;
    uint8_t gate_id[GATE_ID_SIZE];
    struct boot closed_at;
};

struct gate_capabilities {
    enum gate_driver driver;
    bool absolute_deadline; /* false: relative, bounded a second time by wall clock */
    bool frozen_proof;      /* the kernel itself refuses writes after a fence */
    bool survives_flush;    /* `nft flush ruleset` does not remove it */
    bool destroys_sockets;  /* else a new epoch opens only when no old connection is left */
    bool courtesy;          /* resets are being sent */
};

struct gate;

/* Take the cgroup's gate, for life: adopt the one this agent left behind (it is found by
 * query; deadlines and connections are not touched), or install a new one with every port
 * the old one managed, closed, before the old one is taken off.
 *   ERR_BUSY      another process holds it (the text names it)
 *   ERR_CONFLICT  another agent's gate on this cgroup, above it or below it
 *   ERR_INVAL     not a cgroup v2 directory, or a bad agent name
 *   ERR_UNSUPPORTED  no driver works on this kernel, or the process's CLOCK_BOOTTIME is not
 *                    the kernel's (gate_clock_check())
 * May take some 100 ms. */
MUST_USE int gate_open(struct gate **ret_gate, const struct gate_config *config,
                       struct err *err);

/* Give up the handle and the lock; the kernel's gate goes on. NULL is fine. */
void gate_free(struct gate *gate);

/* Uninstall: every managed port passes afterwards. Consumes the handle. */
MUST_USE int gate_detach(struct gate *gate, struct err *err);

/* Was the gate found installed by an earlier life of this agent? */
bool gate_was_adopted(const struct gate *gate);
/* Part of the agent's incarnation; stays the same as long as the gate is adopted. */
void gate_id(const struct gate *gate, uint8_t ret_id[GATE_ID_SIZE]);
void gate_id_text(const struct gate *gate, char text[GATE_ID_TEXT_SIZE]);
struct gate_capabilities gate_capabilities(const struct gate *gate);
/* One line for `doctor`: driver, where it is attached, and its weaknesses. */
void gate_describe(const struct gate *gate, char *text, size_t size);
/* What the guard (fencing/guard) recognises this gate by, as it is in the kernel now. */
struct guard_gate;
void gate_witness(const struct gate *gate, struct guard_gate *ret_gate);
/* The last trouble with the courtesy resets, which cost nothing but comfort; 0 and an empty
 * text when there is none. Each trouble is reported once. */
int gate_warning(struct gate *gate, struct err *ret_warning);

/* Manage `port`: from here on it is closed. A port that is managed already keeps its epoch,
 * mode and deadline and only gets the new peers.
 *   ERR_FULL   GATE_PORTS_MAX or GATE_PEERS_MAX
 * Some 10 ms. */
MUST_USE int gate_manage(struct gate *gate, uint16_t port, const struct gate_addr *peers,
                         size_t n, struct err *err);

/* Manage a port that serves clients already, without a gap: the lease is armed before the
 * port enters the gate, and connections are kept.
 *   ERR_CONFLICT  managed already
 *   ERR_TIMEOUT   the deadline has passed; the port is not managed */
MUST_USE int gate_manage_live(struct gate *gate, uint16_t port,
                              const struct gate_addr *peers, size_t n,
                              const struct gate_lease *lease, struct err *err);

/* Let the port pass untouched. Only for `detach`: it opens. Fine if not managed. */
MUST_USE int gate_unmanage(struct gate *gate, uint16_t port, struct err *err);

/* Up to `max` managed ports; returns how many there are. */
size_t gate_ports(const struct gate *gate, uint16_t *ret_ports, size_t max);

/* The whole list anew. ERR_NOTFOUND: not managed. */
MUST_USE int gate_set_peers(struct gate *gate, uint16_t port, const struct gate_addr *peers,
                            size_t n, struct err *err);

/* The whole list anew of the ports that obey the lease of `port` beside it: whatever is
 * done to `port` is done to them in the same moment. Peers are let through to `port` alone.
 * One that has a closed gate of its own comes under this one without a gap; one that is not
 * named any more passes untouched, and loses its guests. With eBPF a new one obeys at once;
 * with nftables it is closed until a lease is written, which a renewal of the same one is.
 *   ERR_NOTFOUND  `port` is not managed
 *   ERR_CONFLICT  one of them has an open gate of its own, or belongs to another port
 *   ERR_FULL      GATE_ALSO_MAX
 *   ERR_INVAL     0, or twice */
MUST_USE int gate_set_also(struct gate *gate, uint16_t port, const uint16_t *also, size_t n,
                           struct err *err);

/* Up to `max` ports that obey the lease of `port`; returns how many there are. */
size_t gate_also(const struct gate *gate, uint16_t port, uint16_t *ret_also, size_t max);

/* Is anything bound to this TCP port of the host: a listener, or a connection that may
 * still carry something? What cannot be told counts as yes. */
bool gate_port_in_use(uint16_t port);

/* The whole list anew of an instance's guests. They pass nothing but a standby's gate: it
 * is the server's being in recovery that keeps them from writing, and no address is let
 * through where that may not be so: not to a primary before it is opened (whose
 * acknowledgements would precede `opened`, I8), not when a lease is over, not behind a
 * fence (I3). A monitor that cannot reach a fenced server sees what is.
 *   ERR_NOTFOUND  `port` is not managed
 *   ERR_INVAL     one names a port that is neither `port` nor one beside it
 *   ERR_FULL      GATE_GUESTS_MAX */
MUST_USE int gate_set_guests(struct gate *gate, uint16_t port,
                             const struct gate_guest *guests, size_t n, struct err *err);

/* How many guests an instance has; 0 where `port` is not managed. */
size_t gate_guest_count(const struct gate *gate, uint16_t port);

/* Write the lease. Microseconds (nftables: 0.1 ms), but for the first opening of an epoch,
 * which destroys all older connections of the port and takes some 10 ms, and for opening
 * what was closed, which lets the courtesy resets end before (0.2 ms, at most 20). The mode
 * may change with any call; the deadline is taken as it is, earlier or later than the last.
 * ERR_STALE     an older epoch than the gate's, or one that is fenced ERR_CLOSED
 * GATE_RENEW, and the last deadline has passed: a fresh lease is needed ERR_TIMEOUT   the
 * deadline has passed, or passed while we wrote: the gate is closed ERR_INVAL     `open`
 * for ever, epoch 0, or mode closed ERR_BUSY      old connections that cannot be destroyed
 * are left; the gate is closed ERR_NOTFOUND  not managed
 * ERR_UNPROVEN  the gate in the kernel is not ours any more, see gate_check() */
MUST_USE int gate_arm(struct gate *gate, uint16_t port, const struct gate_lease *lease,
                      enum gate_arm_how how, struct err *err);

/* Close now. No proof: the same epoch may be opened again with GATE_REOPEN.
 *   ERR_STALE     an older epoch than the gate's, which is left alone
 *   ERR_NOTFOUND  not managed */
MUST_USE int gate_close(struct gate *gate, uint16_t port, uint64_t epoch, struct err *err);

/* Close for good for `epoch` and everything before it, and prove it: only on a command that
 * names a committed fence_begin(epoch), after the epoch was synced to disk (I3). Repeating
 * it gives the same proof again.
 *   ERR_STALE     an older epoch than the gate's
 *   ERR_UNPROVEN  what was read back is not what was written
 *   ERR_NOTFOUND  not managed
 * Some 10 ms: it waits until no packet that was judged before is still on its way. */
MUST_USE int gate_fence(struct gate *gate, uint16_t port, uint64_t epoch,
                        struct gate_proof *ret_proof, struct err *err);

/* What the kernel has. ERR_NOTFOUND: not managed. */
MUST_USE int gate_read(struct gate *gate, uint16_t port, struct gate_state *ret_state,
                       struct err *err);

/* Prove the gate by real connections. Over every local address a spare port is tried: it
 * must answer while it passes, be dead while it is closed, and answer again. Then, where
 * `port` is not 0 and is closed, a real connection to it must fail, and to each port beside
 * it (a listener is put there if there is none). For a live primary give 0.
 *   ERR_REFUSED  a connection came through a closed gate, or none through an open one: the
 *                text says which and what is the likely cause (cgroup without our sockets)
 * Some 200 ms. */
MUST_USE int gate_try(struct gate *gate, uint16_t port, struct err *err);

/* Is the gate still in the kernel, whole and ours, with every managed port in it as it was
 * left? Somebody may have detached or replaced it, flushed its rules, written into its
 * maps, or made its cgroup anew; nothing is held back then, whatever is written. To be
 * asked with each renewal, since a gate that is not there is no lease. gate_arm() asks for
 * its port. ERR_UNPROVEN  it was not; the text says what was wrong and whether it is put
 * back. All ports are closed in what is put back; fences stand. No lease that was written
 * before counts any more, and the gate is to be tried anew Microseconds for each port
 * (nftables: some milliseconds). */
MUST_USE int gate_check(struct gate *gate, struct err *err);

/* Is the process's CLOCK_BOOTTIME the clock that the kernel's gate reads? It is not in a
 * time namespace or under libfaketime, and a gate armed by it might never close.
 *   ERR_UNSUPPORTED  they differ: take no lease
 * gate_arm() checks it too. */
MUST_USE int gate_clock_check(struct gate *gate, struct err *err);

/* May a lease with clock allowance `rho_ppm` be taken? Not while NTP slews the clock by
 * more than half of it (I4). ERR_REFUSED  the rate now, and the limit */
MUST_USE int gate_clock_rate_check(uint32_t rho_ppm, struct err *err);
/* How fast the kernel's clock is being steered, from adjtimex(). */
MUST_USE int gate_clock_rate_ppm(int32_t *ret_ppm, struct err *err);

/* "10.0.0.7", "2001:db8::7" or "::ffff:10.0.0.7". ERR_INVAL else. */
MUST_USE int gate_addr_parse(struct gate_addr *ret_addr, const char *text, struct err *err);

#endif
