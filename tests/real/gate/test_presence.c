/* A gate that somebody took away, changed or put another in the place of is no gate: it is
 * noticed with the next renewal, nothing is armed, and it is put back closed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "controller/base/clock.h"
#include "fencing/gate/bpf_find.h"
#include "fencing/gate/gate_internal.h"
#include "fencing/gate/nft_run.h"
#include "tests/real/gate/lab.h"

enum { LEASE_MS = 60000 };

/* ---- what is done to a gate ------------------------------------------------------------
 */

/* By the kernel's query, as anybody with root's rights finds it. */
static struct bpf_found find_gate(int *ret_cgroup)
{
    struct bpf_found_list found;
    struct err err;

    *ret_cgroup = open(lab_cgroup(NULL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(bpf_find(&found, *ret_cgroup, &err), 0);
    assert_int_equal(found.n, 1);
    return found.list[0];
}

static void forget(struct bpf_found *f, int cgroup)
{
    struct bpf_found_list one = {.n = 1, .list = {*f}};

    bpf_found_close(&one);
    (void)close(cgroup);
}

/* A program that gives one verdict over everything. */
static int load_verdict(int verdict)
{
    const struct bpf_insn insns[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict},
        {.code = BPF_JMP | BPF_EXIT},
    };
    const int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "rf_ingress", "Dual BSD/GPL",
                                 insns, ARRAY_LEN(insns), NULL);

    assert_true(fd >= 0);
    return fd;
}

static void detach(struct bpf_found *f, int cgroup, uint16_t port, bool in, bool out)
{
    (void)port;
    if (in)
        assert_int_equal(bpf_prog_detach2(f->ingress, cgroup, BPF_CGROUP_INET_INGRESS), 0);
    if (out)
        assert_int_equal(bpf_prog_detach2(f->egress, cgroup, BPF_CGROUP_INET_EGRESS), 0);
}

static void detach_in(struct bpf_found *f, int cgroup, uint16_t port)
{
    detach(f, cgroup, port, true, false);
}

static void detach_out(struct bpf_found *f, int cgroup, uint16_t port)
{
    detach(f, cgroup, port, false, true);
}

static void detach_both(struct bpf_found *f, int cgroup, uint16_t port)
{
    detach(f, cgroup, port, true, true);
}

/* One of the same name that passes everything, in the very place of ours. */
static void replace_program(struct bpf_found *f, int cgroup, uint16_t port)
{
    LIBBPF_OPTS(bpf_prog_attach_opts, opts, .flags = BPF_F_ALLOW_MULTI | BPF_F_REPLACE,
                .replace_prog_fd = f->ingress);
    const int fd = load_verdict(1);

    (void)port;
    assert_int_equal(bpf_prog_attach_opts(fd, cgroup, BPF_CGROUP_INET_INGRESS, &opts), 0);
    (void)close(fd);
}

static void take_port_out(struct bpf_found *f, int cgroup, uint16_t port)
{
    const __u32 key = port;

    (void)cgroup;
    assert_int_equal(bpf_map_delete_elem(f->ports, &key), 0);
}

/* A cell of somebody else, open until the end of time. */
static void replace_cell(struct bpf_found *f, int cgroup, uint16_t port)
{
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
    const struct gate_cell cell = {.word = (GATE_WORD_FOREVER - 4) | GATE_WORD_OPEN};
    const int fd =
        bpf_map_create(BPF_MAP_TYPE_ARRAY, "rf_cell", sizeof(__u32), sizeof cell, 1, &opts);
    const __u32 key = port, zero = 0;

    (void)cgroup;
    assert_true(fd >= 0);
    assert_int_equal(bpf_map_update_elem(fd, &zero, &cell, BPF_ANY), 0);
    assert_int_equal(bpf_map_update_elem(f->ports, &key, &fd, BPF_ANY), 0);
    (void)close(fd);
}

static void write_cell(struct bpf_found *f, int cgroup, uint16_t port)
{
    struct gate_cell cell;
    __u32 key = port, zero = 0, id = 0;
    int fd;

    (void)cgroup;
    assert_int_equal(bpf_map_lookup_elem(f->ports, &key, &id), 0);
    fd = bpf_map_get_fd_by_id(id);
    assert_true(fd >= 0);
    assert_int_equal(bpf_map_lookup_elem(fd, &zero, &cell), 0);
    cell.word = (GATE_WORD_FOREVER - 4) | GATE_WORD_OPEN;
    (void)bpf_map_update_elem(fd, &zero, &cell, BPF_ANY); /* of a fenced one: refused */
    (void)close(fd);
}

