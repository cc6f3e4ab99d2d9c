/* fencing/gate/gate_bpf.h -- the inside of the eBPF driver.
 *
 * Threads: the keeper's.
 */
#ifndef RF_FENCING_GATE_BPF_H
#define RF_FENCING_GATE_BPF_H

#include <linux/bpf.h>

#include "fencing/gate/bpf_find.h"
#include "fencing/gate/gate_internal.h"

struct bpf_gate {
    struct bpf_found attached; /* our programs and maps; owned */
    __u32 programs[2];         /* kernel ids: ingress, egress */
};

/* The driver's writes (gate_bpf.c). */
extern const struct gate_ops gate_bpf_ops;

MUST_USE int bpf_set_scope(const struct bpf_gate *b, __u32 managed, struct err *err);
MUST_USE int bpf_put_cell(const struct bpf_gate *b, const struct gate_port *p,
                          struct err *err);

/* Is it still there, and put it back (bpf_check.c); struct gate_ops says what they do. */
MUST_USE int bpf_check(struct gate *gate, const struct gate_port *p, struct err *err);
MUST_USE int bpf_restore(struct gate *gate, struct err *err);
/* What bpf_check() compares with. */
MUST_USE int bpf_note_programs(struct gate *gate, struct err *err);

/* Attach one of the two programs to the gate's cgroup, beside whatever is there. */
MUST_USE int bpf_attach(const struct gate *gate, int prog, enum bpf_attach_type hook,
                        struct err *err);
/* Adopt or install (bpf_install.c): fills in gate->bpf, id, adopted and ports. */
MUST_USE int bpf_install(struct gate *gate, struct err *err);

#endif
