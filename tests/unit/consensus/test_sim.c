/* A cluster under faults keeps Raft's promises, seed after seed; and the same checks catch
 * nodes that break the rules. A failure names the seed: consensus_sim SEED 1 repeats it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/consensus/driver.h"
#include "tests/unit/consensus/sim.h"

enum { SEEDS = 250, MUTANT_SEEDS = 200 };

/* Loss, duplication, reordering, one-way cuts, crashes that lose unsynced writes, snapshots
 * and transfers: no two leaders in a term, no two entries at an index, equal states, and no
 * read that lacks what was committed before it came. */
static void faults_break_no_promise(void **state)
{
    struct sim_config c = {.fault_ms = 15000, .reads = true};
    uint64_t installs = 0, transfers = 0, crashes = 0, reads = 0;
    struct sim_result r;

    (void)state;
    for (c.seed = 1; c.seed <= SEEDS; c.seed++) {
        c.snapshot_every = c.seed % 3 == 0 ? 0 : 20 + c.seed % 60;
        sim_run(&c, &r);
        if (!r.ok)
            fail_msg("%s (snapshot every %u)", r.why, c.snapshot_every);
        installs += r.installs;
        transfers += r.transfers;
        crashes += r.crashes;
        reads += r.reads;
    }
    assert_true(installs > SEEDS);
    assert_true(transfers > SEEDS);
    assert_true(crashes > SEEDS);
    assert_true(reads > 100 * SEEDS);
}

/* The same while disks are lost, one after the other, and each node is replaced by one with
 * a new id: removed, added, caught up by log or snapshot, made a voter. */
static void replacements_break_no_promise(void **state)
{
    struct sim_config c = {.fault_ms = 20000, .lose_disks = true};
    uint64_t replaced = 0, installs = 0;
    struct sim_result r;

    (void)state;
    for (c.seed = 1001; c.seed <= 1000 + SEEDS / 2; c.seed++) {
        c.snapshot_every = c.seed % 3 == 0 ? 0 : 20 + c.seed % 60;
        sim_run(&c, &r);
        if (!r.ok)
            fail_msg("%s (snapshot every %u)", r.why, c.snapshot_every);
        replaced += r.replaced;
        installs += r.installs;
    }
    assert_true(replaced > SEEDS);
    assert_true(installs > SEEDS / 2);
}

/* A seed is a history: the same every time. */
static void same_seed_same_history(void **state)
{
    struct sim_config c = {.seed = 7, .fault_ms = 15000, .snapshot_every = 40};
    struct sim_result a, b;

    (void)state;
    sim_run(&c, &a);
    sim_run(&c, &b);
    assert_true(a.ok);
    assert_int_equal(a.state, b.state);
    assert_int_equal(a.committed, b.committed);
    assert_int_equal(a.events, b.events);
}

static bool some_seed_fails(struct sim_config *c)
{
    struct sim_result r = {.ok = true};

    for (c->seed = 1; c->seed <= MUTANT_SEEDS && r.ok; c->seed++)
        sim_run(c, &r);
    return !r.ok;
}

/* A vote that is not stored is given twice. */
static void unsynced_votes_are_caught(void **state)
{
    struct sim_config c = {.fault_ms = 15000, .lose_votes = true};

    (void)state;
    assert_true(some_seed_fails(&c));
}

/* An entry acknowledged before it is stored is lost with a majority's consent. */
static void early_acknowledgements_are_caught(void **state)
{
    struct sim_config c = {.fault_ms = 15000, .ack_early = true};

    (void)state;
    assert_true(some_seed_fails(&c));
}

/* The same while processes are stopped, as by SIGSTOP or a hypervisor, for longer than an
 * election takes, and are asked before they have heard anything of it. */
static void stopped_leaders_tell_nothing_old(void **state)
{
    struct sim_config c = {.fault_ms = 15000, .reads = true, .stand_still = true};
    uint64_t reads = 0;
    struct sim_result r;

    (void)state;
    for (c.seed = 1; c.seed <= SEEDS / 2; c.seed++) {
        sim_run(&c, &r);
        if (!r.ok)
            fail_msg("%s", r.why);
        reads += r.reads;
    }
    assert_true(reads > 50 * SEEDS);
}

/* A leader that was deposed and does not know it answers with what is old. */
static void reads_without_a_barrier_are_caught(void **state)
{
    struct sim_config c = {
        .fault_ms = 15000, .reads = true, .stand_still = true, .read_at_once = true};

    (void)state;
    assert_true(some_seed_fails(&c));
}

/* Without it a list is tracked at a wrong index, or an old one counts again. */
static void lists_in_a_batch_are_caught(void **state)
{
    struct sim_config c = {
        .fault_ms = 20000, .lose_disks = true, .without_filter = WITHOUT_LIST_ALONE};

    (void)state;
    assert_true(some_seed_fails(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_break_no_promise),
        cmocka_unit_test(replacements_break_no_promise),
        cmocka_unit_test(same_seed_same_history),
        cmocka_unit_test(unsynced_votes_are_caught),
        cmocka_unit_test(early_acknowledgements_are_caught),
        cmocka_unit_test(stopped_leaders_tell_nothing_old),
        cmocka_unit_test(reads_without_a_barrier_are_caught),
        cmocka_unit_test(lists_in_a_batch_are_caught),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