static void look_away(struct bpf_found *f, int cgroup, uint16_t port)
{
    const __u32 key = 0, none = 0;

    (void)cgroup;
    (void)port;
    assert_int_equal(bpf_map_update_elem(f->scope, &key, &none, BPF_ANY), 0);
}

static const struct {
    const char *name;
    void (*harm)(struct bpf_found *f, int cgroup, uint16_t port);
    bool in_cell; /* a fence makes it impossible, and closing mends it */
} harms[] = {
    {"ingress detached", detach_in, false},
    {"egress detached", detach_out, false},
    {"both detached", detach_both, false},
    {"another program in its place", replace_program, false},
    {"the port taken out", take_port_out, false},
    {"another lease put in", replace_cell, false},
    {"the lease written by somebody", write_cell, true},
    {"told that nothing is managed", look_away, false},
};

static void do_harm(size_t which, uint16_t port)
{
    int cgroup;
    struct bpf_found f = find_gate(&cgroup);

    harms[which].harm(&f, cgroup, port);
    forget(&f, cgroup);
}

/* ---- eBPF ------------------------------------------------------------------------------
 */

static int renew(struct gate *gate, uint16_t port, enum gate_arm_how how)
{
    struct gate_lease lease = {.epoch = 1, .mode = GATE_OPEN};

    return lab_arm(gate, port, &lease, LEASE_MS, how);
}

static void assert_shut(uint16_t port)
{
    const int r = lab_call(NULL, "127.0.0.1", port, LAB_SILENCE_MS);

    if (r >= 0)
        fail_msg("a connection came through");
}

/* While it is open: the renewal is refused, the check puts it back, closed, and a fresh
 * lease opens it as ever. */
static void a_harmed_open_gate_is_noticed(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
        struct gate *gate = lab_gate(GATE_BPF, "east", false);
        uint16_t port;
        const int listener = lab_listen(AF_INET, &port);
        struct lab_pair pair;
        struct err err;

        print_message("%s\n", harms[i].name);
        assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
        (void)lab_open(gate, port, 1, LEASE_MS);
        assert_int_equal(gate_check(gate, &err), 0);
        do_harm(i, port);
        assert_int_equal(renew(gate, port, GATE_RENEW), ERR_UNPROVEN);
        if (harms[i].in_cell)
            do_harm(i, port);
        assert_int_equal(gate_check(gate, &err), ERR_UNPROVEN);
        print_message("  %s\n", err.text);
        assert_non_null(strstr(err.text, "put back, closed"));
        assert_shut(port);
        assert_int_equal(gate_check(gate, &err), 0);
        assert_int_equal(renew(gate, port, GATE_RENEW), ERR_CLOSED);
        assert_int_equal(renew(gate, port, GATE_REOPEN), 0);
        pair = lab_connect(listener, NULL, "127.0.0.1", port);
        assert_true(lab_echo(&pair, LAB_ANSWER_MS));
        lab_hang_up(&pair);
        (void)close(listener);
        assert_int_equal(gate_detach(gate, &err), 0);
    }
    (void)state;
}

/* A closed gate has no renewals, and a fenced one never has any again: they are looked at
 * all the same, and a fence still stands when they are put back. */
static void a_harmed_fence_is_put_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
        struct gate *gate = lab_gate(GATE_BPF, "east", false);
        uint16_t port;
        const int listener = lab_listen(AF_INET, &port);
        struct gate_proof proof;
        struct gate_state now;
        struct err err;

        print_message("%s\n", harms[i].name);
        assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
        (void)lab_open(gate, port, 1, LEASE_MS);
        assert_int_equal(gate_fence(gate, port, 1, &proof, &err), 0);
        do_harm(i, port);
        assert_int_equal(gate_check(gate, &err), harms[i].in_cell ? 0 : ERR_UNPROVEN);
        assert_int_equal(gate_check(gate, &err), 0);
        assert_shut(port);
        assert_int_equal(gate_read(gate, port, &now, &err), 0);
        assert_true(now.fenced);
        assert_int_equal(renew(gate, port, GATE_REOPEN), ERR_STALE);
        assert_int_equal(gate_fence(gate, port, 1, &proof, &err), 0);
        (void)close(listener);
        assert_int_equal(gate_detach(gate, &err), 0);
    }
}

