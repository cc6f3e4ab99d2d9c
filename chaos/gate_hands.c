/* chaos/gate_hands.c */
#include "chaos/gate_hands.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chaos/base.h"

enum { PROGRAMS_MAX = 64 };

static const enum bpf_attach_type hooks[] = {BPF_CGROUP_INET_INGRESS,
                                             BPF_CGROUP_INET_EGRESS};

static int bpf(enum bpf_cmd what, union bpf_attr *how)
{
    return (int)syscall(SYS_bpf, what, how, sizeof *how);
}

static int open_cgroup(const struct ground *g, enum site s)
{
    AUTO(auto_free) char *path = text_new("%s/%s", g->cgroup, site_name(s));

    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static char *failed(const char *what, enum site s)
{
    return text_new("%s %s: %s", what, site_name(s), strerror(errno));
}

static bool detach_one(int cgroup, enum bpf_attach_type hook, uint32_t id)
{
    union bpf_attr ask = {.prog_id = id}, order;
    AUTO(auto_close) int program = bpf(BPF_PROG_GET_FD_BY_ID, &ask);

    if (program < 0)
        return false;
    memset(&order, 0, sizeof order);
    order.target_fd = (uint32_t)cgroup;
    order.attach_bpf_fd = (uint32_t)program;
    order.attach_type = hook;
    return bpf(BPF_PROG_DETACH, &order) == 0;
}

/* How many; -1: with errno. */
static int detach_all(int cgroup, enum bpf_attach_type hook)
{
    uint32_t ids[PROGRAMS_MAX];
    union bpf_attr ask;

    memset(&ask, 0, sizeof ask);
    ask.query.target_fd = (uint32_t)cgroup;
    ask.query.attach_type = hook;
    ask.query.prog_ids = (uint64_t)(uintptr_t)ids;
    ask.query.prog_cnt = PROGRAMS_MAX;
    if (bpf(BPF_PROG_QUERY, &ask) != 0)
        return -1;
    for (uint32_t i = 0; i < ask.query.prog_cnt; i++)
        if (!detach_one(cgroup, hook, ids[i]))
            return -1;
    return (int)ask.query.prog_cnt;
}

char *gate_detach(const struct ground *g, enum site s)
{
    AUTO(auto_close) int cgroup = open_cgroup(g, s);
    int all = 0;

    for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
        int n = cgroup < 0 ? -1 : detach_all(cgroup, hooks[i]);

        if (n < 0)
            return failed("detach programs from", s);
        all += n;
    }
    return all > 0 ? NULL : text_new("%s has no program to detach", site_name(s));
}

static int load_stranger(void)
{
    static const struct bpf_insn all_pass[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr order;

    memset(&order, 0, sizeof order);
    order.prog_type = BPF_PROG_TYPE_CGROUP_SKB;
    order.insns = (uint64_t)(uintptr_t)all_pass;
    order.insn_cnt = ARRAY_LEN(all_pass);
    order.license = (uint64_t)(uintptr_t) "GPL";
    return bpf(BPF_PROG_LOAD, &order);
}

char *gate_attach_stranger(const struct ground *g, enum site s)
{
    AUTO(auto_close) int cgroup = open_cgroup(g, s);
    AUTO(auto_close) int program = load_stranger();

    if (cgroup < 0 || program < 0)
        return failed("load a program for", s);
    for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
        union bpf_attr order;

        memset(&order, 0, sizeof order);
        order.target_fd = (uint32_t)cgroup;
        order.attach_bpf_fd = (uint32_t)program;
        order.attach_type = hooks[i];
        order.attach_flags = BPF_F_ALLOW_MULTI;
        if (bpf(BPF_PROG_ATTACH, &order) != 0)
            return failed("attach a program to", s);
    }
    return NULL;
}
