/* fencing/gate/gate_internal.h -- the gate's inside: one front (gate.c), two drivers.
 *
 * The front decides what may be written and in which order; a driver writes it. A driver
 * that fails leaves the port as it was, or closed.
 *
 * Owner:   struct gate owns everything it points to.
 * Threads: the keeper's.
 */
#ifndef RF_FENCING_GATE_INTERNAL_H
#define RF_FENCING_GATE_INTERNAL_H

#include <stdint.h>

#include "fencing/gate/cgroup.h"
#include "fencing/gate/gate.h"

struct bpf_gate;
struct guard_gate;
struct nft_gate;
struct clockcheck;
struct courtesy;
struct gate_cell;

/* A managed port. */
struct gate_port {
    uint16_t port;
    bool spare; /* a trial's: the next life lets it go */
    size_t n_peers;
    struct gate_addr peers[GATE_PEERS_MAX];
    size_t n_also;
    uint16_t also[GATE_ALSO_MAX]; /* ports that obey the same lease */
    size_t n_guests;
    struct gate_guest guests[GATE_GUESTS_MAX];
    int cell_fd;            /* eBPF: the inner map */
    uint32_t cell_id;       /* eBPF: its kernel id, by which the ports map names it */
    uint64_t word;          /* eBPF: what was written into it last */
    struct gate_cell *cell; /* eBPF: writable mapping of it; NULL once fenced */
    struct gate_state nft;  /* nftables: what was written */
    unsigned turn;          /* nftables: the sets in which its lease is in force */
};

struct gate_ops {
    /* Everything is about the installed gate; `p` is filled in from it. */
    int (*read)(struct gate *gate, const struct gate_port *p, struct gate_state *ret_state,
                struct err *err);
    /* Put the port under the gate in this state; peers are set before. */
    int (*manage)(struct gate *gate, struct gate_port *p, const struct gate_state *state,
                  struct err *err);
    int (*unmanage)(struct gate *gate, struct gate_port *p, struct err *err);
    /* From the peers in `p` to these; those in both are never missing in between. */
    int (*set_peers)(struct gate *gate, struct gate_port *p, const struct gate_addr *peers,
                     size_t n, struct err *err);
    /* The same for the ports beside it; one that is managed by itself is taken over, and
     * the front forgets its entry then. */
    int (*set_also)(struct gate *gate, struct gate_port *p, const uint16_t *also, size_t n,
                    struct err *err);
    int (*set_guests)(struct gate *gate, struct gate_port *p,
                      const struct gate_guest *guests, size_t n, struct err *err);
    /* A new, closed, unfenced, unopened state for `epoch` in place of the old. */
    int (*new_epoch)(struct gate *gate, struct gate_port *p, uint64_t epoch,
                     struct err *err);
    /* Remember that this epoch has been opened; still closed. */
    int (*mark_opened)(struct gate *gate, struct gate_port *p, struct err *err);
    int (*arm)(struct gate *gate, struct gate_port *p, const struct gate_lease *lease,
               enum gate_arm_how how, struct err *err);
    int (*close)(struct gate *gate, struct gate_port *p, struct err *err);
    /* Close, make later writes of this epoch impossible, read back. */
    int (*fence)(struct gate *gate, struct gate_port *p, struct err *err);
    /* Is the gate in the kernel what we left there, with this port in it, or with all of
     * them for NULL? Some microseconds for one port with eBPF.
     *   ERR_UNPROVEN  no: the text says what is not there, or is not ours */
    int (*check)(struct gate *gate, const struct gate_port *p, struct err *err);
    /* Put back what check() missed, all ports closed, fences kept. */
    int (*restore)(struct gate *gate, struct err *err);
    int (*detach)(struct gate *gate, struct err *err);
    void (*witness)(const struct gate *gate, struct guard_gate *ret_gate);
    void (*free)(struct gate *gate);
};

struct gate {
    const struct gate_ops *ops;
    char agent[GATE_AGENT_MAX];
    char run_dir[PATH_MAX];
    struct cgroup cgroup;
    int lock_fd;
    uint8_t id[GATE_ID_SIZE];
    bool adopted;
    char fallback[120]; /* why there is no eBPF; "": there is, or it was not wanted */
    struct gate_capabilities can;
    struct gate_port ports[GATE_PORTS_MAX + 1]; /* and the spare one of a trial */
    size_t n_ports;
    struct clockcheck *clock;
    struct courtesy *courtesy; /* NULL: not wanted */
    struct bpf_gate *bpf;
    struct nft_gate *nft;
};

/* Called under the lock for opening; they fill in ops, id, adopted, can, ports and their
 * own state, and fail with ERR_UNSUPPORTED where the kernel does not play. */
MUST_USE int gate_bpf_open(struct gate *gate, struct err *err);
MUST_USE int gate_nft_open(struct gate *gate, struct err *err);

/* The entry of a managed port, or NULL. */
struct gate_port *gate_port_of(const struct gate *gate, uint16_t port);
/* The `i`th port of an instance: its own, then those beside it; 0: there are fewer. */
uint16_t gate_port_at(const struct gate_port *p, size_t i);
bool gate_has_port(const uint16_t *ports, size_t n, uint16_t port);

/* Tell the courtesy resets what there is to know about an instance's ports. */
void gate_courtesy_about(struct gate *gate, const struct gate_port *p);

/* Random bytes from the kernel, for a new gate's id. */
MUST_USE int gate_random(uint8_t *bytes, size_t n, struct err *err);
/* This boot's id as text. */
MUST_USE int gate_boot_id(char *text, size_t size, struct err *err);

#endif