/* Somebody else's program beside ours, here or further down, whatever its verdict and its
 * flags: what ours drops stays dropped, and it is no harm. */
static void a_program_beside_it_opens_nothing(void **state)
{
    static const struct {
        const char *name, *below;
        unsigned flags;
    } table[] = {
        {"beside it", NULL, BPF_F_ALLOW_MULTI},
        {"below, alone in its place", "inner", 0},
        {"below, to be overridden", "inner", BPF_F_ALLOW_OVERRIDE},
    };
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const int cgroup =
            open(lab_cgroup(table[i].below), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const int fd = load_verdict(1);
        uint16_t port;
        int listener;

        print_message("%s\n", table[i].name);
        for (int hook = BPF_CGROUP_INET_INGRESS; hook <= BPF_CGROUP_INET_EGRESS; hook++)
            assert_int_equal(
                bpf_prog_attach(fd, cgroup, (enum bpf_attach_type)hook, table[i].flags), 0);
        lab_join(lab_cgroup(table[i].below));
        listener = lab_listen(AF_INET, &port);
        assert_int_equal(gate_manage(*state, port, NULL, 0, &err), 0);
        assert_int_equal(lab_call(NULL, "127.0.0.1", port, LAB_SILENCE_MS), -ETIMEDOUT);
        assert_int_equal(gate_check(*state, &err), 0);
        for (int hook = BPF_CGROUP_INET_INGRESS; hook <= BPF_CGROUP_INET_EGRESS; hook++)
            assert_int_equal(bpf_prog_detach2(fd, cgroup, (enum bpf_attach_type)hook), 0);
        lab_join(lab_cgroup(NULL));
        (void)close(listener);
        (void)close(fd);
        (void)close(cgroup);
    }
}

/* gate.cgroup names a unit's own cgroup, and the service manager makes that anew with each
 * start: whoever lives in the new one is behind no gate until the next renewal. */
