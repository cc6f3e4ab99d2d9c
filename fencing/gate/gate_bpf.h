/* fencing/gate/gate_bpf.h -- the inside of the eBPF driver.
 *
 * Threads: the keeper's.
 */
#ifndef RF_FENCING_GATE_BPF_H
#define RF_FENCING_GATE_BPF_H

#include "fencing/gate/bpf_find.h"
#include "fencing/gate/gate_internal.h"

struct bpf_gate {
    struct bpf_found attached; /* our programs and maps; owned */
};

/* The driver's writes (gate_bpf.c). */
extern const struct gate_ops gate_bpf_ops;

/* Adopt or install (bpf_install.c): fills in gate->bpf, id, adopted and ports. */
MUST_USE int bpf_install(struct gate *gate, struct err *err);

#endif
