/* fencing/gate/bpf_find.h -- gates that are attached to a cgroup, found by query.
 *
 * A gate has no pin and no descriptor that keeps it: what is attached is the truth. It is
 * recognised by its programs' names and by the magic in the map it carries.
 *
 * Owner:   bpf_found_close() what bpf_find() filled in.
 * Errors:  ERR_IO; ERR_FULL more programs than FOUND_MAX on one cgroup.
 */
#ifndef RF_FENCING_BPF_FIND_H
#define RF_FENCING_BPF_FIND_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/base/auto.h"
#include "controller/base/err.h"
#include "fencing/gate/gate_abi.h"

enum { FOUND_MAX = 16 };

/* One gate; descriptors are -1 where there is none. */
struct bpf_found {
    __u32 ident_id; /* kernel id of its ident map: the same in both programs */
    struct gate_ident ident;
    int ingress, egress; /* programs */
    int ports, peers, scope;
};

struct bpf_found_list {
    struct bpf_found list[FOUND_MAX];
    size_t n;
};

MUST_USE int bpf_find(struct bpf_found_list *ret_found, int cgroup_fd, struct err *err);
void bpf_found_close(struct bpf_found_list *found); /* also for AUTO() */

/* Is a gate of `agent` in the kernel at all, attached wherever, in a cgroup that cannot be
 * seen from here too? `*ret_program`: the kernel's id of one of its programs, 0: no.
 *   ERR_...  it cannot be told */
MUST_USE int bpf_find_agent(const char *agent, __u32 *ret_program, struct err *err);

/* Take both programs off the cgroup. Fine if one is not attached. */
MUST_USE int bpf_take_off(const struct bpf_found *found, int cgroup_fd, struct err *err);

#endif
