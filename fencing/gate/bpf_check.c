/* The eBPF driver's doubts: is the gate still what is attached, and what it was?
 *
 * What is checked is what somebody with the usual tools can do by mistake or in haste:
 * detach or replace a program (`bpftool cgroup detach`), write or empty a map, remove the
 * cgroup and make it again (a service manager does, with each start of a unit). Programs
 * are compared by the ids that the kernel gave them: we hold ours, so nobody else has
 * theirs.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "fencing/gate/bpf_cell.h"
#include "fencing/gate/gate_abi.h"
#include "fencing/gate/gate_bpf.h"

enum { PROGRAMS_MAX = 64 }; /* the kernel's own limit for a cgroup and hook */

static const struct {
    enum bpf_attach_type hook;
    const char *name;
} hooks[] = {{BPF_CGROUP_INET_INGRESS, "ingress"}, {BPF_CGROUP_INET_EGRESS, "egress"}};

static int program_of(const struct gate *gate, size_t hook)
{
    const struct bpf_found *a = &gate->bpf->attached;

    return hook == 0 ? a->ingress : a->egress;
}

int bpf_note_programs(struct gate *gate, struct err *err)
{
    for (size_t h = 0; h < ARRAY_LEN(hooks); h++) {
        struct bpf_prog_info info = {0};
        __u32 size = sizeof info;

        if (bpf_obj_get_info_by_fd(program_of(gate, h), &info, &size) != 0)
            return err_errno(err, errno, "look at the gate's %s program", hooks[h].name);
        gate->bpf->programs[h] = info.id;
    }
    return 0;
}

static int is_attached(const struct gate *gate, size_t hook, bool *ret_is, struct err *err)
{
    __u32 ids[PROGRAMS_MAX], n = PROGRAMS_MAX, flags;

    if (bpf_prog_query(gate->cgroup.fd, hooks[hook].hook, 0, &flags, ids, &n) != 0)
        return err_errno(err, errno, "ask for the programs of %s", gate->cgroup.path);
    *ret_is = false;
    for (__u32 i = 0; i < n; i++)
        *ret_is = *ret_is || ids[i] == gate->bpf->programs[hook];
    return 0;
}

/* The directory may have been removed, with or without another one in its place. */
static bool is_our_cgroup(const struct gate *gate)
{
    struct stat st;

    return stat(gate->cgroup.path, &st) == 0 && st.st_ino == gate->cgroup.id;
}

static int check_programs(const struct gate *gate, struct err *err)
{
    if (!is_our_cgroup(gate))
        return err_set(err, ERR_UNPROVEN, "the cgroup %s was removed, the gate with it",
                       gate->cgroup.path);
    for (size_t h = 0; h < ARRAY_LEN(hooks); h++) {
        bool is = false;
        const int r = is_attached(gate, h, &is, err);

        if (r != 0)
            return r;
        if (!is)
            return err_set(err, ERR_UNPROVEN, "the gate's %s program was taken off %s",
                           hooks[h].name, gate->cgroup.path);
    }
    return 0;
}

static int check_scope(const struct gate *gate, struct err *err)
{
    __u32 key = 0, managed = 0;

    if (bpf_map_lookup_elem(gate->bpf->attached.scope, &key, &managed) != 0)
        return err_errno(err, errno, "read how many ports are managed");
    if (managed < gate->n_ports)
        return err_set(err, ERR_UNPROVEN,
                       "somebody wrote into the gate that %u ports are managed, not %zu",
                       managed, gate->n_ports);
    return 0;
}

static int check_key(const struct bpf_gate *b, const struct gate_port *p, uint16_t port,
                     struct err *err)
{
    const __u32 key = port;
    __u32 in_gate = 0;

    if (bpf_map_lookup_elem(b->attached.ports, &key, &in_gate) != 0)
        return errno == ENOENT
                   ? err_set(err, ERR_UNPROVEN, "port %u was taken out of the gate", port)
                   : err_errno(err, errno, "look for port %u in the gate", port);
    if (in_gate != p->cell_id)
        return err_set(err, ERR_UNPROVEN, "port %u: another lease is in the gate", port);
    return 0;
}

static int check_port(const struct bpf_gate *b, const struct gate_port *p, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && gate_port_at(p, i) != 0; i++)
        r = check_key(b, p, gate_port_at(p, i), err);
    return r != 0 ? r : cell_check(p, err);
}

int bpf_check(struct gate *gate, const struct gate_port *p, struct err *err)
{
    int r = check_programs(gate, err);

    if (r == 0)
        r = check_scope(gate, err);
    if (r == 0 && p != NULL)
        r = check_port(gate->bpf, p, err);
    for (size_t i = 0; r == 0 && p == NULL && i < gate->n_ports; i++)
        r = check_port(gate->bpf, &gate->ports[i], err);
    return r;
}

/* --- putting it back --------------------------------------------------------------------
 */

/* The one that is there now under the same name; whatever stands there is not ours. */
static int find_cgroup(struct gate *gate, struct err *err)
{
    struct cgroup found = {.fd = -1};
    int r;

    if (is_our_cgroup(gate))
        return 0;
    r = cgroup_find(&found, gate->cgroup.path, err);
    if (r != 0)
        return r;
    cgroup_close(&gate->cgroup);
    gate->cgroup = found;
    return 0;
}

static int admit(const struct gate *gate, uint32_t port, const struct gate_addr *addr,
                 struct err *err)
{
    struct gate_peer_key key = {.port = port};
    const __u8 one = 1;

    memcpy(key.ip, addr->ip, sizeof key.ip);
    if (bpf_map_update_elem(gate->bpf->attached.peers, &key, &one, BPF_ANY) != 0)
        return err_errno(err, errno, "admit a peer of port %u", port & ~GATE_GUEST_OF);
    return 0;
}

static int put_port(const struct gate *gate, struct gate_port *p, struct err *err)
{
    int r = 0;

    cell_write(p, 0);
    for (size_t i = 0; r == 0 && i < p->n_peers; i++)
        r = admit(gate, p->port, &p->peers[i], err);
    for (size_t i = 0; r == 0 && i < p->n_guests; i++)
        r = admit(gate, p->guests[i].port | GATE_GUEST_OF, &p->guests[i].addr, err);
    return r != 0 ? r : bpf_put_cell(gate->bpf, p, err);
}

/* Closed before anything is attached, so that nothing passes by what was written before. */
int bpf_restore(struct gate *gate, struct err *err)
{
    int r = bpf_set_scope(gate->bpf, (__u32)gate->n_ports, err);

    for (size_t i = 0; i < gate->n_ports; i++)
        cell_write(&gate->ports[i], 0);
    for (size_t i = 0; r == 0 && i < gate->n_ports; i++)
        r = put_port(gate, &gate->ports[i], err);
    if (r == 0)
        r = find_cgroup(gate, err);
    for (size_t h = 0; r == 0 && h < ARRAY_LEN(hooks); h++) {
        bool is = false;

        r = is_attached(gate, h, &is, err);
        if (r == 0 && !is)
            r = bpf_attach(gate, program_of(gate, h), hooks[h].hook, err);
    }
    return r;
}
