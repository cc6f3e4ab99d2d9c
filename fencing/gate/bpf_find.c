#include "fencing/gate/bpf_find.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "controller/base/auto.h"

enum { PROGRAMS_MAX = 64, MAPS_MAX = 16 };

static void close_found(struct bpf_found *f)
{
    auto_close(&f->ingress);
    auto_close(&f->egress);
    auto_close(&f->ports);
    auto_close(&f->peers);
    auto_close(&f->scope);
    f->ingress = f->egress = f->ports = f->peers = f->scope = -1;
}

void bpf_found_close(struct bpf_found_list *found)
{
    for (size_t i = 0; i < found->n; i++)
        close_found(&found->list[i]);
    found->n = 0;
}

static struct bpf_found *entry_of(struct bpf_found_list *found, __u32 ident_id)
{
    for (size_t i = 0; i < found->n; i++)
        if (found->list[i].ident_id == ident_id)
            return &found->list[i];
    if (found->n == FOUND_MAX)
        return NULL;
    found->list[found->n] = (struct bpf_found){
        .ident_id = ident_id,
        .ingress = -1,
        .egress = -1,
        .ports = -1,
        .peers = -1,
        .scope = -1,
    };
    return &found->list[found->n++];
}

/* Keep `fd` in `slot`, unless it has one already. */
static void keep(int *slot, int *fd)
{
    if (*slot >= 0)
        return;
    *slot = *fd;
    *fd = -1;
}

/* The id of the ident map among these maps, 0 where this is not a gate of ours. */
static __u32 read_ident(const __u32 *maps, __u32 n, struct gate_ident *ret_ident)
{
    for (__u32 i = 0; i < n; i++) {
        AUTO(auto_close) int fd = bpf_map_get_fd_by_id(maps[i]);
        struct bpf_map_info info = {0};
        __u32 size = sizeof info, key = 0;
        /* Another version's ident may be longer; its head has the same layout. */
        union {
            struct gate_ident ident;
            char room[1024];
        } value = {0};

        if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
            continue;
        if (strcmp(info.name, GATE_MAP_IDENT) != 0 || info.value_size > sizeof value ||
            info.value_size < sizeof value.ident || info.type != BPF_MAP_TYPE_ARRAY)
            continue;
        if (bpf_map_lookup_elem(fd, &key, &value) != 0 ||
            value.ident.magic != GATE_ABI_MAGIC)
            continue;
        value.ident.agent[sizeof value.ident.agent - 1] = '\0';
        value.ident.boot_id[sizeof value.ident.boot_id - 1] = '\0';
        *ret_ident = value.ident;
        return maps[i];
    }
    return 0;
}

static void keep_maps(struct bpf_found *f, const __u32 *maps, __u32 n)
{
    for (__u32 i = 0; i < n; i++) {
        AUTO(auto_close) int fd = bpf_map_get_fd_by_id(maps[i]);
        struct bpf_map_info info = {0};
        __u32 size = sizeof info;

        if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
            continue;
        if (strcmp(info.name, GATE_MAP_PORTS) == 0)
            keep(&f->ports, &fd);
        else if (strcmp(info.name, GATE_MAP_PEERS) == 0)
            keep(&f->peers, &fd);
        else if (strcmp(info.name, GATE_MAP_SCOPE) == 0)
            keep(&f->scope, &fd);
    }
}

static int look_at_program(struct bpf_found_list *found, __u32 id, struct err *err)
{
    AUTO(auto_close) int fd = bpf_prog_get_fd_by_id(id);
    struct bpf_prog_info info = {0};
    struct gate_ident ident;
    struct bpf_found *f;
    __u32 size = sizeof info, maps[MAPS_MAX] = {0}, ident_id;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "look at program %u", id);
    info.nr_map_ids = MAPS_MAX;
    info.map_ids = (__u64)(unsigned long)maps;
    if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
        return err_errno(err, errno, "look at program %u", id);
    if (info.nr_map_ids > MAPS_MAX || (strcmp(info.name, GATE_PROG_INGRESS) != 0 &&
                                       strcmp(info.name, GATE_PROG_EGRESS) != 0))
        return 0;
    ident_id = read_ident(maps, info.nr_map_ids, &ident);
    if (ident_id == 0)
        return 0;

    f = entry_of(found, ident_id);
    if (f == NULL)
        return err_set(err, ERR_FULL, "more than %d gates on one cgroup", FOUND_MAX);
    f->ident = ident;
    keep_maps(f, maps, info.nr_map_ids);
    keep(strcmp(info.name, GATE_PROG_INGRESS) == 0 ? &f->ingress : &f->egress, &fd);
    return 0;
}

int bpf_find(struct bpf_found_list *ret_found, int cgroup_fd, struct err *err)
{
    static const enum bpf_attach_type hooks[] = {BPF_CGROUP_INET_INGRESS,
                                                 BPF_CGROUP_INET_EGRESS};

    ret_found->n = 0;
    for (size_t h = 0; h < ARRAY_LEN(hooks); h++) {
        __u32 ids[PROGRAMS_MAX], n = PROGRAMS_MAX, flags;
        int r = 0;

        if (bpf_prog_query(cgroup_fd, hooks[h], 0, &flags, ids, &n) != 0)
            r = err_errno(err, errno, "ask for the cgroup's programs");
        for (__u32 i = 0; r == 0 && i < n; i++)
            r = look_at_program(ret_found, ids[i], err);
        if (r != 0) {
            bpf_found_close(ret_found);
            return r;
        }
    }
    return 0;
}

int bpf_find_agent(const char *agent, __u32 *ret_program, struct err *err)
{
    __u32 id = 0;

    while (bpf_prog_get_next_id(id, &id) == 0) {
        AUTO(bpf_found_close) struct bpf_found_list found = {.n = 0};
        int r = look_at_program(&found, id, err);

        if (r != 0)
            return r;
        if (found.n > 0 && strcmp(found.list[0].ident.agent, agent) == 0) {
            *ret_program = id;
            return 0;
        }
    }
    if (errno != ENOENT)
        return err_errno(err, errno, "list the kernel's eBPF programs");
    *ret_program = 0;
    return 0;
}

int bpf_take_off(const struct bpf_found *found, int cgroup_fd, struct err *err)
{
    if (found->ingress >= 0 &&
        bpf_prog_detach2(found->ingress, cgroup_fd, BPF_CGROUP_INET_INGRESS) != 0 &&
        errno != ENOENT)
        return err_errno(err, errno, "detach the ingress gate");
    if (found->egress >= 0 &&
        bpf_prog_detach2(found->egress, cgroup_fd, BPF_CGROUP_INET_EGRESS) != 0 &&
        errno != ENOENT)
        return err_errno(err, errno, "detach the egress gate");
    return 0;
}
