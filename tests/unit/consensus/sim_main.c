/* sim_main FIRST COUNT [without-filter-bits [snapshot-every [fault-ms [lose-disks]]]] --
 * search seeds by hand; prints what failed. Not a test: tests/unit/consensus/test_sim.c is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/consensus/sim.h"

int main(int argc, char **argv)
{
    struct sim_config c = {.fault_ms = 20000, .snapshot_every = 40};
    unsigned first = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1, bad = 0;
    struct sim_result sum = {0}, r;

    if (argc > 3)
        c.without_filter = (unsigned)strtoul(argv[3], NULL, 10);
    if (argc > 4)
        c.snapshot_every = (unsigned)strtoul(argv[4], NULL, 10);
    c.lose_disks = argc > 6;
    if (argc > 5)
        c.fault_ms = (unsigned)strtoul(argv[5], NULL, 10);
    for (c.seed = first; c.seed < first + count; c.seed++) {
        sim_run(&c, &r);
        if (!r.ok) {
            bad++;
            puts(r.why);
            fflush(stdout);
        }
        sum.committed += r.committed;
        sum.elections += r.elections;
        sum.crashes += r.crashes;
        sum.installs += r.installs;
        sum.transfers += r.transfers;
        sum.replaced += r.replaced;
        sum.state = sum.state * 31 + r.state;
    }
    printf("%u seeds, %u bad; committed %" PRIu64 " elections %" PRIu64 " crashes %" PRIu64
           " installs %" PRIu64 " transfers %" PRIu64 " replaced %" PRIu64
           " signature %" PRIx64 "\n",
           count, bad, sum.committed, sum.elections, sum.crashes, sum.installs,
           sum.transfers, sum.replaced, sum.state);
    return bad != 0;
}
