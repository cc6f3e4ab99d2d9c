/* The gate's half in the kernel: every allocation of ours fails once while it is installed,
 * by either driver, alone and with the courtesy resets. What is in the kernel already stays
 * there, closed: the next opening adopts it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "controller/base/auto.h"
#include "fencing/gate/clockcheck.h"
#include "fencing/gate/courtesy.h"
#include "fencing/gate/nft_run.h"
#include "tests/real/gate/lab.h"
#include "tests/unit/heap/each.h"
#include "tests/unit/heap/heap.h"

static int try_nft_run(struct err *err)
{
    struct nft_run *run = NULL;
    int status = nft_run_open(&run, err);

    nft_run_close(run);
    return status;
}

static int try_courtesy(struct err *err)
{
    struct courtesy *c = NULL;
    int status = courtesy_start(&c, "east", err);

    heap_hold();
    courtesy_remove(c);
    return status;
}

static int try_clockcheck(struct err *err)
{
    struct clockcheck *c = NULL;
    int status = clockcheck_open(&c, true, err);

    clockcheck_close(c);
    return status;
}

static int open_and_detach(enum gate_driver driver, bool courtesy, struct err *err)
{
    const struct gate_config config = {.driver = driver,
                                       .cgroup = lab_cgroup(NULL),
                                       .run_dir = lab_run_dir(),
                                       .agent = "east",
                                       .courtesy = courtesy};
    struct gate *gate = NULL;
    int status = gate_open(&gate, &config, err);

    heap_hold();
    if (status == 0) {
        assert_int_equal(gate_capabilities(gate).driver == GATE_BPF,
                         driver != GATE_NFTABLES);
        assert_int_equal(gate_detach(gate, NULL), 0);
    }
    return status;
}

static int try_bpf(struct err *err) { return open_and_detach(GATE_BPF, false, err); }

/* Memory that ends is no reason for the weaker driver. */
static int try_auto(struct err *err) { return open_and_detach(GATE_AUTO, false, err); }

static int try_courteous(struct err *err) { return open_and_detach(GATE_BPF, true, err); }

static int try_nft(struct err *err) { return open_and_detach(GATE_NFTABLES, false, err); }

static const struct heap_case cases[] = {
    {"nft_run_open", try_nft_run, false},
    {"courtesy_start", try_courtesy, true}, /* its thread's */
    {"clockcheck_open", try_clockcheck, false},
    {"gate_open, eBPF", try_bpf, false},
    {"gate_open, auto", try_auto, false},
    {"gate_open, eBPF with courtesy resets", try_courteous, true}, /* without them */
    {"gate_open, nftables", try_nft, false},
};

static void nothing(void) {}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    heap_each(cases, ARRAY_LEN(cases), nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails_once)};

    return lab_run_tests("heap", tests, ARRAY_LEN(tests));
}
