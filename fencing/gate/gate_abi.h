/* fencing/gate/gate_abi.h -- what the kernel program and the agent agree on.
 *
 * Compiled for both sides. A change of a layout, of a map's name or of what a field means
 * needs a new GATE_ABI_VERSION: an agent of another version then installs its own gate and
 * closes what the old one managed. The names GATE_MAP_PORTS and GATE_MAP_IDENT, the magic
 * and the 4-byte key of the ports map stay for ever: by them the next version finds which
 * ports it must not leave without a gate.
 *
 * Pure:    declarations only.
 * Units:   nanoseconds of the kernel's CLOCK_BOOTTIME.
 */
#ifndef RF_FENCING_GATE_ABI_H
#define RF_FENCING_GATE_ABI_H

#include <linux/types.h>

#define GATE_ABI_MAGIC 0x52494e4746474154ULL /* "RINGFGAT" */
#define GATE_ABI_VERSION 2

/* Kernel names are cut at 15 characters. */
#define GATE_MAP_PORTS "rf_ports"
#define GATE_MAP_PEERS "rf_peers"
#define GATE_MAP_SCOPE "rf_scope"
#define GATE_MAP_IDENT "rf_ident"
#define GATE_PROG_INGRESS "rf_ingress"
#define GATE_PROG_EGRESS "rf_egress"

#define GATE_ABI_PORTS_MAX 513 /* 64 times eight, and the spare one of a trial */
/* 64 ports, 16 peers and 32 guests, twice: a list is replaced in place. */
#define GATE_ABI_PEERS_MAX 6144

/* Added to the port of a peer's key: a guest, who passes a standby's gate alone. */
#define GATE_GUEST_OF 0x10000U

/* Mode in the two lowest bits, the absolute deadline, rounded down, in the rest: mode and
 * deadline change in one 64-bit store and can never be seen torn. 0 is closed. */
#define GATE_WORD_MODE 3ULL
#define GATE_WORD_REPLICATION 1ULL
#define GATE_WORD_OPEN 2ULL
#define GATE_WORD_FOREVER (~GATE_WORD_MODE)

#define GATE_CELL_OPENED 1ULL
#define GATE_CELL_SPARE 2ULL /* the port of a trial, nobody's when that is over */

/* One instance in one epoch: the value of an inner map. `epoch` never changes after the
 * map was put in place; `word` is what a renewal writes. */
struct gate_cell {
    __u64 word;
    __u64 epoch;
    __u64 flags; /* GATE_CELL_OPENED, GATE_CELL_SPARE */
    __u64 port;  /* the instance's own; others may have the same cell */
};

struct gate_peer_key {
    __u32 port;  /* of guests: and GATE_GUEST_OF */
    __u8 ip[16]; /* IPv4 as ::ffff:a.b.c.d */
};

/* Who installed this gate, when and where; written once, then frozen. */
struct gate_ident {
    __u64 magic;
    __u32 version;
    __u32 reserved;
    __u64 cgroup_id;
    __u8 gate_id[16];
    char boot_id[40];
    char agent[64];
};

#endif
