/* The eBPF driver's beginning: adopt the gate that an earlier life left, or install one. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "fencing/gate/bpf_cell.h"
#include "fencing/gate/gate_abi.h"
#include "fencing/gate/gate_bpf.h"
#include "gate.skel.h"

/* --- adopting what an earlier life left ------------------------------------------------
 */

static struct gate_port *instance_with(struct gate *gate, uint16_t port)
{
    for (size_t i = 0; i < gate->n_ports; i++)
        for (size_t k = 0; gate_port_at(&gate->ports[i], k) != 0; k++)
            if (gate_port_at(&gate->ports[i], k) == port)
                return &gate->ports[i];
    return NULL;
}

static int adopt_peer(struct gate *gate, const struct gate_peer_key *key, struct err *err)
{
    const uint16_t port = (uint16_t)key->port;
    struct gate_port *p = instance_with(gate, port);

    if (p == NULL)
        return 0;
    if ((key->port & GATE_GUEST_OF) != 0) {
        if (p->n_guests == GATE_GUESTS_MAX)
            return err_set(err, ERR_FULL, "port %u has too many guests", port);
        p->guests[p->n_guests].port = port;
        memcpy(p->guests[p->n_guests++].addr.ip, key->ip, sizeof key->ip);
        return 0;
    }
    if (p->n_peers == GATE_PEERS_MAX)
        return err_set(err, ERR_FULL, "port %u has too many peers", port);
    memcpy(p->peers[p->n_peers++].ip, key->ip, sizeof key->ip);
    return 0;
}

static int adopt_peers(struct gate *gate, struct err *err)
{
    const int map = gate->bpf->attached.peers;
    struct gate_peer_key key, next;
    int r = bpf_map_get_next_key(map, NULL, &next), status = 0;

    for (unsigned guard = 0; status == 0 && r == 0 && guard < GATE_ABI_PEERS_MAX; guard++) {
        key = next;
        status = adopt_peer(gate, &key, err);
        r = bpf_map_get_next_key(map, &key, &next);
    }
    return status;
}

/* An instance by its own port, which its cell names. */
static int adopt_own(struct gate *gate, uint16_t port, __u32 cell, struct err *err)
{
    struct gate_port *p = &gate->ports[gate->n_ports];
    uint16_t own = 0;
    int r;

    if (gate->n_ports == ARRAY_LEN(gate->ports))
        return err_set(err, ERR_CORRUPT, "the gate manages port %u as well", port);
    *p = (struct gate_port){.port = port, .cell_fd = -1};
    r = cell_adopt(p, cell, &own, err);
    if (r == 0 && own == port)
        gate->n_ports++;
    else if (r == 0)
        cell_close(p);
    return r;
}

static int adopt_beside(struct gate *gate, uint16_t port, __u32 cell, struct err *err)
{
    for (size_t i = 0; i < gate->n_ports; i++) {
        struct gate_port *p = &gate->ports[i];

        if (p->cell_id != cell || p->port == port)
            continue;
        if (p->n_also == GATE_ALSO_MAX)
            return err_set(err, ERR_CORRUPT, "more than %d ports beside port %u",
                           GATE_ALSO_MAX, p->port);
        p->also[p->n_also++] = port;
    }
    return 0;
}

static int adopt_each(struct gate *gate,
                      int (*adopt_one)(struct gate *, uint16_t, __u32, struct err *),
                      struct err *err)
{
    const int map = gate->bpf->attached.ports;
    __u32 key, next, inner;

    if (bpf_map_get_next_key(map, NULL, &next) != 0)
        return 0;
    do {
        int r;

        key = next;
        if (key == 0 || key > UINT16_MAX)
            return err_set(err, ERR_CORRUPT, "the gate manages port %u", key);
        if (bpf_map_lookup_elem(map, &key, &inner) != 0)
            return err_errno(err, errno, "adopt port %u", key);
        r = adopt_one(gate, (uint16_t)key, inner, err);
        if (r != 0)
            return r;
    } while (bpf_map_get_next_key(map, &key, &next) == 0);
    return 0;
}

static int adopt_ports(struct gate *gate, struct err *err)
{
    int r = adopt_each(gate, adopt_own, err);

    if (r == 0)
        r = adopt_each(gate, adopt_beside, err);
    return r != 0 ? r : adopt_peers(gate, err);
}

