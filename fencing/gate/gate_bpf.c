/* The eBPF driver: the writes that the front asks for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "controller/base/text.h"
#include "fencing/gate/bpf_cell.h"
#include "fencing/gate/gate_abi.h"
#include "fencing/gate/gate_bpf.h"
#include "fencing/gate/gate_rules.h"
#include "fencing/guard/guard_page.h"

int bpf_set_scope(const struct bpf_gate *b, __u32 managed, struct err *err)
{
    __u32 key = 0;

    if (bpf_map_update_elem(b->attached.scope, &key, &managed, BPF_ANY) != 0)
        return err_errno(err, errno, "count the managed ports");
    return 0;
}

static int put_key(const struct bpf_gate *b, const struct gate_port *p, uint16_t port,
                   struct err *err)
{
    const __u32 key = port;

    if (bpf_map_update_elem(b->attached.ports, &key, &p->cell_fd, BPF_ANY) != 0)
        return err_errno(err, errno, "put port %u under the gate", port);
    return 0;
}

/* Put `p`'s cell in place of whatever its ports had. The kernel returns from this only when
 * every packet that was judged by the old cell has been dealt with (it waits for a grace
 * period of RCU, within which the IP stack handles a packet from end to end). */
int bpf_put_cell(const struct bpf_gate *b, const struct gate_port *p, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && gate_port_at(p, i) != 0; i++)
        r = put_key(b, p, gate_port_at(p, i), err);
    return r;
}

static int take_key(const struct bpf_gate *b, uint16_t port, struct err *err)
{
    const __u32 key = port;

    if (bpf_map_delete_elem(b->attached.ports, &key) != 0 && errno != ENOENT)
        return err_errno(err, errno, "take port %u from the gate", port);
    return 0;
}

static int bpf_read(struct gate *gate, const struct gate_port *p,
                    struct gate_state *ret_state, struct err *err)
{
    (void)gate;
    return cell_read(p, ret_state, err);
}

static struct gate_peer_key peer_key(uint32_t port, const struct gate_addr *addr)
{
    struct gate_peer_key key = {.port = port};

    memcpy(key.ip, addr->ip, sizeof key.ip);
    return key;
}

static bool has_peer(const struct gate_addr *list, size_t n, const struct gate_addr *addr)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(list[i].ip, addr->ip, sizeof addr->ip) == 0)
            return true;
    return false;
}

/* New ones first, then the old ones out: a peer in both lists is never missing. */
static int bpf_set_peers(struct gate *gate, struct gate_port *p,
                         const struct gate_addr *peers, size_t n, struct err *err)
{
    const int map = gate->bpf->attached.peers;
    const __u8 one = 1;

    for (size_t i = 0; i < n; i++) {
        const struct gate_peer_key key = peer_key(p->port, &peers[i]);

        if (bpf_map_update_elem(map, &key, &one, BPF_ANY) != 0)
            return err_errno(err, errno, "admit a peer of port %u", p->port);
    }
    for (size_t i = 0; i < p->n_peers; i++) {
        const struct gate_peer_key key = peer_key(p->port, &p->peers[i]);

        if (has_peer(peers, n, &p->peers[i]))
            continue;
        if (bpf_map_delete_elem(map, &key) != 0 && errno != ENOENT)
            return err_errno(err, errno, "drop a peer of port %u", p->port);
    }
    return 0;
}

/* The cell is one for all of them, so from here on they have the same lease at each moment.
 */
static int bpf_set_also(struct gate *gate, struct gate_port *p, const uint16_t *also,
                        size_t n, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        struct gate_port *own = gate_port_of(gate, also[i]);

        r = put_key(gate->bpf, p, also[i], err);
        if (r == 0 && own != NULL)
            cell_close(own);
    }
    for (size_t i = 0; r == 0 && i < p->n_also; i++)
        if (!gate_has_port(also, n, p->also[i]))
            r = take_key(gate->bpf, p->also[i], err);
    return r;
}

static bool has_guest(const struct gate_guest *list, size_t n, const struct gate_guest *g)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].port == g->port &&
            memcmp(list[i].addr.ip, g->addr.ip, sizeof g->addr.ip) == 0)
            return true;
    return false;
}

static int bpf_set_guests(struct gate *gate, struct gate_port *p,
                          const struct gate_guest *guests, size_t n, struct err *err)
{
    const int map = gate->bpf->attached.peers;
    const __u8 one = 1;

    for (size_t i = 0; i < n; i++) {
        const struct gate_peer_key key =
            peer_key(guests[i].port | GATE_GUEST_OF, &guests[i].addr);

        if (bpf_map_update_elem(map, &key, &one, BPF_ANY) != 0)
            return err_errno(err, errno, "admit a guest of port %u", guests[i].port);
    }
    for (size_t i = 0; i < p->n_guests; i++) {
        const struct gate_peer_key key =
            peer_key(p->guests[i].port | GATE_GUEST_OF, &p->guests[i].addr);

        if (has_guest(guests, n, &p->guests[i]))
            continue;
        if (bpf_map_delete_elem(map, &key) != 0 && errno != ENOENT)
            return err_errno(err, errno, "drop a guest of port %u", p->guests[i].port);
    }
    return 0;
}