static void a_cgroup_made_anew_is_gated_again(void **state)
{
    const struct gate_config config = {.driver = GATE_BPF,
                                       .cgroup = lab_cgroup("unit"),
                                       .run_dir = lab_run_dir(),
                                       .agent = "leaf"};
    char path[4096];
    struct gate *gate;
    struct err err;
    uint16_t port;
    int listener;

    (void)state;
    snprintf(path, sizeof path, "%s", config.cgroup);
    assert_int_equal(gate_open(&gate, &config, &err), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    lab_join(path);
    listener = lab_listen(AF_INET, &port);
    assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
    assert_int_equal(renew(gate, port, GATE_REOPEN), ERR_UNPROVEN);
    assert_int_equal(gate_check(gate, &err), ERR_UNPROVEN);
    print_message("%s\n", err.text);
    assert_shut(port);
    assert_int_equal(gate_check(gate, &err), 0);
    assert_int_equal(gate_try(gate, port, &err), 0);
    lab_join(lab_cgroup(NULL));
    (void)close(listener);
    assert_int_equal(gate_detach(gate, &err), 0);
}

/* ---- nftables --------------------------------------------------------------------------
 */

static bool refuse_owned; /* as before Linux 6.9 */

int __real_nft_run_own_table(struct nft_run *run, const char *table, struct err *err);
int __wrap_nft_run_own_table(struct nft_run *run, const char *table, struct err *err);

int __wrap_nft_run_own_table(struct nft_run *run, const char *table, struct err *err)
{
    if (refuse_owned)
        return err_set(err, ERR_UNSUPPORTED, "an older kernel");
    return __real_nft_run_own_table(run, table, err);
}

#define TABLE "inet ringfence_gate_east"

/* `%u` is the port. */
static const char *const nft_harms[] = {
    "flush ruleset",
    "delete table " TABLE,
    "flush chain " TABLE " in",
    "flush chain " TABLE " dead_out",
    "insert rule " TABLE " in accept",
    "insert rule " TABLE " out_0 accept",
    "delete element " TABLE " managed { %u }",
    "delete element " TABLE " wall { %u }",
    "add element " TABLE " now_0 { %u }; add element " TABLE " now_1 { %u }; "
    "add element " TABLE " open_0 { %u timeout 1d }; "
    "add element " TABLE " open_1 { %u timeout 1d }",
};

static int run_nft(const char *format, uint16_t port)
{
    char text[512];
    const char *argv[] = {"nft", text, NULL};

    /* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral): the table above */
    (void)snprintf(text, sizeof text, format, port, port, port, port);
    return lab_run(argv);
}

/* On a kernel without tables of one's own, root's tools can do all of it: each is noticed,
 * by an open gate and by a fenced one, and put back closed. */
static void a_harmed_table_is_put_back(void **state)
{
    (void)state;
    refuse_owned = true;
    for (size_t i = 0; i < 2 * ARRAY_LEN(nft_harms); i++) {
        const bool fenced = i % 2 == 1;
        struct gate *gate = lab_gate(GATE_NFTABLES, "east", false);
        uint16_t port;
        const int listener = lab_listen(AF_INET, &port);
        struct gate_proof proof;
        struct lab_pair pair;
        struct err err;
        int r;

        print_message("%s, %s\n", nft_harms[i / 2], fenced ? "fenced" : "open");
        assert_false(gate_capabilities(gate).survives_flush);
        assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
        (void)lab_open(gate, port, 1, LEASE_MS);
        if (fenced)
            assert_int_equal(gate_fence(gate, port, 1, &proof, &err), 0);
        assert_int_equal(gate_check(gate, &err), 0);
        assert_int_equal(run_nft(nft_harms[i / 2], port), 0);
        r = gate_check(gate, &err);
        print_message("  %s\n", r != 0 ? err.text : "not noticed");
        assert_int_equal(r, ERR_UNPROVEN);
        assert_non_null(strstr(err.text, "put back, closed"));
        assert_shut(port);
        assert_int_equal(gate_check(gate, &err), 0);
        r = renew(gate, port, GATE_REOPEN);
        assert_int_equal(r, fenced ? ERR_STALE : 0);
        if (!fenced) {
            pair = lab_connect(listener, NULL, "127.0.0.1", port);
            assert_true(lab_echo(&pair, LAB_ANSWER_MS));
            lab_hang_up(&pair);
        }
        (void)close(listener);
        assert_int_equal(gate_detach(gate, &err), 0);
    }
    refuse_owned = false;
}

/* A flush between two renewals: what is armed before anybody has checked is refused. */
static void nothing_is_armed_in_a_table_that_is_gone(void **state)
{
    struct gate *gate;
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct err err;

    (void)state;
    refuse_owned = true;
    gate = lab_gate(GATE_NFTABLES, "east", false);
    assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
    (void)lab_open(gate, port, 1, LEASE_MS);
    assert_int_equal(run_nft("flush ruleset", 0), 0);
    assert_int_equal(renew(gate, port, GATE_RENEW), ERR_UNPROVEN);
    assert_int_equal(renew(gate, port, GATE_REOPEN), ERR_UNPROVEN);
    assert_int_equal(gate_check(gate, &err), ERR_UNPROVEN);
    assert_shut(port);
    (void)close(listener);
    assert_int_equal(gate_detach(gate, &err), 0);
    refuse_owned = false;
}

/* Where the kernel has tables of one's own, root's tools change nothing in it. */
static void an_owned_table_cannot_be_harmed(void **state)
{
    struct gate *gate = lab_gate(GATE_NFTABLES, "east", false);
    uint16_t port;
    const int listener = lab_listen(AF_INET, &port);
    struct err err;

    (void)state;
    if (!gate_capabilities(gate).survives_flush) {
        assert_int_equal(gate_detach(gate, &err), 0);
        skip();
    }
    assert_int_equal(gate_manage(gate, port, NULL, 0, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(nft_harms); i++) {
        print_message("%s: %d\n", nft_harms[i], run_nft(nft_harms[i], port));
        assert_int_equal(gate_check(gate, &err), 0);
        assert_shut(port);
    }
    (void)close(listener);
    assert_int_equal(gate_detach(gate, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_harmed_open_gate_is_noticed),
        cmocka_unit_test(a_harmed_fence_is_put_back),
        cmocka_unit_test_setup_teardown(a_program_beside_it_opens_nothing, lab_setup_bpf,
                                        lab_teardown),
        cmocka_unit_test(a_cgroup_made_anew_is_gated_again),
        cmocka_unit_test(a_harmed_table_is_put_back),
        cmocka_unit_test(nothing_is_armed_in_a_table_that_is_gone),
        cmocka_unit_test(an_owned_table_cannot_be_harmed),
    };

    return lab_run_tests("presence", tests, ARRAY_LEN(tests));
}