/* Attached both ways, of this version, this boot, this place, with all its maps. */
static bool is_adoptable(const struct gate *gate, const struct bpf_found *f,
                         const char *boot_id)
{
    return f->ingress >= 0 && f->egress >= 0 && f->ports >= 0 && f->peers >= 0 &&
           f->scope >= 0 && f->ident.version == GATE_ABI_VERSION &&
           f->ident.cgroup_id == gate->cgroup.id && strcmp(f->ident.boot_id, boot_id) == 0;
}

static int adopt(struct gate *gate, struct bpf_found *found, struct err *err)
{
    gate->bpf->attached = *found;
    /* The descriptors changed hands. */
    found->ingress = found->egress = found->ports = found->peers = found->scope = -1;
    memcpy(gate->id, gate->bpf->attached.ident.gate_id, sizeof gate->id);
    gate->adopted = true;
    return adopt_ports(gate, err);
}

/* --- installing anew -------------------------------------------------------------------
 */

static int describe_gate(struct gate *gate, const struct gate_bpf *skel, struct err *err)
{
    const int map = bpf_map__fd(skel->maps.rf_ident);
    struct gate_ident ident = {
        .magic = GATE_ABI_MAGIC,
        .version = GATE_ABI_VERSION,
        .cgroup_id = gate->cgroup.id,
    };
    __u32 key = 0;
    int r = gate_random(gate->id, sizeof gate->id, err);

    if (r == 0)
        r = gate_boot_id(ident.boot_id, sizeof ident.boot_id, err);
    if (r != 0)
        return r;
    memcpy(ident.gate_id, gate->id, sizeof ident.gate_id);
    memcpy(ident.agent, gate->agent, sizeof ident.agent);
    if (bpf_map_update_elem(map, &key, &ident, BPF_ANY) != 0 || bpf_map_freeze(map) != 0)
        return err_errno(err, errno, "write the gate's id");
    /* So that whoever finds the programs finds the map. */
    if (bpf_prog_bind_map(bpf_program__fd(skel->progs.rf_ingress), map, NULL) != 0 ||
        bpf_prog_bind_map(bpf_program__fd(skel->progs.rf_egress), map, NULL) != 0)
        return err_errno(err, errno, "bind the gate's id to its programs");
    gate->bpf->attached.ident = ident;
    return 0;
}

/* Our own descriptors: the skeleton closes its own. */
static int keep_descriptors(struct gate *gate, const struct gate_bpf *skel, struct err *err)
{
    struct bpf_found *a = &gate->bpf->attached;
    struct bpf_map_info info = {0};
    __u32 size = sizeof info;

    a->ingress = dup(bpf_program__fd(skel->progs.rf_ingress));
    a->egress = dup(bpf_program__fd(skel->progs.rf_egress));
    a->ports = dup(bpf_map__fd(skel->maps.rf_ports));
    a->peers = dup(bpf_map__fd(skel->maps.rf_peers));
    a->scope = dup(bpf_map__fd(skel->maps.rf_scope));
    if (a->ingress < 0 || a->egress < 0 || a->ports < 0 || a->peers < 0 || a->scope < 0)
        return err_errno(err, errno, "keep the gate's descriptors");
    if (bpf_obj_get_info_by_fd(bpf_map__fd(skel->maps.rf_ident), &info, &size) != 0)
        return err_errno(err, errno, "look at the gate's id");
    a->ident_id = info.id;
    return 0;
}

static int load(struct gate *gate, struct err *err)
{
    struct gate_bpf *skel = gate_bpf__open_and_load();
    int r;

    if (skel == NULL) /* no memory now is no kernel without eBPF: `auto` would go weaker */
        return err_set(err, errno == ENOMEM ? ERR_NOMEM : ERR_UNSUPPORTED,
                       "load the gate into the kernel: %s", strerror(errno));
    r = describe_gate(gate, skel, err);
    if (r == 0)
        r = keep_descriptors(gate, skel, err);
    gate_bpf__destroy(skel);
    return r;
}

