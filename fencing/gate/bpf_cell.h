/* fencing/gate/bpf_cell.h -- the inner map of one instance in one epoch.
 *
 * The lease is one 64-bit word, written through a shared mapping by one store: the kernel
 * program sees the old lease or the new one. BPF_MAP_FREEZE refuses while a writable
 * mapping exists anywhere, and nobody can write or map for writing afterwards, so a freeze
 * that succeeded proves that there is no writer left (I3).
 *
 * Owner:   the struct gate_port that a cell was made for; cell_close() it.
 * Threads: the keeper's. Forked children do not inherit the mapping.
 */
#ifndef RF_FENCING_BPF_CELL_H
#define RF_FENCING_BPF_CELL_H

#include "fencing/gate/gate_internal.h"

/* A new inner map in `state`, not yet in any gate. */
MUST_USE int cell_new(struct gate_port *p, const struct gate_state *state, struct err *err);
/* The inner map with this kernel id, mapped for writing unless it is frozen; and the port
 * that it was made for. */
MUST_USE int cell_adopt(struct gate_port *p, uint32_t map_id, uint16_t *ret_own,
                        struct err *err);
void cell_close(struct gate_port *p);

/* One store. Closed when fenced: the word is left alone (0). */
void cell_write(struct gate_port *p, uint64_t word);
void cell_mark_opened(struct gate_port *p);
MUST_USE int cell_read(const struct gate_port *p, struct gate_state *ret_state,
                       struct err *err);

/* Write 0 and freeze; fine when frozen already. Then prove it: reads back closed, frozen,
 * and a write is refused.
 *   ERR_UNPROVEN  it is not so */
MUST_USE int cell_freeze(struct gate_port *p, struct err *err);

/* Is what we wrote last what the kernel has?
 *   ERR_UNPROVEN  somebody else wrote */
MUST_USE int cell_check(const struct gate_port *p, struct err *err);

#endif