static int bpf_manage(struct gate *gate, struct gate_port *p,
                      const struct gate_state *state, struct err *err)
{
    int r = cell_new(p, state, err);

    if (r != 0)
        return r;
    /* The count first: a port that is in the map is never behind a gate that looks away. */
    r = bpf_set_scope(gate->bpf, (__u32)gate->n_ports + 1, err);
    if (r == 0)
        r = bpf_put_cell(gate->bpf, p, err);
    if (r != 0)
        cell_close(p);
    return r;
}

static int bpf_unmanage(struct gate *gate, struct gate_port *p, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && gate_port_at(p, i) != 0; i++)
        r = take_key(gate->bpf, gate_port_at(p, i), err);
    if (r != 0)
        return r;
    cell_close(p);
    /* It is done. With a count that is too high the gate looks at packets in vain. */
    (void)(bpf_set_scope(gate->bpf, (__u32)gate->n_ports - 1, err) != 0);
    return 0;
}

static int bpf_new_epoch(struct gate *gate, struct gate_port *p, uint64_t epoch,
                         struct err *err)
{
    const struct gate_state closed = {.epoch = epoch};
    struct gate_port fresh = *p;
    int r = cell_new(&fresh, &closed, err);

    if (r != 0)
        return r;
    r = bpf_put_cell(gate->bpf, &fresh, err);
    if (r != 0) {
        cell_close(&fresh);
        return r;
    }
    cell_close(p);
    p->cell_fd = fresh.cell_fd;
    p->cell_id = fresh.cell_id;
    p->word = fresh.word;
    p->cell = fresh.cell;
    return 0;
}

static int bpf_mark_opened(struct gate *gate, struct gate_port *p, struct err *err)
{
    (void)gate;
    (void)err;
    cell_mark_opened(p);
    return 0;
}

static int bpf_arm(struct gate *gate, struct gate_port *p, const struct gate_lease *lease,
                   enum gate_arm_how how, struct err *err)
{
    (void)gate;
    (void)how; /* an absolute deadline says it all; the front has checked */
    (void)err;
    cell_write(p, gate_word(lease->mode, lease->deadline));
    return 0;
}

static int bpf_close(struct gate *gate, struct gate_port *p, struct err *err)
{
    (void)gate;
    (void)err;
    cell_write(p, 0);
    return 0;
}

static int bpf_fence(struct gate *gate, struct gate_port *p, struct err *err)
{
    int r = cell_freeze(p, err);

    /* Again in its own place, for the waiting that this implies: a packet may have been
     * judged a moment before the deadline was taken away, and its processor held up since.
     */
    if (r == 0)
        r = bpf_put_cell(gate->bpf, p, err);
    /* And what is in the gate is the very map that we froze, and the gate is attached. */
    return r != 0 ? r : bpf_check(gate, p, err);
}

static int bpf_detach(struct gate *gate, struct err *err)
{
    return bpf_take_off(&gate->bpf->attached, gate->cgroup.fd, err);
}

static uint64_t program_id(int fd)
{
    struct bpf_prog_info info = {0};
    __u32 size = sizeof info;

    return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.id : 0;
}

static uint64_t map_id(int fd)
{
    struct bpf_map_info info = {0};
    __u32 size = sizeof info;

    return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.id : 0;
}

static void bpf_witness(const struct gate *gate, struct guard_gate *ret_gate)
{
    const struct bpf_found *f = &gate->bpf->attached;

    *ret_gate = (struct guard_gate){
        .kind = GUARD_GATE_BPF,
        .ingress = program_id(f->ingress),
        .egress = program_id(f->egress),
        .ports = map_id(f->ports),
    };
    text_set(ret_gate->place, sizeof ret_gate->place, "%s", gate->cgroup.path);
}

static void bpf_free(struct gate *gate)
{
    struct bpf_found_list one = {.n = 1};

    for (size_t i = 0; i < gate->n_ports; i++)
        cell_close(&gate->ports[i]);
    if (gate->bpf != NULL) {
        one.list[0] = gate->bpf->attached;
        bpf_found_close(&one);
    }
    free(gate->bpf);
    gate->bpf = NULL;
}

const struct gate_ops gate_bpf_ops = {
    .read = bpf_read,
    .manage = bpf_manage,
    .unmanage = bpf_unmanage,
    .set_peers = bpf_set_peers,
    .set_also = bpf_set_also,
    .set_guests = bpf_set_guests,
    .new_epoch = bpf_new_epoch,
    .mark_opened = bpf_mark_opened,
    .arm = bpf_arm,
    .close = bpf_close,
    .fence = bpf_fence,
    .check = bpf_check,
    .restore = bpf_restore,
    .detach = bpf_detach,
    .witness = bpf_witness,
    .free = bpf_free,
};

int gate_bpf_open(struct gate *gate, struct err *err)
{
    int r;

    gate->bpf = calloc(1, sizeof *gate->bpf);
    if (gate->bpf == NULL)
        return err_set(err, ERR_NOMEM, "gate");
    gate->bpf->attached = (struct bpf_found){
        .ingress = -1, .egress = -1, .ports = -1, .peers = -1, .scope = -1};
    gate->ops = &gate_bpf_ops;
    gate->can = (struct gate_capabilities){
        .driver = GATE_BPF,
        .absolute_deadline = true,
        .frozen_proof = true,
        .survives_flush = true,
    };
    r = bpf_install(gate, err);
    if (r == 0)
        r = bpf_note_programs(gate, err);
    if (r != 0) {
        bpf_free(gate);
        gate->n_ports = 0;
    }
    return r;
}