/* Closed, under the new gate, whatever the old one managed. */
static int carry_over(struct gate *gate, const struct bpf_found *old, struct err *err)
{
    const struct gate_state closed = {.epoch = 0};
    __u32 key, next;

    if (old->ports < 0)
        return err_set(err, ERR_CONFLICT,
                       "the gate on %s does not show its ports; detach it by hand",
                       gate->cgroup.path);
    for (int r = bpf_map_get_next_key(old->ports, NULL, &next); r == 0;
         r = bpf_map_get_next_key(old->ports, &key, &next)) {
        struct gate_port *p = &gate->ports[gate->n_ports];

        key = next;
        if (key == 0 || key > UINT16_MAX || gate_port_of(gate, (uint16_t)key) != NULL)
            continue;
        if (gate->n_ports == ARRAY_LEN(gate->ports))
            return err_set(err, ERR_FULL, "ports of the old gate");
        *p = (struct gate_port){.port = (uint16_t)key, .cell_fd = -1};
        if (gate_bpf_ops.manage(gate, p, &closed, err) != 0)
            return err_wrap(err, "carry over port %u", key);
        gate->n_ports++;
    }
    return 0;
}

int bpf_attach(const struct gate *gate, int prog, enum bpf_attach_type hook,
               struct err *err)
{
    /* Not a link: a link lives as long as its descriptor or pin, this lives until it is
     * detached. Multi: systemd and others have programs there too; all of them must pass.
     */
    if (bpf_prog_attach(prog, gate->cgroup.fd, hook, BPF_F_ALLOW_MULTI) == 0)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "attach the gate to %s: %s (a program without BPF_F_ALLOW_MULTI there?)",
                   gate->cgroup.path, strerror(errno));
}

/* The new gate, closed, stands before the old one goes: no moment without. */
static int install(struct gate *gate, const struct bpf_found_list *old, struct err *err)
{
    struct bpf_found *a = &gate->bpf->attached;
    int r = load(gate, err);

    for (size_t i = 0; r == 0 && i < old->n; i++)
        r = carry_over(gate, &old->list[i], err);
    if (r == 0)
        r = bpf_attach(gate, a->ingress, BPF_CGROUP_INET_INGRESS, err);
    if (r != 0)
        return r;
    r = bpf_attach(gate, a->egress, BPF_CGROUP_INET_EGRESS, err);
    for (size_t i = 0; r == 0 && i < old->n; i++)
        r = bpf_take_off(&old->list[i], gate->cgroup.fd, err);
    if (r != 0 && old->n == 0 && bpf_take_off(a, gate->cgroup.fd, NULL) != 0)
        return err_wrap(err, "half a gate is left on %s", gate->cgroup.path);
    return r;
}

/* --- opening ---------------------------------------------------------------------------
 */

static int foreign(const struct bpf_found_list *found, const char *agent, const char *path,
                   struct err *err)
{
    for (size_t i = 0; i < found->n; i++)
        if (agent == NULL || strcmp(found->list[i].ident.agent, agent) != 0)
            return err_set(err, ERR_CONFLICT, "agent %s has a gate on %s already",
                           found->list[i].ident.agent, path);
    return 0;
}

/* Anybody's gate above or below is in the way, our own included: a second gate of this
 * agent was configured elsewhere and would go on closing these ports. */
static int refuse_overlap(void *arg, int cgroup_fd, const char *path, struct err *err)
{
    AUTO(bpf_found_close) struct bpf_found_list found = {.n = 0};
    int r = bpf_find(&found, cgroup_fd, err);

    (void)arg;
    return r != 0 ? r : foreign(&found, NULL, path, err);
}

int bpf_install(struct gate *gate, struct err *err)
{
    AUTO(bpf_found_close) struct bpf_found_list found = {.n = 0};
    char boot_id[sizeof((struct gate_ident *)NULL)->boot_id];
    int r = gate_boot_id(boot_id, sizeof boot_id, err);

    (void)libbpf_set_print(NULL); /* our errors say what failed */
    if (r == 0)
        r = cgroup_walk(&gate->cgroup, refuse_overlap, NULL, err);
    if (r == 0)
        r = bpf_find(&found, gate->cgroup.fd, err);
    if (r == 0)
        r = foreign(&found, gate->agent, gate->cgroup.path, err);
    if (r != 0)
        return r;
    if (found.n == 1 && is_adoptable(gate, &found.list[0], boot_id))
        return adopt(gate, &found.list[0], err);
    return install(gate, &found, err);
}
