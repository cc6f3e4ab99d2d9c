/* tests/real/power/bmc.h -- a simulated BMC (openipmi's ipmi_sim), whose machine is a
 * process of ours, and the fencer for it.
 *
 * Owner: bmc_open() to bmc_close().
 */
#ifndef RF_TEST_BMC_H
#define RF_TEST_BMC_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/unit/methods/bench.h"

struct bmc {
    struct bench bench;
    pid_t victim, sim;
    uint16_t port;
};

void bmc_open(struct bmc *m);
void bmc_close(struct bmc *m);

/* The process still runs. */
bool bmc_victim_lives(const struct bmc *m);
/* Processes that have this BMC's port in their words: ipmitool's, not the simulator. */
unsigned bmc_callers(const struct bmc *m);

#endif
